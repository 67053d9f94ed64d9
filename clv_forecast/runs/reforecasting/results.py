"""From a history and a model to all results of a run, as the configuration wants them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.evaluation.backtest import backtest
from clv_forecast.evaluation.certificate import Certificate, read_certificate
from clv_forecast.evaluation.windows import Lengths, choose_origins, first_purchase
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.finance.cohorts import Cohorts, cohorts
from clv_forecast.finance.spend import ACQUIRE, GROW, AllowableSpend
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.audit import counted
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.progress import Progress, silent
from clv_forecast.ranking.loss_drivers import loss_drivers
from clv_forecast.ranking.metrics import account_metrics
from clv_forecast.ranking.potential import Potential, potential
from clv_forecast.ranking.ranking import Ranking, rank
from clv_forecast.report.run_folder import CERTIFICATE
from clv_forecast.report.stored_run import StoredRun
from clv_forecast.runs.configuration.configuration import Configuration
from clv_forecast.runs.reforecasting.inputs import Inputs

_log = logging.getLogger(__name__)
_GRID: Final = "quarter"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tested:
    """The certificate that a run stands on.

    Parameters
    ----------
    certificate : Certificate or None
    runs_since : int
        Runs since it was made; 0 in the run that made it.
    reason : str
        Why it was made anew, was not, or there is none.
    """

    certificate: Certificate | None
    runs_since: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """Everything that a run has found out, before it is compared and written."""

    forecast: Forecast
    certificate: Certificate | None
    potential: Potential | None
    ranking: Ranking | None
    metrics: pd.DataFrame | None
    spends: tuple[AllowableSpend, ...]
    cohorts: Cohorts | None
    drivers: pd.DataFrame | None
    cash_flow: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Tables of the run folder that no report has."""
        return {} if self.metrics is None else {"metrics": self.metrics}


def tested(
    configuration: Configuration,
    history: PurchaseHistory,
    previous: StoredRun | None,
    *,
    runs_since: int,
    same_model: bool,
    progress: Progress = silent,
) -> Tested:
    """Test again when it is due; else take the certificate of the last run.

    Parameters
    ----------
    configuration : Configuration
    history : PurchaseHistory
    previous : StoredRun or None
    runs_since : int
        Of the previous run's certificate.
    same_model : bool
        Whether the options of the model are still the same.
    progress : callable

    Returns
    -------
    Tested

    """
    section = configuration.backtest
    if not section.enabled:
        return Tested(certificate=None, runs_since=0, reason="The configuration asks for no backtest.")
    known = None
    if previous is not None and same_model and (previous.folder / CERTIFICATE).is_dir():
        try:
            known = read_certificate(previous.folder / CERTIFICATE)
        except StoreError as error:
            _log.warning("The last certificate cannot be read, so the model is tested anew: %s", error)
    if known is not None and runs_since + 1 < section.every and known.horizons == tuple(section.horizon):
        told = f"That of {known.as_of.date()} is kept: a test every {section.every} runs."
        return Tested(certificate=known, runs_since=runs_since + 1, reason=told)
    try:
        made = made_certificate(configuration, history, progress=progress)
    except DomainError as error:
        return Tested(certificate=None, runs_since=0, reason=str(error))
    count = int((~made.origins["failed"]).sum())
    return Tested(certificate=made, runs_since=0, reason=f"Tested from {counted(count, 'earlier day')}.")


def made_certificate(
    configuration: Configuration, history: PurchaseHistory, *, progress: Progress = silent
) -> Certificate:
    """Backtest the configured model from the latest days that fit into the log.

    Raises
    ------
    DomainError
        If the log is too short for the horizons tested.
    InputError
        If the history lacks what the model needs.
    """
    section = configuration.backtest
    lengths = Lengths.parse(section.horizon)
    origins = choose_origins(first_purchase(history), history.as_of, lengths)[-section.origins :]
    return backtest(
        history,
        origins=origins,
        horizon=section.horizon,
        recipe=configuration.model.recipe,
        draws=section.draws,
        rng=configuration.seed,
        progress=progress,
    )


def results_of(
    configuration: Configuration,
    inputs: Inputs,
    history: PurchaseHistory,
    *,
    model: Model,
    certificate: Certificate | None,
    progress: Progress = silent,
) -> Results:
    """Forecast, and all that follows from it.

    Raises
    ------
    DomainError, InputError
        If a table lacks what the configuration asks of it.
    """
    told = configuration.forecast
    ahead = forecast(
        model,
        history,
        horizons=told.horizons,
        discount_rate_annual=told.discount_rate_annual,
        margin=told.margin,
        cost_to_serve=told.cost_to_serve,
        cost_per_order=told.cost_per_order,
        lifetime_years=told.lifetime_years,
        by=told.by,
        draws=told.draws,
        prob=told.prob,
        shock=None if certificate is None else certificate.shock,
        evidence=None if certificate is None else certificate.evidence,
        rng=configuration.seed,
        progress=progress,
    )
    notes: list[str] = []
    found = _potential(configuration, history, ahead, progress=progress)
    metrics = None if configuration.grading is None else account_metrics(history)
    return Results(
        forecast=ahead,
        certificate=certificate,
        potential=found,
        ranking=_ranking(configuration, ahead, found, metrics=metrics, progress=progress),
        metrics=metrics,
        spends=_spends(configuration, ahead, found, model=model, progress=progress),
        cohorts=_or_left_out("New customers", notes, lambda: _cohorts(configuration, inputs, ahead, progress=progress)),
        drivers=_or_left_out(
            "What goes with losses", notes, lambda: _drivers(configuration, inputs, ahead, progress=progress)
        ),
        cash_flow=ahead.cash_flow(_GRID, progress=progress),
        notes=tuple(notes),
    )


def _or_left_out[T](part: str, notes: list[str], make: Callable[[], T]) -> T | None:
    """A part of the page that these data may not allow: it is left out and told of, and stops no run."""
    try:
        return make()
    except (DomainError, InputError) as error:
        notes.append(f"{part} could not be judged: {error}")
        _log.warning(notes[-1])
        return None


def _drivers(
    configuration: Configuration, inputs: Inputs, ahead: Forecast, *, progress: Progress
) -> pd.DataFrame | None:
    if inputs.events is None:
        return None
    return loss_drivers(
        ahead.history,
        ahead,
        events=inputs.events,
        horizon=configuration.ranking_horizon,
        recipe=configuration.model.recipe,
        rng=configuration.seed,
        progress=progress,
    )


def _potential(
    configuration: Configuration, history: PurchaseHistory, ahead: Forecast, *, progress: Progress
) -> Potential | None:
    """Nothing is known of what accounts could bring before there is a table of accounts."""
    section = configuration.potential
    if not section.enabled or history.customers is None or not ahead.plan.has_spend:
        return None
    return potential(
        history,
        ahead,
        horizon=configuration.ranking_horizon,
        source=section.source,
        quantile=section.quantile,
        segment=section.segment,
        recipe=configuration.model.recipe,
        rng=configuration.seed,
        progress=progress,
    )


def _ranking(
    configuration: Configuration,
    ahead: Forecast,
    found: Potential | None,
    *,
    metrics: pd.DataFrame | None,
    progress: Progress,
) -> Ranking | None:
    section = configuration.ranking
    if not section.enabled or not ahead.plan.has_spend:
        return None
    return rank(
        ahead,
        potential=found,
        horizon=configuration.ranking_horizon,
        order_by=section.order_by,
        top_k=section.top_k,
        referral_credit=section.referral_credit,
        grading=configuration.grading_rules,
        metrics=metrics,
        draws=configuration.ranking_draws,
        progress=progress,
    )


def _spends(
    configuration: Configuration, ahead: Forecast, found: Potential | None, *, model: Model, progress: Progress
) -> tuple[AllowableSpend, ...]:
    """One allowable spend per basis. Failed bands do not stop it: the gate on the certificate holds the run then."""
    section = configuration.finance
    if not ahead.plan.has_spend:
        return ()
    return tuple(
        allowable_spend(
            ahead,
            horizon=configuration.spend_horizon,
            basis=basis,
            target_roi=section.target_roi,
            confidence=section.confidence,
            payback=section.payback,
            uplift=section.uplift(basis),
            potential=found if basis == GROW else None,
            model=model if basis == ACQUIRE else None,
            accept_failed=True,
            progress=progress,
        )
        for basis in section.bases
    )


def _cohorts(configuration: Configuration, inputs: Inputs, ahead: Forecast, *, progress: Progress) -> Cohorts | None:
    if not configuration.cohorts.enabled or not ahead.plan.has_spend:
        return None
    return cohorts(
        ahead,
        acquisition_cost=inputs.acquisition_cost,
        horizon=configuration.spend_horizon,
        target_roi=configuration.finance.target_roi,
        confidence=configuration.finance.confidence,
        accept_failed=True,
        progress=progress,
        **configuration.cohorts.options,
    )
