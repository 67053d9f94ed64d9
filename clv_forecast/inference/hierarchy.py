"""The parameters of a hierarchical fit, customer by customer.

Parameters of each customer, draw by draw: what a forecast asks a fitted model for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.structure import Assignment, NumericCovariate, Structure, assign
from clv_forecast.models import gamma_gamma, transaction_model

if TYPE_CHECKING:
    from clv_forecast.history.purchase_history import PurchaseHistory


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


_PURCHASES: Final = 1
_SPEND: Final = 2
_NO_GROUP: Final = "(a group of the population)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hierarchy:
    """What a hierarchical fit has learned: its structure, and draws of what depends on it.

    Parameters
    ----------
    structure : Structure
        Groups and covariates, as they were in the fit.
    purchases : EffectDraws
    spend : EffectDraws or None
    model : str
        Name of the transaction model.
    time_scale, money_scale : float
        What the data were divided by in the fit; money only with a spend part.
    seed : int
        Of the effects of groups that the fit has not seen.
    """

    structure: Structure
    purchases: EffectDraws
    spend: EffectDraws | None
    model: str
    time_scale: float
    money_scale: float | None
    seed: int

    def for_new_customers(self, attributes: Mapping[str, Any], count: int) -> HierarchicalParameters:
        """Parameters of new customers who are alike in their attributes.

        Parameters
        ----------
        attributes : mapping of str to value
            Every covariate of the fit. A group that is left out, or that the fit has not seen, is drawn from the
            population.
        count : int
            Number of customers.

        Raises
        ------
        DomainError
            If an attribute is none of the fit's, or a covariate is missing.
        InputError
            If the value of a covariate cannot be used.
        """
        groups = [term.name for term in self.structure.groups]
        needed = [part.name for part in self.structure.covariates]
        strange = [name for name in attributes if name not in (*groups, *needed)]
        missing = [name for name in needed if name not in attributes]
        if strange or missing:
            raise DomainError(
                "New customers are described by the groups and covariates of the fit.",
                value=f"unknown {strange}, missing {missing}",
                remedy=f"Groups: {groups}; covariates, each needed: {needed}.",
            )
        values = {name: attributes.get(name, _NO_GROUP) for name in (*groups, *needed)}
        table = pd.DataFrame({columns.CUSTOMER_ID: ["new customer"] * count})
        described = SimpleNamespace(table=table, customers=pd.DataFrame([values] * count))
        return self.for_history(cast("PurchaseHistory", described))

    def take(self, kept: NDArray[np.intp] | slice) -> Hierarchy:
        """Keep some draws, or take some repeatedly."""
        spend = None if self.spend is None else self.spend.take(kept)
        return replace(self, purchases=self.purchases.take(kept), spend=spend)

    def for_history(self, history: PurchaseHistory) -> HierarchicalParameters:
        """Parameters of every customer of a history, in the order of its table."""
        return HierarchicalParameters(hierarchy=self, assignment=assign(self.structure, history))

    def typical_purchases(self) -> Any:
        """Purchase parameters in the middle of the population, fields of shape (draw, 1)."""
        return self._purchases(self.purchases.intercept[:, None, :])

    def typical_spend(self) -> Any:
        """Spend parameters in the middle of the population, fields of shape (draw, 1); None without a spend part."""
        return None if self.spend is None else self._spend(self.spend.intercept[:, None, :])

    def purchases_of(self, assignment: Assignment, cells: NDArray[np.intp]) -> Any:
        """Purchase parameters of some cells, fields of shape (draw, cell)."""
        return self._purchases(_theta(self.purchases, assignment, cells, seed=self.seed, part=_PURCHASES))

    def spend_of(self, assignment: Assignment, cells: NDArray[np.intp]) -> Any:
        """Spend parameters of some cells, fields of shape (draw, cell); None without a spend part."""
        return (
            None
            if self.spend is None
            else self._spend(_theta(self.spend, assignment, cells, seed=self.seed, part=_SPEND))
        )

    def _purchases(self, theta: NDArray[np.float64]) -> Any:
        module = transaction_model(self.model)
        return _natural(module, theta, dict.fromkeys(module.TIME_PARAMETERS, self.time_scale))

    def _spend(self, theta: NDArray[np.float64]) -> Any:
        return _natural(gamma_gamma, theta, dict.fromkeys(gamma_gamma.MONEY_PARAMETERS, self.money_scale))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HierarchicalParameters:
    """Parameters of the customers of a history under a hierarchical fit; see `CustomerParameters`.

    Parameters
    ----------
    hierarchy : Hierarchy
    assignment : Assignment
    """

    hierarchy: Hierarchy
    assignment: Assignment

    @property
    def cell(self) -> NDArray[np.intp]:
        """Cell of each customer: customers alike in every group and covariate share one."""
        return self.assignment.cell

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return self.hierarchy.purchases.n_draws

    @property
    def is_shared(self) -> bool:
        """Whether customers share cells: not where a covariate is a number."""
        return not any(isinstance(part, NumericCovariate) for part in self.hierarchy.structure.covariates)

    @property
    def notes(self) -> tuple[str, ...]:
        """Groups that the fit has not seen."""
        return self.assignment.notes

    def purchases(self, cells: NDArray[np.intp]) -> Any:
        """Purchase parameters of some cells, fields of shape (draw, cell)."""
        return self.hierarchy.purchases_of(self.assignment, cells)

    def spend(self, cells: NDArray[np.intp]) -> Any:
        """Spend parameters of some cells, fields of shape (draw, cell)."""
        return self.hierarchy.spend_of(self.assignment, cells)

    def between(self, start: int, stop: int) -> HierarchicalParameters:
        """The draws ``start .. stop - 1``."""
        return replace(self, hierarchy=self.hierarchy.take(slice(start, stop)))


def _theta(
    effects: EffectDraws, assignment: Assignment, cells: NDArray[np.intp], *, seed: int, part: int
) -> NDArray[np.float64]:
    """Coordinates of cells; purchases and spend of an unseen group are drawn apart, as they were fitted."""
    own = int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return effects.theta(assignment.codes[cells], assignment.labels[cells], assignment.design[cells], seed=own)


def _natural(module: Any, theta: NDArray[np.float64], scales: dict[str, Any]) -> Any:
    """Coordinates of shape (draw, cell, k) in scaled data as parameters of shape (draw, cell) in the user's units."""
    draws, cells, k = theta.shape
    params = map_fields(module.constrain(theta.reshape(-1, k)), lambda field: field.reshape(draws, cells))
    return type(params)(*(getattr(params, name) * scales.get(name, 1.0) for name in module.PARAMETERS))
