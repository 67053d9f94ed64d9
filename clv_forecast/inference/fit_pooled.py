"""One pooled likelihood, by maximum likelihood or by its Laplace posterior.

The message of a fit: what the data say of the optimum, what the numbers are instead, and what may be done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE, params_of_draws
from clv_forecast.inference.fitted_part import FittedPart
from clv_forecast.inference.hierarchical.priors import PartPriors
from clv_forecast.inference.laplace import LaplacePosterior, asymptotic_draws, laplace_posterior
from clv_forecast.inference.maximum_likelihood import Optimum, box, maximise
from clv_forecast.inference.parameter_table import INTERVAL_PROB, derived_quantity, parameter_table
from clv_forecast.inference.problem import Problem
from clv_forecast.inference.report import LEFT_OUT, POSTERIOR_STANDS_IN, Diagnosis, FitStatus, PartReport, diagnose
from clv_forecast.progress import Progress

_POSTERIOR_ASKED_FOR: Final = "estimates, errors, draws and forecasts are the posterior's under the default priors"


def outcome_message(problem: Problem, diagnosis: Diagnosis, draws: Floats, *, method: str, unit: str) -> str:
    """Say how a fit ended and what its draws are.

    Parameters
    ----------
    problem : Problem
    diagnosis : Diagnosis
        Of the maximum of the likelihood.
    draws : ndarray, shape (draw, k)
        In the unconstrained coordinates.
    method : str
        ``"mle"`` or ``"laplace"``.
    unit : str
        Time unit of the history.

    Returns
    -------
    str
        With median and 95 % interval of what the data do not identify, where it has a meaning by itself.
    """
    if diagnosis.status is FitStatus.CONVERGED:
        return f"{diagnosis.finding}."
    if diagnosis.status is FitStatus.FAILED:
        return f"{diagnosis.finding}. The draws come from the posterior under the default priors."
    told = _unidentified(problem, diagnosis, draws, unit=unit)
    if method == "laplace":
        return f"{diagnosis.finding}; {', '.join([_POSTERIOR_ASKED_FOR, *told])}."
    return f"{diagnosis.finding}; {', '.join([POSTERIOR_STANDS_IN, *told])}. {LEFT_OUT}"


def distrust(posterior: LaplacePosterior, status: FitStatus, *, method: str) -> str:
    """Say that k-hat is too high, and what one can do that exists.

    Parameters
    ----------
    posterior : LaplacePosterior
        With a k-hat above its threshold.
    status : FitStatus
        Of the maximum of the likelihood: only an interior one has asymptotic draws.
    method : str
        ``"mle"`` or ``"laplace"``.
    """
    advice = "Use more customers or a longer observation."
    if method == "laplace" and status is FitStatus.CONVERGED:
        advice += " method='mle' draws from the asymptotic distribution at the interior optimum instead."
    if method != "laplace":
        advice += " The estimate of the model is the maximum and does not rest on the draws."
    k_hat, threshold = posterior.k_hat, posterior.k_threshold
    return f"The draws cannot be trusted: k-hat {k_hat:.2f} is not below {threshold:.2f}. {advice}"


def _unidentified(problem: Problem, diagnosis: Diagnosis, draws: Floats, *, unit: str) -> list[str]:
    told = []
    for index in np.flatnonzero(~diagnosis.identified):
        quantity = derived_quantity(problem, int(index), draws[:, index])
        if quantity is None:
            continue
        name, values = quantity
        middle, *ends = np.quantile(values, [0.5, 0.5 - INTERVAL_PROB / 2.0, 0.5 + INTERVAL_PROB / 2.0])
        title = name.replace("_", " ")
        if name.endswith("probability"):
            told.append(f"{title} {_percent(middle)} ({_percent(ends[0])} to {_percent(ends[1])})")
        else:
            per = f" per {unit}" if name.endswith("rate") else ""
            told.append(f"{title} {middle:.2g} ({ends[0]:.2g} to {ends[1]:.2g}){per}")
    return told


def _percent(share: float) -> str:
    return f"{100.0 * share:{'.1f' if share >= 5e-4 else '.1g'}} %"


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
    free, optimum, diagnosis = _maximum(problem, options.start, lower, upper=upper)
    refusal = None
    if diagnosis.status is FitStatus.FAILED:
        refusal = FitError(
            f"The fit did not converge: {diagnosis.message}",
            remedy="Try a sibling model or look at the audit. The error has the model, for inspection.",
        )
    generator = np.random.default_rng([options.seed, stream])
    theta, covariance, posterior = optimum.theta, diagnosis.covariance, None
    if options.method == "mle" and diagnosis.status is FitStatus.CONVERGED:
        draws, kind = asymptotic_draws(theta, covariance, options.draws, generator=generator), ASYMPTOTIC
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
            _part_report(
                problem,
                optimum,
                diagnosis,
                message=message,
                evaluations=free.evaluations,
                kind=kind,
                posterior=posterior,
            ),
            status=status,
        ),
        table=parameter_table(problem, theta, covariance, draws=draws, kind=kind, bayesian=bayesian, failed=failed),
        priors=priors,
        refusal=refusal,
    )


def _maximum(
    problem: Problem, start: Any | None, lower: Floats, *, upper: Floats
) -> tuple[Optimum, Optimum, Diagnosis]:
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
    *,
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
