"""What a new customer is worth, with and without the first order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.horizons import DEFAULT_HORIZONS, Horizons, either_name
from clv_forecast.forecasting.money import cost, margin_rate
from clv_forecast.forecasting.plan import Part, Plan
from clv_forecast.forecasting.predictive import band, check_prob, predictive_money
from clv_forecast.inference.model import Model
from clv_forecast.streams import as_seed, customer_keys, first_orders
from clv_forecast.units import LIFETIME_YEARS, discount_per_unit, units_per_year

_REPLICATES: Final = 50


def new_customer_value(
    model: Model,
    *,
    horizons: str | Sequence[str] | None = None,
    horizon: str | Sequence[str] | None = None,
    discount_rate_annual: float = 0.10,
    margin: float = 0.30,
    cost_to_serve: float = 0.0,
    cost_per_order: float = 0.0,
    lifetime_years: float = LIFETIME_YEARS,
    attributes: Mapping[str, Any] | None = None,
    prob: float = 0.9,
    rng: int | np.random.Generator = 1,
) -> pd.DataFrame:
    """Value of a customer who has just placed a first order, at each horizon.

    Parameters
    ----------
    model : Model
        With a spend part.
    horizons, horizon, discount_rate_annual, margin, cost_to_serve, cost_per_order, lifetime_years, prob, rng
        As in ``forecast``; here all are numbers.
    attributes : mapping of str to value, optional
        Of a hierarchical fit: the customer's groups and covariates, such as ``{"region": "EU"}``. A group left out is
        drawn from the population of groups; covariates are needed.

    Returns
    -------
    DataFrame
        Per horizon: ``expected_purchases`` (repeat purchases), ``value`` of the repeat purchases, and
        ``value_with_first``, which adds the first order's contribution; each with the predictive band of one new
        customer (``_lower``, ``_upper``) and the band of its expectation (``_mean_lower``, ``_mean_upper``).

    Raises
    ------
    DomainError
        If the model has no spend part, an argument lies outside its domain, or attributes are not those of the fit.
    InputError
        If the value of a covariate cannot be used.

    Notes
    -----
    The first order is taken to follow the same distribution of spend as the others, at the same customer's level.
    """
    instance_of(model, Model, "model", made_by="fit")
    check_prob(prob)
    if model.draws.spend is None:
        raise DomainError("Value needs a spend part.", remedy="Fit with spend='gamma_gamma'.")
    ends = Horizons.parse(either_name(horizons, horizon, DEFAULT_HORIZONS), lifetime_years=lifetime_years)
    seed = as_seed(rng)
    plan = replace(
        newcomers_plan(
            model,
            attributes=attributes,
            replicates=_REPLICATES,
            discount=discount_per_unit(discount_rate_annual, model.unit),
            seed=seed,
        ),
        margin=np.full(_REPLICATES, margin_rate(margin)),
        cost_per_order=np.full(_REPLICATES, cost(cost_per_order, "cost_per_order")),
        cost_per_time=np.full(_REPLICATES, cost(cost_to_serve, "cost_to_serve") / units_per_year(model.unit)),
    )
    boundaries = ends.boundaries(model.unit)
    rows = np.arange(_REPLICATES)
    expected = expected_money(plan, rows[:1], boundaries)
    drawn = predictive_money(plan, rows, boundaries)
    spend, _ = plan.parts[0].spend(rows[:1])
    amount = first_orders(plan.keys, *(np.ascontiguousarray(getattr(spend, name)[:, 0]) for name in ("p", "q", "v")))
    first = amount * margin - cost_per_order
    first_expected = plan.expected_spend(rows[:1])[:, 0] * margin - cost_per_order
    table = []
    for h, label in enumerate(ends.labels):
        row: dict[str, Any] = {"horizon": label, "expected_purchases": float(expected.purchases[0, h].mean())}
        row |= _bands("value", expected.value[0, h], drawn.value[:, h], prob=prob)
        row |= _bands("value_with_first", expected.value[0, h] + first_expected, drawn.value[:, h] + first, prob=prob)
        table.append(row | {"prob": prob, "as_of": model.as_of, "currency": model.currency})
    return pd.DataFrame(table)


def _bands(name: str, expected: NDArray[np.float64], drawn: NDArray[np.float64], *, prob: float) -> dict[str, float]:
    """Mean, predictive band and band of the mean of one quantity."""
    low, high = band(drawn.ravel(), prob)
    mean_low, mean_high = band(expected, prob)
    return {
        name: float(expected.mean()),
        f"{name}_lower": float(low),
        f"{name}_upper": float(high),
        f"{name}_mean_lower": float(mean_low),
        f"{name}_mean_upper": float(mean_high),
    }


def newcomers_plan(
    model: Model, *, attributes: Mapping[str, Any] | None, replicates: int, discount: float, seed: int
) -> Plan:
    """Replicates of one new customer, who has just placed a first order; without margin or costs yet.

    Raises
    ------
    DomainError
        If attributes are not those of the fit.
    InputError
        If the value of a covariate cannot be used.
    """
    zeros = np.zeros(replicates)
    parameters = model.draws.for_new_customers(attributes or {}, replicates)
    part = Part(model=model.purchases, parameters=parameters, spend_count=zeros, spend_total=zeros)
    return Plan(
        parts=(part,),
        unit=model.unit,
        discount=discount,
        frequency=zeros,
        recency=zeros,
        T=zeros,
        margin=zeros,
        cost_per_order=zeros,
        cost_per_time=zeros,
        keys=customer_keys(seed, [f"new customer {k}" for k in range(replicates)]),
        order=np.arange(replicates),
        seed=seed,
    )
