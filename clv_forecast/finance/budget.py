"""The verb ``allocate_budget``: where a given sum, or a number of hours, changes most.

What is asked of ``allocate_budget``, checked: one number per account of cost, minimum and maximum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number, instance_of
from clv_forecast.column_titles import RATIO
from clv_forecast.errors import DomainError, InputError
from clv_forecast.finance.allowances import BARELY_MORE
from clv_forecast.finance.budget_solvers import (
    Solution,
    Task,
    brought,
    in_cents,
    marginal,
    solve_diminishing,
    solve_whole,
)
from clv_forecast.finance.spend import GROW, RETAIN, AllowableSpend, level_column
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable

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
    instance_of(spend, AllowableSpend, "spend", made_by="allowable_spend")
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
    _refuse(~(np.isfinite(costs) & (costs > 0.0)), ids, "cost must be a finite number above 0.", values=costs)
    low = _per_account(least, ids, "least", missing=0.0)
    high = _per_account(most, ids, "most", missing=np.inf)
    if most is None and returns == DIMINISHING:  # beyond what the measure costs its effect is a guess
        high = np.maximum(costs, low)
    _refuse(~(np.isfinite(low) & (low >= 0.0)), ids, "least must be finite and not negative.", values=low)
    _refuse(high < 0.0, ids, "most must not be negative.", values=high)
    _refuse(low > high, ids, "least must not be above most.", values=low)
    amount, asked, limit = float(total), low, high
    if resource == MONEY:
        amount = float(_cents_down(np.float64(total)))
        asked = _cents_up(low)
        limit = np.maximum(_cents_down(high), asked)
        if returns == WHOLE:
            costs = _cents_up(costs)
    _check_minimums(asked, limit, costs, total=amount, ids=ids, whole=returns == WHOLE)

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
        _refuse(
            without,
            ids,
            f"{name} must be given for every account.",
            values=None,
            remedy="most=0 leaves an account out.",
        )
        return found
    return np.asarray(np.where(without, missing, found), dtype=np.float64)


def _check_minimums(least: Floats, most: Floats, cost: Floats, *, total: float, ids: pd.Series, whole: bool) -> None:
    forced = least > 0.0
    needed = least
    if whole:
        rule = "A whole measure must lie within the account's minimum and maximum, unless the minimum is 0."
        _refuse(forced & ((cost < least) | (cost > most)), ids, rule, values=cost)
        needed = np.where(forced, cost, 0.0)
    if needed.sum() > total * (1.0 + 1e-12):
        raise InputError(
            "The minimums must not exceed the total.",
            value=f"{needed.sum():,.2f} of minimums, {total:,.2f} in all",
            remedy="Raise total or lower least.",
        )


def _refuse(wrong: NDArray[np.bool_], ids: pd.Series, rule: str, *, values: Floats | None, remedy: str = "") -> None:
    if wrong.any():
        value = None if values is None else float(values[wrong][0])
        raise InputError(rule, value=value, customer_ids=ids[wrong], remedy=remedy)


Floats = NDArray[np.float64]

_SHOWN: Final = (columns.CUSTOMER_ID, "allocated", "incremental_value", "last_unit_buys", "cost", "note")
_GAP_WORTH_SAYING: Final = 1e-4
_CAUTION_IN_WORDS: Final = {
    EXPECTED: "expected value",
    POOLED: "what all accounts of a group reach together",
    SINGLE: "what each account reaches for itself",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Budget:
    """How a budget is shared out. Made by `allocate_budget`.

    Parameters
    ----------
    table : DataFrame
        One row per account, see ``allocate_budget``.
    total, spent, unspent : float
        In money, or in hours.
    incremental_value : float
        Money that the whole allocation brings, at the chosen caution.
    last_unit_buys : float
        Money that one more unit of the budget would bring: 0 where it would stay unspent.
    net : float or None
        ``incremental_value`` less what is spent; in hours only where they have a price.
    resource, returns, caution : str
    assumptions : dict
        Everything the numbers depend on, plain.
    notes : tuple of str
        What a reader must know, the most important first.
    basis, horizon : str
    as_of : Timestamp
    currency : str or None
    """

    table: pd.DataFrame
    total: float
    spent: float
    unspent: float
    incremental_value: float
    last_unit_buys: float
    net: float | None
    resource: str
    returns: str
    caution: str
    assumptions: dict[str, Any]
    notes: tuple[str, ...]
    basis: str
    horizon: str
    as_of: pd.Timestamp
    currency: str | None

    def __repr__(self) -> str:
        return f"<Budget of {self.total:z,.2f} ({self.resource}) over {len(self.table):,} accounts>"

    def __str__(self) -> str:
        head, *lines = self._sentences()
        return "\n".join([head, *(f"  {line}" for line in lines), *(f"  Note: {note}" for note in self.notes)])

    def _sentences(self) -> list[str]:
        money = "" if self.currency is None else f" {printable(self.currency)}"
        unit = money if self.resource == MONEY else " hours"
        served = int((self.table["allocated"] > 0.0).sum())
        net = "" if self.net is None else f", {self.net:z,.2f} more than it costs"
        return [
            f"Budget of {self.total:z,.2f}{unit} ({self.basis}, {self.horizon}, {self.returns} returns)",
            f"{self.spent:z,.2f} go to {served:,} of {len(self.table):,} accounts, {self.unspent:z,.2f} stay unspent",
            f"it brings {self.incremental_value:z,.2f}{money}{net}, counting {_CAUTION_IN_WORDS[self.caution]}",
            f"one more unit of the budget would bring {self.last_unit_buys:z,.2f}{money}",
        ]

    def _repr_html_(self) -> str:
        head, *lead = self._sentences()
        hours = {} if self.resource == MONEY else {"allocated": ("Hours", RATIO), "cost": ("Hours it needs", RATIO)}
        return notebook_html(
            head,
            self.table.sort_values(["allocated", "incremental_value"], ascending=False, kind="stable"),
            shown=_SHOWN,
            titles=hours,
            total={
                columns.CUSTOMER_ID: f"All {len(self.table):,}",
                "allocated": self.spent,
                "incremental_value": self.incremental_value,
            },
            lead=lead,
            see=[(".table", f"all {len(self.table):,} accounts"), (".assumptions", "what the figures depend on")],
            notes=self.notes,
        )


def allocate_budget(
    spend: AllowableSpend,
    total: float,
    *,
    cost: Any,
    resource: str = MONEY,
    least: Any = 0.0,
    most: Any = None,
    caution: str = EXPECTED,
    returns: str = DIMINISHING,
    price: float | None = None,
) -> Budget:
    r"""Share out a budget so that it brings the most incremental value.

    With :math:`V_i` the incremental value of the measure on an account, which is what its cost :math:`c_i` buys, and
    :math:`s_i` what is spent there,

    .. math::
        \max_s \sum_i V_i \, \frac{1 - e^{-s_i / c_i}}{1 - e^{-1}} \quad \text{with} \quad
        \sum_i s_i \le \text{total}, \; l_i \le s_i \le u_i

    for diminishing returns. Of whole measures each is taken or not: :math:`s_i \in \{0, c_i\}`, bringing
    :math:`V_i` or nothing.

    Parameters
    ----------
    spend : AllowableSpend
        Of basis ``retain`` or ``grow``. Its uplift is the effect of spending ``cost`` on an account.
    total : float
        Of money or hours; money in whole cents.
    cost : float, or Series or mapping by customer_id
        What the measure costs per account, in the unit of ``total``; above 0.
    resource : {"money", "hours"}
    least, most : float, or Series or mapping by customer_id
        Bounds of what is spent on an account; an account that is not named has none. Money is rounded to the cents
        within them. Default: nothing, and what the measure costs; above that its effect is read off the assumed curve.
    caution : {"expected", "pooled", "single"}
        Which value counts: the expected one; the account's share of what its group reaches together with the
        confidence of ``spend``; or what it reaches for itself with it.
    returns : {"diminishing", "whole"}
    price : float, optional
        Money per hour: hours are then spent only where they bring more than they cost.

    Returns
    -------
    Budget
        Its ``table`` has customer_id, allocated, incremental_value, last_unit_buys (what a further unit would bring on
        this account; of whole measures what one unit of the measure brings), value_of_measure (at the chosen caution),
        cost, least, most, note (why it gets nothing, or a bound), horizon, as_of, currency.

    Raises
    ------
    DomainError
        If an argument is outside its domain, or the spend is of another basis.
    InputError
        If an account is unknown, has no cost, its bounds are crossed, or the minimums exceed the total.

    Notes
    -----
    Money is spent only where a further unit brings back ``1 + target_roi``, its return included; what is left stays
    unspent. The same holds for hours with a price; without one all hours are used that bring anything. Accounts
    whose expected value is below 0, or on which the measure brings nothing, get their minimum. With diminishing returns
    the allocation is exact but for cents, with whole measures within the gap of ``assumptions``.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> spend = clv.allowable_spend(fc, basis="retain", uplift=0.3)
    >>> budget = allocate_budget(spend, 100.0, cost=0.5)
    >>> budget.spent, bool(budget.last_unit_buys > 1.2)
    (100.0, True)
    """
    terms = budget_terms(
        spend,
        total,
        cost=cost,
        resource=resource,
        least=least,
        most=most,
        caution=caution,
        returns=returns,
        price=price,
    )
    found = solve_whole(terms.task) if terms.whole else solve_diminishing(terms.task)
    cents = resource == MONEY and not terms.whole
    amounts = in_cents(terms.task, found.amounts) if cents else found.amounts
    value = brought(terms.task, amounts, whole=terms.whole)
    spent = min(round(float(amounts.sum()), 2) if resource == MONEY else float(amounts.sum()), terms.task.total)
    rate = 1.0 if resource == MONEY else price
    return Budget(
        table=_table(spend, terms, amounts, value=value, price=found.price),
        total=float(total),
        spent=spent,
        unspent=round(float(total) - spent, 9),
        incremental_value=float(value.sum()),
        last_unit_buys=found.price,
        net=None if rate is None else float(value.sum()) - rate * spent,
        resource=resource,
        returns=returns,
        caution=caution,
        assumptions=_assumptions(spend, terms, found, cost=cost, least=least, most=most),
        notes=_notes(spend, terms, amounts, found=found, spent=spent),
        basis=spend.basis,
        horizon=spend.horizon,
        as_of=spend.as_of,
        currency=spend.currency,
    )


def _table(spend: AllowableSpend, terms: BudgetTerms, amounts: Floats, *, value: Floats, price: float) -> pd.DataFrame:
    task = terms.task
    slope = marginal(task, amounts, whole=terms.whole)
    return pd.DataFrame(
        {
            columns.CUSTOMER_ID: terms.ids,
            "allocated": amounts,
            "incremental_value": value,
            "last_unit_buys": slope,
            "value_of_measure": task.worth,
            "cost": task.cost,
            "least": terms.least,
            "most": terms.most,
            "note": pd.array(_row_notes(terms, amounts, slope, price=price), dtype="string"),
            "horizon": spend.horizon,
            "as_of": spend.as_of,
            "currency": spend.currency,
        }
    )


def _row_notes(terms: BudgetTerms, amounts: Floats, slope: Floats, *, price: float) -> NDArray[np.object_]:
    """Why an account gets nothing, or no more and no less than a bound."""
    task, below = terms.task, slope < terms.task.required
    nothing = amounts == 0.0
    capped = terms.most < task.cost if terms.whole else (amounts >= terms.most) & (slope > price)
    cases = [
        (~terms.known, "What the measure brings on it is not known."),
        (~terms.eligible, "Its expected value is below 0."),
        (task.worth <= 0.0, "The measure brings nothing here."),
        (capped, "Its maximum allows no more."),
        (~nothing & (amounts <= task.least) & (slope < max(price, task.required)), "It gets its minimum only."),
        (nothing & below, "What it brings is below the required return."),
        (nothing, "The budget brings more elsewhere."),
    ]
    return np.asarray(np.select([where for where, _ in cases], [text for _, text in cases], ""), dtype=object)


def _notes(
    spend: AllowableSpend, terms: BudgetTerms, amounts: Floats, *, found: Solution, spent: float
) -> tuple[str, ...]:
    task, notes = terms.task, []
    if terms.caution == POOLED:
        notes.append(
            "Pooled values hold for the whole group: a part of it reaches less than its sum with that confidence."
        )
    left = task.total - spent
    if terms.caution != EXPECTED and not (task.worth > 0.0).any():
        notes.append(
            f"At {spend.confidence:.0%} confidence the measure brings nothing anywhere: only minimums are spent."
        )
    elif left > 1e-6 and terms.whole and found.price > 0.0:
        notes.append("What is left is too little for another whole measure that is worth it.")
    elif left > 1e-6 and task.required > 0.0:
        notes.append(f"The rest stays unspent: a further unit brings back less than the {task.required:,.2f} required.")
    elif left > 1e-6:
        notes.append("The rest stays unspent: no account on which it would bring anything may get more.")
    if found.gap > _GAP_WORTH_SAYING:
        notes.append(f"Another choice could bring up to {found.gap:.2%} more: the solver ran out of time.")
    beyond = int((amounts > task.cost * (1.0 + 1e-9)).sum()) if not terms.whole else 0
    if beyond:
        notes.append(
            f"{beyond:,} accounts get more than the measure costs: what that brings follows from the assumed curve."
        )
    if spend.payback_limit_months is not None:
        notes.append("The limit of payback of the spend is not applied: the budget looks at the whole horizon.")
    if not terms.known.all():
        notes.append(f"On {int((~terms.known).sum()):,} accounts the value of the measure is not known: taken as 0.")
    return tuple(notes)


def _assumptions(
    spend: AllowableSpend, terms: BudgetTerms, found: Solution, *, cost: Any, least: Any, most: Any
) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return value if value is None or np.isscalar(value) else "by account"

    own = {
        "total": terms.task.total,
        "resource": terms.resource,
        "cost": plain(cost),
        "least": plain(least),
        "most": plain(most),
        "caution": terms.caution,
        "returns": terms.returns,
        "price": terms.price,
        "required_per_unit": terms.task.required,
        "gap": found.gap,
    }
    return {**spend.assumptions, **own}
