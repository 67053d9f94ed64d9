"""How much of what is on offer an account buys, how that changes, and what it bought for the first time lately."""

from __future__ import annotations

import datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.history.cleaning import EPOCH
from clv_forecast.history.net_lines import no_category
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.trailing_sums import BEFORE, EVER, LATEST, TrailingSums, trailing_sums

Floats = NDArray[np.float64]

_MUCH_UNKNOWN: Final = 0.01
"""From this share of revenue without a category on, a note says so."""


def product_density(
    history: PurchaseHistory, *, sums: TrailingSums | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Share of the categories on offer that each account buys, its trend, and upselling.

    Parameters
    ----------
    history : PurchaseHistory
        Made with a category column.
    sums : TrailingSums, optional
        ``trailing_sums(history)``, when it was made already.

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
    sums = trailing_sums(history) if sums is None else sums
    if not sums.has_category:
        raise no_category()
    start = EPOCH + datetime.timedelta(days=sums.log_start)
    notes = []
    if not sums.has_year:
        notes.append(
            f"Product density is of the whole log, which begins on {start}: it is shorter than 12 months, and with "
            "time every account buys more of what is on offer."
        )
    notes += _unknown_share(sums)
    bought, offer = _counts(sums, LATEST)
    if not offer:
        notes.append("Nobody bought anything with a category lately: there is no offer to have a share of.")
    table = pd.DataFrame({columns.CUSTOMER_ID: history.table[columns.CUSTOMER_ID].to_numpy(copy=True)})
    table["categories_bought"] = pd.Series(bought).astype("Int64")
    table["categories_on_offer"] = offer
    table["product_density"] = bought / offer if offer else np.nan
    if not sums.has_two_years:
        notes.append(f"The trend of product density and upselling need a log of 24 months; this one begins on {start}.")
        return table, tuple(notes)
    before, offer_before = _counts(sums, BEFORE)
    before[sums.first > sums.year] = np.nan
    table["product_density_before"] = before / offer_before if offer_before else np.nan
    change = table["product_density"] - table["product_density_before"]
    table["product_density_change"] = np.where(sums.first <= sums.two_years + 1, change, np.nan)
    number, revenue = _upselling(sums, bought)
    table["new_categories"] = pd.Series(number).astype("Int64")
    table["upsell_revenue"] = revenue
    return table, tuple(notes)


def _counts(sums: TrailingSums, stretch: str) -> tuple[Floats, int]:
    """Categories of each account, NaN where it bought but nothing with a category; and how many were on offer."""
    bought = (sums.table[f"{stretch}_revenue"] > 0.0).to_numpy()
    named = bought & sums.table[columns.CATEGORY].notna().to_numpy()
    size = len(sums.first)
    found = np.bincount(sums.place[named], minlength=size).astype(np.float64)
    active = np.bincount(sums.place[bought], minlength=size) > 0
    found[active & (found == 0)] = np.nan
    return found, int(sums.table.loc[named, columns.CATEGORY].nunique())


def _upselling(sums: TrailingSums, bought: Floats) -> tuple[Floats, Floats]:
    """Number and revenue of new categories; NaN where the past, or the present, is without categories."""
    size = len(sums.first)
    named = sums.table[columns.CATEGORY].notna().to_numpy() & (sums.table[f"{EVER}_revenue"] > 0.0).to_numpy()
    place = sums.place[named]
    day = sums.table.loc[named, "first_day"].to_numpy(dtype=np.int64)
    money = sums.table.loc[named, f"{LATEST}_revenue"].to_numpy(dtype=np.float64)
    new = (day > sums.year) & (day > sums.first[place])
    number = np.bincount(place[new], minlength=size).astype(np.float64)
    revenue = np.bincount(place[new], weights=money[new], minlength=size).astype(np.float64)
    known_before = np.bincount(place[day <= sums.year], minlength=size) > 0
    unknown = np.isnan(bought) | ((sums.first <= sums.year) & ~known_before)
    number[unknown], revenue[unknown] = np.nan, np.nan
    return number, revenue


def _unknown_share(sums: TrailingSums) -> list[str]:
    money = sums.table[f"{LATEST}_revenue"]
    total = float(money.sum())
    missing = float(money[sums.table[columns.CATEGORY].isna()].sum()) / total if total > 0.0 else 0.0
    if missing < _MUCH_UNKNOWN:
        return []
    return [f"{missing:.0%} of the revenue has no category: product density counts only what has one."]
