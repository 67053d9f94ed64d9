"""The sections of the page on new customers, and on what goes with losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.finance.cohorts import Cohorts
from clv_forecast.report.page_charts import Bar, bands
from clv_forecast.report.page_text import (
    Block,
    Figure,
    Section,
    Table,
    Words,
    day,
    decimal,
    decimal_or_words,
    money,
    or_else,
    percent,
    plain,
    short_money,
    table_of,
    whole,
)
from clv_forecast.report.report import Report

_MOST_DRAWN: Final = 14
_OF_ONE: Final = (
    "value_at_equal_age", "equal_age_lower", "equal_age_upper", "cac", "ltv_to_cac", "p_repays_cac", "share_repaying",
    "allowable_cac", "payback_months",
)  # fmt: skip


def cohorts_section(report: Report) -> Section:
    """Flow and quality of incoming customers."""
    title = "New customers"
    cohorts = report.cohorts
    if cohorts is None:
        missing = (
            "New customers were not looked at. The channel and the day of acquisition of each account would tell where "
            "they come from, and a table of acquisition costs what they cost."
        )
        return Section(name="cohorts", title=title, missing=missing)
    table = cohorts.table.assign(cohort=_named(cohorts.table))
    blocks: list[Block] = []
    each, ends = "value_at_equal_age", ("equal_age_lower", "equal_age_upper")
    drawn = table[table[each].notna()].tail(_MOST_DRAWN)
    if len(drawn):
        several = "channel" in table and table["channel"].nunique() > 1
        bars = [
            Bar(
                label=f"{r['cohort']}, {r['channel']}" if several else str(r["cohort"]),
                mean=float(r[each]),
                lower=float(r[ends[0]]),
                upper=float(r[ends[1]]),
            )
            for r in drawn.to_dict("records")
        ]
        caption = f"Value of one new customer in its first {cohorts.horizon}, by cohort, the last {len(bars)}"
        told = "; ".join(f"{bar.label} {short_money(bar.mean)}" for bar in bars)
        blocks.append(Figure(svg=bands(bars, label=f"{caption}: {told}"), caption=caption))
    heads: list[tuple[str, str, Any]] = [
        ("cohort", "cohort", plain),
        ("channel", "channel", plain),
        ("new_customers", "new", whole),
        ("reactivated", "back again", whole),
        ("value_at_equal_age", f"value each, first {cohorts.horizon}", money),
        ("equal_age_lower", "band from", money),
        ("equal_age_upper", "to", money),
        ("total", "total", money),
        ("acquisition_cost", "cost", or_else(money, "not known")),
        ("cac", "cost each", money),
        ("ltv_to_cac", "value / cost", decimal),
        ("p_repays_cac", "P(repays)", percent),
        ("share_repaying", "share repaying", percent),
        ("allowable_cac", "allowable cost each", money),
        ("payback_months", "payback, months", decimal_or_words),
        ("judged_by", "judged by", plain),
    ]
    newest_first = table.iloc[::-1]
    blocks.append(_cohort_table(cohorts, newest_first, heads, caption="Cohorts of new customers, the newest first"))
    totals = _cohort_table(cohorts, cohorts.totals, heads, caption="All cohorts together, by channel and by cohort")
    blocks.append(dataclasses.replace(totals, fold="Totals by channel and by cohort"))
    same_age = cohorts.same_age
    if len(same_age):
        ages: list[tuple[str, str, Any]] = [
            ("cohort", "cohort", plain),
            ("channel", "channel", plain),
            ("age_months", "age, months", whole),
            ("customers", "customers", whole),
            ("contribution_per_customer", "contribution each", money),
            ("revenue_per_customer", "revenue each", money),
            ("shrunk", "shrunk to its group", money),
            ("lower", "band from", money),
            ("upper", "to", money),
            ("earlier", "earlier cohorts", or_else(money, "none earlier")),
            ("p_better", "P(better)", or_else(percent, "none earlier")),
        ]
        blocks.append(
            table_of(
                same_age,
                ages,
                caption="Against earlier cohorts at the same age",
                most=60,
                fold="Against earlier cohorts at the same age",
            )
        )
    blocks.append(Words(points=tuple(cohorts.notes), fold="How to read the cohorts"))
    new, back = int(table["new_customers"].sum()), int(table["reactivated"].sum())
    lead = f"{new:,} new customers since {day(cohorts.opening)}, {back:,} came back after {cohorts.pause} or more."
    first = cohorts.totals.iloc[0]
    currency = f" {cohorts.currency}" if cohorts.currency else ""
    lead += (
        f" At {percent(cohorts.target_roi)} return and {percent(cohorts.confidence)} confidence they might have cost "
        f"up to {money(first['allowable_cac'])}{currency}"
    )
    lead += f" each, counting what they brought so far and over {cohorts.horizon}"
    lead += f"; one cost {money(first['cac'])}{currency}." if pd.notna(first["cac"]) else "."
    lead += " What the next one may cost: allowable spend, to win customers."
    missing = ""
    if pd.isna(first["cac"]):
        missing = "What they cost is not known: a table of acquisition costs would tell."
    return Section(name="cohorts", title=title, lead=lead, blocks=tuple(blocks), missing=missing)


def drivers_section(report: Report) -> Section:
    """What goes with money being at risk and lost."""
    title = "What goes with losses"
    drivers = report.drivers
    if drivers is None:
        missing = (
            "What goes with losses was not looked at. It takes attributes of the accounts (region, segment, channel) "
            "and events (complaints, returns, late deliveries)."
        )
        return Section(name="drivers", title=title, missing=missing)
    clear = drivers[drivers["verdict"].astype(str).str.startswith("goes with")]
    lead = (
        f"{len(clear):,} of {len(drivers):,} kinds of account or event go clearly with more or less loss than accounts "
        "of equal size and age show. What goes together need not be cause and effect."
    )
    shown = drivers[drivers["difference"].notna()].head(_MOST_DRAWN)
    blocks: list[Block] = []
    if len(shown):
        bars = [
            Bar(
                label=f"{r['driver']}: {r['level']}",
                mean=100.0 * float(r["difference"]),
                lower=100.0 * float(r["lower"]),
                upper=100.0 * float(r["upper"]),
            )
            for r in shown.to_dict("records")
        ]
        caption = "Share of expected revenue lost beyond that of like accounts, in points, with bands"
        told = "; ".join(f"{bar.label} {bar.mean:+z.0f}" for bar in bars)
        blocks.append(Figure(svg=bands(bars, label=f"{caption}: {told}"), caption=caption))
    blocks.append(
        table_of(
            drivers,
            [
                ("driver", "driver", plain),
                ("level", "level", plain),
                ("accounts", "accounts", whole),
                ("value_at_risk", "value at risk", money),
                ("value_lost", "lost", money),
                ("lost_share", "share lost", percent),
                ("others_lost_share", "others", percent),
                ("extra_loss", "lost beyond others", or_else(money, "too few")),
                ("q_value", "q", or_else(_hundredths, "too few")),
                ("verdict", "verdict", plain),
            ],
            caption="Money at risk and lost, by kind of account and after recorded events, the largest loss first",
            most=40,
        )
    )
    return Section(name="drivers", title=title, lead=lead, blocks=tuple(blocks))


def _named(table: pd.DataFrame) -> list[str]:
    """Cohorts by name; of those whose period the log does not show in full, it says so."""
    whole_ones = table["complete"].astype(bool)
    return [f"{c}" if full else f"{c} (in part)" for c, full in zip(table["cohort"], whole_ones, strict=True)]


def _cohort_table(
    cohorts: Cohorts, table: pd.DataFrame, heads: Sequence[tuple[str, str, Any]], *, caption: str
) -> Table:
    """A table of cohorts that says why a figure of one customer is missing: nobody came, or the cost is not known."""
    paid = cohorts.paid_back_in_words(table)
    known = [head for head in heads if head[0] in paid and paid[head[0]].notna().any()]
    why = np.where(table["acquisition_cost"] == 0.0, "no cost", "cost not known")
    why = np.where(table["new_customers"] == 0, "nobody new", why)
    shown = {
        name: [reason if pd.isna(value) else write(value) for value, reason in zip(paid[name], why, strict=True)]
        for name, _, write in known
        if name in _OF_ONE
    }
    written = [(name, head, str if name in _OF_ONE else write) for name, head, write in known]
    return table_of(table.assign(**shown), written, caption=caption, most=40)


def _hundredths(number: Any) -> str:
    return f"{float(number):z.2f}"
