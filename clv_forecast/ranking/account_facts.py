"""The facts of an account card: what is known of an account, as text with a note."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pandas as pd

from clv_forecast import columns
from clv_forecast.ranking.ranking import Ranking
from clv_forecast.ranking.wallets import GIVEN, WHITESPACE

NOW: Final = "now"
FORECAST: Final = "forecast"
POTENTIAL: Final = "potential"
RISK: Final = "risk"
PLACE: Final = "place"
_PLAIN: Final = 100.0
_ORDERS: Final = {
    "mean": "adjusted value",
    "lower": "the lower end of adjusted value",
    "p_top": "the probability of being among the first",
    "carried": "the last year's value carried forward",
    "stack": "a stack of adjusted value and the last year's value",
}


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
    ranking : Ranking
    forecast : Series
        Its row of the forecast, at the horizon of the ranking.
    past : Series
        Its row of the history.
    wallet : Series
        See ``AccountCard.wallet``.
    potential : Series or None
        Its row of the potential.
    categories : DataFrame or None
    on_offer : int
        Categories that anybody bought in the same time.
    since : Timestamp
        First day that counts for the categories.
    whitespace : DataFrame or None
    """

    ranked: pd.Series[Any]
    ranking: Ranking
    forecast: pd.Series[Any]
    past: pd.Series[Any]
    wallet: pd.Series[Any]
    potential: pd.Series[Any] | None
    categories: pd.DataFrame | None
    on_offer: int
    since: pd.Timestamp
    whitespace: pd.DataFrame | None

    def money(self, amount: float) -> str:
        """An amount with its currency."""
        small = 0.005 <= abs(amount) < _PLAIN
        text = f"{amount:,.2f}" if small else f"{round(amount) + 0:,}"
        currency = self.ranked["currency"]
        return text if pd.isna(currency) else f"{text} {currency}"

    def band(self, lower: float, upper: float) -> str:
        """A band in words."""
        return f"{self.ranking.prob * 100:g} % band {self.money(lower)} to {self.money(upper)}"


def facts_of(data: AccountData) -> pd.DataFrame:
    """All facts of an account that are known; see ``AccountCard.facts``."""
    parts = (_now, _forecast, _potential, _risk, _place)
    rows = [fact for part in parts for fact in part(data)]
    return pd.DataFrame(rows, columns=list(Fact._fields))


def _now(data: AccountData) -> Iterator[Fact]:
    ranked, past = data.ranked, data.past
    if "current_revenue" in ranked:
        amount = float(ranked["current_revenue"])
        total = float(data.ranking.table["current_revenue"].sum())
        note = f"{_share(amount / total)} of all accounts'" if total > 0.0 else ""
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
        note = f"{data.money(float(row.revenue))}, {_share(float(row.share))} of what it buys"  # type: ignore[arg-type]
        yield Fact(NOW, "largest category", str(row.category), note=note)


def _forecast(data: AccountData) -> Iterator[Fact]:
    horizon = data.ranking.horizon
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
    name = "wallet, a year" if given else "reachable revenue with us, a year"
    yield Fact(POTENTIAL, name, data.money(amount), amount, f"{_source(data, given)}; {around}")
    share = ranked.get("share_of_wallet")
    if given and share is not None and not pd.isna(share):
        yield Fact(POTENTIAL, "share of wallet", _share(float(share)), float(share), "last 12 months")
    note = f"that, less the {data.money(own)} expected in a year if it is there"
    yield Fact(POTENTIAL, "headroom, a year", data.money(room), room, note)
    ready = ranked.get("readiness")
    if room > 0.0 and ready is not None and not pd.isna(ready):
        note = f"share of headroom expected within {data.ranking.horizon} above the forecast"
        yield Fact(POTENTIAL, "readiness", _share(float(ready)), float(ready), note)
        goal, value = float(ranked["potential_revenue"]), float(ranked["potential_value"])
        yield Fact(POTENTIAL, "growth goal", data.money(goal), goal, "revenue: headroom x readiness")
        around = ""
        if data.potential is not None:
            around = data.band(float(data.potential["potential_lower"]), float(data.potential["potential_upper"]))
        yield Fact(POTENTIAL, "potential value", data.money(value), value, around)
    for row in () if data.whitespace is None else data.whitespace.head(1).itertuples():
        note = f"{_share(float(row.peers_share))} of accounts alike buy it; worth {data.money(float(row.whitespace))}"  # type: ignore[arg-type]
        yield Fact(POTENTIAL, "first category to offer", str(row.category), note=f"{note} a year")


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
    yield Fact(RISK, "probability of being alive", _share(alive), alive)
    note = "its value if it is surely there, less its value as things stand"
    yield Fact(RISK, "value at risk", data.money(at_risk), at_risk, note)
    yield Fact(RISK, "fit of the models", str(ranked["model_fit"]))


def _place(data: AccountData) -> Iterator[Fact]:
    ranked, prob = data.ranked, data.ranking.prob
    rank, low, high = (int(ranked[name]) for name in ("rank", "rank_lower", "rank_upper"))
    accounts = len(data.ranking.table)
    note = f"by {_ORDERS[data.ranking.order.by]}; {prob * 100:g} % band {low:,} to {high:,}"
    yield Fact(PLACE, "rank", f"{rank:,} of {accounts:,}", float(rank), note)
    adjusted = float(ranked["adjusted_value"])
    around = data.band(float(ranked["adjusted_lower"]), float(ranked["adjusted_upper"]))
    yield Fact(PLACE, "adjusted value", data.money(adjusted), adjusted, around)
    top = int(ranked["top_k"])
    if top < accounts:
        yield Fact(
            PLACE,
            f"probability of being among the first {top:,}",
            _share(float(ranked["p_top"])),
            float(ranked["p_top"]),
        )
    if not pd.isna(ranked["cell"]):
        cells = data.ranking.matrix.set_index("cell")
        yield Fact(PLACE, "cell", str(ranked["cell"]), note=f"belongs there with {_share(float(ranked['p_cell']))}")
        care = str(cells.loc[ranked["cell"], "care"])
        if care:
            yield Fact(PLACE, "suggested care", care)
    if not pd.isna(ranked.get("grade")):
        yield Fact(PLACE, "grade", str(ranked["grade"]), float(ranked["grade_score"]))
    referred = ranked.get("referral_value")
    if referred is not None and not pd.isna(referred) and float(referred) != 0.0:
        note = "stands in their rows already"
        yield Fact(PLACE, "value of accounts it referred", data.money(float(referred)), float(referred), note)


def _share(share: float) -> str:
    """A share in per cent, with a digit where it is small."""
    percent = 100.0 * share
    return f"{percent:.1f} %" if abs(percent) < 9.95 else f"{percent:.0f} %"
