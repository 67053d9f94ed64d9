"""The first lines of the page: what may be spent, who loses money, who needs a person, and whether to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pandas as pd

from clv_forecast.finance.losing_accounts import AHEAD, BOTH, EXPECTED_TO_LOSE, ON_AVERAGE, TO_DATE
from clv_forecast.finance.spend import ACQUIRE, CEILING, GROW, RETAIN, WHAT_THE_BASIS_MEANS, AllowableSpend
from clv_forecast.forecasting.adjustments import BACKTESTED, FAILED
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.ranking.account_facts import ORDERS
from clv_forecast.report.page_accounts import RULE_OF_PERSONS
from clv_forecast.report.page_text import counted, money, percent, short_money
from clv_forecast.report.report import Report

_CARRIED: Final = ("carried", "stack")
_TO: Final = {RETAIN: "to keep accounts", GROW: "to grow accounts", ACQUIRE: "to win customers"}


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
        Accounts that need a person, and that are expected to lose money.
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
    losing = 0 if report.losers is None else int(report.losers["loses"].isin(EXPECTED_TO_LOSE).sum())
    parts = [_opening(report)]
    rules = [_rule_of_spend(spend) for spend in _with_effect(report)]
    found = break_even_of(report) if report.forecast.plan.has_spend and not rules else None
    if found is not None:
        rules.append(_rule_of_break_even(found, report.horizon, report.forecast.currency))
    if report.losers is not None:
        parts.append(f"{counted(losing)} {'is' if losing == 1 else 'are'} expected to lose money")
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
    """What may be spent, where what a spend changes is known; else what is expected, and when a spend pays."""
    currency = report.forecast.currency
    spends = _with_effect(report)
    if spends:
        by_terms: dict[str, list[str]] = {}
        for spend in spends:
            terms = f"At {percent(spend.target_roi)} return and {percent(spend.confidence)} confidence: "
            by_terms.setdefault(terms, []).append(_opening_of_spend(spend))
        return "; ".join(terms + ", ".join(parts) for terms, parts in by_terms.items())
    total_row = _total(report)
    whom = f"Over {report.horizon} {counted(int(total_row['customers']))} are expected to"
    if not report.forecast.plan.has_spend:
        return f"{whom} make {total_row['purchases']:,.0f} purchases"
    bring = f"{whom} bring {money(total_row['value'], currency, digits=0)}"
    found = break_even_of(report)
    if found is None:
        return bring
    spent = money(found.amount, currency, digits=0)
    return f"{bring}; {spent} spent on {counted(found.accounts)} pays if it keeps {found.in_words}"


def _with_effect(report: Report) -> list[AllowableSpend]:
    """Spends of which it is known what they change: not the upper limit of what is at stake."""
    return [spend for spend in report.spends if spend.basis != CEILING]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """What a spend must achieve to pay for itself.

    Parameters
    ----------
    amount : float
        A round sum, between 2 and 5 % of ``value``.
    accounts : int
        All that are expected to bring money.
    value : float
        What they are expected to bring over the horizon.
    """

    amount: float
    accounts: int
    value: float

    @property
    def in_words(self) -> str:
        """How many of the accounts it must keep that would leave at once without it: amount / value, rounded up."""
        return f"{math.ceil(100.0 * self.amount / self.value - 1e-9)} in 100 of them from leaving"


def break_even_of(report: Report) -> BreakEven | None:
    """When a spend on all accounts that are expected to bring money pays; None where there is no money to speak of."""
    table = report.forecast.customers
    value = table.loc[table["horizon"] == report.horizon, "value"].to_numpy(dtype=float)
    brings = value[value > 0.0]
    most = 0.05 * float(brings.sum())
    if not most >= 1.0:
        return None
    size = 10.0 ** math.floor(math.log10(most))
    amount = max(step * size for step in (1.0, 2.0, 5.0) if step * size <= most)
    return BreakEven(amount=amount, accounts=len(brings), value=float(brings.sum()))


def _opening_of_spend(spend: AllowableSpend) -> str:
    pooled = spend.table["allowable_pooled"]
    if spend.basis == ACQUIRE:
        span = money(pooled.max(), spend.currency)
        if len(pooled) > 1:
            span = f"{money(pooled.min())} to {span}, by group,"
        return f"{_TO[spend.basis]} up to {span} each"
    total = money(float(spend.totals["allowable_pooled"].sum()), spend.currency, digits=0)
    return f"{_TO[spend.basis]} up to {total} ({counted(int((pooled > 0.0).sum()))})"


def _rule_of_break_even(found: BreakEven, horizon: str, currency: str | None) -> str:
    return (
        "A spend pays if it keeps so large a share of these accounts, which would leave at once without it, as it is "
        f"of what they are expected to bring over {horizon} ({money(found.value, currency, digits=0)}). What may be "
        "spent stands here where it is known what a measure changes (an uplift); the upper limit stands under "
        "allowable spend."
    )


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
        f"{_TO[spend.basis].capitalize()}, over {spend.horizon}: {WHAT_THE_BASIS_MEANS[spend.basis]} The sum is "
        f"pooled: at that confidence it holds for the {whom} together, not for each alone."
    )


def _rule_of_losers(losers: pd.DataFrame, horizon: str) -> str:
    words = {
        AHEAD: "are",
        BOTH: "are and have lost money so far",
        ON_AVERAGE: "lose money on average but most likely not",
        TO_DATE: "have only lost money so far",
    }
    counts = losers["loses"].value_counts()
    told = ", ".join(f"{int(counts.get(kind, 0)):,} {text}" for kind, text in words.items())
    return (
        f"Accounts are expected to lose money over {horizon} where their mean is below 0 and a loss is more likely "
        f"than not: {told}."
    )


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
    for spend in _with_effect(report):
        one = spend.table.iloc[0]
        sums = one if spend.basis == ACQUIRE else spend.totals.select_dtypes("number").sum()
        whom = f"each new customer of {one['group']}; " if spend.basis == ACQUIRE and len(spend.table) > 1 else ""
        note = (
            f"{whom}on average {short_money(sums['allowable_expected'])}, "
            f"each alone {short_money(sums['allowable_single'])}"
        )
        number = f"{short_money(sums['allowable_pooled'])} {currency}".strip()
        found.append(KeyFigure(number=number, what=_TO[spend.basis], note=note, link="spend"))
    even = break_even_of(report) if forecast.plan.has_spend and not _with_effect(report) else None
    if even is not None:
        share = even.in_words.removesuffix(" of them from leaving")
        note = f"accounts to keep, for {short_money(even.amount)} {currency}".strip()
        found.append(KeyFigure(number=share, what="break-even of a spend", note=note, link="spend"))
    if report.losers is not None:
        low = float(report.losers.loc[report.losers["loses"].isin(EXPECTED_TO_LOSE), "value"].sum())
        note = f"{money(low, digits=0)} over {report.horizon}"
        found.append(
            KeyFigure(
                number=f"{losing:,}",
                what="expected to lose money",
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
