r"""One origin of a backtest: fit what was known, forecast, and compare with what came.

Exact predictive probabilities of what a customer does in a window, averaged over the parameter draws.

With :math:`L` the model's likelihood of a customer, in which purchase rate and dropout are integrated out, what a
customer does in a window of length :math:`h` has, given its past and the parameters, the density

.. math:: p(y, t \mid x, t_x, T; \theta) = \frac{L(\theta; x + y, t_{x + y}, T + h)}{L(\theta; x, t_x, T)}

and the predictive density is its mean over the draws of :math:`\theta`.

Predictive draws of one origin: the customers' scores, and sums over groups, in bounded memory.

Tables of one origin: purchases by purchases before, the totals step by step, and customers who came later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray
from scipy.special import logsumexp

from clv_forecast import columns
from clv_forecast.errors import FitError, InputError
from clv_forecast.evaluation import scores
from clv_forecast.evaluation.baselines import Baseline, naive_forecasts
from clv_forecast.evaluation.windows import Lengths, Outcome
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.money import Terms
from clv_forecast.forecasting.plan import Part, Plan, chunks_of, make_plan
from clv_forecast.forecasting.predictive import band, predictive_money
from clv_forecast.forecasting.totals import Grouping
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.fit import fit_recipe
from clv_forecast.inference.leave_one_out import LooResult, loo
from clv_forecast.inference.model import Model
from clv_forecast.inference.recipe import Recipe
from clv_forecast.streams import KeyedStreams
from clv_forecast.units import DAYS_PER_UNIT

_CELLS: Final = 1_000_000


def log_predictive_density(plan: Plan, purchases: Floats, last: Floats, *, horizon: float) -> Floats:
    """Log density of each customer's purchases in ``(T, T + horizon]``, per day of time.

    Parameters
    ----------
    plan : Plan
    purchases : ndarray, shape (customer,)
        Purchases in the window.
    last : ndarray, shape (customer,)
        Time from ``T`` to the last of them, in the plan's unit; anything without a purchase.
    horizon : float
        In the plan's unit.

    Returns
    -------
    ndarray, shape (customer,)
        It is a density of ``purchases`` points in time, counted in days whatever the plan's unit, and a probability
        where there is none.
    """
    parts = []
    after = np.where(purchases > 0, plan.T + last, plan.recency)
    for part in plan.parts:
        of_part = np.empty(plan.customers)
        for rows, chosen, back in _distinct(plan, part, purchases, after):
            x, length = plan.frequency[chosen], plan.T[chosen]
            params = part.purchases(chosen)
            before = part.module.log_likelihood(params, x, plan.recency[chosen], length)
            both = part.module.log_likelihood(params, x + purchases[chosen], after[chosen], length + horizon)
            of_part[rows] = logsumexp(both - before, axis=0)[back]
        parts.append(of_part)
    together = logsumexp(np.stack(parts), axis=0) - np.log(plan.draws)
    return np.asarray(together - purchases * np.log(DAYS_PER_UNIT[plan.unit]))


def probability_of_none(plan: Plan, horizon: float) -> Floats:
    """Probability of no purchase in ``(T, T + horizon]``: closed form, averaged over the draws; shape (customer,)."""
    total = np.zeros(plan.customers)
    for part in plan.parts:
        for rows, chosen, back in _distinct(plan, part, plan.recency):
            silent = part.module.probability_no_purchase(
                part.purchases(chosen), plan.frequency[chosen], plan.recency[chosen], plan.T[chosen], horizon=horizon
            )
            total[rows] += np.broadcast_to(silent, (part.draws, len(chosen))).sum(axis=0)[back]
    return np.asarray(total / plan.draws)


def _distinct(
    plan: Plan, part: Part, *more: Floats
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """Blocks of customers who share their rows: all customers of the block, one of each kind, and each one's kind."""
    cell = part.parameters.cell.astype(np.float64)
    what = np.stack([cell, plan.frequency, plan.recency, plan.T, *more])
    _, first, kind = np.unique(what, axis=1, return_index=True, return_inverse=True)
    kind = kind.ravel()
    order = np.argsort(kind, kind="stable")
    step = max(1, _CELLS // part.draws)
    for start in range(0, len(first), step):
        stop = min(start + step, len(first))
        low, high = np.searchsorted(kind[order], [start, stop])
        rows = order[low:high]
        yield rows, first[start:stop], kind[rows] - start


PURCHASES: Final = "purchases"
REVENUE: Final = "revenue"
FREQUENCIES: Final = ("0", "1", "2", "3", "4", "5", "6", "7+")
"""Purchases before the origin, in classes."""


def in_unit(days: NDArray[np.int64], plan: Plan) -> Floats:
    """Days in the unit of the plan."""
    return np.asarray(days / DAYS_PER_UNIT[plan.unit])


class Predicted:
    """Predictive draws, chunk by chunk: scores of the customers, and sums over groups."""

    def __init__(self, plan: Plan, outcome: Outcome, *, lengths: Lengths, grouping: Grouping) -> None:
        self.plan, self.lengths, self.grouping = plan, lengths, grouping
        self.quantities = (PURCHASES, REVENUE) if plan.has_spend else (PURCHASES,)
        self.ends = lengths.ends
        self.at: NDArray[np.intp] = np.asarray(np.searchsorted(self.ends, lengths.days))
        count, money = outcome.upto(self.ends)
        self.actual_ends = {PURCHASES: count, REVENUE: money}
        self.actual = {quantity: values[:, self.at] for quantity, values in self.actual_ends.items()}
        shape = (plan.customers, len(lengths.days))
        self.pit = {quantity: np.empty(shape) for quantity in self.quantities}
        self.crps = {quantity: np.empty(shape) for quantity in self.quantities}
        self.inside = {q: np.empty((*shape, len(scores.LEVELS)), dtype=bool) for q in self.quantities}
        self.log_score = np.empty(shape)
        groups = len(grouping.names)
        self.sums = {q: np.zeros((groups, len(self.ends), plan.draws)) for q in self.quantities}
        self.bins = np.minimum(plan.frequency, len(FREQUENCIES) - 1).astype(np.intp)
        self.by_bin = np.zeros((len(FREQUENCIES) + 1, len(lengths.days), plan.draws))

    def run(self) -> None:
        """Go through all customers."""
        boundaries = in_unit(self.ends, self.plan)
        horizons: list[float] = in_unit(self.lengths.days, self.plan).tolist()
        silent = np.stack([probability_of_none(self.plan, horizon) for horizon in horizons], axis=1)
        for rows in chunks_of(self.plan, len(boundaries)):
            drawn = predictive_money(self.plan, rows, boundaries)
            draws: dict[str, NDArray[Any]] = {PURCHASES: drawn.purchases, REVENUE: drawn.revenue}
            add_to_groups(self.by_bin, self.bins[rows], drawn.purchases[:, self.at])
            for quantity in self.quantities:
                add_to_groups(self.sums[quantity], self.grouping.member[rows], draws[quantity])
                for h, end in enumerate(self.at):
                    self._score(quantity, rows, h, draws=draws[quantity][:, end])
            for h, end in enumerate(self.at):
                self.log_score[rows, h] = scores.log_score_counts(
                    self.actual[PURCHASES][rows, h].astype(np.int64), drawn.purchases[:, end], silent[rows, h]
                )

    def _score(self, quantity: str, rows: NDArray[np.intp], h: int, *, draws: NDArray[Any]) -> None:
        ordered = np.sort(draws, axis=-1)
        actual = self.actual[quantity][rows, h]
        streams = KeyedStreams(self.plan.keys[rows], int(self.lengths.days[h]))
        uniform = scores.keyed_uniforms(streams, 0 if quantity == PURCHASES else 1)
        self.pit[quantity][rows, h] = scores.randomised_pit(actual, ordered, uniform)
        self.crps[quantity][rows, h] = scores.crps(actual, ordered)
        self.inside[quantity][rows, h] = scores.inside_bands(actual, ordered)


@njit(cache=True)
def add_to_groups(sums, member, values):  # type: ignore[no-untyped-def]
    """Add values (customer, end, draw) to the sums (group + 1, end, draw): to the first, everyone's, and the member's.

    In the order of the customers, so that chunks do not matter; a member of -1 belongs to everyone only.
    """
    customers, ends, draws = values.shape
    for i in range(customers):
        for e in range(ends):
            for d in range(draws):
                sums[0, e, d] += values[i, e, d]
                if member[i] >= 0:
                    sums[member[i] + 1, e, d] += values[i, e, d]


BAND: Final = 0.9
TRACKING_DRAWS: Final = 250
"""Enough for a picture; evenly spaced among the model's, so that every chain of a sampler has its share."""


def frequency_table(predicted: Predicted, expected: Floats) -> pd.DataFrame:
    """Purchases in the window by purchases before, per customer: actual, expected and the band of the expected."""
    rows = []
    count = np.bincount(predicted.bins, minlength=len(FREQUENCIES))
    for h, label in enumerate(predicted.lengths.labels):
        for k, name in enumerate(FREQUENCIES):
            if count[k] == 0:
                continue
            low, high = band(predicted.by_bin[k + 1, h], BAND)
            member = predicted.bins == k
            came = predicted.actual[PURCHASES][member, h]
            rows.append(
                {
                    "horizon": label,
                    "frequency": name,
                    "customers": int(count[k]),
                    "actual": float(came.sum()) / count[k],
                    "expected": float(expected[member, h].sum()) / count[k],
                    "lower": float(low) / count[k],
                    "upper": float(high) / count[k],
                }
            )
    return pd.DataFrame(rows)


def tracking_table(plan: Plan, outcome: Outcome, lengths: Lengths, *, origin: pd.Timestamp) -> pd.DataFrame:
    """Totals step by step, from the draws of the plan."""
    ends = lengths.steps
    quantities = (PURCHASES, REVENUE) if plan.has_spend else (PURCHASES,)
    sums = {quantity: np.zeros((1, len(ends), plan.draws)) for quantity in quantities}
    boundaries, everyone = in_unit(ends, plan), np.full(plan.customers, -1)
    for rows in chunks_of(plan, len(ends)):
        drawn = predictive_money(plan, rows, boundaries)
        for quantity in quantities:
            add_to_groups(sums[quantity], everyone[rows], getattr(drawn, quantity))
    actual = dict(zip((PURCHASES, REVENUE), outcome.upto(ends), strict=True))
    tables = []
    for quantity in quantities:
        draws, came = sums[quantity][0], actual[quantity].sum(axis=0)
        table: dict[str, Any] = {"quantity": quantity, "period": np.arange(1, len(ends) + 1), "unit": lengths.step}
        table["end"] = origin + pd.to_timedelta(ends, unit="D")
        for prefix, values, totals in (
            ("", np.diff(draws, axis=0, prepend=0.0), np.diff(came, prepend=0.0)),
            ("cumulative_", draws, came),
        ):
            low, high = band(values, BAND)
            table |= {f"{prefix}actual": totals, f"{prefix}expected": values.mean(axis=1)}
            table |= {f"{prefix}lower": low, f"{prefix}upper": high}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def newcomers_table(outcome: Outcome, lengths: Lengths) -> pd.DataFrame:
    """Customers who were not known at the origin, and what they bought: no forecast here is about them."""
    found = [outcome.newcomers(int(days)) for days in lengths.days]
    table = pd.DataFrame(found, columns=["customers", "purchases", "revenue"])
    table.insert(0, "horizon", list(lengths.labels))
    return table


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """All that one origin needs, without the log: it can be handed to another process.

    Parameters
    ----------
    calibration : PurchaseHistory
        As known at the origin; without events.
    outcome : Outcome
    lengths : Lengths
    grouping : Grouping
        Of the calibration's customers.
    recipe : Recipe
    draws, seed : int
        Predictive draws, and the seed of fit and draws at this origin.
    leave_one_out : bool
        Also judge the fit by leaving customers out.
    """

    calibration: PurchaseHistory
    outcome: Outcome
    lengths: Lengths
    grouping: Grouping
    recipe: Recipe
    draws: int
    seed: int
    leave_one_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One quantity, customer by customer; arrays of shape (customer, horizon).

    ``inside`` has a last axis for ``scores.LEVELS``. ``expected_naive`` maps the baselines' names to their forecasts.
    """

    actual: Floats
    expected: Floats
    pit: Floats
    crps: Floats
    inside: NDArray[np.bool_]
    expected_naive: dict[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Totals:
    """One quantity, summed over groups, from the origin to each of ``ends``.

    Parameters
    ----------
    ends : ndarray of int, shape (end,)
        Days: the ends of the horizons and of the shock's periods.
    actual : ndarray, shape (group, end)
    draws : ndarray, shape (group, end, draw)
        Of independent customers.
    """

    ends: NDArray[np.int64]
    actual: Floats
    draws: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OriginResult:
    """What one origin has shown.

    Parameters
    ----------
    origin : Timestamp
    failure : str
        Why there is no model; empty for a fit that succeeded. Then the fields below are None.
    status, message : str
        Of the fit.
    customers : int
    ids : Series
    grouping : Grouping
    measured : dict
        By quantity: purchases, and revenue if a spend model was fitted.
    log_score, log_density : ndarray, shape (customer, horizon)
    totals : dict of Totals
        By quantity.
    by_frequency, tracking, newcomers : DataFrame
    naive_notes : tuple of str
    seed : int
    loo : LooResult or None
        Where the task asked for it.
    """

    origin: pd.Timestamp
    failure: str
    status: str
    message: str
    customers: int
    ids: pd.Series[Any]
    grouping: Grouping
    measured: dict[str, Measured]
    log_score: Floats
    log_density: Floats
    totals: dict[str, Totals]
    by_frequency: pd.DataFrame
    tracking: pd.DataFrame
    newcomers: pd.DataFrame
    naive_notes: tuple[str, ...]
    seed: int
    loo: LooResult | None = None


def origin_seed(seed: int, origin: pd.Timestamp) -> int:
    """Seed of fit and draws at one origin: a function of the day, so that other origins do not matter.

    Examples
    --------
    >>> origin_seed(1, pd.Timestamp("1997-09-30")) == origin_seed(1, pd.Timestamp("1997-10-01"))
    False
    """
    mixed = np.random.SeedSequence([seed, origin.toordinal()]).generate_state(1, np.uint64)[0]
    return int(mixed >> np.uint64(1))


def evaluate_origin(task: Task) -> OriginResult:
    """Fit the recipe to the calibration, and score its forecast.

    A fit that fails is a result too: ``failure`` says why.
    """
    try:
        model = fit_recipe(task.recipe, task.calibration, rng=task.seed)
    except (FitError, InputError) as error:
        return _failed(task, str(error))
    plan = _plan(task, model, task.draws)
    expected = _expected(plan, task)
    predicted = Predicted(plan, task.outcome, lengths=task.lengths, grouping=task.grouping)
    predicted.run()
    naive = [naive_forecasts(task.outcome.past, int(days)) for days in task.lengths.days]
    report = model.report.purchases
    return OriginResult(
        origin=task.calibration.as_of,
        failure="",
        status=model.report.status.value,
        message=report.message,
        customers=plan.customers,
        ids=task.calibration.table[columns.CUSTOMER_ID],
        grouping=task.grouping,
        measured=_measured(task, predicted, expected, naive=naive),
        log_score=predicted.log_score,
        log_density=_log_densities(plan, task, predicted.actual[PURCHASES]),
        totals={
            quantity: Totals(
                ends=predicted.ends,
                actual=_by_group(task.grouping, predicted.actual_ends[quantity]),
                draws=predicted.sums[quantity],
            )
            for quantity in predicted.quantities
        },
        by_frequency=frequency_table(predicted, expected[PURCHASES]),
        tracking=tracking_table(
            _plan(task, model, min(task.draws, TRACKING_DRAWS)),
            task.outcome,
            task.lengths,
            origin=task.calibration.as_of,
        ),
        newcomers=newcomers_table(task.outcome, task.lengths),
        naive_notes=_naive_notes(task, naive),
        seed=task.seed,
        loo=loo(model) if task.leave_one_out else None,
    )


def _failed(task: Task, why: str) -> OriginResult:
    nothing, empty = np.empty((0, len(task.lengths.days))), pd.DataFrame()
    return OriginResult(
        origin=task.calibration.as_of,
        failure=why,
        status="failed",
        message=why,
        customers=len(task.calibration.table),
        ids=task.calibration.table[columns.CUSTOMER_ID].iloc[:0],
        grouping=task.grouping,
        measured={},
        log_score=nothing,
        log_density=nothing,
        totals={},
        by_frequency=empty,
        tracking=empty,
        newcomers=newcomers_table(task.outcome, task.lengths),
        naive_notes=(),
        seed=task.seed,
    )


def _plan(task: Task, model: Model, draws: int) -> Plan:
    count = len(task.calibration.table)
    return make_plan(
        model,
        task.calibration,
        terms=Terms(margin=np.ones(count), cost_per_order=np.zeros(count), cost_per_year=np.zeros(count)),
        discount=0.0,
        draws=draws,
        seed=task.seed,
        shock=None,
        correction=None,
    )


def _expected(plan: Plan, task: Task) -> dict[str, Floats]:
    """Closed-form expectations, shape (customer, horizon)."""
    boundaries = in_unit(task.lengths.days, plan)
    shape = (plan.customers, len(boundaries))
    found = {PURCHASES: np.empty(shape), REVENUE: np.empty(shape)}
    for rows in chunks_of(plan, len(boundaries)):
        expected = expected_money(plan, rows, boundaries)
        found[PURCHASES][rows] = expected.purchases.mean(axis=-1)
        found[REVENUE][rows] = expected.revenue.mean(axis=-1)
    return found


def _by_group(grouping: Grouping, values: Floats) -> Floats:
    """Sums (group, end) of values (customer, end); the first group is everyone's."""
    sums = np.zeros((len(grouping.names), values.shape[1]))
    sums[0] = values.sum(axis=0)
    known = grouping.member >= 0
    np.add.at(sums, grouping.member[known] + 1, values[known])
    return sums


def _measured(
    task: Task, predicted: Predicted, expected: dict[str, Floats], *, naive: list[tuple[Baseline, ...]]
) -> dict[str, Measured]:
    return {
        quantity: Measured(
            actual=predicted.actual[quantity],
            expected=expected[quantity],
            pit=predicted.pit[quantity],
            crps=predicted.crps[quantity],
            inside=predicted.inside[quantity],
            expected_naive={
                of_one[0].name: np.stack([getattr(baseline, quantity) for baseline in of_one], axis=1)
                for of_one in zip(*naive, strict=True)
            },
        )
        for quantity in predicted.quantities
    }


def _naive_notes(task: Task, naive: list[tuple[Baseline, ...]]) -> tuple[str, ...]:
    return tuple(
        f"{task.calibration.as_of.date()}, {label}, {baseline.name}: {baseline.note}"
        for label, baselines in zip(task.lengths.labels, naive, strict=True)
        for baseline in baselines
        if baseline.note
    )


def _log_densities(plan: Plan, task: Task, actual: Floats) -> Floats:
    found = []
    for h, days in enumerate(task.lengths.days):
        last = task.outcome.last_day(int(days))
        found.append(
            log_predictive_density(plan, actual[:, h], in_unit(last, plan), horizon=days / DAYS_PER_UNIT[plan.unit])
        )
    return np.stack(found, axis=1)
