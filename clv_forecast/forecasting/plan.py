"""All that a chunk of customers needs to be forecast, as plain arrays: made once, replayed at will."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import count_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.money import Terms
from clv_forecast.models import TransactionModel, transaction_model
from clv_forecast.streams import KeyedStreams, customer_keys
from clv_forecast.units import TimeUnit, units_per_year

if TYPE_CHECKING:
    from clv_forecast.history.purchase_history import PurchaseHistory
    from clv_forecast.inference.model import Model


FEWEST_DRAWS: Final = 100
_CELLS_PER_CHUNK: Final = 1_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Spend per purchase: Gamma-Gamma draws ``p, q, v`` of shape (draw,), and the orders seen of each customer."""

    p: NDArray[np.float64]
    q: NDArray[np.float64]
    v: NDArray[np.float64]
    count: NDArray[np.float64]
    total: NDArray[np.float64]

    def expected(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Expected money per purchase, shape (draw, row)."""
        p, q, v = self.p[:, None], self.q[:, None], self.v[:, None]
        return np.asarray(p * (v + self.total[rows]) / (p * self.count[rows] + q - 1.0))

    def infinite_variance(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether money per purchase has no finite variance in more than 1 % of draws, shape (row,)."""
        count, row = np.unique(self.count[rows], return_inverse=True)
        heavy = self.q[:, None] + self.p[:, None] * count <= 2.0
        return np.asarray(heavy.mean(axis=0) > 0.01)[row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The inputs of a forecast at array level.

    Times are in ``unit``; ``discount`` is continuous per unit; ``cost_per_time`` is money per unit while alive.
    ``order`` lists the customers by what their future depends on, so that chunks share expensive functions.
    """

    module: TransactionModel
    params: Any
    draws: int
    spend: Spend | None
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
    first_draw: int = 0
    shock: CommonShock | None = None
    correction: Correction | None = None

    def __post_init__(self) -> None:
        """Make the arrays read-only: a replay gives the numbers of the tables."""
        for name in ("frequency", "recency", "T", "margin", "cost_per_order", "cost_per_time", "keys", "order"):
            getattr(self, name).setflags(write=False)

    @property
    def customers(self) -> int:
        """Number of customers."""
        return len(self.frequency)

    @property
    def factor(self) -> float:
        """The correction's factor, 1 without one."""
        return 1.0 if self.correction is None else self.correction.factor

    def streams(self, rows: NDArray[np.intp]) -> KeyedStreams:
        """Random streams of some customers."""
        return KeyedStreams(self.keys[rows], self.first_draw)

    def without_shock(self) -> Plan:
        """The same plan for customers who are independent of each other."""
        return replace(self, shock=None)

    def slice_draws(self, start: int, stop: int) -> Plan:
        """The same plan for the draws ``start .. stop - 1``."""
        fields = {name: getattr(self.params, name) for name in self.module.PARAMETERS}
        params = self.module.Params(*(_rows(field, start, stop) for field in fields.values()))
        spend = self.spend
        if spend is not None:
            spend = replace(spend, p=spend.p[start:stop], q=spend.q[start:stop], v=spend.v[start:stop])
        return replace(self, params=params, spend=spend, draws=stop - start, first_draw=self.first_draw + start)


def _rows(field: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
    return field[start:stop] if field.ndim == 2 and field.shape[0] > 1 else field


def future_order(frequency: NDArray[np.float64], T: NDArray[np.float64]) -> NDArray[np.intp]:
    """Customers sorted by (frequency, T); ties keep their order."""
    return np.asarray(np.lexsort((T, frequency)))


def make_plan(
    model: Model,
    history: PurchaseHistory,
    *,
    terms: Terms,
    discount: float,
    draws: int,
    seed: int,
    shock: CommonShock | None,
    correction: Correction | None,
) -> Plan:
    """Bring a model and a history together.

    Raises
    ------
    DomainError
        If the units or currencies of model and history differ, ``draws`` is below 100, or the model's future
        depends on more than frequency and T.
    InputError
        If the history has no customer, or lacks the amounts that the model judges spend by.
    """
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
    if (count_of(draws, "draws") or 0) < FEWEST_DRAWS:
        raise DomainError(f"draws must be a whole number of at least {FEWEST_DRAWS}.", value=draws)
    module = transaction_model(model.purchases)
    if module.future_key != (columns.FREQUENCY, columns.T):
        raise DomainError(
            "The forecast handles models whose future depends on frequency and T.", value=module.future_key
        )
    if len(history.table) == 0:
        raise InputError("The history has no customer.")
    table = history.table
    frequency = table[columns.FREQUENCY].to_numpy(dtype=float, copy=True)
    T = table[columns.T].to_numpy(dtype=float, copy=True)
    parameters = model.draws.cycle(int(draws))
    return Plan(
        module=module,
        params=parameters.purchases,
        draws=int(draws),
        spend=None if parameters.spend is None else _spend(parameters.spend, model, history),
        unit=model.unit,
        discount=discount,
        frequency=frequency,
        recency=table[columns.RECENCY].to_numpy(dtype=float, copy=True),
        T=T,
        margin=terms.margin,
        cost_per_order=terms.cost_per_order,
        cost_per_time=terms.cost_per_year / units_per_year(model.unit),
        keys=customer_keys(seed, table[columns.CUSTOMER_ID].tolist()),
        order=future_order(frequency, T),
        seed=seed,
        shock=shock,
        correction=correction,
    )


def _spend(parameters: Any, model: Model, history: PurchaseHistory) -> Spend:
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
    return Spend(
        p=parameters.p[:, 0].copy(),
        q=parameters.q[:, 0].copy(),
        v=parameters.v[:, 0].copy(),
        count=table[count].to_numpy(dtype=float, copy=True),
        total=table[total].to_numpy(dtype=float, copy=True),
    )


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
