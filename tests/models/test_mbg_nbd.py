"""What MBG/NBD has of its own; what it shares with BG/NBD is held, for both, in test_bg_nbd.py."""

import numpy as np
import pytest

from clv_forecast.models import bg_nbd, mbg_nbd
from clv_forecast.models.mbg_nbd import Params
from clv_forecast.models.paths import future_paths
from tests.models.second_methods import hold_against_oracle, oracle_cases

PARAMS = Params(0.52484, 6.18299, 0.89136, 1.614)


@pytest.mark.parametrize("case", oracle_cases("mbg_nbd"))
def test_oracle(case):
    hold_against_oracle(mbg_nbd, case)


def test_oracle_covers_the_mandatory_strata():
    strata = {case.values[0]["stratum"] for case in oracle_cases("mbg_nbd")}
    assert {"x=0", "x=1", "t_x=T", "t_x=0", "x=200", "a near 1", "a+b<1", "horizon 0", "T=0", "new customer"} <= strata


def test_one_time_buyers_may_be_gone():
    T = np.array([0.0, 1.0, 30.0, 500.0])
    alive = mbg_nbd.p_alive(PARAMS, 0, 0, T)
    np.testing.assert_allclose(alive[0], 1.614 / (0.89136 + 1.614), rtol=1e-14)
    assert (np.diff(alive) < 0).all()
    np.testing.assert_allclose(alive, 1 / (1 + 0.89136 / 1.614 * ((6.18299 + T) / 6.18299) ** 0.52484), rtol=1e-13)


def test_it_is_bg_nbd_with_one_more_chance_to_leave():
    """Given alive, an MBG customer with (a, b) is a BG customer with (a, b + 1)."""
    one_more = bg_nbd.Params(PARAMS.r, PARAMS.alpha, PARAMS.a, PARAMS.b + 1)
    x, T = np.array([0, 3, 200]), np.array([5.0, 38.9, 40.0])
    for discount in (0.0, 0.01):
        np.testing.assert_array_equal(
            mbg_nbd.expected_purchases_given_alive(PARAMS, x, T, horizon=52, discount=discount),
            bg_nbd.expected_purchases_given_alive(one_more, x, T, horizon=52, discount=discount),
        )
    first_kept = PARAMS.b / (PARAMS.a + PARAMS.b)
    np.testing.assert_allclose(
        mbg_nbd.purchase_pmf(PARAMS, [1, 2, 5], horizon=39),
        first_kept * bg_nbd.purchase_pmf(one_more, [1, 2, 5], horizon=39),
        rtol=1e-12,
    )


def test_mean_of_draws_notices_the_wrong_dropout():
    """Negative control: Beta(a, b + x), which is BG's, fails the check of the mean in MBG."""
    x, t_x, T = np.array([0, 2]), np.array([0, 30.4]), np.array([38.9, 38.9])
    exact = mbg_nbd.expected_purchases(PARAMS, x, t_x, T, horizon=60)

    def z_score(survived):
        count = future_paths(
            p_alive=mbg_nbd.p_alive(PARAMS, x, t_x, T), shape=PARAMS.r + x, rate=PARAMS.alpha + T,
            dropout=(PARAMS.a, PARAMS.b + survived), horizon=60, rng=3, draws=160_000,
        ).count  # fmt: skip
        return (count.mean(axis=0) - exact) / (count.std(axis=0) / 400)

    assert (np.abs(z_score(x + 1)) < 4.5).all()
    assert (np.abs(z_score(x)) > 9).any()
