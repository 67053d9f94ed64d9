"""What a source holds, counted where it lies, against plain pandas."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.consolidation import OrderSource
from clv_forecast.history.consolidation.counting import count_source
from tests.history.consolidation.messy_log import AS_OF, messy_log, write
from tests.history.consolidation.test_postgres_source import TYPES, load
from tests.postgres import PostgresServer

COLUMNS = {"customer": "who", "date": "placed", "amount": "amount", "currency": "code", "recorded_at": "known"}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return messy_log()


@pytest.mark.parametrize("kind", ["pandas", "csv", "postgres"])
@pytest.mark.parametrize("as_of", [None, AS_OF])
def test_against_pandas(log: pd.DataFrame, postgres_url: str, tmp_path: Path, kind: str, as_of: str | None) -> None:
    if kind == "postgres":
        load(postgres_url, "lines", log, TYPES)
        source = OrderSource("shop", postgres_url, table="lines", **COLUMNS)
    else:
        source = OrderSource("shop", log if kind == "pandas" else write(log, "csv", tmp_path), **COLUMNS)
    found = count_source(source, as_of, max_unreadable=0.05)
    if as_of is not None:
        log = log[~(log["placed"] >= "2024-07-01") & ~(log["known"] >= "2024-07-01")]
    amount = log["amount"].where(log["amount"].abs() < 1e12, 0.0).map(lambda value: Decimal(f"{value:.2f}"))
    codes = log["code"].astype(object).where(log["code"].notna(), None)
    assert found.rows == len(log)
    assert found.customers == log["who"].nunique()
    assert found.amount == {code: amount[codes.isin([code])].sum() for code in {*codes}}
    dated = log.loc[log["placed"] >= "1900-01-01", "placed"]
    assert (found.first_day, found.last_day) == (dated.min().date(), dated.max().date())


def test_it_is_counted_where_it_lies(postgres_server: PostgresServer, postgres_url: str) -> None:
    load(postgres_url, "lines", messy_log(50), TYPES)
    before = len(postgres_server.statements(postgres_url))
    count_source(OrderSource("shop", postgres_url, table="lines", **COLUMNS), max_unreadable=0.05)
    asked = [text for text in postgres_server.statements(postgres_url)[before:] if '"lines" AS' in text]
    assert len(asked) == 1
    assert asked[0].count("COUNT(DISTINCT") == 2


def test_an_empty_source_counts_nothing(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE lines (customer_id int, date date, amount numeric)")
    found = count_source(OrderSource("shop", postgres_url, table="lines", currency="EUR"))
    assert (found.rows, found.customers, found.first_day, found.last_day) == (0, 0, None, None)
    assert found.amount == {"EUR": 0}


def test_mistakes_are_named() -> None:
    log = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": [1.0]})
    with pytest.raises(InputError, match="'day' does not exist"):
        count_source(OrderSource("shop", log, date="day"))
    with pytest.raises(DomainError, match="as_of must be a day"):
        count_source(OrderSource("shop", log), "soon")
