"""Where lifetimes is wrong: its number, ours, and a third method that sides with ours."""

import mpmath
import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.interchange import from_lifetimes
from clv_forecast.models import bg_nbd, gamma_gamma, pareto_nbd
from clv_forecast.units import units_per_year
from tests.interchange.conftest import AS_OF, quiet

MLE = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
LOOSE = {"r": 0.11, "alpha": 2.24, "a": 0.31, "b": 0.5}


def bg_fitter(lifetimes, **values):
    fitter = lifetimes.BetaGeoFitter()
    fitter.params_ = pd.Series(values)
    return fitter


def their_expectation(fitter, horizon, frequency, recency, T):
    with quiet():
        return float(fitter.conditional_expected_number_of_purchases_up_to_time(horizon, frequency, recency, T))


def our_expectation(params, horizon, frequency, recency, T):
    return float(bg_nbd.expected_purchases(params, [frequency], [recency], [T], horizon=horizon)[0])


def exact_expectation(params, horizon, frequency, recency, T):
    """Equation (10) of Fader, Hardie and Lee with 50 digits, a shifted off its poles by 1e-30."""
    with mpmath.workdps(50):
        r, alpha, a, b = (mpmath.mpf(repr(float(getattr(params, name)))) for name in bg_nbd.PARAMETERS)
        a += mpmath.mpf("1e-30")
        x, t_x, T, t = (mpmath.mpf(repr(value)) for value in (frequency, recency, T, horizon))
        hyper = mpmath.hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + T + t))
        top = (a + b + x - 1) / (a - 1) * (1 - ((alpha + T) / (alpha + T + t)) ** (r + x) * hyper)
        dead = 0 if frequency == 0 else a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)
        return float(top / (1 + dead))


def simulated_expectation(params, horizon, T, count=1_000_000):
    """For a customer without repeat purchase, who is alive for sure: mean and standard error of min(N, K)."""
    rng = np.random.default_rng(20)
    r, alpha, a, b = (float(getattr(params, name)) for name in bg_nbd.PARAMETERS)
    purchases = rng.poisson(rng.gamma(r, 1.0 / (alpha + T), count) * horizon)
    leave = np.maximum(rng.beta(a, b, count), 1e-300)
    stay = np.ceil(np.log(rng.uniform(size=count)) / np.log1p(-np.minimum(leave, 1.0 - 1e-16)))
    made = np.minimum(purchases, stay)
    return made.mean(), made.std() / np.sqrt(count)


@pytest.mark.parametrize("b", [0.5, 0.69])
def test_expectation_without_repeat_purchase_when_a_plus_b_is_at_most_1(lifetimes, b):
    values = LOOSE | {"b": b}
    params = bg_nbd.Params(**values)
    assert np.isnan(their_expectation(bg_fitter(lifetimes, **values), 30.0, 0, 0.0, 1.0))
    ours = our_expectation(params, 30.0, 0, 0.0, 1.0)
    assert ours == pytest.approx(exact_expectation(params, 30.0, 0, 0.0, 1.0), rel=1e-10)
    mean, error = simulated_expectation(params, 30.0, 1.0)
    assert error < 0.01
    assert abs(ours - mean) < 4.0 * error


def test_expectation_without_repeat_purchase_when_b_is_1(lifetimes):
    """The mask ``(x > 0) * a / (b + x - 1)`` of lifetimes is 0 times infinity."""
    values = LOOSE | {"b": 1.0}
    params = bg_nbd.Params(**values)
    assert np.isnan(their_expectation(bg_fitter(lifetimes, **values), 30.0, np.int64(0), 0.0, 1.0))
    ours = our_expectation(params, 30.0, 0, 0.0, 1.0)
    assert ours == pytest.approx(exact_expectation(params, 30.0, 0, 0.0, 1.0), rel=1e-10)


@pytest.mark.parametrize(("a", "digits_lost"), [(1.0, 16), (1.0 + 1e-12, 4), (1.0 + 1e-9, 7)])
def test_expectation_near_a_equal_1(lifetimes, a, digits_lost):
    values = MLE | {"a": a}
    params = bg_nbd.Params(**values)
    exact = exact_expectation(params, 39.0, 2, 30.43, 38.86)
    theirs = their_expectation(bg_fitter(lifetimes, **values), 39.0, np.int64(2), 30.43, 38.86)
    assert not abs(theirs / exact - 1.0) < 10.0**-digits_lost / 100.0
    assert our_expectation(params, 39.0, 2, 30.43, 38.86) == pytest.approx(exact, rel=1e-12)


def test_probability_of_many_purchases(lifetimes):
    with quiet():
        assert np.isnan(bg_fitter(lifetimes, **MLE).probability_of_n_purchases_up_to_time(39.0, 200))
    ours = float(np.squeeze(bg_nbd.purchase_pmf(bg_nbd.Params(**MLE), 200, horizon=39.0)))
    with mpmath.workdps(60):
        r, alpha, a, b = (mpmath.mpf(repr(MLE[name])) for name in bg_nbd.PARAMETERS)
        share = 39 / (alpha + 39)
        series = mpmath.fsum(mpmath.rf(r, j) / mpmath.factorial(j) * share**j for j in range(200))
        alive = mpmath.beta(a, b + 200) / mpmath.beta(a, b) * mpmath.rf(r, 200) / mpmath.factorial(200)
        exact = alive * (1 - share) ** r * share**200
        exact += mpmath.beta(a + 1, b + 199) / mpmath.beta(a, b) * (1 - (1 - share) ** r * series)
    assert ours == pytest.approx(float(exact), rel=1e-9)


def test_pareto_expectation_at_s_equal_1(lifetimes):
    fitter = lifetimes.ParetoNBDFitter()
    values = {"r": 0.553, "alpha": 10.578, "s": 1.0, "beta": 11.669}
    fitter.params_ = pd.Series(values)
    theirs = their_expectation(fitter, 39.0, np.int64(2), 30.43, 38.86)
    assert np.isnan(theirs)
    params = pareto_nbd.Params(**values)
    ours = float(pareto_nbd.expected_purchases(params, [2], [30.43], [38.86], horizon=39.0)[0])
    p_alive = float(pareto_nbd.p_alive(params, [2], [30.43], [38.86])[0])
    with mpmath.workdps(30):  # alive at T, a rate of (r + x)/(alpha + T) lasts as long as the customer does
        rate = mpmath.mpf("2.553") / (mpmath.mpf("10.578") + mpmath.mpf("38.86"))
        left = mpmath.mpf("11.669") + mpmath.mpf("38.86")
        exact = p_alive * rate * mpmath.quad(lambda s: left / (left + s), [0, 39])
    assert ours == pytest.approx(float(exact), rel=1e-10)


@pytest.fixture(scope="module")
def coarse(cdnow):
    """CDNOW on a grid of four weeks: few distinct rows, for 30-digit arithmetic."""
    recency = np.where(cdnow["frequency"] > 0, np.clip(4.0 * np.ceil(cdnow["recency"] / 4.0), 4.0, 39.0), 0.0)
    table = pd.DataFrame({"frequency": cdnow["frequency"], "recency": recency, "T": 39.0})
    return table.groupby(["frequency", "recency", "T"], as_index=False).size().rename(columns={"size": "weights"})


def exact_covariance(table, estimate):
    """Inverse of minus the Hessian in the natural parameters: forward differences of step 1e-8 in 40 digits."""

    def log_likelihood(values):
        r, alpha, a, b = values
        total = mpmath.mpf(0)
        for x, t_x, T, weight in table.itertuples(index=False):
            x = int(x)
            common = mpmath.rf(r, x) * alpha**r * mpmath.beta(a, b + x) / mpmath.beta(a, b)
            inner = (alpha + T) ** -(r + x)
            if x > 0:
                inner += a / (b + x - 1) * (alpha + t_x) ** -(r + x)
            total += weight * mpmath.log(common * inner)
        return total

    with mpmath.workdps(40):
        step = mpmath.mpf("1e-8")
        centre = [mpmath.mpf(float(value)) for value in estimate]

        def ahead(*moved):
            return log_likelihood([value + step * moved.count(i) for i, value in enumerate(centre)])

        here, once = ahead(), [ahead(i) for i in range(4)]
        hessian = mpmath.matrix(4, 4)
        for i in range(4):
            for j in range(i, 4):
                hessian[i, j] = hessian[j, i] = (ahead(i, j) - once[i] - once[j] + here) / step**2
        return np.array((-(hessian**-1)).tolist(), dtype=np.float64)


def test_covariance_off_its_diagonal(lifetimes, coarse):
    assert len(coarse) < 100
    with quiet():
        fitter = lifetimes.BetaGeoFitter().fit(
            coarse["frequency"], coarse["recency"], coarse["T"], weights=coarse["weights"]
        )
    theirs = fitter.variance_matrix_.to_numpy()
    exact = exact_covariance(coarse, fitter.params_)
    np.testing.assert_allclose(np.diag(theirs), np.diag(exact), rtol=1e-4)  # its standard errors are right
    off = ~np.eye(4, dtype=bool)
    assert np.abs(theirs[off] / exact[off] - 1.0).max() > 5.0
    deviations = np.sqrt(np.diag(theirs))
    assert np.abs(theirs / np.outer(deviations, deviations)).max() > 1.0  # a correlation beyond 1

    model = from_lifetimes(fitter, unit="week", as_of=AS_OF, draws=100_000)
    logarithms = np.log(model.draws.to_frame()[list(bg_nbd.PARAMETERS)].to_numpy())
    ours = np.cov(logarithms, rowvar=False) * np.outer(fitter.params_, fitter.params_)
    scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    # Monte Carlo error of 100,000 draws, and what a logit's curvature adds to a and b
    np.testing.assert_allclose(ours / scale, exact / scale, atol=0.03)
    errors = model.parameters.set_index("parameter").loc[list(bg_nbd.PARAMETERS), "standard_error"]
    np.testing.assert_allclose(errors, np.sqrt(np.diag(exact)), rtol=1e-3)


def test_twelve_months_of_a_weekly_model_are_not_360_weeks(lifetimes, fitters, spend_fitter):
    """``freq="D"`` is its default: a month is then 30 units, and a model in weeks is asked about seven years."""
    customer = pd.DataFrame({"frequency": [2], "recency": [30.43], "T": [38.86], "monetary_value": [22.35]})
    arguments = (*(customer[name] for name in ("frequency", "recency", "T", "monetary_value")),)
    with quiet():
        default, weekly = (
            float(
                spend_fitter.customer_lifetime_value(
                    fitters["bg_nbd"], *arguments, time=12, discount_rate=0.0, **options
                ).iloc[0]
            )
            for options in ({}, {"freq": "W"})
        )
    params = bg_nbd.Params(*(fitters["bg_nbd"].params_[name] for name in bg_nbd.PARAMETERS))
    spend = gamma_gamma.Params(*(spend_fitter.params_[name] for name in gamma_gamma.PARAMETERS))
    per_order = float(gamma_gamma.expected_spend(spend, [2], [22.35])[0])
    year = units_per_year("week")
    ours = our_expectation(params, year, 2, 30.43, 38.86) * per_order
    assert ours == pytest.approx(exact_expectation(params, year, 2, 30.43, 38.86) * per_order, rel=1e-10)
    assert default / ours > 3.0
    assert default == pytest.approx(exact_expectation(params, 360.0, 2, 30.43, 38.86) * per_order, rel=1e-8)
    assert weekly == pytest.approx(ours, rel=1e-3)  # 12 x 4.345 weeks against 52.1775


def test_a_penalised_fit_predicts_negative_money(lifetimes, cdnow, fitters):
    repeaters = cdnow[cdnow["frequency"] > 0]
    with quiet():
        fitter = lifetimes.GammaGammaFitter(penalizer_coef=0.01).fit(
            repeaters["frequency"], repeaters["monetary_value"]
        )
        theirs = float(fitter.conditional_expected_average_profit(0, 0.0))
    q, p, v = (float(fitter.params_[name]) for name in ("q", "p", "v"))
    assert q < 1.0
    assert theirs < 0.0
    # the mean of p/nu, nu ~ Gamma(q, v), has no finite value: its integral above eps grows without end
    with mpmath.workdps(30):
        tails = [
            float(
                mpmath.quad(
                    lambda n: p * v**q / mpmath.gamma(q) * n ** (q - 2) * mpmath.exp(-v * n), [eps, 1e-3, 1, 50]
                )
            )
            for eps in (1e-6, 1e-12, 1e-18)
        ]
    assert 0.0 < tails[0] < tails[1] - 10.0 < tails[2] - 20.0
    with pytest.raises(DomainError, match=r"q must exceed 1.*0\.96"):
        from_lifetimes(fitters["bg_nbd"], fitter, unit="week", as_of=AS_OF)
