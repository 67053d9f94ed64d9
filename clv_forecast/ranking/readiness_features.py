"""What tells how ready an account is to use its headroom: bounded features, the same at an earlier day and today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.current import revenue_by_customer
from clv_forecast.units import units_per_year, years_back

Floats = NDArray[np.float64]

MOST_LEVELS: Final = 12
LEAST_ACCOUNTS: Final = 20
_BUSY: Final = 4.0
EVERY: Final = "every account"
_BEHAVIOUR: Final = (
    EVERY,
    "rising",
    "not falling",
    "buys often",
    "buys seldom",
    "young",
    "long-standing",
    "far below the wallet",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """Which features there are: the account's behaviour, and levels of its attributes.

    Parameters
    ----------
    levels : mapping of str to tuple
        Levels of each label attribute that have enough accounts to be learnt from.
    """

    levels: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns."""
        return (*_BEHAVIOUR, *(f"{name} = {level}" for name, levels in self.levels.items() for level in levels))


def feature_spec(accounts: Accounts) -> FeatureSpec:
    """Choose the features from the accounts that readiness is learnt on.

    Examples
    --------
    >>> table = pd.DataFrame({"customer_id": range(60), "region": ["n", "s"] * 30})
    >>> feature_spec(Accounts(table=table)).names[-2:]
    ('region = n', 'region = s')
    """
    levels = {}
    for name in accounts.attributes():
        if pd.api.types.is_numeric_dtype(accounts.table[name].dtype):
            continue
        counts = accounts.table[name].astype("string").value_counts()
        enough = tuple(sorted(str(level) for level in counts.index[counts >= LEAST_ACCOUNTS]))
        if 2 <= len(enough) <= MOST_LEVELS:
            levels[name] = enough
    return FeatureSpec(levels=levels)


def features(
    spec: FeatureSpec,
    history: PurchaseHistory,
    accounts: Accounts,
    *,
    room: Floats,
    purchases: pd.DataFrame,
) -> Floats:
    """Features of every account, each between 0 and 1; shape (account, feature).

    Parameters
    ----------
    spec : FeatureSpec
    history : PurchaseHistory
    accounts : Accounts
    room : ndarray, shape (account,)
        Headroom as a share of the wallet.
    purchases : DataFrame
        ``history.purchases()``.

    Returns
    -------
    ndarray
        ``rising`` and ``falling`` compare the two halves of the last year (of the time since the first purchase,
        where that is shorter), the first purchase left out, one order's money added below so that a single order is
        no trend. None of the features depends on P(alive).
    """
    frequency = history.table[columns.FREQUENCY].to_numpy(dtype=np.float64)
    age = history.table[columns.T].to_numpy(dtype=np.float64) / units_per_year(history.unit)
    trend = _trend(history, purchases)
    busy, young = frequency / (frequency + _BUSY), 1.0 / (1.0 + age)
    shown = [
        np.ones(len(frequency)),
        np.maximum(trend, 0.0),
        1.0 - np.maximum(-trend, 0.0),
        busy,
        1.0 - busy,
        young,
        1.0 - young,
        np.clip(room, 0.0, 1.0),
    ]
    for name, levels in spec.levels.items():
        known = name in accounts.table.columns
        labels = accounts.table[name].astype("string") if known else pd.Series(pd.NA, index=accounts.table.index)
        shown.extend((labels == level).fillna(False).to_numpy(dtype=np.float64) for level in levels)
    return np.column_stack(shown)


def _trend(history: PurchaseHistory, purchases: pd.DataFrame) -> Floats:
    """(later half - earlier half) / (both + one order), in [-1, 1]."""
    table = history.table
    first = table[columns.FIRST_PURCHASE]
    year_ago = years_back(history.as_of)
    start = first.where(first > year_ago, year_ago)
    middle = start + (history.as_of - start) / 2
    place = pd.Index(table[columns.CUSTOMER_ID]).get_indexer(pd.Index(purchases[columns.CUSTOMER_ID]))
    day = purchases[columns.DATE].to_numpy()
    begins, half = start.to_numpy()[place], middle.to_numpy()[place]
    later = revenue_by_customer(history, purchases[day > half])
    earlier = revenue_by_customer(history, purchases[(day > begins) & (day <= half)])
    orders = table[columns.SPEND_COUNT_ALL].to_numpy(dtype=np.float64)
    one = table[columns.SPEND_SUM_ALL].to_numpy(dtype=np.float64) / np.maximum(orders, 1.0)
    return np.asarray((later - earlier) / np.maximum(later + earlier + one, 1e-300))


def penetration_room(wallet: Floats, annual_revenue: Floats) -> tuple[Floats, Floats]:
    """Headroom, and headroom as a share of the wallet; both NaN where the wallet is unknown.

    The realistic wallet is at least what the account is expected to bring, so headroom is never negative.

    Examples
    --------
    >>> headroom, room = penetration_room(np.array([100.0, 50.0]), np.array([40.0, 60.0]))
    >>> headroom.tolist(), room.tolist()
    ([60.0, 0.0], [0.6, 0.0])
    """
    headroom = np.maximum(wallet - annual_revenue, 0.0)
    room = np.divide(headroom, wallet, out=np.zeros_like(headroom), where=(wallet > 0.0))
    return headroom, np.where(np.isnan(wallet), np.nan, room)
