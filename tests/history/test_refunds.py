"""Refunds find their purchases: by hand, and against a slow reference that searches everything."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_forecast.history import purchase_history
from clv_forecast.history.summary import LEVELS, from_micro, match_refunds, to_micro

Row = tuple[int, int, int, int, int]  # customer, time, order, category, amount; -1 is unknown


def reference(rows: list[Row]) -> tuple[list[int], list[int], list[int]]:
    """What is left of each row, what is unmatched of it, and what each level matched: every pair is looked at."""
    left = [max(row[4], 0) for row in rows]
    owed = [max(-row[4], 0) for row in rows]
    matched = []
    for level in range(4):
        total = 0
        for i in sorted((i for i in range(len(rows)) if owed[i]), key=lambda i: (rows[i][1], i)):
            refund = rows[i]
            for j in sorted((j for j in range(len(rows)) if left[j]), key=lambda j: (rows[j][1], j), reverse=True):
                line = rows[j]
                same_order, same_category = refund[2] == line[2] >= 0, refund[3] == line[3] >= 0
                fits = (
                    same_order and same_category,
                    same_order,
                    same_category and line[1] <= refund[1],
                    line[1] <= refund[1],
                )[level]
                if line[0] == refund[0] and fits:
                    taken = min(owed[i], left[j])
                    owed[i] -= taken
                    left[j] -= taken
                    total += taken
        matched.append(total)
    return left, owed, matched


def run(rows: list[Row]) -> tuple[list[int], list[int], list[int]]:
    columns = [np.array([row[k] for row in rows], dtype=np.int64) for k in range(5)]
    matching = match_refunds(*columns[:2], order=columns[2], category=columns[3], amount=columns[4])
    return matching.left.tolist(), matching.unmatched.tolist(), [matching.by_level[level] for level in LEVELS]


BY_HAND: list[tuple[str, list[Row], list[int], int]] = [
    ("whole order", [(0, 1, -1, -1, 10), (0, 2, -1, -1, -10)], [0, 0], 0),
    ("part of an order", [(0, 1, -1, -1, 10), (0, 2, -1, -1, -4)], [6, 0], 0),
    ("latest earlier first", [(0, 1, -1, -1, 10), (0, 2, -1, -1, 10), (0, 3, -1, -1, -4)], [10, 6, 0], 0),
    ("cascade", [(0, 1, -1, -1, 10), (0, 2, -1, -1, 5), (0, 3, -1, -1, -7)], [8, 0, 0], 0),
    (
        "cascade past an empty one",
        [(0, 1, -1, -1, 9), (0, 2, -1, -1, 5), (0, 3, -1, -1, -5), (0, 4, -1, -1, -2)],
        [7, 0, 0, 0],
        0,
    ),
    ("never a later one", [(0, 1, -1, -1, -4), (0, 2, -1, -1, 10)], [0, 10], 4),
    ("at the same moment", [(0, 1, -1, -1, -4), (0, 1, -1, -1, 10)], [0, 6], 0),
    ("never another customer", [(0, 1, -1, -1, 10), (1, 2, -1, -1, -10)], [10, 0], 10),
    ("its own order", [(0, 1, 7, -1, 10), (0, 2, 8, -1, 10), (0, 3, 7, -1, -4)], [6, 10, 0], 0),
    ("its own order though dated later", [(0, 1, 7, -1, -4), (0, 2, 7, -1, 10)], [0, 6], 0),
    ("more than its order", [(0, 1, 7, -1, 3), (0, 2, 8, -1, 10), (0, 3, 7, -1, -4)], [0, 9, 0], 0),
    ("same order number of another customer", [(0, 1, 7, -1, 10), (1, 2, 7, -1, -4)], [10, 0], 4),
    ("its product", [(0, 1, -1, 5, 10), (0, 2, -1, 6, 10), (0, 3, -1, 5, -4)], [6, 10, 0], 0),
    ("its product, then any", [(0, 1, -1, 5, 3), (0, 2, -1, 6, 10), (0, 3, -1, 5, -4)], [0, 9, 0], 0),
    ("its line of its order", [(0, 1, 7, 5, 10), (0, 1, 7, 6, 10), (0, 3, 7, 5, -4)], [6, 10, 0], 0),
    (
        "a named order is not used up by an earlier refund without name",
        [(0, 1, -1, -1, 10), (0, 2, 7, -1, 10), (0, 3, -1, -1, -10), (0, 4, 7, -1, -10)],
        [0, 0, 0, 0],
        0,
    ),
    ("more than ever bought", [(0, 1, -1, -1, 10), (0, 2, -1, -1, -25)], [0, 0], 15),
]


@pytest.mark.parametrize(("name", "rows", "left", "unmatched"), BY_HAND, ids=[case[0] for case in BY_HAND])
def test_by_hand(name: str, rows: list[Row], left: list[int], unmatched: int) -> None:
    found_left, found_unmatched, _ = run(rows)
    assert found_left == left
    assert sum(found_unmatched) == unmatched
    assert reference(rows)[0] == left


@st.composite
def logs(draw: Any) -> list[Row]:
    size = draw(st.integers(1, 25))
    row = st.tuples(
        st.integers(0, 2),
        st.integers(0, 8),
        st.integers(-1, 3),
        st.integers(-1, 2),
        st.integers(-30, 30).filter(lambda amount: amount != 0),
    )
    return sorted(draw(st.lists(row, min_size=size, max_size=size)))


@settings(max_examples=400, deadline=None)
@given(logs())
def test_equals_the_reference(rows: list[Row]) -> None:
    assert run(rows) == reference(rows)


@settings(max_examples=100, deadline=None)
@given(logs())
def test_nothing_is_lost_and_nothing_crosses_customers(rows: list[Row]) -> None:
    left, unmatched, _ = run(rows)
    for customer in {row[0] for row in rows}:
        mine = [i for i, row in enumerate(rows) if row[0] == customer]
        assert sum(left[i] - unmatched[i] for i in mine) == sum(rows[i][4] for i in mine)
        assert all(0 <= left[i] <= max(rows[i][4], 0) for i in mine)


def frame_of(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [f"c{row[0]}" for row in rows],
            "date": [pd.Timestamp("2024-01-01") + pd.Timedelta(days=row[1]) for row in rows],
            "order_id": [None if row[2] < 0 else f"o{row[2]}" for row in rows],
            "category": [None if row[3] < 0 else f"p{row[3]}" for row in rows],
            "amount": [row[4] / 100 for row in rows],
        }
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_verb_equals_the_reference_in_any_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = zip(
        rng.integers(0, 4, 60),
        rng.integers(0, 25, 60),
        rng.integers(-1, 12, 60),
        rng.integers(-1, 4, 60),
        rng.choice([-900, -250, -100, 100, 250, 700, 1300], 60),
        strict=True,
    )
    rows: list[Row] = sorted(tuple(int(x) for x in row) for row in draws)  # type: ignore[misc]
    rows += [(9, 1, -1, -1, 500)]
    left, unmatched, _ = reference(
        sorted(rows, key=lambda r: (r[0], r[1], *(k if k >= 0 else 99 for k in r[2:4]), r[4]))
    )
    frame = frame_of(rows)
    mixed = frame.sample(frac=1.0, random_state=seed)
    history = purchase_history(mixed, as_of="2024-03-01", order_id="order_id", category="category")
    ordered = sorted(rows, key=lambda r: (r[0], r[1], *(k if k >= 0 else 99 for k in r[2:4]), r[4]))
    days: dict[tuple[str, pd.Timestamp], int] = {}
    for row, cents in zip(ordered, left, strict=True):
        if cents:
            key = (f"c{row[0]}", pd.Timestamp("2024-01-01") + pd.Timedelta(days=row[1]))
            days[key] = days.get(key, 0) + cents
    found = history.purchases()
    assert {(i, d): round(a * 100) for i, d, a in found.itertuples(index=False)} == days
    steps = history.audit.steps.set_index("step")
    if sum(unmatched):
        assert steps.loc["refunds_unmatched", "amount"] == -Decimal(sum(unmatched)) / 100
    assert steps.loc["kept", "amount"] == Decimal(sum(left)) / 100


def test_what_the_audit_says_of_refunds() -> None:
    log = pd.DataFrame(
        {
            "customer_id": [1, 1, 2, 2, 3],
            "date": ["2024-01-01", "2024-01-02", "2024-01-01", "2024-01-03", "2024-01-01"],
            "amount": [10.0, -10.0, 20.0, -50.0, 5.0],
        }
    )
    history = purchase_history(log, as_of="2024-02-01")
    steps = history.audit.steps.set_index("step")
    assert history.table["customer_id"].tolist() == [3]
    assert steps["rows"].to_dict() == {
        "read": 5,
        "refunds_netted": 2,
        "purchases_cancelled": 2,
        "refunds_unmatched": 0,
        "kept": 1,
    }
    assert steps.loc["refunds_unmatched", "amount"] == Decimal(-30)
    assert "30.00 from refunds matched in part" in steps.loc["refunds_unmatched", "sentence"]
    assert "30.00 by latest earlier order" in steps.loc["refunds_netted", "sentence"]
    assert "Customer-days left without a purchase: 2" in steps.loc["purchases_cancelled", "sentence"]
    assert sum(steps["amount"].iloc[1:]) == steps.loc["read", "amount"] == Decimal(-25)


@pytest.mark.parametrize("units", [[], [0], [1, -1, 10**18, -(10**18)]])
def test_micro_units_there_and_back(units: list[int]) -> None:
    column = from_micro(np.array(units, dtype=np.int64))
    assert column.to_pylist() == [Decimal(unit).scaleb(-6) for unit in units]
    assert to_micro(column).tolist() == units
    if units:
        assert to_micro(pa.chunked_array([column.slice(1), column])).tolist() == units[1:] + units
