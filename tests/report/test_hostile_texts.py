"""One base whose every text is hostile, written to every output: nothing is refused, and nothing steers a reader."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.finance.budget import allocate_budget
from clv_forecast.report.card import card, save_card_figure, stored_card
from clv_forecast.report.crm import write_crm
from clv_forecast.report.report import Report, make_report
from clv_forecast.report.run_folder import write_run
from clv_forecast.report.stored_run import StoredRun
from tests.hostile_texts import BEFORE, LONG, SHOWN, STEERING

IDS = (*BEFORE, LONG)


@dataclass(frozen=True)
class Base:
    report: Report
    run: StoredRun


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    made = clv.simulate_accounts(60, rng=1)
    ids = dict(zip(made.accounts["customer_id"], IDS, strict=False))
    orders, accounts = made.transactions.copy(), made.accounts.copy()
    for table in (orders, accounts):
        table["customer_id"] = [ids.get(one, str(one)) for one in table["customer_id"]]
    texts = [BEFORE[k % len(BEFORE)] for k in range(len(accounts))]
    accounts = accounts.assign(name=texts, region=texts, owner=texts[::-1], **{"col\n\x1b[2J": texts})
    orders = orders.assign(money="E$\x07R", category=[BEFORE[k % len(BEFORE)] for k in range(len(orders))])
    history = clv.purchase_history(
        orders, as_of=made.as_of, customers=accounts, order_id="order_id", currency="money", category="category"
    )
    model = clv.fit(history, compare=False)
    fc = clv.forecast(model, history, horizons=["12 months"], draws=100, by="region")
    known = clv.potential(history, fc)
    report = make_report(
        fc, title="A\x1b[2J\nB", ranking=clv.rank(fc, potential=known, draws=100, top_k=10), potential=known,
        spends=allowable_spend(fc, by="region"), cash_flow=fc.cash_flow("quarter"),
    )  # fmt: skip
    return Base(report, write_run(report, tmp_path_factory.mktemp("runs") / "run", model=model))


def test_ids_stay_themselves_in_parquet_and_json(base: Base) -> None:
    assert set(base.run.table("forecast")["customer_id"]) >= set(IDS)
    rows = json.loads((base.run.folder / "crm.json").read_text(encoding="utf-8"))
    assert {row["customer_id"] for row in rows} >= set(IDS)
    assert not (base.run.folder / "crm.csv").exists()
    assert not any(set(row["currency"] + row["reason"]) & STEERING for row in rows)


@pytest.mark.parametrize("name", ["report.html", "audit.txt", "audit.json", "manifest.json", "fit_report.txt"])
def test_no_file_that_people_open_steers(base: Base, name: str) -> None:
    text = (base.run.folder / name).read_bytes().decode("utf-8")
    assert not set(text) & STEERING
    assert "all is well" not in [line.strip() for line in text.split("\n")]


def test_the_page_shows_escapes(base: Base) -> None:
    text = (base.run.folder / "report.html").read_text(encoding="utf-8")
    data = json.loads(text.split('id="tables">')[1].split("</script>")[0])
    assert set(data["columns"]["customer_id"]["texts"]) >= set(SHOWN)
    assert set(data["columns"]["attribute: region"]["labels"]) == set(SHOWN)
    assert data["meta"]["currency"] == r"E$\x07R"
    assert r"A\x1b[2J\nB" in text
    assert not any(set(one) & STEERING for one in _texts(data))


def _texts(data: object) -> list[str]:
    if isinstance(data, str):
        return [data]
    if isinstance(data, dict):
        return [one for pair in data.items() for part in pair for one in _texts(part)]
    return [one for part in data for one in _texts(part)] if isinstance(data, list) else []


def test_the_workbook_tells_all_accounts_apart(base: Base) -> None:
    book = openpyxl.load_workbook(base.run.folder / "finance.xlsx")
    ids = [str(row[1].value) for row in book["Ranking"].iter_rows(min_row=6) if row[1].value is not None]
    assert len(set(ids)) == len(base.report.forecast.customer_ids)
    assert set(ids) >= set(SHOWN)
    texts = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not any(set(text) & STEERING for text in texts)


@pytest.mark.parametrize("account", [*BEFORE, LONG], ids=ascii)
def test_a_card_is_found_by_its_id_and_stays_on_its_lines(base: Base, account: str) -> None:
    found = stored_card(base.run, account)
    text = str(found)
    assert found.customer_id == account
    assert not set(text) & STEERING
    assert "all is well" not in text.split("\n")
    assert max(map(len, text.split("\n"))) < 900


def test_a_card_is_drawn(base: Base, tmp_path: Path) -> None:
    for account in ("A\nall is well", "$a_{ costs 5"):
        assert save_card_figure(stored_card(base.run, account), tmp_path / "card.png").stat().st_size > 10_000


def test_texts_for_a_terminal_stay_on_their_lines(base: Base) -> None:
    report, fc = base.report, base.report.forecast
    told = [fc, report.ranking, report.potential, report.spends[0], fc.history.audit]
    told.append(card(report.ranking, fc, "A\x07C", potential=report.potential, spend=report.spends))
    for one in told:
        for text in (str(one), repr(one)):
            assert not set(text) & STEERING, type(one)
            assert not any(line.strip().startswith("all is well") for line in text.split("\n")), type(one)


def test_notebooks_show_escapes(base: Base) -> None:
    fc, spend = base.report.forecast, base.report.spends[0]
    retain = allowable_spend(fc, basis="retain", uplift=0.3, by="region")
    shown = (base.report.potential, base.report.ranking, spend, allocate_budget(retain, 50.0, cost=5.0))
    for one in (fc, fc.history, fc.history.audit, *shown, clv.cohorts(fc, by="region", period="year")):
        text = one._repr_html_()
        assert not set(text) & STEERING, type(one)
        assert "<b>&amp;amp;" not in text and not re.search(r"<(?!/?(?:div|p|b|table|t[a-z]+|ul|li|code)[ >])", text)
        words = html.unescape(re.sub("<[^>]*>", " ", text))
        assert not re.search(r"\b(?:None|nan|NaT|True|False)\b|<NA>|-0(?:\.0+)?(?: %|\s|$)", words), type(one)


def test_only_what_changed_is_found_by_ids_of_any_kind(base: Base, tmp_path: Path) -> None:
    again = write_crm(base.report, tmp_path / "new.json", changed_since=base.run.folder / "crm.json")
    assert (again.written, again.vanished) == (0, ())
    assert "\x1b" not in str(pd.Series([str(again)]).iloc[0])
