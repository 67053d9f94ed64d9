"""The workbook as it is written: stored results, live cells, looks, and text that stays text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from openpyxl.utils import get_column_letter, rows_from_range

import clv_forecast as clv
from clv_forecast.column_titles import TITLES
from clv_forecast.errors import DomainError, StoreError
from clv_forecast.finance.cohorts import Cohorts
from clv_forecast.finance.spend import CONFIDENCES
from clv_forecast.report import workbook as workbook_module
from clv_forecast.report.report import assumptions_hash, make_report, plain_assumptions, plain_value
from clv_forecast.report.workbook import write_workbook
from clv_forecast.report.workbook_cells import cell_text, starts_a_formula
from tests.report.made_reports import HOSTILE, PYTHON, forecast_of, hostile_report, renamed, report_of
from tests.report.recalculation import formulas_of, rows_of

OURS = re.compile(
    r"=(banner|INDEX\(pool_cents_|IF\(|IFERROR\(|SUBTOTAL\(109,|SUM\(|ROUND\(SUMIFS\(|COUNTIF\(|INT\(MAX\(0,|\(INT\(INDEX\(|"
    r"[A-Z]+\d+\*margin_scale$|[A-Z]+\d+\*INT\(MAX\(0,)"
)
"""How our own formulas begin."""
AMOUNTS = {
    "value_at_stake": "Value at stake",
    "allowable_expected": "Allowable on average",
    "allowable_pooled": "Allowable, risk pooled",
    "allowable_single": "Allowable, each for itself",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workbook(report_of(), tmp_path_factory.mktemp("workbook") / "finance.xlsx")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With cohorts, a negative zero, and a payback limit: every kind of sheet."""
    report = report_of()
    cohorts = clv.cohorts(report.forecast, acquisition_cost=clv.simulate_accounts(60, rng=1).acquisition_cost)
    table = report.ranking.table
    table = table.assign(value=table["value"].where(table["rank"] > 1, -0.0), currency="EUR")
    report = replace(report, cohorts=cohorts, ranking=replace(report.ranking, table=table))
    return write_workbook(report, tmp_path_factory.mktemp("workbook") / "full.xlsx")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workbook(hostile_report(), tmp_path_factory.mktemp("workbook") / "hostile.xlsx")


def test_sheets(path: Path) -> None:
    book = openpyxl.load_workbook(path, read_only=True)
    assert book.sheetnames == [
        "Assumptions", "Totals", "Ceiling", "Ceiling 2", "Acquire", "Ranking", "Losers", "Method", "Technical",
    ]  # fmt: skip


@pytest.mark.parametrize(("sheet", "place"), [("Ceiling", 0), ("Ceiling 2", 1), ("Acquire", 2)])
def test_stored_results_are_those_of_python(path: Path, sheet: str, place: int) -> None:
    spend = report_of().spends[place]
    stored = pd.DataFrame(rows_of(path, sheet))
    key = "Customer" if place < 2 else "Group"
    expected = spend.table.set_index("customer_id" if place < 2 else "group")
    stored = stored.set_index(key).loc[expected.index]
    for name, head in AMOUNTS.items():
        np.testing.assert_allclose(stored[head].to_numpy(dtype=float), expected[name].to_numpy(), rtol=1e-14)
    assert expected["allowable_pooled"].gt(0.0).any()


def test_most_at_stake_stands_first(path: Path) -> None:
    stakes = [row["Value at stake"] for row in rows_of(path, "Ceiling")]
    assert stakes == sorted(stakes, reverse=True)


def test_stored_totals_are_those_of_python(path: Path) -> None:
    spend = report_of().spends[0]
    rows = rows_of(path, "Totals", header_row=5)[: len(spend.totals)]
    for row, (_, total) in zip(rows, spend.totals.iterrows(), strict=True):
        assert (row["Pool"], row["Accounts"]) == (total["group"], total["accounts"])
        assert row["Allowable, risk pooled"] == pytest.approx(total["allowable_pooled"], abs=1e-9)
        assert row["The pool"] == pytest.approx(total["allowable_pooled"], abs=1e-9)
        assert row["Rows add up to the pool"] == "yes"


def test_names_validation_and_protection(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    sheet = book["Assumptions"]
    cells = {}
    for name in ("target_roi", "confidence", "margin"):
        where = book.defined_names[name].attr_text
        cells[name] = sheet[where.split("!")[1].replace("$", "")]
        assert not cells[name].protection.locked
    assert [cells[name].value for name in ("target_roi", "confidence", "margin")] == [0.2, 0.8, 0.3]
    rules = {str(rule.sqref): rule for rule in sheet.data_validations.dataValidation}
    assert rules[cells["confidence"].coordinate].formula1 == "confidence_levels"
    assert rules[cells["target_roi"].coordinate].type == rules[cells["margin"].coordinate].type == "decimal"
    levels = book.defined_names["confidence_levels"].attr_text.split("!")[1].replace("$", "")
    assert [round(100 * cell.value) for cell in book["Technical"][levels][0]] == list(CONFIDENCES)
    unlocked = [
        cell.coordinate for one in book for row in one.iter_rows() for cell in row if not cell.protection.locked
    ]
    assert sorted(unlocked) == sorted(cell.coordinate for cell in cells.values())
    for one in book:
        assert one.protection.sheet and one.protection.password is None, one.title
        assert one.freeze_panes is not None, one.title


def test_looks(path: Path) -> None:
    book = openpyxl.load_workbook(path)
    sheet = book["Ceiling"]
    assert sheet.auto_filter.ref == f"A6:K{6 + 60}"
    first = {sheet.cell(6, col).value: sheet.cell(7, col) for col in range(1, 12)}
    assert first["Allowable, risk pooled"].number_format.startswith("#,##0.00")
    assert first["P(loss)"].number_format == "0.0%"
    assert sheet.column_dimensions["D"].width > 12
    hidden = [one for one in sheet.column_dimensions.values() if one.hidden]
    assert hidden and min(one.min for one in hidden) == 12
    assert book["Ranking"]["A6"].value == 1


def test_banner_and_mark_of_made_up_data(path: Path, hostile: Path) -> None:
    book = openpyxl.load_workbook(path, data_only=True)
    for sheet in book:
        assert str(sheet["A2"].value).startswith("SIMULATED DATA. As published: target return 20 %, confidence 80 %")
    assert book["Assumptions"]["A3"].value.startswith("SIMULATED DATA")
    assert openpyxl.load_workbook(hostile, data_only=True)["Assumptions"]["A2"].value.startswith("As published")


def test_hash_of_the_assumptions(path: Path) -> None:
    report = report_of()
    sheet = openpyxl.load_workbook(path)["Technical"]
    shown = [row[1].value for row in sheet.iter_rows() if row[0].value == "SHA-256 of them"]
    assert shown == [assumptions_hash(report)]
    other = replace(report, spends=(replace(report.spends[0], target_roi=0.25), *report.spends[1:]))
    assert assumptions_hash(other) != assumptions_hash(report)
    assert assumptions_hash(replace(report, title="Other")) == assumptions_hash(report)
    assert plain_assumptions(report)["forecast"]["margin"] == 0.3


def test_plain_values() -> None:
    given = {"a": np.int64(2), "b": [np.nan, np.inf, True], "c": pd.NaT, 4: {"z", "y"}, "d": object()}
    assert plain_value(given) == {"a": 2, "b": [None, "inf", True], "c": None, "4": ["y", "z"], "d": "object"}


def test_hostile_text_is_text(hostile: Path) -> None:
    report = hostile_report()
    for sheet, formulas in formulas_of(hostile).items():
        assert [text for text in formulas if not OURS.match(text)] == [], sheet
    rows = rows_of(hostile, "Ceiling")
    assert {row["Name"] for row in rows} >= {cell_text(name) or None for name in HOSTILE}
    assert rows_of(hostile, "Ranking", header_row=5)[0]["Reason"] == HOSTILE[0]
    book = openpyxl.load_workbook(hostile)
    assert (book["Assumptions"]["A1"].value, book["Assumptions"]["A1"].data_type) == (report.title, "s")
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.hyperlink is None
                if cell.data_type == "s" and starts_a_formula(cell.value):
                    assert cell.quotePrefix, cell.coordinate


@pytest.mark.parametrize("sheet", ["Ceiling", "Ceiling 2", "Acquire"])
def test_a_row_reads_its_own_cells_only(path: Path, sheet: str) -> None:
    """So whole rows can be sorted."""
    for row in openpyxl.load_workbook(path)[sheet].iter_rows(min_row=7):
        for cell in row:
            if cell.data_type == "f":
                # Names such as pool_cents_1 are no cells
                read = re.findall(r"(?<![A-Za-z_])[A-Z]{1,3}(\d+)\b", str(cell.value))
                assert read and set(read) == {str(cell.row)}, cell.value


def test_ids_keep_their_type(tmp_path: Path) -> None:
    report = renamed(report_of(), [12_345_678_901_234_567, *range(5, 64)], currency="EUR")
    found = rows_of(write_workbook(report, tmp_path / "x.xlsx"), "Ceiling")
    ids = [row["Customer"] for row in found]
    assert "12345678901234567" in ids
    assert sorted(one for one in ids if isinstance(one, int)) == list(range(5, 64))
    assert "Value at stake (EUR)" in found[0]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"cost_to_serve": 5.0}, "there are costs beside the margin"),
        ({"margin": "margin"}, "margins differ by account"),
        ({"margin": 0.0}, "from a margin above 0"),
    ],
)
def test_the_margin_is_locked_where_values_are_not_proportional(
    terms: dict[str, object], words: str, tmp_path: Path
) -> None:
    report = report_of()
    fc = replace(report.forecast, assumptions=report.forecast.assumptions | terms)
    path = write_workbook(replace(report, forecast=fc), tmp_path / "locked.xlsx")
    book = openpyxl.load_workbook(path)
    where = book.defined_names["margin"].attr_text.split("!")[1].replace("$", "")
    assert book["Assumptions"][where].protection.locked
    assert words in "".join(str(cell.value) for row in book["Assumptions"].iter_rows() for cell in row)
    scale = book.defined_names["margin_scale"].attr_text.split("!")[1].replace("$", "")
    assert book["Technical"][scale].value == "=IF(settings_valid,1,NA())"


def test_cohorts_stay_as_published(tmp_path: Path) -> None:
    one = {"cohort": "2024Q1", "channel": "web", "new_customers": 3, "value_per_customer": 12.5, "total": 37.5}
    table = pd.DataFrame([one, one | {"channel": "@shop", "value_per_customer": -2.0}])
    found = Cohorts(
        table=table, totals=table, same_age=table.assign(age_months=3), levels=table, by="channel", period="quarter",
        horizon="12 months", pause="12 months", measure="contribution", judged_by="pooled model", target_roi=0.2,
        confidence=0.8, prob=0.9, already_there=0, children=0, opening=pd.Timestamp("2024-01-01"), notes=("A note.",),
        as_of=report_of().forecast.as_of, currency=None,
    )  # fmt: skip
    path = write_workbook(replace(report_of(), cohorts=found), tmp_path / "cohorts.xlsx")
    rows = rows_of(path, "Cohorts", header_row=5)
    assert [row["Value per customer"] for row in rows] == pytest.approx(found.table["value_per_customer"].tolist())
    assert "Cohort totals" in openpyxl.load_workbook(path, read_only=True).sheetnames
    assert formulas_of(path)["Cohorts"] == ["=banner"]
    words = str(openpyxl.load_workbook(path, read_only=True)["Cohorts"]["A3"].value)
    assert words.startswith("The figures of this sheet are those of the published run;")


def test_without_allowable_spend_nothing_is_live(tmp_path: Path) -> None:
    path = write_workbook(make_report(forecast_of()[0]), tmp_path / "bare.xlsx")
    assert not any(formulas_of(path).values())
    assert openpyxl.load_workbook(path)["Losers"]["A2"].value == "As published."


def test_a_spend_of_other_settings_is_fixed(tmp_path: Path) -> None:
    """The live cells are those of the first; another's numbers stay, and say so."""
    first, other, _ = report_of().spends
    report = replace(report_of(), spends=(first, replace(other, target_roi=0.5, confidence=0.9)))
    path = write_workbook(report, tmp_path / "mixed.xlsx")
    assert [text for text in formulas_of(path)["Ceiling 2"] if not text.startswith(("=banner", "=SUBTOTAL"))] == []
    found = pd.DataFrame(rows_of(path, "Ceiling 2")).set_index("Customer")[AMOUNTS["allowable_pooled"]]
    assert found.to_dict() == other.table.set_index("customer_id")["allowable_pooled"].to_dict()
    book = openpyxl.load_workbook(path)
    assert "FIXED at 50 % return and 90 % confidence" in book["Ceiling 2"]["A4"].value
    assert "ceiling (fixed)" in [row[0].value for row in book["Assumptions"].iter_rows()]


def test_the_path_must_be_that_of_a_workbook(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=r"ends in \.xlsx"):
        write_workbook(report_of(), tmp_path / "x.xls")


def test_same_report_same_bytes(path: Path, tmp_path: Path) -> None:
    assert write_workbook(report_of(), tmp_path / "again.xlsx").read_bytes() == path.read_bytes()


def test_an_earlier_file_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "finance.xlsx"
    target.write_text("earlier")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(workbook_module, "write_method", fail)
    with pytest.raises(StoreError, match="disk full"):
        write_workbook(report_of(), target)
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(StoreError, match="not a folder"):
        (tmp_path / "folder.xlsx").mkdir()
        write_workbook(report_of(), tmp_path / "folder.xlsx")


def words_of(path: Path) -> Iterator[tuple[str, str]]:
    """Texts that are read: all but the last sheet, formulas as their results."""
    for sheet in openpyxl.load_workbook(path, data_only=True).worksheets[:-1]:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value is not None and not isinstance(cell.value, bool):
                    yield f"{sheet.title}!{cell.coordinate}", str(cell.value)
                assert not isinstance(cell.value, bool), cell.coordinate


def test_no_python_is_read(full: Path) -> None:
    assert [(where, text) for where, text in words_of(full) if PYTHON.search(text)] == []
    for text in ("None", "a nan", "margin='margin'", "order_by", "'extrapolated'", "-0.00", "True"):
        assert PYTHON.search(text), text


def test_every_sheet_prints_whole(full: Path) -> None:
    for sheet in openpyxl.load_workbook(full):
        hidden = [one.min for one in sheet.column_dimensions.values() if one.hidden]
        last = min([sheet.max_column + 1, *hidden]) - 1
        area = str(sheet.print_area).rpartition("!")[2].replace("$", "")
        assert area == f"A1:{get_column_letter(last)}{sheet.max_row}", sheet.title
        assert (sheet.sheet_properties.pageSetUpPr.fitToPage, sheet.page_setup.fitToHeight) == (True, 0)


def test_no_amount_shows_a_negative_zero(full: Path) -> None:
    """Every cell of money that is read has the rule that shows amounts between half a cent below 0 and 0 as 0.00."""
    for sheet in openpyxl.load_workbook(full).worksheets[:-1]:
        ruled = {
            coordinate
            for one in sheet.conditional_formatting
            if any(rule.dxf.numFmt is not None and rule.dxf.numFmt.formatCode == "0.00;0.00" for rule in one.rules)
            for area in one.sqref.ranges
            for coordinate in itertools.chain(*rows_from_range(area.coord))
        }
        hidden = min([one.min for one in sheet.column_dimensions.values() if one.hidden], default=10**6)
        money = {
            cell.coordinate
            for row in sheet.iter_rows()
            for cell in row
            if "[Red]" in cell.number_format and cell.column < hidden
        }
        assert money <= ruled and (money or sheet.title in ("Losers", "Method")), sheet.title


def test_money_alone_carries_the_currency(tmp_path: Path) -> None:
    report = renamed(report_of(), list(range(60)), currency="EUR")
    book = openpyxl.load_workbook(write_workbook(report, tmp_path / "x.xlsx"))
    for name, row in (("Ceiling", 6), ("Totals", 5)):
        for cell in book[name][row]:
            below = book[name].cell(row + 1, cell.column)
            assert ("(EUR)" in str(cell.value)) == ("[Red]" in below.number_format) or cell.column > 11, cell.coordinate


def test_every_column_has_its_title_and_kind(full: Path) -> None:
    titles = {title for title, _ in TITLES.values()}
    for name in ("Ranking", "Losers", "Cohorts", "Cohort totals", "Cohorts at one age"):
        heads = {str(cell.value).removesuffix(" (EUR)") for cell in openpyxl.load_workbook(full)[name][5]}
        assert heads <= titles, heads - titles
    assert {TITLES[name][1] for name in ("repeat_ratio", "ltv_to_cac")} == {"ratio"}
