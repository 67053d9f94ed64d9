"""One likelihood, its posterior sampled in PyMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.customer_parameters import map_fields
from clv_forecast.inference.draws import POSTERIOR
from clv_forecast.inference.fitted_part import FittedPart
from clv_forecast.inference.hierarchical.assignment import Assignment
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.part_data import PartData
from clv_forecast.inference.hierarchical.part_fit import NutsPart, fit_part_nuts
from clv_forecast.inference.hierarchical.posterior_table import posterior_table
from clv_forecast.inference.hierarchical.priors import PURCHASES, PartPriors
from clv_forecast.inference.hierarchical.sampler import Sampler
from clv_forecast.inference.hierarchical.structure import Structure
from clv_forecast.inference.hierarchy import Hierarchy
from clv_forecast.inference.loo import purchase_log_likelihood, spend_log_likelihood
from clv_forecast.inference.report import PartReport
from clv_forecast.inference.status import FitStatus
from clv_forecast.models import transaction_model
from clv_forecast.progress import Progress

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NutsOptions:
    """How to sample; the fields are those of ``fit``, with what it learned of groups and covariates."""

    sampler: Sampler
    structure: Structure
    assignment: Assignment
    draws: int
    seed: int
    progress: Progress


def fit_nuts(data: PartData, priors: PartPriors, rows: Any, options: NutsOptions, *, level: str | None) -> FittedPart:
    """Sample one likelihood, and keep as many of its draws as were asked for.

    Parameters
    ----------
    data : PartData
    priors : PartPriors
        With the scales of the data.
    rows : PurchaseRows or SpendRows
        The same data as distinct rows.
    options : NutsOptions
    level : str or None
        ``"orders"`` or ``"means"`` for spend.

    Returns
    -------
    FittedPart
        With a ``refusal`` where the chains are broken.
    """
    sampler = options.sampler.at_least(options.draws)
    fitted = fit_part_nuts(
        data,
        options.structure,
        options.assignment,
        priors,
        sampler=sampler,
        seed=options.seed,
        progress=options.progress,
    )
    refusal = None
    if fitted.convergence.broken:
        refusal = FitError(
            f"{data.model}: {fitted.convergence.verdict}",
            remedy="Sample longer with sampler=Sampler(tune=2000, draws=4000, target_accept=0.99), use fewer groups, "
            "or give narrower priors (model.priors shows their names). The error has the model, for inspection.",
        )
    everything = fitted.effects
    kept = everything.take(np.arange(options.draws) * everything.n_draws // options.draws)
    middle = _mean(everything)
    typical = _typical(data, kept, options.structure)
    estimate = map_fields(_typical(data, middle, options.structure), lambda field: field.reshape(()))
    return FittedPart(
        model=data.model,
        scale=data.time_scale if data.part == PURCHASES else data.money_scale,
        estimate=estimate,
        draws=typical,
        kind=POSTERIOR,
        report=_report(data, fitted, _log_likelihood(data, middle, rows, options, level), rows.weights.size),
        table=posterior_table(_typical(data, everything, options.structure), everything, priors, options.structure),
        priors=priors,
        effects=kept,
        chains=fitted.chains,
        refusal=refusal,
    )


def _hierarchy(data: PartData, effects: EffectDraws, structure: Structure) -> Hierarchy:
    """Of one part alone; the other is the same draws, unused."""
    spend = None if data.part == PURCHASES else effects
    return Hierarchy(
        structure=structure,
        purchases=effects,
        spend=spend,
        model=data.model,
        time_scale=data.time_scale,
        money_scale=data.money_scale,
        seed=1,
    )


def _typical(data: PartData, effects: EffectDraws, structure: Structure) -> Any:
    hierarchy = _hierarchy(data, effects, structure)
    return hierarchy.typical_purchases() if data.part == PURCHASES else hierarchy.typical_spend()


def _mean(effects: EffectDraws) -> EffectDraws:
    """The posterior mean of every effect, as a single draw."""
    return EffectDraws(
        coordinates=effects.coordinates,
        intercept=effects.intercept.mean(axis=0)[None],
        terms=effects.terms,
        effects=[part.mean(axis=0)[None] for part in effects.effects],
        factors=[part.mean(axis=0)[None] for part in effects.factors],
        coefficients=effects.coefficients.mean(axis=0)[None],
    )


def _log_likelihood(data: PartData, middle: EffectDraws, rows: Any, options: NutsOptions, level: str | None) -> float:
    hierarchy = _hierarchy(data, middle, options.structure)
    if level is None:
        params = hierarchy.purchases_of(options.assignment, rows.cell)
        values = purchase_log_likelihood(params, data.model, rows)
    else:
        values = spend_log_likelihood(hierarchy.spend_of(options.assignment, rows.cell), level, rows)
    return float(np.sum(values[0] * rows.weights))


def _report(data: PartData, fitted: NutsPart, log_likelihood: float, n_rows: int) -> PartReport:
    nan = float("nan")
    names = transaction_model(data.model).UNCONSTRAINED if data.part == PURCHASES else data.coordinates
    steps = fitted.chains.sample_stats.get("n_steps")
    convergence = fitted.convergence
    status = FitStatus.FAILED if convergence.broken else FitStatus.NEARLY_CONVERGED
    return PartReport(
        model=data.model,
        status=FitStatus.CONVERGED if convergence.converged else status,
        message=f"{data.model}: {convergence.verdict}",
        log_likelihood=log_likelihood,
        aic=nan,
        bic=nan,
        gradient_norm=nan,
        condition=nan,
        evaluations=0 if steps is None else int(np.sum(steps)),
        n_customers=data.n_customers,
        n_rows=n_rows,
        correlations=pd.DataFrame(np.corrcoef(fitted.effects.intercept.T), index=names, columns=names),
        draws_kind=POSTERIOR,
        convergence=convergence,
    )
