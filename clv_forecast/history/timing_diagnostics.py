"""Whether purchases come at random times, as the models take them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy import stats

from clv_forecast.history.audit import Finding, Level
from clv_forecast.history.purchase_log import PurchaseLog

SIGNIFICANT: Final = 0.01
FEWEST_PAIRS: Final = 30
REGULAR_FROM: Final = 1.25
CLUMPED_BELOW: Final = 0.8
MOST_K: Final = 100.0
"""Gaps that vary by less than a tenth of their length are told as a rhythm: k is held at this bound."""
_Z: Final = float(stats.norm.isf(SIGNIFICANT / 2))


def regularity(log: PurchaseLog) -> Finding | None:
    r"""Whether a customer's purchases come more evenly, or more in clumps, than at random.

    From each customer's last two gaps, :math:`M = g_1 / (g_1 + g_2)` [1]_: uniform under random timing, and
    under Erlang-k gaps of variance :math:`1 / (4 (2 k + 1))`. Days make gaps whole numbers; under random timing
    :math:`g_1` given the sum S is then uniform on 1, ..., S - 1, so the variance expected is
    :math:`(S - 2) / (12 S)` exactly, which is used in place of 1/12.

    Parameters
    ----------
    log : PurchaseLog

    Returns
    -------
    Finding or None
        None with fewer than 30 customers of two gaps. Its k is at most 100, where gaps vary by a tenth of their length;
        an exact rhythm, such as a subscription's, has k = 100.

    References
    ----------
    .. [1] Wheat & Morrison (1990), "Estimating purchase regularity with two interpurchase times",
       Journal of Marketing Research 27(1), doi:10.1177/002224379002700108.
    """
    last = np.cumsum(log.count)[log.count > 2] - 1
    first_gap = log.day[last - 1] - log.day[last - 2]
    both = (log.day[last] - log.day[last - 2]).astype(np.float64)
    pairs = both > 2
    first_gap, both = first_gap[pairs], both[pairs]
    if both.size < FEWEST_PAIRS:
        return None
    squares = np.square(first_gap / both - 0.5)
    points = both - 1.0  # a uniform on so many whole numbers: its second and fourth central moments
    second = (points**2 - 1.0) / 12.0
    fourth = (points**2 - 1.0) * (3.0 * points**2 - 7.0) / 240.0
    expected = second / both**2
    spread = float(((fourth - second**2) / both**4).sum())
    if spread <= 0.0:  # of two gaps in three days nothing can be told: one is 1 and the other 2
        return None
    z = float((squares - expected).sum() / math.sqrt(spread))
    variance = float(squares.mean() / expected.mean()) / 12.0
    k = _erlang_k(variance)
    told = f"k {k:.0f} or more, a fixed rhythm" if k >= MOST_K else f"k about {k:.1f}"
    level: Level = "info"
    if z < -_Z and k >= REGULAR_FROM:
        level = "caution"
        meaning = (
            f"purchases are more regular than the models' random timing ({told}), so a customer silent for a "
            "few usual gaps is more surely gone than P(alive) says"
        )
    elif z > _Z and k <= CLUMPED_BELOW:
        level = "caution"
        meaning = (
            f"purchases come in clumps more than the models' random timing (k about {k:.1f}), so P(alive) takes the "
            "silence after a clump too readily for the end, and bands of purchases are too narrow"
        )
    else:
        meaning = f"close to the models' random timing (k about {k:.1f}; 1 is random, 2 is clearly regular)"
    return Finding(
        name="regularity",
        level=level,
        sentence=f"From the last two gaps of {both.size:,} customers (z = {z:+.1f}): {meaning}.",
        values={"customers": both.size, "k": k, "variance": variance, "z": z},
    )


def _erlang_k(variance: float) -> float:
    """The k of Erlang gaps under which a gap's share of two has this variance, from 0 to 100.

    Examples
    --------
    >>> _erlang_k(0.0), round(_erlang_k(1 / 12), 9), _erlang_k(0.25)
    (100.0, 1.0, 0.0)
    """
    least = 1.0 / (4.0 * (2.0 * MOST_K + 1.0))
    return MOST_K if variance <= least else max(0.0, (1.0 - 4.0 * variance) / (8.0 * variance))
