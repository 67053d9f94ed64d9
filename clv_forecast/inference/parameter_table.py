"""The table of parameters: estimates, standard errors by the delta method, intervals, on the user's scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE
from clv_forecast.inference.problem import Problem
from clv_forecast.models import coordinate

Floats = NDArray[np.float64]

INTERVAL_PROB: Final = 0.95
COLUMNS: Final = ("parameter", "estimate", "standard_error", "lower", "upper", "prob", "interval", "note")
NOT_IDENTIFIED: Final = "not identified: interval from the posterior under default priors"
LEANS_ON_PRIOR: Final = "not identified by the data alone: leans on the default priors"
NO_MAXIMUM: Final = "where the search stopped, no maximum"
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
    problem: Problem,
    theta: Floats,
    covariance: Floats,
    *,
    draws: Floats,
    kind: str,
    bayesian: bool = False,
    failed: bool = False,
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
    failed : bool
        True when ``theta`` is no optimum but where a search stopped: estimates are shown for inspection, with a note.

    Returns
    -------
    DataFrame
        Columns parameter, estimate and standard_error (NaN where not identified), lower, upper, prob, interval, note.

    Notes
    -----
    Delta method on both sides: with ``g`` the gradient of a quantity in ``theta``, its variance is ``g' V g``.
    Intervals are symmetric on the log scale (logit for a probability, ``log(q - 1)`` for ``q``) when the draws are
    asymptotic, and equal-tailed quantiles of the draws otherwise. Where maximum likelihood does not identify a
    quantity and posterior draws stand in, its value at the optimum is a limit or an accident and may lie far outside
    that interval: it is left out, and a note says so.
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
        missing = kind == LAPLACE and not np.isfinite(error)
        note = "" if not missing else NO_MAXIMUM if failed else LEANS_ON_PRIOR if bayesian else NOT_IDENTIFIED
        estimate = float("nan") if note == NOT_IDENTIFIED else quantity.value
        rows.append((quantity.name, estimate, natural, lower, upper, INTERVAL_PROB, kind, note))
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
    for index, coordinate_name in enumerate(problem.coordinates):
        derived = derived_quantity(problem, index, np.append(draws[:, index], theta[index]))
        if derived is None:
            continue
        name, values = derived
        quantities.append(
            _Quantity(
                name=name,
                value=float(values[-1]),
                link=coordinate(coordinate_name).link,
                gradient=np.eye(theta.size)[index],
                draws=values[:-1],
            )
        )
    return quantities


def derived_quantity(problem: Problem, index: int, column: Floats) -> tuple[str, Floats] | None:
    """Name a coordinate that says something by itself, and turn values of it into the user's units.

    Parameters
    ----------
    problem : Problem
    index : int
        Of the coordinate.
    column : ndarray, shape (draw,)
        Its values.

    Returns
    -------
    (str, ndarray) or None
        None for a coordinate that only shapes a distribution.

    Examples
    --------
    >>> import numpy as np
    >>> from clv_forecast.inference.sufficient import compress
    >>> from clv_forecast.inference.problem import purchase_problem
    >>> problem = purchase_problem("bg_nbd", compress([2, 0], [30.0, 0.0], [38.0, 38.0]))
    >>> derived_quantity(problem, 2, np.array([0.0]))
    ('mean_dropout_probability', array([0.5]))
    """
    found = coordinate(problem.coordinates[index])
    if not found.level:
        return None
    inverse = special.expit if found.link == "logit" else np.exp
    power = {"per time": -1, "money": 1}.get(found.unit, 0)
    return found.quantity, np.asarray(inverse(column) * problem.scale**power)


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
