"""What goes with money being lost: attributes and recorded events, by money, with false discoveries held down."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clv_forecast.arguments import finite_number, number_of, parse_day
from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.driver_groups import groups_of
from clv_forecast.ranking.loss_difference import UNKNOWN, Difference, adjusted_difference, controls

Floats = NDArray[np.float64]

MORE: Final = "goes with more loss"
LESS: Final = "goes with less loss"
NO_CLEAR: Final = "no clear difference"
TOO_FEW: Final = "too few to tell"
VERDICTS: Final = (MORE, LESS, NO_CLEAR, TOO_FEW)
TABLE: Final = (
    "driver",
    "level",
    "accounts",
    "value_at_risk",
    "expected",
    "value_lost",
    "lost_share",
    "others_lost_share",
    "difference",
    "lower",
    "upper",
    "extra_loss",
    "p_value",
    "q_value",
    "verdict",
    "window_start",
    "window_end",
)


def driver_table(
    *,
    ids: Any,
    value_at_risk: ArrayLike,
    lost: ArrayLike,
    expected: ArrayLike,
    size: ArrayLike,
    age: ArrayLike,
    attributes: pd.DataFrame | None,
    events: pd.DataFrame | None,
    window: tuple[Any, Any],
    least_accounts: int = 20,
    fdr: float = 0.1,
    prob: float = 0.9,
) -> pd.DataFrame:
    r"""Money lost by kind of account and after recorded events, each against all other accounts.

    Parameters
    ----------
    ids : array-like, shape (account,)
        Each once.
    value_at_risk : array-like, shape (account,)
        Money that may be lost from now on; missing where unknown.
    lost : array-like, shape (account,)
        Expected minus actual revenue in the window, unclipped: accounts that brought more than expected count
        against those that brought less, so that chance cancels instead of adding up. Missing: not in the comparison.
    expected : array-like, shape (account,)
        Revenue in the window expected at its start, >= 0.
    size, age : array-like, shape (account,)
        At the start of the window, in any unit: the groups are compared at equal logarithms of both.
    attributes : DataFrame or None
        One row per account in the order of ``ids``: labels, truth values or numbers (cut at their terciles, unless
        they have at most three values). Missing is a level of its own. A column ``customer_id`` must repeat ``ids``.
    events : DataFrame or None
        customer_id, date, kind; and recorded_at, if known.
    window : tuple of two dates
        Start and end: the outcome is counted after the start, up to and including the end. Only events of the year
        up to and including the start, and recorded by then, are counted: what happens inside the window or after
        may follow from leaving.
    least_accounts : int
        Fewer accounts with a known outcome on either side are too few to tell.
    fdr : float
        False discovery rate of the verdicts, in (0, 1).
    prob : float
        Of each interval, in (0, 1).

    Returns
    -------
    DataFrame
        One row per level of each attribute and per kind of event, the largest ``extra_loss`` first: driver, level,
        accounts, value_at_risk, expected and value_lost (money), lost_share = value_lost / expected,
        others_lost_share, difference (of the two shares at equal size and age), lower, upper,
        extra_loss = difference x expected (money beyond what the others' share makes), p_value, q_value, verdict,
        window_start, window_end.

    Raises
    ------
    InputError
        If ids occur twice, ``expected`` is negative or missing, a number is infinite, an attribute holds dates, or
        the tables lack columns, dates or the order of ``ids``.
    DomainError
        If lengths differ, the window does not run forward, or an option lies outside its domain.

    Notes
    -----
    Each level is compared with all other accounts by the money-weighted regression of
    `clv_forecast.ranking.loss_difference`, which reproduces the difference of the two shares when size and age tell
    nothing. The q-values are those of Benjamini and Hochberg [1]_ over all levels and kinds tested, and a verdict
    other than "no clear difference" needs ``q_value <= fdr``. A level is "too few to tell" below ``least_accounts``,
    or where so few accounts hold the money that fewer than four degrees of freedom are left.

    A verdict says what goes together. It does not say what would happen if the level or the event were changed:
    accounts differ in more than size and age.

    An account with an event of any kind was certainly there on that day, which a forecast from its orders may have
    doubted: among simulated accounts, a survey that changes nothing went with 5 points less of the expected money
    lost under a BG/NBD forecast of all accounts, and with none among the accounts known to be there. So less loss
    after an event says nothing; kinds of events are tested for more loss alone (the p-value is one-sided, and the
    difference is rather too small than too large), attributes for both.

    References
    ----------
    .. [1] Benjamini, Hochberg (1995), "Controlling the false discovery rate", JRSS B 57(1),
       doi:10.1111/j.2517-6161.1995.tb02031.x

    Examples
    --------
    >>> from clv_forecast.simulation import simulate_accounts
    >>> sim = simulate_accounts(6000, rng=1)
    >>> there = sim.truth["alive"].to_numpy()
    >>> now, accounts = sim.truth[there], sim.accounts[there]
    >>> found = driver_table(
    ...     ids=now["customer_id"], value_at_risk=now["annual_revenue_now"], size=now["annual_revenue_now"],
    ...     lost=now["annual_revenue_now"] - now["next_revenue"], expected=now["annual_revenue_now"],
    ...     age=(sim.as_of - accounts["acquired_on"]).dt.days, attributes=accounts[["channel"]], events=sim.events,
    ...     window=(sim.as_of, "2025-12-31"),
    ... )
    >>> sorted(found.loc[found["verdict"] == MORE, "driver"])
    ['complaint', 'late delivery']
    """
    identity = pd.Index(ids)
    start, end = _window(window)
    least = number_of(least_accounts, "least_accounts")
    rate, interval = _open_share(fdr, "fdr"), _open_share(prob, "prob")
    risk, gone, due, how_large, how_old = _arrays(identity, value_at_risk, lost, expected, size, age)
    known = np.isfinite(gone)
    adjust = controls(how_large[known], how_old[known], due[known])
    rows = []
    for driver, level, group, of_events in groups_of(identity, attributes, events, start):
        inside, tested = group & known, group[known]
        enough = min(int(tested.sum()), int((~tested).sum())) >= least
        found = adjusted_difference(tested, gone[known], due[known], adjust, prob=interval) if enough else UNKNOWN
        rows.append(
            (driver, level, *_money(group, inside, known, risk, gone, due), *_told(found, due[inside].sum(), of_events))
        )
    table = pd.DataFrame(rows, columns=list(TABLE[:13]))
    table["q_value"], table["verdict"] = _verdicts(table, rate)
    table["window_start"], table["window_end"] = start, end
    order = table.assign(untold=table["extra_loss"].isna(), by=table["extra_loss"].fillna(table["value_lost"]))
    return table.loc[
        order.sort_values(["untold", "by", "driver", "level"], ascending=[True, False, True, True]).index
    ].reset_index(drop=True)


def _window(window: tuple[Any, Any]) -> tuple[pd.Timestamp, pd.Timestamp]:
    try:
        first, last = window
    except (TypeError, ValueError) as error:
        raise DomainError("window must be two dates, start and end.", value=repr(window)) from error
    start, end = (pd.Timestamp(parse_day(day, "A day of window")) for day in (first, last))
    if not start < end:
        raise DomainError("The window must start before it ends.", value=repr(window))
    return start, end


def _open_share(value: Any, name: str) -> float:
    share = finite_number(value, name)
    if not 0.0 < share < 1.0:
        raise DomainError(f"{name} must lie between 0 and 1.", value=value)
    return share


def _arrays(identity: pd.Index[Any], *given: ArrayLike) -> tuple[Floats, ...]:
    """Money, size and age as arrays, checked."""
    if identity.has_duplicates:
        twice = identity[identity.duplicated()]
        raise InputError("Each account may occur once.", customer_ids=twice, remedy="Sum its money first.")
    found = []
    names = ("value_at_risk", "lost", "expected", "size", "age")
    for name, values in zip(names, given, strict=True):
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (len(identity),):
            raise DomainError(f"{name} must have one number per account.", value=f"{array.shape} for {len(identity)}")
        if np.isinf(array).any():
            raise InputError(f"{name} must be finite, or missing.", customer_ids=identity[np.isinf(array)])
        found.append(array)
    bad = ~(found[2] >= 0.0)
    if bad.any():
        raise InputError("expected must be known, and 0 or more.", value=found[2][bad][0], customer_ids=identity[bad])
    return tuple(found)


def _money(
    group: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    known: NDArray[np.bool_],
    risk: Floats,
    gone: Floats,
    due: Floats,
) -> tuple[float, ...]:
    """Accounts, value at risk, and expected and lost money of a level, with the shares lost by it and by the others."""
    shares = []
    for part in (inside, known & ~group):
        total = float(due[part].sum())
        shares.append(float(gone[part].sum()) / total if total > 0.0 else np.nan)
    told = np.isfinite(risk[group])
    at_risk = float(risk[group][told].sum()) if told.any() else np.nan
    return int(group.sum()), at_risk, float(due[inside].sum()), float(gone[inside].sum()), *shares


def _told(found: Difference, money: float, of_events: bool) -> tuple[float, ...]:
    """Difference, interval, money and p-value: one-sided for events, any of which proves that the account was there."""
    p = found.p_value
    if of_events:
        p = p / 2.0 if found.estimate > 0.0 else 1.0 - p / 2.0
    return found.estimate, found.lower, found.upper, found.estimate * money, p


def _verdicts(table: pd.DataFrame, rate: float) -> tuple[Floats, list[str]]:
    p = table["p_value"].to_numpy(dtype=np.float64)
    q = np.full(len(p), np.nan)
    told = np.isfinite(p)
    if told.any():
        q[told] = stats.false_discovery_control(p[told])
    more = table["difference"].to_numpy(dtype=np.float64) > 0.0
    verdict = np.select([~told, q > rate, more], [TOO_FEW, NO_CLEAR, MORE], default=LESS)
    return q, verdict.tolist()
