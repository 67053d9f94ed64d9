"""A recipe: the options of a fit, so that it can be repeated on other histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clv_forecast.inference.fit import fit
from clv_forecast.inference.model import Model
from clv_forecast.models import transaction_model
from clv_forecast.progress import Progress, silent

if TYPE_CHECKING:
    from clv_forecast.history.purchase_history import PurchaseHistory
    from clv_forecast.inference.hierarchical.sampler import Sampler

_METHODS: Final = {"mle": "maximum likelihood", "laplace": "Laplace posterior", "nuts": "NUTS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fit a model: the options of ``fit``, under the same names.

    Parameters
    ----------
    purchases, spend, method, spend_from, groups, covariates, priors, sampler, draws
        As in ``fit``.
    name : str, optional
        What tables and figures call it.

    Examples
    --------
    >>> Recipe(purchases="mbg_nbd", groups="cohort_month", method="nuts").title
    'MBG/NBD + Gamma-Gamma by cohort_month, NUTS'
    """

    purchases: str = "bg_nbd"
    spend: str | None = "gamma_gamma"
    method: str = "mle"
    spend_from: str = "auto"
    groups: str | Sequence[str] = ()
    covariates: str | Sequence[str] = ()
    priors: Mapping[str, Any] | None = None
    sampler: Sampler | None = None
    draws: int = 1000
    name: str | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the customers' attributes that the fit uses."""
        listed = ((value,) if isinstance(value, str) else tuple(value) for value in (self.groups, self.covariates))
        return tuple(name for names in listed for name in names)

    @property
    def title(self) -> str:
        """The name, or a readable account of the options."""
        if self.name is not None:
            return self.name
        spend = "" if self.spend is None else " + Gamma-Gamma"
        by = f" by {', '.join(self.attributes)}" if self.attributes else ""
        return f"{transaction_model(self.purchases).TITLE}{spend}{by}, {_METHODS.get(self.method, self.method)}"


def fit_recipe(
    recipe: Recipe,
    history: PurchaseHistory,
    *,
    rng: int | np.random.Generator = 1,
    start: Model | None = None,
    allow_unconverged: bool = False,
    progress: Progress = silent,
) -> Model:
    """Fit a recipe to a history, without comparing siblings.

    Raises
    ------
    DomainError, InputError, FitError
        As ``fit``.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> fit_recipe(Recipe(purchases="mbg_nbd"), history).purchases
    'mbg_nbd'
    """
    return fit(
        history,
        purchases=recipe.purchases,
        spend=recipe.spend,
        method=recipe.method,
        spend_from=recipe.spend_from,
        groups=recipe.groups,
        covariates=recipe.covariates,
        priors=recipe.priors,
        sampler=recipe.sampler,
        draws=recipe.draws,
        rng=rng,
        compare=False,
        start=start,
        allow_unconverged=allow_unconverged,
        progress=progress,
    )
