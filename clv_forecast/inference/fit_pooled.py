"""One pooled likelihood, by maximum likelihood or by its Laplace posterior."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE, params_of_draws
from clv_forecast.inference.faces import box
from clv_forecast.inference.fitted_part import FittedPart
from clv_forecast.inference.hierarchical.priors import PartPriors
from clv_forecast.inference.laplace import LaplacePosterior, asymptotic_draws, laplace_posterior
from clv_forecast.inference.maximum_likelihood import Optimum, maximise
from clv_forecast.inference.outcome import distrust, outcome_message
from clv_forecast.inference.parameter_table import parameter_table
from clv_forecast.inference.problem import Problem
from clv_forecast.inference.report import PartReport
from clv_forecast.inference.status import Diagnosis, FitStatus, diagnose
from clv_forecast.progress import Progress

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledOptions:
    """How to fit: ``method`` is ``"mle"`` or ``"laplace"``; the others are those of ``fit``.

    ``start`` holds the parameters to start from, in the user's units; None starts from the data alone.
    """

    method: str
    draws: int
    seed: int
    unit: str
    progress: Progress
    start: Any | None = None


def fit_pooled(problem: Problem, priors: PartPriors, options: PooledOptions, *, stream: int) -> FittedPart:
    """Fit one likelihood with one set of parameters for everyone.

    Parameters
    ----------
    problem : Problem
    priors : PartPriors
        In the scaled data of the problem.
    options : PooledOptions
    stream : int
        Of the random numbers, with the seed.

    Returns
    -------
    FittedPart
        With a ``refusal`` where the maximisation failed, or the Laplace posterior cannot be trusted.
    """
    problem = replace(problem, prior_location=priors.location, prior_scale=priors.scale)
    lower, upper = box(problem.coordinates)
    free, optimum, diagnosis = _maximum(problem, options.start, lower, upper)
    refusal = None
    if diagnosis.status is FitStatus.FAILED:
        refusal = FitError(
            f"The fit did not converge: {diagnosis.message}",
            remedy="Try a sibling model or look at the audit. The error has the model, for inspection.",
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
        warning = distrust(posterior, diagnosis.status, method=options.method)
        message = f"{message} {warning}"
        if options.method == "laplace" and refusal is None:
            refusal = FitError(f"{problem.model}: {warning}", remedy="The error has the model, for inspection.")
    failed = diagnosis.status is FitStatus.FAILED
    status = diagnosis.status if refusal is None else FitStatus.FAILED
    bayesian = options.method == "laplace"
    if bayesian and posterior is not None:
        theta = posterior.mode.theta
    natural = problem.constrain(draws)
    return FittedPart(
        model=problem.model,
        scale=problem.scale,
        estimate=problem.constrain(theta),
        draws=params_of_draws(type(natural), [getattr(natural, name) for name in problem.parameters]),
        kind=kind,
        report=replace(
            _part_report(problem, optimum, diagnosis, message, free.evaluations, kind, posterior), status=status
        ),
        table=parameter_table(problem, theta, covariance, draws=draws, kind=kind, bayesian=bayesian, failed=failed),
        priors=priors,
        refusal=refusal,
    )


def _maximum(problem: Problem, start: Any | None, lower: Floats, upper: Floats) -> tuple[Optimum, Optimum, Diagnosis]:
    """The free maximum, and what it is worth; where the given start does not lead to an interior one, from all starts.

    Newton steps finish both ways, so that they end in the same place.
    """
    warm = None if start is None else problem.unconstrain(start)
    if warm is not None and np.isfinite(warm).all() and ((lower < warm) & (warm < upper)).all():
        free = maximise(problem.value_gradient, [warm], lower=lower, upper=upper)
        optimum, diagnosis = diagnose(problem, free)
        if diagnosis.status is FitStatus.CONVERGED:
            return free, optimum, diagnosis
    free = maximise(problem.value_gradient, problem.starts, lower=lower, upper=upper)
    return free, *diagnose(problem, free)


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
