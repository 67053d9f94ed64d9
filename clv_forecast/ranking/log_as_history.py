"""An order log under this package's own column names, as a history: what is there is used, what is not is left out."""

from __future__ import annotations

from typing import Any

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.history.purchase_history import PurchaseHistory, purchase_history
from clv_forecast.tables.source import column_names


def log_as_history(transactions: Any, *, as_of: Any, category: str | None, margin: str | None) -> PurchaseHistory:
    """Make a history of a log under this package's names, with the columns that are there; a history stays one.

    Parameters
    ----------
    transactions : PurchaseHistory, or an order log as ``purchase_history`` takes it
    as_of : date, Timestamp or ISO text
        For a log only.
    category : str or None
        Column of categories; ``"category"`` may be missing. None: none is wanted.
    margin : str or None
        The log's margin is read for "auto" and "log".

    Returns
    -------
    PurchaseHistory

    Raises
    ------
    DomainError
        If ``as_of`` is missing for a log, or given beside a history.
    InputError
        If the log breaks a rule of ``purchase_history``.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": [5.0], "margin": [2.0]})
    >>> history = log_as_history(log, as_of="2024-12-31", category="category", margin="auto")
    >>> history.table["total_margin"].tolist()
    [2.0]
    """
    if isinstance(transactions, PurchaseHistory):
        if as_of is not None:
            raise DomainError(
                "as_of belongs to a log; a history has its own.",
                value=f"{as_of} beside a history as of {transactions.as_of.date()}",
                remedy="Leave it out, or pass history.split(as_of).calibration.",
            )
        return transactions
    if as_of is None:
        raise DomainError("as_of is needed: the last day that counts.", remedy="Pass for example as_of='2024-12-31'.")
    named = column_names(transactions)
    optional: dict[str, Any] = {
        name: name for name in (columns.ORDER_ID, columns.CURRENCY, columns.RECORDED_AT) if name in named
    }
    if columns.MARGIN in named and margin in ("auto", "log"):
        optional[columns.MARGIN] = columns.MARGIN
    if category is not None and (category != columns.CATEGORY or category in named):
        optional[columns.CATEGORY] = category
    return purchase_history(transactions, as_of=as_of, **optional)
