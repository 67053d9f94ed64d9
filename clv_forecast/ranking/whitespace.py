"""Whitespace: what accounts of the same kind buy and an account does not, category by category."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import number_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.streams import customer_keys

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

REVENUE: Final = "revenue"
PEERS_SHARE: Final = "peers_share"
TYPICAL_REVENUE: Final = "typical_revenue"
WHITESPACE: Final = "whitespace"
RANK: Final = "rank"
FEWEST_IN_GROUP: Final = 20
FEWEST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Whitespace:
    """Categories that an account's peers buy and it does not.

    Parameters
    ----------
    table : DataFrame
        customer_id, category, peers_share (share of the peers that buy it, in [0, 1]), typical_revenue (what those
        who do would spend on it in a year at the account's size), whitespace (the product of the two) and rank within
        the account, from 1; in the order of the accounts.
    wallet : ndarray, shape (account,)
        Own revenue and the whitespace of all categories, also of those not in ``table``; NaN where no category is
        known of the account, or there are no peers.
    bought : ndarray of int, shape (account,)
        Number of categories it buys; 0 where none is known.
    on_offer : int
        Number of categories that anybody buys.
    notes : tuple of str
        What a reader should know of it.
    """

    table: pd.DataFrame
    wallet: Floats
    bought: NDArray[np.intp]
    on_offer: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for values in (self.wallet, self.bought):
            values.flags.writeable = False

    def __repr__(self) -> str:
        known = int(np.isfinite(self.wallet).sum())
        return f"<Whitespace: {self.on_offer} categories on offer, known of {known:,} of {self.wallet.size:,} accounts>"


def whitespace(
    bought: pd.DataFrame,
    ids: Any,
    revenue: Floats,
    *,
    groups: Any = None,
    weight: Floats | None = None,
    most_categories: int = 50,
    keep: int = 5,
) -> Whitespace:
    r"""Estimate what each account would spend on categories it does not buy.

    .. math:: \text{whitespace}_{ic} = \frac{\sum_{j \in g, j \ne i} w_j 1\{j \text{ buys } c\}}
        {\sum_{j \in g, j \ne i} w_j} \; m_{gc} \; R_i

    with R the account's own revenue and m the weighted median, over the buyers of the category in the group g, of its
    share of their revenue.

    Parameters
    ----------
    bought : DataFrame
        customer_id, category and revenue of each category that an account buys, over the same time for all. Rows with
        no category, or with revenue of 0 or less, are no purchases.
    ids : sequence, shape (account,)
        Customer ids, each once.
    revenue : ndarray, shape (account,)
        Expected annual revenue of each account given that it is alive; >= 0.
    groups : sequence of labels, shape (account,), optional
        Whose peers are whose; missing is a group of its own. Default: all are peers of all.
    weight : ndarray, shape (account,), optional
        Probability that the account is alive: a peer counts as much as it is likely still a customer. Default: 1.
    most_categories : int
        Categories told apart, those with the most revenue; the others are bought by no peer and count only in
        ``bought`` and ``on_offer``.
    keep : int
        Categories in the table per account; ``wallet`` holds all.

    Returns
    -------
    Whitespace

    Raises
    ------
    InputError
        If a revenue is negative or not finite, a weight lies outside [0, 1], or an id is missing or occurs twice.
    DomainError
        If shapes differ, ``bought`` lacks a column, or a count is below 1.

    Notes
    -----
    A category's share of the buyers' revenue is applied to what the account brings without it: cautious where buyers
    spend most of their money on one category. The estimate knows nothing of what an account buys elsewhere: it is
    revenue reachable with us, not a share of its wallet. Groups of fewer than 20 accounts use the whole base.

    Examples
    --------
    >>> ids = range(20)
    >>> log = pd.DataFrame({"customer_id": [*ids, *range(15)], "category": ["ink"] * 20 + ["paper"] * 15})
    >>> gaps = whitespace(log.assign(revenue=[60.0] * 20 + [40.0] * 15), ids, [100.0] * 20)
    >>> gaps.table.drop(columns="whitespace").head(1).round(3).to_dict("records")
    [{'customer_id': 15, 'category': 'paper', 'peers_share': 0.789, 'typical_revenue': 40.0, 'rank': 1}]
    """
    index = pd.Index(ids)
    most, kept = number_of(most_categories, "most_categories"), number_of(keep, "keep")
    revenue = _amounts(revenue, index, "Expected revenue must be finite and at least 0.", most=np.inf)
    ones = np.ones(index.size)
    weight = ones if weight is None else _amounts(weight, index, "weight must be a probability.", most=1.0)
    labels = np.zeros(index.size, dtype=np.intp) if groups is None else _group_codes(groups, index.size)
    order = np.argsort(customer_keys(0, index), kind="stable")  # sums come in one order, whatever that of the rows
    lines, notes = _lines(bought, index[order])
    count = np.bincount(lines["account"], minlength=index.size).astype(np.intp)
    known = count > 0
    wallet = np.full(index.size, np.nan)
    found: list[pd.DataFrame] = []
    if (known & (weight[order] > 0.0)).sum() < FEWEST:
        notes.append(f"{FEWEST} accounts with known categories are needed to find whitespace.")
    else:
        if not known.all():
            notes.append(
                f"No purchase in a known category of {int((~known).sum()):,} accounts: they have no whitespace."
            )
        told = _told_apart(lines, most, notes)
        for members, peers in _parts(labels[order], known, weight[order], notes=notes):
            total, table = _gaps_of_group(told, members, peers, revenue=revenue[order], weight=weight[order], kept=kept)
            wallet[members] = revenue[order][members] + total
            found.append(table)
    back = np.argsort(order)
    return Whitespace(
        table=_table(found, index, order),
        wallet=wallet[back],
        bought=count[back],
        on_offer=int(lines[columns.CATEGORY].nunique()),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ToldApart:
    """Purchases of the categories told apart: account, category (code), and its share of the account's revenue."""

    account: Codes
    category: Codes
    share: Floats
    names: list[Any]


def _amounts(values: Any, ids: pd.Index, rule: str, *, most: float) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (ids.size,):
        raise DomainError("revenue and weight need one entry per id.", value=f"{found.shape} for {ids.size} ids")
    if ids.hasnans or not ids.is_unique:
        raise InputError("Each account needs an id of its own.", customer_ids=ids[ids.duplicated() | ids.isna()])
    bad = ~((found >= 0.0) & (found <= most) & np.isfinite(found))
    if bad.any():
        raise InputError(rule, value=found[bad][0], customer_ids=ids[bad])
    return found


def _lines(bought: pd.DataFrame, ids: pd.Index) -> tuple[pd.DataFrame, list[str]]:
    """One line per account and category with revenue above 0, the account as its place in ``ids``."""
    lacking = [name for name in (columns.CUSTOMER_ID, columns.CATEGORY, REVENUE) if name not in bought.columns]
    if lacking:
        raise DomainError(f"bought needs the columns {', '.join(lacking)}.", value=list(bought.columns))
    money = pd.to_numeric(bought[REVENUE], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(money).all():
        bad = bought[columns.CUSTOMER_ID][~np.isfinite(money)]
        raise InputError("Revenue of a category must be a finite number.", customer_ids=bad)
    place = ids.get_indexer(pd.Index(bought[columns.CUSTOMER_ID]))
    category = bought[columns.CATEGORY].astype("object").to_numpy()
    lines = pd.DataFrame({"account": place, columns.CATEGORY: category, REVENUE: money})
    strangers = int(np.unique(bought[columns.CUSTOMER_ID][place < 0]).size)
    notes = [f"Categories of {strangers:,} customers who are not among the accounts are left out."] if strangers else []
    lines = lines[(place >= 0) & lines[columns.CATEGORY].notna()]
    sums = lines.groupby(["account", columns.CATEGORY], sort=True)[REVENUE].sum()
    return sums[sums > 0.0].reset_index(), notes


def _told_apart(lines: pd.DataFrame, most: int, notes: list[str]) -> _ToldApart:
    account = lines["account"].to_numpy()
    share = lines[REVENUE].to_numpy() / np.bincount(account, weights=lines[REVENUE])[account]
    sums = lines.groupby(columns.CATEGORY, sort=True)[REVENUE].sum().sort_values(ascending=False, kind="stable")
    if len(sums) > most:
        notes.append(f"The {most} categories with the most revenue are told apart, of {len(sums):,} on offer.")
    names = list(sums.index[:most])
    category = pd.Index(names).get_indexer(pd.Index(lines[columns.CATEGORY]))
    some = category >= 0
    return _ToldApart(account=account[some], category=category[some], share=share[some], names=names)


def _group_codes(groups: Any, size: int) -> Codes:
    labels = pd.Series(groups, dtype="object").reset_index(drop=True)
    if len(labels) != size:
        raise DomainError("groups needs one label per id.", value=f"{len(labels)} for {size} ids")
    return pd.factorize(labels.map(str).where(labels.notna(), "(missing)"), sort=True)[0]


def _parts(
    codes: Codes, known: NDArray[np.bool_], weight: Floats, *, notes: list[str]
) -> Iterator[tuple[Codes, NDArray[np.bool_]]]:
    """Accounts with known categories by group, and who their peers are: the group, or all where it is small."""
    counted = known & (weight > 0.0)
    sizes = np.bincount(codes[counted], minlength=int(codes.max()) + 1)
    small = sizes < FEWEST_IN_GROUP
    for code in np.flatnonzero(~small):
        yield np.flatnonzero(known & (codes == code)), counted & (codes == code)
    rest = np.flatnonzero(known & small[codes])
    if rest.size:
        if codes.any():
            notes.append(
                f"{rest.size:,} accounts in groups of fewer than {FEWEST_IN_GROUP} have the whole base as peers."
            )
        yield rest, counted


def _gaps_of_group(
    told: _ToldApart, members: Codes, peers: NDArray[np.bool_], *, revenue: Floats, weight: Floats, kept: int
) -> tuple[Floats, pd.DataFrame]:
    """Whitespace of each member over all categories, and the ``kept`` largest of each as a table."""
    size = len(told.names)
    of_peers = peers[told.account]
    w = weight[told.account[of_peers]]
    buyers = np.bincount(told.category[of_peers], weights=w, minlength=size)
    typical = _medians(told.category[of_peers], told.share[of_peers], w, size=size)
    # an account buys none of its gaps, so leaving it out changes only how many peers there are: one order serves all
    order = np.lexsort((np.arange(size), -buyers * typical))
    order = order[(buyers * typical)[order] > 0.0]
    place = np.full(weight.size, -1, dtype=np.intp)
    place[members] = np.arange(members.size)
    gap = np.ones((members.size, size), dtype=bool)
    own = place[told.account] >= 0
    gap[place[told.account[own]], told.category[own]] = False
    gap = gap[:, order]
    others = weight[peers].sum() - np.where(peers[members], weight[members], 0.0)
    total = revenue[members] * (gap @ (buyers * typical)[order]) / others
    rank = np.cumsum(gap, axis=1, dtype=np.int32)
    account, at = np.nonzero(gap & (rank <= kept))
    category = order[at]
    share = np.minimum(buyers[category] / others[account], 1.0)
    spend = typical[category] * revenue[members[account]]
    table = pd.DataFrame(
        {
            "account": members[account],
            columns.CATEGORY: pd.Index(told.names).take(category),
            PEERS_SHARE: share,
            TYPICAL_REVENUE: spend,
            WHITESPACE: share * spend,
            RANK: rank[account, at].astype(np.intp),
        }
    )
    return total, table


def _medians(category: Codes, share: Floats, weight: Floats, *, size: int) -> Floats:
    """Weighted median of the shares of each category; 0 where nobody buys it."""
    order = np.lexsort((share, category))
    category, share, weight = category[order], share[order], weight[order]
    sums = np.cumsum(weight)
    ends = np.searchsorted(category, np.arange(size), side="right")
    before = np.concatenate([[0.0], sums])[np.concatenate([[0], ends[:-1]])]
    after = np.concatenate([[0.0], sums])[ends]
    found = np.zeros(size)
    bought = after > before
    middle = 0.5 * (before + after)[bought]
    # the mean of the lower and the upper median: where half the weight lies on either side, both count
    low = np.searchsorted(sums, middle * (1.0 - 1e-12))
    high = np.minimum(np.searchsorted(sums, middle * (1.0 + 1e-12), side="right"), ends[bought] - 1)
    found[bought] = 0.5 * (share[low] + share[high])
    return found


def _table(parts: list[pd.DataFrame], ids: pd.Index, order: Codes) -> pd.DataFrame:
    names = [columns.CATEGORY, PEERS_SHARE, TYPICAL_REVENUE, WHITESPACE, RANK]
    if not parts:
        return pd.DataFrame({name: [] for name in (columns.CUSTOMER_ID, *names)})
    rows = pd.concat(parts)
    rows["account"] = order[rows["account"].to_numpy()]
    rows = rows.sort_values(["account", RANK], kind="stable", ignore_index=True)
    rows.insert(0, columns.CUSTOMER_ID, ids.take(rows["account"].to_numpy()))
    return rows[[columns.CUSTOMER_ID, *names]]
