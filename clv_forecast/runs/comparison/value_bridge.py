"""The value bridge: where the difference between the values of two runs comes from, step by step, to the cent.

Every account's value after each cause of a bridge, in closed form.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, FitError, InputError
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.money import Terms
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.fit import fit
from clv_forecast.inference.model import Model
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress, silent
from clv_forecast.report.card import save_picture
from clv_forecast.report.report import NOW, THEN
from clv_forecast.runs.comparison.snapshot import (
    Settings,
    Snapshot,
    accounts_of,
    accounts_that_changed_identity,
    at_earlier_rates,
    history_as_dated,
    plan_of,
    terms_before,
    terms_of,
)
from clv_forecast.units import DAYS_PER_UNIT

Floats = NDArray[np.float64]

_COMPARED: Final = tuple(name for name in columns.HISTORY if name != columns.ALREADY_THERE)
_REFITTED: Final = ("mle", "laplace")


@dataclass(slots=True, kw_only=True, eq=False)
class States:
    """Values of all accounts, state after state: the published one of before first, then one per cause.

    Parameters
    ----------
    ids : Index
        Accounts of either run.
    values : list of ndarray, shape (account,)
        0 where an account is not, or not yet, part of the base.
    notes : list of str
    """

    ids: pd.Index[Any]
    values: list[Floats] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def spread(self, ids: Any, values: Floats) -> Floats:
        """Values of some accounts in the places of all."""
        found = np.zeros(len(self.ids))
        found[self.ids.get_indexer(pd.Index(ids))] = values
        return found


def states_between(before: Snapshot, after: Snapshot, *, progress: Progress = silent) -> States:
    """Value all accounts after each cause, in the order of ``value_bridge.STEPS``."""
    states = States(ids=before.ids.append(after.ids[before.ids.get_indexer(after.ids) < 0]))
    steps = 5
    progress("bridge", 0, steps)
    states.values.append(states.spread(before.ids, before.values))
    then = after if dict(before.rates) == dict(after.rates) else at_earlier_rates(after, before.rates)
    terms = terms_before(before, after)
    dated = history_as_dated(then.purchases, before.as_of, then.history, ids=after.ids)
    _restated(states, before, after, dated=dated, terms=terms)
    progress("bridge", 1, steps)
    _since(states, before, then, dated=dated, terms=terms)
    progress("bridge", 3, steps)
    now = states.values[-1]
    if then is not after:
        now = states.spread(after.ids, values_of(before.plan(after.history, terms), before.horizon_in_unit))
    states.values.append(now)
    for value in _of_the_later_model(states, before, after, terms=terms):
        states.values.append(value)
    progress("bridge", steps, steps)
    return states


def values_of(plan: Plan, end: float, *, start: float = 0.0) -> Floats:
    """Expected value of every customer in ``(start, end]``, discounted to ``start``; mean over the draws."""
    boundaries = np.array([end]) if start == 0.0 else np.array([start, end])
    found = np.empty(plan.customers)
    for rows in chunks_of(plan, len(boundaries)):
        value = expected_money(plan, rows, boundaries).value.mean(axis=-1)
        found[rows] = value[:, -1] if start == 0.0 else (value[:, 1] - value[:, 0]) * np.exp(plan.discount * start)
    return found


def same_parameters(first: Model | Stack, second: Model | Stack) -> bool:
    """Whether two models are one: the same draws of the same parameters."""
    if isinstance(first, Stack) or isinstance(second, Stack):
        return (
            isinstance(first, Stack)
            and isinstance(second, Stack)
            and first.weights == second.weights
            and all(same_parameters(a, b) for a, b in zip(first.models, second.models, strict=True))
        )
    if first.as_of != second.as_of or not same_recipe(first, second):
        return False
    return first.draws.to_frame().equals(second.draws.to_frame())


def same_recipe(first: Model | Stack, second: Model | Stack) -> bool:
    """Whether two models were fitted by the same recipe, to whatever log."""
    if isinstance(first, Stack) or isinstance(second, Stack):
        return (
            isinstance(first, Stack)
            and isinstance(second, Stack)
            and first.weights == second.weights
            and all(same_recipe(a, b) for a, b in zip(first.models, second.models, strict=True))
        )
    names = ("purchases", "spend", "method", "spend_from", "spend_level")
    return (
        all(getattr(first, name) == getattr(second, name) for name in names)
        and first.draws.n_draws == second.draws.n_draws
        and first.seed == second.seed
        and _prior_names(first) == _prior_names(second)
    )


def _prior_names(model: Model) -> list[str] | None:
    return None if model.priors is None else model.priors["name"].astype(str).tolist()


def _restated(
    states: States, before: Snapshot, after: Snapshot, *, dated: PurchaseHistory | None, terms: Terms
) -> None:
    """Two states: the past as the later log has it; then also of ids that mean another account, or are gone."""
    published = states.values[0]
    restated = np.zeros(len(states.ids))
    if dated is not None:
        ids = pd.Index(dated.table[columns.CUSTOMER_ID])
        place = before.ids.get_indexer(ids)
        same = _same_rows(dated, before, place)
        value = np.where(same, before.values[np.maximum(place, 0)], 0.0)
        if not same.all():
            changed = accounts_of(dated, ~same)
            own = terms_of(terms, after.ids.get_indexer(ids[~same]))
            value[~same] = values_of(before.plan(changed, own), before.horizon_in_unit)
        restated = states.spread(ids, value)
    other = accounts_that_changed_identity(before, after, states.ids)
    states.values.append(np.where(other, published, restated))
    states.values.append(restated)


def _same_rows(dated: PurchaseHistory, before: Snapshot, place: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the later log says the same of an account's past as the earlier one did, attributes included."""
    found = place >= 0
    pairs: list[tuple[pd.DataFrame, pd.DataFrame, list[str]]] = [(dated.table, before.history.table, list(_COMPARED))]
    if isinstance(before.model, Stack) or before.model.draws.hierarchy is not None:
        if dated.customers is None or before.history.customers is None:
            return np.zeros(len(place), dtype=bool)
        shared = [str(name) for name in before.history.customers if name in dated.customers]
        pairs.append((dated.customers, before.history.customers, shared))
    for now, then, names in pairs:
        for name in names:
            first, second = now[name].to_numpy(), then[name].to_numpy()[np.maximum(place, 0)]
            found &= np.asarray((first == second) | (pd.isna(first) & pd.isna(second)), dtype=bool)
    return np.asarray(found)


def _since(states: States, before: Snapshot, then: Snapshot, *, dated: PurchaseHistory | None, terms: Terms) -> None:
    """Four states: time passed as expected, purchases since, money per order since, new customers."""
    passed = (then.as_of - before.as_of).days / DAYS_PER_UNIT[then.history.unit]
    horizon = before.horizon_in_unit
    known = np.zeros(len(then.ids), dtype=bool)
    expected = bought = priced = np.zeros(len(states.ids))
    # nothing is left of what they had bought by then, but they were customers: no new ones
    again = then.ids.isin(before.ids)
    if dated is not None:
        dated_ids = pd.Index(dated.table[columns.CUSTOMER_ID])
        known = then.ids.isin(dated_ids)
        again &= ~known
        expected = states.values[-1]
        old_terms, old = terms_of(terms, then.ids.get_indexer(dated_ids)), accounts_of(then.history, known)
        if passed > 0.0:
            plan = before.plan(dated, old_terms)
            expected = states.spread(dated_ids, values_of(plan, passed + horizon, start=passed))
        plan = before.plan(old, terms_of(terms, np.flatnonzero(known)))
        value = values_of(plan, horizon)
        priced = states.spread(then.ids[known], value)
        bought = states.spread(
            then.ids[known], _at_old_spend(plan, before.plan(dated, old_terms), value, horizon=horizon)
        )
    late = _valued(states, before, then, terms=terms, kept=again)
    states.values += [expected, bought + late, priced + late]
    states.values.append(priced + late + _valued(states, before, then, terms=terms, kept=~(known | again)))


def _valued(states: States, before: Snapshot, then: Snapshot, *, terms: Terms, kept: NDArray[np.bool_]) -> Floats:
    """Some accounts of the later log, valued by the earlier model."""
    if not kept.any():
        return np.zeros(len(states.ids))
    plan = before.plan(accounts_of(then.history, kept), terms_of(terms, np.flatnonzero(kept)))
    return states.spread(then.ids[kept], values_of(plan, before.horizon_in_unit))


def _at_old_spend(plan: Plan, earlier: Plan, value: Floats, *, horizon: float) -> Floats:
    """Value after the purchases since, each account's money per order judged by its orders of before alone.

    Both plans are of the same accounts in the same order; only those that bought since are valued again.
    """
    parts, moved = [], np.zeros(plan.customers, dtype=bool)
    for part, old in zip(plan.parts, earlier.parts, strict=True):
        assert part.spend_count is not None and old.spend_count is not None  # noqa: S101 - a spend part was asked for
        moved |= (part.spend_count != old.spend_count) | (part.spend_total != old.spend_total)
        parts.append(replace(part, spend_count=old.spend_count, spend_total=old.spend_total))
    if not moved.any():
        return value
    held = replace(plan, parts=tuple(parts))
    found, rows = value.copy(), np.flatnonzero(moved)
    boundaries = np.array([horizon])
    for chunk in chunks_of(plan, 1):
        chosen = chunk[np.isin(chunk, rows)]
        if len(chosen):
            found[chosen] = expected_money(held, chosen, boundaries).value[:, 0].mean(axis=-1)
    return found


def _of_the_later_model(states: States, before: Snapshot, after: Snapshot, *, terms: Terms) -> Iterator[Floats]:
    """Five states: parameters, configuration, margin, costs, discount rate."""
    value, ids = states.values[-1], after.ids
    model: Model | Stack = before.model
    settings: Settings = before.settings
    horizon = before.horizon_in_unit

    def valued() -> Floats:
        return states.spread(ids, values_of(plan_of(model, after.history, terms, settings=settings), horizon))

    if not same_parameters(before.model, after.model):
        refitted = after.model if same_recipe(before.model, after.model) else _refitted(states, before, after)
        if refitted is not None:
            model = refitted
            value = valued()
    yield value
    configured = replace(after.settings, discount_rate_annual=settings.discount_rate_annual)
    if model is not after.model or configured != settings:
        changed = not same_parameters(model, after.model) or _matters(settings, configured)
        model, settings, horizon = after.model, configured, after.horizon_in_unit
        value = valued() if changed else value
    yield value
    for names in (("margin",), ("cost_per_order", "cost_per_year")):
        now = replace(terms, **{name: getattr(after.terms, name) for name in names})
        if any(not np.array_equal(getattr(terms, name), getattr(now, name)) for name in names):
            terms = now
            value = valued()
        yield value
    if after.settings != settings:
        settings = after.settings
        value = valued()
    yield value


def _matters(then: Settings, now: Settings) -> bool:
    """Whether two settings can differ in an expectation: a common shock has mean one."""
    return any(getattr(then, f.name) != getattr(now, f.name) for f in fields(Settings) if f.name != "shock")


def _refitted(states: States, before: Snapshot, after: Snapshot) -> Model | None:
    """The earlier recipe fitted to the later log; None where that is not to be had, and then a note says so."""
    model = before.model
    if isinstance(model, Stack) or model.draws.hierarchy is not None or model.method not in _REFITTED:
        states.notes.append("The earlier kind of model was not fitted again: new parameters stand under configuration.")
        return None
    try:
        return fit(
            after.history,
            model.purchases,
            model.spend,
            method=model.method,
            spend_from=model.spend_from or "auto",
            draws=model.draws.n_draws,
            rng=model.seed,
            compare=False,
        )
    except (FitError, InputError) as error:
        states.notes.append(
            f"The earlier kind of model could not be fitted again ({error.rule}): new parameters stand "
            "under configuration."
        )
        return None


RESTATED: Final = "restated history"
IDENTITY: Final = "merged, split or removed accounts"
TIME: Final = "passage of time, as expected"
PURCHASES: Final = "purchases against expectation"
PRICE: Final = "money per order against expectation"
NEW_CUSTOMERS: Final = "new customers"
RATES: Final = "exchange rates"
PARAMETERS: Final = "parameters"
CONFIGURATION: Final = "model or configuration"
MARGIN: Final = "margin"
COSTS: Final = "costs"
DISCOUNT: Final = "discount rate"
STEPS: Final = (
    RESTATED,
    IDENTITY,
    TIME,
    PURCHASES,
    PRICE,
    NEW_CUSTOMERS,
    RATES,
    PARAMETERS,
    CONFIGURATION,
    MARGIN,
    COSTS,
    DISCOUNT,
)
"""The causes in their fixed order: each is valued at the state that those before it have left."""
_MEANING: Final = {
    RESTATED: "orders of before that were entered late, corrected or returned since",
    IDENTITY: "ids that now mean another account, and accounts no longer in the log",
    TIME: "the horizon moved on and nobody bought yet, or as many did as the earlier forecast expected",
    PURCHASES: "who bought, and who did not, against what the earlier forecast expected of them by now",
    PRICE: "how much orders since brought, against each account's level of before",
    NEW_CUSTOMERS: "accounts whose first order came since",
    RATES: "the same orders at other exchange rates",
    PARAMETERS: "the same model, fitted to the log as it is now",
    CONFIGURATION: "another model, method, number of draws, seed, correction or limit of lifetime",
    MARGIN: "other margins of accounts that were there",
    COSTS: "other costs of accounts that were there",
    DISCOUNT: "another discount rate",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ValueBridge:
    """From the value of an earlier run to that of a later one.

    Parameters
    ----------
    steps : DataFrame
        step, accounts (whose value it moved), value; previous_as_of, horizon, as_of, currency. The first row is
        ``"value then"`` and the last ``"value now"``, as published; between them the causes in their fixed order.
        Values are whole cents, and the rows from the first to the last but one add up to the last.
    accounts : DataFrame
        One row per account of either run: customer_id, value_then, one column per cause, value_now.
    residual : float
        Value now as published less the value at which the causes arrive; below half a cent, or the bridge is refused.
        So it is where the earlier run's value is not what its own model and log make of it.
    notes : tuple of str
    """

    steps: pd.DataFrame
    accounts: pd.DataFrame
    residual: float
    notes: tuple[str, ...]

    def moved(self, step: str) -> float:
        """Value that one cause moved.

        Raises
        ------
        DomainError
            If there is no such step.
        """
        found = self.steps.loc[self.steps["step"] == step, "value"]
        if len(found) != 1:
            raise DomainError("The bridge has no such step.", value=step, remedy=f"It has {', '.join(STEPS)}.")
        return float(found.iloc[0])

    def __str__(self) -> str:
        first = self.steps.iloc[0]
        head = (
            f"Value over {first['horizon']}, from {first['previous_as_of'].date()} to {first['as_of'].date()}"
            f"{'' if pd.isna(first['currency']) else ', ' + printable(first['currency'])}"
        )
        width = max(len(step) for step in self.steps["step"])
        lines = [
            f"  {row['step']:<{width}} {row['value']:>18,.2f}  {row['accounts']:>9,} accounts"
            for _, row in self.steps.iterrows()
        ]
        return "\n".join([head, *lines, *(f"  Note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        then, now = self.steps["value"].iloc[0], self.steps["value"].iloc[-1]
        return f"<ValueBridge from {then:z,.2f} to {now:z,.2f} in {len(STEPS)} steps>"

    def _repr_html_(self) -> str:
        table = self.steps.assign(meaning=self.steps["step"].map(_MEANING))
        return notebook_html(
            str(self).split("\n")[0],
            table,
            shown=("step", "accounts", "value", "meaning"),
            notes=self.notes,
            rows=len(table),
        )


@shows_progress
def value_bridge(before: Snapshot, after: Snapshot, *, progress: Progress = automatic) -> ValueBridge:
    r"""Explain the change of total value between two runs, one cause after the other.

    With :math:`V` the expected discounted value over the horizon, in closed form, and the causes in the fixed order of
    ``STEPS``, each step is :math:`V` after the cause less :math:`V` before it, everything else as the steps before have
    left it. Passage of time takes the earlier forecast at its word: with :math:`d` the time between the runs, :math:`h`
    the horizon and :math:`\delta` the discount rate,

    .. math:: e^{\delta d} \left( V_0(d + h) - V_0(d) \right) - V_0(h),

    which is what the earlier forecast expected to expect by now. So purchases, and money per order, against expectation
    are zero on average if the earlier model is right.

    Parameters
    ----------
    before, after : Snapshot
        Over one horizon, in one unit of time and one currency; ``before`` of an earlier day, or of the same.
    progress : callable

    Returns
    -------
    ValueBridge

    Raises
    ------
    DomainError
        If the runs do not go together, or do not come in that order.
    InputError
        If rates differ and the later run holds no orders to convert again; or the published value of one of the runs is
        not what its own model, log and terms make of it.

    Notes
    -----
    The earlier run's accounts are valued on the later log cut at the earlier day, so an order of then that came late,
    or was returned since, is restated history. An account that was new since keeps today's terms in all steps.
    """
    _check_together(before, after)
    own = values_of(before.plan(before.history, before.terms), before.horizon_in_unit)
    _check_arrival(float(before.values.sum()), float(own.sum()), before.name)
    states = states_between(before, after, progress=progress)
    total, found = float(after.values.sum()), float(states.values[-1].sum())
    _check_arrival(total, found, after.name)
    published = round(100.0 * total)
    cents = [*(round(100.0 * float(state.sum())) for state in states.values[:-1]), published]
    moves = [second - first for first, second in pairwise(cents)]
    changed = [states.values[k + 1] - states.values[k] for k in range(len(STEPS))]
    accounts = [int((np.abs(change) > 1e-9).sum()) for change in changed]
    steps = pd.DataFrame(
        {
            "step": [THEN, *STEPS, NOW],
            "accounts": [len(before.values), *accounts, len(after.values)],
            "value": [cents[0] / 100.0, *(move / 100.0 for move in moves), published / 100.0],
        }
    )
    steps = steps.assign(
        previous_as_of=before.as_of, horizon=after.horizon, as_of=after.as_of, currency=after.history.currency
    )
    return ValueBridge(
        steps=steps, accounts=_accounts(states, changed, after), residual=total - found, notes=tuple(states.notes)
    )


def _check_arrival(published: float, found: float, name: str) -> None:
    """The value of a run is what its own model, log and terms make of it, to half a cent.

    Raises
    ------
    InputError
        If it is not: the run was damaged, or another version of the program made it.
    """
    if abs(published - found) > max(0.005, 1e-12 * abs(published)):
        raise InputError(
            "A bridge starts from and arrives at published values, which the model and the log of each run must make.",
            value=f"{published - found:+z,.2f} in {name}",
            remedy="The run was damaged, or made by another version: write it again.",
        )


def _check_together(before: Snapshot, after: Snapshot) -> None:
    same: tuple[tuple[str, Any, Any], ...] = (
        ("horizon", before.horizon, after.horizon),
        ("unit of time", before.history.unit, after.history.unit),
        ("currency", before.history.currency, after.history.currency),
    )
    for what, then, now in same:
        if then != now and not (what == "currency" and None in (then, now)):  # where one is not named, it is the same
            raise DomainError(f"Both runs must have the same {what}.", value=f"{then} and {now}")
    if before.as_of > after.as_of:
        raise DomainError(
            "The earlier run comes first.",
            value=f"{before.as_of.date()} and {after.as_of.date()}",
            remedy="Change their places.",
        )


def _accounts(states: States, changed: list[Any], after: Snapshot) -> pd.DataFrame:
    table = pd.DataFrame({columns.CUSTOMER_ID: states.ids.array, "value_then": states.values[0]})
    for step, change in zip(STEPS, changed, strict=True):
        table[step.replace(",", "").replace(" ", "_")] = change
    return table.assign(value_now=states.values[-1], as_of=after.as_of, horizon=after.horizon)


def save_bridge(bridge: ValueBridge, path: str | os.PathLike[str]) -> Path:
    """Draw a bridge and write it as a picture, in the format that the suffix names.

    Raises
    ------
    DomainError
        If the format is unknown.
    StoreError
        If the file cannot be written.
    """
    from clv_forecast.figures.value_bridge import draw_value_bridge

    return save_picture(lambda figure: draw_value_bridge(bridge.steps, ax=figure.subplots()), path, size=(10.0, 6.0))
