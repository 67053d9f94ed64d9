"""One account's revenue month by month: as it was, and as it is forecast.

What accounts bought lately, category by category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import band, predictive_money
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.net_lines import categories_on_offer, category_revenue, net_lines
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.units import years_back

PAST: Final = "past"
FUTURE: Final = "future"
MOST_MONTHS: Final = 36
_DAY: Final = pd.Timedelta(days=1)


def account_months(forecast: Forecast, row: int, horizon: str) -> pd.DataFrame:
    """Revenue of one account by month, from its first purchase to the end of the horizon.

    Parameters
    ----------
    forecast : Forecast
        With a spend part.
    row : int
        Place of the account in the history.
    horizon : str
        One of the forecast's; of a longer one the first 36 months.

    Returns
    -------
    DataFrame
        start and end (the first and the last day that count), when ("past" or "future"), revenue, revenue_lower,
        revenue_upper (predictive band of that month; missing in the past), prob, as_of, currency. The past is in
        calendar months, the last one up to ``as_of``, and has no rows where the history was made from a summary. The
        future is in calendar months too, the first and the last one cut where the log and the horizon end; its
        revenue adds up to the forecast's.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> months = account_months(fc, 0, "12 months")
    >>> months["when"].value_counts().to_dict()
    {'past': 18, 'future': 12}
    """
    years = forecast.horizons.only([horizon]).years[0]
    ahead = future_months(forecast.plan, row, years=years, as_of=forecast.as_of, prob=forecast.prob)
    past = past_months(_purchases(forecast.history, row), forecast.as_of)
    return month_table([past, ahead], prob=forecast.prob, as_of=forecast.as_of, currency=forecast.currency)


def month_table(
    parts: Sequence[pd.DataFrame], *, prob: float, as_of: pd.Timestamp, currency: str | None
) -> pd.DataFrame:
    """Past and future months below each other, as ``account_months`` gives them."""
    return pd.concat(parts, ignore_index=True).assign(prob=prob, as_of=as_of, currency=currency)


def year_back(history: PurchaseHistory) -> pd.Timestamp | None:
    """The day after which the last 12 months begin; None where the log is shorter."""
    after = years_back(history.as_of)
    return after if history.table[columns.FIRST_PURCHASE].min() <= after + _DAY else None


def past_months(own: pd.DataFrame | None, as_of: pd.Timestamp) -> pd.DataFrame:
    """Revenue by month of an account with these purchases, None where they are not known; see ``account_months``."""
    if own is None:
        return _rows(pd.DatetimeIndex([]), pd.DatetimeIndex([]), PAST, revenue=np.empty(0))
    months = own[columns.DATE].dt.to_period("M")
    every = pd.period_range(months.min(), as_of.to_period("M"), freq="M")
    money = own.groupby(months)[columns.AMOUNT].sum().reindex(every, fill_value=0.0)
    ends = pd.DatetimeIndex([min(end.normalize(), as_of) for end in every.end_time])
    return _rows(every.start_time, ends, PAST, revenue=money.to_numpy(dtype=np.float64))


def _purchases(history: PurchaseHistory, row: int) -> pd.DataFrame | None:
    if history.events is None:
        return None
    customer = history.table[columns.CUSTOMER_ID].iloc[row]
    purchases = history.purchases()
    own: pd.DataFrame = purchases[(purchases[columns.CUSTOMER_ID] == customer).to_numpy(dtype=bool)]
    return own


def future_months(plan: Plan, row: int, *, years: float, as_of: pd.Timestamp, prob: float) -> pd.DataFrame:
    """Expected revenue by month of the account in that row of the plan, with its band; see ``account_months``."""
    ends = Horizons.calendar("month", years=min(years, MOST_MONTHS / 12.0), as_of=as_of)
    boundaries, rows = ends.boundaries(plan.unit), np.array([row], dtype=np.intp)
    expected = expected_money(plan, rows, boundaries).revenue[0].mean(axis=-1)
    drawn = np.diff(predictive_money(plan, rows, boundaries).revenue[0], axis=0, prepend=0.0)
    last = pd.DatetimeIndex(ends.ends(as_of))
    first = pd.DatetimeIndex([as_of, *last[:-1]]) + _DAY
    table = _rows(first, last, FUTURE, revenue=np.diff(expected, prepend=0.0))
    table["revenue_lower"], table["revenue_upper"] = band(drawn, prob)
    return table


def _rows(start: pd.DatetimeIndex, end: pd.DatetimeIndex, when: str, *, revenue: np.ndarray) -> pd.DataFrame:
    days = {"start": start.astype("datetime64[ns]"), "end": end.astype("datetime64[ns]")}
    return pd.DataFrame({**days, "when": when, "revenue": revenue, "revenue_lower": np.nan, "revenue_upper": np.nan})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LateCategories:
    """What accounts bought in the last 12 months by category. Made by `late_categories`.

    Parameters
    ----------
    table : DataFrame or None
        customer_id, category, revenue, last_purchase; None where the log knows no categories.
    on_offer : int
        Categories that anybody bought in that time.
    since : Timestamp
        First day that counts: that of the first purchase where the log is shorter.
    """

    table: pd.DataFrame | None
    on_offer: int
    since: pd.Timestamp

    def __repr__(self) -> str:
        return f"<LateCategories: {self.on_offer} on offer since {self.since.date()}>"


def late_categories(history: PurchaseHistory) -> LateCategories:
    """Read what every account bought in the last 12 months, by category.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": [1, 1, 2], "date": ["2024-03-01", "2024-02-01", "2024-03-08"], "amount": [1.0, 2.0, 3.0],
    ...     "category": ["tea", "cups", "tea"],
    ... })
    >>> found = late_categories(purchase_history(log, as_of="2024-12-31", category="category"))
    >>> own_categories(found.table, 1)["share"].round(2).tolist(), found.on_offer
    ([0.67, 0.33], 2)
    """
    after = year_back(history)
    since = history.table[columns.FIRST_PURCHASE].min() if after is None else after + pd.Timedelta(days=1)
    lines = None if history.events is None else net_lines(history)
    if lines is None or not lines.has(columns.CATEGORY):
        return LateCategories(table=None, on_offer=0, since=since)
    table = category_revenue(lines, after=after)
    return LateCategories(
        table=table[[columns.CUSTOMER_ID, columns.CATEGORY, "revenue", columns.LAST_PURCHASE]],
        on_offer=len(categories_on_offer(lines, after=after)),
        since=since,
    )


def own_categories(table: pd.DataFrame | None, customer_id: Any) -> pd.DataFrame | None:
    """What one account buys, the largest first: category, revenue, share, last_purchase."""
    if table is None:
        return None
    own = table[(table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
    own = own.sort_values("revenue", ascending=False, kind="stable").reset_index(drop=True)
    found: pd.DataFrame = own[[columns.CATEGORY, "revenue"]]
    return found.assign(share=own["revenue"] / own["revenue"].sum(), last_purchase=own[columns.LAST_PURCHASE])
