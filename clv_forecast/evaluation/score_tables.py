"""Tables of scores: origins, horizons, groups and quantities, each origin alone and all together.

Bands of totals, without and with a common shock that was learnt before the window began.

The model beside the naive forecasts, and whether one of them is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.evaluation import scores
from clv_forecast.evaluation.common_shock import ShockEstimate, Window, estimate_shock, window_of
from clv_forecast.evaluation.one_origin import PURCHASES, Measured, OriginResult, Totals
from clv_forecast.evaluation.windows import PERIOD_DAYS, Days, Lengths
from clv_forecast.forecasting.adjustments import CommonShock
from clv_forecast.forecasting.predictive import band
from clv_forecast.forecasting.totals import EVERYONE

PROB = 0.9
_NAMES = ("total_lower", "total_upper", "total_covered", "shocked_lower", "shocked_upper", "shocked_covered")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TotalBands:
    """90 % bands of the totals of every origin, horizon, group and quantity.

    ``rows`` maps (origin, horizon, group, quantity) to the columns of the score table.
    """

    rows: dict[tuple[str, str, str, str], dict[str, float]]

    def row(self, origin: str, horizon: str, group: str, *, quantity: str) -> dict[str, float]:
        """Columns of one row; of all origins together the shares covered."""
        if (origin, horizon, group, quantity) in self.rows:
            return self.rows[origin, horizon, group, quantity]
        found = [row for key, row in self.rows.items() if key[1:] == (horizon, group, quantity)]
        together = dict.fromkeys((*_NAMES, "shock_windows"), float("nan"))
        for name in ("total_covered", "shocked_covered"):
            known = [row[name] for row in found if np.isfinite(row[name])]
            if known:
                together[name] = float(np.mean(known))
        return together


def bands_of_totals(results: Sequence[OriginResult], lengths: Lengths) -> TotalBands:
    """Bands of all totals; the shocked ones use only windows that had closed by the origin."""
    rows: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for result in results:
        windows = closed_windows(results, lengths, by=result.origin)
        learnt = estimate_shock(windows)
        for quantity, totals in result.totals.items():
            shocked = None if learnt is None else shocked_draws(totals, learnt.shock, result.seed)
            at = np.searchsorted(totals.ends, lengths.days)
            for g, group in enumerate(result.grouping.names):
                for end, label in zip(at, lengths.labels, strict=True):
                    actual = totals.actual[g, end]
                    row = _band_row("total", totals.draws[g, end], actual)
                    row |= _band_row("shocked", None if shocked is None else shocked[g, end], actual)
                    row["shock_windows"] = 0.0 if learnt is None else float(learnt.windows)
                    rows[str(result.origin.date()), label, group, quantity] = row
    return TotalBands(rows=rows)


def closed_windows(
    results: Sequence[OriginResult], lengths: Lengths, *, by: pd.Timestamp | None = None
) -> tuple[Window, ...]:
    """One window of purchases per origin: the longest one that had closed ``by`` the day (or the longest of all)."""
    windows: list[Window] = []
    for result in results:
        known = [
            h for h, days in enumerate(lengths.days) if by is None or result.origin + pd.Timedelta(days=int(days)) <= by
        ]
        if known:
            windows += _window(result, lengths.periods[known[-1]])
    return tuple(windows)


def shocked_draws(totals: Totals, shock: CommonShock, seed: int) -> Floats:
    """The draws of the totals after a common shock, shape (group, end, draw).

    A period's multiplier is the same for all customers, so moving the sums moves every customer.
    """
    period = np.ceil(totals.ends / PERIOD_DAYS - 1e-9).astype(np.intp) - 1
    draws = totals.draws.shape[-1]
    multipliers = shock.multipliers(seed=seed, first_draw=0, draws=draws, periods=int(period[-1]) + 1)
    new = np.diff(totals.draws, axis=1, prepend=0.0)
    return np.asarray(np.cumsum(new * multipliers.T[period], axis=1))


def shock_of(results: Sequence[OriginResult], lengths: Lengths) -> ShockEstimate | None:
    """The common shock learnt from all windows: for forecasts from now on."""
    return estimate_shock(closed_windows(results, lengths))


def _window(result: OriginResult, ends: Days) -> list[Window]:
    """The window up to the last of ``ends``; none where the model expects no purchase in a period."""
    totals = result.totals[PURCHASES]
    at = np.searchsorted(totals.ends, ends)
    draws = np.diff(totals.draws[0, at], axis=0, prepend=0.0)
    if not (draws.mean(axis=1) > 0.0).all():
        return []
    end = result.origin + pd.Timedelta(days=int(ends[-1]))
    return [window_of(result.origin, end, np.diff(totals.actual[0, at], prepend=0.0), draws=draws)]


def _band_row(name: str, draws: Floats | None, actual: float) -> dict[str, float]:
    if draws is None:
        return dict.fromkeys((f"{name}_lower", f"{name}_upper", f"{name}_covered"), float("nan"))
    low, high = band(draws, PROB)
    return {
        f"{name}_lower": float(low),
        f"{name}_upper": float(high),
        f"{name}_covered": float(low <= actual <= high),
    }


Floats = NDArray[np.float64]

ALL: Final = "all"
NOMINAL: Final = (*(round(0.05 * k, 2) for k in range(1, 20)), 0.99)
_BINS: Final = 20
_DECILES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """Customers of one origin or of all, one horizon, one group and one quantity; arrays of shape (customer,)."""

    origin: str
    horizon: str
    group: str
    quantity: str
    ids: NDArray[Any]
    actual: Floats
    expected: Floats
    pit: Floats
    crps: Floats
    inside: NDArray[np.bool_]
    log_score: Floats
    log_density: Floats
    naive: dict[str, Floats]

    @property
    def key(self) -> dict[str, str]:
        """What names the cell in a table."""
        return {"origin": self.origin, "horizon": self.horizon, "group": self.group, "quantity": self.quantity}


def cells_of(results: Sequence[OriginResult], labels: Sequence[str], *, groups: bool = True) -> Iterator[Cell]:
    """All cells: per horizon and quantity each origin's, its groups after everyone, then those of all origins."""
    for h, label in enumerate(labels):
        for quantity in results[0].measured:
            made = [_cells_of_origin(result, result.measured[quantity], (h, label, quantity)) for result in results]
            for cells in made:
                yield from cells if groups else cells[:1]
            names = dict.fromkeys(cell.group for cells in made for cell in cells)
            for name in names if groups else [EVERYONE]:
                yield _together([cell for cells in made for cell in cells if cell.group == name])


def _cells_of_origin(result: OriginResult, measured: Measured, which: tuple[int, str, str]) -> list[Cell]:
    h, label, quantity = which
    ids = result.ids.to_numpy(dtype=object)
    cells = []
    for code, name in enumerate(result.grouping.names):
        rows = np.arange(len(ids)) if code == 0 else np.flatnonzero(result.grouping.member == code - 1)
        cells.append(
            Cell(
                origin=str(result.origin.date()),
                horizon=label,
                group=name,
                quantity=quantity,
                ids=ids[rows],
                actual=measured.actual[rows, h],
                expected=measured.expected[rows, h],
                pit=measured.pit[rows, h],
                crps=measured.crps[rows, h],
                inside=measured.inside[rows, h],
                log_score=result.log_score[rows, h],
                log_density=result.log_density[rows, h],
                naive={name: values[rows, h] for name, values in measured.expected_naive.items()},
            )
        )
    return cells


def _together(cells: Sequence[Cell]) -> Cell:
    def joined(name: str) -> Any:
        return np.concatenate([getattr(cell, name) for cell in cells])

    return Cell(
        origin=ALL,
        horizon=cells[0].horizon,
        group=cells[0].group,
        quantity=cells[0].quantity,
        ids=joined("ids"),
        actual=joined("actual"),
        expected=joined("expected"),
        pit=joined("pit"),
        crps=joined("crps"),
        inside=joined("inside"),
        log_score=joined("log_score"),
        log_density=joined("log_density"),
        naive={name: np.concatenate([cell.naive[name] for cell in cells]) for name in cells[0].naive},
    )


def errors_of(actual: Floats, expected: Floats) -> dict[str, float]:
    """Errors of an expectation: totals, bias (0.1 is 10 % too much), per customer, and how well it orders them."""
    total = float(actual.sum())
    error = expected - actual
    return {
        "actual_total": total,
        "expected_total": float(expected.sum()),
        "bias": float(expected.sum()) / total - 1.0 if total > 0.0 else float("nan"),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "gini": scores.normalised_gini(actual, expected),
        "top_decile_capture": scores.top_share(actual, expected),
    }


def score_table(cells: Sequence[Cell], bands: TotalBands) -> pd.DataFrame:
    """Table ``scores``: one row per cell.

    In the rows of all origins the totals are sums over origins (windows may overlap), and ``total_covered`` is the
    share of the origins.
    """
    rows = []
    for cell in cells:
        if len(cell.actual) == 0:
            continue
        counts = cell.quantity == PURCHASES
        row: dict[str, Any] = cell.key | {"customers": len(cell.actual)} | errors_of(cell.actual, cell.expected)
        row |= bands.row(cell.origin, cell.horizon, cell.group, quantity=cell.quantity)
        for level in scores.LEVELS:
            row[f"coverage_{level * 100:g}"] = float(scores.covered(cell.pit, level).mean())
        for k, level in enumerate(scores.LEVELS):
            row[f"band_coverage_{level * 100:g}"] = float(cell.inside[:, k].mean())
        row |= {
            "level_for_90": scores.level_needed(cell.pit, 0.9),
            "pit_ks": scores.ks_distance(cell.pit),
            "crps": float(cell.crps.mean()),
            "log_score": float(cell.log_score.mean()) if counts else float("nan"),
            "elpd": float(cell.log_density.sum()) if counts else float("nan"),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """Table ``calibration``: coverage of the randomised central bands at many levels, with clustered errors.

    Customers are the clusters: the windows of one customer tell some of the same. What moves all customers at once
    is not in the errors.
    """
    rows = []
    for cell in cells:
        if len(cell.actual) == 0:
            continue
        cluster = cell.ids if cell.origin == ALL else None
        code = None if cluster is None else pd.factorize(cluster)[0]
        for level in sorted({*NOMINAL, *scores.LEVELS}):
            inside = scores.covered(cell.pit, level)
            rows.append(
                cell.key
                | {
                    "nominal": level,
                    "coverage": float(inside.mean()),
                    "standard_error": scores.clustered_error(inside, code),
                    "customers": len(inside),
                }
            )
    return pd.DataFrame(rows)


def pit_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """Table ``pit``: histogram of the randomised transforms, with the 90 % band of a right forecast.

    The band is that of independent customers in one window.
    """
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    tables = []
    for cell in cells:
        count = np.histogram(cell.pit, edges)[0]
        size = len(cell.pit)
        if size == 0:
            continue
        width = 1.645 * np.sqrt((_BINS - 1.0) / size)
        table = pd.DataFrame(
            {
                "left": edges[:-1],
                "right": edges[1:],
                "count": count,
                "density": count * _BINS / size,
                "lower": max(0.0, 1.0 - width),
                "upper": 1.0 + width,
                "prob": 0.9,
            }
        )
        tables.append(table.assign(**cell.key)[[*cell.key, *table.columns]])
    return pd.concat(tables, ignore_index=True)


def decile_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """Table ``deciles``: a tenth of the customers each, the highest expectation first; origins alone and summed up."""
    tables = []
    for cell in cells:
        if cell.origin == ALL:
            continue
        count, expected, actual = scores.deciles(cell.actual, cell.expected)
        table = pd.DataFrame(
            {"decile": np.arange(1, _DECILES + 1), "customers": count, "expected": expected, "actual": actual}
        )
        tables.append(table.assign(origin=cell.origin, horizon=cell.horizon, quantity=cell.quantity))
    table = pd.concat(tables, ignore_index=True)
    summed = table.groupby(["horizon", "quantity", "decile"], sort=False, as_index=False)[
        ["customers", "expected", "actual"]
    ].sum()
    table = pd.concat([table, summed.assign(origin=ALL)], ignore_index=True)
    total = table.groupby(["origin", "horizon", "quantity"])["actual"].transform("sum")
    table["share_of_actual"] = table["actual"] / total.where(total > 0.0)
    return table[["origin", "horizon", "quantity", "decile", "customers", "expected", "actual", "share_of_actual"]]


def density_table(results: Sequence[OriginResult], labels: Sequence[str]) -> pd.DataFrame:
    """Table ``densities``: log predictive density of what each customer did, per origin and horizon."""
    tables = [
        pd.DataFrame(
            {
                "customer_id": result.ids.to_numpy(),
                "origin": str(result.origin.date()),
                "horizon": label,
                "log_density": result.log_density[:, h],
            }
        )
        for result in results
        for h, label in enumerate(labels)
    ]
    return pd.concat(tables, ignore_index=True)


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
