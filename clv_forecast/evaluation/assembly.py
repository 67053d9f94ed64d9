"""From the results of all origins to the certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clv_forecast.errors import FitError
from clv_forecast.evaluation.baseline_table import baseline_table, closer_totals, naive_wins
from clv_forecast.evaluation.certificate import Certificate, ShockReport
from clv_forecast.evaluation.common_shock import ShockEstimate
from clv_forecast.evaluation.one_origin import OriginResult
from clv_forecast.evaluation.score_tables import (
    ALL,
    calibration_table,
    cells_of,
    decile_table,
    density_table,
    pit_table,
    score_table,
)
from clv_forecast.evaluation.shocked_totals import bands_of_totals, shock_of
from clv_forecast.evaluation.statuses import customer_statuses, evidence_of, total_statuses
from clv_forecast.evaluation.verdict import Verdict, sentences_of, shock_sentence
from clv_forecast.evaluation.windows import Lengths
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.recipe import Recipe


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
    results: Sequence[OriginResult], lengths: Lengths, history: PurchaseHistory, options: Options
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
        *customer_statuses(calibration, scores, lengths, used, undated_groups=by_undated),
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
