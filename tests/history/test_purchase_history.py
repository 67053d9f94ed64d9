"""A history means the same whatever holds the log, and a split knows only what was known then."""

from __future__ import annotations

import datetime
import functools
import importlib
import math
import operator
import uuid
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

from clv_forecast import columns as c
from clv_forecast.errors import InputError
from clv_forecast.history import PurchaseHistory, load_cdnow, purchase_history
from clv_forecast.tables.queries import HELD_ROWS

AS_OF = "2024-06-30"


def random_log(seed: int = 1, customers: int = 40, rows: int = 600) -> pd.DataFrame:
    """Orders in cents, a few refunds, times of day; ids are integers."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2023-01-01")
    cents = rng.integers(1, 20_000, rows) * rng.choice([1, 1, 1, 1, -1], rows)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(1, customers, rows),
            "date": start + pd.to_timedelta(rng.integers(0, 500 * 1440, rows), unit="min"),
            "amount": cents / 100.0,
            "order_id": [f"N{i}" for i in rng.integers(0, 300, rows)],
            "category": rng.choice(["a", "b", "c"], rows),
        }
    )


def read(data: Any, **options: Any) -> PurchaseHistory:
    return purchase_history(data, **({"as_of": AS_OF, "order_id": "order_id", "category": "category"} | options))


def same(left: PurchaseHistory, right: PurchaseHistory) -> None:
    pd.testing.assert_frame_equal(left.table, right.table, check_exact=True)
    numbers = ["step", "rows", "customers", "amount"]
    pd.testing.assert_frame_equal(left.audit.steps[numbers], right.audit.steps[numbers])
    pd.testing.assert_frame_equal(left.purchases(), right.purchases(), check_exact=True)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return random_log()


@pytest.fixture(scope="module")
def expected(frame: pd.DataFrame) -> PurchaseHistory:
    return read(frame)


def as_csv(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "log.csv", index=False)
    return folder / "log.csv"


def as_parts(frame: pd.DataFrame, folder: Path) -> str:
    frame.iloc[:200].to_parquet(folder / "part-1.parquet")
    frame.iloc[200:].to_parquet(folder / "part-2.parquet")
    return str(folder / "part-*.parquet")


def as_ibis_on_duckdb(frame: pd.DataFrame, folder: Path) -> Any:
    frame.to_parquet(folder / "log.parquet")
    return ibis.duckdb.connect().read_parquet(folder / "log.parquet")


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")  # ibis 12 itself, on DuckDB 2
@pytest.mark.parametrize(
    "convert",
    [
        lambda frame, _: pl.from_pandas(frame),
        lambda frame, _: pl.from_pandas(frame).lazy(),
        lambda frame, _: pa.Table.from_pandas(frame),
        lambda frame, _: ibis.memtable(pa.Table.from_pandas(frame)),
        as_ibis_on_duckdb,
        as_csv,
        as_parts,
        lambda frame, _: frame.assign(date=frame["date"].astype(str), amount=frame["amount"].astype(str)),
        lambda frame, _: frame.assign(amount=[Decimal(str(x)) for x in frame["amount"]]),
        lambda frame, _: frame.assign(customer_id=frame["customer_id"].astype("float64")),
        lambda frame, _: frame.assign(category=frame["category"].astype("category")),
        lambda frame, _: frame.assign(date=[d.isoformat() if d.day % 2 else d for d in frame["date"]]),
        lambda frame, _: frame.assign(date=frame["date"].dt.as_unit("ns")),
        lambda frame, _: frame.set_axis([0] * len(frame)),
        lambda frame, _: frame.sample(frac=1.0, random_state=3),
        lambda frame, _: frame.set_index("customer_id", drop=False).iloc[::-1],
    ],
    ids=[
        "polars",
        "lazy",
        "pyarrow",
        "ibis",
        "duckdb",
        "csv",
        "parquet",
        "text",
        "decimal",
        "float-ids",
        "categorical",
        "mixed-dates",
        "nanoseconds",
        "one-index",
        "shuffled",
        "reversed",
    ],
)
def test_same_history_from_every_source(
    convert: Any, frame: pd.DataFrame, expected: PurchaseHistory, tmp_path: Path
) -> None:
    same(read(convert(frame, tmp_path)), expected)


def test_large_logs_stay_lazy_and_say_the_same(
    frame: pd.DataFrame, expected: PurchaseHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clv_forecast.tables.queries.HELD_ROWS", 10)
    assert HELD_ROWS > 10
    same(read(frame), expected)


def test_a_large_log_is_diagnosed_in_part_and_says_so(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("clv_forecast.history.purchase_history")
    monkeypatch.setattr(module, "DIAGNOSED_PURCHASES", 100)
    finding = read(frame).audit.finding("diagnosed_on_part")
    assert finding is not None and finding.values["every"] == math.ceil(finding.values["purchases"] / 100)


ID_TYPES: dict[str, Any] = {
    "text": lambda i: f"{i:05d}",
    "mixed case": lambda i: f"a{i // 2}" if i % 2 else f"A{i // 2}",
    "uuid": lambda i: uuid.UUID(int=i),
    "tuple": lambda i: ("shop", int(i)),
    "mixed types": lambda i: str(i) if i % 2 else f"{i} b",
    "unicode": lambda i: f"né {i} 'quoted\" <b>",
}


@pytest.mark.parametrize("kind", ID_TYPES)
def test_ids_of_any_type_are_kept_and_change_nothing(kind: str, frame: pd.DataFrame, expected: PurchaseHistory) -> None:
    written = [ID_TYPES[kind](i) for i in frame["customer_id"]]
    history = read(frame.assign(customer_id=pd.Series(written, dtype=object)))
    back = {ID_TYPES[kind](i): i for i in expected.table["customer_id"]}
    assert [type(i) for i in history.table["customer_id"]] == [
        type(i) for i in map(ID_TYPES[kind], map(back.get, history.table["customer_id"]))
    ]
    mapped = history.table.assign(customer_id=[back[i] for i in history.table["customer_id"]])
    mapped = mapped.sort_values("customer_id", ignore_index=True).astype({"customer_id": "int64"})
    pd.testing.assert_frame_equal(mapped, expected.table, check_exact=True)
    assert set(history.purchases()["customer_id"]) == set(back)


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("('00000000-0000-0000-0000-00000000000' || i)::uuid", [uuid.UUID(int=1), uuid.UUID(int=2)]),
        ("('2000-01-0' || i)::date", [datetime.date(2000, 1, 1), datetime.date(2000, 1, 2)]),
        ("i::decimal(10, 2)", [Decimal(1), Decimal(2)]),
        ("i::utinyint", [1, 2]),
        ("i::varchar::enum('1', '2')", ["1", "2"]),
        ("i = 2", [False, True]),
    ],
)
def test_ids_of_database_types(kind: str, ids: list[Any]) -> None:
    backend = ibis.duckdb.connect()
    rows = "(values (1, '2024-01-01', 10.0), (1, '2024-01-09', -4.0), (2, '2024-01-03', 5.0)) t(i, date, amount)"
    backend.raw_sql(f"create table log as select {kind} as customer_id, date, amount from {rows}")  # noqa: S608
    history = purchase_history(backend.table("log"), as_of=AS_OF)
    assert history.table["customer_id"].tolist() == ids
    assert history.table["total_revenue"].tolist() == [6.0, 5.0]
    assert history.split("2024-01-05").calibration.table["total_revenue"].tolist() == [10.0, 5.0]


def test_a_table_of_another_engine_is_fetched(frame: pd.DataFrame, expected: PurchaseHistory) -> None:
    same(read(ibis.polars.connect({"log": pl.from_pandas(frame)}).table("log")), expected)


def test_a_duckdb_relation_is_loaded(frame: pd.DataFrame, expected: PurchaseHistory) -> None:
    with duckdb.connect() as connection:
        history = read(connection.from_arrow(pa.Table.from_pandas(frame)))
    same(history, expected)  # the connection is closed: nothing of it is needed
    named = duckdb.sql('SELECT 1 AS "Customer ""ID""", DATE \'2024-01-01\' AS date, 2.5 AS amount')
    who = duckdb.sql("SELECT 1 AS customer_id, 'north' AS region")
    history = purchase_history(named, as_of=AS_OF, customer='Customer "ID"', customers=who)
    assert history.table["total_revenue"].tolist() == [2.5]
    assert history.customers is not None and history.customers["region"].tolist() == ["north"]


def test_ids_sort_as_python_sorts_them() -> None:
    ids = ["b", "B", "ä", "a", "10", "9"]
    log = pd.DataFrame({"customer_id": ids, "date": "2024-01-01", "amount": 1.0})
    assert purchase_history(log, as_of=AS_OF).table["customer_id"].tolist() == sorted(ids)


def test_leading_zeros_of_a_csv_are_kept(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("customer_id,date,amount\n007,2024-01-01,1.10\n7,2024-01-01,2.20\n")
    (tmp_path / "who.csv").write_text("customer_id,region\n007,n\n7,s\n")
    history = purchase_history(tmp_path / "log.csv", as_of=AS_OF, customers=tmp_path / "who.csv")
    assert history.table["customer_id"].tolist() == ["007", "7"]
    assert history.customers is not None
    assert history.customers["region"].tolist() == ["n", "s"]


def one(dates: list[str], amounts: list[Any], **options: Any) -> pd.Series:
    log = pd.DataFrame({"customer_id": 1, "date": dates, "amount": amounts})
    return purchase_history(log, **({"as_of": "2024-01-31"} | options)).table.iloc[0]


def test_definitions_on_a_hand_made_customer() -> None:
    row = one(["2024-01-03", "2024-01-10 08:00", "2024-01-10 20:00", "2024-01-24"], [5.0, 1.0, 3.0, 10.0])
    assert (row["frequency"], row["recency"], row["T"]) == (2, 3.0, 4.0)
    assert (row["first_revenue"], row["total_revenue"], row["monetary_value"]) == (5.0, 19.0, 7.0)
    assert (row["spend_count_repeat"], row["spend_sum_repeat"], row["spend_count_all"], row["spend_sum_all"]) == (
        2,
        14,
        3,
        19,
    )
    assert row["spend_sum_log_repeat"] == pytest.approx(math.log(4) + math.log(10), abs=1e-15)
    assert row["spend_sum_log_all"] == pytest.approx(math.log(5) + math.log(4) + math.log(10), abs=1e-15)
    assert row["sum_log_intervals"] == pytest.approx(math.log(1) + math.log(2), abs=1e-15)
    assert (row["first_purchase"], row["last_purchase"]) == (pd.Timestamp("2024-01-03"), pd.Timestamp("2024-01-24"))


@pytest.mark.parametrize(
    ("unit", "length"), [("hour", 1 / 24), ("day", 1), ("week", 7), ("month", 365.2425 / 12), ("year", 365.2425)]
)
def test_units(unit: str, length: float) -> None:
    row = one(["2024-01-03", "2024-01-24"], [5.0, 1.0], unit=unit)
    assert row["T"] == pytest.approx(28 / length, rel=1e-15)
    assert row["recency"] == pytest.approx(21 / length, rel=1e-15)
    assert row["sum_log_intervals"] == pytest.approx(math.log(21 / length), rel=1e-12)


def test_orders_of_the_last_day_count_to_its_end() -> None:
    row = one(["2024-01-31 23:59:59.999", "2024-02-01 00:00"], [5.0, 1.0])
    assert (row["frequency"], row["T"], row["total_revenue"]) == (0, 0.0, 5.0)
    assert math.isnan(row["monetary_value"])


@pytest.mark.parametrize(
    "as_of",
    [
        datetime.date(2024, 1, 31),
        datetime.datetime(2024, 1, 31, 15),
        pd.Timestamp("2024-01-31"),
        np.datetime64("2024-01-31"),
        "2024-01-31",
    ],
)
def test_as_of_in_every_form(as_of: Any) -> None:
    assert one(["2024-01-03"], [5.0], as_of=as_of)["T"] == 4.0


def test_money_is_summed_exactly() -> None:
    dates = [f"2024-01-{day:02d}" for day in range(1, 11)]
    assert functools.reduce(operator.add, [0.1] * 10) != 1.0
    assert one(dates, [0.1] * 10)["total_revenue"] == 1.0
    assert one(["2024-01-01"] * 10, [0.1] * 10)["first_revenue"] == 1.0
    log = pd.DataFrame({"customer_id": 1, "date": ["2024-01-01"] * 3, "amount": ["123456789012.1", "0.000001", "0.2"]})
    assert purchase_history(log, as_of=AS_OF).audit.steps["amount"].iloc[-1] == Decimal("123456789012.300001")


def test_cents_and_dollars_differ_by_the_unit_alone(frame: pd.DataFrame, expected: PurchaseHistory) -> None:
    cents = read(frame.assign(amount=(frame["amount"] * 100).round().astype("int64"))).table
    money = [c.MONETARY_VALUE, c.FIRST_REVENUE, c.TOTAL_REVENUE, c.SPEND_SUM_REPEAT, c.SPEND_SUM_ALL]
    np.testing.assert_allclose(cents[money], expected.table[money] * 100, rtol=1e-14)
    shift = expected.table[c.SPEND_COUNT_ALL] * math.log(100)
    np.testing.assert_allclose(cents[c.SPEND_SUM_LOG_ALL], expected.table[c.SPEND_SUM_LOG_ALL] + shift, atol=1e-12)
    times = [c.FREQUENCY, c.RECENCY, c.T, c.SUM_LOG_INTERVALS]
    pd.testing.assert_frame_equal(cents[times], expected.table[times])


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2024-01-10 23:30+00:00", "Europe/Berlin", "2024-01-11"),
        ("2024-01-10 22:30+00:00", "Europe/Berlin", "2024-01-10"),
        ("2024-07-10 22:30+00:00", "Europe/Berlin", "2024-07-11"),
        ("2024-01-10 04:59+00:00", "America/New_York", "2024-01-09"),
        ("2024-01-10 05:00+00:00", "America/New_York", "2024-01-10"),
    ],
)
@pytest.mark.parametrize("form", ["typed", "text"])
def test_days_begin_at_midnight_of_the_named_zone(moment: str, zone: str, day: str, form: str) -> None:
    date = pd.Timestamp(moment) if form == "typed" else moment.replace(" ", "T")
    log = pd.DataFrame({"customer_id": [1], "date": [date], "amount": [1.0]})
    table = purchase_history(log, as_of="2024-12-31", time_zone=zone).table
    assert table["first_purchase"].iloc[0] == pd.Timestamp(day)


def test_times_without_a_zone_are_local() -> None:
    row = one(["2024-01-10 23:30"], [1.0], time_zone="Asia/Tokyo")
    assert row["first_purchase"] == pd.Timestamp("2024-01-10")


def test_rates_convert_exactly() -> None:
    log = pd.DataFrame(
        {"customer_id": [1, 1], "date": "2024-01-01", "amount": ["10.10", "0.10"], "money": ["USD", "EUR"]}
    )
    history = purchase_history(log, as_of=AS_OF, currency="money", rates={"EUR": 1, "USD": "0.92"})
    assert history.currency == "EUR"
    assert history.audit.steps["amount"].iloc[-1] == Decimal("9.392")
    assert history.audit.steps["amount"].iloc[0] == Decimal("9.392")


@pytest.mark.parametrize(("option", "currency"), [("GBP", "GBP"), ("money", "EUR"), (None, None)])
def test_currency_is_a_column_or_a_code(option: str | None, currency: str | None) -> None:
    log = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": [1.0], "money": ["EUR"]})
    assert purchase_history(log, as_of=AS_OF, currency=option).currency == currency


def test_attributes_follow_the_rows_of_the_table() -> None:
    log = pd.DataFrame({"customer_id": [3, 1, 2], "date": "2024-01-01", "amount": 1.0})
    who = pd.DataFrame({"customer_id": [9, 2, 3], "region": ["x", "s", "n"], "size": [0, 5, 7]})
    history = purchase_history(log, as_of=AS_OF, customers=who)
    assert history.customers is not None
    assert history.customers["customer_id"].tolist() == [1, 2, 3]
    assert history.customers["region"].tolist()[1:] == ["s", "n"] and pd.isna(history.customers["region"].iloc[0])
    assert [
        history.audit.finding(name) is not None
        for name in ("customers_without_attributes", "attributes_without_orders")
    ] == [True, True]
    full = purchase_history(log, as_of=AS_OF, customers=pl.DataFrame({"customer_id": [1, 2, 3], "size": [4, 5, 6]}))
    assert full.customers is not None and full.customers["size"].tolist() == [4, 5, 6]


def test_margin_is_netted_with_its_refund() -> None:
    log = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2],
            "date": ["2024-01-01", "2024-01-08", "2024-01-09", "2024-01-01"],
            "amount": [100.0, 50.0, -25.0, 10.0],
            "gain": [30.0, 20.0, -10.0, -1.5],
        }
    )
    assert purchase_history(log, as_of=AS_OF, margin="gain").table["total_margin"].tolist() == [40.0, -1.5]


def test_already_there_and_its_default() -> None:
    log = pd.DataFrame({"customer_id": [1, 2, 3], "date": ["2020-01-01", "2020-12-31", "2021-01-01"], "amount": 1.0})
    assert purchase_history(log, as_of="2024-01-01").table["already_there"].tolist() == [True, True, False]
    chosen = purchase_history(log, as_of="2024-01-01", observed_from="2020-12-31")
    assert chosen.table["already_there"].tolist() == [True, False, False]
    short = purchase_history(log, as_of="2021-03-31")
    assert short.table["already_there"].tolist() == [True, False, False]


def test_a_cohort_is_recognised() -> None:
    dates = ["2024-01-01", "2024-02-01", "2024-12-01"]
    log = pd.DataFrame({"customer_id": [1, 2, 1], "date": dates, "amount": 1.0})
    assert purchase_history(log, as_of="2024-12-31").audit.finding("cohort_log") is not None
    assert purchase_history(log.assign(customer_id=[1, 2, 3]), as_of="2024-12-31").audit.finding("cohort_log") is None


def test_a_cohort_with_a_few_latecomers_and_no_advice_already_followed() -> None:
    frame = pd.DataFrame({"customer_id": range(200), "date": "2024-01-01", "amount": 1.0})
    frame.loc[[198, 199], "date"] = "2024-12-01"
    finding = purchase_history(frame, as_of="2024-12-31").audit.finding("cohort_log")
    assert finding is not None and "pass observed_from='2024-01-01'" in finding.sentence
    assert "Only 2 of 200 customers bought first after 2024-01-01" in finding.sentence
    followed = purchase_history(frame, as_of="2024-12-31", observed_from="2024-01-01").audit.finding("cohort_log")
    assert followed is not None and "observed_from" not in followed.sentence
    frame.loc[197, "date"] = "2024-12-01"
    assert purchase_history(frame, as_of="2024-12-31").audit.finding("cohort_log") is None


def test_the_whole_of_cdnow_is_a_cohort() -> None:
    finding = purchase_history(load_cdnow(), as_of="1998-06-30", observed_from="1997-01-01").audit.finding("cohort_log")
    assert finding is not None and finding.values["last_first_purchase"] < "1997-04-01"


def test_reprs_are_short_and_escaped() -> None:
    log = pd.DataFrame({"customer_id": ["<b>x</b>", *"abcdef"], "date": "2024-01-01", "amount": 1.0})
    log = pd.concat([log, log.assign(date="2024-03-01")])
    history = purchase_history(log, as_of="2024-03-31", currency="EUR")
    text = history._repr_html_()
    assert "7 customers as of 2024-03-31, times in weeks, money in EUR" in text
    assert "<b>x" not in text and "&lt;b&gt;x" in text
    assert text.count("2024-03-01</td>") == 5
    assert history.audit._repr_html_() in text
    assert repr(history.split("2024-01-31")) == "<Split at 2024-01-31: 7 customers, 7 holdout purchases>"


def split_log() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2, 2, 3, 4],
            "date": ["2024-01-01", "2024-01-20", "2024-02-10", "2024-01-05", "2024-02-20", "2024-02-15", "2024-01-07"],
            "amount": [100.0, 50.0, -60.0, 30.0, 35.0, 80.0, 20.0],
            "seen": ["2024-01-01", "2024-01-20", "2024-02-10", "2024-01-05", "2024-02-20", "2024-02-15", "2024-02-02"],
        }
    )


def test_split_knows_what_was_known_then() -> None:
    whole = purchase_history(split_log(), as_of="2024-03-01", recorded_at="seen")
    assert whole.table.set_index("customer_id").loc[1, "total_revenue"] == 90.0
    halves = whole.split("2024-01-31")
    calibration = halves.calibration.table.set_index("customer_id")
    assert calibration.index.tolist() == [1, 2]
    assert calibration.loc[1, ["frequency", "total_revenue"]].tolist() == [1, 150.0]
    assert halves.calibration.as_of == pd.Timestamp("2024-01-31")
    assert halves.holdout.to_numpy().tolist() == [[1, 0, 0.0], [2, 1, 35.0]]
    assert halves.holdout_orders.to_numpy().tolist() == [[2, pd.Timestamp("2024-02-20"), 35.0]]
    assert halves.new_customer_orders.to_numpy().tolist() == [[3, pd.Timestamp("2024-02-15"), 80.0]]
    steps = halves.calibration.audit.steps.set_index("step")
    assert steps.loc["after_as_of", "rows"] == 3 and steps.loc["recorded_after_as_of", "rows"] == 1


def test_without_recording_times_a_row_is_known_on_its_date() -> None:
    calibration = purchase_history(split_log(), as_of="2024-03-01").split("2024-01-31").calibration
    assert calibration.table["customer_id"].tolist() == [1, 2, 4]


def test_a_split_equals_a_history_made_then(frame: pd.DataFrame, expected: PurchaseHistory) -> None:
    at = pd.Timestamp("2023-10-01")
    then = read(frame[frame["date"] < at + pd.Timedelta(days=1)], as_of=at)
    halves = expected.split(at)
    pd.testing.assert_frame_equal(halves.calibration.table, then.table, check_exact=True)
    later = expected.purchases()
    later = later[later["date"] > at]
    assert len(halves.holdout_orders) + len(halves.new_customer_orders) == len(later)
    assert halves.holdout["holdout_purchases"].sum() == len(halves.holdout_orders)
    assert halves.holdout["holdout_revenue"].sum() == pytest.approx(halves.holdout_orders["amount"].sum())


def test_purchases_add_up_to_the_table(expected: PurchaseHistory) -> None:
    sums = expected.purchases().groupby("customer_id")["amount"].agg(["size", "sum"])
    assert sums["size"].tolist() == expected.table["spend_count_all"].tolist()
    np.testing.assert_allclose(sums["sum"], expected.table["total_revenue"], rtol=1e-13)


def test_the_log_is_not_changed(frame: pd.DataFrame) -> None:
    before = frame.copy(deep=True)
    read(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_million_rows_pass_quickly(tmp_path: Path) -> None:
    rows = 1_000_000
    rng = np.random.default_rng(5)
    days = rng.integers(0, 730, rows).astype("datetime64[D]") + (
        np.datetime64("2022-01-01") - np.datetime64("1970-01-01")
    )
    table = pa.table(
        {
            "customer_id": rng.integers(0, 100_000, rows),
            "date": pa.array(days.astype("datetime64[us]")),
            "amount": rng.integers(1, 10_000, rows) / 100.0,
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    history = purchase_history(tmp_path / "log.parquet", as_of="2023-12-31")
    cents = int(np.rint(table["amount"].to_numpy() * 100).sum())
    assert history.audit.steps["amount"].iloc[-1] == Decimal(cents) / 100
    assert history.audit.steps["rows"].iloc[-1] == rows


def test_margins_are_converted_like_amounts():
    log = pd.DataFrame({
        "customer_id": [1, 1], "date": ["2024-01-01", "2024-01-05"], "amount": [50.0, 100.0], "gain": [20.0, 20.0],
        "CUR": ["EUR", "USD"],
    })  # fmt: skip
    history = purchase_history(log, as_of="2024-02-01", margin="gain", currency="CUR", rates={"EUR": 1, "USD": "0.5"})
    assert history.table["total_revenue"].tolist() == [100.0]
    assert history.table["total_margin"].tolist() == [30.0]


def test_three_capitals_that_name_a_column_are_a_column():
    log = pd.DataFrame({
        "customer_id": [1, 1], "date": ["2024-01-01", "2024-01-05"], "amount": [50.0, 100.0], "CUR": ["EUR", "USD"],
    })  # fmt: skip
    with pytest.raises(InputError, match="rates"):
        purchase_history(log, as_of="2024-02-01", currency="CUR")
    assert purchase_history(log.drop(columns="CUR"), as_of="2024-02-01", currency="EUR").currency == "EUR"
    with pytest.raises(InputError, match="amount"):
        purchase_history(log.drop(columns=["CUR", "amount"]), as_of="2024-02-01", currency="EUR")


def test_attributes_of_today_are_marked_in_a_split():
    log = pd.DataFrame({
        "customer_id": [1, 2] * 3, "date": pd.date_range("2024-01-01", periods=6, freq="20D"), "amount": 10.0,
    })  # fmt: skip
    customers = pd.DataFrame({"customer_id": [1, 2], "region": ["n", "s"]})
    for attributes, marked in ((customers, True), (None, False)):
        split = purchase_history(log, as_of="2024-06-01", customers=attributes).split("2024-03-01")
        names = [finding.name for finding in split.calibration.audit.findings]
        assert ("attributes_undated" in names) == marked
