"""Table ``metrics``: what is known of each account today, each measure only where the data allow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.history.audit import counted
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts, accounts_of
from clv_forecast.ranking.current import trailing_revenue
from clv_forecast.ranking.growth import growth_of_business
from clv_forecast.ranking.log_as_history import log_as_history
from clv_forecast.ranking.past_margin import past_margin
from clv_forecast.ranking.product_density import product_density
from clv_forecast.ranking.referral import referral_table, referrals_of
from clv_forecast.ranking.trailing_sums import TrailingSums, trailing_sums

Floats = NDArray[np.float64]

_MARGINS: Final = ("auto", "log", "accounts", None)
_WITHOUT: Final = {
    "acv_contracted": f"a column {columns.CONTRACTED} of the accounts",
    "big_logo": f"a column {columns.BIG_LOGO} of the accounts",
    "lighthouse": f"a column {columns.LIGHTHOUSE} of the accounts",
    "advocacy": f"a column {columns.ADVOCACY} of the accounts",
}


def account_metrics(
    transactions: Any,
    accounts: Any = None,
    *,
    as_of: Any = None,
    category: str | None = "category",
    margin: str | None = "auto",
    prob: float = 0.9,
) -> pd.DataFrame:
    """Measure each account's business so far: size, margin, growth, breadth, referrals, standing.

    Parameters
    ----------
    transactions : PurchaseHistory, or an order log as ``purchase_history`` takes it
        A log has customer_id, date and amount; order_id, margin (money), currency and recorded_at are used when
        they are there. Make a history for anything else (other names, rates, a time zone).
    accounts : table with one row per account, or Accounts, optional
        Default: the customers' table of the history.
    as_of : date, Timestamp or ISO text
        Last day that counts. Needed for a log; a history has its own.
    category : str or None
        Column of the log with the product group or product; ``"category"`` may be missing, any other may not. Of a
        history the one it was made with; None leaves product density out.
    margin : {"auto", "log", "accounts", None}
        Where margins come from: the log's money where it is known and otherwise the rate in the accounts' table, only
        one of them, or nowhere.
    prob : float
        Probability of the interval of ``cagr``.

    Returns
    -------
    DataFrame
        One row per account in the order of the history (by id). A column is absent where the data do not allow it for
        any account, and missing (never zero) where not for that account; ``attrs["notes"]`` says why, and what would
        bring it.

        ========================= ==================================================================================
        customer_id, as_of
        currency                  missing where nothing names it
        acv                       annual contract value: revenue of the trailing 12 months, net of refunds
        acv_contracted            what the accounts' table gives, where the contract has not ended
        acv_margin                margin in money of the trailing 12 months; may be negative
        acv_margin_rate           the same as a share of ``acv``
        margin_source             "log" or "rate" (of the accounts' table)
        revenue_to_date           lifetime value to date: all revenue so far, net of refunds
        margin_to_date            its margin in money
        cagr                      compound annual growth from the first full year to the last
                                  (``growth.growth_of_business``); missing with fewer than two, or a zero base
        cagr_lower, cagr_upper    interval of the growth of what is expected in a year, of probability ``prob``
        cagr_years                full years seen
        categories_bought, categories_on_offer, product_density, product_density_before, product_density_change,
        new_categories, upsell_revenue
                                  breadth and upselling (``product_density.product_density``)
        referred_accounts         accounts it referred itself
        referred_revenue_to_date  revenue so far of all accounts below it in chains of referrals, each in full
        revenue_with_referrals    own and referred revenue so far: who brought it, so its sum counts money twice
        rank_with_referrals       place by that, 1 is the largest; equal revenue shares the better place
        big_logo, lighthouse      as the accounts' table says
        advocacy                  as the accounts' table says, a number
        share_of_wallet           ``acv`` / the wallet given; above 1 the wallet given is too small
        ========================= ==================================================================================

    Raises
    ------
    DomainError
        If ``as_of`` is missing for a log or given beside a history, or an option is outside its domain.
    InputError
        If the log or the accounts' table breaks a rule: see ``purchase_history`` and ``accounts_of``; if a margin
        rate lies outside [-10, 1], a wallet is negative, a flag is neither yes nor no, or referrals run in a circle.

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "customer_id": ["a", "a", "b"],
    ...     "date": ["2023-06-01", "2024-06-01", "2024-07-01"],
    ...     "amount": [80.0, 120.0, 50.0],
    ... })
    >>> known = pd.DataFrame({"customer_id": ["a", "b"], "wallet": [400.0, None], "big_logo": [True, False]})
    >>> table = account_metrics(log, known, as_of="2024-12-31")
    >>> table[["customer_id", "acv", "revenue_to_date", "big_logo", "share_of_wallet"]]
      customer_id    acv  revenue_to_date  big_logo  share_of_wallet
    0           a  120.0            200.0      True              0.3
    1           b   50.0             50.0     False              NaN
    >>> "acv_margin" in table, table.attrs["notes"][0]
    (False, 'No margin: a column margin of the log (money) or of the accounts (rate) would bring it.')
    """
    if margin not in _MARGINS:
        raise DomainError("margin must be 'auto', 'log', 'accounts' or None.", value=repr(margin))
    history = log_as_history(transactions, as_of=as_of, category=category, margin=margin)
    known = accounts_of(history, accounts)
    table = pd.DataFrame({columns.CUSTOMER_ID: history.table[columns.CUSTOMER_ID].to_numpy(copy=True)})
    table["as_of"], table[columns.CURRENCY] = history.as_of, history.currency
    notes = list(known.notes)
    past = _past(history, known, category=category, margin=margin)
    _money(table, past, notes, margin=margin)
    _business(table, past, notes, prob=prob, category=category)
    _referrals(table, known, notes)
    _standing(table, known, notes)
    table.attrs["notes"] = notes
    return table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Past:
    """What the measures are taken from; the parts that the log cannot give are None."""

    history: PurchaseHistory
    accounts: Accounts
    purchases: pd.DataFrame | None
    sums: TrailingSums | None
    trailing: Floats | None
    has_category: bool
    has_margin: bool


def _past(history: PurchaseHistory, accounts: Accounts, *, category: str | None, margin: str | None) -> _Past:
    named = () if history.events is None else history.events.source.table.columns
    has_category = category is not None and columns.CATEGORY in named
    has_margin = margin in ("auto", "log") and columns.MARGIN in named
    purchases = None if history.events is None else history.purchases()
    return _Past(
        history=history,
        accounts=accounts,
        purchases=purchases,
        sums=trailing_sums(history) if has_category or has_margin else None,
        trailing=trailing_revenue(history, purchases=purchases),
        has_category=has_category,
        has_margin=has_margin,
    )


def _money(table: pd.DataFrame, past: _Past, notes: list[str], *, margin: str | None) -> None:
    """Fill revenue and margin."""
    history = past.history
    if past.purchases is None:
        notes.append("The history was made from a summary: what needs its orders is left out.")
    elif past.trailing is None:
        notes.append("No annual contract value (acv): the log is shorter than 12 months.")
    accounts = past.accounts
    if margin in ("log", None):
        accounts = Accounts(table=accounts.table.drop(columns=columns.MARGIN, errors="ignore"))
    known = past_margin(history, accounts, sums=past.sums if past.has_margin else None, trailing=past.trailing)
    _add(table, "acv", past.trailing)
    _add(table, "acv_contracted", _contracted(history, past.accounts))
    if known is not None:
        _add(table, "acv_margin", known.trailing)
        _add(table, "acv_margin_rate", known.rate)
        table["margin_source"] = known.source
    elif margin is not None:
        notes.append("No margin: a column margin of the log (money) or of the accounts (rate) would bring it.")
    _add(table, "revenue_to_date", history.table[columns.TOTAL_REVENUE].to_numpy(dtype=np.float64))
    _add(table, "margin_to_date", None if known is None else known.to_date)


def _business(table: pd.DataFrame, past: _Past, notes: list[str], *, prob: float, category: str | None) -> None:
    """Fill growth and breadth."""
    if past.purchases is None:
        return
    acquired = past.accounts.dates(columns.ACQUIRED_ON)
    growth = growth_of_business(past.history, prob=prob, purchases=past.purchases, acquired=acquired)
    if growth["cagr"].notna().any():
        for name in growth.columns[1:]:
            table[name] = growth[name]
    else:
        notes.append("No growth: no account was there for two full years and bought something in the first of them.")
    if past.has_category:
        breadth, said = product_density(past.history, sums=past.sums)
        notes.extend(said)
        for name in breadth.columns[1:]:
            _add(table, str(name), breadth[name].array)
    elif category is not None:
        notes.append("No product density: a column category of the log would bring it.")


def _contracted(history: PurchaseHistory, accounts: Accounts) -> Floats | None:
    """Annual value by contract; missing where the contract has ended."""
    value, ends = accounts.numbers(columns.CONTRACTED, least=0.0), accounts.dates(columns.CONTRACT_END)
    if value is None or ends is None:
        return value
    return np.where((ends < history.as_of).to_numpy(), np.nan, value)


def _referrals(table: pd.DataFrame, accounts: Accounts, notes: list[str]) -> None:
    found = referrals_of(accounts)
    notes.extend(found.notes)
    if not found.known:
        return
    revenue = table.get("revenue_to_date")
    referred = referral_table(accounts, revenue_to_date=revenue)
    for name in ("referred_accounts", "referred_revenue_to_date", "revenue_with_referrals"):
        if name in referred:
            table[name] = referred[name].to_numpy()
    if "revenue_with_referrals" in table:
        place = table["revenue_with_referrals"].rank(method="min", ascending=False)
        table["rank_with_referrals"] = place.astype("Int64")


def _standing(table: pd.DataFrame, accounts: Accounts, notes: list[str]) -> None:
    for name in (columns.BIG_LOGO, columns.LIGHTHOUSE):
        flags = accounts.flags(name)
        if flags is not None:
            table[name] = flags.to_numpy() if flags.notna().all() else flags.array
    _add(table, columns.ADVOCACY, accounts.numbers(columns.ADVOCACY))
    wallet = accounts.numbers(columns.WALLET, least=0.0)
    if wallet is None:
        notes.append(f"No share of wallet: a column {columns.WALLET} of the accounts (annual revenue) would bring it.")
    elif "acv" not in table:
        notes.append("No share of wallet: it needs the revenue of the trailing 12 months.")
    else:
        share = np.divide(table["acv"], wallet, out=np.full(len(wallet), np.nan), where=wallet > 0.0)
        _add(table, "share_of_wallet", share)
        over = int((share > 1.0).sum())
        if over:
            of = counted(int((wallet > 0.0).sum()), "wallet")
            notes.append(f"{over:,} of {of} given {'is' if over == 1 else 'are'} smaller than the revenue with us.")
        empty = int((wallet == 0.0).sum())
        if empty:
            is_0 = "is 0" if empty == 1 else "are 0"
            notes.append(f"{counted(empty, 'wallet')} given {is_0}, of which nothing can be a share.")
    absent = [f"{name} ({bringer})" for name, bringer in _WITHOUT.items() if name not in table]
    if absent:
        notes.append(f"Absent, and what would bring them: {', '.join(absent)}.")


def _add(table: pd.DataFrame, name: str, values: Any) -> None:
    """Add a column, unless nothing is known of it."""
    if values is not None and bool(pd.notna(values).any()):
        table[name] = values
