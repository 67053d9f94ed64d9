"""One row per account with all that the page tells of it, in the order in which it is shown."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.finance.spend import ACQUIRE, AllowableSpend
from clv_forecast.printable import printable
from clv_forecast.ranking.accounts import MOST_LABELS, accounts_of
from clv_forecast.report.report import Report

MOST_ATTRIBUTES: Final = 8
_FORECAST: Final = (
    "p_alive",
    "expected_purchases",
    "revenue",
    "revenue_lower",
    "revenue_upper",
    "value",
    "value_lower",
    "value_upper",
    "p_loss",
)
_PAST: Final = (c.FIRST_PURCHASE, c.LAST_PURCHASE, c.TOTAL_REVENUE)
_SPEND: Final = (
    "value_at_stake",
    "allowable_expected",
    "allowable_single",
    "allowable_pooled",
    "payback_months",
    "p_payback",
)
_HALF: Final = 0.5


def account_table(report: Report) -> pd.DataFrame:
    """Gather the accounts of a report: in the order of its ranking, else by value, else by expected purchases.

    Parameters
    ----------
    report : Report

    Returns
    -------
    DataFrame
        customer_id, name and owner where known, the columns of the ranking, forecast, history, first allowable spend
        by account and losers; ``person`` (why a person should look at it, or ""), ``attribute: ...`` of each attribute
        with few labels, and ``value: <horizon>`` with ``lower: ...`` and ``upper: ...`` of the other horizons.
    """
    forecast, history = report.forecast, report.forecast.history
    at = forecast.customers["horizon"] == report.horizon
    ahead = forecast.customers[at].reset_index(drop=True)
    found = pd.DataFrame({c.CUSTOMER_ID: history.table[c.CUSTOMER_ID].array})
    for name in _FORECAST:
        if name in ahead:
            found[name] = ahead[name].to_numpy(dtype=np.float64)
    for name in _PAST:
        found[name] = history.table[name].array
    found["purchases"] = history.table[c.FREQUENCY].to_numpy() + 1
    known = accounts_of(history)
    for name in (c.NAME, c.OWNER):
        if known.has(name):
            found[name] = known.table[name].astype("string").array  # numbers too: the page searches and filters them
    for name in _attributes(known.table, known.attributes()):
        found[f"attribute: {printable(name)}"] = known.table[name].array
    for label in forecast.horizons.labels:
        if label == report.horizon or not forecast.plan.has_spend:
            continue
        other = forecast.customers[forecast.customers["horizon"] == label]
        for column, to in (("value", "value"), ("value_lower", "lower"), ("value_upper", "upper")):
            found[f"{to}: {label}"] = other[column].to_numpy(dtype=np.float64)
    spend = account_spend(report)
    if spend is not None:
        for name in _SPEND:
            if name in spend.table:
                found[name] = spend.table[name].to_numpy(dtype=np.float64)
        reason = spend.table["reason"].astype("string")
        found["spend_reason"] = reason.mask(spend.table["allowable_single"] > 0.0, "it is not 0").array
        found["spend_group"] = spend.table["group"].array
        found["payback"] = [
            told if isinstance(told, str) else f"{told:>2g} month{'' if told == 1 else 's'}"  # so that they sort
            for told in spend.payback_in_words()
        ]
    if report.losers is not None:
        _add_losers(found, report.losers)
    return _in_order(found, report)


def account_spend(report: Report) -> AllowableSpend | None:
    """The allowable spend whose rows are accounts: to keep them, to grow them, or else the upper limit."""
    return next((spend for spend in report.spends_in_order if spend.basis != ACQUIRE), None)


def _attributes(table: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    """Attributes with few labels: what accounts can be filtered by."""
    few = [n for n in names if not pd.api.types.is_numeric_dtype(table[n].dtype) and table[n].nunique() <= MOST_LABELS]
    return few[:MOST_ATTRIBUTES]


def _add_losers(found: pd.DataFrame, losers: pd.DataFrame) -> None:
    place = pd.Index(found[c.CUSTOMER_ID]).get_indexer(pd.Index(losers[c.CUSTOMER_ID]))
    for name, of in (("loses", "loses"), ("value_to_date", "value_to_date"), ("loss_reason", "reason")):
        text = of != "value_to_date"
        column = np.full(len(found), "" if text else np.nan, dtype=object if text else np.float64)
        column[place] = losers[of].to_numpy()
        found[name] = column


def _in_order(found: pd.DataFrame, report: Report) -> pd.DataFrame:
    ranking = report.ranking
    if ranking is None:
        by = "value" if report.forecast.plan.has_spend else "expected_purchases"
        order = np.argsort(-found[by].to_numpy(), kind="stable")
        return found.iloc[order].reset_index(drop=True).assign(person="", rank=np.arange(1, len(found) + 1))
    place = pd.Index(found[c.CUSTOMER_ID]).get_indexer(pd.Index(ranking.table[c.CUSTOMER_ID]))
    ordered: pd.DataFrame = found.iloc[place].reset_index(drop=True)
    for name in ranking.table.columns:
        if name not in ordered and name not in ("horizon", "prob", c.CURRENCY, "as_of"):
            ordered[name] = ranking.table[name].array
    ordered["person"] = person_reasons(ranking.table)
    return ordered


def person_reasons(table: pd.DataFrame) -> NDArray[np.object_]:
    """Say why a person should look at an account: it stands among the first, and its forecast tells too little.

    Parameters
    ----------
    table : DataFrame
        A ranking's.

    Returns
    -------
    ndarray of str, shape (account,)
        "" where nobody need look.

    Examples
    --------
    >>> table = pd.DataFrame({"rank": [1, 2, 3], "top_k": 2, "model_fit": ["ok", "regular", "regular"]})
    >>> person_reasons(table.assign(value=1.0, value_at_risk=[4.0, 0.0, 0.0])).tolist()
    ['it may have left, and most of its value with it', 'the models do not fit it (regular)', '']
    """
    first = (table["rank"] <= table["top_k"]).to_numpy(dtype=bool)
    fit = table["model_fit"].astype(str)
    risk, value = table["value_at_risk"].to_numpy(dtype=np.float64), table["value"].to_numpy(dtype=np.float64)
    parts = (
        (fit != "ok").to_numpy(dtype=bool),
        (risk > 0.0) & (risk > _HALF * (risk + value)),
    )
    words = (
        ("the models do not fit it (" + fit + ")").to_numpy(dtype=object),
        np.full(len(table), "it may have left, and most of its value with it", dtype=object),
    )
    told = np.full(len(table), "", dtype=object)
    for holds, text in zip(parts, words, strict=True):
        both = np.where(told == "", text, told + "; " + text)
        told = np.where(first & holds, both, told)
    return told


RULE_OF_PERSONS: Final = (
    "Accounts that need a person are those among the first {top_k:,} of the ranking whose forecast tells too little: "
    "the models do not fit how they buy (too few orders, a contract, a regular rhythm, one irregular large order), or "
    "they may have left already and more than half of their value is lost if they have."
)
