"""The server for tests: it answers, logs what reaches it, keeps its data over a crash, and leaves nothing behind."""

from __future__ import annotations

import ibis
import psycopg
import pytest

from tests.postgres import PostgresServer, running_postgres


def test_statements_are_read_back(postgres_server: PostgresServer, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("INSERT INTO t\nVALUES (%s)", (7,))
    backend = ibis.connect(postgres_url)
    found = backend.to_pyarrow(backend.table("t").a.sum())
    backend.disconnect()
    assert found.as_py() == 7
    statements = postgres_server.statements(postgres_url)
    assert "CREATE TABLE t (a int)" in statements
    assert "INSERT INTO t\nVALUES ($1)" in statements
    assert any('SUM("t0"."a")' in statement for statement in statements)


def test_a_database_is_fresh(postgres_url: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT * FROM t")


def test_it_comes_back_after_a_crash_and_goes_in_the_end() -> None:
    with running_postgres() as server:
        server.execute("CREATE TABLE t AS SELECT 7 AS a")
        server.execute("CHECKPOINT")
        server.stop(at_once=True)
        with pytest.raises(psycopg.OperationalError):
            server.execute("SELECT 1")
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT a FROM t").fetchone() == (7,)
        assert server.pid is not None
        url = server.url
    assert server.pid is None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
