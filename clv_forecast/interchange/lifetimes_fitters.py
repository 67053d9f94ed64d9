"""Fitted models of lifetimes, in and out."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast.errors import DomainError
from clv_forecast.inference.model import Model
from clv_forecast.inference.storage import encode_model
from clv_forecast.interchange.coordinates import GAMMA_GAMMA, model_module
from clv_forecast.interchange.imported_model import (
    PURCHASE_STREAM,
    SPEND_STREAM,
    Setting,
    build_model,
    check_setting,
)
from clv_forecast.interchange.lifetimes_parts import ORIGIN, DrawOptions, import_fitter, own_model
from clv_forecast.interchange.lifetimes_tables import summary_to_lifetimes
from clv_forecast.streams import as_seed

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory

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
    _fill(fitter, module.PARAMETERS, model.estimate, model.draws.purchases)
    setattr(fitter, ORIGIN, {"params": fitter.params_.to_dict(), "model": encode_model(model)})
    fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    if table is not None:
        fitter.data = table[["frequency", "recency", "T"]].assign(weights=1)
    if model.spend is None:
        return fitter, None
    spender = _empty_fitter("GammaGammaFitter")
    _fill(spender, model_module(GAMMA_GAMMA).PARAMETERS, model.spend_estimate, model.draws.spend)
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


def _fill(fitter: Any, parameters: tuple[str, ...], estimate: Any, draws: Any) -> None:
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
