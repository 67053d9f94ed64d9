"""Wallets: what accounts could bring in a year, given by the business or estimated from their peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.net_lines import category_revenue
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.progress import Progress, silent
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.outlook import Floats, Outlook
from clv_forecast.ranking.peers import Peers, reachable_revenue
from clv_forecast.ranking.whitespace import Whitespace, whitespace
from clv_forecast.units import years_back

WalletSource = Literal["auto", "given", "peers", "whitespace"]
GIVEN: Final = "given"
WHITESPACE: Final = "whitespace"
WALLET_TITLES: Final = {GIVEN: "wallet", WHITESPACE: "revenue with open categories"}
"""What a wallet is called by its source; all others come from peers: ``REACHABLE``."""
REACHABLE: Final = "reachable revenue with us"
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
    lower, upper : ndarray
        Ends of the band that the business gave; NaN elsewhere.
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
    lower: Floats
    upper: Floats
    given: Floats
    source: NDArray[np.object_]
    peers: NDArray[np.intp]
    whitespace: Whitespace | None
    notes: tuple[str, ...]

    def band(self, annual_revenue: Floats, prob: float) -> tuple[Floats, Floats]:
        """Band of the wallet, as given or of the estimate, not below what is expected; missing where not known."""
        spread = np.exp(float(ndtri((1.0 + prob) / 2.0)) * self.log_sd)
        lower = np.where(np.isnan(self.lower), self.estimate / spread, self.lower)
        upper = np.where(np.isnan(self.upper), self.estimate * spread, self.upper)
        return np.maximum(lower, annual_revenue), np.maximum(upper, annual_revenue)


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
    *,
    options: WalletOptions,
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
    names = list(accounts.attributes())
    if options.segment is not None and options.segment not in accounts.table.columns:
        raise DomainError(
            "segment must be a column of the accounts.",
            value=repr(options.segment),
            remedy=f"Attributes: {', '.join(names) or 'none'}.",
        )
    if options.segment is not None and options.segment not in names:
        names.append(options.segment)
    source = options.source
    gaps, gap_note = _whitespace(history, accounts, outlook, segment=options.segment)
    size = len(accounts.table)
    wallet, log_sd = np.full(size, np.nan), np.full(size, np.nan)
    labels, peers = np.full(size, None, dtype=object), np.zeros(size, dtype=np.intp)
    given = _given(accounts)
    notes = list(accounts.notes)
    if source in ("auto", "given"):
        if source == "given" and np.isnan(given.wallet).all():
            raise InputError("source='given' needs a wallet for some account.", remedy="Fill the column 'wallet'.")
        known = np.isfinite(given.wallet)
        wallet[known], log_sd[known], labels[known] = given.wallet[known], given.log_sd[known], GIVEN
        short = int((given.wallet[known] < outlook.annual_revenue[known]).sum())
        if short:
            notes.append(
                f"{short:,} wallets given are below what the account is expected to bring, and were raised to it."
            )
    use_gaps = source == "whitespace" or (source == "auto" and not names and gaps is not None)
    if source == "whitespace" and gaps is None:
        raise InputError("source='whitespace' needs categories in the log.", remedy=gap_note)
    rest = np.isnan(wallet)
    if use_gaps and gaps is not None:
        found = np.isfinite(gaps.wallet) & rest
        wallet[found], labels[found] = gaps.wallet[found], WHITESPACE
    elif source in ("auto", "peers") and rest.any():
        others = _peers(accounts, outlook, names, options=options, progress=progress)
        found = np.isfinite(others.wallet) & rest
        for target, values in ((wallet, others.wallet), (log_sd, others.log_sd), (labels, others.source)):
            target[found] = values[found]
        peers[found] = others.peers[found]
        notes.extend(others.notes)
    notes.extend([f"No whitespace by category: {gap_note}"] if gaps is None else gaps.notes)
    return Wallets(
        wallet=np.maximum(wallet, outlook.annual_revenue),
        estimate=wallet,
        log_sd=log_sd,
        lower=np.where(labels == GIVEN, given.lower, np.nan),
        upper=np.where(labels == GIVEN, given.upper, np.nan),
        given=given.wallet,
        source=labels,
        peers=peers,
        whitespace=gaps,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Given:
    """What the business gave; NaN where it gave nothing."""

    wallet: Floats
    lower: Floats
    upper: Floats

    @property
    def log_sd(self) -> Floats:
        """Standard deviation of the logarithm that the ends stand for; of one end alone where the other is missing."""
        z = float(ndtri((1.0 + GIVEN_PROB) / 2.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            below, above = np.log(self.wallet / self.lower) / z, np.log(self.upper / self.wallet) / z
        known = np.stack([np.where(np.isfinite(side), side, np.nan) for side in (below, above)])
        count = np.isfinite(known).sum(axis=0)
        mean = np.divide(np.nansum(known, axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
        return np.asarray(mean)


def _given(accounts: Accounts) -> _Given:
    unknown = np.full(len(accounts.table), np.nan)
    found = [accounts.numbers(name, least=0.0) for name in (columns.WALLET, columns.WALLET_LOWER, columns.WALLET_UPPER)]
    wallet, lower, upper = (unknown if values is None else values for values in found)
    bad = (lower > wallet) | (upper < wallet)
    if bad.any():
        raise InputError(
            "A wallet must lie between its wallet_low and wallet_high.",
            value=f"{lower[bad][0]:g} to {upper[bad][0]:g} around {wallet[bad][0]:g}",
            customer_ids=accounts.ids[bad],
        )
    return _Given(wallet=wallet, lower=lower, upper=upper)


def _peers(
    accounts: Accounts,
    outlook: Outlook,
    names: list[str],
    *,
    options: WalletOptions,
    progress: Progress,
) -> Peers:
    return reachable_revenue(
        outlook.annual_revenue,
        outlook.p_alive,
        accounts.table[names],
        ids=accounts.ids,
        quantile=options.quantile,
        segment=options.segment,
        seed=options.seed,
        progress=progress,
    )


def _whitespace(
    history: PurchaseHistory, accounts: Accounts, outlook: Outlook, *, segment: str | None
) -> tuple[Whitespace | None, str]:
    """Categories not bought in the last year; None, and why, where the log knows no categories."""
    after = years_back(history.as_of)
    try:
        bought = category_revenue(history, after=after)
    except InputError as error:
        return None, str(error)
    if bought.empty:
        return None, "Nothing was bought in the last year."
    groups = accounts.table[segment].astype("string").to_numpy(dtype=object) if segment else None
    gaps = whitespace(bought, accounts.ids, outlook.annual_revenue, groups=groups, weight=outlook.p_alive)
    return gaps, ""
