"""Markov chains as plain arrays, as a sampler left them.

Whether Markov chains have converged: rank-normalised R-hat, effective sample sizes, divergences, in words.

References
----------
Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021), "Rank-normalization, folding, and localization: an improved R-hat
for assessing convergence of MCMC", Bayesian Analysis 16(2), doi:10.1214/20-BA1221.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chains:
    """Every draw of every chain.

    Parameters
    ----------
    variables : mapping of str to ndarray, each of shape (chain, draw, ...)
    dims : mapping of str to tuple of str
        Names of a variable's dimensions after chain and draw.
    coords : mapping of str to tuple of str
        Labels along each dimension.
    sample_stats : mapping of str to ndarray, shape (chain, draw)
        Such as ``diverging``; for several samplers' runs each with its own prefix.
    """

    variables: Mapping[str, NDArray[np.float64]]
    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, tuple[str, ...]]
    sample_stats: Mapping[str, NDArray[Any]]

    @property
    def shape(self) -> tuple[int, int]:
        """Chains and draws of each."""
        chains, draws, *_ = next(iter(self.variables.values())).shape
        return chains, draws

    def thinned(self, draws: int) -> Chains:
        """Keep so many draws of each chain, evenly spaced."""
        if draws == self.shape[1]:
            return self
        kept = np.arange(draws) * self.shape[1] // draws
        return replace(
            self,
            variables={name: values[:, kept] for name, values in self.variables.items()},
            sample_stats={name: values[:, kept] for name, values in self.sample_stats.items()},
        )


LARGEST_R_HAT: Final = 1.01
SMALLEST_ESS_PER_CHAIN: Final = 100
LARGEST_DIVERGENT_SHARE: Final = 0.001
BROKEN_R_HAT: Final = 1.05
BROKEN_DIVERGENT_SHARE: Final = 0.02
"""Beyond these two, chains are not used; between them and the limits above, they are, with a report."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convergence:
    """Diagnostics of the chains of one part.

    Parameters
    ----------
    table : DataFrame
        One row per variable: variable, size, r_hat (largest of its entries), ess_bulk, ess_tail (smallest), worst
        (the entry of the largest R-hat).
    r_hat : float
        Largest of all.
    ess_bulk, ess_tail : float
        Smallest of all.
    divergences, draws, chains : int
        Divergent draws, among all draws of all chains.
    """

    table: pd.DataFrame
    r_hat: float
    ess_bulk: float
    ess_tail: float
    divergences: int
    draws: int
    chains: int

    @property
    def converged(self) -> bool:
        """R-hat below 1.01, 100 effective draws per chain, at most one divergent draw in a thousand."""
        return not self._complaints()

    @property
    def broken(self) -> bool:
        """R-hat above 1.05 or not a number, or more than 2 % of the draws divergent."""
        return not self.r_hat <= BROKEN_R_HAT or self.divergences > BROKEN_DIVERGENT_SHARE * self.draws

    @property
    def verdict(self) -> str:
        """What the diagnostics say, in words."""
        told = (
            f"largest R-hat {self.r_hat:.3f}, smallest effective sample size {self.ess_bulk:,.0f} in the bulk and "
            f"{self.ess_tail:,.0f} in the tails of {self.draws:,} draws, "
            + ("no divergences" if not self.divergences else f"{self.divergences:,} divergent")
        )
        complaints = self._complaints()
        if not complaints:
            return f"The {self.chains} chains agree: {told}."
        if not self.broken:
            return (
                f"The {self.chains} chains agree closely enough to be used, though not fully, as "
                f"{' and '.join(complaints)}: {told}. Longer chains, a target acceptance of 0.99, fewer groups or "
                "narrower priors help."
            )
        return f"The {self.chains} chains have not converged, as {' and '.join(complaints)}: {told}."

    def _complaints(self) -> list[str]:
        needed = SMALLEST_ESS_PER_CHAIN * self.chains
        found = []
        if not self.r_hat < LARGEST_R_HAT:
            found.append(f"R-hat must lie below {LARGEST_R_HAT}")
        if not min(self.ess_bulk, self.ess_tail) >= needed:
            found.append(f"at least {needed:,} effective draws are needed")
        if self.divergences > LARGEST_DIVERGENT_SHARE * self.draws:
            found.append("more than one draw in a thousand diverged")
        return found


def diagnose_chains(chains: Chains) -> Convergence:
    """Judge chains.

    Parameters
    ----------
    chains : Chains

    Returns
    -------
    Convergence
        Entries that are constant by construction (the diagonal of a correlation matrix) are left out.

    Examples
    --------
    >>> made = np.random.default_rng(1).normal(size=(4, 500))
    >>> chains = Chains(variables={"x": made}, dims={"x": ()}, coords={},
    ...                 sample_stats={"diverging": np.zeros((4, 500), dtype=bool)})
    >>> diagnose_chains(chains).converged
    True
    """
    rows = []
    for name, values in chains.variables.items():
        row = _variable(name, values, _labels(chains, name, values))
        if row is not None:
            rows.append(row)
    table = pd.DataFrame(rows, columns=["variable", "size", "r_hat", "ess_bulk", "ess_tail", "worst"])
    n_chains, n_draws = chains.shape
    diverging = chains.sample_stats.get("diverging")
    return Convergence(
        table=table,
        r_hat=_worst(table["r_hat"], np.max),
        ess_bulk=_worst(table["ess_bulk"], np.min),
        ess_tail=_worst(table["ess_tail"], np.min),
        divergences=0 if diverging is None else int(np.sum(diverging)),
        draws=n_chains * n_draws,
        chains=n_chains,
    )


def _worst(column: Any, of: Any) -> float:
    """NaN as soon as one is NaN: no comparison holds then, so the chains do not count as converged."""
    return float(of(np.asarray(column, dtype=np.float64)))


def _variable(name: str, values: NDArray[np.float64], labels: list[str]) -> tuple[Any, ...] | None:
    from arviz_stats.base import array_stats

    flat = np.moveaxis(values.reshape(*values.shape[:2], -1), -1, 0)
    varies = ~(np.ptp(flat, axis=(1, 2)) <= 1e-12)  # what is not a number counts as varying
    if not varies.any():
        return None
    entries = flat[varies]
    r_hat = np.array([float(array_stats.rhat(entry)) for entry in entries])
    bulk = np.array([float(array_stats.ess(entry, method="bulk")) for entry in entries])
    tail = np.array([float(array_stats.ess(entry, method="tail", prob=0.9)) for entry in entries])
    worst = int(np.argmax(np.where(np.isnan(r_hat), np.inf, r_hat)))
    label = [text for text, kept in zip(labels, varies, strict=True) if kept][worst]
    return name, len(entries), float(np.max(r_hat)), float(np.min(bulk)), float(np.min(tail)), label


def _labels(chains: Chains, name: str, values: NDArray[np.float64]) -> list[str]:
    """Text of every entry, such as ``"north, log_rate"``."""
    dims = chains.dims.get(name, ())
    shape = values.shape[2:]
    axes = []
    for dim, size in zip(dims, shape, strict=True):
        known = chains.coords.get(dim, ())
        axes.append([str(label) for label in known] if len(known) == size else [str(i) for i in range(size)])
    return [", ".join(axis[i] for axis, i in zip(axes, place, strict=True)) for place in np.ndindex(*shape)]
