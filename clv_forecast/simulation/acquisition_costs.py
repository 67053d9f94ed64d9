"""What winning the simulated accounts cost: by quarter of arrival and channel."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from clv_forecast import columns

COST_OF_ONE: Final[Mapping[str, float]] = MappingProxyType({"field": 9_000.0, "partner": 4_000.0, "online": 1_500.0})
"""Mean cost of one account by channel."""
FIXED_SHARE: Final = 0.4
"""Share of a channel's cost that is spent in every quarter, however many come."""
COST_LOG_SD: Final = 0.15
OPENING_MONTHS: Final = 12


def acquisition_cost_table(
    transactions: pd.DataFrame, accounts: pd.DataFrame, *, as_of: pd.Timestamp, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw what was spent in each quarter and channel.

    Parameters
    ----------
    transactions : DataFrame
        The log up to ``as_of``.
    accounts : DataFrame
    as_of : Timestamp
    rng : Generator

    Returns
    -------
    DataFrame
        cohort (such as "2024Q1"), channel, amount: every channel in every quarter from the end of the log's opening
        year on (of a quarter of the log where it is shorter than two years).

    Notes
    -----
    The cost of an account, by channel, is spent per account that arrives and per quarter: in quarters in which few
    come an account is dear. Log-normal noise with a standard deviation of 0.15 lies on top.
    """
    ordered = transactions.groupby(columns.ORDER_ID).agg({columns.DATE: "min", columns.AMOUNT: "sum"})
    begin = ordered.loc[ordered[columns.AMOUNT] > 0.0, columns.DATE].min()
    if pd.isna(begin):
        begin = transactions[columns.DATE].min()
    opening = begin + pd.DateOffset(months=OPENING_MONTHS)
    if begin + pd.DateOffset(months=2 * OPENING_MONTHS) > as_of:
        opening = begin + pd.Timedelta(days=((as_of - begin).days + 1) // 4)
    quarters = pd.period_range(opening, as_of, freq="Q")
    arrived = accounts[columns.ACQUIRED_ON].dt.to_period("Q").value_counts()
    arrived = arrived.reindex(quarters, fill_value=0).to_numpy(dtype=np.float64)
    shares = accounts[columns.CHANNEL].value_counts(normalize=True).reindex(list(COST_OF_ONE), fill_value=0.0)
    rows = []
    for channel, each in COST_OF_ONE.items():
        came = (accounts[columns.CHANNEL] == channel).to_numpy()
        here = accounts[columns.ACQUIRED_ON][came].dt.to_period("Q").value_counts().reindex(quarters, fill_value=0)
        usual = arrived.mean() * float(shares[channel])
        spent = each * ((1.0 - FIXED_SHARE) * here.to_numpy(dtype=np.float64) + FIXED_SHARE * usual)
        spent *= np.exp(rng.normal(0.0, COST_LOG_SD, len(quarters)))
        rows += [(str(q), channel, round(float(a), 2)) for q, a in zip(quarters, spent, strict=True)]
    table = pd.DataFrame(rows, columns=["cohort", columns.CHANNEL, columns.AMOUNT])
    return table.sort_values(["cohort", columns.CHANNEL], kind="stable", ignore_index=True)
