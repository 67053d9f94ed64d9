"""Numbers and days as the page shows them, and the parts a section of it is made of.

One row per account with all that the page tells of it, in the order in which it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

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


MISSING: Final = "\u2013"
_SMALL: Final = 100.0
_LEAST: Final = 0.005
_LONGEST: Final = 400
_STEPS: Final = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def money(amount: Any, currency: str | None = None, *, digits: int | None = None) -> str:
    """Return an amount with thousands separators, and its currency where one is given.

    Examples
    --------
    >>> money(1234567.8, "EUR"), money(12.345), money(-0.001)
    ('1,234,568 EUR', '12.35', '0')
    """
    if pd.isna(amount):
        return MISSING
    value = float(amount)
    places = (2 if _LEAST <= abs(value) < _SMALL else 0) if digits is None else digits
    text = f"{value:z,.{places}f}"
    return f"{text} {currency}" if currency else text


def short_money(amount: float) -> str:
    """Return an amount for an axis or a tile.

    Examples
    --------
    >>> short_money(1234567.0), short_money(0.0), short_money(-4200.0), short_money(12.0)
    ('1.23M', '0', '-4.2k', '12')
    """
    for size, letter in _STEPS:
        if abs(amount) >= size:
            return f"{amount / size:.3g}{letter}" if abs(amount) < 1000.0 * size else f"{amount / size:,.0f}{letter}"
    return f"{amount:z.3g}" if abs(amount) >= _LEAST else "0"


def percent(share: Any, *, digits: int = 0) -> str:
    """Return a share in per cent.

    Examples
    --------
    >>> percent(0.8), percent(0.8765, digits=1)
    ('80 %', '87.6 %')
    """
    return MISSING if share is None or pd.isna(share) else f"{100.0 * float(share):z.{digits}f} %"


def tenths_of_percent(share: Any) -> str:
    """Return a share in per cent with one digit."""
    return percent(share, digits=1)


def signed_percent(share: Any) -> str:
    """Return a share in per cent with its sign."""
    return MISSING if pd.isna(share) else f"{100.0 * float(share):+z.1f} %"


def cents(amount: Any) -> str:
    """Return an amount to the cent."""
    return money(amount, digits=2)


def decimal(number: Any) -> str:
    """Return a number with one digit."""
    return MISSING if pd.isna(number) else f"{float(number):z,.1f}"


def decimal_or_words(value: Any) -> str:
    """Return a number with one digit, or the words that stand for it."""
    return value if isinstance(value, str) else decimal(value)


def whole(number: Any) -> str:
    """Return a count with thousands separators."""
    return MISSING if pd.isna(number) else f"{round(float(number)):,}"


def counted(number: int, thing: str = "account") -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> counted(1), counted(2300)
    ('1 account', '2,300 accounts')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def day(when: Any) -> str:
    """Return a day in ISO form."""
    return MISSING if pd.isna(when) else f"{pd.Timestamp(when):%Y-%m-%d}"


def plain(value: Any) -> str:
    """Return a label or text on one line, cut where it is very long."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return MISSING
    text = printable(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def or_else(write: Callable[[Any], str], why: str) -> Callable[[Any], str]:
    """Return a way to write numbers that says why one is missing.

    Examples
    --------
    >>> or_else(percent, "none earlier")(None), or_else(percent, "none earlier")(0.5)
    ('none earlier', '50 %')
    """
    return lambda value: why if value is None or pd.isna(value) else write(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as text: its heads, which of them are numbers, and its rows. The first column names the row."""

    caption: str
    heads: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...] | None = None
    left_out: str = ""
    fold: str = ""
    beside: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing with its caption."""

    svg: str
    caption: str
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Paragraphs, a list, or terms with what they mean."""

    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    fold: str = ""
    kind: Literal["words"] = "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Cells of value by potential, the highest value first."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[dict[str, Any], ...]], ...]
    kind: Literal["matrix"] = "matrix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table that the page fills from its data; ``name`` finds its columns there."""

    name: str
    caption: str
    kind: Literal["grid"] = "grid"


Block = Table | Figure | Words | Matrix | Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page; ``missing`` says what would fill it where it is empty."""

    name: str
    title: str
    lead: str = ""
    blocks: tuple[Block, ...] = ()
    missing: str = ""


def table_of(
    frame: pd.DataFrame,
    columns: Sequence[tuple[str, str, Any]],
    *,
    caption: str,
    foot: tuple[str, ...] | None = None,
    most: int = 60,
    fold: str = "",
    beside: bool = False,
) -> Table:
    """Make a table of a frame's columns, each given as name, head and how to write it; absent ones are left out."""
    kept = [
        (name, head, form)
        for name, head, form in columns
        if name in frame and not (frame[name].astype(str) == "").all()
    ]
    shown = frame.head(most)
    written = [[form(value) for value in shown[name].tolist()] for name, _, form in kept]
    left = len(frame) - len(shown)
    return Table(
        caption=caption,
        heads=tuple(head for _, head, _ in kept),
        numeric=tuple(form not in (plain, day) for _, _, form in kept),
        rows=tuple(zip(*written, strict=True)) if written else (),
        foot=foot,
        left_out=f"{left:,} more rows are not shown." if left > 0 else "",
        fold=fold,
        beside=beside,
    )
