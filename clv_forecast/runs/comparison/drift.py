"""What moved between two runs besides value: parameters, and the log itself.

What has come since a run, against what it expected, and whether its bands held.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.evaluation.scores import covered, keyed_uniforms, randomised_pit
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.plan import Plan, chunks_of
from clv_forecast.forecasting.predictive import band, predictive_money
from clv_forecast.forecasting.stack import Stack
from clv_forecast.inference.model import Model
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, silent
from clv_forecast.runs.comparison.snapshot import (
    Snapshot,
    accounts_of,
    accounts_that_changed_identity,
    at_earlier_rates,
    terms_of,
)
from clv_forecast.runs.comparison.value_bridge import same_recipe
from clv_forecast.streams import KeyedStreams
from clv_forecast.units import DAYS_PER_UNIT

EARLIER: Final = "accounts of the earlier run"
NEWCOMERS: Final = "new customers"
_QUANTITIES: Final = ("purchases", "revenue")

Floats = NDArray[np.float64]


def came_since(before: Snapshot, after: Snapshot, *, progress: Progress = silent) -> pd.DataFrame:
    """Set what came between two runs against the bands of the earlier one.

    The earlier run's draws are replayed up to the day of the later one, so any length of time can be looked at, not
    only the run's horizons.

    Parameters
    ----------
    before, after : Snapshot
        ``before`` of an earlier day.
    progress : callable

    Returns
    -------
    DataFrame
        group, quantity; one row for purchases and one for revenue of the earlier run's accounts, and the same of new
        customers, whom no band is about. customers, active (who bought); ``came``, ``expected``, the band of the
        total ``lower`` and ``upper``, and whether it ``covered`` what came; ``band_coverage``, the share of customers
        inside their own bands, ends included, and ``coverage`` by the randomised transform, which should be ``prob``
        for whole numbers too; run, previous_as_of, days, prob, as_of, currency.

    Raises
    ------
    DomainError
        If no day lies between the runs.

    Notes
    -----
    Accounts that are no longer in the log, or are part of another now, are left out and counted in ``left_out``. Money
    counts at the exchange rates of the earlier run.
    """
    days = (after.as_of - before.as_of).days
    if days < 1:
        raise DomainError(
            "Bands are judged by what came after a run.", value=f"{before.as_of.date()} and {after.as_of.date()}"
        )
    after = after if dict(before.rates) == dict(after.rates) else at_earlier_rates(after, before.rates)
    other = before.ids[accounts_that_changed_identity(before, after, before.ids)]
    kept = before.ids.isin(after.ids) & ~before.ids.isin(other)
    if not kept.any():
        raise DomainError(
            "No account of the earlier run is in the later log.",
            value=f"{before.name} and {after.name}",
            remedy="Compare the ids of both: their kind, their case, their leading zeros.",
        )
    plan = before.plan(accounts_of(before.history, kept), terms_of(before.terms, np.flatnonzero(kept)))
    ids = before.ids[kept]
    since = after.purchases[after.purchases[columns.DATE] > before.as_of]
    old = since[columns.CUSTOMER_ID].isin(ids).to_numpy(dtype=bool)
    new_ids = after.ids[~after.ids.isin(before.ids)]
    actual = _actual(ids, since[old])
    scored = _scored(plan, actual, days / DAYS_PER_UNIT[plan.unit], prob=before.prob, progress=progress)
    new = since[since[columns.CUSTOMER_ID].isin(new_ids)]
    rows = [
        {"group": EARLIER, "quantity": quantity, "customers": len(ids), "active": int((actual["purchases"] > 0).sum())}
        | scored[quantity]
        for quantity in _QUANTITIES
    ]
    buyers = int(new[columns.CUSTOMER_ID].nunique())
    amounts = {"purchases": float(len(new)), "revenue": float(new[columns.AMOUNT].sum())}
    rows += [
        {"group": NEWCOMERS, "quantity": quantity, "customers": buyers, "active": buyers, "came": amounts[quantity]}
        for quantity in _QUANTITIES
    ]
    return pd.DataFrame(rows).assign(
        left_out=int((~kept).sum()),
        run=before.name,
        previous_as_of=before.as_of,
        days=days,
        prob=before.prob,
        as_of=after.as_of,
        currency=after.history.currency,
    )


def _actual(ids: pd.Index[Any], orders: pd.DataFrame) -> dict[str, Floats]:
    place = ids.get_indexer(pd.Index(orders[columns.CUSTOMER_ID]))
    amounts = orders[columns.AMOUNT].to_numpy(dtype=float)
    return {
        "purchases": np.bincount(place, minlength=len(ids)).astype(float),
        "revenue": np.bincount(place, weights=amounts, minlength=len(ids)).astype(float),
    }


def _scored(
    plan: Plan, actual: dict[str, Floats], end: float, *, prob: float, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Coverage of the customers' bands, and the total with its band, per quantity."""
    boundaries = np.array([end])
    sums = {quantity: np.zeros(plan.draws) for quantity in _QUANTITIES}
    expected = dict.fromkeys(_QUANTITIES, 0.0)
    inside = {quantity: np.zeros(plan.customers, dtype=bool) for quantity in _QUANTITIES}
    pit = {quantity: np.empty(plan.customers) for quantity in _QUANTITIES}
    done = 0
    for rows in chunks_of(plan, 1):
        drawn, mean = predictive_money(plan, rows, boundaries), expected_money(plan, rows, boundaries)
        of_customers: dict[str, NDArray[Any]] = {"purchases": drawn.purchases[:, 0], "revenue": drawn.revenue[:, 0]}
        of_totals = {"purchases": drawn.moved_purchases[:, 0], "revenue": drawn.revenue[:, 0]}
        streams = KeyedStreams(plan.keys[rows], 0)
        for number, quantity in enumerate(_QUANTITIES):
            ordered = np.sort(of_customers[quantity], axis=-1)
            came = actual[quantity][rows]
            low, high = band(of_customers[quantity], prob)
            inside[quantity][rows] = (low <= came) & (came <= high)
            pit[quantity][rows] = randomised_pit(came, ordered, keyed_uniforms(streams, number))
            sums[quantity] += of_totals[quantity].sum(axis=0)
            expected[quantity] += float(getattr(mean, quantity)[:, 0].mean(axis=-1).sum())
        done += len(rows)
        progress("bands", done, plan.customers)
    found = {}
    for quantity in _QUANTITIES:
        lower, upper = map(float, band(sums[quantity], prob))
        total = float(actual[quantity].sum())
        found[quantity] = {
            "came": total,
            "expected": expected[quantity],
            "lower": lower,
            "upper": upper,
            "covered": bool(lower <= total <= upper),
            "band_coverage": float(inside[quantity].mean()),
            "coverage": float(covered(pit[quantity], prob).mean()),
        }
    return found


_RECENT_DAYS: Final = 91
_PARAMETERS: Final = ("model", "parameter", "then", "standard_error", "now", "z")


def parameter_drift(then: Model | Stack, now: Model | Stack, *, kinds: bool = True) -> pd.DataFrame:
    """Say how far every parameter moved, in standard errors of the earlier fit.

    Parameters
    ----------
    then, now : Model or Stack
    kinds : bool
        Whether to look only at fits by one recipe; otherwise at all parameters of one name.

    Returns
    -------
    DataFrame
        model, parameter, then, standard_error, now, z = (now - then) / standard_error; z is missing where the data do
        not identify the parameter. Empty where the models are of different kinds.

    Notes
    -----
    A log that only grows holds most of the earlier one, so a single z is small by chance alone: two fits to samples of
    n and n + m customers differ by about sqrt(m / (n + m)) standard errors of the first. The largest of several z is
    larger. Where an optimum lies on a boundary its parameters have no z, and their drift is not seen.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")
    >>> model = clv.fit(history, compare=False)
    >>> float(parameter_drift(model, model)["z"].abs().max())
    0.0
    """
    if isinstance(then, Stack) or isinstance(now, Stack):
        if not isinstance(then, Stack) or not isinstance(now, Stack):
            return pd.DataFrame(columns=list(_PARAMETERS))
        pairs = list(zip(then.models, now.models, strict=False))
    else:
        pairs = [(then, now)]
    found = [_drift(first, second) for first, second in pairs if not kinds or same_recipe(first, second)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(_PARAMETERS))


def largest_drift(table: pd.DataFrame) -> float:
    """The largest shift of a parameter in standard errors, NaN where none is known."""
    z = table["z"].abs()
    return float(z.max()) if len(z) else float("nan")


def most_moved(table: pd.DataFrame) -> str:
    """The parameter that moved most, in words.

    Examples
    --------
    >>> most_moved(pd.DataFrame({"parameter": ["r", "a"], "then": [0.2, 0.8], "now": [0.3, 0.7], "z": [8.0, -0.5]}))
    'r has moved by +8.0 standard errors, from 0.2 to 0.3'
    """
    row = table.iloc[int(np.nanargmax(table["z"].abs().to_numpy(dtype=float)))]
    return (
        f"{printable(row['parameter'])} has moved by {row['z']:+z.1f} standard errors, from {row['then']:.4g} to "
        f"{row['now']:.4g}"
    )


def _drift(then: Model, now: Model) -> pd.DataFrame:
    names = ["parameter", "estimate", "standard_error"]
    first = then.parameters.reindex(columns=names).rename(columns={"estimate": "then"})
    table = first.merge(now.parameters.reindex(columns=names[:2]).rename(columns={"estimate": "now"}), on="parameter")
    moved = (table["now"] - table["then"]).to_numpy(dtype=float)
    error = table["standard_error"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(moved == 0.0, 0.0, moved / error)
    return table.assign(model=then.purchases, z=np.where(np.isfinite(error), z, np.nan))[list(_PARAMETERS)]


def input_drift(before: Snapshot, after: Snapshot) -> pd.DataFrame:
    """Compare what the two runs were made of.

    Parameters
    ----------
    before, after : Snapshot

    Returns
    -------
    DataFrame
        measure, then, now, change (relative; missing where then is 0). ``recent`` means the last 91 days of each run.
    """
    first, second = _measures(before), _measures(after)
    table = pd.DataFrame({"measure": list(first), "then": list(first.values()), "now": list(second.values())})
    then = table["then"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = (table["now"].to_numpy(dtype=float) - then) / np.abs(then)
    return table.assign(change=np.where(then == 0.0, np.nan, change))


def _measures(run: Snapshot) -> dict[str, float]:
    table, purchases = run.history.table, run.purchases
    recent = purchases[purchases[columns.DATE] > run.as_of - pd.Timedelta(days=_RECENT_DAYS)]
    first = run.as_of - pd.Timedelta(days=_RECENT_DAYS)
    silence = (run.as_of - table[columns.LAST_PURCHASE]).dt.days.to_numpy(dtype=float)
    return {
        "customers": float(len(table)),
        "purchases": float(len(purchases)),
        "revenue": float(purchases[columns.AMOUNT].sum()),
        "money per purchase": _mean(purchases[columns.AMOUNT]),
        "share who bought once": float((table[columns.FREQUENCY] == 0).mean()),
        f"days since the last purchase, median, in {run.history.unit}s": float(
            np.median(silence) / DAYS_PER_UNIT[run.history.unit]
        ),
        "recent purchases": float(len(recent)),
        "recent revenue": float(recent[columns.AMOUNT].sum()),
        "recent money per purchase": _mean(recent[columns.AMOUNT]),
        "recent new customers": float((table[columns.FIRST_PURCHASE] > first).sum()),
    }


def _mean(values: pd.Series[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
