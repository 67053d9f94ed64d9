"""Wallets: what accounts could bring in a year, given by the business or estimated from their peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.categories import category_revenue
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.progress import Progress, silent
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.outlook import Floats, Outlook
from clv_forecast.ranking.peers import Peers, reachable_revenue
from clv_forecast.ranking.whitespace import Whitespace, whitespace
from clv_forecast.units import DAYS_PER_YEAR

WalletSource = Literal["auto", "given", "peers", "whitespace"]
GIVEN: Final = "given"
WHITESPACE: Final = "whitespace"
GIVEN_PROB: Final = 0.9
"""``wallet_low`` and ``wallet_high`` are read as the ends of a 90 % band."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wallets:
    """What every account could bring in a year; arrays of shape (account,).

    Parameters
    ----------
    wallet : ndarray
        Annual revenue; NaN where nothing is known. Not below what the account is expected to bring by itself.
    estimate : ndarray
        The same as it was given or estimated, where it may be.
    log_sd : ndarray
        Uncertainty of the logarithm of the estimate: the band given, or the estimation error; NaN where it is not
        known (a wallet given without low and high, whitespace).
    given : ndarray
        The wallet that the business gave, as it is; NaN elsewhere.
    source : ndarray of str
        None where there is no wallet.
    peers : ndarray of int
        How many other accounts it rests on.
    whitespace : Whitespace or None
        Categories not bought, where the log knows categories.
    notes : tuple of str
    """

    wallet: Floats
    estimate: Floats
    log_sd: Floats
    given: Floats
    source: NDArray[np.object_]
    peers: NDArray[np.intp]
    whitespace: Whitespace | None
    notes: tuple[str, ...]

    def band(self, annual_revenue: Floats, prob: float) -> tuple[Floats, Floats]:
        """Band of the wallet, not below what the account is expected to bring; missing where its error is not known."""
        z = float(ndtri((1.0 + prob) / 2.0))
        spread = np.exp(z * self.log_sd)
        return np.maximum(self.estimate / spread, annual_revenue), np.maximum(self.estimate * spread, annual_revenue)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletOptions:
    """How wallets are found: ``source``, ``quantile`` of the peers' revenue, ``segment`` of few peers, ``seed``."""

    source: WalletSource
    quantile: float
    segment: str | None
    seed: int


def check_source(source: str) -> WalletSource:
    """Return ``source`` when it is known.

    Raises
    ------
    DomainError
        Otherwise.
    """
    if source not in get_args(WalletSource):
        raise DomainError(f"source must be one of {', '.join(get_args(WalletSource))}.", value=repr(source))
    return source  # type: ignore[return-value]


def wallets_of(
    history: PurchaseHistory,
    accounts: Accounts,
    outlook: Outlook,
    options: WalletOptions,
    *,
    progress: Progress = silent,
) -> Wallets:
    """Wallet of every account: given where the business gave one, else from peers, else from categories not bought.

    Parameters
    ----------
    history : PurchaseHistory
    accounts : Accounts
    outlook : Outlook
    options : WalletOptions
        The source ``"auto"`` takes what is given, and peers for the others; where the accounts have no attributes but
        the log has categories, whitespace instead of peers.
    progress : callable

    Raises
    ------
    InputError
        If a wallet given is negative or outside its own band, or the source asked for has nothing to go by.
    """
    source = options.source
    gaps, gap_note = _whitespace(history, accounts, outlook, options.segment)
    size = len(accounts.table)
    wallet, log_sd = np.full(size, np.nan), np.full(size, np.nan)
    labels, peers = np.full(size, None, dtype=object), np.zeros(size, dtype=np.intp)
    given, given_sd = _given(accounts)
    notes = list(accounts.notes)
    if source in ("auto", "given"):
        if source == "given" and np.isnan(given).all():
            raise InputError("source='given' needs a wallet for some account.", remedy="Fill the column 'wallet'.")
        known = np.isfinite(given)
        wallet[known], log_sd[known], labels[known] = given[known], given_sd[known], GIVEN
    names = list(accounts.attributes())
    use_gaps = source == "whitespace" or (source == "auto" and not names and gaps is not None)
    if source == "whitespace" and gaps is None:
        raise InputError("source='whitespace' needs categories in the log.", remedy=gap_note)
    rest = np.isnan(wallet)
    if use_gaps and gaps is not None:
        found = np.isfinite(gaps.wallet) & rest
        wallet[found], labels[found] = gaps.wallet[found], WHITESPACE
    elif source in ("auto", "peers") and rest.any():
        others = _peers(accounts, outlook, names, options, progress)
        found = np.isfinite(others.wallet) & rest
        for target, values in ((wallet, others.wallet), (log_sd, others.log_sd), (labels, others.source)):
            target[found] = values[found]
        peers[found] = others.peers[found]
        notes.extend(others.notes)
    if gaps is not None:
        notes.extend(gaps.notes)
    return Wallets(
        wallet=np.maximum(wallet, outlook.annual_revenue),
        estimate=wallet,
        log_sd=log_sd,
        given=given,
        source=labels,
        peers=peers,
        whitespace=gaps,
        notes=tuple(notes),
    )


def _given(accounts: Accounts) -> tuple[Floats, Floats]:
    """Wallets given, and the standard deviation of their logarithm that low and high stand for."""
    size = len(accounts.table)
    given = accounts.numbers(columns.WALLET, least=0.0)
    if given is None:
        return np.full(size, np.nan), np.full(size, np.nan)
    low, high = (accounts.numbers(name, least=0.0) for name in (columns.WALLET_LOWER, columns.WALLET_UPPER))
    if low is None or high is None:
        return given, np.full(size, np.nan)
    bad = (low > given) | (high < given)
    if bad.any():
        raise InputError(
            "A wallet must lie between its wallet_low and wallet_high.",
            value=f"{low[bad][0]:g} to {high[bad][0]:g} around {given[bad][0]:g}",
            customer_ids=accounts.ids[bad],
        )
    both = np.isfinite(low) & np.isfinite(high) & (low > 0.0)
    ratio = np.divide(high, low, out=np.full(size, np.nan), where=both)
    return given, np.log(ratio) / (2.0 * float(ndtri((1.0 + GIVEN_PROB) / 2.0)))


def _peers(
    accounts: Accounts,
    outlook: Outlook,
    names: list[str],
    options: WalletOptions,
    progress: Progress,
) -> Peers:
    return reachable_revenue(
        outlook.annual_revenue,
        outlook.p_alive,
        accounts.table[names],
        accounts.ids,
        quantile=options.quantile,
        segment=options.segment,
        seed=options.seed,
        progress=progress,
    )


def _whitespace(
    history: PurchaseHistory, accounts: Accounts, outlook: Outlook, segment: str | None
) -> tuple[Whitespace | None, str]:
    """Categories not bought in the last year; None, and why, where the log knows no categories."""
    after = history.as_of - pd.Timedelta(days=round(DAYS_PER_YEAR))
    try:
        bought = category_revenue(history, after=after)
    except InputError as error:
        return None, str(error)
    if bought.empty:
        return None, "Nothing was bought in the last year."
    groups = accounts.table[segment].astype("string").to_numpy(dtype=object) if segment else None
    gaps = whitespace(bought, accounts.ids, outlook.annual_revenue, groups, weight=outlook.p_alive)
    return gaps, ""
