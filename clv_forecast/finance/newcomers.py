"""Who is a new customer, when and through which channel it came: one definition for everything about acquisition.

Does the model describe newcomers? What they bought again so far, against what it expects of a new customer.

What winning customers cost, by cohort and channel: the table of the business, checked against the cohorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.totals import EVERYONE, Grouping
from clv_forecast.history.observations import opening_end
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import MOST_LABELS, Accounts
from clv_forecast.tables.ids import as_one_kind
from clv_forecast.tables.source import read_frame
from clv_forecast.units import DAYS_PER_YEAR, Horizon

Floats = NDArray[np.float64]

DRAWS: Final = 40
"""Draws behind an expectation of many customers: more change nothing that could be seen."""
LEAST: Final = 0.8
MOST: Final = 1.25
FEWEST: Final = 30
"""Below so many expected purchases a ratio says nothing."""


def expected_repeats(plan: Plan, rows: NDArray[np.intp]) -> Floats:
    """Repeat purchases that the model expects of each customer from the day it came up to now, whatever it did.

    A forecast starts from what a customer has done, and hides what is wrong about its kind. Customers whom a log has
    seen from their first order on differ from those who were there before it, and a model that was fitted on both
    may fit neither.

    Parameters
    ----------
    plan : Plan
    rows : ndarray of int, shape (newcomer,)

    Returns
    -------
    ndarray, shape (newcomer,)
    """
    few = plan.fewer_draws(DRAWS)
    found = np.zeros(len(rows))
    for part in few.parts:
        cell = part.parameters.cell[rows]
        for each in np.unique(cell):
            here = np.flatnonzero(cell == each)
            times, place = np.unique(plan.T[rows[here]], return_inverse=True)
            expected = part.module.expected_purchases_new(part.purchases_of_cell(int(each)), horizon=times[None, :])
            found[here] += (np.asarray(expected).sum(axis=0) / few.draws)[place]
    return found


def fit_note(observed: float, expected: float) -> tuple[str, ...]:
    """A caution where newcomers did much less, or much more, than the model expects of them.

    Examples
    --------
    >>> fit_note(100.0, 105.0)
    ()
    >>> fit_note(50.0, 100.0)[0][:62]
    'New customers made 50 repeat purchases where the model expects'
    """
    if expected < FEWEST or LEAST <= observed / expected <= MOST:
        return ()
    low = observed < expected
    return (
        f"New customers made {observed:,.0f} repeat purchases where the model expects {expected:,.0f} of them: it does "
        f"not describe newcomers, and their forecast is likely too {'high' if low else 'low'}. Customers who were "
        "there before the log differ from those who come: fit the model on new customers alone, or with groups that "
        "tell them apart, and forecast these accounts with it.",
    )


Places = NDArray[np.intp]

PERIODS: Final = {"month": "M", "quarter": "Q", "year": "Y"}
AUTO: Final = "auto"
_GENERATIONS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Newcomers:
    """The new customers of a history, by period of arrival and channel.

    Parameters
    ----------
    rows : ndarray of int, shape (newcomer,)
        Their rows in the history, ascending.
    cohort, channel : ndarray of int, shape (newcomer,)
        Places in ``cohorts`` and ``channels``.
    cohorts : tuple of str
        Every period from the opening to ``as_of``, in order, also those in which nobody came.
    ends : DatetimeIndex
        Last day of each period.
    complete : ndarray of bool, shape (cohort,)
        Whether the log shows all newcomers of the period: the first and the last may be cut.
    channels : tuple of str
        ``("all",)`` without a split.
    reactivated : ndarray of int, shape (cohort, channel)
        Customers who bought again after a pause, by the period of their return.
    already_there, children : int
        Customers left out: those of the opening months, and those with a parent seen before them.
    opening : Timestamp
    split : bool
        Whether there are channels.
    """

    rows: Places
    cohort: Places
    channel: Places
    cohorts: tuple[str, ...]
    ends: pd.DatetimeIndex
    complete: NDArray[np.bool_]
    channels: tuple[str, ...]
    reactivated: NDArray[np.int64]
    already_there: int
    children: int
    opening: pd.Timestamp
    split: bool

    def __repr__(self) -> str:
        return f"<Newcomers: {len(self.rows):,} in {len(self.cohorts)} cohorts and {len(self.channels)} channels>"

    def counts(self) -> NDArray[np.int64]:
        """New customers, shape (cohort, channel)."""
        found = np.zeros((len(self.cohorts), len(self.channels)), dtype=np.int64)
        np.add.at(found, (self.cohort, self.channel), 1)
        return found


def newcomers_of(
    history: PurchaseHistory,
    accounts: Accounts,
    purchases: pd.DataFrame,
    *,
    period: str,
    by: str | None,
    pause: str,
) -> Newcomers:
    """Find the new customers of a history, and those who came back.

    Parameters
    ----------
    history : PurchaseHistory
    accounts : Accounts
        Its ``parent_id`` tells children.
    purchases : DataFrame
        ``history.purchases()``.
    period : {"month", "quarter", "year"}
    by : str or None
        A column of the accounts; "auto" is ``channel`` where it is known.
    pause : str
        Such as "12 months": who buys again after at least so long a time without a purchase has come back.

    Returns
    -------
    Newcomers

    Raises
    ------
    DomainError
        If the period or the column is unknown, the column has more than 100 labels, or ``pause`` is no length of time.
    InputError
        If the log shows no new customer.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> from clv_forecast.ranking.accounts import accounts_of
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> options = {"period": "month", "by": None, "pause": "12 months"}
    >>> found = newcomers_of(history, accounts_of(history), history.purchases(), **options)
    >>> found.cohorts[:3], found.counts()[:3, 0].tolist(), int(found.reactivated.sum())
    (('1997-01', '1997-02', '1997-03'), [777, 854, 718], 87)
    """
    if not isinstance(period, str) or period not in PERIODS:
        raise DomainError(f"period must be one of {', '.join(PERIODS)}.", value=repr(period))
    away = Horizon.parse(pause).years * DAYS_PER_YEAR
    first = history.table[columns.FIRST_PURCHASE]
    opening = opening_day(history)
    periods = pd.period_range(opening, history.as_of, freq=PERIODS[period])
    labels = _labels(accounts, by)
    grouping = Grouping.of(labels, len(first))
    channel = np.zeros(len(first), dtype=np.intp) if labels is None else grouping.member
    there = history.table[columns.ALREADY_THERE].to_numpy(dtype=bool)
    child = children_of_known(accounts, first)
    rows = np.flatnonzero(~there & ~child)
    if not len(rows):
        raise InputError(
            f"Nobody is new: every customer was there before {opening:%Y-%m-%d}, or belongs to a parent that was.",
            remedy="If the log begins with the business, name its first day as observed_from.",
        )
    back = _returns(history, purchases, away, child=child)
    reactivated = np.zeros((len(periods), len(grouping.names[1:]) or 1), dtype=np.int64)
    when = _place(periods, back[columns.DATE])
    seen = pd.DataFrame({"row": back["row"].to_numpy()[when >= 0], "when": when[when >= 0]}).drop_duplicates()
    np.add.at(reactivated, (seen["when"].to_numpy(), channel[seen["row"].to_numpy()]), 1)
    begins, ends = periods.start_time, periods.end_time.normalize()
    return Newcomers(
        rows=rows,
        cohort=_place(periods, first.iloc[rows]),
        channel=channel[rows],
        cohorts=tuple(str(each) for each in periods),
        ends=pd.DatetimeIndex(ends),
        complete=np.asarray((begins >= opening) & (ends <= history.as_of)),
        channels=(EVERYONE,) if labels is None else grouping.names[1:],
        reactivated=reactivated,
        already_there=int(there.sum()),
        children=int((child & ~there).sum()),
        opening=opening,
        split=labels is not None,
    )


def opening_day(history: PurchaseHistory) -> pd.Timestamp:
    """Customers first seen before this day were already there."""
    given = None if history.events is None else history.events.observed_from
    return pd.Timestamp(given or opening_end(history.table, history.as_of.date()))


def children_of_known(accounts: Accounts, first: pd.Series[Any]) -> NDArray[np.bool_]:
    """Whether a parent of each account, or a parent of that one, bought on an earlier day.

    Parameters
    ----------
    accounts : Accounts
    first : Series
        First purchase, in the row order of the accounts.

    Returns
    -------
    ndarray of bool, shape (account,)
        False where no parent is named, or none has bought.

    Examples
    --------
    >>> table = pd.DataFrame({"customer_id": ["a", "b", "c"], "parent_id": [None, "a", "x"]})
    >>> children_of_known(Accounts(table=table), pd.to_datetime(pd.Series(["2020", "2021", "2021"]))).tolist()
    [False, True, False]
    """
    days = first.to_numpy().astype("datetime64[D]").astype(np.int64)
    child = np.zeros(len(days), dtype=bool)
    if not accounts.has(columns.PARENT_ID):
        return child
    ids, parents = as_one_kind(accounts.ids, accounts.table[columns.PARENT_ID])
    parent = pd.Index(ids).get_indexer(pd.Index(parents))
    ancestor = parent
    for _ in range(_GENERATIONS):  # accounts that name each other in a circle end here
        known = ancestor >= 0
        if not known.any():
            break
        child |= known & (days[ancestor] < days)
        ancestor = np.where(known, parent[ancestor], -1)
    return child


def _labels(accounts: Accounts, by: str | None) -> pd.Series[Any] | None:
    if by is None or (by == AUTO and not accounts.has(columns.CHANNEL)):
        return None
    name = columns.CHANNEL if by == AUTO else by
    known = [str(each) for each in accounts.table.columns if each != columns.CUSTOMER_ID]
    if name not in known:
        raise DomainError(
            f"{name!r} is not a column of the accounts.",
            value=f"columns {known}",
            remedy="Pass accounts=..., one row per account with that column, or by=None.",
        )
    labels = accounts.table[name]
    if labels.nunique() > MOST_LABELS:
        raise DomainError(
            f"Cohorts are split into at most {MOST_LABELS} channels.",
            value=f"{name} has {labels.nunique():,} labels",
            remedy="Take a column of kinds of accounts, not of single ones.",
        )
    return labels


def _returns(
    history: PurchaseHistory, purchases: pd.DataFrame, away: float, *, child: NDArray[np.bool_]
) -> pd.DataFrame:
    """Purchases that follow a pause, with the row of their customer."""
    row = pd.Index(history.table[columns.CUSTOMER_ID]).get_indexer(pd.Index(purchases[columns.CUSTOMER_ID]))
    days = purchases[columns.DATE].to_numpy().astype("datetime64[D]").astype(np.int64)
    same = np.r_[False, row[1:] == row[:-1]]
    back = same & (np.diff(days, prepend=days[:1]) >= away) & ~child[row]
    return pd.DataFrame({"row": row[back], columns.DATE: purchases[columns.DATE].to_numpy()[back]})


def _place(periods: pd.PeriodIndex, days: pd.Series[Any]) -> Places:
    """Place of each day among the periods; -1 before the first."""
    return np.asarray(periods.get_indexer(pd.PeriodIndex(days, freq=periods.freq)), dtype=np.intp)


COHORT: Final = "cohort"
AMOUNT: Final = "amount"
_NAME: Final = "The table of acquisition costs"
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcquisitionCost:
    """Money spent on winning customers; NaN where it is not known.

    Parameters
    ----------
    each : ndarray, shape (cohort, channel)
    of_cohort : ndarray, shape (cohort,)
    of_channel : ndarray, shape (channel,)
    of_all : float
    notes : tuple of str
    """

    each: Floats
    of_cohort: Floats
    of_channel: Floats
    of_all: float
    notes: tuple[str, ...] = ()


def acquisition_costs(table: Any, newcomers: Newcomers) -> AcquisitionCost:
    """Read the costs and bring them into the order of the cohorts.

    Parameters
    ----------
    table : table or None
        ``cohort``, ``amount``, and ``channel`` where it is split. None: nothing is known.
    newcomers : Newcomers

    Returns
    -------
    AcquisitionCost
        A sum is known where all its parts with new customers are; without a split in the table, only those of whole
        cohorts are. Costs by channel are added up where the cohorts have no channels.

    Raises
    ------
    InputError
        If a column is missing, a cohort or channel is unknown or stands twice, or an amount is no number of at least 0.

    Notes
    -----
    Cohorts before the opening are left out, and the notes say with how much money: their customers were already
    there. Money spent in a period in which nobody came is kept.
    """
    counts = newcomers.counts()
    nothing = np.full(counts.shape, np.nan)
    if table is None:
        return _summed(nothing, counts, ())
    given = _checked(read_frame(table, _NAME, labels=(COHORT, columns.CHANNEL)))
    known = pd.Index(newcomers.cohorts)
    early = _before(given[COHORT], newcomers)
    notes = _left_out(given[early], newcomers)
    given = given[~early]
    cohort = known.get_indexer(pd.Index(given[COHORT]))
    _all_known(given[COHORT], cohort, "cohort", known=newcomers.cohorts)
    amounts = given[AMOUNT].to_numpy(dtype=np.float64)
    if not newcomers.split:
        each = nothing.copy()
        each[np.unique(cohort), 0] = 0.0
        np.add.at(each, (cohort, np.zeros(len(cohort), dtype=np.intp)), amounts)
        return _summed(each, counts, notes)
    if columns.CHANNEL not in given.columns:
        of_cohort = np.full(len(known), np.nan)
        of_cohort[cohort] = amounts
        needed = counts.sum(axis=1) > 0
        of_all = np.nan if np.isnan(of_cohort[needed]).any() else float(np.nansum(of_cohort))
        return AcquisitionCost(
            each=nothing,
            of_cohort=of_cohort,
            of_channel=np.full(len(newcomers.channels), np.nan),
            of_all=of_all,
            notes=(*notes, "Acquisition costs are not split by channel: only those of whole cohorts are known."),
        )
    channel = pd.Index(newcomers.channels).get_indexer(pd.Index(given[columns.CHANNEL]))
    _all_known(given[columns.CHANNEL], channel, "channel", known=newcomers.channels)
    each = nothing.copy()
    each[cohort, channel] = amounts
    return _summed(each, counts, notes)


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in (COHORT, AMOUNT) if name not in table.columns]
    if missing:
        raise InputError(
            f"{_NAME} needs the columns cohort and amount, and channel where it is split.",
            value=f"columns {[str(name) for name in table.columns]}",
            remedy=f"Add {' and '.join(missing)}.",
        )
    keys = [COHORT, *([columns.CHANNEL] if columns.CHANNEL in table.columns else [])]
    given = table[[*keys, AMOUNT]].reset_index(drop=True)
    for name in keys:
        given[name] = given[name].astype("string").str.strip().fillna("(missing)")
    amounts = pd.to_numeric(given[AMOUNT], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(amounts) | (amounts < 0.0)
    if bad.any():
        raise InputError(
            "An acquisition cost is money, not negative.",
            value=f"{given[AMOUNT][bad].iloc[0]!r} for cohort {given[COHORT][bad].iloc[0]!r}",
            remedy="Leave out the rows of cohorts whose cost is not known.",
        )
    given[AMOUNT] = amounts
    twice = given.duplicated(keys)
    if twice.any():
        raise InputError(
            f"{_NAME} must have one row per {' and '.join(keys)}.",
            value=", ".join(given.loc[twice, name].iloc[0] for name in keys),
            remedy="Add the amounts up.",
        )
    return given


def _before(cohorts: pd.Series[Any], newcomers: Newcomers) -> NDArray[np.bool_]:
    """Whether a label is a period before the opening, written as the cohorts are."""
    first = pd.Period(newcomers.cohorts[0])
    found = []
    for label in cohorts:
        try:
            period = pd.Period(label, freq=first.freqstr)
        except ValueError:
            found.append(False)
            continue
        found.append(str(period) == label and period < first)
    return np.array(found, dtype=bool)


def _left_out(given: pd.DataFrame, newcomers: Newcomers) -> tuple[str, ...]:
    if given.empty:
        return ()
    return (
        f"Acquisition costs of {given[AMOUNT].sum():,.2f} in {given[COHORT].nunique():,} earlier cohorts are left out: "
        f"who was seen before {newcomers.opening:%Y-%m-%d} was already there.",
    )


def _all_known(labels: pd.Series[Any], places: NDArray[np.intp], what: str, *, known: tuple[str, ...]) -> None:
    unknown = list(dict.fromkeys(labels[places < 0]))
    if unknown:
        shown = ", ".join(known) if len(known) <= _SHOWN else f"{', '.join(known[:3])}, ..., {known[-1]}"
        raise InputError(
            f"Every {what} of the acquisition costs must be one of the customers'.",
            value=unknown[:5],
            remedy=f"Known: {shown}.",
        )


def _summed(each: Floats, counts: NDArray[np.int64], notes: tuple[str, ...]) -> AcquisitionCost:
    """Sums over channels and cohorts; unknown where a part with new customers, or every part, is unknown."""
    lacking = np.isnan(each) & (counts > 0)
    known = ~np.isnan(each)
    by_cohort = np.where(lacking.any(axis=1) | ~known.any(axis=1), np.nan, np.nansum(each, axis=1))
    by_channel = np.where(lacking.any(axis=0) | ~known.any(axis=0), np.nan, np.nansum(each, axis=0))
    of_all = np.nan if lacking.any() or not known.any() else float(np.nansum(each))
    return AcquisitionCost(each=each, of_cohort=by_cohort, of_channel=by_channel, of_all=of_all, notes=notes)
