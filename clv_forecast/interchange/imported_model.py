"""A model out of parts that were fitted elsewhere."""

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
from clv_forecast.interchange.coordinates import GAMMA_GAMMA, model_module
from clv_forecast.units import check_unit

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
    >>> from clv_forecast.interchange.coordinates import problem_without_data
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
