"""The first lines of the page: what may be spent, who loses money, who needs a person, and whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from clv_forecast.finance.spend import ACQUIRE, WHAT_THE_BASIS_MEANS, AllowableSpend
from clv_forecast.forecasting.adjustments import BACKTESTED, FAILED
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.ranking.account_facts import ORDERS
from clv_forecast.report.page_accounts import RULE_OF_PERSONS
from clv_forecast.report.page_text import counted, money, percent, short_money
from clv_forecast.report.report import Report

_CARRIED: Final = ("carried", "stack")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """A number that stands on top of the page, what it is, and the section that tells more."""

    number: str
    what: str
    note: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What a reader in a hurry sees.

    Parameters
    ----------
    warnings : tuple of str
        What comes before anything else.
    line : str
        The first line.
    rules : tuple of str
        How to read it.
    figures : tuple of KeyFigure
    persons, losing : int
        Accounts that need a person, and that lose money.
    """

    warnings: tuple[str, ...]
    line: str
    rules: tuple[str, ...]
    figures: tuple[KeyFigure, ...]
    persons: int
    losing: int


def headline_of(report: Report, accounts: pd.DataFrame) -> Headline:
    """Make the first lines from a report and its ``account_table``."""
    persons = int((accounts["person"] != "").sum())
    losing = 0 if report.losers is None else len(report.losers)
    parts = [_opening(report)]
    rules = []
    if report.spends:
        rules.append(_rule_of_spend(report.spends[0]))
    if report.losers is not None:
        parts.append(f"{counted(losing)} lose{'s' if losing == 1 else ''} money")
        rules.append(_rule_of_losers(report.losers, report.horizon))
    if report.ranking is not None:
        parts.append(f"{persons:,} need{'s' if persons == 1 else ''} a person")
        rules.append(RULE_OF_PERSONS.format(top_k=int(report.ranking.table["top_k"].iloc[0])))
    return Headline(
        warnings=_warnings(report),
        line=f"{'; '.join(parts)}.",
        rules=tuple(rules),
        figures=_figures(report, persons, losing),
        persons=persons,
        losing=losing,
    )


def evidence_of(report: Report) -> str:
    """Evidence behind the report's horizon: backtested, extrapolated or failed."""
    table = report.forecast.customers
    return str(table.loc[table["horizon"] == report.horizon, "evidence"].iloc[0])


def trust_line(report: Report) -> str:
    """How far to trust the figures, at customers and at totals: what the backtest says, or that there is none."""
    certificate = report.certificate
    if certificate is None:
        return "No backtest stands behind these figures."
    tested = _tested(report)
    beyond = "" if tested == report.horizon else f" The figures over {report.horizon} are extrapolated from that."
    return f"Backtest: {certificate.summary(tested)}{beyond}"


def _opening(report: Report) -> str:
    currency = report.forecast.currency
    if report.spends:
        return _opening_of_spend(report.spends[0])
    total_row = _total(report)
    if not report.forecast.plan.has_spend:
        return (
            f"Over {report.horizon} {counted(int(total_row['customers']))} are expected to make "
            f"{total_row['purchases']:,.0f} purchases"
        )
    return (
        f"Over {report.horizon} {counted(int(total_row['customers']))} are expected to bring "
        f"{money(total_row['value'], currency, digits=0)}"
    )


def _opening_of_spend(spend: AllowableSpend) -> str:
    at = f"At {percent(spend.target_roi)} return and {percent(spend.confidence)} confidence, up to"
    pooled = spend.table["allowable_pooled"]
    if spend.basis == ACQUIRE:
        span = money(pooled.max(), spend.currency)
        if len(pooled) > 1:
            span = f"{money(pooled.min())} to {span}, by group,"
        return f"{at} {span} for each new customer"
    total = money(float(spend.totals["allowable_pooled"].sum()), spend.currency, digits=0)
    return f"{at} {total} on {counted(int((pooled > 0.0).sum()))}"


def _rule_of_spend(spend: AllowableSpend) -> str:
    pools = len(spend.totals)
    whom = (
        "new customers"
        if spend.basis == ACQUIRE
        else "accounts"
        if pools == 1
        else f"accounts of each of {pools} pools"
    )
    return (
        f"What may be spent, over {spend.horizon}: {WHAT_THE_BASIS_MEANS[spend.basis]} The sum is pooled: at that "
        f"confidence it holds for the {whom} together, not for each alone."
    )


def _rule_of_losers(losers: pd.DataFrame, horizon: str) -> str:
    counts = losers["loses"].value_counts()
    told = [f"{int(counts.get(name, 0)):,} {words}" for name, words in (
        ("to date", "lost money so far only"), ("forecast", f"are expected to over {horizon}"), ("both", "both"),
    )]  # fmt: skip
    return f"Of the accounts that lose money {told[0]}, {told[1]}, {told[2]}."


def _warnings(report: Report) -> tuple[str, ...]:
    found = []
    check = None if report.potential is None else report.potential.check
    if report.ranking is not None and (
        report.ranking.order.by in _CARRIED or (check is not None and check.carrying_wins)
    ):
        why = report.ranking.order.why
        found.append(
            why if "ordered by" in why else f"Accounts are ordered by {ORDERS[report.ranking.order.by]}. {why}"
        )
    evidence = evidence_of(report)
    if evidence == FAILED:
        found.append(f"The backtest failed at {report.horizon}: do not act on these figures without other grounds.")
    elif evidence != BACKTESTED:
        found.append(f"{_not_tested(report)}: the figures are extrapolated.")
    return tuple(found)


def _tested(report: Report) -> str | None:
    """The horizon tested that is nearest to the report's: its own, or else the longest; None without a backtest."""
    if report.certificate is None:
        return None
    known = report.certificate.horizons
    return report.horizon if report.horizon in known else known[-1]


def _not_tested(report: Report) -> str:
    """Why no backtest stands behind the horizon."""
    if report.certificate is None:
        return f"No backtest stands behind {report.horizon}"
    if report.horizon in report.certificate.horizons:
        return f"The backtest over {report.horizon} proves nothing yet (see how the bands did)"
    return (
        f"No backtest stands behind {report.horizon} (the longest horizon tested is {report.certificate.horizons[-1]})"
    )


def _figures(report: Report, persons: int, losing: int) -> tuple[KeyFigure, ...]:
    forecast, row = report.forecast, _total(report)
    currency = forecast.currency or ""
    found = []
    if forecast.plan.has_spend:
        band = f"{percent(forecast.prob)} band {short_money(row['value_lower'])} to {short_money(row['value_upper'])}"
        note = f"{band}{f'; {row["note"]}' if row['note'] else ''}"
        number = f"{short_money(row['value'])} {currency}".strip()
        found.append(KeyFigure(number=number, what=f"value over {report.horizon}", note=note, link="value"))
    if report.spends:
        spend = report.spends[0]
        one = spend.table.iloc[0]
        sums = one if spend.basis == ACQUIRE else spend.totals.select_dtypes("number").sum()
        whom = f"each new customer of {one['group']}; " if spend.basis == ACQUIRE and len(spend.table) > 1 else ""
        note = (
            f"{whom}on average {short_money(sums['allowable_expected'])}, "
            f"each alone {short_money(sums['allowable_single'])}"
        )
        number = f"{short_money(sums['allowable_pooled'])} {currency}".strip()
        found.append(KeyFigure(number=number, what=f"allowable spend ({spend.basis})", note=note, link="spend"))
    if report.losers is not None:
        low = float(report.losers.loc[report.losers["value"] < 0.0, "value"].sum())
        note = f"{money(low, digits=0)} expected over {report.horizon}" if losing else "so far or expected"
        found.append(
            KeyFigure(
                number=f"{losing:,}",
                what="account loses money" if losing == 1 else "accounts lose money",
                note=note,
                link="losers",
            )
        )
    if report.ranking is not None:
        note = f"of the first {int(report.ranking.table['top_k'].iloc[0]):,}"
        found.append(KeyFigure(number=f"{persons:,}", what="need a person", note=note, link="ranking"))
    if report.certificate is not None:
        certificate = report.certificate
        number = certificate.standing(_tested(report)).capitalize()
        note = f"{counted(int((~certificate.origins['failed']).sum()), 'window')}, customers and totals"
        found.append(KeyFigure(number=number, what="in the backtest", note=note, link="certificate"))
    return tuple(found)


def _total(report: Report) -> pd.Series:
    totals = report.forecast.totals
    return totals[(totals["group"] == EVERYONE) & (totals["horizon"] == report.horizon)].iloc[0]
