"""The model beside the naive forecasts, and whether one of them is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.evaluation import scores
from clv_forecast.evaluation.score_tables import Cell, errors_of

Floats = NDArray[np.float64]

MODEL: Final = "model"
COMPARED: Final = {"mae": -1.0, "rmse": -1.0, "gini": 1.0, "top_decile_capture": 1.0}
"""Measures compared customer by customer, with the sign that makes larger better."""
JUDGED: Final = ("rmse", "gini", "top_decile_capture")
"""Measures that a naive forecast can win by. The mean absolute error is shown, not judged: where most customers buy
nothing it rewards forecasts of nothing."""
_FOLDS: Final = 20
_WORTH_SAYING: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveWin:
    """A naive forecast that was better than the model: by ``advantage`` (standard error ``error``) in a measure."""

    method: str
    measure: str
    horizon: str
    quantity: str
    naive: float
    model: float
    advantage: float
    error: float


def baseline_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """Table ``baselines``: errors of the model and of each naive forecast, per origin, horizon and quantity.

    ``*_advantage`` says by how much the naive forecast is better (negative: worse), ``*_advantage_se`` its standard
    error by a jackknife over 20 parts of the customers (NaN where they are fewer). ``rmse_advantage_but_one`` leaves
    out the one customer that speaks most for the naive forecast: squared errors of money can rest on a single account.
    """
    rows = []
    for cell in cells:
        if len(cell.actual) == 0:
            continue
        fold = _folds(cell.ids)
        model = errors_of(cell.actual, cell.expected)
        model_left_out = {} if fold is None else _left_out(cell.actual, cell.expected, fold)
        rows.append(_key(cell, MODEL) | model)
        for method, forecast in cell.naive.items():
            naive = errors_of(cell.actual, forecast)
            row: dict[str, Any] = _key(cell, method) | naive
            naive_left_out = {} if fold is None else _left_out(cell.actual, forecast, fold)
            for measure, sign in COMPARED.items():
                row[f"{measure}_advantage"] = sign * (naive[measure] - model[measure])
                row[f"{measure}_advantage_se"] = (
                    float("nan") if fold is None else _jackknife(naive_left_out[measure] - model_left_out[measure])
                )
            row["rmse_advantage_but_one"] = _but_one(cell.actual, cell.expected, forecast)
            rows.append(row)
    return pd.DataFrame(rows)


def _key(cell: Cell, method: str) -> dict[str, Any]:
    return {"origin": cell.origin, "horizon": cell.horizon, "quantity": cell.quantity, "method": method}


def _folds(ids: NDArray[Any]) -> NDArray[np.intp] | None:
    """Fold of each row, a customer's rows together; None with fewer customers than folds."""
    customer = pd.factorize(ids)[0]
    return customer % _FOLDS if customer.max() + 1 >= _FOLDS else None


def _but_one(actual: Floats, model: Floats, naive: Floats) -> float:
    if len(actual) < 2:
        return float("nan")
    model_error, naive_error = (model - actual) ** 2, (naive - actual) ** 2
    most = np.argmax(model_error - naive_error)
    kept = np.arange(len(actual)) != most
    return float(np.sqrt(model_error[kept].mean()) - np.sqrt(naive_error[kept].mean()))


def _left_out(actual: Floats, expected: Floats, fold: NDArray[np.intp]) -> dict[str, Floats]:
    """Each measure without the customers of each fold; shape (fold,)."""
    error = expected - actual
    kept = len(actual) - np.bincount(fold, minlength=_FOLDS)
    without = {"mae": _sums_without(np.abs(error), fold) / kept, "rmse": np.sqrt(_sums_without(error**2, fold) / kept)}
    by_forecast, by_outcome = (_by_value_without(actual, value, fold) for value in (expected, actual))
    without["gini"] = np.array([scores.gini_of_sums(a, b) for a, b in zip(by_forecast, by_outcome, strict=True)])
    without["top_decile_capture"] = np.array([scores.top_share_of_sums(a) for a in by_forecast])
    return without


def _sums_without(values: Floats, fold: NDArray[np.intp]) -> Floats:
    return np.asarray(values.sum() - np.bincount(fold, weights=values, minlength=_FOLDS))


def _by_value_without(actual: Floats, value: Floats, fold: NDArray[np.intp]) -> list[scores.ByValue]:
    """Sums by value without each fold: sorted once."""
    _, code = np.unique(value, return_inverse=True)
    count = np.bincount(code).astype(np.float64)
    total = np.bincount(code, weights=actual)
    found = []
    for k in range(_FOLDS):
        out = fold == k
        gone = np.bincount(code[out], minlength=len(count))
        lost = np.bincount(code[out], weights=actual[out], minlength=len(count))
        found.append(scores.ByValue(count=count - gone, total=total - lost))
    return found


def _jackknife(values: Floats) -> float:
    return float(np.sqrt((_FOLDS - 1.0) / _FOLDS * ((values - values.mean()) ** 2).sum()))


def naive_wins(table: pd.DataFrame, origin: str) -> tuple[NaiveWin, ...]:
    """Where a naive forecast is better by more than two standard errors and 1 % of the model's measure.

    By squared error only if that does not rest on one customer alone.
    """
    found = []
    if table.empty:
        return ()
    chosen = table[table["origin"] == origin]
    for (horizon, quantity), rows in chosen.groupby(["horizon", "quantity"], sort=False):
        model = rows[rows["method"] == MODEL].iloc[0]
        for _, row in rows[rows["method"] != MODEL].iterrows():
            for measure in JUDGED:
                advantage, error = row[f"{measure}_advantage"], row[f"{measure}_advantage_se"]
                if measure == "rmse" and not row["rmse_advantage_but_one"] > 0.0:
                    continue
                if advantage > 2.0 * error and advantage > _WORTH_SAYING * abs(model[measure]):
                    found.append(
                        NaiveWin(
                            method=str(row["method"]),
                            measure=measure,
                            horizon=str(horizon),
                            quantity=str(quantity),
                            naive=float(row[measure]),
                            model=float(model[measure]),
                            advantage=float(advantage),
                            error=float(error),
                        )
                    )
    return tuple(found)


def closer_totals(table: pd.DataFrame, origins: Sequence[str]) -> pd.DataFrame:
    """In how many origins each naive forecast came closer to the total than the model: closer, origins."""
    chosen = table[table["origin"].isin(origins)]
    missed = (chosen["expected_total"] - chosen["actual_total"]).abs()
    wide = chosen.assign(missed=missed).pivot_table(
        index=["origin", "horizon", "quantity"], columns="method", values="missed", sort=False
    )
    tables = []
    for method in [name for name in wide.columns if name != MODEL]:
        won = (wide[method] < wide[MODEL]).groupby(level=["horizon", "quantity"], sort=False).agg(["sum", "size"])
        tables.append(won.reset_index().set_axis(["horizon", "quantity", "closer", "origins"], axis=1))
        tables[-1]["method"] = method
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
