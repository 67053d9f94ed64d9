"""What a later log says about an earlier day: the history of then, from the purchase-days known now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.comparison.snapshot import Snapshot
from clv_forecast.errors import InputError
from clv_forecast.forecasting.money import Terms
from clv_forecast.history.purchase_history import PurchaseHistory, purchase_history


def history_as_dated(
    purchases: pd.DataFrame, day: pd.Timestamp, like: PurchaseHistory, ids: pd.Index[Any]
) -> PurchaseHistory | None:
    """The history as of ``day`` of purchase-days as they are known now, of the accounts ``ids``.

    Parameters
    ----------
    purchases : DataFrame
        customer_id, date, amount.
    day : Timestamp
    like : PurchaseHistory
        Of today: its unit, currency and attributes.
    ids : Index
        Accounts to look at; those without a purchase by that day are left out.

    Returns
    -------
    PurchaseHistory or None
        None where no account had bought by then.
    """
    chosen = purchases[(purchases[columns.DATE] <= day) & purchases[columns.CUSTOMER_ID].isin(ids)]
    if not len(chosen):
        return None
    # every customer was there already or not as of today: what the audit would say of the opening months is not asked
    found = purchase_history(chosen, as_of=day, unit=like.unit, observed_from=chosen[columns.DATE].min())
    customers = like.customers
    if customers is not None:
        place = pd.Index(customers[columns.CUSTOMER_ID]).get_indexer(pd.Index(found.table[columns.CUSTOMER_ID]))
        customers = customers.take(place).reset_index(drop=True)
    return replace(found, customers=customers, currency=like.currency, events=None)


def accounts_of(history: PurchaseHistory, kept: NDArray[np.bool_]) -> PurchaseHistory:
    """The history of some of its accounts."""
    customers = history.customers
    return replace(
        history,
        table=history.table[kept].reset_index(drop=True),
        customers=None if customers is None else customers[kept].reset_index(drop=True),
        events=None,
    )


def terms_of(terms: Terms, kept: NDArray[Any]) -> Terms:
    """The terms of some accounts, by mask or place."""
    return Terms(
        margin=terms.margin[kept].copy(),
        cost_per_order=terms.cost_per_order[kept].copy(),
        cost_per_year=terms.cost_per_year[kept].copy(),
    )


def terms_before(before: Snapshot, after: Snapshot) -> Terms:
    """Terms of the later run's accounts as they stood before: of accounts that are new, as they stand now."""
    place = before.ids.get_indexer(after.ids)
    known = place >= 0

    def mixed(name: str) -> NDArray[np.float64]:
        then, now = getattr(before.terms, name), getattr(after.terms, name)
        found: NDArray[np.float64] = np.where(known, then[np.maximum(place, 0)], now)
        return found

    return Terms(**{name: mixed(name) for name in ("margin", "cost_per_order", "cost_per_year")})


def at_earlier_rates(after: Snapshot, rates: Mapping[str, Decimal]) -> Snapshot:
    """The later run's log, its money converted at the earlier run's rates; codes new since keep today's.

    Raises
    ------
    InputError
        If the run holds no orders: what was converted once cannot be converted back.
    """
    if after.orders is None:
        raise InputError(
            "Exchange rates differ between the runs, and the later one holds no orders to convert again.",
            value=after.name,
            remedy="Compare runs of one set of rates, or runs that the scheduled reforecast wrote.",
        )
    history = purchase_history(
        str(after.orders / "*.parquet"),
        as_of=after.as_of,
        unit=after.history.unit,
        customers=after.history.customers,
        rates={**after.rates, **rates},
        **after.options,
    )
    if not history.table[columns.CUSTOMER_ID].equals(after.history.table[columns.CUSTOMER_ID]):
        raise InputError("The orders of the run must be those of its history.", value=after.name)
    return replace(after, history=replace(history, currency=after.history.currency), purchases=history.purchases())
