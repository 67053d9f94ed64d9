"""A conditional quantile of like accounts: smoothed quantile regression with variance components.

The criterion is the check loss smoothed by a normal kernel of bandwidth h [1]_, turned into a quasi-log-likelihood
by its information: with the density f of the outcome at its quantile, the loss times ``f / (tau (1 - tau))`` has
Hessian and score variance alike, so that effects of levels, bends and pairs can have variances of their own, estimated
from the data as in a mixed model [2]_. An attribute that tells nothing gets a variance near zero and drops out.

References
----------
.. [1] He, Pan, Tan, Zhou (2023), "Smoothed quantile regression with large-scale inference", Journal of Econometrics
   232, doi:10.1016/j.jeconom.2021.07.010.
.. [2] Wood and Fasiolo (2017), "A generalized Fellner-Schall method for smoothing parameter optimization",
   Biometrics 73, doi:10.1111/biom.12666.

Attributes of accounts as a sparse design: labels by level, numbers by rank, and pairs of them together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast.printable import printable

Places = NDArray[np.int32]

MOST_LEVELS: Final = 250
"""Levels of all label attributes together that are told apart; accounts of the rarer ones are one level."""
FEW_NUMBERS: Final = 5
"""A number that takes no more different values than this is told apart like a label."""
_COARSE: Final = 12  # levels of a label in a pair
_KNOTS: Final = 13
_COARSE_KNOTS: Final = 5
_STEPS: Final = 20  # stretches of equally many accounts, between which a number may jump
_EDGE: Final = 2.4  # normal scores between which the knots lie; beyond them the outer pieces go on straight
_MISSING: Final = "(missing)"
_OTHER: Final = "(other)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Columns that belong together: of each account, the few that are not zero.

    Parameters
    ----------
    parts : tuple of str
        Attributes it is made of.
    places : ndarray of int32, shape (account, entry)
        Columns of the entries, counted within the block.
    values : ndarray, shape (account, entry)
    size : int
        Number of columns.
    penalty : ndarray, shape (size, size), or None
        Precision of the columns' effects at variance one; None: barely penalised.
    rank : int
        Of the penalty.
    """

    parts: tuple[str, ...]
    places: Places
    values: Floats
    size: int
    penalty: Floats | None
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccountKinds:
    """What is known of accounts, ready to tell them apart.

    Parameters
    ----------
    mains : tuple of Block
        One or two per attribute.
    coarse : tuple of Block
        One per attribute, to be taken together with others.
    steps : tuple of Block
        One per number, for what jumps.
    labels : dict of str to ndarray of int
        Codes of the levels of each label attribute.
    names : tuple of str
        Attributes in use.
    notes : tuple of str
        Attributes not in use, and why.
    """

    mains: tuple[Block, ...]
    coarse: tuple[Block, ...]
    steps: tuple[Block, ...]
    labels: dict[str, NDArray[np.intp]]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def read_kinds(table: pd.DataFrame, *, as_labels: tuple[str, ...] = ()) -> AccountKinds:
    """Tell numbers from labels and lay both out.

    Parameters
    ----------
    table : DataFrame, shape (account, attribute)
        Numbers and labels; missing where unknown, which is a level of its own. Days are not used.
    as_labels : tuple of str
        Numbers to take as labels.

    Returns
    -------
    AccountKinds
        In alphabetical order of the attributes, whatever the order of the columns.

    Notes
    -----
    A number enters by its normal score, so that neither its unit nor a stray giant matters, as a line bent at thirteen
    knots whose bends are penalised (Eilers and Marx 1996, "Flexible smoothing with B-splines and penalties",
    doi:10.1214/ss/1038425655, with pieces of degree one).

    Examples
    --------
    >>> read = read_kinds(pd.DataFrame({"region": ["n", "s", None, "s", "n", "n"], "size": [1, 2, 3, 4, 5, 6]}))
    >>> read.names, read.labels["region"]
    (('region', 'size'), array([1, 2, 0, 2, 1, 1]))
    """
    numbers, texts, notes = _sorted_out(table, as_labels)
    most = _levels_each([text.nunique() for text in texts.values()])
    labels = {name: _codes(text, most) for name, text in texts.items()}
    mains = [b for n in sorted({*labels, *numbers}) for b in (_level(n, labels) if n in labels else _bent(n, numbers))]
    coarse = [_label_block(name, _codes(text, _COARSE)) for name, text in texts.items()]
    coarse += [_tents(name, values, _COARSE_KNOTS, penalty=None) for name, values in numbers.items()]
    if any(text.nunique() > most for text in texts.values()):
        notes.append(f"Of the labels, the {most} most frequent of an attribute are told apart; the rest is one level.")
    return AccountKinds(
        mains=tuple(mains),
        coarse=tuple(sorted(coarse, key=lambda block: block.parts)),
        steps=tuple(_label_block(name, _stretches(values)) for name, values in sorted(numbers.items())),
        labels=labels,
        names=tuple(sorted({*labels, *numbers})),
        notes=tuple(notes),
    )


def together(first: Block, second: Block) -> Block:
    """Two blocks taken together: a column per combination that occurs, all effects of one variance.

    Examples
    --------
    >>> kinds = read_kinds(pd.DataFrame({"region": ["n", "s", "s"], "size": ["big", "big", "small"]}))
    >>> both = together(*kinds.coarse)
    >>> both.parts, both.places.ravel()
    (('region', 'size'), array([0, 1, 2], dtype=int32))
    """
    places = (first.places[:, :, None] * np.int32(second.size) + second.places[:, None, :]).reshape(
        first.places.shape[0], -1
    )
    seen = np.bincount(places.ravel(), minlength=first.size * second.size) > 0
    return Block(
        parts=tuple(sorted({*first.parts, *second.parts})),
        places=(np.cumsum(seen, dtype=np.int32) - np.int32(1))[places],
        values=(first.values[:, :, None] * second.values[:, None, :]).reshape(places.shape),
        size=int(seen.sum()),
        penalty=np.eye(int(seen.sum())),
        rank=int(seen.sum()),
    )


def rows(block: Block, chosen: NDArray[Any]) -> Block:
    """The same columns for some of the accounts."""
    return Block(
        parts=block.parts,
        places=block.places[chosen],
        values=block.values[chosen],
        size=block.size,
        penalty=block.penalty,
        rank=block.rank,
    )


def _sorted_out(
    table: pd.DataFrame, as_labels: tuple[str, ...]
) -> tuple[dict[str, Floats], dict[str, pd.Series[Any]], list[str]]:
    """Numbers and texts by name, in alphabetical order, and a note of each column that is neither."""
    numbers: dict[str, Floats] = {}
    texts: dict[str, pd.Series[Any]] = {}
    notes: list[str] = []
    for name, values in sorted(((str(name), table[name]) for name in table.columns), key=lambda pair: pair[0]):
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            notes.append(f"{printable(name)} is a day, which does not tell peers apart.")
            continue
        number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
        if number and name not in as_labels and values.nunique() > FEW_NUMBERS:
            found = values.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
            found[~np.isfinite(found)] = np.nan
            numbers[name] = found
        elif values.nunique() > max(2, len(values) // 3):
            of = f"{values.nunique()} labels for {len(values)} accounts"
            notes.append(f"{printable(name)} has {of}: too many to tell peers.")
        elif values.nunique(dropna=False) > 1:
            texts[name] = values.astype("object").map(lambda value: _MISSING if pd.isna(value) else str(value))
    return numbers, texts, notes


def _levels_each(counts: list[int]) -> int:
    """The most levels per attribute that keep all together within ``MOST_LEVELS``."""
    most = MOST_LEVELS
    while most > 2 and sum(min(count, most) for count in counts) > MOST_LEVELS:
        most -= 1
    return most


def _codes(text: pd.Series[Any], most: int) -> NDArray[np.intp]:
    """Codes of labels in the order of their text; beyond the ``most`` frequent ones, the rest is one level."""
    counts = text.value_counts()
    if len(counts) > most:
        ranked = counts.index[np.lexsort((counts.index.to_numpy(dtype=str), -counts.to_numpy()))]
        text = text.where(text.isin(ranked[: most - 1]), _OTHER)
    return np.unique(text.to_numpy(dtype=str), return_inverse=True)[1].astype(np.intp)


def _level(name: str, labels: dict[str, NDArray[np.intp]]) -> list[Block]:
    return [_label_block(name, labels[name])]


def _label_block(name: str, codes: NDArray[np.intp]) -> Block:
    size = int(codes.max()) + 1
    values = np.ones((codes.size, 1))
    return Block(
        parts=(name,), places=codes[:, None].astype(np.int32), values=values, size=size, penalty=np.eye(size), rank=size
    )


def _bent(name: str, numbers: dict[str, Floats]) -> list[Block]:
    values = numbers[name]
    bends = np.diff(np.eye(_KNOTS), 2, axis=0)
    found = [_tents(name, values, _KNOTS, penalty=bends.T @ bends)]
    missing = np.isnan(values)
    if missing.any():
        places = np.zeros((values.size, 1), dtype=np.int32)
        is_missing = missing[:, None].astype(np.float64)
        found.append(Block(parts=(name,), places=places, values=is_missing, size=1, penalty=None, rank=0))
    return found


def _stretches(values: Floats) -> NDArray[np.intp]:
    known = ~np.isnan(values)
    codes = np.full(values.size, _STEPS, dtype=np.intp)
    codes[known] = np.floor((stats.rankdata(values[known]) - 0.5) / max(int(known.sum()), 1) * _STEPS).astype(np.intp)
    return np.unique(codes, return_inverse=True)[1].astype(np.intp)


def _tents(name: str, values: Floats, knots: int, *, penalty: Floats | None) -> Block:
    known = ~np.isnan(values)
    score = np.zeros(values.size)
    score[known] = special.ndtri((stats.rankdata(values[known]) - 0.5) / max(int(known.sum()), 1))
    at = (score + _EDGE) * (knots - 1) / (2.0 * _EDGE)
    left = np.clip(np.floor(at), 0, knots - 2)
    share = at - left
    return Block(
        parts=(name,),
        places=np.column_stack([left, left + 1]).astype(np.int32),
        values=np.column_stack([1.0 - share, share]) * known[:, None],
        size=knots,
        penalty=np.eye(knots) if penalty is None else penalty,
        rank=knots if penalty is None else knots - 2,
    )


Floats = NDArray[np.float64]

_ROUNDS: Final = 30
_SETTLED: Final = 2e-3  # of the residuals' scale
_BANDWIDTH: Final = 0.35  # of the residuals' scale, at 1,000 accounts
_LEAST_SCALE: Final = 1e-3
_PRIOR: Final = 0.2  # of the outcome's scale: where an effect's spread starts from, counting as one level
_UNPENALISED: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeerQuantile:
    """A fitted conditional quantile.

    Parameters
    ----------
    effects : ndarray, shape (column,)
        The first is the level of all.
    covariance : ndarray, shape (column, column)
        Of the estimation errors of the effects.
    shift : float
        Added to each quantile, so that the share of accounts below theirs is right when each is left out.
    settled : bool
        Whether the fit came to rest.
    """

    effects: Floats
    covariance: Floats
    shift: float
    settled: bool


def lay_out(blocks: Sequence[Block]) -> tuple[Places, Floats, list[slice]]:
    """Put blocks beside each other, behind one column of ones: places, values and each block's columns."""
    accounts = blocks[0].places.shape[0]
    places, values, spans, first = [np.zeros((accounts, 1), dtype=np.int32)], [np.ones((accounts, 1))], [], 1
    for block in blocks:
        places.append(block.places + np.int32(first))
        values.append(block.values)
        spans.append(slice(first, first + block.size))
        first += block.size
    return np.hstack(places), np.hstack(values), spans


def fit_quantile(y: Floats, weight: Floats, blocks: Sequence[Block], *, quantile: float) -> PeerQuantile:
    r"""Fit the conditional quantile of ``y`` given the blocks.

    Effects maximise :math:`c \sum_i w_i [-\rho_h(y_i - x_i'\beta)] - \beta' P \beta / 2` with
    :math:`c = \hat f / (\tau (1 - \tau))` and :math:`P = \sum_b S_b / \sigma_b^2`; the variances are updated beside by
    :math:`\sigma_b^2 = (\beta_b' S_b \beta_b + \sigma_0^2) / (r_b - tr(V_b S_b) / \sigma_b^2 + 1)`.

    Parameters
    ----------
    y : ndarray, shape (account,)
    weight : ndarray, shape (account,)
        Above 0.
    blocks : sequence of Block
        With one row per account.
    quantile : float
        In (0, 1).

    Returns
    -------
    PeerQuantile

    Notes
    -----
    Weights are scaled to sum to the effective number of accounts. The density is corrected for the effects fitted,
    without which residuals are too small and the errors too. The shift is the quantile of residuals with each account
    left out, by one Newton step.

    Examples
    --------
    >>> from clv_forecast.ranking.peer_quantile import read_kinds
    >>> import pandas as pd
    >>> kind = np.repeat(["a", "b"], 200)
    >>> blocks = read_kinds(pd.DataFrame({"kind": kind})).mains
    >>> y = np.tile(np.linspace(0.0, 1.0, 200), 2) + 5.0 * (kind == "b")
    >>> told, error = predict(fit_quantile(y, np.ones(400), blocks, quantile=0.8), blocks)
    >>> told[[0, -1]].round(1), bool((error < 0.1).all())
    (array([0.8, 5.8]), True)
    """
    places, values, spans = lay_out(blocks)
    weight = weight * (weight.sum() / (weight**2).sum())
    level, scale = _level_and_scale(y, weight, quantile)
    size = spans[-1].stop
    effects, gradient, hessian = np.zeros(size), np.zeros(size), np.zeros((size, size))
    effects[0] = level
    variances = np.array([(0.5 * scale) ** 2 if block.rank else np.inf for block in blocks])
    spread, used, settled, pace, last = scale, 0.0, False, 1.0, np.zeros(size)
    for turn in range(_ROUNDS):
        wide = max(1.0, 3.0 - 0.5 * turn)  # wide at first, where a far start would see no accounts
        bandwidth = wide * _BANDWIDTH * spread * (weight.sum() / 1000.0) ** -0.2
        _accumulate(places, values, y, weight, effects, quantile, bandwidth, hessian, gradient)
        full = hessian + np.tril(hessian, -1).T
        scaled = _scaling(full[0, 0] / weight.sum(), quantile, used / weight.sum())
        penalty = _penalty(blocks, spans, variances, scale=scale)
        covariance = np.linalg.inv(scaled * full + penalty)
        step = covariance @ (scaled * gradient - penalty @ effects)
        pace = 0.5 * pace if step @ last < 0.0 else min(1.0, 1.5 * pace)  # slower where it goes to and fro
        step *= min(pace, 2.0 * spread / max(float(np.abs(step).max()), 1e-300))
        effects, last = effects + step, step
        used = min(float((covariance * full).sum() * scaled), 0.8 * float(weight.sum()))
        updated = _variances(
            blocks, spans, variances, effects=effects, covariance=covariance, start=(_PRIOR * scale) ** 2
        )
        some = np.isfinite(variances)
        moved = float(np.abs(np.log(updated[some] / variances[some])).max(initial=0.0))
        variances = updated
        if turn < _ROUNDS // 2:
            spread = _level_and_scale(y - _told(places, values, effects), weight, quantile)[1]
        settled = bool(np.abs(step).max() < _SETTLED * spread)
        if settled and wide == 1.0 and moved < 0.02:
            break
    residual = y - _told(places, values, effects)
    pull = scaled * weight * _squared(places, values, covariance)
    shift = _left_out_shift(residual, weight, pull, quantile=quantile, bandwidth=bandwidth)
    return PeerQuantile(effects=effects, covariance=covariance, shift=shift, settled=settled)


def predict(fitted: PeerQuantile, blocks: Sequence[Block]) -> tuple[Floats, Floats]:
    """Quantile of each account, and the standard deviation of its estimation error."""
    places, values, _ = lay_out(blocks)
    error = np.sqrt(np.maximum(_squared(places, values, fitted.covariance), 0.0))
    return _told(places, values, fitted.effects) + fitted.shift, error


def unexplained(residual: Floats, weight: Floats, more: Iterable[Block], *, quantile: float) -> list[float]:
    """How many standard errors the scores summed over the columns of further blocks vary more than by chance.

    Parameters
    ----------
    residual : ndarray, shape (account,)
        Outcome less its fitted quantile.
    weight : ndarray, shape (account,)
    more : iterable of Block
        Candidates.
    quantile : float
        In (0, 1).

    Returns
    -------
    list of float
        One per candidate: about standard normal or below where it tells nothing new.

    Examples
    --------
    >>> from clv_forecast.ranking.peer_quantile import read_kinds
    >>> import pandas as pd
    >>> kinds = read_kinds(pd.DataFrame({"chance": ["a", "b"] * 100, "high": ["n"] * 100 + ["y"] * 100}))
    >>> found = unexplained(np.linspace(-0.8, 0.2, 200), np.ones(200), kinds.mains, quantile=0.8)
    >>> [score > 3.0 for score in found]
    [False, True]
    """
    weight = weight * (weight.sum() / (weight**2).sum())
    score = weight * (quantile - (residual < 0.0))
    found = []
    for block in more:
        flat = block.places.ravel()
        sums = np.bincount(flat, (score[:, None] * block.values).ravel(), block.size)
        chance = np.bincount(flat, ((weight[:, None] * block.values) ** 2).ravel(), block.size)
        chance *= quantile * (1.0 - quantile)
        found.append(float((sums**2 - chance).sum() / np.sqrt(2.0 * (chance**2).sum() + 1e-300)))
    return found


def weighted_quantile(values: Floats, weight: Floats, levels: Floats) -> Floats:
    """Quantiles of weighted values, linear between the middles of their weights."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weight[order])
    found: Floats = np.interp(levels * sums[-1], sums - 0.5 * weight[order], values[order])
    return found


def _level_and_scale(y: Floats, weight: Floats, quantile: float) -> tuple[float, float]:
    """The quantile, and the standard deviation that a normal outcome with its slope there would have."""
    levels = np.array([max(quantile - 0.3, 0.5 * quantile), quantile, min(quantile + 0.15, 0.5 + 0.5 * quantile)])
    low, level, high = weighted_quantile(y, weight, levels)
    return float(level), max(float((high - low) / (special.ndtri(levels[2]) - special.ndtri(levels[0]))), _LEAST_SCALE)


def _scaling(density: float, quantile: float, used: float) -> float:
    return max(density, 1e-12) / (quantile * (1.0 - quantile)) * (1.0 - used)


def _penalty(blocks: Sequence[Block], spans: Sequence[slice], variances: Floats, *, scale: float) -> Floats:
    penalty = np.eye(spans[-1].stop) / (_UNPENALISED * scale) ** 2
    penalty[0, 0] *= 1e-8
    for block, span, variance in zip(blocks, spans, variances, strict=True):
        if block.penalty is not None:
            penalty[span, span] += block.penalty / variance
    return penalty


def _variances(
    blocks: Sequence[Block],
    spans: Sequence[slice],
    variances: Floats,
    *,
    effects: Floats,
    covariance: Floats,
    start: float,
) -> Floats:
    found = variances.copy()
    for at, (block, span) in enumerate(zip(blocks, spans, strict=True)):
        if block.penalty is not None:
            own = effects[span]
            told = block.rank - float((block.penalty * covariance[span, span]).sum()) / variances[at]
            found[at] = (own @ block.penalty @ own + start) / (max(told, 0.0) + 1.0)
    return found


def _left_out_shift(residual: Floats, weight: Floats, pull: Floats, *, quantile: float, bandwidth: float) -> float:
    """Quantile of the residuals as if each account had not been seen: one Newton step each."""
    z = residual / bandwidth
    slope = np.exp(-0.5 * z**2) / (bandwidth * math.sqrt(2.0 * math.pi))
    left_out = residual + pull * (quantile - special.ndtr(-z)) / np.maximum(1.0 - pull * slope, 0.2)
    return float(weighted_quantile(left_out, weight, np.array([quantile]))[0])


def _told(places: Places, values: Floats, effects: Floats) -> Floats:
    found: Floats = np.einsum("ij,ij->i", values, effects[places])
    return found


@njit(cache=True)
def _accumulate(places, values, y, weight, effects, quantile, bandwidth, hessian, gradient):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
    """Gradient of minus the smoothed loss, and the lower triangle of the loss's Hessian."""
    hessian[:] = 0.0
    gradient[:] = 0.0
    entries = places.shape[1]
    for i in range(places.shape[0]):
        if weight[i] == 0.0:
            continue
        told = 0.0
        for a in range(entries):
            told += values[i, a] * effects[places[i, a]]
        z = (y[i] - told) / bandwidth
        score = weight[i] * (quantile - 0.5 * math.erfc(z / math.sqrt(2.0)))
        slope = weight[i] * math.exp(-0.5 * z * z) / (bandwidth * math.sqrt(2.0 * math.pi))
        for a in range(entries):
            first = places[i, a]
            gradient[first] += score * values[i, a]
            sloped = slope * values[i, a]
            if sloped != 0.0:
                for b in range(entries):
                    if places[i, b] <= first:
                        hessian[first, places[i, b]] += sloped * values[i, b]


@njit(cache=True)
def _squared(places, values, covariance):  # type: ignore[no-untyped-def]
    """Quadratic form of each row."""
    found = np.empty(places.shape[0])
    for i in range(places.shape[0]):
        total = 0.0
        for a in range(places.shape[1]):
            for b in range(places.shape[1]):
                total += values[i, a] * values[i, b] * covariance[places[i, a], places[i, b]]
        found[i] = total
    return found
