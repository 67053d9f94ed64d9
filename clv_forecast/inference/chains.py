"""Markov chains as plain arrays, as a sampler left them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
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
