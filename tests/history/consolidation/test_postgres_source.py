"""A source in a real Postgres: the grouping is done there, the history is the same, names are quoted, secrets kept."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.consolidation import OrderSource, consolidate
from clv_forecast.history.consolidation.counting import count_source
from clv_forecast.tables.databases import read_database_table
from tests.history.consolidation.messy_log import AS_OF, COLUMNS, RATES, assert_same_history, messy_log, options_of
from tests.postgres import PostgresServer

PLACE = {"customer": "who", "date": "placed", "amount": "amount"}
TYPES = {
    "who": "bigint",
    "placed": "timestamp",
    "amount": "double precision",
    "order_no": "text",
    "kind": "varchar(20)",
    "margin": "numeric",
    "code": "char(3)",
    "known": "timestamp",
}


def load(url: str, table: str, log: pd.DataFrame, types: Mapping[str, str], schema: str = "public") -> None:
    place = sql.Identifier(schema, table)
    columns = [sql.SQL("{} " + types[name]).format(sql.Identifier(name)) for name in log.columns]
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(place, sql.SQL(", ").join(columns)))
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(place)) as copy:
            for row in log.itertuples(index=False):
                copy.write_row([_plain(value) for value in row])


def _plain(value: Any) -> Any:
    missing = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
    return None if missing else value


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return messy_log()


@pytest.mark.parametrize("money", ["double precision", "numeric"])
def test_the_history_is_that_of_the_lines(log: pd.DataFrame, postgres_url: str, tmp_path: Path, money: str) -> None:
    load(postgres_url, "lines", log, TYPES | {"amount": money})
    made = consolidate(
        [OrderSource("shop", postgres_url, table="lines", **PLACE, **COLUMNS)],
        tmp_path,
        as_of=AS_OF,
        max_unreadable=0.05,
    )
    assert_same_history(made, log, rates=RATES, **options_of(COLUMNS))


def test_numbers_of_32_bits_keep_their_digits(log: pd.DataFrame, postgres_url: str, tmp_path: Path) -> None:
    log = log[["who", "placed", "amount", "order_no"]].astype({"amount": "float32"})
    load(postgres_url, "lines", log, TYPES | {"amount": "real"})
    columns = {"order_id": "order_no"}
    made = consolidate(
        [OrderSource("shop", postgres_url, table="lines", **PLACE, **columns)],
        tmp_path,
        as_of=AS_OF,
        max_unreadable=0.05,
    )
    assert_same_history(made, log, **options_of(columns))


def test_only_groups_travel(
    log: pd.DataFrame, postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    load(postgres_url, "lines", log, TYPES)
    before = len(postgres_server.statements(postgres_url))
    source = OrderSource("shop", postgres_url, table="lines", **PLACE, **COLUMNS)
    made = consolidate([source], tmp_path, as_of=AS_OF, max_unreadable=0.05)
    about_lines = [text for text in postgres_server.statements(postgres_url)[before:] if '"lines" AS' in text]
    assert len(about_lines) == 1  # one statement sees one state of the table
    assert "GROUP BY" in about_lines[0]
    assert "SUM(" in about_lines[0]
    read = made.reconciliation.loc[lambda t: t["step"] == "read"]
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT count(*), sum(amount::numeric) FILTER (WHERE abs(amount) < 1e12) FROM lines")
        lines, money = row.fetchone() or (0, 0)
    assert read["rows"].sum() == lines
    assert read["amount"].sum() == money
    after = made.reconciliation.loc[lambda t: t["step"] == "after_as_of"]
    late = (log["placed"] >= "2024-07-01") | (log["known"] >= "2024-07-01")
    assert after["rows"].sum() == late.sum()
    assert (after["groups"] <= after["customers"] + 1).all()  # of late lines only customers travel


def test_hostile_names_are_names(postgres_url: str, tmp_path: Path) -> None:
    table, who = 'or"ders; DROP TABLE x; --', 'it\'s "me"; --'
    log = pd.DataFrame({who: ["a'; DROP TABLE x; --", 'b"'], "a b": pd.to_datetime(["2024-01-01"] * 2), "%s": [1.5, 2]})
    load(postgres_url, table, log, {who: "text", "a b": "date", "%s": "numeric(10, 2)"}, schema="we ird")
    load(postgres_url, table, log.head(1), {who: "text", "a b": "date", "%s": "numeric(10, 2)"})
    for place, rows in ((f"we ird.{table}", 2), (table, 1)):
        source = OrderSource("it's; --", postgres_url, table=place, customer=who, date="a b", amount="%s")
        made = consolidate([source], tmp_path)
        orders = pd.read_parquet(made.orders)
        assert orders["customer_id"].tolist() == log[who].tolist()[:rows]
        assert set(orders["source"]) == {"it's; --"}
        assert count_source(source).rows == rows


def test_days_are_those_of_the_zone(postgres_url: str, tmp_path: Path) -> None:
    moments = pd.to_datetime(
        [
            "2024-06-30 21:59:59",
            "2024-06-30 22:00:00",
            "2024-03-31 00:30:00",
            "2024-10-27 00:30:00",
            "2024-01-01 23:30:00",
        ],
        utc=True,
    )
    log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 1], "date": moments, "amount": [1.0, 2, 3, 4, 5]})
    types = {"customer_id": "int", "date": "timestamptz", "amount": "numeric"}
    load(postgres_url, "lines", log, types)
    source = OrderSource("shop", postgres_url, table="lines")
    with pytest.raises(InputError, match="time_zone"):
        consolidate([source], tmp_path)
    made = consolidate([source], tmp_path, as_of=AS_OF, time_zone="Europe/Berlin")
    after = made.reconciliation.loc[lambda t: t["step"] == "after_as_of"]
    assert after["amount"].tolist() == [6]  # the moment at which July begins in Berlin, and October
    plain = assert_same_history(made, log.astype({"customer_id": "int32"}), time_zone="Europe/Berlin")
    assert made.options["time_zone"] == plain.time_zone == "Europe/Berlin"
    found = count_source(source, AS_OF, time_zone="Europe/Berlin")
    assert (found.rows, found.first_day, found.last_day) == (3, datetime.date(2024, 1, 2), datetime.date(2024, 6, 30))


def test_text_that_should_be_a_number_is_refused(postgres_url: str, tmp_path: Path) -> None:
    log = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": ["1.5"]})
    load(postgres_url, "lines", log, {"customer_id": "int", "date": "date", "amount": "text"})
    with pytest.raises(InputError, match=r"'amount' of the source 'shop' holds text.*Make a view"):
        consolidate([OrderSource("shop", postgres_url, table="lines")], tmp_path)


def test_dates_as_text_are_judged_here(postgres_url: str, tmp_path: Path) -> None:
    dates = ["2024-01-01", "2024-06-30 23:59", "2024-07-01", "soon", "", None]
    log = pd.DataFrame({"customer_id": [1, 1, 1, 1, 2, 2], "date": dates, "amount": [1.0, 2, 4, 8, 16, 32]})
    load(postgres_url, "lines", log, {"customer_id": "int", "date": "text", "amount": "numeric"})
    made = consolidate([OrderSource("shop", postgres_url, table="lines")], tmp_path, as_of=AS_OF, max_unreadable=0.5)
    steps = made.reconciliation.set_index("step")["amount"]
    assert (steps["read"], steps["after_as_of"], steps["unreadable"], steps["kept"]) == (63, 4, 8, 51)
    assert_same_history(made, log.astype({"customer_id": "int32"}), max_unreadable=0.5)
    assert sorted(path.name for path in made.orders.iterdir()) == [
        "2024-01.parquet",
        "2024-06.parquet",
        "undated.parquet",
    ]


def test_ids_of_other_types(postgres_url: str, tmp_path: Path) -> None:
    who = ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"]
    log = pd.DataFrame(
        {"customer_id": who, "date": pd.to_datetime(["2024-01-01"] * 2), "amount": [1.5, 2], "n": [7, 8]}
    )
    load(postgres_url, "lines", log, {"customer_id": "uuid", "date": "date", "amount": "numeric", "n": "numeric(8, 0)"})
    made = consolidate([OrderSource("shop", postgres_url, table="lines")], tmp_path)
    assert pd.read_parquet(made.orders)["customer_id"].tolist() == who
    made = consolidate([OrderSource("shop", postgres_url, table="lines", customer="n")], tmp_path)
    assert pd.read_parquet(made.orders)["customer_id"].tolist() == [7, 8]


def test_errors_keep_the_password(postgres_server: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    secret = postgres_server.password
    load(postgres_url, "orders", pd.DataFrame({"customer_id": [1]}), {"customer_id": "int"})
    wrong = postgres_url.replace(secret, "s3cr3t%2Fword")
    broken = postgres_url.replace(secret, "s3cr3t/word")
    gone = postgres_url.replace(f":{postgres_server.port}", ":1")
    cases = [
        (wrong, "orders", "cannot be reached.*password authentication failed"),
        (gone, "orders", "cannot be reached"),
        (postgres_url.replace("postgres://", "postgray://"), "orders", "cannot be reached"),
        (postgres_url, "order", r"no table or view 'order'.*Nearest: 'orders'"),
        (postgres_url, "orders", "'date' does not exist"),
    ]
    with pytest.raises(DomainError, match="percent-encoded") as refused:
        OrderSource("shop", broken, table="orders")
    assert "s3cr3t" not in str(refused.value)
    for url, table, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            consolidate([OrderSource("shop", url, table=table)], tmp_path)
        told = str(caught.value) + repr(caught.value.__cause__) + repr(OrderSource("shop", url, table=table))
        assert secret not in told
        assert "s3cr3t" not in told
    assert not (tmp_path / "orders").exists()


def test_what_the_server_cuts_or_takes_apart_is_hidden_too(postgres_server: PostgresServer, postgres_url: str) -> None:
    login = f"clv:{postgres_server.password}@"
    urls = [
        postgres_url.replace(login, f"SEKRET%0AUSER:{postgres_server.password}@"),
        postgres_url.replace(login, f"{'SEKRET' * 16}:{postgres_server.password}@"),
        f"{postgres_url}?sslmode=SEKRET%0Amode",
        f"{postgres_url}?options=-c%20statement_timeout%3DSEKRETz",
        f"{postgres_url}?options=-c%20role%3DSEKRETrole",
        f"{postgres_url}?options=SEKRETz%20yy",
    ]
    for url in urls:
        with pytest.raises(InputError, match="cannot be reached") as caught:
            read_database_table(url, "orders", "orders")
        assert "SEKRET" not in str(caught.value)
        assert postgres_server.password not in str(caught.value)


def test_what_the_database_says_is_passed_on(postgres_url: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "CREATE VIEW broken AS "
            "SELECT 1 AS customer_id, DATE '2024-01-01' AS date, 1 / (random() * 0)::int AS amount"
        )
    with pytest.raises(InputError, match=r"source 'shop' cannot be read.*division by zero"):
        consolidate([OrderSource("shop", postgres_url, table="broken")], tmp_path)


def test_a_connection_lost_while_reading_leaves_what_was_there(postgres_url: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "CREATE VIEW lost AS SELECT n AS customer_id, DATE '2024-01-01' AS date, "
            "CASE WHEN n = 50000 THEN pg_terminate_backend(pg_backend_pid())::int ELSE n END AS amount "
            "FROM generate_series(1, 50000) n"
        )
    before = consolidate(
        [OrderSource("shop", pd.DataFrame({"customer_id": [1], "date": "2024-01-01", "amount": 1}))], tmp_path
    )
    with pytest.raises(InputError, match=r"source 'shop' cannot be read.*terminat"):
        consolidate([OrderSource("shop", postgres_url, table="lost")], tmp_path)
    assert pd.read_parquet(before.orders)["amount"].tolist() == ["1.00"]
