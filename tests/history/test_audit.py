"""An audit cannot be built unless it adds up, and its text is safe to show."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pandas as pd
import pytest

from clv_forecast.errors import InputError
from clv_forecast.history import Audit, Finding, purchase_history
from clv_forecast.history.audit import Step, format_example
from tests.hostile_texts import HOSTILE_TEXTS


def step(name: str, rows: int, amount: str | None) -> Step:
    money = None if amount is None else Decimal(amount)
    return Step(name=name, rows=rows, customers=1, amount=money, sentence=f"{name}.")


def test_adds_up() -> None:
    audit = Audit(ledger=(step("read", 2, "0.3"), step("zero", 1, "0"), step("kept", 1, "0.3")), findings=())
    assert audit.steps["step"].tolist() == ["read", "zero", "kept"]


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        ((step("read", 2, "1"), step("kept", 1, "1")), "rows"),
        ((step("read", 1, "1"), step("kept", 1, "1.000001")), "money"),
        ((step("kept", 1, "1"), step("read", 1, "1")), "from 'read' to 'kept'"),
        ((step("read", 1, "1"), step("a", 0, "0"), step("a", 0, "0"), step("kept", 1, "1")), "each step once"),
        ((step("read", 2, None), step("kept", 1, None)), "rows"),
        ((step("read", 1, None), step("kept", 1, "1")), "money"),
        ((step("read", 1, "1"), step("kept", 1, None)), "money"),
        ((step("read", 1, "0"), step("kept", 1, "NaN")), "money"),
        ((), "from 'read' to 'kept'"),
    ],
)
def test_refuses_what_does_not_add_up(ledger: tuple[Step, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Audit(ledger=ledger, findings=())


def test_levels_are_two() -> None:
    with pytest.raises(InputError, match="level"):
        Finding(name="x", level="refuse", sentence="x")  # type: ignore[arg-type]


NASTY = '<script>alert("x")</script>\x1b[31m\n&'


def nasty_audit() -> Audit:
    log = pd.DataFrame({"customer_id": ["a", NASTY], "date": "2024-01-01", "amount": [1.0, 0.0]})
    return purchase_history(log, as_of="2024-01-31").audit


def test_html_is_escaped() -> None:
    text = nasty_audit()._repr_html_()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert text.count("<tr>") == 4


def test_text_has_no_control_characters() -> None:
    text = str(nasty_audit())
    assert "\x1b" not in text and "[31m" in text
    assert all(len(line) <= 112 for line in text.splitlines())


def test_json_keeps_every_digit() -> None:
    log = pd.DataFrame({"customer_id": [1], "date": "2024-01-01", "amount": ["12345678901.123456"]})
    audit = purchase_history(log, as_of="2024-01-31").audit
    back = json.loads(json.dumps(audit.to_dict()))
    assert back["steps"][0]["amount"] == "12345678901.123456"
    assert [s["sentence"] for s in back["steps"]] + [f["sentence"] for f in back["findings"]] == list(audit.sentences())


def test_long_examples_are_cut() -> None:
    assert len(format_example([("order_id", "x" * 500)])) == 160


@pytest.mark.parametrize(("raw", "shown"), HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_examples_stay_on_their_line(raw: str, shown: str) -> None:
    assert format_example([("customer_id", raw)]) == f"customer id {shown}"


@pytest.mark.parametrize("amount", [None, "NaN"])
def test_unknown_money_is_a_dash(amount: str | None) -> None:
    audit = Audit(ledger=(step("read", 2, amount), step("kept", 2, amount)), findings=())
    assert [line.split()[-1] for line in str(audit).splitlines()[1:3]] == ["-", "-"]
    assert audit._repr_html_().count(">-</td>") == 2
    assert json.loads(json.dumps(audit.to_dict()))["steps"][0]["amount"] is None


@pytest.mark.parametrize("dates", [["2024-01-01"], ["2024-01-01"] * 2, ["2024-01-01", "2024-01-01", "2024-01-03"]])
def test_one_is_singular(dates: list[str]) -> None:
    log = pd.DataFrame({"customer_id": 1, "date": dates, "amount": 3.0})
    text = " ".join(str(purchase_history(log, as_of="2024-01-04").audit).split())
    assert "1 customer" in text
    assert not re.search(r"\b1 (customers|rows|days|purchases|repeat purchases|purchase-days)\b", text)
