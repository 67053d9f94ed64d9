"""The verb ``loss_drivers``: what goes with money being at risk, and with money having been lost.

Which accounts are compared: those at a level of an attribute, and those with an event in the year before.

What goes with money being lost: attributes and recorded events, by money, with false discoveries held down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clv_forecast import columns
from clv_forecast.arguments import finite_number, instance_of, number_of, parse_day
from clv_forecast.errors import Absent, DomainError, InputError
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.purchase_history import PurchaseHistory, customer_attribute
from clv_forecast.inference.recipe import Recipe
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.accounts import accounts_of
from clv_forecast.ranking.look_back import LookBack, look_back, years_of
from clv_forecast.ranking.loss_difference import UNKNOWN, Difference, adjusted_difference, controls
from clv_forecast.ranking.outlook import outlook_of
from clv_forecast.streams import as_seed
from clv_forecast.tables.ids import as_one_kind
from clv_forecast.tables.source import read_days, read_frame
from clv_forecast.units import years_back

UNKNOWN_LEVEL: Final = "unknown"
AT_LEAST_ONE: Final = "at least one in the year before"
_FEW_NUMBERS: Final = 3


def groups_of(
    identity: pd.Index[Any], attributes: pd.DataFrame | None, events: pd.DataFrame | None, *, start: pd.Timestamp
) -> Iterator[tuple[str, str, NDArray[np.bool_], bool]]:
    """Groups of accounts to compare with the others, by attribute and by kind of event.

    Parameters
    ----------
    identity : Index
        Of the accounts.
    attributes, events : DataFrame or None
    start : Timestamp
        Of the window in which the outcome is counted.

    Yields
    ------
    tuple of str, str, ndarray of bool, bool
        Driver, level, which accounts are at it, and whether it is a kind of event.

    Raises
    ------
    DomainError
        If there is not one row of attributes per account.
    InputError
        If attributes are in another order or hold dates, or events lack columns or dates.
    """
    if attributes is not None:
        for found in _attribute_groups(identity, attributes):
            yield *found, False
    if events is not None:
        for found in event_groups(identity, events, start):
            yield *found, True


def _attribute_groups(
    identity: pd.Index[Any], attributes: pd.DataFrame
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    if len(attributes) != len(identity):
        raise DomainError(
            "attributes must have one row per account.", value=f"{len(attributes)} rows for {len(identity)}"
        )
    if columns.CUSTOMER_ID in attributes:
        other = np.asarray(attributes[columns.CUSTOMER_ID] != np.asarray(identity), dtype=bool)
        if other.any():
            raise InputError("attributes must be in the order of ids.", customer_ids=identity[other])
    for name in attributes.columns:
        if name == columns.CUSTOMER_ID:
            continue
        codes, levels = pd.factorize(levels_of(attributes[name]))
        for code, level in enumerate(levels):
            yield str(name), str(level), codes == code


def levels_of(values: pd.Series[Any]) -> NDArray[np.object_]:
    """Level of each account by one attribute: its label, or the third in which its number lies.

    Parameters
    ----------
    values : Series
        Labels, truth values, or numbers; those with more than three different values are cut at their terciles
        (a number on a limit belongs below it).

    Returns
    -------
    ndarray of str, shape (account,)
        "unknown" where missing.

    Raises
    ------
    InputError
        If the values are dates.

    Examples
    --------
    >>> levels_of(pd.Series([1.0, 2.0, 3.0, 4.0, np.nan])).tolist()
    ['lowest third (up to 2)', 'lowest third (up to 2)', 'middle third (up to 3)', 'highest third (above 3)', 'unknown']
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise InputError(
            "Attributes must be labels or numbers.",
            value=f"dates in {values.name}",
            remedy="Give years since, or leave the column out.",
        )
    missing = values.isna().to_numpy(dtype=bool)
    found = np.full(len(values), UNKNOWN_LEVEL, dtype=object)
    if pd.api.types.is_bool_dtype(values.dtype):
        found[~missing] = np.where(values[~missing].to_numpy(dtype=bool), "yes", "no")
    elif pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() <= _FEW_NUMBERS:
        found[~missing] = [f"{number:,.6g}" for number in values[~missing]]
    elif pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values[~missing].to_numpy(dtype=np.float64)
        low, high = np.quantile(numbers, [1.0 / 3.0, 2.0 / 3.0], method="inverted_cdf")
        names = [f"lowest third (up to {low:,.6g})", f"middle third (up to {high:,.6g})"]
        names.append(f"highest third (above {high:,.6g})")
        found[~missing] = np.take(np.array(names, dtype=object), np.searchsorted([low, high], numbers))
    else:
        found[~missing] = values[~missing].astype(str)
    return found


def event_groups(
    identity: pd.Index[Any], events: pd.DataFrame, start: pd.Timestamp
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Kinds of events and the accounts that had one in the year up to ``start``, as known then.

    Parameters
    ----------
    identity : Index
        Of the accounts.
    events : DataFrame
        customer_id, date, kind; and recorded_at, if known.
    start : Timestamp

    Yields
    ------
    tuple of str, str, ndarray of bool
        Driver, level, and which accounts are at it; every kind of the table comes, also one without events in that
        year.

    Raises
    ------
    InputError
        If a column is missing, or a date is none.
    """
    for name in (columns.CUSTOMER_ID, columns.DATE, columns.KIND):
        if name not in events:
            raise InputError("The table of events needs customer_id, date and kind.", value=f"no {name}")
    dates = {name: events[name] for name in (columns.DATE, columns.RECORDED_AT) if name in events}
    days = {name: read_days(given, f"{name} of an event") for name, given in dates.items()}
    bad = (days[columns.DATE].isna()).to_numpy(dtype=bool)
    if bad.any():
        raise InputError(
            "Events need a date.", value=repr(dates[columns.DATE][bad].iloc[0]), customer_ids=events["customer_id"][bad]
        )
    before = (days[columns.DATE] > years_back(start)) & (days[columns.DATE] <= start)
    if columns.RECORDED_AT in days:
        before &= ~(days[columns.RECORDED_AT] > start)
    ids, who = as_one_kind(pd.Series(identity), events[columns.CUSTOMER_ID].reset_index(drop=True))
    known = pd.Index(ids)
    for kind in sorted(events[columns.KIND].dropna().astype(str).unique()):
        had = who[(before & (events[columns.KIND].astype("string") == kind).fillna(False)).to_numpy(dtype=bool)]
        yield kind, AT_LEAST_ONE, np.asarray(known.isin(pd.unique(had.dropna())), dtype=bool)


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
    start, end = _driver_window(window)
    least = number_of(least_accounts, "least_accounts")
    rate, interval = _open_share(fdr, "fdr"), _open_share(prob, "prob")
    risk, gone, due, how_large, how_old = _arrays(identity, value_at_risk, lost, expected, size, age)
    known = np.isfinite(gone)
    adjust = controls(how_large[known], how_old[known], due[known])
    rows = []
    for driver, level, group, of_events in groups_of(identity, attributes, events, start=start):
        inside, tested = group & known, group[known]
        enough = min(int(tested.sum()), int((~tested).sum())) >= least
        found = (
            adjusted_difference(tested, gone[known], due[known], adjust=adjust, prob=interval) if enough else UNKNOWN
        )
        rows.append(
            (
                driver,
                level,
                *_money(group, inside, known, risk=risk, gone=gone, due=due),
                *_told(found, due[inside].sum(), of_events),
            )
        )
    table = pd.DataFrame(rows, columns=list(TABLE[:13]))
    table["q_value"], table["verdict"] = _verdicts(table, rate)
    table["window_start"], table["window_end"] = start, end
    order = table.assign(untold=table["extra_loss"].isna(), by=table["extra_loss"].fillna(table["value_lost"]))
    return table.loc[
        order.sort_values(["untold", "by", "driver", "level"], ascending=[True, False, True, True]).index
    ].reset_index(drop=True)


def _driver_window(window: tuple[Any, Any]) -> tuple[pd.Timestamp, pd.Timestamp]:
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
    *,
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


@shows_progress
def loss_drivers(
    history: PurchaseHistory,
    forecast: Forecast,
    *,
    accounts: Any = None,
    events: Any = None,
    by: list[str] | None = None,
    horizon: str = "12 months",
    origin: Any = None,
    recipe: Recipe | None = None,
    fdr: float = 0.1,
    rng: int | np.random.Generator = 1,
    progress: Progress = automatic,
) -> pd.DataFrame:
    """Find what goes with value at risk, and with money lost since an earlier day: attributes and recorded events.

    Accounts are forecast as of the earlier day; what they brought less than expected since is what was lost. Each level
    of an attribute, and each kind of event recorded in the year *before* that day, is compared with all other accounts
    of equal size and age.

    Parameters
    ----------
    history : PurchaseHistory
    forecast : Forecast
        Of that history, with a spend part.
    accounts : table, optional
        One row per account; default: the customers' table of the history.
    events : table, optional
        customer_id, date, kind; and recorded_at, if known.
    by : list of str, optional
        Attributes to look at; default: all that say of what kind an account is. ``"cohort_year"`` works too.
    horizon : str
        How far value at risk looks ahead, and how long ago the earlier day was.
    origin, recipe, rng, progress
        As in ``potential``.
    fdr : float
        False discovery rate of the verdicts.

    Returns
    -------
    DataFrame
        As `driver_table` has it: the largest loss beyond the others' share first. A verdict
        says what goes together, not what would happen if something were changed.

    Raises
    ------
    DomainError
        If the forecast is not of this history, or an attribute is unknown.
    InputError
        If there is nothing to compare, or the log is too short to look back.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> sim = clv.simulate_accounts(1500, rng=3)
    >>> history = clv.purchase_history(sim.transactions, as_of=sim.as_of, customers=sim.accounts)
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    >>> found = loss_drivers(history, fc, events=sim.events, by=["segment"])
    >>> sorted(found["driver"].unique())
    ['complaint', 'late delivery', 'segment', 'survey']
    """
    instance_of(history, PurchaseHistory, "history", made_by="purchase_history")
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    if forecast.history is not history:
        raise DomainError("The forecast must be one of this history.", remedy="Pass the history it was made from.")
    seen = look_back(
        history,
        forecast,
        accounts=accounts,
        horizon=horizon,
        origin=origin,
        recipe=recipe,
        rng=as_seed(rng),
        progress=progress,
    )
    if isinstance(seen, Absent):
        raise InputError(seen.reason, remedy="Choose a shorter horizon, or an origin.")
    today = outlook_of(forecast.plan, years_of(forecast, horizon), progress=progress)
    place = pd.Index(seen.calibration.table[columns.CUSTOMER_ID]).get_indexer(
        pd.Index(history.table[columns.CUSTOMER_ID])
    )
    return driver_table(
        ids=history.table[columns.CUSTOMER_ID],
        value_at_risk=today.value_at_risk,
        lost=_then(seen.outlook.revenue - seen.actual, place, np.nan),
        expected=_then(seen.outlook.revenue, place, 0.0),
        size=_then(seen.outlook.annual_revenue, place, np.nan),
        age=_then(seen.calibration.table[columns.T].to_numpy(dtype=np.float64), place, np.nan),
        attributes=_attributes(history, accounts, by),
        events=_events(events),
        window=_window(seen),
        fdr=fdr,
        prob=forecast.prob,
    )


def _events(events: Any) -> pd.DataFrame | None:
    if events is None:
        return None
    days = (columns.DATE, columns.RECORDED_AT)
    return read_frame(events, "The events", labels=(columns.CUSTOMER_ID, columns.KIND), days=days)


def _then(values: Any, place: Any, otherwise: float) -> Any:
    """Values of the earlier day in today's order; ``otherwise`` for accounts that came later."""
    return np.where(place >= 0, values[place], otherwise)


def _window(seen: LookBack) -> tuple[pd.Timestamp, pd.Timestamp]:
    return seen.origin, seen.origin + pd.Timedelta(days=seen.days)


def _attributes(history: PurchaseHistory, accounts: Any, by: list[str] | None) -> pd.DataFrame | None:
    known = accounts_of(history, accounts)
    names = list(known.attributes()) if by is None else by
    if not names:
        return None
    found = {n: known.table[n] if n in known.table else customer_attribute(history, n).values for n in names}
    return pd.DataFrame({name: values.reset_index(drop=True) for name, values in found.items()})
