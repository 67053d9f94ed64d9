"""The effect of a spend: its draws against its band, and what a trial says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import clv_forecast as clv


@pytest.mark.parametrize(("share", "lower", "upper"), [(0.1, 0.05, 0.16), (0.5, 0.2, 0.8), (0.02, 0.001, 0.06)])
def test_draws_have_the_mean_and_the_width_of_the_band(share, lower, upper):
    drawn = clv.Uplift(share=share, lower=lower, upper=upper).draws(seed=3, count=20_000)
    assert drawn.mean() == pytest.approx(share, abs=4.0 * drawn.std() / np.sqrt(20_000))
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert high - low == pytest.approx(upper - lower, rel=0.04)
    assert ((drawn >= 0.0) & (drawn <= 1.0)).all()
    assert (drawn == clv.Uplift(share=share, lower=lower, upper=upper).draws(seed=3, count=20_000)).all()
    assert (drawn[:50] == clv.Uplift(share=share, lower=lower, upper=upper).draws(seed=3, count=50)).all()


def test_a_known_share_is_the_same_in_every_draw():
    for share in (0.0, 0.3, 1.0):
        assert (clv.Uplift(share=share).draws(seed=1, count=5) == share).all()


def test_a_trial_covers_the_truth():
    """Bands of 300 trials of a measure that prevents a quarter of the leavings, and of one that prevents none."""
    rng = np.random.default_rng(2)
    for effect, nominal in ((0.25, 0.8), (0.0, 0.8)):
        held = 0
        for _ in range(300):
            without = rng.binomial(400, 0.7)
            treated = rng.binomial(400, 1.0 - 0.3 * (1.0 - effect))
            found = clv.Uplift.from_trial(
                stayed=treated, treated=400, stayed_without=without, without=400, prob=nominal
            )
            held += found.lower <= effect <= found.upper
        least = stats.binom.ppf(1e-4, 300, nominal) / 300
        most = 1.0 if effect == 0.0 else stats.binom.ppf(1.0 - 1e-4, 300, nominal) / 300
        assert least <= held / 300 <= most


def test_a_trial_that_shows_harm_is_no_uplift():
    found = clv.Uplift.from_trial(stayed=70, treated=100, stayed_without=80, without=100)
    assert found.share < 0.03 and found.lower == 0.0 and found.upper < 0.3


def test_a_trial_in_which_nobody_left_is_not_certain():
    found = clv.Uplift.from_trial(stayed=5, treated=5, stayed_without=4, without=5)
    drawn = found.draws(seed=1, count=2000)
    assert found.share < 0.7 and (drawn == 0.0).mean() > 0.1
    assert drawn.mean() == pytest.approx(found.share, abs=0.03)
    assert np.quantile(drawn, 0.95) == pytest.approx(found.upper, abs=0.03)


def test_the_lower_end_of_a_trial_holds_as_often_as_stated():
    """Draws are the trial's own posterior: the effect is above their 20 % quantile about 80 % of the time."""
    rng = np.random.default_rng(4)
    for leave, effect in ((0.1, 0.2), (0.1, 0.8), (0.3, 0.5)):
        held = 0
        for _ in range(200):
            counts = {"treated": 200, "without": 200}
            stayed = rng.binomial(200, 1.0 - leave * (1.0 - effect))
            without = rng.binomial(200, 1.0 - leave)
            found = clv.Uplift.from_trial(stayed=stayed, stayed_without=without, **counts)
            held += effect >= np.quantile(found.draws(seed=1, count=400), 0.2)
        assert held / 200 >= 0.8 - 4.0 * np.sqrt(0.8 * 0.2 / 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.2}, "lies in"),
        ({"share": float("nan")}, "finite"),
        ({"share": 0.1, "lower": 0.05}, "both ends"),
        ({"share": 0.1, "lower": 0.2, "upper": 0.3}, "around its share"),
        ({"share": 0.1, "prob": 1.0}, "prob"),
        ({"share": 0.0, "lower": 0.0, "upper": 0.3}, "certain"),
    ],
)
def test_bad_uplifts_are_refused(options, message):
    with pytest.raises(clv.DomainError, match=message):
        clv.Uplift(**options)


def test_bad_trials_are_refused():
    with pytest.raises(clv.DomainError, match="whole accounts"):
        clv.Uplift.from_trial(stayed=0.85, treated=1, stayed_without=0.8, without=1)
    with pytest.raises(clv.DomainError, match="between none and all"):
        clv.Uplift.from_trial(stayed=11, treated=10, stayed_without=1, without=10)
    with pytest.raises(clv.DomainError, match="prob"):
        clv.Uplift.from_trial(stayed=1, treated=10, stayed_without=1, without=10, prob=90.0)
    with pytest.raises(clv.DomainError, match="whole number"):
        clv.Uplift.from_trial(stayed=0, treated=0, stayed_without=1, without=10)
