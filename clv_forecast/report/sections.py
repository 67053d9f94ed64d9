"""The sections of the page on what is to come: changes, value, matrix, ranking.

The sections of the page on new customers, and on what goes with losses.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.finance.cohorts import Cohorts
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.ranking.account_card import ORDERS
from clv_forecast.ranking.migration import migration_summary
from clv_forecast.report.page_charts import Bar, Line, bands, bridge, columns, lines
from clv_forecast.report.page_text import (
    Block,
    Figure,
    Grid,
    Matrix,
    Section,
    Table,
    Words,
    cents,
    counted,
    day,
    decimal,
    decimal_or_words,
    money,
    or_else,
    percent,
    plain,
    short_money,
    table_of,
    tenths_of_percent,
    whole,
)
from clv_forecast.report.report import NOW, THEN, Report

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


_MOST_PERIODS: Final = 24
_SHADES: Final = 5
_POINTS: Final = 80
_NOTHING: Final = 0.5
_CENT: Final = 0.005


def changes_section(report: Report) -> Section:
    """What changed since the last run: the value step by step, and accounts from cell to cell."""
    blocks: list[Block] = []
    currency = report.forecast.currency
    changes, moves = report.changes, report.migration
    lead = ""
    if changes is not None and len(changes):
        values = dict(zip(changes["step"], changes["value"], strict=True))
        then = day(changes["previous_as_of"].iloc[0]) if "previous_as_of" in changes else "the last run"
        gain = values[NOW] - values[THEN]
        more = "more" if gain >= 0.0 else "less"
        lead = f"The expected value is {money(abs(gain), currency, digits=0)} {more} than as of {then}."
        if abs(gain) < _NOTHING:
            lead = f"The expected value is that of {then}."
        steps = [
            (str(s), float(v), s in (THEN, NOW))
            for s, v in zip(changes["step"], changes["value"], strict=True)
            if s in (THEN, NOW) or abs(v) >= _CENT
        ]
        told = "; ".join(f"{name}: {money(amount, digits=0)}" for name, amount, _ in steps)
        blocks += [
            Figure(svg=bridge(steps, label=f"From value then to value now. {told}"), caption="From value then to now"),
            table_of(
                changes,
                [("step", "step", plain), ("accounts", "accounts", whole), ("value", "value", cents)],
                caption=f"Value over {changes['horizon'].iloc[0]}, step by step" if "horizon" in changes else "Steps",
                beside=True,
            ),
        ]
    if report.since is not None and len(report.since):
        blocks.append(_since_table(report.since))
    moved = pd.DataFrame()
    if moves is not None and len(moves):
        blocks.append(Words(paragraphs=(migration_summary(moves),)))
        moved = moves[moves["from_cell"].astype(str) != moves["to_cell"].astype(str)]
    if len(moved):
        ordered = moved.sort_values("customers", ascending=False, kind="stable")
        blocks.append(
            table_of(
                ordered.astype({"from_cell": str, "to_cell": str}),
                [
                    ("from_cell", "from cell", plain),
                    ("to_cell", "to cell", plain),
                    ("customers", "accounts", whole),
                    ("value_before", "value before", money),
                    ("value", "value now", money),
                    ("change", "change", money),
                ],
                caption="Accounts that changed their cell of the matrix, the commonest moves",
                most=10,
            )
        )
    missing = []
    if changes is None:
        missing.append("There is no earlier forecast to compare with.")
    if moves is None:
        missing.append("There is no earlier ranking, so no moves between cells.")
    return Section(name="changes", title="What changed", lead=lead, blocks=tuple(blocks), missing=" ".join(missing))


def _since_table(since: pd.DataFrame) -> Block:
    """What came since earlier runs: the money that was realised, and whether the bands held it."""
    band = f"{since['prob'].iloc[0]:.0%} band".replace("%", " %")
    rows = since.assign(
        since=since["previous_as_of"].map(day),
        held=since["covered"].map({True: "yes", False: "no"}).fillna("not told"),
    )
    return table_of(
        rows,
        [
            ("since", "since", plain),
            ("group", "of", plain),
            ("quantity", "", plain),
            ("came", "came", whole),
            ("expected", "expected", whole),
            ("lower", f"{band} from", whole),
            ("upper", "to", whole),
            ("held", "inside", plain),
            ("coverage", "customers inside theirs", tenths_of_percent),
        ],
        caption="What came since earlier runs, against what they expected",
    )


def value_section(report: Report) -> Section:
    """Value with bands: totals by horizon and group, and the cash flow."""
    forecast = report.forecast
    totals = forecast.totals.astype({"horizon": str})
    what = "value" if forecast.plan.has_spend else "purchases"
    everyone = totals[totals["group"] == EVERYONE]
    prob = percent(forecast.prob)
    lead = " ".join(
        f"Over {row['horizon']}: {money(row[what], forecast.currency if what == 'value' else None, digits=0)} "
        f"({prob} band {money(row[f'{what}_lower'], digits=0)} to {money(row[f'{what}_upper'], digits=0)})."
        for _, row in everyone.iterrows()
    )
    groups = totals[(totals["group"] != EVERYONE) & (totals["horizon"] == report.horizon)]
    blocks: list[Block] = [
        _totals_figure(everyone, what, "horizon", caption=f"{what.capitalize()} by horizon, {prob} bands")
    ]
    if len(groups):
        caption = f"{what.capitalize()} by group over {report.horizon}, {prob} bands"
        blocks.append(
            _totals_figure(groups.sort_values(what, ascending=False).head(20), what, "group", caption=caption)
        )
    if report.cash_flow is not None:
        blocks.append(_cash_flow(report.cash_flow, prob))
    blocks.append(
        table_of(
            totals,
            [
                ("group", "group", plain),
                ("horizon", "horizon", plain),
                ("customers", "accounts", whole),
                ("purchases", "purchases", whole),
                ("revenue", "revenue", money),
                ("value", "value", money),
                ("value_lower", f"{prob} band from", money),
                ("value_upper", "to", money),
                ("common_share", "common", percent),
                ("parameter_share", "parameters", percent),
                ("process_share", "chance", percent),
            ],
            caption="Totals. The last shares say where the doubt comes from: what moves all accounts at once, "
            "parameters that are not known, and each account's own chance",
        )
    )
    notes = tuple(dict.fromkeys(str(note) for note in totals["note"] if note))
    if notes:
        blocks.append(Words(paragraphs=tuple(f"Bands of totals: {note}." for note in notes)))
    missing = ""
    if report.cash_flow is None:
        missing = "The cash flow by period was not asked for."
    return Section(name="value", title="Value with bands", lead=lead, blocks=tuple(blocks), missing=missing)


def _totals_figure(rows: pd.DataFrame, what: str, by: str, *, caption: str) -> Figure:
    bars = [
        Bar(label=str(r[by]), mean=float(r[what]), lower=float(r[f"{what}_lower"]), upper=float(r[f"{what}_upper"]))
        for _, r in rows.iterrows()
    ]
    told = "; ".join(
        f"{b.label} {short_money(b.mean)} ({short_money(b.lower)} to {short_money(b.upper)})" for b in bars
    )
    return Figure(svg=bands(bars, label=f"{caption}: {told}"), caption=caption)


def _cash_flow(flow: pd.DataFrame, prob: str) -> Figure:
    what = "value" if flow["value"].notna().any() else "purchases"
    shown = flow.head(_MOST_PERIODS)
    bars = [
        Bar(label=f"{r.end:%Y-%m}", mean=getattr(r, what), lower=getattr(r, f"{what}_lower"),
            upper=getattr(r, f"{what}_upper"))
        for r in shown.itertuples()
    ]  # fmt: skip
    last = f", the first {_MOST_PERIODS} periods" if len(flow) > _MOST_PERIODS else ""
    caption = f"Cash flow: {what} by period (month of its end), {prob} bands{last}"
    told = "; ".join(f"{bar.label} {short_money(bar.mean)}" for bar in bars)
    return Figure(svg=columns(bars, label=f"{caption}: {told}"), caption=caption)


def matrix_section(report: Report) -> Section:
    """The matrix of value by potential, how concentrated value is, and goals by owner."""
    ranking = report.ranking
    title = "Value by potential"
    if ranking is None:
        return Section(name="matrix", title=title, missing="No ranking was asked for.")
    blocks: list[Block] = []
    missing = ""
    cells = ranking.matrix
    classed = cells[cells["value_class"].notna() & cells["potential_class"].notna()] if len(cells) else cells
    if report.potential is None and ("headroom" not in ranking.table or ranking.table["headroom"].isna().all()):
        missing = "The potential of the accounts was not estimated."
    elif len(classed):
        blocks.append(_matrix(classed, report.forecast.currency))
    blocks.append(_lorenz(ranking.lorenz))
    blocks.append(
        table_of(
            ranking.concentration,
            [
                ("measure", "measure", plain),
                ("accounts", "accounts", whole),
                ("total", "total", money),
                ("top_accounts", "the top", whole),
                ("top_share", "bring", percent),
                ("top_share_lower", "band from", or_else(percent, "known")),
                ("top_share_upper", "to", or_else(percent, "known")),
                ("half_by", "half is brought by", tenths_of_percent),
            ],
            caption="How concentrated money is: what the top 20 % of accounts bring",
        )
    )
    if len(ranking.goals) and not missing:
        blocks.append(
            table_of(
                ranking.goals,
                [
                    ("owner", "owner", plain),
                    ("accounts", "accounts", whole),
                    ("with_goal", "with a goal", whole),
                    ("current_revenue", "last 12 months", money),
                    ("forecast_revenue", "forecast revenue", money),
                    ("goal", "goal beyond it", money),
                    ("goal_lower", f"{percent(ranking.prob)} band from", money),
                    ("goal_upper", "to", money),
                    ("goal_share", "goal / forecast", tenths_of_percent),
                ],
                caption=f"Growth goals by owner over {report.horizon}: sums of what is expected from headroom",
            )
        )
    return Section(name="matrix", title=title, blocks=tuple(blocks), missing=missing)


def _matrix(cells: pd.DataFrame, currency: str | None) -> Matrix:
    by_value = list(dict.fromkeys(cells["value_class"].astype(str)))
    by_potential = list(dict.fromkeys(cells["potential_class"].astype(str)))[::-1]  # the table begins with the highest
    most = max(float(cells["value"].max()), 1e-9)
    found = {(str(r["value_class"]), str(r["potential_class"])): r for r in cells.to_dict("records")}
    rows = []
    for value in by_value:
        line: list[dict[str, Any]] = []
        for potential in by_potential:
            cell = found.get((value, potential))
            if cell is None:
                line.append({"name": "", "accounts": 0, "shade": 0})
                continue
            shade = math.ceil(_SHADES * max(float(cell["value"]), 0.0) / most)
            line.append(
                {
                    "name": str(cell["cell"]),
                    "accounts": int(cell["accounts"]),
                    "value": short_money(float(cell["value"])),
                    "potential": short_money(float(cell["potential_value"])),
                    "care": str(cell["care"]),
                    "shade": shade,
                }
            )
        rows.append((value, tuple(line)))
    unit = f", {currency}" if currency else ""
    return Matrix(
        caption=f"Accounts and money by cell{unit}; darker cells hold more value. A cell's name lists its accounts",
        heads=tuple(by_potential),
        rows=tuple(rows),
    )


def _lorenz(table: pd.DataFrame) -> Figure:
    drawn = []
    for place, (name, rows) in enumerate(table.groupby("measure", sort=False)):
        kept = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(int))]
        points = zip(kept["share_of_accounts"].astype(float), kept["share_of_value"].astype(float), strict=True)
        drawn.append(Line(label=str(name), points=tuple(points), style=f"s{place % 3}"))
    caption = "Concentration: share of the money that the largest share of accounts brings"
    svg = lines(
        drawn, label=caption, x_name="share of accounts, the largest first", y_name="share of money", shares=True
    )
    return Figure(svg=svg, caption=caption)


def ranking_section(report: Report) -> Section:
    """The ranking's table, which the page fills."""
    ranking = report.ranking
    grid = Grid(name="ranking", caption="Accounts")
    if ranking is None:
        missing = "No ranking was asked for: accounts stand by value."
        return Section(name="ranking", title="Accounts", blocks=(grid,), missing=missing)
    lead = f"{counted(len(ranking.table))} by {ORDERS[ranking.order.by]} over {ranking.horizon}."
    return Section(
        name="ranking",
        title="Ranking",
        lead=lead,
        blocks=(grid, Words(points=ranking.notes, fold="How to read the ranking")),
    )
