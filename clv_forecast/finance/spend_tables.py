"""The tables of allowable spend, from what a pass over the draws found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.finance.payback import Payback
from clv_forecast.finance.spend import CONFIDENCES, AllowableSpend, level_column, payback_column
from clv_forecast.finance.spend_levels import Levels
from clv_forecast.finance.spend_notes import notes_of, zero_reasons, zeros_table
from clv_forecast.finance.spend_terms import SpendTerms
from clv_forecast.forecasting.result import Forecast

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allowed:
    """What was found; arrays have a row for each account, or for each group of new customers.

    Parameters
    ----------
    forecast : Forecast
    terms : SpendTerms
    levels : Levels
    eligible : ndarray of bool
    cents : dict
        The three allowances, in whole cents.
    paid : Payback
    share_before, share_upto : ndarray
        See ``AllowableSpend.levels``.
    group : ndarray of int
        Place of each row's pool in ``names``.
    names : tuple of str
    ids : Series, optional
        Of the accounts.
    customers : int, optional
        How many new customers pool their risk.
    warnings : tuple of str
    """

    forecast: Forecast
    terms: SpendTerms
    levels: Levels
    eligible: NDArray[np.bool_]
    cents: dict[str, Floats]
    paid: Payback
    share_before: Floats
    share_upto: Floats
    group: NDArray[np.intp]
    names: tuple[str, ...]
    ids: Any = None
    customers: int | None = None
    warnings: tuple[str, ...] = ()


def assemble(found: Allowed) -> AllowableSpend:
    """Put the tables together; see ``allowable_spend``."""
    forecast, terms, levels = found.forecast, found.terms, found.levels
    reasons = zero_reasons(levels, found.eligible, found.cents["allowable_single"], terms)
    table = pd.DataFrame(
        {
            **_head(found),
            "horizon": terms.horizon,
            "basis": terms.basis,
            "group": _group_of_rows(found),
            **({} if found.customers is None else {"customers": found.customers}),
            "value_at_stake": levels.expected,
            **{name: amounts / 100.0 for name, amounts in found.cents.items()},
            "confidence": terms.confidence / 100.0,
            "target_roi": terms.target_roi,
            "payback_limit_months": np.nan if terms.limit_months is None else terms.limit_months,
            "payback_months": found.paid.months,
            "p_payback": found.paid.p,
            "p_loss": levels.p_loss,
            "reason": pd.array(reasons, dtype="string"),
            "as_of": forecast.as_of,
            "currency": forecast.currency,
        }
    )
    return AllowableSpend(
        table=table,
        totals=_totals(found),
        zeros=zeros_table(reasons),
        levels=_level_table(found),
        pools=_pool_table(levels, found.names),
        basis=terms.basis,
        horizon=terms.horizon,
        target_roi=terms.target_roi,
        confidence=terms.confidence / 100.0,
        payback_limit_months=terms.limit_months,
        assumptions=_assumptions(forecast, terms, found.customers),
        notes=(*notes_of(forecast, terms, levels), *found.warnings),
        as_of=forecast.as_of,
        currency=forecast.currency,
    )


def _head(found: Allowed) -> dict[str, Any]:
    return {} if found.ids is None else {columns.CUSTOMER_ID: found.ids}


def _group_of_rows(found: Allowed) -> Any:
    return pd.array(np.asarray(found.names, dtype=object)[found.group], dtype="string")


def _totals(found: Allowed) -> pd.DataFrame:
    levels, names = found.levels, found.names

    def by_group(values: Floats) -> Floats:
        return np.bincount(found.group, weights=values, minlength=len(names))

    return pd.DataFrame(
        {
            "group": pd.array(names, dtype="string"),
            "accounts": np.bincount(found.group, minlength=len(names)),
            "sharing": by_group(levels.sharing.astype(np.float64)).astype(np.int64),
            "value_at_stake": by_group(levels.expected),
            **{name: by_group(amounts) / 100.0 for name, amounts in found.cents.items()},
            "payback_months": found.paid.pool_months,
            "p_payback": found.paid.pool_p,
        }
    )


def _level_table(found: Allowed) -> pd.DataFrame:
    levels = found.levels
    table: dict[str, Any] = {**_head(found), "group": _group_of_rows(found), "eligible": found.eligible}
    table["expected"] = levels.expected
    table |= {level_column(c): levels.reached[:, k] for k, c in enumerate(CONFIDENCES)}
    if levels.repaid is not None and levels.expected_repaid is not None:
        table["expected_repaid"] = levels.expected_repaid
        table |= {payback_column(c): levels.repaid[:, k] for k, c in enumerate(CONFIDENCES)}
    return pd.DataFrame(table | {"share_before": found.share_before, "share_upto": found.share_upto})


def _pool_table(levels: Levels, names: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "group": pd.array(np.repeat(np.asarray(names, dtype=object), len(CONFIDENCES)), dtype="string"),
            "confidence": np.tile(CONFIDENCES, len(names)),
            "reached": levels.pool.ravel(),
        }
    )
    if levels.pool_repaid is not None:
        table["repaid"] = levels.pool_repaid.ravel()
    return table


def _assumptions(forecast: Forecast, terms: SpendTerms, customers: int | None) -> dict[str, Any]:
    plain = (str, int, float, type(None))
    own = {
        "basis": terms.basis,
        "horizon": terms.horizon,
        "target_roi": terms.target_roi,
        "confidence": terms.confidence / 100.0,
        "payback_limit_months": terms.limit_months,
        "uplift": None if terms.uplift is None else terms.uplift.words,
        "by": terms.by,
        "new_customers": customers,
        "as_of": forecast.as_of.date().isoformat(),
        "currency": forecast.currency,
    }
    taken = {name: value if isinstance(value, plain) else str(value) for name, value in forecast.assumptions.items()}
    return own | taken
