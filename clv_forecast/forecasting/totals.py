"""Totals of groups: sums of the customers' draws, so that what moves together stays together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.forecasting.predictive import band

EVERYONE = "all"
MOST_GROUPS = 1000
NO_SHOCK_NOTE = "no season or trend: too narrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which group each customer belongs to; ``member`` has shape (customer,), the first group is everyone's."""

    names: tuple[str, ...]
    member: NDArray[np.intp]

    @classmethod
    def of(cls, labels: pd.Series[Any] | None, customers: int) -> Grouping:
        """Group by the labels; without labels there is only everyone. A missing label is its own group.

        Raises
        ------
        DomainError
            If there are more than 1000 groups, or one has the name of everyone's total.
        """
        if labels is None:
            return cls(names=(EVERYONE,), member=np.full(customers, -1))
        text = labels.astype("string").fillna("(missing)")
        codes, names = pd.factorize(text, sort=True)
        if EVERYONE in names:
            raise DomainError(
                f"A group may not be called {EVERYONE!r}, the name of everyone's total.", value=labels.name
            )
        if len(names) > MOST_GROUPS:
            raise DomainError(
                f"Totals are for at most {MOST_GROUPS} groups.", value=f"{labels.name} has {len(names)} values"
            )
        return cls(names=(EVERYONE, *(str(n) for n in names)), member=codes.astype(np.intp))


class GroupSums:
    """Running sums over customers, group by group, in the order of the customers (so chunks do not matter)."""

    def __init__(self, grouping: Grouping, horizons: int, draws: int) -> None:
        self._grouping = grouping
        shape = (len(grouping.names), horizons, draws)
        self.heavy = np.zeros(len(grouping.names), dtype=bool)
        self.sums = {name: np.zeros(shape) for name in _QUANTITIES}

    def add(self, rows: NDArray[np.intp], heavy: NDArray[np.bool_], quantities: dict[str, NDArray[Any]]) -> None:
        """Add customers' draws, each of shape (customer, horizon, draw); ``heavy`` marks spend of infinite variance."""
        member = self._grouping.member[rows]
        self.heavy[0] |= bool(heavy.any())
        self.heavy[member[heavy] + 1] = True
        for name, values in quantities.items():
            _accumulate(self.sums[name], member, values)


_QUANTITIES = (
    "purchases",
    "revenue",
    "value",
    "value_without_shock",
    "expected_purchases",
    "expected_revenue",
    "expected_value",
)


@njit(cache=True)
def _accumulate(sums, member, values):  # type: ignore[no-untyped-def]
    customers, horizons, draws = values.shape
    for i in range(customers):
        for h in range(horizons):
            for d in range(draws):
                sums[0, h, d] += values[i, h, d]
                if member[i] >= 0:
                    sums[member[i] + 1, h, d] += values[i, h, d]


def totals_table(
    sums: GroupSums, grouping: Grouping, horizons: tuple[str, ...], *, prob: float, shocked: bool
) -> pd.DataFrame:
    """Table ``totals``: one row per group and horizon.

    The variance of a total's value splits into ``parameter_share`` (we do not know the parameters),
    ``common_share`` (what moves all customers at once; missing without a shock) and ``process_share`` (the rest:
    each customer's own chance). All three are missing where the spend of a customer has no finite variance.
    """
    counts = np.bincount(grouping.member + 1, minlength=len(grouping.names))
    counts[0] = len(grouping.member)
    rows = []
    for g, name in enumerate(grouping.names):
        for h, horizon in enumerate(horizons):
            draws = {quantity: values[g, h] for quantity, values in sums.sums.items()}
            row = _row(draws, prob, shocked)
            if sums.heavy[g]:
                row |= dict.fromkeys(("parameter_share", "process_share", "common_share"), np.nan)
            rows.append({"group": name, "horizon": horizon, "customers": int(counts[g]), **row})
    table = pd.DataFrame(rows)
    table["horizon"] = pd.Categorical(table["horizon"], horizons, ordered=True)
    return table


def _row(draws: dict[str, NDArray[np.float64]], prob: float, shocked: bool) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for quantity in ("purchases", "revenue", "value"):
        low, high = band(draws[quantity], prob)
        row |= {
            quantity: float(draws[f"expected_{quantity}"].mean()),
            f"{quantity}_lower": float(low),
            f"{quantity}_upper": float(high),
        }
    low, high = band(draws["expected_value"], prob)
    everything = float(draws["value"].var())
    parameter, common = np.nan, np.nan
    if everything > 0.0:
        parameter = min(float(draws["expected_value"].var()) / everything, 1.0)
        if shocked:
            common = min(max(1.0 - float(draws["value_without_shock"].var()) / everything, 0.0), 1.0 - parameter)
    return row | {
        "mean_lower": float(low),
        "mean_upper": float(high),
        "parameter_share": parameter,
        "process_share": 1.0 - parameter - (common if shocked else 0.0),
        "common_share": common,
        "note": "" if shocked else NO_SHOCK_NOTE,
    }
