"""The verb ``rank``: accounts in order of what they bring and could bring, with what is not certain about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import MOST_TOP, draws_of, instance_of, number_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.result import Forecast
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.accounts import Accounts, accounts_of
from clv_forecast.ranking.grading import Grading
from clv_forecast.ranking.joint_draws import JointTask, joint_pass
from clv_forecast.ranking.matrix import MatrixRule, cuts_of, matrix_table
from clv_forecast.ranking.outlook import outlook_of
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.ranking_table import (
    Order,
    add_cells,
    add_grade,
    add_reasons,
    add_referrals,
    adjusted_value,
    centre_of,
    checked_order,
    choose_order,
    column_of,
    in_order,
    opening_table,
    ranks_in,
    revenue_of,
    sensitivity_table,
)
from clv_forecast.ranking.referral import check_credit, referrals_of
from clv_forecast.units import units_per_year

Floats = NDArray[np.float64]
_NOTES_FIRST: Final = 2
_SHOWN: Final = (
    "rank", columns.CUSTOMER_ID, columns.NAME, "adjusted_value", "adjusted_lower", "adjusted_upper", "value",
    "potential_value", "p_alive", "cell", "grade", "reason",
)  # fmt: skip
DEFAULT_MATRIX: Final = MatrixRule()
VALUE_AXES: Final = ("value", "current_revenue")
POTENTIAL_AXES: Final = ("potential_value", "headroom")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Ranking:
    """Accounts in order. Made by `rank`.

    Parameters
    ----------
    table : DataFrame
        One row per account, the first first: see ``rank``.
    matrix : DataFrame
        Accounts, value, potential and headroom by cell of value and potential.
    concentration : DataFrame
        Share of the top 20 % and Gini, now and forecast.
    lorenz : DataFrame
        The curves behind it.
    goals : DataFrame
        Growth goals by owner.
    sensitivity : DataFrame
        Who changes place if potential is 20 % more or less.
    order : Order
        By what the accounts are ordered, and why.
    rule : MatrixRule
    horizon : str
    prob : float
    notes : tuple of str
        What a reader must know, the most important first.
    """

    table: pd.DataFrame
    matrix: pd.DataFrame
    concentration: pd.DataFrame
    lorenz: pd.DataFrame
    goals: pd.DataFrame
    sensitivity: pd.DataFrame
    order: Order
    rule: MatrixRule
    horizon: str
    prob: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Ranking of {len(self.table):,} accounts over {self.horizon}, by {self.order.by}>"

    def __str__(self) -> str:
        first = self.table.head(5)
        lines = [
            f"Ranking of {len(self.table):,} accounts over {self.horizon}, by {self.order.by}",
            *(f"  {note}" for note in self.notes[:_NOTES_FIRST]),
            *(f"  {row.rank}. {printable(row.customer_id)}: {printable(row.reason)}" for row in first.itertuples()),
            *(f"  Note: {note}" for note in self.notes[_NOTES_FIRST:]),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = self.table
        sums = {name: table[name].sum(min_count=1) for name in ("value", "potential_value") if name in table}
        return notebook_html(
            f"Ranking of {len(table):,} accounts over {self.horizon}",
            table,
            shown=_SHOWN,
            total={"rank": "All"} | sums,
            see=[
                (".table", f"all {len(table):,} accounts and {len(table.columns)} columns"),
                (".matrix", "accounts and money by value and potential"),
                (".concentration", "what the top 20 % bring"),
                (".goals", "growth by owner"),
                (".sensitivity", "who changes place if potential is 20 % more or less"),
                ("clv.figures.draw_matrix(ranking.matrix)", "draws the matrix"),
            ],
            notes=self.notes,
        )


@shows_progress
def rank(
    forecast: Forecast,
    *,
    accounts: Any = None,
    potential: Potential | None = None,
    horizon: str = "12 months",
    order_by: str = "auto",
    top_k: int = 100,
    matrix: MatrixRule = DEFAULT_MATRIX,
    referral_credit: float | Sequence[float] | None = None,
    newcomer_value: float | None = None,
    grading: Grading | Mapping[str, Any] | None = None,
    metrics: pd.DataFrame | None = None,
    draws: int = 500,
    progress: Progress = automatic,
) -> Ranking:
    r"""Put accounts in order of what they bring and could bring.

    .. math:: \text{adjusted value} = \text{value} + \text{potential value} + \text{credited referral value}

    draw by draw, so that bands, ranks and probabilities are those of one joint world. What is not known of an account
    (a wallet, say) is left out of its sum and missing in its row.

    Parameters
    ----------
    forecast : Forecast
        With a spend part and the horizon.
    accounts : table, optional
        One row per account; default: that of ``potential``, or the customers' table of the history.
    potential : Potential, optional
        From ``potential``, over the same horizon. Without it accounts are ordered by value.
    horizon : str
        One of the forecast's.
    order_by : {"auto", "mean", "lower", "p_top", "carried", "stack"}
        Mean or lower end of the adjusted value; probability of being among the first ``top_k``; the last year's value
        carried forward; or the adjusted value with a stack of forecast and carried value in place of the forecast's.
        ``"auto"`` is the mean, unless carrying forward won the look back.
    top_k : int
        The first so many are the top.
    matrix : MatrixRule
    referral_credit : float or sequence of float, optional
        Share of the forecast value of accounts referred that is added to the referrer's, one per depth. Default: shown,
        not added.
    newcomer_value : float, optional
        Value of one new customer (``new_customer_value``), for the referrals to come.
    grading : Grading or mapping, optional
        Grades accounts; its weights may name columns of this table and of ``metrics``.
    metrics : DataFrame, optional
        From ``account_metrics``.
    draws : int
        At least 100, at most the forecast's.
    progress : callable

    Returns
    -------
    Ranking
        Its ``table`` has rank with rank_lower and rank_upper, p_top, top_k, customer_id, name and owner (where
        known), current_revenue (trailing 12 months; absent where the log is shorter), value with value_lower and
        value_upper, p_alive, wallet with wallet_lower and wallet_upper, wallet_source, share_of_wallet (only of given
        wallets), headroom, readiness, potential_revenue (the account's growth goal), potential_value, referral_value
        (forward value of accounts it referred; added only with ``referral_credit``), expected_future_referrals,
        adjusted_value with adjusted_lower and adjusted_upper, score (what the order is by), value_at_risk,
        value_class, potential_class, cell, p_cell, grade, model_fit, reason, and horizon, prob, as_of, currency.

    Raises
    ------
    DomainError
        If an argument is outside its domain, or the forecast lacks the horizon or a spend part.
    InputError
        If referrals run in a circle, or a column of the accounts holds what it must not.

    Notes
    -----
    Needs 4 bytes per account and draw, in memory up to a gibibyte and beyond in a temporary file. Accounts of equal
    score share a rank. In a draw, accounts that bring nothing stand in the order of their means. The mean of an account
    that brings much in few draws stands above most of them: a band of ranks is widened to hold the rank itself.
    Portfolio totals are sums of ``value`` and ``potential_value``: referral value is attribution, and stands in the
    rows of the accounts referred already. ``p_cell`` is the probability of the cell an account stands in, over the
    value that it will bring (luck included) and what its potential may be: far below 1 where orders are few.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> found = rank(fc, draws=100)
    >>> int(found.table["rank"].iloc[0]), found.order.by
    (1, 'mean')
    """
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    horizon = forecast.horizons.one(horizon)
    _check(forecast, potential, horizon, matrix=matrix, draws=draws)
    k = number_of(top_k, "top_k", most=MOST_TOP)
    known = _accounts(forecast, accounts, potential)
    order = choose_order(order_by, None if potential is None else potential.check)
    years = forecast.horizons.only([horizon]).years[0]
    outlook = outlook_of(forecast.plan, years) if potential is None else potential.outlook
    table = opening_table(forecast, known, potential, horizon=horizon, outlook=outlook)
    credit, referrals = check_credit(referral_credit), referrals_of(known)
    add_referrals(table, forecast, known, credit=credit, newcomer_value=newcomer_value, years=years)
    table["adjusted_value"] = adjusted_value(table, credit)
    centre = centre_of(order, table, forecast, outlook=outlook, years=years)
    value_cuts = cuts_of(matrix, column_of(table, matrix.value_axis), "value")
    potential_cuts = cuts_of(matrix, column_of(table, matrix.potential_axis), "potential")
    current = table["current_revenue"].to_numpy() if "current_revenue" in table else None
    task = JointTask(
        forecast=forecast,
        potential=potential,
        referrals=referrals,
        credit=credit,
        owners=known.table[columns.OWNER] if known.has(columns.OWNER) else None,
        current=current,
        expected=table["value"].to_numpy(),
        shift=centre - table["adjusted_value"].to_numpy(),
        centre=centre,
        boundary=years * units_per_year(forecast.plan.unit),
        draws=int(draws),
        top_k=k,
        rule=matrix,
        value_cuts=value_cuts,
        potential_cuts=potential_cuts,
    )
    joint = joint_pass(task, progress=progress)
    table["adjusted_lower"], table["adjusted_upper"] = joint.adjusted
    table["p_top"] = joint.ranks.p_top
    table["score"] = {"lower": table["adjusted_lower"].to_numpy(), "p_top": table["p_top"].to_numpy()}.get(
        order.by, centre
    )
    table["rank"] = ranks_in(order, table)
    table["rank_lower"] = np.minimum(joint.ranks.lower, table["rank"])
    table["rank_upper"] = np.maximum(joint.ranks.upper, table["rank"])
    table["top_k"] = k
    codes = add_cells(table, task, joint.p_cell)
    add_reasons(table, forecast, known, potential=potential, order=order)
    add_grade(table, grading, metrics)
    table["horizon"], table["prob"] = horizon, forecast.prob
    table["as_of"], table["currency"] = forecast.as_of, forecast.currency
    return Ranking(
        table=in_order(table),
        matrix=matrix_table(
            *codes,
            matrix,
            value=table["value"],
            potential=column_of(table, "potential_value"),
            headroom=column_of(table, "headroom"),
            current=current,
            p_cell=joint.p_cell if potential is not None else None,
            value_cuts=value_cuts,
            potential_cuts=potential_cuts,
        ),
        concentration=joint.concentration,
        lorenz=joint.lorenz,
        goals=joint.owners.table(
            goal=np.where(outlook.contribution > 0.0, column_of(table, "potential_revenue"), np.nan),
            current=current,
            expected=revenue_of(forecast, horizon),
            prob=forecast.prob,
        ),
        sensitivity=sensitivity_table(
            table[columns.CUSTOMER_ID],
            centre,
            column_of(table, "potential_value") * (order.by != "carried"),
            top_k=k,
        ),
        order=order,
        rule=matrix,
        horizon=horizon,
        prob=forecast.prob,
        notes=_notes(
            order,
            potential,
            credit,
            referral_notes=referrals.notes,
            top_k=k,
            accounts=len(table),
            margin_unused=known.has(columns.MARGIN) and not isinstance(forecast.assumptions["margin"], str | Mapping),
        ),
    )


def _check(forecast: Forecast, potential: Potential | None, horizon: str, *, matrix: MatrixRule, draws: int) -> None:
    instance_of(matrix, MatrixRule, "matrix", made_by="MatrixRule(...)")
    if not forecast.plan.has_spend:
        raise DomainError("A ranking is of money: a spend part is needed.", remedy="Fit with spend='gamma_gamma'.")
    draws_of(draws)
    for given, allowed in ((matrix.value_axis, VALUE_AXES), (matrix.potential_axis, POTENTIAL_AXES)):
        if given not in allowed:
            raise DomainError(f"An axis of the matrix must be one of {', '.join(allowed)}.", value=repr(given))
    if potential is None:
        return
    instance_of(potential, Potential, "potential", made_by="potential")
    if potential.history is not forecast.history:
        raise DomainError("Potential and forecast must be of the same history.")
    if abs(potential.years - forecast.horizons.only([horizon]).years[0]) > 1e-9:
        raise DomainError("Potential and ranking must look equally far.", value=f"{potential.horizon} and {horizon}")
    same = all(
        np.array_equal(getattr(potential.plan, name), getattr(forecast.plan, name))
        for name in ("margin", "cost_per_order", "cost_per_time", "discount")
    )
    if not same:
        raise DomainError(
            "Potential and forecast must be under the same margins, costs and discount rate.",
            remedy="Make the potential from this forecast.",
        )


def _accounts(forecast: Forecast, accounts: Any, potential: Potential | None) -> Accounts:
    if accounts is None and potential is not None:
        return potential.accounts
    return accounts_of(forecast.history, accounts)


def _notes(
    order: Order,
    potential: Potential | None,
    credit: tuple[float, ...] | None,
    *,
    referral_notes: tuple[str, ...],
    top_k: int,
    accounts: int,
    margin_unused: bool,
) -> tuple[str, ...]:
    notes = [order.why]
    if potential is not None and potential.check is not None:
        count = min(top_k, len(potential.check.actual))
        expected, actual = potential.check.top_total(checked_order(order, potential.check), count)
        which = "the order by mean" if order.by in ("lower", "p_top") else "this order"
        notes.append(
            f"The first {count:,} of {which} as of {potential.check.origin.date()} were to bring {expected:z,.0f} of "
            f"contribution in {potential.check.days} days, and brought {actual:z,.0f}."
        )
    if order.by in ("lower", "p_top"):
        notes.append("Sensitivity is that of the order by mean.")
    if margin_unused:
        notes.append("The accounts have margins of their own, and the forecast was made at one rate for all.")
    if potential is None:
        notes.append("Without potential: adjusted value is the forecast's value.")
    elif potential.table["potential_value"].isna().any():
        missing = int(potential.table["potential_value"].isna().sum())
        notes.append(f"{missing:,} of {accounts:,} accounts have no known potential: theirs is left out, not 0.")
    if credit is None:
        notes.append("Referral value is shown and not added: nothing says what share of it is credited.")
    notes.extend(referral_notes)
    return (*notes, *(() if potential is None else potential.notes))
