"""Draws of what accounts realise of their headroom: uncertain wallets, uncertain shares, and luck."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.streams import STAGE_READINESS, STAGE_WALLET, normal, standard_gamma
from clv_forecast.threads import in_spans

Floats = NDArray[np.float64]
_SPAN: Final = 4096


def draw_realised(
    headroom: Floats, log_sd: Floats, shares: Floats, spread: float, keys: NDArray[np.uint64], draws: int
) -> Floats:
    r"""Draw the money that each account realises of its headroom.

    Draw ``d`` is :math:`h\,\omega\,S` with :math:`\ln \omega \sim N(-\sigma^2/2, \sigma)`, so that its mean is 1, and
    :math:`S \sim \text{Gamma}` of mean :math:`s_d` and variance :math:`\phi s_d`: mean :math:`h s` in all.

    Parameters
    ----------
    headroom, log_sd : ndarray, shape (account,)
        >= 0.
    shares : ndarray, shape (account, parameter draw)
        Expected shares, >= 0; taken again and again where there are more draws.
    spread : float
        :math:`\phi`, >= 0; at 0 an account realises its expected share.
    keys : ndarray of uint64, shape (account,)
        See ``streams.customer_keys``.
    draws : int

    Returns
    -------
    ndarray, shape (account, draw)

    Examples
    --------
    >>> one = np.ones(1)
    >>> drawn = draw_realised(100 * one, 0.2 * one, 0.1 * one[:, None], 0.3, np.array([7], dtype=np.uint64), 40_000)
    >>> bool(abs(drawn.mean() - 10.0) < 4 * drawn.std() / 200)
    True
    """
    out = np.zeros((len(headroom), draws))
    in_spans(
        _draw,
        len(headroom),
        np.ascontiguousarray(headroom),
        np.ascontiguousarray(log_sd),
        np.ascontiguousarray(shares),
        spread,
        keys,
        out,
        smallest=max(1, _SPAN // draws),
    )
    return out


@njit(cache=True, nogil=True)
def _draw(headroom, log_sd, shares, spread, keys, out, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        if not headroom[i] > 0.0:
            continue
        for d in range(out.shape[1]):
            share = shares[i, d % shares.shape[1]]
            if share <= 0.0:
                continue
            if spread > 0.0:
                drawn, _ = standard_gamma(keys[i], d, STAGE_READINESS, 0, share / spread)
                share = drawn * spread
            sd = log_sd[i]
            out[i, d] = headroom[i] * share * np.exp(sd * normal(keys[i], d, STAGE_WALLET, 0) - 0.5 * sd * sd)
