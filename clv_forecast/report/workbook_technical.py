"""The last sheet: what stands between the settings and the sheets, what pools reach, and all assumptions as stored."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.column_titles import COUNT, MONEY, RATIO, TEXT
from clv_forecast.finance.allowances import allowance
from clv_forecast.finance.spend import CONFIDENCES, AllowableSpend
from clv_forecast.report.assumptions import flat_assumptions, hash_of, plain_assumptions
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import Look, print_whole, put, put_headers, put_text
from clv_forecast.report.workbook_settings import Settings, as_published_formula, at_level, cents, valid_formula
from clv_forecast.report.workbook_spend import SpendSheet, letter_of

TECHNICAL: Final = "Technical"
_VERSIONS: Final = ("clv-forecast", "numpy", "scipy", "pandas")
_LEVELS_FROM: Final = 1
_POOL_LEVELS_FROM: Final = 2
_WIDTHS: Final = (44.0, *[16.0] * 17)


def write_technical(
    workbook: Any, sheet: Any, report: Report, settings: Settings, plans: tuple[SpendSheet, ...], look: Look
) -> None:
    """Fill the sheet, and name the cells that the formulas of other sheets read."""
    put_text(sheet, 0, 0, "Technical: for checks, nothing to read here", look, "title")
    row, last = 3, _POOL_LEVELS_FROM + len(CONFIDENCES) - 1
    if settings.live:
        row = _write_worked_out(workbook, sheet, settings, row, look)
    for plan in plans:
        row = _write_pools(workbook, sheet, plan, row + 1, look)
        last = max(last, _POOL_LEVELS_FROM + len(plan.spend.pools.columns[2:]) * len(CONFIDENCES) - 1)
    row = _write_all(sheet, report, row + 1, look)
    for place, width in enumerate(_WIDTHS[: last + 1]):
        sheet.set_column(place, place, width)
    sheet.freeze_panes(3, 1)
    print_whole(sheet, row - 1, last, width=sum(_WIDTHS[: last + 1]))


def _write_worked_out(workbook: Any, sheet: Any, settings: Settings, row: int, look: Look) -> int:
    """Write the cells between the settings and the sheets: few formulas, so that the many stay short."""
    put_text(sheet, row, 0, "Worked out from the settings", look, "section")
    put_text(sheet, row + 1, 0, "Confidence levels stored", look, "plain")
    for place, level in enumerate(CONFIDENCES, start=_LEVELS_FROM):
        sheet.write_number(row + 1, place, level / 100, look.roles["level"])
        sheet.write_number(row + 2, place, level, look.kinds[COUNT])
    put_text(sheet, row + 2, 0, "The same in per cent", look, "plain")
    workbook.define_name("confidence_levels", f"={TECHNICAL}!$B${row + 2}:$I${row + 2}")
    levels = f"$B${row + 3}:$I${row + 3}"
    place_of = CONFIDENCES.index(round(100 * (settings.confidence or 0.0))) + 1
    scale = "margin/published_margin" if settings.margin is not None else "1"
    lines: list[tuple[str, str, str, Any, str]] = [
        ("settings_valid", "Settings can be calculated with", valid_formula(settings, levels), True, "right"),
        ("as_published", "Settings are the published ones", as_published_formula(settings), True, "right"),
        (
            "confidence_place",
            "Place of the confidence among the levels",
            f"=IF(settings_valid,MATCH(ROUND(100*confidence,6),{levels},0),NA())",
            place_of,
            COUNT,
        ),
        (
            "roi_factor",
            "1 + target return",
            "=IF(settings_valid,1+target_roi,NA())",
            1.0 + (settings.target_roi or 0.0),
            RATIO,
        ),
        ("margin_scale", "Margin over the published margin", f"=IF(settings_valid,{scale},NA())", 1.0, RATIO),
    ]
    for offset, (name, label, formula, value, kind) in enumerate(lines, start=3):
        put_text(sheet, row + offset, 0, label, look, "plain")
        sheet.write_formula(row + offset, 1, formula, look.kinds.get(kind) or look.roles[kind], value)
        workbook.define_name(name, f"={TECHNICAL}!$B${row + offset + 1}")
    return row + 3 + len(lines)


def _write_pools(workbook: Any, sheet: Any, plan: SpendSheet, row: int, look: Look) -> int:
    """Write what the pools of one allowable spend reach at each level, and name the cells with the cents of each."""
    spend = plan.spend
    put_text(sheet, row, 0, f"What the pools of the sheet {plan.name} reach together", look, "section")
    heads = [("Pool", TEXT), ("The pool, in cents", COUNT)]
    heads += [(f"The pool reaches, with {level} %", MONEY) for level in CONFIDENCES]
    if "repaid" in spend.pools:
        heads += [(f"Within the payback limit, with {level} %", MONEY) for level in CONFIDENCES]
    put_headers(sheet, row + 1, heads, look)
    first = row + 2
    for index, group in enumerate(spend.totals["group"].tolist(), start=first):
        put(sheet, index, 0, group, TEXT, look)
        levels = _levels_of(spend.pools, group)
        spans = [
            f"${letter_of(start)}{index + 1}:${letter_of(start + len(CONFIDENCES) - 1)}{index + 1}"
            for start in range(_POOL_LEVELS_FROM, _POOL_LEVELS_FROM + len(levels) * len(CONFIDENCES), len(CONFIDENCES))
        ]
        formula = "=" + cents(at_level(spans[0]), at_level(spans[1]) if len(spans) > 1 else None)
        if plan.live:
            sheet.write_formula(index, 1, formula, look.kinds[COUNT], pool_of(spend, group))
        else:
            sheet.write_number(index, 1, pool_of(spend, group), look.kinds[COUNT])
        for place, value in enumerate(np.concatenate(levels).tolist(), start=_POOL_LEVELS_FROM):
            put(sheet, index, place, value, MONEY, look)
    last = first + len(spend.totals) - 1
    workbook.define_name(plan.pool, f"={TECHNICAL}!$B${first + 1}:$B${last + 1}")
    return last + 1


def pool_of(spend: AllowableSpend, group: Any) -> float:
    """Cents of a pool at the published settings."""
    place = CONFIDENCES.index(round(100 * spend.confidence))
    reached, *repaid = (values[place : place + 1] for values in _levels_of(spend.pools, group))
    return float(allowance(reached, repaid[0] if repaid else None, spend.target_roi)[0])


def _levels_of(pools: pd.DataFrame, group: Any) -> list[NDArray[np.float64]]:
    """What one pool reaches with the stored levels, and within the payback limit where there is one."""
    own = pools[(pools["group"] == group).fillna(False)].set_index("confidence").loc[list(CONFIDENCES)]
    return [own[name].to_numpy(dtype=np.float64) for name in ("reached", "repaid") if name in own]


def _write_all(sheet: Any, report: Report, row: int, look: Look) -> int:
    """Write all assumptions of the published run by the names they are stored under, their hash, and versions."""
    plain = plain_assumptions(report)
    rows = flat_assumptions(plain)
    given = {name: value for name, value in rows if name.startswith("forecast.")}
    # A spend repeats the terms of the forecast: they are hashed, but need not be read twice
    repeated = {name.split(".")[1] for name in given}
    shown = [(name, value) for name, value in rows if name in given or name.rpartition(".")[2] not in repeated]
    put_text(sheet, row, 0, "All assumptions of the published run, as stored", look, "section")
    lines = [("SHA-256 of them", hash_of(plain)), *shown]
    lines += [(f"Version of {name}", metadata.version(name)) for name in _VERSIONS]
    for offset, (name, value) in enumerate(lines, start=1):
        put_text(sheet, row + offset, 0, name, look, "plain")
        if isinstance(value, int | float) and not isinstance(value, bool):
            sheet.write_number(row + offset, 1, value, look.roles["aside"])
        else:
            text = {None: "none", True: "yes", False: "no"}.get(value, value)
            put_text(sheet, row + offset, 1, str(text), look, "aside")
    return row + 1 + len(lines)
