"""Parameter draws: the one currency of uncertainty, whatever method made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchy import CustomerParameters, Hierarchy, PooledParameters, map_fields

if TYPE_CHECKING:
    from clv_forecast.history.purchase_history import PurchaseHistory

ASYMPTOTIC: Final = "asymptotic"
LAPLACE: Final = "laplace posterior"
POSTERIOR: Final = "posterior"
POINT: Final = "point estimate"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ParameterDraws:
    """Equal-weight draws of the parameters, on the user's scale.

    Parameters
    ----------
    purchases : Params of the transaction model
        Each field of shape (draw, 1), so that it broadcasts to (draw, customer). Of a hierarchical fit: the middle
        of the population; `for_history` has those of the customers.
    spend : Params of the Gamma-Gamma model, or None
        Each field of shape (draw, 1); None when no spend was fitted.
    kind : str
        How the purchase parameters were drawn: ``"asymptotic"``, ``"laplace posterior"``, ``"posterior"`` (a sampler's)
        or ``"point estimate"`` (no spread).
    spend_kind : str or None
        The same for the spend parameters.
    hierarchy : Hierarchy or None
        What depends on groups and covariates, in as many draws.
    """

    purchases: Any
    spend: Any | None
    kind: str
    spend_kind: str | None = None
    hierarchy: Hierarchy | None = None

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return int(getattr(self.purchases, fields(self.purchases)[0].name).shape[0])

    def to_frame(self) -> pd.DataFrame:
        """One row per draw, one column per parameter.

        Returns
        -------
        DataFrame
            Index ``draw``; columns are the parameters of purchases, then of spend.
        """
        columns = _columns(self.purchases)
        if self.spend is not None:
            columns |= _columns(self.spend)
        frame = pd.DataFrame(columns)
        frame.index.name = "draw"
        return frame

    def for_history(self, history: PurchaseHistory) -> CustomerParameters:
        """Parameters of every customer of a history, in the order of its table.

        Raises
        ------
        DomainError, InputError
            If the history lacks an attribute that the model was fitted by.
        """
        if self.hierarchy is not None:
            return self.hierarchy.for_history(history)
        return PooledParameters(
            everyone_purchases=self.purchases,
            everyone_spend=self.spend,
            cell=np.zeros(len(history.table), dtype=np.intp),
        )

    def for_new_customers(self, attributes: Mapping[str, Any], count: int) -> CustomerParameters:
        """Parameters of ``count`` new customers who are alike in their attributes.

        Raises
        ------
        DomainError
            If attributes are given to a pooled fit, or they are not those of the fit.
        InputError
            If the value of a covariate cannot be used.
        """
        if self.hierarchy is not None:
            return self.hierarchy.for_new_customers(attributes, count)
        if attributes:
            raise DomainError(
                "The parameters of a pooled fit do not depend on attributes.",
                value=list(attributes),
                remedy="Fit with groups=... or covariates=..., or leave the attributes out.",
            )
        return PooledParameters(
            everyone_purchases=self.purchases, everyone_spend=self.spend, cell=np.zeros(count, dtype=np.intp)
        )

    def cycle(self, n: int) -> ParameterDraws:
        """Exactly ``n`` draws: thinned where there are more, taken again and again where there are fewer.

        Raises
        ------
        DomainError
            If ``n`` is below 1.
        """
        if n <= self.n_draws:
            return self.thin(n)
        return self._take(np.arange(n) % self.n_draws)

    def thin(self, n: int) -> ParameterDraws:
        """Keep ``n`` draws, evenly spaced, always the same ones.

        Raises
        ------
        DomainError
            If ``n`` is not an integer between 1 and the number of draws.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= self.n_draws:
            raise DomainError(f"draws must be between 1 and the {self.n_draws} draws of the fit.", value=repr(n))
        if n == self.n_draws:
            return self
        return self._take(np.arange(n) * self.n_draws // n)

    def _take(self, kept: NDArray[np.intp]) -> ParameterDraws:
        return replace(
            self,
            purchases=map_fields(self.purchases, lambda field: field[kept]),
            spend=None if self.spend is None else map_fields(self.spend, lambda field: field[kept]),
            hierarchy=None if self.hierarchy is None else self.hierarchy.take(kept),
        )

    def __repr__(self) -> str:
        """One line."""
        parts = [(self.purchases, self.kind), (self.spend, self.spend_kind)]
        told = (f"{', '.join(_columns(params))} ({kind})" for params, kind in parts if params is not None)
        return f"<ParameterDraws {self.n_draws:,} draws: {'; '.join(told)}>"


def params_of_draws(params_type: Any, columns: Sequence[NDArray[np.float64]]) -> Any:
    """Build ``Params`` with fields of shape (draw, 1) from one vector per parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from clv_forecast.models import bg_nbd
    >>> params_of_draws(bg_nbd.Params, [np.ones(5)] * 4).alpha.shape
    (5, 1)
    """
    return params_type(*(np.asarray(column, dtype=np.float64).reshape(-1, 1) for column in columns))


def _columns(params: Any) -> dict[str, NDArray[np.float64]]:
    return {field.name: np.asarray(getattr(params, field.name)).ravel() for field in fields(params)}
