"""Which purchase a refund takes back: matching in exact integers, one customer at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.history.cleaning import AT

Integers = NDArray[np.int64]

MICRO: Final = 10**6
LEVELS: Final = ("order and category", "order", "category", "latest earlier order")
"""How a refund finds its purchase, strongest evidence first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """What is left after matching, per row of the events given.

    Parameters
    ----------
    left : ndarray of int64, shape (event,)
        Micro-units left of a purchase line; 0 for refunds.
    unmatched : ndarray of int64, shape (event,)
        Micro-units of a refund that found no purchase (>= 0); 0 for purchase lines.
    by_level : mapping of str to int
        Micro-units matched on each level of ``LEVELS``.
    """

    left: Integers
    unmatched: Integers
    by_level: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedEvents:
    """Purchases and refunds of customers, matched.

    Parameters
    ----------
    customer : ndarray of int64, shape (event,)
        Codes.
    amount : ndarray of int64, shape (event,)
        Micro-units.
    matching : Matching
    """

    customer: Integers
    amount: Integers
    matching: Matching


def match_events(events: pa.Table) -> MatchedEvents:
    """Match the refunds among events, which come sorted by customer, time, order, category, amount and margin."""
    customer = codes(events[c.CUSTOMER_ID])
    amount = to_micro(events[c.AMOUNT])
    at = pc.cast(events[AT], pa.int64()).to_numpy()
    matching = match_refunds(customer, at, codes(events[c.ORDER_ID]), codes(events[c.CATEGORY]), amount)
    return MatchedEvents(customer=customer, amount=amount, matching=matching)


def codes(column: pa.ChunkedArray) -> Integers:
    """Whole numbers for the values of a column, the same for the same; -1 where there is none."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)


def match_refunds(customer: Integers, at: Integers, order: Integers, category: Integers, amount: Integers) -> Matching:
    """Take every refund from purchase lines of the same customer, the stronger evidence first.

    All refunds are first taken from the lines of their own order (its lines of the same category before the others,
    whenever they were dated), then what is left of them from earlier lines of the same category, then from earlier
    lines of the customer. On each level refunds go in order of time and take from the latest line with money left,
    then from the one before it. A line at the same moment counts as earlier, so a log of dates alone
    nets within its day. No refund crosses customers.

    Parameters
    ----------
    customer, order, category : ndarray of int64, shape (event,)
        Codes; -1 where order or category is unknown.
    at : ndarray of int64, shape (event,)
        Time of the event; events of a customer come in ascending order, ties in an order that does not depend
        on how the log was sorted.
    amount : ndarray of int64, shape (event,)
        Micro-units: positive for a purchase line, negative for a refund.

    Returns
    -------
    Matching

    Examples
    --------
    Two orders of 10 and 5, then a refund of 7: the latest order goes first, 2 of the other follow.

    >>> codes, none = np.zeros(3, np.int64), np.full(3, -1)
    >>> match_refunds(codes, np.arange(3), none, none, np.array([10, 5, -7])).left.tolist()
    [8, 0, 0]
    """
    left = np.maximum(amount, 0)
    owed = np.maximum(-amount, 0)
    known_order, known_category = order >= 0, category >= 0
    groups = (
        (_group(customer, order, category), known_order & known_category, True),
        (_group(customer, order), known_order, True),
        (_group(customer, category), known_category, False),
        (_group(customer), np.ones(len(amount), dtype=np.bool_), False),
    )
    by_level: dict[str, int] = {}
    for level, (group, known, any_time) in zip(LEVELS, groups, strict=True):
        before = sum(owed.tolist())
        if before and known.any():
            _take_back(group, known, at, left, owed, any_time=any_time)
        by_level[level] = before - sum(owed.tolist())
    return Matching(left=left, unmatched=owed, by_level=by_level)


def _take_back(
    group: Integers,
    known: NDArray[np.bool_],
    at: Integers,
    left: Integers,
    owed: Integers,
    *,
    any_time: bool,
) -> None:
    """Match on one level, changing ``left`` and ``owed`` in place.

    Lines are pushed on a stack as time passes, so its top is the latest earlier line with money left; a line leaves
    the stack once it is used up, so the work grows with the number of events, not with its square.
    """
    refund = known & (owed > 0)
    owing = np.zeros(int(group.max()) + 1, dtype=np.bool_)
    owing[group[refund]] = True
    rows = np.flatnonzero(known & owing[group] & ((left > 0) | refund))
    time = np.zeros(len(rows), dtype=np.int64) if any_time else at[rows]
    rows = rows[np.lexsort((rows, refund[rows], time, group[rows]))]
    stack: list[int] = []
    current = -1
    line_left, line_owed = left[rows].tolist(), owed[rows].tolist()
    for place, code in enumerate(group[rows].tolist()):
        if code != current:
            current, stack = code, []
        need = line_owed[place]
        if not need:
            stack.append(place)
            continue
        while need and stack:
            latest = stack[-1]
            taken = min(need, line_left[latest])
            need -= taken
            line_left[latest] -= taken
            if not line_left[latest]:
                stack.pop()
        line_owed[place] = need
    left[rows], owed[rows] = line_left, line_owed


def _group(*codes: Integers) -> Integers:
    """One code per distinct combination."""
    combined = codes[0]
    for code in codes[1:]:
        pair = combined * (int(code.max(initial=-1)) + 2) + code + 1
        combined = np.unique(pair, return_inverse=True)[1].astype(np.int64)
    return combined


def to_micro(column: pa.ChunkedArray | pa.Array) -> Integers:
    """Micro-units of a DECIMAL(38, 6) column as 64-bit integers; missing is 0.

    The column must stay below 2**63 micro-units, which ``LARGEST_AMOUNT`` sees to.

    Examples
    --------
    >>> from decimal import Decimal
    >>> to_micro(pa.array([Decimal("1.50"), None], pa.decimal128(38, 6))).tolist()
    [1500000, 0]
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.null_count:
        array = array.fill_null(0)
    words = np.frombuffer(array.buffers()[1], dtype=np.int64)
    return words[2 * array.offset : 2 * (array.offset + len(array)) : 2].copy()


def from_micro(units: Integers) -> pa.Array:
    """DECIMAL(38, 6) column from micro-units, exactly.

    Examples
    --------
    >>> from_micro(np.array([-2_500_000])).to_pylist()
    [Decimal('-2.500000')]
    """
    words = np.empty((len(units), 2), dtype=np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    return pa.Array.from_buffers(pa.decimal128(38, 6), len(units), [None, pa.py_buffer(words.tobytes())])
