"""Random numbers by key: a pure function of (seed, customer, draw, stage, counter).

Philox 4x32-10 is counter-based: there is no state to carry, so any customer, draw or chunk can be
replayed alone and gives the same numbers whatever else is computed, in whatever order or thread.

References
----------
Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC'11,
doi:10.1145/2063384.2063405. Gamma variates: Marsaglia & Tsang (2000), "A simple method for generating
gamma variables", ACM TOMS 26(3), doi:10.1145/358407.358414.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit, uint32, uint64
from numpy.typing import NDArray

from clv_forecast.errors import DomainError

STAGE_PURCHASES: Final = 1
STAGE_SPEND: Final = 2
STAGE_SHOCK: Final = 3
STAGE_DEATH: Final = 4
STAGE_FIRST_ORDER: Final = 5
STAGE_WALLET: Final = 30
STAGE_READINESS: Final = 31
STAGE_UPLIFT: Final = 40

_M0: Final = np.uint64(0xD2511F53)
_M1: Final = np.uint64(0xCD9E8D57)
_W0: Final = np.uint32(0x9E3779B9)
_W1: Final = np.uint32(0xBB67AE85)
_TO_UNIT: Final = 2.0**-53
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class KeyedStreams:
    """One independent stream per customer; draw ``d`` of a call is draw ``first_draw + d`` of the stream.

    Parameters
    ----------
    keys : ndarray of uint64, shape (customer,)
    first_draw : int
    """

    keys: NDArray[np.uint64]
    first_draw: int = 0


RandomSource = int | np.random.Generator | KeyedStreams


def as_streams(rng: RandomSource, customers: int) -> KeyedStreams:
    """Turn a seed, a NumPy generator or ready streams into one stream per customer.

    Raises
    ------
    DomainError
        If ready streams do not have one key per customer, a seed is outside [0, 2**63), or ``rng`` is none
        of the three.

    Examples
    --------
    >>> as_streams(1, 3).keys.shape
    (3,)
    """
    if isinstance(rng, KeyedStreams):
        if rng.keys.shape != (customers,):
            raise DomainError("KeyedStreams needs one key per customer.", value=f"{rng.keys.shape} for {customers}")
        return rng
    if isinstance(rng, np.random.Generator):
        return KeyedStreams(rng.integers(0, 2**64, size=customers, dtype=np.uint64))
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        return KeyedStreams(customer_keys(as_seed(rng), range(customers)))
    raise DomainError("rng must be an int seed, a numpy Generator, or KeyedStreams.", value=repr(rng))


def as_seed(rng: int | np.random.Generator) -> int:
    """Reduce ``rng`` to one 63-bit seed (a Generator is advanced by one number)."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 2**63))
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and 0 <= rng < 2**63:
        return int(rng)
    raise DomainError("rng must be an int seed in [0, 2**63) or a numpy Generator.", value=repr(rng))


def customer_keys(seed: int, customer_ids: Iterable[Any]) -> NDArray[np.uint64]:
    """Keys of customers: a hash of the seed and of the id's type and text, the same on every machine.

    A whole number hashes alike as an integer of any width and as text: ``1`` and ``"1"`` are one customer.

    Examples
    --------
    >>> a = customer_keys(1, [10, 20, 30])
    >>> bool((customer_keys(1, [30, 20]) == a[[2, 1]]).all())
    True
    """
    prefix = hashlib.blake2b(int(seed).to_bytes(8, "little"), digest_size=8)

    def key(customer_id: Any) -> int:
        state = prefix.copy()
        kind = "i" if isinstance(customer_id, (int, np.integer)) else "s" if isinstance(customer_id, str) else "o"
        if kind == "s" and _WHOLE.fullmatch(customer_id) and -(2**63) <= int(customer_id) < 2**63:
            kind = "i"
        state.update(f"{kind}{customer_id}".encode("utf-8", "surrogatepass"))
        return int.from_bytes(state.digest(), "little")

    return np.fromiter((key(i) for i in customer_ids), dtype=np.uint64)


@njit(cache=True, inline="always")
def _round(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    p0 = _M0 * uint64(c0)
    p1 = _M1 * uint64(c2)
    return (
        uint32(uint32(p1 >> uint64(32)) ^ c1 ^ k0),
        uint32(p1),
        uint32(uint32(p0 >> uint64(32)) ^ c3 ^ k1),
        uint32(p0),
    )


@njit(cache=True)
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Philox 4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key."""
    for _ in range(10):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0 = uint32(k0 + _W0)
        k1 = uint32(k1 + _W1)
    return c0, c1, c2, c3


@njit(cache=True)
def uniform_pair(key, draw, stage, counter):  # type: ignore[no-untyped-def]
    """Two uniforms in the open interval (0, 1), with 53 bits each."""
    w0, w1, w2, w3 = philox(
        uint32(counter), uint32(draw), uint32(stage), uint32(0), uint32(key), uint32(key >> uint64(32))
    )
    first = (uint64(w0) << uint64(32) | uint64(w1)) >> uint64(11)
    second = (uint64(w2) << uint64(32) | uint64(w3)) >> uint64(11)
    return (float(first) + 0.5) * _TO_UNIT, (float(second) + 0.5) * _TO_UNIT


@njit(cache=True)
def normal(key, draw, stage, counter):  # type: ignore[no-untyped-def]
    """One standard normal variate (Box-Muller)."""
    u, w = uniform_pair(key, draw, stage, counter)
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * w)


@njit(cache=True)
def standard_gamma(key, draw, stage, counter, shape):  # type: ignore[no-untyped-def]
    """One Gamma(shape, 1) variate and the next free counter."""
    boost = 1.0
    raised = shape
    if shape < 1.0:
        u, _ = uniform_pair(key, draw, stage, counter)
        counter += 1
        boost = math.exp(math.log(u) / shape)
        raised = shape + 1.0
    d = raised - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        z = normal(key, draw, stage, counter)
        u, _ = uniform_pair(key, draw, stage, counter + 1)
        counter += 2
        v = 1.0 + c * z
        if v > 0.0:
            v = v * v * v
            # the squeeze lies inside the acceptance region: it saves logarithms and changes no number
            if u < 1.0 - 0.0331 * z * z * z * z or math.log(u) < 0.5 * z * z + d - d * v + d * math.log(v):
                return d * v * boost, counter


@njit(cache=True)
def normals(key, first_draw, draws, stage, count):  # type: ignore[no-untyped-def]
    """Standard normal variates of one key, shape (draws, count)."""
    out = np.empty((draws, count))
    for d in range(draws):
        for c in range(count):
            out[d, c] = normal(key, first_draw + d, stage, c)
    return out


@njit(cache=True)
def uniforms(keys, first_draw, draws, stage):  # type: ignore[no-untyped-def]
    """One uniform in (0, 1) per key and draw; shape (key, draw)."""
    out = np.empty((len(keys), draws))
    for i in range(len(keys)):
        for d in range(draws):
            out[i, d], _ = uniform_pair(keys[i], first_draw + d, stage, 0)
    return out


@njit(cache=True)
def first_orders(keys, p, q, v):  # type: ignore[no-untyped-def]
    """The amount of a new customer's first order per key and draw; shape (key, draw).

    Its level is the first variate of STAGE_SPEND, the same that prices the customer's later orders.
    """
    out = np.empty((len(keys), len(p)))
    for i in range(len(keys)):
        for d in range(len(p)):
            level, _ = standard_gamma(keys[i], d, STAGE_SPEND, 0, q[d])
            amount, _ = standard_gamma(keys[i], d, STAGE_FIRST_ORDER, 0, p[d])
            out[i, d] = amount * v[d] / level
    return out
