"""The value bridge: where the difference between the values of two runs comes from, step by step, to the cent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.comparison.bridge_states import States, states_between, values_of
from clv_forecast.comparison.snapshot import Snapshot
from clv_forecast.errors import DomainError, InputError
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.report.card import save_picture
from clv_forecast.report.report import NOW, THEN

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
