"""Customers of groups whose parameters are known, by the models' own simulators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clv_forecast.inference.hierarchical.structure import Assignment, Structure, assign, learn_structure
from clv_forecast.models import gamma_gamma, transaction_model
from tests.inference.hierarchical.made_up import Attributed, attributed
from tests.inference.simulated import summary

GROUPS = tuple("abcdef")
LOG_RATE = np.log([0.05, 0.08, 0.12, 0.18, 0.25, 0.35])
LOGIT_DROPOUT = np.array([-0.6, -1.4, -1.0, -0.8, -1.6, -1.2])
LOG_SPEND = np.log([10.0, 14.0, 20.0, 28.0, 40.0, 55.0])
COEFFICIENT = 0.3  # of age, per standard deviation, on the log rate


@dataclass(frozen=True)
class Simulated:
    """A history, its structure, and the cells of its customers."""

    history: Attributed
    structure: Structure
    assignment: Assignment


def simulated_groups(per_group: int, *, seed: int, model: str = "bg_nbd", length: float = 50.0) -> Simulated:
    """Six groups of customers; age, at five values, raises the rate."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(GROUPS)), per_group)
    age = rng.integers(-2, 3, size=group.size).astype(float)
    theta = np.column_stack(
        [
            LOG_RATE[group] + COEFFICIENT * age / np.std(age),
            np.full(group.size, -0.2),
            LOGIT_DROPOUT[group] - (1.5 if model == "pareto_nbd" else 0.0),
            np.full(group.size, 0.8),
        ]
    )
    module = transaction_model(model)
    made = module.constrain(theta)
    params = module.Params(*(getattr(made, name).ravel() for name in module.PARAMETERS))
    T = rng.integers(int(0.6 * length), int(length) + 1, size=group.size).astype(float)
    frequency, recency = (column[0] for column in module.simulate(params, T, rng=seed).summary())
    made = gamma_gamma.constrain(np.column_stack([LOG_SPEND[group], np.full((group.size, 2), 1.0)]))
    spend = gamma_gamma.Params(*(getattr(made, name).ravel() for name in gamma_gamma.PARAMETERS))
    n, total, sum_log = (column[0] for column in gamma_gamma.simulate(spend, frequency, rng=seed + 1).summary())
    table = summary(frequency, recency, T, n=n, total=total, sum_log=sum_log).table
    history = attributed(pd.DataFrame({"region": np.array(GROUPS)[group], "age": age}), table=table)
    structure = learn_structure(history, groups="region", covariates="age")
    return Simulated(history=history, structure=structure, assignment=assign(structure, history))
