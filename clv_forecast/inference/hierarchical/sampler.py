"""Options of a sampler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from clv_forecast.arguments import MOST_DRAWS, count_of, draws_of, finite_number, number_of
from clv_forecast.errors import DomainError

NAMES: Final = ("nutpie", "pymc")
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
        if self.name not in NAMES:
            raise DomainError(f"A sampler is one of {', '.join(NAMES)}.", value=repr(self.name))
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
