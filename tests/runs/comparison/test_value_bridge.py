"""The value bridge: every cause lands in its own line, the lines add up, and the parts are those of a second method."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.history.consolidation.consolidate import consolidate
from clv_forecast.history.consolidation.order_source import OrderSource
from clv_forecast.runs.comparison import value_bridge as vb
from clv_forecast.runs.comparison.compare_runs import compare_snapshots
from clv_forecast.runs.comparison.drift import EARLIER
from clv_forecast.runs.comparison.value_bridge import STEPS, value_bridge
from tests.runs.comparison.snapshots import HORIZON, NOW, THEN, after, before, history, model, orders, snapshot

YEAR = 365.2425


@pytest.fixture(scope="module")
def usual():
    return value_bridge(before(), after())


def lines(bridge) -> dict[str, float]:
    return {step: bridge.moved(step) for step in STEPS}


def moved_against(bridge, usual) -> set[str]:
    """Lines that differ from those of the usual bridge by a cent or more."""
    here, there = lines(bridge), lines(usual)
    return {step for step in STEPS if abs(here[step] - there[step]) > 0.005}


def adds_up(bridge) -> bool:
    cents = (bridge.steps["value"] * 100.0).round().astype(int)
    return int(cents.iloc[:-1].sum()) == int(cents.iloc[-1])


def test_the_lines_add_up_to_the_cent_and_so_do_the_accounts(usual):
    assert adds_up(usual) and abs(usual.residual) < 1e-6
    assert list(usual.steps["step"]) == [vb.THEN, *STEPS, vb.NOW]
    assert usual.moved(vb.THEN) == pytest.approx(before().values.sum(), abs=0.005)
    assert usual.moved(vb.NOW) == pytest.approx(after().values.sum(), abs=0.005)
    accounts = usual.accounts
    parts = accounts.drop(columns=["customer_id", "value_now", "as_of", "horizon"]).sum(axis=1)
    assert np.allclose(parts, accounts["value_now"], atol=1e-9)
    assert accounts["value_now"].sum() == pytest.approx(after().values.sum(), abs=1e-6)
    quiet = {vb.RESTATED, vb.IDENTITY, vb.NEW_CUSTOMERS, vb.RATES, vb.PARAMETERS, vb.CONFIGURATION, vb.MARGIN}
    assert all(usual.moved(step) == 0.0 for step in quiet | {vb.COSTS, vb.DISCOUNT})


def test_two_runs_alike_move_nothing():
    bridge = value_bridge(before(), snapshot(orders(), THEN))
    assert all(value == 0.0 for value in lines(bridge).values()) and adds_up(bridge)


def test_time_is_what_the_earlier_forecast_expects_between_two_days(usual):
    """Second method: the forecast's own values at longer horizons, of the verb forecast."""
    days = (pd.Timestamp(NOW) - pd.Timestamp(THEN)).days
    longer = f"{365.2425 + days} days"
    fc = clv.forecast(model(), history(orders(), THEN), horizons=[f"{days} days", HORIZON, longer], draws=100)
    totals = fc.totals.set_index("horizon")["value"]
    expected = 1.10 ** (days / YEAR) * (totals[longer] - totals[f"{days} days"]) - totals[HORIZON]
    assert usual.moved(vb.TIME) == pytest.approx(expected, abs=0.02)


def test_a_late_order_is_restated_history():
    late = pd.DataFrame({"customer_id": [4], "date": [pd.Timestamp("1997-12-29")], "amount": [40.0]})
    bridge = value_bridge(before(), snapshot(pd.concat([orders(), late]), THEN))
    assert {step for step, value in lines(bridge).items() if value} == {vb.RESTATED}
    assert adds_up(bridge) and bridge.steps.set_index("step").loc[vb.RESTATED, "accounts"] == 1
    later = value_bridge(before(), snapshot(pd.concat([orders(), late]), NOW))
    assert later.moved(vb.RESTATED) == pytest.approx(bridge.moved(vb.RESTATED), abs=0.01) and adds_up(later)


@pytest.mark.parametrize("cancelled", [False, True])
def test_corrected_and_cancelled_orders_are_restated_history(cancelled, tmp_path):
    log = orders().copy()
    if cancelled:  # nothing is left of the account, which is still in the log
        back = log[log["customer_id"] == 18].assign(amount=lambda rows: -rows["amount"])
        log = pd.concat([log, back])
    else:
        log.loc[log["customer_id"] == 4, "amount"] *= 2.0
    folder = consolidate([OrderSource("shop", log)], tmp_path).orders
    bridge = value_bridge(before(), snapshot(log, THEN, orders_at=folder))
    assert {step for step, value in lines(bridge).items() if value} == {vb.RESTATED} and adds_up(bridge)


def test_an_account_taken_out_of_the_log_is_removed_and_not_restated():
    bridge = value_bridge(before(), snapshot(orders()[orders()["customer_id"] != 4], THEN))
    gone = before().values[before().ids.get_loc(4)]
    assert {step for step, value in lines(bridge).items() if value} == {vb.IDENTITY}
    assert bridge.moved(vb.IDENTITY) == pytest.approx(-gone, abs=0.01) and adds_up(bridge)


@pytest.mark.parametrize("split", [False, True])
def test_merged_and_split_accounts(split):
    ids = orders()["customer_id"].unique()
    apart = pd.DataFrame({"source": "shop", "source_id": ids.astype(str), "customer_id": ids})
    together = apart.assign(customer_id=apart["customer_id"].replace({18: 4}))
    merged_log = orders().assign(customer_id=orders()["customer_id"].replace({18: 4}))
    pair = [
        dataclasses.replace(before(), crosswalk=apart),
        snapshot(merged_log, THEN, crosswalk=together),
    ]
    bridge = value_bridge(*(reversed(pair) if split else pair))
    assert {step for step, value in lines(bridge).items() if value} == {vb.IDENTITY} and adds_up(bridge)
    assert bridge.steps.set_index("step").loc[vb.IDENTITY, "accounts"] == 2


def test_a_further_order_is_a_purchase_and_its_money_a_price(usual):
    level = before().history.table.set_index("customer_id").loc[4]
    mean = level["spend_sum_all"] / level["spend_count_all"]
    order = pd.DataFrame({"customer_id": [4], "date": [pd.Timestamp("1998-01-10")], "amount": [mean]})
    bridge = value_bridge(before(), snapshot(pd.concat([orders(), order]), NOW))
    assert moved_against(bridge, usual) <= {vb.PURCHASES, vb.PRICE} and vb.PURCHASES in moved_against(bridge, usual)
    assert bridge.moved(vb.PURCHASES) > usual.moved(vb.PURCHASES) and adds_up(bridge)


def test_dearer_orders_are_money_per_order_alone(usual):
    dearer = orders().copy()
    dearer.loc[dearer["date"] > THEN, "amount"] *= 1.5
    bridge = value_bridge(before(), snapshot(dearer, NOW))
    assert moved_against(bridge, usual) == {vb.PRICE} and adds_up(bridge)
    assert bridge.moved(vb.PRICE) > usual.moved(vb.PRICE)


def test_new_customers_land_in_their_line(usual):
    new = pd.DataFrame({"customer_id": [900001, 900002], "date": pd.Timestamp("1998-01-12"), "amount": [30.0, 60.0]})
    log = pd.concat([orders(), new])
    bridge = value_bridge(before(), snapshot(log, NOW))
    there = snapshot(log, NOW)
    worth = there.values[there.ids.isin([900001, 900002])].sum()
    assert moved_against(bridge, usual) == {vb.NEW_CUSTOMERS}
    assert bridge.moved(vb.NEW_CUSTOMERS) == pytest.approx(worth, abs=0.01)


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (vb.MARGIN, {"margin": 0.35}),
        (vb.COSTS, {"cost_per_order": 1.0, "cost_to_serve": 2.0}),
        (vb.DISCOUNT, {"discount_rate_annual": 0.2}),
        (vb.CONFIGURATION, {"correction": clv.Correction(factor=1.1, reason="a look back fell short")}),
    ],
)
def test_terms_land_in_their_lines(usual, step, options):
    bridge = value_bridge(before(), snapshot(orders(), NOW, **options))
    assert moved_against(bridge, usual) == {step} and adds_up(bridge)


def test_a_common_shock_moves_no_expectation(usual):
    shock = clv.CommonShock(level=0.1, noise=0.2)
    bridge = value_bridge(before(), snapshot(orders(), NOW, shock=shock))
    assert moved_against(bridge, usual) == set() and adds_up(bridge)


def test_margins_of_accounts_that_came_since_are_todays():
    new = pd.DataFrame({"customer_id": [900001], "date": [pd.Timestamp("1998-01-12")], "amount": [30.0]})
    there = snapshot(pd.concat([orders(), new]), NOW, margin=0.35)
    bridge = value_bridge(before(), there)
    worth = there.values[there.ids.get_loc(900001)]
    assert bridge.moved(vb.NEW_CUSTOMERS) == pytest.approx(worth, abs=0.01)


def test_new_parameters_and_another_model(usual):
    refitted = clv.fit(history(orders(), NOW), compare=False, draws=200)
    bridge = value_bridge(before(), snapshot(orders(), NOW, fitted=refitted))
    assert moved_against(bridge, usual) == {vb.PARAMETERS} and adds_up(bridge)
    other = clv.fit(history(orders(), NOW), "mbg_nbd", compare=False, draws=200)
    changed = value_bridge(before(), snapshot(orders(), NOW, fitted=other))
    assert moved_against(changed, usual) == {vb.PARAMETERS, vb.CONFIGURATION} and adds_up(changed)
    assert changed.moved(vb.PARAMETERS) == pytest.approx(bridge.moved(vb.PARAMETERS), abs=0.01)


def test_exchange_rates_alone(tmp_path):
    log = orders().assign(currency=np.where(orders()["customer_id"] % 2 == 0, "EUR", "USD"))
    source = OrderSource("shop", log, currency="currency")
    made = consolidate([source], tmp_path, as_of=NOW)
    pair = []
    for day, usd in ((THEN, "0.9"), (NOW, "0.9"), (NOW, "0.8")):
        rates = {"EUR": Decimal(1), "USD": Decimal(usd)}
        pair.append(
            snapshot(
                log,
                day,
                rates=rates,
                orders_at=made.orders,
                options=dict(made.options) | {"observed_from": "1997-01-01"},
                made_of={"currency": "currency", "rates": rates},
            )
        )
    then, same, other = pair
    usual, bridge = value_bridge(then, same), value_bridge(then, other)
    assert usual.moved(vb.RATES) == 0.0
    assert moved_against(bridge, usual) == {vb.RATES} and adds_up(bridge)
    assert bridge.moved(vb.RATES) < 0.0
    with pytest.raises(clv.InputError, match="no orders to convert again"):
        value_bridge(then, dataclasses.replace(other, orders=None))


def test_runs_that_do_not_go_together():
    with pytest.raises(clv.DomainError, match="earlier run comes first"):
        value_bridge(after(), before())
    with pytest.raises(clv.DomainError, match="horizon"):
        value_bridge(before(), dataclasses.replace(after(), horizon="36 months"))


def test_a_published_value_that_the_log_does_not_make_is_refused():
    with pytest.raises(clv.InputError, match="arrives at published values"):
        value_bridge(before(), dataclasses.replace(after(), values=after().values * 1.01))


def test_ids_of_any_kind_and_rows_in_any_order(usual):
    names = {number: f"c{number:05d}" for number in orders()["customer_id"].unique()}
    log = orders().assign(customer_id=orders()["customer_id"].map(names)).sample(frac=1.0, random_state=1)
    fitted = dataclasses.replace(model())
    bridge = value_bridge(snapshot(log, THEN, fitted=fitted), snapshot(log, NOW, fitted=fitted))
    assert moved_against(bridge, usual) == set()


def test_an_earlier_value_that_its_own_log_does_not_make_is_refused():
    with pytest.raises(clv.InputError, match="starts from"):
        value_bridge(dataclasses.replace(before(), values=before().values * 1.01), after())


def test_a_customer_whose_early_orders_were_all_taken_back_is_not_new():
    log = orders()
    back = log[(log["customer_id"] == 18) & (log["date"] <= THEN)].assign(
        amount=lambda rows: -rows["amount"], date=pd.Timestamp("1998-01-05")
    )
    again = pd.DataFrame({"customer_id": [18], "date": [pd.Timestamp("1998-01-12")], "amount": [30.0]})
    there = snapshot(pd.concat([log, back, again]), NOW)
    assert 18 in there.ids
    bridge = value_bridge(before(), there)
    assert bridge.moved(vb.NEW_CUSTOMERS) == 0.0 and bridge.moved(vb.RESTATED) < 0.0 and adds_up(bridge)


def test_one_odd_id_makes_text_of_all_and_the_runs_are_compared_all_the_same(usual):
    odd = pd.DataFrame({"customer_id": ["WEB-1"], "date": [pd.Timestamp("1998-01-12")], "amount": [30.0]})
    text = orders().assign(customer_id=orders()["customer_id"].astype(str))
    there = snapshot(pd.concat([text, odd]), NOW)
    found = compare_snapshots(before(), there)
    assert moved_against(found.bridge, usual) == {vb.NEW_CUSTOMERS} and adds_up(found.bridge)
    row = found.since.set_index(["group", "quantity"]).loc[(EARLIER, "purchases")]
    assert row["customers"] == len(before().ids) and row["left_out"] == 0
