"""The crosswalk: read, checked, and what it does not cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from clv_forecast.errors import InputError
from clv_forecast.history.consolidation import OrderSource, consolidate
from clv_forecast.history.consolidation.crosswalk import read_crosswalk

LOG = pd.DataFrame(
    {"customer_id": [1, 2, 3, None], "date": "2024-01-05", "amount": [10.0, 20.0, 40.0, 80.0], "order_id": list("ABCD")}
)


def walk(ids: list[Any], accounts: list[Any], source: str = "shop") -> pd.DataFrame:
    return pd.DataFrame({"source": source, "source_id": ids, "customer_id": accounts})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (walk([1, 1], [5, 6]), "once in the crosswalk.*First customers: shop:1"),
        (walk([1, None], [5, 6]), "in every row. Got: 1 without"),
        (
            walk([1, 2], [5, 6]).rename(columns={"source_id": "sourceid"}),
            "'source_id' does not exist. Nearest: 'sourceid'",
        ),
        (7, "The crosswalk must be a table"),
    ],
)
def test_what_is_refused(table: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_crosswalk(table)


@pytest.mark.parametrize(
    ("accounts", "kind"), [([5, 6, 6], "int64"), ([5.0, 6.0, 6.0], "int64"), (["x", "y", "y"], "string")]
)
def test_accounts_keep_their_type(accounts: list[Any], kind: str, tmp_path: Path) -> None:
    walk([1, 2, 3], accounts).to_csv(tmp_path / "links.csv", index=False)
    for table in (walk([1, 2, 3], accounts), walk(["1", " 2", "3 "], accounts), tmp_path / "links.csv"):
        made = consolidate([OrderSource("shop", LOG)], tmp_path, crosswalk=table)
        stored = pq.read_table(made.orders)
        assert str(stored.schema.field("customer_id").type) == kind
        assert stored["customer_id"].to_pylist() == [*sorted(accounts), None]  # who has no id has no account
        assert dict(made.matched_share) == {"shop": 1.0}


def test_what_it_lacks_is_kept_or_dropped(tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", LOG)], tmp_path, crosswalk=walk([1, 9], [5, 6]))
    stored = pq.read_table(made.orders)
    assert stored["customer_id"].to_pylist() == ["5", "shop:2", "shop:3", None]
    assert stored["source_id"].to_pylist() == ["1", "2", "3", None]
    assert made.matched_share["shop"] == pytest.approx(1 / 3)
    found = {finding.name: finding.values for finding in made.findings}
    assert found["unmatched_shop"] == {"ids": 2, "lines": 2, "amount": "60.00"}
    assert found["crosswalk_unused"] == {"ids": 1}
    made = consolidate([OrderSource("shop", LOG)], tmp_path, crosswalk=walk([1, 9], [5, 6]), unmatched="drop")
    assert pq.read_table(made.orders)["customer_id"].to_pylist() == [5, None]
    steps = made.reconciliation.set_index("step")
    assert steps.loc["unmatched_dropped", ["rows", "customers", "amount"]].tolist() == [2, 2, 60]


def test_a_source_it_does_not_know_is_told(tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", LOG)], tmp_path, crosswalk=walk([1, 2, 3], [5, 6, 7], source="Shop"))
    found = made.finding("source_not_in_crosswalk")
    assert found is not None
    assert found.level == "caution"
    assert "Nearest to 'shop' there: 'Shop'" in found.sentence
    assert made.matched_share["shop"] == 0


def test_ids_that_become_one_account_are_told(tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", LOG)], tmp_path, crosswalk=walk([1, 2, 3], [5, 5, 6]))
    found = made.finding("accounts_joined")
    assert found is not None
    assert found.values == {"accounts": 1, "ids": 2}


def test_the_fingerprint_follows_data_and_crosswalk(tmp_path: Path) -> None:
    one, two = walk([1, 2, 3], [5, 6, 7]), walk([1, 2, 3], [5, 6, 8])
    prints = [
        consolidate([OrderSource("shop", log)], tmp_path, crosswalk=links).fingerprint
        for log, links in ((LOG, one), (LOG, one), (LOG, two), (LOG.assign(amount=1), one), (LOG, None))
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4
    assert all(len(text) == 64 for text in prints)
