"""Movement between two rankings: every account once, money that adds up, whatever the order of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.migration import GONE, NEW, migration, migration_summary


def ranking(ids: list[object], cells: list[object], values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids, "cell": cells, "value": values, "rank": range(len(ids))})


BEFORE = ranking(["a", "b", "c", "d"], ["core", "core", "steady", "steady"], [9.0, 8.0, 2.0, 1.0])
AFTER = ranking(["e", "d", "c", "a"], ["steady", "steady", "core", "core"], [1.5, 0.5, 7.0, 9.5])


def test_every_move() -> None:
    found = migration(BEFORE, AFTER)
    rows = [tuple(row) for row in found.astype({"from_cell": str, "to_cell": str}).to_numpy()]
    assert rows == [
        ("core", "core", 1, 9.0, 9.5, 0.5),
        ("core", GONE, 1, 8.0, 0.0, -8.0),
        ("steady", "core", 1, 2.0, 7.0, 5.0),
        ("steady", "steady", 1, 1.0, 0.5, -0.5),
        (NEW, "steady", 1, 0.0, 1.5, 1.5),
    ]


def random_rankings(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    cells = np.array(["key accounts", "core", "steady", None], dtype=object)
    tables = []
    for _ in range(2):
        ids = rng.choice(400, 300, replace=False)
        tables.append(ranking(list(ids), list(rng.choice(cells, 300)), list(rng.normal(100, 80, 300))))
    return tables[0], tables[1]


def test_counts_and_money_add_up_to_both_totals() -> None:
    before, after = random_rankings(1)
    found = migration(before, after)
    assert found.loc[found["from_cell"] != NEW, "customers"].sum() == 300
    assert found.loc[found["to_cell"] != GONE, "customers"].sum() == 300
    assert found["value_before"].sum() == pytest.approx(before["value"].sum())
    assert found["value"].sum() == pytest.approx(after["value"].sum())
    assert found["change"].sum() == pytest.approx(after["value"].sum() - before["value"].sum())
    by_cell = found.groupby("from_cell", observed=True)["customers"].sum()
    assert by_cell["core"] == (before["cell"] == "core").sum()
    assert by_cell["not classed"] == before["cell"].isna().sum()
    both = before.merge(after, on="customer_id")
    kept = found[(found["from_cell"] == "core") & (found["to_cell"] == "steady")]["customers"].sum()
    assert kept == ((both["cell_x"] == "core") & (both["cell_y"] == "steady")).sum()


def test_rows_in_any_order_and_tables_left_alone() -> None:
    before, after = random_rankings(2)
    copies = before.copy(), after.copy()
    found = migration(before, after)
    mixed = migration(before.sample(frac=1, random_state=1), after.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(found, mixed)
    pd.testing.assert_frame_equal(before, copies[0])
    pd.testing.assert_frame_equal(after, copies[1])


def test_nothing_moves_between_a_ranking_and_itself() -> None:
    found = migration(BEFORE, BEFORE)
    assert (found["from_cell"] == found["to_cell"]).all()
    assert (found["change"] == 0.0).all()
    assert "Largest" not in migration_summary(found)
    assert "4 stayed in their cells, 0 moved and 0 are gone; 0 are new" in migration_summary(found)


def test_cells_are_ordered_by_value_or_as_told() -> None:
    assert list(migration(BEFORE, AFTER)["from_cell"].cat.categories) == ["core", "steady", "not classed", NEW, GONE]
    told = migration(BEFORE, AFTER, order=["steady", "empty", "core"])
    assert list(told["to_cell"].cat.categories) == ["steady", "empty", "core", "not classed", NEW, GONE]
    assert told["from_cell"].iloc[0] == "steady"
    with pytest.raises(DomainError, match=r"order must name all cells. Got: without core"):
        migration(BEFORE, AFTER, order=["steady"])


def test_unknown_values_stay_unknown() -> None:
    before = ranking([1, 2], ["core", "steady"], [np.nan, 2.0])
    after = ranking([1, 2], ["core", "steady"], [3.0, np.nan])
    found = migration(before, after)
    np.testing.assert_array_equal(found["value_before"], [np.nan, 2.0])
    np.testing.assert_array_equal(found["value"], [3.0, np.nan])
    assert found["change"].isna().all()


def test_one_account_and_strangers() -> None:
    one, other = ranking([1], ["core"], [5.0]), ranking([2], ["core"], [7.0])
    assert migration(one, one)["customers"].tolist() == [1]
    found = migration(one, other)
    assert found[["from_cell", "to_cell"]].astype(str).to_numpy().tolist() == [["core", GONE], [NEW, "core"]]
    assert migration_summary(found) == (
        "Of 1 account before, 0 stayed in their cells, 0 moved and 1 is gone; 1 is new. Value went from 5 to 7."
    )


def test_the_summary_names_the_largest_moves_by_money() -> None:
    before = ranking([1, 2, 3, 4], ["a", "a", "a", "b"], [1e6, 10.0, 10.0, 5.0])
    after = ranking([1, 2, 3, 4], ["b", "c", "c", "a"], [2e5, 11.0, 12.0, 7e3])
    assert migration_summary(migration(before, after)).endswith(
        "Largest moves: 1 from a to b (-800,000); 1 from b to a (+6,995)."
    )


def test_without_cells_nobody_stays_in_one() -> None:
    before, after = (table.assign(cell=None) for table in (BEFORE, AFTER))
    assert migration_summary(migration(before, after)) == (
        "No account has a cell. Of 4 accounts before, 3 stayed and 1 is gone; 1 is new. Value went from 20 to 18.5."
    )
    assert "stayed in" in migration_summary(migration(before, AFTER))


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (BEFORE.drop(columns="cell"), "The ranking before lacks columns. Got: DataFrame without cell"),
        ("a path", "Got: str without customer_id, cell, value"),
        (BEFORE.iloc[:0], "has no rows"),
        (pd.concat([BEFORE, BEFORE]), "one row per customer. First customers: a, b, c, d"),
        (BEFORE.assign(cell=NEW), "cannot be called new or gone"),
        (BEFORE.assign(customer_id=[1, 2, 3, 4]), "of one kind. Got: 1 before, 'e' after"),
    ],
)
def test_bad_tables(before: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        migration(before, AFTER)
