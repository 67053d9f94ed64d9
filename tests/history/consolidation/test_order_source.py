"""What a source is, and addresses that never show their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.consolidation import OrderSource, consolidate
from clv_forecast.tables.connection_url import connection_url
from clv_forecast.tables.databases import open_url


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": " ", "data": "a.csv"}, "needs a name"),
        ({"name": "a", "data": "a.csv", "customer": ""}, "customer_id must be the name of a column"),
        ({"name": "a", "data": "a.csv", "margin": 3}, "margin must be the name"),
        ({"name": "a", "data": "a.csv", "order_id": "date"}, "a column of its own"),
        ({"name": "a", "data": "postgres://h/d"}, "table must name"),
        ({"name": "a", "data": Path("a.duckdb")}, "table must name"),
        ({"name": "a", "data": "a.csv", "table": "t"}, "with a database only"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        OrderSource(**options)


@pytest.mark.parametrize("text", ["nothing://u:s3cr3t@h/d", "postgres://u:s3cr3t@h:1/d", "duckdb://no/file"])
def test_whatever_fails_the_secret_stays(text: str) -> None:
    with pytest.raises(InputError) as caught:
        open_url(connection_url(text), "shop")
    assert "'shop'" in str(caught.value) and "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(**_: object) -> None:
        raise ImportError("No module named 'psycopg'")

    monkeypatch.setattr("clv_forecast.tables.databases.ibis.postgres.connect", absent)
    with pytest.raises(InputError, match=r"No module named 'psycopg'.*Install the driver"):
        open_url(connection_url("postgres://h/d"), "shop")


def test_a_duckdb_file_is_opened_for_reading(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "shop.duckdb"
    with duckdb.connect(path) as made:
        made.execute("CREATE SCHEMA sales")
        made.execute("CREATE TABLE sales.lines AS SELECT 1 AS customer_id, DATE '2024-01-01' AS date, 2.5 AS amount")
    for data in (path, f"duckdb://{path}"):
        done = consolidate([OrderSource("shop", data, table="sales.lines")], tmp_path)
        assert done.reconciliation["rows"].tolist() == [1, 1]
    with pytest.raises(InputError, match=r"no table or view 'sales.line'.*Nearest: 'lines'"):
        consolidate([OrderSource("shop", path, table="sales.line")], tmp_path)
