"""Revenue and margin of the latest two years by customer and category: read once, for every measure that needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.history.net_lines import net_lines, stretch_sums
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.history.spend_diagnostics import day_number
from clv_forecast.units import years_back

LATEST: Final = "latest"
BEFORE: Final = "before"
EVER: Final = "ever"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrailingSums:
    """Sums by customer and category, and how far back the log reaches.

    Parameters
    ----------
    table : DataFrame
        From ``stretch_sums``: ``latest`` are the trailing 12 months (the whole log, if it is shorter), ``before``
        the 12 months before, ``ever`` everything.
    place : ndarray of intp, shape (row of table,)
        Row of the customer in the history; -1 for customers whom refunds left nothing.
    first : ndarray of int64, shape (customer,)
        Day of each customer's first purchase, as days since 1970-01-01.
    log_start, year, two_years : int
        First day of the log; the last days before the trailing 12 and 24 months.
    has_category, has_margin : bool
        Whether the log has these columns.
    """

    table: pd.DataFrame
    place: NDArray[np.intp]
    first: NDArray[np.int64]
    log_start: int
    year: int
    two_years: int
    has_category: bool
    has_margin: bool

    @property
    def has_year(self) -> bool:
        """Whether the log holds the trailing 12 months."""
        return self.log_start <= self.year + 1

    @property
    def has_two_years(self) -> bool:
        """Whether it holds the 12 months before, too."""
        return self.log_start <= self.two_years + 1


def trailing_sums(history: PurchaseHistory) -> TrailingSums:
    """Sum what customers bought by category, in the trailing 12 months, in those before, and ever.

    Parameters
    ----------
    history : PurchaseHistory

    Returns
    -------
    TrailingSums

    Raises
    ------
    InputError
        If the history was made from a summary.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({"customer_id": 1, "date": ["2023-03-01", "2024-02-01"], "amount": [4.0, 6.0]})
    >>> found = trailing_sums(purchase_history(log, as_of="2024-12-31"))
    >>> found.table[["before_revenue", "latest_revenue"]], found.has_two_years
    (   before_revenue  latest_revenue
    0             4.0             6.0, False)
    """
    lines = net_lines(history)
    year, two_years = (day_number(years_back(history.as_of, years)) for years in (1, 2))
    first = history.table[columns.FIRST_PURCHASE].to_numpy(dtype="datetime64[D]").astype(np.int64)
    log_start = int(first.min())
    latest = year if log_start <= year + 1 else None
    table = stretch_sums(lines, {LATEST: (latest, None), BEFORE: (two_years, year), EVER: (None, None)})
    ids = pd.Index(history.table[columns.CUSTOMER_ID])
    return TrailingSums(
        table=table,
        place=ids.get_indexer(pd.Index(table[columns.CUSTOMER_ID])),
        first=first,
        log_start=log_start,
        year=year,
        two_years=two_years,
        has_category=lines.has(columns.CATEGORY),
        has_margin=lines.has(columns.MARGIN),
    )
