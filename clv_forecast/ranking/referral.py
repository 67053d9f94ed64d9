"""What accounts bring through those they refer: credit by depth, sums to date, and the referrals to come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.referral_forest import Referrals as Referrals
from clv_forecast.ranking.referral_forest import referrals_of as referrals_of
from clv_forecast.ranking.referral_rate import expected_counts


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
