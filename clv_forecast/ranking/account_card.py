"""The verb ``card``: all that is known and expected of one account, on one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.evaluation.customer_path import customer_path
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.categories import categories_on_offer, category_revenue
from clv_forecast.history.net_lines import net_lines
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.ranking.account_facts import AccountData, facts_of
from clv_forecast.ranking.account_months import account_months, year_back
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.ranking import Ranking

_NO_CATEGORY = "The log has no category column: it would tell what the money is for, and what accounts alike buy."
_NO_POTENTIAL = "Made without potential: no band of it, and no categories that accounts alike buy."
_PLACE = ("rank", "rank_lower", "rank_upper", "p_top", "top_k", "cell", "p_cell", "grade")
_WALLET = ("current_revenue", "wallet", "wallet_lower", "wallet_upper", "wallet_source", "headroom")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AccountCard:
    """What one account brings, is expected to bring, and could. Made by `card`.

    Parameters
    ----------
    customer_id : int or str
    name : str
        The account's name where it is known, else its id.
    facts : DataFrame
        topic (now, forecast, potential, risk, place), fact, value (text), number (missing where the value is none)
        and note. What is not known has no row; ``notes`` says what would bring it.
    history : DataFrame
        Revenue by month: start, end, when ("past" or "future"), revenue, and of the future revenue_lower and
        revenue_upper; prob, as_of, currency.
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
    outlook: pd.DataFrame | None
    reason: str
    horizon: str
    prob: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        row = self.place.iloc[0]
        return f"<AccountCard of {self.name}: rank {row['rank']:,} of {row['accounts']:,} over {self.horizon}>"

    def __str__(self) -> str:
        wide = max(len(fact) for fact in self.facts["fact"])
        lines = [self.name if str(self.customer_id) == self.name else f"{self.name} ({self.customer_id})", self.reason]
        for topic in self.facts["topic"].unique().tolist():
            lines.append(f"{topic}:")
            for row in self.facts[self.facts["topic"] == topic].itertuples():
                lines.append(f"  {row.fact:<{wide}}  {row.value}{f'  ({row.note})' if row.note else ''}")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def card(
    ranking: Ranking,
    forecast: Forecast,
    customer_id: Any,
    *,
    potential: Potential | None = None,
    model: Model | Stack | None = None,
) -> AccountCard:
    """Put together what is known and expected of one account.

    Parameters
    ----------
    ranking : Ranking
        From ``rank``.
    forecast : Forecast
        That the ranking was made from.
    customer_id : int or str
        As in the ranking.
    potential : Potential, optional
        That the ranking was made with; it adds the band of potential and the categories not bought.
    model : Model or Stack, optional
        That the forecast was made with; it adds the probability of being alive over time.

    Returns
    -------
    AccountCard

    Raises
    ------
    DomainError
        If the account is not in the ranking, or ranking, forecast and potential do not belong together.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> found = card(clv.rank(fc, draws=100), fc, 4)
    >>> found.facts.set_index("fact").loc["last purchase", "value"]
    '1997-12-12'
    """
    _check(ranking, forecast, potential)
    at = np.flatnonzero((ranking.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool))
    if len(at) != 1:
        raise DomainError(
            "The account must be in the ranking.",
            value=repr(customer_id),
            remedy="Check the id and its type (1 and '1' differ).",
        )
    ranked = ranking.table.iloc[int(at[0])]
    history = forecast.history
    row = int(np.flatnonzero((history.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool))[0])
    notes = [] if potential is not None else [_NO_POTENTIAL]
    after = year_back(history)
    since = history.table[columns.FIRST_PURCHASE].min() if after is None else after + pd.Timedelta(days=1)
    categories, on_offer = _categories(history, customer_id, after)
    if categories is None:
        notes.append(_NO_CATEGORY)
    if "current_revenue" not in ranked:
        notes.append("The log is shorter than 12 months: no revenue of the last 12 months.")
    wallet, place = _wallet(ranked, potential, row), _place(ranked, ranking)
    gaps = _whitespace(potential, customer_id)
    chosen = forecast.customers["horizon"] == ranking.horizon
    data = AccountData(
        ranked=ranked,
        ranking=ranking,
        forecast=forecast.customers[chosen].iloc[row],
        past=history.table.iloc[row],
        wallet=wallet.iloc[0],
        potential=None if potential is None else potential.table.iloc[row],
        categories=categories,
        on_offer=on_offer,
        since=since,
        whitespace=gaps,
    )
    outlook = None
    if model is not None:
        outlook = customer_path(
            model,
            history,
            customer_id,
            horizon=ranking.horizon,
            draws=forecast.plan.draws,
            prob=ranking.prob,
            rng=forecast.plan.seed,
        )
    named = ranked.get(columns.NAME)
    return AccountCard(
        customer_id=customer_id,
        name=str(customer_id) if named is None or pd.isna(named) else str(named),
        facts=facts_of(data),
        history=account_months(forecast, row, ranking.horizon),
        categories=None if categories is None else categories.assign(since=since),
        wallet=wallet,
        place=place,
        whitespace=gaps,
        outlook=outlook,
        reason=str(ranked["reason"]),
        horizon=ranking.horizon,
        prob=ranking.prob,
        notes=tuple(notes),
    )


def _check(ranking: Ranking, forecast: Forecast, potential: Potential | None) -> None:
    instance_of(ranking, Ranking, "ranking", "rank")
    instance_of(forecast, Forecast, "forecast", "forecast")
    forecast.horizons.only([ranking.horizon])
    ids = ranking.table[columns.CUSTOMER_ID]
    same_day = ranking.table["as_of"].iloc[0] == forecast.as_of
    if not same_day or set(ids) != set(forecast.history.table[columns.CUSTOMER_ID]):
        raise DomainError("The ranking must be one of this forecast.", remedy="Pass the forecast it was made from.")
    if potential is None:
        return
    instance_of(potential, Potential, "potential", "potential")
    if potential.history is not forecast.history or potential.horizon != ranking.horizon:
        raise DomainError("The potential must be that of the ranking.", remedy="Pass the one it was made with.")


def _categories(
    history: PurchaseHistory, customer_id: Any, after: pd.Timestamp | None
) -> tuple[pd.DataFrame | None, int]:
    """What the account buys by category after that day, and how many categories there were."""
    if history.events is None:
        return None, 0
    lines = net_lines(history)
    if not lines.has(columns.CATEGORY):
        return None, 0
    found = category_revenue(lines, after=after)
    own = found[(found[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
    own = own.sort_values("revenue", ascending=False, kind="stable").reset_index(drop=True)
    table = own[["category", "revenue"]].assign(
        share=own["revenue"] / own["revenue"].sum(), last_purchase=own[columns.LAST_PURCHASE]
    )
    return table, len(categories_on_offer(lines, after=after))


def _wallet(ranked: pd.Series[Any], potential: Potential | None, row: int) -> pd.DataFrame:
    found = {name: ranked[name] for name in _WALLET if name in ranked}
    if potential is not None:
        found["annual_revenue"] = potential.table["annual_revenue"].iloc[row]
    elif "wallet" in found:
        found["annual_revenue"] = found["wallet"] - found["headroom"]
    return pd.DataFrame([found | {"prob": ranked["prob"], "currency": ranked["currency"]}])


def _place(ranked: pd.Series[Any], ranking: Ranking) -> pd.DataFrame:
    found = {name: ranked[name] for name in _PLACE if name in ranked}
    return pd.DataFrame([found | {"accounts": len(ranking.table), "prob": ranking.prob}])


def _whitespace(potential: Potential | None, customer_id: Any) -> pd.DataFrame | None:
    if potential is None or potential.whitespace is None:
        return None
    table = potential.whitespace.table
    own: pd.DataFrame = table[(table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
    return own.drop(columns=columns.CUSTOMER_ID).reset_index(drop=True)
