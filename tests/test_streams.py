"""Random numbers by key: known answers, distributions, and independence from order and neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray
from scipy import stats

from clv_forecast.errors import DomainError
from clv_forecast.streams import (
    STAGE_DEATH,
    STAGE_PURCHASES,
    STAGE_SHOCK,
    STAGE_SPEND,
    KeyedStreams,
    as_seed,
    as_streams,
    customer_keys,
    normal,
    philox,
    standard_gamma,
    uniform_pair,
)

DRAWS = 20_000
# Seeds are fixed, so a p-value below this is a defect and not bad luck
P_MIN = 1e-3


@njit
def _uniforms(keys: Any, draws: Any, stage: int, counter: int) -> Any:
    out = np.empty((keys.size, 2))
    for i in range(keys.size):
        out[i] = uniform_pair(keys[i], draws[i], stage, counter)
    return out


@njit
def _normals(keys: Any, draws: Any) -> Any:
    out = np.empty(keys.size)
    for i in range(keys.size):
        out[i] = normal(keys[i], draws[i], STAGE_SHOCK, 0)
    return out


@njit
def _gammas(keys: Any, draws: Any, shape: float) -> Any:
    out = np.empty(keys.size)
    used = np.empty(keys.size, dtype=np.int64)
    for i in range(keys.size):
        out[i], used[i] = standard_gamma(keys[i], draws[i], STAGE_SPEND, 0, shape)
    return out, used


def along_customers() -> tuple[NDArray[Any], NDArray[Any]]:
    return customer_keys(11, range(DRAWS)), np.zeros(DRAWS, dtype=np.int64)


def along_draws() -> tuple[NDArray[Any], NDArray[Any]]:
    return np.repeat(customer_keys(11, ["one customer"]), DRAWS), np.arange(DRAWS)


ALONG = pytest.mark.parametrize("along", [along_customers, along_draws])
Along = Callable[[], tuple[NDArray[Any], NDArray[Any]]]


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter: list[int], key: list[int], answer: str) -> None:
    """The vectors of Random123's ``kat_vectors`` for philox4x32, 10 rounds."""
    words = philox(*(np.uint32(word) for word in [*counter, *key]))
    assert " ".join(f"{int(word):08x}" for word in words) == answer


def test_a_uniform_is_made_of_two_words() -> None:
    words = [
        int(word) for word in philox(*(np.uint32(word) for word in (5, 3, STAGE_SPEND, 0, 0x89ABCDEF, 0x01234567)))
    ]
    expected = [((high << 32 | low) >> 11) * 2.0**-53 + 2.0**-54 for high, low in (words[:2], words[2:])]
    assert uniform_pair(np.uint64(0x0123456789ABCDEF), 3, STAGE_SPEND, 5) == pytest.approx(expected, rel=0, abs=2e-16)


@ALONG
def test_uniforms_are_uniform_and_a_pair_is_independent(along: Along) -> None:
    first, second = _uniforms(*along(), STAGE_PURCHASES, 0).T
    for u in (first, second):
        assert 0.0 < u.min() <= u.max() < 1.0
        assert stats.kstest(u, "uniform").pvalue > P_MIN
        assert stats.spearmanr(u[:-1], u[1:]).pvalue > P_MIN
    assert stats.spearmanr(first, second).pvalue > P_MIN


@pytest.mark.parametrize(("stage", "counter"), [(STAGE_PURCHASES, 1), (STAGE_SPEND, 0), (STAGE_DEATH, 0)])
def test_stages_and_counters_are_independent(stage: int, counter: int) -> None:
    base = _uniforms(*along_customers(), STAGE_PURCHASES, 0)[:, 0]
    other = _uniforms(*along_customers(), stage, counter)[:, 0]
    assert stats.spearmanr(base, other).pvalue > P_MIN


def test_the_four_stages_differ() -> None:
    assert len({STAGE_PURCHASES, STAGE_SPEND, STAGE_SHOCK, STAGE_DEATH}) == 4


@ALONG
def test_normals_are_normal(along: Along) -> None:
    assert stats.kstest(_normals(*along()), "norm").pvalue > P_MIN


@pytest.mark.parametrize("shape", [0.05, 0.3, 1.0, 5.0, 200.0])
@ALONG
def test_gammas_are_gamma(along: Along, shape: float) -> None:
    values, used = _gammas(*along(), shape)
    assert stats.kstest(values, stats.gamma(shape).cdf).pvalue > P_MIN
    assert used.min() == (3 if shape < 1.0 else 2)  # at least one trial: two counters, and one for the boost


@pytest.mark.parametrize("shape", [0.05, 0.3, 1.0, 5.0, 200.0])
def test_the_gamma_check_can_fail(shape: float) -> None:
    values, _ = _gammas(*along_customers(), shape)
    assert stats.kstest(values, stats.gamma(shape * 1.1).cdf).pvalue < P_MIN


def test_keys_do_not_depend_on_order_or_neighbours() -> None:
    ids = [f"customer {i}" for i in range(100)]
    keys = customer_keys(3, ids)
    assert (customer_keys(3, ids[::-1]) == keys[::-1]).all()
    assert customer_keys(3, ids[40:41])[0] == keys[40]
    assert np.unique(keys).size == 100


def test_keys_do_not_depend_on_the_width_of_an_integer() -> None:
    ids = [0, 1, 7, 127]
    keys = customer_keys(3, ids)
    for kind in (np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64):
        assert (customer_keys(3, np.array(ids, dtype=kind)) == keys).all()


def test_a_whole_number_and_its_text_are_one_customer() -> None:
    assert customer_keys(3, [1])[0] == customer_keys(3, ["1"])[0]
    assert customer_keys(3, [2**63 - 1])[0] == customer_keys(3, [str(2**63 - 1)])[0]
    assert customer_keys(3, [2**63])[0] != customer_keys(3, [str(2**63)])[0]
    assert customer_keys(3, ["01"])[0] != customer_keys(3, ["1"])[0]
    assert customer_keys(3, np.array(["1"]))[0] == customer_keys(3, ["1"])[0]


def test_keys_depend_on_the_seed_and_on_nothing_else() -> None:
    assert (customer_keys(3, range(9)) == customer_keys(3, range(9))).all()
    assert not (customer_keys(3, range(9)) == customer_keys(4, range(9))).any()


def test_a_pinned_key() -> None:
    """BLAKE2b of the seed's 8 bytes and "i1": when it moves, every number of every saved run moves with it."""
    assert customer_keys(1, [1])[0] == np.uint64(18209641721395734150)


def test_keys_take_any_text() -> None:
    assert np.unique(customer_keys(1, ["", " ", "é", "e\u0301", "\ud800"])).size == 5


def test_streams_of_a_seed_are_keys_of_positions() -> None:
    assert (as_streams(5, 4).keys == customer_keys(5, range(4))).all()
    assert (as_streams(np.int32(5), 4).keys == as_streams(5, 4).keys).all()  # type: ignore[arg-type]


def test_streams_of_a_generator_advance_it() -> None:
    rng = np.random.default_rng(5)
    first, second = as_streams(rng, 4), as_streams(rng, 4)
    assert not (first.keys == second.keys).any()
    assert (as_streams(np.random.default_rng(5), 4).keys == first.keys).all()


def test_ready_streams_pass_through_when_they_fit() -> None:
    streams = KeyedStreams(customer_keys(1, range(3)), first_draw=10)
    assert as_streams(streams, 3) is streams
    with pytest.raises(DomainError, match="one key per customer"):
        as_streams(streams, 4)


@pytest.mark.parametrize("rng", [None, 1.0, True, "1"])
def test_what_is_no_source_of_randomness_is_refused(rng: Any) -> None:
    with pytest.raises(DomainError, match="rng must be"):
        as_streams(rng, 3)
    with pytest.raises(DomainError, match="rng must be"):
        as_seed(rng)


def test_seeds() -> None:
    assert as_seed(0) == 0
    assert as_seed(2**63 - 1) == 2**63 - 1
    for outside in (-1, 2**63):
        with pytest.raises(DomainError, match="rng must be"):
            as_seed(outside)
        with pytest.raises(DomainError, match="rng must be"):
            as_streams(outside, 3)
    rng = np.random.default_rng(5)
    assert as_seed(rng) != as_seed(rng)
    assert as_seed(np.random.default_rng(5)) == as_seed(np.random.default_rng(5))
