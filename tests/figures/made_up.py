"""Made-up tables in the form the figures take, and which figure draws which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from clv_forecast import figures

ORIGIN = pd.Timestamp("1997-09-30")


def tracking(periods: int = 6) -> pd.DataFrame:
    period = np.arange(1, periods + 1)
    actual = 10.0 + period % 3
    expected = 12.0 - 0.5 * period
    table = pd.DataFrame(
        {
            "origin": ORIGIN,
            "quantity": "purchases",
            "period": period,
            "end": ORIGIN + pd.to_timedelta(7 * period, unit="D"),
            "actual": actual,
            "expected": expected,
            "lower": expected - 4.0,
            "upper": expected + 4.0,
            "prob": 0.9,
            "unit": "week",
        }
    )
    for name in ("actual", "expected", "lower", "upper"):
        table[f"cumulative_{name}"] = table[name].cumsum()
    return table


def frequencies() -> pd.DataFrame:
    customers = np.array([1403, 439, 214, 100, 62, 38, 0, 93])
    expected = customers + np.array([5.0, -9.0, 3.0, 0.0, -2.0, 1.0, 0.5, 1.5])
    return pd.DataFrame(
        {
            "frequency": ["0", "1", "2", "3", "4", "5", "6", "7+"],
            "customers": customers,
            "expected": expected,
            "lower": np.maximum(expected - 20.0, 0.0),
            "upper": expected + 20.0,
            "prob": 0.9,
        }
    )


def by_frequency() -> pd.DataFrame:
    expected = np.array([0.2, 0.6, 1.4, 6.0])
    return pd.DataFrame(
        {
            "origin": ORIGIN,
            "horizon": "39 weeks",
            "frequency": ["0", "1", "2", "3+"],
            "customers": [1403, 439, 214, 1],
            "actual": [0.25, 0.5, 0.0, 7.0],
            "expected": expected,
            "lower": 0.5 * expected,
            "upper": 1.5 * expected,
            "prob": 0.9,
        }
    )


def matrix() -> pd.DataFrame:
    frequency, recency = (grid.ravel() for grid in np.meshgrid([0, 1, 2, 3], [0.0, 13.0, 26.0, 39.0], indexing="ij"))
    possible = (frequency > 0) == (recency > 0)
    alive = np.where(possible, np.clip(1.0 - 0.02 * (39.0 - recency) * frequency, 0.0, 1.0), np.nan)
    return pd.DataFrame(
        {
            "frequency": frequency,
            "recency": recency,
            "p_alive": alive,
            "expected_purchases": 1.3 * alive * frequency,
            "T": 39.0,
            "horizon": "39 weeks",
            "unit": "week",
        }
    )


def heterogeneity(first: float = 0.2) -> pd.DataFrame:
    left = np.arange(10.0) / 10.0
    share = np.concatenate([[first], np.linspace(0.15, 0.01, 9)])
    return pd.DataFrame(
        {
            "quantity": "purchase rate",
            "unit": "purchases per week",
            "left": left,
            "right": left + 0.1,
            "share": share,
            "lower": 0.9 * share,
            "upper": 1.1 * share,
            "prob": 0.9,
        }
    )


def calibration() -> pd.DataFrame:
    nominal = np.array([0.5, 0.8, 0.9, 0.95])
    rows = [
        pd.DataFrame(
            {
                "origin": origin,
                "horizon": "39 weeks",
                "quantity": quantity,
                "nominal": nominal,
                "coverage": nominal - shift,
                "standard_error": 0.01,
            }
        )
        for origin in ("1997-09-30", "all")
        for quantity, shift in (("purchases", 0.02), ("revenue", 0.05))
    ]
    return pd.concat(rows, ignore_index=True)


def pit() -> pd.DataFrame:
    left = np.arange(10.0) / 10.0
    return pd.DataFrame(
        {
            "origin": ORIGIN,
            "horizon": "39 weeks",
            "quantity": "purchases",
            "left": left,
            "right": left + 0.1,
            "density": 1.0 + 0.02 * np.arange(-5.0, 5.0),
            "lower": 0.9,
            "upper": 1.1,
            "prob": 0.9,
        }
    )


def deciles() -> pd.DataFrame:
    expected = 900.0 / np.arange(1.0, 11.0)
    return pd.DataFrame(
        {
            "origin": ORIGIN,
            "horizon": "39 weeks",
            "quantity": "purchases",
            "decile": np.arange(1, 11),
            "customers": 235,
            "expected": expected,
            "actual": np.append(expected[:-1] * 1.1, 0.0),
            "lower": 0.8 * expected,
            "upper": 1.2 * expected,
            "prob": 0.9,
        }
    )


def shrinkage(groups: int = 4, name: str = "region {}") -> pd.DataFrame:
    own = 0.05 + 0.01 * np.arange(groups)
    partial = 0.5 * (own + 0.06)
    return pd.DataFrame(
        {
            "quantity": "purchase rate",
            "unit": "purchases per week",
            "group": [name.format(i) for i in range(groups)],
            "customers": 1000 // np.arange(1, groups + 1),
            "own": own,
            "own_lower": own - 0.02,
            "own_upper": own + 0.02,
            "partial": partial,
            "partial_lower": partial - 0.01,
            "partial_upper": partial + 0.01,
            "pooled": 0.06,
            "pooled_lower": 0.057,
            "pooled_upper": 0.063,
            "prob": 0.9,
        }
    )


def path() -> pd.DataFrame:
    past = pd.DataFrame({"date": pd.date_range("1997-09-01", "1997-09-30"), "when": "past"})
    past["purchase"] = past["date"].dt.day.isin([1, 9, 20])
    past["purchases"] = past["purchase"].cumsum() - 1.0
    past["p_alive"] = 1.0 - 0.01 * past["date"].dt.day
    future = pd.DataFrame({"date": pd.date_range("1997-10-07", periods=8, freq="7D"), "when": "future"})
    future["purchase"] = False
    future["purchases"] = 2.0 + 0.3 * np.arange(1, 9)
    future["p_alive"] = 0.7 - 0.02 * np.arange(1, 9)
    table = pd.concat([past, future], ignore_index=True)
    table["p_alive_lower"], table["p_alive_upper"] = table["p_alive"] - 0.05, table["p_alive"] + 0.0
    ahead = table["when"] == "future"
    table["purchases_lower"] = np.where(ahead, 2.0, table["purchases"])
    table["purchases_upper"] = np.where(ahead, 5.0, table["purchases"])
    return table.assign(customer_id=4, prob=0.9, as_of=ORIGIN, unit="week")


def totals(groups: int = 3) -> pd.DataFrame:
    rows = [
        (group, horizon, customers, value, 0.8 * value, 1.3 * value)
        for group, customers in (("all", 90), *((f"region {i}", 30) for i in range(groups)))
        for horizon, value in (("12 months", 4000.0), ("36 months", 9000.0))
    ]
    names = ["group", "horizon", "customers", "value", "value_lower", "value_upper"]
    table = pd.DataFrame(rows, columns=names).assign(prob=0.9, currency="USD")
    table["horizon"] = pd.Categorical(table["horizon"], ["12 months", "36 months"], ordered=True)
    return table


def curves(measures: tuple[str, ...] = ("now", "next 12 months"), *, band: bool = True) -> pd.DataFrame:
    share = np.linspace(0.0, 1.0, 11)
    tables = []
    for i, measure in enumerate(measures):
        value = share ** (0.3 + 0.1 * i)
        table = pd.DataFrame({"measure": measure, "share_of_accounts": share, "share_of_value": value})
        if band and i:
            table = table.assign(lower=0.95 * value, upper=np.minimum(1.03 * value, 1.0), prob=0.9)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def moves() -> pd.DataFrame:
    rows = [
        ("key accounts", "key accounts", 40),
        ("key accounts", "core", 12),
        ("core", "key accounts", 7),
        ("core", "core", 130),
        ("core", "gone", 9),
        ("steady", "core", 15),
        ("steady", "steady", 300),
        ("new", "steady", 60),
    ]
    table = pd.DataFrame(rows, columns=["from_cell", "to_cell", "customers"])
    cells = ["key accounts", "core", "steady", "new", "gone"]
    for name in ("from_cell", "to_cell"):
        table[name] = pd.Categorical(table[name], cells, ordered=True)
    return table.assign(value_before=1.0, value=2.0, change=1.0)


def cells() -> pd.DataFrame:
    classes = ("high", "middle", "low")
    rows = [(f"{v} by {p}", v, p) for v in classes for p in classes]
    table = pd.DataFrame(rows, columns=["cell", "value_class", "potential_class"])
    table["accounts"] = [66, 12, 150, 80, 1, 0, 465, 900, 2200]
    table["value"] = 1000.0 * np.arange(9, 0, -1)
    table["potential_value"] = [9e8, 4e7, 0.0, 8e8, 1e6, 0.0, 9e9, 1e6, -5.0]
    table["headroom"] = 2.0 * table["potential_value"]
    for axis in ("value", "potential"):
        table[f"{axis}_above"] = table[f"{axis}_class"].map({"high": 1.2e6, "middle": 3e5, "low": -np.inf})
        table[f"{axis}_up_to"] = table[f"{axis}_class"].map({"high": np.inf, "middle": 1.2e6, "low": 3e5})
    return table.assign(currency="EUR")


def ranking(accounts: int = 40, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    value = np.sort(rng.lognormal(11.0, 1.5, accounts))[::-1]
    rank = np.arange(1, accounts + 1)
    potential = np.where(rng.random(accounts) < 0.3, 0.0, rng.lognormal(10.0, 2.0, accounts))
    return pd.DataFrame(
        {
            "customer_id": [f"A{i:06d}" for i in rank],
            "name": [f"Company {i}" for i in rank],
            "rank": rank,
            "rank_lower": np.maximum(rank - rank // 4 - 1, 1),
            "rank_upper": rank + rank // 3 + 1,
            "adjusted_value": value,
            "adjusted_lower": 0.6 * value,
            "adjusted_upper": 1.7 * value,
            "value": 0.7 * value - 1000.0,
            "potential_value": potential,
            "headroom": 2.0 * potential,
            "cell": rng.choice(["key accounts", "core", "steady", "nurture"], accounts),
            "p_cell": rng.uniform(0.3, 1.0, accounts),
            "prob": 0.9,
            "currency": "EUR",
        }
    )


def cohorts(channels: tuple[str, ...] = ("field", "online")) -> pd.DataFrame:
    rows = [(cohort, channel) for cohort in ("2023Q4", "2024Q1", "2024Q2") for channel in channels]
    table = pd.DataFrame(rows, columns=["cohort", "channel"])
    table["new_customers"] = 40 - 3 * np.arange(len(table))
    table["value_at_equal_age"] = 900.0 + 50.0 * np.arange(len(table))
    table["value_per_customer"] = 1.5 * table["value_at_equal_age"]
    table["total"] = table["value_per_customer"] * table["new_customers"]
    for lower, upper, name in (
        ("equal_age_lower", "equal_age_upper", "value_at_equal_age"),
        ("lower", "upper", "value_per_customer"),
        ("total_lower", "total_upper", "total"),
    ):
        table[lower], table[upper] = 0.8 * table[name], 1.3 * table[name]
    table["cac"] = np.where(table["cohort"] == "2024Q2", np.nan, 300.0)
    table["acquisition_cost"] = table["cac"] * table["new_customers"]
    return table.assign(prob=0.9, currency="EUR")


def same_age() -> pd.DataFrame:
    rows = [
        (cohort, channel, age)
        for age in (1, 3)
        for channel in ("all", "field")
        for cohort in ("2023Q4", "2024Q1", "2024Q2")
    ]
    table = pd.DataFrame(rows, columns=["cohort", "channel", "age_months"])
    table["customers"] = 40
    table["contribution_per_customer"] = 100.0 + 10.0 * np.arange(len(table))
    table["shrunk"] = 130.0
    table["lower"], table["upper"] = 110.0, 150.0
    table["p_better"] = np.where(table["cohort"] == "2023Q4", np.nan, 0.25)
    return table.assign(prob=0.9, currency="EUR")


CAUSES = (
    "restated history",
    "merged, split or removed accounts",
    "passage of time, as expected",
    "purchases against expectation",
    "money per order against expectation",
    "new customers",
    "exchange rates",
    "parameters",
    "model or configuration",
    "margin",
    "costs",
    "discount rate",
)


def bridge(then: float = 900_000.0, moves: tuple[float, ...] = (0.0, 0.0, -4e4, 2.5e4, -9e3, 6e4)) -> pd.DataFrame:
    """A bridge of the first causes that moves are given for; the others moved nothing."""
    moved = np.array([*moves, *[0.0] * (len(CAUSES) - len(moves))])
    table = pd.DataFrame({"step": ["value then", *CAUSES, "value now"]})
    table["accounts"] = [2300, *(moved != 0.0) * 1200, 2400]
    table["value"] = [then, *moved, then + sum(moved)]
    return table.assign(previous_as_of=ORIGIN, horizon="12 months", as_of=ORIGIN + pd.Timedelta(days=7), currency="EUR")


def since(runs: int = 6) -> pd.DataFrame:
    """What came after weekly runs: every fourth fell outside of its band; and what new customers brought."""
    number = np.arange(runs)
    expected = 60.0 - 0.3 * number
    own = pd.DataFrame(
        {
            "group": "accounts of the earlier run",
            "quantity": "purchases",
            "previous_as_of": ORIGIN + pd.to_timedelta(7 * number, unit="D"),
            "days": 7,
            "expected": expected,
            "lower": expected - 12.0,
            "upper": expected + 12.0,
            "came": np.where(number % 4 == 1, 90.0, np.round(expected)),
            "covered": number % 4 != 1,
            "coverage": 0.9 - 0.01 * (number % 3),
        }
    )
    new = own.assign(group="new customers", came=5.0, covered=None, coverage=np.nan)
    new[["expected", "lower", "upper"]] = np.nan
    return pd.concat([own.astype({"covered": object}), new], ignore_index=True).assign(prob=0.9, currency="USD")


def run_values(runs: int = 6) -> pd.DataFrame:
    number = np.arange(runs)
    value = 1.2e6 + 1e4 * number
    return pd.DataFrame(
        {
            "as_of": ORIGIN + pd.to_timedelta(7 * number, unit="D"),
            "value": value,
            "value_lower": 0.9 * value,
            "value_upper": 1.15 * value,
            "status": np.where(number == 2, "held", "published"),
            "horizon": "12 months",
            "prob": 0.9,
            "currency": "USD",
        }
    )


@dataclass(frozen=True)
class Case:
    """One figure, its table, the columns it cannot do without, and what else it takes."""

    draw: Callable[..., Any]
    table: Callable[[], pd.DataFrame]
    needed: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "_".join([self.draw.__name__, *map(str, self.options.values())])


_SHRUNK = tuple(f"{kind}{end}" for kind in ("own", "partial", "pooled") for end in ("", "_lower", "_upper"))
_ALIVE = ("customer_id", "date", "when", "purchase", "p_alive", "p_alive_lower", "p_alive_upper", "as_of")
_BOUGHT = ("customer_id", "date", "when", "purchase", "purchases", "purchases_lower", "purchases_upper", "as_of")
CASES = (
    Case(
        figures.draw_tracking,
        tracking,
        ("origin", "period", "end", *(f"cumulative_{name}" for name in ("actual", "expected", "lower", "upper"))),
    ),
    Case(
        figures.draw_tracking,
        tracking,
        ("origin", "period", "end", "actual", "expected", "lower", "upper"),
        {"cumulative": False},
    ),
    Case(figures.draw_purchase_frequencies, frequencies, ("frequency", "customers", "expected", "lower", "upper")),
    Case(
        figures.draw_holdout_by_frequency,
        by_frequency,
        ("frequency", "customers", "actual", "expected", "lower", "upper"),
    ),
    Case(figures.draw_p_alive_matrix, matrix, ("frequency", "recency", "p_alive", "T", "unit")),
    Case(
        figures.draw_expected_purchases_matrix,
        matrix,
        ("frequency", "recency", "expected_purchases", "T", "horizon", "unit"),
    ),
    Case(
        figures.draw_heterogeneity,
        heterogeneity,
        ("quantity", "unit", "left", "right", "share", "lower", "upper"),
        {"quantity": "purchase rate"},
    ),
    Case(figures.draw_calibration, calibration, ("nominal", "coverage", "standard_error")),
    Case(figures.draw_pit, pit, ("left", "right", "density")),
    Case(figures.draw_deciles, deciles, ("decile", "expected", "actual")),
    Case(figures.draw_shrinkage, shrinkage, ("group", "customers", *_SHRUNK)),
    Case(figures.draw_customer_alive, path, _ALIVE),
    Case(figures.draw_customer_purchases, path, _BOUGHT),
    Case(figures.draw_lorenz, curves, ("share_of_accounts", "share_of_value")),
    Case(figures.draw_migration, moves, ("from_cell", "to_cell", "customers")),
    Case(figures.draw_matrix, cells, ("cell", "value_class", "potential_class", "accounts")),
    Case(
        figures.draw_matrix,
        cells,
        ("cell", "value_class", "potential_class", "accounts", "headroom"),
        {"quantity": "headroom"},
    ),
    Case(
        figures.draw_value_potential,
        ranking,
        ("customer_id", "value", "potential_value", "headroom", "cell", "p_cell"),
    ),
    Case(
        figures.draw_rank_bands,
        ranking,
        ("rank", "rank_lower", "rank_upper", "customer_id", "adjusted_value", "adjusted_lower", "adjusted_upper"),
    ),
    Case(
        figures.draw_cohorts,
        cohorts,
        ("cohort", "channel", "new_customers", "value_at_equal_age", "equal_age_lower", "equal_age_upper"),
    ),
    Case(
        figures.draw_cohorts,
        cohorts,
        ("cohort", "channel", "new_customers", "total", "total_lower", "total_upper"),
        {"quantity": "total"},
    ),
    Case(
        figures.draw_same_age,
        same_age,
        (
            "cohort",
            "channel",
            "age_months",
            "customers",
            "contribution_per_customer",
            "shrunk",
            "lower",
            "upper",
            "p_better",
        ),
    ),
    Case(figures.draw_totals, totals, ("group", "horizon", "customers", "value", "value_lower", "value_upper")),
    Case(figures.draw_value_bridge, bridge, ("step", "accounts", "value")),
    Case(
        figures.draw_run_bands,
        lambda: since()[lambda rows: rows["group"] == "accounts of the earlier run"],
        ("previous_as_of", "days", "expected", "lower", "upper", "came", "covered"),
    ),
    Case(figures.draw_value_over_runs, run_values, ("as_of", "value", "value_lower", "value_upper")),
)
