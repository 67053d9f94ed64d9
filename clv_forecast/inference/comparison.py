"""The sibling transaction models fitted to the same rows, and what the comparison says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from clv_forecast.inference.faces import box
from clv_forecast.inference.maximum_likelihood import maximise
from clv_forecast.inference.problem import purchase_problem
from clv_forecast.inference.sufficient import PurchaseRows, compress
from clv_forecast.models import TRANSACTION_MODELS
from clv_forecast.progress import Progress, silent

ROWS_AT_MOST: Final = 20_000
TITLES: Final = {"bg_nbd": "BG/NBD", "mbg_nbd": "MBG/NBD", "pareto_nbd": "Pareto/NBD"}
_PILOT: Final = 1_000
_WORTH_SAYING: Final = 2.0  # log-likelihood units, at the same number of parameters
_TIE: Final = 1e-6  # below, a difference is the rounding of two searches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Alternatives and what they say.

    Parameters
    ----------
    table : DataFrame
        One row per model, best first: model, log_likelihood, aic, difference (from the fitted model; 0 where below
        1e-6, a tie, and then the fitted model comes first).
    notes : tuple of str
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


def compare_siblings(
    model: str, rows: PurchaseRows, log_likelihood: float | None = None, *, seed: int, progress: Progress = silent
) -> Comparison:
    """Fit every transaction model to the same rows.

    Parameters
    ----------
    model : str
        The fitted model.
    rows : PurchaseRows
    log_likelihood : float, optional
        Maximum of the fitted model on ``rows``, in the user's units, where it is known.
    seed : int
        Chooses the customers when there are more than 20,000 distinct rows: then all models, the fitted one too, are
        compared on a sample of customers, and a note says so.
    progress : Progress

    Returns
    -------
    Comparison
    """
    sampled = rows.weights.size > ROWS_AT_MOST
    used = _sample(rows, seed, ROWS_AT_MOST) if sampled else rows
    found = {} if sampled or log_likelihood is None else {model: log_likelihood}
    for done, name in enumerate(TRANSACTION_MODELS):
        progress("compare", done, len(TRANSACTION_MODELS))
        if name not in found:
            found[name] = _maximum(name, used, seed)
    progress("compare", len(TRANSACTION_MODELS), len(TRANSACTION_MODELS))
    table = pd.DataFrame({"model": list(found), "log_likelihood": list(found.values())})
    table["aic"] = 2.0 * 4 - 2.0 * table["log_likelihood"]
    difference = table["log_likelihood"] - found[model]
    table["difference"] = difference.where(difference.abs() >= _TIE, 0.0)
    order = np.lexsort((table["model"] != model, -table["difference"]))
    table = table.iloc[order].reset_index(drop=True)
    notes = [_sentence(model, table)]
    if sampled:
        notes.append(f"The comparison rests on a random sample of {int(used.weights.sum()):,} customers, for speed.")
    return Comparison(table=table, notes=tuple(notes))


def _sentence(model: str, table: pd.DataFrame) -> str:
    best, gain = str(table["model"].iloc[0]), float(table["difference"].iloc[0])
    name = TITLES.get(model, model)
    if best == model:
        level = [TITLES.get(other, other) for other in table["model"][table["difference"] == 0.0] if other != model]
        if level:
            return f"{name} ties with {' and '.join(level)}: the same log-likelihood on these customers."
        return f"{name} fits best of its siblings, by {_units(-float(table['difference'].iloc[1]))}."
    if gain < _WORTH_SAYING:
        return f"{TITLES.get(best, best)} fits {name}'s data about as well (+{_units(gain)})."
    return f"{TITLES.get(best, best)} fits better than {name} by {_units(gain)} on the same customers."


def _units(difference: float) -> str:
    return f"{difference:{'.1f' if difference >= 0.05 else '.1g'}} log-likelihood units"


def _maximum(name: str, rows: PurchaseRows, seed: int) -> float:
    """Log-likelihood at the optimum; with many rows, a pilot on some of the customers chooses among the starts."""
    problem = purchase_problem(name, rows)
    lower, upper = box(problem.coordinates)
    starts = problem.starts
    if rows.weights.size > 2 * _PILOT:
        pilot = purchase_problem(name, _sample(rows, seed, _PILOT))
        starts = (maximise(pilot.value_gradient, pilot.starts, lower=lower, upper=upper).theta,)
    return maximise(problem.value_gradient, starts, lower=lower, upper=upper).value + problem.offset


def _sample(rows: PurchaseRows, seed: int, size: int) -> PurchaseRows:
    """Some of the customers, each equally likely, whatever their order in the history."""
    customers = np.repeat(np.arange(rows.weights.size), rows.weights.astype(np.int64))
    kept = np.random.default_rng([seed, 3]).choice(customers, size=size, replace=False)
    return compress(rows.frequency[kept], rows.recency[kept], rows.T[kept])
