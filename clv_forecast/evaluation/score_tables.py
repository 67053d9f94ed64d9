"""Tables of scores: origins, horizons, groups and quantities, each origin alone and all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.evaluation import scores
from clv_forecast.evaluation.one_origin import Measured, OriginResult
from clv_forecast.evaluation.predicted import PURCHASES
from clv_forecast.evaluation.shocked_totals import TotalBands
from clv_forecast.forecasting.totals import EVERYONE

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
        row |= bands.row(cell.origin, cell.horizon, cell.group, cell.quantity)
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
