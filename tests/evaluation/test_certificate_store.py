"""A certificate read back is the one that was saved, and a damaged one is refused in words."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import StoreError
from clv_forecast.evaluation.certificate import FILE, TABLES, Certificate, read_certificate
from clv_forecast.inference.hierarchical.priors import Prior
from clv_forecast.inference.recipe import Recipe, Sampler

EQUAL = ("title", "recipe", "horizons", "years", "shock", "shock_report", "evidence", "verdict", "undated")
EQUAL += ("notes", "draws", "seed", "unit", "currency", "as_of")


@pytest.fixture(scope="module")
def made() -> Certificate:
    log = clv.load_cdnow("1/10")
    log = log[log["customer_id"].isin(log["customer_id"].unique()[::6])]
    return clv.backtest(
        log, as_of="1998-06-30", origins=["1997-09-30", "1998-02-27"], horizon=["5 weeks", "13 weeks"],
        recipe=Recipe(draws=200), draws=100, workers=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def saved(made: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "certificate"
    made.save(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "certificate"))


def assert_same(found: Certificate, made: Certificate) -> None:
    for name in EQUAL:
        assert getattr(found, name) == getattr(made, name), name
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(made, name), check_exact=True)
    assert (found.loo is None) == (made.loo is None)
    if found.loo is not None and made.loo is not None:
        pd.testing.assert_frame_equal(found.loo.table, made.loo.table, check_exact=True)


def test_nothing_is_lost(made: Certificate, saved: Path, tmp_path: Path) -> None:
    found = read_certificate(saved)
    assert_same(found, made)
    assert str(found) == str(made) and found._repr_html_() == made._repr_html_()
    found.save(tmp_path / "again")
    for file in saved.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_it_serves_a_forecast(made: Certificate, saved: Path) -> None:
    found = read_certificate(saved)
    assert {field.name for field in dataclasses.fields(Certificate)} == {*EQUAL, *TABLES, "loo"}
    assert found.evidence is not None and made.evidence is not None
    assert found.evidence.of(0.1) == made.evidence.of(0.1)
    assert found.verdict.of("13 weeks") == made.verdict.of("13 weeks")


@pytest.mark.parametrize(
    "changes",
    [
        {"shock": None, "evidence": None, "loo": None, "currency": "EUR", "undated": ("region",)},
        {
            "recipe": Recipe(
                method="nuts",
                spend=None,
                groups=("region", "channel"),
                covariates="size",
                priors={"r": Prior(median=0.5, sd=1.0), "alpha": 3},
                sampler=Sampler(chains=2, draws=500, target_accept=0.95),
                name="ours",
            ),
            "title": "ours",
        },
        {"recipe": Recipe(priors=MappingProxyType({"r": Prior(sd=1e-3)}), method="laplace")},
    ],
)
def test_what_may_be_missing_and_any_recipe(made: Certificate, tmp_path: Path, changes: dict[str, object]) -> None:
    other = dataclasses.replace(made, **changes)
    other.save(tmp_path / "other")
    assert_same(read_certificate(tmp_path / "other"), other)


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_or_cut_table_is_refused(copy: Path, name: str) -> None:
    file = copy / f"{name}.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreError, match=f"{name}.parquet.*backtest again"):
        read_certificate(copy)
    file.unlink()
    with pytest.raises(StoreError, match=f"{name}.parquet"):
        read_certificate(copy)


def test_tables_and_text_must_tell_the_same(copy: Path) -> None:
    table = pd.read_parquet(copy / "scores.parquet")
    table.loc[0, "actual_total"] += 1.0
    table.to_parquet(copy / "scores.parquet", index=False)
    with pytest.raises(StoreError, match="differs in scores"):
        read_certificate(copy)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.pop("verdict"), "KeyError"),
        (lambda content: content["verdict"].pop("statuses"), "TypeError.*statuses"),
        (lambda content: content["verdict"]["statuses"][0].pop("status"), "TypeError"),
        (lambda content: content.update(shock={"level": -1.0, "noise": 0.1}), "between 0 and 3"),
        (lambda content: content.update(shock_report=None), "TypeError: ShockReport"),
        (lambda content: content["recipe"].update(sampler="__import__('os').getcwd()"), "TypeError: Sampler"),
        (lambda content: content["recipe"].update(priors="{'r': "), "TypeError"),
        (lambda content: content.update(schema_version=99), "later clv_forecast"),
        (lambda content: content.update(schema_version=0), "Got: 0. Restore"),
        (lambda content: content.pop("schema_version"), "other than a certificate"),
    ],
)
def test_damaged_text_is_refused(copy: Path, change, told: str) -> None:
    content = json.loads((copy / FILE).read_text(encoding="utf-8"))
    change(content)
    (copy / FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(StoreError, match=told):
        read_certificate(copy)


@pytest.mark.parametrize("text", ["", "[", "[1]", "null", '{"schema_version": 1}', "\x00", "[" * 100_000])
def test_text_that_is_no_certificate(copy: Path, text: str) -> None:
    (copy / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(StoreError):
        read_certificate(copy)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no saved certificate"):
        read_certificate(tmp_path / "nowhere")
