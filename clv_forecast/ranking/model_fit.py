"""Whether a customer is of the kind the models describe, and if not, what that does to its forecast."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns as c
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.regularity import FEWEST_GAPS, regularity_p_value, regularity_shape
from clv_forecast.units import DAYS_PER_UNIT

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
