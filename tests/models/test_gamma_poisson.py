import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from clv_forecast.errors import DomainError
from clv_forecast.models import TRANSACTION_MODELS, transaction_model
from clv_forecast.models.bg_nbd import Params
from clv_forecast.models.special import next_purchase_quantile, probability_of_silence

WEEKS = Params(0.6, 4.0, 0.8, 2.5)


@pytest.mark.parametrize(("x", "t_x", "T"), [(0, 0.0, 40.0), (1, 12.0, 40.0), (7, 39.0, 40.0), (200, 39.5, 40.0)])
def test_silence_is_the_mean_over_the_rate(x, t_x, T):
    rate = gamma(WEEKS.r + x, scale=1.0 / (WEEKS.alpha + t_x))
    mean, _ = quad(lambda u: np.exp(-rate.ppf(u) * (T - t_x)), 0.0, 1.0, epsabs=1e-12, epsrel=1e-11, limit=200)
    assert probability_of_silence(WEEKS, x, t_x, T) == pytest.approx(mean, rel=1e-8)


@pytest.mark.parametrize("name", TRANSACTION_MODELS)
def test_silence_and_the_quantile_agree(name):
    """Half of those alive at the last purchase are silent until the median wait has passed."""
    model = transaction_model(name)
    params = model.Params(np.array([[0.6], [1.3]]), 4.0, 0.8, 2.5)
    x, t_x = np.array([0.0, 1.0, 200.0]), np.array([0.0, 12.0, 39.0])
    for probability in (0.1, 0.5, 0.99):
        wait = model.next_purchase_quantile(params, x, t_x, probability=probability)
        for draw in range(2):
            one = model.Params(params.r[draw, 0], 4.0, 0.8, 2.5)
            silent = model.probability_of_silence(one, x, t_x, t_x + wait[draw])
            assert silent == pytest.approx(np.full(3, 1.0 - probability), rel=1e-9)


def test_silence_at_the_edges():
    assert (probability_of_silence(WEEKS, [0, 3], [40.0, 40.0], [40.0, 40.0]) == 1.0).all()
    heavy = probability_of_silence(WEEKS, 100_000, 1.0, 1000.0)
    assert heavy == 0.0
    draws = Params(np.array([[0.6], [1.3]]), 4.0, 0.8, 2.5)
    assert probability_of_silence(draws, [0, 1, 2], [0.0, 1.0, 2.0], [9.0, 9.0, 9.0]).shape == (2, 3)


def test_refusals():
    with pytest.raises(DomainError):
        probability_of_silence(WEEKS, 1, 50.0, 40.0)
    with pytest.raises(DomainError):
        probability_of_silence(WEEKS, -1, 0.0, 40.0)
    with pytest.raises(DomainError):
        next_purchase_quantile(WEEKS, 1, 40.0, probability=1.0)
