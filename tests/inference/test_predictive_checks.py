from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history import load_cdnow, purchase_history
from clv_forecast.inference import predictive_checks
from clv_forecast.inference.draws import POINT, ParameterDraws
from clv_forecast.inference.fit import fit
from clv_forecast.inference.hierarchical.priors import Prior
from clv_forecast.inference.predictive_checks import (
    posterior_predictive_check,
    prior_predictive_check,
    purchase_statistics,
    spend_statistics,
    variation_within,
)
from clv_forecast.models import bg_nbd, gamma_gamma
from tests.inference.simulated import simulate_purchases, simulate_spend, summary

TRUTH = {"r": 0.6, "alpha": 5.0, "a": 0.8, "b": 2.5}


@pytest.fixture(scope="module")
def check(model, order_history):
    return posterior_predictive_check(model, order_history, rng=3)


def with_draws(model, **parts):
    """The same model under other parameters."""
    return replace(model, draws=replace(model.draws, **parts))


def spread(values, draws=500):
    return [np.full((draws, 1), value) for value in values]


def p_of(check, statistic):
    return float(check.table.set_index("statistic")["p"][statistic])


def test_the_right_model_fits(check, order_history):
    assert (check.table["p"] >= predictive_checks.DOUBTFUL).all()
    assert all("makes what was observed" in sentence for sentence in check.sentences)
    assert len(check.sentences) == 2
    told = check.table.set_index("statistic")
    table = order_history.table
    assert told["observed"]["share with 0 repeat purchases"] == (table["frequency"] == 0).mean()
    assert told["observed"]["total repeat purchases"] == table["frequency"].sum()
    assert told["observed"]["mean order"] == pytest.approx(
        table["spend_sum_repeat"].sum() / table["spend_count_repeat"].sum()
    )
    assert (told["lower"] <= told["mean"]).all()
    assert (told["mean"] <= told["upper"]).all()
    assert (check.replicas, check.customers) == (200, 1500)


def test_customers_all_alike_are_found_wrong(model, order_history):
    """The same mean rate and dropout, but no differences between customers."""
    e = model.estimate
    alike = bg_nbd.Params(*spread([1e3 * e.r, 1e3 * e.alpha, 1e3 * e.a, 1e3 * e.b]))
    check = posterior_predictive_check(with_draws(model, purchases=alike), order_history)
    assert p_of(check, "variance of repeat purchases") < 0.01
    assert p_of(check, "share with 0 repeat purchases") < 0.01
    assert "the fitted model misses" in check.sentences[0]
    assert "variance of repeat purchases (observed" in check.sentences[0]
    assert "makes what was observed" in check.sentences[1]


def test_customers_who_never_leave_are_found_wrong(model, order_history):
    """Rates made up for it, so that the total is right."""
    e = model.estimate
    total = float(np.sum(bg_nbd.expected_purchases_new(e, horizon=order_history.table["T"])))
    rate = total / order_history.table["T"].sum()
    loyal = bg_nbd.Params(*spread([e.r, e.r / rate, 1e-4, 1e3]))
    check = posterior_predictive_check(with_draws(model, purchases=loyal), order_history)
    assert p_of(check, "total repeat purchases") > 0.05
    assert p_of(check, "mean recency / T of repeaters") < 0.01


def test_orders_too_even_are_found_wrong(model, order_history):
    """A customer's orders vary by half of what they do; levels between customers stay."""
    g = model.spend_estimate
    even = gamma_gamma.Params(*spread([4.0 * g.p, g.q, g.v / 4.0]))
    check = posterior_predictive_check(with_draws(model, spend=even), order_history)
    assert p_of(check, "coefficient of variation within customers") < 0.01
    assert p_of(check, "mean order") > 0.02
    assert "makes what was observed" in check.sentences[0]


def test_p_is_uniform_under_the_truth():
    """Data by an independent simulator, replicas under its parameters: no information is used twice."""
    rng = np.random.default_rng(8)
    found = []
    for seed in range(60):
        frequency, recency, T = simulate_purchases(rng, 400, length=60.0, **TRUTH)
        history = summary(frequency, recency, T)
        parameters = ParameterDraws(purchases=bg_nbd.Params(*spread(TRUTH.values(), 99)), spend=None, kind=POINT)
        check = predictive_checks._check(
            bg_nbd,
            parameters.for_history(history),
            history,
            spend_from=None,
            of="fit",
            seed=seed,
            progress=lambda *report: None,
        )
        found.append(p_of(check, "mean recency / T of repeaters"))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert min(found) < 0.2


def test_the_same_numbers_in_blocks_and_for_fewer_customers(model, order_history, check, monkeypatch):
    monkeypatch.setattr(predictive_checks, "_CUSTOMERS_AT_ONCE", 97)
    again = posterior_predictive_check(model, order_history, rng=3)
    np.testing.assert_array_equal(again.table["mean"], check.table["mean"])
    other = posterior_predictive_check(model, order_history, rng=4)
    assert (other.table["mean"] != check.table["mean"]).any()


def test_the_prior_allows_the_data_and_much_else(order_history):
    check = prior_predictive_check(order_history, rng=2)
    assert (check.table["p"] > 0.05).all()
    assert all("the prior makes what was observed" in sentence for sentence in check.sentences)
    told = check.table.set_index("statistic")
    share = told.loc["share with 0 repeat purchases"]
    assert share["upper"] - share["lower"] > 0.5
    assert (told.loc["mean order", ["lower", "upper"]] / told.loc["mean order", "observed"]).between(0.05, 20.0).all()


def test_the_prior_is_scaled_by_the_data(order_history):
    """Days and cents instead of weeks and dollars: the same check in other units."""
    table = order_history.table.copy()
    table[["recency", "T"]] *= 7.0
    for amounts in ("repeat", "all"):
        table[f"spend_sum_{amounts}"] *= 100.0
        table[f"spend_sum_log_{amounts}"] += table[f"spend_count_{amounts}"] * np.log(100.0)
    weeks = prior_predictive_check(order_history, draws=50).table.set_index("statistic")
    days = prior_predictive_check(replace(order_history, table=table, unit="day"), draws=50).table
    days = days.set_index("statistic")
    np.testing.assert_allclose(days["p"], weeks["p"], atol=0.05)
    shares = [name for name in weeks.index if name.startswith("share")]
    np.testing.assert_allclose(days["mean"][shares], weeks["mean"][shares], atol=1e-3)
    np.testing.assert_allclose(days["mean"]["mean order"], 100.0 * weeks["mean"]["mean order"], rtol=1e-6)


@pytest.mark.parametrize("purchases", ["mbg_nbd", "pareto_nbd"])
def test_every_transaction_model_is_checked(purchases, order_history):
    model = fit(order_history, purchases, spend=None, compare=False)
    check = posterior_predictive_check(model, order_history, draws=50)
    assert set(check.table["part"]) == {"purchases"}
    assert check.table["p"].notna().all()
    assert prior_predictive_check(order_history, purchases, None, draws=50).of == "prior"


def test_a_prior_far_from_the_data_is_found(order_history):
    wrong = {"mean_purchase_rate": Prior(median=1e-4, sd=0.2), "mean_spend": Prior(median=0.1, sd=0.2)}
    check = prior_predictive_check(order_history, priors=wrong)
    assert p_of(check, "total repeat purchases") < 0.02
    assert p_of(check, "mean order") < 0.02
    assert all("the prior misses" in sentence for sentence in check.sentences)
    with pytest.raises(DomainError, match="mean_purchase_rate"):
        prior_predictive_check(order_history, priors={"mean_purchase_rat": Prior(sd=1.0)})


def test_groups_are_drawn_from_their_prior():
    history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    grouped = prior_predictive_check(history, spend=None, groups="cohort_month", draws=100)
    pooled = prior_predictive_check(history, spend=None, draws=100)
    assert (grouped.table["p"] > 0.05).all()
    assert (grouped.table["mean"] != pooled.table["mean"]).any()


def test_means_only_say_nothing_of_the_spread_within(order_history):
    table = order_history.table.copy()
    table[["spend_sum_log_repeat", "spend_sum_log_all"]] = np.nan
    history = replace(order_history, table=table)
    model = fit(history, compare=False)
    check = posterior_predictive_check(model, history, draws=50)
    assert "mean order" in set(check.table["statistic"])
    assert "coefficient of variation within customers" not in set(check.table["statistic"])


def test_variation_within_is_that_of_the_orders():
    rng = np.random.default_rng(4)
    counts = rng.integers(1, 8, 20_000)
    for p in (0.5, 6.0, 400.0):
        made = variation_within(*map(np.asarray, simulate_spend(rng, counts, p=p, q=3.0, v=10.0)))
        assert made == pytest.approx(p**-0.5, rel=0.02)
    same = np.array([3.0, 2.0])
    assert variation_within(same, 10.0 * same, np.log(10.0) * same) == 0.0


def test_statistics_of_nobody_who_came_back():
    nobody = purchase_statistics(np.zeros(5), np.zeros(5), np.full(5, 9.0))
    assert nobody["share with 0 repeat purchases"] == 1.0
    assert np.isnan(nobody["mean recency / T of repeaters"])
    shares = purchase_statistics(np.array([0.0, 7.0, 30.0, 1.0]), np.ones(4), np.full(4, 9.0))
    assert shares["share with 7 or more repeat purchases"] == 0.5
    one = spend_statistics(np.ones(3), np.array([1.0, 2.0, 3.0]), np.log([1.0, 2.0, 3.0]))
    assert "coefficient of variation within customers" not in one


def test_text_and_html(check):
    assert "misses" not in str(check)
    assert "share with 0 repeat purchases" in str(check)
    assert repr(check) == "<PredictiveCheck of the fit: 200 replicas of 1,500 customers>"
    assert "<table" in check._repr_html_()


def test_what_it_refuses(model, order_history):
    with pytest.raises(DomainError, match="at least 50"):
        posterior_predictive_check(model, order_history, draws=49)
    with pytest.raises(DomainError, match="same unit"):
        posterior_predictive_check(model, replace(order_history, unit="day"))
    with pytest.raises(DomainError, match="one currency"):
        posterior_predictive_check(replace(model, currency="EUR"), replace(order_history, currency="USD"))
    with pytest.raises(DomainError, match="model must be a Model"):
        posterior_predictive_check(order_history, model)
    with pytest.raises(DomainError, match="gamma_gamma"):
        prior_predictive_check(order_history, spend="normal")
    table = order_history.table.assign(spend_sum_repeat=np.nan)
    with pytest.raises(InputError, match="amounts of repeat"):
        posterior_predictive_check(model, replace(order_history, table=table))
    nobody = replace(order_history, table=order_history.table.assign(frequency=0))
    with pytest.raises(InputError, match="second time"):
        prior_predictive_check(nobody)
