"""Draws of what accounts realise of their headroom: uncertain wallets, uncertain shares, and luck."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clv_forecast.streams import STAGE_READINESS, STAGE_WALLET, normal, standard_gamma, uniform_pair
from clv_forecast.threads import in_spans

Floats = NDArray[np.float64]
_SPAN: Final = 4096
_SMALLEST_SIZE: Final = 0.02  # below it, the Beta is all or nothing


def draw_realised(
    headroom: Floats, log_sd: Floats, shares: Floats, spread: float, keys: NDArray[np.uint64], draws: int
) -> Floats:
    r"""Draw the money that each account realises of its headroom.

    Draw ``d`` is :math:`h\,\omega\,S` with :math:`\ln \omega \sim N(-\sigma^2/2, \sigma)`, so that its mean is 1, and
    :math:`S \sim \text{Beta}` of mean :math:`s_d` and variance :math:`\phi s_d`: mean :math:`h s` in all. Where no
    share between 0 and 1 varies as much, all of the headroom is realised with probability :math:`s_d`, and else
    nothing.

    Parameters
    ----------
    headroom, log_sd : ndarray, shape (account,)
        >= 0.
    shares : ndarray, shape (account, parameter draw)
        Expected shares, from 0 to 1; taken again and again where there are more draws.
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


def realised_if_active(
    headroom: Floats,
    log_sd: Floats,
    shares: Floats,
    spread: float,
    keys: NDArray[np.uint64],
    active: NDArray[np.bool_],
) -> Floats:
    """Draw as ``draw_realised`` does, with nothing realised in draws in which an account is not active.

    In the others its expected share is larger by as much, so that the mean stays. An account expected to realise more
    than it could in its active draws alone realises some in all of them.

    Parameters
    ----------
    headroom, log_sd, shares, spread, keys
        See ``draw_realised``.
    active : ndarray of bool, shape (account, draw)

    Returns
    -------
    ndarray, shape (account, draw)

    Examples
    --------
    >>> one, key = np.ones(1), np.array([7], dtype=np.uint64)
    >>> active = np.arange(8)[None, :] < 2
    >>> realised_if_active(100 * one, 0 * one, 0.1 * one[:, None], 0.0, key, active)
    array([[40., 40.,  0.,  0.,  0.,  0.,  0.,  0.]])
    >>> realised_if_active(100 * one, 0 * one, 0.5 * one[:, None], 0.0, key, active)
    array([[50., 50., 50., 50., 50., 50., 50., 50.]])
    """
    chance = active.mean(axis=1)
    within = chance >= shares.max(axis=1)
    chance = np.where(within, np.maximum(chance, 1.0 / active.shape[1]), 1.0)
    drawn = draw_realised(headroom, log_sd, shares / chance[:, None], spread, keys, active.shape[1])
    return np.asarray(np.where(active | ~within[:, None], drawn, 0.0))


@njit(cache=True, nogil=True)
def _draw(headroom, log_sd, shares, spread, keys, out, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        if not headroom[i] > 0.0:
            continue
        for d in range(out.shape[1]):
            share = shares[i, d % shares.shape[1]]
            if share <= 0.0:
                continue
            if spread > 0.0 and share < 1.0:
                size = (1.0 - share) / spread - 1.0  # of the Beta: its two parameters add up to it
                realised, rest = 0.0, 0.0
                if size > _SMALLEST_SIZE:
                    realised, used = standard_gamma(keys[i], d, STAGE_READINESS, 0, share * size)
                    rest, _ = standard_gamma(keys[i], d, STAGE_READINESS, used, (1.0 - share) * size)
                if realised + rest > 0.0:
                    share = realised / (realised + rest)
                else:  # all or nothing; so also where both variates are too small for a float
                    u, _ = uniform_pair(keys[i], d, STAGE_READINESS, 0)
                    share = 1.0 if u < share else 0.0
            sd = log_sd[i]
            out[i, d] = headroom[i] * share * np.exp(sd * normal(keys[i], d, STAGE_WALLET, 0) - 0.5 * sd * sd)
