"""The tables of allowable spend, from what a pass over the draws found.

In words: why an allowance is 0, and what a reader of allowances must know.

What may be spent on one account, as facts of its card: each allowance with what it means, and why it is 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.finance.allowances import Levels, Payback
from clv_forecast.finance.newcomers import DRAWS
from clv_forecast.finance.spend import (
    ACQUIRE,
    CEILING,
    CONFIDENCES,
    GROW,
    RETAIN,
    WHAT_THE_BASIS_MEANS,
    AllowableSpend,
    SpendTerms,
    level_column,
    payback_column,
)
from clv_forecast.forecasting.adjustments import EXTRAPOLATED, FAILED
from clv_forecast.forecasting.expectation import p_alive_of
from clv_forecast.forecasting.plan import chunks_of
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.printable import printable
from clv_forecast.ranking.account_card import SPEND, Fact, money_text, share_text

_NOTHING = {
    CEILING: "it brings nothing",
    RETAIN: "the spend changes nothing (it has left, would stay anyway, or leaves all the same)",
    GROW: "the spend brings nothing (no order, or no headroom realised)",
    ACQUIRE: "a new customer brings nothing",
}
_EXPECTED_NOTHING = {
    CEILING: "Nothing is expected of it",
    RETAIN: "The spend is expected to keep no value",
    GROW: "The spend is expected to bring nothing (no headroom is known, or all of it is used)",
    ACQUIRE: "A new customer is expected to bring nothing",
}


def zero_reasons(
    levels: Levels, eligible: NDArray[np.bool_], single_cents: NDArray[np.float64], *, terms: SpendTerms
) -> NDArray[np.object_]:
    """Why the allowance of each row is 0; empty where it is not."""
    place, within = CONFIDENCES.index(terms.confidence), f"within {terms.horizon}"
    likely = f"With more than {100 - terms.confidence} % probability"
    at_end = levels.reached[:, place]
    cases = [
        (single_cents > 0.0, ""),
        (~eligible, f"Its expected value {within} is below 0."),
        (levels.expected <= 0.0, f"{_EXPECTED_NOTHING[terms.basis]} {within}."),
        (at_end < 0.0, f"{likely} it costs more than it brings {within}."),
        (at_end == 0.0, f"{likely} {_NOTHING[terms.basis]} {within}."),
    ]
    if levels.repaid is not None and terms.limit_months is not None:
        limit = f"the {terms.limit_months:g} months of the payback limit"
        cases.append((levels.repaid[:, place] <= 0.0, f"{likely} nothing has come back within {limit}."))
    default = "What it surely brings is less than a cent."
    chosen = np.select([where for where, _ in cases], list(range(len(cases))), len(cases))
    words = [*(text for _, text in cases), default]
    return np.asarray([words[k] for k in chosen], dtype=object)


def zeros_table(reasons: NDArray[np.object_]) -> pd.DataFrame:
    """How many rows have which reason, the commonest first."""
    given = pd.Series(reasons, dtype="string")
    counts = given[given != ""].value_counts()
    return pd.DataFrame({"reason": counts.index.astype("string"), "accounts": counts.to_numpy(dtype=np.int64)})


def notes_of(forecast: Forecast, terms: SpendTerms, levels: Levels) -> tuple[str, ...]:
    """What must be known before the figures are used, the most important first."""
    notes = []
    place = CONFIDENCES.index(terms.confidence)
    if terms.basis == CEILING:
        notes.append("A ceiling is what an account is worth, not what a spend brings: it is no recommendation.")
    if terms.uplift is not None and terms.uplift.is_known:
        notes.append(
            f"The uplift of {terms.uplift.share:.1%} is taken as known: with its band, pools would be more cautious."
        )
    if terms.limit_months is not None:
        notes.append(
            "The limit of payback holds for the pool with the stated confidence; a single account's share of the pool "
            "may take longer."
        )
    if terms.basis == RETAIN:
        notes.append(_what_can_be_kept(forecast, terms))
    if forecast.plan.shock is None:
        notes.append(
            "Pooled allowances treat accounts as independent (the forecast has no common shock): they are too generous."
        )
    words = forecast.customers.loc[forecast.customers["horizon"] == terms.horizon, "evidence"].astype("string")
    if bool((words == FAILED).any()):
        notes.insert(
            0, f"A backtest found the bands over {terms.horizon} to fail; the figures were asked for all the same."
        )
    if bool((words == EXTRAPOLATED).any()):
        notes.append(f"No backtest proves the bands over {terms.horizon}.")
    empty = int((levels.pool[:, place] <= 0.0).sum())
    if empty:
        notes.append(
            f"{empty} of {len(levels.pool)} pools reach nothing with that confidence: pooled allowances are 0."
        )
    return tuple(notes)


def _what_can_be_kept(forecast: Forecast, terms: SpendTerms) -> str:
    """How many accounts the model expects to leave: where hardly any do, nothing can be kept."""
    plan = forecast.plan.fewer_draws(DRAWS)
    there, leaving = 0.0, 0.0
    for rows in chunks_of(plan, 1):
        alive = p_alive_of(plan, rows)
        stays = np.concatenate(
            [
                np.broadcast_to(
                    part.module.survival_given_alive(
                        part.purchases(rows), plan.frequency[rows], plan.T[rows], ahead=terms.length
                    ),
                    (part.draws, len(rows)),
                )
                for part in plan.parts
            ]
        ).T
        there += float(alive.mean(axis=-1).sum())
        leaving += float((alive * (1.0 - stays)).mean(axis=-1).sum())
    return (
        f"The model expects {leaving:,.0f} of the {there:,.0f} accounts that are there to leave within "
        f"{terms.horizon}: no more can be kept."
    )


NEW_CUSTOMERS_ONLY: Final = "What winning new customers may cost is no fact of an account that is there already."


def spend_of_account(spends: tuple[AllowableSpend, ...], customer_id: Any) -> pd.DataFrame | None:
    """Rows of one account in some allowable spends; None where none is about accounts.

    Raises
    ------
    DomainError
        If one is no allowable spend, two are of one basis and horizon, or one does not know the account.
    """
    for spend in spends:
        instance_of(spend, AllowableSpend, "spend", made_by="allowable_spend")
    kinds = [(spend.basis, spend.horizon) for spend in spends]
    if len(set(kinds)) < len(kinds):
        raise DomainError("Each basis and horizon of an allowable spend stands once on a card.", value=kinds)
    found = []
    for spend in spends:
        if columns.CUSTOMER_ID not in spend.table:
            continue
        own = spend.table[(spend.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
        if len(own) != 1:
            raise DomainError(
                "The allowable spend must be of the accounts of the ranking.",
                value=f"{spend.basis}, without {customer_id!r}",
                remedy="Make it from the same forecast.",
            )
        found.append(own)
    return pd.concat(found, ignore_index=True) if found else None


def spend_facts(table: pd.DataFrame | None) -> Iterator[Fact]:
    """Facts of an account's rows of allowable spends: value at stake, the three allowances, and payback.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> own = spend_of_account((clv.allowable_spend(fc),), 4)
    >>> [fact.fact for fact in spend_facts(own)][:3]
    ['value at stake (ceiling)', 'allowable, expected', 'allowable, single']
    """
    several = table is not None and len(table) > 1
    for row in [] if table is None else table.to_dict("records"):
        basis, currency = row["basis"], row["currency"]
        of_it = f" ({basis})" if several else ""
        stake = float(row["value_at_stake"])
        note = f"next {row['horizon']}. {WHAT_THE_BASIS_MEANS[basis]}"
        yield Fact(SPEND, f"value at stake ({basis})", money_text(stake, currency), stake, note)
        for name, meaning in _meanings(row).items():
            amount = float(row[f"allowable_{name}"])
            why = _why_zero(name, row) if amount == 0.0 else ""
            yield Fact(SPEND, f"allowable, {name}{of_it}", _cents(amount, currency), amount, why or meaning)
        yield from _payback(row, of_it)


def _meanings(row: Mapping[Any, Any]) -> dict[str, str]:
    """What each allowance promises, in words."""
    earned, sure = f"earns {_percent(row['target_roi'])}", f"with {_percent(row['confidence'])} confidence"
    limit = row["payback_limit_months"]
    back = "" if pd.isna(limit) else f", and is back within {float(limit):g} months"
    pool = "all accounts" if row["group"] == EVERYONE else f"all accounts of {printable(row['group'])}"
    return {
        "expected": f"{earned} on average{back}",
        "single": f"{earned} on this account alone {sure}{back}",
        "pooled": f"its share of what earns {_percent(row['target_roi'])} on {pool} together {sure}{back}",
    }


def _why_zero(name: str, row: Mapping[Any, Any]) -> str:
    """Why an allowance is 0. The table's reason is that of the single one; it tells of the others where all are 0."""
    reason = "" if pd.isna(row["reason"]) else str(row["reason"]).rstrip(".")
    if name == "single" or float(row["allowable_expected"]) == 0.0:
        return reason
    whom = "all accounts" if row["group"] == EVERYONE else f"the accounts of {printable(row['group'])}"
    return f"its share of what {whom} together surely bring is less than a cent"


def _payback(row: Mapping[Any, Any], of_it: str) -> Iterator[Fact]:
    months, chance = row["payback_months"], row["p_payback"]
    if float(row["allowable_pooled"]) <= 0.0:
        return
    if pd.isna(months):
        value, note = f"not within {row['horizon']}", "fewer than half of the draws repay the pooled allowance"
        yield Fact(SPEND, f"payback{of_it}", value, note=note)
    else:
        value = f"{float(months):g} month{'' if float(months) == 1.0 else 's'}"
        note = "median month in which the pooled allowance has come back"
        yield Fact(SPEND, f"payback{of_it}", value, float(months), note)
    if not pd.isna(chance):
        note = f"of the pooled allowance, within {row['horizon']}"
        yield Fact(SPEND, f"probability of payback{of_it}", share_text(float(chance)), float(chance), note)


def _cents(amount: float, currency: Any) -> str:
    """Money in whole cents, as it may be spent."""
    return f"{amount:z,.2f}" if pd.isna(currency) else f"{amount:z,.2f} {printable(currency)}"


def _percent(share: float) -> str:
    return f"{100.0 * float(share):g} %"


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allowed:
    """What was found; arrays have a row for each account, or for each group of new customers.

    Parameters
    ----------
    forecast : Forecast
    terms : SpendTerms
    levels : Levels
    eligible : ndarray of bool
    cents : dict
        The three allowances, in whole cents.
    paid : Payback
    share_before, share_upto : ndarray
        See ``AllowableSpend.levels``.
    group : ndarray of int
        Place of each row's pool in ``names``.
    names : tuple of str
    ids : Series, optional
        Of the accounts.
    customers : int, optional
        How many new customers pool their risk.
    warnings : tuple of str
    """

    forecast: Forecast
    terms: SpendTerms
    levels: Levels
    eligible: NDArray[np.bool_]
    cents: dict[str, Floats]
    paid: Payback
    share_before: Floats
    share_upto: Floats
    group: NDArray[np.intp]
    names: tuple[str, ...]
    ids: Any = None
    customers: int | None = None
    warnings: tuple[str, ...] = ()


def assemble(found: Allowed) -> AllowableSpend:
    """Put the tables together; see ``allowable_spend``."""
    forecast, terms, levels = found.forecast, found.terms, found.levels
    reasons = zero_reasons(levels, found.eligible, found.cents["allowable_single"], terms=terms)
    table = pd.DataFrame(
        {
            **_head(found),
            "horizon": terms.horizon,
            "basis": terms.basis,
            "group": _group_of_rows(found),
            **({} if found.customers is None else {"customers": found.customers}),
            "value_at_stake": levels.expected,
            **{name: amounts / 100.0 for name, amounts in found.cents.items()},
            "confidence": terms.confidence / 100.0,
            "target_roi": terms.target_roi,
            "payback_limit_months": np.nan if terms.limit_months is None else terms.limit_months,
            "payback_months": found.paid.months,
            "p_payback": found.paid.p,
            "p_loss": levels.p_loss,
            "reason": pd.array(reasons, dtype="string"),
            "as_of": forecast.as_of,
            "currency": forecast.currency,
        }
    )
    return AllowableSpend(
        table=table,
        totals=_totals(found),
        zeros=zeros_table(reasons),
        levels=_level_table(found),
        pools=_pool_table(levels, found.names),
        basis=terms.basis,
        horizon=terms.horizon,
        target_roi=terms.target_roi,
        confidence=terms.confidence / 100.0,
        payback_limit_months=terms.limit_months,
        assumptions=_assumptions(forecast, terms, found.customers),
        notes=(*notes_of(forecast, terms, levels), *found.warnings),
        as_of=forecast.as_of,
        currency=forecast.currency,
    )


def _head(found: Allowed) -> dict[str, Any]:
    return {} if found.ids is None else {columns.CUSTOMER_ID: found.ids}


def _group_of_rows(found: Allowed) -> Any:
    return pd.array(np.asarray(found.names, dtype=object)[found.group], dtype="string")


def _totals(found: Allowed) -> pd.DataFrame:
    levels, names = found.levels, found.names

    def by_group(values: Floats) -> Floats:
        return np.bincount(found.group, weights=values, minlength=len(names))

    return pd.DataFrame(
        {
            "group": pd.array(names, dtype="string"),
            "accounts": np.bincount(found.group, minlength=len(names)),
            "sharing": by_group(levels.sharing.astype(np.float64)).astype(np.int64),
            "value_at_stake": by_group(levels.expected),
            **{name: by_group(amounts) / 100.0 for name, amounts in found.cents.items()},
            "payback_months": found.paid.pool_months,
            "p_payback": found.paid.pool_p,
        }
    )


def _level_table(found: Allowed) -> pd.DataFrame:
    levels = found.levels
    table: dict[str, Any] = {**_head(found), "group": _group_of_rows(found), "eligible": found.eligible}
    table["expected"] = levels.expected
    table |= {level_column(c): levels.reached[:, k] for k, c in enumerate(CONFIDENCES)}
    if levels.repaid is not None and levels.expected_repaid is not None:
        table["expected_repaid"] = levels.expected_repaid
        table |= {payback_column(c): levels.repaid[:, k] for k, c in enumerate(CONFIDENCES)}
    return pd.DataFrame(table | {"share_before": found.share_before, "share_upto": found.share_upto})


def _pool_table(levels: Levels, names: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "group": pd.array(np.repeat(np.asarray(names, dtype=object), len(CONFIDENCES)), dtype="string"),
            "confidence": np.tile(CONFIDENCES, len(names)),
            "reached": levels.pool.ravel(),
        }
    )
    if levels.pool_repaid is not None:
        table["repaid"] = levels.pool_repaid.ravel()
    return table


def _assumptions(forecast: Forecast, terms: SpendTerms, customers: int | None) -> dict[str, Any]:
    plain = (str, int, float, type(None))
    own = {
        "basis": terms.basis,
        "horizon": terms.horizon,
        "target_roi": terms.target_roi,
        "confidence": terms.confidence / 100.0,
        "payback_limit_months": terms.limit_months,
        "uplift": None if terms.uplift is None else terms.uplift.words,
        "by": terms.by,
        "new_customers": customers,
        "as_of": forecast.as_of.date().isoformat(),
        "currency": forecast.currency,
    }
    taken = {name: value if isinstance(value, plain) else str(value) for name, value in forecast.assumptions.items()}
    return own | taken
