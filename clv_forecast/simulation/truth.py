"""What a forecast of the simulated accounts should say: the truth beside the data."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.simulation.clock import Clock
from clv_forecast.simulation.leaving import Happenings, survival
from clv_forecast.simulation.parameters import Floats, TrueParameters
from clv_forecast.simulation.penetration import penetration

_NODES: Final = 24


def truth_table(
    parameters: TrueParameters, happenings: Happenings, ids: NDArray[np.object_], next_revenue: Floats, *, clock: Clock
) -> pd.DataFrame:
    """Write down the truth of each account.

    Parameters
    ----------
    parameters : TrueParameters
    happenings : Happenings
    ids : ndarray of str, shape (account,)
    next_revenue : ndarray, shape (account,)
        Realised in the future.
    clock : Clock

    Returns
    -------
    DataFrame
        One row per account.
    """
    path = (parameters.u0, parameters.growth, parameters.start)
    share_now = penetration(*path, clock.years)
    alive = happenings.left >= clock.years
    there, stationary, gained = (np.where(alive, values, 0.0) for values in _ahead(parameters, happenings, clock))
    return pd.DataFrame(
        {
            columns.CUSTOMER_ID: ids,
            "wallet": parameters.wallet,
            "penetration": share_now,
            "annual_revenue_now": parameters.wallet * share_now,
            "alive": alive,
            "left_on": clock.days(np.where(happenings.left < clock.end, happenings.left, np.inf)),
            "stays": there,
            "growing": parameters.growing,
            "growth_rate": parameters.growth,
            "growth_starts": clock.days(np.where(parameters.growing, parameters.start, np.inf)),
            "regular": parameters.regular,
            "irregular": parameters.irregular,
            "order_size": parameters.order_size,
            "expected_next_revenue": stationary + gained,
            "stationary_next_revenue": stationary,
            "expected_growth": gained,
            "next_revenue": next_revenue,
            "margin": parameters.margin,
        }
    )


def _ahead(parameters: TrueParameters, happenings: Happenings, clock: Clock) -> tuple[Floats, Floats, Floats]:
    """Probability of staying to the end of the future, revenue at today's share, and what growth adds."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    length = clock.end - clock.years
    ahead = np.append((nodes + 1.0) / 2.0 * length, length)
    there = survival(parameters, happenings, now=clock.years, ahead=ahead)
    weighted = there[:, :-1] * (weights / 2.0 * length)
    path = (parameters.u0[:, None], parameters.growth[:, None], parameters.start[:, None])
    now = penetration(*path, clock.years)
    gained = (weighted * (penetration(*path, clock.years + ahead[:-1]) - now)).sum(axis=1)
    stationary = now[:, 0] * weighted.sum(axis=1)
    return there[:, -1], parameters.wallet * stationary, parameters.wallet * gained
