"""The ranking's table, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.current import carried_forward, trailing_revenue
from clv_forecast.ranking.grading import Grading, grade
from clv_forecast.ranking.growth import growth_of_business
from clv_forecast.ranking.joint_pass import JointTask
from clv_forecast.ranking.matrix import cell_codes, cell_names, classes
from clv_forecast.ranking.model_fit import model_fit
from clv_forecast.ranking.order import Order, ranks_of
from clv_forecast.ranking.outlook import Outlook
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.reasons import reasons
from clv_forecast.ranking.referral import referral_table
from clv_forecast.units import DAYS_PER_YEAR, units_per_year

Floats = NDArray[np.float64]

_COLUMNS: Final = (
    "rank",
    "rank_lower",
    "rank_upper",
    "p_top",
    "top_k",
    columns.CUSTOMER_ID,
    columns.NAME,
    columns.OWNER,
    "current_revenue",
    "value",
    "value_lower",
    "value_upper",
    "p_alive",
    "wallet",
    "wallet_lower",
    "wallet_upper",
    "wallet_source",
    "share_of_wallet",
    "headroom",
    "readiness",
    "potential_revenue",
    "potential_value",
    "referral_value",
    "expected_future_referrals",
    "expected_future_referral_value",
    "adjusted_value",
    "adjusted_lower",
    "adjusted_upper",
    "score",
    "value_at_risk",
    "value_class",
    "potential_class",
    "cell",
    "p_cell",
    "grade",
    "grade_score",
    "model_fit",
    "reason",
    "horizon",
    "prob",
    "as_of",
    "currency",
)
_FROM_POTENTIAL: Final = (
    "wallet",
    "wallet_lower",
    "wallet_upper",
    "wallet_source",
    "share_of_wallet",
    "headroom",
    "readiness",
    "potential_revenue",
    "potential_value",
)


def opening_table(
    forecast: Forecast, accounts: Accounts, potential: Potential | None, horizon: str, outlook: Outlook
) -> pd.DataFrame:
    """The columns that are there before any draw, in the row order of the history."""
    chosen = forecast.customers[forecast.customers["horizon"] == horizon]
    names = [columns.CUSTOMER_ID, "p_alive", "value", "value_lower", "value_upper", "p_loss"]
    table = chosen[names].reset_index(drop=True)
    for name in (columns.NAME, columns.OWNER):
        if accounts.has(name):
            table[name] = accounts.table[name].array
    current = trailing_revenue(forecast.history)
    if current is not None:
        table["current_revenue"] = current
    if potential is not None:
        for name in _FROM_POTENTIAL:
            if name in potential.table:
                table[name] = potential.table[name].array
    table["value_at_risk"] = outlook.value_at_risk
    return table


def revenue_of(forecast: Forecast, horizon: str) -> Floats:
    """Revenue that the forecast expects over the horizon, shape (account,)."""
    table = forecast.customers
    return table.loc[table["horizon"] == horizon, "revenue"].to_numpy(dtype=np.float64)


def add_referrals(
    table: pd.DataFrame,
    forecast: Forecast,
    accounts: Accounts,
    credit: tuple[float, ...] | None,
    newcomer_value: float | None,
    years: float,
) -> None:
    """Add what accounts bring through those they refer; nothing where no referral is known."""
    found = referral_table(
        accounts,
        value=table["value"].to_numpy(),
        credit=credit,
        newcomer_value=newcomer_value,
        years_observed=forecast.plan.T / units_per_year(forecast.plan.unit),
        horizon_years=years * table["p_alive"].to_numpy(),
    )
    for name, of in (
        ("forward_referral_value", "referral_value"),
        ("expected_future_referrals", "expected_future_referrals"),
        ("expected_future_referral_value", "expected_future_referral_value"),
    ):
        if name in found:
            table[of] = found[name].to_numpy()


def adjusted_value(table: pd.DataFrame, credit: tuple[float, ...] | None) -> Floats:
    """Value, with potential where it is known, and with credited referrals where credit is given."""
    total = table["value"].to_numpy(copy=True)
    total += np.nan_to_num(column_of(table, "potential_value"))
    if credit is not None:
        total += np.nan_to_num(column_of(table, "referral_value"))
    return np.asarray(total)


def centre_of(order: Order, table: pd.DataFrame, forecast: Forecast, outlook: Outlook, years: float) -> Floats:
    """Mean of what the order is by."""
    adjusted = table["adjusted_value"].to_numpy()
    if order.by not in ("carried", "stack"):
        return np.asarray(adjusted)
    if forecast.history.events is None:
        raise DomainError("A history made from a summary has no orders to carry forward.", value=order.by)
    carried = carried_forward(forecast.history, round(years * DAYS_PER_YEAR)) * outlook.contribution - outlook.cost
    if order.by == "carried":
        return np.asarray(carried)
    return np.asarray(adjusted + (1.0 - order.weight) * (carried - table["value"].to_numpy()))


def ranks_in(order: Order, table: pd.DataFrame) -> NDArray[np.int64]:
    """Ranks by the score; those that tie in probability, or at the lower end, go by the adjusted value."""
    if order.by not in ("lower", "p_top"):
        return ranks_of(table["score"].to_numpy())
    places = ranks_of(table["score"].to_numpy()).astype(np.float64)
    within = ranks_of(table["adjusted_value"].to_numpy())
    return ranks_of(-(places * (len(table) + 1.0) + within))


def add_cells(table: pd.DataFrame, task: JointTask, p_cell: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Add classes, cells and the probability of each account's own cell; returns the codes of both classes."""
    rule = task.rule
    by_value = classes(column_of(table, rule.value_axis), task.value_cuts)
    by_potential = classes(column_of(table, rule.potential_axis), task.potential_cuts)
    codes = cell_codes(by_value, by_potential, rule)
    for name, found in (("value", by_value), ("potential", by_potential)):
        names = np.array([*rule.classes("value" if name == "value" else "potential"), None], dtype=object)
        table[f"{name}_class"] = names[found]
    table["cell"] = cell_names(codes, rule)
    table["p_cell"] = np.where(codes >= 0, p_cell[np.arange(len(codes)), codes], np.nan)
    return by_value, by_potential


def add_reasons(
    table: pd.DataFrame, forecast: Forecast, accounts: Accounts, potential: Potential | None, order: Order
) -> None:
    """Add how well accounts fit the models, and the sentence."""
    history = forecast.history
    purchases = None if history.events is None else history.purchases()
    fit = model_fit(history, accounts, purchases=purchases)
    table["model_fit"] = fit["model_fit"].to_numpy()
    gaps = None if potential is None else potential.whitespace
    table["reason"] = reasons(
        table.assign(caution=fit["caution"].to_numpy()),
        rank_by_value=ranks_of(table["value"].to_numpy()),
        by_mean=order.by == "mean",
        growth=None if purchases is None else _growth(history, purchases),
        bought=None if gaps is None else np.where(np.isnan(gaps.wallet), np.nan, gaps.bought),
        on_offer=0 if gaps is None else gaps.on_offer,
    )


def _growth(history: PurchaseHistory, purchases: pd.DataFrame) -> Floats:
    """Growth a year of each account's business; NaN where it is not known or its interval holds 0."""
    found = growth_of_business(history, purchases=purchases)
    clear = (found["cagr_lower"] > 0.0) | (found["cagr_upper"] < 0.0)
    return found["cagr"].where(clear).to_numpy(dtype=np.float64)


def add_grade(table: pd.DataFrame, grading: Grading | Mapping[str, Any] | None, metrics: pd.DataFrame | None) -> None:
    """Add grade and its score, where grading is asked for."""
    if grading is None:
        return
    source = table
    if metrics is not None:
        extra = [name for name in metrics.columns if name not in table.columns]
        source = table.merge(metrics[[columns.CUSTOMER_ID, *extra]], on=columns.CUSTOMER_ID, how="left")
    graded = grade(source, grading).set_index(columns.CUSTOMER_ID).loc[table[columns.CUSTOMER_ID]]
    if graded["grade"].isna().all():
        raise DomainError(
            "No account could be graded: too few of the grading's measures are known.",
            value=str(graded["reason"].iloc[0]),
            remedy="Pass metrics=account_metrics(...), or grade by columns of the ranking.",
        )
    table["grade"], table["grade_score"] = graded["grade"].to_numpy(), graded["score"].to_numpy()


def column_of(table: pd.DataFrame, name: str) -> Floats:
    """A column as numbers; missing throughout where there is none."""
    if name not in table:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(dtype=np.float64, na_value=np.nan)


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The table by rank, its columns in the order of the contract."""
    order = np.argsort(table["rank"].to_numpy(), kind="stable")
    named = [name for name in _COLUMNS if name in table]
    return table.iloc[order].reset_index(drop=True)[named]
