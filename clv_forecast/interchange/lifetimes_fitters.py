"""Fitted models of lifetimes, in and out.

One fitter of lifetimes read as one part of a model: its likelihood stated again, its draws made here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

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
from clv_forecast.inference.storage import decode_model, encode_model
from clv_forecast.inference.sufficient import compress, compress_spend
from clv_forecast.interchange.imported_model import (
    GAMMA_GAMMA,
    PURCHASE_STREAM,
    SPEND_STREAM,
    ImportedPart,
    Setting,
    build_model,
    check_setting,
    correlation_frame,
    free_coordinates,
    model_module,
    problem_without_data,
)
from clv_forecast.interchange.lifetimes_tables import summary_to_lifetimes
from clv_forecast.models import TRANSACTION_MODELS
from clv_forecast.streams import as_seed

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory


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
        return _taken_back(own, model, estimate, options=options)
    data = getattr(fitter, "data", None)
    if data is None:
        return _from_variance(fitter, model, estimate, options=options)
    return _from_data(fitter, model, estimate, data=data, options=options)


def own_model(fitter: Any) -> Model | None:
    """The model that `to_lifetimes` made a fitter of; None of other fitters, and once it was fitted again."""
    kept = getattr(fitter, ORIGIN, None)
    if kept is None or kept["params"] != fitter.params_.to_dict():
        return None
    return Model(**decode_model(*kept["model"]))


def _taken_back(own: Model, model: str, estimate: Any, *, options: DrawOptions) -> ImportedPart:
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


def _from_data(fitter: Any, model: str, estimate: Any, *, data: pd.DataFrame, options: DrawOptions) -> ImportedPart:
    problem = _problem(model, data)
    theta = free_coordinates(problem, estimate)
    coefficient = float(getattr(fitter, "penalizer_coef", 0.0))
    judgement = _judge(fitter, problem, theta, coefficient=coefficient)
    if judgement.status is FitStatus.FAILED and not options.allow_unconverged:
        raise FitError(
            judgement.message,
            remedy="Fit here instead (clv.fit), or look at it with allow_unconverged=True.",
        )
    posterior = None
    if np.isfinite(judgement.covariance).all():
        draws, kind = (
            asymptotic_draws(theta, judgement.covariance, options.draws, generator=options.generator),
            ASYMPTOTIC,
        )
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
        report=_report(problem, theta, judgement, kind=kind, posterior=posterior),
        table=parameter_table(problem, theta, judgement.covariance, draws=draws, kind=kind),
        notes=tuple(notes),
    )


def _judge(fitter: Any, problem: Problem, theta: Floats, *, coefficient: float) -> _Judgement:
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
    timed = TRANSACTION_MODELS[problem.model].TIME_PARAMETERS if problem.model in TRANSACTION_MODELS else ()
    units = np.array([1.0 / longest if name in timed else 1.0 for name in problem.parameters])

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
    problem: Problem, theta: Floats, judgement: _Judgement, *, kind: str, posterior: LaplacePosterior | None
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


def _from_variance(fitter: Any, model: str, estimate: Any, *, options: DrawOptions) -> ImportedPart:
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
    draws = asymptotic_draws(theta, covariance, options.draws, generator=options.generator)
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


METHOD: Final = "lifetimes"
FITTERS: Final[dict[str, str]] = {
    "BetaGeoFitter": "bg_nbd",
    "ModifiedBetaGeoFitter": "mbg_nbd",
    "ParetoNBDFitter": "pareto_nbd",
}
SPEND_FITTERS: Final[dict[str, str]] = {"GammaGammaFitter": GAMMA_GAMMA}


def from_lifetimes(
    purchases_fitter: Any,
    spend_fitter: Any = None,
    *,
    unit: str,
    as_of: Any,
    currency: str | None = None,
    spend_from: str = "repeat",
    draws: int = 1000,
    rng: int | np.random.Generator = 1,
    allow_unconverged: bool = False,
) -> Model:
    """Take over fitted models of lifetimes: their estimates as they are, with draws that can be trusted.

    Parameters
    ----------
    purchases_fitter : BetaGeoFitter, ModifiedBetaGeoFitter or ParetoNBDFitter
        Fitted. Recognised by the name of its class, so lifetimes is not imported.
    spend_fitter : GammaGammaFitter, optional
    unit : {"hour", "day", "week", "month", "year"}
        Unit of the recency and T it was fitted to. It has to be named: lifetimes does not know it.
    as_of : date, Timestamp or ISO text
        Day up to which T was counted.
    currency : str, optional
    spend_from : {"repeat", "all"}
        Whether ``monetary_value`` averages repeat orders, as lifetimes makes it, or all of them.
    draws : int
        Number of parameter draws.
    rng : int or numpy Generator
        Seed of the draws.
    allow_unconverged : bool
        Take parameters that lie off the maximum of their likelihood, with status FAILED, instead of raising.

    Returns
    -------
    Model
        ``method`` is ``"lifetimes"``. A penalised fit keeps its penalised estimates, and the report says so. A fitter
        that `to_lifetimes` made gives its part of the model back as it was, wherever its estimates lie: parameters,
        standard errors, report and draws (thinned or repeated to ``draws``), until it is fitted again or changed.

    Raises
    ------
    DomainError
        If a fitter is of another class or was not fitted, or an option is out of its domain; if ``q <= 1``, where mean
        spend is infinite (lifetimes then predicts negative money); if ``unit`` is not that of the model given to it.
    FitError
        If the estimates lie more than a tenth of a standard error off the maximum, or are those of a fit here that had
        failed (unless ``allow_unconverged``), or the fitter was saved without its data and has no variance matrix
        either.

    Notes
    -----
    The covariance comes from the fitter's data, with the analytic gradient here: that of lifetimes is right on its
    diagonal only, because the inverse Hessian in the logarithms is multiplied by ``params_ ** 2`` column by column
    instead of by ``params_`` on both sides. Without data the factor is undone. The Pareto/NBD fitter of lifetimes
    has no variance matrix at all.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     from lifetimes import BetaGeoFitter
    ...     rng = np.random.default_rng(1)
    ...     gaps = rng.exponential(1 / rng.gamma(1.0, 0.1, size=(300, 1)), size=(300, 60)).cumsum(axis=1)
    ...     kept = np.minimum((gaps < 50.0).sum(axis=1), rng.geometric(rng.beta(1.0, 3.0, size=300)))
    ...     recency = np.where(kept > 0, gaps[np.arange(300), kept - 1], 0.0)
    ...     fitter = BetaGeoFitter().fit(kept, recency, np.full(300, 50.0))
    >>> model = from_lifetimes(fitter, unit="week", as_of="1997-09-30")
    >>> model.purchases, model.report.status.value, model.draws.n_draws
    ('bg_nbd', 'converged', 1000)
    >>> bool(model.estimate.r == fitter.params_["r"])
    True
    """
    setting = Setting(unit=unit, as_of=as_of, currency=currency, spend_from=spend_from, draws=draws)
    check_setting(setting)
    name = _recognise(purchases_fitter, FITTERS, "purchases_fitter")
    spend = None if spend_fitter is None else _recognise(spend_fitter, SPEND_FITTERS, "spend_fitter")
    seed = as_seed(rng)

    def options(stream: int) -> DrawOptions:
        generator = np.random.default_rng([seed, stream])
        return DrawOptions(draws=draws, generator=generator, allow_unconverged=allow_unconverged)

    bought = import_fitter(purchases_fitter, name, options(PURCHASE_STREAM))
    spent = None if spend is None else import_fitter(spend_fitter, spend, options(SPEND_STREAM))
    for fitter in (purchases_fitter, spend_fitter):
        own = own_model(fitter)
        if own is not None and own.unit != unit:
            raise DomainError(f"The fitter was made of a model per {own.unit}.", value=f"unit={unit!r}")
        if own is not None and fitter is spend_fitter:
            level = own.spend_level or setting.spend_level
            setting = replace(setting, spend_from=own.spend_from or setting.spend_from, spend_level=level)
    return build_model(bought, spent, setting, method=METHOD, seed=seed)


def to_lifetimes(model: Model, history: PurchaseHistory | None = None) -> tuple[Any, Any | None]:
    """Make fitters of lifetimes from a model: the estimates, and what predictions and summaries need.

    Parameters
    ----------
    model : Model
    history : PurchaseHistory, optional
        Attached as ``fitter.data``, which the plots of lifetimes read (and `from_lifetimes`, on the way back).

    Returns
    -------
    purchases_fitter : BetaGeoFitter, ModifiedBetaGeoFitter or ParetoNBDFitter
    spend_fitter : GammaGammaFitter or None
        Both with ``params_``, ``predict`` (purchases), ``variance_matrix_``, ``standard_errors_``,
        ``confidence_intervals_``. The variance matrix is that of the draws, right off its diagonal too.

    Raises
    ------
    DomainError
        If the history's unit is not the model's, or the model has groups or covariates.

    Notes
    -----
    Times of the fitter are in ``model.unit``, which lifetimes will not know: in ``customer_lifetime_value`` say
    ``freq="W"`` for weeks and ``freq="D"`` for days; its default is days. Do not pickle a fitter to keep a model:
    ``model.save`` does it without.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> from clv_forecast.inference.fit import fit
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> model = fit(history, spend=None, compare=False)
    >>> fitter, spend_fitter = to_lifetimes(model, history)
    >>> type(fitter).__name__, len(fitter.data) == len(history.table)
    ('BetaGeoFitter', True)
    >>> float(fitter.predict(39.0, 2, 30.43, 38.86).round(1))
    1.2
    """
    if model.draws.hierarchy is not None:
        structure = model.draws.hierarchy.structure
        raise DomainError(
            "A fitter of lifetimes has the same parameters for everyone.",
            value=f"a model by {', '.join(term.name for term in (*structure.groups, *structure.covariates))}",
            remedy="Give it a model without groups and covariates.",
        )
    table = None if history is None else _table_for(model, history)
    module = model_module(model.purchases)
    fitter = _empty_fitter(next(label for label, known in FITTERS.items() if known == model.purchases))
    _fill(fitter, module.PARAMETERS, model.estimate, draws=model.draws.purchases)
    setattr(fitter, ORIGIN, {"params": fitter.params_.to_dict(), "model": encode_model(model)})
    fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    if table is not None:
        fitter.data = table[["frequency", "recency", "T"]].assign(weights=1)
    if model.spend is None:
        return fitter, None
    spender = _empty_fitter("GammaGammaFitter")
    _fill(spender, model_module(GAMMA_GAMMA).PARAMETERS, model.spend_estimate, draws=model.draws.spend)
    setattr(spender, ORIGIN, {"params": spender.params_.to_dict(), "model": encode_model(model)})
    if table is not None:
        repeaters = table[table["frequency"] > 0]
        spender.data = repeaters[["monetary_value", "frequency"]].assign(weights=1)
    return fitter, spender


def _recognise(fitter: Any, known: dict[str, str], argument: str) -> str:
    label = type(fitter).__name__
    if label not in known:
        raise DomainError(f"{argument} must be a fitted {' or '.join(known)} of lifetimes.", value=label)
    if getattr(fitter, "params_", None) is None:
        raise DomainError(f"{argument} must be fitted.", value=label, remedy="Call its fit method first.")
    return known[label]


def _table_for(model: Model, history: PurchaseHistory) -> pd.DataFrame:
    if history.unit != model.unit:
        raise DomainError(
            "A fitter's data must be in the unit of its parameters.",
            value=f"a history in {history.unit}s and a model per {model.unit}",
            remedy=f"Make the history with unit='{model.unit}'.",
        )
    return summary_to_lifetimes(history)


def _empty_fitter(label: str) -> Any:
    with warnings.catch_warnings():  # its import sets an option that pandas deprecates, and filters of its own
        warnings.simplefilter("ignore")
        import lifetimes
    return getattr(lifetimes, label)(penalizer_coef=0.0)


def _fill(fitter: Any, parameters: tuple[str, ...], estimate: Any, *, draws: Any) -> None:
    values = np.array([float(getattr(estimate, name)) for name in parameters])
    fitter.params_ = pd.Series(values, index=list(parameters))
    logarithms = np.log(np.column_stack([np.asarray(getattr(draws, name)).ravel() for name in parameters]))
    covariance = np.atleast_2d(np.cov(logarithms, rowvar=False)) * np.outer(values, values)
    errors = pd.Series(np.sqrt(np.diag(covariance)), index=list(parameters))
    fitter.variance_matrix_ = pd.DataFrame(covariance, index=list(parameters), columns=list(parameters))
    fitter.standard_errors_ = errors
    fitter.confidence_intervals_ = pd.DataFrame(
        {
            "lower 95% bound": fitter.params_ - 1.96 * errors,
            "upper 95% bound": fitter.params_ + 1.96 * errors,
        }
    )
