"""The accounts as compact columns of JSON that the page's tables and cards are drawn from."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.json_text import finite
from clv_forecast.printable import printable
from clv_forecast.report.page_views import LAZY, card_view, grid_views
from clv_forecast.report.report import Report

_CENTS: Final = 2
_WHOLE_FROM: Final = 2000.0
_SHARES: Final = ("p_alive", "p_top", "p_cell", "p_loss", "p_payback", "readiness", "share_of_wallet")
_DAYS: Final = (c.FIRST_PURCHASE, c.LAST_PURCHASE)
_COUNTS: Final = ("rank", "rank_lower", "rank_upper", "purchases")
_TEXTS: Final = (c.NAME, "reason", "loss_reason", "spend_reason", "person")
_ESCAPES: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def as_json(content: Any) -> str:
    r"""Write JSON that may stand inside a script element: no markup can begin in it, and every letter is ASCII.

    Examples
    --------
    >>> as_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(finite(content), separators=(",", ":"), allow_nan=False)
    for letter, escaped in _ESCAPES.items():
        text = text.replace(letter, escaped)
    return text


def page_data(report: Report, accounts: pd.DataFrame) -> tuple[str, str]:
    """Columns for the tables, and apart from them what only cards need, so that it is read when a card is opened.

    Parameters
    ----------
    report : Report
    accounts : DataFrame
        From ``account_table``.

    Returns
    -------
    (str, str)
        JSON.
    """
    digits = money_digits(accounts)
    shown: dict[str, Any] = {}
    late: dict[str, Any] = {}
    for name in accounts.columns:
        column = encoded(accounts[name], name, digits, report.forecast.as_of)
        (late if name in LAZY or name.startswith(("lower: ", "upper: ", "value: ")) else shown)[name] = column
    currency = report.forecast.currency
    meta = {
        "rows": len(accounts),
        "horizon": report.horizon,
        "currency": "" if currency is None else printable(currency),
        "digits": digits,
        "asOf": f"{report.forecast.as_of:%Y-%m-%d}",
        "prob": f"{report.forecast.prob * 100:g} %",
        "months": round(12.0 * report.forecast.horizons.only([report.horizon]).years[0], 3),
        "numericIds": bool(pd.api.types.is_numeric_dtype(accounts[c.CUSTOMER_ID].dtype)),
    }
    tables = {
        "meta": meta,
        "columns": shown,
        "grids": grid_views(report, accounts),
        "card": card_view(report, accounts),
    }
    return as_json(tables), as_json({"columns": late, "orders": monthly_orders(report, accounts, digits)})


def money_digits(accounts: pd.DataFrame) -> int:
    """Digits after the point that amounts are shown with: cents where accounts are small.

    Examples
    --------
    >>> money_digits(pd.DataFrame({"total_revenue": [20.0, 90.0]}))
    2
    """
    usual = float(accounts[c.TOTAL_REVENUE].quantile(0.9)) if len(accounts) else 0.0
    return 0 if usual >= _WHOLE_FROM else _CENTS


def encoded(column: pd.Series[Any], name: str, digits: int, as_of: pd.Timestamp) -> dict[str, Any]:
    """One column: numbers rounded, days as days before today, labels by number, and texts; all text is `printable`.

    Examples
    --------
    >>> encoded(pd.Series(["a", "b", "a", "a"]), "segment", 2, pd.Timestamp("2020-01-01"))
    {'labels': ['a', 'b'], 'codes': [0, 1, 0, 0]}
    """
    if name == c.CUSTOMER_ID:
        return {"texts": [printable(value) for value in column.tolist()]}
    if name in _DAYS:
        return {"days": (as_of - column).dt.days.tolist()}
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        places = 3 if name in _SHARES else 0 if name in _COUNTS else 1 if name == "payback_months" else digits
        places = 2 if name == "expected_purchases" else places
        return {"numbers": rounded(column.to_numpy(dtype=np.float64, na_value=np.nan), places)}
    codes, labels = pd.factorize(column.astype("string"))
    if name in _TEXTS and len(labels) > len(column) / 2:
        return {"texts": [None if code < 0 else printable(labels[code]) for code in codes.tolist()]}
    return {"labels": [printable(label) for label in labels], "codes": codes.tolist()}


def rounded(values: NDArray[np.float64], digits: int) -> list[float | int | None]:
    """Numbers with so many digits after the point; None where there is none.

    Examples
    --------
    >>> rounded(np.array([1.236, np.nan, 2.0]), 2)
    [1.24, None, 2]
    """
    kept = np.round(values, digits) + 0.0
    return [
        None if number != number or number in (np.inf, -np.inf) else int(number) if number.is_integer() else number
        for number in kept.tolist()
    ]


def monthly_orders(report: Report, accounts: pd.DataFrame, digits: int) -> dict[str, Any] | None:
    """Revenue of each account by month as one long list: how many months each has, which months, how much.

    Parameters
    ----------
    report : Report
    accounts : DataFrame
    digits : int

    Returns
    -------
    dict or None
        first (month 0, such as "1997-01"), last (number of the last month), count (one per account), month (the gap to
        the account's month before, from month 0), amount. None where the history was made from a summary.
    """
    history = report.forecast.history
    if history.events is None:
        return None
    orders = history.purchases()
    month = orders[c.DATE].dt.year.to_numpy() * 12 + orders[c.DATE].dt.month.to_numpy() - 1
    first = int(month.min())
    row = pd.Index(accounts[c.CUSTOMER_ID]).get_indexer(pd.Index(orders[c.CUSTOMER_ID]))
    frame = pd.DataFrame({"row": row, "month": month - first, "amount": orders[c.AMOUNT].to_numpy(dtype=np.float64)})
    sums = frame[frame["row"] >= 0].groupby(["row", "month"], sort=True)["amount"].sum().reset_index()
    gap = sums.groupby("row")["month"].diff().fillna(sums["month"]).astype(int)
    today = report.forecast.as_of
    return {
        "first": f"{first // 12:04d}-{first % 12 + 1:02d}",
        "last": today.year * 12 + today.month - 1 - first,
        "count": np.bincount(sums["row"].to_numpy(), minlength=len(accounts)).tolist(),
        "month": gap.tolist(),
        "amount": rounded(sums["amount"].to_numpy(), digits),
    }
