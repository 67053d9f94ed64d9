"""Bad input: each kind is a clear error, or left out, counted, reconciled and said."""

from __future__ import annotations

import datetime
import gzip
from decimal import Decimal
from typing import Any

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clv_forecast.errors import ClvForecastError, DomainError, InputError
from clv_forecast.history import history_from_summary, purchase_history
from clv_forecast.tables.column_names import check_columns

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
    (
        "day first",
        "date_unreadable",
        {"date": ["2024-01-01", "2024-02-01", "2024-01-15", "01/03/2024"]},
        {"date_format": "iso"},
        1,
        "40",
    ),
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
    ("another decimal sign", "amount_unreadable", {"amount": ["10.00", "20.00", "30.00", "40,00"]}, {}, 1, "0"),
    ("debit and credit", "amount_unreadable", {"amount": ["10", "20", "30", "40 DR"]}, {}, 1, "0"),
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
    history = purchase_history(log(**columns), **({"as_of": AS_OF, "max_unreadable": 0.5} | options))
    steps = history.audit.steps.set_index("step")
    assert steps.loc[step, "rows"] == rows
    assert steps.loc[step, "amount"] == Decimal(money)
    assert steps.loc["read", "rows"] == 4
    assert steps.loc["kept", "rows"] == 3
    assert steps["rows"].iloc[1:].sum() == 4
    assert sum(steps["amount"].iloc[1:]) == steps["amount"].iloc[0]
    assert steps.loc[step, "sentence"].strip().endswith(".")
    assert "customer id " in steps.loc[step, "example"]
    assert history.table["total_revenue"].sum() == float(steps.loc["kept", "amount"]) == 60.0


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], type[ClvForecastError], str]] = [
    ("refunds to refuse", {"amount": [10.0, -1.0, 30.0, 40.0]}, {"refunds": "error"}, InputError, "First customers: 1"),
    (
        "two currencies",
        {"money": ["EUR", "USD", "EUR", "EUR"]},
        {"currency": "money"},
        InputError,
        r"EUR \(3 rows\), USD \(1 row\)",
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
    (
        "spreadsheet days as text",
        {"date": ["45292", "45323", "45306", "45352"]},
        {},
        InputError,
        r"4 of 4 rows \(100 %\) have a date that is none.*Got: '45292', '45306'",
    ),
    ("true and false for money", {"amount": [True, True, False, True]}, {}, InputError, "must hold numbers"),
    ("dates for money", {"amount": pd.to_datetime(["2024-01-01"] * 4)}, {}, InputError, "must hold numbers"),
    (
        "only words for money",
        {"amount": ["a", "b", "c", "d"]},
        {},
        InputError,
        r"4 of 4 rows \(100 %\) have an amount that is no number.*Got: 'a', 'b', 'c', 'd'",
    ),
    ("as_of before all", {}, {"as_of": "2023-12-31"}, InputError, "before the first order"),
    ("as_of a number", {}, {"as_of": 20240331}, DomainError, "as_of must be a day"),
    *[
        (f"as_of {text!r}", {}, {"as_of": text}, DomainError, "as_of must be a day: .* ISO text")
        for text in ("03/04/1998", "1998", "1998-06", "today", "now", "June 30 1998", "1998-06-31", "1998-06-301", "")
    ],
    ("observed_from guessed", {}, {"observed_from": "03/04/1998"}, DomainError, "observed_from must be a day"),
    ("as_of a month", {}, {"as_of": np.datetime64("2024-03")}, DomainError, "must be a day"),
    ("as_of datetime64 of none", {}, {"as_of": np.datetime64("NaT", "D")}, DomainError, "must be a day"),
    *[
        (f"as_of in a zone: {day!r}", {}, {"as_of": day}, DomainError, "without a time zone.*Give the local day")
        for day in (
            "2024-03-31T23:00:00Z",
            "2024-03-31 23:00:00+02:00",
            pd.Timestamp("2024-03-31", tz="Europe/Berlin"),
            datetime.datetime(2024, 3, 31, tzinfo=datetime.UTC),
        )
    ],
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
        "1 row with an offset",
    ),
    ("only refunds", {"amount": [-1.0, -2.0, -3.0, -4.0]}, {}, InputError, "refunds only .* check the sign"),
    ("refunds dropped", {"amount": [-1.0, -2.0, -3.0, -4.0]}, {"refunds": "drop"}, InputError, "refunds only"),
    (
        "dates day first, said to be ISO",
        {"date": ["30/06/1998"] * 4},
        {"date_format": "iso"},
        InputError,
        r"They can be read with date_format='%d/%m/%Y'",
    ),
    (
        "decimal commas, said to be points",
        {"amount": ["29,33"] * 4},
        {"decimal": "."},
        InputError,
        r"They can be read with decimal=','",
    ),
    (
        "signs of two currencies",
        {"amount": ["$29.33", "€4.10", "1", "2"]},
        {},
        InputError,
        r"several currencies.*\$, €",
    ),
    (
        "the sign of another",
        {"amount": ["€29.33", "€4", "1", "2"]},
        {"currency": "USD"},
        InputError,
        "another currency",
    ),
    ("points or thousands", {"amount": ["1.234", "2.500", "3", "4"]}, {}, InputError, r"two ways: 1.234 or 1,234"),
    ("commas or thousands", {"amount": ["1,234", "2,500", "3", "4"]}, {}, InputError, r"two ways"),
    ("day or month", {"date": ["01/02/2024", "03/04/2024"] * 2}, {}, InputError, "do not tell day and month apart"),
    ("shares above one", {}, {"max_unreadable": 1.5}, DomainError, "share between 0 and 1"),
    ("one sign for two", {}, {"decimal": ",", "thousands": ","}, DomainError, "must differ"),
    ("no format of days", {}, {"date_format": "DD.MM.YYYY"}, DomainError, "strptime"),
    ("no date at all", {"date": [None] * 4}, {}, InputError, r"Every order needs a date: 4 of 4 rows"),
    ("all free", {"amount": [0.0] * 4}, {}, InputError, r"above zero: 4 of 4 rows"),
    (
        "all recorded late",
        {"seen": ["2025-01-01"] * 4},
        {"recorded_at": "seen"},
        InputError,
        "recorded after as_of: 4 of 4 rows",
    ),
    (
        "several reasons",
        {"date": ["30/06/1998", "2024-02-01", "2024-01-15", "2025-03-01"], "amount": ["1", "x", "0", "4"]},
        {"date_format": "iso", "max_unreadable": 0.9},
        InputError,
        "no purchase by as_of. Got: after_as_of: 1 row, amount_unreadable: 1 row, date_unreadable: 1 row, zero_",
    ),
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
        {"customers": pd.DataFrame({"customer_id": ["01", "02"]})},
        InputError,
        r"'01' \(text\) there, 1 \(int\) in the log.*007 is not 7",
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
        (log().iloc[:0], "The order log is empty. Got: no rows"),
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
    (tmp_path / "orders.doc").write_bytes(b"PK")
    (tmp_path / "orders.xlsx").write_bytes(b"PK")
    (tmp_path / "orders.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match="CSV, Parquet or Excel"):
        purchase_history(tmp_path / "orders.doc", as_of=AS_OF)
    with pytest.raises(InputError, match="spreadsheet cannot be read"):
        purchase_history(tmp_path / "orders.xlsx", as_of=AS_OF)
    with pytest.raises(InputError, match="cannot be read") as caught:
        purchase_history(tmp_path / "orders.parquet", as_of=AS_OF)
    assert "\n" not in str(caught.value)


BROKEN = [
    ("noise.parquet", b"no parquet at all" * 50, "cannot be read.*magic bytes"),
    ("noise.csv", bytes(range(256)) * 20, "neither in UTF-8, UTF-16 nor cp1252"),
    ("undefined.csv", b"customer_id,date,amount\n1,2024-01-01,3\n\x81,2024-01-01,4\n", "neither in UTF-8"),
    ("late.csv", b"customer_id,date,amount\n" + b"1,2024-01-01,3\n" * 300_000 + b"4,x\n", "on Line: 300002"),
    ("empty.csv", b"", "The file is empty"),
    ("blank.csv", b"\n\n", "The file is empty"),
    ("empty.parquet", b"", "The file is empty"),
    ("empty.csv.gz", gzip.compress(b""), "The file is empty"),
]


@pytest.mark.parametrize(("name", "content", "words"), BROKEN, ids=[one[0] for one in BROKEN])
def test_broken_files_in_one_line(tmp_path: Any, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        purchase_history(tmp_path / name, as_of=AS_OF)
    assert "\n" not in str(caught.value) and "SELECT" not in str(caught.value)
    with pytest.raises(InputError, match=words):
        purchase_history(log(), as_of=AS_OF, customers=tmp_path / name)


@pytest.mark.parametrize(("amount", "unreadable"), [("1", 10), ("1", 11), ("1.500,00", 7), ("1.500,00", 6)])
def test_a_hundredth_of_rows_or_money_may_be_unreadable(amount: str, unreadable: int) -> None:
    """Seven unreadable amounts of 1,500 among 992 or so of 1,000 are less of the rows and more of the money."""
    size = "1" if amount == "1" else "1000.00"
    dates = ["soon"] * unreadable + ["2024-01-01"] * (1000 - unreadable)
    frame = pd.DataFrame({"customer_id": range(1000), "date": "2024-01-01", "amount": size})
    if amount == "1":
        frame["date"] = dates
    else:
        frame["amount"] = [amount] * unreadable + [size] * (1000 - unreadable)
    if unreadable in (11, 7):
        with pytest.raises(InputError, match=rf"Too much cannot be read: {unreadable} of 1,000 rows"):
            purchase_history(frame, as_of=AS_OF)
        return
    audit = purchase_history(frame, as_of=AS_OF).audit
    kind = "date_unreadable" if amount == "1" else "amount_unreadable"
    finding = audit.finding(kind)
    assert audit.steps.set_index("step").loc[kind, "rows"] == unreadable
    assert finding is not None and finding.level == "caution"
    assert repr("soon" if amount == "1" else amount) in finding.sentence


def test_refunds_and_a_few_free_orders() -> None:
    frame = pd.DataFrame({"customer_id": range(40), "date": "2024-01-01", "amount": [-1.0] * 39 + [0.0]})
    with pytest.raises(InputError, match=r"refunds only and no purchase\. Got: 39 of 40 rows with a negative"):
        purchase_history(frame, as_of=AS_OF)


def test_nearly_all_after_as_of() -> None:
    frame = pd.DataFrame({"customer_id": range(40), "date": ["2024-05-01"] * 39 + [None], "amount": 1.0})
    with pytest.raises(InputError, match=r"before the first order, or none but 1 of 40 rows.*last complete day"):
        purchase_history(frame, as_of=AS_OF)


@pytest.mark.parametrize(
    ("columns", "wanted", "near"),
    [
        (["InvoiceNo", "Country", "CustomerID"], "amount", None),
        (["Amount", "date"], "amount", "Amount"),
        (["Amuont"], "amount", "Amuont"),
        (["order_date", "InvoiceDateTime"], "date", "order_date"),
        (["Customer ID"], "customer_id", "Customer ID"),
        (["Total", "rate"], "T", None),
    ],
)
def test_nearest_column_only_when_alike(columns: list[str], wanted: str, near: str | None) -> None:
    with pytest.raises(InputError) as caught:
        check_columns([wanted], columns)
    assert (f"Nearest: {near!r}." in str(caught.value)) if near else ("Nearest" not in str(caught.value))


def test_ids_in_the_index() -> None:
    with pytest.raises(InputError, match=r"'customer_id' is the index of the table: pass table.reset_index\(\)"):
        purchase_history(log().set_index("customer_id"), as_of=AS_OF)
    with pytest.raises(InputError, match=r"'customer_id', 'date' are the index"):
        purchase_history(log().set_index(["customer_id", "date"]), as_of=AS_OF)
    unnamed = log().drop(columns="customer_id").set_axis(["a", "a", "b", "c"])
    with pytest.raises(InputError, match=r"If the index holds the ids, pass table.reset_index\(names='customer_id'\)"):
        purchase_history(unnamed, as_of=AS_OF)
    with pytest.raises(InputError, match=r"does not exist.*Columns: date, amount\.$"):
        purchase_history(log().drop(columns="customer_id"), as_of=AS_OF)
    with pytest.raises(InputError, match=r"'customer_id' is the index of the table"):
        purchase_history(
            log(), as_of=AS_OF, customers=pd.DataFrame({"x": [1]}, index=pd.Index([1], name="customer_id"))
        )


@pytest.mark.parametrize("name", ["customer_id", None, "id"])
def test_a_table_of_lifetimes(name: str | None) -> None:
    table = pd.DataFrame(SUMMARY).set_index("customer_id").rename_axis(name)
    with pytest.raises(InputError, match=r"summary_from_lifetimes\(table\)"):
        history_from_summary(table, unit="week", as_of="2024-01-01")
    with pytest.raises(InputError, match=r"does not exist") as caught:
        history_from_summary(table.reset_index(drop=True), unit="week", as_of="2024-01-01")
    assert "lifetimes" not in str(caught.value)


def test_a_summary_without_money() -> None:
    with pytest.raises(InputError, match=r"'monetary_value' does not exist.*monetary_value=None"):
        history_from_summary(pd.DataFrame(SUMMARY).drop(columns="monetary_value"), unit="week", as_of="2024-01-01")


def test_a_margin_that_looks_like_a_rate() -> None:
    history = purchase_history(log(rate=[0.2, 0.3, None, -0.1]), as_of=AS_OF, margin="rate")
    finding = history.audit.finding("margin_looks_like_a_rate")
    assert finding is not None and finding.level == "caution"
    assert finding.values == {"lowest": -0.1, "highest": 0.3, "mean_amount": pytest.approx(70 / 3)}


@pytest.mark.parametrize(
    "columns",
    [
        {"gain": [0.2, 0.3, 0.4, 1.5]},
        {"gain": [0.0] * 4},
        {"gain": [None] * 4},
        {"gain": [0.2, 0.3, 0.4, 0.5], "amount": [1.0, 2.0, 3.0, 40.0]},
    ],
    ids=["money", "none", "unknown", "small amounts"],
)
def test_a_margin_that_is_money(columns: dict[str, Any]) -> None:
    history = purchase_history(log(**columns), as_of=AS_OF, margin="gain")
    assert history.audit.finding("margin_looks_like_a_rate") is None


def test_a_closed_relation_is_an_error() -> None:
    connection = duckdb.connect()
    relation = connection.sql("SELECT 1 AS customer_id, DATE '2024-01-01' AS date, 2 AS amount")
    connection.close()
    with pytest.raises(InputError, match="cannot read the relation"):
        purchase_history(relation, as_of=AS_OF)
    with pytest.raises(InputError, match="Nearest: 'amount'"):
        purchase_history(
            duckdb.sql("SELECT 1 AS customer_id, '2024-01-01' AS date, 2 AS amount"), as_of=AS_OF, amount="amont"
        )


def test_order_ids_shared_by_customers_and_rows_repeated_are_said_and_kept() -> None:
    frame = log(number=["A", "B", "A", "C"])
    frame = pd.concat([frame, frame.iloc[[3]]])
    audit = purchase_history(frame, as_of=AS_OF, order_id="number").audit
    shared, repeated = audit.finding("shared_order_ids"), audit.finding("repeated_rows")
    assert shared is not None and shared.level == "caution" and shared.values["orders"] == 1
    assert repeated is not None and repeated.level == "caution" and repeated.values["rows"] == 1
    assert "order id C" in repeated.sentence
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


@pytest.mark.parametrize("at", ["03/01/2024", "today", pd.Timestamp("2024-02-01", tz="UTC")])
def test_split_guesses_no_day(at: Any) -> None:
    with pytest.raises(DomainError, match="at must be a day"):
        purchase_history(log(), as_of=AS_OF).split(at)


@pytest.mark.parametrize(
    "day",
    [
        "2024-03-31",
        "2024-03-31T23:59:59",
        "2024-03-31 10:00",
        datetime.date(2024, 3, 31),
        datetime.datetime(2024, 3, 31, 22),
        pd.Timestamp("2024-03-31 22:00"),
        np.datetime64("2024-03-31"),
        np.datetime64("2024-03-31T23:00", "ns"),
    ],
)
def test_days_taken_as_they_are(day: Any) -> None:
    assert purchase_history(log(), as_of=day).as_of == pd.Timestamp("2024-03-31")


def test_split_before_the_first_order() -> None:
    with pytest.raises(InputError, match="before the first order"):
        purchase_history(log(), as_of=AS_OF).split("2023-01-01")
