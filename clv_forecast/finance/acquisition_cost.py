"""What winning customers cost, by cohort and channel: the table of the business, checked against the cohorts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import InputError
from clv_forecast.finance.newcomers import Newcomers
from clv_forecast.tables.source import read_frame

Floats = NDArray[np.float64]

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
    _all_known(given[COHORT], cohort, "cohort", newcomers.cohorts)
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
    _all_known(given[columns.CHANNEL], channel, "channel", newcomers.channels)
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


def _all_known(labels: pd.Series[Any], places: NDArray[np.intp], what: str, known: tuple[str, ...]) -> None:
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
