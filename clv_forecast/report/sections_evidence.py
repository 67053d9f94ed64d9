"""The sections of the page on why to believe it: the certificate and the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from clv_forecast.evaluation.certificate import Certificate
from clv_forecast.evaluation.score_tables import ALL
from clv_forecast.forecasting.adjustments import CommonShock, Correction, Evidence
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.printable import printable
from clv_forecast.report.headline import trust_line
from clv_forecast.report.page_charts import Line, lines
from clv_forecast.report.page_text import (
    Block,
    Figure,
    Section,
    Words,
    cents,
    or_else,
    percent,
    plain,
    short_money,
    signed_percent,
    table_of,
    tenths_of_percent,
    whole,
)
from clv_forecast.report.report import Report

_MOST_DRAWN: Final = 14


def certificate_section(report: Report) -> Section:
    """How the bands did in the backtest."""
    title = "How the bands did"
    certificate = report.certificate
    if certificate is None:
        missing = "No backtest was made: nothing says how far the bands can be trusted."
        return Section(name="certificate", title=title, missing=missing)
    scores = certificate.scores[certificate.scores["group"] == EVERYONE]
    blocks: list[Block] = [Words(points=tuple(certificate.verdict.sentences))]
    for figure in (_calibration(certificate), _tracking(certificate)):
        if figure is not None:
            blocks.append(figure)
    blocks.append(
        table_of(
            scores,
            [
                ("origin", "from", plain),
                ("horizon", "horizon", plain),
                ("quantity", "of", plain),
                ("customers", "accounts", whole),
                ("expected_total", "expected", whole),
                ("actual_total", "came", whole),
                ("bias", "missed by", signed_percent),
                ("total_lower", "90 % band from", or_else(whole, "by window")),
                ("total_upper", "to", or_else(whole, "by window")),
                ("coverage_90", "accounts in their 90 % band", tenths_of_percent),
                ("level_for_90", "band that holds 90 %", tenths_of_percent),
            ],
            caption=f"{certificate.title}: totals and bands against what came",
            most=40,
            fold="Every window: totals and bands against what came",
        )
    )
    return Section(name="certificate", title=title, lead=trust_line(report), blocks=tuple(blocks))


def _calibration(certificate: Certificate) -> Figure | None:
    table = certificate.calibration
    table = table[(table["group"] == EVERYONE) & (table["horizon"] == certificate.horizons[-1])]
    origin = ALL if (table["origin"] == ALL).any() else (None if table.empty else table["origin"].iloc[-1])
    if origin is None:
        return None
    drawn, told = [], []
    for place, (name, rows) in enumerate(table[table["origin"] == origin].groupby("quantity", sort=False)):
        points = tuple(zip(rows["nominal"].astype(float), rows["coverage"].astype(float), strict=True))
        drawn.append(Line(label=f"bands of {name}", points=points, style=f"s{place % 3}"))
        at_90 = rows.loc[(rows["nominal"] - 0.9).abs() < 1e-9, "coverage"]
        told += [f"the 90 % bands of {name} held {percent(at_90.iloc[0], digits=1)}"] if len(at_90) else []
    drawn.append(Line(label="honest bands", points=((0.0, 0.0), (1.0, 1.0)), style="ideal"))
    caption = f"Bands of single accounts over {certificate.horizons[-1]}: share of outcomes inside, by level"
    svg = lines(
        drawn, label=f"{caption}: {'; '.join(told)}", x_name="level of the band", y_name="outcomes inside", shares=True
    )
    return Figure(svg=svg, caption=caption)


def _tracking(certificate: Certificate) -> Figure | None:
    table = certificate.tracking
    if table.empty:
        return None
    quantity = "revenue" if (table["quantity"] == "revenue").any() else str(table["quantity"].iloc[0])
    rows = table[(table["quantity"] == quantity) & (table["group"] == EVERYONE)]
    rows = rows[rows["origin"] == rows["origin"].max()]
    if rows.empty:
        return None
    period = rows["period"].astype(float).tolist()
    unit, origin = str(rows["unit"].iloc[0]), str(rows["origin"].iloc[0])
    came = tuple(zip(period, rows["cumulative_actual"].astype(float), strict=True))
    due = tuple(zip(period, rows["cumulative_expected"].astype(float), strict=True))
    area = list(
        zip(period, rows["cumulative_lower"].astype(float), rows["cumulative_upper"].astype(float), strict=True)
    )
    caption = f"Total {quantity} since {origin}, accumulated: forecast with its 90 % band, and what came"
    told = f"{caption}: expected {short_money(due[-1][1])}, came {short_money(came[-1][1])}"
    drawn = [Line(label="forecast, with band", points=due, style="s0"), Line(label="came", points=came, style="actual")]
    svg = lines(drawn, label=told, x_name=f"{unit}s since {origin}", y_name=quantity, area=area)
    return Figure(svg=svg, caption=caption)


def audit_section(report: Report) -> Section:
    """What became of every row read, and what every figure rests on."""
    history, forecast = report.forecast.history, report.forecast
    audit = history.audit
    cautions = tuple(f.sentence for f in audit.findings if f.level == "caution")
    others = tuple(f.sentence for f in audit.findings if f.level != "caution")
    steps = audit.steps.assign(step=audit.steps["step"].astype(str).str.replace("_", " "))
    steps["amount"] = [None if pd.isna(amount) else float(amount) for amount in steps["amount"]]
    blocks: list[Block] = [
        table_of(
            steps,
            [
                ("step", "step", plain),
                ("rows", "rows", whole),
                ("customers", "customers", whole),
                ("amount", "money", cents),
                ("sentence", "what it means", plain),
            ],
            caption="From rows read to rows kept: they add up",
        )
    ]
    if cautions:
        blocks.append(Words(paragraphs=("Cautions:",), points=cautions))
    if others:
        blocks.append(Words(points=others, fold="Further findings"))
    terms = tuple((str(name).replace("_", " "), _assumption(value)) for name, value in forecast.assumptions.items())
    blocks.append(Words(terms=terms, fold="Assumptions of the forecast"))
    notes = (*forecast.notes, *(() if report.potential is None else report.potential.notes))
    if notes:
        blocks.append(Words(points=tuple(dict.fromkeys(notes)), fold="Notes of the forecast and the potential"))
    lead = f"{len(cautions):,} caution{'' if len(cautions) == 1 else 's'} on the data."
    return Section(name="audit", title="Audit and assumptions", lead=lead, blocks=tuple(blocks))


def _assumption(value: Any) -> str:
    """An assumption in words."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:zg}"
    if isinstance(value, CommonShock):
        return f"level {value.level:.2f}, noise {value.noise:.2f} every {value.period.removeprefix('1 ')}"
    if isinstance(value, Evidence):
        return value.sentence
    if isinstance(value, Correction):
        return f"times {value.factor:g}: {value.reason}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_assumption(one)}" for name, one in value.items())
    text = printable(value).replace("_", " ") if isinstance(value, str) else " ".join(str(value).split())
    return text if len(text) <= 400 else f"{text[:399]}…"
