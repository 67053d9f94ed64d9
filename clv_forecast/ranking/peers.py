"""Reachable revenue: what accounts of the same kind are expected to bring, at a high quantile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError, InputError
from clv_forecast.progress import Progress, silent
from clv_forecast.streams import as_seed, customer_keys

Floats = NDArray[np.float64]

FROM_PEERS: Final = "peers"
FROM_SEGMENT: Final = "peers of the segment"
FROM_BASE: Final = "peers: the whole base"
FEWEST_TO_LEARN: Final = 100
FEWEST_IN_SEGMENT: Final = 20
FEWEST: Final = 10
MOST_LEVELS: Final = 200
"""Levels of a label attribute told apart; accounts of the rarer ones are one level together."""
_MISSING: Final = "(missing)"
_OTHER: Final = "(other)"
_FLOOR: Final = 1e-3  # of the median revenue: where revenues of zero stand on the log scale
_HALVES: Final = 12


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
    ids: Any,
    *,
    quantile: float = 0.8,
    segment: str | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> Peers:
    """Estimate a high quantile of the expected annual revenue of each account's peers.

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
        If shapes differ, ``quantile`` is outside (0, 1), or ``segment`` is no column of ``attributes``.

    Examples
    --------
    >>> revenue = np.arange(1.0, 41.0)
    >>> kind = pd.DataFrame({"kind": ["small"] * 20 + ["large"] * 20})
    >>> found = reachable_revenue(revenue, np.ones(40), kind, range(40))
    >>> found.wallet[[0, 39]].round(1), found.source[0]
    (array([17., 36.]), 'peers of the segment')
    """
    ids = pd.Index(ids)
    revenue, weight = _checked(revenue, weight, attributes, ids)
    quantile = finite_number(quantile, "quantile")
    if not 0.0 < quantile < 1.0:
        raise DomainError("quantile must lie between 0 and 1.", value=quantile)
    if segment is not None and segment not in attributes.columns:
        raise DomainError("segment must be a column of the attributes.", value=repr(segment))
    order = np.argsort(customer_keys(as_seed(seed), ids), kind="stable")
    kinds = _Kinds.of(attributes.iloc[order], segment)
    found = _by_group(revenue[order], weight[order], kinds.segment, quantile)
    if ids.size >= FEWEST_TO_LEARN and kinds.table.shape[1]:
        found = _learnt(revenue[order], weight[order], kinds, quantile, progress, found)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    wallet, log_sd, source, peers, notes = found
    return Peers(wallet=wallet[back], log_sd=log_sd[back], source=source[back], peers=peers[back], notes=notes)


_Found = tuple[Floats, Floats, "NDArray[np.object_]", "NDArray[np.intp]", tuple[str, ...]]


def _checked(revenue: Floats, weight: Floats, attributes: pd.DataFrame, ids: pd.Index) -> tuple[Floats, Floats]:
    revenue, weight = np.asarray(revenue, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    sizes = (revenue.shape, weight.shape, (len(attributes),))
    if any(size != (ids.size,) for size in sizes):
        raise DomainError("revenue, weight and attributes need one entry per id.", value=f"{sizes} for {ids.size} ids")
    if ids.hasnans or not ids.is_unique:
        raise InputError("Each account needs an id of its own.", customer_ids=ids[ids.duplicated() | ids.isna()])
    for name, bad, values in (
        (
            "Expected revenue must be finite and at least 0.",
            ~((revenue >= 0.0) & np.isfinite(revenue)),
            revenue,
        ),
        ("weight must be a probability.", ~((weight >= 0.0) & (weight <= 1.0)), weight),
    ):
        if bad.any():
            raise InputError(name, value=values[bad][0], customer_ids=ids[bad])
    return revenue, weight


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Kinds:
    """Attributes as codes: ``table`` for the learner, and the segment of each account (-1: none)."""

    table: Floats
    labels: tuple[bool, ...]
    segment: NDArray[np.intp]
    segment_name: str | None

    @classmethod
    def of(cls, attributes: pd.DataFrame, segment: str | None) -> _Kinds:
        read: dict[str, tuple[bool, Floats]] = {}
        for name in sorted(map(str, attributes.columns)):
            values = attributes.iloc[:, [str(c) for c in attributes.columns].index(name)]
            numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
            codes = _numbers(values) if numeric and name != segment else _levels(values)
            if np.unique(codes[~np.isnan(codes)]).size + bool(np.isnan(codes).any()) > 1:
                read[name] = (not (numeric and name != segment), codes)
        chosen = segment if segment is not None else _most_levels(read)
        segments: NDArray[np.intp] = (
            read[chosen][1].astype(np.intp) if chosen in read else np.full(len(attributes), -1, dtype=np.intp)
        )
        return cls(
            table=np.column_stack([c for _, c in read.values()]) if read else np.empty((len(attributes), 0)),
            labels=tuple(label for label, _ in read.values()),
            segment=segments,
            segment_name=chosen if chosen in read else None,
        )


def _numbers(values: pd.Series[Any]) -> Floats:
    found = values.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    found[~np.isfinite(found)] = np.nan
    return found


def _levels(values: pd.Series[Any]) -> Floats:
    """Codes of labels, sorted by their text; missing is a level of its own, and so are the rare ones together."""
    text = values.astype("object").map(lambda v: _MISSING if pd.isna(v) else str(v))
    counts = text.value_counts()
    counts = counts.iloc[np.lexsort((counts.index.to_numpy(dtype=str), -counts.to_numpy()))]
    kept = set(counts.index[:MOST_LEVELS])
    text = text.where(text.isin(kept), _OTHER)
    return np.unique(text.to_numpy(dtype=str), return_inverse=True)[1].astype(np.float64)


def _most_levels(read: dict[str, tuple[bool, Floats]]) -> str | None:
    sizes = {n: int((np.bincount(c.astype(np.intp)) >= FEWEST_IN_SEGMENT).sum()) for n, (lab, c) in read.items() if lab}
    return max(sizes, key=lambda name: (sizes[name], name)) if sizes else None


def _logs(revenue: Floats) -> tuple[Floats, float]:
    floor = float(np.log(np.median(revenue[revenue > 0.0]) * _FLOOR))
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(revenue), floor), floor


def _by_group(revenue: Floats, weight: Floats, groups: NDArray[np.intp], quantile: float) -> _Found:
    size = revenue.size
    wallet, log_sd = np.full(size, np.nan), np.full(size, np.nan)
    source, peers = np.full(size, None, dtype=object), np.zeros(size, dtype=np.intp)
    if size < FEWEST:
        return wallet, log_sd, source, peers, (f"Too few peers: {size} accounts, {FEWEST} are needed.",)
    parts = [(np.arange(size), FROM_BASE)]
    for code in np.unique(groups[groups >= 0]):
        members = np.flatnonzero(groups == code)
        if members.size >= FEWEST_IN_SEGMENT:
            parts.append((members, FROM_SEGMENT))
    for members, name in parts:
        wallet[members] = left_out_quantile(revenue[members], weight[members], quantile)
        log_sd[members] = _log_sd_of_quantile(revenue[members], weight[members], quantile)
        source[members], peers[members] = name, members.size - 1
    return wallet, log_sd, source, peers, ()


def left_out_quantile(values: Floats, weight: Floats, quantile: float) -> Floats:
    """Weighted quantile of the others, for each value.

    Of the others' ordered values with summed weights C, the value where C reaches ``quantile`` times the sum of all
    weights, its own included, linear in between: then a value lies below it with probability ``quantile``.

    Parameters
    ----------
    values, weight : ndarray, shape (account,)
        At least two; weights >= 0.
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
    order = np.argsort(values, kind="stable")
    y, w = values[order], np.maximum(weight[order], 1e-12)
    cum, place = np.cumsum(w), np.arange(y.size)
    target = quantile * cum[-1]
    first = np.searchsorted(cum, target)
    at = np.where(first < place, first, np.searchsorted(cum, target + w))
    at = np.minimum(at, np.where(place == y.size - 1, y.size - 2, y.size - 1))
    before = np.where(at - 1 == place, at - 2, at - 1)
    upper = cum[at] - w * (at > place)
    lower = np.where(before >= 0, cum[before] - w * (before > place), 0.0)
    start = np.where(before >= 0, y[before], y[at])
    share = np.clip((target - lower) / np.maximum(upper - lower, 1e-300), 0.0, 1.0)
    out = np.empty_like(y)
    out[order] = start + share * (y[at] - start)
    return out


def _log_sd_of_quantile(revenue: Floats, weight: Floats, quantile: float) -> float:
    """Half the distance of the quantiles one standard error of their level away (Woodruff's interval)."""
    if not revenue.any():
        return 0.0
    y, _ = _logs(revenue)
    order = np.argsort(y, kind="stable")
    w = np.maximum(weight[order], 1e-12)
    level = (np.cumsum(w) - 0.5 * w) / w.sum()
    error = np.sqrt(quantile * (1.0 - quantile) * (w**2).sum()) / w.sum()
    low, high = np.interp([quantile - error, quantile + error], level, y[order])
    return float(high - low) / 2.0


def _learnt(
    revenue: Floats, weight: Floats, kinds: _Kinds, quantile: float, progress: Progress, fallback: _Found
) -> _Found:
    """Half-samples of accounts, each predicting the accounts it did not see."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    if not revenue.any() or not weight.any():
        return fallback
    y, floor = _logs(revenue)
    rng = np.random.default_rng(20240229)
    total, squares, count = np.zeros(y.size), np.zeros(y.size), np.zeros(y.size)
    for done in range(_HALVES):
        half = rng.permutation(y.size) < y.size // 2
        for inside in (half, ~half):
            model = HistGradientBoostingRegressor(
                loss="quantile",
                quantile=quantile,
                max_iter=60,
                max_leaf_nodes=6,
                min_samples_leaf=20,
                categorical_features=np.array(kinds.labels),
                early_stopping=False,
                random_state=1,
            )
            with threadpool_limits(1, user_api="openmp"):
                model.fit(kinds.table[inside], y[inside], sample_weight=np.maximum(weight[inside], 1e-9))
                told = model.predict(kinds.table[~inside])
            total[~inside] += told
            squares[~inside] += told**2
            count[~inside] += 1.0
        progress("peers", done + 1, _HALVES)
    mean = total / count
    spread = np.maximum(squares / count - mean**2, 0.0) * count / (count - 1.0)
    error = np.sqrt(spread * (1.0 + 1.0 / count))
    shifted = mean + left_out_quantile(y - mean, weight, quantile)
    wallet = np.where(shifted > floor, np.exp(shifted), 0.0)
    size = y.size
    return wallet, error, np.full(size, FROM_PEERS, dtype=object), np.full(size, size - 1, dtype=np.intp), ()
