import numpy as np
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.inference.draws import ASYMPTOTIC, ParameterDraws, params_of_draws
from clv_forecast.models import bg_nbd, gamma_gamma


@pytest.fixture
def draws():
    column = np.arange(1.0, 11.0)
    return ParameterDraws(
        purchases=params_of_draws(bg_nbd.Params, [column, 2 * column, 3 * column, 4 * column]),
        spend=params_of_draws(gamma_gamma.Params, [5 * column, 6 * column, 7 * column]),
        kind=ASYMPTOTIC,
        spend_kind=ASYMPTOTIC,
    )


def test_fields_broadcast_over_customers(draws):
    assert draws.n_draws == 10
    assert draws.purchases.alpha.shape == (10, 1)
    assert draws.spend.v.shape == (10, 1)


def test_frame_has_one_column_per_parameter(draws):
    frame = draws.to_frame()
    assert frame.columns.tolist() == ["r", "alpha", "a", "b", "p", "q", "v"]
    assert frame.index.name == "draw"
    assert frame.loc[2].tolist() == [3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0]


def test_thinning_is_deterministic_and_keeps_draws_together(draws):
    thinned = draws.thin(4).to_frame()
    assert thinned["r"].tolist() == [1.0, 3.0, 6.0, 8.0]
    assert (thinned["v"] == 7 * thinned["r"]).all()
    assert draws.thin(10) is draws


@pytest.mark.parametrize("n", [0, 11, 2.0, "2"])
def test_thinning_refuses_more_than_there_are(draws, n):
    with pytest.raises(DomainError, match="10 draws"):
        draws.thin(n)


def test_without_spend(draws):
    alone = ParameterDraws(purchases=draws.purchases, spend=None, kind=ASYMPTOTIC)
    assert alone.thin(2).spend is None
    assert alone.to_frame().shape == (10, 4)


def test_one_line_stands_for_all_draws(draws):
    assert repr(draws) == "<ParameterDraws 10 draws: r, alpha, a, b (asymptotic); p, q, v (asymptotic)>"
    alone = ParameterDraws(purchases=draws.purchases, spend=None, kind=ASYMPTOTIC)
    assert repr(alone) == "<ParameterDraws 10 draws: r, alpha, a, b (asymptotic)>"
