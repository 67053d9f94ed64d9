"""`fit`: from a purchase history to a fitted model.

The sibling transaction models fitted to the same rows, and what the comparison says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import draws_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.inference.draws import ParameterDraws
from clv_forecast.inference.fit_nuts import NutsOptions, fit_nuts
from clv_forecast.inference.fit_pooled import PooledOptions, fit_pooled
from clv_forecast.inference.fitted_part import FittedPart
from clv_forecast.inference.hierarchical.part_data import purchase_part, spend_part
from clv_forecast.inference.hierarchical.priors import PURCHASES, SPEND, check_priors, part_priors, priors_table
from clv_forecast.inference.hierarchical.structure import Assignment, Structure, assign, learn_structure
from clv_forecast.inference.hierarchy import Hierarchy
from clv_forecast.inference.maximum_likelihood import box, maximise
from clv_forecast.inference.model import FittedRows, Model
from clv_forecast.inference.problem import purchase_problem, spend_problem
from clv_forecast.inference.recipe import Recipe, Sampler
from clv_forecast.inference.report import FitReport
from clv_forecast.inference.sufficient import PurchaseRows, SpendData, compress, spend_data
from clv_forecast.models import TRANSACTION_MODELS, model_name, transaction_model
from clv_forecast.progress import Progress, automatic, shows_progress, silent
from clv_forecast.streams import as_seed

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory
    from clv_forecast.inference.hierarchical.priors import Priors


ROWS_AT_MOST: Final = 20_000
_PILOT: Final = 1_000
_WORTH_SAYING: Final = 2.0  # log-likelihood units, at the same number of parameters
_TIE: Final = 1e-6  # below, a difference is the rounding of two searches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Alternatives and what they say.

    Parameters
    ----------
    table : DataFrame
        One row per model, best first: model, log_likelihood, aic, difference (from the fitted model; 0 where below
        1e-6, a tie, and then the fitted model comes first).
    notes : tuple of str
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


def compare_siblings(
    model: str, rows: PurchaseRows, log_likelihood: float | None = None, *, seed: int, progress: Progress = silent
) -> Comparison:
    """Fit every transaction model to the same rows.

    Parameters
    ----------
    model : str
        The fitted model.
    rows : PurchaseRows
    log_likelihood : float, optional
        Maximum of the fitted model on ``rows``, in the user's units, where it is known.
    seed : int
        Chooses the customers when there are more than 20,000 distinct rows: then all models, the fitted one too, are
        compared on a sample of customers, and a note says so.
    progress : Progress

    Returns
    -------
    Comparison
    """
    sampled = rows.weights.size > ROWS_AT_MOST
    used = _sample(rows, seed, ROWS_AT_MOST) if sampled else rows
    found = {} if sampled or log_likelihood is None else {model: log_likelihood}
    for done, name in enumerate(TRANSACTION_MODELS):
        progress("compare", done, len(TRANSACTION_MODELS))
        if name not in found:
            found[name] = _maximum(name, used, seed)
    progress("compare", len(TRANSACTION_MODELS), len(TRANSACTION_MODELS))
    table = pd.DataFrame({"model": list(found), "log_likelihood": list(found.values())})
    table["aic"] = 2.0 * 4 - 2.0 * table["log_likelihood"]
    difference = table["log_likelihood"] - found[model]
    table["difference"] = difference.where(difference.abs() >= _TIE, 0.0)
    order = np.lexsort((table["model"] != model, -table["difference"]))
    table = table.iloc[order].reset_index(drop=True)
    notes = [_sentence(model, table)]
    if sampled:
        notes.append(f"The comparison rests on a random sample of {int(used.weights.sum()):,} customers, for speed.")
    return Comparison(table=table, notes=tuple(notes))


def _sentence(model: str, table: pd.DataFrame) -> str:
    best, gain = str(table["model"].iloc[0]), float(table["difference"].iloc[0])
    name = transaction_model(model).TITLE
    if best == model:
        level = [
            transaction_model(other).TITLE for other in table["model"][table["difference"] == 0.0] if other != model
        ]
        if level:
            return f"{name} ties with {' and '.join(level)}: the same log-likelihood on these customers."
        return f"{name} fits best of its siblings, by {_units(-float(table['difference'].iloc[1]))}."
    if gain < _WORTH_SAYING:
        return f"{transaction_model(best).TITLE} fits {name}'s data about as well (+{_units(gain)})."
    return f"{transaction_model(best).TITLE} fits better than {name} by {_units(gain)} on the same customers."


def _units(difference: float) -> str:
    return f"{difference:{'.1f' if difference >= 0.05 else '.1g'}} log-likelihood units"


def _maximum(name: str, rows: PurchaseRows, seed: int) -> float:
    """Log-likelihood at the optimum; with many rows, a pilot on some of the customers chooses among the starts."""
    problem = purchase_problem(name, rows)
    lower, upper = box(problem.coordinates)
    starts = problem.starts
    if rows.weights.size > 2 * _PILOT:
        pilot = purchase_problem(name, _sample(rows, seed, _PILOT))
        starts = (maximise(pilot.value_gradient, pilot.starts, lower=lower, upper=upper).theta,)
    return maximise(problem.value_gradient, starts, lower=lower, upper=upper).value + problem.offset


def _sample(rows: PurchaseRows, seed: int, size: int) -> PurchaseRows:
    """Some of the customers, each equally likely, whatever their order in the history."""
    customers = np.repeat(np.arange(rows.weights.size), rows.weights.astype(np.int64))
    kept = np.random.default_rng([seed, 3]).choice(customers, size=size, replace=False)
    return compress(rows.frequency[kept], rows.recency[kept], rows.T[kept])


MLE: Final = "mle"
LAPLACE: Final = "laplace"
NUTS: Final = "nuts"
METHODS: Final = (MLE, LAPLACE, NUTS)
MINIMUM_REPEATERS: Final = 10
_PURCHASE_STREAM: Final = 1
_SPEND_STREAM: Final = 2


@shows_progress
def fit(
    history: PurchaseHistory,
    purchases: str | Recipe = "bg_nbd",
    spend: str | None = "gamma_gamma",
    *,
    method: str = MLE,
    spend_from: str = "auto",
    groups: str | Sequence[str] = (),
    covariates: str | Sequence[str] = (),
    priors: Priors | None = None,
    sampler: Sampler | None = None,
    draws: int = 1000,
    rng: int | np.random.Generator = 1,
    compare: bool = True,
    start: Model | None = None,
    allow_unconverged: bool = False,
    progress: Progress = automatic,
) -> Model:
    """Fit a model of purchases, and of spend, to a purchase history.

    Parameters
    ----------
    history : PurchaseHistory
    purchases : str or Recipe
        ``"bg_nbd"``, ``"mbg_nbd"`` or ``"pareto_nbd"``, or a title such as ``"BG/NBD"``; or all options in one record.
    spend : str or None
        ``"gamma_gamma"``, or None to fit purchases only. Fitted to single orders when the history knows their spread,
        to customers' means otherwise (the report says which).
    method : str
        ``"mle"``: maximum likelihood, draws from its asymptotic distribution (from the Laplace posterior where the
        optimum lies on a boundary or is not identified; the status says so). ``"laplace"``: the posterior under
        weakly informative priors scaled by the data. ``"nuts"``: the same posterior sampled in PyMC, and the only
        method for groups and covariates.
    spend_from : str
        Amounts to learn from: ``"repeat"`` orders, ``"all"`` orders, or ``"repeat+first"``: parameters from repeat
        orders (future orders are such), each customer's own level from all of its orders. ``"auto"`` is the last where
        first orders are known: on CDNOW's holdout it ranks as well as ``"all"`` and covers as well as ``"repeat"``.
    groups : str or sequence of str
        Columns of the customers, or ``"cohort_month"``, ``"cohort_quarter"``, ``"cohort_year"``, whose levels get
        parameters of their own, partially pooled: rate, dropout and their spread, and the level of spend.
    covariates : str or sequence of str
        Columns of the customers, numbers or labels, that shift rate, dropout and spend.
    priors : mapping of str to Prior, optional
        Overrides by name; ``model.priors`` shows the names and what they mean in your units.
    sampler : Sampler, optional
        Chains, draws and so on of ``method="nuts"``.
    draws : int
        Number of equal-weight parameter draws, from 100 to 100,000.
    rng : int or numpy Generator
        Seed of the draws; the same seed gives the same draws.
    compare : bool
        Also fit the sibling models (by maximum likelihood, pooled) and report how they compare.
    start : Model, optional
        An earlier fit of the same kind, to start maximum likelihood and Laplace from; it saves time and moves nothing
        but the last digits. A sampler starts anew.
    allow_unconverged : bool
        Return a model that is not to be relied on, with status FAILED, instead of raising.
    progress : Progress

    Returns
    -------
    Model

    Raises
    ------
    DomainError
        If ``history`` is something else, or an option is unknown or does not belong to the method.
    InputError
        If fewer than 10 customers bought again, too few have an amount, or an attribute cannot be used.
    FitError
        If the maximisation fails, the Laplace posterior cannot be trusted, or chains are broken (R-hat above 1.05, more
        than 2 % of the draws divergent), unless ``allow_unconverged``. Its ``model`` is what was fitted all the same.

    Notes
    -----
    Chains that have not fully converged and are not broken either (R-hat from 1.01 on, fewer than 100 effective draws
    per chain, divergences) are returned with status NEARLY_CONVERGED, and report and forecasts say so.

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
    recipe = Recipe(
        purchases="bg_nbd" if isinstance(purchases, Recipe) else purchases,
        spend=spend,
        method=method,
        spend_from=spend_from,
        groups=groups,
        covariates=covariates,
        priors=priors,
        sampler=sampler,
        draws=draws,
    )
    if isinstance(purchases, Recipe):
        if recipe != Recipe():
            raise DomainError("A fit takes a recipe, or options one by one.", value="both")
        recipe = purchases
    return fit_recipe(
        recipe,
        history,
        rng=rng,
        compare=compare,
        start=start,
        allow_unconverged=allow_unconverged,
        progress=progress,
    )


def fit_recipe(
    recipe: Recipe,
    history: PurchaseHistory,
    *,
    rng: int | np.random.Generator = 1,
    compare: bool = False,
    start: Model | None = None,
    allow_unconverged: bool = False,
    progress: Progress = silent,
) -> Model:
    """Fit a recipe to a history: `fit` without a bar of progress, and without its siblings unless asked.

    Raises
    ------
    DomainError, InputError, FitError
        As `fit`.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> fit_recipe(Recipe(purchases="mbg_nbd"), history).purchases
    'mbg_nbd'
    """
    _check_history(history)
    _check_recipe(recipe)
    purchases, spend = model_name(recipe.purchases), model_name(recipe.spend)
    method, priors = recipe.method, recipe.priors
    structure = learn_structure(history, recipe.groups, recipe.covariates)
    check_priors(priors, purchases, spend, structure=structure)
    assignment = assign(structure, history)
    cell = None if structure.pooled else assignment.cell
    rows = _purchase_rows(history.table, cell)
    amounts = None if spend is None else spend_data(history.table, recipe.spend_from, cell=cell)
    common = _Common(
        method=method,
        draws=int(recipe.draws),
        seed=as_seed(rng),
        unit=history.unit,
        sampler=recipe.sampler or Sampler(),
        structure=structure,
        assignment=assignment,
        progress=progress,
        start=start if start is not None and start.purchases == purchases and start.unit == history.unit else None,
    )
    bought, spent = _fit_parts(history.table, purchases, rows, amounts=amounts, priors=priors, common=common)
    notes = () if amounts is None else amounts.notes
    alternatives = None
    if compare:
        maximum = None if method == NUTS else bought.report.log_likelihood
        siblings = compare_siblings(purchases, rows, maximum, seed=common.seed, progress=progress)
        alternatives, notes = siblings.table, (*siblings.notes, *notes)
    fitted = [part for part in (bought, spent) if part is not None]
    model = Model(
        purchases=purchases,
        spend=spend,
        method=method,
        parameters=pd.concat([part.table for part in fitted], ignore_index=True),
        priors=priors_table([part.priors for part in fitted], structure),
        estimate=bought.estimate,
        spend_estimate=None if spent is None else spent.estimate,
        report=FitReport(
            purchases=bought.report,
            spend=None if spent is None else spent.report,
            n_customers=len(history.table),
            alternatives=alternatives,
            notes=notes,
        ),
        draws=_parameter_draws(bought, spent, common),
        unit=history.unit,
        currency=history.currency,
        as_of=history.as_of,
        spend_from=None if amounts is None else amounts.spend_from,
        spend_level=None if amounts is None else amounts.level,
        time_scale=bought.scale,
        money_scale=None if spent is None else spent.scale,
        seed=common.seed,
        rows=FittedRows(
            purchases=rows,
            spend=None if amounts is None else amounts.rows,
            assignment=None if structure.pooled else assignment,
        ),
        purchase_chains=bought.chains,
        spend_chains=None if spent is None else spent.chains,
    )
    refusal = next((part.refusal for part in fitted if part.refusal is not None), None)
    if refusal is not None and not allow_unconverged:
        refusal.model = model
        raise refusal
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """What the fits of both parts share."""

    method: str
    draws: int
    seed: int
    unit: str
    sampler: Sampler
    structure: Structure
    assignment: Assignment
    progress: Progress
    start: Model | None

    def pooled(self, *, spend: bool) -> PooledOptions:
        """For maximum likelihood and Laplace."""
        start = None
        if self.start is not None:
            start = self.start.spend_estimate if spend else self.start.estimate
        return PooledOptions(
            method=self.method,
            draws=self.draws,
            seed=self.seed,
            unit=self.unit,
            progress=self.progress,
            start=start,
        )

    def nuts(self) -> NutsOptions:
        """For the sampler."""
        return NutsOptions(
            sampler=self.sampler,
            structure=self.structure,
            assignment=self.assignment,
            draws=self.draws,
            seed=self.seed,
            progress=self.progress,
        )


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


def _check_recipe(recipe: Recipe) -> None:
    """Refuse options that are unknown, or that the method has no use for."""
    method, sampler = recipe.method, recipe.sampler
    if method not in METHODS:
        raise DomainError(f"method must be one of {', '.join(METHODS)}.", value=repr(method))
    if model_name(recipe.spend) not in (None, "gamma_gamma"):
        raise DomainError("spend must be 'gamma_gamma' or None.", value=repr(recipe.spend))
    draws_of(recipe.draws)
    for name, value in (("groups", recipe.groups), ("covariates", recipe.covariates)):
        if value and method != NUTS:
            raise DomainError(
                f"{name} belong to a hierarchical fit, which method='{method}' is not.",
                value=repr(value),
                remedy=f"Use method='nuts', or leave {name} out.",
            )
    if recipe.priors and method == MLE:
        remedy = "Use method='laplace' or method='nuts'."
        raise DomainError("Maximum likelihood has no priors.", value=list(recipe.priors), remedy=remedy)
    if sampler is not None and method != NUTS:
        raise DomainError(f"A sampler belongs to method='nuts', not to method='{method}'.", value=repr(sampler))
    if sampler is not None and not isinstance(sampler, Sampler):
        raise DomainError("sampler takes a Sampler.", value=repr(sampler), remedy="Write Sampler(chains=4, ...).")


def _purchase_rows(table: pd.DataFrame, cell: Any) -> PurchaseRows:
    repeaters = int((table[columns.FREQUENCY] > 0).sum())
    if repeaters < MINIMUM_REPEATERS:
        raise InputError(
            "No customer has bought a second time, so neither rate nor dropout can be learned."
            if repeaters == 0
            else f"A fit needs at least {MINIMUM_REPEATERS} customers who bought again.",
            value=f"{repeaters} of {len(table)} customers",
            remedy="Observe longer, or check whether customer ids change from order to order.",
        )
    return compress(table[columns.FREQUENCY], table[columns.RECENCY], table[columns.T], cell=cell)


def _fit_parts(
    table: pd.DataFrame,
    purchases: str,
    rows: PurchaseRows,
    *,
    amounts: SpendData | None,
    priors: Priors | None,
    common: _Common,
) -> tuple[FittedPart, FittedPart | None]:
    problem = purchase_problem(purchases, rows)
    prior = part_priors(purchases, PURCHASES, priors, structure=common.structure, time_scale=problem.scale)
    if common.method == NUTS:
        data = purchase_part(purchases, table, common.assignment)
        bought = fit_nuts(data, prior, rows, options=common.nuts(), level=None)
    else:
        bought = fit_pooled(problem, prior, common.pooled(spend=False), stream=_PURCHASE_STREAM)
    if amounts is None:
        return bought, None
    problem = spend_problem(amounts.rows, orders=amounts.level == "orders")
    prior = part_priors("gamma_gamma", SPEND, priors, structure=common.structure, money_scale=problem.scale)
    if common.method == NUTS:
        data = spend_part(table, amounts, common.assignment)
        return bought, fit_nuts(data, prior, amounts.rows, options=common.nuts(), level=amounts.level)
    return bought, fit_pooled(problem, prior, common.pooled(spend=True), stream=_SPEND_STREAM)


def _parameter_draws(bought: FittedPart, spent: FittedPart | None, common: _Common) -> ParameterDraws:
    hierarchy = None
    if not common.structure.pooled and bought.effects is not None:
        hierarchy = Hierarchy(
            structure=common.structure,
            purchases=bought.effects,
            spend=None if spent is None else spent.effects,
            model=bought.model,
            time_scale=bought.scale,
            money_scale=None if spent is None else spent.scale,
            seed=common.seed,
        )
    return ParameterDraws(
        purchases=bought.draws,
        spend=None if spent is None else spent.draws,
        kind=bought.kind,
        spend_kind=None if spent is None else spent.kind,
        hierarchy=hierarchy,
    )
