"""What is asked of ``allocate_budget``, checked: one number per account of cost, minimum and maximum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number, instance_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.finance.allowances import BARELY_MORE
from clv_forecast.finance.budget_solvers import Task
from clv_forecast.finance.spend import GROW, RETAIN, AllowableSpend, level_column

Floats = NDArray[np.float64]

MONEY: Final = "money"
HOURS: Final = "hours"
DIMINISHING: Final = "diminishing"
WHOLE: Final = "whole"
EXPECTED: Final = "expected"
POOLED: Final = "pooled"
SINGLE: Final = "single"
RESOURCES: Final = (MONEY, HOURS)
RETURNS: Final = (DIMINISHING, WHOLE)
CAUTIONS: Final = (EXPECTED, POOLED, SINGLE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BudgetTerms:
    """The task for the solver, and what the table and the notes need to know of it."""

    task: Task
    ids: pd.Series
    eligible: NDArray[np.bool_]
    known: NDArray[np.bool_]
    least: Floats
    most: Floats
    resource: str
    caution: str
    returns: str
    price: float | None

    @property
    def whole(self) -> bool:
        """Whether the measure is taken or not, and never in part."""
        return self.returns == WHOLE


def budget_terms(
    spend: AllowableSpend,
    total: float,
    *,
    cost: Any,
    resource: str,
    least: Any,
    most: Any,
    caution: str,
    returns: str,
    price: float | None,
) -> BudgetTerms:
    """Check what was asked for; see ``allocate_budget``.

    Raises
    ------
    DomainError
        If an argument is outside its domain.
    InputError
        If the numbers of the accounts contradict each other or the total.
    """
    instance_of(spend, AllowableSpend, "spend", "allowable_spend")
    if spend.basis not in (RETAIN, GROW):
        raise DomainError(
            "A budget goes where it changes most: it needs incremental value of accounts.",
            value=f"basis {spend.basis!r}",
            remedy="Make the spend with basis='retain' or 'grow'.",
        )
    _one_of(resource, RESOURCES, "resource")
    _one_of(caution, CAUTIONS, "caution")
    _one_of(returns, RETURNS, "returns")
    if finite_number(total, "total") < 0.0:
        raise DomainError("total must not be negative.", value=total)
    if price is not None and resource != HOURS:
        raise DomainError("price is money per hour: it belongs to resource='hours'.", value=price)
    if price is not None and finite_number(price, "price") < 0.0:
        raise DomainError("price must not be negative.", value=price)

    ids = spend.table[columns.CUSTOMER_ID].reset_index(drop=True)
    costs = _per_account(cost, ids, "cost", missing=None)
    _refuse(~(np.isfinite(costs) & (costs > 0.0)), ids, "cost must be a finite number above 0.", costs)
    low = _per_account(least, ids, "least", missing=0.0)
    high = _per_account(most, ids, "most", missing=np.inf)
    if most is None and returns == DIMINISHING:  # beyond what the measure costs its effect is a guess
        high = np.maximum(costs, low)
    _refuse(~(np.isfinite(low) & (low >= 0.0)), ids, "least must be finite and not negative.", low)
    _refuse(high < 0.0, ids, "most must not be negative.", high)
    _refuse(low > high, ids, "least must not be above most.", low)
    amount, asked, limit = float(total), low, high
    if resource == MONEY:
        amount = float(_cents_down(np.float64(total)))
        asked = _cents_up(low)
        limit = np.maximum(_cents_down(high), asked)
        if returns == WHOLE:
            costs = _cents_up(costs)
    _check_minimums(asked, limit, costs, amount, ids, whole=returns == WHOLE)

    worth, known = worth_of(spend, caution)
    eligible = spend.levels["eligible"].to_numpy(dtype=bool)
    open_ = eligible & (worth > 0.0)
    required = {MONEY: 1.0, HOURS: 0.0 if price is None else price}[resource] * (1.0 + spend.target_roi)
    task = Task(
        worth=worth,
        cost=costs,
        least=asked,
        most=np.where(open_, limit, asked),
        total=amount,
        required=required,
    )
    return BudgetTerms(
        task=task,
        ids=ids,
        eligible=eligible,
        known=known,
        least=asked,
        most=limit,
        resource=resource,
        caution=caution,
        returns=returns,
        price=price,
    )


def worth_of(spend: AllowableSpend, caution: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Incremental value of the measure on each account at that caution, and whether it is known (else taken as 0)."""
    column, levels = level_column(round(100.0 * spend.confidence)), spend.levels
    if caution == EXPECTED:
        found = spend.table["value_at_stake"].to_numpy(dtype=np.float64)
    elif caution == SINGLE:
        found = levels[column].to_numpy(dtype=np.float64)
    else:
        at_level = spend.pools["confidence"] == round(100.0 * spend.confidence)
        reached = spend.pools[at_level].set_index("group")["reached"]
        pool = levels["group"].map(reached).to_numpy(dtype=np.float64, na_value=np.nan)
        found = pool * (levels["share_upto"] - levels["share_before"]).to_numpy(dtype=np.float64)
    known = np.isfinite(found)
    return np.where(known, found, 0.0), known


def _cents_down(money: Floats | np.float64) -> Floats:
    return np.asarray(np.floor(money * 100.0 * BARELY_MORE) / 100.0)


def _cents_up(money: Floats) -> Floats:
    return np.asarray(np.ceil(money * 100.0 / BARELY_MORE) / 100.0)


def _one_of(value: Any, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise DomainError(f"Unknown {name}.", value=repr(value), remedy=f"Known: {', '.join(known)}.")


def _per_account(value: Any, ids: pd.Series, name: str, *, missing: float | None) -> Floats:
    """Numbers in the order of ``ids``, from one number or by id; ``missing`` (None: refused) where none is given.

    Raises
    ------
    DomainError
        If it is neither a number nor a Series or mapping by customer_id.
    InputError
        If an id is unknown, given twice, without a number, or with text instead of one.
    """
    if value is None and missing is not None:
        return np.full(len(ids), missing, dtype=np.float64)
    if not isinstance(value, (pd.Series, Mapping)):
        return np.full(len(ids), finite_number(value, name), dtype=np.float64)
    given = pd.Series(value) if isinstance(value, pd.Series) else pd.Series(dict(value), dtype=object)
    if given.index.has_duplicates:
        twice = given.index[given.index.duplicated()].unique()
        raise InputError(f"{name} must hold each account once.", customer_ids=twice)
    unknown = given.index[~given.index.isin(ids)]
    if len(unknown):
        raise InputError(f"{name} holds accounts that the spend does not have.", customer_ids=unknown)
    try:
        numbers = pd.to_numeric(given).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers.", value=str(error)[:80]) from None
    found: Floats = np.array(numbers.reindex(pd.Index(ids)), dtype=np.float64)
    without = np.isnan(found)
    if missing is None:
        _refuse(without, ids, f"{name} must be given for every account.", None, "most=0 leaves an account out.")
        return found
    return np.asarray(np.where(without, missing, found), dtype=np.float64)


def _check_minimums(least: Floats, most: Floats, cost: Floats, total: float, ids: pd.Series, *, whole: bool) -> None:
    forced = least > 0.0
    needed = least
    if whole:
        rule = "A whole measure must lie within the account's minimum and maximum, unless the minimum is 0."
        _refuse(forced & ((cost < least) | (cost > most)), ids, rule, cost)
        needed = np.where(forced, cost, 0.0)
    if needed.sum() > total * (1.0 + 1e-12):
        raise InputError(
            "The minimums must not exceed the total.",
            value=f"{needed.sum():,.2f} of minimums, {total:,.2f} in all",
            remedy="Raise total or lower least.",
        )


def _refuse(wrong: NDArray[np.bool_], ids: pd.Series, rule: str, values: Floats | None, remedy: str = "") -> None:
    if wrong.any():
        value = None if values is None else float(values[wrong][0])
        raise InputError(rule, value=value, customer_ids=ids[wrong], remedy=remedy)
