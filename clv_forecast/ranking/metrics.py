"""Table ``metrics``: what is known of each account today, each measure only where the data allow it.

How much of what is on offer an account buys, how that changes, and what it bought for the first time lately.

An order log under this package's own column names, as a history: what is there is used, what is not is left out.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.history.audit import counted
from clv_forecast.history.cleaning import EPOCH
from clv_forecast.history.net_lines import no_category
from clv_forecast.history.purchase_history import PurchaseHistory, purchase_history
from clv_forecast.ranking.accounts import Accounts, accounts_of
from clv_forecast.ranking.growth import growth_of_business
from clv_forecast.ranking.referral import referral_table, referrals_of
from clv_forecast.ranking.trailing import (
    BEFORE,
    EVER,
    LATEST,
    TrailingSums,
    past_margin,
    trailing_revenue,
    trailing_sums,
)
from clv_forecast.tables.source import column_names

_MUCH_UNKNOWN: Final = 0.01
"""From this share of revenue without a category on, a note says so."""


def product_density(
    history: PurchaseHistory, *, sums: TrailingSums | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Share of the categories on offer that each account buys, its trend, and upselling.

    Parameters
    ----------
    history : PurchaseHistory
        Made with a category column.
    sums : TrailingSums, optional
        ``trailing_sums(history)``, when it was made already.

    Returns
    -------
    table : DataFrame
        One row per customer in the order of the history. On offer is what anybody bought in the same time.

        ======================== ===================================================================================
        customer_id
        categories_bought        categories bought in the trailing 12 months (of a shorter log: in all of it)
        categories_on_offer      how many there were
        product_density          their ratio, 0 to 1
        product_density_before   the same of the 12 months before; missing for accounts that were none yet
        product_density_change   the difference; missing unless the account was one throughout the 12 months before
        new_categories           categories first bought in the trailing 12 months, after the account's first order
        upsell_revenue           their revenue
        ======================== ===================================================================================

        The last four are absent where the log is shorter than 24 months: a category not seen before would only be
        older than the log. An account that bought nothing has 0; one that bought only things without a category is
        missing.
    notes : tuple of str

    Raises
    ------
    InputError
        If the log has no category column, or the history was made from a summary.

    Examples
    --------
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": ["a", "a", "a", "b"],
    ...     "date": ["2022-12-01", "2024-02-01", "2024-03-01", "2024-01-08"],
    ...     "amount": [10.0, 20.0, 30.0, 7.0],
    ...     "category": ["tea", "cups", "tea", "spoons"],
    ... })
    >>> table, _ = product_density(purchase_history(log, as_of="2024-12-31", category="category"))
    >>> table[["customer_id", "product_density", "new_categories", "upsell_revenue"]].round(2)
      customer_id  product_density  new_categories  upsell_revenue
    0           a             0.67               1            20.0
    1           b             0.33               0             0.0
    """
    sums = trailing_sums(history) if sums is None else sums
    if not sums.has_category:
        raise no_category()
    start = EPOCH + datetime.timedelta(days=sums.log_start)
    notes = []
    if not sums.has_year:
        notes.append(
            f"Product density is of the whole log, which begins on {start}: it is shorter than 12 months, and with "
            "time every account buys more of what is on offer."
        )
    notes += _unknown_share(sums)
    bought, offer = _counts(sums, LATEST)
    if not offer:
        notes.append("Nobody bought anything with a category lately: there is no offer to have a share of.")
    table = pd.DataFrame({columns.CUSTOMER_ID: history.table[columns.CUSTOMER_ID].to_numpy(copy=True)})
    table["categories_bought"] = pd.Series(bought).astype("Int64")
    table["categories_on_offer"] = offer
    table["product_density"] = bought / offer if offer else np.nan
    if not sums.has_two_years:
        notes.append(f"The trend of product density and upselling need a log of 24 months; this one begins on {start}.")
        return table, tuple(notes)
    before, offer_before = _counts(sums, BEFORE)
    before[sums.first > sums.year] = np.nan
    table["product_density_before"] = before / offer_before if offer_before else np.nan
    change = table["product_density"] - table["product_density_before"]
    table["product_density_change"] = np.where(sums.first <= sums.two_years + 1, change, np.nan)
    number, revenue = _upselling(sums, bought)
    table["new_categories"] = pd.Series(number).astype("Int64")
    table["upsell_revenue"] = revenue
    return table, tuple(notes)


def _counts(sums: TrailingSums, stretch: str) -> tuple[Floats, int]:
    """Categories of each account, NaN where it bought but nothing with a category; and how many were on offer."""
    bought = (sums.table[f"{stretch}_revenue"] > 0.0).to_numpy()
    named = bought & sums.table[columns.CATEGORY].notna().to_numpy()
    size = len(sums.first)
    found = np.bincount(sums.place[named], minlength=size).astype(np.float64)
    active = np.bincount(sums.place[bought], minlength=size) > 0
    found[active & (found == 0)] = np.nan
    return found, int(sums.table.loc[named, columns.CATEGORY].nunique())


def _upselling(sums: TrailingSums, bought: Floats) -> tuple[Floats, Floats]:
    """Number and revenue of new categories; NaN where the past, or the present, is without categories."""
    size = len(sums.first)
    named = sums.table[columns.CATEGORY].notna().to_numpy() & (sums.table[f"{EVER}_revenue"] > 0.0).to_numpy()
    place = sums.place[named]
    day = sums.table.loc[named, "first_day"].to_numpy(dtype=np.int64)
    money = sums.table.loc[named, f"{LATEST}_revenue"].to_numpy(dtype=np.float64)
    new = (day > sums.year) & (day > sums.first[place])
    number = np.bincount(place[new], minlength=size).astype(np.float64)
    revenue = np.bincount(place[new], weights=money[new], minlength=size).astype(np.float64)
    known_before = np.bincount(place[day <= sums.year], minlength=size) > 0
    unknown = np.isnan(bought) | ((sums.first <= sums.year) & ~known_before)
    number[unknown], revenue[unknown] = np.nan, np.nan
    return number, revenue


def _unknown_share(sums: TrailingSums) -> list[str]:
    money = sums.table[f"{LATEST}_revenue"]
    total = float(money.sum())
    missing = float(money[sums.table[columns.CATEGORY].isna()].sum()) / total if total > 0.0 else 0.0
    if missing < _MUCH_UNKNOWN:
        return []
    return [f"{missing:.0%} of the revenue has no category: product density counts only what has one."]


def log_as_history(transactions: Any, *, as_of: Any, category: str | None, margin: str | None) -> PurchaseHistory:
    """Make a history of a log under this package's names, with the columns that are there; a history stays one.

    Parameters
    ----------
    transactions : PurchaseHistory, or an order log as ``purchase_history`` takes it
    as_of : date, Timestamp or ISO text
        For a log only.
    category : str or None
        Column of categories; ``"category"`` may be missing. None: none is wanted.
    margin : str or None
        The log's margin is read for "auto" and "log".

    Returns
    -------
    PurchaseHistory

    Raises
    ------
    DomainError
        If ``as_of`` is missing for a log, or given beside a history.
    InputError
        If the log breaks a rule of ``purchase_history``.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": [5.0], "margin": [2.0]})
    >>> history = log_as_history(log, as_of="2024-12-31", category="category", margin="auto")
    >>> history.table["total_margin"].tolist()
    [2.0]
    """
    if isinstance(transactions, PurchaseHistory):
        if as_of is not None:
            raise DomainError(
                "as_of belongs to a log; a history has its own.",
                value=f"{as_of} beside a history as of {transactions.as_of.date()}",
                remedy="Leave it out, or pass history.split(as_of).calibration.",
            )
        return transactions
    if as_of is None:
        raise DomainError("as_of is needed: the last day that counts.", remedy="Pass for example as_of='2024-12-31'.")
    named = column_names(transactions)
    optional: dict[str, Any] = {
        name: name for name in (columns.ORDER_ID, columns.CURRENCY, columns.RECORDED_AT) if name in named
    }
    if columns.MARGIN in named and margin in ("auto", "log"):
        optional[columns.MARGIN] = columns.MARGIN
    if category is not None and (category != columns.CATEGORY or category in named):
        optional[columns.CATEGORY] = category
    return purchase_history(transactions, as_of=as_of, **optional)


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
