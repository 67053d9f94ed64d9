"""LibreOffice and Python agree to the cent, at every level; and nothing but our formulas is calculated."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.finance.allowances import allowance, each_of, share_out
from clv_forecast.finance.spend import ACQUIRE, CONFIDENCES, AllowableSpend, level_column, payback_column
from clv_forecast.report.crm import write_crm
from clv_forecast.report.report import Report, make_report
from clv_forecast.report.workbook import write_workbook
from tests.report.made_reports import forecast_of, hostile_report, report_of
from tests.report.recalculation import ALWAYS, NEVER, SEMICOLONS, convert, formulas_of, rows_of, with_settings

HEADS = {
    "allowable_expected": "Allowable on average",
    "allowable_pooled": "Allowable, risk pooled",
    "allowable_single": "Allowable, each for itself",
}
SHEETS = ("Ceiling", "Ceiling 2", "Acquire")
MARGIN = 0.3
QUICK = [
    {"target_roi": 0.35, "confidence": 0.5},
    {"target_roi": 0.0, "confidence": 0.95, "margin": 0.17},
    {"target_roi": 1.25, "confidence": 0.6, "margin": 0.31},
]


def cents_at(spend: AllowableSpend, settings: dict[str, float]) -> pd.DataFrame:
    """Cents that Python allows at other settings, from the stored levels; rows in the order of the table."""
    scale = settings.get("margin", MARGIN) / MARGIN
    roi, level = settings["target_roi"], round(100 * settings["confidence"])
    levels, limited = spend.levels, "expected_repaid" in spend.levels
    names = spend.totals["group"].tolist()
    pools = spend.pools[spend.pools["confidence"] == level].set_index("group").loc[names]

    def cents(table: pd.DataFrame, reached: str, repaid: str) -> Any:
        within = table[repaid].to_numpy() * scale if limited else None
        return allowance(table[reached].to_numpy() * scale, within, roi)

    group = np.array([names.index(one) for one in levels["group"]])
    before, upto = levels["share_before"].to_numpy(), levels["share_upto"].to_numpy()
    may = levels["eligible"].to_numpy()
    pool = cents(pools, "reached", "repaid")
    return pd.DataFrame(
        {
            "allowable_expected": np.where(may, cents(levels, "expected", "expected_repaid"), 0.0),
            "allowable_single": np.where(may, cents(levels, level_column(level), payback_column(level)), 0.0),
            "allowable_pooled": each_of(pool, int(spend.table["customers"].iloc[0]))
            if spend.basis == ACQUIRE
            else share_out(pool, before, upto, group=group),
        },
        index=pd.Index(levels["group"] if spend.basis == ACQUIRE else levels["customer_id"]),
    )


def cents_in(path: Path, sheet: str) -> pd.DataFrame:
    """Cents that a recalculated sheet shows; each must be a whole one."""
    rows = pd.DataFrame(rows_of(path, sheet))
    found = rows[list(HEADS.values())].to_numpy(dtype=float) * 100.0
    np.testing.assert_allclose(found, np.rint(found), atol=1e-5)
    key = "Customer" if "Customer" in rows else "Group"
    return pd.DataFrame(np.rint(found), columns=list(HEADS), index=pd.Index(rows[key]))


def agree(path: Path, spends: dict[str, AllowableSpend], settings: dict[str, float]) -> float:
    """Compare every row of every sheet, and the totals; gives the sum of all cents compared."""
    compared = 0.0
    for sheet, spend in spends.items():
        ours = cents_at(spend, settings)
        theirs = cents_in(path, sheet).loc[ours.index, list(ours.columns)]
        np.testing.assert_array_equal(theirs.to_numpy(), ours.to_numpy(), err_msg=f"{sheet} at {settings}")
        compared += float(ours.to_numpy().sum())
    first = next(iter(spends.values()))
    assert rows_of(path, "Totals", header_row=5)[len(first.totals)]["Allowable, risk pooled"] == pytest.approx(
        cents_at(first, settings)["allowable_pooled"].sum() / 100.0, abs=1e-6
    )
    return compared


def sheets_of(report: Report) -> dict[str, AllowableSpend]:
    return dict(zip(SHEETS, report.spends, strict=False))


@pytest.fixture(scope="module")
def calculated(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Path:
    """One start of LibreOffice: the published workbook, three with other settings, a spoilt one, and hostile files."""
    soffice = program("soffice")
    made, out = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("calculated")
    source = write_workbook(report_of(), made / "published.xlsx")
    paths = [source]
    for place, settings in enumerate([*QUICK, {"confidence": 0.65}]):
        paths.append(made / f"other{place}.xlsx")
        with_settings(source, paths[-1], settings)
    paths.append(write_workbook(hostile_report(), made / "hostile.xlsx"))
    paths.append(write_crm(hostile_report(), made / "crm.csv").path)
    (made / "control.csv").write_text('customer_id,name\r\n1,"=1+1"\r\n', encoding="utf-8")
    paths.append(made / "control.csv")
    convert(soffice, paths, out)
    return out


def test_published_settings(calculated: Path) -> None:
    spends = sheets_of(report_of())
    assert agree(calculated / "published.xlsx", spends, {"target_roi": 0.2, "confidence": 0.8}) > 0.0
    for sheet, spend in spends.items():
        ours = cents_at(spend, {"target_roi": 0.2, "confidence": 0.8})
        np.testing.assert_allclose(ours.to_numpy(), spend.table[list(ours.columns)].to_numpy() * 100.0, err_msg=sheet)
    assert (
        "As published" in openpyxl.load_workbook(calculated / "published.xlsx", data_only=True)["Ranking"]["A2"].value
    )


@pytest.mark.parametrize("place", range(len(QUICK)))
def test_other_settings(calculated: Path, place: int) -> None:
    """The files held the stored results of the published settings: agreement shows that they were calculated anew."""
    path = calculated / f"other{place}.xlsx"
    assert agree(path, sheets_of(report_of()), QUICK[place]) > 0.0
    published = cents_at(report_of().spends[0], {"target_roi": 0.2, "confidence": 0.8})
    assert not cents_in(path, "Ceiling").loc[published.index, published.columns].equals(published)
    for sheet in openpyxl.load_workbook(path, data_only=True):
        banner = str(sheet["A2"].value)
        assert banner.startswith("SIMULATED DATA. DIFFERS FROM THE PUBLISHED RUN: target return "), sheet.title
        assert "(published 20 %)" in banner


def test_a_level_that_is_not_stored_is_refused(calculated: Path) -> None:
    path = calculated / f"other{len(QUICK)}.xlsx"
    assert {row["Allowable, risk pooled"] for row in rows_of(path, "Ceiling")} == {"#N/A"}
    assert "NOT VALID" in openpyxl.load_workbook(path, data_only=True)["Totals"]["A2"].value


def test_hostile_files_opened(calculated: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = write_workbook(hostile_report(), tmp_path_factory.mktemp("made") / "hostile.xlsx")
    before, after = formulas_of(made), formulas_of(calculated / "hostile.xlsx")
    assert {sheet: len(found) for sheet, found in after.items()} == {
        sheet: len(found) for sheet, found in before.items()
    }
    assert sum(map(len, after.values())) > 200
    assert formulas_of(calculated / "crm.xlsx") == {"crm": []}
    assert formulas_of(calculated / "control.xlsx") == {"control": ["=1+1"]}


@pytest.mark.slow
def test_every_level(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Every stored level at two settings each, on 200 accounts; some with the verb itself, run anew."""
    made = clv.simulate_accounts(200, rng=2)
    history = clv.purchase_history(made.transactions, as_of=made.as_of, customers=made.accounts, order_id="order_id")
    model = clv.fit(history, compare=False)
    options: dict[str, Any] = {"horizons": ["12 months"], "draws": 200}
    fc = clv.forecast(model, history, margin=MARGIN, **options)
    spends = (allowable_spend(fc), allowable_spend(fc, payback="9 months", by="region"))
    source = write_workbook(make_report(fc, spends=spends), tmp_path / "source.xlsx")
    grid = [
        {"target_roi": roi, "confidence": level / 100, "margin": margin}
        for level in CONFIDENCES
        for roi, margin in ((0.1 + level / 300, 0.3), (0.07, 0.2 + level / 1000))
    ]
    paths = []
    for place, settings in enumerate(grid):
        paths.append(tmp_path / f"grid{place}.xlsx")
        with_settings(source, paths[-1], settings)
    out = tmp_path / "out"
    convert(program("soffice"), paths, out, mode=ALWAYS)
    sums = [
        agree(out / path.name, sheets_of(replace(report_of(), spends=spends)), s)
        for path, s in zip(paths, grid, strict=True)
    ]
    assert min(sums) > 0.0
    assert len(set(sums)) == len(sums)
    for settings in grid[1::6]:
        anew = clv.forecast(model, history, margin=settings["margin"], **options)
        again = allowable_spend(anew, target_roi=settings["target_roi"], confidence=settings["confidence"])
        ours = cents_at(spends[0], settings)
        np.testing.assert_allclose(again.table[list(ours.columns)].to_numpy() * 100.0, ours.to_numpy(), atol=1e-6)


@pytest.mark.slow
def test_without_recalculation_the_comparison_fails(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Negative control: LibreOffice told to believe stored results shows those of the published run."""
    source = write_workbook(report_of(), tmp_path / "source.xlsx")
    with_settings(source, tmp_path / "other.xlsx", QUICK[0])
    out = tmp_path / "out"
    convert(program("soffice"), [tmp_path / "other.xlsx"], out, mode=NEVER)
    with pytest.raises(AssertionError, match="Ceiling at"):
        agree(out / "other.xlsx", sheets_of(report_of()), QUICK[0])
    agree(out / "other.xlsx", sheets_of(report_of()), {"target_roi": 0.2, "confidence": 0.8})


@pytest.mark.slow
def test_csv_where_semicolons_separate(tmp_path: Path, program: Callable[[str], str]) -> None:
    path = write_crm(hostile_report(), tmp_path / "crm.csv").path
    control = tmp_path / "control.csv"
    control.write_text('1,"Smith; Sons;=1+1;x"\r\n', encoding="utf-8")
    out = tmp_path / "out"
    convert(program("soffice"), [path, control], out, read_as=SEMICOLONS)
    assert formulas_of(out / "crm.xlsx") == {"crm": []}
    assert formulas_of(out / "control.xlsx") == {"control": ["=1+1"]}
    with path.open(encoding="utf-8", newline="") as lines:
        assert len(list(csv.reader(lines))) == 61


@pytest.mark.slow
def test_equal_shares_fall_alike(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Many equal accounts: halves of cents are rounded alike on both sides."""
    fc, _ = forecast_of()
    spend = report_of().spends[0]
    size = len(spend.levels)
    upto = np.cumsum(np.full(size, 1.0)) / size
    levels = spend.levels.assign(
        group="all", eligible=True, share_before=np.concatenate([[0.0], upto[:-1]]), share_upto=upto
    )
    totals = spend.totals.head(1).assign(group="all", accounts=size, sharing=size)
    reports, paths = [], []
    for pool in (10.5, 9.9, 0.3, 0.29, 1.57, 123.45):
        pools = pd.DataFrame({"group": "all", "confidence": CONFIDENCES, "reached": pool})
        reports.append(replace(spend, levels=levels, totals=totals, pools=pools, table=spend.table.assign(group="all")))
        path = write_workbook(make_report(fc, spends=reports[-1]), tmp_path / f"pool{pool}.xlsx")
        paths.append(tmp_path / f"changed{pool}.xlsx")
        with_settings(path, paths[-1], {"target_roi": 0.0})
    convert(program("soffice"), paths, tmp_path / "out")
    for path, one in zip(paths, reports, strict=True):
        ours = cents_at(one, {"target_roi": 0.0, "confidence": 0.8})["allowable_pooled"]
        theirs = cents_in(tmp_path / "out" / path.name, "Ceiling")["allowable_pooled"].loc[ours.index]
        np.testing.assert_array_equal(theirs.to_numpy(), ours.to_numpy(), err_msg=path.name)
