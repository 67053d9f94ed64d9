"""What may be spent, as an object: the tables, and the quantiles that any other choice can be read from.

What is asked of ``allowable_spend``, checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import finite_number
from clv_forecast.column_titles import TEXT
from clv_forecast.errors import DomainError
from clv_forecast.finance.effects import Uplift, as_uplift
from clv_forecast.forecasting.result import Forecast
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.units import Horizon, month_in, units_per_year

CEILING: Final = "ceiling"
RETAIN: Final = "retain"
GROW: Final = "grow"
ACQUIRE: Final = "acquire"
BASES: Final = (CEILING, RETAIN, GROW, ACQUIRE)

CONFIDENCES: Final = (50, 60, 70, 75, 80, 85, 90, 95)
"""Levels whose quantiles are stored, in per cent."""

_AMOUNTS: Final = ("value_at_stake", "allowable_expected", "allowable_pooled", "allowable_single")
BASIS_IN_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        CEILING: "upper limit",
        RETAIN: "to keep accounts",
        GROW: "to grow accounts",
        ACQUIRE: "to win customers",
    }
)
WHAT_THE_BASIS_MEANS: Final[Mapping[str, str]] = MappingProxyType(
    {
        CEILING: "An upper limit: all that the account is expected to bring. It is no recommendation to spend.",
        RETAIN: "What keeping the account is worth: value with the spend minus value without it, on the same draws.",
        GROW: "What growing the account is worth: value with the spend minus value without it, on the same draws.",
        ACQUIRE: "What winning one new customer of the group is worth, first order included.",
    }
)


def level_column(confidence: int) -> str:
    """Name of the column that holds the value reached with that confidence.

    Examples
    --------
    >>> level_column(80)
    'reached_80'
    """
    return f"reached_{confidence}"


def payback_column(confidence: int) -> str:
    """Name of the column that holds the value reached within the payback limit with that confidence.

    Examples
    --------
    >>> payback_column(80)
    'repaid_80'
    """
    return f"repaid_{confidence}"


def payback_in_words(table: pd.DataFrame, cost: str, *, horizon: str, unknown: str) -> list[float | str]:
    """Payback months of a table's rows; words where there is none, or where it comes with the first order.

    Parameters
    ----------
    table : DataFrame
        With payback_months.
    cost : str
        The column that is missing where there is nothing to pay back.
    horizon, unknown : str
        How far was looked; what to say of such rows.

    Examples
    --------
    >>> table = pd.DataFrame({"payback_months": [7.0, 0.0, None, None], "cac": [5.0, 5.0, 5.0, None]})
    >>> payback_in_words(table, "cac", horizon="12 months", unknown="not known")
    [7.0, 'with the first order', 'not within 12 months', 'not known']
    """
    months, known = table["payback_months"], table[cost].notna()
    return [
        unknown if not there else f"not within {horizon}" if pd.isna(month) else month or "with the first order"
        for month, there in zip(months.tolist(), known.tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AllowableSpend:
    """What may be spent on each account. Made by `allowable_spend`.

    Parameters
    ----------
    table : DataFrame
        One row per account (of basis ``acquire``: per group of new customers, without ``customer_id``): see
        ``allowable_spend``.
    totals : DataFrame
        One row per group that pools its risk: group, accounts, sharing (accounts that share the pooled allowance),
        value_at_stake, allowable_expected, allowable_single, allowable_pooled, payback_months, p_payback; each sum is
        that of the rows, to the cent.
    zeros : DataFrame
        Why allowances are 0: reason, accounts. The reasons of single allowances, each account counted once.
    levels : DataFrame
        In the row order of ``table``: customer_id, group, eligible (a forecast loser is not), expected, and
        ``reached_50`` to ``reached_95``, what value at the horizon reaches with that confidence; where payback is
        limited also expected_repaid and ``repaid_50`` to ``repaid_95``; share_before and share_upto, where the account
        lies on the ladder of shares of its group's pool (both 0 without a share).
    pools : DataFrame
        group, confidence (in per cent), reached (joint value of the accounts that share), and repaid where payback is
        limited.
    basis, horizon : str
    target_roi, confidence : float
    payback_limit_months : float or None
        Limit of payback.
    assumptions : dict
        Everything the numbers depend on, plain.
    notes : tuple of str
        What a reader must know, the most important first.
    as_of : Timestamp
    currency : str or None
    """

    table: pd.DataFrame
    totals: pd.DataFrame
    zeros: pd.DataFrame
    levels: pd.DataFrame
    pools: pd.DataFrame
    basis: str
    horizon: str
    target_roi: float
    confidence: float
    payback_limit_months: float | None
    assumptions: dict[str, Any]
    notes: tuple[str, ...]
    as_of: pd.Timestamp
    currency: str | None

    def payback_in_words(self) -> list[float | str]:
        """Payback months of each row; words where nothing is spent, or too little comes back within the horizon."""
        return payback_in_words(self.table, "p_payback", horizon=self.horizon, unknown="nothing is spent")

    def __repr__(self) -> str:
        what = "groups of new customers" if self.basis == ACQUIRE else "accounts"
        return f"<AllowableSpend ({self.basis}) on {len(self.table):,} {what} over {self.horizon}>"

    def __str__(self) -> str:
        total = self.totals.sum(numeric_only=True)
        money = "" if self.currency is None else f" {printable(self.currency)}"
        lines = [
            f"Allowable spend ({self.basis}) over {self.horizon} at {self.target_roi:.0%} return and "
            f"{self.confidence:.0%} confidence",
            f"  {WHAT_THE_BASIS_MEANS[self.basis]}",
            f"  value at stake {total['value_at_stake']:z,.2f}{money}; allowable: expected "
            f"{total['allowable_expected']:z,.2f}, pooled {total['allowable_pooled']:z,.2f}, "
            f"each for itself {total['allowable_single']:z,.2f}",
            *(f"  0 for itself on {row.accounts:,}: {row.reason}" for row in self.zeros.itertuples()),
            *(f"  Note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        new = self.basis == ACQUIRE
        sums = {name: self.totals[name].sum() for name in _AMOUNTS if not new}
        groups = () if len(self.totals) == 1 and not new else ("group",)
        return notebook_html(
            f"Allowable spend ({self.basis}) over {self.horizon} at {self.target_roi:.0%} return and "
            f"{self.confidence:.0%} confidence, most at stake first",
            self.table.assign(payback_months=self.payback_in_words()).sort_values(
                "value_at_stake", ascending=False, kind="stable"
            ),
            shown=(columns.CUSTOMER_ID, *groups, "customers", *_AMOUNTS, "p_loss", "payback_months", "reason"),
            total=None if new else {columns.CUSTOMER_ID: f"All {len(self.table):,}"} | sums,
            titles={"reason": ("Why 0 for itself", TEXT)},
            lead=(WHAT_THE_BASIS_MEANS[self.basis],),
            see=[
                (".table", f"all {len(self.table):,} rows"),
                (".totals", "by pool, with payback"),
                (".zeros", "why allowances are 0"),
                (".levels", "what is reached with each confidence"),
            ],
            notes=self.notes,
        )


MOST_ROI: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendTerms:
    """What was asked for; ``length``, ``limit`` (of payback) and ``month`` are in the plan's unit."""

    horizon: str
    length: float
    basis: str
    target_roi: float
    confidence: int
    limit: float | None
    limit_months: float | None
    month: float
    by: str | None
    uplift: Uplift | None


def spend_terms(
    forecast: Forecast,
    *,
    horizon: str,
    basis: str,
    target_roi: float,
    confidence: float,
    payback: str | None,
    uplift: float | Uplift | None,
    by: str | None,
) -> SpendTerms:
    """Check what was asked for; see ``allowable_spend``.

    Raises
    ------
    DomainError
        If an argument is outside its domain.
    """
    if not forecast.plan.has_spend:
        raise DomainError("A spend is money: the forecast needs a spend part.", remedy="Fit with spend='gamma_gamma'.")
    if basis not in BASES:
        raise DomainError("Unknown basis.", value=repr(basis), remedy=f"Known: {', '.join(BASES)}.")
    wanted = checked_roi(target_roi)
    level = 100.0 * finite_number(confidence, "confidence")
    if round(level) not in CONFIDENCES or abs(level - round(level)) > 1e-9:
        listed = ", ".join(f"{c / 100:.2f}" for c in CONFIDENCES)
        raise DomainError("confidence is one of the levels whose quantiles are kept.", value=confidence, remedy=listed)
    horizon = forecast.horizons.one(horizon)
    years = forecast.horizons.only(horizon).years[0]
    per_year = units_per_year(forecast.plan.unit)
    limit = None if payback is None else Horizon.parse(payback, lifetime_years=years).years
    if limit is not None and limit > years * (1.0 + 1e-9):
        raise DomainError("payback must not be longer than the horizon.", value=f"{payback} beyond {horizon}")
    month = month_in(forecast.plan.unit)
    return SpendTerms(
        horizon=horizon,
        length=years * per_year,
        basis=basis,
        target_roi=wanted,
        confidence=round(level),
        limit=None if limit is None else limit * per_year,
        limit_months=None if limit is None else round(limit * per_year / month, 9),
        month=month,
        by=by,
        uplift=as_uplift(uplift),
    )


def checked_roi(target_roi: float) -> float:
    """Return a target return when it lies in its domain.

    Raises
    ------
    DomainError
        If it is no number above -1 and at most ``MOST_ROI``.

    Examples
    --------
    >>> checked_roi(0.2)
    0.2
    """
    if not -1.0 < finite_number(target_roi, "target_roi") <= MOST_ROI:
        raise DomainError(
            f"target_roi must be above -1 and at most {MOST_ROI:g} (0.2 is a return of 20 %).", value=target_roi
        )
    return float(target_roi)
