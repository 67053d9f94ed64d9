"""The table of parameters: estimates, standard errors by the delta method, intervals, on the user's scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast.inference.draws import ASYMPTOTIC
from clv_forecast.inference.problem import Problem

Floats = NDArray[np.float64]

INTERVAL_PROB: Final = 0.95
COLUMNS: Final = ("parameter", "estimate", "standard_error", "lower", "upper", "prob", "interval")
# Coordinates that say something by themselves: name, and the power of the data's scale they carry.
_MEANINGS: Final[dict[str, tuple[str, int]]] = {
    "log_rate": ("mean_purchase_rate", -1),
    "logit_dropout": ("mean_dropout_probability", 0),
    "log_dropout_rate": ("mean_dropout_rate", -1),
    "log_mean_spend": ("mean_spend", 1),
}
_NEGLIGIBLE: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Quantity:
    """One row: its value, its link (a scale on which it is nearly normal) and the link's gradient in theta."""

    name: str
    value: float
    link: str
    gradient: Floats
    draws: Floats


def parameter_table(
    problem: Problem, theta: Floats, covariance: Floats, *, draws: Floats, kind: str, bayesian: bool = False
) -> pd.DataFrame:
    """Tabulate natural parameters and derived quantities.

    Parameters
    ----------
    problem : Problem
    theta : ndarray, shape (k,)
        Optimum, or posterior mode.
    covariance : ndarray, shape (k, k)
        Of ``theta``; NaN where a coordinate is not identified.
    draws : ndarray, shape (draw, k)
        Draws of ``theta``.
    kind : str
        How they were drawn.
    bayesian : bool
        True when the posterior was asked for: then ``standard_error`` is the posterior standard deviation.

    Returns
    -------
    DataFrame
        Columns parameter, estimate, standard_error (NaN where not identified), lower, upper, prob, interval.

    Notes
    -----
    Delta method on both sides: with ``g`` the gradient of a quantity in ``theta``, its variance is ``g' V g``.
    Intervals are symmetric on the log scale (logit for a probability, ``log(q - 1)`` for ``q``) when the draws are
    asymptotic, and equal-tailed quantiles of the draws otherwise.
    """
    rows = []
    for quantity in _quantities(problem, theta, draws):
        error = _standard_error(quantity, covariance)
        if kind == ASYMPTOTIC and np.isfinite(error):
            lower, upper = _link_interval(quantity, error)
        else:
            tails = (0.5 - INTERVAL_PROB / 2.0, 0.5 + INTERVAL_PROB / 2.0)
            lower, upper = (float(bound) for bound in np.quantile(quantity.draws, tails))
        natural = float(np.std(quantity.draws, ddof=1)) if bayesian else error * _slope(quantity)
        rows.append((quantity.name, quantity.value, natural, lower, upper, INTERVAL_PROB, kind))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _quantities(problem: Problem, theta: Floats, draws: Floats) -> list[_Quantity]:
    params, drawn, jacobian = problem.constrain(theta), problem.constrain(draws), problem.jacobian(theta)
    quantities = []
    for index, name in enumerate(problem.parameters):
        value = float(getattr(params, name))
        link = "log above 1" if name == "q" else "log"
        distance = value - 1.0 if name == "q" else value
        quantities.append(
            _Quantity(
                name=name,
                value=value,
                link=link,
                gradient=jacobian[index] / distance,
                draws=np.asarray(getattr(drawn, name)).ravel(),
            )
        )
    for index, coordinate in enumerate(problem.coordinates):
        if coordinate not in _MEANINGS:
            continue
        name, power = _MEANINGS[coordinate]
        inverse = special.expit if coordinate.startswith("logit") else np.exp
        factor = problem.scale**power
        quantities.append(
            _Quantity(
                name=name,
                value=float(inverse(theta[index]) * factor),
                link="logit" if coordinate.startswith("logit") else "log",
                gradient=np.eye(theta.size)[index],
                draws=inverse(draws[:, index]) * factor,
            )
        )
    return quantities


def _standard_error(quantity: _Quantity, covariance: Floats) -> float:
    """On the link scale; NaN when the quantity leans on a coordinate that is not identified."""
    leans = np.abs(quantity.gradient) > _NEGLIGIBLE
    if not leans.any():
        return float("nan")
    part = quantity.gradient[leans]
    variance = float(part @ covariance[np.ix_(leans, leans)] @ part)
    return float(np.sqrt(variance)) if variance >= 0.0 else float("nan")


def _slope(quantity: _Quantity) -> float:
    """Derivative of the quantity in its link."""
    if quantity.link == "logit":
        return quantity.value * (1.0 - quantity.value)
    return quantity.value - 1.0 if quantity.link == "log above 1" else quantity.value


def _link_interval(quantity: _Quantity, error: float) -> tuple[float, float]:
    reach = float(stats.norm.ppf(0.5 + INTERVAL_PROB / 2.0)) * error
    if quantity.link == "logit":
        centre = float(special.logit(quantity.value))
        return float(special.expit(centre - reach)), float(special.expit(centre + reach))
    base = 1.0 if quantity.link == "log above 1" else 0.0
    distance = quantity.value - base
    return base + distance * float(np.exp(-reach)), base + distance * float(np.exp(reach))
