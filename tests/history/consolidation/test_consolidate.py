"""One source or many: ids, currencies, orders of two systems, what is refused, and what the result tells."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.history import purchase_history
from clv_forecast.history.consolidation import Consolidated, OrderSource, consolidate

PLAIN = {"decimal": ".", "thousands": "", "date_format": "iso"}


def lines(ids: list[Any], amounts: list[Any], orders: list[Any] | None = None, **more: Any) -> pd.DataFrame:
    days = [f"2024-01-{day + 1:02}" for day in range(len(ids))]
    table = pd.DataFrame({"customer_id": ids, "date": days, "amount": amounts, **more})
    return table if orders is None else table.assign(order_id=orders)


def ids_of(made: Consolidated) -> pa.ChunkedArray:
    return pq.read_table(made.orders)["customer_id"]


def steps_of(made: Consolidated) -> dict[tuple[str, str], Decimal]:
    return {(row["source"], row["step"]): row["amount"] for row in made.reconciliation.to_dict("records")}


@pytest.mark.parametrize(
    ("ids", "kind", "first"),
    [
        ([7, 8], pa.int64(), 7),
        (pd.array([7, 8], "int32"), pa.int32(), 7),
        ([7.0, None], pa.int64(), 7),
        ([7.5, 8.0], pa.float64(), 7.5),
        (["7", "8"], pa.string(), "7"),
        ([(1, 2), "x"], pa.string(), "(1, 2)"),
        ([Decimal(7), Decimal(8)], pa.int64(), 7),
    ],
)
def test_ids_keep_their_type(ids: Any, kind: pa.DataType, first: Any, tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", lines(list(ids), [1, 2]).assign(customer_id=ids))], tmp_path)
    assert ids_of(made).type == kind
    assert first in ids_of(made).to_pylist()


@pytest.mark.parametrize(("text", "kind"), [("7", pa.int64()), ("007", pa.string())])
def test_ids_of_a_csv_are_numbers_when_written_so(text: str, kind: pa.DataType, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        f"customer_id,date,amount\n{text},2024-01-01,1.50\n12,2024-01-02,2\n,2024-01-02,2\n"
    )
    made = consolidate([OrderSource("shop", tmp_path / "log.csv")], tmp_path)
    assert ids_of(made).type == kind
    both = consolidate([OrderSource("shop", tmp_path / "log.csv"), OrderSource("crm", lines(["x"], [1]))], tmp_path)
    assert ids_of(both).type == pa.string()


def _in_duckdb(table: pd.DataFrame) -> Any:
    backend = ibis.duckdb.connect()
    backend.con.register("held", table)
    backend.con.execute("CREATE TABLE lines AS FROM held")
    return backend.table("lines")


@pytest.mark.filterwarnings("ignore:fetch_arrow_table")  # ibis 12 calls what DuckDB 2 renamed
@pytest.mark.parametrize("made_by", [pl.from_pandas, pa.Table.from_pandas, _in_duckdb])
def test_tables_of_any_kind(made_by: Any, tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", made_by(lines([1, 1], [1.5, 2])))], tmp_path)
    assert steps_of(made) == {("shop", "read"): Decimal("3.5"), ("shop", "kept"): Decimal("3.5")}


def test_several_files_are_one_source(tmp_path: Path) -> None:
    for month in (1, 2):
        lines([1], [month], date=f"2024-0{month}-05").to_csv(tmp_path / f"m{month}.csv", index=False)
    made = consolidate([OrderSource("shop", f"{tmp_path}/m*.csv")], tmp_path)
    assert sorted(path.name for path in made.orders.iterdir()) == ["2024-01.parquet", "2024-02.parquet"]


def test_a_month_that_is_gone_leaves_no_file(tmp_path: Path) -> None:
    consolidate([OrderSource("shop", lines([1, 2], [1, 2], date=["2024-01-05", "2024-03-05"]))], tmp_path)
    made = consolidate([OrderSource("shop", lines([1], [1]))], tmp_path)
    assert [path.name for path in made.orders.iterdir()] == ["2024-01.parquet"]


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="Only a new or empty folder"):
        consolidate([OrderSource("shop", lines([1], [1]))], tmp_path)
    assert (tmp_path / "orders" / "mine.txt").read_text() == "mine"


def test_one_currency_of_all_needs_no_column(tmp_path: Path) -> None:
    one = OrderSource("shop", lines([1], [1]), currency="EUR")
    two = OrderSource("crm", lines([2], [5]), currency="EUR")
    made = consolidate([one, two], tmp_path)
    assert dict(made.options) == PLAIN | {"currency": "EUR"}
    assert "currency" not in pq.read_table(made.orders).column_names
    assert set(made.reconciliation["currency"]) == {"EUR"}
    assert purchase_history(made.files, as_of="2024-01-31", **made.options).currency == "EUR"


def test_several_currencies_become_a_column(tmp_path: Path) -> None:
    one = OrderSource("shop", lines([1], [1]), currency="EUR")
    two = OrderSource("crm", lines([2, 2], [5, 6], code=["EUR", "USD"]), currency="code")
    made = consolidate([one, two], tmp_path)
    assert dict(made.options) == PLAIN | {"currency": "currency"}
    history = purchase_history(made.files, as_of="2024-01-31", rates={"EUR": 1, "USD": 0.5}, **made.options)
    assert history.table["total_revenue"].tolist() == [1, 8]
    assert made.reconciliation[["source", "currency", "step", "amount"]].values.tolist()[2:] == [
        *(["crm", code, step, Decimal(money)] for code, money in (("EUR", 5), ("USD", 6)) for step in ("read", "kept")),
    ]
    with pytest.raises(DomainError, match=r"Either every source names a currency or none.*shop with, crm without"):
        consolidate([one, OrderSource("crm", lines([2], [5]))], tmp_path)


def test_a_column_may_be_named_like_a_currency(tmp_path: Path) -> None:
    made = consolidate([OrderSource("shop", lines([1], [1], EUR=["GBP"]), currency="EUR")], tmp_path)
    assert made.reconciliation["currency"].tolist() == ["GBP", "GBP"]


def test_the_same_order_of_different_accounts_stays_two(tmp_path: Path) -> None:
    one = OrderSource("shop", lines([1, 2, 3], [1, 2, 4], ["A", "B", "C"]), order_id="order_id")
    two = OrderSource("crm", lines([1, 5, 6], [1, 8, 16], ["A", "B", None]), order_id="order_id")
    made = consolidate([one, two], tmp_path)
    assert steps_of(made)["crm", "merged"] == 1
    assert steps_of(made)["crm", "kept"] == 24
    found = made.finding("orders_under_other_accounts")
    assert found is not None
    assert found.values == {"orders": 1, "example": "B"}
    same = made.finding("same_orders")
    assert same is not None
    assert same.sentence.endswith("Their money agrees.")


@pytest.mark.parametrize(("day", "far"), [("2024-05-05", 1), ("2024-01-09", 1), ("2024-01-08", 0)])
def test_orders_far_apart_in_time_are_a_caution(tmp_path: Path, day: str, far: int) -> None:
    one = OrderSource("shop", lines([1], [1], ["10"], date="2024-01-01"), order_id="order_id")
    two = OrderSource("crm", lines([1], [1], [10], date=day), order_id="order_id")
    found = consolidate([one, two], tmp_path).finding("same_orders")
    assert found is not None
    assert (found.level == "caution", found.values["far_apart"]) == (bool(far), far)


def test_money_of_different_currencies_is_not_compared(tmp_path: Path) -> None:
    one = OrderSource("shop", lines([1], [1], ["A"]), order_id="order_id", currency="EUR")
    two = OrderSource("crm", lines([1], [9], ["A"]), order_id="order_id", currency="USD")
    found = consolidate([one, two], tmp_path).finding("same_orders")
    assert found is not None
    assert (found.values["incomparable"], found.values["differ"]) == (1, 0)
    assert "could not be compared" in found.sentence


def test_the_first_of_three_wins(tmp_path: Path) -> None:
    sources = [OrderSource(name, lines([1], [n], ["A"]), order_id="order_id") for n, name in enumerate("abc", 1)]
    made = consolidate(sources, tmp_path)
    assert steps_of(made) == {
        ("a", "read"): 1,
        ("a", "kept"): 1,
        ("b", "read"): 2,
        ("b", "merged"): 2,
        ("b", "kept"): 0,
        ("c", "read"): 3,
        ("c", "merged"): 3,
        ("c", "kept"): 0,
    }


def test_an_empty_source_is_told_and_no_order_at_all_refused(tmp_path: Path) -> None:
    empty = OrderSource("crm", lines([1], [1]).head(0))
    made = consolidate([OrderSource("shop", lines([1], [1])), empty], tmp_path)
    assert steps_of(made)["crm", "read"] == 0 == steps_of(made)["crm", "kept"]
    with pytest.raises(InputError, match=r"no order left.*no lines"):
        consolidate([empty], tmp_path)
    with pytest.raises(InputError, match=r"no order left.*after_as_of: 1 line"):
        consolidate([OrderSource("shop", lines([1], [1]))], tmp_path, as_of="2023-01-01")


def test_a_sum_above_the_largest_amount_is_no_mistake(tmp_path: Path) -> None:
    """Lines of 900,000 millions each are amounts; their sum would be taken for a mistake, and is written in parts."""
    log = lines([1, 1, 1, 2], [9e11, 9e11, -9e11, 1], date="2024-01-01", margin=[5, 6, -2, 0])
    made = consolidate([OrderSource("shop", log, margin="margin")], tmp_path)
    whole = purchase_history(made.files, as_of="2024-01-31", **made.options)
    plain = purchase_history(log, as_of="2024-01-31", margin="margin")
    pd.testing.assert_frame_equal(whole.table, plain.table, check_exact=True)
    assert pq.read_table(made.orders)["lines"].to_pylist().count(0) == 1


def test_equal_refunds_with_margins_stay_apart(tmp_path: Path) -> None:
    """A refund matched in part gives back its own margin in part: three of 4 against 10."""
    log = lines(["a"] * 4, [10, -4, -4, -4], ["X"] * 4, date="2024-01-01", margin=[5, -1, -1, -3])
    made = consolidate([OrderSource("shop", log, order_id="order_id", margin="margin")], tmp_path)
    assert made.reconciliation["groups"].tolist() == [3, 3]
    stored = pq.read_table(made.orders)
    assert sorted(zip(stored["amount"].to_pylist(), stored["lines"].to_pylist(), strict=True)) == [
        *[("-4.00", 1)] * 3,
        ("10.00", 1),
    ]


def test_lines_delivered_twice_are_told(tmp_path: Path) -> None:
    log = lines([1, 2, 2], [10, 0, 0], ["A", "B", "B"], date="2024-01-01", kind="tea")
    twice = pd.concat([log, log])
    columns = {"order_id": "order_id", "category": "kind"}
    assert consolidate([OrderSource("shop", log, **columns)], tmp_path).finding("repeated_lines_shop") is None
    found = consolidate([OrderSource("shop", twice, **columns)], tmp_path).finding("repeated_lines_shop")
    assert found is not None
    assert (found.level, found.values["lines"]) == ("caution", 1)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "a source at least"),
        ([OrderSource("a", lines([1], [1])), OrderSource("a", lines([1], [1]))], "name of its own"),
        (["orders.csv"], "must be a OrderSource"),
        (OrderSource("a", lines([1], [1])), "list of sources"),
    ],
)
def test_sources_are_checked(sources: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=message):
        consolidate(sources, tmp_path)


def test_data_are_checked(tmp_path: Path) -> None:
    table = lines([1], [1])
    cases = [
        (OrderSource("a", table, amount="amnt"), "'amnt' does not exist. Nearest: 'amount'"),
        (OrderSource("a", table.assign(amount=True)), "must hold numbers"),
        (OrderSource("a", table.assign(date=3)), "must hold dates"),
        (OrderSource("a", table.assign(date="2024-01-01T00:00:00Z")), "1 line with an offset in the source 'a'"),
        (OrderSource("a", tmp_path / "none.csv"), "No file matches"),
        (OrderSource("a", tmp_path / "none.duckdb", table="t"), "no DuckDB file there"),
        (OrderSource("a", 7), "must be a pandas"),
    ]
    for source, message in cases:
        with pytest.raises(InputError, match=message):
            consolidate([source], tmp_path)
    (tmp_path / "bad.duckdb").write_text("no database")
    with pytest.raises(InputError, match="cannot be opened"):
        consolidate([OrderSource("a", tmp_path / "bad.duckdb", table="t")], tmp_path)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(InputError, match="cannot be read"):
        consolidate([OrderSource("a", tmp_path / "bad.parquet")], tmp_path)
    assert not (tmp_path / "orders").exists()


def test_what_the_result_shows(tmp_path: Path) -> None:
    log = lines(["<b>", "b"], [1234.5, 2], ["A", "A"])
    links = pd.DataFrame({"source": ["<shop>"], "source_id": ["<b>"], "customer_id": ["x"]})
    source = OrderSource("<shop>", log, order_id="order_id")
    made = consolidate([source], tmp_path, crosswalk=links, as_of="2024-01-31")
    assert repr(made) == "<Consolidated 1 source: 2 lines read, 2 kept>"
    assert "1,236.50" in str(made)
    assert "caution: 1 id of <shop> with 1 line (2.00) is not in the crosswalk" in str(made).replace("\n  ", " ")
    page = made._repr_html_()
    assert "&lt;shop&gt;" in page
    assert "<shop>" not in page
    plain = json.loads(json.dumps(made.to_dict()))
    assert plain["steps"][0]["amount"] == "1236.50"
    assert plain["steps"][0]["currency"] is None
    assert made.sentences()[0].startswith("<shop>: read 2 lines of 2 ids, 1,236.50 in all")
    changed = made.reconciliation.copy()
    changed.loc[changed["step"] == "kept", "amount"] -= Decimal("0.01")
    with pytest.raises(InputError, match="must add up"):
        dataclasses.replace(made, reconciliation=changed)


def test_many_threads_make_the_same_bytes(tmp_path: Path) -> None:
    """Several row groups, so that DuckDB adds them up in threads; the money has cents that floats would lose."""
    rng = np.random.default_rng(5)
    size = 60_000
    log = pa.table(
        {
            "customer_id": rng.integers(0, 3_000, size),
            "date": np.datetime64("2024-01-01") + rng.integers(0, 60, size).astype("timedelta64[D]"),
            "amount": rng.integers(-1_000, 100_000, size) / 100,
        }
    )
    pq.write_table(log, tmp_path / "log.parquet", row_group_size=5_000)
    source = OrderSource("shop", tmp_path / "log.parquet")
    made = [consolidate([source], tmp_path / "out") for _ in range(8)]
    assert len({one.fingerprint for one in made}) == 1
    cents = np.rint(log["amount"].to_numpy() * 100).astype(np.int64).sum()
    assert steps_of(made[0])["shop", "kept"] == Decimal(int(cents)) / 100


def test_progress_is_reported(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    consolidate([OrderSource("shop", lines([1], [1]))], tmp_path, progress=lambda *step: seen.append(step))
    assert seen == [("consolidate", 0, 2), ("consolidate", 1, 2), ("consolidate", 2, 2)]
