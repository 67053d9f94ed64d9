"""Which columns the page's tables and cards show, under what heads."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns as c
from clv_forecast.ranking.wallets import GIVEN
from clv_forecast.report.page_accounts import account_spend
from clv_forecast.report.report import Report

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
