"""The options of a fit in one record: what `fit` takes, a configuration holds and a backtest repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from clv_forecast.arguments import MOST_DRAWS, count_of, draws_of, finite_number, number_of
from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.priors import Prior
from clv_forecast.models import transaction_model

SAMPLERS: Final = ("nutpie", "pymc")
_METHODS: Final = {"mle": "maximum likelihood", "laplace": "Laplace posterior", "nuts": "NUTS"}

_POOLED: Final = 0.9
_WITH_GROUPS: Final = 0.97
_MOST_CHAINS: Final = 100
_MOST_RETRIES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """How ``method="nuts"`` samples.

    Parameters
    ----------
    name : str
        ``"nutpie"``, or ``"pymc"`` for PyMC's own sampler.
    chains : int
        From 2, so that convergence can be judged, to 100.
    tune, draws : int
        Of each chain, from 100 to 100,000.
    target_accept : float, optional
        Between 0.5 and 1; by default 0.9, and 0.97 with groups, whose posteriors bend more.
    cores : int, optional
        Chains at once; default one per processor.
    retries : int
        At most 10: how often chains that did not converge are run again, longer and with smaller steps.

    Raises
    ------
    DomainError
        If an option lies outside its domain.

    Examples
    --------
    >>> Sampler(chains=2, draws=500).name
    'nutpie'
    """

    name: str = "nutpie"
    chains: int = 4
    tune: int = 500
    draws: int = 1000
    target_accept: float | None = None
    cores: int | None = None
    retries: int = 1

    def __post_init__(self) -> None:
        if self.name not in SAMPLERS:
            raise DomainError(f"A sampler is one of {', '.join(SAMPLERS)}.", value=repr(self.name))
        number_of(self.chains, "chains of a sampler", least=2, most=_MOST_CHAINS)
        for name in ("tune", "draws"):
            draws_of(getattr(self, name), f"{name} of a sampler")
        count_of(self.cores, "cores")
        if self.target_accept is not None and not 0.5 <= finite_number(self.target_accept, "target_accept") < 1.0:
            raise DomainError("target_accept must lie between 0.5 and 1.", value=self.target_accept)
        number_of(self.retries, "retries", least=0, most=_MOST_RETRIES)

    def resolved(self, *, grouped: bool) -> Sampler:
        """The same sampler with its acceptance chosen."""
        if self.target_accept is not None:
            return self
        return replace(self, target_accept=_WITH_GROUPS if grouped else _POOLED)

    def more_careful(self) -> Sampler:
        """The sampler of a retry: a third of the distance to an acceptance of 1, and twice the steps."""
        target = 1.0 - (1.0 - (self.target_accept or _POOLED)) / 3.0
        tune, draws = (min(2 * steps, MOST_DRAWS) for steps in (self.tune, self.draws))
        return replace(self, tune=tune, draws=draws, target_accept=target)

    def at_least(self, draws: int) -> Sampler:
        """The same sampler with at least so many draws in all chains together."""
        return replace(self, draws=max(self.draws, -(-draws // self.chains)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fit a model: the options of ``fit``, under the same names.

    Parameters
    ----------
    purchases, spend, method, spend_from, groups, covariates, priors, sampler, draws
        As in ``fit``, which takes a recipe in place of them.
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
    priors: Mapping[str, Prior | float] | None = None
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
