"""URLs of databases: what is put in comes out on the other side, and nothing secret is kept or shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.errors import ClvForecastError, DomainError
from clv_forecast.history.consolidation import OrderSource
from clv_forecast.runs.configuration.configuration import Configuration, configuration_from
from clv_forecast.runs.store.database import result_database
from clv_forecast.tables.connection_url import check_url, connection_url, variables_in
from clv_forecast.tables.databases import first_line, read_database_table

ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SECRET = "Tr0ub4dor"  # noqa: S105
# What people have in passwords, around a part that can be looked for
PASSWORDS = tuple(f"{SECRET}{sign}x" for sign in ("", *"@#[]/?%:&= +;,!$'\"\\{}|^~é"))
SHAPES = (
    "postgres://clv:{}@localhost:1/shop",
    "postgres://{}@localhost:1/shop",
    "postgres://localhost:1/shop?password={}",
    "postgres://clv@localhost:1/shop?sslmode=disable&password={}&sslmode=x",
    "postgres://clv:{}@127.0.0.1:1,127.0.0.1:2/shop",
    "postgres://clv:{}@[::1/shop",
    "postgres://clv:{}@localhost:port/shop",
    "postgres:/clv:{}@localhost/shop",
    "postgres:clv:{}@localhost/shop",
    " postgres://clv:{}@localhost:1/shop",
    "nothing://clv:{}@localhost/shop",
    "duckdb://clv:{}@localhost/shop.duckdb",
    "mysql://clv:{}@localhost:1/shop",
    "host=localhost password={}",
)


@given(user=ANY, password=ANY, option=ANY)
def test_any_secret_arrives_as_it_is(user: str, password: str, option: str) -> None:
    template = check_url("postgres://${USER}:${PASSWORD}@localhost:5432/shop?options=${OPTION}&port=1")
    url = connection_url(template, {"USER": user, "PASSWORD": password, "OPTION": option})
    assert (url.user, url.password, dict(url.options)) == (
        user,
        password,
        {"options": option, "port": "1"},
    )
    found = urlsplit(url.text)
    assert (unquote(found.username or ""), unquote(found.password or "")) == (user, password)
    assert (found.hostname, found.port, found.path) == ("localhost", 5432, "/shop")
    assert parse_qs(found.query, keep_blank_values=True, strict_parsing=True) == {
        "options": [option],
        "port": ["1"],
    }
    assert str(url) == "postgres://localhost:5432/shop"


def test_parts_that_are_no_secrets_are_put_in_as_they_are() -> None:
    environment = {"SCHEME": "duckdb", "PLACE": "/data/a b.duckdb", "HOST": "db.local:5433"}
    file = connection_url("${SCHEME}://${PLACE}", environment)
    assert (file.text, str(file)) == ("duckdb:///data/a b.duckdb", "${SCHEME}://${PLACE}")
    server = connection_url("postgres://me@${HOST}/shop", environment)
    assert server.postgres_arguments == {"user": "me", "host": "db.local", "port": "5433", "database": "shop"}
    assert str(server) == "postgres://${HOST}/shop"
    whole = connection_url("${URL}", {"URL": "postgres://h/${HOST}"})  # what the environment says is not read on
    assert (whole.path, str(whole)) == ("/${HOST}", "${URL}")


def test_several_hosts_reach_postgres_as_a_list() -> None:
    url = connection_url("postgresql://clv:x@one:1,[::1]:2,three/shop/sales?sslmode=require")
    assert url.postgres_arguments == {
        "user": "clv",
        "password": "x",
        "host": "one,::1,three",
        "port": "1,2,5432",
        "database": "shop",
        "schema": "sales",
        "sslmode": "require",
    }


def test_files_of_engines_start_from_the_folder(tmp_path: Path) -> None:
    file = connection_url("${URL}", {"URL": "duckdb://a.duckdb"}, folder=tmp_path)
    assert file.text == f"duckdb://{tmp_path}/a.duckdb"
    assert connection_url("sqlite://a.db?x=1", {}, folder=tmp_path).text == f"sqlite://{tmp_path}/a.db?x=1"
    assert connection_url("postgres://localhost/a", {}, folder=tmp_path).text == "postgres://localhost/a"


@pytest.mark.parametrize("environment", [{}, {"NAME": ""}])
def test_what_is_not_set(environment: dict[str, str]) -> None:
    assert variables_in("a://${NAME}:${NAME}@${OTHER}") == ("NAME", "OTHER")
    with pytest.raises(DomainError, match="NAME"):
        connection_url("a://${NAME}@h", environment)


@pytest.mark.parametrize(
    "variables",
    [
        {"HOST": f"clv:{SECRET}@h"},
        {"HOST": f"h/{SECRET}"},
        {"HOST": f"h:{SECRET}"},
        {"DATABASE": f"shop?password={SECRET}"},
        {"DATABASE": f"{SECRET}@h"},
    ],
)
def test_a_variable_does_not_reach_beyond_its_part(variables: dict[str, str]) -> None:
    with pytest.raises(DomainError, match="cannot be read") as caught:
        connection_url("postgres://${HOST}/${DATABASE}", {"HOST": "h", "DATABASE": "d"} | variables)
    assert SECRET not in str(caught.value)


def _shown(url: str) -> list[str]:
    """All that is said about a URL by whatever takes one."""

    def said(ask: object) -> str:
        try:
            return str(ask())  # type: ignore[operator]
        except ClvForecastError as error:
            chained = "" if error.__suppress_context__ else str(error.__cause__ or error.__context__ or "")
            return str(error) + chained

    def in_file(key: str, table: dict[str, object]) -> str:
        document = {"sources": [{"name": "shop", "path": "orders.csv"}], **table}
        text = said(lambda: configuration_from(document, environment={"DB": url}))
        return text.replace(key, "")

    def reached(**url_key: str) -> Configuration:
        source = {"name": "shop", "table": "orders", **url_key}
        return configuration_from({"sources": [source]}, environment={"DB": url})

    return [
        said(lambda: repr(OrderSource("shop", url, table="orders"))),
        said(lambda: read_database_table(url, "orders", "orders")),
        said(lambda: result_database(url)),
        said(lambda: reached(url=url)),
        said(lambda: reached(url="${DB}")),
        in_file("outputs", {"outputs": {"database": {"url": url}}}),
        in_file("outputs", {"outputs": {"database": {"url": "${DB}"}}}),
        in_file("store", {"store": url}),
        in_file("seed", {"seed": url, url: 1, "title": [url]}),
        said(lambda: first_line(RuntimeError(f"no route to {url}"))) if "://" in url else "",
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_secret_is_ever_shown(shape: str) -> None:
    """The control: each does say something."""
    for password in PASSWORDS:
        for written in dict.fromkeys((password, quote(password, safe=""))):
            texts = _shown(shape.format(written))
            assert not [text for text in texts if SECRET in text]
            assert all(texts[:2])


def test_a_driver_that_says_all_is_not_believed() -> None:
    url = connection_url("postgres://clv:a%2Fb%3Fc@h/shop?options=-c%20x&sslmode=q")
    said = 'user "clv" with a/b?c, a%2Fb%3Fc, "-c x" and -c%20x, q, quick'
    assert url.without_secrets(said) == 'user "***" with ***, ***, "***" and ***, ***, quick'
