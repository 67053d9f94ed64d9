"""Whether a customer is of the kind the models describe, and if not, what that does to its forecast.

Whether one customer's orders come more evenly than at random: a test by customer, and how evenly.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from clv_forecast import columns as c
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.units import DAYS_PER_UNIT

FEWEST_GAPS: Final = 4
LEAST_MEAN_GAP: Final = 4.0
"""Days. Where gaps are shorter, a calendar of whole days makes any buyer look regular."""
_SLOPE_STEP: Final = 1e-3
_SHAPES: Final = (1e-3, 1e6)
_HALVINGS: Final = 60


def regularity_p_value(
    gaps: NDArray[Any], mean_gap: NDArray[np.float64], log_spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Probability that orders at random times come at least as evenly as a customer's did.

    With ``n`` gaps the statistic is :math:`U = n (\ln \bar g - \overline{\ln g})`: 0 when all are equal. Given the
    first and the last order, orders at random times are uniform between them, whatever the customer's rate is and
    whenever it left; :math:`U` is then half of Bartlett's statistic for n variances of 2 degrees of freedom [1]_, and

    .. math:: 2 U \Big/ \Big(1 + \frac{n + 1}{6 n}\Big) \approx \chi^2_{n - 1} .

    Orders of one day count as one, so gaps are whole days, never 0, and look more even than they are: ``U`` is first
    scaled by the ratio of its means with gaps of any length and with geometric gaps of whole days.

    Parameters
    ----------
    gaps : ndarray, shape (customer,)
        Number of gaps between orders.
    mean_gap : ndarray, shape (customer,)
        In days.
    log_spread : ndarray, shape (customer,)
        :math:`\ln \bar g - \overline{\ln g}`, >= 0.

    Returns
    -------
    ndarray, shape (customer,)
        NaN with fewer than 4 gaps, a mean gap below 4 days, or where the spread is NaN.

    Notes
    -----
    By simulation of geometric gaps, the share of random buyers below 0.01 is 0.010 where gaps are long, and falls to
    0.002 for many gaps of a few days: it is an upper bound. Without the scaling it would be 0.08 for 30 gaps of
    a week, and 0.3 for 30 gaps of four days. Buyers with Erlang-4 gaps of a month are found in 8 % of cases with
    4 gaps, 20 % with 6, 69 % with 12 and 99 % with 24: what is not found regular may still be.

    References
    ----------
    .. [1] Bartlett (1937), "Properties of sufficiency and statistical tests", Proceedings of the Royal Society A
       160(901), doi:10.1098/rspa.1937.0109.

    Examples
    --------
    >>> even, uneven = [29.0, 31, 30, 32, 28, 30], [2.0, 90, 11, 40, 7, 30]
    >>> spread = np.array([np.log(np.mean(g)) - np.mean(np.log(g)) for g in (even, uneven)])
    >>> regularity_p_value(np.array([6, 6]), np.array([30.0, 30.0]), spread) < 0.01
    array([ True, False])
    """
    told = (gaps >= FEWEST_GAPS) & (mean_gap >= LEAST_MEAN_GAP) & np.isfinite(log_spread)
    p = np.full(len(gaps), np.nan)
    n = np.asarray(gaps, dtype=np.float64)[told]
    u = n * np.maximum(log_spread[told], 0.0) * _scale(n, mean_gap[told])
    p[told] = stats.chi2.cdf(2.0 * u / (1.0 + (n + 1.0) / (6.0 * n)), n - 1.0)
    return p


def _scale(n: NDArray[np.float64], mean_gap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the statistic with gaps of any length over that with gaps of whole days."""
    days, shortfall, curvature = _whole_days()
    at = np.log(np.minimum(mean_gap, days[-1]))
    continuous = n * (np.euler_gamma + special.digamma(n) - np.log(n))
    whole = continuous - n * (np.euler_gamma - np.interp(at, np.log(days), shortfall))
    return np.asarray(continuous / (whole + 0.5 + 0.5 * np.interp(at, np.log(days), curvature)))


@functools.cache
def _whole_days() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    r"""For geometric gaps of whole days by their mean: :math:`\ln \mu - E \ln g`, and its curvature times the variance.

    With gaps of any length these are Euler's constant and -1.
    """
    days = np.exp(np.linspace(np.log(LEAST_MEAN_GAP), np.log(400.0), 50))

    def mean_log(mean: float) -> float:
        k = np.arange(1, int(60 * mean))
        return float(stats.geom.pmf(k, 1.0 / mean) @ np.log(k))

    middle = np.array([mean_log(mean) for mean in days])
    sides = np.array([mean_log(mean * (1 - _SLOPE_STEP)) + mean_log(mean * (1 + _SLOPE_STEP)) for mean in days])
    curvature = (sides - 2.0 * middle) / np.square(_SLOPE_STEP * days) * days * (days - 1.0)
    return days, np.log(days) - middle, curvature


def regularity_shape(gaps: NDArray[Any], log_spread: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Shape k of a customer's gaps, taken as Gamma(k): 1 is random, 2 clearly regular, inf a clock.

    The most likely k given the time from the first order to the last (the shares of the gaps in it are
    Dirichlet(k, ..., k), and the customer's rate plays no part):

    .. math:: \psi(n k) - \psi(k) - \ln n = \ln \bar g - \overline{\ln g} .

    Parameters
    ----------
    gaps : ndarray, shape (customer,)
        At least 2.
    log_spread : ndarray, shape (customer,)

    Returns
    -------
    ndarray, shape (customer,)
        NaN where the spread is; inf above a million.

    Examples
    --------
    >>> regularity_shape(np.array([1000, 1000]), np.array([np.euler_gamma, 0.0])).round(1)
    array([ 1., inf])
    """
    n = np.asarray(gaps, dtype=np.float64)
    low, high = np.full(len(n), np.log(_SHAPES[0])), np.full(len(n), np.log(_SHAPES[1]))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        k = np.exp(middle)
        too_uneven = special.digamma(n * k) - special.digamma(k) - np.log(n) > log_spread
        low, high = np.where(too_uneven, middle, low), np.where(too_uneven, high, middle)
    shape = np.asarray(np.exp(0.5 * (low + high)))
    shape[shape > 0.99 * _SHAPES[1]] = np.inf
    shape[np.isnan(log_spread)] = np.nan
    return shape


MODEL_FIT: Final = ("ok", "regular", "too few orders", "contracted", "irregular large orders")
OK, REGULAR, TOO_FEW, CONTRACTED, LARGE_ORDERS = MODEL_FIT
SIGNIFICANT: Final = 0.01
FEWEST_REPEATS: Final = 2
FEWEST_ORDERS: Final = 4
LARGEST_SHARE: Final = 0.5
TIMES_MEDIAN: Final = 5.0
_MOST_SHAPE: Final = 20.0


def model_fit(
    history: PurchaseHistory, accounts: Accounts | None = None, *, purchases: pd.DataFrame | None = None
) -> pd.DataFrame:
    """How far each customer is of the kind the models describe, and a caution where it is not.

    Parameters
    ----------
    history : PurchaseHistory
    accounts : Accounts, optional
        In the row order of the history; its contract columns are read.
    purchases : DataFrame, optional
        ``history.purchases()``, when it was fetched already.

    Returns
    -------
    DataFrame
        In the row order of the history: ``model_fit`` and ``caution`` (a plain sentence, empty where all is well).
        The first that holds, from the top:

        ====================== ======================================================================================
        contracted             ``contract_end`` is today or later, or, where no end is given,
                               ``contracted_annual_value`` is above 0
        too few orders         fewer than 2 repeat purchases
        regular                at least 4 gaps, far more even than random orders' (p < 0.01 by customer, see
                               ``regularity.regularity_p_value``)
        irregular large orders at least 4 purchases, the largest more than half of all revenue and more than 5 times
                               the median
        ok                     none of these
        ====================== ======================================================================================

    Raises
    ------
    InputError
        If a contract column holds what is no number or date.

    Notes
    -----
    A history made from a summary does not know its intervals or orders: nobody is then found regular or irregular.
    Of customers who do buy at random, up to 1 in 100 with enough orders is called regular.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1998-06-30")
    >>> model_fit(history)["model_fit"].value_counts()
    model_fit
    too few orders            1613
    ok                         724
    irregular large orders       7
    regular                      5
    Name: count, dtype: int64
    """
    size = len(history.table)
    kind = np.full(size, OK, dtype=object)
    caution = np.full(size, "", dtype=object)
    marks = (
        _large_orders(history, purchases),
        _regular(history),
        _too_few(history),
        _contracted(history, accounts),
    )
    for name, (found, sentences) in zip((LARGE_ORDERS, REGULAR, TOO_FEW, CONTRACTED), marks, strict=True):
        kind[found] = name
        caution[found] = sentences
    return pd.DataFrame({"model_fit": kind.astype(str), "caution": caution.astype(str)}, dtype="str")


Marks = tuple[NDArray[np.bool_], list[str]]


def _contracted(history: PurchaseHistory, accounts: Accounts | None) -> Marks:
    size = len(history.table)
    value = accounts.numbers(c.CONTRACTED) if accounts is not None else None
    ends = accounts.dates(c.CONTRACT_END) if accounts is not None else None
    end = np.full(size, np.datetime64("NaT", "D")) if ends is None else ends.to_numpy(dtype="datetime64[D]")
    running = end >= history.as_of.to_datetime64().astype("datetime64[D]")
    if value is not None:
        running |= np.isnat(end) & (value > 0.0)
    until = ["" if np.isnat(day) else f" until {day}" for day in end[running]]
    return running, [f"Under contract{day}: P(alive) is read from orders and does not know it." for day in until]


def _too_few(history: PurchaseHistory) -> Marks:
    repeats = history.table[c.FREQUENCY].to_numpy(dtype=np.int64)
    found = repeats < FEWEST_REPEATS
    said = [
        f"{'1 purchase' if n == 0 else f'{n + 1} purchases'} so far: its forecast is mostly that of customers like it."
        for n in repeats[found].tolist()
    ]
    return found, said


def _regular(history: PurchaseHistory) -> Marks:
    gaps = history.table[c.FREQUENCY].to_numpy(dtype=np.int64)
    recency = history.table[c.RECENCY].to_numpy(dtype=np.float64)
    logs = history.table[c.SUM_LOG_INTERVALS].to_numpy(dtype=np.float64)
    spread, mean = np.full(len(gaps), np.nan), np.zeros(len(gaps))
    some = (gaps >= FEWEST_GAPS) & (recency > 0.0)
    mean[some] = recency[some] / gaps[some]
    spread[some] = np.log(mean[some]) - logs[some] / gaps[some]
    days = mean * DAYS_PER_UNIT[history.unit]
    found = regularity_p_value(gaps, days, spread) < SIGNIFICANT
    shapes = regularity_shape(gaps[found], spread[found])
    said = [
        f"Orders come evenly, about every {day:.0f} days ({_evenness(shape)}): a silence clearly longer than that "
        "means more than P(alive) shows, a shorter one less."
        for day, shape in zip(days[found], shapes, strict=True)
    ]
    return found, said


def _evenness(shape: float) -> str:
    return f"shape above {_MOST_SHAPE:.0f}" if shape > _MOST_SHAPE else f"shape about {shape:.1f}; random is 1"


def _large_orders(history: PurchaseHistory, purchases: pd.DataFrame | None) -> Marks:
    size = len(history.table)
    if purchases is None and history.events is None:
        return np.zeros(size, dtype=np.bool_), []
    rows = history.purchases() if purchases is None else purchases
    amounts = rows[c.AMOUNT].to_numpy(dtype=np.float64)
    place = pd.Index(history.table[c.CUSTOMER_ID]).get_indexer(pd.Index(rows[c.CUSTOMER_ID]))
    amounts, place = amounts[place >= 0], place[place >= 0]
    order = np.lexsort((amounts, place))
    ordered = amounts[order]
    count = np.bincount(place, minlength=size)
    some = count >= FEWEST_ORDERS
    end = np.cumsum(count)[some]
    start = end - count[some]
    total = np.zeros(size)
    total[some] = np.bincount(place, weights=amounts, minlength=size)[some]
    median, largest = np.full(size, np.inf), np.zeros(size)
    median[some] = 0.5 * (ordered[start + (count[some] - 1) // 2] + ordered[start + count[some] // 2])
    largest[some] = ordered[end - 1]
    found = (largest > LARGEST_SHARE * total) & (largest > TIMES_MEDIAN * median)
    facts: list[Any] = list(zip(largest[found], total[found], median[found], count[found], strict=True))
    said = [
        f"One of {n} purchases makes {most / whole:.0%} of its revenue, {most / middle:.0f} times its median: its "
        "level of spend is not known from its past."
        for most, whole, middle, n in facts
    ]
    return found, said
