"""The first lines of the page: what may be spent, who loses money, who needs a person, and whether to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pandas as pd

from clv_forecast.finance.losing_accounts import AHEAD, BOTH, EXPECTED_TO_LOSE, ON_AVERAGE, TO_DATE
from clv_forecast.finance.spend import (
    ACQUIRE,
    BASIS_IN_WORDS,
    CEILING,
    GROW,
    RETAIN,
    WHAT_THE_BASIS_MEANS,
    AllowableSpend,
)
from clv_forecast.forecasting.adjustments import BACKTESTED, FAILED
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.ranking.account_card import ORDERS
from clv_forecast.report.page_text import RULE_OF_PERSONS, counted, money, percent, short_money
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
    trust : str
        How far the figures can be trusted: see ``trust_line``.
    trusted : bool
        Whether a backtest found nothing to warn of.
    line : str
        The first line.
    rules : tuple of str
        How to read it.
    figures : tuple of KeyFigure
    persons, losing : int
        Accounts that need a person, and that are expected to lose money.
    """

    warnings: tuple[str, ...]
    trust: str
    trusted: bool
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
    found = break_even_of(report)
    if found is not None:
        rules.insert(0, _rule_of_break_even(found, report.horizon, report.forecast.currency))
    if report.losers is not None:
        parts.append(f"{counted(losing)} {'is' if losing == 1 else 'are'} expected to lose money")
        rules.append(_rule_of_losers(report.losers, report.horizon))
    if report.ranking is not None:
        parts.append(f"{persons:,} need{'s' if persons == 1 else ''} a person")
        rules.append(RULE_OF_PERSONS.format(top_k=int(report.ranking.table["top_k"].iloc[0])))
    return Headline(
        warnings=_warnings(report),
        trust=trust_line(report),
        trusted=evidence_of(report) == BACKTESTED
        and report.certificate is not None
        and report.certificate.standing(report.horizon) == "trusted",
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
    if report.certificate is None:
        return f"No backtest stands behind {report.horizon}: how far the figures can be trusted is not known."
    return f"Backtest: {report.certificate.summary(report.horizon)}"


def _opening(report: Report) -> str:
    """What may be spent, where what a spend changes is known; else what is expected, and when a spend pays."""
    currency = report.forecast.currency
    total_row = _total(report)
    customers = int(total_row["customers"])
    whom = f"Over {report.horizon} {counted(customers)} {'is' if customers == 1 else 'are'} expected to"
    if not report.forecast.plan.has_spend:
        return f"{whom} make {total_row['purchases']:,.0f} purchases"
    spends = _with_effect(report)
    found = break_even_of(report)
    parts = []
    if found is not None:
        spent = money(found.amount, currency, digits=0)
        on = "all of them" if found.accounts == customers else f"the {found.accounts:,} that bring money"
        parts.append(f"{spent} spent on {on} pays if it keeps {found.in_words}")
    if found is not None or not spends:
        parts.insert(0, f"{whom} bring {money(total_row['value'], currency, digits=0)}")
    by_terms: dict[str, list[str]] = {}
    for spend in spends:
        terms = f"at {percent(spend.target_roi)} return and {percent(spend.confidence)} confidence: "
        by_terms.setdefault(terms, []).append(_opening_of_spend(spend))
    told = "; ".join([*parts, *(terms + ", ".join(sums) for terms, sums in by_terms.items())])
    return told[0].upper() + told[1:]


def _with_effect(report: Report) -> list[AllowableSpend]:
    """Spends of which it is known what they change: not the upper limit of what is at stake."""
    return [spend for spend in report.spends_in_order if spend.basis != CEILING]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """What a spend must achieve to pay for itself.

    Spent on accounts that together are expected to bring ``value``, ``amount`` (both in money, discounted contribution
    over the horizon) comes back if accounts that bring so much are kept, where without the spend they would leave at
    once: a share of ``amount / value`` of accounts of average value.

    Parameters
    ----------
    amount : float
        A round sum, between 2 and 5 % of ``value``.
    accounts : int
        All that are expected to bring money.
    value : float
        What they are expected to bring over the horizon.

    Examples
    --------
    >>> BreakEven(amount=1_000.0, accounts=400, value=40_000.0).in_words
    '3 in 100 of them from leaving'
    """

    amount: float
    accounts: int
    value: float

    @property
    def share(self) -> str:
        """How many of 100 accounts it must keep, rounded up."""
        return f"{math.ceil(100.0 * self.amount / self.value - 1e-9)} in 100"

    @property
    def in_words(self) -> str:
        """How many of the accounts it must keep that would leave at once without it."""
        return f"{self.share} of them from leaving"


def break_even_of(report: Report) -> BreakEven | None:
    """When a spend on all accounts that are expected to bring money pays.

    None where it is known what may be spent to keep or grow accounts, or there is no money to speak of.
    """
    known = any(spend.basis in (RETAIN, GROW) for spend in report.spends)
    if known or not report.forecast.plan.has_spend:
        return None
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
        return f"{BASIS_IN_WORDS[spend.basis]} up to {span} each"
    total = money(float(spend.totals["allowable_pooled"].sum()), spend.currency, digits=0)
    return f"{BASIS_IN_WORDS[spend.basis]} up to {total} ({counted(int((pooled > 0.0).sum()))})"


def _rule_of_break_even(found: BreakEven, horizon: str, currency: str | None) -> str:
    return (
        "A spend pays for itself once the accounts that it keeps bring as much as it costs. These "
        f"{found.accounts:,} are expected to bring {money(found.value, currency, digits=0)} over {horizon}, so "
        f"{money(found.amount, currency, digits=0)} is brought by {found.share} of them, of average value, that would "
        "have left at once without it; if they would have stayed a while, more must be kept. What may be spent stands "
        "here where it is known what a measure changes (an uplift); the upper limit stands under allowable spend."
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
        f"{BASIS_IN_WORDS[spend.basis].capitalize()}, over {spend.horizon}: {WHAT_THE_BASIS_MEANS[spend.basis]} The "
        f"sum is pooled: at that confidence it holds for the {whom} together, not for each alone."
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
    if evidence_of(report) == FAILED:
        found.append(f"The backtest failed at {report.horizon}: do not act on these figures without other grounds.")
    return tuple(found)


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
        found.append(KeyFigure(number=number, what=BASIS_IN_WORDS[spend.basis], note=note, link="spend"))
    even = break_even_of(report)
    if even is not None:
        note = f"accounts to keep, for {short_money(even.amount)} {currency}".strip()
        found.append(KeyFigure(number=even.share, what="break-even of a spend", note=note, link="spend"))
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
        number = certificate.standing(report.horizon).capitalize()
        note = f"{counted(int((~certificate.origins['failed']).sum()), 'window')}, customers and totals"
        found.append(KeyFigure(number=number, what="in the backtest", note=note, link="certificate"))
    return tuple(found)


def _total(report: Report) -> pd.Series:
    totals = report.forecast.totals
    return totals[(totals["group"] == EVERYONE) & (totals["horizon"] == report.horizon)].iloc[0]
