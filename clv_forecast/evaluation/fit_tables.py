"""How a model fits the history it was made from: tables for the figures, computed once.

How customers differ, according to a model: the spread of purchase rate, dropout and mean spend.

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

from clv_forecast import columns
from clv_forecast.arguments import count_of, draws_of, finite_number, instance_of, number_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.money import resolve_terms
from clv_forecast.forecasting.plan import Part, Plan, make_plan
from clv_forecast.forecasting.predictive import band, check_prob
from clv_forecast.forecasting.stack import Stack
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.hierarchy import map_fields
from clv_forecast.inference.model import Model
from clv_forecast.models import transaction_model
from clv_forecast.streams import as_seed
from clv_forecast.units import Horizon

Floats = NDArray[np.float64]
Fields = dict[str, Floats]

_BINS: Final = 50
_MOST_BINS: Final = 1000
_COVERED: Final = 0.99
_NUMBERS_AT_ONCE: Final = 2_000_000
_DISTINCT_AT_ONCE: Final = 1000


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
            np.median(quantity.top(_fields(self.of_cells(self.cells[start : start + _DISTINCT_AT_ONCE]))), axis=0)
            for start in range(0, len(self.cells), _DISTINCT_AT_ONCE)
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
    instance_of(model, Model, "model", made_by="fit")
    check_prob(prob)
    count = count_of(bins, "bins", most=_MOST_BINS) or _BINS
    used = model.draws.cycle(draws_of(draws, least=1))
    purchases, spend = _populations(used, history)
    tables = [_table(purchases, quantity, count, draws=used.n_draws, prob=prob) for quantity in _of_purchases(model)]
    if spend is not None:
        tables.append(_table(spend, _of_spend(model), count, draws=used.n_draws, prob=prob))
    return pd.concat(tables, ignore_index=True).assign(prob=prob)


def _populations(used: Any, history: PurchaseHistory | None) -> tuple[_Population, _Population | None]:
    """Customers by their purchase parameters and by their spend parameters."""
    has_spend = used.spend is not None
    if history is None:
        one: dict[str, Any] = {"cells": np.zeros(1, dtype=np.intp), "weights": np.ones(1)}
        spend = _Population(of_cells=lambda _: used.spend, **one) if has_spend else None
        return _Population(of_cells=lambda _: used.purchases, **one), spend
    instance_of(history, PurchaseHistory, "history", made_by="purchase_history")
    known = used.for_history(history)
    cells, counts = np.unique(known.cell, return_counts=True)
    all_of_them: dict[str, Any] = {"cells": cells, "weights": counts / counts.sum()}
    spend = _Population(of_cells=known.spend, **all_of_them) if has_spend else None
    return _Population(of_cells=known.purchases, **all_of_them), spend


def _table(population: _Population, quantity: _Quantity, bins: int, *, draws: int, prob: float) -> pd.DataFrame:
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
                unit=transaction_model(model.purchases).LEAVES,
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


_CELLS_AT_ONCE: Final = 400_000
_MOST: Final = 7
_STEPS: Final = 60
_LARGEST_MATRIX: Final = 200


def purchase_frequencies(
    model: Model | Stack,
    history: PurchaseHistory,
    *,
    most: int = _MOST,
    draws: int = 400,
    prob: float = 0.9,
    rng: int | np.random.Generator = 1,
) -> pd.DataFrame:
    r"""How many customers made 0, 1, 2, ... repeat purchases, and how many the model expects.

    .. math:: E[N_n] = \sum_i P(X(T_i) = n)

    over the customers ``i``, each with its own length of observation and parameters, averaged over parameter draws.

    Parameters
    ----------
    model : Model or Stack
    history : PurchaseHistory
        Usually the one the model was fitted on.
    most : int
        Customers with at least this many repeat purchases share the last row.
    draws : int
        Parameter draws, at least 100.
    prob : float
        Probability inside the bands.
    rng : int or Generator
        Seed of the predictive counts.

    Returns
    -------
    DataFrame
        frequency ("0", "1", ..., "7+"), customers (observed), expected; expected_lower and expected_upper (what is not
        known of the parameters) and lower and upper (the predictive band: the chance of each customer as well); prob,
        as_of.

    Raises
    ------
    DomainError
        If an argument lies outside its domain, or model and history do not fit together.
    InputError
        If the history lacks what the model judges spend by.

    Notes
    -----
    Customers of equal parameters and T are counted together, so memory does not grow with customers x draws. The
    model has seen these counts: a model that fits lies inside its band more often than ``prob`` says.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, spend=None, draws=200, compare=False)
    >>> table = purchase_frequencies(model, history, most=3)
    >>> table["frequency"].tolist(), table["customers"].tolist()
    (['0', '1', '2', '3+'], [1403, 439, 214, 293])
    """
    check_prob(prob)
    last = count_of(most, "most", most=_LARGEST_MATRIX) or _MOST
    plan = _plan(model, history, draws, seed=as_seed(rng))
    generator = np.random.default_rng(plan.seed)
    means, counts = [], []
    for part in plan.parts:
        expected, drawn = _counts(plan, part, last, generator=generator)
        means.append(expected)
        counts.append(drawn)
    expected, drawn = np.concatenate(means, axis=1), np.concatenate(counts, axis=1)
    observed = np.bincount(np.minimum(plan.frequency, last).astype(np.intp), minlength=last + 1)
    table = pd.DataFrame(
        {
            columns.FREQUENCY: [str(n) for n in range(last)] + [f"{last}+"],
            "customers": observed,
            "expected": expected.mean(axis=1),
        }
    )
    table["expected_lower"], table["expected_upper"] = band(expected, prob)
    table["lower"], table["upper"] = band(drawn, prob)
    return table.assign(prob=prob, as_of=history.as_of)


def _counts(
    plan: Plan, part: Part, most: int, *, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Expected and drawn numbers of customers by purchases, each of shape (purchases, draw)."""
    alike = np.stack([part.parameters.cell.astype(np.float64), plan.T])
    _, first, weights = np.unique(alike, axis=1, return_index=True, return_counts=True)
    expected = np.zeros((most + 1, part.draws))
    drawn = np.zeros((most + 1, part.draws), dtype=np.int64)
    step = max(1, _CELLS_AT_ONCE // (part.draws * (most + 1)))
    for start in range(0, len(first), step):
        rows, weight = first[start : start + step], weights[start : start + step]
        params = part.purchases(rows)
        chance = np.empty((len(rows), part.draws, most + 1))
        for n in range(most):
            chance[:, :, n] = part.module.purchase_pmf(params, n, horizon=plan.T[rows]).T
        chance[:, :, most] = np.maximum(1.0 - chance[:, :, :most].sum(axis=2), 0.0)
        chance /= chance.sum(axis=2, keepdims=True)
        expected += np.einsum("rdn,r->nd", chance, weight)
        drawn += generator.multinomial(weight[:, None], chance).sum(axis=0).T
    return expected, drawn


def recency_frequency_matrix(
    model: Model, *, T: float, horizon: str, max_frequency: int = 20, steps: int = _STEPS
) -> pd.DataFrame:
    """What the number of repeat purchases and the time of the last one say about a customer.

    Parameters
    ----------
    model : Model
        Of a model with groups the typical customer is shown.
    T : float
        Time since the first purchase, in the model's unit; positive.
    horizon : str
        Of the expected purchases, such as ``"12 months"``.
    max_frequency : int
    steps : int
        How finely recency is divided.

    Returns
    -------
    DataFrame
        One row per frequency (0 ... max_frequency) and recency (0 ... T): frequency, recency, p_alive and
        expected_purchases in ``(T, T + horizon]``, both means over parameter draws; T, horizon, unit. NaN where no
        customer can be: without a repeat purchase the recency is 0, with one it is not.

    Raises
    ------
    DomainError
        If an argument lies outside its domain.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, spend=None, draws=200, compare=False)
    >>> table = recency_frequency_matrix(model, T=39, horizon="39 weeks", max_frequency=2, steps=3)
    >>> table.dropna()[["frequency", "recency"]].values.tolist()
    [[0.0, 0.0], [1.0, 13.0], [1.0, 26.0], [1.0, 39.0], [2.0, 13.0], [2.0, 26.0], [2.0, 39.0]]
    """
    instance_of(model, Model, "model", made_by="fit")
    if finite_number(T, "T") <= 0.0:
        raise DomainError("T must be positive.", value=T)
    counts = tuple(
        number_of(value, name, most=_LARGEST_MATRIX)
        for value, name in ((max_frequency, "max_frequency"), (steps, "steps"))
    )
    ahead = Horizon.parse(horizon)
    module = transaction_model(model.purchases)
    frequency = np.repeat(np.arange(counts[0] + 1.0), counts[1] + 1)
    recency = np.tile(np.linspace(0.0, float(T), counts[1] + 1), counts[0] + 1)
    possible = np.flatnonzero((frequency > 0.0) == (recency > 0.0))
    x, t_x = frequency[possible], recency[possible]
    alive, purchases = np.zeros(len(x)), np.zeros(len(x))
    draws = model.draws.n_draws
    step = max(1, _CELLS_AT_ONCE // len(x))
    for start in range(0, draws, step):
        params = map_fields(model.draws.purchases, _rows_of(start, start + step))
        p_alive = module.p_alive(params, x, t_x, np.full(len(x), float(T)))
        per_frequency = module.expected_purchases_given_alive(
            params, np.arange(counts[0] + 1.0), np.full(counts[0] + 1, float(T)), horizon=ahead.in_unit(model.unit)
        )
        alive += p_alive.sum(axis=0)
        purchases += (p_alive * per_frequency[:, x.astype(np.intp)]).sum(axis=0)
    table = pd.DataFrame({columns.FREQUENCY: frequency.astype(np.int64), columns.RECENCY: recency})
    for name, total in (("p_alive", alive), ("expected_purchases", purchases)):
        values = np.full(len(table), np.nan)
        values[possible] = total / draws
        table[name] = values
    return table.assign(T=float(T), horizon=ahead.label, unit=model.unit)


def _rows_of(start: int, stop: int) -> Any:
    return lambda field: field[start:stop]


def _plan(model: Model | Stack, history: PurchaseHistory, draws: int, *, seed: int) -> Plan:
    """Each customer's parameters and history as arrays; money plays no part."""
    if not isinstance(model, Stack):
        instance_of(model, Model, "model", made_by="fit")
    instance_of(history, PurchaseHistory, "history", made_by="purchase_history")
    terms = resolve_terms(history, margin=1.0, cost_to_serve=0.0, cost_per_order=0.0)
    return make_plan(model, history, terms=terms, discount=0.0, draws=draws, seed=seed, shock=None, correction=None)
