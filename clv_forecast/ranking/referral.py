"""What accounts bring through those they refer: credit by depth, sums to date, and the referrals to come.

Who brought whom: chains of referral as a forest, with circles refused and values summed along them.

How many referrals an account will make: its own count drawn toward the base's, as far as accounts differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse, special

from clv_forecast import columns
from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.tables.ids import as_one_kind
from clv_forecast.units import DAYS_PER_YEAR

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


_LEAST_YEARS: Final = 1.0 / DAYS_PER_YEAR
_LOG_SHAPES: Final = (-7.0, 7.0)
_STEP: Final = 0.01
_LONGEST_YEARS: Final = 1000.0
_STEPS: Final = 200_000


def expected_counts(
    counts: NDArray[np.int64], years: NDArray[np.float64], ahead: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Expected number of events of each account in the time ahead, from its count so far.

    Parameters
    ----------
    counts : ndarray of int, shape (account,)
    years : ndarray, shape (account,)
        Time over which they were counted; NaN where unknown.
    ahead : ndarray, shape (account,)
        Years ahead.

    Returns
    -------
    ndarray, shape (account,)
        :math:`u_i (a + y_i) / (b + t_i)`; NaN where ``years`` or ``ahead`` is.

    Examples
    --------
    >>> expected_counts(np.array([0, 0, 0, 4]), np.full(4, 2.0), np.ones(4)).round(2)
    array([0.07, 0.07, 0.07, 1.8 ])
    """
    time = np.maximum(years, _LEAST_YEARS)
    known = np.isfinite(time)
    shape, mean = gamma_of_rates(counts[known], time[known])
    if math.isinf(shape):
        return ahead * np.where(known, mean, np.nan)
    rate = shape / mean
    return np.asarray(ahead * (shape + counts) / (rate + time))


def gamma_of_rates(counts: NDArray[np.int64], years: NDArray[np.float64]) -> tuple[float, float]:
    r"""Gamma distribution of Poisson rates over accounts, by maximum likelihood.

    .. math:: \ln p(y) = \ln\Gamma(a + y) - \ln\Gamma(a) - \ln y! + a \ln\frac{b}{b + t} + y \ln\frac{t}{b + t}

    Parameters
    ----------
    counts : ndarray of int, shape (account,)
    years : ndarray, shape (account,)
        > 0.

    Returns
    -------
    shape, mean : float
        ``shape`` is inf where counts vary no more than by chance at one common rate, or there are none; ``mean`` in
        events a year (``b = shape / mean``).

    Notes
    -----
    For a given shape the likelihood has one maximum in ``b``; the shape is found by a bounded search of its
    logarithm from -7 to 7. Accounts of the same count and time, to a hundredth of a year, enter once, with their
    number.

    Examples
    --------
    >>> gamma_of_rates(np.array([1, 1, 1, 1]), np.ones(4))
    (inf, 1.0)
    """
    if not len(counts) or counts.sum() == 0:
        return math.inf, 0.0
    steps = np.maximum(np.rint(np.minimum(years, _LONGEST_YEARS) / _STEP), 1.0).astype(np.int64)
    pairs, weight = np.unique(counts * _STEPS + steps, return_counts=True)
    y, t = (pairs // _STEPS).astype(np.float64), _STEP * (pairs % _STEPS)
    pooled = float(weight @ y / (weight @ t))
    excess = weight @ (np.square(y - pooled * t) - y)
    if excess <= 0.0:  # the slope of the likelihood toward unequal rates
        return math.inf, pooled

    def rate_of(shape: float) -> float:
        def slope(log_rate: float) -> float:
            return float(weight @ (shape - (shape + y) * math.exp(log_rate) / (math.exp(log_rate) + t)))

        return math.exp(optimize.brentq(slope, -40.0, 40.0, xtol=1e-10))

    def loss(log_shape: float) -> float:
        shape = math.exp(log_shape)
        rate = rate_of(shape)
        terms = special.gammaln(shape + y) - special.gammaln(shape) - shape * np.log1p(t / rate) - y * np.log(rate + t)
        return -float(weight @ terms)

    found = optimize.minimize_scalar(loss, bounds=_LOG_SHAPES, method="bounded", options={"xatol": 1e-6})
    if found.x > _LOG_SHAPES[1] - 1e-3:
        return math.inf, pooled
    shape = math.exp(found.x)
    return shape, shape / rate_of(shape)


def check_credit(credit: Any) -> tuple[float, ...] | None:
    """Shares of credit by depth; None stays None, which means: shown, not added.

    Parameters
    ----------
    credit : None, float, or sequence of float
        One number is the share for direct referrals; several are for one step below, two steps, and so on.

    Returns
    -------
    tuple of float, or None

    Raises
    ------
    DomainError
        If it is empty, or a share is no number from 0 to 1.

    Examples
    --------
    >>> check_credit(0.5), check_credit([0.5, 0.2]), check_credit(None)
    ((0.5,), (0.5, 0.2), None)
    """
    if credit is None:
        return None
    if isinstance(credit, (str, bytes)) or not isinstance(credit, (Sequence, np.ndarray)):
        shares: list[Any] = [credit]
    else:
        shares = list(credit)
    if not shares:
        raise DomainError("referral_credit must hold a share at least.", value=repr(credit), remedy="Or pass None.")
    found = tuple(finite_number(share, "referral_credit") for share in shares)
    if any(not 0.0 <= share <= 1.0 for share in found):
        raise DomainError("referral_credit must lie between 0 and 1 at each depth.", value=repr(credit))
    return found


def referral_table(
    accounts: Accounts,
    *,
    value: ArrayLike | None = None,
    revenue_to_date: ArrayLike | None = None,
    credit: float | Sequence[float] | None = None,
    newcomer_value: float | None = None,
    years_observed: ArrayLike | None = None,
    horizon_years: ArrayLike | None = None,
) -> pd.DataFrame:
    r"""What each account brought, and may bring, through the accounts it refers.

    Parameters
    ----------
    accounts : Accounts
    value : array_like, shape (account,), optional
        Each account's own forecast value; discounted money.
    revenue_to_date : array_like, shape (account,), optional
        Each account's own revenue so far.
    credit : float or sequence of float, optional
        As in ``check_credit``.
    newcomer_value : float, optional
        Value of one new customer from its first order to the horizon.
    years_observed : array_like, shape (account,), optional
        How long each account has been a customer; in years.
    horizon_years : float or array_like, shape (account,), optional
        Length of the time ahead in years; by account: the years within it that it is expected to stay a customer.

    Returns
    -------
    DataFrame
        One row per account in the order of ``accounts``. A column is absent where what it needs is; nothing but
        ``customer_id`` is there when no referral was recorded.

        ============================== ===========================================================================
        customer_id
        referred_accounts              accounts it referred itself
        referred_all                   accounts below it at any depth
        referred_revenue_to_date       their revenue so far, all depths, each in full
        revenue_with_referrals         its own revenue so far and theirs
        forward_referral_value         credited forecast value of accounts below it; without ``credit`` that of its
                                       direct referrals in full, to be shown and not added
        expected_future_referrals      new accounts it is expected to refer within the time ahead
        expected_future_referral_value their value
        ============================== ===========================================================================

    Raises
    ------
    InputError
        If referrals run in a circle.
    DomainError
        If an array does not have one value per account, ``credit`` is outside [0, 1], years are negative, or
        ``newcomer_value`` is not finite.

    Notes
    -----
    *What may be added up.* A portfolio's total is the sum of the accounts' own values and nothing else: each referred
    account's value stands in its own row already. ``forward_referral_value`` and ``revenue_with_referrals`` say which
    account that value came through (attribution); they order accounts, and summing them counts the same money again.
    *What may enter spend.* Accounts already referred are there whatever is spent now. Only
    ``expected_future_referral_value`` can be caused by what is done next, and only as far as what is done causes it.

    Future referrals: an account refers at rate :math:`\lambda_i` a year, :math:`\lambda_i \sim` Gamma(a, b) over the
    base, both fitted to the counts of direct referrals; expected are :math:`(a + y_i) / (b + t_i)` a year. The years
    observed count whether or not the account was still a customer through them, so with a time ahead cut down to the
    years it stays one the number leans low rather than high.

    Examples
    --------
    >>> table = pd.DataFrame({"customer_id": ["A", "B", "a", "b"], "referred_by": [None, None, "A", "B"]})
    >>> found = referral_table(Accounts(table=table), revenue_to_date=[100e3, 30e3, 40e3, 250e3])
    >>> found[["customer_id", "referred_accounts", "revenue_with_referrals"]].head(2)
      customer_id  referred_accounts  revenue_with_referrals
    0           A                  1                140000.0
    1           B                  1                280000.0
    """
    shares = check_credit(credit)
    size = len(accounts.table)
    own_value = _per_account(value, size, "value")
    revenue = _per_account(revenue_to_date, size, "revenue_to_date")
    past = _per_account(years_observed, size, "years_observed", least=0.0)
    ahead = _per_account(horizon_years, size, "horizon_years", least=0.0, broadcast=True)
    referrals = referrals_of(accounts)
    table = pd.DataFrame({columns.CUSTOMER_ID: accounts.ids.to_numpy(copy=True)})
    if not referrals.known:
        return table
    direct = np.bincount(referrals.parent[referrals.parent >= 0], minlength=size)
    table["referred_accounts"] = direct.astype(np.int64)
    table["referred_all"] = np.rint(referrals.sums_below(np.ones(size))).astype(np.int64)
    if revenue is not None:
        table["referred_revenue_to_date"] = referrals.sums_below(revenue)
        table["revenue_with_referrals"] = revenue + table["referred_revenue_to_date"]
    if own_value is not None:
        table["forward_referral_value"] = referrals.sums(own_value, (1.0,) if shares is None else shares)
    if past is not None and ahead is not None:
        table["expected_future_referrals"] = expected_counts(direct, past, ahead)
        if newcomer_value is not None:
            each = finite_number(newcomer_value, "newcomer_value")
            table["expected_future_referral_value"] = table["expected_future_referrals"] * each
    return table


def _per_account(
    values: ArrayLike | None, size: int, name: str, *, least: float = -math.inf, broadcast: bool = False
) -> NDArray[np.float64] | None:
    if values is None:
        return None
    found = np.asarray(values, dtype=np.float64)
    if broadcast and found.ndim == 0:
        found = np.full(size, float(found))
    if found.shape != (size,):
        raise DomainError(f"{name} must have one value per account ({size:,}).", value=f"shape {found.shape}")
    if not bool(np.all((found >= least) | np.isnan(found))):
        raise DomainError(f"{name} must be at least {least:g}.", value=float(np.nanmin(found)))
    return found
