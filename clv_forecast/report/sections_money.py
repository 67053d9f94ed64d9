"""The sections of the page on what may be spent, and on accounts that lose money.

The sections of the page on why to believe it: the certificate and the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from clv_forecast.evaluation.certificate import Certificate
from clv_forecast.evaluation.score_tables import ALL
from clv_forecast.finance.losing_accounts import EXPECTED_TO_LOSE, ON_AVERAGE
from clv_forecast.finance.spend import (
    ACQUIRE,
    BASIS_IN_WORDS,
    CEILING,
    GROW,
    RETAIN,
    WHAT_THE_BASIS_MEANS,
    AllowableSpend,
    payback_in_words,
)
from clv_forecast.forecasting.adjustments import CommonShock, Correction, Evidence
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.printable import printable
from clv_forecast.report.headline import trust_line
from clv_forecast.report.page_charts import Line, lines
from clv_forecast.report.page_text import (
    Block,
    Figure,
    Grid,
    Section,
    Words,
    account_spend,
    cents,
    counted,
    decimal_or_words,
    money,
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


_EFFECTS: Final = {
    RETAIN: "Share of the churn that the spend prevents",
    GROW: "Share of its headroom that an account realises through the spend",
    ACQUIRE: "Share of the new customers who come because of the spend",
}
ALLOWANCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "On average": "What the account is expected to bring, less the target return. "
        "It is met on the average of many accounts and promises nothing for one: many single accounts bring less.",
        "Pooled": "The account's part of what its whole pool brings with the confidence asked "
        "for. Chances even out over many accounts, so this is far more than the sum of the single ones; it holds for "
        "the pool as a whole, if the spend is made on all of it.",
        "By itself": "What this one account brings with the confidence asked for, whatever the "
        "others do. Few accounts are that sure.",
    }
)


def spend_section(report: Report) -> Section:
    """What may be spent: totals, what each allowance means, and why so many single ones are 0."""
    title = "Allowable spend"
    if not report.spends:
        return Section(name="spend", title=title, missing="Allowable spend was not asked for.")
    blocks: list[Block] = [Words(terms=tuple(ALLOWANCES.items()))]
    for place, spend in enumerate(report.spends_in_order):
        blocks.extend(_one_spend(spend, first=place == 0))
    shown = account_spend(report)
    if shown is not None:
        blocks.append(Grid(name="spend", caption=f"By account, {BASIS_IN_WORDS[shown.basis]}"))
    return Section(name="spend", title=title, lead=_lead(report.spends_in_order[0]), blocks=tuple(blocks))


def _lead(spend: AllowableSpend) -> str:
    """What is at stake, and what the spend is taken to achieve."""
    uplift = spend.assumptions.get("uplift")
    effect = "" if uplift is None else f" {_EFFECTS[spend.basis]}: {uplift}."
    means = WHAT_THE_BASIS_MEANS[spend.basis]
    if spend.basis == CEILING:  # the sentence names it
        return f"{means}{effect}"
    return f"{BASIS_IN_WORDS[spend.basis].capitalize()}: {means[0].lower()}{means[1:]}{effect}"


def _one_spend(spend: AllowableSpend, *, first: bool) -> list[Block]:
    limit = "" if spend.payback_limit_months is None else f", repaid within {spend.payback_limit_months:g} months"
    terms = f"{percent(spend.target_roi)} return and {percent(spend.confidence)} confidence over {spend.horizon}{limit}"
    unit = f", {spend.currency}" if spend.currency else ""
    sums = spend.totals.select_dtypes("number").sum()
    amounts = ("value_at_stake", "allowable_expected", "allowable_pooled", "allowable_single")
    form: list[tuple[str, str, Any]] = [
        ("group", "pool", plain),
        ("accounts", "groups" if spend.basis == ACQUIRE else "accounts", whole),
        ("sharing", "sharing", whole),
    ]
    heads = ("value at stake", "on average", "pooled", "by themselves")
    form += [(name, head, cents) for name, head in zip(amounts, heads, strict=True)]
    form += [
        ("payback", "payback, months", decimal_or_words),
        ("p_payback", "P(payback)", or_else(percent, "nothing is spent")),
    ]
    paid = payback_in_words(spend.totals, "p_payback", horizon=spend.horizon, unknown="nothing is spent")
    totals = spend.totals.assign(payback=paid)
    kept = [name for name, _, _ in form if name in totals]
    foot = None
    if len(spend.totals) > 1:
        written = {name: write for name, _, write in form}
        foot = tuple(
            "all" if n == "group" else "by pool" if n in ("payback", "p_payback") else written[n](sums[n]) for n in kept
        )
    title = BASIS_IN_WORDS[spend.basis].capitalize()
    why = f"{title}: why allowances by themselves are 0"
    what = "groups of new customers" if spend.basis == ACQUIRE else "accounts"
    blocks: list[Block] = [] if first else [Words(paragraphs=(_lead(spend),))]
    blocks.append(table_of(totals, form, caption=f"{title}: at {terms}{unit}", foot=foot))
    zero = int(spend.zeros["accounts"].sum())
    together = ""
    if sums["allowable_pooled"] > 0.0:
        together = " What they bring together is known far better, which is what the pooled allowance uses."
    if zero and len(spend.table):
        blocks.append(
            Words(
                paragraphs=(
                    f"{zero:,} of {len(spend.table):,} {what} ({percent(zero / len(spend.table))}) may get nothing by "
                    f"themselves at {percent(spend.confidence)} confidence. That is no fault of the figures: a single "
                    f"customer's future is that uncertain.{together}",
                )
            )
        )
        blocks.append(
            table_of(
                spend.zeros,
                [("reason", "why 0 by itself", plain), ("accounts", what, whole)],
                caption=why,
                fold="" if first else why,
            )
        )
    if spend.notes:
        blocks.append(Words(points=spend.notes))
    return blocks


def losers_section(report: Report) -> Section:
    """Accounts that are expected to lose money, that do on average, or that did so far."""
    title = "Losses, expected and so far"
    losers = report.losers
    if losers is None:
        missing = "The forecast is of purchases only: there is no money in it."
        return Section(name="losers", title=title, missing=missing)
    if not len(losers):
        missing = ""
        told = "No account has cost more than it brought so far, and none is expected to."
        if all(report.forecast.assumptions[name] == 0.0 for name in ("cost_to_serve", "cost_per_order")):
            missing = (
                "With no cost to serve and no cost per order this can hardly be otherwise: costs and margins of the "
                "accounts would show who costs more than it brings."
            )
        return Section(name="losers", title=title, lead=told, missing=missing)
    ahead = losers.loc[losers["loses"].isin(EXPECTED_TO_LOSE), "value"]
    average = losers.loc[losers["loses"] == ON_AVERAGE, "value"]
    past = losers.loc[losers["value_to_date"] < 0.0, "value_to_date"]
    currency = report.forecast.currency
    lead = (
        f"{counted(len(ahead))} {'is' if len(ahead) == 1 else 'are'} expected to lose money over {report.horizon}, "
        f"{money(-ahead.sum(), currency, digits=0)} together: a loss is more likely than not. On average "
        f"{counted(len(average))} more {'loses' if len(average) == 1 else 'lose'} "
        f"{money(-average.sum(), currency, digits=0)}, though most likely none. So far {counted(len(past))} lost "
        f"{money(-past.sum(), currency, digits=0)}. Allowances are 0 where the mean is below 0. What is lost is lost: "
        "it is no ground to leave an account that is expected to bring some again."
    )
    grid = Grid(name="losers", caption="Losses, expected and so far")
    return Section(name="losers", title=title, lead=lead, blocks=(grid,))
