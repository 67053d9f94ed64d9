"""What may be spent on one account, as facts of its card: each allowance with what it means, and why it is 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.finance.spend import WHAT_THE_BASIS_MEANS, AllowableSpend
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.printable import printable
from clv_forecast.ranking.account_card import SPEND, Fact, money_text, share_text

NEW_CUSTOMERS_ONLY: Final = "What winning new customers may cost is no fact of an account that is there already."


def spend_of_account(spends: tuple[AllowableSpend, ...], customer_id: Any) -> pd.DataFrame | None:
    """Rows of one account in some allowable spends; None where none is about accounts.

    Raises
    ------
    DomainError
        If one is no allowable spend, two are of one basis and horizon, or one does not know the account.
    """
    for spend in spends:
        instance_of(spend, AllowableSpend, "spend", "allowable_spend")
    kinds = [(spend.basis, spend.horizon) for spend in spends]
    if len(set(kinds)) < len(kinds):
        raise DomainError("Each basis and horizon of an allowable spend stands once on a card.", value=kinds)
    found = []
    for spend in spends:
        if columns.CUSTOMER_ID not in spend.table:
            continue
        own = spend.table[(spend.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
        if len(own) != 1:
            raise DomainError(
                "The allowable spend must be of the accounts of the ranking.",
                value=f"{spend.basis}, without {customer_id!r}",
                remedy="Make it from the same forecast.",
            )
        found.append(own)
    return pd.concat(found, ignore_index=True) if found else None


def spend_facts(table: pd.DataFrame | None) -> Iterator[Fact]:
    """Facts of an account's rows of allowable spends: value at stake, the three allowances, and payback.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> own = spend_of_account((clv.allowable_spend(fc),), 4)
    >>> [fact.fact for fact in spend_facts(own)][:3]
    ['value at stake (ceiling)', 'allowable, expected', 'allowable, single']
    """
    several = table is not None and len(table) > 1
    for row in [] if table is None else table.to_dict("records"):
        basis, currency = row["basis"], row["currency"]
        of_it = f" ({basis})" if several else ""
        stake = float(row["value_at_stake"])
        note = f"next {row['horizon']}. {WHAT_THE_BASIS_MEANS[basis]}"
        yield Fact(SPEND, f"value at stake ({basis})", money_text(stake, currency), stake, note)
        for name, meaning in _meanings(row).items():
            amount = float(row[f"allowable_{name}"])
            why = _why_zero(name, row) if amount == 0.0 else ""
            yield Fact(SPEND, f"allowable, {name}{of_it}", _cents(amount, currency), amount, why or meaning)
        yield from _payback(row, of_it)


def _meanings(row: Mapping[Any, Any]) -> dict[str, str]:
    """What each allowance promises, in words."""
    earned, sure = f"earns {_percent(row['target_roi'])}", f"with {_percent(row['confidence'])} confidence"
    limit = row["payback_limit_months"]
    back = "" if pd.isna(limit) else f", and is back within {float(limit):g} months"
    pool = "all accounts" if row["group"] == EVERYONE else f"all accounts of {printable(row['group'])}"
    return {
        "expected": f"{earned} on average{back}",
        "single": f"{earned} on this account alone {sure}{back}",
        "pooled": f"its share of what earns {_percent(row['target_roi'])} on {pool} together {sure}{back}",
    }


def _why_zero(name: str, row: Mapping[Any, Any]) -> str:
    """Why an allowance is 0. The table's reason is that of the single one; it tells of the others where all are 0."""
    reason = "" if pd.isna(row["reason"]) else str(row["reason"]).rstrip(".")
    if name == "single" or float(row["allowable_expected"]) == 0.0:
        return reason
    whom = "all accounts" if row["group"] == EVERYONE else f"the accounts of {printable(row['group'])}"
    return f"its share of what {whom} together surely bring is less than a cent"


def _payback(row: Mapping[Any, Any], of_it: str) -> Iterator[Fact]:
    months, chance = row["payback_months"], row["p_payback"]
    if float(row["allowable_pooled"]) <= 0.0:
        return
    if pd.isna(months):
        value, note = f"not within {row['horizon']}", "fewer than half of the draws repay the pooled allowance"
        yield Fact(SPEND, f"payback{of_it}", value, note=note)
    else:
        value = f"{float(months):g} month{'' if float(months) == 1.0 else 's'}"
        note = "median month in which the pooled allowance has come back"
        yield Fact(SPEND, f"payback{of_it}", value, float(months), note)
    if not pd.isna(chance):
        note = f"of the pooled allowance, within {row['horizon']}"
        yield Fact(SPEND, f"probability of payback{of_it}", share_text(float(chance)), float(chance), note)


def _cents(amount: float, currency: Any) -> str:
    """Money in whole cents, as it may be spent."""
    return f"{amount:z,.2f}" if pd.isna(currency) else f"{amount:z,.2f} {printable(currency)}"


def _percent(share: float) -> str:
    return f"{100.0 * float(share):g} %"
