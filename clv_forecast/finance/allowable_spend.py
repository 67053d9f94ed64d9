"""The verb ``allowable_spend``: how much may be spent on each account, and when it pays back, at a risk one chooses.

What winning new customers brings: replicates of a newcomer to each group, first order included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import MOST_TOP, instance_of, number_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.finance.allowances import (
    Ends,
    Levels,
    Payback,
    allowance,
    each_of,
    ladder,
    levels_of,
    levels_of_alike,
    payback_of,
    share_out,
)
from clv_forecast.finance.effects import Effect, Everything, Growth, Retention, Uplift
from clv_forecast.finance.losing_accounts import HALF_A_CENT
from clv_forecast.finance.newcomers import expected_repeats, fit_note
from clv_forecast.finance.spend import (
    ACQUIRE,
    CEILING,
    CONFIDENCES,
    RETAIN,
    AllowableSpend,
    SpendTerms,
    spend_terms,
)
from clv_forecast.finance.spend_tables import Allowed, assemble
from clv_forecast.forecasting.adjustments import FAILED
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.new_customers import newcomers_plan
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.totals import EVERYONE, Grouping
from clv_forecast.history.purchase_history import customer_attribute
from clv_forecast.inference.model import Model
from clv_forecast.models import transaction_model
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.potential import Potential
from clv_forecast.streams import STAGE_UPLIFT, first_orders, uniforms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Acquisition:
    """Value of new customers who would not have come without the spend; nothing of the others.

    Parameters
    ----------
    plan : Plan
        Replicates of one new customer.
    share : ndarray, shape (draw,)
        Of the new customers, those who come because of the spend.
    """

    plan: Plan
    share: Floats

    def expected(self, rows: NDArray[np.intp], boundaries: Floats) -> Floats:
        """Expectation of some replicates, shape (row, boundary)."""
        plan = self.plan
        value = expected_money(plan, rows, boundaries).value
        amount = plan.expected_spend(rows).T
        first = plan.factor * (amount * plan.margin[rows, None] - plan.cost_per_order[rows, None])
        return np.asarray(((value + first[:, None, :]) * self.share).mean(axis=-1))

    def drawn(self, rows: NDArray[np.intp], boundaries: Floats) -> Floats:
        """Predictive draws, shape (row, boundary, draw)."""
        plan = self.plan
        spend, _ = plan.parts[0].spend(rows[:1])
        levels = (np.ascontiguousarray(getattr(spend, name)[:, 0]) for name in ("p", "q", "v"))
        amount = first_orders(plan.keys[rows], *levels)
        first = plan.factor * (amount * plan.margin[rows, None] - plan.cost_per_order[rows, None])
        value = predictive_money(plan, rows, boundaries).value + first[:, None, :]
        comes = uniforms(plan.keys[rows], plan.first_draw, plan.draws, STAGE_UPLIFT) < self.share
        return np.where(comes[:, None, :], value, 0.0)


def newcomer_groups(forecast: Forecast, model: Model, by: str | None, *, replicates: int) -> dict[str, Plan]:
    """Plans of new customers by group, under the terms of the forecast.

    Margin and costs of a group are the means of its customers'.

    Raises
    ------
    DomainError
        If the model is of another kind or time unit than the forecast's, or does not tell the groups apart.
    """
    _check_model(forecast, model)
    if by is None:
        return {
            EVERYONE: _plan(
                forecast, model, {}, members=np.ones(forecast.plan.customers, dtype=bool), replicates=replicates
            )
        }
    hierarchy = model.draws.hierarchy
    known = () if hierarchy is None else tuple(term.name for term in hierarchy.structure.groups)
    if by not in known:
        raise DomainError(
            f"The model does not tell new customers apart by {by!r}: they would all be alike.",
            value=f"its groups: {', '.join(known) or 'none'}",
            remedy=f"Fit with method='nuts', groups={by!r}.",
        )
    labels = customer_attribute(forecast.history, by).values
    return {
        str(label): _plan(
            forecast, model, {by: label}, members=(labels == label).to_numpy(dtype=bool), replicates=replicates
        )
        for label in sorted(labels.dropna().unique(), key=str)
    }


def _check_model(forecast: Forecast, model: Model) -> None:
    plan = forecast.plan
    module = transaction_model(model.purchases)
    if model.unit != plan.unit or all(part.module is not module for part in plan.parts):
        raise DomainError(
            "The model must be the one that the forecast was made with.",
            value=f"{model.purchases} in {model.unit}s",
            remedy="Pass the one given to forecast.",
        )


def _plan(
    forecast: Forecast, model: Model, attributes: Mapping[str, Any], *, members: NDArray[np.bool_], replicates: int
) -> Plan:
    like = forecast.plan
    plan = newcomers_plan(model, attributes=attributes, replicates=replicates, discount=like.discount, seed=like.seed)
    margin, per_order, per_time = (
        np.full(replicates, field[members].mean()) for field in (like.margin, like.cost_per_order, like.cost_per_time)
    )
    return replace(
        plan,
        margin=margin,
        cost_per_order=per_order,
        cost_per_time=per_time,
        shock=like.shock,
        correction=like.correction,
    )


Floats = NDArray[np.float64]


@shows_progress
def allowable_spend(
    forecast: Forecast,
    *,
    horizon: str = "12 months",
    basis: str = CEILING,
    target_roi: float = 0.2,
    confidence: float = 0.8,
    payback: str | None = None,
    uplift: float | Uplift | None = None,
    potential: Potential | None = None,
    model: Model | None = None,
    by: str | None = None,
    new_customers: int = 1000,
    accept_failed: bool = False,
    progress: Progress = automatic,
) -> AllowableSpend:
    r"""Say how much may be spent on each account so that it earns a return with a confidence, and when it pays back.

    With :math:`V` the value at stake over the horizon, :math:`R` the target return and :math:`c` the confidence, three
    answers stand side by side, because they answer three questions:

    .. math::
        \text{expected} = \frac{E[V]}{1 + R} \qquad
        \text{single} = \frac{Q_{1-c}(V)}{1 + R} \qquad
        \text{pooled}_i = w_i \, \frac{Q_{1-c}\big(\sum_j V_j\big)}{1 + R}

    *Expected* earns the return on average. *Single* earns it on this very account with confidence :math:`c`; few
    accounts are that certain, so it is often 0. *Pooled* earns it with confidence :math:`c` on all accounts of the
    group together, shared in proportion to their expected value, to the cent. With a limit of payback each is also at
    most the same statistic of the value that has accumulated within the limit.

    Parameters
    ----------
    forecast : Forecast
        With a spend part. Give it a common ``shock``: without one, what the pool reaches looks too certain.
    horizon : str
        One of the forecast's.
    basis : {"ceiling", "retain", "grow", "acquire"}
        What is at stake. ``ceiling``: all value ahead, an upper limit and no recommendation. The others are
        incremental: value with the spend less value without it, on the same draws. ``retain``: leavings prevented
        (needs ``uplift``); ``grow``: headroom realised through the spend (needs ``potential`` and ``uplift``);
        ``acquire``: new customers, first order included (needs ``model``).
    target_roi : float
        Required return on the spend, 0.2 for 20 %; above -1.
    confidence : float
        0.50, 0.60, 0.70, 0.75, 0.80, 0.85, 0.90 or 0.95.
    payback : str, optional
        Limit such as ``"6 months"``, at most the horizon.
    uplift : float or Uplift, optional
        Share of leavings within the horizon that the spend prevents (``retain``); share of the headroom that it
        realises (``grow``); share of the new customers who come because of it (``acquire``; default all).
    potential : Potential, optional
        Of the same forecast and horizon.
    model : Model, optional
        That the forecast was made with.
    by : str, optional
        A column of the customers: each group pools its own risk. For ``acquire`` a group of the hierarchical fit.
    new_customers : int
        For ``acquire``: how many are won together, and pool their risk; at most 10,000.
    accept_failed : bool
        Whether to go on although a backtest found the bands of this horizon to fail.
    progress : callable

    Returns
    -------
    AllowableSpend
        Its ``table`` has customer_id, horizon, basis, group, value_at_stake (expected), allowable_expected,
        allowable_single, allowable_pooled (money in whole cents, rounded down), confidence, target_roi,
        payback_limit_months, payback_months (median month in which the pooled allowance has come back; missing where
        fewer than half of the draws repay), p_payback (within the horizon), p_loss (P(value at stake < 0)), reason (why
        the single allowance is 0), as_of, currency. Of basis ``acquire`` a row is a group of new customers, and its
        amounts are for each of them.

    Raises
    ------
    DomainError
        If an argument is outside its domain, or lacks what the basis needs.
    InputError
        If a backtest found the bands of this horizon to fail, and ``accept_failed`` is not set.

    Notes
    -----
    Value to date and money already spent do not enter. Accounts whose expected value is below 0 get 0 on every basis.
    Quantiles are order statistics, so the return is met in at least the stated share of the draws; with a limit of
    payback so is that, each for itself and not both together. The value within the limit is the largest that has
    accumulated by a month's end up to it. What a pool reaches counts all accounts that share it: it holds if the spend
    is made on all of them.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> found = allowable_spend(fc, confidence=0.8)
    >>> totals = found.totals.iloc[0]
    >>> bool(0 < totals["allowable_single"] < totals["allowable_pooled"] < totals["allowable_expected"])
    True
    >>> print(found.zeros["reason"].iloc[0])
    With more than 20 % probability it brings nothing within 12 months.
    """
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    terms = spend_terms(
        forecast,
        horizon=horizon,
        basis=basis,
        target_roi=target_roi,
        confidence=confidence,
        payback=payback,
        uplift=uplift,
        by=by,
    )
    horizon = terms.horizon
    _check_evidence(forecast, horizon, accept_failed)
    if terms.basis == ACQUIRE:
        return _of_new_customers(forecast, model, terms, new_customers=new_customers, progress=progress)
    effect = _effect(forecast, terms, potential)
    group, names = _groups(forecast, by)
    at_horizon = forecast.customers[forecast.customers["horizon"] == horizon].reset_index(drop=True)
    eligible = at_horizon["value"].to_numpy(dtype=np.float64) > -HALF_A_CENT
    levels = levels_of(
        effect,
        Ends.of(terms.length, terms.limit, terms.month),
        eligible=eligible,
        group=group,
        groups=len(names),
        progress=progress,
    )
    before, upto = ladder(np.where(levels.sharing, levels.expected, 0.0), group, len(names))
    cents = _cents(levels, eligible, terms, pooled=share_out(_pool_cents(levels, terms), before, upto, group=group))
    paid = payback_of(
        effect,
        cents["allowable_pooled"] / 100.0,
        horizon=terms.length,
        month=terms.month,
        group=group,
        groups=len(names),
        progress=progress,
    )
    return assemble(
        Allowed(
            forecast=forecast,
            terms=terms,
            levels=levels,
            eligible=eligible,
            cents=cents,
            paid=paid,
            share_before=before,
            share_upto=upto,
            group=group,
            names=names,
            ids=at_horizon[columns.CUSTOMER_ID],
            warnings=_about_small_shares(levels, cents["allowable_pooled"]),
        )
    )


def _check_evidence(forecast: Forecast, horizon: str, accept_failed: bool) -> None:
    words = forecast.customers.loc[forecast.customers["horizon"] == horizon, "evidence"]
    if not accept_failed and bool((words.astype("string") == FAILED).any()):
        raise InputError(
            f"A backtest found the bands over {horizon} to fail: no money may hang on them.",
            value=f"evidence {FAILED!r}",
            remedy="Choose a horizon that was tested and held, mend the model, or set accept_failed=True.",
        )


def _effect(forecast: Forecast, terms: SpendTerms, potential: Potential | None) -> Effect:
    """What the basis puts at stake.

    Raises
    ------
    DomainError
        If the basis lacks what it needs.
    """
    plan = forecast.plan
    if terms.basis == CEILING:
        if terms.uplift is not None:
            raise DomainError("The ceiling knows no uplift.", remedy="Choose basis='retain' or 'grow'.")
        return Everything(plan=plan)
    if terms.uplift is None:
        part = "leavings it prevents" if terms.basis == RETAIN else "headroom it realises"
        raise DomainError(
            f"basis={terms.basis!r} needs an uplift: what a spend is worth depends on what it changes.",
            remedy=f"Give uplift=, the share of {part}: from a trial (Uplift.from_trial) or as an assumption.",
        )
    share = terms.uplift.draws(seed=plan.seed, count=plan.draws)
    if terms.basis == RETAIN:
        return Retention(plan=plan, share=share)
    if potential is None:
        raise DomainError("basis='grow' needs the potential of the accounts.", remedy="Give potential=potential(...).")
    instance_of(potential, Potential, "potential", made_by="potential")
    if potential.plan is not plan or potential.horizon != terms.horizon:
        raise DomainError("The potential must be of this forecast and horizon.", value=potential.horizon)
    return Growth(potential=potential, share=share, horizon=terms.length)


def _groups(forecast: Forecast, by: str | None) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Which pool each customer belongs to, and their names."""
    if by is None:
        return np.zeros(forecast.plan.customers, dtype=np.intp), (EVERYONE,)
    grouping = Grouping.of(customer_attribute(forecast.history, by).values, forecast.plan.customers)
    return grouping.member, grouping.names[1:]


def _of_new_customers(
    forecast: Forecast, model: Model | None, terms: SpendTerms, *, new_customers: int, progress: Progress
) -> AllowableSpend:
    """Allowances per new customer of each group: one customer for itself, or many who pool their risk."""
    if model is None:
        raise DomainError("basis='acquire' needs the model: new customers have no forecast yet.", remedy="Give model=.")
    instance_of(model, Model, "model", made_by="fit")
    count = number_of(new_customers, "new_customers", most=MOST_TOP)
    plans = newcomer_groups(forecast, model, terms.by, replicates=count)
    found: list[tuple[Levels, Floats, Payback]] = []
    for plan in plans.values():
        share = (terms.uplift or Uplift(share=1.0)).draws(seed=plan.seed, count=plan.draws)
        effect = Acquisition(plan=plan, share=share)
        one = np.zeros(count, dtype=np.intp)
        ends = Ends.of(terms.length, terms.limit, terms.month)
        levels = levels_of_alike(effect, ends)
        pooled = each_of(_pool_cents(levels, terms), count)
        spent = np.full(count, pooled[0] / 100.0)
        paid = payback_of(
            effect, spent, horizon=terms.length, month=terms.month, group=one, groups=1, progress=progress
        )
        found.append((levels, pooled, paid))
    names = tuple(plans)
    levels = Levels.stacked([levels for levels, _, _ in found])
    pooled = np.concatenate([cents for _, cents, _ in found])
    paid = Payback(
        months=np.array([paid.pool_months[0] for _, _, paid in found]),
        p=np.array([paid.pool_p[0] for _, _, paid in found]),
        pool_months=np.array([paid.pool_months[0] for _, _, paid in found]),
        pool_p=np.array([paid.pool_p[0] for _, _, paid in found]),
    )
    eligible = np.ones(len(names), dtype=bool)
    return assemble(
        Allowed(
            forecast=forecast,
            terms=terms,
            levels=levels,
            eligible=eligible,
            cents=_cents(levels, eligible, terms, pooled=pooled),
            paid=paid,
            share_before=np.zeros(len(names)),
            share_upto=np.full(len(names), 1.0 / count),
            group=np.arange(len(names)),
            names=names,
            customers=count,
            warnings=_about_newcomers(forecast),
        )
    )


def _about_small_shares(levels: Levels, pooled: Floats) -> tuple[str, ...]:
    """Whether accounts back a pool whose share of it rounds to nothing."""
    nothing = int((levels.sharing & (pooled == 0.0)).sum())
    if not nothing or not pooled.any():
        return ()
    return (
        f"{nothing:,} accounts back the pool with a share that rounds to 0: what it reaches counts on a spend on them "
        "too.",
    )


def _about_newcomers(forecast: Forecast) -> tuple[str, ...]:
    """Whether those who came so far are like the new customers of the model."""
    new = np.flatnonzero(~forecast.history.table[columns.ALREADY_THERE].to_numpy(dtype=bool))
    if not len(new):
        return ()
    plan = forecast.plan
    return fit_note(float(plan.frequency[new].sum()), float(expected_repeats(plan, new).sum()))


def _pool_cents(levels: Levels, terms: SpendTerms) -> Floats:
    """Whole cents that each pool may spend together."""
    place = CONFIDENCES.index(terms.confidence)
    repaid = None if levels.pool_repaid is None else levels.pool_repaid[:, place]
    return allowance(levels.pool[:, place], repaid, terms.target_roi)


def _cents(levels: Levels, eligible: NDArray[np.bool_], terms: SpendTerms, *, pooled: Floats) -> dict[str, Floats]:
    """The three allowances of each row, in whole cents."""
    place = CONFIDENCES.index(terms.confidence)
    repaid = None if levels.repaid is None else levels.repaid[:, place]
    expected = allowance(levels.expected, levels.expected_repaid, terms.target_roi)
    single = allowance(levels.reached[:, place], repaid, terms.target_roi)
    return {
        "allowable_expected": np.where(eligible, expected, 0.0),
        "allowable_single": np.where(eligible, single, 0.0),
        "allowable_pooled": pooled,
    }
