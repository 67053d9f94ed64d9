"""The account card: all that is known and expected of one account, on one page.

The facts of an account card: what is known of an account, as text with a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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


_NO_CATEGORY: Final = (
    "The log has no category column: it would tell what the money is for, and what accounts alike buy."
)
_NO_POTENTIAL: Final = "Made without potential: no band of it, and no categories that accounts alike buy."
_SHORT_LOG: Final = "The log is shorter than 12 months: no revenue of the last 12 months."
_LONGEST: Final = 400
_PLACE: Final = ("rank", "rank_lower", "rank_upper", "p_top", "top_k", "cell", "p_cell", "grade")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AccountCard:
    """What one account brings, is expected to bring, and could. Made by `card`, or read by `stored_card`.

    Parameters
    ----------
    customer_id : int or str
    name : str
        The account's name where it is known, else its id.
    facts : DataFrame
        topic (now, forecast, potential, risk, place, spend), fact, value (text), number (missing where the value is
        none) and note. What is not known has no row; ``notes`` says what would bring it.
    history : DataFrame
        Revenue by month: start, end, when ("past" or "future"), revenue, and of the future revenue_lower and
        revenue_upper; prob, as_of, currency. See ``account_months``.
    categories : DataFrame or None
        What the money is for, largest first: category, revenue, share, last_purchase, since (first day that counts);
        None where the log knows no categories.
    wallet : DataFrame
        One row, money a year: current_revenue, annual_revenue (expected if it is there), wallet, wallet_lower,
        wallet_upper, wallet_source, headroom, prob, currency. A column is absent where the ranking has none.
    place : DataFrame
        One row: rank, rank_lower, rank_upper, accounts (in all), p_top, top_k, cell, p_cell, grade; prob.
    whitespace : DataFrame or None
        Categories that accounts alike buy and this one does not: category, peers_share, typical_revenue, whitespace,
        rank; without rows where there is none. None where that is not known.
    spend : DataFrame or None
        Its rows of the allowable spends, one per basis; None where none was given.
    outlook : DataFrame or None
        P(alive) day by day, from ``customer_path``; None without a model.
    reason : str
        Why the account stands where it stands.
    horizon : str
    prob : float
    notes : tuple of str
    """

    customer_id: Any
    name: str
    facts: pd.DataFrame
    history: pd.DataFrame
    categories: pd.DataFrame | None
    wallet: pd.DataFrame
    place: pd.DataFrame
    whitespace: pd.DataFrame | None
    spend: pd.DataFrame | None
    outlook: pd.DataFrame | None
    reason: str
    horizon: str
    prob: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        row = self.place.iloc[0]
        rank = f"rank {row['rank']:,} of {row['accounts']:,} over {self.horizon}"
        return f"<AccountCard of {printable(self.name)}: {rank}>"

    def __str__(self) -> str:
        wide = max(len(fact) for fact in self.facts["fact"])
        name, own = _one_line(self.name), _one_line(str(self.customer_id))
        lines = [name if name == own else f"{name} ({own})", _one_line(self.reason)]
        for topic in self.facts["topic"].unique().tolist():
            lines.append(f"{topic}:")
            for row in self.facts[self.facts["topic"] == topic].itertuples():
                lines.append(_one_line(f"{row.fact:<{wide}}  {row.value}{f'  ({row.note})' if row.note else ''}", "  "))
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def _one_line(text: str, indent: str = "") -> str:
    """Text for a terminal, cut where it is very long."""
    shown = printable(text)
    return indent + (shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}\u2026")


def put_together(
    data: AccountData,
    *,
    months: pd.DataFrame,
    outlook: pd.DataFrame | None,
    spend: pd.DataFrame | None = None,
    more_facts: Sequence[Fact] = (),
    more_notes: Sequence[str] = (),
) -> AccountCard:
    """Make the card of what is known of an account.

    Parameters
    ----------
    data : AccountData
    months, outlook, spend
        See ``AccountCard``.
    more_facts : sequence of Fact
        Set below those of the data.
    more_notes : sequence of str

    Returns
    -------
    AccountCard
    """
    ranked = data.ranked
    customer_id, named = ranked[columns.CUSTOMER_ID], ranked.get(columns.NAME)
    notes = [_NO_POTENTIAL] if data.potential is None else []
    if data.categories is None:
        notes.append(_NO_CATEGORY)
    if "current_revenue" not in ranked:
        notes.append(_SHORT_LOG)
    place = {name: ranked[name] for name in _PLACE if name in ranked}
    return AccountCard(
        customer_id=customer_id,
        name=str(customer_id) if named is None or pd.isna(named) else str(named),
        facts=pd.DataFrame([*facts_of(data), *more_facts], columns=list(Fact._fields)),
        history=months,
        categories=None if data.categories is None else data.categories.assign(since=data.since),
        wallet=pd.DataFrame([data.wallet | {"prob": ranked["prob"], "currency": ranked["currency"]}]),
        place=pd.DataFrame([place | {"accounts": data.accounts, "prob": data.prob}]),
        whitespace=data.whitespace,
        spend=spend,
        outlook=outlook,
        reason=str(ranked["reason"]),
        horizon=data.horizon,
        prob=data.prob,
        notes=(*notes, *more_notes),
    )
