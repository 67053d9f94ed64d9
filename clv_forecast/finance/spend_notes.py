"""In words: why an allowance is 0, and what a reader of allowances must know."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.finance.newcomer_fit import DRAWS
from clv_forecast.finance.spend import ACQUIRE, CEILING, CONFIDENCES, GROW, RETAIN
from clv_forecast.finance.spend_levels import Levels
from clv_forecast.finance.spend_terms import SpendTerms
from clv_forecast.forecasting.adjustments import EXTRAPOLATED, FAILED
from clv_forecast.forecasting.expectation import p_alive_of
from clv_forecast.forecasting.plan import chunks_of
from clv_forecast.forecasting.result import Forecast

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
    levels: Levels, eligible: NDArray[np.bool_], single_cents: NDArray[np.float64], terms: SpendTerms
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
