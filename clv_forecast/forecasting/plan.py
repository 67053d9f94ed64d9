"""All that a chunk of customers needs to be forecast, as plain arrays: made once, replayed at will."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import count_of, draws_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.money import Terms
from clv_forecast.forecasting.stack import Stack, draws_of_models
from clv_forecast.inference.hierarchy import CustomerParameters, map_fields
from clv_forecast.models import TransactionModel, transaction_model
from clv_forecast.streams import customer_keys
from clv_forecast.units import TimeUnit, units_per_year

if TYPE_CHECKING:
    from clv_forecast.history.purchase_history import PurchaseHistory
    from clv_forecast.inference.model import Model


_CELLS_PER_CHUNK: Final = 1_500_000
_PAIRS_AT_ONCE: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """The draws of one model, for every customer of the plan.

    Parameters
    ----------
    model : str
        Name of the transaction model.
    parameters : CustomerParameters
    spend_count, spend_total : ndarray, shape (customer,), or None
        The orders by which each customer's spend is judged, and their sum; None without a spend part.
    first_draw : int
        Number of the first draw: the parts of a plan take consecutive numbers.
    """

    model: str
    parameters: CustomerParameters
    spend_count: NDArray[np.float64] | None = None
    spend_total: NDArray[np.float64] | None = None
    first_draw: int = 0

    @property
    def module(self) -> TransactionModel:
        """The functions of the transaction model."""
        return transaction_model(self.model)

    @property
    def draws(self) -> int:
        """Number of draws."""
        return self.parameters.n_draws

    @property
    def has_spend(self) -> bool:
        """Whether there is a spend part."""
        return self.spend_count is not None

    def purchases(self, rows: NDArray[np.intp]) -> Any:
        """Purchase parameters of some customers: fields of shape (draw, row), or (draw, 1) for one and all."""
        cells, place = np.unique(self.parameters.cell[rows], return_inverse=True)
        return _spread(self.parameters.purchases(cells), place)

    def purchases_of_cell(self, cell: int) -> Any:
        """Purchase parameters of one cell, fields of shape (draw, 1)."""
        return self.parameters.purchases(np.array([cell]))

    def spend(self, rows: NDArray[np.intp]) -> tuple[Any, NDArray[np.intp]]:
        """Spend parameters, fields of shape (draw, cell), and the place of each row's cell in them."""
        cells, place = np.unique(self.parameters.cell[rows], return_inverse=True)
        params = self.parameters.spend(cells)
        return params, place if params.p.shape[1] > 1 else np.zeros_like(place)

    def expected_spend(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Expected money per purchase, shape (draw, row)."""
        params, place = self.spend(rows)
        p, q, v = (getattr(params, name)[:, place] for name in ("p", "q", "v"))
        count, total = self._seen(rows)
        return np.asarray(p * (v + total) / (p * count + q - 1.0))

    def draws_of_infinite_variance(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Number of draws in which money per purchase has no finite variance, shape (row,)."""
        cell, count = self.parameters.cell[rows], self._seen(rows)[0]
        pairs, pair = np.unique(np.stack([cell.astype(np.float64), count]), axis=1, return_inverse=True)
        found = np.empty(pairs.shape[1], dtype=np.intp)
        for start in range(0, len(found), _PAIRS_AT_ONCE):
            block = slice(start, start + _PAIRS_AT_ONCE)
            params = self.parameters.spend(pairs[0, block].astype(np.intp))
            found[block] = (params.q + params.p * pairs[1, block] <= 2.0).sum(axis=0)
        return found[pair.ravel()]

    def _seen(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.spend_count is None or self.spend_total is None:
            raise DomainError("This model has no spend part.")
        return self.spend_count[rows], self.spend_total[rows]

    def between(self, start: int, stop: int) -> Part:
        """The draws ``start .. stop - 1`` of this part, under their own numbers."""
        return replace(self, parameters=self.parameters.between(start, stop), first_draw=self.first_draw + start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The inputs of a forecast at array level.

    Times are in ``unit``; ``discount`` is continuous per unit; ``cost_per_time`` is money per unit while alive. A
    model is one part; a stack of models has several, whose draws follow each other. ``order`` lists the customers by
    what their future depends on, so that chunks share expensive functions. With ``stays`` the draws are those of a
    world in which nobody who is there leaves.
    """

    parts: tuple[Part, ...]
    unit: TimeUnit
    discount: float
    frequency: NDArray[np.float64]
    recency: NDArray[np.float64]
    T: NDArray[np.float64]
    margin: NDArray[np.float64]
    cost_per_order: NDArray[np.float64]
    cost_per_time: NDArray[np.float64]
    keys: NDArray[np.uint64]
    order: NDArray[np.intp]
    seed: int
    shock: CommonShock | None = None
    correction: Correction | None = None
    stays: bool = False

    def __post_init__(self) -> None:
        """Make the arrays read-only: a replay gives the numbers of the tables."""
        for name in ("frequency", "recency", "T", "margin", "cost_per_order", "cost_per_time", "keys", "order"):
            getattr(self, name).setflags(write=False)

    @property
    def customers(self) -> int:
        """Number of customers."""
        return len(self.frequency)

    @property
    def draws(self) -> int:
        """Number of draws of all parts."""
        return sum(part.draws for part in self.parts)

    @property
    def first_draw(self) -> int:
        """Number of the first draw."""
        return self.parts[0].first_draw

    @property
    def has_spend(self) -> bool:
        """Whether purchases can be priced."""
        return all(part.has_spend for part in self.parts)

    @property
    def factor(self) -> float:
        """The correction's factor, 1 without one."""
        return 1.0 if self.correction is None else self.correction.factor

    def expected_spend(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Expected money per purchase, shape (draw, row)."""
        return np.concatenate([part.expected_spend(rows) for part in self.parts])

    def infinite_variance(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether money per purchase has no finite variance in more than 1 % of draws, shape (row,)."""
        heavy = sum(part.draws_of_infinite_variance(rows) for part in self.parts)
        return np.asarray(heavy > 0.01 * self.draws)

    def without_shock(self) -> Plan:
        """The same plan for customers who are independent of each other."""
        return replace(self, shock=None)

    def slice_draws(self, start: int, stop: int) -> Plan:
        """The same plan for the draws ``start .. stop - 1``."""
        parts, before = [], 0
        for part in self.parts:
            low, high = max(start - before, 0), min(stop - before, part.draws)
            if low < high:
                parts.append(part.between(low, high))
            before += part.draws
        return replace(self, parts=tuple(parts))

    def staying(self) -> Plan:
        """The same draws in a world in which nobody who is still there leaves until the horizon.

        Up to the time at which a customer would have left, its path is the same to the cent.
        """
        return replace(self, stays=True)

    def fewer_draws(self, count: int) -> Plan:
        """The same plan with about ``count`` of the draws, each part keeping its share; for means, not for bands."""
        if count >= self.draws:
            return self
        parts = [part.between(0, max(1, round(part.draws * count / self.draws))) for part in self.parts]
        return replace(self, parts=tuple(parts))

    def known_alive(self) -> Plan:
        """The same plan for customers seen buying on the last day: their future given that they are alive.

        Given alive, the future depends on frequency and T alone, so expectations of this plan divided by its
        ``p_alive`` are those given alive, and the divisor is never near zero.
        """
        return replace(self, recency=np.where(self.frequency > 0.0, self.T, self.recency))


def _spread(params: Any, place: NDArray[np.intp]) -> Any:
    """Fields of shape (draw, cell) as fields of shape (draw, row); one column serves all rows as it is."""
    if getattr(params, fields(params)[0].name).shape[1] == 1:
        return params
    return map_fields(params, lambda field: field[:, place])


def future_order(
    frequency: NDArray[np.float64], T: NDArray[np.float64], cell: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """Customers sorted by (cell, frequency, T); ties keep their order."""
    return np.asarray(np.lexsort((T, frequency) if cell is None else (T, frequency, cell)))


def make_plan(
    model: Model | Stack,
    history: PurchaseHistory,
    *,
    terms: Terms,
    discount: float,
    draws: int,
    seed: int,
    shock: CommonShock | None,
    correction: Correction | None,
) -> Plan:
    """Bring a model, or a stack of models, and a history together.

    Raises
    ------
    DomainError
        If the units or currencies of model and history differ, ``draws`` is no number of draws, or a model's future
        depends on more than frequency and T.
    InputError
        If the history has no customer, or lacks the amounts that the model judges spend by.
    """
    if len(history.table) == 0:
        raise InputError("The history has no customer.")
    parts, first_draw = [], 0
    for member, count in draws_of_models(model, draws_of(draws)):
        parts.append(_part(member, history, count, first_draw=first_draw))
        first_draw += count
    table = history.table
    frequency = table[columns.FREQUENCY].to_numpy(dtype=float, copy=True)
    T = table[columns.T].to_numpy(dtype=float, copy=True)
    return Plan(
        parts=tuple(parts),
        unit=history.unit,
        discount=discount,
        frequency=frequency,
        recency=table[columns.RECENCY].to_numpy(dtype=float, copy=True),
        T=T,
        margin=terms.margin,
        cost_per_order=terms.cost_per_order,
        cost_per_time=terms.cost_per_year / units_per_year(history.unit),
        keys=customer_keys(seed, table[columns.CUSTOMER_ID].tolist()),
        order=future_order(frequency, T, parts[0].parameters.cell),
        seed=seed,
        shock=shock,
        correction=correction,
    )


def _part(model: Model, history: PurchaseHistory, draws: int, *, first_draw: int) -> Part:
    if model.unit != history.unit:
        raise DomainError(
            "Model and history must count time in the same unit.",
            value=f"model in {model.unit}s, history in {history.unit}s",
            remedy=f"Build the history with unit={model.unit!r}, or fit again.",
        )
    if model.currency and history.currency and model.currency != history.currency:
        raise DomainError(
            "Model and history must be in one currency.", value=f"{model.currency} and {history.currency}"
        )
    future_key = transaction_model(model.purchases).future_key
    if future_key != (columns.FREQUENCY, columns.T):
        raise DomainError("The forecast handles models whose future depends on frequency and T.", value=future_key)
    count, total = (None, None) if model.spend is None else _orders_seen(model, history)
    return Part(
        model=model.purchases,
        parameters=model.draws.cycle(draws).for_history(history),
        spend_count=count,
        spend_total=total,
        first_draw=first_draw,
    )


def _orders_seen(model: Model, history: PurchaseHistory) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = history.table
    count, total = (
        (columns.SPEND_COUNT_REPEAT, columns.SPEND_SUM_REPEAT)
        if model.spend_from == "repeat"
        else (columns.SPEND_COUNT_ALL, columns.SPEND_SUM_ALL)
    )
    unknown = ~np.isfinite(table[total].to_numpy(dtype=float))
    if unknown.any():
        raise InputError(
            f"The model judges spend by {model.spend_from} orders, which this history does not know for everyone.",
            value=f"{int(unknown.sum())} customers without",
            customer_ids=table.loc[unknown, columns.CUSTOMER_ID],
            remedy="Fit with spend_from='repeat' for a history made from a summary.",
        )
    return table[count].to_numpy(dtype=float, copy=True), table[total].to_numpy(dtype=float, copy=True)


def chunks_of(plan: Plan, horizons: int, chunk: int | None = None) -> Iterator[NDArray[np.intp]]:
    """Rows of the plan in its order, in chunks of bounded memory (or of ``chunk`` customers).

    Raises
    ------
    DomainError
        If ``chunk`` is not positive.
    """
    step = count_of(chunk, "chunk_customers") or customers_per_chunk(plan.draws, horizons)
    for start in range(0, plan.customers, step):
        yield plan.order[start : start + step]


def customers_per_chunk(draws: int, horizons: int) -> int:
    """How many customers fit into a chunk of bounded memory."""
    return max(16, _CELLS_PER_CHUNK // (draws * horizons))
