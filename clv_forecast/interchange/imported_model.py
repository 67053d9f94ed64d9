"""A model out of parts that were fitted elsewhere.

Between a package's natural parameters and the free coordinates of a likelihood here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.arguments import draws_of, parse_day
from clv_forecast.errors import DomainError
from clv_forecast.inference.draws import ParameterDraws, params_of_draws
from clv_forecast.inference.model import Model
from clv_forecast.inference.problem import Problem
from clv_forecast.inference.report import FitReport, PartReport
from clv_forecast.models import gamma_gamma, names_of, transaction_model
from clv_forecast.units import check_unit

GAMMA_GAMMA = "gamma_gamma"


def model_module(name: str) -> Any:
    """Return the module of a model of purchases or of spend.

    Raises
    ------
    DomainError
        If the model is unknown.

    Examples
    --------
    >>> model_module("gamma_gamma").PARAMETERS
    ('p', 'q', 'v')
    """
    return gamma_gamma if name == GAMMA_GAMMA else transaction_model(name)


def free_coordinates(problem: Problem, params: Any) -> Floats:
    """Coordinates ``theta`` of ``problem`` at which ``problem.constrain(theta)`` is ``params``.

    Parameters
    ----------
    problem : Problem
    params : Params
        In the user's units; scalar fields, or fields of shape (draw, 1).

    Returns
    -------
    ndarray, shape (k,) or (draw, k)

    Examples
    --------
    >>> problem = problem_without_data("bg_nbd")
    >>> model_module("bg_nbd").Params(1.0, 1.0, 2.0, 2.0)
    Params(r=array(1.), alpha=array(1.), a=array(2.), b=array(2.))
    >>> free_coordinates(problem, model_module("bg_nbd").Params(1.0, 1.0, 2.0, 2.0)).round(4) + 0.0
    array([0.    , 0.    , 0.    , 1.3863])
    """
    module = model_module(problem.model)
    anywhere = np.zeros(len(problem.coordinates))
    scaled, user = module.constrain(anywhere), problem.constrain(anywhere)
    factors = [float(getattr(user, name)) / float(getattr(scaled, name)) for name in problem.parameters]
    natural = [getattr(params, name) / factor for name, factor in zip(problem.parameters, factors, strict=True)]
    return np.asarray(module.unconstrain(module.Params(*natural)), dtype=np.float64)


def problem_without_data(model: str) -> Problem:
    """State a likelihood whose data are absent: it knows its coordinates, and its value is NaN.

    Parameters
    ----------
    model : str

    Returns
    -------
    Problem
        In the user's units (``scale`` is 1), with no customers.

    Examples
    --------
    >>> problem_without_data("pareto_nbd").parameters
    ('r', 'alpha', 's', 'beta')
    """
    module = model_module(model)
    count = len(module.COORDINATES)
    location, spread = (
        module.prior_location_scale(1.0) if model == GAMMA_GAMMA else module.prior_location_scale(1.0, 1.0)
    )

    def value_gradient(theta: Floats) -> tuple[float, Floats]:
        return float("nan"), np.full(count, np.nan)

    return Problem(
        model=model,
        parameters=tuple(module.PARAMETERS),
        coordinates=names_of(module.COORDINATES),
        value_gradient=value_gradient,
        values=lambda thetas: np.full(len(thetas), np.nan),
        constrain=module.constrain,
        unconstrain=module.unconstrain,
        jacobian=module.constrain_jacobian,
        starts=(),
        prior_location=np.asarray(location, dtype=np.float64),
        prior_scale=np.asarray(spread, dtype=np.float64),
        scale=1.0,
        offset=0.0,
        n_observations=0,
        n_rows=0,
    )


Floats = NDArray[np.float64]

MEANS: Final = "means"
SPEND_FROM: Final = ("repeat", "all")
PURCHASE_STREAM: Final = 1
SPEND_STREAM: Final = 2
_MEANS_ONLY: Final = (
    "gamma_gamma: fitted elsewhere to customers' means, which say little about how much one customer's orders vary: "
    "bands of money lean on that; a fit here sees single orders where the history has them."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedPart:
    """One model fitted elsewhere: purchases or spend.

    Parameters
    ----------
    problem : Problem
        Its likelihood, or one without data.
    estimate : Params
        Point estimates in the user's units, as the other package has them.
    draws : ndarray, shape (draw, k)
        Of the free coordinates of ``problem``.
    report : PartReport
    table : DataFrame
        From `inference.parameter_table`.
    notes : tuple of str
        Sentences for the report.
    """

    problem: Problem
    estimate: Any
    draws: Floats
    report: PartReport
    table: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the other packages do not know about their numbers: see `check_setting`."""

    unit: str
    as_of: Any
    currency: str | None
    spend_from: str
    draws: int
    spend_level: str = MEANS


def check_setting(setting: Setting) -> None:
    """Refuse an unknown unit, a date that is none, unknown amounts, or a number of draws below one.

    Raises
    ------
    DomainError
        If one of them is out of its domain.

    Examples
    --------
    >>> check_setting(Setting(unit="week", as_of="1997-09-30", currency=None, spend_from="repeat", draws=100))
    """
    check_unit(setting.unit)
    parse_day(setting.as_of, "as_of")
    if setting.spend_from not in SPEND_FROM:
        raise DomainError("spend_from must be 'repeat' or 'all'.", value=repr(setting.spend_from))
    draws_of(setting.draws, least=1)


def build_model(
    bought: ImportedPart,
    spent: ImportedPart | None,
    setting: Setting,
    *,
    method: str,
    seed: int,
) -> Model:
    """Put the parts together.

    Parameters
    ----------
    bought : ImportedPart
    spent : ImportedPart or None
        With as many draws as ``bought``.
    setting : Setting
    method : str
        The package the numbers come from.
    seed : int
        Of the draws.

    Returns
    -------
    Model
    """
    parts = [part for part in (bought, spent) if part is not None]
    told = [
        *(note for part in parts for note in part.notes),
        *([_MEANS_ONLY] if spent is not None and setting.spend_level == MEANS else []),
    ]
    report = FitReport(
        purchases=bought.report,
        spend=None if spent is None else spent.report,
        n_customers=bought.report.n_customers,
        alternatives=None,
        notes=tuple(dict.fromkeys(told)),
    )
    return Model(
        purchases=bought.problem.model,
        spend=None if spent is None else GAMMA_GAMMA,
        method=method,
        parameters=pd.concat([part.table for part in parts], ignore_index=True),
        estimate=bought.estimate,
        spend_estimate=None if spent is None else spent.estimate,
        report=report,
        draws=ParameterDraws(
            purchases=_drawn(bought),
            spend=None if spent is None else _drawn(spent),
            kind=bought.report.draws_kind,
            spend_kind=None if spent is None else spent.report.draws_kind,
        ),
        unit=check_unit(setting.unit),
        currency=setting.currency,
        as_of=pd.Timestamp(parse_day(setting.as_of, "as_of")),
        spend_from=None if spent is None else setting.spend_from,
        spend_level=None if spent is None else setting.spend_level,
        time_scale=bought.problem.scale,
        money_scale=None if spent is None else spent.problem.scale,
        seed=seed,
    )


def correlation_frame(problem: Problem, covariance: Floats) -> pd.DataFrame:
    """Correlations of the free coordinates; NaN where the covariance is.

    Examples
    --------
    >>> from clv_forecast.interchange.imported_model import problem_without_data
    >>> correlation_frame(problem_without_data("gamma_gamma"), 4.0 * np.eye(3)).loc["log_p", "log_p"]
    np.float64(1.0)
    """
    deviations = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = covariance / np.outer(deviations, deviations)
    return pd.DataFrame(correlations, index=problem.coordinates, columns=problem.coordinates)


def _drawn(part: ImportedPart) -> Any:
    module = model_module(part.problem.model)
    params = part.problem.constrain(part.draws)
    return params_of_draws(module.Params, [np.asarray(getattr(params, name)) for name in module.PARAMETERS])
