r"""The integral behind the distribution of a new customer's purchase count when death comes in continuous time.

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

_NODES: Final = 0.5 * (1.0 + roots_legendre(32)[0])
_WEIGHTS: Final = 0.5 * roots_legendre(32)[1]
_PANELS: Final = 4
_LONGEST: Final = 3.0
_FALL: Final = 45.0
# exp(600) times any time scale is still finite; beyond, the integrand has long been spent.
_FAR: Final = 600.0
# Below this, in units of the shortest scale, what is left out of the leading power is lost in rounding.
_POWER_LAW: Final = 1e-15
# Elements that are worth a span of their own.
_SPAN: Final = 64


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
    in_spans(_fill, out.size, *own, out, smallest=_SPAN)
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
def _integral(n, r, alpha, s, beta, horizon):  # type: ignore[no-untyped-def]
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
        for i in range(_NODES.size):
            w = low + width * (panel + _NODES[i])
            total += _WEIGHTS[i] * math.exp(_log_integrand(w, n, r, alpha, s, beta, near) - peak)
    return math.log(near) + peak + math.log(width * total)


@njit(cache=True, nogil=True)
def _fill(n, r, alpha, s, beta, horizon, out, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        out[i] = _integral(n[i], r[i], alpha[i], s[i], beta[i], horizon[i])
