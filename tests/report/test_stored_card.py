"""The card from a run folder has the numbers of the card made in memory, and finds the account that is meant."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.ranking.account_card import AccountCard
from clv_forecast.report.card import card, save_card_figure, stored_card
from clv_forecast.report.report import make_report
from clv_forecast.report.run_folder import write_run
from clv_forecast.report.run_tables import known_id
from clv_forecast.report.stored_run import StoredRun
from tests.report.stored_runs import HORIZON, numbered, simulated

TABLES = ("facts", "history", "categories", "wallet", "place", "whitespace", "spend", "outlook")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return write_run(simulated().report, tmp_path_factory.mktemp("runs") / "run", model=simulated().model)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return write_run(numbered().report, tmp_path_factory.mktemp("runs") / "run", model=numbered().model)


def assert_same(stored: AccountCard, made: AccountCard) -> None:
    """Every number to the last bit; text that is missing may be missing in another way."""
    assert (stored.customer_id, stored.name, stored.reason) == (made.customer_id, made.name, made.reason)
    assert (stored.horizon, stored.prob, stored.notes) == (made.horizon, made.prob, made.notes)
    assert str(stored) == str(made)
    for name in TABLES:
        first, second = getattr(stored, name), getattr(made, name)
        assert (first is None) == (second is None), name
        if first is None:
            continue
        assert [*first.columns] == [*second.columns], name
        if first["currency"].isna().all() if "currency" in first else False:
            first, second = first.drop(columns="currency"), second.drop(columns="currency")
        pd.testing.assert_frame_equal(first, second, check_dtype=False, check_exact=True, obj=name)


@pytest.mark.parametrize("place", [0, 7, 99])
def test_card_is_the_one_made_in_memory(run: StoredRun, place: int) -> None:
    report = simulated().report
    assert report.ranking is not None
    account = report.ranking.table["customer_id"].iloc[place]
    made = card(
        report.ranking,
        report.forecast,
        account,
        potential=report.potential,
        model=simulated().model,
        spend=report.spends,
    )
    stored = stored_card(run, account)
    assert_same(stored, made)
    assert stored.outlook is not None
    assert stored.spend is not None
    assert len(stored.spend) == 2
    assert {"now", "forecast", "potential", "risk", "place", "spend"} >= {*stored.facts["topic"]} > {"spend"}
    assert (stored.history["when"] == "future").sum() == 12


def test_card_of_a_numbered_customer(whole: StoredRun) -> None:
    report = numbered().report
    assert report.ranking is not None
    made = card(report.ranking, report.forecast, 4, model=numbered().model)
    for wanted in ("4", " 4 ", 4):
        assert_same(stored_card(whole, wanted), made)


def test_card_of_a_stack_of_models(tmp_path: Path) -> None:
    history = numbered().report.forecast.history
    both = clv.stack([numbered().model, clv.fit(history, "mbg_nbd", compare=False, draws=100)], [1.0, 3.0])
    forecast = clv.forecast(both, history, horizons="lifetime", lifetime_years=2.0, draws=100, rng=7)
    ranking = clv.rank(forecast, horizon="lifetime", draws=100)
    run = write_run(make_report(forecast, ranking=ranking), tmp_path / "run", model=both)
    stored = run.model()
    assert isinstance(stored, clv.forecasting.stack.Stack)
    assert stored.weights == both.weights
    made = card(ranking, forecast, 18)
    again = dataclasses.replace(stored_card(run, 18), outlook=None)
    assert_same(again, made)
    assert (again.history["when"] == "future").sum() == 24
    (run.folder / "model" / "stack.json").write_text('{"weights": null}', encoding="utf-8")
    with pytest.raises(StoreError, match="stack of the run is damaged"):
        run.model()


def test_without_a_model_there_are_no_months_ahead(tmp_path: Path) -> None:
    report = numbered().report
    run = write_run(report, tmp_path / "run")
    found = stored_card(run, 4)
    assert found.outlook is None
    assert set(found.history["when"]) == {"past"}
    assert any("holds no model" in note for note in found.notes)
    assert report.ranking is not None
    pd.testing.assert_frame_equal(found.facts, card(report.ranking, report.forecast, 4).facts)
    picture = save_card_figure(found, tmp_path / "deep" / "card.svg")
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_a_history_made_from_a_summary(tmp_path: Path) -> None:
    table = numbered().report.forecast.history.table[["customer_id", "frequency", "recency", "T", "monetary_value"]]
    history = clv.history_from_summary(table, as_of="1998-06-30", unit="week")
    model = clv.fit(history, compare=False, draws=100, spend_from="repeat")
    forecast = clv.forecast(model, history, horizons=[HORIZON], draws=100)
    ranking = clv.rank(forecast, draws=100)
    run = write_run(make_report(forecast, ranking=ranking), tmp_path / "run", model=model)
    assert "purchases" not in run.tables
    found = stored_card(run, 4)
    assert_same(found, card(ranking, forecast, 4))
    assert set(found.history["when"]) == {"future"}


def test_a_run_without_a_ranking_has_no_cards(tmp_path: Path) -> None:
    run = write_run(make_report(numbered().report.forecast), tmp_path / "run")
    with pytest.raises(InputError, match=r"needs the ranking.*ranking=rank\(forecast\)"):
        stored_card(run, 4)


@pytest.mark.parametrize(
    ("ids", "wanted", "meant"),
    [
        ([4, 18, 21], "18", 18),
        ([4, 18, 21], 18, 18),
        (["4", "04"], "04", "04"),
        (["4", "04"], " 4", "4"),
        ([" 4", "4"], " 4", " 4"),
        (["Åsa & Söner", "b"], "Åsa & Söner", "Åsa & Söner"),
    ],
)
def test_the_account_that_is_meant(ids: list[object], wanted: object, meant: object) -> None:
    found = known_id(pd.Series(ids), wanted)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("ids", "wanted", "message"),
    [
        ([4, 18, 21, 900], "19", r"Got: '19'\. Nearest: 18, 21, 4, 900\."),
        ([4, 18, 21, 900], 19, r"Got: 19\. Nearest: 18, 21, 4, 900\."),
        (["C-0001", "C-0012", "D-9999"], "c12", r"Nearest: C-0012"),
        (["0042", "42x", "7"], 42, r"Nearest: 0042"),
        (list("abcdefg"), "h", r"Nearest: a, b, c, d, e\."),
        (["C0001", "C0002", "D9999"], 7, r"Got: 7\. Nearest: C0001, C0002, D9999\."),
        (["x", "y"], "nobody at all", r"Nearest: x, y\."),
        ([4, 18], "four", r"Nearest: 4, 18\."),
        ([4, 18], "9" * 400, r"Nearest: "),
    ],
)
def test_unknown_accounts(ids: list[object], wanted: object, message: str) -> None:
    with pytest.raises(DomainError, match=f"no such account.*{message}"):
        known_id(pd.Series(ids), wanted)


def test_a_figure_of_an_unknown_format(whole: StoredRun, tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=r"suffix of its file\. Got: card\.docx\. Choose one of .*png"):
        save_card_figure(stored_card(whole, 4), tmp_path / "card.docx")
    assert list(tmp_path.iterdir()) == []
