"""Spread over customers: closed forms against drawn customers, and mixtures over the groups of a base."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError
from clv_forecast.evaluation import fit_tables as module
from clv_forecast.evaluation.fit_tables import heterogeneity
from clv_forecast.inference.draws import ParameterDraws
from clv_forecast.models import bg_nbd, gamma_gamma, pareto_nbd

SPEND = (6.0, 4.0, 15.0)
CUSTOMERS = 400_000


@pytest.fixture(scope="module")
def history() -> clv.PurchaseHistory:
    log = clv.load_cdnow("1/10")
    kept = log[log["customer_id"].isin(log["customer_id"].unique()[::6])]
    return clv.purchase_history(kept, as_of="1997-09-30", unit="week", currency="USD")


@pytest.fixture(scope="module")
def fitted(history: clv.PurchaseHistory) -> clv.Model:
    return clv.fit(history, draws=200, compare=False)


def known(model: clv.Model, name: str, params: Any) -> clv.Model:
    """The model with one and the same parameters in all draws."""

    def repeated(fields: Any) -> Any:
        return type(fields)(*(np.full((20, 1), getattr(fields, f.name)) for f in dataclasses.fields(fields)))

    draws = ParameterDraws(
        purchases=repeated(params), spend=repeated(gamma_gamma.Params(*SPEND)), kind="point estimate",
        spend_kind="point estimate",
    )  # fmt: skip
    return dataclasses.replace(model, purchases=name, draws=draws)


CASES = [
    ("bg_nbd", bg_nbd.Params(0.25, 4.5, 0.8, 2.4), "dropout probability"),
    ("bg_nbd", bg_nbd.Params(2.5, 4.5, 0.4, 0.5), "dropout probability"),
    ("pareto_nbd", pareto_nbd.Params(0.55, 10.6, 0.6, 11.7), "dropout rate"),
]


@pytest.mark.parametrize(("name", "params", "dropout"), CASES)
def test_shares_are_those_of_drawn_customers(fitted: clv.Model, name: str, params: Any, dropout: str) -> None:
    rng = np.random.default_rng(3)
    drawn = {"purchase rate": rng.gamma(params.r, 1.0 / params.alpha, CUSTOMERS)}
    if dropout == "dropout rate":
        drawn[dropout] = rng.gamma(params.s, 1.0 / params.beta, CUSTOMERS)
    else:
        drawn[dropout] = rng.beta(params.a, params.b, CUSTOMERS)
    p, q, v = SPEND
    drawn["mean spend"] = p / rng.gamma(q, 1.0 / v, CUSTOMERS)
    table = heterogeneity(known(fitted, name, params), bins=20)
    assert set(table["quantity"]) == set(drawn)
    for quantity, customers in drawn.items():
        rows = table[table["quantity"] == quantity]
        edges = [*rows["left"], rows["right"].iloc[-1]]
        found = np.histogram(customers, edges)[0] / CUSTOMERS
        np.testing.assert_allclose(rows["share"], found, atol=5 * np.sqrt(0.25 / CUSTOMERS))
        beyond = 0.0 if quantity == "dropout probability" else 0.01
        assert rows["share_beyond"].iloc[0] == pytest.approx(beyond, abs=1e-9)
        assert rows["share"].sum() + rows["share_beyond"].iloc[0] == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(rows["density"] * (rows["right"] - rows["left"]), rows["share"])
        np.testing.assert_allclose(rows["lower"], rows["upper"])  # parameters known


def test_a_fit_has_intervals_around_its_means(fitted: clv.Model) -> None:
    table = heterogeneity(fitted, bins=10)
    assert (table["lower"] <= table["share"]).all()
    assert (table["share"] <= table["upper"]).all()
    assert (table["upper"] - table["lower"]).max() > 0.01
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)
    units = table.groupby("quantity")["unit"].first()
    assert units["mean spend"] == "USD per order"
    assert units["purchase rate"] == "purchases per week while a customer"
    narrow = heterogeneity(fitted, bins=10, prob=0.5)
    assert ((narrow["upper"] - narrow["lower"]) <= (table["upper"] - table["lower"])).all()


def test_without_spend(history: clv.PurchaseHistory) -> None:
    model = clv.fit(history, purchases="mbg_nbd", spend=None, draws=100, compare=False)
    table = heterogeneity(model)
    assert set(table["quantity"]) == {"purchase rate", "dropout probability"}
    assert "after each purchase" in set(table["unit"])


@dataclasses.dataclass(frozen=True)
class Groups:
    """A quarter of the customers buy ten times as often as the others."""

    purchases_of: tuple[Any, Any]
    n_draws: int = 20
    spend: Any = None
    cell: Any = None

    @property
    def purchases(self) -> Any:
        return self.purchases_of[0]

    def cycle(self, n: int) -> Groups:
        return self

    def for_history(self, history: clv.PurchaseHistory) -> Any:
        cell = (np.arange(len(history.table)) % 4 == 0).astype(np.intp)
        return _Known(cell=cell, groups=self)


@dataclasses.dataclass(frozen=True)
class _Known:
    cell: Any
    groups: Groups

    def purchases(self, cells: Any) -> Any:
        names = ("r", "alpha", "a", "b")
        columns = [np.concatenate([getattr(p, n) for p in self.groups.purchases_of], axis=1) for n in names]
        return bg_nbd.Params(*(column[:, cells] for column in columns))


@pytest.mark.parametrize("at_once", [2_000_000, 1])
def test_a_base_of_groups_is_their_mixture(
    history: clv.PurchaseHistory, fitted: clv.Model, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NUMBERS_AT_ONCE", at_once)
    slow, quick = bg_nbd.Params(0.5, 10.0, 0.8, 2.4), bg_nbd.Params(0.5, 1.0, 0.8, 2.4)
    tables = {}
    for name, params in (("slow", slow), ("quick", quick)):
        tables[name] = known(fitted, "bg_nbd", params).draws.purchases
    model = dataclasses.replace(fitted, draws=Groups(purchases_of=(tables["slow"], tables["quick"])))
    table = heterogeneity(model, history, bins=25)
    rows = table[table["quantity"] == "purchase rate"]
    share = float((np.arange(len(history.table)) % 4 == 0).mean())
    rng = np.random.default_rng(4)
    rates = rng.gamma(0.5, 1.0, CUSTOMERS) / np.where(rng.random(CUSTOMERS) < share, 1.0, 10.0)
    found = np.histogram(rates, [*rows["left"], rows["right"].iloc[-1]])[0] / CUSTOMERS
    np.testing.assert_allclose(rows["share"], found, atol=5 * np.sqrt(0.25 / CUSTOMERS))
    typical = heterogeneity(model, bins=25)
    assert typical.loc[0, "right"] == pytest.approx(rows["right"].iloc[0] / 10.0)


def test_a_pooled_model_needs_no_history(history: clv.PurchaseHistory, fitted: clv.Model) -> None:
    pd.testing.assert_frame_equal(heterogeneity(fitted), heterogeneity(fitted, history), rtol=1e-10)


def test_wrong_arguments(fitted: clv.Model) -> None:
    with pytest.raises(DomainError, match="model must be a Model"):
        heterogeneity("bg_nbd")
    with pytest.raises(DomainError, match=r"bins must be .* at most 1,000"):
        heterogeneity(fitted, bins=1001)
    with pytest.raises(DomainError, match="history must be a PurchaseHistory"):
        heterogeneity(fitted, pd.DataFrame())
