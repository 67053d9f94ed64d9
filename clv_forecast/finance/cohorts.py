"""The verb ``cohorts``: how many new customers come, how good they are, and what one may cost.

What a reader of cohorts must know: by what they were judged, what the log shows of them, what was left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number, instance_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.finance.cohort_table import (
    CohortTerms,
    Worth,
    cohort_rows,
    customer_costs,
    draw_cohorts_jointly,
    earned_by,
    sum_rows,
)
from clv_forecast.finance.newcomers import (
    AUTO,
    AcquisitionCost,
    Newcomers,
    acquisition_costs,
    expected_repeats,
    fit_note,
    newcomers_of,
)
from clv_forecast.finance.same_age import MEASURES, same_age_table
from clv_forecast.finance.spend import CONFIDENCES, checked_roi, level_column, payback_in_words
from clv_forecast.forecasting.adjustments import FAILED
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import check_prob
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.totals import NO_SHOCK_NOTE
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.accounts import accounts_of
from clv_forecast.units import DAYS_PER_YEAR, Horizon, month_in

POOLED: Final = "pooled model"
GROUPED: Final = "groups of the model"
COVARIATES: Final = "covariates of the model"


def how_judged(plan: Plan, new: Newcomers) -> str:
    """Whether the model tells cohorts or channels apart, beyond what their customers have done.

    A model with groups does when each of its groups lies within one cohort, or within one channel.
    """
    cells = [part.parameters.cell[new.rows] for part in plan.parts]
    if all(part.parameters.is_shared for part in plan.parts):
        told = [any(_within(cell, label) for label in (new.cohort, new.channel)) for cell in cells]
        return GROUPED if all(told) else POOLED
    return COVARIATES


def _within(cell: NDArray[np.intp], label: NDArray[np.intp]) -> bool:
    """Whether every cell lies within one of several labels."""
    pairs = np.unique(np.stack([cell, label]), axis=1)
    return bool(len(np.unique(label)) > 1 and len(pairs[0]) == len(np.unique(cell)))


def notes_on(
    forecast: Forecast, new: Newcomers, judged_by: str, *, horizon: str, pause: str, same_age: pd.DataFrame
) -> tuple[str, ...]:
    """Sentences for a reader, the most important first."""
    notes = []
    if judged_by == POOLED:
        notes.append(
            "The model pools all customers: what is to come differs between cohorts only by what their customers have "
            "done so far. Differences in the forecast part are understated; what came is compared at the same age."
        )
    elif judged_by == COVARIATES:
        notes.append(
            "Customers differ by covariates in the model: cohorts differ in the forecast part as far as these tell."
        )
    notes.append(
        "An older cohort has had more time: its value per customer is larger for that alone. Compare cohorts at the "
        "same age."
    )
    if not new.complete.all():
        cut = [name for name, whole in zip(new.cohorts, new.complete, strict=True) if not whole]
        notes.append(
            f"The log shows only a part of {' and '.join(cut)}: counts are low there, and a cost of the whole period "
            "is divided by too few."
        )
    notes += _opening_notes(forecast, new, pause)
    if same_age.empty:
        notes.append("No cohort has been seen whole for a month yet: there is nothing to compare at the same age.")
    if forecast.plan.shock is None:
        notes.append(f"Bands treat customers as independent ({NO_SHOCK_NOTE}).")
    if (forecast.customers.loc[forecast.customers["horizon"] == horizon, "evidence"] == FAILED).any():
        notes.append("A backtest found that the bands of this horizon do not hold.")
    return tuple(notes)


def _opening_notes(forecast: Forecast, new: Newcomers, pause: str) -> list[str]:
    """Where the log was watched for less than a pause before the first newcomer, some of the new came back."""
    begin = forecast.history.table[columns.FIRST_PURCHASE].min()
    watched = (new.opening - begin).days
    if not new.already_there or watched + 1 >= Horizon.parse(pause).years * DAYS_PER_YEAR:
        return []
    return [
        f"The log was watched for {watched:,} days before the first newcomer, less than a pause of {pause}: rare "
        "buyers who had been there before look new, the more so the earlier the cohort."
    ]


def notes_on_costs(new: Newcomers, costs: AcquisitionCost) -> tuple[str, ...]:
    """Money that was spent where nobody came."""
    nobody = (new.counts() == 0) & (costs.each > 0.0)
    if not nobody.any():
        return ()
    return (
        f"{np.nansum(costs.each[nobody]):,.2f} of acquisition cost was spent where nobody came ({int(nobody.sum()):,} "
        "cohorts): it counts in the sums.",
    )


_COLUMNS: Final = (
    *("cohort", "channel", "complete", "new_customers", "reactivated", "repeat_ratio"),
    *("so_far_per_customer", "forecast_per_customer", "value_per_customer", "lower", "upper"),
    *("value_at_equal_age", "equal_age_lower", "equal_age_upper"),
    *("total", "total_lower", "total_upper"),
    *("acquisition_cost", "cac", "ltv_to_cac", "p_repays_cac", "share_repaying", "allowable_cac", "payback_months"),
)
_SHOWN: Final = (
    "cohort", "channel", "new_customers", "value_per_customer", "lower", "upper", "value_at_equal_age", "cac",
    "p_repays_cac", "allowable_cac", "payback_months",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Cohorts:
    """Number and quality of new customers by period of arrival and channel. Made by `cohorts`.

    Parameters
    ----------
    table : DataFrame
        One row per cohort and channel: see `cohorts`.
    totals : DataFrame
        The same columns for everything, each channel and each cohort; "all" is what was added up. Sums are those of
        ``table``; bands are of the sums.
    same_age : DataFrame
        Per cohort, channel and age of 1, 3, 6, 12 and 24 months, as far as the whole cohort was seen at it; the
        channel "all" takes the channels together. cohort, channel, age_months, customers; contribution_per_customer
        (or revenue_per_customer); shrunk, what is left of it when chance is taken out, with the interval lower to
        upper; pooled, the mean it is drawn to; earlier, the shrunk mean of the channel's earlier cohorts; p_better,
        the probability that the cohort is truly better than they (both missing for the first); prob, as_of, currency.
    levels : DataFrame
        In the row order of ``table``: cohort, channel, and ``reached_50`` to ``reached_95``, the value per customer
        that is reached with that confidence.
    by : str or None
        The column behind ``channel``.
    period, horizon, pause, measure, judged_by : str
    target_roi, confidence, prob : float
    already_there, children : int
        Customers left out.
    opening : Timestamp
        Customers first seen before were already there.
    notes : tuple of str
        What a reader must know, the most important first.
    as_of : Timestamp
    currency : str or None
    """

    table: pd.DataFrame
    totals: pd.DataFrame
    same_age: pd.DataFrame
    levels: pd.DataFrame
    by: str | None
    period: str
    horizon: str
    pause: str
    measure: str
    judged_by: str
    target_roi: float
    confidence: float
    prob: float
    already_there: int
    children: int
    opening: pd.Timestamp
    notes: tuple[str, ...]
    as_of: pd.Timestamp
    currency: str | None

    def paid_back_in_words(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return ``table`` or ``totals`` with words where there is no month of payback, as far as costs are known."""
        if "cac" not in table or not table["cac"].notna().any():
            return table
        words = payback_in_words(table, "cac", horizon=self.horizon, unknown="cost of one not known")
        return table.assign(payback_months=words)

    def __repr__(self) -> str:
        new = int(self.table["new_customers"].sum())
        return f"<Cohorts: {new:,} new customers in {self.table['cohort'].nunique()} {self.period}s>"

    def __str__(self) -> str:
        whole = self.totals.iloc[0]
        money = "" if self.currency is None else f" {printable(self.currency)}"
        lines = [
            f"{int(whole['new_customers']):,} new customers since {self.opening:%Y-%m-%d}; left out: "
            f"{self.already_there:,} already there, {self.children:,} children of known parents; came back: "
            f"{int(whole['reactivated']):,}",
            f"  worth {whole['value_per_customer']:z,.2f}{money} each, so far and over {self.horizon} "
            f"({self.prob:.0%} band {whole['lower']:z,.2f} to {whole['upper']:z,.2f})",
            f"  they might have cost up to {whole['allowable_cac']:z,.2f}{money} each at {self.target_roi:.0%} return "
            f"and {self.confidence:.0%} confidence; what the next may cost is allowable_spend(basis='acquire')",
        ]
        if np.isfinite(whole["cac"]):
            lines.append(f"  one cost {whole['cac']:z,.2f}{money}; repaid with {whole['p_repays_cac']:.0%}")
        return "\n".join([*lines, *(f"  Note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        whole = {str(name): value for name, value in self.paid_back_in_words(self.totals).iloc[0].items()}
        return notebook_html(
            f"New customers by {self.period}, so far and over {self.horizon}",
            self.paid_back_in_words(self.table),
            shown=_SHOWN,
            total=whole | {"cohort": "All", "channel": ""},
            see=[
                (".table", f"all {len(self.table):,} rows and {len(self.table.columns)} columns"),
                (".totals", "all, by channel and by cohort"),
                (".same_age", "cohorts when they were as old"),
                ("clv.figures.draw_cohorts(cohorts.table)", "draws them"),
            ],
            notes=self.notes,
        )


@shows_progress
def cohorts(
    forecast: Forecast,
    *,
    accounts: Any = None,
    acquisition_cost: Any = None,
    period: str = "quarter",
    by: str | None = AUTO,
    horizon: str = "12 months",
    target_roi: float = 0.2,
    confidence: float = 0.8,
    pause: str = "12 months",
    measure: str = "contribution",
    prob: float | None = None,
    accept_failed: bool = False,
    progress: Progress = automatic,
) -> Cohorts:
    """Judge incoming customers: how many, what each is worth, what one cost and may cost, and whether it gets better.

    Parameters
    ----------
    forecast : Forecast
        With a spend part; its margins and costs are those that count.
    accounts : table, optional
        One row per account: ``channel``, ``parent_id``. Default: the customers' table of the history.
    acquisition_cost : table, optional
        ``cohort``, ``amount``, and ``channel`` where it is split.
    period : {"month", "quarter", "year"}
        Of the first purchase: cohorts are called "2024-03", "2024Q1" or "2024".
    by : str or None
        Column of the accounts to split cohorts by; default: ``channel`` if the accounts have it. None: no split.
    horizon : str
        One of the forecast's.
    target_roi, confidence : float
        Return asked of the cost of a customer, above -1, and how surely it is to be reached; confidence lies in (0, 1).
    pause : str
        Who buys again after at least so long without a purchase is reactivated, never new.
    measure : {"contribution", "revenue"}
        What cohorts are compared by at the same age.
    prob : float, optional
        Probability inside the bands; default: the forecast's.
    accept_failed : bool
        Whether to go on although a backtest found the bands of this horizon to fail.
    progress : callable

    Returns
    -------
    Cohorts
        Columns of ``table``: cohort; channel ("all" without a split); complete, whether the log shows the whole
        period; new_customers; reactivated, customers who came back in the period; repeat_ratio, repeat purchases of
        the newcomers so far over what the model expects of a new customer (far from 1 it does not describe them);
        so_far_per_customer, forecast_per_customer and their sum value_per_customer with its band lower to upper;
        value_at_equal_age with its band, what a customer brings from the day it came to the age of one horizon, seen
        or forecast (the mean of draws); total with its band; acquisition_cost; cac, the cost per customer;
        ltv_to_cac; p_repays_cac, the probability that the total reaches the cost; share_repaying, the expected share
        of customers who bring what one cost; allowable_cac, the largest cost at which ``1 + target_roi`` times it is
        reached with the stated confidence; payback_months since acquisition; judged_by, prob, confidence, target_roi,
        horizon, as_of, currency. Without a cost, what needs it is missing, not 0.

    Raises
    ------
    DomainError
        If an argument lies outside its domain, or the forecast has no spend part.
    InputError
        If a backtest found the bands of this horizon to fail, and ``accept_failed`` is not set; if nobody is new, the
        history was made from a summary, or the costs do not fit the cohorts.

    Notes
    -----
    **New** is who was first seen after the log's opening months and has no parent that was seen before.

    **Value** of a newcomer is its contribution since the day it came, first order included, and that of the horizon
    ahead, all discounted to that day. An older cohort has had more time, so that its value, and what one of its
    customers might have cost, is larger for that alone: cohorts compare by value_at_equal_age and in ``same_age``.
    What one customer of the next cohort may cost is a question for ``allowable_spend`` with basis "acquire".

    Bands come from the forecast's draws, in which all customers share parameters and the common shock. The past is
    known but for the cost to serve of those who may have left, which is an expectation.

    **Payback** is the month of age by whose end the cohort's contribution has repaid its cost in at least half of the
    draws, for the first time; 0 means with the first orders, missing that fewer than half repay within the horizon.

    **Same age** takes the cost to serve of the whole age for everyone, and a random-effects model: see
    `clv_forecast.finance.same_age`.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    >>> cost = pd.DataFrame({"cohort": ["1997-01", "1997-02", "1997-03"], "amount": [20000.0, 20000.0, 20000.0]})
    >>> found = cohorts(fc, period="month", acquisition_cost=cost)
    >>> found.table[["cohort", "new_customers", "payback_months"]].iloc[:3].values.tolist()
    [['1997-01', 777, 12.0], ['1997-02', 854, 9.0], ['1997-03', 718, 13.0]]
    """
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    horizon = forecast.horizons.one(horizon)
    terms = _checked(
        forecast, horizon, target_roi, confidence=confidence, prob=prob, measure=measure, accept_failed=accept_failed
    )
    plan, ahead = forecast.plan, forecast.customers[forecast.customers["horizon"] == horizon].reset_index(drop=True)
    known = accounts_of(forecast.history, accounts)
    purchases = forecast.history.purchases()
    new = newcomers_of(forecast.history, known, purchases, period=period, by=by, pause=pause)
    costs = acquisition_costs(acquisition_cost, new)
    earned = earned_by(forecast, purchases, new.rows, p_alive=ahead["p_alive"].to_numpy(dtype=np.float64))
    group = np.unique(new.channel * len(new.cohorts) + new.cohort, return_inverse=True)[1]
    length = float(forecast.horizons.only([horizon]).boundaries(plan.unit)[0])
    worth = Worth(
        so_far=earned.so_far(),
        at_horizon_age=earned.so_far(length),
        expected=ahead["value"].to_numpy(dtype=np.float64)[new.rows] * np.exp(-plan.discount * earned.T),
        group=group,
        draws=draw_cohorts_jointly(
            plan,
            earned,
            new.rows,
            group=group,
            horizon=length,
            thresholds=customer_costs(new, costs),
            progress=progress,
        ),
        repeats=plan.frequency[new.rows],
        expected_repeats=expected_repeats(plan, new.rows),
    )
    judged_by = how_judged(plan, new)
    common: dict[str, Any] = {
        "judged_by": judged_by,
        "prob": terms.prob,
        "confidence": terms.confidence,
        "target_roi": terms.target_roi,
        "horizon": horizon,
        "as_of": forecast.as_of,
        "currency": forecast.currency,
    }
    rows = cohort_rows(new, costs, worth, terms=terms)
    month = month_in(plan.unit)
    same_age = same_age_table(new, earned, measure=measure, month=month, as_of=forecast.as_of, prob=terms.prob)
    return Cohorts(
        table=rows[list(_COLUMNS)].assign(**common),
        totals=sum_rows(new, costs, worth, terms=terms)[list(_COLUMNS)].assign(**common),
        same_age=same_age.assign(prob=terms.prob, as_of=forecast.as_of, currency=forecast.currency),
        levels=rows[["cohort", "channel", *(level_column(c) for c in CONFIDENCES)]],
        by=None if not new.split else ("channel" if by == AUTO else by),
        period=period,
        horizon=horizon,
        pause=pause,
        measure=measure,
        judged_by=judged_by,
        target_roi=terms.target_roi,
        confidence=terms.confidence,
        prob=terms.prob,
        already_there=new.already_there,
        children=new.children,
        opening=new.opening,
        notes=(
            *fit_note(float(worth.repeats.sum()), float(worth.expected_repeats.sum())),
            *notes_on(forecast, new, judged_by, horizon=horizon, pause=pause, same_age=same_age),
            *costs.notes,
            *notes_on_costs(new, costs),
            *known.notes,
        ),
        as_of=forecast.as_of,
        currency=forecast.currency,
    )


def _checked(
    forecast: Forecast,
    horizon: str,
    target_roi: float,
    *,
    confidence: float,
    prob: float | None,
    measure: str,
    accept_failed: bool,
) -> CohortTerms:
    if not forecast.plan.has_spend:
        raise DomainError(
            "Quality of customers is money: the forecast needs a spend part.", remedy="Fit with spend='gamma_gamma'."
        )
    words = forecast.customers.loc[forecast.customers["horizon"] == horizon, "evidence"]
    if not accept_failed and bool((words.astype("string") == FAILED).any()):
        raise InputError(
            f"A backtest found the bands over {horizon} to fail: no money may hang on them.",
            value=f"evidence {FAILED!r}",
            remedy="Choose a horizon that was tested and held, mend the model, or set accept_failed=True.",
        )
    if not 0.0 < finite_number(confidence, "confidence") < 1.0:
        raise DomainError("confidence must lie between 0 and 1 (0.8 is 80 %).", value=confidence)
    if measure not in MEASURES:
        raise DomainError(f"measure must be one of {', '.join(MEASURES)}.", value=repr(measure))
    return CohortTerms(
        target_roi=checked_roi(target_roi),
        confidence=float(confidence),
        prob=forecast.prob if prob is None else check_prob(prob),
    )
