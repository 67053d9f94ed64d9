"""Problems with a known answer, to test inference without any model."""

from __future__ import annotations

import numpy as np

from clv_forecast.inference.problem import Problem


def made_up(coordinates, value_gradient, values, *, start, prior=None):
    """A Problem over the given coordinates whose natural parameters are the coordinates themselves."""
    size = len(coordinates)
    location, scale = (np.zeros(size), np.full(size, 1.5)) if prior is None else prior
    return Problem(
        model="made_up",
        parameters=tuple(coordinates),
        coordinates=tuple(coordinates),
        value_gradient=value_gradient,
        values=values,
        constrain=lambda theta: theta,
        unconstrain=np.asarray,
        jacobian=lambda theta: np.eye(size),
        starts=(np.asarray(start, dtype=float),),
        prior_location=np.asarray(location, dtype=float),
        prior_scale=np.asarray(scale, dtype=float),
        scale=1.0,
        offset=0.0,
        n_observations=100,
        n_rows=100,
    )


def from_gradient(coordinates, value_gradient, **options):
    """The same, with ``values`` made from ``value_gradient``."""
    return made_up(coordinates, value_gradient, lambda ts: np.array([value_gradient(t)[0] for t in ts]), **options)
