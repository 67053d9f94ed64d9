"""The verb ``stored_card``: the account card again, from a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import InputError
from clv_forecast.evaluation.customer_path import path_of
from clv_forecast.finance.spend_tables import NEW_CUSTOMERS_ONLY, spend_facts
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.account_card import AccountCard, AccountData, put_together
from clv_forecast.ranking.account_months import future_months, month_table, own_categories, past_months
from clv_forecast.report.card import care_of
from clv_forecast.report.one_account import history_of_rows, known_id, one_plan
from clv_forecast.report.picture import save_picture
from clv_forecast.report.run_tables import RANKING, SPEND, SPEND_NEW
from clv_forecast.report.stored_run import StoredRun
from clv_forecast.units import Horizon, check_unit

if TYPE_CHECKING:
    from clv_forecast.inference.model import Model

_NO_MODEL: Final = "The run holds no model: no months ahead, and no probability of being alive over time."


def stored_card(run: StoredRun, customer_id: Any) -> AccountCard:
    """Put the card of one account together from a run folder, reading the rows of that account only.

    Parameters
    ----------
    run : StoredRun
        From ``read_run``, with a ranking.
    customer_id : int or str
        As in the run; an id given as text also means the whole number.

    Returns
    -------
    AccountCard
        As ``card`` makes it of the results that the run was written from, with the same numbers: what an account is
        drawn to do depends on the seed and its id alone, so its months ahead are drawn over again.

    Raises
    ------
    DomainError
        If the account is not in the run; the error names those like it.
    InputError
        If the run holds no ranking.
    StoreError
        If a file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> from clv_forecast.report.report import make_report
    >>> from clv_forecast.report.run_folder import write_run
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     run = write_run(make_report(fc, ranking=clv.rank(fc, draws=100)), Path(parent) / "run")
    ...     stored_card(run, "4").facts.set_index("fact").loc["last purchase", "value"]
    '1997-12-12'
    """
    instance_of(run, StoredRun, "run", "read_run")
    if RANKING not in run.tables:
        raise InputError(
            "A card needs the ranking of the accounts, and the run holds none.",
            value=run.folder,
            remedy="Write the run of a report with ranking=rank(forecast).",
        )
    ranked = run.table(RANKING, only=_present(run, RANKING, (columns.CUSTOMER_ID, "current_revenue")))
    known = known_id(ranked[columns.CUSTOMER_ID], customer_id)
    data = _data(run, known, ranked)
    notes = [NEW_CUSTOMERS_ONLY] if SPEND_NEW in run.tables else []
    model = cast("Model", run.model()) if run.has_model else None
    history, purchases = _history(run, known), _of_account(run, "purchases", known)
    past = past_months(purchases, run.as_of)
    outlook = None
    if model is None:
        notes.append(_NO_MODEL)
        months = month_table([past], prob=_forecast_prob(data), as_of=run.as_of, currency=history.currency)
    else:
        told = run.manifest["assumptions"]["forecast"]
        shock, correction = told["shock"], told["correction"]
        plan = one_plan(
            model,
            history,
            draws=run.manifest["draws"],
            seed=run.manifest["seed"],
            shock=None if shock is None else CommonShock(**shock),
            correction=None if correction is None else Correction(**correction),
        )
        years = Horizon.parse(data.horizon, lifetime_years=told["lifetime_years"]).years
        prob = _forecast_prob(data)
        ahead = future_months(plan, 0, years=years, as_of=run.as_of, prob=prob)
        months = month_table([past, ahead], prob=prob, as_of=run.as_of, currency=history.currency)
        if purchases is not None:
            outlook = path_of(
                model,
                history,
                purchases,
                known,
                horizon=data.horizon,
                draws=plan.draws,
                prob=data.prob,
                seed=plan.seed,
            )
    spend = _of_account(run, SPEND, known)
    return put_together(
        data, months=months, outlook=outlook, spend=spend, more_facts=list(spend_facts(spend)), more_notes=notes
    )


def save_card_figure(card: AccountCard, path: str | os.PathLike[str]) -> Path:
    """Draw a card and write it as a picture, in the format that the suffix names.

    Raises
    ------
    DomainError
        If the format is unknown.
    StoreError
        If the file cannot be written.
    """
    from clv_forecast.figures.account_card import draw_account_card

    return save_picture(lambda figure: draw_account_card(card, figure=figure), path)


def _data(run: StoredRun, customer_id: Any, everyone: pd.DataFrame) -> AccountData:
    ranked = _row(run, RANKING, customer_id)
    horizon = str(ranked["horizon"])
    forecast = run.rows_of("forecast", customer_id)
    gaps, bought = _of_account(run, "whitespace", customer_id), _of_account(run, "categories", customer_id)
    drop = [columns.CUSTOMER_ID, "as_of", "currency"]
    return AccountData(
        ranked=ranked,
        forecast=_plain(forecast[(forecast["horizon"] == horizon).to_numpy(dtype=bool)].iloc[0]),
        past=_row(run, "history", customer_id),
        potential=_row(run, "potential", customer_id) if "potential" in run.tables else None,
        categories=own_categories(bought, customer_id),
        on_offer=run.manifest["categories"]["on_offer"],
        since=pd.Timestamp(run.manifest["categories"]["since"]),
        whitespace=None if gaps is None else gaps.drop(columns=drop),
        accounts=len(everyone),
        all_revenue=float(everyone["current_revenue"].sum()) if "current_revenue" in everyone else float("nan"),
        care=care_of(run.table("matrix"), ranked["cell"]),
        order_by=run.manifest["assumptions"]["ranking"]["by"],
        horizon=horizon,
        prob=float(ranked["prob"]),
    )


def _history(run: StoredRun, customer_id: Any) -> PurchaseHistory:
    return history_of_rows(
        run.rows_of("history", customer_id),
        customers=_of_account(run, "customers", customer_id),
        as_of=run.as_of,
        unit=check_unit(run.manifest["unit"]),
        currency=run.manifest["currency"],
    )


def _of_account(run: StoredRun, name: str, customer_id: Any) -> pd.DataFrame | None:
    return run.rows_of(name, customer_id) if name in run.tables else None


def _row(run: StoredRun, name: str, customer_id: Any) -> pd.Series[Any]:
    return _plain(run.rows_of(name, customer_id).iloc[0])


def _plain(row: pd.Series[Any]) -> pd.Series[Any]:
    """The row with None for text that is missing, as tables in memory have it."""
    return row.astype(object).where(row.notna() | row.map(lambda value: isinstance(value, float)), None)


def _present(run: StoredRun, name: str, wanted: tuple[str, ...]) -> list[str]:
    return [column for column in wanted if column in run.manifest["tables"][name]["columns"]]


def _forecast_prob(data: AccountData) -> float:
    return float(data.forecast["prob"])
