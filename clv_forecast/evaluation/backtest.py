"""The verb ``backtest``: forecast from earlier days, as if today were then, and compare with what came."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.arguments import count_of, draws_of, instance_of
from clv_forecast.errors import DomainError
from clv_forecast.evaluation.assembly import Options, certificate_of
from clv_forecast.evaluation.certificate import Certificate
from clv_forecast.evaluation.one_origin import Task, origin_seed
from clv_forecast.evaluation.processes import evaluate_all
from clv_forecast.evaluation.windows import (
    MOST_ORIGINS,
    Lengths,
    check_windows,
    choose_origins,
    first_purchase,
    longest_horizon,
    origin_days,
    outcome_of,
)
from clv_forecast.forecasting.horizons import either_name
from clv_forecast.forecasting.totals import Grouping
from clv_forecast.history.purchase_history import PurchaseHistory, customer_attribute, purchase_history
from clv_forecast.inference.recipe import Recipe
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.streams import as_seed
from clv_forecast.units import Horizon

DEFAULT_RECIPE: Final = Recipe()
MOST_GROUPS: Final = 200
USUAL_HORIZON: Final = "12 months"


@shows_progress
def backtest(
    data: Any,
    *,
    origins: Any = None,
    horizon: str | Sequence[str] | None = None,
    horizons: str | Sequence[str] | None = None,
    recipe: Recipe = DEFAULT_RECIPE,
    as_of: Any = None,
    by: str | None = None,
    draws: int = 1000,
    rng: int | np.random.Generator = 1,
    workers: int | None = None,
    progress: Progress = automatic,
    unit: str = "week",
) -> Certificate:
    """Test a recipe's forecasts on the past: fit as of earlier days, and compare with what came after.

    At every origin the log is cut and netted as it was known then, the recipe is fitted, and every customer known then
    is forecast. The certificate says which bands held what they promise, at single customers and at totals, whether a
    naive forecast does better, and what moves all customers at once.

    Parameters
    ----------
    data : PurchaseHistory, or an order log
        A log has the columns customer_id, date and amount, and needs ``as_of``.
    origins : dates, Timestamps or ISO texts, optional
        Last days of calibration, inclusive. Default: the windows of the longest horizon that fit without overlap into
        the end of the log, at most five, each after a calibration at least as long.
    horizon : str or sequence of str, optional
        Such as ``"39 weeks"``; whole days, rounded down. A window is (origin, origin + horizon]. Default: 12 months,
        or the longest that the log allows where that is shorter (half of it, or what comes after the last of the
        origins that are given), which the certificate says.
    horizons : str or sequence of str, optional
        The same by its other name.
    recipe : Recipe
        The fit to repeat at every origin.
    as_of : date, Timestamp or ISO text, optional
        Last day of an order log.
    by : str, optional
        An attribute of the customers: all scores also per group.
    draws : int
        Predictive draws, from 100 to 100,000.
    rng : int or Generator
        Seed. The numbers of an origin depend on the seed and its day alone.
    workers : int, optional
        Processes; by default one per origin, up to the number of processors. It changes no number.
    progress : callable
        See ``clv_forecast.progress``.
    unit : str
        Unit of time of a history made from an order log.

    Returns
    -------
    Certificate

    Raises
    ------
    DomainError
        If an argument is outside its domain, a window ends after ``as_of``, or the log is too short.
    InputError
        If the history was made from a summary, or nobody had bought by an origin.
    FitError
        If the fit fails at every origin. One that fails at some is reported in ``certificate.origins``.

    Notes
    -----
    Purchases in a window are as known at the end of the log. A window's shocked band uses only windows that had closed
    by its origin. Uniforms that split ties in the PIT belong to the customer, so rows may come in any order.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> orders = clv.load_cdnow("1/10")
    >>> certificate = backtest(orders, as_of="1998-06-30", horizon="39 weeks", draws=200, workers=1)
    >>> certificate.origins["origin"].tolist()
    ['1997-09-30']
    >>> int(certificate.scores["actual_total"].iloc[0])
    1882
    """
    instance_of(recipe, Recipe, "recipe", "Recipe(...)")
    number = draws_of(draws)
    history = _history(data, as_of, unit)
    asked = either_name(horizon, horizons, None)
    named = None if origins is None else origin_days(origins)
    chosen, told = (asked, ()) if asked is not None else _horizon(history, named)
    lengths, seed = Lengths.parse(chosen), as_seed(rng)
    undated = _undated(history, recipe, by)
    days, notes = _origins(named, history, lengths)
    notes = (*told, *notes)
    options = Options(recipe=recipe, by=by, draws=number, seed=seed, undated=undated, notes=notes)
    wanted = count_of(workers, "workers") or min(len(days), os.cpu_count() or 1)
    tasks = []
    progress("split", 0, len(days))
    for day in days:
        tasks.append(_task(history, day, lengths, options))
        progress("split", len(tasks), len(days))
    tasks[-1] = replace(tasks[-1], leave_one_out=True)
    progress("backtest", 0, len(days))
    results = evaluate_all(tasks, workers=wanted, done=lambda count: progress("backtest", count, len(days)))
    return certificate_of(results, lengths, history, options)


def _history(data: Any, as_of: Any, unit: str) -> PurchaseHistory:
    if isinstance(data, PurchaseHistory):
        if as_of is not None:
            raise DomainError("as_of belongs to an order log; a history has its own.", value=as_of)
        return data
    if as_of is None:
        raise DomainError("An order log needs as_of, its last day.", remedy="Give as_of='YYYY-MM-DD'.")
    return purchase_history(data, as_of=as_of, unit=unit)


def _horizon(history: PurchaseHistory, named: tuple[pd.Timestamp, ...] | None) -> tuple[str, tuple[str, ...]]:
    """The horizon tested where none was asked for, and what to say of it."""
    longest = longest_horizon(first_purchase(history), history.as_of, None if named is None else named[-1])
    if Horizon.parse(longest).years >= Horizon.parse(USUAL_HORIZON).years:
        return USUAL_HORIZON, ()
    what = "the log allows" if named is None else "the log allows after these origins"
    return longest, (f"Tested over {longest}, the longest horizon that {what}.",)


def _undated(history: PurchaseHistory, recipe: Recipe, by: str | None) -> tuple[str, ...]:
    """Attributes known only as of today; an unknown name is refused here, before anything is fitted."""
    names = dict.fromkeys([*recipe.attributes, *([] if by is None else [by])])
    return tuple(name for name in names if not customer_attribute(history, name).dated)


def _origins(
    named: tuple[pd.Timestamp, ...] | None, history: PurchaseHistory, lengths: Lengths
) -> tuple[tuple[pd.Timestamp, ...], tuple[str, ...]]:
    first = first_purchase(history)
    if named is not None:
        check_windows(named, first, history.as_of, lengths)
        return named, ()
    days = choose_origins(first, history.as_of, lengths)
    listed = ", ".join(str(day.date()) for day in days)
    note = (
        f"Origins chosen: {listed}: windows of {lengths.labels[-1]} that do not overlap and end by "
        f"{history.as_of.date()}, at most {MOST_ORIGINS}, each after a calibration at least as long."
    )
    return days, (note,)


def _task(history: PurchaseHistory, day: pd.Timestamp, lengths: Lengths, options: Options) -> Task:
    split = history.split(day)
    calibration = replace(split.calibration, events=None)
    labels = None if options.by is None else customer_attribute(calibration, options.by).values
    grouping = Grouping.of(labels, len(calibration.table))
    if len(grouping.names) > MOST_GROUPS:
        raise DomainError(
            f"A backtest is for at most {MOST_GROUPS} groups.", value=f"{options.by} has {len(grouping.names) - 1}"
        )
    return Task(
        calibration=calibration,
        outcome=outcome_of(split, lengths.longest),
        lengths=lengths,
        grouping=grouping,
        recipe=options.recipe,
        draws=options.draws,
        seed=origin_seed(options.seed, day),
    )
