"""A model that the package does not have: negative binomial purchases of customers who never leave.

All that a transaction model needs is in this file; one entry in the registry makes it known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import gammaln

from clv_forecast.models.coordinates import PURCHASE_RATE
from clv_forecast.models.domain import Floats, checked_history, positive_field, stacked, unstacked
from clv_forecast.models.kernels import add_waiting, astray
from clv_forecast.models.paths import FuturePurchases, future_paths
from clv_forecast.models.special import log_rising, next_purchase_quantile, probability_of_silence

__all__ = [
    "COORDINATES", "LEAVES", "NANOSECONDS", "PARAMETERS", "TIME_PARAMETERS", "TITLE", "Params", "constrain",
    "constrain_jacobian", "discounted_purchases", "draw_future_purchases", "expected_purchases",
    "expected_purchases_given_alive", "expected_purchases_new", "expected_time_alive", "future_key", "log_likelihood",
    "log_likelihood_of_cells", "next_purchase_quantile", "p_alive", "prior_location_scale", "probability_no_purchase",
    "probability_of_silence", "purchase_pmf", "purchase_rate_given_alive", "simulate", "starting_points",
    "survival_given_alive", "unconstrain",
]  # fmt: skip

TITLE: Final = "NBD"
LEAVES: Final = "never"
PARAMETERS: Final = ("r", "alpha")
TIME_PARAMETERS: Final = ("alpha",)
COORDINATES: Final = PURCHASE_RATE
NANOSECONDS: Final = 10.0
future_key: Final = ("frequency", "T")


@dataclass(frozen=True, slots=True, init=False)
class Params:
    r: Floats
    alpha: Floats

    def __init__(self, r: ArrayLike, alpha: ArrayLike) -> None:
        for name, value in (("r", r), ("alpha", alpha)):
            object.__setattr__(self, name, positive_field(name, value))


def log_likelihood(params, frequency, recency, T):
    x, _, length = checked_history(frequency, recency, T)
    waited = params.r * np.log1p(length / params.alpha)
    return log_rising(params.r, x) - waited - x * np.log(params.alpha + length)


@njit
def log_likelihood_of_cells(theta, tables, wanted):
    if astray(theta):
        return -np.inf, np.zeros_like(theta)
    r, alpha = np.exp(theta[:, 1]), np.exp(theta[:, 1] - theta[:, 0])
    by_r, by_alpha = np.zeros(len(r)), np.zeros(len(r))
    value = 0.0
    for cell, j, count in tables.steps:
        value += count * np.log(r[int(cell)] + j)
        by_r[int(cell)] += count / (r[int(cell)] + j)
    value = add_waiting(r, alpha, tables.spans, 1.0, value, by_r, by_alpha)
    return value, np.stack((-alpha * by_alpha, r * by_r + alpha * by_alpha), axis=1)


def p_alive(params, frequency, recency, T):
    x, _, length = checked_history(frequency, recency, T)
    return np.ones(np.broadcast_shapes(np.shape(params.r), x.shape, length.shape))


def expected_purchases(params, frequency, recency, T, *, horizon):
    return expected_purchases_given_alive(params, frequency, T, horizon=horizon)


def discounted_purchases(params, frequency, recency, T, *, horizon, discount):
    return expected_purchases_given_alive(params, frequency, T, horizon=horizon, discount=discount)


def expected_purchases_given_alive(params, frequency, T, *, horizon, discount=0.0):
    return purchase_rate_given_alive(params, frequency, T, ahead=0.0) * _length(horizon, discount)


def purchase_rate_given_alive(params, frequency, T, *, ahead):
    return (params.r + np.asarray(frequency)) / (params.alpha + np.asarray(T)) * np.ones_like(ahead)


def survival_given_alive(params, frequency, T, *, ahead):
    return np.ones_like(purchase_rate_given_alive(params, frequency, T, ahead=ahead))


def expected_time_alive(params, frequency, recency, T, *, horizon, discount=0.0):
    return p_alive(params, frequency, recency, T) * _length(horizon, discount)


def purchase_pmf(params, n, *, horizon):
    length, count = np.asarray(horizon, dtype=float), np.asarray(n, dtype=float)
    bought = count * np.log(length / (params.alpha + length)) - gammaln(count + 1.0)
    return np.exp(log_rising(params.r, count) - params.r * np.log1p(length / params.alpha) + bought)


def expected_purchases_new(params, *, horizon):
    return params.r / params.alpha * np.asarray(horizon, dtype=float)


def probability_no_purchase(params, frequency, recency, T, *, horizon):
    x, _, length = checked_history(frequency, recency, T)
    return np.exp(-(params.r + x) * np.log1p(np.asarray(horizon) / (params.alpha + length)))


def draw_future_purchases(params, frequency, recency, T, *, horizon, rng, draws=None, stays=False) -> FuturePurchases:
    x, _, length = checked_history(frequency, recency, T)
    return future_paths(
        p_alive=p_alive(params, frequency, recency, T),
        shape=params.r + x,
        rate=params.alpha + length,
        dropout=(0.0, 1.0),
        horizon=horizon,
        rng=rng,
        draws=draws,
        stays=True,
    )


def simulate(params, T, *, rng):
    nothing = np.zeros(np.shape(T))
    return draw_future_purchases(params, nothing, nothing, nothing, horizon=T, rng=rng)


def unconstrain(params):
    return stacked([np.log(params.r) - np.log(params.alpha), np.log(params.r)])


def constrain(theta):
    log_rate, log_r = unstacked(theta, 2)
    return Params(np.exp(log_r), np.exp(log_r - log_rate))


def constrain_jacobian(theta):
    params = constrain(theta)
    r, alpha = float(params.r), float(params.alpha)
    return np.array([[0.0, r], [-alpha, alpha]])


def starting_points(frequency, recency, T, weights):
    rate = np.log((weights @ frequency + 0.5) / (weights @ T))
    return [np.array([rate, shape]) for shape in (-0.7, 0.5)]


def prior_location_scale(time_scale, rate):
    return np.array([np.log(rate * time_scale), 0.0]), np.array([1.5, 2.5])


def _length(horizon, discount):
    length, rate = np.asarray(horizon, dtype=float), np.asarray(discount, dtype=float)
    return np.where(rate > 0.0, -np.expm1(-rate * length) / np.where(rate > 0.0, rate, 1.0), length)
