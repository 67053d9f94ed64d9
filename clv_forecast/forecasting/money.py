"""Margin and cost to serve of each customer: resolved once, checked, and then plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number, numbers_in, with_a_point
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.cleaning import LARGEST_AMOUNT
from clv_forecast.history.purchase_history import PurchaseHistory, customer_attribute

MarginRule = float | str | Mapping[str, Mapping[Any, float]]
CostRule = float | str

OBSERVED = "observed"
MOST_COST = float(LARGEST_AMOUNT)
"""A cost is no larger than an amount may be."""
_RATES = (-10.0, 1.0)
_RATE = "a rate between -10 and 1 (0.3 is 30 %)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a unit of revenue leaves, per customer; arrays of shape (customer,).

    ``margin`` is a rate, ``cost_per_order`` and ``cost_per_year`` are money.
    """

    margin: NDArray[np.float64]
    cost_per_order: NDArray[np.float64]
    cost_per_year: NDArray[np.float64]


def resolve_terms(
    history: PurchaseHistory,
    *,
    margin: MarginRule,
    cost_to_serve: CostRule,
    cost_per_order: CostRule,
) -> Terms:
    """Margin and costs of every customer from a number, a column of the customers, or a rate per group.

    Parameters
    ----------
    history : PurchaseHistory
    margin : float, str, or mapping
        A rate such as 0.3; the name of a column of ``history.customers``; ``"observed"`` for the margin in the
        log, shrunk toward the base's by the orders seen; or ``{"region": {"EU": 0.3, "US": 0.25}}``.
    cost_to_serve, cost_per_order : float or str
        Money per year while alive, money per future order; or the name of a column.

    Raises
    ------
    DomainError
        If a rate or cost is outside its domain or a rule names nothing known.
    InputError
        If a customer has no margin or cost under the rule.
    """
    return Terms(
        margin=_margins(history, margin),
        cost_per_order=_costs(history, cost_per_order, "cost_per_order"),
        cost_per_year=_costs(history, cost_to_serve, "cost_to_serve"),
    )


def observed_margin(history: PurchaseHistory) -> NDArray[np.float64]:
    """Margin rate of each customer from the log, shrunk toward the base's rate by the orders seen.

    The weight of a customer's own rate is ``n / (n + k)``, with ``k`` the ratio of the variance of one order's
    rate to the variance between customers, estimated by moments from the customers' rates.

    Raises
    ------
    DomainError
        If the log carried no margin.
    InputError
        If the margin of an order is unknown.
    """
    table = history.table
    if columns.TOTAL_MARGIN not in table:
        raise DomainError(
            "margin='observed' needs a margin column in the log.",
            remedy="Name it in purchase_history(margin=...), or give margin as a rate.",
        )
    revenue = table[columns.TOTAL_REVENUE].to_numpy(dtype=float)
    earned = table[columns.TOTAL_MARGIN].to_numpy(dtype=float)
    orders = table[columns.SPEND_COUNT_ALL].to_numpy(dtype=float)
    unknown = ~np.isfinite(earned)
    if unknown.any():
        raise InputError(
            "margin='observed' needs the margin of every order kept.",
            value=f"{int(unknown.sum())} customers without",
            customer_ids=table.loc[unknown, columns.CUSTOMER_ID],
            remedy="Fill the margin column, or give margin as a rate.",
        )
    base = earned.sum() / revenue.sum()
    own = earned / revenue
    squared = (own - base) ** 2
    if len(own) < 3 or np.ptp(1.0 / orders) < 1e-12:
        return np.asarray(base + 0.5 * (own - base))
    inverse = 1.0 / orders
    slope, between = np.polyfit(inverse, squared, 1, w=np.sqrt(orders))
    within = max(float(slope), 0.0)
    between = max(float(between), 1e-3 * float(squared.mean()), 1e-12)
    weight = orders / (orders + within / between)
    shrunk: NDArray[np.float64] = np.asarray(base + weight * (own - base), dtype=np.float64)
    return shrunk


def _margins(history: PurchaseHistory, rule: MarginRule) -> NDArray[np.float64]:
    values: NDArray[np.float64]
    if isinstance(rule, Mapping):
        if len(rule) != 1:
            raise DomainError("A margin per group names one column.", value=list(rule))
        (column, rates), *_ = rule.items()
        groups = customer_attribute(history, column).values
        known = {group: finite_number(rate, "margin") for group, rate in rates.items()}
        values = groups.map(known).to_numpy(dtype=np.float64, na_value=np.nan)
    elif isinstance(rule, str):
        values = observed_margin(history) if rule == OBSERVED else _numbers(history, rule)
    else:
        return np.full(len(history.table), margin_rate(rule))
    _check(history, values, "margin", meaning=_RATE, limits=_RATES)
    return values


def _costs(history: PurchaseHistory, rule: CostRule, name: str) -> NDArray[np.float64]:
    if not isinstance(rule, str):
        return np.full(len(history.table), cost(rule, name))
    values = _numbers(history, rule)
    meaning = f"money, not negative, and at most {MOST_COST:g},"
    _check(history, values, name, meaning=meaning, limits=(0.0, MOST_COST))
    return values


def margin_rate(value: float) -> float:
    """Return one margin rate when it lies in its domain.

    Raises
    ------
    DomainError
        If it is no number between -10 and 1.

    Examples
    --------
    >>> margin_rate(0.3)
    0.3
    """
    rate = finite_number(value, "margin")
    if not _RATES[0] <= rate <= _RATES[1]:
        hint = f"Did you mean {rate / 100:g}?" if 1.0 < rate <= 100.0 else ""
        raise DomainError(f"margin must be {_RATE}.", value=value, remedy=hint)
    return rate


def cost(value: float, name: str) -> float:
    """Return one cost when it is not negative, and at most a million millions.

    Raises
    ------
    DomainError
        If it is negative, larger, or no finite number.

    Examples
    --------
    >>> cost(2.0, "cost_per_order")
    2.0
    """
    amount = finite_number(value, name)
    if not 0.0 <= amount <= MOST_COST:
        raise DomainError(f"{name} must be money, not negative, and at most {MOST_COST:g}.", value=value)
    return amount


def _numbers(history: PurchaseHistory, column: str) -> NDArray[np.float64]:
    if told := with_a_point(column):
        raise DomainError("A rate or cost is a number, or the name of a column.", value=repr(column), remedy=told)
    values = numbers_in(pd.Series(customer_attribute(history, column).values), column)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _check(
    history: PurchaseHistory, values: NDArray[np.float64], name: str, *, meaning: str, limits: tuple[float, float]
) -> None:
    low, high = limits
    ids = history.table[columns.CUSTOMER_ID].to_numpy()
    bad = ~np.isfinite(values) | (values < low) | (values > high)
    if bad.any():
        raise InputError(
            f"{name} must be {meaning} for every customer.",
            value=f"{int(bad.sum())} of {len(values)} customers missing or outside, the first {values[bad][0]:g}",
            customer_ids=ids[bad],
            remedy="Fill the column, name every group, or give one number.",
        )
