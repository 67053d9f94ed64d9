"""Coordinates of a fit: the entries of a model's free vector, their limits, and what they are in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinate:
    """One entry of a free vector, in scaled data (mean gap between purchases 1, mean order 1).

    Parameters
    ----------
    name : str
        Such as ``"log_rate"``.
    quantity : str
        What it is a link of, as priors and tables name it, such as ``"mean_purchase_rate"``.
    limits : tuple of float
        Of a search. Wide enough that the supremum is reached to 1e-4 log-likelihood units, narrow enough that every
        function of the model is still accurate there.
    at_lower, at_upper : str
        What a maximum at the limit says about customers; empty where it says nothing.
    level : bool
        Whether it is a mean of the customers (rate, dropout, spend): told by itself in tables, and what covariates act
        on. The others say how much customers differ.
    link : str
        ``"log"`` or ``"logit"``.
    unit : str
        ``"per time"``, ``"money"`` or ``""``.
    """

    name: str
    quantity: str
    limits: tuple[float, float]
    at_lower: str = ""
    at_upper: str = ""
    level: bool = False
    link: str = "log"
    unit: str = ""

    @property
    def group_sd(self) -> float:
        """Scale of the half-normal prior of its standard deviation between groups."""
        return 0.5 if self.level else 0.3


PURCHASE_RATE: Final = (
    Coordinate(name="log_rate", quantity="mean_purchase_rate", limits=(-14.0, 14.0), level=True, unit="per time"),
    Coordinate(
        name="log_shape",
        quantity="purchase_rate_shape",
        limits=(-9.0, 16.0),
        at_lower="purchase rates differ without bound between customers (r -> 0)",
        at_upper="customers do not differ in purchase rate (r -> infinity)",
    ),
)
"""Of a purchase rate with a Gamma distribution, which all transaction models have."""
