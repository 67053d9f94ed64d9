"""The run folder: every table in it is the one in memory, it is complete or not there, and what is odd is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.finance.cohorts import cohorts
from clv_forecast.report import run_folder
from clv_forecast.report.run_folder import write_run
from clv_forecast.report.run_tables import check_storable
from clv_forecast.report.stored_run import MANIFEST, StoredRun, read_run
from tests.report.page_inputs import no_change
from tests.report.stored_runs import Made, numbered, simulated


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return write_run(simulated().report, tmp_path_factory.mktemp("runs") / "deep" / "run", model=simulated().model)


@pytest.fixture
def copy(run: StoredRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run.folder, tmp_path / "copy"))


def without_model(made: Made, folder: Path) -> StoredRun:
    return write_run(made.report, folder)


def test_tables_are_those_in_memory(run: StoredRun) -> None:
    report = simulated().report
    forecast, ranking, potential = report.forecast, report.ranking, report.potential
    assert ranking is not None
    assert potential is not None
    assert potential.whitespace is not None
    expected = {
        "history": forecast.history.table,
        "customers": forecast.history.customers,
        "purchases": forecast.history.purchases(),
        "forecast": forecast.customers,
        "totals": forecast.totals,
        "next_order": forecast.next_order(),
        "ranking": ranking.table,
        "matrix": ranking.matrix,
        "potential": potential.table,
        "reliability": potential.reliability,
        "whitespace": potential.whitespace.table,
        "allowable_spend": pd.concat([spend.table for spend in report.spends[:2]], ignore_index=True),
        "allowable_spend_new_customers": report.spends[2].table,
        "losing_accounts": report.losers,
        "cash_flow": report.cash_flow,
        "parameters": simulated().model.parameters,
    }
    for name, table in expected.items():
        stored = run.table(name)
        assert table is not None
        assert {*stored.columns} - {*table.columns} <= {"as_of", "currency", "unit"}
        pd.testing.assert_frame_equal(
            stored[[*table.columns]].drop(columns="currency", errors="ignore"),
            table.drop(columns="currency", errors="ignore").reset_index(drop=True),
            check_dtype=False,
            check_exact=True,
        )
        assert run.manifest["tables"][name]["rows"] == len(table)
    for name in run.tables:
        stored = run.table(name)
        assert (stored["as_of"] == forecast.as_of).all()
        assert (stored["currency"] == "EUR").all()
    assert run.table("allowable_spend")["basis"].unique().tolist() == ["ceiling", "retain"]
    assert run.table("spend_levels")["horizon"].notna().all()
    assert {"migration", "drivers", "changes", "cohorts"}.isdisjoint(run.tables)


def test_other_files(run: StoredRun) -> None:
    files = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert files == {MANIFEST, *run.manifest["files"], *(f"{name}.parquet" for name in run.tables)}
    assert {"report.html", "finance.xlsx", "crm.csv", "audit.txt", "model/model.json"} <= files
    audit = json.loads((run.folder / "audit.json").read_text())
    assert audit == simulated().report.forecast.history.audit.to_dict()
    stored = run.model()
    assert isinstance(stored, clv.Model)
    pd.testing.assert_frame_equal(stored.parameters, simulated().model.parameters)
    assert "Simulated accounts" in repr(run)


def test_manifest_says_what_the_run_depends_on(run: StoredRun) -> None:
    told = run.manifest
    assert (told["schema_version"], told["title"], told["simulated"]) == (1, "Simulated accounts", True)
    assert (told["seed"], told["draws"], told["customers"]) == (1, 100, 100)
    assert told["versions"]["clv-forecast"] == metadata.version("clv-forecast")
    assert told["assumptions"]["forecast"]["shock"] == {"level": 0.1, "noise": 0.2, "period": "1 month"}
    assert [spend["basis"] for spend in told["assumptions"]["spends"]] == ["ceiling", "retain", "acquire"]
    assert len(told["assumptions_hash"]) == 64


def test_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_run(numbered().report, tmp_path / name, model=numbered().model) for name in ("a", "b"))
    names = [MANIFEST, *(f"{name}.parquet" for name in first.tables), "crm.csv", "report.html", "audit.json"]
    for name in names:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
    assert str(tmp_path) not in (first.folder / MANIFEST).read_text()


def test_ids_keep_their_type(run: StoredRun, tmp_path: Path) -> None:
    text = run.table("ranking", only=["customer_id"])["customer_id"]
    assert all(isinstance(one, str) for one in text)
    whole = without_model(numbered(), tmp_path / "run")
    for name in ("history", "purchases", "forecast", "ranking"):
        assert whole.table(name)["customer_id"].dtype == "int64"
    assert len(whole.rows_of("purchases", 4)) == 4
    assert whole.table("forecast")["currency"].isna().all()
    assert not whole.has_model
    with pytest.raises(StoreError, match=r"holds no model.*model="):
        whole.model()


def test_an_earlier_run_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    without_model(numbered(), folder)
    (folder / "left_over").write_text("from an earlier run")
    without_model(numbered(), folder)
    assert not (folder / "left_over").exists()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="Choose another folder"):
        without_model(numbered(), theirs)
    assert [path.name for path in theirs.iterdir()] == ["thesis.txt"]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "theirs"}


def test_a_failure_leaves_the_earlier_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    without_model(numbered(), folder)
    before = (folder / MANIFEST).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(run_folder, "write_crm", full)
    with pytest.raises(StoreError, match="no space left"):
        write_run(dataclasses.replace(numbered().report, title="Another"), folder)
    assert (read_run(folder).folder / MANIFEST).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ([1, "1"], r"values of one type\. Got: customers\.region with 1 \(whole number\) and '1' \(text\)"),
        ([1, 2.5], r"1 \(whole number\) and 2\.5 \(number\)"),
        ([{1}, {2}], r"plain values: text, numbers.*customers\.region"),
        ([2**80, 1], r"plain values"),
        (["\ud800", "a"], r"plain values"),
    ],
)
def test_what_parquet_would_change_is_refused_before_anything_is_written(
    tmp_path: Path, region: list[object], message: str
) -> None:
    report = numbered().report
    history = report.forecast.history
    ids = history.table["customer_id"]
    odd = pd.DataFrame({"customer_id": ids, "region": pd.Series((region * len(ids))[: len(ids)], dtype=object)})
    forecast = dataclasses.replace(report.forecast, history=dataclasses.replace(history, customers=odd))
    with pytest.raises(InputError, match=message):
        write_run(dataclasses.replace(report, forecast=forecast), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_may_be_stored() -> None:
    check_storable({"t": pd.DataFrame({"a": pd.Series([1, None], dtype=object), "b": pd.Categorical(["x", None])})})
    with pytest.raises(InputError, match=r"t\.c with"):
        check_storable({"t": pd.DataFrame({"c": pd.Categorical([1, "x"])})})
    with pytest.raises(InputError, match="names of their own"):
        check_storable({"t": pd.DataFrame([[1, 2]], columns=["a", "a"])})


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="the one that the forecast was made with"):
        write_run(numbered().report, tmp_path / "run", model=clv.fit(numbered().report.forecast.history, "mbg_nbd"))
    with pytest.raises(DomainError, match="made by fit"):
        write_run(numbered().report, tmp_path / "run", model="bg_nbd")  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="made by make_report"):
        write_run(numbered().report.forecast, tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_more_tables(tmp_path: Path) -> None:
    report = numbered().report
    more = pd.DataFrame({"customer_id": [4], "acv": [12.0]})
    stored = write_run(report, tmp_path / "run", tables={"metrics": more})
    assert stored.rows_of("metrics", 4)["acv"].tolist() == [12.0]
    assert stored.table("metrics")["as_of"].item() == report.forecast.as_of
    for name in ("history", "../outside"):
        with pytest.raises(DomainError, match="a name of its own"):
            write_run(report, tmp_path / "run", tables={name: more})
    with pytest.raises(DomainError, match="is a DataFrame"):
        write_run(report, tmp_path / "run", tables={"metrics": [1]})  # type: ignore[dict-item]


def test_unknown_versions_are_refused(copy: Path) -> None:
    told = json.loads((copy / MANIFEST).read_text())
    for version, advice in ((2, "later clv_forecast"), (0, "Write the run again")):
        (copy / MANIFEST).write_text(json.dumps(told | {"schema_version": version}))
        with pytest.raises(StoreError, match=rf"schema version 1 is read\. Got: {version}\..*{advice}"):
            read_run(copy)


def test_incomplete_and_damaged_runs_are_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"There is no run in the folder.*clv-forecast demo"):
        read_run(tmp_path / "nowhere")
    damaged = read_run(copy)
    (copy / "ranking.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"cannot be read.*ranking\.parquet"):
        damaged.table("ranking")
    (copy / "ranking.parquet").unlink()
    (copy / "model" / "model.json").unlink()
    with pytest.raises(StoreError, match=r"not complete\. Got: .*ranking\.parquet, model/model\.json\. Write"):
        read_run(copy)
    (copy / MANIFEST).write_text((copy / MANIFEST).read_text()[:200])
    with pytest.raises(StoreError, match="manifest of the run is damaged"):
        read_run(copy)


def test_unknown_table(run: StoredRun) -> None:
    with pytest.raises(DomainError, match=r"no such table\. Got: sales\. It has history, "):
        run.table("sales")


@pytest.mark.slow
def test_every_section_of_a_report_is_stored(tmp_path: Path) -> None:
    base = simulated().report
    forecast, ranking = base.forecast, base.ranking
    assert ranking is not None
    found = cohorts(forecast)
    certificate = clv.backtest(
        numbered().report.forecast.history, horizon="26 weeks", recipe=clv.Recipe(draws=100), draws=100, workers=1
    )
    report = dataclasses.replace(
        base,
        cohorts=found,
        certificate=certificate,
        drivers=clv.loss_drivers(forecast.history, forecast),
        changes=no_change(forecast, base.horizon),
        migration=clv.migration(ranking.table, ranking.table),
    )
    stored = write_run(report, tmp_path / "run")
    expected = {
        "cohorts": found.table,
        "cohort_totals": found.totals,
        "cohorts_same_age": found.same_age,
        "drivers": report.drivers,
        "changes": report.changes,
        "migration": report.migration,
        "cash_flow": report.cash_flow,
    }
    for name, table in expected.items():
        assert table is not None
        pd.testing.assert_frame_equal(
            stored.table(name)[[*table.columns]].drop(columns="currency", errors="ignore"),
            table.drop(columns="currency", errors="ignore").reset_index(drop=True),
            check_dtype=False,
        )
    told = json.loads((stored.folder / "certificate" / "certificate.json").read_text())
    assert told == certificate.to_dict()
    assert (stored.folder / "certificate" / "scores.parquet").is_file()
