"""The file for the customer system: names of fields, what changed, and text that stays text."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.report import crm as crm_module
from clv_forecast.report.crm import FIELDS, crm_table, csv_holds_ids, field_names, write_crm
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import starts_a_formula
from tests.report.made_reports import BROKEN, HOSTILE, PYTHON, forecast_of, hostile_report, renamed, report_of


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def changed(report: Report, rows: dict[int, float]) -> Report:
    """The same report with other values in some rows."""
    customers = report.forecast.customers.copy()
    for row, value in rows.items():
        customers.loc[row, "value"] = value
    return replace(report, forecast=replace(report.forecast, customers=customers))


def test_values_as_written(tmp_path: Path) -> None:
    report = report_of()
    made = write_crm(report, tmp_path / "crm.csv")
    rows = read(made.path)
    assert made.written == made.new == len(rows) == 60
    ahead = report.forecast.customers
    spend = report.spends[0].table.set_index("customer_id")["allowable_pooled"]
    ranked = report.ranking.table.set_index("customer_id")  # type: ignore[union-attr]
    due = report.forecast.next_order().set_index("customer_id")["next_order"]
    for row, (_, one) in zip(rows, ahead.iterrows(), strict=True):
        who = one["customer_id"]
        assert row["customer_id"] == who
        assert row["value"] == f"{one['value']:.2f}"
        assert row["p_alive"] == f"{one['p_alive']:.4f}"
        assert row["rank"] == str(ranked.loc[who, "rank"])
        assert row["reason"] == ranked.loc[who, "reason"]
        assert row["allowable_spend"] == f"{spend[who]:.2f}"
        assert row["next_order"] == ("" if pd.isna(due[who]) else f"{due[who]:%Y-%m-%d}")
        assert row["as_of"] == "2024-12-31"
    assert list(rows[0]) == [name for name in FIELDS if name in rows[0]]
    # Made without potential, so its columns are not there
    assert {"rank_lower", "adjusted_value", "potential_value", "cell"} - set(rows[0]) == {"potential_value", "cell"}


def test_texts_are_plain_sentences(tmp_path: Path) -> None:
    rows = json.loads(write_crm(report_of(), tmp_path / "x.json").path.read_text(encoding="utf-8"))
    texts = [str(one) for row in rows for one in row.values() if one is not None]
    texts += [one for row in read(write_crm(report_of(), tmp_path / "x.csv").path) for one in row.values()]
    assert [text for text in texts if PYTHON.search(text)] == []
    assert all(row["reason"][0].isdigit() and row["reason"].endswith(".") for row in rows)


def test_absent_inputs_are_no_columns(tmp_path: Path) -> None:
    bare = replace(report_of(), ranking=None, spends=report_of().spends[2:])
    found = set(read(write_crm(bare, tmp_path / "crm.csv").path)[0])
    assert found == {
        "customer_id", "value", "value_lower", "value_upper", "p_alive", "p_loss", "next_order", "horizon", "as_of",
    }  # fmt: skip


def test_csv_is_rfc_4180_in_utf_8(tmp_path: Path) -> None:
    raw = write_crm(hostile_report(), tmp_path / "crm.csv").path.read_bytes()
    raw.decode("utf-8")
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert raw.endswith(b"\r\n")
    assert b'"""quoted"", with a comma"' in raw


def test_json_keeps_types(tmp_path: Path) -> None:
    report = renamed(report_of(), list(range(60)), currency="EUR")
    rows = json.loads(write_crm(report, tmp_path / "crm.json").path.read_text(encoding="utf-8"))
    assert [row["customer_id"] for row in rows] == list(range(60))
    assert isinstance(rows[0]["value"], float)
    assert rows[0]["currency"] == "EUR"
    ranked = json.loads(write_crm(report_of(), tmp_path / "ranked.json").path.read_text(encoding="utf-8"))
    assert isinstance(ranked[0]["rank"], int)


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ("salesforce", "CLV_Customer_Id__c", "CLV_Value_Lower__c"),
        ("hubspot", "clv_customer_id", "clv_value_lower"),
        ({"customer_id": "External Id", "value_lower": "low"}, "External Id", "low"),
        ({"value_lower": "low"}, "customer_id", "low"),
    ],
)
def test_names_of_fields(fields: Any, key: str, value: str, tmp_path: Path) -> None:
    found = read(write_crm(report_of(), tmp_path / "crm.csv", fields=fields).path)[0]
    assert next(iter(found)) == key
    assert float(found[value]) == round(report_of().forecast.customers["value_lower"].iloc[0], 2)
    if not isinstance(fields, str):
        assert list(found) == [key, value]


def test_presets_are_names_that_the_systems_take() -> None:
    for name in field_names("salesforce").values():
        assert name.removesuffix("__c").replace("_", "a").isalnum()
        assert name.endswith("__c")
        assert "__" not in name.removesuffix("__c")
        assert len(name) <= 43
    for name in field_names("hubspot").values():
        assert name == name.lower()
        assert name.isidentifier()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("sales force", "Did you mean 'salesforce'"),
        ({"valu": "x"}, "Did you mean 'value'"),
        ({"p_alife": "x"}, "Did you mean 'p_alive'"),
        ({"value": "a", "rank": "a"}, "one name"),
        ({"value": "customer_id"}, "one name"),
        ({"value": " "}, "needs a name"),
        ({"value": "=1+1"}, "like a formula"),
        (["value"], "preset or a mapping"),
    ],
)
def test_unknown_fields_are_refused(fields: Any, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        crm_table(report_of(), fields=fields)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("before", [".csv", ".json", "table", "pandas"])
def test_only_what_changed(suffix: str, before: str, tmp_path: Path) -> None:
    report = report_of()
    earlier: Any
    if before == "table":
        earlier = crm_table(report, fields="hubspot")
    else:
        earlier = write_crm(
            report, tmp_path / f"earlier{'.csv' if before == 'pandas' else before}", fields="hubspot"
        ).path
    if before == "pandas":
        earlier = pd.read_csv(earlier)
    same = write_crm(report, tmp_path / f"same{suffix}", fields="hubspot", changed_since=earlier)
    assert (same.written, same.unchanged, same.vanished) == (0, 60, ())
    moved = changed(report, {3: 1.0})
    found = write_crm(moved, tmp_path / f"moved{suffix}", fields="hubspot", changed_since=earlier)
    assert (found.written, found.new, found.changed, found.unchanged) == (1, 0, 1, 59)
    rows = read(found.path) if suffix == ".csv" else json.loads(found.path.read_text())
    assert [row["clv_customer_id"] for row in rows] == [report.forecast.customer_ids[3]]


def test_a_change_below_a_cent_is_none(tmp_path: Path) -> None:
    report = changed(report_of(), {5: 12.341})
    earlier = write_crm(report, tmp_path / "earlier.csv").path
    assert write_crm(changed(report, {5: 12.339}), tmp_path / "a.csv", changed_since=earlier).changed == 0
    assert write_crm(changed(report, {5: 12.334}), tmp_path / "b.csv", changed_since=earlier).changed == 1


def test_new_and_vanished(tmp_path: Path) -> None:
    report = report_of()
    table = crm_table(report)
    earlier = pd.concat([table.iloc[2:], table.iloc[:1].assign(customer_id="GONE")])
    found = write_crm(report, tmp_path / "crm.csv", changed_since=earlier)
    assert (found.new, found.changed, found.unchanged, found.vanished) == (2, 0, 58, ("GONE",))
    assert "1 of the earlier file are no longer there" in str(found)
    assert write_crm(report, tmp_path / "all.csv", changed_since=table.iloc[:0]).new == 60
    # A field that the earlier file had not is a change of every account
    wider = write_crm(report, tmp_path / "wide.csv", changed_since=table.drop(columns="rank_upper"))
    assert wider.changed == 60


def test_the_day_of_the_run_alone_is_no_change(tmp_path: Path) -> None:
    table = crm_table(report_of())
    earlier = table.assign(as_of="2024-12-24")
    assert write_crm(report_of(), tmp_path / "crm.csv", changed_since=earlier).written == 0


def test_hostile_text_is_unchanged_since_the_csv_that_guards_it(tmp_path: Path) -> None:
    earlier = write_crm(hostile_report(), tmp_path / "crm.csv").path
    assert write_crm(hostile_report(), tmp_path / "crm.json", changed_since=earlier).written == 0
    back = write_crm(hostile_report(), tmp_path / "full.json").path
    assert write_crm(hostile_report(), tmp_path / "again.csv", changed_since=back).written == 0


def test_hostile_text_is_harmless_in_csv(tmp_path: Path) -> None:
    rows = read(write_crm(hostile_report(), tmp_path / "crm.csv").path)
    assert len(rows) == 60
    reasons = {row["reason"] for row in rows}
    assert {"<script>alert(1)</script>", '\'=HYPERLINK("http://example.invalid","click")', "x" * 10_000} <= reasons
    for row in rows:
        for value in row.values():
            assert not starts_a_formula(value)


def test_hostile_text_is_itself_in_json(tmp_path: Path) -> None:
    path = write_crm(hostile_report(), tmp_path / "crm.json").path
    reasons = {row["reason"] for row in json.loads(path.read_text(encoding="utf-8"))}
    assert {"+1+1", r"\u202egnp.exe\u202c\u200f", r"half \ud800 a pair", r"line\n=1+1"} <= reasons
    assert BROKEN not in reasons
    assert not any(set(one) & {"\x00", "\x07"} for one in reasons)


@pytest.mark.parametrize(
    "bad", ["=1+1", "-1-1", "+cmd", "@x", "\tA", "A\x07", " =1", "A; =1", "A\r\nB", "A\u2028B", "L" * 40_000]
)
def test_an_id_that_csv_would_change_is_refused(bad: str, tmp_path: Path) -> None:
    report = renamed(report_of(), [bad, *map(str, range(59))])
    with pytest.raises(InputError, match=r"1 of 60 ids.*ends in \.json"):
        write_crm(report, tmp_path / "crm.csv")
    assert not (tmp_path / "crm.csv").exists()
    assert not csv_holds_ids(report)
    assert csv_holds_ids(report_of())
    rows = json.loads(write_crm(report, tmp_path / "crm.json").path.read_text(encoding="utf-8"))
    assert rows[0]["customer_id"] == bad


def test_harmless_ids_stay(tmp_path: Path) -> None:
    ids = ["-17", "+49", "0012", "A,B", 'C"D', " E", "\u05d0", "\u05d1\u200f", *map(str, range(100, 152))]
    found = read(write_crm(renamed(report_of(), ids), tmp_path / "crm.csv").path)
    assert [row["customer_id"] for row in found] == ids


def test_ids_must_be_unique_as_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unique as text.*First customers: 1\."):
        write_crm(renamed(report_of(), [1, "1", *range(2, 60)]), tmp_path / "crm.csv")


def test_earlier_files_that_do_not_fit(tmp_path: Path) -> None:
    report = report_of()
    earlier = write_crm(report, tmp_path / "earlier.csv", fields="salesforce").path
    with pytest.raises(InputError, match="same field of the id"):
        write_crm(report, tmp_path / "crm.csv", changed_since=earlier)
    twice = pd.concat([crm_table(report)] * 2)
    with pytest.raises(InputError, match="every id once"):
        write_crm(report, tmp_path / "crm.csv", changed_since=twice)
    with pytest.raises(StoreError, match="cannot be read"):
        write_crm(report, tmp_path / "crm.csv", changed_since=tmp_path / "missing.csv")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        write_crm(report, tmp_path / "crm.csv", changed_since=tmp_path / "broken.json")
    with pytest.raises(DomainError, match="ends in"):
        write_crm(report, tmp_path / "crm.csv", changed_since="earlier.xlsx")
    with pytest.raises(DomainError, match="ends in"):
        write_crm(report, tmp_path / "crm.txt")


def test_an_earlier_file_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "crm.csv"
    target.write_text("earlier")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(crm_module, "_write_csv", fail)
    with pytest.raises(StoreError, match="disk full"):
        write_crm(report_of(), target)
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_all_hostile_names_were_there() -> None:
    fc, _ = forecast_of("hostile")
    assert set(fc.history.customers["name"]) >= set(HOSTILE)  # type: ignore[index]
