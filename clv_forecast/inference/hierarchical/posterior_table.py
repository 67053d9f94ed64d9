"""The table of parameters of a sampled posterior, on the user's scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.inference.draws import POSTERIOR
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.priors import MEANINGS, PartPriors
from clv_forecast.inference.hierarchical.priors_table import from_free
from clv_forecast.inference.hierarchical.structure import NumericCovariate, Structure
from clv_forecast.inference.parameter_table import COLUMNS, INTERVAL_PROB

Floats = NDArray[np.float64]

_TOLD: Final = ("log_rate", "logit_dropout", "log_dropout_rate", "log_mean_spend")
"""Coordinates that mean something by themselves."""


def posterior_table(params: Any, effects: EffectDraws, priors: PartPriors, structure: Structure) -> pd.DataFrame:
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
    for name, values, note in _quantities(params, effects, priors, structure):
        tails = (0.5 - INTERVAL_PROB / 2.0, 0.5 + INTERVAL_PROB / 2.0)
        lower, upper = (float(bound) for bound in np.quantile(values, tails))
        spread = float(np.std(values, ddof=1))
        rows.append((name, float(np.mean(values)), spread, lower, upper, INTERVAL_PROB, POSTERIOR, note))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _quantities(
    params: Any, effects: EffectDraws, priors: PartPriors, structure: Structure
) -> Iterator[tuple[str, Floats, str]]:
    for field in type(params).__dataclass_fields__:
        yield field, np.asarray(getattr(params, field))[:, 0], ""
    told = [(k, MEANINGS[name]) for k, name in enumerate(effects.coordinates) if name in _TOLD]
    scales = {"time_scale": priors.time_scale, "money_scale": priors.money_scale}
    for k, meaning in told:
        yield meaning.name, from_free(effects.intercept[:, k], meaning, **scales), ""
    for index, term in enumerate(structure.groups):
        for k, meaning in told:
            for level, label in enumerate(term.levels):
                theta = effects.intercept[:, k] + effects.effects[index][:, level, k]
                yield f"{meaning.name}[{term.name}={label}]", from_free(theta, meaning, **scales), ""
        spread = np.sqrt(np.sum(effects.factors[index] ** 2, axis=2))
        for k in priors.varying:
            meaning = MEANINGS[effects.coordinates[k]]
            note = f"standard deviation between groups, {meaning.link} scale"
            yield f"group_sd:{meaning.name}[{term.name}]", spread[:, k], note
    column = 0
    for covariate in structure.covariates:
        for name, unit in zip(covariate.columns, covariate.spreads, strict=True):
            for k in priors.targets:
                meaning = MEANINGS[effects.coordinates[k]]
                what = "odds ratio" if meaning.link == "logit" else "factor"
                per = "per unit" if isinstance(covariate, NumericCovariate) else "against the reference"
                values = np.exp(effects.coefficients[:, column, k] / unit)
                yield f"{name} on {meaning.name}", values, f"{what} {per}"
            column += 1
