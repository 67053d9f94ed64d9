"""The verb ``forecast``: value of each customer with bands, and totals.

Table ``forecast``: one row per customer and horizon, filled chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.forecasting.adjustments import EXTRAPOLATED, CommonShock, Correction, Evidence
from clv_forecast.forecasting.expectation import Expectations, expected_money
from clv_forecast.forecasting.horizons import DEFAULT_HORIZONS, Horizons, either_name
from clv_forecast.forecasting.money import CostRule, MarginRule, Terms, resolve_terms
from clv_forecast.forecasting.plan import Plan, chunks_of, make_plan
from clv_forecast.forecasting.predictive import PathMoney, band, check_prob, predictive_money
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.stack import Stack
from clv_forecast.forecasting.totals import NO_SHOCK_NOTE, Grouping, GroupSums, totals_table
from clv_forecast.history.purchase_history import PurchaseHistory, customer_attribute
from clv_forecast.inference.model import Model
from clv_forecast.inference.report import FitStatus
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.streams import as_seed
from clv_forecast.units import DAYS_PER_YEAR, LIFETIME_YEARS, discount_per_unit, units_per_year

_BY_HORIZON: Final = (
    "expected_purchases",
    "purchases_lower",
    "purchases_upper",
    "revenue",
    "revenue_lower",
    "revenue_upper",
    "value",
    "value_sd",
    "value_lower",
    "value_upper",
    "mean_lower",
    "mean_upper",
    "parameter_share",
    "p_loss",
)
_BEYOND: Final = "share_beyond_tested"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerColumns:
    """Columns under way: ``by_horizon[name]`` has shape (customer, horizon), the others (customer,)."""

    p_alive: NDArray[np.float64]
    expected_spend: NDArray[np.float64]
    by_horizon: dict[str, NDArray[np.float64]]

    @classmethod
    def empty(cls, customers: int, horizons: int) -> CustomerColumns:
        """Nothing filled yet."""
        return cls(
            p_alive=np.full(customers, np.nan),
            expected_spend=np.full(customers, np.nan),
            by_horizon={name: np.full((customers, horizons), np.nan) for name in (*_BY_HORIZON, _BEYOND)},
        )

    def fill(
        self, plan: Plan, rows: NDArray[np.intp], expected: Expectations, *, drawn: PathMoney, prob: float
    ) -> None:
        """Fill the rows of some customers."""
        out = self.by_horizon
        self.p_alive[rows] = expected.p_alive.mean(axis=-1)
        out["expected_purchases"][rows] = expected.purchases.mean(axis=-1)
        out["purchases_lower"][rows], out["purchases_upper"][rows] = band(drawn.purchases, prob)
        if not plan.has_spend:
            return
        self.expected_spend[rows] = plan.expected_spend(rows).mean(axis=0)
        for name, mean, draws in (
            ("revenue", expected.revenue, drawn.revenue),
            ("value", expected.value, drawn.value),
        ):
            out[name][rows] = mean.mean(axis=-1)
            out[f"{name}_lower"][rows], out[f"{name}_upper"][rows] = band(draws, prob)
        out["mean_lower"][rows], out["mean_upper"][rows] = band(expected.value, prob)
        out["p_loss"][rows] = (drawn.value < 0.0).mean(axis=-1)
        variance = drawn.value.var(axis=-1)
        share = np.divide(
            expected.value.var(axis=-1), variance, out=np.full_like(variance, np.nan), where=variance > 0.0
        )
        heavy = plan.infinite_variance(rows)[:, None]
        out["value_sd"][rows] = np.where(heavy, np.nan, np.sqrt(variance))
        out["parameter_share"][rows] = np.where(heavy, np.nan, np.minimum(share, 1.0))

    def fill_beyond(
        self,
        plan: Plan,
        rows: NDArray[np.intp],
        expected: Expectations,
        *,
        boundaries: NDArray[np.float64],
        tested: float,
    ) -> None:
        """Fill the share of each expectation (value, or purchases without spend) that lies beyond what was tested.

        Costs can make value negative, in one stretch or both: where the stretches differ in sign, none of them is a
        share of the sum, and it is missing.
        """
        name = "value" if plan.has_spend else "purchases"
        whole = getattr(expected, name).mean(axis=-1)
        within = getattr(expected_money(plan, rows, np.array([tested])), name).mean(axis=-1)
        later = whole - within
        share = np.divide(later, whole, out=np.zeros_like(whole), where=whole != 0.0)
        share = np.where(later * within < 0.0, np.nan, share)
        self.by_horizon[_BEYOND][rows] = np.where(boundaries > tested * (1.0 + 1e-9), share, 0.0)

    def to_frame(
        self,
        ids: pd.Series[Any],
        horizons: Horizons,
        *,
        prob: float,
        as_of: pd.Timestamp,
        currency: str | None,
        evidence: Evidence | None,
    ) -> pd.DataFrame:
        """One row per customer and horizon, customers in the order of ``ids``."""
        count = len(horizons.labels)
        repeated = np.repeat(np.arange(len(ids)), count)
        frame = pd.DataFrame(
            {
                columns.CUSTOMER_ID: ids.array.take(repeated),
                "horizon": pd.Categorical(
                    np.tile(np.array(horizons.labels, dtype=object), len(ids)), horizons.labels, ordered=True
                ),
                "p_alive": self.p_alive[repeated],
                **{name: self.by_horizon[name].ravel() for name in _BY_HORIZON[:3]},
                "expected_spend": self.expected_spend[repeated],
                **{name: self.by_horizon[name].ravel() for name in _BY_HORIZON[3:]},
            }
        )
        frame["prob"] = prob
        words = [EXTRAPOLATED if evidence is None else evidence.of(years) for years in horizons.years]
        frame["evidence"] = np.tile(np.array(words, dtype=object), len(ids))
        frame[_BEYOND] = self.by_horizon[_BEYOND].ravel()
        frame["as_of"] = as_of
        frame["currency"] = currency
        return frame


@shows_progress
def forecast(
    model: Model | Stack,
    history: PurchaseHistory,
    *,
    horizons: str | Sequence[str] | None = None,
    horizon: str | Sequence[str] | None = None,
    discount_rate_annual: float = 0.10,
    margin: MarginRule = 0.30,
    cost_to_serve: CostRule = 0.0,
    cost_per_order: CostRule = 0.0,
    lifetime_years: float = LIFETIME_YEARS,
    by: str | None = None,
    draws: int = 1000,
    prob: float = 0.9,
    shock: CommonShock | None = None,
    correction: Correction | None = None,
    evidence: Evidence | None = None,
    rng: int | np.random.Generator = 1,
    chunk_customers: int | None = None,
    progress: Progress = automatic,
) -> Forecast:
    r"""Forecast what every customer will be worth, with bands.

    ``value`` is discounted contribution: each purchase at time :math:`\tau` after ``as_of`` brings
    :math:`e^{-\ln(1 + d)\,\tau}` (amount x margin - cost per order), with ``d`` the annual rate and
    :math:`\tau` in years of 365.2425 days, less the yearly cost to serve while the customer is alive. Means are
    means over parameter draws of closed-form expectations; bands are predictive: parameters, dropout, timing,
    number and size of purchases.

    Parameters
    ----------
    model : Model or Stack
        From ``fit``; or several models, from ``stack``.
    history : PurchaseHistory
        Customers to forecast; usually the history the model was fitted on.
    horizons : str or sequence of str, optional
        Such as ``"12 months"``, ``"39 weeks"`` or ``"lifetime"`` (capped at ``lifetime_years``). Default: 12 months,
        36 months and lifetime.
    horizon : str or sequence of str, optional
        The same by its other name.
    discount_rate_annual : float
        Yearly rate, 0.10 for 10 %.
    margin : float, str or mapping
        A rate; a column of the customers; ``"observed"`` for the log's own margins, shrunk; or a rate per group,
        ``{"region": {"EU": 0.3, "US": 0.25}}``.
    cost_to_serve : float or str
        Money per year while the customer is alive; or a column of the customers.
    cost_per_order : float or str
        Money per future order; or a column of the customers.
    lifetime_years : float
        Where ``"lifetime"`` is cut off; at most 100.
    by : str, optional
        A column of the customers: ``totals`` also has a row per group, from joint draws.
    draws : int
        Predictive draws, from 100 to 100,000. Each takes one parameter draw of the model; where the model has fewer,
        they are taken again and again.
    prob : float
        Probability inside the equal-tailed bands.
    shock : CommonShock, optional
        What moves all customers at once; without it the bands of totals are too narrow and say so.
    correction : Correction, optional
        A factor that backtests have taught.
    evidence : Evidence, optional
        What a backtest has tested: ``certificate.evidence``. Without it every horizon is ``"extrapolated"``.
    rng : int or Generator
        Seed. A customer's draws depend on the seed and its id alone.
    chunk_customers : int, optional
        Customers worked on at once; bounds memory and changes no number.
    progress : callable
        See ``clv_forecast.progress``.

    Returns
    -------
    Forecast

    Raises
    ------
    DomainError
        If an argument lies outside its domain, or model and history do not fit together.
    InputError
        If a customer has no margin or cost under the rule given.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, draws=200, compare=False)
    >>> fc = clv.forecast(model, history, horizons=["39 weeks"])
    >>> len(fc.customers)
    2349

    References
    ----------
    Fader, Hardie, Lee (2005), "Counting your customers the easy way", Marketing Science 24(2),
    doi:10.1287/mksc.1040.0098. Fader & Hardie (2013), "The Gamma-Gamma model of monetary value".
    """
    if not isinstance(model, Stack):
        instance_of(model, Model, "model", made_by="fit")
    instance_of(history, PurchaseHistory, "history", made_by="purchase_history")
    if shock is not None:
        instance_of(shock, CommonShock, "shock", made_by="CommonShock(level=..., noise=...)")
    if correction is not None:
        instance_of(correction, Correction, "correction", made_by="Correction(factor=..., reason=...)")
    if evidence is not None:
        instance_of(evidence, Evidence, "evidence", made_by="the evidence of a certificate")
    check_prob(prob)
    ends = Horizons.parse(either_name(horizons, horizon, DEFAULT_HORIZONS), lifetime_years=lifetime_years)
    terms = resolve_terms(history, margin=margin, cost_to_serve=cost_to_serve, cost_per_order=cost_per_order)
    plan = make_plan(
        model,
        history,
        terms=terms,
        discount=discount_per_unit(discount_rate_annual, history.unit),
        draws=draws,
        seed=as_seed(rng),
        shock=shock,
        correction=correction,
    )
    labels = None if by is None else customer_attribute(history, by).values
    tested = None if evidence is None else evidence.longest_years * units_per_year(plan.unit)
    table, totals = _tables(
        plan,
        ends,
        Grouping.of(labels, plan.customers),
        prob=prob,
        chunk_customers=chunk_customers,
        progress=progress,
        tested=tested,
    )
    ids = history.table[columns.CUSTOMER_ID]
    customers = table.to_frame(ids, ends, prob=prob, as_of=history.as_of, currency=history.currency, evidence=evidence)
    totals["prob"], totals["as_of"], totals["currency"] = prob, history.as_of, history.currency
    return Forecast(
        customers=customers,
        totals=totals,
        horizons=ends,
        prob=prob,
        assumptions={
            "discount_rate_annual": discount_rate_annual,
            "margin": margin,
            "cost_to_serve": cost_to_serve,
            "cost_per_order": cost_per_order,
            "lifetime_years": lifetime_years,
            "draws": draws,
            "discounting": "by the annual rate, continuously, at the time of each purchase",
            "days_per_year": DAYS_PER_YEAR,
            "seed": plan.seed,
            "shock": shock,
            "correction": correction,
            "evidence": evidence,
        },
        notes=(*_fit_notes(model, history), *_notes(plan, terms, ends, evidence=evidence)),
        plan=plan,
        customer_ids=history.table[columns.CUSTOMER_ID].array.copy(),
        as_of=history.as_of,
        currency=history.currency,
        history=history,
    )


def _tables(
    plan: Plan,
    ends: Horizons,
    grouping: Grouping,
    *,
    prob: float,
    chunk_customers: int | None,
    progress: Progress,
    tested: float | None,
) -> tuple[CustomerColumns, pd.DataFrame]:
    boundaries = ends.boundaries(plan.unit)
    table = CustomerColumns.empty(plan.customers, len(boundaries))
    sums = GroupSums(grouping, len(boundaries), plan.draws)
    done = 0
    progress("forecast", 0, plan.customers)
    for rows in chunks_of(plan, len(boundaries), chunk_customers):
        expected = expected_money(plan, rows, boundaries)
        drawn = predictive_money(plan, rows, boundaries)
        alone = drawn.value if plan.shock is None else predictive_money(plan.without_shock(), rows, boundaries).value
        heavy = plan.infinite_variance(rows) if plan.has_spend else np.zeros(len(rows), dtype=bool)
        table.fill(plan, rows, expected, drawn=drawn, prob=prob)
        if tested is not None:
            table.fill_beyond(plan, rows, expected, boundaries=boundaries, tested=tested)
        sums.add(
            rows,
            heavy,
            {
                "purchases": drawn.moved_purchases,
                "revenue": drawn.revenue,
                "value": drawn.value,
                "value_without_shock": alone,
                "expected_purchases": expected.purchases,
                "expected_revenue": expected.revenue,
                "expected_value": expected.value,
            },
        )
        done += len(rows)
        progress("forecast", done, plan.customers)
    return table, totals_table(sums, grouping, ends.labels, prob=prob, shocked=plan.shock is not None)


def _fit_notes(model: Model | Stack, history: PurchaseHistory) -> tuple[str, ...]:
    """What the fits' reports say that a reader of the forecast must not miss."""
    if isinstance(model, Stack):
        named = [(f"{member.purchases}: ", member) for member in model.models]
        shares = ", ".join(f"{w:.0%} {m.purchases}" for w, m in zip(model.weights, model.models, strict=True))
        return (f"A stack of models: {shares}.", *(f"{t}{n}" for t, m in named for n in _fit_notes(m, history)))
    parts = [("purchases", model.report.purchases), ("spend", model.report.spend)]
    notes = [
        f"The fit of {name} is {part.status.value}: {part.message.removeprefix(f'{part.model}: ')}"
        for name, part in parts
        if part is not None and part.status is not FitStatus.CONVERGED
    ]
    if model.as_of != history.as_of:
        notes.append(f"The model was fitted as of {model.as_of.date()}, the history ends on {history.as_of.date()}.")
    if (model.currency is None) != (history.currency is None):
        notes.append(
            f"Only one of model ({printable(model.currency or 'none')}) and history "
            f"({printable(history.currency or 'none')}) names a currency: they are taken to be the same."
        )
    return tuple(notes)


def _notes(plan: Plan, terms: Terms, ends: Horizons, *, evidence: Evidence | None) -> tuple[str, ...]:
    notes = [note for part in plan.parts for note in part.parameters.notes]
    if plan.shock is None:
        notes.append(f"Bands of totals treat customers as independent ({NO_SHOCK_NOTE}).")
    if "lifetime" in ends.labels:
        years = ends.years[ends.labels.index("lifetime")]
        notes.append(f"Lifetime is cut off after {years:g} years.")
    if evidence is None:
        notes.append("No backtest proves the bands over these horizons.")
    else:
        notes.append(evidence.sentence)
    if not plan.has_spend:
        notes.append("The model has no spend part: revenue and value are missing.")
    else:
        heavy = int(plan.infinite_variance(np.arange(plan.customers)).sum())
        if heavy:
            notes.append(
                f"For {heavy:,} customers the variance of spend is infinite in more than 1 % of draws: "
                "value_sd and parameter_share are missing there, bands are not."
            )
    if (terms.margin < 0).any():
        notes.append(f"{int((terms.margin < 0).sum()):,} customers have a negative margin.")
    if plan.correction is not None:
        notes.append(f"Corrected by a factor of {plan.correction.factor:g}: {plan.correction.reason}.")
    return tuple(notes)
