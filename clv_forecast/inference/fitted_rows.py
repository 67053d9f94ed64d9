"""What a model was fitted to: distinct rows, without any customer's id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.hierarchical.assignment import Assignment
from clv_forecast.inference.sufficient import PurchaseRows, SpendRows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedRows:
    """The rows behind the likelihoods of a fit.

    Parameters
    ----------
    purchases : PurchaseRows
    spend : SpendRows or None
    assignment : Assignment or None
        The cells that rows belong to in a hierarchical fit.
    """

    purchases: PurchaseRows
    spend: SpendRows | None
    assignment: Assignment | None = None

    @property
    def cell(self) -> NDArray[np.intp]:
        """Cell of each customer of the fit; see ``Assignment.cell``."""
        if self.assignment is None:
            return np.zeros(self.purchases.row.size, dtype=np.intp)
        return self.assignment.cell
