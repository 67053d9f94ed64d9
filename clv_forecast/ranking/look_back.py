"""A look back: forecast the same accounts from an earlier day, and set beside it what they brought since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import parse_day
from clv_forecast.errors import Absent, DomainError, FitError, InputError
from clv_forecast.forecasting.money import resolve_terms
from clv_forecast.forecasting.plan import make_plan
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.fit import fit_recipe
from clv_forecast.inference.recipe import Recipe
from clv_forecast.models import TRANSACTION_MODELS, transaction_model
from clv_forecast.progress import Progress, silent
from clv_forecast.ranking.accounts import Accounts, accounts_of
from clv_forecast.ranking.outlook import DRAWS_FOR_SPREAD, Floats, Outlook, outlook_of
from clv_forecast.ranking.trailing import carried_forward, revenue_by_customer
from clv_forecast.streams import as_seed
from clv_forecast.units import DAYS_PER_YEAR, Horizon

_NEARLY: Final = 0.95
SHORTEST_WINDOW: Final = 60
"""Days: a shorter window shows noise and season, not what accounts could bring."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LookBack:
    """Accounts as known at an earlier day, their forecast then, and what came; arrays of shape (account,).

    Parameters
    ----------
    origin : Timestamp
        Last day that the forecast knew.
    days : int
        Length of the window after it.
    calibration : PurchaseHistory
        As known at the origin.
    accounts : Accounts
        In its row order. Attributes carry no date: they are today's.
    outlook : Outlook
    actual : ndarray
        Revenue in the window, as known today.
    carried : ndarray
        Revenue of the year before the origin, scaled to the window; of a stretch as long as the window where the
        log was shorter than a year then.
    notes : tuple of str
    """

    origin: pd.Timestamp
    days: int
    calibration: PurchaseHistory
    accounts: Accounts
    outlook: Outlook
    actual: Floats
    carried: Floats
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<LookBack from {self.origin.date()}: {len(self.actual):,} accounts, {self.days} days>"


def look_back(
    history: PurchaseHistory,
    now: Forecast,
    *,
    accounts: Any = None,
    horizon: str = "12 months",
    origin: Any = None,
    recipe: Recipe | None = None,
    rng: int | np.random.Generator = 1,
    progress: Progress = silent,
) -> LookBack | Absent:
    """Fit and forecast as of an earlier day, under today's margins, costs and discount rate, and add what came after.

    Parameters
    ----------
    history : PurchaseHistory
    now : Forecast
        Today's: its margins, costs and discount rate are used at the origin too.
    accounts : table or Accounts, optional
    horizon : str
        Length of the window; where the log is too short for that length twice, half the log.
    origin : date, Timestamp or ISO text, optional
        Default: the window before ``as_of``.
    recipe : Recipe, optional
        How to fit at the origin. Default: the transaction model of ``now`` by maximum likelihood, without groups.
    rng : int or Generator
    progress : callable

    Returns
    -------
    LookBack or Absent
        Where it cannot be done, why, as a sentence.

    Raises
    ------
    DomainError
        If the horizon or the origin is outside its domain.
    """
    length = round(years_of(now, horizon) * DAYS_PER_YEAR)
    if history.events is None:
        return Absent("The history was made from a summary, which cannot be cut at an earlier day.")
    first = history.table[columns.FIRST_PURCHASE].min()
    chosen = _origin(history, first, length, origin=origin)
    if isinstance(chosen, Absent):
        return chosen
    day, days, notes = chosen
    progress("earlier origin", 0, 3)
    split = history.split(day)
    recipe = recipe or _recipe_of(now)
    try:
        model = fit_recipe(recipe, split.calibration, rng=rng)
        progress("earlier origin", 1, 3)
        terms = {name: now.assumptions[name] for name in ("margin", "cost_to_serve", "cost_per_order")}
        plan = make_plan(
            model,
            split.calibration,
            terms=resolve_terms(split.calibration, **terms),
            discount=now.plan.discount,
            draws=DRAWS_FOR_SPREAD,
            seed=as_seed(rng),
            shock=None,
            correction=None,
        )
    except (FitError, InputError) as error:
        return Absent(f"Nothing could be forecast as of {day.date()}: {error}")
    progress("earlier origin", 2, 3)
    held = split.holdout_orders
    end = day + pd.Timedelta(days=days)
    carried = carried_forward(split.calibration, days)
    aligned = _accounts_then(split.calibration, accounts)
    seen = LookBack(
        origin=day,
        days=days,
        calibration=split.calibration,
        accounts=aligned,
        outlook=outlook_of(plan, days / DAYS_PER_YEAR),
        actual=revenue_by_customer(split.calibration, held[held[columns.DATE] <= end]),
        carried=carried,
        notes=(*notes, f"Looking back: {recipe.title}, fitted as of {day.date()}, against the {days} days after it."),
    )
    progress("earlier origin", 3, 3)
    return seen


def years_of(forecast: Forecast, horizon: str) -> float:
    """Length of a horizon: the forecast's own where it has one of that name ("lifetime" is cut off as it was there).

    Raises
    ------
    DomainError
        If the text is no length of time.
    """
    wanted = Horizon.parse(horizon)
    return forecast.horizons.only(wanted.label).years[0] if wanted.label in forecast.horizons.labels else wanted.years


def _accounts_then(calibration: PurchaseHistory, accounts: Any) -> Accounts:
    if isinstance(accounts, Accounts):
        accounts = accounts.table
    if accounts is None or len(accounts.columns) < 2:
        return accounts_of(calibration)
    return accounts_of(calibration, accounts)


def _origin(
    history: PurchaseHistory, first: pd.Timestamp, length: int, *, origin: Any
) -> tuple[pd.Timestamp, int, tuple[str, ...]] | Absent:
    """Origin, days of the window, and notes; or why there is none."""
    if origin is not None:
        day = pd.Timestamp(parse_day(origin, "origin"))
        if not first <= day < history.as_of:
            raise DomainError(
                f"origin must lie between the first purchase ({first.date()}) and as_of ({history.as_of.date()}).",
                value=str(day.date()),
            )
        days = min(length, (history.as_of - day).days)
    else:
        log = (history.as_of - first).days
        days = min(length, log // 2)
        day = history.as_of - pd.Timedelta(days=days)
    if length < SHORTEST_WINDOW:
        return Absent(f"The horizon is too short to look back over: {length} days, {SHORTEST_WINDOW} are needed.")
    if days < SHORTEST_WINDOW:
        return Absent(
            f"The log is too short to look back: {days} days are left to judge by, {SHORTEST_WINDOW} are needed."
        )
    if days >= _NEARLY * length:
        return day, days, ()
    return (
        day,
        days,
        (
            f"The log allows a look back over {days} days only, not {length}: shares of headroom realised in that "
            "time are used as they are, which is cautious for growth that goes on.",
        ),
    )


def _recipe_of(now: Forecast) -> Recipe:
    """The transaction model of a forecast (the heaviest of a stack), by maximum likelihood."""
    part = max(now.plan.parts, key=lambda candidate: candidate.draws)
    name = next(name for name in TRANSACTION_MODELS if transaction_model(name) is part.module)
    return Recipe(purchases=name, spend="gamma_gamma" if now.plan.has_spend else None)
