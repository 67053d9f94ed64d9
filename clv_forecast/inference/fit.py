"""`fit`: from a purchase history to a fitted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, FitError, InputError
from clv_forecast.inference.comparison import compare_siblings
from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE, ParameterDraws, params_of_draws
from clv_forecast.inference.faces import box
from clv_forecast.inference.laplace import LaplacePosterior, asymptotic_draws, laplace_posterior
from clv_forecast.inference.maximum_likelihood import Optimum, maximise
from clv_forecast.inference.model import Model
from clv_forecast.inference.outcome import distrust, outcome_message
from clv_forecast.inference.parameter_table import parameter_table
from clv_forecast.inference.problem import Problem, purchase_problem, spend_problem
from clv_forecast.inference.report import FitReport, PartReport
from clv_forecast.inference.spend_data import spend_data
from clv_forecast.inference.status import Diagnosis, FitStatus, diagnose
from clv_forecast.inference.sufficient import PurchaseRows, compress
from clv_forecast.models import gamma_gamma, transaction_model
from clv_forecast.progress import Progress, silent
from clv_forecast.streams import as_seed

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory

Floats = NDArray[np.float64]

METHODS: Final = ("mle", "laplace")
MINIMUM_REPEATERS: Final = 10
_PURCHASE_STREAM: Final = 1
_SPEND_STREAM: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """One fitted likelihood."""

    problem: Problem
    theta: Floats
    draws: Floats
    kind: str
    report: PartReport
    table: pd.DataFrame


def fit(
    history: PurchaseHistory,
    purchases: str = "bg_nbd",
    spend: str | None = "gamma_gamma",
    *,
    method: str = "mle",
    spend_from: str = "auto",
    groups: str | Sequence[str] = (),
    covariates: Sequence[str] = (),
    priors: Mapping[str, Any] | None = None,
    draws: int = 1000,
    rng: int | np.random.Generator = 1,
    compare: bool = True,
    allow_unconverged: bool = False,
    progress: Progress = silent,
) -> Model:
    """Fit a model of purchases, and of spend, to a purchase history.

    Parameters
    ----------
    history : PurchaseHistory
    purchases : str
        ``"bg_nbd"``, ``"mbg_nbd"`` or ``"pareto_nbd"``.
    spend : str or None
        ``"gamma_gamma"``, or None to fit purchases only. Fitted to single orders when the history knows their spread,
        to customers' means otherwise (the report says which).
    method : str
        ``"mle"``: maximum likelihood, draws from its asymptotic distribution (from the Laplace posterior where the
        optimum lies on a boundary or is not identified; the status says so). ``"laplace"``: the posterior under
        weakly informative priors scaled by the data.
    spend_from : str
        Amounts to learn from: ``"repeat"`` orders, ``"all"`` orders, or ``"repeat+first"``: parameters from repeat
        orders (future orders are such), each customer's own level from all of its orders. ``"auto"`` is the last where
        first orders are known: on CDNOW's holdout it ranks as well as ``"all"`` and covers as well as ``"repeat"``.
    groups, covariates, priors
        Belong to a hierarchical fit; refused by both methods.
    draws : int
        Number of equal-weight parameter draws, at least 100.
    rng : int or numpy Generator
        Seed of the draws; the same seed gives the same draws.
    compare : bool
        Also fit the sibling models and report how they compare.
    allow_unconverged : bool
        Return a model whose maximisation failed, with status FAILED, instead of raising.
    progress : Progress

    Returns
    -------
    Model

    Raises
    ------
    DomainError
        If ``history`` is something else, or an option is unknown or does not belong to the method.
    InputError
        If fewer than 10 customers bought again, or too few have an amount.
    FitError
        If the maximisation fails (unless ``allow_unconverged``), or the Laplace posterior cannot be trusted.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> model = fit(history, compare=False)
    >>> model.report.status.value
    'converged'
    >>> model.parameters["parameter"].tolist()[:4]
    ['r', 'alpha', 'a', 'b']
    """
    _check_history(history)
    _check_options(spend, method, groups, covariates, priors, draws)
    transactions = transaction_model(purchases)
    table, seed = history.table, as_seed(rng)
    rows = _purchase_rows(table)
    options = _Options(
        method=method,
        draws=draws,
        seed=seed,
        unit=history.unit,
        allow_unconverged=allow_unconverged,
        progress=progress,
    )
    bought = _fit_part(purchase_problem(purchases, rows), options, _PURCHASE_STREAM)
    amounts = None if spend is None else spend_data(table, spend_from)
    spent = None
    if amounts is not None:
        problem = spend_problem(amounts.rows, orders=amounts.level == "orders")
        spent = _fit_part(problem, options, _SPEND_STREAM)
    notes = () if amounts is None else amounts.notes
    alternatives = None
    if compare:
        siblings = compare_siblings(purchases, rows, bought.report.log_likelihood, seed=seed, progress=progress)
        alternatives, notes = siblings.table, (*siblings.notes, *notes)
    report = FitReport(
        purchases=bought.report,
        spend=None if spent is None else spent.report,
        n_customers=len(table),
        alternatives=alternatives,
        notes=notes,
    )
    return Model(
        purchases=purchases,
        spend=spend,
        method=method,
        parameters=pd.concat([part.table for part in (bought, spent) if part is not None], ignore_index=True),
        estimate=bought.problem.constrain(bought.theta),
        spend_estimate=None if spent is None else spent.problem.constrain(spent.theta),
        report=report,
        draws=_parameter_draws(transactions, bought, spent),
        unit=history.unit,
        currency=history.currency,
        as_of=history.as_of,
        spend_from=None if amounts is None else amounts.spend_from,
        spend_level=None if amounts is None else amounts.level,
        time_scale=bought.problem.scale,
        money_scale=None if spent is None else spent.problem.scale,
        seed=seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    method: str
    draws: int
    seed: int
    unit: str
    allow_unconverged: bool
    progress: Progress


def _check_history(history: Any) -> None:
    """Refuse what lacks the parts of a history that a fit reads, such as its bare table, or a model."""
    table = getattr(history, "table", None)
    needed = {columns.FREQUENCY, columns.RECENCY, columns.T}
    parts = all(hasattr(history, name) for name in ("unit", "currency", "as_of"))
    if not parts or not isinstance(table, pd.DataFrame) or not needed <= set(table.columns):
        raise DomainError(
            "fit takes a PurchaseHistory (from purchase_history or history_from_summary).",
            value=type(history).__name__,
        )


def _check_options(
    spend: str | None,
    method: str,
    groups: str | Sequence[str],
    covariates: Sequence[str],
    priors: Mapping[str, Any] | None,
    draws: int,
) -> None:
    if method not in METHODS:
        raise DomainError(f"method must be one of {', '.join(METHODS)}.", value=repr(method))
    for name, value in (("groups", groups), ("covariates", covariates), ("priors", priors)):
        if value:
            raise DomainError(
                f"{name} belong to a hierarchical fit, which method='{method}' is not.",
                value=repr(value),
                remedy=f"Leave {name} out.",
            )
    if spend not in (None, "gamma_gamma"):
        raise DomainError("spend must be 'gamma_gamma' or None.", value=repr(spend))
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 100:
        raise DomainError("draws must be an integer of at least 100.", value=repr(draws))


def _purchase_rows(table: pd.DataFrame) -> PurchaseRows:
    repeaters = int((table[columns.FREQUENCY] > 0).sum())
    if repeaters < MINIMUM_REPEATERS:
        raise InputError(
            "No customer has bought a second time, so neither rate nor dropout can be learned."
            if repeaters == 0
            else f"A fit needs at least {MINIMUM_REPEATERS} customers who bought again.",
            value=f"{repeaters} of {len(table)} customers",
            remedy="Observe longer, or check whether customer ids change from order to order.",
        )
    return compress(table[columns.FREQUENCY], table[columns.RECENCY], table[columns.T])


def _fit_part(problem: Problem, options: _Options, stream: int) -> _Part:
    lower, upper = box(problem.coordinates)
    free = maximise(problem.value_gradient, problem.starts, lower=lower, upper=upper)
    optimum, diagnosis = diagnose(problem, free)
    if diagnosis.status is FitStatus.FAILED and not options.allow_unconverged:
        raise FitError(
            f"The fit did not converge: {diagnosis.message}",
            remedy="Try a sibling model or look at the audit; allow_unconverged=True returns it for inspection.",
        )
    generator = np.random.default_rng([options.seed, stream])
    theta, covariance, posterior = optimum.theta, diagnosis.covariance, None
    if options.method == "mle" and diagnosis.status is FitStatus.CONVERGED:
        draws, kind = asymptotic_draws(theta, covariance, options.draws, generator), ASYMPTOTIC
    else:
        posterior = laplace_posterior(
            problem, draws=options.draws, generator=generator, start=theta, progress=options.progress
        )
        draws, kind = posterior.draws, LAPLACE
    message = outcome_message(problem, diagnosis, draws, method=options.method, unit=options.unit)
    if posterior is not None and not posterior.reliable:
        message = _refuse_or_warn(problem, message, posterior, diagnosis.status, options)
    failed = diagnosis.status is FitStatus.FAILED
    bayesian = options.method == "laplace"
    if bayesian and posterior is not None:
        theta = posterior.mode.theta
    return _Part(
        problem=problem,
        theta=theta,
        draws=draws,
        kind=kind,
        report=_part_report(problem, optimum, diagnosis, message, free.evaluations, kind, posterior),
        table=parameter_table(problem, theta, covariance, draws=draws, kind=kind, bayesian=bayesian, failed=failed),
    )


def _refuse_or_warn(
    problem: Problem, message: str, posterior: LaplacePosterior, status: FitStatus, options: _Options
) -> str:
    """Put what k-hat says about the draws into the message; refuse a posterior that was asked for and is no good."""
    warning = distrust(posterior, status, method=options.method)
    if options.method == "laplace" and not options.allow_unconverged:
        raise FitError(f"{problem.model}: {warning}")
    return f"{message} {warning}"


def _part_report(
    problem: Problem,
    optimum: Optimum,
    diagnosis: Diagnosis,
    message: str,
    evaluations: int,
    kind: str,
    posterior: LaplacePosterior | None,
) -> PartReport:
    log_likelihood = optimum.value + problem.offset
    count = len(problem.coordinates)
    deviations = np.sqrt(np.diag(diagnosis.covariance))
    correlations = diagnosis.covariance / np.outer(deviations, deviations)
    if posterior is not None:
        evaluations += posterior.mode.evaluations
    return PartReport(
        model=problem.model,
        status=diagnosis.status,
        message=message,
        log_likelihood=log_likelihood,
        aic=2.0 * count - 2.0 * log_likelihood,
        bic=float(count * np.log(problem.n_observations)) - 2.0 * log_likelihood,
        gradient_norm=float(np.linalg.norm(optimum.gradient[~optimum.fixed])),
        condition=diagnosis.condition,
        evaluations=evaluations + diagnosis.evaluations,
        n_customers=problem.n_observations,
        n_rows=problem.n_rows,
        correlations=pd.DataFrame(correlations, index=problem.coordinates, columns=problem.coordinates),
        draws_kind=kind,
        k_hat=None if posterior is None else posterior.k_hat,
    )


def _parameter_draws(transactions: Any, bought: _Part, spent: _Part | None) -> ParameterDraws:
    drawn = bought.problem.constrain(bought.draws)
    spend = None
    if spent is not None:
        params = spent.problem.constrain(spent.draws)
        spend = params_of_draws(gamma_gamma.Params, [getattr(params, n) for n in gamma_gamma.PARAMETERS])
    return ParameterDraws(
        purchases=params_of_draws(transactions.Params, [getattr(drawn, n) for n in transactions.PARAMETERS]),
        spend=spend,
        kind=bought.kind,
        spend_kind=None if spent is None else spent.kind,
    )
