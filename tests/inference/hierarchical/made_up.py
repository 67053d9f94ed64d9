"""Histories with attributes, as far as a hierarchical fit reads them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from clv_forecast import columns
from tests.inference.simulated import AS_OF, summary


@dataclass(frozen=True)
class Attributed:
    """What structure and fit read of a history."""

    table: pd.DataFrame
    customers: pd.DataFrame
    unit: str = "week"
    currency: str | None = None
    as_of: pd.Timestamp = AS_OF


def attributed(customers: pd.DataFrame, *, table: pd.DataFrame | None = None) -> Attributed:
    """Customers with these attributes, who bought nothing unless a table is given."""
    if table is None:
        nothing = [0.0] * len(customers)
        table = summary(nothing, nothing, [10.0] * len(customers)).table
    return Attributed(table, customers.assign(**{columns.CUSTOMER_ID: table[columns.CUSTOMER_ID].to_numpy()}))
