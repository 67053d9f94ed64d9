"""One origin of a backtest: fit what was known, forecast, and compare with what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import FitError, InputError
from clv_forecast.evaluation.baselines import Baseline, naive_forecasts
from clv_forecast.evaluation.densities import log_predictive_density
from clv_forecast.evaluation.origin_tables import TRACKING_DRAWS, frequency_table, newcomers_table, tracking_table
from clv_forecast.evaluation.predicted import PURCHASES, REVENUE, Predicted, in_unit
from clv_forecast.evaluation.windows import Lengths, Outcome
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.money import Terms
from clv_forecast.forecasting.plan import Plan, chunks_of, make_plan
from clv_forecast.forecasting.totals import Grouping
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.leave_one_out import LooResult, loo
from clv_forecast.inference.model import Model
from clv_forecast.inference.recipe import Recipe, fit_recipe
from clv_forecast.units import DAYS_PER_UNIT

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
    predicted = Predicted(plan, task.outcome, task.lengths, task.grouping)
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
        measured=_measured(task, predicted, expected, naive),
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
            _plan(task, model, min(task.draws, TRACKING_DRAWS)), task.outcome, task.lengths, task.calibration.as_of
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
    task: Task, predicted: Predicted, expected: dict[str, Floats], naive: list[tuple[Baseline, ...]]
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
        found.append(log_predictive_density(plan, actual[:, h], in_unit(last, plan), days / DAYS_PER_UNIT[plan.unit]))
    return np.stack(found, axis=1)
