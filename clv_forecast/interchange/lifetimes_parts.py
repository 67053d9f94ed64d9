"""One fitter of lifetimes read as one part of a model: its likelihood stated again, its draws made here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import DomainError, FitError
from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE
from clv_forecast.inference.laplace import LaplacePosterior, asymptotic_draws, laplace_posterior
from clv_forecast.inference.maximum_likelihood import Optimum, hessian
from clv_forecast.inference.model import Model
from clv_forecast.inference.parameter_table import parameter_table
from clv_forecast.inference.problem import Problem, purchase_problem, spend_problem
from clv_forecast.inference.report import FitStatus, PartReport, diagnose
from clv_forecast.inference.storage import decode_model
from clv_forecast.inference.sufficient import compress, compress_spend
from clv_forecast.interchange.coordinates import GAMMA_GAMMA, free_coordinates, model_module, problem_without_data
from clv_forecast.interchange.imported_model import ImportedPart, correlation_frame

Floats = NDArray[np.float64]
ValueGradient = Callable[[Floats], tuple[float, Floats]]

NEAR: Final = 0.1  # standard errors off the maximum; the stopping rules of lifetimes stay well below
_SINGULAR: Final = 1e-12
ORIGIN: Final = "fitted_by_clv_forecast"
"""Attribute of a fitter that `to_lifetimes` made: the model in its saved form, and the estimates that it holds for."""
_UNKNOWN: Final = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawOptions:
    """How to draw: number, generator, and whether estimates off their maximum may pass."""

    draws: int
    generator: np.random.Generator
    allow_unconverged: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judgement:
    """What the estimates are worth, seen from the data."""

    optimum: Optimum
    status: FitStatus
    message: str
    covariance: Floats  # NaN where not identified
    condition: float


def import_fitter(fitter: Any, model: str, options: DrawOptions) -> ImportedPart:
    """Read a fitter: as the model it was made of, or with its data, or else from its variance matrix.

    Parameters
    ----------
    fitter : fitter of lifetimes
        Fitted.
    model : str
        Name of the model here.
    options : DrawOptions

    Returns
    -------
    ImportedPart

    Raises
    ------
    DomainError
        If a parameter is out of its domain, or ``q <= 1``.
    FitError
        If the estimates lie off their maximum, or there is nothing to draw from.
    """
    estimate = _estimate(fitter, model)
    own = own_model(fitter)
    if own is not None:
        return _taken_back(own, model, estimate, options)
    data = getattr(fitter, "data", None)
    if data is None:
        return _from_variance(fitter, model, estimate, options)
    return _from_data(fitter, model, estimate, data, options)


def own_model(fitter: Any) -> Model | None:
    """The model that `to_lifetimes` made a fitter of; None of other fitters, and once it was fitted again."""
    kept = getattr(fitter, ORIGIN, None)
    if kept is None or kept["params"] != fitter.params_.to_dict():
        return None
    return Model(**decode_model(*kept["model"]))


def _taken_back(own: Model, model: str, estimate: Any, options: DrawOptions) -> ImportedPart:
    """The part as it was. No likelihood of lifetimes is its judge: spend may have been fitted to single orders."""
    of_spend = model == GAMMA_GAMMA
    report = own.report.parts[int(of_spend)]
    if report.status is FitStatus.FAILED and not options.allow_unconverged:
        raise FitError(report.message, remedy="Fit again, or look at it with allow_unconverged=True.")
    problem = problem_without_data(model)
    draws = free_coordinates(problem, own.draws.spend if of_spend else own.draws.purchases)
    rows_of_spend = own.parameters["parameter"].eq(model_module(GAMMA_GAMMA).PARAMETERS[0]).cummax()
    return ImportedPart(
        problem=problem,
        estimate=estimate,
        draws=draws[np.arange(options.draws) * len(draws) // options.draws],
        report=report,
        table=own.parameters[rows_of_spend if of_spend else ~rows_of_spend],
        notes=(f"{model}: a fit of clv_forecast ({own.method}), given to lifetimes and taken back as it was.",),
    )


def _estimate(fitter: Any, model: str) -> Any:
    module = model_module(model)
    try:
        values = [float(fitter.params_[name]) for name in module.PARAMETERS]
    except (KeyError, TypeError, ValueError) as error:
        raise DomainError(
            f"A fitted {type(fitter).__name__} has the parameters {', '.join(module.PARAMETERS)}.",
            value=repr(fitter.params_),
        ) from error
    params = module.Params(*values)
    if model == GAMMA_GAMMA and float(params.q) <= 1.0:
        raise DomainError(
            "q must exceed 1: below, customers' mean spend has no finite mean.",
            value=float(params.q),
            remedy="Fit the spend here, where q stays above 1, or look for amounts of another kind in the data.",
        )
    return params


def _problem(model: str, data: pd.DataFrame) -> Problem:
    weights = data["weights"].to_numpy(dtype=np.float64) if "weights" in data else np.ones(len(data))
    frequency = data["frequency"].to_numpy(dtype=np.float64)
    if model == GAMMA_GAMMA:
        amounts = compress_spend(frequency, frequency * data["monetary_value"].to_numpy(dtype=np.float64))
        return spend_problem(replace(amounts, weights=np.bincount(amounts.row, weights)), orders=False)
    rows = compress(frequency, data["recency"], data["T"])
    return purchase_problem(model, replace(rows, weights=np.bincount(rows.row, weights)))


def _from_data(fitter: Any, model: str, estimate: Any, data: pd.DataFrame, options: DrawOptions) -> ImportedPart:
    problem = _problem(model, data)
    theta = free_coordinates(problem, estimate)
    coefficient = float(getattr(fitter, "penalizer_coef", 0.0))
    judgement = _judge(fitter, problem, theta, coefficient)
    if judgement.status is FitStatus.FAILED and not options.allow_unconverged:
        raise FitError(
            judgement.message,
            remedy="Fit here instead (clv.fit), or look at it with allow_unconverged=True.",
        )
    posterior = None
    if np.isfinite(judgement.covariance).all():
        draws, kind = asymptotic_draws(theta, judgement.covariance, options.draws, options.generator), ASYMPTOTIC
    else:
        posterior = laplace_posterior(problem, draws=options.draws, generator=options.generator, start=theta)
        draws, kind = posterior.draws, LAPLACE
    notes = [] if coefficient == 0.0 else [_penalty_note(model, coefficient)]
    if posterior is not None and not posterior.reliable:
        notes.append(f"{model}: the draws cannot be trusted, k-hat is {posterior.k_hat:.2f}.")
    return ImportedPart(
        problem=problem,
        estimate=estimate,
        draws=draws,
        report=_report(problem, theta, judgement, kind, posterior),
        table=parameter_table(problem, theta, judgement.covariance, draws=draws, kind=kind),
        notes=tuple(notes),
    )


def _judge(fitter: Any, problem: Problem, theta: Floats, coefficient: float) -> _Judgement:
    function = problem.value_gradient if coefficient == 0.0 else _penalised(fitter, problem, coefficient)
    value, gradient = function(theta)
    curvature = hessian(function, theta)
    optimum = Optimum(
        theta=theta,
        value=value,
        gradient=gradient,
        hessian=curvature,
        decrement=0.0,
        evaluations=1 + 2 * theta.size,
        fixed=np.zeros(theta.size, dtype=bool),
    )
    title = f"{problem.model}: estimates of lifetimes' {type(fitter).__name__}"
    eigenvalues = np.linalg.eigvalsh(-curvature)
    positive = bool(eigenvalues[0] > _SINGULAR * abs(eigenvalues[-1]))
    covariance = np.linalg.inv(-curvature) if positive else np.full_like(curvature, np.nan)
    distance = float(np.sqrt(gradient @ covariance @ gradient)) if positive else np.inf
    status, message = FitStatus.CONVERGED, ""
    if coefficient == 0.0:
        supremum, diagnosis = diagnose(problem, optimum)
        if diagnosis.status is not FitStatus.CONVERGED:
            status, message, covariance = diagnosis.status, f" {diagnosis.message}", diagnosis.covariance
        if diagnosis.status is FitStatus.BOUNDARY:  # no Newton step leads there, so what the likelihood loses
            distance = float(np.sqrt(2.0 * max(supremum.value - value, 0.0)))
    what = "likelihood" if coefficient == 0.0 else "penalised likelihood"
    where = f"{distance:.2g} standard errors off the maximum of the {what}"
    return _Judgement(
        optimum=optimum,
        status=status if distance <= NEAR else FitStatus.FAILED,
        message=f"{title}, {where if np.isfinite(distance) else f'at no maximum of the {what}'}.{message}",
        covariance=covariance,
        condition=float(eigenvalues[-1] / eigenvalues[0]) if positive else np.inf,
    )


def _penalised(fitter: Any, problem: Problem, coefficient: float) -> ValueGradient:
    """Maximise the sum that lifetimes does: log-likelihood minus a multiple of the squared parameters.

    It divides time by the largest T first, and the log-likelihood by the sum of the weights (by their mean in
    ParetoNBDFitter).
    """
    weights = fitter.data["weights"].to_numpy(dtype=np.float64) if "weights" in fitter.data else np.ones(1)
    total = float(weights.mean() if problem.model == "pareto_nbd" else weights.sum())
    longest = 1.0 if problem.model == GAMMA_GAMMA else float(fitter.data["T"].max())
    units = np.array([1.0 / longest if name in {"alpha", "beta"} else 1.0 for name in problem.parameters])

    def function(theta: Floats) -> tuple[float, Floats]:
        value, gradient = problem.value_gradient(theta)
        params = problem.constrain(theta)
        natural = units * np.array([float(getattr(params, name)) for name in problem.parameters])
        slope = 2.0 * (units[:, None] * problem.jacobian(theta)).T @ natural
        strength = coefficient * total
        return value - strength * float(natural @ natural), gradient - strength * slope

    return function


def _penalty_note(model: str, coefficient: float) -> str:
    return (
        f"{model}: lifetimes penalised this fit with {coefficient:g} times the sum of squared parameters, which pulls "
        "every parameter toward 0 and depends on the units; the estimates are kept, the draws follow the penalised "
        "likelihood, and log-likelihood, AIC and BIC are those of the likelihood alone."
    )


def _report(
    problem: Problem, theta: Floats, judgement: _Judgement, kind: str, posterior: LaplacePosterior | None
) -> PartReport:
    log_likelihood = problem.value_gradient(theta)[0] + problem.offset
    count = theta.size
    return PartReport(
        model=problem.model,
        status=judgement.status,
        message=judgement.message,
        log_likelihood=log_likelihood,
        aic=2.0 * count - 2.0 * log_likelihood,
        bic=float(count * np.log(problem.n_observations)) - 2.0 * log_likelihood,
        gradient_norm=float(np.linalg.norm(judgement.optimum.gradient)),
        condition=judgement.condition,
        evaluations=judgement.optimum.evaluations,
        n_customers=problem.n_observations,
        n_rows=problem.n_rows,
        correlations=correlation_frame(problem, judgement.covariance),
        draws_kind=kind,
        k_hat=None if posterior is None else posterior.k_hat,
    )


def _from_variance(fitter: Any, model: str, estimate: Any, options: DrawOptions) -> ImportedPart:
    problem = problem_without_data(model)
    theta = free_coordinates(problem, estimate)
    values = np.array([float(getattr(estimate, name)) for name in problem.parameters])
    logarithmic = _covariance_of_logarithms(fitter, values)
    inverse = np.linalg.inv(problem.jacobian(theta) / values[:, None])
    covariance = inverse @ logarithmic @ inverse.T
    eigenvalues = np.linalg.eigvalsh(covariance)
    if not eigenvalues[0] > _SINGULAR * eigenvalues[-1]:
        raise FitError(
            f"The variance matrix of {type(fitter).__name__} is not positive definite.",
            remedy="Fit here instead (clv.fit).",
        )
    draws = asymptotic_draws(theta, covariance, options.draws, options.generator)
    return ImportedPart(
        problem=problem,
        estimate=estimate,
        draws=draws,
        report=PartReport(
            model=model,
            status=FitStatus.CONVERGED,
            message=f"{model}: estimates of lifetimes' {type(fitter).__name__}, taken on trust.",
            log_likelihood=_UNKNOWN,
            aic=_UNKNOWN,
            bic=_UNKNOWN,
            gradient_norm=_UNKNOWN,
            condition=float(eigenvalues[-1] / eigenvalues[0]),
            evaluations=0,
            n_customers=0,
            n_rows=0,
            correlations=correlation_frame(problem, covariance),
            draws_kind=ASYMPTOTIC,
        ),
        table=parameter_table(problem, theta, covariance, draws=draws, kind=ASYMPTOTIC),
        notes=(
            f"{model}: the fitter was saved without its data, so the number of customers and the log-likelihood are "
            "unknown and convergence could not be checked; the draws come from its variance matrix, corrected off "
            "the diagonal.",
        ),
    )


def _covariance_of_logarithms(fitter: Any, values: Floats) -> Floats:
    """Undo the factor of lifetimes: ``params ** 2`` by column, or ``params`` on both sides if that is symmetric."""
    matrix = getattr(fitter, "variance_matrix_", None)
    if matrix is None:
        raise FitError(
            f"{type(fitter).__name__} has neither its data nor a variance matrix, so nothing can be drawn.",
            remedy="Save it with save_data=True, set fitter.data again, or fit here (clv.fit).",
        )
    given = np.asarray(matrix, dtype=np.float64)
    candidates = [given / np.outer(values, values), given / values**2]
    lopsided = [float(np.abs(matrix - matrix.T).max()) for matrix in candidates]
    best = candidates[int(np.argmin(lopsided))]
    return np.asarray((best + best.T) / 2.0)
