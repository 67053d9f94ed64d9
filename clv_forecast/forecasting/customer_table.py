"""Table ``forecast``: one row per customer and horizon, filled chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.forecasting.adjustments import EXTRAPOLATED, Evidence
from clv_forecast.forecasting.bands import band
from clv_forecast.forecasting.expectation import Expectations, expected_money
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import PathMoney

_BY_HORIZON: Final = (
    "expected_purchases",
    "purchases_lower",
    "purchases_upper",
    "revenue",
    "revenue_lower",
    "revenue_upper",
    "value",
    "value_sd",
    "value_lower",
    "value_upper",
    "mean_lower",
    "mean_upper",
    "parameter_share",
    "p_loss",
)
_BEYOND: Final = "share_beyond_tested"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerColumns:
    """Columns under way: ``by_horizon[name]`` has shape (customer, horizon), the others (customer,)."""

    p_alive: NDArray[np.float64]
    expected_spend: NDArray[np.float64]
    by_horizon: dict[str, NDArray[np.float64]]

    @classmethod
    def empty(cls, customers: int, horizons: int) -> CustomerColumns:
        """Nothing filled yet."""
        return cls(
            p_alive=np.full(customers, np.nan),
            expected_spend=np.full(customers, np.nan),
            by_horizon={name: np.full((customers, horizons), np.nan) for name in (*_BY_HORIZON, _BEYOND)},
        )

    def fill(
        self, plan: Plan, rows: NDArray[np.intp], expected: Expectations, drawn: PathMoney, *, prob: float
    ) -> None:
        """Fill the rows of some customers."""
        out = self.by_horizon
        self.p_alive[rows] = expected.p_alive.mean(axis=-1)
        out["expected_purchases"][rows] = expected.purchases.mean(axis=-1)
        out["purchases_lower"][rows], out["purchases_upper"][rows] = band(drawn.purchases, prob)
        if not plan.has_spend:
            return
        self.expected_spend[rows] = plan.expected_spend(rows).mean(axis=0)
        for name, mean, draws in (
            ("revenue", expected.revenue, drawn.revenue),
            ("value", expected.value, drawn.value),
        ):
            out[name][rows] = mean.mean(axis=-1)
            out[f"{name}_lower"][rows], out[f"{name}_upper"][rows] = band(draws, prob)
        out["mean_lower"][rows], out["mean_upper"][rows] = band(expected.value, prob)
        out["p_loss"][rows] = (drawn.value < 0.0).mean(axis=-1)
        variance = drawn.value.var(axis=-1)
        share = np.divide(
            expected.value.var(axis=-1), variance, out=np.full_like(variance, np.nan), where=variance > 0.0
        )
        heavy = plan.infinite_variance(rows)[:, None]
        out["value_sd"][rows] = np.where(heavy, np.nan, np.sqrt(variance))
        out["parameter_share"][rows] = np.where(heavy, np.nan, np.minimum(share, 1.0))

    def fill_beyond(
        self,
        plan: Plan,
        rows: NDArray[np.intp],
        expected: Expectations,
        boundaries: NDArray[np.float64],
        tested: float,
    ) -> None:
        """Fill the share of each expectation (value, or purchases without spend) that lies beyond what was tested.

        Costs can make value negative, in one stretch or both: where the stretches differ in sign, none of them is a
        share of the sum, and it is missing.
        """
        name = "value" if plan.has_spend else "purchases"
        whole = getattr(expected, name).mean(axis=-1)
        within = getattr(expected_money(plan, rows, np.array([tested])), name).mean(axis=-1)
        later = whole - within
        share = np.divide(later, whole, out=np.zeros_like(whole), where=whole != 0.0)
        share = np.where(later * within < 0.0, np.nan, share)
        self.by_horizon[_BEYOND][rows] = np.where(boundaries > tested * (1.0 + 1e-9), share, 0.0)

    def to_frame(
        self,
        ids: pd.Series[Any],
        horizons: Horizons,
        *,
        prob: float,
        as_of: pd.Timestamp,
        currency: str | None,
        evidence: Evidence | None,
    ) -> pd.DataFrame:
        """One row per customer and horizon, customers in the order of ``ids``."""
        count = len(horizons.labels)
        repeated = np.repeat(np.arange(len(ids)), count)
        frame = pd.DataFrame(
            {
                columns.CUSTOMER_ID: ids.array.take(repeated),
                "horizon": pd.Categorical(
                    np.tile(np.array(horizons.labels, dtype=object), len(ids)), horizons.labels, ordered=True
                ),
                "p_alive": self.p_alive[repeated],
                **{name: self.by_horizon[name].ravel() for name in _BY_HORIZON[:3]},
                "expected_spend": self.expected_spend[repeated],
                **{name: self.by_horizon[name].ravel() for name in _BY_HORIZON[3:]},
            }
        )
        frame["prob"] = prob
        words = [EXTRAPOLATED if evidence is None else evidence.of(years) for years in horizons.years]
        frame["evidence"] = np.tile(np.array(words, dtype=object), len(ids))
        frame[_BEYOND] = self.by_horizon[_BEYOND].ravel()
        frame["as_of"] = as_of
        frame["currency"] = currency
        return frame
