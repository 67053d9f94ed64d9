"""The verb forecast on CDNOW 1/10: what must hold of every table, draw and option."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import clv_forecast as clv
from clv_forecast.forecasting.expectation import expected_money
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.plan import Part, Plan
from clv_forecast.forecasting.predictive import predictive_money
from clv_forecast.inference.hierarchy import PooledParameters
from clv_forecast.models import bg_nbd, gamma_gamma
from clv_forecast.streams import customer_keys, first_orders
from tests.forecasting.conftest import AS_OF, MODELS

HORIZONS = ["39 weeks", "36 months", "lifetime"]
DRAWS = 400


def forecast(model, history, *, draws=DRAWS, **options):
    """As many predictive draws as the small models have parameter draws."""
    return clv.forecast(model, history, draws=draws, **options)


@pytest.fixture(scope="module")
def fc(model, history):
    return forecast(model, history, horizons=HORIZONS, by="region")


def at(table, horizon):
    return table[table["horizon"] == horizon].reset_index(drop=True)


def test_table_is_whole_and_ordered(fc, history):
    table = fc.customers
    assert len(table) == 3 * len(history.table)
    assert not table.drop(columns=["currency", "share_beyond_tested", "parameter_share"]).isna().any().any()
    assert (table["parameter_share"].isna() == (table["value_sd"] == 0)).all()
    assert (at(table, "39 weeks")["customer_id"].to_numpy() == history.table["customer_id"].to_numpy()).all()
    assert table["p_alive"].between(0, 1).all()
    for low, middle, high in (
        ("value_lower", "mean_lower", "value_upper"),
        ("mean_lower", "value", "mean_upper"),
        ("purchases_lower", "expected_purchases", "purchases_upper"),
    ):
        assert (table[low] <= table[high]).all()
        assert (table[low] <= table[middle]).mean() > 0.9 and (table[middle] <= table[high]).mean() > 0.9
    for quantity in ("purchases", "revenue", "value"):
        assert fc.totals[quantity].between(fc.totals[f"{quantity}_lower"], fc.totals[f"{quantity}_upper"]).all()
    assert (table["evidence"] == "extrapolated").all()


def test_longer_horizons_hold_the_shorter(fc):
    for column in ("expected_purchases", "revenue", "value", "purchases_upper", "revenue_upper"):
        by_horizon = [at(fc.customers, h)[column].to_numpy() for h in HORIZONS]
        assert (by_horizon[0] <= by_horizon[1]).all() and (by_horizon[1] <= by_horizon[2]).all()


@pytest.mark.parametrize("name", MODELS)
def test_mean_of_draws_is_the_closed_form(models, history, name):
    fc = forecast(models[name], history, horizons=HORIZONS, cost_to_serve=3.0, cost_per_order=1.0)
    expected = expected_money(fc.plan, fc.plan.order, fc.horizons.boundaries("week"))
    drawn = fc.value_draws(history.table["customer_id"])
    for quantity, closed in (("purchases", "expected_purchases"), ("revenue", "revenue"), ("value", "value")):
        given_parameters = getattr(expected, quantity).sum(axis=0)  # (horizon, draw)
        assert_allclose(given_parameters.mean(axis=1), [at(fc.customers, h)[closed].sum() for h in HORIZONS], rtol=1e-9)
        noise = getattr(drawn, quantity).sum(axis=1).T - given_parameters
        error = noise.std(axis=1) / np.sqrt(noise.shape[1])
        assert (np.abs(noise.mean(axis=1)) < 4 * error).all(), quantity
        if quantity != "value":  # the check has power: an error of 6 % would be seen
            assert abs((noise[0] + 0.06 * given_parameters[0]).mean()) > 4 * error[0]


def test_chunks_change_nothing(model, history, fc):
    small = forecast(model, history, horizons=HORIZONS, by="region", chunk_customers=97)
    pd.testing.assert_frame_equal(small.customers, fc.customers, check_exact=True)
    pd.testing.assert_frame_equal(small.totals, fc.totals, check_exact=True)


def test_other_customers_and_their_order_change_nothing(model, third, fc):
    some = third[third["customer_id"].isin(third["customer_id"].unique()[::5])]
    few = clv.purchase_history(some.sample(frac=1.0, random_state=3), as_of=AS_OF, unit="week")
    alone = forecast(model, few, horizons=HORIZONS).customers
    among = fc.customers[fc.customers["customer_id"].isin(alone["customer_id"])].reset_index(drop=True)
    assert len(alone) == len(among) > 140
    pd.testing.assert_frame_equal(alone, among, check_exact=True)


def test_horizons_asked_together_change_nothing(model, history, fc):
    alone = forecast(model, history, horizons="39 weeks").customers
    together = at(fc.customers, "39 weeks")
    for column in ("purchases_lower", "purchases_upper", "revenue_lower", "revenue_upper", "value_upper"):
        np.testing.assert_array_equal(alone[column], together[column])
    np.testing.assert_allclose(alone["value"], together["value"], rtol=1e-9)


def test_draws_are_replayed(fc, history):
    ids = history.table["customer_id"].to_numpy()
    one = fc.value_draws([ids[5], ids[3]])
    assert one.value.shape == (400, 2, 3)
    whole = np.concatenate([b.value for b in fc.iter_value_draws(by="customer", chunk=200)], axis=1)
    np.testing.assert_array_equal(whole[:, [5, 3]], one.value)
    by_draw = list(fc.iter_value_draws(by="draw", chunk=150))
    assert [b.first_draw for b in by_draw] == [0, 150, 300]
    np.testing.assert_array_equal(np.concatenate([b.value for b in by_draw]), whole)


def test_seeds(model, history, fc):
    again = forecast(model, history, horizons=HORIZONS, by="region")
    pd.testing.assert_frame_equal(again.customers, fc.customers, check_exact=True)
    other = forecast(model, history, horizons=HORIZONS, rng=2)
    assert (other.customers["value_upper"] != fc.customers["value_upper"]).mean() > 0.3


def test_groups_add_up(fc):
    for _, rows in fc.totals.groupby("horizon"):
        everyone, parts = rows[rows["group"] == "all"].iloc[0], rows[rows["group"] != "all"]
        assert list(parts["group"]) == ["north", "south"]
        for column in ("customers", "purchases", "revenue", "value"):
            assert parts[column].sum() == pytest.approx(everyone[column], rel=1e-12)
        width = (parts["value_upper"] - parts["value_lower"]).sum()
        assert everyone["value_upper"] - everyone["value_lower"] < width


def test_total_without_a_shock_says_so(fc):
    assert (fc.totals["note"] == "no season or trend: too narrow").all()
    assert fc.totals["common_share"].isna().all()
    assert np.allclose(fc.totals["parameter_share"] + fc.totals["process_share"], 1.0)


def test_shock_widens_totals_and_keeps_means(model, history, fc):
    shocked = forecast(model, history, horizons=HORIZONS, by="region", shock=clv.CommonShock(level=0.25, noise=0.2))
    before, after = fc.totals, shocked.totals
    widened = (after["value_upper"] - after["value_lower"]) / (before["value_upper"] - before["value_lower"])
    assert (widened > 1.2).all() and (widened[after["horizon"] == "39 weeks"] > 1.5).all()
    np.testing.assert_array_equal(shocked.customers["value"], fc.customers["value"])
    np.testing.assert_array_equal(shocked.customers["purchases_upper"], fc.customers["purchases_upper"])
    wider = (after["purchases_upper"] - after["purchases_lower"]) / (
        before["purchases_upper"] - before["purchases_lower"]
    )
    assert (wider > 1.2).all()
    assert (after["common_share"] > 0.1).all() and (after["note"] == "").all()
    shares = after["parameter_share"] + after["process_share"] + after["common_share"]
    assert np.allclose(shares, 1.0)
    draws = shocked.value_draws(history.table["customer_id"], ["36 months"]).value.sum(axis=(1, 2))
    assert draws.mean() == pytest.approx(at(fc.customers, "36 months")["value"].sum(), rel=0.06)


def test_a_shock_does_not_hang_on_the_size_of_a_block(model, history):
    fc = forecast(model, history, horizons=["12 months"], draws=100, shock=clv.CommonShock(level=0.5, noise=0.3))
    whole = np.concatenate([block.value for block in fc.iter_value_draws(by="customer")], axis=1)
    one_by_one = np.concatenate([block.value for block in fc.iter_value_draws(by="draw", chunk=1)])
    np.testing.assert_array_equal(one_by_one, whole)


def test_cash_flow_moves_with_the_shock(model, history):
    shock = clv.CommonShock(level=0.5, noise=0.0)
    width = {}
    for name, used in (("without", None), ("with", shock)):
        flow = forecast(model, history, horizons=["12 months"], shock=used).cash_flow("year")
        width[name] = [(flow[f"{q}_upper"] - flow[f"{q}_lower"]).iloc[0] for q in ("purchases", "revenue", "value")]
    assert (np.array(width["with"]) > 2.0 * np.array(width["without"])).all()


def test_correction_is_a_factor(model, history, fc):
    correction = clv.Correction(factor=1.25, reason="test")
    corrected = forecast(model, history, horizons=HORIZONS, correction=correction)
    same = ["expected_purchases", "purchases_lower", "purchases_upper"]
    pd.testing.assert_frame_equal(corrected.customers[same], fc.customers[same])
    for column in ("value", "value_upper", "mean_lower", "revenue"):
        np.testing.assert_allclose(corrected.customers[column], 1.25 * fc.customers[column], rtol=1e-12)
    assert any("1.25" in note for note in corrected.notes)


def test_without_discount_value_is_revenue_times_margin(model, history):
    fc = forecast(model, history, horizons=["12 months"], discount_rate_annual=0.0, margin=0.25)
    for value, revenue in (("value", "revenue"), ("value_lower", "revenue_lower"), ("value_upper", "revenue_upper")):
        np.testing.assert_allclose(fc.customers[value], 0.25 * fc.customers[revenue], rtol=1e-9)


def test_margin_by_column_group_and_number_agree(model, history, fc):
    column = forecast(model, history, horizons=HORIZONS, margin="margin_rate").customers
    group = forecast(model, history, horizons=HORIZONS, margin={"margin_rate": {0.4: 0.4, 0.2: 0.2}}).customers
    pd.testing.assert_frame_equal(column, group)
    rate = history.customers["margin_rate"].to_numpy().repeat(3)
    np.testing.assert_allclose(column["value"], fc.customers["value"] / 0.3 * rate, rtol=1e-9)


def test_costs_make_losses(model, history):
    fc = forecast(model, history, horizons=["12 months"], cost_to_serve=50.0, cost_per_order=2.0)
    one = fc.customers
    assert (one["value"] < 0).mean() > 0.5 and (one["value_lower"] < 0).any()
    assert one["p_loss"].max() > 0.9
    free = forecast(model, history, horizons=["12 months"])
    assert (free.customers["p_loss"] == 0).all()


def test_horizons_by_any_name(model, history):
    fc = forecast(model, history, horizon="12 Months")
    assert fc.horizons.labels == ("12 months",) and fc.horizons.one(["1 year"]) == "12 months"
    pd.testing.assert_frame_equal(fc.top(3, "1 year"), fc.top(3))
    with pytest.raises(clv.DomainError, match=r"has the horizons 12 months\. Got: '18 months'\. Nearest: 12 months\."):
        fc.top(3, "18 months")
    with pytest.raises(clv.DomainError, match="one thing"):
        clv.forecast(model, history, horizon="1 year", horizons="1 year")


def test_negative_margin_is_noted(model, history):
    fc = forecast(model, history, horizons=["12 months"], margin=-0.1)
    assert (fc.customers["value"] <= 0).all() and fc.customers["value_upper"].max() <= 0
    assert any("negative margin" in note for note in fc.notes)


def test_bands_nest(model, history):
    narrow = forecast(model, history, horizons=["12 months"], prob=0.5).customers
    wide = forecast(model, history, horizons=["12 months"], prob=0.95).customers
    for name in ("purchases", "revenue", "value", "mean"):
        assert (wide[f"{name}_lower"] <= narrow[f"{name}_lower"]).all()
        assert (wide[f"{name}_upper"] >= narrow[f"{name}_upper"]).all()


def test_cash_flow_adds_up(model, history):
    fc = forecast(model, history, horizons=["12 months"])
    flow = fc.cash_flow("month")
    assert len(flow) == 12 and flow["end"].iloc[-1] == pd.Timestamp(AS_OF) + pd.Timedelta(days=365)
    assert flow["start"].dt.day.eq(1).all() and flow["end"].dt.is_month_end.all()
    ends = Horizons.calendar("month", years=1.0, as_of=fc.as_of)
    drawn = np.diff(fc._draws(fc.plan, np.arange(fc.plan.customers), ends).value.sum(axis=1), prepend=0.0)
    assert (np.abs(flow["value"] - drawn.mean(axis=0)) < 4.0 * drawn.std(axis=0) / np.sqrt(len(drawn))).all()
    expected = fc.totals.iloc[0]
    for quantity in ("purchases", "revenue", "value"):
        assert flow[quantity].sum() == pytest.approx(expected[quantity], rel=1e-12)
    assert flow["value_so_far"].iloc[-1] == pytest.approx(expected["value"], rel=1e-12)
    weeks = forecast(model, history, horizons=["5 weeks"]).cash_flow("month")
    assert len(weeks) == 2 and (weeks["end"].iloc[-1] - pd.Timestamp(AS_OF)).days == 35
    assert weeks["end"].iloc[0] == pd.Timestamp(AS_OF) + pd.offsets.MonthEnd(1)
    assert (flow["revenue"].diff().dropna() < 0).mean() > 0.8


def test_value_between_is_a_difference(fc, history):
    between = fc.value_between("1998-09-30", "2000-09-30")
    assert len(between) == len(history.table)
    whole = fc.value_between(AS_OF, "2000-09-30")
    first = fc.value_between(AS_OF, "1998-09-30")
    np.testing.assert_allclose(between["value"] + first["value"], whole["value"], rtol=1e-6)
    assert (between["value_lower"] <= between["value_upper"]).all()
    with pytest.raises(clv.DomainError, match="in order"):
        fc.value_between("2000-01-01", "1999-01-01")


def test_next_order_and_overdue(fc, history):
    table = fc.next_order()
    assert (table["next_order"].dropna() > history.as_of).all()
    heavy = history.table["frequency"] >= 8
    silent_for = history.table["T"] - history.table["recency"]
    assert table.loc[heavy & (silent_for > 20), "overdue"].all()
    assert not table.loc[heavy & (silent_for < 1), "overdue"].any()
    assert not table.loc[history.table["frequency"] == 0, "overdue"].any()


def test_purchases_alone_are_forecast_without_spend(history):
    model = clv.fit(history, spend=None, draws=200, compare=False)
    fc = forecast(model, history, horizons=["12 months"])
    assert fc.customers["value"].isna().all() and (fc.customers["expected_purchases"] > 0).all()
    assert fc.totals["value"].isna().all() and fc.totals["purchases_upper"].notna().all()
    assert any("no spend" in note for note in fc.notes)


BAD = {
    "bare number as horizon": ({"horizons": [12]}, "Name the unit"),
    "no horizon": ({"horizons": []}, "at least one"),
    "unknown length": ({"horizons": ["12 moons"]}, "horizon is"),
    "one horizon twice": ({"horizons": ["12 months", "1 year"]}, "once"),
    "percent as rate": ({"discount_rate_annual": 10.0}, "between 0 and 10"),
    "negative discount": ({"discount_rate_annual": -0.1}, "between 0 and 10"),
    "percent as margin": ({"margin": 30.0}, "Did you mean 0.3"),
    "no margin": ({"margin": None}, "one number"),
    "list of margins": ({"margin": [0.3, 0.2]}, "one number"),
    "margins as text": ({"margin": "written"}, "for every customer"),
    "margin with a comma": ({"margin": "0,35"}, "write 0.35"),
    "column with a comma": ({"margin": "comma"}, "write 0.35"),
    "group with a comma": ({"margin": {"region": {"north": "0,35"}}}, "write 0.35"),
    "text as cost": ({"cost_to_serve": float("nan")}, "finite"),
    "number as horizon": ({"horizons": 12}, "Name the unit"),
    "text as rate": ({"discount_rate_annual": "10%"}, "one number"),
    "text as prob": ({"prob": "90%"}, "one number"),
    "number as shock": ({"shock": 0.1}, "CommonShock"),
    "number as correction": ({"correction": 1.1}, "Correction"),
    "two groupings": ({"by": ["region", "margin_rate"]}, "One attribute"),
    "group called all": ({"by": "everyone"}, "may not be called"),
    "unknown margin column": ({"margin": "profit"}, "not a column"),
    "group without margin": ({"margin": {"region": {"north": 0.3}}}, "for every customer"),
    "observed margin without one": ({"margin": "observed"}, "needs a margin column"),
    "negative cost": ({"cost_to_serve": -1.0}, "not negative"),
    "band of 90": ({"prob": 90}, "between 0 and 1"),
    "too few draws": ({"draws": 10}, "at least 100"),
    "half a draw": ({"draws": 100.5}, "whole number"),
    "negative seed": ({"rng": -1}, "seed"),
    "unknown group": ({"by": "country"}, "not a column"),
    "endless lifetime": ({"horizons": "lifetime", "lifetime_years": float("inf")}, "finite"),
    "lifetime of ages": ({"lifetime_years": 1e308}, "at most 100"),
    "lifetime that is none": ({"lifetime_years": float("nan")}, "lifetime_years"),
    "horizon of ages": ({"horizons": ["101 years"]}, "at most 100 years"),
    "a thousand million draws": ({"draws": 10**9}, "at most 100,000"),
    "seed of ages": ({"rng": 2**63}, "seed"),
    "cost of ages": ({"cost_to_serve": 1e308}, "at most 1e\\+12"),
    "chunk of nothing": ({"chunk_customers": 0}, "at least 1"),
    "chunk of everything": ({"chunk_customers": 10**30}, "at most 1,000,000,000"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused(model, history, case):
    arguments, message = BAD[case]
    with pytest.raises(clv.ClvForecastError, match=message):
        forecast(model, history, **{"horizons": ["12 months"], **arguments})


def test_arguments_in_the_wrong_place(model, history):
    for arguments in ((history, model), (model, history.table), (None, history)):
        with pytest.raises(clv.DomainError, match="made by"):
            clv.forecast(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": 30}, "Did you mean 0.3"),
        ({"margin": float("nan")}, "finite"),
        ({"cost_to_serve": -5}, "not negative"),
        ({"cost_per_order": -5}, "not negative"),
        ({"prob": 90}, "between 0 and 1"),
        ({"horizons": []}, "at least one"),
    ],
)
def test_new_customer_value_refuses(model, arguments, message):
    with pytest.raises(clv.DomainError, match=message):
        clv.new_customer_value(model, **arguments)


def test_a_model_of_another_day_or_currency_is_noted(model, third):
    later = clv.purchase_history(third, as_of="1998-01-31", unit="week", currency="USD")
    notes = " ".join(forecast(model, later, horizons="12 months").notes)
    assert "fitted as of 1997-09-30" in notes and "names a currency" in notes


def test_text_says_the_terms(model, history):
    text = str(forecast(model, history, horizons="12 months", cost_per_order=2.0))
    assert "margin 30%" in text and "discount 10.0% a year" in text and "cost per order 2.0" in text


def test_units_must_agree(model, transactions):
    days = clv.purchase_history(transactions, as_of=AS_OF, unit="day")
    with pytest.raises(clv.DomainError, match="same unit"):
        forecast(model, days)


def test_unknown_customer_and_horizon(fc):
    with pytest.raises(clv.DomainError, match="in the history"):
        fc.value_draws(["nobody"])
    with pytest.raises(clv.DomainError, match="39 weeks"):
        fc.value_draws([4], ["12 months"])
    with pytest.raises(clv.DomainError, match="not both"):
        next(fc.iter_value_draws(horizons=["lifetime"], grid="month"))
    with pytest.raises(clv.DomainError, match="at least 1"):
        next(fc.iter_value_draws(chunk=-1))
    with pytest.raises(clv.DomainError, match="list of customer ids"):
        fc.value_draws(4)
    with pytest.raises(clv.DomainError, match="end"):
        fc.value_between("1998-01-01", "foo")
    with pytest.raises(clv.DomainError, match="by must be"):
        next(fc.iter_value_draws(by="row"))


def test_units_and_currency_of_the_data_do_not_matter(third):
    """Dollars and weeks, cents and days, cents and hours: the same forecast."""
    results = {}
    for unit, money in (("week", 1.0), ("day", 100.0), ("hour", 0.01)):
        scaled = third.assign(amount=third["amount"] * money)
        history = clv.purchase_history(scaled, as_of=AS_OF, unit=unit)
        model = clv.fit(history, draws=200, compare=False)
        fc = forecast(model, history, horizons=["12 months", "lifetime"])
        results[unit] = fc.customers.assign(value=fc.customers["value"] / money)
    for unit in ("day", "hour"):
        for column in ("p_alive", "expected_purchases", "value"):
            np.testing.assert_allclose(results[unit][column], results["week"][column], rtol=1e-4)


def test_new_customer_value(model):
    table = clv.new_customer_value(model, horizons=["12 months", "lifetime"], margin=0.3, cost_per_order=1.0)
    first = table["value_with_first"] - table["value"]
    estimate = model.draws.spend
    mean = (estimate.p * estimate.v / (estimate.q - 1)).mean()
    np.testing.assert_allclose(first, 0.3 * mean - 1.0, rtol=1e-9)
    for name in ("value", "value_with_first"):
        assert (table[f"{name}_lower"] < table[f"{name}_mean_lower"]).all()
        assert (table[f"{name}_upper"] > table[f"{name}_mean_upper"]).all()
    params = model.draws.purchases
    expected = bg_nbd.expected_purchases_new(params, horizon=365.2425 / 7).mean()
    assert table["expected_purchases"].iloc[0] == pytest.approx(expected, rel=1e-8)


def test_first_and_later_orders_are_the_same_customers():
    p, q, v = (np.full(200, number) for number in (4.0, 4.0, 60.0))
    keys = customer_keys(1, [f"new customer {k}" for k in range(50)])
    first = first_orders(keys, p, q, v)
    assert first.mean() == pytest.approx(4.0 * 60.0 / 3.0, rel=0.04)
    params = bg_nbd.Params(*(np.full((200, 1), number) for number in (2.0, 8.0, 0.8, 4.0)))
    zeros = np.zeros(50)
    spend = gamma_gamma.Params(*(number[:, None] for number in (p, q, v)))
    pooled = PooledParameters(everyone_purchases=params, everyone_spend=spend, cell=np.zeros(50, dtype=np.intp))
    plan = Plan(
        parts=(Part(model="bg_nbd", parameters=pooled, spend_count=zeros, spend_total=zeros),), unit="week",
        discount=0.0, frequency=zeros.copy(), recency=zeros.copy(), T=zeros.copy(), margin=np.ones(50),
        cost_per_order=zeros.copy(), cost_per_time=zeros.copy(), keys=keys.copy(), order=np.arange(50), seed=1,
    )  # fmt: skip
    later = predictive_money(plan, np.arange(50), np.array([52.0]))
    bought = later.purchases[:, 0] > 0
    mean_later = later.revenue[:, 0][bought] / later.purchases[:, 0][bought]
    assert np.corrcoef(np.log(first[bought]), np.log(mean_later))[0, 1] > 0.4


def test_fewer_parameter_draws_than_predictive_draws(history):
    few = clv.fit(history, draws=100, compare=False)
    fc = clv.forecast(few, history, horizons="12 months", draws=250)
    assert fc.value_draws(history.table["customer_id"].head(3)).value.shape == (250, 3, 1)


def test_spend_without_a_variance_has_no_shares(model, history):
    spend = gamma_gamma.Params(*(np.full((400, 1), x) for x in (0.5, 1.2, 30.0)))
    heavy = replace(model, draws=replace(model.draws, spend=spend))
    fc = forecast(heavy, history, horizons="12 months")
    masked = fc.customers["value_sd"].isna()
    assert 0.3 < masked.mean() < 1.0 and fc.customers["value_upper"].notna().all()
    assert fc.totals[["parameter_share", "process_share", "common_share"]].isna().all().all()
    assert any("infinite" in note for note in fc.notes)


def test_results_do_not_hang_on_the_history(fc, history):
    ids = history.table["customer_id"].tolist()
    before = fc.value_draws(ids[:1]).value
    with pytest.raises(ValueError, match="read-only"):
        fc.plan.margin[:] = 9.0
    history.table["customer_id"] = ids[::-1]
    after = fc.value_draws(ids[:1]).value
    history.table["customer_id"] = ids
    np.testing.assert_array_equal(before, after)
