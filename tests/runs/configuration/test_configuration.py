"""What a configuration holds once it is read, and that no secret stays in it."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import pydantic
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.finance.effects import Uplift
from clv_forecast.inference.recipe import Recipe
from clv_forecast.ranking.grading import Grading
from clv_forecast.runs.configuration.commented_file import (
    configuration_reference,
    tables,
    toml_key,
    toml_value,
)
from clv_forecast.runs.configuration.configuration import Configuration, configuration_from, read_configuration
from tests.runs.configuration.full_configuration import FULL, SECRETS, SMALL


@pytest.fixture
def full(tmp_path: Path) -> Configuration:
    (tmp_path / "clv.toml").write_text(FULL, encoding="utf-8")
    return read_configuration(tmp_path / "clv.toml", environment=SECRETS)


def small(**tables: object) -> Configuration:
    return configuration_from({**tomllib.loads(SMALL), **tables})


def test_defaults() -> None:
    found = small()
    assert (found.title, found.seed, found.days_back, found.time_zone) == ("Customer lifetime value", 1, 1, None)
    source = found.sources[0]
    assert (source.customer, source.date, source.amount, source.order_id) == ("customer_id", "date", "amount", None)
    assert (found.log.unit, found.log.refunds, found.log.observed_from) == ("week", "net", None)
    assert (found.model.refit_rule, found.model.recipe) == (("every", 1), Recipe())
    assert found.forecast.horizons == ("12 months", "36 months") and found.ranking_horizon == "12 months"
    assert found.spend_horizon == "12 months" and found.finance.bases == ("ceiling",)
    assert found.ranking_draws == 500 and small(forecast={"draws": 200}).ranking_draws == 200
    gates = found.gates
    assert (gates.source_age_days, gates.rows_ratio, gates.money_ratio, gates.recent_rows_ratio) == (7, 0.98, 0.98, 0.6)
    assert (gates.matched_share, gates.total_move, gates.fit, gates.certificate) == (0.9, 0.25, True, True)
    assert set(found.alerts.model_dump().values()) == {None}
    assert (found.retention.runs, found.retention.held, found.retention.months) == (60, 5, 24)
    assert found.rates is found.accounts is found.grading is found.outputs.database is None
    assert found.cohorts.options == {"period": "quarter"}


def test_every_key_of_a_full_file(full: Configuration, tmp_path: Path) -> None:
    assert full.store == str(tmp_path / "runs") and full.folder == tmp_path
    assert full.sources[0].path == str(tmp_path / "orders/*.csv")
    assert full.accounts is not None and full.accounts.path == str(tmp_path / "accounts.csv")
    assert full.log.observed_from == datetime.date(2023, 1, 1)
    assert full.rates is not None and full.rates.of == {"EUR": 1.0, "USD": 0.92}
    assert full.model.refit_rule == ("every", 4)
    assert full.model.recipe.groups == ("region",) and full.model.recipe.draws == 400
    assert full.forecast.margin == {"region": {"EU": 0.3, "US": 0.25}}
    assert full.ranking.referral_credit == (0.5, 0.2)
    assert full.grading_rules == Grading(
        weights={"value": 3, "cagr": 1}, cuts={"A": 70, "B": 0}, lower_is_better=("cagr",), least_weight=0.4,
        cut_on="place",
    )  # fmt: skip
    assert full.finance.uplift("retain") == Uplift(share=0.2, lower=0.1, upper=0.3)
    assert full.finance.uplift("ceiling") is None
    assert full.cohorts.options == {"period": "month", "by": "channel"}
    assert small(cohorts={"by": False}).cohorts.options == {"period": "quarter", "by": None}
    assert full.outputs.database is not None and full.outputs.database.schema_name == "analytics"
    assert full.gates.money_ratio is False


def test_the_full_file_leaves_out_no_key() -> None:
    """So that mutating it reaches everything."""
    given = tomllib.loads(FULL)
    left_out = {"accounts.url", "accounts.table", "rates.file", "log.currency", "consolidation.crosswalk"}
    for table in tables():
        found = given
        for part in table.name.split(".") if table.name else []:
            found = found[part]
        held = {key for one in found for key in one} if isinstance(found, list) else set(found)
        for key in table.keys:
            name = f"{table.name}.{key.name}"
            assert key.name in held or name in left_out or table.name in ("finance.grow", "finance.acquire"), name


def test_horizons_and_models_by_any_name() -> None:
    found = configuration_from(
        {
            "sources": [{"name": "shop", "path": "orders.csv"}],
            "model": {"purchases": "Pareto/NBD", "spend": "Gamma-Gamma"},
            "forecast": {"horizon": "1 year"},
            "backtest": {"horizons": "26 weeks"},
            "ranking": {"horizon": ["12 Months"]},
        }
    )
    assert (found.model.purchases, found.model.spend) == ("pareto_nbd", "gamma_gamma")
    assert (found.forecast.horizons, found.backtest.horizon) == (("1 year",), ("26 weeks",))
    assert found.ranking_horizon == found.spend_horizon == "1 year"


def test_files_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "clv.toml"
    file.write_text('[[sources]]\nname = "shop"\npath = "orders.csv"\n', encoding="utf-8-sig")
    assert read_configuration(file).sources[0].name == "shop"
    file.write_text("seed = 1", encoding="utf-16")
    with pytest.raises(DomainError, match=r"saved as UTF-16\..*Save it as UTF-8"):
        read_configuration(file)


def test_it_cannot_be_changed(full: Configuration) -> None:
    with pytest.raises(pydantic.ValidationError):
        full.seed = 3
    with pytest.raises(pydantic.ValidationError):
        full.gates.fit = False


@pytest.mark.parametrize("text", ["every run", "drift", "every 12 runs"])
def test_refit(text: str) -> None:
    rule = small(model={"refit": text}).model.refit_rule
    assert rule == {"every run": ("every", 1), "drift": ("drift", None), "every 12 runs": ("every", 12)}[text]


def test_paths_start_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    document = tomllib.loads(SMALL)
    for written, found in (
        ("a.csv", here / "a.csv"),
        ("../x/*.csv", tmp_path / "x/*.csv"),
        ("~/b.csv", home / "b.csv"),
        ("/c.csv", "/c.csv"),
    ):
        document["sources"][0]["path"] = written
        assert configuration_from(document, folder=here).sources[0].path == str(found)


def test_a_dictionary_gives_the_same_configuration_again(full: Configuration, tmp_path: Path) -> None:
    plain = full.to_dict()
    assert plain["store"] == "runs" and plain["sources"][0]["path"] == "orders/*.csv"
    again = configuration_from(plain, folder=tmp_path, environment=SECRETS)
    assert again == full and again.to_dict() == plain
    moved = configuration_from(plain, folder=tmp_path / "elsewhere", environment=SECRETS)
    assert moved != full and moved.to_dict() == plain


def test_secrets_are_taken_only_when_connecting(full: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    assert full.secrets == ("CLV_TEST_PASSWORD", "CLV_TEST_SSL", "CLV_TEST_URL")
    assert full.outputs.database is not None and full.sources[1].url is not None
    asked = full.resolved_url(full.sources[1].url, environment=SECRETS)
    assert asked.text == "postgres://clv:pa%2Fss%40wo%3Ard@localhost:5432/erp?sslpassword=other%26secret"
    assert str(asked) == "postgres://localhost:5432/erp"
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    whole = full.resolved_url(full.outputs.database.url)
    assert (whole.text, str(whole)) == (SECRETS["CLV_TEST_URL"], "${CLV_TEST_URL}")
    monkeypatch.delenv("CLV_TEST_SSL")
    with pytest.raises(DomainError, match="CLV_TEST_SSL") as refused:
        full.resolved_url(full.sources[1].url)
    told = [str(refused.value), repr(full), str(full), str(full.to_dict()), full.model_dump_json()]
    for secret in ("pa/ss@wo:rd", "pa%2Fss", "other&secret", "thirdsecret"):
        assert not any(secret in text for text in told)


def test_files_of_engines_start_from_the_folder_too(full: Configuration, tmp_path: Path) -> None:
    assert full.resolved_url("duckdb://a/b.duckdb").text == f"duckdb://{tmp_path}/a/b.duckdb"
    assert full.resolved_url("duckdb:///a/b.duckdb").text == "duckdb:///a/b.duckdb"
    assert full.resolved_url("duckdb://:memory:").text == "duckdb://:memory:"


def test_the_reference_names_every_key_and_says_what_it_means() -> None:
    table = configuration_reference()
    assert not table.duplicated(["table", "key"]).any()
    assert table["meaning"].str.endswith((".", ")")).all() and (table["meaning"].str.len() > 10).all()
    assert table["table"].unique().tolist()[:3] == ["(top)", "[[sources]]", "[log]"]
    defaults = table[~table["default"].isin(["none", "required"])]
    for row in defaults.to_dict("records"):
        tomllib.loads(f"x = {row['default']}")


@pytest.mark.parametrize(
    "value", [True, 3, -0.5, 1e-9, 1e300, 'a "b" \\ \t\n\x7f\x1f ü', ["a", 1], {"a b": {"c": [1]}}, {}, [], ""]
)
def test_toml_values(value: object) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
    assert tomllib.loads(f"{toml_key('a.b ü')} = 1") == {"a.b ü": 1}


def test_no_toml_value() -> None:
    with pytest.raises(DomainError, match="TOML has no such value"):
        toml_value(None)
