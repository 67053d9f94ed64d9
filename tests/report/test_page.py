"""The page as text: what stands in it, that it adds up, and that names stay text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, StoreError
from clv_forecast.printable import printable
from clv_forecast.ranking.ranking_table import Order
from clv_forecast.report.headline import break_even_of, headline_of
from clv_forecast.report.page import as_json, monthly_orders, page_data, page_html, sections_of, write_page
from clv_forecast.report.page_text import (
    Figure,
    Table,
    Words,
    account_spend,
    account_table,
    cents,
    decimal,
    money,
    percent,
    short_money,
    signed_percent,
    tenths_of_percent,
    whole,
)
from clv_forecast.report.report import make_report
from clv_forecast.report.sections_money import spend_section
from tests.report.page_inputs import HOSTILE, HOSTILE_ID, bare_report, full_report, hostile_report

BYTES_PER_ACCOUNT = 600


class Reader(HTMLParser):
    """Elements of a page, their attributes, and its text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self.words: list[str] = []
        self._raw = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = (dict(attrs).get("id") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw:
            self.inside[self._raw] = self.inside.get(self._raw, "") + data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def hostile() -> str:
    return page_html(hostile_report())


@pytest.fixture(scope="module")
def read(hostile: str) -> Reader:
    return Reader(hostile)


@pytest.fixture(scope="module")
def data(read: Reader) -> dict[str, Any]:
    return {**json.loads(read.inside["tables"]), "late": json.loads(read.inside["details"])}


def test_hostile_names_add_no_element(read: Reader) -> None:
    tags = [tag for tag, _ in read.elements]
    assert tags.count("script") == 3
    assert not {"img", "i", "b", "iframe", "object", "a href"} & set(tags)
    assert not [name for _, attributes in read.elements for name in attributes if name.startswith("on")]
    assert not [1 for _, attributes in read.elements if "style" in attributes]


def test_data_blocks_hold_no_markup_and_only_ascii(read: Reader, data: dict[str, Any]) -> None:
    for name in ("tables", "details"):
        block = read.inside[name]
        assert block.isascii()
        assert not set(block) & set("<>&")
    names = data["columns"]["name"]["texts"]
    assert set(map(printable, HOSTILE)) <= set(names)
    assert HOSTILE_ID in data["columns"]["customer_id"]["texts"]


def test_labels_of_groups_stand_in_tables_as_text(read: Reader, hostile: str) -> None:
    assert "<img src=x onerror=alert(3)>" in read.text
    assert "<img" not in hostile
    assert "Value & potential <i>of</i> accounts" in read.text


def test_policy_allows_its_own_script_and_style_only(read: Reader) -> None:
    policy = next(a["content"] for t, a in read.elements if t == "meta" and "Content-Security-Policy" in a.values())
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(read.inside[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_nothing_points_outside(read: Reader) -> None:
    for _, attributes in read.elements:
        for name in ("href", "src", "action", "data", "poster", "srcset"):
            address = attributes.get(name)
            assert address is None or address.startswith("#") or address == "data:,"
    assert "url(" not in read.inside["style"]
    assert not re.search(
        r"fetch\(|XMLHttpRequest|import\(|innerHTML|outerHTML|insertAdjacent|eval\(", read.inside["script"]
    )


def test_first_line_agrees_with_the_tables() -> None:
    report = hostile_report()
    accounts = account_table(report)
    headline = headline_of(report, accounts)
    spend = report.spends[0]
    pooled = round(float(spend.table["allowable_pooled"].sum()), 2)
    assert pooled == pytest.approx(float(spend.totals["allowable_pooled"].sum()), abs=0.005)
    funded = int((spend.table["allowable_pooled"] > 0).sum())
    assert report.losers is not None and report.ranking is not None
    kept = dataclasses.replace(report, spends=(dataclasses.replace(spend, basis="retain"),))
    losing = int(report.losers["loses"].isin(["forecast", "both"]).sum())
    ending = f"; {losing} accounts are expected to lose money; {headline.persons} need a person."
    assert headline_of(kept, accounts).line == (
        f"At 20 % return and 80 % confidence: to keep accounts up to {pooled:,.0f} EUR ({funded:,} accounts){ending}"
    )
    assert break_even_of(kept) is None
    value = report.forecast.customers.query("horizon == '12 months'")["value"]  # the ceiling is no headline
    found = break_even_of(report)
    assert found is not None and found.accounts == (value > 0.0).sum()
    assert found.value == pytest.approx(value[value > 0.0].sum()) and 0.02 <= found.amount / found.value <= 0.05
    share = int(np.ceil(100.0 * found.amount / found.value))
    assert headline.line == (
        f"Over 12 months {len(value):,} accounts are expected to bring {value.sum():,.0f} EUR; {found.amount:,.0f} EUR "
        f"spent on the {found.accounts:,} that bring money pays if it keeps {share} in 100 of them from leaving"
        f"{ending}"
    )
    assert not any(str(spend.totals["allowable_pooled"].sum())[:4] in tile.number for tile in headline.figures)
    table = report.ranking.table
    first = table[table["rank"] <= 20]
    expected = (first["model_fit"] != "ok") | (first["value_at_risk"] > first["value"].clip(lower=0.0))
    assert headline.persons == int(expected.sum()) > 0
    assert headline.losing == losing > 0
    assert any("among the first 20 of the ranking" in rule for rule in headline.rules)


def test_what_would_mislead_stands_before_the_first_line() -> None:
    report = hostile_report()
    assert report.ranking is not None
    why = "Carrying the last value forward wins on this base. Accounts are therefore ordered by it."
    ranking = dataclasses.replace(report.ranking, order=Order(by="carried", weight=0.0, why=why))
    failed = dataclasses.replace(
        report.forecast, customers=report.forecast.customers.assign(evidence=pd.Categorical(["failed"] * 200))
    )
    changed = dataclasses.replace(report, ranking=ranking, forecast=failed)
    warnings = headline_of(changed, account_table(changed)).warnings
    assert warnings[0] == why
    assert warnings[1].startswith("The backtest failed at 12 months")
    text = page_html(changed)
    assert text.index(why) < text.index("The backtest failed") < text.index('id="first-line"')


def test_first_line_of_new_customers_is_for_each_of_them() -> None:
    report = hostile_report()
    spend = report.spends[0]
    groups = spend.table.drop(columns="customer_id").head(2).assign(allowable_pooled=[20.76, 5.0])
    changed = dataclasses.replace(report, spends=(dataclasses.replace(spend, basis="acquire", table=groups), spend))
    headline = headline_of(changed, account_table(changed))
    assert (
        " from leaving; at 20 % return and 80 % confidence: to win customers up to 5.00 to 20.76 EUR, by group, each; "
    ) in headline.line
    tile, even = (one for one in headline.figures if one.link == "spend")
    assert tile.number == "20.8 EUR" and tile.note.startswith(f"each new customer of {groups['group'].iloc[0]}; ")
    assert even.what == "break-even of a spend"
    pooled = account_table(changed)["allowable_pooled"].sum()
    assert pooled == pytest.approx(spend.table["allowable_pooled"].sum())


def test_what_changed_says_where_nothing_did() -> None:
    changes = next(section for section in sections_of(hostile_report()) if section.name == "changes")
    assert changes.lead == f"The expected value is that of {hostile_report().forecast.as_of:%Y-%m-%d}."


def test_without_money_the_page_tells_purchases() -> None:
    history = bare_report().forecast.history
    forecast = clv.forecast(clv.fit(history, spend=None, compare=False), history, horizons=["12 months"], draws=100)
    report = make_report(forecast)
    accounts = account_table(report)
    line = headline_of(report, accounts).line
    assert (
        line
        == f"Over 12 months 2,349 accounts are expected to make {accounts['expected_purchases'].sum():,.0f} purchases."
    )
    assert "purchases only" in next(s.missing for s in sections_of(report) if s.name == "losers")
    heads = [view["key"] for view in json.loads(page_data(report, accounts)[0])["grids"]["ranking"]["columns"]]
    assert "expected_purchases" in heads and "value" not in heads


def test_columns_tell_what_the_tables_tell(data: dict[str, Any]) -> None:
    report = hostile_report()
    assert report.ranking is not None
    table = report.ranking.table
    columns = data["columns"]
    assert columns["customer_id"]["texts"] == table["customer_id"].tolist()
    assert columns["value"]["numbers"] == pytest.approx(table["value"].tolist(), abs=0.51)
    by_id = report.spends[0].table.set_index("customer_id").loc[table["customer_id"]]
    assert columns["allowable_pooled"]["numbers"] == pytest.approx(by_id["allowable_pooled"].tolist(), abs=0.51)
    seen = report.forecast.history.table.set_index("customer_id").loc[table["customer_id"]]
    days = (report.forecast.as_of - seen["last_purchase"]).dt.days.tolist()
    assert columns["last_purchase"]["days"] == days
    assert data["late"]["columns"]["reason"]["texts"] == table["reason"].tolist()


def test_orders_by_month_add_up_to_each_account_s_revenue() -> None:
    report = hostile_report()
    accounts = account_table(report)
    orders = monthly_orders(report, accounts, 2)
    assert orders is not None
    owner = np.repeat(np.arange(len(accounts)), orders["count"])
    sums = np.bincount(owner, weights=orders["amount"], minlength=len(accounts))
    assert sums == pytest.approx(accounts["total_revenue"].to_numpy(), abs=0.2)
    assert min(orders["month"]) >= 0


def test_every_grid_and_fact_names_a_column(data: dict[str, Any]) -> None:
    known = set(data["columns"]) | set(data["late"]["columns"])
    named = [view["key"] for grid in data["grids"].values() for view in grid["columns"]]
    named += [fact["key"] for topic in data["card"] for fact in topic["facts"]]
    named += [end for topic in data["card"] for fact in topic["facts"] for end in fact.get("band", [])]
    assert set(named) <= known
    eager = {view["key"] for grid in data["grids"].values() for view in grid["columns"]}
    assert eager <= set(data["columns"])
    assert {"ranking", "spend", "losers"} == set(data["grids"])


SPEECH = re.compile(
    r"\b(None|nan|NaN|True|False)\b|<NA>|[a-z]=['\"\d]|\b[a-z]+_[a-z_]+\b|(?<![\w.-])-0(\.0+)?(?![\d.,-])|[a-z]\(\.\.\.\)"
)


def words_of(report: Any) -> Iterator[str]:
    """What the page says in its own words, and the numbers of its tables; without names of accounts."""
    accounts = account_table(report)
    headline = headline_of(report, accounts)
    yield from (*headline.warnings, headline.trust, headline.line, *headline.rules)
    for tile in headline.figures:
        yield from (tile.number, tile.what, tile.note)
    for section in sections_of(report):
        yield from (section.title, section.lead, section.missing)
        for block in section.blocks:
            yield from (block.caption, block.svg) if isinstance(block, Figure) else ()
            yield from (*block.paragraphs, *block.points, *sum(block.terms, ())) if isinstance(block, Words) else ()
            yield from (block.caption, *block.heads, *sum(block.rows, ())) if isinstance(block, Table) else ()
    data = json.loads(page_data(report, accounts)[0])
    shown = [view for grid in data["grids"].values() for view in grid["columns"]]
    for view in [*shown, *(fact for topic in data["card"] for fact in topic["facts"])]:
        yield from (view["head"], view.get("tip", ""))


@pytest.mark.parametrize("made", [hostile_report, bare_report])
def test_no_python_is_on_the_page(made: Callable[[], Any]) -> None:
    told = [text for text in words_of(made()) if not any(printable(name) in text for name in HOSTILE)]
    assert len(told) > 100
    assert [text for text in told if SPEECH.search(re.sub(r"<[^>]*>", " ", text))] == []


def test_no_amount_is_a_negative_zero() -> None:
    for write in (money, short_money, percent, tenths_of_percent, signed_percent, cents, decimal, whole):
        assert "-0" not in (text := write(-1e-9)) and "-" not in text, write


def test_the_upper_limit_stands_last_and_accounts_show_what_keeps_them() -> None:
    report = hostile_report()
    kept = dataclasses.replace(report.spends[0], basis="retain")
    both = dataclasses.replace(report, spends=(*report.spends, kept))
    tables = [block for block in spend_section(both).blocks if isinstance(block, Table)]
    ends = [table.caption.split(":")[0] for table in tables if "at 20 % return" in table.caption]
    assert ends == ["To keep accounts", "Upper limit"]
    assert account_spend(both) is kept


def test_a_section_without_input_says_what_would_fill_it() -> None:
    sections = {section.name: section for section in sections_of(bare_report())}
    for name, words in {
        "matrix": "No ranking", "ranking": "No ranking", "spend": "not asked for", "certificate": "No backtest",
        "changes": "no earlier forecast", "cohorts": "acquisition costs", "drivers": "complaints",
        "losers": "costs and margins", "value": "cash flow",
    }.items():  # fmt: skip
        assert words in sections[name].missing
    text = Reader(page_html(bare_report())).text
    for section in sections.values():
        assert section.missing in text


def test_bare_page_is_small_and_not_marked_simulated(hostile: str, read: Reader) -> None:
    text = page_html(bare_report())
    fixed = len(Path("clv_forecast/report/templates/page.js").read_text()) + 80_000
    assert len(text) < fixed + BYTES_PER_ACCOUNT * 2_349
    assert "Simulated data" not in text
    assert "Simulated data" in read.text
    assert "No backtest stands behind 12 months" in Reader(text).text


def test_tables_have_captions_and_heads(read: Reader) -> None:
    tags = [tag for tag, _ in read.elements]
    assert tags.count("caption") == tags.count("table") > 3
    for tag, attributes in read.elements:
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        if tag == "svg":
            assert attributes.get("role") == "img" and attributes.get("aria-label")


def test_json_holds_null_for_what_is_no_number() -> None:
    assert as_json({"a": "\u2028<!--"}) == '{"a":"\\u2028\\u003c!--"}'
    assert as_json({"a": float("nan"), "b": [float("inf"), 1.5]}) == '{"a":null,"b":[null,1.5]}'


def test_replaces_a_page_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    assert write_page(bare_report(), target) == target
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(StoreError):
        write_page(bare_report(), tmp_path / "folder.html")
    with pytest.raises(DomainError, match=r"ends in \.html"):
        write_page(bare_report(), tmp_path / "report.pdf")
    with pytest.raises(DomainError, match="make_report"):
        write_page(pd.DataFrame(), target)  # type: ignore[arg-type]


@pytest.mark.slow
def test_all_sections_are_filled_where_all_inputs_are_there() -> None:
    report = full_report()
    sections = sections_of(report)
    assert [section.name for section in sections if section.missing] == []
    assert all(section.blocks for section in sections)
    text = Reader(page_html(report)).text
    assert report.ranking is not None and report.certificate is not None
    assert report.certificate.verdict.sentences[0] in text
    assert all(str(cell) in text for cell in report.ranking.matrix["cell"].dropna())
