r"""Averages over the dropout probability: powers and their discounted integrals under a Beta distribution.

Everything that BG/NBD and MBG/NBD say about a living customer's future is an average over ``p ~ Beta(a, b)`` of

.. math:: f(p) = \int_0^w e^{-\delta\omega} (1 + p\,\omega)^{-\nu} \, d\omega \quad\text{or}\quad (1 + p\,w)^{-\nu}

The first, without discount, and the second are Gauss hypergeometric functions. Library versions of these overflow
or lose all digits for the best customers, and the first has poles (``a = 1``, ``a + b = 1``) that the average itself
does not have. The average is therefore computed as it stands, from positive terms only.

Notes
-----
In ``y = logit p`` the integrand is analytic in a strip around the real line and falls exponentially on both sides:
the trapezoidal rule converges geometrically. Small ``a`` or ``b`` would mean slow tails; since ``f`` falls in ``p``,

.. math:: E_{a,b}[f] = f(1) + E_{a+1,b}\Big[f(p) - f(1) - \frac{1-p}{a+b} f'(p)\Big]

(an integration by parts) has only positive terms, a left tail of ``exp((a + 1) y)`` and a right one of
``exp(-(b + 1) y)``.

References
----------
Trefethen & Weideman (2014), "The exponentially convergent trapezoidal rule", SIAM Review 56(3),
doi:10.1137/130932132.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import hyp2f1

from clv_forecast.models.domain import Floats
from clv_forecast.threads import in_spans

_PANEL: Final = 1.5
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
# exp(-42) < 1e-18: what lies beyond is lost in rounding.
_DISCOUNTED_AWAY: Final = 42.0

# Largest a, b, w, nu up to which the library's 2F1 (Pfaff form, a < nu) errs by less than 1e-10; tested there.
_LIBRARY_IS_EXACT: Final = (3.0, 60.0, 1000.0, 100.0)
# Terms below this share of the sum so far end it.
_NEGLIGIBLE: Final = 1e-14
# Node spacing is 2 pi over the root of _STRIP + _PEAK * curvature: wide peaks are ruled by the strip, narrow by width.
_STRIP: Final = 500.0
_PEAK: Final = 80.0
# The hypergeometric series is summed up to about this many terms: where it costs less than the average by nodes, for
# a discounted integral, an undiscounted one and a single time.
_TERMS_DISCOUNTED: Final = 5000.0
_TERMS_UNDISCOUNTED: Final = 300.0
_TERMS_SINGLE: Final = 1000.0
_DIGITS: Final = 32.0
_UNDERFLOW: Final = 600.0
# Longer than any time, and short of where squares overflow.
_FOR_EVER: Final = 1e100
# Elements that are worth a span of their own.
_SPAN: Final = 32


def power_average(a: ArrayLike, b: ArrayLike, w: ArrayLike, nu: ArrayLike) -> Floats:
    r"""Mean of ``(1 + p w)^-nu`` for ``p ~ Beta(a, b)``, the hypergeometric ``2F1(nu, a; a + b; -w)``.

    Parameters
    ----------
    a, b, nu : array_like
        Positive.
    w : array_like
        Not negative, finite.

    Returns
    -------
    ndarray
        Broadcast shape, in (0, 1].

    Examples
    --------
    >>> round(float(power_average(1.0, 1.0, 1.0, 1.0)), 12) == round(math.log(2.0), 12)
    True
    """
    return _over_elements(a, b, w, nu, 0.0, integrate=False)


def quick_power_average(a: ArrayLike, b: ArrayLike, w: ArrayLike, nu: ArrayLike) -> Floats:
    """The same as :func:`power_average`, by the library's 2F1 where that is exact to 1e-10, and several times faster.

    Examples
    --------
    >>> bool(abs(quick_power_average(0.8, 2.4, 3.0, 2.0) / power_average(0.8, 2.4, 3.0, 2.0) - 1.0) < 1e-12)
    True
    """
    fields = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (a, b, w, nu)))
    tame = np.logical_and.reduce([field <= limit for field, limit in zip(fields, _LIBRARY_IS_EXACT, strict=True)])
    tame &= fields[0] < fields[3]
    if not tame.any():
        return power_average(*fields)
    result = np.empty(tame.shape)
    first, second, power, exponent = fields if tame.all() else (field[tame] for field in fields)
    value = (1.0 + power) ** -first * hyp2f1(first, first + second - exponent, first + second, power / (1.0 + power))
    if tame.all():
        return np.asarray(value)
    result[tame] = value
    result[~tame] = power_average(*(field[~tame] for field in fields))
    return result


def power_integral_average(
    a: ArrayLike, b: ArrayLike, w: ArrayLike, nu: ArrayLike, discount: ArrayLike = 0.0
) -> Floats:
    r"""Mean of the discounted integral of ``(1 + p omega)^-nu`` over ``omega`` in ``(0, w)`` for ``p ~ Beta(a, b)``.

    Parameters
    ----------
    a, b, nu : array_like
        Positive.
    w : array_like
        Not negative; may be infinite where ``discount`` is positive, or where the integral converges without it:
        ``a > 1`` and ``nu > 1`` (the result is infinite where it does not).
    discount : array_like
        Not negative.

    Returns
    -------
    ndarray
        Broadcast shape, not negative.

    Examples
    --------
    >>> round(float(power_integral_average(2.0, 1.0, math.inf, 2.0)), 12)
    2.0
    """
    return _over_elements(a, b, w, nu, discount, integrate=True)


def _over_elements(
    a: ArrayLike, b: ArrayLike, w: ArrayLike, nu: ArrayLike, discount: ArrayLike, *, integrate: bool
) -> Floats:
    fields = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (a, b, w, nu, discount)))
    result = np.empty(fields[0].shape)
    own = (np.array(field).ravel() for field in fields)
    in_spans(_fill_averages, result.size, *own, integrate, result.reshape(-1), smallest=_SPAN)
    return result


@njit(error_model="numpy", cache=True)
def _integral_to(p, w, nu):  # type: ignore[no-untyped-def]
    """Compute the undiscounted integral of ``(1 + p omega)^-nu`` over ``(0, w)`` and minus its derivative in ``p``."""
    grown = math.log1p(p * w)
    excess = nu - 1.0
    if abs(excess) * grown < 1e-8:
        integral = grown * (1.0 - 0.5 * excess * grown) / p
    else:
        integral = -math.expm1(-excess * grown) / (excess * p)
    x = p * w
    if x * (nu + 3.0) < 2e-3:  # the difference below cancels: its series
        slope = nu / 2.0 - nu * (nu + 1.0) * x * (1.0 / 3.0 - (nu + 2.0) * x * (1.0 / 8.0 - (nu + 3.0) * x / 30.0))
        return integral, slope * w * w
    return integral, (integral - w * math.exp(-nu * grown)) / p


@njit(error_model="numpy", cache=True)
def _sum_over_nodes(p, nu, times, weights):  # type: ignore[no-untyped-def]
    """Compute the weighted sum of ``(1 + p omega)^-nu`` over the nodes and minus its derivative in ``p``."""
    value = 0.0
    slope = 0.0
    for j in range(times.size):
        base = 1.0 + p * times[j]
        term = weights[j] * math.exp(-nu * math.log(base))
        value += term
        slope += term * nu * times[j] / base
    return value, slope


@njit(error_model="numpy", cache=True)
def _peak(a, b, w, nu):  # type: ignore[no-untyped-def]
    """Locate the peak of ``p^a (1-p)^b (1 + p w)^-nu`` in ``logit p``, and its curvature there."""
    quadratic = (a + b - nu) * w
    linear = a + b + (nu - a) * w
    root = math.sqrt(max(linear * linear + 4.0 * quadratic * a, 0.0))
    p = 2.0 * a / (linear + root) if linear > 0.0 else (root - linear) / (2.0 * quadratic)
    p = min(max(p, 1e-300), 1.0 - 1e-16)
    pull = (1.0 + w) * p / (1.0 + w * p)
    curvature = (a + b) * p * (1.0 - p) + nu * (pull * (1.0 - pull) - p * (1.0 - p))
    return math.log(p) - math.log1p(-p), max(curvature, 0.0)


@njit(error_model="numpy", cache=True)
def _trapezoid(a, b, w, nu, reach, tilt, times, weights):  # type: ignore[no-untyped-def]
    """Average over Beta(a, b) of the weighted sum over the nodes, or without any of the integral in closed form."""
    closed = times.size == 0
    last, _ = _integral_to(1.0, w, nu) if closed else _sum_over_nodes(1.0, nu, times, weights)
    centre, curvature = _peak(a + 1.0, b + 1.0, reach, tilt)
    step = 2.0 * math.pi / math.sqrt(_STRIP + _PEAK * curvature)
    log_norm = math.lgamma(a + 1.0) + math.lgamma(b) - math.lgamma(a + b + 1.0)
    total = 0.0
    for side in (1, -1):
        k = min(side, 0)
        while True:
            y = centre + k * step
            small = math.exp(-abs(y))
            lesser = small / (1.0 + small)
            log_greater = -math.log1p(small)
            p, rest = (1.0 / (1.0 + small), lesser) if y >= 0.0 else (lesser, 1.0 / (1.0 + small))
            log_weight = (a + 1.0 + b) * log_greater - (b * y if y >= 0.0 else -(a + 1.0) * y) - log_norm
            value, slope = _integral_to(p, w, nu) if closed else _sum_over_nodes(p, nu, times, weights)
            term = math.exp(log_weight) * (value - last + rest * slope / (a + b))
            total += term
            k += side
            if term <= _NEGLIGIBLE * total:
                break
    return last + total * step


@njit(error_model="numpy", cache=True)
def _series(a, b, nu, times, weights):  # type: ignore[no-untyped-def]
    """Sum the hypergeometric series of all nodes at once, in ``omega / (1 + omega)``: its terms are positive."""
    z = times / (1.0 + times)
    terms = weights * np.exp(-nu * np.log1p(times))
    sums = terms.copy()
    unfinished = 0
    n = 0.0
    while unfinished < z.size:
        for _ in range(8):
            ratio = (nu + n) * (b + n) / ((a + b + n) * (1.0 + n))
            n += 1.0
            for j in range(unfinished, z.size):
                terms[j] *= ratio * z[j]
                sums[j] += terms[j]
        limit = max((nu + n) / (1.0 + n), 1.0)  # no later ratio of coefficients exceeds it
        while unfinished < z.size:  # the nodes ascend, and converge in that order
            bound = z[unfinished] * limit
            if bound >= 1.0 or terms[unfinished] * bound > _NEGLIGIBLE * sums[unfinished] * (1.0 - bound):
                break
            unfinished += 1
    return sums.sum()


@njit(error_model="numpy", cache=True)
def _nodes(w, nu, discount):  # type: ignore[no-untyped-def]
    """Lay Gauss-Legendre nodes in logarithmic time over ``(0, w)``; the weights hold the discount."""
    unit = 1.0 / max(nu, 1.0, discount)
    length = math.log1p(w / unit)
    panels = max(1, math.ceil(length / _PANEL))
    half = 0.5 * length / panels
    times = np.empty(panels * _NODES.size)
    weights = np.empty(times.size)
    for j in range(times.size):
        u = half * (2 * (j // _NODES.size) + 1 + _NODES[j % _NODES.size])
        times[j] = unit * math.expm1(u)
        weights[j] = _WEIGHTS[j % _NODES.size] * half * unit * math.exp(u - discount * times[j])
    return times, weights


@njit(error_model="numpy", cache=True)
def _element(a, b, w, nu, discount, integrate):  # type: ignore[no-untyped-def]
    if w == 0.0:
        return 0.0 if integrate else 1.0
    end = min(w, _DISCOUNTED_AWAY / discount) if discount > 0.0 else w
    if end > _FOR_EVER:
        return (a + b - 1.0) / ((a - 1.0) * (nu - 1.0)) if a > 1.0 and nu > 1.0 else math.inf
    # About what the series of the last node needs; its first term must not underflow.
    terms = nu * end + _DIGITS * (end + 1.0) if nu * math.log1p(end) < _UNDERFLOW else math.inf
    if not integrate:
        times, weights = np.full(1, end), np.ones(1)
        if terms < _TERMS_SINGLE:
            return _series(a, b, nu, times, weights)
        return _trapezoid(a, b, end, nu, end, nu, times, weights)
    times, weights = _nodes(end, nu, discount)
    if terms < (_TERMS_UNDISCOUNTED if discount == 0.0 else _TERMS_DISCOUNTED):
        return _series(a, b, nu, times, weights)
    reach = min(end, 1.0 / discount) if discount > 0.0 else end
    if discount == 0.0:
        times, weights = times[:0], weights[:0]
    return _trapezoid(a, b, end, nu, reach * max(nu, 1.0), min(nu, 1.0), times, weights)


@njit(error_model="numpy", cache=True, nogil=True)
def _fill_averages(a, b, w, nu, discount, integrate, result, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        result[i] = _element(a[i], b[i], w[i], nu[i], discount[i], integrate)
