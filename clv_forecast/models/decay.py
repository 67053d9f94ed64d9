r"""Integrals over time of a product of decaying powers: the one integral the Pareto/NBD model is made of.

.. math:: J = \int_0^h e^{-\delta u} (1 + u/A)^{-k_A} (1 + u/B)^{-k_B} \, du

The likelihood, P(alive), the discounted future and the chance of silence are all of this form. In the variable
``w = ln(1 + u / min(A, B))`` the logarithm of the integrand is concave and its singularities stay a distance of
``pi`` from the real axis whatever the parameters, so Gauss-Legendre panels converge fast: their length follows the
fall of the integrand (at most ``exp(-40)`` per panel), and a bound on what lies beyond ends the walk. There is no
branch on ``A`` versus ``B`` and no pole; ``A = B`` has a closed form that the general case joins smoothly.

The integral behind the distribution of a new customer's purchase count when death comes in continuous time.

.. math:: K_n = \int_0^h \left(1 + \frac{u}{\beta}\right)^{-(s+1)} \left(\frac{\alpha}{\alpha + u}\right)^{r}
          \left(\frac{u}{\alpha + u}\right)^{n} du

It collects the customers who die at ``u < h`` after ``n`` purchases. In ``w = ln(1 + u / min(alpha, beta))`` the
logarithm of the integrand is concave: its mode is found by bisection, then the two points where it has fallen by 45,
and Gauss-Legendre panels cover what lies between. Nothing is lost for large ``n``, where alternating sums cancel.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import roots_legendre

from clv_forecast.models.domain import Floats
from clv_forecast.threads import in_spans

_COUNT_NODES: Final = 0.5 * (1.0 + roots_legendre(32)[0])
_COUNT_WEIGHTS: Final = 0.5 * roots_legendre(32)[1]
_PANELS: Final = 4
_LONGEST: Final = 3.0
_FALL: Final = 45.0
# exp(600) times any time scale is still finite; beyond, the integrand has long been spent.
_FAR: Final = 600.0
# Below this, in units of the shortest scale, what is left out of the leading power is lost in rounding.
_POWER_LAW: Final = 1e-15
# Elements that are worth a span of their own.
_COUNT_SPAN: Final = 64


def log_count_integral(
    n: ArrayLike, r: ArrayLike, alpha: ArrayLike, s: ArrayLike, beta: ArrayLike, horizon: ArrayLike
) -> Floats:
    r"""Logarithm of ``K_n``, for counts of any size.

    Parameters
    ----------
    n : array_like
        Counts >= 0, whole numbers.
    r, alpha, s, beta : array_like
        Shape and rate of the Gamma distributions of the purchase and the death rate.
    horizon : array_like
        End of the integral >= 0; infinite allowed.

    Returns
    -------
    ndarray
        Broadcast shape; ``-inf`` at horizon 0.

    Notes
    -----
    Relative error below 1e-12.

    Examples
    --------
    >>> round(float(np.exp(log_count_integral(0, 1.0, 1.0, 1.0, 1.0, np.inf))), 12)  # integral of (1 + u)^-3
    0.5
    """
    fields = np.broadcast_arrays(*(np.asarray(f, dtype=np.float64) for f in (n, r, alpha, s, beta, horizon)))
    out = np.empty(fields[0].size)
    own = [np.array(field.ravel()) for field in fields]
    in_spans(_fill_counts, out.size, *own, out, smallest=_COUNT_SPAN)
    return out.reshape(fields[0].shape)


@njit(cache=True)
def _log_integrand(w, n, r, alpha, s, beta, near):  # type: ignore[no-untyped-def]
    u = near * math.expm1(w)
    bought = -n * math.log1p(alpha / u) if n > 0.0 else 0.0
    return w + bought - r * math.log1p(u / alpha) - (s + 1.0) * math.log1p(u / beta)


@njit(cache=True)
def _rises(w, n, r, alpha, s, beta, near):  # type: ignore[no-untyped-def]
    u = near * math.expm1(w)
    if u == 0.0 and n > 0.0:
        return True
    bought = n * alpha * (near + u) / (u * (alpha + u)) if n > 0.0 else 0.0
    return 1.0 + bought - r * (near + u) / (alpha + u) - (s + 1.0) * (near + u) / (beta + u) > 0.0


@njit(cache=True)
def _mode(end, n, r, alpha, s, beta, near):  # type: ignore[no-untyped-def]
    """Where the log-integrand is highest on ``(0, end]``, bisecting its slope on a logarithmic scale."""
    if _rises(end, n, r, alpha, s, beta, near):
        return end
    low = math.log(end) - _FAR
    high = math.log(end)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if _rises(math.exp(middle), n, r, alpha, s, beta, near):
            low = middle
        else:
            high = middle
    return math.exp(low)


@njit(cache=True)
def _edge(inside, outside, level, n, r, alpha, s, beta, near):  # type: ignore[no-untyped-def]
    """A point at or beyond which the log-integrand is below ``level``, between ``inside`` and ``outside``."""
    if outside > 0.0 and _log_integrand(outside, n, r, alpha, s, beta, near) > level:
        return outside
    for _ in range(40):
        middle = 0.5 * (inside + outside)
        if _log_integrand(middle, n, r, alpha, s, beta, near) > level:
            inside = middle
        else:
            outside = middle
    return outside


@njit(cache=True)
def _count_integral(n, r, alpha, s, beta, horizon):  # type: ignore[no-untyped-def]
    if not horizon > 0.0:
        return -math.inf
    near = min(alpha, beta)
    end = min(math.log1p(horizon / near), _FAR)
    if end * (n + r + s + 2.0) < _POWER_LAW:  # only the leading power is left of the integrand
        return (n + 1.0) * math.log(horizon) - n * math.log(alpha) - math.log(n + 1.0)
    mode = _mode(end, n, r, alpha, s, beta, near)
    peak = _log_integrand(mode, n, r, alpha, s, beta, near)
    low = _edge(mode, 0.0, peak - _FALL, n, r, alpha, s, beta, near)
    high = _edge(mode, end, peak - _FALL, n, r, alpha, s, beta, near)
    panels = max(_PANELS, math.ceil((high - low) / _LONGEST))
    width = (high - low) / panels
    total = 0.0
    for panel in range(panels):
        for i in range(_COUNT_NODES.size):
            w = low + width * (panel + _COUNT_NODES[i])
            total += _COUNT_WEIGHTS[i] * math.exp(_log_integrand(w, n, r, alpha, s, beta, near) - peak)
    return math.log(near) + peak + math.log(width * total)


@njit(cache=True, nogil=True)
def _fill_counts(n, r, alpha, s, beta, horizon, out, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        out[i] = _count_integral(n[i], r[i], alpha[i], s[i], beta[i], horizon[i])


# Each rule holds for panels up to a length, and up to a fall of the log-integrand; the relative error is then
# below 6e-14 (8 nodes) and 2e-14 (others), over exponents from 1e-3 to 3e3.
_ORDERS: Final = (8, 12, 20, 32)
_LENGTHS: Final = np.array([1.0, 1.5, 2.5, 4.0])
_FALLS: Final = np.array([2.0, 9.0, 20.0, 40.0])
_STARTS: Final = np.array([0, 8, 20, 40, 72])
_NODES: Final = np.concatenate([0.5 * (1.0 + roots_legendre(n)[0]) for n in _ORDERS])
_WEIGHTS: Final = np.concatenate([0.5 * roots_legendre(n)[1] for n in _ORDERS])
_NEGLIGIBLE: Final = 1e-17
# Elements that are worth a span of their own.
_SPAN: Final = 512


def log_decay_integral(
    k_a: ArrayLike, a: ArrayLike, k_b: ArrayLike, b: ArrayLike, length: ArrayLike, *, discount: ArrayLike = 0.0
) -> Floats:
    r"""Logarithm of ``J = integral_0^length exp(-discount u) (1 + u/a)^-k_a (1 + u/b)^-k_b du``.

    Parameters
    ----------
    k_a, k_b : array_like
        Exponents >= 0.
    a, b : array_like
        Time scales > 0.
    length : array_like
        End of the integral >= 0, infinite allowed.
    discount : array_like
        Rate >= 0.

    Returns
    -------
    ndarray
        Broadcast shape; ``-inf`` at length 0, ``inf`` where the integral diverges.

    Notes
    -----
    Relative error below 1e-13. Runs in parallel over elements; each element is computed alone, so the result does
    not depend on the number of threads.

    References
    ----------
    Fader & Hardie (2005), "A note on deriving the Pareto/NBD model and related expressions",
    http://brucehardie.com/notes/009/, eq. 17-18, where this integral is written with 2F1 functions.

    Examples
    --------
    >>> round(float(np.exp(log_decay_integral(0.0, 1.0, 2.0, 1.0, 9.0))), 12)
    0.9
    """
    arguments = (k_a, a, k_b, b, length, discount)
    fields = [_grid(field) for field in arguments]
    out = np.empty(np.broadcast_shapes(*(field.shape for field in fields)))
    in_spans(_fill, out.size, *fields, out, smallest=_SPAN)
    return out.reshape(np.broadcast_shapes(*(np.shape(field) for field in arguments)))


def _grid(value: ArrayLike) -> Floats:
    """A contiguous read-only (draw or 1, customer or 1) view: one type for the compiled kernel, no copy."""
    view = np.ascontiguousarray(np.atleast_2d(np.asarray(value, dtype=np.float64))).view()
    view.setflags(write=False)
    return view


@njit(cache=True)
def _panel(remaining, k_near, k_far, share, fast):  # type: ignore[no-untyped-def]
    """Length of the next panel, its quadrature rule, and the fall of the log-integrand over it.

    The fall over ``h`` is ``(k_near - 1) h + k_far ln(1 + share (e^h - 1)) + fast (e^h - 1)``, convex in ``h``:
    Newton's method from the right meets the allowed fall without passing it.
    """
    longest = _LENGTHS[-1]
    h = min(remaining, longest)
    grown = math.expm1(h)
    fall = (k_near - 1.0) * h + k_far * math.log1p(share * grown) + fast * grown
    rounds = 0
    while fall > 1.0001 * _FALLS[-1] and rounds < 60:
        e_h = grown + 1.0
        h -= (fall - _FALLS[-1]) / (k_near - 1.0 + k_far * share * e_h / (1.0 + share * grown) + fast * e_h)
        grown = math.expm1(h)
        fall = (k_near - 1.0) * h + k_far * math.log1p(share * grown) + fast * grown
        rounds += 1
    for rule in range(3):
        if h <= _LENGTHS[rule] and fall <= _FALLS[rule]:
            return h, rule, fall
    return h, 3, fall


@njit(cache=True)
def log_decay(k_a, a, k_b, b, length, discount):  # type: ignore[no-untyped-def]
    """One element of `log_decay_integral`, compiled."""
    if not length > 0.0:
        return -math.inf
    near = min(a, b)
    gap = max(a, b) - near
    k_near, k_far = (k_a, k_b) if a <= b else (k_b, k_a)
    excess = k_a + k_b - 1.0
    end = math.log1p(length / near)
    total = 0.0
    done = 0.0
    log_value = 0.0
    while done < end:
        scale = near * math.exp(done)
        fast = discount * scale
        if discount == 0.0 and gap * (1.0 + k_far) <= _NEGLIGIBLE * scale:
            total += math.exp(log_value) * _exponential(excess, end - done)
            break
        share = scale / (gap + scale)
        h, rule, fall = _panel(end - done, k_near, k_far, share, fast)
        part = 0.0
        for i in range(_STARTS[rule], _STARTS[rule + 1]):
            w = h * _NODES[i]
            grown = math.expm1(w)
            part += _WEIGHTS[i] * math.exp(
                log_value - (k_near - 1.0) * w - k_far * math.log1p(share * grown) - fast * grown
            )
        total += h * part
        log_value -= fall
        if not done + h > done:
            break
        done += h
        if _settled(log_value, total, k_near, k_far, share, fast, h):
            break
    return math.log(near) + math.log(total)


@njit(cache=True)
def _exponential(rate, length):  # type: ignore[no-untyped-def]
    """Integral of ``exp(-rate w)`` over ``(0, length)``: smooth through rate 0, infinite where it diverges."""
    if math.isinf(length):
        return 1.0 / rate if rate > 0.0 else math.inf
    return -math.expm1(-rate * length) / rate if rate != 0.0 else length


@njit(cache=True)
def _settled(log_value, total, k_near, k_far, share, fast, h):  # type: ignore[no-untyped-def]
    """Whether what lies beyond a panel is lost in rounding: the log-integrand is concave, its slope only steepens."""
    e_h = math.exp(h)
    slope = k_near - 1.0 + k_far * share * e_h / (1.0 + share * (e_h - 1.0)) + fast * e_h
    return slope > 0.0 and math.exp(log_value) <= _NEGLIGIBLE * total * slope


@njit(cache=True, inline="always")
def _at(field, i, j):  # type: ignore[no-untyped-def]
    return field[i if field.shape[0] > 1 else 0, j if field.shape[1] > 1 else 0]


@njit(cache=True, nogil=True)
def _fill(k_a, a, k_b, b, length, discount, out, start, stop):  # type: ignore[no-untyped-def]
    columns = out.shape[1]
    for index in range(start, stop):
        i, j = index // columns, index % columns
        out[i, j] = log_decay(
            _at(k_a, i, j), _at(a, i, j), _at(k_b, i, j), _at(b, i, j), _at(length, i, j), _at(discount, i, j)
        )


@njit(cache=True)
def decay_moments(k_a, a, k_b, b, length, out):  # type: ignore[no-untyped-def]
    """``ln J`` without discount, and means of ``ln(1+u/a)``, ``1/(a+u)`` and the same of ``b`` under its integrand."""
    if not length > 0.0:
        out[:] = (-math.inf, 0.0, 1.0 / a, 0.0, 1.0 / b)
        return
    near = min(a, b)
    far = max(a, b)
    k_near, k_far = (k_a, k_b) if a <= b else (k_b, k_a)
    end = math.log1p(length / near)
    total = log_near = over_near = log_far = over_far = 0.0
    done = 0.0
    log_value = 0.0
    log_far_done = 0.0
    while done < end:
        scale = near * math.exp(done)
        share = scale / (far - near + scale)
        h, rule, fall = _panel(end - done, k_near, k_far, share, 0.0)
        for i in range(_STARTS[rule], _STARTS[rule + 1]):
            w = h * _NODES[i]
            grown = math.expm1(w)
            log_far_here = math.log1p(share * grown)
            weight = h * _WEIGHTS[i] * math.exp(log_value - (k_near - 1.0) * w - k_far * log_far_here)
            total += weight
            log_near += weight * (done + w)
            over_near += weight / (scale + scale * grown)
            log_far += weight * (log_far_done + log_far_here)
            over_far += weight / (far - near + scale + scale * grown)
        log_value -= fall
        log_far_done += math.log1p(share * math.expm1(h))
        if not done + h > done:
            break
        done += h
        if _settled(log_value, total, k_near, k_far, share, 0.0, h):
            break
    if a > b:
        log_near, log_far = log_far, log_near
        over_near, over_far = over_far, over_near
    out[:] = (math.log(near) + math.log(total), log_near / total, over_near / total, log_far / total, over_far / total)
