"""The forecast as an object: its tables, and the recipe that replays the draws behind them.

When the next order is expected, and who is overdue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import count_of, number_of, parse_day
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.plan import Plan, chunks_of, customers_per_chunk
from clv_forecast.forecasting.predictive import band, predictive_money
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.units import DAYS_PER_UNIT, DAYS_PER_YEAR, MOST_YEARS

OVERDUE_BELOW = 0.05


def next_order_table(plan: Plan, customer_ids: Any, as_of: pd.Timestamp, *, currency: str | None) -> pd.DataFrame:
    """Date by which the next order has come with probability one half, if the customer is still alive.

    A customer is ``overdue`` when so long a silence would happen to a living customer with its history in less
    than 5 % of cases: ``p_silence`` is the probability that a customer who bought as often, and was alive after
    the last purchase, stays silent until now. The rule is cautious: a rate that is hardly known makes long silences
    likely, so fewer than 5 % of the living are flagged, and one-time buyers hardly ever. ``next_order`` is the median
    over parameter draws of the time by which a living customer has bought with probability one half.

    Returns
    -------
    DataFrame
        customer_id, p_alive, next_order (date; missing beyond a century), p_silence, overdue.
    """
    alive, silence, wait = (np.empty(plan.customers) for _ in range(3))
    for rows in chunks_of(plan, 1):
        x, T, recency = plan.frequency[rows], plan.T[rows], plan.recency[rows]
        found: dict[str, list[NDArray[np.float64]]] = {"alive": [], "silence": [], "wait": []}
        for part in plan.parts:
            params, shape = part.purchases(rows), (part.draws, len(rows))
            quantile = part.module.next_purchase_quantile(params, x, T, probability=0.5)
            found["alive"].append(np.broadcast_to(part.module.p_alive(params, x, recency, T), shape))
            found["silence"].append(np.broadcast_to(part.module.probability_of_silence(params, x, recency, T), shape))
            found["wait"].append(np.broadcast_to(quantile, shape))
        alive[rows] = np.concatenate(found["alive"]).mean(axis=0)
        silence[rows] = np.concatenate(found["silence"]).mean(axis=0)
        wait[rows] = np.median(np.concatenate(found["wait"]), axis=0)
    days = wait * DAYS_PER_UNIT[plan.unit]
    reachable = days < MOST_YEARS * DAYS_PER_UNIT["year"]
    whole = np.rint(np.where(reachable, days, 0.0)).astype("timedelta64[D]")
    dates = as_of + pd.to_timedelta(whole.astype("timedelta64[s]"))
    return pd.DataFrame(
        {
            columns.CUSTOMER_ID: customer_ids,
            "p_alive": alive,
            "next_order": pd.Series(dates).where(reachable),
            "p_silence": silence,
            "overdue": silence < OVERDUE_BELOW,
            "as_of": as_of,
            "currency": currency,
        }
    )


_DRAWS_FOR_SHAPE: Final = 200
_SHOWN: Final = (
    *("group", "horizon", "customers", "value", "value_lower", "value_upper"),
    *("revenue", "revenue_lower", "revenue_upper", "purchases", "purchases_lower", "purchases_upper", "note"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ValueDraws:
    """Predictive draws of some customers.

    Parameters
    ----------
    customer_ids : ndarray, shape (customer,)
    horizons : tuple of str
    purchases, revenue, value : ndarray, shape (draw, customer, horizon)
        Cumulative from ``as_of`` to the end of each horizon.
    first_draw : int
        Number of the first draw.
    """

    customer_ids: NDArray[Any]
    horizons: tuple[str, ...]
    purchases: NDArray[np.int32]
    revenue: NDArray[np.float64]
    value: NDArray[np.float64]
    first_draw: int = 0

    def __repr__(self) -> str:
        draws, customers, _ = self.value.shape
        return f"<ValueDraws: {draws} draws of {customers} customers, {', '.join(self.horizons[:5])}>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Forecast:
    """What every customer will be worth: tables, and the recipe that replays the draws behind them.

    Parameters
    ----------
    customers : DataFrame
        Table ``forecast``: one row per customer and horizon.
    totals : DataFrame
        Table ``totals``: one row per group and horizon, the group ``all`` first.
    horizons : Horizons
    prob : float
        Probability inside the bands.
    assumptions : dict
        Discount rate, margin, costs, lifetime and the convention of each, as given.
    notes : tuple of str
        What a reader must know before using the figures.
    plan : Plan
        Arrays and keys that replay any draw.
    customer_ids : array
        In the order of the plan's arrays.
    history : PurchaseHistory
        What was forecast from; its rows are in the order of the plan's arrays.
    """

    customers: pd.DataFrame
    totals: pd.DataFrame
    horizons: Horizons
    prob: float
    assumptions: dict[str, Any]
    notes: tuple[str, ...]
    plan: Plan
    customer_ids: Any
    as_of: pd.Timestamp
    currency: str | None
    history: PurchaseHistory

    def value_draws(self, customer_ids: Iterable[Any], horizons: Sequence[str] | None = None) -> ValueDraws:
        """Predictive draws of the customers named, the same that the tables were made from.

        Raises
        ------
        DomainError
            If a customer or a horizon is unknown.
        """
        if isinstance(customer_ids, str) or not isinstance(customer_ids, Iterable):
            raise DomainError("value_draws takes a list of customer ids.", value=repr(customer_ids))
        rows = self._rows(list(customer_ids))
        kept = self.horizons.only(horizons)
        return self._draws(self.plan, rows, kept)

    def iter_value_draws(
        self,
        *,
        by: Literal["customer", "draw"] = "customer",
        horizons: Sequence[str] | None = None,
        grid: str | None = None,
        chunk: int | None = None,
    ) -> Iterator[ValueDraws]:
        """All predictive draws in bounded memory: blocks of customers, or blocks of draws.

        Parameters
        ----------
        by : {"customer", "draw"}
            Whether a block holds some customers with all draws, or some draws with all customers.
        horizons : sequence of str, optional
            Some of the forecast's horizons.
        grid : {"week", "month", "quarter", "year"}, optional
            Instead of the horizons: ends of equal periods up to the longest horizon (the last may be shorter).
        chunk : int, optional
            Customers or draws in a block; chosen for memory by default. It changes no number.

        Yields
        ------
        ValueDraws

        Raises
        ------
        DomainError
            If ``by``, a horizon or the grid is unknown, ``horizons`` and ``grid`` are both given, or ``chunk`` is
            no positive whole number.
        """
        if horizons is not None and grid is not None:
            raise DomainError("Give horizons or a grid, not both.")
        ends = Horizons.grid(grid, years=self.horizons.years[-1]) if grid else self.horizons.only(horizons)
        size, chunk = len(ends.labels), count_of(chunk, "chunk")
        if by == "customer":
            step = chunk or customers_per_chunk(self.plan.draws, size)
            for start in range(0, self.plan.customers, step):
                yield self._draws(self.plan, np.arange(start, min(start + step, self.plan.customers)), ends)
        elif by == "draw":
            step = chunk or max(1, 20_000_000 // (self.plan.customers * size))
            for start in range(0, self.plan.draws, step):
                part = self.plan.slice_draws(start, min(start + step, self.plan.draws))
                yield self._draws(part, np.arange(self.plan.customers), ends)
        else:
            raise DomainError("by must be 'customer' or 'draw'.", value=repr(by))

    @shows_progress
    def cash_flow(self, grid: str = "month", *, progress: Progress = automatic) -> pd.DataFrame:
        """Revenue and value of all customers in each coming calendar period, with bands: the cash-flow curve.

        Parameters
        ----------
        grid : {"week", "month", "quarter", "year"}
            Calendar periods up to the end of the longest horizon; the first and the last may be shorter.
        progress : callable

        Returns
        -------
        DataFrame
            period, start and end (the first and the last day that count), purchases, revenue and value with bands,
            and the value accumulated to the end of the period. Means are closed-form expectations over 200 parameter
            draws; what separates their sum from ``totals``, which take all, is spread over the periods by purchases.

        Raises
        ------
        DomainError
            If the grid is unknown.
        """
        ends = Horizons.calendar(grid, years=self.horizons.years[-1], as_of=self.as_of)
        boundaries = ends.boundaries(self.plan.unit)
        few = self.plan.fewer_draws(_DRAWS_FOR_SHAPE)
        means = {name: np.zeros(len(boundaries)) for name in ("purchases", "revenue", "value")}
        sums = {name: np.zeros((len(boundaries), self.plan.draws)) for name in means}
        done = 0
        for rows in chunks_of(self.plan, len(boundaries)):
            expected = expected_money(few, rows, boundaries)
            for name, mean in means.items():
                mean += getattr(expected, name).mean(axis=-1).sum(axis=0)
            money = predictive_money(self.plan, rows, boundaries)
            sums["purchases"] += money.moved_purchases.sum(axis=0)
            sums["revenue"] += money.revenue.sum(axis=0)
            sums["value"] += money.value.sum(axis=0)
            done += len(rows)
            progress("cash flow", done, self.plan.customers)
        everyone = self.totals[self.totals["group"] == EVERYONE].iloc[-1]
        bought = means["purchases"]
        spread = bought / bought[-1] if bought[-1] > 0.0 else boundaries / boundaries[-1]
        last = pd.DatetimeIndex(ends.ends(self.as_of))
        first = pd.DatetimeIndex([self.as_of, *last[:-1]]) + pd.Timedelta(days=1)
        table = pd.DataFrame({"period": range(1, len(last) + 1), "start": first, "end": last})
        for name, total in sums.items():
            table[name] = np.diff(means[name] + spread * (everyone[name] - means[name][-1]), prepend=0.0)
            table[f"{name}_lower"], table[f"{name}_upper"] = band(np.diff(total, axis=0, prepend=0.0), self.prob)
        table["value_so_far"] = table["value"].cumsum()
        return table.assign(prob=self.prob, as_of=self.as_of, currency=self.currency)

    @shows_progress
    def value_between(self, start: Any, end: Any, *, progress: Progress = automatic) -> pd.DataFrame:
        """Each customer's revenue and value between two future dates (discounted to ``as_of``), with bands.

        Parameters
        ----------
        start, end : date, Timestamp or ISO text
        progress : callable

        Returns
        -------
        DataFrame
            customer_id, start, end, revenue and value with bands.

        Raises
        ------
        DomainError
            If the dates are no dates, not in order, or not both after ``as_of``.
        """
        first, last = (pd.Timestamp(parse_day(day, name)) for day, name in ((start, "start"), (end, "end")))
        if not self.as_of <= first < last:
            raise DomainError(
                f"The dates must be in order and not before {self.as_of.date()}.", value=f"{first} and {last}"
            )
        years = tuple(max((day - self.as_of).days / DAYS_PER_YEAR, 1e-9) for day in (first, last))
        ends = Horizons(labels=("start", "end"), years=years)
        boundaries = ends.boundaries(self.plan.unit)
        names = ("revenue", "revenue_lower", "revenue_upper", "value", "value_lower", "value_upper")
        out = {name: np.empty(self.plan.customers) for name in names}
        done = 0
        for rows in chunks_of(self.plan, 2):
            expected = expected_money(self.plan, rows, boundaries)
            drawn = predictive_money(self.plan, rows, boundaries)
            for name in ("revenue", "value"):
                mean, draws = getattr(expected, name), getattr(drawn, name)
                out[name][rows] = (mean[:, 1] - mean[:, 0]).mean(axis=-1)
                out[f"{name}_lower"][rows], out[f"{name}_upper"][rows] = band(draws[:, 1] - draws[:, 0], self.prob)
            done += len(rows)
            progress("value between", done, self.plan.customers)
        table = pd.DataFrame({columns.CUSTOMER_ID: self.customer_ids, "start": first, "end": last, **out})
        return table.assign(prob=self.prob, as_of=self.as_of, currency=self.currency)

    def next_order(self) -> pd.DataFrame:
        """When each customer's next order is expected, and who is overdue.

        Returns
        -------
        DataFrame
            customer_id; p_alive; ``next_order``, the date by which a customer *who is still alive* has ordered with
            probability one half (missing beyond a century); ``p_silence``, how likely so long a silence is for a
            living customer with that history; ``overdue``, where that is below 5 %. A rare buyer may be years from
            its next order without being overdue.
        """
        return next_order_table(self.plan, self.customer_ids, self.as_of, currency=self.currency)

    def top(self, count: int = 10, horizon: str | None = None) -> pd.DataFrame:
        """The most valuable customers at one horizon (the longest by default).

        Raises
        ------
        DomainError
            If the horizon is unknown, or ``count`` no positive whole number.
        """
        number = number_of(count, "count")
        label = self.horizons.only([horizon]).labels[0] if horizon else self.horizons.labels[-1]
        one = self.customers[self.customers["horizon"] == label]
        by = "value" if one["value"].notna().any() else "expected_purchases"
        return one.nlargest(number, by).reset_index(drop=True)

    def __str__(self) -> str:
        what = "value" if self.plan.has_spend else "purchases"
        money = f", {printable(self.currency or 'currency not named')}" if self.plan.has_spend else ""
        lines = [
            f"Forecast of {self.plan.customers:,} customers from {self.as_of.date()} on{money}",
            f"  {_terms_sentence(self.assumptions)}",
        ]
        for _, row in self.totals[self.totals["group"] == EVERYONE].iterrows():
            lines.append(
                f"  {row['horizon']:>10}: {what} {row[what]:z,.0f} "
                f"({self.prob:.0%} band {row[f'{what}_lower']:z,.0f} to {row[f'{what}_upper']:z,.0f})"
                + (f" [{row['note']}]" if row["note"] else "")
            )
        return "\n".join([*lines, *(f"  Note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        horizons = ", ".join(self.horizons.labels)
        return f"<Forecast of {self.plan.customers:,} customers as of {self.as_of.date()}: {horizons}>"

    def _repr_html_(self) -> str:
        return notebook_html(
            f"Forecast of {self.plan.customers:,} customers from {self.as_of.date()} on, totals",
            self.totals,
            shown=_SHOWN,
            lead=(f"{_terms_sentence(self.assumptions)}; bands hold {self.prob:.0%}",),
            see=[(".customers", "each customer"), (".totals", "by group and horizon"), (".top()", "the most valuable")],
            notes=self.notes,
        )

    def _rows(self, ids: list[Any]) -> NDArray[np.intp]:
        index = pd.Index(self.customer_ids)
        rows = index.get_indexer(pd.Index(ids))
        if (rows < 0).any():
            raise DomainError(
                "Every customer must be in the history.",
                customer_ids=[i for i, row in zip(ids, rows, strict=True) if row < 0],
                remedy="Check the ids and their type (1 and '1' differ).",
            )
        return np.asarray(rows)

    def _draws(self, plan: Plan, rows: NDArray[np.intp], ends: Horizons) -> ValueDraws:
        money = predictive_money(plan, rows, ends.boundaries(plan.unit))
        ids = np.asarray(self.customer_ids)[rows]
        return ValueDraws(
            customer_ids=ids,
            horizons=ends.labels,
            purchases=np.moveaxis(money.purchases, 2, 0),
            revenue=np.moveaxis(money.revenue, 2, 0),
            value=np.moveaxis(money.value, 2, 0),
            first_draw=plan.first_draw,
        )


def _terms_sentence(assumptions: dict[str, Any]) -> str:
    """The terms that turn revenue into value, in words."""
    margin = assumptions["margin"]
    if isinstance(margin, float | int):
        margin = f"{margin:.0%}"
    elif isinstance(margin, str):
        margin = f"from {margin!r}"
    parts = [f"margin {margin}", f"discount {assumptions['discount_rate_annual']:.1%} a year"]
    for name, words in (("cost_to_serve", "a year"), ("cost_per_order", "an order")):
        if assumptions[name] != 0.0:
            parts.append(f"{name.replace('_', ' ')} {assumptions[name]} {words}")
    return "value is discounted contribution: " + ", ".join(parts)
