"""The account card: all that is known and expected of one account, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.printable import printable
from clv_forecast.ranking.account_facts import AccountData, Fact, facts_of

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
