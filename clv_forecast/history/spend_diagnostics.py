"""Whether money is as Gamma-Gamma takes it: apart from frequency, steady over time, without freak orders.

Purchase-days as sorted arrays: what the diagnostics of spend and of timing read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from clv_forecast import columns as c
from clv_forecast.history.audit import Finding, Level
from clv_forecast.units import DAYS_PER_YEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseLog:
    """Purchase-days in order of customer, then day; one entry per purchase-day.

    Parameters
    ----------
    customer : ndarray of int64, shape (purchase,)
        Number of the customer in the order of ids, 0, 1, 2, ... without holes.
    day : ndarray of int64, shape (purchase,)
        Days since 1970-01-01.
    amount : ndarray of float64, shape (purchase,)
        Net money of the day, > 0.
    position : ndarray of int64, shape (purchase,)
        0 for a customer's first purchase-day, 1 for the next, and so on.
    count : ndarray of int64, shape (customer,)
        Purchase-days of each customer.
    """

    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount: NDArray[np.float64]
    position: NDArray[np.int64]
    count: NDArray[np.int64]

    def first_day(self) -> NDArray[np.int64]:
        """Day of each customer's first purchase, shape (customer,)."""
        first: NDArray[np.int64] = self.day[self.position == 0]
        return first


def purchase_log(purchases: pd.DataFrame) -> PurchaseLog:
    """Sort purchase-days into arrays.

    Parameters
    ----------
    purchases : DataFrame
        Columns customer_id, date, amount; one row per customer and day, in any order.

    Returns
    -------
    PurchaseLog

    Examples
    --------
    >>> days = pd.to_datetime(["2024-01-05", "2024-01-01", "2024-01-03"])
    >>> purchase_log(pd.DataFrame({"customer_id": ["b", "a", "b"], "date": days, "amount": [1.0, 2.0, 3.0]})).amount
    array([2., 3., 1.])
    """
    codes, ids = pd.factorize(purchases[c.CUSTOMER_ID], sort=True)  # so that no sum depends on the order of rows
    day = purchases[c.DATE].to_numpy(dtype="datetime64[D]").astype(np.int64)
    order = np.lexsort((day, codes))
    customer = codes[order].astype(np.int64)
    count = np.bincount(customer, minlength=len(ids)).astype(np.int64)
    position = np.arange(customer.size) - np.repeat(np.cumsum(count) - count, count)
    amount = purchases[c.AMOUNT].to_numpy(dtype=np.float64)[order]
    return PurchaseLog(customer=customer, day=day[order], amount=amount, position=position, count=count)


def day_number(date: pd.Timestamp) -> int:
    """Days from 1970-01-01 to ``date``.

    Examples
    --------
    >>> day_number(pd.Timestamp("1970-01-11 18:00"))
    10
    """
    return int(date.to_datetime64().astype("datetime64[D]").astype(np.int64))


SIGNIFICANT: Final = 0.01
MATERIAL: Final = 0.05
FEWEST_CUSTOMERS_TESTED: Final = 30
LARGEST_SHARE: Final = 0.01
FREAK_ORDERS_EXPECTED: Final = 0.01
MOST_TIMES: Final = 1000.0
"""Growth is told up to a thousandfold: a slope of some days says no more about a year."""
_ROUNDING: Final = 1e-9
"""Means of equal amounts differ by less, in logs."""
_Z: Final = float(stats.norm.isf(SIGNIFICANT / 2))


def spend_and_frequency(table: pd.DataFrame) -> Finding | None:
    r"""Whether those who buy often also spend more (or less) per purchase, among repeaters.

    The effect is what repeat revenue was, against what it would be were the two independent:
    :math:`R = \overline{x m} / (\bar x\, \bar m) - 1`, its standard error from the influence function.

    Parameters
    ----------
    table : DataFrame
        Columns frequency and monetary_value.

    Returns
    -------
    Finding or None
        None with fewer than 30 repeaters, or when all have the same frequency or the same mean.

    Examples
    --------
    >>> x = np.arange(100) % 10 + 1
    >>> finding = spend_and_frequency(pd.DataFrame({"frequency": x, "monetary_value": 10.0 * x}))
    >>> finding.level, round(finding.values["effect"], 3)
    ('caution', 0.273)
    """
    frequency = table[c.FREQUENCY].to_numpy(dtype=np.float64)
    money = table[c.MONETARY_VALUE].to_numpy(dtype=np.float64)
    used = (frequency > 0) & (money > 0)
    x, m = frequency[used], money[used]
    if x.size < FEWEST_CUSTOMERS_TESTED or np.ptp(x) == 0 or np.ptp(np.log(m)) < _ROUNDING:
        return None
    pearson = float(np.corrcoef(np.log(x), np.log(m))[0, 1])
    rank = stats.spearmanr(x, m)
    spearman, p_value = float(rank.statistic), float(rank.pvalue)
    product = float(np.mean(x * m))
    ratio = product / float(x.mean() * m.mean())
    influence = ratio * (x * m / product - x / x.mean() - m / m.mean() + 1.0)
    effect, error = ratio - 1.0, float(influence.std(ddof=1)) / math.sqrt(x.size)
    dependent = p_value < SIGNIFICANT or abs(effect) > _Z * error
    level: Level = "caution" if dependent and abs(effect) >= MATERIAL else "info"
    meaning = (
        "Gamma-Gamma takes them as independent: each customer's own orders correct this only in part, and the "
        "value of frequent buyers, hence the total, leans the other way"
        if level == "caution"
        else "small enough for Gamma-Gamma, which takes them as independent"
    )
    return Finding(
        name="spend_and_frequency",
        level=level,
        sentence=(
            f"Among {x.size:,} repeaters, money per purchase and number of purchases correlate at {pearson:+z.2f} in "
            f"logs (Spearman {spearman:+z.2f}, p = {p_value:.2g}); repeat revenue is {effect:+z.1%} (standard error "
            f"{error:.1%}) against what independence would give: {meaning}."
        ),
        values={
            "repeaters": x.size,
            "pearson_log": pearson,
            "spearman": spearman,
            "p_value": p_value,
            "effect": effect,
            "effect_standard_error": error,
        },
    )


def drift_of_spend(log: PurchaseLog, as_of: pd.Timestamp) -> Finding | None:
    """Whether the same customer spends more (or less) per repeat purchase as time goes by.

    Least squares of ln(amount) on years with an effect per customer, standard error clustered by customer.
    First purchases are left out: a first order often differs in kind, which would pass for drift.

    Parameters
    ----------
    log : PurchaseLog
    as_of : Timestamp

    Returns
    -------
    Finding or None
        None with fewer than 30 customers who have two repeat purchases. Changes are at most a thousandfold.
    """
    used = (log.position > 0) & (log.count[log.customer] > 2)
    customer, day = log.customer[used], log.day[used]
    customers = int((log.count > 2).sum())
    if customers < FEWEST_CUSTOMERS_TESTED:
        return None
    years = _within(customer, day / DAYS_PER_YEAR)
    spread = float(years @ years)
    logs = _within(customer, np.log(log.amount[used]))
    slope = float(years @ logs) / spread
    scores = np.bincount(customer, weights=years * (logs - slope * years))
    error = math.sqrt(float(scores @ scores) * customers / (customers - 1)) / spread
    # The model's constant money per order stands for the middle of the data; a year's forecast for its own middle
    distance = (day_number(as_of) - float(log.day[log.position > 0].mean())) / DAYS_PER_YEAR + 0.5
    effect = _change(slope * distance)
    significant = abs(slope) > _Z * error
    level: Level = "caution" if significant and abs(effect) >= MATERIAL else "info"
    meaning = (
        "the models hold money per purchase constant, so if this goes on, revenue of the next 12 months is "
        f"{_told(effect)} against the forecast"
        if significant
        else "no drift beyond chance, as the models take it"
    )
    return Finding(
        name="drift_of_spend",
        level=level,
        sentence=(
            f"The same customer's money per repeat purchase changes by {_told(_change(slope))} a year (95 % interval "
            f"{_told(_change(slope - 1.96 * error))} to {_told(_change(slope + 1.96 * error))}; {customers:,} "
            f"customers, {np.ptp(day) / DAYS_PER_YEAR:.1f} years): {meaning}."
        ),
        values={
            "customers": customers,
            "log_per_year": slope,
            "log_per_year_standard_error": error,
            "percent_per_year": 100.0 * _change(slope),
            "effect_next_year": effect,
        },
    )


def large_orders(log: PurchaseLog) -> Finding | None:
    r"""Single purchase-days that no Gamma spread within their customer makes.

    Under Gamma-Gamma a customer's amounts are Gamma(p) with the customer's own scale, so an amount's share of the
    customer's ``n`` amounts is Beta(p, (n - 1) p) and the variance of ln(amount) within customers is trigamma(p),
    which gives p. A purchase-day is a freak when among all of them fewer than 0.01 so large would be expected.

    Parameters
    ----------
    log : PurchaseLog

    Returns
    -------
    Finding or None
        None with fewer than 30 customers who have two purchase-days, or when amounts never vary within a customer.
    """
    repeated = log.count[log.customer] > 1
    customer, amount = log.customer[repeated], log.amount[repeated]
    customers = int((log.count > 1).sum())
    if customers < FEWEST_CUSTOMERS_TESTED:
        return None
    deviation = _within(customer, np.log(amount))
    variance = float(deviation @ deviation) / (amount.size - customers)
    if variance < 1e-8:
        return None
    shape = _inverse_trigamma(variance)
    total = np.bincount(customer, weights=amount, minlength=log.count.size)
    largest = np.zeros(log.count.size)
    np.maximum.at(largest, customer, amount)
    n, share = log.count[log.count > 1], (largest / np.where(total > 0, total, 1.0))[log.count > 1]
    freak = special.betaincc(shape, (n - 1) * shape, np.minimum(share, 1.0)) < FREAK_ORDERS_EXPECTED / amount.size
    freaks = int(freak.sum())
    all_money = float(log.amount.sum())
    freak_share = float(largest[log.count > 1][freak].sum()) / all_money
    top = max(1, round(LARGEST_SHARE * log.amount.size))
    top_share = float(np.partition(log.amount, -top)[-top:].sum()) / all_money
    level: Level = "caution" if freak_share >= LARGEST_SHARE else "info"
    found = f"{freaks:,} of {customers:,} repeaters have one beyond what a Gamma spread within a customer makes"
    meaning = (
        f"{found}, holding {freak_share:.1%} of all money. Gamma-Gamma takes part of it for a lasting level, so these "
        "customers' value is too high, and everybody's band of spend too wide: look at them one by one"
        if level == "caution"
        else f"{found}, holding {freak_share:.2%} of all money, too little to matter"
        if freaks
        else "none is beyond what a Gamma spread within a customer makes"
    )
    return Finding(
        name="large_orders",
        level=level,
        sentence=f"The largest 1 % of purchase-days ({top:,}) hold {top_share:.1%} of all money; {meaning}.",
        values={
            "top_share": top_share,
            "freak_customers": freaks,
            "freak_share": freak_share,
            "shape_within_customer": shape,
        },
    )


def _change(log: float) -> float:
    """Relative change of a difference of logs, at most a thousandfold.

    Examples
    --------
    >>> round(_change(0.1), 4), _change(-math.inf), _change(1e6)
    (0.1052, -1.0, 999.0)
    """
    return math.expm1(log) if log < math.log(MOST_TIMES) else MOST_TIMES - 1.0


def _told(change: float) -> str:
    """A change as text, and whether it is more than is told.

    Examples
    --------
    >>> _told(0.1052), _told(999.0)
    ('+10.5%', '+99,900% or more')
    """
    return f"{change:+z.1%}" if change < MOST_TIMES - 1.0 else f"{change:+z,.0%} or more"


def _within(customer: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values less their customer's mean."""
    count = np.bincount(customer)
    mean: NDArray[np.float64] = np.bincount(customer, weights=values) / np.maximum(count, 1)
    return values - mean[customer]


def _inverse_trigamma(value: float) -> float:
    """Shape of the Gamma whose log has this variance."""
    return math.exp(optimize.brentq(lambda t: float(special.polygamma(1, math.exp(t))) - value, -12.0, 22.0))
