"""Which amounts the spend model is fitted to, and at which level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.inference.sufficient import SpendRows, compress_spend

REPEAT_AND_FIRST: Final = "repeat+first"
SPEND_FROM: Final = ("auto", "repeat", "all", REPEAT_AND_FIRST)
AUTO: Final = REPEAT_AND_FIRST  # benchmarks/spend_from.py prints the table behind it
MINIMUM_CUSTOMERS: Final = 10

_COLUMNS: Final = {
    "repeat": (columns.SPEND_COUNT_REPEAT, columns.SPEND_SUM_REPEAT, columns.SPEND_SUM_LOG_REPEAT),
    "all": (columns.SPEND_COUNT_ALL, columns.SPEND_SUM_ALL, columns.SPEND_SUM_LOG_ALL),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpendData:
    """Distinct spend rows and the choices behind them.

    Parameters
    ----------
    rows : SpendRows
    spend_from : str
        ``"repeat"``, ``"all"`` or ``"repeat+first"``.
    level : str
        ``"orders"`` or ``"means"``.
    notes : tuple of str
        Sentences for the report.
    """

    rows: SpendRows
    spend_from: str
    level: str
    notes: tuple[str, ...]


def spend_data(table: pd.DataFrame, spend_from: str, *, cell: NDArray[np.intp] | None = None) -> SpendData:
    """Choose and compress the amounts of a history's table.

    Parameters
    ----------
    table : DataFrame
        A purchase history's table.
    spend_from : str
        ``"repeat"``, ``"all"``, ``"repeat+first"`` (fitted to repeat orders, while each customer is judged by all of
        its orders) or ``"auto"`` (the last where the history has first orders, else repeat orders).
    cell : ndarray of int, shape (customer,), optional
        Which parameters a customer has.

    Returns
    -------
    SpendData

    Raises
    ------
    DomainError
        If ``spend_from`` is unknown, or asks for all orders of a summary that lacks the first ones.
    InputError
        If fewer than 10 customers have an amount, or an amount is not positive.
    """
    if spend_from not in SPEND_FROM:
        raise DomainError(f"spend_from must be one of {', '.join(SPEND_FROM)}.", value=repr(spend_from))
    complete = _known(table, "all")
    if spend_from in ("all", REPEAT_AND_FIRST) and not complete:
        raise DomainError(
            f"spend_from={spend_from!r} needs the amount of every first purchase.",
            remedy="A summary table without first purchases allows spend_from='repeat' only.",
        )
    chosen = (AUTO if complete else "repeat") if spend_from == "auto" else spend_from
    fitted = "all" if chosen == "all" else "repeat"
    count_name, total_name, sum_log_name = _COLUMNS[fitted]
    has_amount = (table[count_name] > 0).to_numpy()
    kept, cell = table[has_amount], None if cell is None else cell[has_amount]
    _refuse(kept, table, fitted, total_name)
    notes = [_left_out(len(table) - len(kept), fitted)] if len(kept) < len(table) else []
    if kept[sum_log_name].notna().all():
        rows = compress_spend(*(_floats(kept, name) for name in (count_name, total_name, sum_log_name)), cell=cell)
        return SpendData(rows=rows, spend_from=chosen, level="orders", notes=tuple(notes))
    notes.append(
        "The spread of one customer's orders is unknown (means only), so the spend model was fitted to customers' "
        "means: it tends to understate how much single orders vary."
    )
    rows = compress_spend(_floats(kept, count_name), _floats(kept, total_name), cell=cell)
    return SpendData(rows=rows, spend_from=chosen, level="means", notes=tuple(notes))


def _known(table: pd.DataFrame, spend_from: str) -> bool:
    return all(name in table and bool(table[name].notna().all()) for name in _COLUMNS[spend_from][:2])


def _refuse(kept: pd.DataFrame, table: pd.DataFrame, chosen: str, total_name: str) -> None:
    if not _known(table, chosen):
        raise InputError(
            "A spend model needs the amounts of the orders.",
            remedy="Give the monetary_value column, or fit with spend=None.",
        )
    if len(kept) < MINIMUM_CUSTOMERS:
        raise InputError(
            f"A spend model needs at least {MINIMUM_CUSTOMERS} customers with an amount (spend_from='{chosen}').",
            value=len(kept),
            remedy="Observe longer, use spend_from='all', or fit with spend=None.",
        )
    bad = ~(kept[total_name] > 0.0)
    if bad.any():
        raise InputError(
            "Amounts of purchases must be positive.",
            value=float(kept.loc[bad, total_name].iloc[0]),
            customer_ids=kept.loc[bad, columns.CUSTOMER_ID],
            remedy="Net refunds and drop free orders before fitting.",
        )


def _left_out(count: int, chosen: str) -> str:
    what = "repeat orders" if chosen == "repeat" else "orders with an amount"
    return f"{count:,} customers without {what} are left out of the spend fit; the forecast still covers them."


def _floats(table: pd.DataFrame, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(table[name], dtype=np.float64)
