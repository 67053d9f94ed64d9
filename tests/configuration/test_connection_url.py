"""URLs of connections: nothing secret is kept or shown, and what is put in comes out on the other side."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.configuration.connection_url import check_url, masked, resolve_url, shown, variables_in
from clv_forecast.errors import DomainError

ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(user=ANY, password=ANY, option=ANY)
def test_any_secret_arrives_as_it_is(user: str, password: str, option: str) -> None:
    template = check_url("postgres://${USER}:${PASSWORD}@localhost:5432/shop?application_name=${OPTION}&x=1")
    found = urlsplit(resolve_url(template, {"USER": user, "PASSWORD": password, "OPTION": option}))
    assert (unquote(found.username or ""), unquote(found.password or "")) == (user, password)
    assert (found.hostname, found.port, found.path) == ("localhost", 5432, "/shop")
    assert parse_qs(found.query, keep_blank_values=True, strict_parsing=True) == {
        "application_name": [option],
        "x": ["1"],
    }


def test_parts_that_are_no_secrets_are_put_in_as_they_are() -> None:
    environment = {"SCHEME": "duckdb", "PLACE": "/data/a b.duckdb", "HOST": "db.local:5433"}
    assert resolve_url("${SCHEME}://${PLACE}", environment) == "duckdb:///data/a b.duckdb"
    assert resolve_url("postgres://me@${HOST}/shop", environment) == "postgres://me@db.local:5433/shop"
    assert (
        resolve_url("${PLACE}", {"PLACE": "x://${HOST}"}) == "x://${HOST}"
    )  # what the environment says is not read on


def test_files_of_engines_start_from_the_folder(tmp_path: Path) -> None:
    assert resolve_url("${URL}", {"URL": "duckdb://a.duckdb"}, folder=tmp_path) == f"duckdb://{tmp_path}/a.duckdb"
    assert resolve_url("sqlite://a.db?x=1", {}, folder=tmp_path) == f"sqlite://{tmp_path}/a.db?x=1"
    assert resolve_url("postgres://localhost/a", {}, folder=tmp_path) == "postgres://localhost/a"


@pytest.mark.parametrize("environment", [{}, {"NAME": ""}])
def test_what_is_not_set(environment: dict[str, str]) -> None:
    assert variables_in("a://${NAME}:${NAME}@${OTHER}") == ("NAME", "OTHER")
    with pytest.raises(DomainError, match="NAME"):
        resolve_url("a://${NAME}@h", environment)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgres://clv:hunter2@db:5432/shop?sslpassword=hunter2", "postgres://db:5432/shop"),
        ("postgres://clv:hun@ter2@[::1/shop", "postgres://[::1/shop"),
        ("postgres://clv:x?hunter2@db/shop", "postgres://***"),
        ("postgres://db/shop?password=x@hunter2", "postgres://***"),
        ("duckdb:///a/b.duckdb", "duckdb:///a/b.duckdb"),
        ("host=db password=hunter2", "***"),
    ],
)
def test_what_is_shown(url: str, told: str) -> None:
    assert shown(url) == told


def test_masks_inside_a_sentence() -> None:
    said = "no route to postgres://clv:hun@ter2@db/shop, nor to duckdb:///a.duckdb"
    assert masked(said) == "no route to postgres://***@db/shop, nor to duckdb:///a.duckdb"
