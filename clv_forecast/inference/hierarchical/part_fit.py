"""The fit of one part by NUTS: sampled, judged, sampled again if need be, and turned into draws of effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.chains import Chains
from clv_forecast.inference.hierarchical.assignment import Assignment
from clv_forecast.inference.hierarchical.convergence import Convergence, diagnose_chains
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.graph import GraphPlan, graph_data, plan_coords, plan_graph
from clv_forecast.inference.hierarchical.part_data import PartData
from clv_forecast.inference.hierarchical.priors import PURCHASES, SPEND, PartPriors
from clv_forecast.inference.hierarchical.priors_table import priors_table
from clv_forecast.inference.hierarchical.sampler import Sampler
from clv_forecast.inference.hierarchical.sampling import sample_part
from clv_forecast.inference.hierarchical.structure import Structure
from clv_forecast.progress import Progress, silent

Floats = NDArray[np.float64]

_STREAMS: Final = {PURCHASES: 1, SPEND: 2}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NutsPart:
    """One part, purchases or spend, fitted by NUTS.

    Parameters
    ----------
    part, model : str
    effects : EffectDraws
        All draws of all chains, chain after chain.
    chains : Chains
    convergence : Convergence
    priors : PartPriors
    priors_table : DataFrame
        In the user's units.
    sampler : Sampler
        As it was used in the end.
    attempts : int
        How often it was sampled.
    time_scale, money_scale : float
        What the data were divided by.
    """

    part: str
    model: str
    effects: EffectDraws
    chains: Chains
    convergence: Convergence
    priors: PartPriors
    priors_table: pd.DataFrame
    sampler: Sampler
    attempts: int
    time_scale: float
    money_scale: float


def fit_part_nuts(
    data: PartData,
    structure: Structure,
    assignment: Assignment,
    priors: PartPriors,
    *,
    sampler: Sampler | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> NutsPart:
    """Sample one part; once more, with smaller steps and twice the draws, where the chains have not converged.

    Parameters
    ----------
    data : PartData
    structure : Structure
    assignment : Assignment
        Of the customers of the data.
    priors : PartPriors
        Made with the scales of the data.
    sampler : Sampler, optional
    seed : int
    progress : Progress

    Returns
    -------
    NutsPart
        Judge it by ``convergence``: chains that have not converged are returned, not raised.

    Raises
    ------
    FitError
        If the sampler cannot start the first time.
    """
    chosen = (sampler or Sampler()).resolved(grouped=bool(structure.groups))
    plan = plan_graph(data, priors, structure)
    arrays = graph_data(plan, data, assignment, priors)
    coords = plan_coords(plan, structure)
    best: tuple[Chains, Convergence, Sampler] | None = None
    attempts = 0
    for attempt in range(1 + chosen.retries):
        stream = int(
            np.random.SeedSequence([seed, attempt, _STREAMS[data.part]]).generate_state(1, np.uint64)[0] >> np.uint64(1)
        )
        try:
            chains = sample_part(plan, arrays, chosen, seed=stream, coords=coords, progress=progress)
        except FitError:
            if best is None:
                raise
            break  # what was sampled before is kept
        convergence = diagnose_chains(chains)
        attempts += 1
        if best is None or convergence.converged or _worth(convergence) < _worth(best[1]):
            best = (chains, convergence, chosen)
        if convergence.converged:
            break
        chosen = chosen.more_careful()
    chains, convergence, used = best if best is not None else (chains, convergence, chosen)
    return NutsPart(
        part=data.part,
        model=data.model,
        effects=effects_of_chains(plan, chains.variables),
        chains=chains,
        convergence=convergence,
        priors=priors,
        priors_table=priors_table([priors], structure),
        sampler=used,
        attempts=attempts,
        time_scale=data.time_scale,
        money_scale=data.money_scale,
    )


def _worth(convergence: Convergence) -> tuple[bool, float]:
    """Of two outcomes that are not converged, the smaller is the better one."""
    return convergence.broken, convergence.r_hat


def effects_of_chains(plan: GraphPlan, variables: Mapping[str, NDArray[Any]]) -> EffectDraws:
    """Flatten chains, one after the other, into draws of effects.

    Parameters
    ----------
    plan : GraphPlan
    variables : mapping of str to ndarray, shape (chain, draw, ...)

    Returns
    -------
    EffectDraws
    """

    def flat(name: str) -> Floats:
        values = variables[f"{plan.part}_{name}"]
        return np.asarray(values.reshape(-1, *values.shape[2:]), dtype=np.float64)

    intercept = flat("intercept")
    draws, k = intercept.shape
    varying, targets = np.array(plan.varying), list(plan.targets)
    effects, factors = [], []
    for term in plan.terms:
        effect = np.zeros((draws, term.levels, k))
        effect[:, :, varying] = flat(f"effect_{term.name}")
        sd = flat(f"sd_{term.name}")
        factor = np.zeros((draws, k, k))
        shape = (
            _cholesky(flat(f"correlation_{term.name}"))
            if term.correlated
            else np.broadcast_to(np.eye(len(varying)), (draws, len(varying), len(varying)))
        )
        factor[:, varying[:, None], varying] = sd[:, :, None] * shape
        effects.append(effect)
        factors.append(factor)
    coefficients = np.zeros((draws, plan.columns, k))
    if plan.columns:
        coefficients[:, :, targets] = flat("coefficient")
    return EffectDraws(
        coordinates=plan.coordinates,
        terms=[term.name for term in plan.terms],
        intercept=intercept,
        effects=effects,
        factors=factors,
        coefficients=coefficients,
    )


def _cholesky(correlation: Floats) -> Floats:
    """Factors of correlation matrices, also of those that rounding has made indefinite."""
    k = correlation.shape[-1]
    for jitter in (0.0, 1e-12, 1e-9):
        try:
            return np.linalg.cholesky(correlation + jitter * np.eye(k))
        except np.linalg.LinAlgError:
            continue
    return np.linalg.cholesky((1.0 - 1e-6) * correlation + 1e-6 * np.eye(k))
