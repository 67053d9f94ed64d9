"""The first configuration: what is guessed from a look at the data, and that the file is valid and explains itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.runs.configuration.commented_file import Filled, commented_file, tables, toml_value
from clv_forecast.runs.configuration.configuration import Configuration, read_configuration
from clv_forecast.runs.configuration.first_configuration import first_configuration
from clv_forecast.runs.configuration.table_look import guess_columns, look_at
from tests.postgres import PostgresServer

ORDERS = pd.DataFrame(
    {
        "customer_id": [1, 2, 1, 3],
        "date": pd.to_datetime(["2023-01-05", "2023-02-01", "2023-11-30", "2024-02-01"]),
        "amount": [10.0, 20.5, -3.25, 7.0],
    }
)


def read(text: str, folder: Path, **options: Any) -> Configuration:
    (folder / "clv.toml").write_text(text, encoding="utf-8")
    return read_configuration(folder / "clv.toml", **options)


def said(text: str) -> str:
    """The file without its line breaks, to look for sentences."""
    return text.replace("\n#  ", " ").replace("\n# ", " ")


def made(frame: pd.DataFrame, folder: Path, **options: Any) -> tuple[str, Configuration]:
    frame.to_csv(folder / "orders.csv", index=False)
    text = first_configuration(folder / "orders.csv", folder=folder, **options)
    return text, read(text, folder)


def test_a_plain_log(tmp_path: Path) -> None:
    text, found = made(ORDERS, tmp_path, title="Ours")
    assert found.title == "Ours" and "TO DO" not in said(text)
    source = found.sources[0]
    assert (source.name, source.path) == ("orders", str(tmp_path / "orders.csv")) and 'path = "orders.csv"' in said(
        text
    )
    assert (source.customer, source.date, source.amount) == ("customer_id", "date", "amount")
    assert "Seen: 4 rows from 2023-01-05 to 2024-02-01." in said(text) and "newest order seen is of 2024-02-01" in said(
        text
    )
    assert found.backtest.enabled and found.log.unit == "week"


def test_every_key_stands_in_the_file_once_explained(tmp_path: Path) -> None:
    text, _ = made(ORDERS, tmp_path)
    for table in tables():
        at = max(text.find(f"\n{table.header}\n"), text.find(f"\n#{table.header}\n"))
        assert at >= 0 or not table.header, table.header
        body = text[at + 1 :] if table.header else text
        for key in table.keys:
            assert re.search(rf"^#?{key.name} = ", body, re.MULTILINE), key
            assert key.meaning.split()[0] in body


def test_defaults_taken_out_of_their_comments_change_nothing(tmp_path: Path) -> None:
    text, plain = made(ORDERS, tmp_path)
    given = {
        (key.section, key.name)
        for table in tables()
        if not table.optional
        for key in table.keys
        if key.default is not None
    }
    section, lines = "", []
    for line in text.splitlines():
        header = re.fullmatch(r"#?\[+([\w.]+)\]+", line)
        section = header[1] if header else section
        key = re.match(r"#(\w+) = ", line)
        lines.append(line[1:] if key and (section, key[1]) in given else line)
    assert len(lines) > 100 and "\nseed = 1\n" in "\n".join(lines)
    assert read("\n".join(lines), tmp_path) == plain


CONFLICTS = {
    "sources": {"url", "table"},
    "accounts": {"url", "table"},
    "rates": {"file"},
    "consolidation": {"crosswalk"},
}
NEEDS: dict[str, dict[str, Any]] = {
    "finance.retain": {"finance": {"bases": ["retain"]}},
    "finance.grow": {"finance": {"bases": ["grow"]}},
    "finance.acquire": {"finance": {"bases": ["acquire"]}},
    "model": {"model": {"method": "nuts"}},
    "rates": {"log": {"currency": "USD"}},
}


@pytest.mark.parametrize(
    "table", [table for table in tables() if table.name != "sources"], ids=lambda table: table.name
)
def test_every_example_is_valid(table: Any, tmp_path: Path) -> None:
    """A whole table with its defaults and examples, where two of them do not exclude each other."""
    values = {key.name: key.value for key in table.keys if key.name not in CONFLICTS.get(table.name, set())}
    filled = {"sources": [Filled(values={"name": "a", "path": "a.csv"})], table.name: Filled(values=values)}
    filled.setdefault("accounts", Filled(values={"path": "accounts.csv"}))
    for name, more in NEEDS.get(table.name, {}).items():
        filled[name] = Filled(values={**(values if name == table.name else {}), **more})
    read(commented_file(["Ours."], filled), tmp_path, environment={"CLV_PASSWORD": "x"})


def test_columns_of_a_messy_log(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "Customer ID": [12345.0, None, 12347.0],
            "CustomerName": ["a", "b", "c"],
            "ShipDate": ["2024-03-01", "2024-03-02", "2024-03-03"],
            "Order Date": ["2023-02-01", "2023-02-02", "2024-02-03"],
            "Net_Amount": ["12.50", "-3.5", "7"],
            "Tax amount": ["1.0", "0.5", "0.2"],
            "Invoice No.": ["C1", "2", "3"],
            "Currency": ["EUR", "EUR", "USD"],
            "Product Category": ["x", "y", "x"],
            "GrossMargin": [3.0, 1.5, 2.0],
            "loaded_at": ["2023-02-01 10:00:00", "2023-02-02 10:00:00", "2024-02-03 11:00:00"],
            'amount"\n#': [1.5, 2.5, 3.5],
        }
    )
    text, found = made(frame, tmp_path)
    source = found.sources[0]
    assert (source.customer, source.date, source.amount) == ("Customer ID", "Order Date", "Net_Amount")
    assert (source.order_id, source.currency, source.category) == ("Invoice No.", "Currency", "Product Category")
    assert (source.margin, source.recorded_at) == ("GrossMargin", "loaded_at")
    assert "amounts are in EUR, USD: say in [rates]" in said(text) and "of = {EUR = 1, USD = 0.9}" in said(text)
    assert found.rates is None


def test_reasons_for_what_was_not_taken(tmp_path: Path) -> None:
    frame = ORDERS.assign(margin=[0.1, 0.2, 0.3, 0.2], sku=["a", "a", "a", "a"])
    text, found = made(frame, tmp_path)
    assert found.sources[0].margin is None and "Not margin: it holds rates, and money is needed." in said(text)
    assert found.sources[0].category is None and "Not sku: it has more than 200 different values, or one." in said(text)


def test_columns_without_a_telling_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"who": [1, 2], "when": ["2023-01-01", "2024-01-01"], "x": [1.25, 2.5]})
    text, found = made(frame, tmp_path)
    assert (found.sources[0].date, found.sources[0].amount) == ("when", "x")
    assert "the only column of days" in said(text) and "the only column of numbers" in said(text)
    assert "1. orders: no column was taken for customer. Name it in the file. Its columns: who, when, x." in said(text)
    assert found.sources[0].customer == "customer_id" and "NOT FOUND" in said(text)


def test_pieces_times_price_is_no_amount_until_a_view_says_so(tmp_path: Path) -> None:
    frame = ORDERS.drop(columns="amount").assign(Quantity=[1, 2, 3, 4], UnitPrice=["1.5", "2.0", "0.1", "9"])
    text, found = made(frame, tmp_path)
    assert found.sources[0].amount == "amount" and "pieces and the price of one" in said(text)
    view = re.search(r"CREATE VIEW orders AS .*", text)
    assert view is not None
    with duckdb.connect(tmp_path / "orders.duckdb") as connection:
        connection.execute(view[0])
    again = first_configuration(tmp_path / "orders.duckdb", table="orders", folder=tmp_path)
    assert "TO DO" not in again
    source = read(again, tmp_path).sources[0]
    assert (source.amount, source.table, source.path) == ("amount", "orders", str(tmp_path / "orders.duckdb"))


def test_a_price_alone_is_what_was_paid(tmp_path: Path) -> None:
    _, found = made(ORDERS.rename(columns={"amount": "Price"}), tmp_path)
    assert found.sources[0].amount == "Price"


def test_days_of_other_writing_zones_and_short_logs(tmp_path: Path) -> None:
    text, found = made(
        ORDERS.assign(date=["12/1/2010 8:26", "1/2/2011 9:00", "2/2/2011 9:00", "3/2/2011 9:00"]), tmp_path
    )
    assert found.sources[0].date == "date" and "do not tell day and month apart" in said(text)
    text, found = made(ORDERS.assign(date=["31.12.2010", "1.2.2011", "2.2.2013", "3.2.2013"], amount="1,50"), tmp_path)
    source = found.sources[0]
    assert (source.date_format, source.decimal, source.encoding) == ("%d.%m.%Y", ",", "utf-8") and "TO DO" not in text
    assert "The first order seen is of 2010-12-31." in said(text)
    text, found = made(ORDERS.assign(date="2024-01-01T10:00:00+01:00"), tmp_path)
    assert found.time_zone == "UTC" and "name the one in which the business counts its days" in said(text)
    assert not found.backtest.enabled and found.log.unit == "day"
    frame = ORDERS.assign(date=ORDERS["date"].dt.tz_localize("Europe/Berlin"))
    frame.to_parquet(tmp_path / "orders.parquet")
    found = read(first_configuration(tmp_path / "orders.parquet", folder=tmp_path), tmp_path)
    assert found.time_zone == "UTC" and found.backtest.enabled


def test_other_tables_say_how_they_are_written(tmp_path: Path) -> None:
    ORDERS.to_csv(tmp_path / "orders.csv", index=False)
    (tmp_path / "accounts.csv").write_text("customer_id;wallet;acquired_on\n1;1.234,50;31.01.2024\n2;7,5;1.2.2024\n")
    (tmp_path / "events.csv").write_text("customer_id,date,kind\n1,01/02/2024,complaint\n")
    text = first_configuration(
        tmp_path / "orders.csv", accounts=tmp_path / "accounts.csv", events=tmp_path / "events.csv", folder=tmp_path
    )
    found = read(text, tmp_path)
    assert found.accounts is not None
    written = found.accounts.text_format
    assert (written.delimiter, written.numbers, written.date_format) == (";", (",", "."), "%d.%m.%Y")
    assert "events: Days can be read in two ways" in said(text)


def test_several_sources_and_the_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("shop-2023.csv", "shop-2024.csv", "erp.csv"):
        ORDERS.to_csv(tmp_path / name, index=False)
    accounts = pd.DataFrame({"AccountID": [1, 2], "margin": [0.2, 0.3], "cost_to_serve": [5, 6], "Region": ["n", "s"]})
    accounts.to_csv(tmp_path / "accounts.csv", index=False)
    (tmp_path / "conf").mkdir()
    monkeypatch.chdir(tmp_path)
    text = first_configuration(
        ["shop-*.csv", "erp.csv", "erp.csv"], accounts="accounts.csv", events="events.csv", acquisition_cost="cost.csv",
        folder="conf",
    )  # fmt: skip
    found = read(text, tmp_path / "conf")
    assert [source.name for source in found.sources] == ["shop", "erp", "erp_3"]
    assert found.sources[0].path == str(tmp_path / "shop-*.csv") and "8 rows" in said(text)
    assert found.accounts is not None and found.accounts.customer == "AccountID"
    assert (found.forecast.margin, found.forecast.cost_to_serve, found.forecast.by) == (
        "margin",
        "cost_to_serve",
        "Region",
    )
    assert found.events is not None and found.events.path == str(tmp_path / "events.csv")
    assert text.count("# Column of customer ids.") == 1


def test_a_database_with_its_secret(postgres_server: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    for statement in (
        "CREATE SCHEMA sales",
        'CREATE TABLE sales.orders ("CustomerID" int, booked timestamptz, revenue numeric(12, 2), gone int)',
        "INSERT INTO sales.orders VALUES (1, '2023-01-05', 9.5, NULL), (2, '2024-02-01', 20, NULL)",
    ):
        postgres_server.execute(statement, postgres_url)
    parts = urlsplit(postgres_url)
    url = f"postgres://{parts.username}:${{CLV_TEST_SECRET}}@{parts.hostname}:{parts.port}{parts.path}"
    environment = {"CLV_TEST_SECRET": str(parts.password)}
    text = first_configuration(url=url, table="sales.orders", folder=tmp_path, environment=environment)
    assert str(parts.password) not in text and url in text
    found = read(text, tmp_path, environment=environment)
    source = found.sources[0]
    assert (source.name, source.url, source.table) == ("orders", url, "sales.orders")
    assert (source.customer, source.date, source.amount) == ("CustomerID", "booked", "revenue")
    assert found.time_zone == "UTC" and "2 rows from 2023-01-0" in said(text)
    with pytest.raises(InputError, match="Nearest: 'orders'") as refused:
        first_configuration(url, table="sales.order", environment=environment)
    assert str(parts.password) not in str(refused.value)
    with pytest.raises(InputError, match="cannot be reached") as refused:
        first_configuration(url, table="x", environment={"CLV_TEST_SECRET": "wrong-secret"})
    assert "wrong-secret" not in str(refused.value)


def test_files_and_a_database_together(tmp_path: Path) -> None:
    ORDERS.to_csv(tmp_path / "orders.csv", index=False)
    with duckdb.connect(tmp_path / "erp.duckdb") as connection:
        connection.execute("CREATE TABLE orders AS SELECT 7 AS account, DATE '2024-01-05' AS day, 1.5 AS revenue")
    url = f"duckdb://{tmp_path}/erp.duckdb"
    found = read(first_configuration(tmp_path / "orders.csv", url=url, table="orders", folder=tmp_path), tmp_path)
    assert [(one.name, one.customer, one.table) for one in found.sources] == [
        ("orders", "customer_id", None),
        ("orders_2", "account", "orders"),
    ]
    assert found.sources[1].url == url


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="needs data"):
        first_configuration([])
    with pytest.raises(InputError, match="No file matches"):
        first_configuration(tmp_path / "nothing.csv")
    with pytest.raises(DomainError, match="password must not stand"):
        first_configuration("postgres://clv:hunter2@localhost/x", table="x")
    with pytest.raises(DomainError, match="CLV_TEST_NOWHERE"):
        first_configuration("${CLV_TEST_NOWHERE}", table="x")
    duckdb.connect(tmp_path / "a.duckdb").close()
    with pytest.raises(DomainError, match="name the one to look at"):
        first_configuration(tmp_path / "a.duckdb")
    with pytest.raises(InputError, match="no table or view 'x'"):
        first_configuration(tmp_path / "a.duckdb", table="x")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match="cannot be read"):
        first_configuration(tmp_path / "cut.parquet")
    ORDERS.to_csv(tmp_path / "orders.csv", index=False)
    with pytest.raises(DomainError, match="a file is one table"):
        look_at(tmp_path / "orders.csv", table="x")


def test_a_table_of_nothing(tmp_path: Path) -> None:
    text, found = made(pd.DataFrame({"customer_id": [], "date": [], "amount": []}), tmp_path)
    assert "Seen: 0 rows." in said(text) and found.sources[0].customer == "customer_id" and "TO DO" in said(text)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2"], "integer"),
        (["007", "008"], "text"),
        (["1.5", ".5e3"], "number"),
        (["2024-01-01", "2024-01-01 10:00"], "day"),
        (["1.2.2024", "31.12.2024"], "odd day"),
        (["a", "2"], "text"),
        ([None, ""], "nothing"),
    ],
)
def test_kinds_of_text(values: list[str | None], kind: str, tmp_path: Path) -> None:
    pd.DataFrame({"x": values, "y": 1}).to_csv(tmp_path / "a.csv", index=False)
    assert look_at(tmp_path / "a.csv").columns[0].kind == kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.Series([True, False]), "flag"),
        (pd.Series([1, 2]), "integer"),
        (pd.Series([1.0, None]), "integer"),
        (pd.Series([1.5, 2.0]), "number"),
        (pd.Series(["a", "b"], dtype="category"), "text"),
        (pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"])), "day"),
    ],
)
def test_kinds_of_typed_columns(values: pd.Series, kind: str, tmp_path: Path) -> None:
    values.to_frame("x").to_parquet(tmp_path / "a.parquet")
    column = look_at(tmp_path / "a.parquet").columns[0]
    assert column.kind == kind
    assert (column.last is not None) == (kind == "day")


def test_no_column_has_two_roles(tmp_path: Path) -> None:
    names = [
        "customer",
        "client",
        "date",
        "day",
        "amount",
        "total",
        "order",
        "invoice",
        "currency",
        "category",
        "margin",
    ]
    frame = pd.DataFrame({name: [1, 2] for name in names}).assign(date="2024-01-01", day="2024-01-01", currency="EUR")
    frame.to_csv(tmp_path / "a.csv", index=False)
    guesses = guess_columns(look_at(tmp_path / "a.csv"))
    taken = [guess.column for guess in guesses.values() if guess.column]
    assert len(taken) == len(set(taken)) and guesses["customer"].why == "Guessed by its name. Also possible: client."


def test_comments_stay_comments() -> None:
    text = commented_file(
        ["a\rb", "c\x00d"],
        {
            "sources": [
                Filled(values={"name": "n\n[x]", "path": "p"}, why={"name": "why\nseed = 3"}, note="x\u2028seed = 4")
            ]
        },
    )
    assert tomllib.loads(text)["sources"] == [{"name": "n\n[x]", "path": "p"}] and "seed" not in tomllib.loads(text)
    assert toml_value("n\n[x]") == '"n\\n[x]"'
