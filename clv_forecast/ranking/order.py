"""By what accounts are put in order, and how much the order depends on what is known least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.ranking.ranking_check import ADJUSTED, CARRIED, FORECAST, STACK, RankingCheck

Floats = NDArray[np.float64]
OrderBy = Literal["auto", "mean", "lower", "p_top", "carried", "stack"]
SENSITIVITY: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was chosen: ``by`` (never "auto"), the stack's ``weight`` of the forecast, and why, in words."""

    by: OrderBy
    weight: float
    why: str


def choose_order(order_by: str, check: RankingCheck | None) -> Order:
    """Settle by what to order: as asked, or what the look back speaks for.

    Parameters
    ----------
    order_by : {"auto", "mean", "lower", "p_top", "carried", "stack"}
        ``"auto"`` is the mean of the adjusted value, unless carrying the last value forward won the look back: then the
        better of carrying and the stack.
    check : RankingCheck, optional

    Raises
    ------
    DomainError
        If ``order_by`` is unknown, or needs a look back and there is none.
    """
    if order_by not in get_args(OrderBy):
        raise DomainError(f"order_by must be one of {', '.join(get_args(OrderBy))}.", value=repr(order_by))
    if check is None:
        if order_by == "stack":
            raise DomainError(
                "order_by='stack' needs a look back to weigh by.", remedy="Pass potential=..., which makes one."
            )
        asked: OrderBy = "mean" if order_by == "auto" else order_by  # type: ignore[assignment]
        return Order(by=asked, weight=1.0, why="No look back stands behind this order: it comes with potential.")
    if order_by != "auto":
        return Order(by=order_by, weight=check.weight, why=check.sentence)  # type: ignore[arg-type]
    if not check.carrying_wins:
        return Order(by="mean", weight=check.weight, why=check.sentence)
    capture = check.table.set_index("order")["capture"]
    by: OrderBy = "stack" if capture[STACK] >= capture[CARRIED] else "carried"
    words = "a stack of forecast and carried value, with potential" if by == "stack" else "the value carried forward"
    return Order(by=by, weight=check.weight, why=f"{check.sentence} Accounts are therefore ordered by {words}.")


def checked_order(order: Order, check: RankingCheck) -> str:
    """Name of the order in the look back that stands for this one."""
    ours = ADJUSTED if ADJUSTED in check.orders else FORECAST
    return {"carried": CARRIED, "stack": STACK}.get(order.by, ours)


def ranks_of(score: Floats) -> NDArray[np.int64]:
    """Ranks by falling score, 1 first; equal scores share the smallest rank, unknown ones stand last.

    Examples
    --------
    >>> ranks_of(np.array([5.0, 9.0, 5.0, np.nan])).tolist()
    [2, 1, 2, 4]
    """
    known = np.where(np.isnan(score), -np.inf, score)
    ordered = np.sort(-known)
    return (np.searchsorted(ordered, -known, side="left") + 1).astype(np.int64)


def sensitivity_table(ids: pd.Series, score: Floats, potential_value: Floats, *, top_k: int) -> pd.DataFrame:
    """Who changes place if all potential is 20 % more, or less.

    Parameters
    ----------
    ids : Series, shape (account,)
    score, potential_value : ndarray, shape (account,)
        What accounts are ordered by, and the potential within it.
    top_k : int

    Returns
    -------
    DataFrame
        One row per account whose rank changes: customer_id, rank, rank_if_less, rank_if_more, change (places, the
        larger of both), top_changes ("enters the first k if more", ...; empty for most); the largest change first.
    """
    move = SENSITIVITY * np.nan_to_num(potential_value)
    rank, less, more = (ranks_of(values) for values in (score, score - move, score + move))
    change = np.maximum(np.abs(less - rank), np.abs(more - rank))
    words = np.full(len(rank), "", dtype=object)
    for other, name in ((less, "less"), (more, "more")):
        words[(rank > top_k) & (other <= top_k)] = f"enters the first {top_k} if {name}"
        words[(rank <= top_k) & (other > top_k)] = f"leaves the first {top_k} if {name}"
    table = pd.DataFrame(
        {
            columns.CUSTOMER_ID: ids.array,
            "rank": rank,
            "rank_if_less": less,
            "rank_if_more": more,
            "change": change,
            "top_changes": words,
        }
    )
    moved = table[change > 0]
    return moved.sort_values(["change", "rank"], ascending=[False, True], kind="stable").reset_index(drop=True)
