"""Who brought whom: chains of referral as a forest, with circles refused and values summed along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from clv_forecast import columns
from clv_forecast.errors import InputError
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.tables.ids import as_one_kind

_CIRCLE_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Referrals:
    """A forest: each account hangs below the account that referred it.

    Parameters
    ----------
    parent : ndarray of intp, shape (account,)
        Row of the account that referred this one; -1 where it was not referred, or by nobody in the base.
    depth : ndarray of intp, shape (account,)
        Number of accounts above: 0 at the top of a chain.
    known : bool
        Whether any referral was recorded at all. Where none was, nothing is known, which is not "no referrals".
    notes : tuple of str
        Referrers outside the base, and other things worth a look.

    Examples
    --------
    >>> table = pd.DataFrame({"customer_id": ["a", "b", "c"], "referred_by": [None, "a", "b"]})
    >>> chain = referrals_of(Accounts(table=table))
    >>> chain.depth, chain.sums(np.array([5.0, 7.0, 9.0]), (0.5, 0.1)), chain.sums_below(np.array([5.0, 7.0, 9.0]))
    (array([0, 1, 2]), array([4.4, 4.5, 0. ]), array([16.,  9.,  0.]))
    """

    parent: NDArray[np.intp]
    depth: NDArray[np.intp]
    known: bool = True
    notes: tuple[str, ...] = ()

    def credited(self, credit: Sequence[float]) -> sparse.csr_array:
        """Who gets which share of whose value.

        Parameters
        ----------
        credit : sequence of float, shape (depth,)
            Share for the account one step below, two steps below, and so on; below its end nothing is credited.

        Returns
        -------
        csr_array, shape (account, account)
            Entry (i, j) is ``credit[d - 1]`` where j is d steps below i; an account gets nothing from itself.
        """
        size = len(self.parent)
        above = self.parent.copy()
        rows, below, shares = [], [], []
        for share in credit:
            reached = np.flatnonzero(above >= 0)
            if share != 0.0:
                rows.append(above[reached])
                below.append(reached)
                shares.append(np.full(len(reached), float(share)))
            above[reached] = self.parent[above[reached]]
        empty = np.zeros(0, dtype=np.intp)
        places = (np.concatenate([empty, *rows]), np.concatenate([empty, *below]))
        return sparse.csr_array((np.concatenate([np.zeros(0), *shares]), places), shape=(size, size))

    def sums(self, values: ArrayLike, credit: Sequence[float]) -> NDArray[np.float64]:
        """Credited values of the accounts below each account.

        Parameters
        ----------
        values : array_like, shape (account,) or (account, draw)
        credit : sequence of float

        Returns
        -------
        ndarray, shape of ``values``
            0 for an account that referred nobody; NaN where a credited account's value is.
        """
        return np.asarray(self.credited(credit) @ np.asarray(values, dtype=np.float64))

    def sums_below(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values of all accounts below each account, at any depth, each counted in full.

        Parameters
        ----------
        values : array_like, shape (account,) or (account, draw)

        Returns
        -------
        ndarray, shape of ``values``
        """
        total = np.array(values, dtype=np.float64)
        order = np.argsort(-self.depth, kind="stable")
        deepest_first = order[: np.count_nonzero(self.depth > 0)]
        levels = np.flatnonzero(np.diff(self.depth[deepest_first])) + 1
        for level in np.split(deepest_first, levels):
            np.add.at(total, self.parent[level], total[level])
        below = np.zeros_like(total)  # the account itself is taken out without subtracting: what is exactly 0 stays so
        referred = np.flatnonzero(self.parent >= 0)
        np.add.at(below, self.parent[referred], total[referred])
        return below


def referrals_of(accounts: Accounts) -> Referrals:
    """Read ``referred_by`` of the accounts' table.

    Parameters
    ----------
    accounts : Accounts
        In the row order of the history.

    Returns
    -------
    Referrals
        A referrer who is not in the base counts as none, and in the notes.

    Raises
    ------
    InputError
        If referrals run in a circle (an account that referred itself is one): names the circle.

    Examples
    --------
    >>> table = pd.DataFrame({"customer_id": [1, 2, 3], "referred_by": [None, 1, 99]})
    >>> found = referrals_of(Accounts(table=table))
    >>> found.parent
    array([-1,  0, -1])
    >>> found.notes
    ('1 of 2 referred accounts was referred from outside the base (first: 99): credited to nobody.',)
    """
    size = len(accounts.table)
    if not accounts.has(columns.REFERRED_BY):
        note = "Nothing is known of referrals: a column with the referrer's id would bring them."
        nobody = np.full(size, -1, dtype=np.intp)
        return Referrals(parent=nobody, depth=np.zeros(size, dtype=np.intp), known=False, notes=(note,))
    given = accounts.table[columns.REFERRED_BY].reset_index(drop=True)
    named = given.notna().to_numpy(dtype=bool)
    if given.dtype == object or pd.api.types.is_string_dtype(given.dtype):
        named = named & (given.astype("string").str.strip() != "").fillna(False).to_numpy(dtype=bool)
    parent = np.full(size, -1, dtype=np.intp)
    ids, referrers = as_one_kind(accounts.ids, given)
    parent[named] = pd.Index(ids).get_indexer(pd.Index(referrers[named]))
    depth, below_circle = _depths(parent)
    if below_circle >= 0:
        raise InputError(
            "Referrals must not run in a circle.",
            value=_circle(parent, below_circle, accounts.ids) + " (each referred by the next)",
            remedy=f"Leave {columns.REFERRED_BY} of one of them empty.",
        )
    outside = given[named & (parent < 0)]
    notes = _outside(outside, int(named.sum()), accounts.ids) + _too_early(accounts, parent)
    parent.setflags(write=False)
    depth.setflags(write=False)
    return Referrals(parent=parent, depth=depth, notes=notes)


def _depths(parent: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
    """Number of accounts above each, by doubling the step; and a row on a circle, or -1."""
    depth = (parent >= 0).astype(np.intp)
    above = parent.copy()
    for _ in range(len(parent).bit_length() + 1):
        moving = np.flatnonzero(above >= 0)
        if not len(moving):
            return depth, -1
        depth[moving] += depth[above[moving]]
        above[moving] = above[above[moving]]
    return depth, int(above[above >= 0].min())  # after more steps than accounts, only circles are left


def _circle(parent: NDArray[np.intp], start: int, ids: pd.Series[Any]) -> str:
    rows = [start]
    while (following := int(parent[rows[-1]])) != start:
        rows.append(following)
    first = rows.index(min(rows))
    rows = rows[first:] + rows[: first + 1]
    names = [str(ids.iloc[row]) for row in rows]
    if len(names) > _CIRCLE_SHOWN + 1:
        names = [*names[:_CIRCLE_SHOWN], f"... ({len(rows) - 1:,} accounts)", names[-1]]
    return " -> ".join(names)


def _outside(outside: pd.Series[Any], named: int, ids: pd.Series[Any]) -> tuple[str, ...]:
    if outside.empty:
        return ()
    was = "was" if len(outside) == 1 else "were"
    note = (
        f"{len(outside):,} of {named:,} referred accounts {was} referred from outside the base "
        f"(first: {_plain(outside.iloc[0])}): credited to nobody."
    )
    if len(outside) < named:
        return (note,)
    return (f"{note} Not one is in the base: compare the ids (customers are like {ids.iloc[0]!r}, their type too).",)


def _plain(value: Any) -> str:
    """An id as the caller wrote it: whole numbers became floats where others are missing."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _too_early(accounts: Accounts, parent: NDArray[np.intp]) -> tuple[str, ...]:
    acquired = accounts.dates(columns.ACQUIRED_ON)
    if acquired is None:
        return ()
    days = acquired.to_numpy(dtype="datetime64[s]")
    referred = np.flatnonzero(parent >= 0)
    early = referred[days[referred] < days[parent[referred]]]  # never so where a day is unknown
    if not len(early):
        return ()
    return (
        f"{len(early):,} referred account{' was' if len(early) == 1 else 's were'} acquired before the account that is "
        f"said to have referred it (first: {accounts.ids.iloc[int(early[0])]}).",
    )
