"""Results in DuckDB and in a real Postgres: rows of every run, views of the current one, all or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import psycopg
import pytest

from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.runs.store import database_session
from clv_forecast.runs.store.database import ResultDatabase, result_database
from tests.postgres import running_postgres
from tests.runs.store.tiny_runs import forecast_of

ABOUT = {"as_of": "2026-01-31", "title": "Tiny", "customers": 3, "seed": 1}
HOSTILE = 'A"; drop table "runs"; --' + "it's 50%s {0} :x $1\nü\\\\"


@pytest.fixture(params=["duckdb", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"duckdb://{tmp_path}/clv.duckdb"  # the schema's name is the file's too


@pytest.fixture
def database(url: str) -> ResultDatabase:
    return result_database(url, tables=["forecast"])


def rows(database: ResultDatabase, query: str) -> list[tuple[Any, ...]]:
    """As another program reads it."""
    if database.url.scheme == "duckdb":
        with duckdb.connect(database.url.path, read_only=True) as connection:
            found = connection.sql(query).to_arrow_table()
            return [*zip(*(column.to_pylist() for column in found.columns), strict=True)]
    with psycopg.connect(database.url.text) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def shown(database: ResultDatabase, table: str = "forecast") -> list[tuple[Any, ...]]:
    name = f"{table}_current".replace('"', '""')
    query = f'SELECT * FROM "{database.schema}"."{name}" ORDER BY 1, 2'  # noqa: S608
    if database.url.scheme == "duckdb":
        query = query.replace("FROM ", "FROM clv.", 1)
    return rows(database, query)


def write(database: ResultDatabase, run_id: str, table: pd.DataFrame, name: str = "forecast") -> None:
    database.write_rows(run_id, {name: table}, about=ABOUT)


def test_rows_are_seen_when_their_run_is_current(database: ResultDatabase) -> None:
    assert database.current() is None
    assert database.write_rows("2026-01-31", {"forecast": forecast_of("2026-01-31")}, about=ABOUT) == {"forecast": 3}
    assert database.current() is None
    assert shown(database) == []
    database.make_current("2026-01-31")
    assert database.current() == ("2026-01-31", pd.Timestamp("2026-01-31"))
    day = pd.Timestamp("2026-01-31").to_pydatetime()
    assert shown(database) == [("2026-01-31", one, one * 1.5, day) for one in (1, 2, 3)]
    write(database, "2026-02-28", forecast_of("2026-02-28", customers=2))
    assert {row[0] for row in shown(database)} == {"2026-01-31"}
    database.make_current("2026-02-28")
    assert [row[:2] for row in shown(database)] == [("2026-02-28", 1), ("2026-02-28", 2)]
    database.make_current("2026-01-31")
    assert len(shown(database)) == 3
    of_duckdb = database.url.scheme == "duckdb"
    told = rows(database, f"SELECT * FROM {'clv.' * of_duckdb}clv.runs ORDER BY 1")  # noqa: S608
    assert told[0] == ("2026-01-31", day, "Tiny", None, None, 3, 1, None)
    assert len(told) == 2


def test_writing_again_replaces(database: ResultDatabase) -> None:
    for customers in (3, 3, 2):
        write(database, "2026-01-31", forecast_of("2026-01-31", customers))
        database.make_current("2026-01-31")
        assert len(shown(database)) == customers
    database.write_rows("2026-01-31", {}, about=ABOUT)
    assert shown(database) == []


def test_a_run_without_rows_is_not_shown(database: ResultDatabase) -> None:
    with pytest.raises(StoreError, match="a run whose rows it has"):
        database.make_current("2026-01-31")
    write(database, "2026-01-31", forecast_of("2026-01-31"))
    database.make_current("2026-01-31")
    with pytest.raises(StoreError, match=r"Got: 2026-02-28\. Publish it"):
        database.make_current("2026-02-28")
    assert database.current() == ("2026-01-31", pd.Timestamp("2026-01-31"))


def test_columns_of_later_versions(database: ResultDatabase) -> None:
    write(database, "1", pd.DataFrame({"id": [1, 2], "value": [1, 2], "day": [pd.Timestamp("2026-01-31").date()] * 2}))
    write(
        database,
        "2",
        pd.DataFrame({"id": [1], "value": [0.5], "region": ["north"], "day": [pd.Timestamp("2026-01-31 12:00")]}),
    )
    write(database, "3", pd.DataFrame({"id": ["x"], "value": [True], "share": [Decimal("0.25")]}))
    write(database, "4", pd.DataFrame({"id": [7], "value": [None], "share": [1]}))
    found = {}
    for run_id in "1234":
        database.make_current(run_id)
        found[run_id] = [row[1:] for row in shown(database)]
    noon, midnight = (pd.Timestamp(text).to_pydatetime() for text in ("2026-01-31 12:00", "2026-01-31"))
    assert [row[0] for row in found["1"]] == ["1", "2"]
    assert [float(row[1]) for row in found["1"]] == [1.0, 2.0]
    assert {row[2:] for row in found["1"]} == {(midnight, None, None)}
    assert found["2"] == [("1", "0.5", noon, "north", None)]
    assert found["3"] == [("x", "true", None, None, Decimal("0.25"))]
    assert found["4"] == [("7", None, None, None, Decimal(1))]


def test_every_kind_of_value_comes_back(database: ResultDatabase) -> None:
    moment = pd.Timestamp("2026-01-31 10:20:30.123456")
    given = pd.DataFrame(
        {
            "whole": pd.array([2**62, None], dtype="Int64"),
            "small": np.array([1, 2], dtype="uint8"),
            "number": [1e-300, np.nan],
            "endless": [np.inf, -np.inf],
            "truth": pd.array([True, None], dtype="boolean"),
            "text": ['tab\t"quote" \\. \\N\n\\.\n', ""],
            "kind": pd.Categorical(["a", None]),
            "money": [Decimal("12345678901234567890.123456"), None],
            "moment": [moment, pd.NaT],
            "zoned": [moment.tz_localize("Europe/Berlin"), pd.NaT],
            "day": [moment.date(), None],
            "clock": [moment.time(), None],
            "length": [pd.Timedelta("90s"), pd.NaT],
            "uuid": [uuid.UUID(int=7), None],
            "unknown": [None, None],
        }
    )
    write(database, "1", given)
    database.make_current("1")
    second, first = sorted((row[1:] for row in shown(database)), key=lambda row: row[0] is not None)
    assert len(first) == len(given.columns) - 1
    instant = first[9]
    assert instant == moment.tz_localize("Europe/Berlin")
    assert first[:9] == (
        2**62,
        1,
        1e-300,
        np.inf,
        True,
        given["text"][0],
        "a",
        given["money"][0],
        moment.to_pydatetime(),
    )
    assert first[10:] == (moment.date(), moment.time(), 90.0, str(uuid.UUID(int=7)))
    assert second == (None, 2, None, -np.inf, None, "", *(None,) * 8)


def test_names_reach_the_database_quoted(url: str) -> None:
    name = HOSTILE
    database = result_database(url, schema=name, tables=[name])
    database.write_rows("1", {name: pd.DataFrame({name: [name], "b": [1]})}, about=ABOUT | {"title": name})
    database.make_current("1")
    database.write_rows("1", {name: pd.DataFrame({name: [name], "b": [0.5], f"{name}2": [name]})}, about=ABOUT)
    assert database.current() == ("1", pd.Timestamp("2026-01-31"))
    quoted = '"' + name.replace('"', '""') + '"."' + name.replace('"', '""') + '_current"'
    assert rows(database, f"SELECT * FROM {quoted}") == [("1", name, 0.5, name)]  # noqa: S608
    database.forget(["2", "it's"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda one: result_database("mysql://a:b@host/db"), DomainError, r"Postgres or to a DuckDB file\. Got: mysql://"),
        (lambda one: result_database("results.csv"), DomainError, "cannot be read"),
        (lambda one: result_database("duckdb://"), DomainError, "Postgres or to a DuckDB file"),
        (lambda one: result_database("duckdb://:memory:"), DomainError, "Postgres or to a DuckDB file"),
        (lambda one: result_database(one, schema=""), DomainError, "name of a schema"),
        (lambda one: result_database(one, schema="ä" * 32), DomainError, "1 to 63 bytes"),
        (lambda one: result_database(one, tables=["x" * 56]), DomainError, "name of a table .* 1 to 55 bytes"),
        (lambda one: result_database(one, tables=["a\0"]), DomainError, "name of a table"),
        (lambda one: result_database(one, tables=["runs"]), DomainError, "the schema's own"),
        (lambda one: result_database(one, tables=["totals", "totals_current"]), DomainError, "the schema's own"),
        (lambda one: result_database(one, tables=["a", "a"]), DomainError, "written once"),
        (lambda one: write(one, "1", pd.DataFrame({"run_id": [1]})), InputError, "other than run_id"),
        (lambda one: write(one, "1", pd.DataFrame({"x" * 64: [1]})), InputError, "1 to 63 bytes"),
        (lambda one: write(one, "1", pd.DataFrame({"a": [[1]]})), InputError, r"forecast: values of type list"),
        (lambda one: write(one, "1", pd.DataFrame({"a": [1, "x"]})), InputError, r"plain values"),
        (lambda one: write(one, "1", pd.DataFrame({"a": [2**63]})), InputError, r"plain values"),
        (lambda one: write(one, "1", pd.DataFrame({"a": [Decimal("0.1234567")]})), InputError, r"plain values"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_before_anything_is_opened(
    call: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    nowhere = result_database("postgres://user:secret@127.0.0.1:1/db", tables=["forecast"])
    by_url = "result_database" in call.__code__.co_names
    with pytest.raises(error, match=message) as caught:
        call(nowhere.url if by_url else nowhere)
    assert "secret" not in str(caught.value)


def test_duckdb_does_not_tell_capitals_apart(tmp_path: Path) -> None:
    database = result_database(f"duckdb://{tmp_path}/results.duckdb", tables=["forecast"])
    with pytest.raises(InputError, match=r"forecast\.region"):
        write(database, "1", pd.DataFrame({"Region": ["a"], "region": ["b"]}))
    write(database, "1", pd.DataFrame({"Region": ["a"]}))
    write(database, "1", pd.DataFrame({"region": ["b"]}))
    assert rows(database, "SELECT * FROM clv.forecast") == [("1", "b")]


def test_nul_in_text_stops_no_publication(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    database = result_database(postgres_url)
    write(database, "1", pd.DataFrame({"a": ["x\0y", "\0\0", "plain", None], "b": [1, 2, 3, 4]}))
    told = [text for (text,) in rows(database, "SELECT a FROM clv.forecast ORDER BY b")]
    assert told == ["x\\x00y", "\\x00\\x00", "plain", None]
    assert "forecast.a: 2 texts" in caplog.text


def test_a_table_of_someone_else_is_left_alone(database: ResultDatabase, url: str) -> None:
    write(database, "1", forecast_of("2026-01-31"))
    foreign = "CREATE TABLE clv.clv.theirs (a int)" if "duckdb" in url else "CREATE TABLE clv.theirs (a int)"
    rows_written(url, foreign)
    with pytest.raises(StoreError, match=r"this one does not\. Got: theirs\. Give results a schema of their own"):
        write(database, "1", forecast_of("2026-01-31"), "theirs")
    database.make_current("1")
    assert len(shown(database)) == 3


def rows_written(url: str, *statements: str) -> None:
    if url.startswith("duckdb"):
        with duckdb.connect(url.removeprefix("duckdb://")) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def test_a_view_that_was_dropped_comes_back(database: ResultDatabase, url: str) -> None:
    write(database, "1", forecast_of("2026-01-31"))
    rows_written(url, "DROP VIEW clv.clv.forecast_current" if "duckdb" in url else "DROP VIEW clv.forecast_current")
    write(database, "1", forecast_of("2026-01-31"))
    database.make_current("1")
    assert len(shown(database)) == 3


def test_rows_of_removed_runs_go_but_not_those_that_are_shown(database: ResultDatabase) -> None:
    database.forget(["1"])
    for run_id in "123":
        write(database, run_id, forecast_of("2026-01-31"))
    database.make_current("2")
    database.forget(["1", "2"])
    assert len(shown(database)) == 3
    where = "clv.clv" if database.url.scheme == "duckdb" else "clv"
    for name in ("runs", "forecast"):
        found = rows(database, f"SELECT DISTINCT run_id FROM {where}.{name} ORDER BY 1")  # noqa: S608
        assert found == [("2",), ("3",)]


def test_a_failure_half_way_leaves_nothing(database: ResultDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    write(database, "1", forecast_of("2026-01-31"))
    database.make_current("1")
    kind = database_session._DuckDB if database.url.scheme == "duckdb" else database_session._Postgres
    real = kind.insert

    def cut_off(self: Any, table: str, new: Any) -> None:
        if table == "runs":
            raise KeyboardInterrupt
        real(self, table, new)

    monkeypatch.setattr(kind, "insert", cut_off)
    with pytest.raises(KeyboardInterrupt):
        write(database, "1", forecast_of("2026-01-31", customers=1).assign(more=1))
    monkeypatch.undo()
    assert [len(row) for row in shown(database)] == [4, 4, 4]
    write(database, "1", forecast_of("2026-01-31", customers=1).assign(more=1))
    assert [len(row) for row in shown(database)] == [5]


@pytest.fixture
def own_server() -> Iterator[Any]:
    with running_postgres() as server:
        server.execute(
            "ALTER DATABASE postgres SET synchronous_commit = on"
        )  # what was told as written outlives a crash
        yield server


def test_the_server_dies_while_rows_are_written(own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    database = result_database(own_server.url, tables=["forecast"])
    write(database, "1", forecast_of("2026-01-31"))
    database.make_current("1")
    real = database_session._Postgres.insert

    def die(self: Any, table: str, new: Any) -> None:
        real(self, table, new)
        if own_server.pid is not None:
            own_server.stop(at_once=True)

    monkeypatch.setattr(database_session._Postgres, "insert", die)
    for call in (lambda: write(database, "2", forecast_of("2026-02-28")), lambda: database.make_current("1")):
        own_server.start()
        with pytest.raises(
            StoreError, match=r"did not answer to the end.*still shows.*complete what was cut off"
        ) as caught:
            call()
        assert own_server.password not in str(caught.value)
    with pytest.raises(StoreError, match="did not answer to the end") as caught:
        database.current()
    assert own_server.password not in str(caught.value)
    monkeypatch.undo()
    own_server.start()
    assert database.current() == ("1", pd.Timestamp("2026-01-31"))
    assert len(shown(database)) == 3
    write(database, "2", forecast_of("2026-02-28"))
    database.make_current("2")
    assert {row[0] for row in shown(database)} == {"2"}


def test_the_connection_is_cut_by_the_server(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = result_database(postgres_url, tables=["forecast"])
    real = database_session._Postgres.insert

    def cut(self: Any, table: str, new: Any) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (self.connection.info.backend_pid,))
        real(self, table, new)

    monkeypatch.setattr(database_session._Postgres, "insert", cut)
    with pytest.raises(StoreError, match="did not answer to the end"):
        write(database, "1", forecast_of("2026-01-31"))
    monkeypatch.undo()
    assert database.current() is None
    write(database, "1", forecast_of("2026-01-31"))


def test_errors_do_not_show_the_password(postgres_url: str) -> None:
    password = postgres_url.split(":")[2].split("@")[0]
    wrong = postgres_url.replace(password, "hunter2%40x")
    for one in (wrong, postgres_url.replace("127.0.0.1", "no.such.host.invalid"), postgres_url + "_absent"):
        database = result_database(one)
        with pytest.raises(StoreError) as caught:
            database.current()
        told = str(caught.value) + repr(database) + str(database)
        assert not any(secret in told for secret in (password, "hunter2%40x", "hunter2@x"))


def test_a_reader_needs_no_right_to_create_and_a_writer_is_told(postgres_server: Any, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE {name}_only LOGIN PASSWORD 'pass'", postgres_url)
    try:
        limited = postgres_url.replace("//clv:" + postgres_server.password, f"//{name}_only:pass")
        database = result_database(limited, tables=["forecast"])
        with pytest.raises(
            StoreError, match=r"refused a statement.*permission denied for database.*rights on the schema"
        ):
            write(database, "1", forecast_of("2026-01-31"))
        postgres_server.execute(f"CREATE SCHEMA clv AUTHORIZATION {name}_only", postgres_url)
        write(database, "1", forecast_of("2026-01-31"))
        database.make_current("1")
        assert len(shown(database)) == 3
    finally:
        postgres_server.execute(f"DROP OWNED BY {name}_only", postgres_url)
        postgres_server.execute(f"DROP ROLE {name}_only", postgres_url)


def test_duckdb_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "results.duckdb").write_bytes(b"no database" * 1000)
    for path in ("results.duckdb", "no/such/folder/results.duckdb"):
        with pytest.raises(StoreError, match=r"did not answer|refused"):
            write(result_database(f"duckdb://{tmp_path}/{path}"), "1", forecast_of("2026-01-31"))
