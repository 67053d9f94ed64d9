r"""How far each group's effects are centred in the sampler's coordinates: a matter of speed, never of the posterior.

A group with little data is best sampled non-centred (``effect = sd * raw``), one with much data centred, as its
effect is then known better than the standard deviation between groups. In between, with a weight :math:`w`
(Papaspiliopoulos, Roberts, Sköld 2007, doi:10.1214/088342307000000014),

.. math:: t \sim N(w \mu, \sigma^w), \qquad effect = \sigma^{1-w} (t - w \mu), \qquad w = I / (I + 1/\tau^2)

where :math:`I` is the information that the group's customers hold on the coordinate, their share of that of the
pooled fit, and :math:`\tau` a modest standard deviation between groups.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.inference.faces import box
from clv_forecast.inference.hierarchical.assignment import Assignment
from clv_forecast.inference.hierarchical.part_data import PartData
from clv_forecast.inference.hierarchical.priors import PartPriors
from clv_forecast.inference.maximum_likelihood import maximise

Floats = NDArray[np.float64]

_MODEST: Final = 0.4  # of the half-normal prior's scale


def centring(data: PartData, assignment: Assignment, priors: PartPriors, levels: tuple[int, ...]) -> list[Floats]:
    """Weights of each group term, shape (level, varying), between 0 (non-centred) and 1 (centred).

    Parameters
    ----------
    data : PartData
    assignment : Assignment
    priors : PartPriors
    levels : tuple of int
        Number of levels of each term.
    """
    if not levels:
        return []
    varying = list(priors.varying)
    information = 1.0 / pooled_variances(data, priors)[varying]
    modest = (_MODEST * priors.group_scale) ** -2
    customers = cell_customers(data)
    found = []
    for term, count in enumerate(levels):
        share = np.bincount(assignment.codes[:, term], weights=customers, minlength=count) / customers.sum()
        known = share[:, None] * information
        found.append(known / (known + modest))
    return found


def cell_customers(data: PartData) -> Floats:
    """Customers of each cell in the likelihood."""
    table = "spans" if "spans_cell" in data.arrays else "counts"
    cells = data.arrays[f"{table}_cell"]
    return np.bincount(cells.astype(np.intp), weights=data.arrays[f"{table}_customers"], minlength=data.cells).astype(
        np.float64
    )


def pooled_variances(data: PartData, priors: PartPriors) -> Floats:
    """Posterior variances of the coordinates when all customers share them; the prior's where there is no mode."""
    location, scale = priors.location, priors.scale

    def log_posterior(theta: Floats) -> tuple[float, Floats]:
        value, gradient = data.pooled.value_gradient(theta)
        distance = (theta - location) / scale
        return value - 0.5 * float(distance @ distance), gradient - distance / scale

    lower, upper = box(data.coordinates)
    mode = maximise(log_posterior, [location], lower=lower, upper=upper)
    with np.errstate(all="ignore"):
        try:
            variances = np.diag(np.linalg.inv(-mode.hessian))
        except np.linalg.LinAlgError:
            variances = np.full(len(location), np.nan)
    return np.where(np.isfinite(variances) & (variances > 0.0), np.minimum(variances, scale**2), scale**2)
