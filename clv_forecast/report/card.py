"""The verb ``card``: all that is known and expected of one account, and what may be spent on it, on one page.

A figure as a picture in a file, in the format that the suffix names.

The verb ``stored_card``: the account card again, from a run folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.evaluation.customer_path import customer_path, path_of
from clv_forecast.files import atomic_file
from clv_forecast.finance.spend import AllowableSpend
from clv_forecast.finance.spend_tables import NEW_CUSTOMERS_ONLY, spend_facts, spend_of_account
from clv_forecast.forecasting.adjustments import CommonShock, Correction
from clv_forecast.forecasting.result import Forecast
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.ranking.account_card import AccountCard, AccountData, put_together
from clv_forecast.ranking.account_months import (
    account_months,
    future_months,
    late_categories,
    month_table,
    own_categories,
    past_months,
)
from clv_forecast.ranking.potential import Potential
from clv_forecast.ranking.ranking import Ranking
from clv_forecast.report.run_tables import RANKING, SPEND, SPEND_NEW, history_of_rows, known_id, one_plan
from clv_forecast.report.stored_run import StoredRun
from clv_forecast.units import Horizon, check_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_picture(
    draw: Callable[[Figure], object], path: str | os.PathLike[str], *, size: tuple[float, float] = (12.0, 8.2)
) -> Path:
    """Let ``draw`` draw on a figure, and write it; an earlier file is replaced when the new one is complete.

    Parameters
    ----------
    draw : callable
        Takes a matplotlib figure.
    path : path
        Its suffix names the format, such as ``.png`` or ``.svg``.
    size : (float, float)
        Width and height in inches.

    Returns
    -------
    Path

    Raises
    ------
    DomainError
        If the format is unknown.
    StoreError
        If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target = Path(path)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    kind = target.suffix.lower().removeprefix(".")
    if kind not in formats:
        raise DomainError(
            "The format of a figure is named by the suffix of its file.",
            value=target.name,
            remedy=f"Choose one of {', '.join(sorted(formats))}.",
        )
    draw(figure)
    with atomic_file(target) as aside:
        figure.savefig(aside, format=kind, dpi=150)
    return target


def card(
    ranking: Ranking,
    forecast: Forecast,
    customer_id: Any,
    *,
    potential: Potential | None = None,
    model: Model | Stack | None = None,
    spend: AllowableSpend | Sequence[AllowableSpend] = (),
) -> AccountCard:
    """Put together what is known and expected of one account.

    Parameters
    ----------
    ranking : Ranking
        From ``rank``.
    forecast : Forecast
        That the ranking was made from.
    customer_id : int or str
        As in the ranking.
    potential : Potential, optional
        That the ranking was made with; it adds the band of potential and the categories not bought.
    model : Model or Stack, optional
        That the forecast was made with; it adds the probability of being alive over time.
    spend : AllowableSpend or sequence of them, optional
        Made from the forecast, each of another basis or horizon; they add what may be spent on the account.

    Returns
    -------
    AccountCard

    Raises
    ------
    DomainError
        If the account is not in the ranking, or the parts do not belong together.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> found = card(clv.rank(fc, draws=100), fc, 4, spend=clv.allowable_spend(fc))
    >>> found.facts.set_index("fact").loc[["last purchase", "allowable, single"], "value"].tolist()
    ['1997-12-12', '0.00']
    """
    spends = (spend,) if isinstance(spend, AllowableSpend) else tuple(spend)
    _check(ranking, forecast, potential)
    customer_id = known_id(ranking.table[columns.CUSTOMER_ID], customer_id)
    at = np.flatnonzero((ranking.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool))
    own_spend = spend_of_account(spends, customer_id)
    _check_day(forecast, spends)
    history = forecast.history
    row = int(np.flatnonzero((history.table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool))[0])
    ranked = ranking.table.iloc[int(at[0])]
    bought = late_categories(history)
    chosen = forecast.customers["horizon"] == ranking.horizon
    data = AccountData(
        ranked=ranked,
        forecast=forecast.customers[chosen].iloc[row],
        past=history.table.iloc[row],
        potential=None if potential is None else potential.table.iloc[row],
        categories=own_categories(bought.table, customer_id),
        on_offer=bought.on_offer,
        since=bought.since,
        whitespace=_whitespace(potential, customer_id),
        accounts=len(ranking.table),
        all_revenue=float(ranking.table["current_revenue"].sum()) if "current_revenue" in ranked else float("nan"),
        care=care_of(ranking.matrix, ranked["cell"]),
        order_by=ranking.order.by,
        horizon=ranking.horizon,
        prob=ranking.prob,
    )
    outlook = None
    if model is not None:
        outlook = customer_path(
            model,
            history,
            customer_id,
            horizon=ranking.horizon,
            draws=forecast.plan.draws,
            prob=ranking.prob,
            rng=forecast.plan.seed,
        )
    return put_together(
        data,
        months=account_months(forecast, row, ranking.horizon),
        outlook=outlook,
        spend=own_spend,
        more_facts=list(spend_facts(own_spend)),
        more_notes=[NEW_CUSTOMERS_ONLY] if any(columns.CUSTOMER_ID not in one.table for one in spends) else [],
    )


def care_of(matrix: pd.DataFrame, cell: Any) -> str:
    """What is suggested for accounts of a cell; empty without one."""
    return "" if pd.isna(cell) else str(matrix.set_index("cell").loc[cell, "care"])


def _check(ranking: Ranking, forecast: Forecast, potential: Potential | None) -> None:
    instance_of(ranking, Ranking, "ranking", made_by="rank")
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    forecast.horizons.only([ranking.horizon])
    ids = ranking.table[columns.CUSTOMER_ID]
    same_day = ranking.table["as_of"].iloc[0] == forecast.as_of
    if not same_day or set(ids) != set(forecast.history.table[columns.CUSTOMER_ID]):
        raise DomainError("The ranking must be one of this forecast.", remedy="Pass the forecast it was made from.")
    if potential is None:
        return
    instance_of(potential, Potential, "potential", made_by="potential")
    if potential.history is not forecast.history or potential.horizon != ranking.horizon:
        raise DomainError("The potential must be that of the ranking.", remedy="Pass the one it was made with.")


def _check_day(forecast: Forecast, spends: tuple[AllowableSpend, ...]) -> None:
    for spend in spends:
        if spend.as_of != forecast.as_of:
            raise DomainError(
                "The allowable spend must be of the day of the forecast.",
                value=f"{spend.basis} as of {spend.as_of.date()}, forecast as of {forecast.as_of.date()}",
                remedy="Make it from the same forecast.",
            )


def _whitespace(potential: Potential | None, customer_id: Any) -> pd.DataFrame | None:
    if potential is None or potential.whitespace is None:
        return None
    table = potential.whitespace.table
    own: pd.DataFrame = table[(table[columns.CUSTOMER_ID] == customer_id).to_numpy(dtype=bool)]
    return own.drop(columns=columns.CUSTOMER_ID).reset_index(drop=True)


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
    instance_of(run, StoredRun, "run", made_by="read_run")
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
                customer_id=known,
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
