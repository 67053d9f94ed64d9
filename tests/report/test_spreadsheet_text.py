"""Text for spreadsheets: nothing becomes a formula, everything can be written, safe text stays."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.report.workbook_cells import CUT, MOST_IN_A_CELL, cell_text, csv_holds, csv_text, starts_a_formula
from tests.hostile_texts import HOSTILE_TEXTS
from tests.report.made_reports import BROKEN, HOSTILE

ANY_TEXT = st.text(alphabet=st.characters(codec=None, categories=None), max_size=60)
NASTY = st.text(alphabet="=+-@;\t\r\n\x00\u200b\ufeff\uff1d \"'1aé\U0001f600\ud800\ufffe", max_size=12)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("=1+1", True), ("+1+1", True), ("-2+3", True), ("@SUM(A1)", True), ("\tx", True), ("\rx", True),
        ("\nx", True), ("  =1", True), ("\u200b=1", True), ("\xa0=1", True), ("\uff1d1", True), ("-", True),
        ("", False), ("Smith", False), ("Smith = Sons", False), ("-17", False), ("+49", False), ("-1.5", False),
        ("'=1", False), ("\u202eevil", False), (" plain", False),
    ],
)  # fmt: skip
def test_what_starts_a_formula(text: str, formula: bool) -> None:
    assert starts_a_formula(text) is formula


@pytest.mark.parametrize("text", [*HOSTILE, BROKEN])
def test_hostile_text_becomes_harmless(text: str) -> None:
    safe = csv_text(text)
    assert not starts_a_formula(safe)
    # The two ways that a spreadsheet splits a line: at semicolons or tabs, quotes or not
    for piece in safe.replace("\t", ";").replace("\n", ";").split(";"):
        assert not starts_a_formula(piece.strip(' "') or "x")
    safe.encode("utf-8")


def test_safe_text_stays() -> None:
    for text in (
        "Smith & Sons",
        "\u05e9\u05dc\u05d5\u05dd",
        "\U0001f600",
        "a, b",
        "fell by -20 %",
        "x" * 10_000,
        "-17",
    ):
        assert cell_text(text) == csv_text(text) == text


@pytest.mark.parametrize(("raw", "shown"), HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_what_cannot_be_seen_is_written_as_an_escape(raw: str, shown: str) -> None:
    assert cell_text(raw) == shown
    assert csv_text(raw).removeprefix("'") == shown


@pytest.mark.parametrize("text", ["A-1", "-17", "a, b", 'C"D', "\u05d1\u200f", "\U0001f600"])
def test_csv_holds_what_it_keeps(text: str) -> None:
    assert csv_holds(text)


@pytest.mark.parametrize("text", ["A\x00", "A\x07", "A\nB", "A\x85B", "A\u2029B", "\ud800", "=1", "a;=1", "x" * 32_768])
def test_csv_does_not_hold_what_a_reader_would_change(text: str) -> None:
    assert not csv_holds(text)


def test_a_cell_is_never_longer_than_a_cell() -> None:
    assert cell_text("x" * MOST_IN_A_CELL) == "x" * MOST_IN_A_CELL
    cut = cell_text("\U0001f600" * 20_000)
    assert len(cut.encode("utf-16-le")) // 2 <= MOST_IN_A_CELL
    assert cut.endswith(CUT)
    assert set(cut.removesuffix(CUT)) == {"\U0001f600"}
    assert len(csv_text("=" + "x" * 40_000)) <= MOST_IN_A_CELL


@given(ANY_TEXT | NASTY)
def test_every_text_can_be_written(text: str) -> None:
    safe = cell_text(text)
    escaped = safe.encode("utf-8").decode("utf-8").replace("&", "&amp;").replace("<", "&lt;")
    assert (ElementTree.fromstring(f"<t>{escaped}</t>").text or "") == safe  # noqa: S314
    assert cell_text(safe) == safe


@given(ANY_TEXT | NASTY)
def test_no_text_starts_a_formula_in_csv(text: str) -> None:
    safe = csv_text(text)
    assert not starts_a_formula(safe)
    assert csv_text(safe) == safe
