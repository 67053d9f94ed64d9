r"""How customers differ, according to a model: the spread of purchase rate, dropout and mean spend.

The model's own distributions, in closed form: purchase rate ``Gamma(r, alpha)``; dropout probability ``Beta(a, b)``
(BG/NBD, MBG/NBD) or dropout rate ``Gamma(s, beta)`` (Pareto/NBD); a customer's mean order ``p / nu`` with
``nu ~ Gamma(q, v)``, an inverse Gamma distribution of shape ``q`` and scale ``p v``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betainc, gammainc, gammaincc, gammaincinv

from clv_forecast.arguments import count_of, draws_of, instance_of
from clv_forecast.forecasting.predictive import band, check_prob
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model

Floats = NDArray[np.float64]
Fields = dict[str, Floats]

_BINS: Final = 50
_MOST_BINS: Final = 1000
_COVERED: Final = 0.99
_NUMBERS_AT_ONCE: Final = 2_000_000
_CELLS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    """One property of customers, for parameters of shape (draw, cell).

    ``below`` is the share of customers below each edge, fields of shape (draw, cell, 1); ``top`` is where 99 % lie
    below.
    """

    name: str
    unit: str
    below: Callable[[Fields, Floats], Floats]
    top: Callable[[Fields], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Population:
    """Customers by cell: the parameters of cells, fields of shape (draw, cell), and the share of customers in each."""

    of_cells: Callable[[NDArray[np.intp]], Any]
    cells: NDArray[np.intp]
    weights: Floats

    def below(self, quantity: _Quantity, edges: Floats, draws: int) -> Floats:
        """Share of customers below each edge, shape (draw, edge); some cells at a time."""
        total = np.zeros((draws, len(edges)))
        step = max(1, _NUMBERS_AT_ONCE // (draws * len(edges)))
        for start in range(0, len(self.cells), step):
            block = slice(start, start + step)
            params = {name: field[..., None] for name, field in _fields(self.of_cells(self.cells[block])).items()}
            total += np.einsum("dce,c->de", quantity.below(params, edges), self.weights[block])
        return total

    def top(self, quantity: _Quantity) -> float:
        """Upper end of the bins: where 99 % of all customers lie below, in the middle of the draws."""
        ends = [
            np.median(quantity.top(_fields(self.of_cells(self.cells[start : start + _CELLS_AT_ONCE]))), axis=0)
            for start in range(0, len(self.cells), _CELLS_AT_ONCE)
        ]
        each = np.concatenate(ends)
        order = np.argsort(each)
        return float(each[order][np.searchsorted(np.cumsum(self.weights[order]), _COVERED).clip(max=len(each) - 1)])


def heterogeneity(
    model: Model,
    history: PurchaseHistory | None = None,
    *,
    bins: int = _BINS,
    draws: int = 400,
    prob: float = 0.9,
) -> pd.DataFrame:
    """Share of customers in bins of purchase rate, dropout and mean spend, with intervals over parameter draws.

    Parameters
    ----------
    model : Model
    history : PurchaseHistory, optional
        For a model with groups or covariates: whose customers to mix. Without it those are shown who are alike in
        groups and covariates, around the typical customer.
    bins : int
        Equal bins, from 0 to where about 99 % of the customers lie below (dropout probabilities: to 1).
    draws : int
        Parameter draws to use, evenly spaced.
    prob : float
        Probability inside the intervals.

    Returns
    -------
    DataFrame
        One row per quantity ("purchase rate", "dropout probability" or "dropout rate", and "mean spend" where spend
        was fitted) and bin: quantity, unit, left, right, share (of all customers, mean over draws), lower, upper;
        density, density_lower, density_upper (share over width: the mean density within the bin, finite where the
        density itself has a pole); share_beyond (above the last bin); prob.

    Raises
    ------
    DomainError
        If an argument lies outside its domain.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, draws=200, compare=False)
    >>> heterogeneity(model).groupby("quantity")["share"].sum().round(2).to_dict()
    {'dropout probability': 1.0, 'mean spend': 0.99, 'purchase rate': 0.99}
    """
    instance_of(model, Model, "model", "fit")
    check_prob(prob)
    count = count_of(bins, "bins", most=_MOST_BINS) or _BINS
    used = model.draws.cycle(draws_of(draws, least=1))
    purchases, spend = _populations(used, history)
    tables = [_table(purchases, quantity, count, used.n_draws, prob) for quantity in _of_purchases(model)]
    if spend is not None:
        tables.append(_table(spend, _of_spend(model), count, used.n_draws, prob))
    return pd.concat(tables, ignore_index=True).assign(prob=prob)


def _populations(used: Any, history: PurchaseHistory | None) -> tuple[_Population, _Population | None]:
    """Customers by their purchase parameters and by their spend parameters."""
    has_spend = used.spend is not None
    if history is None:
        one: dict[str, Any] = {"cells": np.zeros(1, dtype=np.intp), "weights": np.ones(1)}
        spend = _Population(of_cells=lambda _: used.spend, **one) if has_spend else None
        return _Population(of_cells=lambda _: used.purchases, **one), spend
    instance_of(history, PurchaseHistory, "history", "purchase_history")
    known = used.for_history(history)
    cells, counts = np.unique(known.cell, return_counts=True)
    all_of_them: dict[str, Any] = {"cells": cells, "weights": counts / counts.sum()}
    spend = _Population(of_cells=known.spend, **all_of_them) if has_spend else None
    return _Population(of_cells=known.purchases, **all_of_them), spend


def _table(population: _Population, quantity: _Quantity, bins: int, draws: int, prob: float) -> pd.DataFrame:
    edges = np.linspace(0.0, population.top(quantity), bins + 1)
    below = population.below(quantity, edges, draws)
    shares = np.diff(below, axis=1).T
    lower, upper = band(shares, prob)
    table = pd.DataFrame(
        {
            "quantity": quantity.name,
            "unit": quantity.unit,
            "left": edges[:-1],
            "right": edges[1:],
            "share": shares.mean(axis=1),
            "lower": lower,
            "upper": upper,
        }
    )
    for name, column in (("density", "share"), ("density_lower", "lower"), ("density_upper", "upper")):
        table[name] = table[column] / (edges[1] - edges[0])
    return table.assign(share_beyond=float((1.0 - below[:, -1]).mean()))


def _of_purchases(model: Model) -> list[_Quantity]:
    """Purchase rate and dropout; a dropout of another kind than Beta(a, b) or Gamma(s, beta) is left out."""
    found = [
        _Quantity(
            name="purchase rate",
            unit=f"purchases per {model.unit} while a customer",
            below=lambda params, x: np.asarray(gammainc(params["r"], params["alpha"] * x)),
            top=lambda params: np.asarray(gammaincinv(params["r"], _COVERED) / params["alpha"]),
        )
    ]
    names = set(_fields(model.draws.purchases))
    if {"a", "b"} <= names:
        found.append(
            _Quantity(
                name="dropout probability",
                unit="after each purchase" if model.purchases == "mbg_nbd" else "after each repeat purchase",
                below=lambda params, x: np.asarray(betainc(params["a"], params["b"], x)),
                top=lambda params: np.ones_like(params["a"]),
            )
        )
    if {"s", "beta"} <= names:
        found.append(
            _Quantity(
                name="dropout rate",
                unit=f"per {model.unit}",
                below=lambda params, x: np.asarray(gammainc(params["s"], params["beta"] * x)),
                top=lambda params: np.asarray(gammaincinv(params["s"], _COVERED) / params["beta"]),
            )
        )
    return found


def _of_spend(model: Model) -> _Quantity:
    return _Quantity(
        name="mean spend",
        unit=f"{model.currency or 'money'} per order",
        below=_spend_below,
        top=lambda params: np.asarray(params["p"] * params["v"] / gammaincinv(params["q"], 1.0 - _COVERED)),
    )


def _spend_below(params: Fields, amounts: Floats) -> Floats:
    """``P(p / nu < amount) = P(nu > p / amount)``: 0 at an amount of 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(gammaincc(params["q"], params["p"] * params["v"] / amounts))


def _fields(params: Any) -> Fields:
    return {field.name: np.asarray(getattr(params, field.name)) for field in fields(params)}
