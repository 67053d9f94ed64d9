"""Files: read as their writer meant them, or refused with line and reason; and what came in is fixed."""

from __future__ import annotations

import copy
import gzip
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clv_forecast as clv
from clv_forecast.errors import InputError
from clv_forecast.history import PurchaseHistory, purchase_history
from clv_forecast.history.consolidation import OrderSource, consolidate
from clv_forecast.history.consolidation.counting import count_source
from clv_forecast.tables.source import read_frame

AS_OF = "2024-12-31"
HEADER = "customer_id,date,amount\n"


def write(folder: Path, content: str | bytes, name: str = "orders.csv") -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def revenue(data: Any, **options: Any) -> dict[Any, float]:
    table = purchase_history(data, **({"as_of": AS_OF} | options)).table
    return dict(zip(table["customer_id"], table["total_revenue"], strict=True))


LINES = HEADER + "Müller,2024-01-05,10.50\nNoël,2024-01-06,2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings(encoding: str, packed: bool, tmp_path: Path) -> None:
    content = LINES.encode(encoding)
    path = write(tmp_path, gzip.compress(content), "o.csv.gz") if packed else write(tmp_path, content)
    assert revenue(path) == {"Müller": 10.5, "Noël": 2.0}
    assert revenue(path, encoding=encoding) == {"Müller": 10.5, "Noël": 2.0}


def test_the_wrong_encoding_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, LINES.encode("cp1252"))
    with pytest.raises(InputError, match=r"not written in utf-8|not utf-8 encoded"):
        revenue(path, encoding="utf-8")
    late = HEADER.encode() + b"a,2024-01-05,1\n" * 30_000 + "ü,2024-01-05,1\n".encode("cp1252")
    assert revenue(write(tmp_path, late, "late.csv")) == {"a": 30_000.0, "ü": 1.0}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str, tmp_path: Path) -> None:
    text = "customer_id,date,amount,note\na,2024-01-05,1.50,x\nb,2024-01-06,2,\n".replace(",", delimiter)
    assert revenue(write(tmp_path, text)) == {"a": 1.5, "b": 2.0}
    assert revenue(write(tmp_path, text), delimiter=delimiter) == {"a": 1.5, "b": 2.0}


def test_quotes(tmp_path: Path) -> None:
    rows = "".join(f"c{i % 50},2024-01-05,1\n" for i in range(25_000))
    late = HEADER + rows + '"Smith, Inc",2024-01-05,7\n"5"" pipe",2024-01-06,8\n"two\nlines",2024-01-06,9\n'
    found = revenue(write(tmp_path, late))
    assert (found["Smith, Inc"], found['5" pipe'], found["two\nlines"], len(found)) == (7.0, 8.0, 9.0, 53)
    single = HEADER + "'a, b','2024-01-05','1.50'\n'c','2024-01-06','2'\n"
    quoted = "'customer_id','date','amount'\n" + single.removeprefix(HEADER)
    assert revenue(write(tmp_path, quoted)) == {"a, b": 1.5, "c": 2.0}
    assert revenue(write(tmp_path, single), quote="'") == {"a, b": 1.5, "c": 2.0}


REFUSED = [
    ("a field too many", HEADER + "a,2024-01-05,1\n" * 400 + "a,2024-01-05,1,5\n", r"Line: 402.*Columns: 3 Found: 4"),
    ("a field too few", HEADER + "a,2024-01-05,1\n" * 400 + "a,2024-01-05\n", r"Line: 402.*Columns: 3 Found: 2"),
    ("a quote not closed", HEADER + "a,2024-01-05,1\n" * 40 + '"a,2024-01-05,1\n', "unterminated quote"),
    ("no header", "17850,2024-01-05,1\n17851,2024-01-06,2\n", "first line looks like data"),
    ("a column twice", "customer_id,date,amount,amount\na,2024-01-05,1,2\n", "'amount' occurs 2 times"),
    ("blank", "\n\n", "The file is empty"),
    ("numbers two ways", HEADER + "a,2024-01-05,1.234\n", "two ways"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), REFUSED, ids=[one[0] for one in REFUSED])
def test_refused_with_the_reason(name: str, content: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=words) as caught:
        revenue(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=words):
        consolidate([OrderSource("shop", path)], tmp_path / "out")
    with pytest.raises(InputError, match=words):
        count_source(OrderSource("shop", path))


def test_columns_that_differ_in_case_are_two(tmp_path: Path) -> None:
    path = write(tmp_path, "customer_id,date,amount,Amount\na,2024-01-05,1,2\n")
    assert revenue(path) == {"a": 1.0}
    assert revenue(path, amount="Amount") == {"a": 2.0}


def test_files_of_one_table_must_be_alike(tmp_path: Path) -> None:
    write(tmp_path, HEADER + "a,2024-01-05,1\n", "1.csv")
    write(tmp_path, "date,customer_id,amount\n2024-01-05,a,1\n", "2.csv")
    with pytest.raises(InputError, match=r"same columns.*1.csv: customer_id, date, amount.*2.csv: date, customer_id"):
        revenue(f"{tmp_path}/*.csv")


def test_names_of_files_are_no_patterns(tmp_path: Path) -> None:
    for name, who in (("a1.csv", "A"), ("a[1].csv", "B"), ("a*.csv", "C"), ("it's.csv", "D")):
        write(tmp_path, HEADER + f"{who},2024-01-05,1\n", name)
    assert set(revenue(f"{tmp_path}/*.csv")) == {"A", "B", "C", "D"}
    assert set(revenue(tmp_path / "a[1].csv")) == {"B"}
    assert set(revenue(tmp_path / "a*.csv")) == {"C"}
    (tmp_path / "amount=100").mkdir()
    write(tmp_path / "amount=100", HEADER + "A,2024-01-05,1\n")
    one = pd.DataFrame({"customer_id": ["A"], "date": ["2024-01-05"], "amount": [1.0]})
    one.to_parquet(tmp_path / "amount=100/o.parquet")
    assert revenue(f"{tmp_path}/amount=*/*.csv") == {"A": 1.0} == revenue(f"{tmp_path}/amount=*/*.parquet")


def parquet(folder: Path, *columns: dict[str, Any]) -> str:
    for number, given in enumerate(columns):
        base = {"customer_id": pa.array([1, 2]), "date": ["2024-01-05"] * 2, "amount": pa.array([1.5, 2.5])}
        pq.write_table(pa.table(base | given), folder / f"p{number}.parquet")
    return f"{folder}/p*.parquet"


UNIFIED: list[tuple[dict[str, Any], dict[str, Any], dict[Any, float]]] = [
    ({"amount": pa.array([1, 2])}, {"amount": pa.array([19.49, 29.49])}, {1: 20.49, 2: 31.49}),
    ({"amount": pa.array([1.5, 2.5], pa.float32())}, {}, {1: 3.0, 2: 5.0}),
    (
        {"amount": pa.array([Decimal("1.5"), Decimal("2.5")])},
        {"amount": pa.array([Decimal("0.125"), Decimal("7")], pa.decimal128(9, 4))},
        {1: 1.625, 2: 9.5},
    ),
    ({"amount": pa.array([1, 2])}, {"amount": pa.array([Decimal("0.25"), Decimal("1")])}, {1: 1.25, 2: 3.0}),
    ({"customer_id": pa.array([1, 2], pa.int32())}, {}, {1: 3.0, 2: 5.0}),
    ({"customer_id": ["1", "A7"]}, {}, {"1": 3.0, "2": 2.5, "A7": 2.5}),
    ({"customer_id": pa.array([1.0, None])}, {"customer_id": ["1", "x"]}, {"1": 3.0, "x": 2.5}),
    ({"date": pa.array(["2024-01-05"] * 2).cast(pa.date32())}, {"date": pa.array([0, 1], pa.timestamp("us"))}, {}),
]


@pytest.mark.parametrize(("one", "two", "expected"), UNIFIED)
@pytest.mark.parametrize("turned", [False, True])
def test_parquet_files_become_one_without_loss(
    one: dict[str, Any], two: dict[str, Any], expected: dict[Any, float], turned: bool, tmp_path: Path
) -> None:
    found = revenue(parquet(tmp_path, *((two, one) if turned else (one, two))), max_unreadable=1.0)
    assert {who: pytest.approx(money) for who, money in expected.items()} == {k: found[k] for k in expected}


def test_parquet_files_that_cannot_become_one_are_named(tmp_path: Path) -> None:
    zoned = pa.array([0, 1], pa.timestamp("us", tz="UTC"))
    naive = pa.array([0, 1], pa.timestamp("us"))
    with pytest.raises(InputError, match=r"VARCHAR in p0.parquet, DOUBLE in p1.parquet"):
        revenue(parquet(tmp_path, {"amount": ["1", "2"]}, {}))
    with pytest.raises(InputError, match=r"TIMESTAMP in p0.parquet, TIMESTAMPTZ in p1.parquet.*time_zone"):
        revenue(parquet(tmp_path, {"date": naive}, {"date": zoned}))
    pq.write_table(pa.table({"customer_id": [1], "date": ["2024-01-05"]}), tmp_path / "p2.parquet")
    with pytest.raises(InputError, match=r"p2.parquet has no 'amount'"):
        revenue(parquet(tmp_path, {}, {}))


def sheet(path: Path, **sheets: pd.DataFrame) -> Path:
    with pd.ExcelWriter(path) as book:
        for name, frame in sheets.items():
            frame.to_excel(book, sheet_name=name, index=False)
    return path


def test_spreadsheets(tmp_path: Path) -> None:
    orders = pd.DataFrame({"customer_id": [1, 2, 2], "date": pd.to_datetime(["2024-01-05"] * 3), "amount": [1.5, 2, 3]})
    path = sheet(tmp_path / "o.xlsx", Orders=orders, Empty=pd.DataFrame())
    assert revenue(path) == {1: 1.5, 2: 5.0}
    both = sheet(tmp_path / "two.xlsx", A=orders, B=orders)
    with pytest.raises(InputError, match=r"Several sheets have rows.*'A', 'B'"):
        revenue(both)
    assert revenue(both, sheet="B") == {1: 1.5, 2: 5.0}
    with pytest.raises(InputError, match="no sheet 'C'"):
        revenue(both, sheet="C")
    text = orders.assign(date=["31.01.2024"] * 3, amount=["1.234,50", "2,00", "3"], customer_id=["01", "2", "2"])
    assert revenue(sheet(tmp_path / "text.xlsx", Orders=text)) == {"01": 1234.5, "2": 5.0}


def test_other_tables_of_text(tmp_path: Path) -> None:
    path = write(tmp_path, "customer_id;wallet;rate;zip;acquired_on\n07;1.234,50;0,5;01234;31.01.2024\n08;2;1;10115;\n")
    frame = read_frame(path, "accounts", labels=("customer_id",), days=("acquired_on",))
    assert frame["customer_id"].tolist() == ["07", "08"] and frame["zip"].tolist() == ["01234", "10115"]
    assert frame["wallet"].tolist() == [1234.5, 2.0] and frame["rate"].tolist() == [0.5, 1.0]
    assert frame["acquired_on"].dt.day.tolist()[0] == 31
    with pytest.raises(InputError, match="two ways"):
        read_frame(write(tmp_path, "customer_id,wallet\na,1.234\nb,2.500\n"), "accounts")


ODD_COLUMNS: dict[str, dict[str, Any]] = {
    "floats of 16 bits": {"amount": np.array([1.5, 2.5], dtype="float16")},
    "decimals of 40 digits": {"amount": [Decimal("1." + "1" * 40), Decimal(10) / 3]},
    "periods": {"date": pd.period_range("2024-01-05", periods=2, freq="D")},
    "categories": {"amount": pd.Categorical(["1.5", "2"])},
    "dates of Python": {"date": [pd.Timestamp("2024-01-05").date(), None]},
    "ids of one infinite": {"customer_id": [1.0, np.inf]},
}


@pytest.mark.parametrize("kind", ODD_COLUMNS)
def test_columns_of_odd_kinds(kind: str) -> None:
    frame = pd.DataFrame({"customer_id": ["a", "b"], "date": "2024-01-05", "amount": [1.5, 2.0]} | ODD_COLUMNS[kind])
    found = revenue(frame)
    assert found and all(0 < money < 4 for money in found.values())


def test_columns_named_by_numbers() -> None:
    frame = pd.DataFrame([["a", "2024-01-05", 1.5]])
    assert revenue(frame, customer=0, date=1, amount=2) == {"a": 1.5}


def orders(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 700, 900), unit="D")
    return pd.DataFrame(
        {"customer_id": rng.integers(0, 60, 900), "date": days, "amount": rng.gamma(4, 10, 900).round(2)}
    )


def in_polars(frame: pd.DataFrame) -> Any:
    return pl.from_pandas(frame)


def in_arrow(frame: pd.DataFrame) -> Any:
    return pa.table({name: frame[name].to_numpy(copy=True) for name in frame})


@pytest.mark.parametrize("kind", [pd.DataFrame, in_polars, in_arrow])
def test_a_table_edited_afterwards_changes_nothing(kind: Any) -> None:
    data = kind(orders())
    history = purchase_history(data, as_of="2023-12-01")
    before = history.split("2023-06-01").calibration.table
    if isinstance(data, pd.DataFrame):
        data.loc[:, "amount"] = 0.01
        data["customer_id"].to_numpy()  # a view of the caller's
    elif isinstance(data, pl.DataFrame):
        data[0, "amount"] = 10**6
    pd.testing.assert_frame_equal(history.split("2023-06-01").calibration.table, before)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_replaced_afterwards_is_noticed(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"o.{ending}"
    orders().to_csv(path, index=False) if ending == "csv" else orders().to_parquet(path, index=False)
    history = purchase_history(path, as_of="2023-12-01")
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match="changed or removed after it was opened"):
        history.split("2023-06-01")
    path.unlink()
    with pytest.raises(InputError, match="changed or removed"):
        history.split("2023-06-01")


def on_a_connection(frame: pd.DataFrame) -> Any:
    backend = ibis.duckdb.connect()
    backend.con.register("held", pa.Table.from_pandas(frame))
    backend.con.execute("CREATE TABLE log AS FROM held")
    return backend.table("log")


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@pytest.mark.parametrize("kind", [pd.DataFrame, on_a_connection, "csv", "cp1252", "parquet"])
def test_a_history_is_copied_and_pickled_with_its_orders(kind: Any, tmp_path: Path) -> None:
    frame = orders()
    if isinstance(kind, str):
        data: Any = tmp_path / f"o.{'parquet' if kind == 'parquet' else 'csv'}"
        if kind == "parquet":
            frame.to_parquet(data)
        else:
            write(tmp_path, frame.to_csv(index=False).encode("utf-16" if kind == "cp1252" else "utf-8"), data.name)
    else:
        data = kind(frame)
    history = purchase_history(data, as_of="2023-12-01")
    expected = history.split("2023-06-01").calibration.table
    for twin in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history)):  # noqa: S301 (made here)
        assert isinstance(twin, PurchaseHistory)
        pd.testing.assert_frame_equal(twin.split("2023-06-01").calibration.table, expected)


def test_results_are_copied_and_pickled() -> None:
    sim = clv.simulate_accounts(150, rng=3)
    history = purchase_history(sim.transactions, as_of=sim.as_of, customers=sim.accounts, category="category")
    model = clv.fit(history, draws=100, compare=False)
    forecast = clv.forecast(model, history, horizons=["12 months"], draws=100)
    ranking = clv.rank(forecast, horizon="12 months", draws=100)
    report = clv.make_report(forecast, ranking=ranking)
    for result in (model, forecast, ranking, report):
        for twin in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):  # noqa: S301 (made here)
            assert repr(twin) == repr(result)
    again = clv.forecast(pickle.loads(pickle.dumps(model)), history, horizons=["12 months"], draws=100)  # noqa: S301
    pd.testing.assert_frame_equal(again.customers, forecast.customers)


def test_several_threads_ask_one_history() -> None:
    history = purchase_history(orders(), as_of="2023-12-01")
    days = [str(day.date()) for day in pd.date_range("2023-01-01", periods=12, freq="14D")]
    alone = [len(history.split(day).holdout) for day in days]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda day: len(history.split(day).holdout), days)) == alone


def test_placeholder_dates_are_left_out_and_cautioned() -> None:
    frame = orders().assign(date=lambda t: t["date"].astype(str))
    clean = purchase_history(frame, as_of="2023-12-01").table
    frame.loc[5, "date"] = "1970-01-01"
    history = purchase_history(frame, as_of="2023-12-01")
    finding = history.audit.finding("date_placeholder")
    assert finding is not None and finding.level == "caution" and "1970-01-01" in finding.sentence
    assert abs(int(history.table["already_there"].sum()) - int(clean["already_there"].sum())) <= 1
    old = frame.assign(date=pd.to_datetime("1970-01-01") + pd.to_timedelta(range(900), unit="D"))
    assert purchase_history(old, as_of="1975-01-01").audit.finding("date_placeholder") is None
    frame["date"] = "1970-01-01"
    assert len(purchase_history(frame, as_of="2023-12-01").table) == 60  # a log of one day is a log


def test_other_cautions() -> None:
    frame = orders()
    tiny = purchase_history(frame.assign(amount=[4e-7] * 5 + [9.0] * 895), as_of="2023-12-01")
    finding = tiny.audit.finding("amounts_below_a_millionth")
    assert finding is not None and finding.values["rows"] == 5
    signs = np.where(np.random.default_rng(2).random(900) < 0.55, -1, 1)
    profits = purchase_history(frame.assign(amount=signs * frame["amount"] * 10), as_of="2023-12-01")
    assert profits.audit.finding("amounts_look_like_profits") is not None
    assert purchase_history(frame, as_of="2023-12-01").audit.finding("amounts_look_like_profits") is None
    codes = purchase_history(frame.assign(sku=[f"p{i % 300}" for i in range(900)]), as_of="2023-12-01", category="sku")
    assert codes.audit.finding("many_categories") is not None


def test_unreadable_lines_are_never_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame({"customer_id": range(1000), "date": "2024-01-05", "amount": "10.00"})
    frame.loc[:4, "amount"] = "10.00 CR"
    made = consolidate([OrderSource("shop", frame)], tmp_path)
    steps = made.reconciliation.set_index("step")["rows"]
    assert (steps["read"], steps["unreadable"], steps["kept"]) == (1000, 5, 995)
    finding = made.finding("unreadable_shop")
    assert finding is not None and finding.level == "caution" and "'10.00 CR'" in finding.sentence
    history = purchase_history(made.files, as_of=AS_OF, **made.options)
    assert history.audit.steps.set_index("step").loc["amount_unreadable", "rows"] == 5


def test_a_relation_is_copied() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE log AS SELECT 1 AS customer_id, DATE '2024-01-05' AS date, 2.5 AS amount")
        history = purchase_history(connection.table("log"), as_of=AS_OF)
        connection.execute("DELETE FROM log")
    assert history.split("2024-06-30").calibration.table["total_revenue"].tolist() == [2.5]
