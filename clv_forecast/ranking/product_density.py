"""How much of what is on offer an account buys, how that changes, and what it bought for the first time lately."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.history.categories import REVENUE, category_revenue
from clv_forecast.history.net_lines import NetLines, net_lines
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.units import DAYS_PER_YEAR

Floats = NDArray[np.float64]

_MUCH_UNKNOWN: Final = 0.01
"""From this share of revenue without a category on, a note says so."""


def product_density(
    history: PurchaseHistory, *, lines: NetLines | None = None, purchases: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Share of the categories on offer that each account buys, its trend, and upselling.

    Parameters
    ----------
    history : PurchaseHistory
        Made with a category column.
    lines : NetLines, optional
        ``net_lines(history)``, when it was made already.
    purchases : DataFrame, optional
        ``history.purchases()``, when it was fetched already.

    Returns
    -------
    table : DataFrame
        One row per customer in the order of the history. On offer is what anybody bought in the same time.

        ======================== ===================================================================================
        customer_id
        categories_bought        categories bought in the trailing 12 months (of a shorter log: in all of it)
        categories_on_offer      how many there were
        product_density          their ratio, 0 to 1
        product_density_before   the same of the 12 months before; missing for accounts that were none yet
        product_density_change   the difference; missing unless the account was one throughout the 12 months before
        new_categories           categories first bought in the trailing 12 months, after the account's first order
        upsell_revenue           their revenue
        ======================== ===================================================================================

        The last four are absent where the log is shorter than 24 months: a category not seen before would only be
        older than the log. An account that bought nothing has 0; one that bought only things without a category is
        missing.
    notes : tuple of str

    Raises
    ------
    InputError
        If the log has no category column, or the history was made from a summary.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": ["a", "a", "a", "b"],
    ...     "date": ["2022-12-01", "2024-02-01", "2024-03-01", "2024-01-08"],
    ...     "amount": [10.0, 20.0, 30.0, 7.0],
    ...     "category": ["tea", "cups", "tea", "spoons"],
    ... })
    >>> table, _ = product_density(purchase_history(log, as_of="2024-12-31", category="category"))
    >>> table[["customer_id", "product_density", "new_categories", "upsell_revenue"]].round(2)
      customer_id  product_density  new_categories  upsell_revenue
    0           a             0.67               1            20.0
    1           b             0.33               0             0.0
    """
    lines = net_lines(history) if lines is None else lines
    rows = history.purchases() if purchases is None else purchases
    year, two_years = (history.as_of - pd.Timedelta(days=round(years * DAYS_PER_YEAR)) for years in (1, 2))
    first = history.table[columns.FIRST_PURCHASE]
    log_start = first.min() - pd.Timedelta(days=1)
    after = year if log_start <= year else None
    notes = []
    if after is None:
        notes.append(
            f"Product density is of the whole log, which begins on {first.min().date()}: it is shorter than 12 months, "
            "and with time every account buys more of what is on offer."
        )
    recent = category_revenue(lines, after=after)
    stretch = rows if after is None else rows[rows[columns.DATE] > after]
    notes += _unknown_share(recent, stretch)
    if recent.empty:
        notes.append("Nobody bought anything with a category lately: there is no offer to have a share of.")
    bought = _counts(history, recent, stretch)
    offer = recent[columns.CATEGORY].nunique()
    table = pd.DataFrame({columns.CUSTOMER_ID: history.table[columns.CUSTOMER_ID].to_numpy(copy=True)})
    table["categories_bought"] = pd.Series(bought).astype("Int64")
    table["categories_on_offer"] = offer
    table["product_density"] = bought / offer if offer else np.nan
    if log_start > two_years:
        notes.append(
            f"The trend of product density and upselling need a log of 24 months; this one begins on "
            f"{first.min().date()}."
        )
        return table, tuple(notes)
    earlier = category_revenue(lines, after=two_years, upto=year)
    stretch = rows[(rows[columns.DATE] > two_years) & (rows[columns.DATE] <= year)]
    offer_before = earlier[columns.CATEGORY].nunique()
    before = np.where(first <= year, _counts(history, earlier, stretch), np.nan)
    table["product_density_before"] = before / offer_before if offer_before else np.nan
    whole = (first <= two_years + pd.Timedelta(days=1)).to_numpy()
    change = table["product_density"] - table["product_density_before"]
    table["product_density_change"] = np.where(whole, change, np.nan)
    table["new_categories"], table["upsell_revenue"] = _upselling(history, lines, year, bought)
    return table, tuple(notes)


def _counts(history: PurchaseHistory, by_category: pd.DataFrame, purchases: pd.DataFrame) -> Floats:
    """Categories of each account; NaN where it bought, but nothing with a category."""
    counted = _place(history, by_category)
    found = np.bincount(counted, minlength=len(history.table)).astype(np.float64)
    active = np.zeros(len(found), dtype=np.bool_)
    active[_place(history, purchases)] = True
    found[active & (found == 0)] = np.nan
    return found


def _upselling(
    history: PurchaseHistory, lines: NetLines, year: pd.Timestamp, bought: Floats
) -> tuple[pd.Series[Any], Floats]:
    """Number and revenue of new categories; missing where the past, or the present, is without categories."""
    ever = category_revenue(lines)
    place = _place(history, ever)
    first = history.table[columns.FIRST_PURCHASE].to_numpy()
    of_category = ever[columns.FIRST_PURCHASE].to_numpy()
    new = (of_category > year.to_datetime64()) & (of_category > first[place])
    number = np.bincount(place[new], minlength=len(first)).astype(np.float64)
    money = np.bincount(place[new], weights=ever[REVENUE].to_numpy()[new], minlength=len(first)).astype(np.float64)
    known_before = np.zeros(len(first), dtype=np.bool_)
    known_before[place[of_category <= year.to_datetime64()]] = True
    unknown = np.isnan(bought) | ((first <= year.to_datetime64()) & ~known_before)
    number[unknown], money[unknown] = np.nan, np.nan
    return pd.Series(number).astype("Int64"), money


def _unknown_share(by_category: pd.DataFrame, purchases: pd.DataFrame) -> list[str]:
    total = float(purchases[columns.AMOUNT].sum())
    missing = 1.0 - float(by_category[REVENUE].sum()) / total if total > 0.0 else 0.0
    if missing < _MUCH_UNKNOWN:
        return []
    return [f"{missing:.0%} of the revenue has no category: product density counts only what has one."]


def _place(history: PurchaseHistory, table: pd.DataFrame) -> NDArray[np.intp]:
    ids = pd.Index(history.table[columns.CUSTOMER_ID])
    found: NDArray[np.intp] = ids.get_indexer(pd.Index(table[columns.CUSTOMER_ID]))
    return found
