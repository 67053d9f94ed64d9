"""How text is written: what all rows show is read right, and what can be read in two ways is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history import PurchaseHistory, purchase_history
from clv_forecast.tables.source import open_source, read_days
from clv_forecast.tables.text_format import TextFormat

AS_OF = "2024-12-31"


def history(amounts: list[str], dates: list[str] | None = None, **options: Any) -> PurchaseHistory:
    log = pd.DataFrame({"customer_id": range(len(amounts)), "date": dates or "2024-01-31", "amount": amounts})
    return purchase_history(log, **({"as_of": AS_OF} | options))


READ = {
    "German": (["1.234,56", "12,50", "0,99"], ["1234.56", "12.50", "0.99"], (",", ".")),
    "American": (["1,234.56", "12.50", "1,000"], ["1234.56", "12.50", "1000"], (".", ",")),
    "French, narrow fixed blanks": (["1\u202f234,56", "12,50", "1\u00a0000"], ["1234.56", "12.50", "1000"], (",", " ")),
    "Swiss": (["1'234.50", "12.05", "1\u2019000"], ["1234.50", "12.05", "1000"], (".", "'")),
    "Indian": (["12,34,567.80", "99.90", "1,00,000"], ["1234567.80", "99.90", "100000"], (".", ",")),
    "plain": (["1234.56", " 12.5 ", ".75"], ["1234.56", "12.5", "0.75"], (".", "")),
    "three decimals that begin with zero": (["0.234", "1.500"], ["0.234", "1.500"], (".", "")),
    "three decimals after four digits": (["1500.250", "1.500"], ["1500.250", "1.500"], (".", "")),
    "decimal commas only": (["12,5", "3"], ["12.5", "3"], (",", "")),
    "a currency's sign": (["€ 1.234,50", "12,50 €", "7"], ["1234.50", "12.50", "7"], (",", ".")),
    "a currency's code": (["USD 1,234.50", "12.50 USD"], ["1234.50", "12.50"], (".", ",")),
    "powers of ten": (["1e3", "2.5"], ["1000", "2.5"], (".", "")),
}


@pytest.mark.parametrize("kind", READ)
def test_amounts_are_read_as_all_rows_show(kind: str) -> None:
    texts, numbers, written = READ[kind]
    read = history(texts)
    assert read.table["total_revenue"].tolist() == [float(number) for number in numbers]
    assert read.events is not None and read.events.source.format.numbers == written
    finding = read.audit.finding("text_format")
    assert finding is not None and finding.values["decimal"] == written[0]


def test_an_indian_amount_alone_is_no_western_one() -> None:
    assert history(["1,23,456", "7"]).table["total_revenue"].tolist() == [123456.0, 7.0]


@pytest.mark.parametrize(
    "refund", ["(20.00)", "20.00-", "\u221220.00", "-20.00", "-$20.00", "($20.00)", "\u2013 20.00"]
)
def test_refunds_in_any_notation(refund: str) -> None:
    log = pd.DataFrame({"customer_id": 1, "date": ["2024-01-01", "2024-02-01"], "amount": ["$50.00", refund]})
    assert purchase_history(log, as_of=AS_OF).table["total_revenue"].tolist() == [30.0]


@pytest.mark.parametrize(
    "texts", [["1.234"] * 3, ["1.234", "950"], ["-2.500", "1.234.567", "1.234"][:1], ["1,234"] * 2]
)
def test_points_that_may_stand_between_thousands(texts: list[str]) -> None:
    with pytest.raises(InputError, match="can be read in two ways"):
        history(["7", *texts])
    assert history(["7", *texts], decimal=".", thousands=",").table["total_revenue"].iloc[0] == 7.0


def test_two_points_in_one_number_are_thousands() -> None:
    assert history(["1.234.567", "1.234"]).table["total_revenue"].tolist() == [1234567.0, 1234.0]


@pytest.mark.parametrize("text", ["1_000", "1,2,3", "12.34.56", "20.00 CR", "1 000.0 0", "--5", "12..5", "½", "1,23.5"])
def test_what_is_no_number_is_unreadable(text: str) -> None:
    with pytest.raises(InputError, match=r"1 of 3 rows \(33 %\) have an amount that is no number"):
        history(["12.50", "1,000.25", text])


DATES = {
    "%d.%m.%Y": ["31.01.2024", "1.2.2024", "03.04.2024 10:15"],
    "%m/%d/%Y": ["01/31/2024", "2/1/2024", "04/03/2024 10:15:00"],
    "%d/%m/%Y": ["31/01/2024", "01/02/2024", "03/04/2024"],
    "%d-%m-%Y": ["31-01-2024", "01-02-2024", "03-04-2024"],
    "%Y%m%d": ["20240131", "20240201", "20240403"],
    "%d-%b-%Y": ["31-Jan-2024", "01-Feb-2024", "03-Apr-2024"],
    "iso": ["2024-01-31", "2024-2-1", "2024/04/03 10:15"],
}


@pytest.mark.parametrize("form", DATES)
def test_dates_are_read_as_all_rows_show(form: str) -> None:
    read = history(["1"] * 3, DATES[form])
    assert read.table["first_purchase"].dt.strftime("%m-%d").tolist() == ["01-31", "02-01", "04-03"]
    given = history(["1"] * 3, DATES[form], date_format=form)
    pd.testing.assert_frame_equal(given.table, read.table)


@pytest.mark.parametrize(
    "dates", [["01/02/2024", "03/04/2024"], ["1-2-2024", "5-6-2024"], ["01.02.2024", "04.03.2024"]]
)
def test_days_up_to_twelve_tell_nothing(dates: list[str]) -> None:
    with pytest.raises(InputError, match="do not tell day and month apart"):
        history(["1", "2"], dates)


@pytest.mark.parametrize("text", ["epoch", "infinity", "24-01-31", "31.01.24", "45292", "452921", "2024-01-31 garbage"])
def test_what_is_no_date_is_unreadable(text: str) -> None:
    with pytest.raises(InputError, match=r"1 of 3 rows \(33 %\) have a date that is none"):
        history(["1"] * 3, ["2024-01-31", "2024-02-01", text])


def test_words_for_nothing_are_missing_and_not_unreadable() -> None:
    read = history(["1", "2", "NULL", "n/a", ""], ["2024-01-31", "none", "2024-01-31", "2024-01-31", "2024-01-31"])
    steps = read.audit.steps.set_index("step")["rows"]
    assert (steps["amount_missing"], steps["date_missing"], steps["kept"]) == (3, 1, 1)


def test_iso_dates_are_read_beside_another_form() -> None:
    read = history(["1", "2"], ["2024-01-05", "31.01.2024"])
    assert read.table["first_purchase"].dt.day.tolist() == [5, 31]


def test_nothing_is_inferred_where_nothing_may_be() -> None:
    """A scheduled run reads plainly what is not given, and still refuses what could be something else."""
    log = pd.DataFrame({"customer_id": [1, 2], "date": "31.01.2024", "amount": ["1.234,56", "7,5"]})
    columns = {name: name for name in log}
    source = open_source(log, columns, format=TextFormat(infer=False))
    assert (source.format.numbers, source.format.date_format) == ((".", ""), "iso")
    with pytest.raises(InputError, match="two ways"):
        open_source(log.assign(amount="1.234"), columns, format=TextFormat(infer=False))


@given(st.integers(-(10**9), 10**9), st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (".", "")]))
def test_every_amount_survives_being_written(cents: int, signs: tuple[str, str]) -> None:
    decimal, thousands = signs
    text = f"{Decimal(cents) / 100:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)
    log = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": [text]})
    source = open_source(log, {n: n for n in log}, format=TextFormat(decimal=decimal, thousands=thousands))
    read = source.fetch(source.table.select(x=source.format.parsed_money(source.table.amount)))["x"].to_pylist()
    assert read == [Decimal(cents) / 100]


@pytest.mark.parametrize(
    "options",
    [
        {"decimal": ";"},
        {"thousands": "_"},
        {"delimiter": ";;"},
        {"encoding": "utf-99"},
        {"date_format": "%H:%M"},
        {"quote": "''"},
        {"delimiter": "'", "quote": "'"},
    ],
)
def test_options_have_domains(options: dict[str, str]) -> None:
    with pytest.raises(DomainError):
        TextFormat(**options)


def test_days_of_other_tables_follow_the_same_rules() -> None:
    assert read_days(pd.Series(["31.01.2024", None]), "acquired_on").dt.day.tolist()[0] == 31
    with pytest.raises(InputError, match="do not tell day and month apart"):
        read_days(pd.Series(["01/02/2024"]), "acquired_on")
    with pytest.raises(InputError, match=r"acquired_on must be a date, or missing. Got: 'soon'"):
        read_days(pd.Series(["soon", "2024-01-01"]), "acquired_on")
    with pytest.raises(InputError, match="must hold dates without a time zone, or text, not int64"):
        read_days(pd.Series([45292]), "acquired_on")
