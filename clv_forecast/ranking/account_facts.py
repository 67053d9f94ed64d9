"""The facts of an account card: what is known of an account, as text with a note."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pandas as pd

from clv_forecast import columns
from clv_forecast.printable import printable
from clv_forecast.ranking.wallets import GIVEN, REACHABLE, WALLET_TITLES, WHITESPACE

NOW: Final = "now"
FORECAST: Final = "forecast"
POTENTIAL: Final = "potential"
RISK: Final = "risk"
PLACE: Final = "place"
SPEND: Final = "spend"
_PLAIN: Final = 100.0
_WALLET: Final = ("current_revenue", "wallet", "wallet_lower", "wallet_upper", "wallet_source", "headroom")
ORDERS: Final = {
    "mean": "adjusted value",
    "lower": "the lower end of adjusted value",
    "p_top": "the probability of being among the first",
    "carried": "the last year's value carried forward",
    "stack": "a stack of adjusted value and the last year's value",
}
"""What accounts are ordered by, in words."""


class Fact(NamedTuple):
    """A row of ``AccountCard.facts``."""

    topic: str
    fact: str
    value: str
    number: float = float("nan")
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccountData:
    """What is known of one account, row by row of the tables it stands in.

    Parameters
    ----------
    ranked : Series
        Its row of the ranking.
    forecast : Series
        Its row of the forecast, at the horizon of the ranking.
    past : Series
        Its row of the history.
    potential : Series or None
        Its row of the potential.
    categories : DataFrame or None
        What it bought lately by category, the largest first: category, revenue, share, last_purchase.
    on_offer : int
        Categories that anybody bought in the same time.
    since : Timestamp
        First day that counts for the categories.
    whitespace : DataFrame or None
        Categories it does not buy.
    accounts : int
        In the ranking.
    all_revenue : float
        Of the last 12 months, of all accounts; missing where it is not known.
    care : str
        Suggested for the cell it stands in.
    order_by, horizon : str
        Of the ranking.
    prob : float
    """

    ranked: pd.Series[Any]
    forecast: pd.Series[Any]
    past: pd.Series[Any]
    potential: pd.Series[Any] | None
    categories: pd.DataFrame | None
    on_offer: int
    since: pd.Timestamp
    whitespace: pd.DataFrame | None
    accounts: int
    all_revenue: float
    care: str
    order_by: str
    horizon: str
    prob: float

    @property
    def wallet(self) -> dict[str, Any]:
        """What it brings, is expected to bring and could, a year; without what is not known."""
        found = {name: self.ranked[name] for name in _WALLET if name in self.ranked}
        if self.potential is not None:
            found["annual_revenue"] = self.potential["annual_revenue"]
        elif "wallet" in found:
            found["annual_revenue"] = found["wallet"] - found["headroom"]
        return found

    def money(self, amount: float) -> str:
        """An amount with its currency."""
        return money_text(amount, self.ranked["currency"])

    def band(self, lower: float, upper: float) -> str:
        """A band in words; nothing where it is not known."""
        if math.isnan(lower) or math.isnan(upper):
            return ""
        return f"{self.prob * 100:g} % band {self.money(lower)} to {self.money(upper)}"


def facts_of(data: AccountData) -> list[Fact]:
    """All facts of an account that are known; see ``AccountCard.facts``."""
    parts = (_now, _forecast, _potential, _risk, _place)
    return [fact for part in parts for fact in part(data)]


def money_text(amount: float, currency: Any) -> str:
    """An amount with its currency, where that is known; with cents where it is small.

    Examples
    --------
    >>> money_text(1234.5, "EUR"), money_text(12.345, None)
    ('1,234 EUR', '12.35')
    """
    small = 0.005 <= abs(amount) < _PLAIN
    text = f"{amount:z,.2f}" if small else f"{amount:z,.0f}"
    return text if pd.isna(currency) else f"{text} {printable(currency)}"


def share_text(share: float) -> str:
    """A share in per cent, with a digit where it is small.

    Examples
    --------
    >>> share_text(0.0312), share_text(0.5)
    ('3.1 %', '50 %')
    """
    percent = 100.0 * share
    return f"{percent:z.1f} %" if abs(percent) < 9.95 else f"{percent:.0f} %"


def _now(data: AccountData) -> Iterator[Fact]:
    ranked, past = data.ranked, data.past
    if "current_revenue" in ranked:
        amount = float(ranked["current_revenue"])
        note = f"{share_text(amount / data.all_revenue)} of all accounts'" if data.all_revenue > 0.0 else ""
        yield Fact(NOW, "revenue of the last 12 months", data.money(amount), amount, note)
    first, last = pd.Timestamp(past[columns.FIRST_PURCHASE]), pd.Timestamp(past[columns.LAST_PURCHASE])
    total = float(past[columns.TOTAL_REVENUE])
    if total == total:
        yield Fact(NOW, "revenue to date", data.money(total), total, f"since {first.date()}, net of refunds")
    days = (pd.Timestamp(ranked["as_of"]) - last).days
    yield Fact(NOW, "last purchase", f"{last.date()}", note=f"{days:,} day{'' if days == 1 else 's'} before today")
    if data.categories is None:
        return
    bought = len(data.categories)
    yield Fact(NOW, "categories bought", f"{bought} of {data.on_offer}", float(bought), f"since {data.since.date()}")
    for row in data.categories.head(1).itertuples():
        note = f"{data.money(float(row.revenue))}, {share_text(float(row.share))} of what it buys"  # type: ignore[arg-type]
        yield Fact(NOW, "largest category", str(row.category), note=note)


def _forecast(data: AccountData) -> Iterator[Fact]:
    horizon = data.horizon
    for name, fact, note in (
        ("revenue", f"revenue, next {horizon}", ""),
        ("value", f"value, next {horizon}", "discounted contribution, "),
    ):
        row = data.forecast
        amount = float(row[name])
        around = data.band(float(row[f"{name}_lower"]), float(row[f"{name}_upper"]))
        yield Fact(FORECAST, fact, data.money(amount), amount, f"{note}{around}")


def _potential(data: AccountData) -> Iterator[Fact]:
    ranked, wallet = data.ranked, data.wallet
    if pd.isna(wallet.get("wallet")):
        return
    amount = float(wallet["wallet"])
    given = wallet["wallet_source"] == GIVEN
    room, own = float(wallet["headroom"]), float(wallet["annual_revenue"])
    around = data.band(float(wallet["wallet_lower"]), float(wallet["wallet_upper"]))
    if room == 0.0:
        around = "it is expected to bring no less"
    name = f"{WALLET_TITLES.get(wallet['wallet_source'], REACHABLE)}, a year"
    note = "; ".join(part for part in (_source(data, given), around) if part)
    yield Fact(POTENTIAL, name, data.money(amount), amount, note)
    share = ranked.get("share_of_wallet")
    if given and share is not None and not pd.isna(share):
        yield Fact(POTENTIAL, "share of wallet", share_text(float(share)), float(share), "last 12 months")
    note = f"that, less the {data.money(own)} expected in a year if it is there"
    yield Fact(POTENTIAL, "headroom, a year", data.money(room), room, note)
    ready = ranked.get("readiness")
    if room > 0.0 and ready is not None and not pd.isna(ready):
        note = f"share of headroom expected within {data.horizon} above the forecast"
        yield Fact(POTENTIAL, "readiness", share_text(float(ready)), float(ready), note)
        goal, value = float(ranked["potential_revenue"]), float(ranked["potential_value"])
        yield Fact(POTENTIAL, "growth goal", data.money(goal), goal, "revenue: headroom x readiness")
        around = ""
        if data.potential is not None:
            around = data.band(float(data.potential["potential_lower"]), float(data.potential["potential_upper"]))
        yield Fact(POTENTIAL, "potential value", data.money(value), value, around)
    for row in () if data.whitespace is None else data.whitespace.head(1).itertuples():
        bought, worth = float(row.peers_share), float(row.whitespace)  # type: ignore[arg-type]
        note = f"{share_text(bought)} of accounts alike buy it; worth {data.money(worth)} a year"
        yield Fact(POTENTIAL, "first category to offer", str(row.category), note=note)


def _source(data: AccountData, given: bool) -> str:
    if given:
        return "given by the business"
    if data.wallet["wallet_source"] == WHITESPACE:
        return "own revenue and the categories it does not buy"
    if data.potential is None:
        return str(data.wallet["wallet_source"])
    return f"from {int(data.potential['peers']):,} {data.wallet['wallet_source']}"


def _risk(data: AccountData) -> Iterator[Fact]:
    ranked = data.ranked
    alive, at_risk = float(ranked["p_alive"]), float(ranked["value_at_risk"])
    yield Fact(RISK, "probability of being alive", share_text(alive), alive)
    note = "its value if it is surely there, less its value as things stand"
    yield Fact(RISK, "value at risk", data.money(at_risk), at_risk, note)
    yield Fact(RISK, "fit of the models", str(ranked["model_fit"]))


def _place(data: AccountData) -> Iterator[Fact]:
    ranked, prob = data.ranked, data.prob
    rank, low, high = (int(ranked[name]) for name in ("rank", "rank_lower", "rank_upper"))
    accounts = data.accounts
    note = f"by {ORDERS[data.order_by]}; {prob * 100:g} % band {low:,} to {high:,}"
    yield Fact(PLACE, "rank", f"{rank:,} of {accounts:,}", float(rank), note)
    adjusted = float(ranked["adjusted_value"])
    around = data.band(float(ranked["adjusted_lower"]), float(ranked["adjusted_upper"]))
    yield Fact(PLACE, "adjusted value", data.money(adjusted), adjusted, around)
    top = int(ranked["top_k"])
    if top < accounts:
        yield Fact(
            PLACE,
            f"probability of being among the first {top:,}",
            share_text(float(ranked["p_top"])),
            float(ranked["p_top"]),
        )
    if not pd.isna(ranked["cell"]):
        yield Fact(PLACE, "cell", str(ranked["cell"]), note=f"belongs there with {share_text(float(ranked['p_cell']))}")
        if data.care:
            yield Fact(PLACE, "suggested care", data.care)
    if not pd.isna(ranked.get("grade")):
        yield Fact(PLACE, "grade", str(ranked["grade"]), float(ranked["grade_score"]))
    referred = ranked.get("referral_value")
    if referred is not None and not pd.isna(referred) and float(referred) != 0.0:
        note = "stands in their rows already"
        yield Fact(PLACE, "value of accounts it referred", data.money(float(referred)), float(referred), note)
