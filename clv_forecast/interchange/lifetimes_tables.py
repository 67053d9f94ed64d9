"""Summary tables in the layout of lifetimes, in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from clv_forecast import columns as c
from clv_forecast.errors import InputError

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory

_NEEDED: Final = (c.FREQUENCY, c.RECENCY, c.T)
_KEPT: Final = (*_NEEDED, c.MONETARY_VALUE)
_CALIBRATION: Final = "_cal"


def summary_to_lifetimes(history: PurchaseHistory) -> pd.DataFrame:
    """Hand a history to lifetimes: the table its fitters take.

    Parameters
    ----------
    history : PurchaseHistory

    Returns
    -------
    DataFrame
        Index ``customer_id``; columns frequency, recency, T (in the history's unit) and monetary_value, which is 0
        for customers who never bought again, as lifetimes wants it. All floats.

    Examples
    --------
    >>> import pandas as pd
    >>> from clv_forecast.history import purchase_history
    >>> log = pd.DataFrame({
    ...     "customer_id": ["a", "a", "b"],
    ...     "date": ["2024-01-01", "2024-01-15", "2024-01-08"],
    ...     "amount": [10.0, 20.0, 30.0],
    ... })
    >>> summary_to_lifetimes(purchase_history(log, as_of="2024-01-29")).reset_index()
      customer_id  frequency  recency    T  monetary_value
    0           a        1.0      2.0  4.0            20.0
    1           b        0.0      0.0  3.0             0.0
    """
    table = history.table.set_index(c.CUSTOMER_ID)[list(_KEPT)].astype("float64")
    table[c.MONETARY_VALUE] = table[c.MONETARY_VALUE].where(table[c.FREQUENCY] > 0, 0.0)
    return table


def summary_from_lifetimes(summary: pd.DataFrame) -> pd.DataFrame:
    """Bring a summary of lifetimes into the layout that `history_from_summary` reads.

    Parameters
    ----------
    summary : DataFrame
        From ``summary_data_from_transaction_data``, or from ``calibration_and_holdout_data``, of which the
        calibration columns are taken. Customer ids in the index, as lifetimes leaves them, or in a column
        ``customer_id``.

    Returns
    -------
    DataFrame
        customer_id, frequency, recency, T, and monetary_value where the summary has it. Times are still in the
        unit the summary was made with (``freq`` times ``freq_multiplier``): name it to `history_from_summary`.

    Raises
    ------
    InputError
        If a column is missing, or the summary counts first purchases (``include_first_transaction=True``), which no
        model of lifetimes or of this package can be fitted to.

    Examples
    --------
    >>> import pandas as pd
    >>> summary = pd.DataFrame({"frequency": [1.0, 0.0], "recency": [14.0, 0.0], "T": [28.0, 21.0]}, index=["a", "b"])
    >>> summary_from_lifetimes(summary)
      customer_id  frequency  recency     T
    0           a        1.0     14.0  28.0
    1           b        0.0      0.0  21.0
    """
    if f"{c.FREQUENCY}{_CALIBRATION}" in summary.columns:
        summary = summary.rename(columns={f"{name}{_CALIBRATION}": name for name in _KEPT})
    missing = [name for name in _NEEDED if name not in summary.columns]
    if missing:
        raise InputError(
            "A summary of lifetimes has the columns frequency, recency and T.",
            value=f"{list(summary.columns)}, without {missing}",
        )
    table = summary if c.CUSTOMER_ID in summary.columns else summary.reset_index(names=c.CUSTOMER_ID)
    table = table[[name for name in (c.CUSTOMER_ID, *_KEPT) if name in table.columns]].reset_index(drop=True)
    single = (table[c.FREQUENCY] > 0) & (table[c.RECENCY] == 0)
    if single.any() and not (table[c.FREQUENCY] == 0).any():
        raise InputError(
            "frequency must count repeat purchases only: nobody has 0, and some have purchases but recency 0.",
            customer_ids=table.loc[single, c.CUSTOMER_ID],
            remedy="Make the summary again with include_first_transaction=False.",
        )
    return table
