"""Attributes of customers by name: columns of the customers' table, and cohorts read off the first purchase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.errors import DomainError

if TYPE_CHECKING:
    from clv_forecast.history.purchase_history import PurchaseHistory

_COHORTS: Final = {"cohort_month": "M", "cohort_quarter": "Q", "cohort_year": "Y"}
COHORTS: Final = tuple(_COHORTS)
"""Names of the attributes that every history has: the period of the first purchase."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribute:
    """One attribute of every customer.

    Parameters
    ----------
    name : str
    values : Series
        In the row order of ``history.table``; missing where unknown.
    dated : bool
        Whether it was known when the customer was first seen. A column of the customers' table carries no date: it
        is what is known today.
    """

    name: str
    values: pd.Series[Any]
    dated: bool


def customer_attribute(history: PurchaseHistory, name: str) -> Attribute:
    """Look an attribute up: a column of the customers, or a cohort of the first purchase.

    Parameters
    ----------
    history : PurchaseHistory
    name : str
        A column of ``history.customers``, or ``"cohort_month"``, ``"cohort_quarter"`` or ``"cohort_year"``. A
        column of the customers goes before a cohort of that name.

    Returns
    -------
    Attribute

    Raises
    ------
    DomainError
        If there is no such attribute.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> customer_attribute(history, "cohort_month").values.value_counts().sort_index().to_dict()
    {'1997-01': 777, '1997-02': 854, '1997-03': 718}
    """
    if not isinstance(name, str):
        raise DomainError("One attribute of the customers is taken, by its name.", value=repr(name))
    customers = history.customers
    known = [] if customers is None else [str(c) for c in customers.columns if c != columns.CUSTOMER_ID]
    if customers is not None and name in known:
        return Attribute(name=name, values=customers[name], dated=False)
    if name in _COHORTS and columns.FIRST_PURCHASE in history.table:
        first = history.table[columns.FIRST_PURCHASE]
        cohort = first.dt.to_period(_COHORTS[name]).astype(str).astype("string")
        return Attribute(name=name, values=cohort.where(first.notna()).rename(name), dated=True)
    raise DomainError(
        f"{name!r} is not a column of the customers.",
        value=f"columns {known}",
        remedy="Give purchase_history(customers=...) a table with that column, or use one of "
        f"{', '.join(COHORTS)}, which every history made from orders has.",
    )
