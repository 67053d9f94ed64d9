"""Reachable revenue: what accounts of the same kind are expected to bring, at a high quantile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError, InputError
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, silent
from clv_forecast.ranking.peer_quantile import (
    AccountKinds,
    Block,
    PeerQuantile,
    fit_quantile,
    predict,
    read_kinds,
    rows,
    together,
    unexplained,
    weighted_quantile,
)
from clv_forecast.streams import as_seed, customer_keys

Floats = NDArray[np.float64]

FROM_PEERS: Final = "peers"
FROM_SEGMENT: Final = "peers of the segment"
FROM_BASE: Final = "peers: the whole base"
FEWEST_TO_LEARN: Final = 100
FEWEST_IN_SEGMENT: Final = 20
FEWEST: Final = 10
FEWEST_FOLDS_OF_TEN: Final = 5_000
"""Below this many accounts they are parted into ten, above into five."""
MOST_TO_LEARN: Final = 50_000
"""Peers that a fit looks at; more tell no more, and cost time."""
_FLOOR: Final = 1e-3  # of the median revenue: where revenues of zero stand on the log scale
_MOST_ADDED: Final = 4  # steps, pairs or triples in a round
_MOST_COLUMNS: Final = 250  # of all that is added
_TELLING: Final = 1.0  # standard errors beyond chance from which on something is added


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Peers:
    """Reachable revenue of each account, from its peers.

    Parameters
    ----------
    wallet : ndarray, shape (account,)
        Annual revenue reachable with us, in the money of the revenues; NaN where there are no peers.
    log_sd : ndarray, shape (account,)
        Standard deviation of the estimation error of the logarithm of ``wallet``.
    source : ndarray of str, shape (account,)
        ``"peers"``, ``"peers of the segment"``, ``"peers: the whole base"``; None where there are no peers.
    peers : ndarray of int, shape (account,)
        Number of other accounts it rests on.
    notes : tuple of str
        What a reader should know of it.
    """

    wallet: Floats
    log_sd: Floats
    source: NDArray[np.object_]
    peers: NDArray[np.intp]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for values in (self.wallet, self.log_sd, self.source, self.peers):
            values.flags.writeable = False

    def __repr__(self) -> str:
        known = int(np.isfinite(self.wallet).sum())
        return f"<Peers: reachable revenue of {known:,} of {self.wallet.size:,} accounts>"


def reachable_revenue(
    revenue: Floats,
    weight: Floats,
    attributes: pd.DataFrame,
    *,
    ids: Any,
    quantile: float = 0.8,
    segment: str | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> Peers:
    r"""Estimate a high quantile of the expected annual revenue of each account's peers [1]_.

    .. math:: \text{wallet}_i = Q_\tau(R \mid x_i), \text{ fitted on accounts other than } i

    with R the expected annual revenue given alive, x the attributes and each account weighted by its probability of
    being alive.

    Parameters
    ----------
    revenue : ndarray, shape (account,)
        Expected annual revenue of each account given that it is alive; >= 0.
    weight : ndarray, shape (account,)
        Probability that the account is alive, in [0, 1]: a peer counts as much as it is likely still a customer.
    attributes : DataFrame
        One row per account, in the same order: numbers and labels; missing where unknown.
    ids : sequence, shape (account,)
        Customer ids, each once.
    quantile : float
        In (0, 1).
    segment : str, optional
        Attribute whose levels stand in where there are few accounts. Default: the label attribute with the most
        levels of at least 20 accounts.
    seed : int
        Of the hash that parts the accounts.
    progress : callable
        Called as ``progress("peers", done, total)``.

    Returns
    -------
    Peers

    Raises
    ------
    InputError
        If a revenue is negative or not finite, a weight lies outside [0, 1], or an id is missing or occurs twice.
    DomainError
        If shapes differ, two attributes share a name, ``quantile`` is outside (0, 1), ``segment`` is no column of
        ``attributes``, or ``seed`` is no whole number in [0, 2**63).

    Notes
    -----
    It is revenue that others of the same kind bring us: reachable with us, and no share of what an account spends
    elsewhere. Expected revenues go in, not realised ones, whose noise would be taken for potential.

    From 100 accounts on, a hash of the ids parts them into ten (five from 5,000 on), and the wallets of a part come
    from a quantile regression fitted on the other parts alone (`fit_quantile`): an account's own revenue never enters
    its own wallet. Each attribute enters by itself, and steps, pairs and triples where they tell more; all effects are
    shrunk as far as the data say, and a left-out shift makes the share of accounts below their wallet the quantile,
    of all and within the levels of attributes. Below 100, or without attributes, it is the quantile of the others in
    the segment; in segments below 20, of the whole base; below 10 accounts there is none.

    ``log_sd`` is uncertainty of the quantile, not the spread of accounts around it. It knows what attributes are
    given, and nothing of those that are not.

    References
    ----------
    .. [1] Perlich, Rosset, Lawrence, Zadrozny (2007), "High-quantile modeling for customer wallet estimation and other
       applications", KDD '07, doi:10.1145/1281192.1281297.

    Examples
    --------
    >>> revenue = np.arange(1.0, 41.0)
    >>> kind = pd.DataFrame({"kind": ["small"] * 20 + ["large"] * 20})
    >>> found = reachable_revenue(revenue, np.ones(40), kind, ids=range(40))
    >>> found.wallet[[0, 39]].round(1), found.source[0]
    (array([17., 36.]), 'peers of the segment')
    """
    ids = pd.Index(ids)
    revenue, weight = _checked(revenue, weight, attributes, ids=ids)
    quantile = finite_number(quantile, "quantile")
    if not 0.0 < quantile < 1.0:
        raise DomainError("quantile must lie between 0 and 1.", value=quantile)
    if segment is not None and segment not in attributes.columns:
        raise DomainError("segment must be a column of the attributes.", value=repr(segment))
    order = np.argsort(customer_keys(as_seed(seed), ids), kind="stable")
    revenue, weight = revenue[order], weight[order]
    kinds = read_kinds(attributes.iloc[order], as_labels=() if segment is None else (str(segment),))
    if kinds.names and int((weight > 0.0).sum()) >= FEWEST_TO_LEARN:
        found = _learnt(revenue, weight, kinds, quantile=quantile, progress=progress)
    else:
        found = _by_group(revenue, weight, _segments(kinds, segment, order.size), quantile=quantile)
    back = np.argsort(order)
    return Peers(
        wallet=found.wallet[back],
        log_sd=found.log_sd[back],
        source=found.source[back],
        peers=found.peers[back],
        notes=kinds.notes + found.notes,
    )


def left_out_quantile(values: Floats, weight: Floats, quantile: float) -> Floats:
    """Weighted quantile of the others, for each value.

    Of the others' ordered values with summed weights C, the value where C reaches ``quantile`` times the sum of all
    weights, its own included, linear in between: then a value lies below it with probability ``quantile``. Where C
    never reaches that, it is the largest of the others.

    Parameters
    ----------
    values, weight : ndarray, shape (account,)
        Weights >= 0, at least two of them above 0.
    quantile : float
        In (0, 1).

    Returns
    -------
    ndarray, shape (account,)

    Examples
    --------
    >>> left_out_quantile(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4), 0.5)
    array([3., 3., 2., 2.])
    """
    counted = weight > 0.0
    order = np.argsort(values[counted], kind="stable")
    y, w = values[counted][order], weight[counted][order]
    sums, place = np.cumsum(w), np.arange(y.size)
    target = quantile * sums[-1]
    out = np.full(values.size, np.interp(target, sums, y))
    first = np.searchsorted(sums, target)
    at = np.where(first < place, first, np.searchsorted(sums, target + w))
    at = np.minimum(at, np.where(place == y.size - 1, y.size - 2, y.size - 1))
    before = np.where(at - 1 == place, at - 2, at - 1)
    upper = sums[at] - w * (at > place)
    lower = np.where(before >= 0, sums[before] - w * (before > place), 0.0)
    start = np.where(before >= 0, y[before], y[at])
    share = np.clip((target - lower) / np.maximum(upper - lower, 1e-300), 0.0, 1.0)
    found = np.empty_like(y)
    found[order] = start + share * (y[at] - start)
    out[counted] = found
    return out


def _checked(revenue: Floats, weight: Floats, attributes: pd.DataFrame, *, ids: pd.Index) -> tuple[Floats, Floats]:
    revenue, weight = np.asarray(revenue, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    sizes = (revenue.shape, weight.shape, (len(attributes),))
    if any(size != (ids.size,) for size in sizes):
        raise DomainError("revenue, weight and attributes need one entry per id.", value=f"{sizes} for {ids.size} ids")
    if not attributes.columns.is_unique:
        raise DomainError("Each attribute needs a name of its own.", value=list(attributes.columns))
    if ids.hasnans or not ids.is_unique:
        raise InputError("Each account needs an id of its own.", customer_ids=ids[ids.duplicated() | ids.isna()])
    for name, bad, values in (
        ("Expected revenue must be finite and at least 0.", ~((revenue >= 0.0) & np.isfinite(revenue)), revenue),
        ("weight must be a probability.", ~((weight >= 0.0) & (weight <= 1.0)), weight),
    ):
        if bad.any():
            raise InputError(name, value=values[bad][0], customer_ids=ids[bad])
    return revenue, weight


def _empty(size: int, *notes: str) -> Peers:
    return Peers(
        wallet=np.full(size, np.nan),
        log_sd=np.full(size, np.nan),
        source=np.full(size, None, dtype=object),
        peers=np.zeros(size, dtype=np.intp),
        notes=notes,
    )


def _segments(kinds: AccountKinds, segment: str | None, size: int) -> NDArray[np.intp]:
    """Codes of the segment of each account; by default of the label with the most levels that are large enough."""
    if segment is None and kinds.labels:
        large = {name: int((np.bincount(codes) >= FEWEST_IN_SEGMENT).sum()) for name, codes in kinds.labels.items()}
        segment = max(large, key=lambda name: large[name])
    return kinds.labels.get(segment or "", np.zeros(size, dtype=np.intp))


def _by_group(revenue: Floats, weight: Floats, groups: NDArray[np.intp], *, quantile: float) -> Peers:
    counted = weight > 0.0
    if counted.sum() < FEWEST:
        return _empty(revenue.size, f"{FEWEST} accounts are needed for peers, there are {int(counted.sum())}.")
    found = _empty(revenue.size)
    wallet, log_sd, source, peers = found.wallet.copy(), found.log_sd.copy(), found.source.copy(), found.peers.copy()
    parts = [(np.arange(revenue.size), FROM_BASE)]
    if np.unique(groups).size > 1:
        parts += [(np.flatnonzero(groups == code), FROM_SEGMENT) for code in np.unique(groups)]
    for members, name in parts:
        of_part = counted[members]
        if name == FROM_SEGMENT and of_part.sum() < FEWEST_IN_SEGMENT:
            continue
        w = weight[members]
        error = np.sqrt(quantile * (1.0 - quantile) * (w**2).sum()) / w.sum()
        low, middle, high = (
            left_out_quantile(revenue[members], w, min(max(quantile + d, 0.01), 0.99)) for d in (-error, 0.0, error)
        )
        wallet[members], source[members], peers[members] = middle, name, of_part.sum() - of_part
        # Woodruff's interval: the quantiles one standard error of their level away
        some = np.where(middle > 0.0, middle, 1.0)
        logs = np.log(np.maximum(high / some, _FLOOR)) - np.log(np.maximum(low / some, _FLOOR))
        log_sd[members] = np.where(middle > 0.0, 0.5 * logs, 0.0)
    return Peers(wallet=wallet, log_sd=log_sd, source=source, peers=peers)


def _learnt(revenue: Floats, weight: Floats, kinds: AccountKinds, *, quantile: float, progress: Progress) -> Peers:
    """Each part of the accounts told from a fit that saw only the others."""
    from threadpoolctl import threadpool_limits

    size = revenue.size
    folds = 10 if size < FEWEST_FOLDS_OF_TEN else 5
    fold = np.arange(size) % folds  # accounts come in the order of a hash
    wallet, log_sd, peers = np.zeros(size), np.zeros(size), np.zeros(size, dtype=np.intp)
    settled, chosen = True, [set[str]() for _ in range(folds)]
    with threadpool_limits(1, user_api="blas"):  # sums in the same order for any number of threads
        for part in range(folds):
            inside, others = fold == part, np.flatnonzero((fold != part) & (weight > 0.0))[:MOST_TO_LEARN]
            peers[inside] = others.size
            if revenue[others].any():
                y, least = _logs(revenue[others], weight[others])
                fitted, blocks = _fit(y, weight[others], kinds, others=others, quantile=quantile)
                told, error = predict(fitted, [rows(block, inside) for block in blocks])
                wallet[inside] = np.where(told > least, np.exp(told), 0.0)
                log_sd[inside] = error
                added = blocks[len(kinds.mains) :]
                chosen[part] = {" with ".join(block.parts) for block in added if len(block.parts) > 1}
                settled &= fitted.settled
            progress("peers", part + 1, folds)
    notes = [f"Peers are accounts alike in {printable(', '.join(kinds.names))}."]
    always = set.intersection(*chosen)
    if always:
        notes.append(f"Attributes that tell more together than apart: {printable(', '.join(sorted(always)))}.")
    if not settled:
        notes.append("The quantile of the peers did not come to rest: take its band as a rough one.")
    source = np.full(size, FROM_PEERS, dtype=object)
    return Peers(wallet=wallet, log_sd=log_sd, source=source, peers=peers, notes=tuple(notes))


def _fit(
    y: Floats, weight: Floats, kinds: AccountKinds, *, others: NDArray[np.intp], quantile: float
) -> tuple[PeerQuantile, list[Block]]:
    """Fit each attribute by itself, then what these leave unexplained: steps and pairs, then triples from the pairs."""
    blocks = list(kinds.mains)
    own = [rows(block, others) for block in blocks]
    fitted = fit_quantile(y, weight, own, quantile=quantile)
    ends: list[tuple[Block, ...]] = [(block,) for block in kinds.steps] + list(combinations(kinds.coarse, 2))
    columns = 0
    while ends:
        more = (reduce(together, [rows(block, others) for block in parts]) for parts in ends)
        residual = y - predict(fitted, own)[0] + fitted.shift
        found = unexplained(residual, weight, more, quantile=quantile)
        added: list[tuple[Block, ...]] = []
        for at in sorted(range(len(ends)), key=lambda at: -found[at])[:_MOST_ADDED]:
            block = reduce(together, ends[at])
            if found[at] > _TELLING and columns + block.size <= _MOST_COLUMNS:
                blocks.append(block)
                own.append(rows(block, others))
                columns += block.size
                added.append(ends[at])
        if added:
            fitted = fit_quantile(y, weight, own, quantile=quantile)
        grown = {
            tuple(sorted({first, second, third}, key=lambda at: at)): None
            for first, second in (tuple(map(kinds.coarse.index, pair)) for pair in added if len(pair) == 2)
            for third in range(len(kinds.coarse))
            if third not in (first, second)
        }
        ends = [tuple(kinds.coarse[at] for at in triple) for triple in grown]
    return fitted, blocks


def _logs(revenue: Floats, weight: Floats) -> tuple[Floats, float]:
    """Logarithms of revenue, and the level below which there is none.

    Accounts without revenue stand far below the others and as far apart as these, not all on one point: a quantile of
    accounts half of which agree to the last digit would have no error to speak of.
    """
    some = revenue > 0.0
    y = np.log(np.where(some, revenue, 1.0))
    low, middle, high = weighted_quantile(y[some], weight[some], np.array([0.25, 0.5, 0.75]))
    spread = min((high - low) / 1.349, 1.0)
    place = np.arange(int((~some).sum()))
    even = (place * 0.6180339887498949 + 0.5) % 1.0  # the golden ratio fills the unit interval evenly, however many
    y[~some] = middle + np.log(_FLOOR) + spread * ndtri(np.clip(even, 0.005, 0.995))
    return np.maximum(y, middle + np.log(_FLOOR) - 3.0), float(middle + np.log(_FLOOR) + 2.6)
