"""One customer's path against histories made anew on other days, and against the forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, InputError
from clv_forecast.evaluation import customer_path as module
from clv_forecast.evaluation.customer_path import customer_path
from clv_forecast.forecasting.stack import Stack
from clv_forecast.models import transaction_model

AS_OF = "1997-09-30"
MODELS = ("bg_nbd", "mbg_nbd", "pareto_nbd")


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    log = clv.load_cdnow("1/10")
    return log[log["customer_id"].isin(log["customer_id"].unique()[::8])]


@pytest.fixture(scope="module")
def history(log: pd.DataFrame) -> clv.PurchaseHistory:
    return clv.purchase_history(log, as_of=AS_OF, unit="week")


@pytest.fixture(scope="module")
def models(history: clv.PurchaseHistory) -> dict[str, clv.Model]:
    return {name: clv.fit(history, purchases=name, spend=None, draws=100, compare=False) for name in MODELS}


@pytest.fixture(scope="module")
def daily() -> clv.Model:
    log = clv.load_cdnow("1/10")
    history = clv.purchase_history(log, as_of=AS_OF, unit="day")
    return clv.fit(history, spend=None, draws=100, compare=False)


@pytest.fixture(scope="module")
def regular(history: clv.PurchaseHistory) -> Any:
    table = history.table
    return table.loc[table["frequency"].idxmax(), "customer_id"]


@pytest.fixture(scope="module")
def once(history: clv.PurchaseHistory) -> Any:
    table = history.table
    return table.loc[table["frequency"].idxmin(), "customer_id"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("who", ["regular", "once"])
def test_every_day_is_the_history_as_of_that_day(
    name: str, who: str, log: pd.DataFrame, models: Any, request: pytest.FixtureRequest, history: clv.PurchaseHistory
) -> None:
    customer = request.getfixturevalue(who)
    model, transactions = models[name], transaction_model(name)
    path = customer_path(model, history, customer, draws=100)
    past = path[path["when"] == "past"].set_index("date")
    own = log[log["customer_id"] == customer]
    bought = sorted(pd.unique(own.loc[(own["date"] <= AS_OF) & (own["amount"] > 0), "date"]))
    assert past.index[past["purchase"]].tolist() == bought
    days = {bought[0]} | {day for purchase in bought[1:3] for day in (purchase, purchase - pd.Timedelta(days=1))}
    for day in sorted(days | {pd.Timestamp(AS_OF)}):
        then = clv.purchase_history(own, as_of=day, unit="week").table.iloc[0]
        row = past.loc[day]
        for column in ("frequency", "recency", "T"):
            assert row[column] == pytest.approx(then[column], abs=1e-12)
        alive = transactions.p_alive(model.draws.purchases, then["frequency"], then["recency"], then["T"])
        assert row["p_alive"] == pytest.approx(alive.mean(), rel=1e-10)
        assert row["p_alive_lower"] == np.sort(alive.ravel())[4]
        assert row["p_alive_upper"] == np.sort(alive.ravel())[95]
        assert row["purchases"] == then["frequency"]
    assert past["amount"].sum() == pytest.approx(own.loc[own["date"] <= AS_OF, "amount"].sum())
    assert len(past) == (pd.Timestamp(AS_OF) - bought[0]).days + 1


@pytest.mark.parametrize("name", MODELS)
def test_the_end_is_the_forecast(name: str, models: Any, history: clv.PurchaseHistory, regular: Any) -> None:
    path = customer_path(models[name], history, regular, horizon="39 weeks", draws=200, rng=7)
    fc = clv.forecast(models[name], history, horizons=["39 weeks"], draws=200, rng=7).customers
    wanted = fc[fc["customer_id"] == regular].iloc[0]
    today, end = path[path["when"] == "past"].iloc[-1], path.iloc[-1]
    assert today["p_alive"] == pytest.approx(wanted["p_alive"], rel=1e-10)
    so_far = today["frequency"]
    assert end["purchases"] - so_far == pytest.approx(wanted["expected_purchases"], rel=1e-7)
    assert end["purchases_lower"] - so_far == wanted["purchases_lower"]
    assert end["purchases_upper"] - so_far == wanted["purchases_upper"]
    assert end["date"] == pd.Timestamp(AS_OF) + pd.Timedelta(weeks=39)
    assert end["T"] == pytest.approx(today["T"] + 39.0)


@pytest.mark.parametrize("name", MODELS)
def test_what_lies_ahead_falls_as_customers_leave(name: str, models: Any, history: clv.PurchaseHistory) -> None:
    table = history.table
    customer = table.loc[table["frequency"].idxmax(), "customer_id"]
    path = customer_path(models[name], history, customer, horizon="5 years", draws=100)
    ahead = path[path["when"] == "future"]
    assert (np.diff(ahead["p_alive"]) <= 0.0).all()
    assert ahead["p_alive"].iloc[0] < path.loc[path["when"] == "past", "p_alive"].iloc[-1]
    assert (np.diff(ahead["purchases"]) > 0.0).all()
    each = np.diff(ahead["purchases"]) / np.diff(ahead["T"])
    assert (np.diff(each) < 1e-12).all()
    transactions = transaction_model(name)
    row = table[table["customer_id"] == customer].iloc[0]
    params = models[name].draws.purchases
    for weeks in (30.0, 130.0):
        survived = transactions.p_alive(params, row["frequency"], row["recency"], row["T"]) * (
            transactions.survival_given_alive(params, row["frequency"], row["T"], ahead=weeks)
        )
        found = np.interp(row["T"] + weeks, ahead["T"], ahead["p_alive"])
        assert found == pytest.approx(survived.mean(), abs=0.002)


def test_a_customer_without_repeat_orders(models: Any, history: clv.PurchaseHistory, once: Any) -> None:
    path = customer_path(models["bg_nbd"], history, once)
    past = path[path["when"] == "past"]
    assert past["purchase"].sum() == 1
    assert (past["p_alive"] == 1.0).all()  # BG/NBD: no chance to leave yet
    assert (past["frequency"] == 0).all()
    assert (customer_path(models["mbg_nbd"], history, once)["p_alive"].iloc[1:60] < 1.0).all()


def test_a_first_purchase_on_the_last_day(daily: clv.Model, models: Any, history: clv.PurchaseHistory) -> None:
    log = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c", "c", "c"],
            "date": ["2024-01-01", "2024-02-01", "2024-03-01", "2024-01-05", "2024-01-20", "2024-03-01"],
            "amount": [10.0, 20.0, 30.0, 5.0, 6.0, 7.0],
        }
    )
    few = clv.purchase_history(log, as_of="2024-03-01", unit="day")
    path = customer_path(daily, few, "b", horizon="10 days")
    assert (path["when"] == "past").sum() == 1
    assert path["T"].tolist() == list(range(11))
    assert path["p_alive"].iloc[0] == 1.0
    with pytest.raises(DomainError, match=r"must be in the history. Got: 'd'.*1 and '1' differ"):
        customer_path(daily, few, "d")
    with pytest.raises(DomainError, match="must be in the history"):
        customer_path(models["bg_nbd"], history, "4")


def test_refunds_come_off_as_known_today(daily: clv.Model) -> None:
    log = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 1],
            "date": ["2024-01-01", "2024-01-10", "2024-01-20", "2024-01-25"],
            "amount": [10.0, 20.0, 30.0, -30.0],
        }
    )
    history = clv.purchase_history(log, as_of="2024-02-01", unit="day")
    path = customer_path(daily, history, 1)
    assert path.loc[path["purchase"], "date"].dt.day.tolist() == [1, 10]


def test_a_stack_has_the_draws_of_its_members(models: Any, history: clv.PurchaseHistory, regular: Any) -> None:
    members = (models["bg_nbd"], models["pareto_nbd"])
    mixed = customer_path(Stack(models=members, weights=(0.5, 0.5)), history, regular, draws=200)
    parts = [customer_path(member, history, regular, draws=100) for member in members]
    mean = (parts[0]["p_alive"] + parts[1]["p_alive"]) / 2
    np.testing.assert_allclose(mixed["p_alive"], mean, rtol=1e-10)


def test_blocks_change_nothing(
    models: Any, history: clv.PurchaseHistory, regular: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = customer_path(models["bg_nbd"], history, regular, draws=100)
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 700)
    pd.testing.assert_frame_equal(whole, customer_path(models["bg_nbd"], history, regular, draws=100), rtol=1e-12)


def test_a_summary_has_no_days(models: Any, history: clv.PurchaseHistory) -> None:
    summary = history.table[["customer_id", "frequency", "recency", "T"]]
    made = clv.history_from_summary(summary, unit="week", as_of=AS_OF, monetary_value=None)
    with pytest.raises(InputError, match="made from a summary"):
        customer_path(models["bg_nbd"], made, summary["customer_id"].iloc[0])
