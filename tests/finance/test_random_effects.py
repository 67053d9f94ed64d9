"""Shrinkage of cohorts: against linear algebra, and in worlds in which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clv_forecast.finance.same_age import _SPREADS, Effects, group_variances, random_effects

MEANS = np.array([3.0, 5.0, 4.0, 10.0, 30.0])
CUSTOMERS = np.array([20.0, 5.0, 60.0, 40.0, 7.0])
SQUARES = np.array([100.0, 40.0, 250.0, 900.0, 300.0])
GROUP = np.array([0, 0, 0, 1, 1])


@pytest.fixture(scope="module")
def effects() -> Effects:
    return random_effects(MEANS, CUSTOMERS, SQUARES, group=GROUP)


SIGMA2 = group_variances(CUSTOMERS, SQUARES, GROUP)[GROUP]


def posterior(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the true means for one spread, from the joint precision of them and their groups'."""
    between = spread**2 * SIGMA2
    member = (GROUP[:, None] == np.arange(2)).astype(float)
    cross = -member / between[:, None]
    precision = np.block(
        [[np.diag(CUSTOMERS / SIGMA2 + 1.0 / between), cross], [cross.T, np.diag(member.T @ (1.0 / between))]]
    )
    covariance = np.linalg.inv(precision)
    return (covariance @ np.append(CUSTOMERS / SIGMA2 * MEANS, np.zeros(2)))[:5], covariance[:5, :5]


def log_marginal(spread: float) -> float:
    """Density of the means for one spread, with a very wide prior of the groups' means."""
    same = (GROUP[:, None] == GROUP[None, :]).astype(float)
    data = 1e7 * same + np.diag(spread**2 * SIGMA2 + SIGMA2 / CUSTOMERS)
    return float(stats.multivariate_normal(np.zeros(5), data).logpdf(MEANS))


@pytest.mark.parametrize("place", [0, 60, 120, 180])
def test_given_the_spread_it_is_the_normal_posterior(effects: Effects, place: int) -> None:
    mean, covariance = posterior(_SPREADS[place])
    np.testing.assert_allclose(effects.means[place], mean, rtol=1e-7)
    variance = effects.variances[place] + effects.pulls[place] ** 2 * effects.group_variances[place]
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=1e-7)
    alone = Effects(**{name: getattr(effects, name)[[place]] * 1.0 for name in _FIELDS} | {"weights": np.ones(1)})
    shares = np.array([0.25, 0.75])
    earlier, better = alone.contrast(2, np.array([0, 1]), shares)
    weights = np.array([-0.25, -0.75, 1.0, 0.0, 0.0])
    assert earlier == pytest.approx(shares @ mean[:2], rel=1e-4)
    z = (weights @ mean) / np.sqrt(weights @ covariance @ weights)
    assert better == pytest.approx(stats.norm.cdf(z), abs=1e-6)


_FIELDS = ("means", "variances", "pulls", "group_variances", "group_means")


def test_the_spread_has_its_posterior(effects: Effects) -> None:
    log = np.array([log_marginal(spread) for spread in _SPREADS])
    expected = np.exp(log - log.max()) * np.gradient(_SPREADS) * stats.halfcauchy(scale=0.25).pdf(_SPREADS)
    np.testing.assert_allclose(effects.weights, expected / expected.sum(), atol=1e-5)


def test_bands_hold_their_probability(effects: Effects) -> None:
    sd = np.sqrt(effects.variances + effects.pulls**2 * effects.group_variances)
    for prob in (0.5, 0.9, 0.99):
        for end, share in zip(effects.band(prob), ((1.0 - prob) / 2.0, (1.0 + prob) / 2.0), strict=True):
            below = effects.weights @ stats.norm.cdf((end - effects.means) / sd)
            np.testing.assert_allclose(below, share, atol=1e-9)


def test_units_order_and_shift_change_nothing(effects: Effects) -> None:
    cents = random_effects(100.0 * MEANS - 7.0, CUSTOMERS, 1e4 * SQUARES, group=GROUP)
    np.testing.assert_allclose(cents.shrunk, 100.0 * effects.shrunk - 7.0, rtol=1e-9)
    order = np.array([4, 2, 0, 3, 1])
    turned = random_effects(MEANS[order], CUSTOMERS[order], SQUARES[order], group=GROUP[order])
    np.testing.assert_allclose(turned.shrunk, effects.shrunk[order], rtol=1e-9)


def test_a_cohort_alone_is_not_shrunk_and_few_customers_are_shrunk_more() -> None:
    alone = random_effects(np.array([5.0]), np.array([10.0]), np.array([90.0]), group=np.array([0]))
    assert alone.shrunk[0] == pytest.approx(5.0)
    low, high = alone.band(0.9)
    assert high[0] - low[0] == pytest.approx(
        2 * 1.6449 * np.sqrt(alone.variances + alone.pulls**2 * alone.group_variances)[0, 0], rel=1e-3
    )
    three = random_effects(
        np.array([5.0, 5.0, 1.0]), np.array([100.0, 4.0, 100.0]), np.full(3, 300.0), group=np.zeros(3, int)
    )
    pulled = (5.0 - three.shrunk[:2]) / (5.0 - three.pooled[:2])
    assert pulled[1] > 3.0 * pulled[0] > 0.0


def test_customers_who_are_all_alike_leave_no_doubt() -> None:
    sure = random_effects(np.array([1.0, 2.0]), np.array([3.0, 3.0]), np.zeros(2), group=np.zeros(2, dtype=int))
    assert sure.shrunk.tolist() == [1.0, 2.0]
    assert sure.contrast(1, np.array([0]), np.ones(1)) == (1.0, 1.0)
    equal = random_effects(np.array([2.0, 2.0]), np.array([3.0, 3.0]), np.zeros(2), group=np.zeros(2, dtype=int))
    assert equal.contrast(1, np.array([0]), np.ones(1)) == (2.0, 0.5)
    np.testing.assert_allclose(sure.band(0.9), [[1.0, 2.0], [1.0, 2.0]])


def simulated(rng: np.random.Generator, spread: float, cohorts: int) -> tuple[np.ndarray, ...]:
    """Means of heavy-tailed customers (log-normal, coefficient of variation 1.65) and the truth behind them."""
    truth = np.maximum(1.0 + spread * rng.normal(size=cohorts), 0.1)
    sizes = rng.integers(40, 160, cohorts)
    values = [level * rng.lognormal(-0.66125, 1.15, size) for level, size in zip(truth, sizes, strict=True)]
    means = np.array([each.mean() for each in values])
    squares = np.array([np.square(each - each.mean()).sum() for each in values])
    return truth, means, sizes.astype(float), squares


def chances(rng: np.random.Generator, spread: float, worlds: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """P(better than the two before), whether it was, coverage of 90 % intervals, and shrinkage of the error."""
    better, was, covered, errors, raw = [], [], [], [], []
    for _ in range(worlds):
        truth, means, sizes, squares = simulated(rng, spread, 6)
        found = random_effects(means, sizes, squares, group=np.zeros(6, dtype=int))
        low, high = found.band(0.9)
        covered.append((low <= truth) & (truth <= high))
        errors.append(np.square(found.shrunk - truth))
        raw.append(np.square(means - truth))
        for at in range(2, 6):
            before = np.arange(at)
            shares = sizes[:at] / sizes[:at].sum()
            better.append(found.contrast(at, before, shares)[1])
            was.append(truth[at] > truth[:at] @ shares)
    return np.array(better), np.array(was), float(np.mean(covered)), float(np.mean(errors) / np.mean(raw))


def test_cohorts_that_are_alike_are_not_told_apart() -> None:
    """The negative control: nothing is there to be found."""
    better, _, covered, left = chances(np.random.default_rng(1), 0.0, 150)
    assert left < 0.35  # most of the error was chance, and is gone
    assert np.mean((better < 0.1) | (better > 0.9)) < 0.05  # by itself, a test at 10 % on each side would say 0.2
    assert abs(better.mean() - 0.5) < 0.03
    assert covered > 0.85


def test_true_differences_are_found_as_often_as_told() -> None:
    better, was, covered, left = chances(np.random.default_rng(2), 0.35, 150)
    assert 0.84 < covered < 0.96
    assert left < 0.95
    for low, high in ((0.0, 0.1), (0.1, 0.35), (0.35, 0.65), (0.65, 0.9), (0.9, 1.01)):
        some = (better >= low) & (better < high)
        assert some.sum() > 30
        assert abs(was[some].mean() - better[some].mean()) < 0.16
    assert was[better > 0.9].mean() > 0.85 > 0.15 > was[better < 0.1].mean()
