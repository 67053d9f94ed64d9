"""BG/NBD (initial = 0) and MBG/NBD (initial = 1) by mpmath, straight from the papers' forms: the digits of the oracles.

Closed forms with the hypergeometric function where they exist, quadrature over time elsewhere and at their poles.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp


def _likelihood_terms(params: dict[str, Any], frequency: Any, recency: Any, T: Any, initial: int) -> tuple[Any, Any]:
    r, alpha, a, b = (mp.mpf(params[name]) for name in ("r", "alpha", "a", "b"))
    x, t_x, T = mp.mpf(frequency), mp.mpf(recency), mp.mpf(T)
    m = x + initial
    front = mp.gammaprod([r + x], [r]) * alpha**r
    alive = front * mp.beta(a, b + m) / mp.beta(a, b) * (alpha + T) ** -(r + x)
    gone = front * mp.beta(a + 1, b + m - 1) / mp.beta(a, b) * (alpha + t_x) ** -(r + x) if m > 0 else mp.mpf(0)
    return alive, gone


def log_likelihood(params, frequency, recency, T, initial):
    return mp.log(sum(_likelihood_terms(params, frequency, recency, T, initial)))


def p_alive(params, frequency, recency, T, initial):
    alive, gone = _likelihood_terms(params, frequency, recency, T, initial)
    return alive / (alive + gone)


def _living(params, frequency, T, initial):
    s = mp.mpf(params["r"]) + frequency
    beta = mp.mpf(params["alpha"]) + mp.mpf(T)
    return s, beta, mp.mpf(params["a"]), mp.mpf(params["b"]) + frequency + initial


def given_alive_closed(params, frequency, T, horizon, initial):
    s, beta, a, b = _living(params, frequency, T, initial)
    c = a + b - 1
    return c / (a - 1) * (1 - mp.hyp2f1(s, a - 1, c, -mp.mpf(horizon) / beta))


def given_alive_by_quadrature(params, frequency, T, horizon, initial, discount=0.0, of_time=False):
    s, beta, a, b = _living(params, frequency, T, initial)
    delta = mp.mpf(discount)
    end = mp.mpf(horizon) if horizon != mp.inf else 80 / delta
    nu = s if of_time else s + 1

    def integrand(u):
        tau = beta / nu * mp.expm1(u)
        return mp.exp(u - delta * tau) * mp.hyp2f1(nu, a, a + b, -tau / beta)

    integral = beta / nu * mp.quad(integrand, mp.linspace(0, mp.log1p(end * nu / beta), 9))
    return integral if of_time else s / beta * integral


def expected_purchases(params, frequency, recency, T, initial, horizon):
    if params["a"] == 1 or params["a"] + params["b"] + frequency + initial == 1:
        future = given_alive_by_quadrature(params, frequency, T, horizon, initial)
    else:
        future = given_alive_closed(params, frequency, T, horizon, initial)
    return p_alive(params, frequency, recency, T, initial) * future


def discounted_purchases(params, frequency, recency, T, initial, horizon, discount):
    future = given_alive_by_quadrature(params, frequency, T, horizon, initial, discount)
    return p_alive(params, frequency, recency, T, initial) * future


def expected_time_alive(params, frequency, recency, T, initial, horizon, discount=0.0):
    future = given_alive_by_quadrature(params, frequency, T, horizon, initial, discount, of_time=True)
    return p_alive(params, frequency, recency, T, initial) * future


def probability_no_purchase(params, frequency, recency, T, initial, horizon):
    s, beta, _, _ = _living(params, frequency, T, initial)
    return 1 - p_alive(params, frequency, recency, T, initial) * (1 - (beta / (beta + horizon)) ** s)


def purchase_pmf(params, n, initial, horizon):
    """Sum over what a customer who never leaves would have bought, each truncated by leaving."""
    r, alpha, a, b = (mp.mpf(params[name]) for name in ("r", "alpha", "a", "b"))
    share = mp.mpf(horizon) / (alpha + horizon)

    def bought(k):
        return mp.rf(r, k) / mp.factorial(k) * (1 - share) ** r * share**k

    m = n + initial
    stayed = mp.beta(a, b + m) / mp.beta(a, b) * bought(n)
    if m == 0:
        return stayed
    return stayed + mp.beta(a + 1, b + m - 1) / mp.beta(a, b) * (1 - sum(bought(k) for k in range(n)))
