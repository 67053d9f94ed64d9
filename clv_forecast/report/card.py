"""The verb ``card``: all that is known and expected of one account, and what may be spent on it, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.evaluation.customer_path import customer_path
from clv_forecast.finance.spend import AllowableSpend
from clv_forecast.finance.spend_tables import NEW_CUSTOMERS_ONLY, spend_facts, spend_of_account
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.stack import Stack
from clv_forecast.inference.model import Model
from clv_forecast.ranking.account_card import AccountCard, AccountData, put_together
from clv_forecast.ranking.account_months import account_months, late_categories, own_categories
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.ranking import Ranking
from clv_forecast.report.one_account import known_id


def card(
    ranking: Ranking,
    forecast: Forecast,
    customer_id: Any,
    *,
    potential: Potential | None = None,
    model: Model | Stack | None = None,
    spend: AllowableSpend | Sequence[AllowableSpend] = (),
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
    spend : AllowableSpend or sequence of them, optional
        Made from the forecast, each of another basis or horizon; they add what may be spent on the account.

    Returns
    -------
    AccountCard

    Raises
    ------
    DomainError
        If the account is not in the ranking, or the parts do not belong together.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> found = card(clv.rank(fc, draws=100), fc, 4, spend=clv.allowable_spend(fc))
    >>> found.facts.set_index("fact").loc[["last purchase", "allowable, single"], "value"].tolist()
    ['1997-12-12', '0.00']
    """
    spends = (spend,) if isinstance(spend, AllowableSpend) else tuple(spend)
    _check(ranking, forecast, potential)
    customer_id = known_id(ranking.table[columns.CUSTOMER_ID], customer_id)
    at = np.flatnonzero((ranking.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool))
    own_spend = spend_of_account(spends, customer_id)
    _check_day(forecast, spends)
    history = forecast.history
    row = int(np.flatnonzero((history.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool))[0])
    ranked = ranking.table.iloc[int(at[0])]
    bought = late_categories(history)
    chosen = forecast.customers["horizon"] == ranking.horizon
    data = AccountData(
        ranked=ranked,
        forecast=forecast.customers[chosen].iloc[row],
        past=history.table.iloc[row],
        potential=None if potential is None else potential.table.iloc[row],
        categories=own_categories(bought.table, customer_id),
        on_offer=bought.on_offer,
        since=bought.since,
        whitespace=_whitespace(potential, customer_id),
        accounts=len(ranking.table),
        all_revenue=float(ranking.table["current_revenue"].sum()) if "current_revenue" in ranked else float("nan"),
        care=care_of(ranking.matrix, ranked["cell"]),
        order_by=ranking.order.by,
        horizon=ranking.horizon,
        prob=ranking.prob,
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
    return put_together(
        data,
        months=account_months(forecast, row, ranking.horizon),
        outlook=outlook,
        spend=own_spend,
        more_facts=list(spend_facts(own_spend)),
        more_notes=[NEW_CUSTOMERS_ONLY] if any(columns.CUSTOMER_ID not in one.table for one in spends) else [],
    )


def care_of(matrix: pd.DataFrame, cell: Any) -> str:
    """What is suggested for accounts of a cell; empty without one."""
    return "" if pd.isna(cell) else str(matrix.set_index("cell").loc[cell, "care"])


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


def _check_day(forecast: Forecast, spends: tuple[AllowableSpend, ...]) -> None:
    for spend in spends:
        if spend.as_of != forecast.as_of:
            raise DomainError(
                "The allowable spend must be of the day of the forecast.",
                value=f"{spend.basis} as of {spend.as_of.date()}, forecast as of {forecast.as_of.date()}",
                remedy="Make it from the same forecast.",
            )


def _whitespace(potential: Potential | None, customer_id: Any) -> pd.DataFrame | None:
    if potential is None or potential.whitespace is None:
        return None
    table = potential.whitespace.table
    own: pd.DataFrame = table[(table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
    return own.drop(columns=columns.CUSTOMER_ID).reset_index(drop=True)
