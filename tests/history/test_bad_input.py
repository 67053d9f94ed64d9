"""Bad input: each kind is a clear error, or left out, counted, reconciled and said."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pytest

from clv_forecast.errors import ClvForecastError, DomainError, InputError
from clv_forecast.history import history_from_summary, purchase_history

AS_OF = "2024-03-31"


def log(**columns: Any) -> pd.DataFrame:
    """Four good orders of three customers; columns given replace theirs."""
    base = {
        "customer_id": [1, 1, 2, 3],
        "date": ["2024-01-01", "2024-02-01", "2024-01-15", "2024-03-01"],
        "amount": [10.0, 20.0, 30.0, 40.0],
    }
    return pd.DataFrame(base | columns)


# name of the step, what is bad in the last row or rows, money left out
LEFT_OUT: list[tuple[str, str, dict[str, Any], dict[str, Any], int, str]] = [
    ("no id", "customer_missing", {"customer_id": [1, 1, 2, None]}, {}, 1, "40"),
    ("NaN id", "customer_missing", {"customer_id": [1.0, 1.0, 2.0, float("nan")]}, {}, 1, "40"),
    ("blank id", "customer_missing", {"customer_id": ["a", "a", "b", "  "]}, {}, 1, "40"),
    ("no date", "date_missing", {"date": ["2024-01-01", "2024-02-01", "2024-01-15", None]}, {}, 1, "40"),
    (
        "NaT",
        "date_missing",
        {"date": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-15", None])},
        {},
        1,
        "40",
    ),
    (
        "a date that is none",
        "date_unreadable",
        {"date": ["2024-01-01", "2024-02-01", "2024-01-15", "soon"]},
        {},
        1,
        "40",
    ),
    ("30 February", "date_unreadable", {"date": ["2024-01-01", "2024-02-01", "2024-01-15", "2024-02-30"]}, {}, 1, "40"),
    ("day first", "date_unreadable", {"date": ["2024-01-01", "2024-02-01", "2024-01-15", "01/03/2024"]}, {}, 1, "40"),
    (
        "two-digit year",
        "date_unreadable",
        {"date": ["2024-01-01", "2024-02-01", "2024-01-15", "24-03-01"]},
        {},
        1,
        "40",
    ),
    ("no amount", "amount_missing", {"amount": [10.0, 20.0, 30.0, None]}, {}, 1, "0"),
    ("NaN as text", "amount_missing", {"amount": ["10", "20", "30", "NaN"]}, {}, 1, "0"),
    ("infinite", "amount_infinite", {"amount": [10.0, 20.0, 30.0, float("inf")]}, {}, 1, "0"),
    ("minus infinite", "amount_infinite", {"amount": [10.0, 20.0, 30.0, float("-inf")]}, {}, 1, "0"),
    ("infinite as text", "amount_infinite", {"amount": ["10", "20", "30", "-inf"]}, {}, 1, "0"),
    ("words for an amount", "amount_unreadable", {"amount": ["10", "20", "30", "forty"]}, {}, 1, "0"),
    ("decimal comma", "amount_unreadable", {"amount": ["10", "20", "30", "40,00"]}, {}, 1, "0"),
    ("a currency sign", "amount_unreadable", {"amount": ["10", "20", "30", "€40"]}, {}, 1, "0"),
    ("mixed kinds of amount", "amount_unreadable", {"amount": [10, 20.0, Decimal("30"), "?"]}, {}, 1, "0"),
    ("absurdly large", "amount_out_of_range", {"amount": [10.0, 20.0, 30.0, 1e12]}, {}, 1, "0"),
    ("beyond any decimal", "amount_out_of_range", {"amount": [10.0, 20.0, 30.0, -1e300]}, {}, 1, "0"),
    ("after as_of", "after_as_of", {}, {"as_of": "2024-02-29"}, 1, "40"),
    (
        "recorded after as_of",
        "recorded_after_as_of",
        {"seen": ["2024-01-01", "2024-02-01", "2024-01-15", "2024-04-01"]},
        {"recorded_at": "seen"},
        1,
        "40",
    ),
    ("zero", "zero_amount", {"amount": [10.0, 20.0, 30.0, 0.0]}, {}, 1, "0"),
    ("zero to six decimals", "zero_amount", {"amount": [10.0, 20.0, 30.0, 4e-7]}, {}, 1, "0"),
    ("refund to drop", "refund_dropped", {"amount": [10.0, 20.0, 30.0, -5.0]}, {"refunds": "drop"}, 1, "-5"),
    ("refund without a purchase", "refunds_unmatched", {"amount": [10.0, 20.0, 30.0, -5.0]}, {}, 1, "-5"),
    (
        "no currency",
        "currency_missing",
        {"money": ["EUR", "EUR", "EUR", None]},
        {"currency": "money"},
        1,
        "40",
    ),
]


@pytest.mark.parametrize(
    ("name", "step", "columns", "options", "rows", "money"), LEFT_OUT, ids=[r[0] for r in LEFT_OUT]
)
def test_left_out_counted_and_said(
    name: str, step: str, columns: dict[str, Any], options: dict[str, Any], rows: int, money: str
) -> None:
    history = purchase_history(log(**columns), **({"as_of": AS_OF} | options))
    steps = history.audit.steps.set_index("step")
    assert steps.loc[step, "rows"] == rows
    assert steps.loc[step, "amount"] == Decimal(money)
    assert steps.loc["read", "rows"] == 4
    assert steps.loc["kept", "rows"] == 3
    assert steps["rows"].iloc[1:].sum() == 4
    assert sum(steps["amount"].iloc[1:]) == steps["amount"].iloc[0]
    assert steps.loc[step, "sentence"].strip().endswith(".")
    assert "customer_id=" in steps.loc[step, "example"]
    assert history.table["total_revenue"].sum() == float(steps.loc["kept", "amount"]) == 60.0


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], type[ClvForecastError], str]] = [
    ("refunds to refuse", {"amount": [10.0, -1.0, 30.0, 40.0]}, {"refunds": "error"}, InputError, "First customers: 1"),
    (
        "two currencies",
        {"money": ["EUR", "USD", "EUR", "EUR"]},
        {"currency": "money"},
        InputError,
        r"EUR \(3 rows\), USD \(1 rows\)",
    ),
    (
        "a currency without rate",
        {"money": ["EUR", "USD", "CHF", "EUR"]},
        {"currency": "money", "rates": {"EUR": 1, "USD": 0.9}},
        InputError,
        "CHF",
    ),
    ("rates without currency", {}, {"rates": {"EUR": 1}}, DomainError, "currency column"),
    ("no reporting currency", {"m": ["A"] * 4}, {"currency": "m", "rates": {"A": 2}}, DomainError, "rate 1"),
    ("a negative rate", {"m": ["A"] * 4}, {"currency": "m", "rates": {"A": 1, "B": -1}}, DomainError, "between"),
    ("no such column", {}, {"amount": "Amuont"}, InputError, "Nearest: 'amount'"),
    ("wrong case of a column", {}, {"customer": "CUSTOMER_ID"}, InputError, "Nearest: 'customer_id'"),
    ("one column for two", {}, {"order_id": "date"}, DomainError, "of its own"),
    ("spreadsheet days", {"date": [45292, 45323, 45306, 45352]}, {}, InputError, "spreadsheet"),
    ("float dates", {"date": [45292.5, 1.0, 2.0, 3.0]}, {}, InputError, "float"),
    ("spreadsheet days as text", {"date": ["45292", "45323", "45306", "45352"]}, {}, InputError, "date_unreadable: 4"),
    ("true and false for money", {"amount": [True, True, False, True]}, {}, InputError, "must hold numbers"),
    ("dates for money", {"amount": pd.to_datetime(["2024-01-01"] * 4)}, {}, InputError, "must hold numbers"),
    ("only words for money", {"amount": ["a", "b", "c", "d"]}, {}, InputError, "amount_unreadable: 4"),
    ("as_of before all", {}, {"as_of": "2023-12-31"}, InputError, "before the first order"),
    ("as_of a number", {}, {"as_of": 20240331}, DomainError, "as_of must be a day"),
    ("as_of no day", {}, {"as_of": "the end"}, DomainError, "as_of must be a day"),
    ("as_of missing", {}, {"as_of": pd.NaT}, DomainError, "as_of must be a day"),
    ("unknown unit", {}, {"unit": "fortnight"}, DomainError, "unit must be one of"),
    ("unknown policy", {}, {"refunds": "ignore"}, DomainError, "'net', 'drop' or 'error'"),
    ("unknown zone", {}, {"time_zone": "Mars/Base"}, DomainError, "named zone"),
    ("an offset for a zone", {}, {"time_zone": "+02:00"}, DomainError, "named zone"),
    (
        "zoned times without a zone",
        {"date": pd.to_datetime(["2024-01-01"] * 4, utc=True)},
        {},
        InputError,
        "time_zone must name",
    ),
    (
        "offsets in text without a zone",
        {"date": ["2024-01-01T10:00:00+01:00", "2024-02-01", "2024-01-15", "2024-03-01"]},
        {},
        InputError,
        "1 rows with an offset",
    ),
    ("only refunds", {"amount": [-1.0, -2.0, -3.0, -4.0]}, {}, InputError, "no purchase"),
    (
        "all netted away",
        {"customer_id": [1] * 4, "date": ["2024-01-01"] * 4, "amount": [5, -5, 5, -5]},
        {},
        InputError,
        "leave no customer",
    ),
    ("attributes twice", {}, {"customers": pd.DataFrame({"customer_id": [1, 2, 2]})}, InputError, "First customers: 2"),
    ("attributes without id", {}, {"customers": pd.DataFrame({"customer_id": [1, None]})}, InputError, "needs an id"),
    (
        "attributes of other ids",
        {},
        {"customers": pd.DataFrame({"customer_id": ["1", "2"]})},
        InputError,
        "1 is not '1'",
    ),
    ("attributes without the column", {}, {"customers": pd.DataFrame({"id": [1]})}, InputError, "does not exist"),
    ("attributes no table", {}, {"customers": {"customer_id": [1]}}, InputError, "must be a table"),
]


@pytest.mark.parametrize(("name", "columns", "options", "error", "words"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(
    name: str, columns: dict[str, Any], options: dict[str, Any], error: type[ClvForecastError], words: str
) -> None:
    with pytest.raises(error, match=words):
        purchase_history(log(**columns), **({"as_of": AS_OF} | options))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([{"customer_id": 1}], "must be a pandas or polars DataFrame"),
        ("no_such_file.csv", "No file matches"),
        (log().iloc[:0], "no rows"),
        (pd.DataFrame([[1, "2024-01-01", 1.0, 2.0]], columns=["customer_id", "date", "amount", "amount"]), "2 times"),
        (pa.table({"customer_id": [1], "date": ["2024-01-01"], "amount": [[1.0]]}), "must hold numbers"),
    ],
    ids=["a list", "no file", "empty", "column twice", "nested amount"],
)
def test_no_log(data: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        purchase_history(data, as_of=AS_OF)


def test_an_ibis_table_without_connection() -> None:
    unbound = ibis.table({"customer_id": "int64", "date": "date", "amount": "float64"}, name="orders")
    with pytest.raises(InputError, match="no connection"):
        purchase_history(unbound, as_of=AS_OF)


def test_files_of_unknown_or_broken_kind(tmp_path: Any) -> None:
    (tmp_path / "orders.xlsx").write_bytes(b"PK")
    (tmp_path / "orders.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match="CSV or Parquet"):
        purchase_history(tmp_path / "orders.xlsx", as_of=AS_OF)
    with pytest.raises(InputError, match="cannot read"):
        purchase_history(tmp_path / "orders.parquet", as_of=AS_OF)


def test_order_ids_shared_by_customers_and_rows_repeated_are_said_and_kept() -> None:
    frame = log(number=["A", "B", "A", "C"])
    frame = pd.concat([frame, frame.iloc[[3]]])
    audit = purchase_history(frame, as_of=AS_OF, order_id="number").audit
    shared, repeated = audit.finding("shared_order_ids"), audit.finding("repeated_rows")
    assert shared is not None and shared.level == "caution" and shared.values["orders"] == 1
    assert repeated is not None and repeated.level == "caution" and repeated.values["rows"] == 1
    assert "order_id=C" in repeated.sentence
    assert audit.steps["rows"].iloc[-1] == 5


def test_lines_of_one_order_are_no_caution() -> None:
    audit = purchase_history(log(number=["A", "B", "C", "D"]), as_of=AS_OF, order_id="number").audit
    assert audit.finding("order_lines") is None and audit.finding("repeated_rows") is None
    frame = log(number=["A", "A", "C", "D"], date=["2024-01-01"] * 4)
    finding = purchase_history(frame, as_of=AS_OF, order_id="number").audit.finding("order_lines")
    assert finding is not None and finding.level == "info" and finding.values["several_lines"] == 1


def test_ids_alike_are_said_and_kept_apart() -> None:
    history = purchase_history(log(customer_id=["ab", "AB", "ab ", "c"]), as_of=AS_OF)
    finding = history.audit.finding("ids_alike")
    assert finding is not None and finding.values["customers"] == 3
    assert len(history.table) == 4


def test_missing_margin_is_never_zero() -> None:
    history = purchase_history(log(gain=[1.0, None, 3.0, 4.0]), as_of=AS_OF, margin="gain")
    assert history.table["total_margin"].isna().tolist() == [True, False, False]
    finding = history.audit.finding("margin_unknown")
    assert finding is not None and finding.values == {"rows": 1, "customers": 1}


def test_no_recording_time_is_said() -> None:
    history = purchase_history(log(seen=["2024-01-01", None, "2024-01-15", "x"]), as_of=AS_OF, recorded_at="seen")
    finding = history.audit.finding("unrecorded_rows")
    assert finding is not None and finding.values["rows"] == 2
    assert history.audit.steps["rows"].iloc[-1] == 4


SUMMARY = {
    "customer_id": [1, 2],
    "frequency": [2, 0],
    "recency": [3.0, 0.0],
    "T": [5.0, 6.0],
    "monetary_value": [9.0, 0.0],
}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"customer_id": [1, 1]}, "one row"),
        ({"customer_id": [1, None]}, "needs a customer id"),
        ({"frequency": [2, -1]}, "not negative"),
        ({"frequency": [2.5, 0]}, "whole number"),
        ({"frequency": [2, None]}, "finite"),
        ({"recency": [5.1, 0.0]}, "must not exceed T"),
        ({"recency": [3.0, 1.0]}, "not the time since the last one"),
        ({"recency": [0.0, 0.0]}, "above 0 when there is a repeat"),
        ({"T": [float("inf"), 1.0]}, "finite"),
        ({"monetary_value": [0.0, 0.0]}, "positive"),
        ({"monetary_value": [-3.0, 0.0]}, "positive"),
        ({"monetary_value": [None, 0.0]}, "positive"),
        ({"T": ["a", "b"]}, "must hold numbers"),
    ],
)
def test_bad_summary(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        history_from_summary(pd.DataFrame(SUMMARY | columns), unit="week", as_of="2024-01-01")


def test_a_summary_cannot_be_split_or_listed() -> None:
    history = history_from_summary(pd.DataFrame(SUMMARY), unit="week", as_of="2024-01-01")
    with pytest.raises(InputError, match="no orders"):
        history.split("2023-12-01")
    with pytest.raises(InputError, match="no orders"):
        history.purchases()


@pytest.mark.parametrize("at", ["2024-03-31", datetime.date(2025, 1, 1)])
def test_split_not_before_as_of(at: Any) -> None:
    with pytest.raises(DomainError, match="before as_of"):
        purchase_history(log(), as_of=AS_OF).split(at)


def test_split_before_the_first_order() -> None:
    with pytest.raises(InputError, match="before the first order"):
        purchase_history(log(), as_of=AS_OF).split("2023-01-01")
