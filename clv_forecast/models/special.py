"""Quadrature over future time: Gauss-Legendre in logarithmic time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from clv_forecast.errors import DomainError
from clv_forecast.models.domain import Floats

PANEL: Final = 3.0
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
# exp(-42) < 1e-18: what lies beyond is lost in rounding.
DISCOUNTED_AWAY: Final = 42.0


def horizon_integral(
    integrand: Callable[[Floats], Floats], *, horizon: ArrayLike, discount: ArrayLike, scale: ArrayLike
) -> Floats:
    r"""Discounted integral of a smooth rate over future time.

    .. math:: \int_0^{h} e^{-\delta \tau} f(\tau) \, d\tau, \qquad \tau = c\,(e^u - 1)

    Parameters
    ----------
    integrand : callable
        ``f``, from an array of times (the broadcast shape of the other arguments) to an array it broadcasts with.
    horizon : array_like
        ``h`` >= 0; may be infinite where ``discount`` is positive.
    discount : array_like
        Continuous rate ``delta`` >= 0.
    scale : array_like
        ``c`` > 0, a time within which ``f`` changes little (not longer than the shortest time on which it halves);
        beyond it ``f`` may fall like any power or exponential of time.

    Returns
    -------
    ndarray
        Broadcast shape of the arguments and of what ``integrand`` returns.

    Raises
    ------
    DomainError
        If an infinite horizon meets a discount of zero.

    Notes
    -----
    In ``u`` the integrand is analytic in a strip of half-width ``pi/2`` or wider when ``c`` is at most ``f``'s own
    time scale and ``1/delta`` (taken care of here), so that panels of length 3 with 20 nodes each leave a
    relative error below 1e-12. The nodes are visited one by one: memory does not grow with their number.

    Examples
    --------
    >>> value = horizon_integral(lambda tau: 1.0 / (1.0 + tau) ** 2, horizon=9.0, discount=0.0, scale=1.0)
    >>> round(float(value), 12)
    0.9
    """
    end, rate, unit = np.broadcast_arrays(
        np.asarray(horizon, dtype=np.float64),
        np.asarray(discount, dtype=np.float64),
        np.asarray(scale, dtype=np.float64),
    )
    cut = np.full(end.shape, np.inf)
    np.divide(DISCOUNTED_AWAY, rate, out=cut, where=rate > 0.0)
    end = np.minimum(end, cut)
    if not np.isfinite(end).all():
        raise DomainError("An infinite horizon needs a positive discount.", value="horizon inf, discount 0")
    unit = np.minimum(unit, cut / DISCOUNTED_AWAY)
    length = np.log1p(end / unit)
    panels = max(1, int(np.ceil(length.max(initial=0.0) / PANEL)))
    half = 0.5 * length / panels
    total: Floats = np.zeros(end.shape)
    for panel in range(panels):
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            u = half * (2 * panel + 1 + node)
            tau = unit * np.expm1(u)
            total = total + (weight * half * unit) * np.exp(u - rate * tau) * integrand(tau)
    return total
