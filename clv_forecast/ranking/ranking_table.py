"""The ranking's table, column by column.

By what accounts are put in order, and how much the order depends on what is known least.

Why an account stands where it stands, in one plain sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.grading import Grading, grade
from clv_forecast.ranking.growth import growth_of_business
from clv_forecast.ranking.joint_draws import JointTask
from clv_forecast.ranking.matrix import cell_codes, cell_names, classes
from clv_forecast.ranking.model_fit import model_fit
from clv_forecast.ranking.outlook import Outlook
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.ranking_check import ADJUSTED, CARRIED, FORECAST, STACK, RankingCheck
from clv_forecast.ranking.referral import referral_table
from clv_forecast.ranking.trailing import carried_forward, trailing_revenue
from clv_forecast.ranking.wallets import REACHABLE, WALLET_TITLES
from clv_forecast.units import DAYS_PER_YEAR, units_per_year

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


_PROBABLY_GONE: Final = 0.5
_FACTS: Final = (
    "rank",
    "value",
    "p_alive",
    "p_loss",
    "wallet",
    "wallet_lower",
    "wallet_upper",
    "wallet_source",
    "headroom",
    "potential_value",
    "caution",
)


def reasons(
    table: pd.DataFrame,
    *,
    rank_by_value: NDArray[np.int64],
    by_mean: bool,
    growth: Floats | None,
    bought: Floats | None,
    on_offer: int,
) -> list[str]:
    """One sentence per account of a ranking table.

    Parameters
    ----------
    table : DataFrame
        rank, value, p_alive, p_loss, caution; and where known wallet, wallet_lower, wallet_upper, wallet_source,
        headroom, potential_value.
    rank_by_value : ndarray of int, shape (account,)
    by_mean : bool
        Whether ranks are by the mean of value with potential.
    growth : ndarray, shape (account,), optional
        A year, of the account's own business; NaN where not known, or where it may be nothing.
    bought : ndarray, shape (account,), optional
        Categories bought in the last 12 months; NaN where not known.
    on_offer : int

    Returns
    -------
    list of str
        Such as "12th by value, 3rd with potential: buys 2 of 7 categories, wallet 1.2M (0.8M to 1.9M), growing 14 % a
        year."
    """
    facts = table.reindex(columns=list(_FACTS)).assign(by_value=rank_by_value, growth=growth, bought=bought)
    return [_sentence(fact, by_mean, on_offer) for fact in facts.itertuples(index=False)]


def _sentence(fact: Any, by_mean: bool, on_offer: int) -> str:
    head = f"{ordinal(fact.by_value)} by value"
    if by_mean and _known(fact.potential_value) and fact.rank == fact.by_value:
        head += " and with potential"
    elif by_mean and _known(fact.potential_value):
        head += f", {ordinal(fact.rank)} with potential"
    elif fact.rank != fact.by_value:
        head += f", {ordinal(fact.rank)} in this order"
    found = []
    if _known(fact.bought):
        found.append(f"buys {int(fact.bought)} of {on_offer} categories")
    if _known(fact.wallet) and fact.headroom == 0.0:
        found.append(f"expected to bring its {WALLET_TITLES.get(fact.wallet_source, REACHABLE)} already")
    elif _known(fact.wallet):
        what = WALLET_TITLES.get(fact.wallet_source, REACHABLE)
        band = f" ({money(fact.wallet_lower)} to {money(fact.wallet_upper)})"
        found.append(f"{what} {money(fact.wallet)}{band if fact.wallet_upper > fact.wallet_lower else ''}")
    if _known(fact.growth) and abs(fact.growth) >= 0.005:
        found.append(_growth_reason(fact.growth))
    if fact.p_alive < _PROBABLY_GONE:
        found.append(f"probably gone (alive with {100.0 * fact.p_alive:.0f} %)")
    if fact.value < 0.0 and fact.p_loss > 0.5:
        found.append("expected to lose money")
    text = f"{head}: {', '.join(found)}." if found else f"{head}."
    return f"{text} {fact.caution}" if fact.caution else text


def _known(value: Any) -> bool:
    return value is not None and bool(value == value)


def _growth_reason(growth: float) -> str:
    if growth <= -1.0:
        return "nothing bought in the last year"
    if growth >= 1.995:
        return f"{growth + 1.0:,.0f} times as much each year"
    return f"{'growing' if growth > 0 else 'shrinking'} {100.0 * abs(growth):.0f} % a year"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ...

    Examples
    --------
    >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 112, 121)]
    ['1st', '2nd', '3rd', '4th', '11th', '112th', '121st']
    """
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def money(amount: float) -> str:
    """An amount in a few characters.

    Examples
    --------
    >>> [money(x) for x in (12.3, 999.6, 12_345, 1_234_567, -2.5e9)]
    ['12', '1.0k', '12.3k', '1.2M', '-2.5B']
    """
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size * 0.9995:
            return f"{amount / size:z.1f}{letter}"
    return f"{amount:z,.0f}"


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
    forecast: Forecast, accounts: Accounts, potential: Potential | None, *, horizon: str, outlook: Outlook
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
    *,
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


def centre_of(order: Order, table: pd.DataFrame, forecast: Forecast, *, outlook: Outlook, years: float) -> Floats:
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
    table: pd.DataFrame, forecast: Forecast, accounts: Accounts, *, potential: Potential | None, order: Order
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
