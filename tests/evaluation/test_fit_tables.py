"""Counts of purchases and the map over recency and frequency, against sums over single customers and simulations."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError
from clv_forecast.evaluation import fit_tables
from clv_forecast.evaluation.fit_tables import purchase_frequencies, recency_frequency_matrix
from clv_forecast.forecasting.stack import Stack
from clv_forecast.inference.draws import ParameterDraws
from clv_forecast.models import bg_nbd, transaction_model

MODELS = ("bg_nbd", "mbg_nbd", "pareto_nbd")


@pytest.fixture(scope="module")
def history() -> clv.PurchaseHistory:
    log = clv.load_cdnow("1/10")
    kept = log[log["customer_id"].isin(log["customer_id"].unique()[::6])]
    return clv.purchase_history(kept, as_of="1997-09-30", unit="week")


@pytest.fixture(scope="module")
def models(history: clv.PurchaseHistory) -> dict[str, clv.Model]:
    return {name: clv.fit(history, purchases=name, spend=None, draws=120, compare=False) for name in MODELS}


def with_draws(model: clv.Model, params: Any) -> clv.Model:
    return dataclasses.replace(model, draws=ParameterDraws(purchases=params, spend=None, kind="point estimate"))


def point(model: clv.Model, r: float, alpha: float, a: float, b: float) -> clv.Model:
    """The model with one and the same parameters in all draws."""
    return with_draws(model, bg_nbd.Params(*(np.full((100, 1), value) for value in (r, alpha, a, b))))


@pytest.mark.parametrize("name", MODELS)
def test_expected_counts_are_sums_over_customers(name: str, history: clv.PurchaseHistory, models: Any) -> None:
    module, model = transaction_model(name), models[name]
    table = purchase_frequencies(model, history, most=3, draws=100)
    params = model.draws.cycle(100).purchases
    sums = np.zeros((3, 100))
    for T in history.table["T"]:
        for n in range(3):
            sums[n] += module.purchase_pmf(params, n, horizon=T).ravel()
    np.testing.assert_allclose(table["expected"][:3], sums.mean(axis=1), rtol=1e-10)
    assert table["expected"].sum() == pytest.approx(len(history.table), rel=1e-12)
    ordered = np.sort(sums, axis=1)
    np.testing.assert_allclose(table["expected_lower"][:3], ordered[:, 4], rtol=1e-10)
    np.testing.assert_allclose(table["expected_upper"][:3], ordered[:, 95], rtol=1e-10)


def test_observed_counts(history: clv.PurchaseHistory, models: Any) -> None:
    table = purchase_frequencies(models["bg_nbd"], history, most=2)
    x = history.table["frequency"]
    assert table["customers"].tolist() == [int((x == 0).sum()), int((x == 1).sum()), int((x >= 2).sum())]
    assert table["frequency"].tolist() == ["0", "1", "2+"]
    assert purchase_frequencies(models["bg_nbd"], history)["frequency"].tolist()[-2:] == ["6", "7+"]


def test_the_band_covers_simulated_counts_and_not_those_of_another_model(
    history: clv.PurchaseHistory, models: Any
) -> None:
    """Nominal 90 % over 300 simulated bases; of a base that buys more (r 40 % higher) it covers far fewer."""
    truth = (0.25, 4.5, 0.8, 2.4)
    table = purchase_frequencies(point(models["bg_nbd"], *truth), history, most=4, draws=2000)
    T = np.tile(history.table["T"].to_numpy(), 300)
    covered = {}
    for name, r in (("same", truth[0]), ("other", 1.4 * truth[0])):
        frequency, _ = bg_nbd.simulate(bg_nbd.Params(r, *truth[1:]), T, rng=5).summary()
        bins = np.minimum(frequency.ravel(), 4).reshape(300, -1)
        counts = np.stack([(bins == n).sum(axis=1) for n in range(5)], axis=1)
        inside = (counts >= table["lower"].to_numpy()) & (counts <= table["upper"].to_numpy())
        covered[name] = inside.mean()
    assert 0.88 < covered["same"] < 0.97
    assert covered["other"] < 0.6
    assert (table["expected_upper"] - table["expected_lower"]).max() < 1e-9  # parameters known: no spread of means


def test_blocks_change_nothing(history: clv.PurchaseHistory, models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {}
    for cells in (400_000, 3_000, 1):
        monkeypatch.setattr(fit_tables, "_CELLS_AT_ONCE", cells)
        tables[cells] = (
            purchase_frequencies(models["bg_nbd"], history),
            recency_frequency_matrix(models["bg_nbd"], T=39, horizon="39 weeks", max_frequency=4, steps=5),
        )
    for cells in (3_000, 1):
        for one, other in zip(tables[400_000], tables[cells], strict=True):
            pd.testing.assert_frame_equal(one, other, rtol=1e-12)
    other_seed = purchase_frequencies(models["bg_nbd"], history, rng=2)
    assert not other_seed["lower"].equals(purchase_frequencies(models["bg_nbd"], history)["lower"]) or not other_seed[
        "upper"
    ].equals(purchase_frequencies(models["bg_nbd"], history)["upper"])


@dataclasses.dataclass(frozen=True)
class TwoCells:
    """Parameters that differ between even and odd customers."""

    even: Any
    odd: Any
    cell: Any = None
    notes: tuple[str, ...] = ()
    is_shared: bool = True
    n_draws: int = 100

    def cycle(self, n: int) -> TwoCells:
        assert n == 100
        return self

    def for_history(self, history: clv.PurchaseHistory) -> TwoCells:
        return dataclasses.replace(self, cell=np.arange(len(history.table)) % 2)

    def purchases(self, cells: Any) -> Any:
        columns = [
            np.concatenate([getattr(p, n) for p in (self.even, self.odd)], axis=1) for n in ("r", "alpha", "a", "b")
        ]
        return bg_nbd.Params(*(column[:, cells] for column in columns))

    def spend(self, cells: Any) -> None:
        return None


def test_each_customer_under_its_own_parameters(history: clv.PurchaseHistory, models: Any) -> None:
    one, two = (0.25, 4.5, 0.8, 2.4), (0.9, 6.0, 0.5, 3.0)
    even, odd = (point(models["bg_nbd"], *values).draws.purchases for values in (one, two))
    model = dataclasses.replace(models["bg_nbd"], draws=TwoCells(even=even, odd=odd))
    table = purchase_frequencies(model, history, most=2, draws=100)
    T = history.table["T"].to_numpy()
    wanted = [
        sum(
            bg_nbd.purchase_pmf(bg_nbd.Params(*values), n, horizon=T[k::2]).sum() for k, values in enumerate((one, two))
        )
        for n in range(2)
    ]
    np.testing.assert_allclose(table["expected"][:2], wanted, rtol=1e-10)


def test_a_stack_is_its_members_mixed(history: clv.PurchaseHistory, models: Any) -> None:
    members = tuple(models[name] for name in ("bg_nbd", "mbg_nbd"))
    mixed = purchase_frequencies(Stack(models=members, weights=(0.5, 0.5)), history, most=2, draws=200)
    parts = [purchase_frequencies(member, history, most=2, draws=100) for member in members]
    np.testing.assert_allclose(mixed["expected"], (parts[0]["expected"] + parts[1]["expected"]) / 2, rtol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_the_matrix_holds_means_over_draws(name: str, models: Any) -> None:
    model, module = models[name], transaction_model(name)
    table = recency_frequency_matrix(model, T=39, horizon="12 months", max_frequency=5, steps=3)
    params = model.draws.purchases
    for _, row in table.dropna().iterrows():
        at = (row["frequency"], row["recency"], 39.0)
        year = 365.2425 / 7
        assert row["p_alive"] == pytest.approx(module.p_alive(params, *at).mean(), rel=1e-10)
        bought = module.expected_purchases(params, *at, horizon=year).mean()
        assert row["expected_purchases"] == pytest.approx(bought, rel=1e-8)
    assert (table["p_alive"].isna() == ((table["frequency"] > 0) != (table["recency"] > 0))).all()
    assert len(table) == 24


def test_memory_of_a_large_matrix_is_bounded(models: Any) -> None:
    """200 x 201 cells times 120 draws would be 39 MB for each array; a block holds 3 MB."""
    tracemalloc.start()
    table = recency_frequency_matrix(models["bg_nbd"], T=39, horizon="39 weeks", max_frequency=200, steps=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(table) == 201 * 201
    assert peak < 60e6


def test_wrong_arguments(history: clv.PurchaseHistory, models: Any) -> None:
    model = models["bg_nbd"]
    with pytest.raises(DomainError, match="T must be positive"):
        recency_frequency_matrix(model, T=0, horizon="39 weeks")
    with pytest.raises(DomainError, match="A horizon is text"):
        recency_frequency_matrix(model, T=39, horizon=39)
    with pytest.raises(DomainError, match="at most 200"):
        recency_frequency_matrix(model, T=39, horizon="39 weeks", max_frequency=201)
    with pytest.raises(DomainError, match="most must be a whole number"):
        purchase_frequencies(model, history, most=0)
    with pytest.raises(DomainError, match="between 0 and 1"):
        purchase_frequencies(model, history, prob=90)
    with pytest.raises(DomainError, match="model must be a Model"):
        purchase_frequencies("bg_nbd", history)
    with pytest.raises(DomainError, match="history must be a PurchaseHistory"):
        purchase_frequencies(model, history.table)
