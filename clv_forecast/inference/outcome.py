"""The message of a fit: what the data say of the optimum, what the numbers are instead, and what may be done."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.laplace import LaplacePosterior
from clv_forecast.inference.parameter_table import INTERVAL_PROB, derived_quantity
from clv_forecast.inference.problem import Problem
from clv_forecast.inference.status import LEFT_OUT, POSTERIOR_STANDS_IN, Diagnosis, FitStatus

Floats = NDArray[np.float64]

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
    told = _unidentified(problem, diagnosis, draws, unit)
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


def _unidentified(problem: Problem, diagnosis: Diagnosis, draws: Floats, unit: str) -> list[str]:
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
