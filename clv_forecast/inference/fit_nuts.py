"""One likelihood, its posterior sampled in PyMC.

The table of parameters of a sampled posterior, on the user's scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.draws import POSTERIOR
from clv_forecast.inference.fitted_part import FittedPart
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.part_data import PartData
from clv_forecast.inference.hierarchical.priors import PURCHASES, PartPriors, from_free
from clv_forecast.inference.hierarchical.sampling import NutsPart, fit_part_nuts
from clv_forecast.inference.hierarchical.structure import Assignment, NumericCovariate, Structure
from clv_forecast.inference.hierarchy import Hierarchy, map_fields
from clv_forecast.inference.loo import purchase_log_likelihood, spend_log_likelihood
from clv_forecast.inference.parameter_table import COLUMNS, INTERVAL_PROB
from clv_forecast.inference.recipe import Sampler
from clv_forecast.inference.report import FitStatus, PartReport
from clv_forecast.models import coordinate
from clv_forecast.progress import Progress


def posterior_table(params: Any, effects: EffectDraws, priors: PartPriors, *, structure: Structure) -> pd.DataFrame:
    """Tabulate a posterior: the typical customer, the groups, and what covariates do.

    Parameters
    ----------
    params : Params
        Natural parameters in the middle of the population, fields of shape (draw, 1), in the user's units.
    effects : EffectDraws
    priors : PartPriors
        With the scales of the data.
    structure : Structure

    Returns
    -------
    DataFrame
        Columns of ``parameter_table``: the estimate is the posterior mean, ``standard_error`` the posterior standard
        deviation, the interval equal-tailed. Rows: natural parameters; mean rate, dropout and spend; the same of
        every group (``mean_purchase_rate[region=EU]``, other attributes at their middle); the standard deviations
        between groups on the log or logit scale; and covariates, as the factor (for a dropout probability: the odds
        ratio) by which one unit more, or one level instead of the reference, multiplies.
    """
    rows = []
    for name, values, note in _quantities(params, effects, priors, structure=structure):
        tails = (0.5 - INTERVAL_PROB / 2.0, 0.5 + INTERVAL_PROB / 2.0)
        lower, upper = (float(bound) for bound in np.quantile(values, tails))
        spread = float(np.std(values, ddof=1))
        rows.append((name, float(np.mean(values)), spread, lower, upper, INTERVAL_PROB, POSTERIOR, note))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _quantities(
    params: Any, effects: EffectDraws, priors: PartPriors, *, structure: Structure
) -> Iterator[tuple[str, Floats, str]]:
    for field in type(params).__dataclass_fields__:
        yield field, np.asarray(getattr(params, field))[:, 0], ""
    told = [(k, coordinate(name)) for k, name in enumerate(effects.coordinates) if coordinate(name).level]
    scales = {"time_scale": priors.time_scale, "money_scale": priors.money_scale}
    for k, meaning in told:
        yield meaning.quantity, from_free(effects.intercept[:, k], meaning, **scales), ""
    for index, term in enumerate(structure.groups):
        for k, meaning in told:
            for level, label in enumerate(term.levels):
                theta = effects.intercept[:, k] + effects.effects[index][:, level, k]
                yield f"{meaning.quantity}[{term.name}={label}]", from_free(theta, meaning, **scales), ""
        spread = np.sqrt(np.sum(effects.factors[index] ** 2, axis=2))
        for k in priors.varying:
            meaning = coordinate(effects.coordinates[k])
            note = f"standard deviation between groups, {meaning.link} scale"
            yield f"group_sd:{meaning.quantity}[{term.name}]", spread[:, k], note
    column = 0
    for covariate in structure.covariates:
        for name, unit in zip(covariate.columns, covariate.spreads, strict=True):
            for k in priors.targets:
                meaning = coordinate(effects.coordinates[k])
                what = "odds ratio" if meaning.link == "logit" else "factor"
                per = "per unit" if isinstance(covariate, NumericCovariate) else "against the reference"
                values = np.exp(effects.coefficients[:, column, k] / unit)
                yield f"{name} on {meaning.quantity}", values, f"{what} {per}"
            column += 1


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


def fit_nuts(data: PartData, priors: PartPriors, rows: Any, *, options: NutsOptions, level: str | None) -> FittedPart:
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
        priors=priors,
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
        report=_report(
            data, fitted, _log_likelihood(data, middle, rows, options=options, level=level), n_rows=rows.weights.size
        ),
        table=posterior_table(
            _typical(data, everything, options.structure), everything, priors, structure=options.structure
        ),
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


def _log_likelihood(
    data: PartData, middle: EffectDraws, rows: Any, *, options: NutsOptions, level: str | None
) -> float:
    hierarchy = _hierarchy(data, middle, options.structure)
    if level is None:
        params = hierarchy.purchases_of(options.assignment, rows.cell)
        values = purchase_log_likelihood(params, data.model, rows)
    else:
        values = spend_log_likelihood(hierarchy.spend_of(options.assignment, rows.cell), level, rows)
    return float(np.sum(values[0] * rows.weights))


def _report(data: PartData, fitted: NutsPart, log_likelihood: float, *, n_rows: int) -> PartReport:
    nan = float("nan")
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
        correlations=pd.DataFrame(
            np.corrcoef(fitted.effects.intercept.T), index=data.coordinates, columns=data.coordinates
        ),
        draws_kind=POSTERIOR,
        convergence=convergence,
    )
