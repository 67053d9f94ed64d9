"""One fitted likelihood, whatever method fitted it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from clv_forecast.errors import FitError
from clv_forecast.inference.hierarchical.chains import Chains
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.priors import PartPriors
from clv_forecast.inference.report import PartReport


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedPart:
    """The outcome of fitting purchases, or spend.

    Parameters
    ----------
    model : str
    scale : float
        What the data were divided by: time for purchases, money for spend.
    estimate : Params
        Scalar fields, in the user's units.
    draws : Params
        Fields of shape (draw, 1), in the user's units; of a hierarchical fit the middle of the population.
    kind : str
        How the draws were made.
    report : PartReport
    table : DataFrame
        See ``parameter_table``.
    priors : PartPriors
    effects : EffectDraws or None
        Of a sampler: as many draws as ``draws``.
    chains : Chains or None
        Of a sampler: all draws.
    refusal : FitError or None
        Why it is not to be relied on.
    """

    model: str
    scale: float
    estimate: Any
    draws: Any
    kind: str
    report: PartReport
    table: pd.DataFrame
    priors: PartPriors
    effects: EffectDraws | None = None
    chains: Chains | None = None
    refusal: FitError | None = None
