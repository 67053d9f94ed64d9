"""When two ids are the same: one rule for every table, whatever its types."""

from __future__ import annotations

import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clv_forecast.errors import InputError
from clv_forecast.history import PurchaseHistory, purchase_history
from clv_forecast.history.consolidation import OrderSource, consolidate
from clv_forecast.streams import customer_keys

AS_OF = "2024-12-31"


def log(ids: Any, **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"date": [f"2024-01-{day + 1:02}" for day in range(len(ids))], "amount": 10.0} | columns)
    frame.insert(0, "customer_id", ids)
    return frame


def history(ids: Any, **options: Any) -> PurchaseHistory:
    return purchase_history(log(ids), as_of=AS_OF, **options)


def ids_of(history: PurchaseHistory) -> list[Any]:
    return history.table["customer_id"].tolist()


BIG = 10**20
SAME: dict[str, tuple[Any, list[Any]]] = {
    "integers and text": (pd.Series([7, "7", 8], dtype=object), [7, 8]),
    "with .0 and without": (["7.0", "7", "8"], ["7", "8"]),
    "floats": ([7.0, np.nan, 8.0], [7, 8]),
    "decimals": (pd.Series([Decimal("7.00"), Decimal(7), Decimal(8)], dtype=object), [7, 8]),
    "text beside a word": (["7.0", "7", "A8"], ["7", "7.0", "A8"]),
    "zeros before": (["007", "7", "8"], ["007", "7", "8"]),
    "a number with decimals": (["1.10", "1.1", "2"], ["1.1", "1.10", "2"]),
    "20 digits": (pd.Series([BIG, BIG, BIG + 1], dtype=object), [str(BIG), str(BIG + 1)]),
    "bytes": (pd.Series([b"a", b"a", b"\xff"], dtype=object), ["a", "ff"]),
    "telephone numbers": (["+49 30", "+49 30", "+49 31"], ["+49 30", "+49 31"]),
    "a word": (["inf", "inf", "nan"], ["inf", "nan"]),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_customer_or_not(kind: str) -> None:
    given, expected = SAME[kind]
    assert ids_of(history(given)) == expected


def test_unsigned_integers_above_63_bits_are_text() -> None:
    ids = [2**63 + 1, 2**63 + 2]
    for data in (
        pa.table({"customer_id": pa.array(ids, pa.uint64()), "date": ["2024-01-01"] * 2, "amount": [1.0, 2.0]}),
        log(pd.array(ids, "uint64")),
    ):
        assert ids_of(purchase_history(data, as_of=AS_OF)) == list(map(str, ids))


@pytest.mark.parametrize(("kind", "first"), [("float64", 2**53), ("float32", 2**24)])
def test_floats_that_no_longer_hold_every_digit_are_refused(kind: str, first: int, tmp_path: Path) -> None:
    frame = log(np.array([first - 1, first], dtype=kind))
    with pytest.raises(InputError, match="no longer hold every digit"):
        purchase_history(frame, as_of=AS_OF)
    with pytest.raises(InputError, match="no longer hold every digit"):
        consolidate([OrderSource("shop", frame)], tmp_path)
    frame.to_parquet(tmp_path / "log.parquet")
    with pytest.raises(InputError, match="no longer hold every digit"):
        purchase_history(tmp_path / "log.parquet", as_of=AS_OF)
    assert ids_of(history(np.array([first - 2, first - 1], dtype=kind))) == [first - 2, first - 1]


def test_polars_objects_are_what_they_are() -> None:
    ids = [uuid.UUID(int=1), uuid.UUID(int=2)]
    data = pl.DataFrame({"customer_id": pl.Series(ids, dtype=pl.Object), "date": ["2024-01-01"] * 2, "amount": [1, 2]})
    assert ids_of(purchase_history(data, as_of=AS_OF)) == ids
    orders = data.with_columns(data["customer_id"].alias("order"))
    assert len(purchase_history(orders, as_of=AS_OF, order_id="order").table) == 2


MEET: list[tuple[Any, Any]] = [
    ([7, 8], ["7", "8"]),
    (["7.0", "8.0"], [7, 8]),
    (["7", "8"], [7.0, 8.0]),
    ([7.0, 8.0], pd.Series([Decimal("7.00"), Decimal("8.00")], dtype=object)),
    (["A7", "8.0"], ["A7", "8.0"]),
    ([uuid.UUID(int=7), uuid.UUID(int=8)], [str(uuid.UUID(int=7)), str(uuid.UUID(int=8))]),
    (["+49 30", "1"], ["+49 30", "1"]),
    ([BIG, BIG + 1], [str(BIG), str(BIG + 1)]),
]


@pytest.mark.parametrize(("orders", "accounts"), MEET)
def test_orders_meet_accounts(orders: Any, accounts: Any) -> None:
    given = pd.Series(orders, dtype=object if not isinstance(orders[0], float) else None)
    customers = pd.DataFrame({"customer_id": accounts, "region": ["north", "south"]})
    made = purchase_history(log(given), as_of=AS_OF, customers=customers)
    assert made.customers is not None
    assert sorted(made.customers["region"].tolist()) == ["north", "south"]


def test_files_meet_whatever_they_write(tmp_path: Path) -> None:
    log(["7.0", "8.0"]).to_csv(tmp_path / "orders.csv", index=False)
    pd.DataFrame({"customer_id": [7, 8], "region": ["n", "s"]}).to_csv(tmp_path / "accounts.csv", index=False)
    made = purchase_history(tmp_path / "orders.csv", as_of=AS_OF, customers=tmp_path / "accounts.csv")
    assert ids_of(made) == [7, 8]
    assert made.customers is not None and made.customers["region"].tolist() == ["n", "s"]


@pytest.mark.parametrize(("one", "two"), [([1000.0, None], [1000]), (["1000.0", "1001"], ["1000"]), ([1000], ["1000"])])
def test_orders_of_two_systems_meet(one: Any, two: Any, tmp_path: Path) -> None:
    shop, erp = log([1] * len(one), number=one), log([1.0] * len(two), number=two)
    sources = [OrderSource(name, table, order_id="number") for name, table in (("shop", shop), ("erp", erp))]
    steps = consolidate(sources, tmp_path).reconciliation.set_index(["source", "step"])["rows"]
    assert steps["erp", "merged"] == 1


def test_what_an_id_is_is_decided_over_all_sources(tmp_path: Path) -> None:
    """A word in one system makes text of the other's ids, untouched."""
    one, two = OrderSource("shop", log(["7.0", "8"])), OrderSource("erp", log(["7.0", "A"]))
    made = consolidate([one, two], tmp_path)
    ids = purchase_history(made.files, as_of=AS_OF, **made.options).table["customer_id"]
    assert ids.tolist() == ["7.0", "8", "A"]


def test_a_crosswalk_meets_its_sources(tmp_path: Path) -> None:
    links = pd.DataFrame({"source": "shop", "source_id": ["7", "8"], "customer_id": ["01", "02"]})
    made = consolidate([OrderSource("shop", log([7.0, 8.0]))], tmp_path, crosswalk=links)
    assert made.matched_share["shop"] == 1.0
    ids = purchase_history(made.files, as_of=AS_OF, **made.options).table["customer_id"]
    assert ids.tolist() == ["01", "02"]


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        (["nan", "b"], "ids_for_nobody"),
        (["NULL", "b"], "ids_for_nobody"),
        (["a\u200b", "a"], "ids_alike"),
        (["caf\u00e9", "cafe\u0301"], "ids_alike"),
        (["0042", "42", "x"], "ids_alike"),
        (["42.0", "42", "x"], "ids_alike"),
        (["ab", "AB "], "ids_alike"),
    ],
)
def test_ids_that_may_be_mistaken_are_cautioned(ids: list[str], name: str) -> None:
    finding = history(ids).audit.finding(name)
    assert finding is not None and finding.level == "caution" and finding.values["example"] in ids


def test_a_whole_number_draws_alike_as_number_and_as_text() -> None:
    assert (customer_keys(1, [7, 8]) == customer_keys(1, ["7", "8"])).all()
    assert not (customer_keys(1, [7]) == customer_keys(1, ["07"])).any()
    # the keys of integers are those of the first versions
    assert customer_keys(1, [10]).tolist() == customer_keys(1, [np.int32(10)]).tolist()
