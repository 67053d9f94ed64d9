"""Markov chains as plain arrays, as a sampler left them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
