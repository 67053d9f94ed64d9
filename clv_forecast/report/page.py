"""The verb ``write_page``: a report as one HTML file that needs no network.

Which columns the page's tables and cards show, under what heads.

The accounts as compact columns of JSON that the page's tables and cards are drawn from.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.files import atomic_file, finite
from clv_forecast.printable import printable
from clv_forecast.ranking.wallets import GIVEN
from clv_forecast.report.headline import headline_of
from clv_forecast.report.page_text import Section, account_spend, account_table
from clv_forecast.report.report import Report
from clv_forecast.report.sections import (
    changes_section,
    cohorts_section,
    drivers_section,
    matrix_section,
    ranking_section,
    value_section,
)
from clv_forecast.report.sections_money import audit_section, certificate_section, losers_section, spend_section

LAZY: Final = (
    "reason",
    "first_purchase",
    "revenue_lower",
    "revenue_upper",
    "wallet_lower",
    "wallet_upper",
    "wallet_source",
    "share_of_wallet",
    "readiness",
    "potential_revenue",
    "referral_value",
    "expected_future_referrals",
    "expected_future_referral_value",
    "value_class",
    "potential_class",
    "p_cell",
    "p_payback",
    "top_k",
    "grade_score",
    "score",
)
"""Columns that only a card needs."""
_MOST_FILTERS: Final = 6
View = dict[str, Any]


def column(key: str, head: str, kind: str, *, band: tuple[str, str] | None = None, tip: str = "") -> View:
    """A column of a table, or a fact of a card: what is written, under what head, and of what kind it is."""
    found: View = {"key": key, "head": head, "kind": kind}
    if band is not None:
        found["band"] = list(band)
    if tip:
        found["tip"] = tip
    return found


def grid_views(report: Report, accounts: pd.DataFrame) -> dict[str, View]:
    """Tables of accounts: their columns, rows (all, or some), first order and filters."""
    horizon, prob = report.horizon, f"{report.forecast.prob * 100:g} %"
    who = [column("customer_id", "account", "account")]
    ranking = [
        column("rank", "rank", "count", tip="1 is the first"),
        *who,
        column("value", f"value, {horizon}", "money", tip="discounted contribution, expected"),
        column("value_lower", f"{prob} band", "band", band=("value_lower", "value_upper")),
        column("expected_purchases", f"purchases, {horizon}", "number"),
        column("potential_value", "potential value", "money", tip="expected from headroom, above the forecast"),
        column("adjusted_value", "adjusted value", "money", tip="value with potential"),
        column("current_revenue", "last 12 months", "money", tip="revenue"),
        column("p_top", "P(top)", "share", tip="probability of being among the first"),
        column("p_alive", "P(alive)", "share", tip="probability of still being a customer"),
        column("value_at_risk", "at risk", "money", tip="value lost if it has left already"),
        column("cell", "cell", "label", tip="cell of value by potential"),
        column("owner", "owner", "label"),
    ]
    money = report.forecast.plan.has_spend
    hidden = {"expected_purchases"} if money else {"value", "value_lower", "current_revenue"}
    if not _adds_to_value(accounts):
        hidden |= {"adjusted_value", "adjusted_lower"}
    views = {
        "ranking": _grid(
            accounts,
            [v for v in ranking if v["key"] not in hidden],
            filters=_filters(accounts),
            first="rank",
            down=False,
        )
    }
    if "allowable_expected" in accounts:
        spend = [
            *who,
            column("value_at_stake", _at_stake(report), "money"),
            column("allowable_expected", "on average", "money", tip="earns the target return on average"),
            column(
                "allowable_pooled",
                "pooled",
                "money",
                tip="its share of what all bring with that confidence",
            ),
            column("allowable_single", "by itself", "money", tip="what it alone brings with that confidence"),
            column("payback", "payback", "label", tip="median; of the pooled allowance"),
            column("spend_group", "pool", "label"),
            column("owner", "owner", "label"),
            column("spend_reason", "why 0 by itself", "text"),
        ]
        views["spend"] = _grid(accounts, spend, filters=[], first="allowable_pooled", down=True)
    if report.losers is not None and len(report.losers):
        losers = [
            *who,
            column("value", f"value, {horizon}", "money"),
            column("value_lower", f"{prob} band", "band", band=("value_lower", "value_upper")),
            column("value_to_date", "contribution to date", "money", tip="not discounted"),
            column("p_loss", "P(loss)", "share", tip="probability that its value is below 0"),
            column("loses", "loses", "label"),
            column("owner", "owner", "label"),
            column("loss_reason", "why", "text"),
        ]
        rows = np.flatnonzero(accounts["loses"].to_numpy() != "").tolist()
        views["losers"] = _grid(accounts, losers, filters=["loses"], first="value", down=False, rows=rows)
    return views


def _at_stake(report: Report) -> str:
    """A spend may look over another horizon than the report."""
    spend = account_spend(report)
    return "value at stake" if spend is None else f"value at stake, {spend.horizon}"


def _grid(
    accounts: pd.DataFrame,
    columns: list[View],
    *,
    filters: list[str],
    first: str,
    down: bool,
    rows: list[int] | None = None,
) -> View:
    shown = [view for view in columns if view["key"] in accounts and accounts[view["key"]].notna().any()]
    if accounts.get("spend_group", pd.Series(["all"])).nunique() < 2:  # one pool tells nothing
        shown = [view for view in shown if view["key"] != "spend_group"]
    return {"columns": shown, "filters": filters, "sort": first, "down": down, "rows": rows}


def _adds_to_value(accounts: pd.DataFrame) -> bool:
    """Whether adjusted values are more than values: else they would be told twice."""
    return "adjusted_value" in accounts and not np.allclose(accounts["adjusted_value"], accounts["value"])


def _filters(accounts: pd.DataFrame) -> list[str]:
    labels = [name for name in accounts if str(name).startswith("attribute: ")]
    named = [name for name in ("cell", "owner", "model_fit") if name in accounts]
    found = [*named[:2], *labels, *named[2:]]
    return [str(name) for name in found if accounts[name].nunique() > 1][:_MOST_FILTERS]


def card_view(report: Report, accounts: pd.DataFrame) -> list[View]:
    """Facts of an account's card, by topic; a fact whose column is missing is left out."""
    horizon = report.horizon
    given = "wallet_source" in accounts and (accounts["wallet_source"] == GIVEN).any()
    wallet = "wallet" if given else "reachable revenue with us"
    others = [label for label in report.forecast.horizons.labels if label != horizon]
    topics = [
        (
            "Now",
            [
                column("current_revenue", "revenue, last 12 months", "money"),
                column(c.TOTAL_REVENUE, "revenue to date", "money"),
                column("value_to_date", "contribution to date", "money"),
                column("purchases", "purchases", "count"),
                column(c.FIRST_PURCHASE, "first purchase", "day"),
                column(c.LAST_PURCHASE, "last purchase", "day"),
            ],
        ),
        (
            "Forecast",
            [
                column("expected_purchases", f"purchases, {horizon}", "number"),
                column("revenue", f"revenue, {horizon}", "money", band=("revenue_lower", "revenue_upper")),
                column("value", f"value, {horizon}", "money", band=("value_lower", "value_upper")),
                *(
                    column(f"value: {label}", f"value, {label}", "money", band=(f"lower: {label}", f"upper: {label}"))
                    for label in others
                ),
            ],
        ),
        (
            "Potential",
            [
                column("wallet", f"{wallet}, a year", "money", band=("wallet_lower", "wallet_upper")),
                column("share_of_wallet", "share of wallet", "share"),
                column("headroom", "headroom, a year", "money"),
                column("readiness", "readiness", "share"),
                column("potential_revenue", f"growth goal, {horizon}", "money"),
                column("potential_value", "potential value", "money"),
                column("referral_value", "value of accounts it referred", "money"),
                column("adjusted_value", "adjusted value", "money", band=("adjusted_lower", "adjusted_upper")),
            ],
        ),
        (
            "Allowable spend",
            [
                column("value_at_stake", _at_stake(report), "money"),
                column("allowable_expected", "on average", "money"),
                column("allowable_pooled", "pooled", "money"),
                column("allowable_single", "by itself", "money"),
                column("payback", "payback", "label"),
                column("spend_reason", "why 0 by itself", "text"),
            ],
        ),
        (
            "Risk",
            [
                column("p_alive", "P(alive)", "share"),
                column("value_at_risk", "value at risk", "money"),
                column("p_loss", "P(loss)", "share"),
                column("loss_reason", "loses money", "text"),
                column("model_fit", "fit of the models", "label"),
                column("person", "needs a person", "text"),
            ],
        ),
        (
            "Place",
            [
                column("rank", "rank", "count", band=("rank_lower", "rank_upper")),
                column("p_top", "P(among the first)", "share"),
                column("cell", "cell", "label"),
                column("p_cell", "P(cell)", "share"),
                column("grade", "grade", "label"),
                column("owner", "owner", "label"),
                *(
                    column(str(name), str(name).removeprefix("attribute: "), "label")
                    for name in accounts
                    if str(name).startswith("attribute: ")
                ),
            ],
        ),
    ]
    silent = set() if _adds_to_value(accounts) else {"adjusted_value"}
    known = {name for name in accounts if name not in silent and accounts[name].notna().any()}
    kept = [(title, [fact for fact in facts if fact["key"] in known]) for title, facts in topics]
    return [{"title": title, "facts": facts} for title, facts in kept if facts]


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
        column = encoded(accounts[name], name, digits, as_of=report.forecast.as_of)
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


def encoded(column: pd.Series[Any], name: str, digits: int, *, as_of: pd.Timestamp) -> dict[str, Any]:
    """One column: numbers rounded, days as days before today, labels by number, and texts; all text is `printable`.

    Examples
    --------
    >>> encoded(pd.Series(["a", "b", "a", "a"]), "segment", 2, as_of=pd.Timestamp("2020-01-01"))
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


def write_page(report: Report, path: str | os.PathLike[str]) -> Path:
    r"""Write a report as one self-contained HTML file, for reading, searching and printing.

    Parameters
    ----------
    report : Report
        From ``make_report``. A section without its input says what would fill it.
    path : path
        The file; one that is there is replaced in one step.

    Returns
    -------
    Path

    Raises
    ------
    DomainError
        If ``report`` is no report, or the path does not end in .html.
    StoreError
        If the file cannot be written.

    Notes
    -----
    Names of customers, groups and categories are text and never markup: they are escaped in the page, stand in its data
    as JSON in which no markup can begin, and reach the screen as text nodes only. Control characters, line ends and
    marks of direction in them are shown as escapes, such as ``\x1b``. A Content-Security-Policy allows the
    page's own script and style, by their hashes, and nothing else.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> from clv_forecast.report.report import make_report
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_page(make_report(fc), Path(folder) / "report.html")
    ...     "2,349 accounts are expected to bring" in page.read_text(encoding="utf-8")
    True
    """
    instance_of(report, Report, "report", made_by="make_report")
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise DomainError("A page ends in .html.", value=str(path))
    content = page_html(report).encode("utf-8", errors="replace")
    with atomic_file(path) as aside:
        aside.write_bytes(content)
    return Path(path)


def page_html(report: Report) -> str:
    """Return the page as text."""
    from jinja2 import Environment, StrictUndefined

    texts = {name: _template(name) for name in ("page.html", "page.css", "page.js")}
    accounts = account_table(report)
    tables, details = page_data(report, accounts)
    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(texts["page.html"]).render(
        report_title=report.title,
        simulated=report.simulated,
        as_of=f"{report.forecast.as_of:%Y-%m-%d}",
        accounts=len(accounts),
        currency=report.forecast.currency,
        headline=headline_of(report, accounts),
        sections=sections_of(report),
        tables=tables,
        details=details,
        style=texts["page.css"],
        script=texts["page.js"],
        style_hash=_hash(texts["page.css"]),
        script_hash=_hash(texts["page.js"]),
    )


def sections_of(report: Report) -> tuple[Section, ...]:
    """The sections in the order of reading; those without input say what would fill them, and come last."""
    makers = (
        changes_section,
        value_section,
        certificate_section,
        matrix_section,
        ranking_section,
        spend_section,
        losers_section,
        cohorts_section,
        drivers_section,
        audit_section,
    )
    sections = [make(report) for make in makers]
    return tuple(sorted(sections, key=lambda section: not section.blocks and not section.lead))


def _template(name: str) -> str:
    return resources.files("clv_forecast").joinpath("report", "templates", name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """What the page writes of a value: text on one line; what is markup already stays."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _hash(text: str) -> str:
    """As a Content-Security-Policy names a script or style that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
