"""What winning new customers brings: replicates of a newcomer to each group, first order included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.new_customers import newcomers_plan
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.history.purchase_history import customer_attribute
from clv_forecast.inference.model import Model
from clv_forecast.models import transaction_model
from clv_forecast.streams import STAGE_UPLIFT, first_orders, uniforms

Floats = NDArray[np.float64]


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


def newcomer_groups(forecast: Forecast, model: Model, by: str | None, replicates: int) -> dict[str, Plan]:
    """Plans of new customers by group, under the terms of the forecast.

    Margin and costs of a group are the means of its customers'.

    Raises
    ------
    DomainError
        If the model is of another kind or time unit than the forecast's, or does not tell the groups apart.
    """
    _check_model(forecast, model)
    if by is None:
        return {EVERYONE: _plan(forecast, model, {}, np.ones(forecast.plan.customers, dtype=bool), replicates)}
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
        str(label): _plan(forecast, model, {by: label}, (labels == label).to_numpy(dtype=bool), replicates)
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
    forecast: Forecast, model: Model, attributes: Mapping[str, Any], members: NDArray[np.bool_], replicates: int
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
