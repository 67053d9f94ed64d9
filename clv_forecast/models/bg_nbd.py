r"""BG/NBD: buy at a constant rate, and perhaps leave for good after a repeat purchase.

Purchases while alive are Poisson with rate ``lambda ~ Gamma(r, alpha)``; after each *repeat* purchase the customer
leaves with probability ``p ~ Beta(a, b)``. A customer without a repeat purchase has had no chance to leave and is alive
with certainty. Given alive at ``T``, ``lambda ~ Gamma(r + x, alpha + T)`` and ``p ~ Beta(a, b + x)``, independent.

Its functions are those of :class:`clv_forecast.models.beta_geometric.BetaGeometric`.

References
----------
.. [1] Fader, Hardie & Lee (2005), ""Counting your customers" the easy way: an alternative to the Pareto/NBD model",
   Marketing Science 24(2), doi:10.1287/mksc.1040.0098.
"""

from __future__ import annotations

from typing import Final

from numba import njit

from clv_forecast.models.beta_geometric import BetaGeometric
from clv_forecast.models.beta_geometric_likelihood import (
    COORDINATES,
    NANOSECONDS,
    PARAMETERS,
    TIME_PARAMETERS,
    Params,
    constrain,
    constrain_jacobian,
    future_key,
    prior_location_scale,
    starting_points,
    unconstrain,
)
from clv_forecast.models.beta_geometric_likelihood import log_likelihood_of_cells as _of_cells
from clv_forecast.models.special import next_purchase_quantile, probability_of_silence

__all__ = [
    "COORDINATES", "LEAVES", "NANOSECONDS", "PARAMETERS", "TIME_PARAMETERS", "TITLE", "Params",
    "constrain", "constrain_jacobian",
    "discounted_purchases", "draw_future_purchases", "expected_purchases", "expected_purchases_given_alive",
    "expected_purchases_new", "expected_time_alive", "future_key", "log_likelihood", "log_likelihood_of_cells",
    "next_purchase_quantile", "p_alive", "prior_location_scale", "probability_no_purchase", "probability_of_silence",
    "purchase_pmf", "purchase_rate_given_alive", "simulate", "starting_points", "survival_given_alive", "unconstrain",
]  # fmt: skip

TITLE: Final = "BG/NBD"
LEAVES: Final = "after each repeat purchase"  # when a customer may leave for good

_FUNCTIONS: Final = BetaGeometric(initial=0)
log_likelihood = _FUNCTIONS.log_likelihood
p_alive = _FUNCTIONS.p_alive
expected_purchases = _FUNCTIONS.expected_purchases
discounted_purchases = _FUNCTIONS.discounted_purchases
expected_purchases_given_alive = _FUNCTIONS.expected_purchases_given_alive
purchase_rate_given_alive = _FUNCTIONS.purchase_rate_given_alive
survival_given_alive = _FUNCTIONS.survival_given_alive
expected_time_alive = _FUNCTIONS.expected_time_alive
purchase_pmf = _FUNCTIONS.purchase_pmf
expected_purchases_new = _FUNCTIONS.expected_purchases_new
probability_no_purchase = _FUNCTIONS.probability_no_purchase
draw_future_purchases = _FUNCTIONS.draw_future_purchases
simulate = _FUNCTIONS.simulate


@njit(cache=True, nogil=True, error_model="numpy")
def log_likelihood_of_cells(theta, tables, wanted):  # type: ignore[no-untyped-def]
    """Sum over customers, with its gradient in the free vectors if ``wanted``: see `clv_forecast.models.kernels`."""
    return _of_cells(theta, tables, 0.0, wanted)
