"""The quantile regression: against plain quantiles, its own first-order condition, and refits without an account."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from clv_forecast.ranking.peer_quantile import (
    Block,
    fit_quantile,
    lay_out,
    predict,
    read_kinds,
    rows,
    unexplained,
    weighted_quantile,
)


def by_kind(n: int, kinds: int, seed: int = 1) -> tuple[np.ndarray, tuple[Block, ...], np.ndarray]:
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % kinds
    blocks = read_kinds(pd.DataFrame({"kind": [f"k{k}" for k in kind]})).mains
    return rng.normal(size=n) + kind, blocks, kind


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8, 0.95])
def test_large_groups_get_their_own_quantile(quantile: float) -> None:
    y, blocks, kind = by_kind(8000, 4)
    told, error = predict(fit_quantile(y, np.ones(8000), blocks, quantile=quantile), blocks)
    for k in range(4):
        of_kind = np.flatnonzero(kind == k)
        assert told[of_kind[0]] == pytest.approx(np.quantile(y[of_kind], quantile), abs=0.05)
        plain = np.sqrt(quantile * (1 - quantile) / of_kind.size) / stats.norm.pdf(stats.norm.ppf(quantile))
        assert error[of_kind[0]] == pytest.approx(plain, rel=0.2)


def test_small_groups_are_drawn_to_the_rest_and_large_ones_are_not() -> None:
    rng = np.random.default_rng(3)
    kind = np.concatenate([np.zeros(5, dtype=int), np.repeat(np.arange(1, 11), 200)])
    y = rng.normal(size=kind.size) + np.where(kind == 0, 5.0, 0.3 * rng.normal(size=11)[kind])
    blocks = read_kinds(pd.DataFrame({"kind": [f"k{k:02d}" for k in kind]})).mains
    told, error = predict(fit_quantile(y, np.ones(kind.size), blocks, quantile=0.8), blocks)
    own = np.array([np.quantile(y[kind == k], 0.8) for k in range(11)])
    middle = np.median(own)
    drawn = [(told[kind == k][0] - middle) / (own[k] - middle) for k in (0, int(np.argmax(own[1:])) + 1)]
    assert drawn[0] < 0.95
    assert drawn[1] > 0.8
    assert error[kind == 0][0] > 2.0 * error[kind == 1][0]


def test_weights_of_whole_numbers_count_like_copies() -> None:
    y, blocks, _ = by_kind(600, 3)
    times = np.random.default_rng(2).integers(1, 4, 600)
    copies = np.repeat(np.arange(600), times)
    weighted = predict(fit_quantile(y, times.astype(float), blocks, quantile=0.8), blocks)[0]
    repeated = [rows(block, copies) for block in blocks]
    told = predict(fit_quantile(y[copies], np.ones(copies.size), repeated, quantile=0.8), blocks)[0]
    np.testing.assert_allclose(weighted, told, atol=0.05)


def test_the_shift_is_that_of_refits_without_each_account() -> None:
    y, blocks, _ = by_kind(120, 6, seed=4)
    fitted = fit_quantile(y, np.ones(120), blocks, quantile=0.8)
    assert fitted.settled
    left_out = np.empty(120)
    for at in range(120):
        others = np.delete(np.arange(120), at)
        again = fit_quantile(y[others], np.ones(119), [rows(b, others) for b in blocks], quantile=0.8)
        left_out[at] = y[at] - predict(again, [rows(b, np.array([at])) for b in blocks])[0][0] + again.shift
    shift = weighted_quantile(left_out, np.ones(120), np.array([0.8]))[0]
    naive = weighted_quantile(y - predict(fitted, blocks)[0] + fitted.shift, np.ones(120), np.array([0.8]))[0]
    assert abs(naive - shift) > 0.03
    assert fitted.shift == pytest.approx(shift, abs=0.01)


def test_scores_vanish_where_nothing_is_penalised() -> None:
    y, blocks, _ = by_kind(2000, 2)
    fitted = fit_quantile(y, np.ones(2000), blocks, quantile=0.8)
    places, values, spans = lay_out(blocks)
    assert spans[0] == slice(1, 3)
    residual = y - (values * fitted.effects[places]).sum(axis=1)
    below = special.ndtr(-residual / (0.35 * 2.0**-0.2))
    assert below.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("y", [np.full(200, 3.0), np.repeat([0.0, 1e6], 100), np.r_[np.zeros(199), 1e9]])
def test_ties_and_giants(y: np.ndarray) -> None:
    blocks = by_kind(200, 4)[1]
    told, error = predict(fit_quantile(y, np.ones(200), blocks, quantile=0.5), blocks)
    assert np.isfinite(told).all()
    assert np.isfinite(error).all()
    assert (told > -1e6).all()
    assert (told < 2e6).all()


def test_unexplained_is_standard_for_what_tells_nothing() -> None:
    found, real = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame({"kind": rng.choice(list("abcdefgh"), 400)})
        block = read_kinds(table).mains
        residual = rng.normal(size=400)
        found.append(unexplained(residual - np.quantile(residual, 0.8), np.ones(400), block, quantile=0.8)[0])
        tied = residual + 1.0 * (table["kind"] == "a")
        real.append(unexplained((tied - tied.quantile(0.8)).to_numpy(), np.ones(400), block, quantile=0.8)[0])
    assert abs(np.mean(found)) < 0.5
    assert 0.6 < np.std(found) < 1.4
    assert np.mean(real) > 4.0


def test_weighted_quantile_against_copies() -> None:
    values, weight = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0])
    assert weighted_quantile(values, weight, np.array([0.0, 0.25, 0.625, 1.0])).tolist() == [1.0, 1.0, 2.0, 3.0]
