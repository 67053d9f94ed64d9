"""Posterior draws of pymc-marketing, in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.inference.draws import POINT, POSTERIOR
from clv_forecast.inference.hierarchical.chains import BROKEN_R_HAT
from clv_forecast.inference.model import Model
from clv_forecast.inference.parameter_table import parameter_table
from clv_forecast.inference.report import FitStatus, PartReport
from clv_forecast.interchange.imported_model import (
    GAMMA_GAMMA,
    ImportedPart,
    Setting,
    build_model,
    check_setting,
    correlation_frame,
    free_coordinates,
    model_module,
    problem_without_data,
)

Floats = NDArray[np.float64]

METHOD: Final = "pymc-marketing"
R_HAT_LIMIT: Final = 1.01
ESS_LIMIT: Final = 400.0
_SAMPLE_DIMENSIONS: Final = ("chain", "draw")
_UNKNOWN: Final = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Draws:
    """Draws of one result: each parameter of shape (chain, draw), and how many customers were fitted (0: unknown)."""

    model: str
    columns: dict[str, Floats]
    n_customers: int

    @property
    def size(self) -> int:
        return next(iter(self.columns.values())).size


def from_pymc_marketing(
    purchases_result: Any,
    spend_result: Any = None,
    *,
    model: str = "bg_nbd",
    unit: str,
    as_of: Any,
    currency: str | None = None,
    spend_from: str = "repeat",
    draws: int = 1000,
) -> Model:
    """Take over posterior draws of pymc-marketing: everything after the fit works on them as on draws made here.

    Parameters
    ----------
    purchases_result : DataTree, InferenceData, Dataset, or a fitted model of pymc-marketing
        Result of a BetaGeoModel, ModifiedBetaGeoModel or ParetoNBDModel: what its ``fit`` returned, or its
        ``posterior`` group, with dimensions (chain, draw).
    spend_result : the same, optional
        Result of a GammaGammaModel (or GammaGammaModelIndividual).
    model : {"bg_nbd", "mbg_nbd", "pareto_nbd"}
        Which model it was: the variables of the first two have the same names.
    unit : {"hour", "day", "week", "month", "year"}
        Unit of the recency and T it was fitted to.
    as_of : date, Timestamp or ISO text
        Day up to which T was counted.
    currency : str, optional
    spend_from : {"repeat", "all"}
        Whether ``monetary_value`` averages repeat orders or all of them.
    draws : int
        At most so many draws are kept, evenly spaced over the chains, one after the other.

    Returns
    -------
    Model
        ``method`` is ``"pymc-marketing"``, the kind of its draws ``"posterior"`` (``"point estimate"`` for a MAP fit);
        ``estimate`` is their centre: the mean in the free coordinates (logarithms, a logit).

    Raises
    ------
    DomainError
        If a variable is missing, varies by customer (covariates) or by group, or is not finite and positive; if a
        draw has ``q <= 1``, where mean spend is infinite.

    Notes
    -----
    The draws of the two results are independent, so they are paired as they come; the shorter one is repeated.
    R-hat above 1.01 gives status NEARLY_CONVERGED, above 1.05 FAILED, a bulk effective sample size below 400 a note.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> rng = np.random.default_rng(1)
    >>> truth = {"r": 0.24, "alpha": 4.4, "a": 0.8, "b": 2.4}
    >>> noise = {name: np.exp(0.1 * rng.normal(size=(4, 500))) for name in truth}
    >>> posterior = xr.Dataset({name: (("chain", "draw"), truth[name] * noise[name]) for name in truth})
    >>> imported = from_pymc_marketing(posterior, unit="week", as_of="1997-09-30", draws=400)
    >>> imported.draws.n_draws, imported.draws.kind, imported.report.status.value
    (400, 'posterior', 'converged')
    """
    setting = Setting(unit=unit, as_of=as_of, currency=currency, spend_from=spend_from, draws=draws)
    check_setting(setting)
    results = [_read(purchases_result, model, "purchases_result")]
    if spend_result is not None:
        results.append(_read(spend_result, GAMMA_GAMMA, "spend_result"))
    count = min(draws, max(result.size for result in results))
    parts = [_part(result, count) for result in results]
    return build_model(parts[0], parts[1] if len(parts) > 1 else None, setting, method=METHOD, seed=0)


def _read(result: Any, model: str, argument: str) -> _Draws:
    posterior = _posterior(result, argument)
    parameters: Sequence[str] = model_module(model).PARAMETERS
    effects = [str(name) for name in posterior.data_vars if "_coefficient" in str(name)]
    if effects:
        raise DomainError(
            f"{argument} must be fitted without covariates: its parameters differ from customer to customer.",
            value=", ".join(effects),
            remedy="Fit the model with its covariates here, or without them there.",
        )
    if "a" in parameters and not {"a", "b"} <= set(posterior) and {"phi_dropout", "kappa_dropout"} <= set(posterior):
        share, total = posterior["phi_dropout"], posterior["kappa_dropout"]
        posterior = posterior.assign(a=share * total, b=(1.0 - share) * total)
    missing = [name for name in parameters if name not in posterior]
    if missing:
        raise DomainError(
            f"{argument} must have the variables {', '.join(parameters)}, for model='{model}'.",
            value=f"{', '.join(map(str, posterior.data_vars))}; missing: {', '.join(missing)}",
        )
    columns = {name: _column(posterior[name], name, argument) for name in parameters}
    if model == GAMMA_GAMMA and (columns["q"] <= 1.0).any():
        raise DomainError(
            "Every draw of q must exceed 1: below, customers' mean spend has no finite mean.",
            value=f"{int((columns['q'] <= 1.0).sum())} of {columns['q'].size} draws at or below 1",
            remedy="Give q a prior above 1 there, or fit the spend here.",
        )
    return _Draws(model=model, columns=columns, n_customers=_customers(result))


def _posterior(result: Any, argument: str) -> Any:
    """Find the Dataset of draws in a Dataset, a DataTree, an InferenceData, or a fitted model that holds one."""
    for attribute in ("posterior", "idata"):
        inner = getattr(result, attribute, None)
        if inner is not None:
            return _posterior(inner, argument)
    dataset = getattr(result, "dataset", result)  # a node of a DataTree
    if not hasattr(dataset, "data_vars"):
        raise DomainError(
            f"{argument} must hold a posterior: a DataTree, an InferenceData or an xarray Dataset.",
            value=type(result).__name__,
        )
    return dataset


def _column(variable: Any, name: str, argument: str) -> Floats:
    further = [str(dimension) for dimension in variable.dims if dimension not in _SAMPLE_DIMENSIONS]
    if further:
        raise DomainError(
            f"Every parameter of {argument} must be one number per draw.",
            value=f"{name} varies by {', '.join(further)}",
            remedy="Covariates and groups of pymc-marketing cannot be taken over; fit the model with them here.",
        )
    absent = [dimension for dimension in _SAMPLE_DIMENSIONS if dimension not in variable.dims]
    if absent:
        variable = variable.expand_dims(absent)
    values = np.asarray(variable.transpose(*_SAMPLE_DIMENSIONS).values, dtype=np.float64)
    wrong = ~(np.isfinite(values) & (values > 0.0))
    if values.size == 0 or wrong.any():
        raise DomainError(
            f"Every draw of {name} in {argument} must be finite and positive, and there must be one.",
            value=f"{int(wrong.sum())} of {values.size} draws are not",
        )
    return values


def _customers(result: Any) -> int:
    """Rows of the group ``fit_data`` that pymc-marketing keeps beside the posterior; 0 where it is not there."""
    data = getattr(getattr(result, "idata", result), "fit_data", None)
    sizes = getattr(data, "sizes", {})
    return max((int(size) for size in sizes.values()), default=0)


def _part(result: _Draws, count: int) -> ImportedPart:
    problem, module = problem_without_data(result.model), model_module(result.model)
    drawn = module.Params(*(result.columns[name].reshape(-1, 1) for name in problem.parameters))
    thetas = free_coordinates(problem, drawn)
    theta = thetas.mean(axis=0)
    kept = thetas[np.arange(count) * result.size // count]
    covariance = np.atleast_2d(np.cov(thetas, rowvar=False)) if result.size > 1 else np.full((theta.size,) * 2, np.nan)
    kind = POSTERIOR if result.size > 1 else POINT
    status, message, notes = _convergence(result, thetas)
    return ImportedPart(
        problem=problem,
        estimate=problem.constrain(theta),
        draws=kept,
        report=PartReport(
            model=result.model,
            status=status,
            message=message,
            log_likelihood=_UNKNOWN,
            aic=_UNKNOWN,
            bic=_UNKNOWN,
            gradient_norm=_UNKNOWN,
            condition=float(np.linalg.cond(covariance)) if result.size > 1 else _UNKNOWN,
            evaluations=0,
            n_customers=result.n_customers,
            n_rows=0,
            correlations=correlation_frame(problem, covariance),
            draws_kind=kind,
        ),
        table=parameter_table(problem, theta, covariance, draws=thetas, kind=kind, bayesian=result.size > 1),
        notes=notes,
    )


def _convergence(result: _Draws, thetas: Floats) -> tuple[FitStatus, str, tuple[str, ...]]:
    """Judge the chains by rank-normalised split R-hat and bulk effective sample size of the free coordinates."""
    title = f"{result.model}: draws of pymc-marketing"
    chains, length = next(iter(result.columns.values())).shape
    if result.size == 1:
        note = f"{result.model}: one draw, so bands carry no parameter uncertainty of this part."
        return FitStatus.CONVERGED, f"{title}, one point (MAP), taken on trust.", (note,)
    if length < 4:
        return FitStatus.FAILED, f"{title}, {chains} x {length}: too few to judge convergence.", ()
    from arviz_stats.base import array_stats

    columns = [column.reshape(chains, length) for column in thetas.T]
    worst = max(float(array_stats.rhat(column, chain_axis=0, draw_axis=1)) for column in columns)
    fewest = min(float(array_stats.ess(column, chain_axis=0, draw_axis=1)) for column in columns)
    message = f"{title}, {chains} chains x {length}: R-hat at most {worst:.3f}, bulk ESS at least {fewest:,.0f}."
    notes: tuple[str, ...] = ()
    if fewest < ESS_LIMIT:
        notes = (f"{result.model}: a bulk ESS of {fewest:,.0f} is low; below {ESS_LIMIT:.0f} tails are uncertain.",)
    status = FitStatus.FAILED
    if worst <= BROKEN_R_HAT:
        status = FitStatus.CONVERGED if worst <= R_HAT_LIMIT else FitStatus.NEARLY_CONVERGED
    return status, message, notes
