"""NUTS, Laplace and maximum likelihood on CDNOW's sample, each against the other within their Monte-Carlo error.

Differences of means are in standard errors: of the sampler's mean by its effective sample size, of Laplace's by its
number of draws. Fourteen such numbers lie within 4 unless something is wrong.
"""

import numpy as np
import pytest
from arviz_stats.base import array_stats

import clv_forecast as clv
from clv_forecast.inference.laplace import PROPOSALS_PER_DRAW

CHAINS, DRAWS = 4, 1000
SAMPLER = clv.Sampler(chains=CHAINS, tune=500, draws=DRAWS, retries=0)
LIMIT = 4.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def history():
    return clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")


def fitted(history, method, purchases="bg_nbd"):
    sampler = SAMPLER if method == "nuts" else None
    return clv.fit(history, purchases, method=method, sampler=sampler, draws=CHAINS * DRAWS, rng=2, compare=False)


@pytest.fixture(scope="module")
def nuts(history):
    return fitted(history, "nuts")


@pytest.fixture(scope="module")
def laplace(history):
    return fitted(history, "laplace")


def logs(model):
    """Draws of the logarithms, where all methods' distributions are the nearest to normal."""
    frame = model.draws.to_frame()
    return {name: np.log(frame[name].to_numpy()) for name in frame}


def mean_and_error(draws, *, sampled):
    if not sampled:
        return draws.mean(), draws.std() / np.sqrt(draws.size)
    return draws.mean(), float(array_stats.mcse(draws.reshape(CHAINS, -1), method="mean"))


def spread_and_error(draws, *, sampled):
    if not sampled:
        kurtosis = np.mean((draws - draws.mean()) ** 4) / draws.var() ** 2
        return draws.std(), draws.std() * np.sqrt((kurtosis - 1.0) / (4.0 * draws.size))
    return draws.std(), float(array_stats.mcse(draws.reshape(CHAINS, -1), method="sd"))


def gaps(model, nuts, summary):
    """Of every parameter, in standard errors."""
    own, base = logs(model), logs(nuts)
    found = {}
    for name in base:
        (here, error), (there, other) = summary(own[name], sampled=False), summary(base[name], sampled=True)
        found[name] = (here - there) / np.hypot(error, other)
    return found


def test_the_chains_agree(nuts):
    for part in nuts.report.parts:
        assert part.convergence.r_hat < 1.01
        assert part.convergence.divergences == 0
        assert part.convergence.ess_bulk > 400.0
    for name, draws in logs(nuts).items():
        assert float(array_stats.rhat(draws.reshape(CHAINS, -1))) < 1.01, name


def test_laplace_draws_from_the_posterior_that_nuts_samples(nuts, laplace):
    assert all(part.k_hat < 0.7 for part in laplace.report.parts)
    assert PROPOSALS_PER_DRAW >= 10  # so that the weighting adds little to the error of as many independent draws
    for summary in (mean_and_error, spread_and_error):
        found = gaps(laplace, nuts, summary)
        assert len(found) == 7
        assert max(abs(gap) for gap in found.values()) < LIMIT, found


def test_maximum_likelihood_lies_within_a_share_of_the_posterior(history, nuts):
    """Another distribution, about another centre, on the logarithms a fraction of a standard deviation away."""
    own, base = logs(fitted(history, "mle")), logs(nuts)
    for name, draws in base.items():
        assert abs(own[name].mean() - draws.mean()) < 0.25 * draws.std(), name
        assert 0.9 < own[name].std() / draws.std() < 1.1, name


def test_the_total_ahead_is_the_same(history, nuts, laplace):
    totals = {}
    for model in (nuts, laplace, fitted(history, "mle")):
        ahead = clv.forecast(model, history, horizons=["39 weeks"], draws=1000, rng=5).totals.iloc[0]
        totals[model.method] = ahead
    base = totals["nuts"]
    # the sd of the expected total over parameter draws, and the error of its mean over 1,000 of them
    sd = (base["purchases_upper"] - base["purchases_lower"]) / (2 * 1.645) * np.sqrt(base["parameter_share"])
    error = sd / np.sqrt(1000)
    assert abs(totals["laplace"]["purchases"] - base["purchases"]) < LIMIT * np.sqrt(2) * error
    assert abs(totals["mle"]["purchases"] - base["purchases"]) < 0.25 * sd
    for method in ("laplace", "mle"):
        for bound in ("purchases_lower", "purchases_upper"):
            assert abs(totals[method][bound] / base[bound] - 1.0) < 0.05


def test_another_model_and_another_log_are_told_apart(history, nuts):
    """Negative controls: MBG/NBD's posterior, and that of nine tenths of the customers, are far beyond the limit."""
    sibling = gaps(fitted(history, "laplace", "mbg_nbd"), nuts, mean_and_error)
    assert abs(sibling["r"]) > 20 * LIMIT
    log = clv.load_cdnow("1/10")
    fewer = clv.purchase_history(log[log["customer_id"] % 10 != 0], as_of="1997-09-30")
    found = gaps(fitted(fewer, "laplace"), nuts, mean_and_error)
    assert max(abs(gap) for gap in found.values()) > 2 * LIMIT, found
