"""Parameters of each customer, draw by draw: what a forecast asks a fitted model for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class CustomerParameters(Protocol):
    """Parameters of customers who fall into cells: those of a cell share their parameters."""

    @property
    def cell(self) -> NDArray[np.intp]:
        """Cell of each customer, shape (customer,)."""
        ...

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether many customers share a cell (groups do, continuous covariates do not)."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the forecast must know about these parameters."""
        ...

    def purchases(self, cells: NDArray[np.intp]) -> Any:
        """``Params`` of the transaction model, each field of shape (draw, len(cells)) or (draw, 1)."""
        ...

    def spend(self, cells: NDArray[np.intp]) -> Any:
        """``Params`` of the Gamma-Gamma model in the same shapes, or None without a spend part."""
        ...

    def between(self, start: int, stop: int) -> CustomerParameters:
        """The draws ``start .. stop - 1``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledParameters:
    """One set of parameters for everyone.

    Parameters
    ----------
    everyone_purchases, everyone_spend : Params
        Each field of shape (draw, 1); spend may be None.
    cell : ndarray of int, shape (customer,)
        Zeros.
    """

    everyone_purchases: Any
    everyone_spend: Any | None
    cell: NDArray[np.intp]
    notes: tuple[str, ...] = ()

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return int(getattr(self.everyone_purchases, fields(self.everyone_purchases)[0].name).shape[0])

    @property
    def is_shared(self) -> bool:
        """True."""
        return True

    def purchases(self, cells: NDArray[np.intp]) -> Any:
        """The same whatever the cells: fields of shape (draw, 1)."""
        return self.everyone_purchases

    def spend(self, cells: NDArray[np.intp]) -> Any:
        """The same whatever the cells."""
        return self.everyone_spend

    def between(self, start: int, stop: int) -> PooledParameters:
        """The draws ``start .. stop - 1``."""
        spend = self.everyone_spend
        return PooledParameters(
            everyone_purchases=map_fields(self.everyone_purchases, lambda field: field[start:stop]),
            everyone_spend=None if spend is None else map_fields(spend, lambda field: field[start:stop]),
            cell=self.cell,
            notes=self.notes,
        )


def map_fields(params: Any, change: Any) -> Any:
    """Rebuild ``Params`` with every field changed.

    Examples
    --------
    >>> from clv_forecast.models import bg_nbd
    >>> map_fields(bg_nbd.Params([[1.0], [2.0]], [[1.0], [2.0]], [[1.0], [2.0]], [[1.0], [2.0]]), lambda f: f[:1]).r
    array([[1.]])
    """
    return type(params)(*(change(getattr(params, field.name)) for field in fields(params)))
