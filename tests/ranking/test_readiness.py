"""Readiness recovers the shares that made the data, takes no bias for potential, and adds up in money."""

from __future__ import annotations

import numpy as np
import pytest

from clv_forecast.errors import Absent
from clv_forecast.ranking.readiness import FOLDS, Lesson, Readiness, learn_readiness, reliability_table

NAMES = ("every account", "rising", "segment = a")


def lesson(seed: int, *, shares=(0.05, 0.3, 0.1), bias: float = 0.0, size: int = 4000, scale: float = 1.0) -> Lesson:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(size), rng.random(size), rng.random(size) < 0.4]).astype(float)
    headroom, expected = rng.gamma(2.0, 500.0, size), rng.gamma(2.0, 400.0, size)
    p_alive = rng.beta(5.0, 1.5, size)
    mean = expected * (1.0 + bias) + p_alive * headroom * (x @ np.array(shares))
    sd = 0.4 * expected + 50.0
    return Lesson(
        actual=scale * rng.normal(mean, sd),
        expected=scale * expected,
        sd=scale * sd,
        headroom=scale * headroom,
        p_alive=p_alive,
        x=x,
        fold=np.arange(size) % FOLDS,
        days=365,
    )


def learnt(of: Lesson) -> tuple[Readiness, np.ndarray]:
    found = learn_readiness(of, NAMES, seed=1)
    assert not isinstance(found, Absent)
    return found[:2]


def test_recovers_shares_and_bias() -> None:
    readiness, predicted = learnt(lesson(1, bias=-0.1))
    table = readiness.table().set_index("feature")
    assert table["share"].to_numpy() == pytest.approx([0.05, 0.3, 0.1], abs=0.04)
    assert readiness.forecast_error == pytest.approx(-0.1, abs=0.03)
    assert ((table["lower"] <= table["share"]) & (table["share"] <= table["upper"])).all()
    of = lesson(1, bias=-0.1)
    truth = of.p_alive * of.headroom * (of.x @ np.array([0.05, 0.3, 0.1]))
    assert predicted.sum() == pytest.approx(truth.sum(), rel=0.06)
    assert np.corrcoef(predicted, truth)[0, 1] > 0.98


def test_bands_hold_the_truth_as_often_as_they_say() -> None:
    inside = []
    for seed in range(60):
        table = learnt(lesson(seed, size=600))[0].table(0.9)
        inside.append((table["lower"] <= [0.05, 0.3, 0.1]) & (table["upper"] >= [0.05, 0.3, 0.1]))
    assert np.mean(inside) > 0.78  # the penalty draws shares a little together


def test_a_biased_forecast_is_no_potential() -> None:
    readiness, predicted = learnt(lesson(2, shares=(0.0, 0.0, 0.0), bias=0.2))
    headroom = lesson(2).headroom.sum()
    assert readiness.forecast_error == pytest.approx(0.2, abs=0.04)
    assert abs(predicted.sum()) < 0.015 * headroom


def test_shares_are_never_negative() -> None:
    readiness, predicted = learnt(lesson(3, shares=(-0.2, 0.0, 0.0)))
    assert (readiness.shares >= 0.0).all() and (predicted >= 0.0).all()


def test_cents_change_nothing() -> None:
    euros, cents = learnt(lesson(4)), learnt(lesson(4, scale=100.0))
    assert cents[0].shares == pytest.approx(euros[0].shares, rel=1e-6, abs=1e-9)
    assert cents[1] == pytest.approx(100.0 * euros[1], rel=1e-6, abs=1e-6)
    assert cents[0].spread == pytest.approx(euros[0].spread, rel=1e-6, abs=1e-9)


def test_an_account_is_predicted_from_the_others() -> None:
    of = lesson(5)
    changed = Lesson(**{**{name: getattr(of, name) for name in of.__slots__}, "actual": of.actual.copy()})
    changed.actual[::FOLDS] += 300.0  # one fold
    before, after = learnt(of)[1], learnt(changed)[1]
    same = np.arange(len(before)) % FOLDS == 0
    own, others = after[same] / before[same], after[~same] / before[~same]
    assert np.ptp(own) < 1e-9  # what is kept of all shares is chosen together; the shares are the others'
    assert np.ptp(others) > 0.01 and others.mean() > 1.02 * own.mean()


def test_reliability_adds_up_and_tells_a_wrong_model() -> None:
    of = lesson(6)
    _, predicted, above = learn_readiness(of, NAMES, seed=1)
    table = reliability_table(of, predicted, above, prob=0.9, seed=1)
    assert table["accounts"].sum() == len(predicted)
    assert table["expected_above"].is_monotonic_increasing
    assert table["expected_above"].sum() == pytest.approx(predicted.sum())
    good = ((table["lower"] <= table["expected_above"]) & (table["expected_above"] <= table["upper"])).mean()
    turned = reliability_table(of, predicted[::-1].copy(), above, prob=0.9, seed=1)
    bad = ((turned["lower"] <= turned["expected_above"]) & (turned["expected_above"] <= turned["upper"])).mean()
    assert good >= 0.7 and bad <= 0.4


def test_unknown_wallets_and_too_few_accounts() -> None:
    of = lesson(7, size=300)
    of.headroom[:200] = np.nan
    _, predicted = learnt(of)
    assert np.isnan(predicted[:200]).all() and np.isfinite(predicted[200:]).all()
    of.headroom[40:] = 0.0
    of.headroom[:40] = 10.0
    words = learn_readiness(of, NAMES, seed=1)
    assert isinstance(words, Absent) and "40 accounts had headroom" in words.reason


def test_a_share_is_at_most_one() -> None:
    readiness, predicted = learnt(lesson(9, shares=(0.5, 0.4, 0.2)))  # above 1 for one account in twelve
    shares = readiness.expected_shares(lesson(9).x)
    assert shares.max() == 1.0 and (shares >= 0.0).all()
    assert (predicted <= lesson(9).p_alive * lesson(9).headroom).all()


@pytest.mark.parametrize("shares", [(3.0, 0.0, 0.0), (0.2, 1.6, 0.0)], ids=["in all", "of many accounts"])
def test_wallets_that_are_too_low_are_said_to_be(shares: tuple[float, float, float]) -> None:
    words = learn_readiness(lesson(10, shares=shares), NAMES, seed=1)
    assert isinstance(words, Absent) and words.reason.startswith("The wallets are too low")


def test_spread_of_shares_is_found() -> None:
    rng = np.random.default_rng(8)
    of = lesson(8, size=20_000)
    mean = of.p_alive * (of.x @ np.array([0.05, 0.3, 0.1]))
    share = rng.gamma(mean / 0.5, 0.5)
    noisy = Lesson(
        **{
            **{name: getattr(of, name) for name in of.__slots__},
            "actual": rng.normal(of.expected, of.sd) + of.headroom * share,
        }
    )
    assert learnt(noisy)[0].spread == pytest.approx(0.5, rel=0.15)
    assert learnt(of)[0].spread < 0.05


def test_what_may_be_noise_is_doubted_and_not_denied() -> None:
    none = [learnt(lesson(seed, shares=(0.0, 0.0, 0.0), size=500))[0] for seed in range(8)]
    some = [learnt(lesson(seed, shares=(0.04, 0.0, 0.0), size=500))[0] for seed in range(8)]
    clear = [learnt(lesson(seed, shares=(0.3, 0.1, 0.1), size=500))[0] for seed in range(8)]
    doubts = [np.mean([readiness.chance_of_nothing for readiness in found]) for found in (none, some, clear)]
    assert doubts[0] > 0.4 and doubts[0] > doubts[1] > doubts[2] and doubts[2] < 0.02
    uppers = [readiness.table()["upper"].sum() for readiness in some]
    assert min(uppers) > 0.0  # never "surely nothing" where there may be something
