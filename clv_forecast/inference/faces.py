"""The box of the unconstrained coordinates, and what each of its faces means in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

# In scaled data (mean gap 1, mean amount 1). Wide enough that the supremum is reached to 1e-4 log-likelihood units,
# narrow enough that every function of the models is still accurate there.
_BOX: Final[dict[str, tuple[float, float]]] = {
    "log_rate": (-14.0, 14.0),
    "log_shape": (-9.0, 16.0),
    "logit_dropout": (-25.0, 16.0),
    "log_concentration": (-10.0, 16.0),
    "log_dropout_rate": (-25.0, 14.0),
    "log_dropout_shape": (-10.0, 16.0),
    "log_mean_spend": (-14.0, 25.0),
    "log_p": (-9.0, 16.0),
    "log_q_minus_1": (-20.0, 16.0),
}

# In order of preference where several describe the same supremum: no dropout at all comes before its spread.
FACES: Final[dict[tuple[str, int], str]] = {
    ("logit_dropout", -1): "there is no dropout (a/(a+b) -> 0)",
    ("logit_dropout", 1): "every customer leaves at the first chance (a/(a+b) -> 1)",
    ("log_dropout_rate", -1): "there is no dropout (s/beta -> 0)",
    ("log_dropout_rate", 1): "those who leave do so at once (s/beta -> infinity)",
    ("log_shape", -1): "purchase rates differ without bound between customers (r -> 0)",
    ("log_shape", 1): "customers do not differ in purchase rate (r -> infinity)",
    ("log_concentration", -1): "customers leave either at the first chance or never (a+b -> 0)",
    ("log_concentration", 1): "customers do not differ in dropout probability (a+b -> infinity)",
    ("log_dropout_shape", -1): "customers leave either at once or never (s -> 0)",
    ("log_dropout_shape", 1): "customers do not differ in dropout rate (s -> infinity)",
    ("log_p", -1): "the orders of one customer differ without bound (p -> 0)",
    ("log_p", 1): "the orders of one customer do not differ in money (p -> infinity)",
    ("log_q_minus_1", -1): "mean spend differs so much between customers that it has no finite mean (q -> 1)",
    ("log_q_minus_1", 1): "customers do not differ in mean spend (q -> infinity)",
}

_AT_MAXIMUM: Final[dict[tuple[str, int], str]] = {
    ("logit_dropout", -1): "the maximum has no dropout (a/(a+b) -> 0): the data show none",
    ("log_dropout_rate", -1): "the maximum has no dropout (s/beta -> 0): the data show none",
}


def maximum_at(coordinate: str, side: int) -> str:
    """Say in plain words that the maximum lies on a face.

    Examples
    --------
    >>> maximum_at("logit_dropout", -1)
    'the maximum has no dropout (a/(a+b) -> 0): the data show none'
    >>> maximum_at("log_shape", 1)
    'the maximum lies where customers do not differ in purchase rate (r -> infinity)'
    """
    return _AT_MAXIMUM.get((coordinate, side), f"the maximum lies where {FACES[coordinate, side]}")


def box(coordinates: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limits of the coordinates, in scaled data.

    Examples
    --------
    >>> box(["log_shape"])
    (array([-9.]), array([16.]))
    """
    limits = np.array([_BOX[name] for name in coordinates])
    return limits[:, 0].copy(), limits[:, 1].copy()
