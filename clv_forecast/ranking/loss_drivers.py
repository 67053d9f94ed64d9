"""The verb ``loss_drivers``: what goes with money being at risk, and with money having been lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.purchase_history import PurchaseHistory, customer_attribute
from clv_forecast.inference.recipe import Recipe
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.accounts import accounts_of
from clv_forecast.ranking.drivers import driver_table
from clv_forecast.ranking.look_back import LookBack, look_back, years_of
from clv_forecast.ranking.outlook import outlook_of
from clv_forecast.streams import as_seed
from clv_forecast.tables.source import read_frame


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
        As ``clv_forecast.ranking.drivers.driver_table``: the largest loss beyond the others' share first. A verdict
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
    instance_of(history, PurchaseHistory, "history", "purchase_history")
    instance_of(forecast, Forecast, "forecast", "forecast")
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
    if isinstance(seen, str):
        raise InputError(seen, remedy="Choose a shorter horizon, or an origin.")
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
