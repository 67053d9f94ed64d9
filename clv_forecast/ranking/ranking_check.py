"""A ranking put to the test: the orders one could have made at an earlier day, against what accounts then brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.ranking.look_back import LookBack

Floats = NDArray[np.float64]

CARRIED: Final = "value carried forward"
FORECAST: Final = "forecast value"
POTENTIAL: Final = "potential alone"
ADJUSTED: Final = "forecast value + potential"
STACK: Final = "stack of forecast and carried value, + potential"
TOP_SHARE: Final = 0.1
_REPEATS: Final = 400
_SURE: Final = 0.9
_UNKNOWN: Final = (float("nan"), float("nan"))
_WEIGHTS: Final = np.linspace(0.0, 1.0, 21)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RankingCheck:
    """Orders of the accounts as of an earlier day, and what each order's first accounts brought. Made by ``potential``.

    Parameters
    ----------
    table : DataFrame
        One row per order: order, top_accounts, capture (share of the value that came which the top tenth of that order
        brought), lower, upper (bootstrap over accounts), growth_capture (money that the same accounts brought beyond
        what they brought before), expected_top, actual_top (value of the top tenth: predicted, and what came),
        error (mean absolute error per account), prob.
    winner : str
        The order with the largest capture.
    weight : float
        Of the forecast in the stack of forecast and value carried forward, to which potential is added. It has the
        smallest sum of absolute errors.
    orders : mapping of str to ndarray, shape (account,)
        Predicted value under each order.
    actual : ndarray, shape (account,)
        Value that came.
    carried_leads : float
        In how many bootstrap samples of the accounts carrying forward captured more than the forecast with potential;
        NaN above 20,000 accounts.
    origin : Timestamp
    days : int
    """

    table: pd.DataFrame
    winner: str
    weight: float
    orders: Mapping[str, Floats]
    actual: Floats
    carried_leads: float
    origin: pd.Timestamp
    days: int

    @property
    def carrying_wins(self) -> bool:
        """Whether carrying the last value forward did better than forecast and potential, by more than chance."""
        capture = self.table.set_index("order")["capture"]
        best = capture[ADJUSTED] if ADJUSTED in capture else capture[FORECAST]
        return bool(capture[CARRIED] > best) and not self.carried_leads < _SURE

    @property
    def sentence(self) -> str:
        """The result in words."""
        capture = self.table.set_index("order")["capture"]
        ours = ADJUSTED if ADJUSTED in capture else FORECAST
        if capture.isna().any():
            return f"Nothing of value came in the {self.days} days after {self.origin.date()}: no order can be judged."
        ahead = capture[CARRIED] > capture[ours]
        leads = self.carried_leads if ahead else 1.0 - self.carried_leads
        chance = "" if np.isnan(leads) else f" (ahead in {100.0 * leads:.0f} % of samples of these accounts)"
        what = "wins" if self.carrying_wins else "is ahead, but not by more than chance," if ahead else "does not win"
        return (
            f"Carrying the last value forward {what} on this base: since {self.origin.date()} its top tenth brought "
            f"{capture[CARRIED]:.1%} of the value that came, the top tenth by {ours} {capture[ours]:.1%}{chance}."
        )

    def top_total(self, order: str, count: int) -> tuple[float, float]:
        """Predicted and actual value of the first ``count`` accounts of an order: the winner's curse shows here."""
        first = top_of(self.orders[order], count)
        return float(self.orders[order][first].sum()), float(self.actual[first].sum())

    def __repr__(self) -> str:
        return f"<RankingCheck from {self.origin.date()}, {self.days} days: best is {self.winner}>"


def check_orders(look: LookBack, potential_revenue: Floats | None, *, seed: int, prob: float = 0.9) -> RankingCheck:
    """Score the orders one could have made at the earlier day.

    Parameters
    ----------
    look : LookBack
    potential_revenue : ndarray, shape (account,), optional
        Revenue above the forecast, predicted for each account from the others.
    seed : int
    prob : float

    Returns
    -------
    RankingCheck
    """
    rate, cost = look.outlook.contribution, look.outlook.cost
    carried, forecast = look.carried * rate - cost, look.outlook.value
    actual, orders = look.actual * rate - cost, {CARRIED: carried, FORECAST: forecast}
    above = np.zeros(len(actual))
    if potential_revenue is not None:
        orders[POTENTIAL] = above = potential_revenue * rate
        orders[ADJUSTED] = forecast + above
    weight = stack_weight(forecast + above, carried + above, actual)
    orders[STACK] = weight * forecast + (1.0 - weight) * carried + above
    rng = np.random.default_rng([seed, 0xCECC])
    size = len(actual)
    drawn = rng.integers(0, size, size=(_REPEATS, size)) if size <= 20_000 else None
    top = max(1, round(TOP_SHARE * size))
    rows, again = [], {}
    for name, values in orders.items():
        first = top_of(values, top)
        again[name] = _captures(values, actual, drawn, top=top)
        known = again[name][np.isfinite(again[name])]
        low, high = np.quantile(known, [(1 - prob) / 2, (1 + prob) / 2]) if len(known) else _UNKNOWN
        rows.append(
            {
                "order": name,
                "top_accounts": top,
                "capture": capture_of(values, actual, top),
                "lower": low,
                "upper": high,
                "growth_capture": float((actual - carried)[first].sum()),
                "expected_top": float(values[first].sum()),
                "actual_top": float(actual[first].sum()),
                "error": float(np.abs(values - actual).mean()),
                "prob": prob,
            }
        )
    table = pd.DataFrame(rows)
    return RankingCheck(
        table=table,
        winner=FORECAST
        if table["capture"].isna().all()
        else str(table["order"].iloc[int(np.argmax(table["capture"]))]),
        weight=weight,
        orders=orders,
        actual=actual,
        carried_leads=float(np.mean(again[CARRIED] > again[ADJUSTED if ADJUSTED in again else FORECAST]))
        if drawn is not None
        else float("nan"),
        origin=look.origin,
        days=look.days,
    )


def top_of(values: Floats, count: int) -> NDArray[np.intp]:
    """Positions of the ``count`` largest values, ties in their order.

    Examples
    --------
    >>> top_of(np.array([1.0, 3.0, 3.0, 2.0]), 2).tolist()
    [1, 2]
    """
    return np.argsort(-values, kind="stable")[:count]


def capture_of(values: Floats, actual: Floats, top: int) -> float:
    """Share of the actual total that the ``top`` first by ``values`` brought; NaN where nothing came.

    Examples
    --------
    >>> capture_of(np.array([1.0, 2.0, 3.0]), np.array([5.0, 0.0, 5.0]), 1)
    0.5
    """
    total = float(actual.sum())
    return float(actual[top_of(values, top)].sum()) / total if total > 0.0 else float("nan")


def stack_weight(forecast: Floats, carried: Floats, actual: Floats) -> float:
    """Weight of the forecast, in steps of 0.05, that brings the stack nearest to what came (sum of absolute errors).

    Examples
    --------
    >>> stack_weight(np.array([1.0, 4.0]), np.array([9.0, 9.0]), np.array([1.0, 4.0]))
    1.0
    """
    errors = [np.abs(w * forecast + (1.0 - w) * carried - actual).sum() for w in _WEIGHTS]
    return float(round(_WEIGHTS[int(np.argmin(errors))], 2))


def _captures(values: Floats, actual: Floats, drawn: NDArray[np.int64] | None, *, top: int) -> Floats:
    """Captures in bootstrap samples of the accounts; none for bases so large that samples hardly differ."""
    return np.array([capture_of(values[rows], actual[rows], top) for rows in (() if drawn is None else drawn)])
