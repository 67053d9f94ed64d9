"""Attributes of accounts as a sparse design: labels by level, numbers by rank, and pairs of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast.printable import printable

Floats = NDArray[np.float64]
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
    coarse += [_tents(name, values, _COARSE_KNOTS, None) for name, values in numbers.items()]
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
    found = [_tents(name, values, _KNOTS, bends.T @ bends)]
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


def _tents(name: str, values: Floats, knots: int, penalty: Floats | None) -> Block:
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
