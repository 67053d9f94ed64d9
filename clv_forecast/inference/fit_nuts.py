"""One likelihood, its posterior sampled in PyMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clv_forecast.inference.fitted_part import FittedPart
from clv_forecast.inference.hierarchical.assignment import Assignment
from clv_forecast.inference.hierarchical.priors import PartPriors
from clv_forecast.inference.hierarchical.sampler import Sampler
from clv_forecast.inference.hierarchical.structure import Structure
from clv_forecast.inference.problem import Problem
from clv_forecast.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class NutsOptions:
    """How to sample; the fields are those of ``fit``, with what it learned of groups and covariates."""

    sampler: Sampler
    structure: Structure
    assignment: Assignment | None
    draws: int
    seed: int
    unit: str
    allow_unconverged: bool
    progress: Progress


def fit_nuts(
    problem: Problem, priors: PartPriors, rows: Any, options: NutsOptions, *, level: str | None = None
) -> FittedPart:
    """Sample one likelihood."""
    raise NotImplementedError
