"""The verb ``backtest``: forecast from earlier days, as if today were then, and compare with what came.

From the results of all origins to the certificate.

Origins are evaluated side by side, in processes that joblib starts: they are not forked, because this one may hold
threads, and they do not import the caller's script, so a script without a main guard is not run again.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.arguments import count_of, draws_of, instance_of
from clv_forecast.errors import DomainError, FitError
from clv_forecast.evaluation.certificate import Certificate, ShockReport
from clv_forecast.evaluation.common_shock import ShockEstimate
from clv_forecast.evaluation.one_origin import OriginResult, Task, evaluate_origin, origin_seed
from clv_forecast.evaluation.score_tables import (
    ALL,
    bands_of_totals,
    baseline_table,
    calibration_table,
    cells_of,
    closer_totals,
    decile_table,
    density_table,
    naive_wins,
    pit_table,
    score_table,
    shock_of,
)
from clv_forecast.evaluation.verdict import (
    Verdict,
    customer_statuses,
    evidence_of,
    sentences_of,
    shock_sentence,
    total_statuses,
)
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
from clv_forecast.forecasting.totals import EVERYONE, Grouping
from clv_forecast.history.purchase_history import PurchaseHistory, customer_attribute, purchase_history
from clv_forecast.inference.recipe import Recipe
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.streams import as_seed
from clv_forecast.threads import number_of_threads
from clv_forecast.units import Horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a backtest was asked for.

    Parameters
    ----------
    recipe : Recipe
    by : str or None
    draws, seed : int
    undated : tuple of str
        Attributes of the recipe, or to group by, without a date.
    notes : tuple of str
        How the origins were chosen.
    """

    recipe: Recipe
    by: str | None
    draws: int
    seed: int
    undated: tuple[str, ...]
    notes: tuple[str, ...]


def certificate_of(
    results: Sequence[OriginResult], lengths: Lengths, history: PurchaseHistory, *, options: Options
) -> Certificate:
    """Make all tables and the verdict.

    Raises
    ------
    FitError
        If the fit failed at every origin.
    """
    fitted = [result for result in results if not result.failure]
    if not fitted:
        raise FitError(
            "The fit failed at every origin.",
            value="; ".join(f"{r.origin.date()}: {r.failure.rstrip('.')}" for r in results),
            remedy="Take later origins, so that the calibration is longer, or another recipe.",
        )
    cells = list(cells_of(fitted, lengths.labels))
    everyone = [cell for cell in cells if cell.group == EVERYONE]
    scores = score_table(cells, bands_of_totals(fitted, lengths))
    calibration, baselines = calibration_table(cells), baseline_table(everyone)
    used = tuple(name for name in options.undated if name in options.recipe.attributes)
    by_undated = options.by is not None and options.by in options.undated
    statuses = [
        *customer_statuses(calibration, scores, lengths, undated=used, undated_groups=by_undated),
        *total_statuses(scores, lengths, used),
    ]
    shock = shock_of(fitted, lengths)
    report = _shock_report(shock, lengths)
    origins = [str(result.origin.date()) for result in fitted]
    wins = naive_wins(baselines, ALL)
    return Certificate(
        title=options.recipe.title,
        recipe=options.recipe,
        horizons=lengths.labels,
        years=tuple(lengths.years.tolist()),
        origins=_origin_table(results),
        scores=scores,
        baselines=baselines,
        calibration=calibration,
        pit=pit_table(cells),
        deciles=decile_table(everyone),
        tracking=_stacked(fitted, "tracking").assign(group=EVERYONE, prob=0.9),
        by_frequency=_stacked(fitted, "by_frequency").assign(prob=0.9),
        newcomers=_stacked(results, "newcomers"),
        densities=density_table(fitted, lengths.labels),
        shock=None if shock is None else shock.shock,
        shock_report=report,
        evidence=None if used else evidence_of(statuses, lengths, options.recipe.title),
        verdict=Verdict(
            sentences=sentences_of(
                results=results,
                statuses=statuses,
                wins=wins,
                closer=closer_totals(baselines, origins),
                undated=used,
                scores=scores,
                shock_told=report.sentence,
                chosen=options.notes,
            ),
            statuses=tuple(statuses),
            naive_wins=wins,
        ),
        undated=options.undated,
        loo=results[-1].loo,
        notes=(*options.notes, *(note for result in fitted for note in result.naive_notes)),
        draws=options.draws,
        seed=options.seed,
        unit=history.unit,
        currency=history.currency,
        as_of=history.as_of,
    )


def _shock_report(shock: ShockEstimate | None, lengths: Lengths) -> ShockReport:
    return ShockReport(
        windows=0 if shock is None else shock.windows,
        independent=0 if shock is None else shock.independent,
        longest=lengths.labels[-1],
        longest_years=float(lengths.years[-1]),
        level_interval=None if shock is None else shock.level_interval,
        noise_interval=None if shock is None else shock.noise_interval,
        sentence=shock_sentence(shock, lengths),
    )


def _origin_table(results: Sequence[OriginResult]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "origin": [str(result.origin.date()) for result in results],
            "customers": [result.customers for result in results],
            "status": [result.status for result in results],
            "message": [result.message for result in results],
            "failed": [bool(result.failure) for result in results],
            "seed": [result.seed for result in results],
        }
    )


def _stacked(results: Sequence[OriginResult], name: str) -> pd.DataFrame:
    """A table of every origin, one under the other."""
    tables = []
    for result in results:
        table = getattr(result, name).copy()
        table.insert(0, "origin", str(result.origin.date()))
        tables.append(table)
    stacked: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return stacked


_LOOKED_UP: Final = 1.0  # seconds between two looks whether the parent is there


def evaluate_all(tasks: Sequence[Task], *, workers: int, done: Callable[[int], object]) -> list[OriginResult]:
    """Evaluate every task, on ``workers`` processes (1: in this one); the numbers are the same.

    Parameters
    ----------
    tasks : sequence of Task
    workers : int
    done : callable
        Called with the number of tasks done so far.

    Returns
    -------
    list of OriginResult
        In the order of the tasks.

    Raises
    ------
    FitError
        If a process ends without an answer.
    Exception
        What an evaluation raises, with a note that tells the origin.

    Notes
    -----
    The processes are of this call alone: those of ``joblib.Parallel`` are shared by all its callers, so that an error
    in one call ends the work of the others. They end with the call, whatever ends it.
    """
    workers = min(workers, len(tasks))
    if workers <= 1 or not sys.executable or multiprocessing.current_process().daemon:  # which may not start processes
        results = []
        for task in tasks:
            results.append(_evaluated(task))
            done(len(results))
        return results
    from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

    threads = {"NUMBA_NUM_THREADS": str(max(1, number_of_threads() // workers))}
    with warnings.catch_warnings():
        # A process whose memory grew is replaced between two origins, as it should be
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)
        with ProcessPoolExecutor(workers, initializer=_end_with, initargs=(os.getpid(),), env=threads) as pool:
            futures = []
            try:
                futures += [pool.submit(_evaluated, task) for task in tasks]
                for count, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    done(count)
            except BrokenProcessPool as error:
                days = [
                    str(task.calibration.as_of.date())
                    for task, future in zip(tasks, futures, strict=False)
                    if not future.done() or future.exception()
                ]
                raise FitError(
                    f"The process of origin {' or '.join(days[:workers])} ended without an answer.",
                    value=" ".join(str(error).split()).rstrip("."),
                    remedy="Try workers=1, which evaluates the origins one after the other in this process.",
                ) from error
            except BaseException:
                pool.shutdown(kill_workers=True)
                raise
            return [future.result() for future in futures]


def _end_with(parent: int) -> None:
    """Let this process end when its parent was killed; it would wait for ever to send its result."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOKED_UP)
        os._exit(1)

    threading.Thread(target=watch, name="clv_forecast parent", daemon=True).start()


def _evaluated(task: Task) -> OriginResult:
    """Evaluate a task on one thread of BLAS, which sums in the same order then on any number of processes."""
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(1, user_api="blas"):
            return evaluate_origin(task)
    except Exception as error:
        error.add_note(f"At the origin {task.calibration.as_of.date()}.")
        raise


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
    instance_of(recipe, Recipe, "recipe", made_by="Recipe(...)")
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
        tasks.append(_task(history, day, lengths, options=options))
        progress("split", len(tasks), len(days))
    tasks[-1] = replace(tasks[-1], leave_one_out=True)
    progress("backtest", 0, len(days))
    results = evaluate_all(tasks, workers=wanted, done=lambda count: progress("backtest", count, len(days)))
    return certificate_of(results, lengths, history, options=options)


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
        check_windows(named, first, history.as_of, lengths=lengths)
        return named, ()
    days = choose_origins(first, history.as_of, lengths)
    listed = ", ".join(str(day.date()) for day in days)
    note = (
        f"Origins chosen: {listed}: windows of {lengths.labels[-1]} that do not overlap and end by "
        f"{history.as_of.date()}, at most {MOST_ORIGINS}, each after a calibration at least as long."
    )
    return days, (note,)


def _task(history: PurchaseHistory, day: pd.Timestamp, lengths: Lengths, *, options: Options) -> Task:
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
