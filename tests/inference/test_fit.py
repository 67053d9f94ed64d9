import numpy as np
import pandas as pd
import pytest

from clv_forecast import columns
from clv_forecast.errors import DomainError, FitError, InputError
from clv_forecast.inference import fit_pooled as fit_module
from clv_forecast.inference.draws import ASYMPTOTIC, LAPLACE
from clv_forecast.inference.fit import fit
from clv_forecast.inference.parameter_table import LEANS_ON_PRIOR, NO_MAXIMUM, NOT_IDENTIFIED
from clv_forecast.inference.recipe import Sampler
from clv_forecast.inference.report import FitStatus
from clv_forecast.models import bg_nbd
from tests.inference.simulated import (
    Summary,
    cdnow_sample,
    lifetimes_file,
    simulate_purchases,
    simulate_spend,
    summary,
)


def plain(history, purchases="bg_nbd", **options):
    """Purchases only, no comparison."""
    return fit(history, purchases, **({"spend": None, "compare": False, "draws": 200} | options))


def table_of(model):
    return model.parameters.set_index("parameter")


# --- the optima of the papers ---------------------------------------------------------------------------------------


def test_bg_nbd_on_cdnow_gives_the_paper_its_errors_and_its_likelihood():
    frame = lifetimes_file("cdnow_customers_summary.csv")
    model = plain(summary(frame["frequency"], frame["recency"], frame["T"]))
    table = table_of(model)
    estimates = table.loc[["r", "alpha", "a", "b"], "estimate"]
    np.testing.assert_allclose(estimates, [0.24259289, 4.41353152, 0.79288608, 2.42575356], rtol=2e-7)
    errors = table.loc[["r", "alpha", "a", "b"], "standard_error"]
    np.testing.assert_allclose(errors, [0.01255732, 0.37822128, 0.18571869, 0.70534405], rtol=1e-5)
    assert model.report.log_likelihood == pytest.approx(-9582.425561, abs=1e-6)
    assert model.report.aic == pytest.approx(8 + 2 * 9582.425561, abs=1e-5)
    assert model.report.bic == pytest.approx(4 * np.log(2357) + 2 * 9582.425561, abs=1e-5)
    assert model.report.status is FitStatus.CONVERGED
    assert model.report.purchases.gradient_norm < 1e-6
    assert model.report.purchases.n_rows == 1016


def test_mbg_nbd_on_cdnow():
    frame = lifetimes_file("cdnow_customers_summary.csv")
    estimates = table_of(plain(summary(frame["frequency"], frame["recency"], frame["T"]), "mbg_nbd"))["estimate"]
    np.testing.assert_allclose(estimates[["r", "alpha", "a", "b"]], [0.52484, 6.18299, 0.89136, 1.61400], rtol=2e-5)


def test_pareto_nbd_on_cdnow_gives_the_papers_print():
    frame = lifetimes_file("cdnow_customers_summary.csv")
    model = plain(summary(frame["frequency"], frame["recency"], frame["T"]), "pareto_nbd")
    estimates = table_of(model)["estimate"]
    np.testing.assert_allclose(estimates[["r", "alpha", "s", "beta"]], [0.553, 10.578, 0.606, 11.669], rtol=1e-3)
    assert model.report.log_likelihood == pytest.approx(-9594.976, abs=5e-3)
    assert model.report.log_likelihood > -9594.976  # the peers' optimum is a little short of it


def test_gamma_gamma_on_the_means_of_cdnow():
    model = fit(cdnow_sample(), spend_from="repeat", compare=False, draws=200)
    estimates = table_of(model)["estimate"]
    np.testing.assert_allclose(estimates[["p", "q", "v"]], [6.24880, 3.74459, 15.44775], rtol=2e-6)
    assert model.report.spend.log_likelihood == pytest.approx(-4055.9232, abs=1e-4)
    assert model.report.spend.n_customers == 946
    assert (model.spend_from, model.spend_level) == ("repeat", "means")
    assert any("customers' means" in note for note in model.report.notes)


@pytest.mark.filterwarnings("ignore")
def test_lifetimes_on_the_same_rows_finds_no_better_optimum():
    from lifetimes import BetaGeoFitter

    frame = lifetimes_file("cdnow_customers_summary.csv").iloc[:1200]
    peer = BetaGeoFitter().fit(frame["frequency"], frame["recency"], frame["T"])
    model = plain(summary(frame["frequency"], frame["recency"], frame["T"]))
    params = bg_nbd.Params(**peer.params_.to_dict())
    reached = bg_nbd.log_likelihood(params, frame["frequency"], frame["recency"], frame["T"]).sum()
    assert reached <= model.report.log_likelihood + 1e-9
    np.testing.assert_allclose(table_of(model)["estimate"].iloc[:4], peer.params_, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_of_cdnow_against_lifetimes():
    from lifetimes import BetaGeoFitter

    from clv_forecast.history import load_cdnow, purchase_history

    history = purchase_history(load_cdnow(), as_of="1997-09-30")
    table = history.table
    peer = BetaGeoFitter().fit(table["frequency"], table["recency"], table["T"])
    model = plain(history)
    reached = bg_nbd.log_likelihood(
        bg_nbd.Params(**peer.params_.to_dict()), table["frequency"], table["recency"], table["T"]
    ).sum()
    assert reached <= model.report.log_likelihood + 1e-9
    np.testing.assert_allclose(table_of(model)["estimate"].iloc[:4], peer.params_, rtol=1e-2)


# --- invariance -----------------------------------------------------------------------------------------------------


def scaled(history, *, time=1.0, money=1.0):
    table = history.table.copy()
    table[[columns.RECENCY, columns.T]] *= time
    for amounts in ("REPEAT", "ALL"):
        total, sum_log, count = (getattr(columns, f"SPEND_{w}_{amounts}") for w in ("SUM", "SUM_LOG", "COUNT"))
        table[total] *= money
        table[sum_log] += table[count] * np.log(money)
    return Summary(table)


def test_hours_and_cents_change_nothing_but_the_units(order_history, model):
    time, money = 168.0, 100.0
    other = fit(scaled(order_history, time=time, money=money), draws=500, rng=7)
    factors = {"alpha": time, "mean_purchase_rate": 1 / time, "v": money, "mean_spend": money}
    factor = table_of(model).index.map(lambda name: factors.get(name, 1.0)).to_numpy()
    for name in ("estimate", "standard_error", "lower", "upper"):
        np.testing.assert_allclose(table_of(other)[name], table_of(model)[name] * factor, rtol=1e-6)
    np.testing.assert_allclose(other.draws.purchases.alpha, model.draws.purchases.alpha * time, rtol=1e-6)
    np.testing.assert_allclose(other.draws.spend.v, model.draws.spend.v * money, rtol=1e-6)
    repeats = order_history.table[columns.FREQUENCY].sum()
    shift = other.report.log_likelihood - model.report.log_likelihood
    assert shift == pytest.approx(-repeats * np.log(time), rel=1e-9)
    shift = other.report.spend.log_likelihood - model.report.spend.log_likelihood
    assert shift == pytest.approx(-repeats * np.log(money), rel=1e-9)
    np.testing.assert_allclose(
        other.report.alternatives["difference"], model.report.alternatives["difference"], atol=1e-5
    )


def test_hours_change_nothing_at_a_boundary_either(loyal_history, loyal_model):
    other = fit(scaled(loyal_history, time=168.0), spend=None, draws=400, compare=False)
    np.testing.assert_allclose(other.draws.purchases.alpha, loyal_model.draws.purchases.alpha * 168.0, rtol=1e-4)
    np.testing.assert_allclose(other.draws.purchases.a, loyal_model.draws.purchases.a, rtol=1e-4)


def test_the_order_of_customers_does_not_matter(order_history, model):
    shuffled = Summary(order_history.table.sample(frac=1.0, random_state=3))
    other = fit(shuffled, draws=500, rng=7)
    pd.testing.assert_frame_equal(other.parameters, model.parameters, check_exact=True)
    pd.testing.assert_frame_equal(other.draws.to_frame(), model.draws.to_frame(), check_exact=True)


def test_every_customer_twice_keeps_the_optimum_and_shrinks_the_errors(order_history, model):
    table = order_history.table
    other = plain(Summary(pd.concat([table, table], ignore_index=True)))
    np.testing.assert_allclose(table_of(other)["estimate"], table_of(model)["estimate"].iloc[:6], rtol=1e-7)
    ratio = table_of(other)["standard_error"] / table_of(model)["standard_error"].iloc[:6]
    np.testing.assert_allclose(ratio, 0.5**0.5, rtol=1e-5)


def test_the_seed_decides_the_draws_and_nothing_else(order_history, model):
    same, other = (fit(order_history, draws=500, rng=seed, compare=False) for seed in (7, 8))
    pd.testing.assert_frame_equal(same.draws.to_frame(), model.draws.to_frame(), check_exact=True)
    assert np.isclose(other.draws.to_frame(), model.draws.to_frame()).mean() < 0.01
    pd.testing.assert_frame_equal(other.parameters, model.parameters, check_exact=True)


def test_purchase_draws_do_not_depend_on_whether_spend_is_fitted(order_history, model):
    alone = plain(order_history, draws=500, rng=7)
    np.testing.assert_array_equal(alone.draws.purchases.b, model.draws.purchases.b)


# --- what the draws and the table say -------------------------------------------------------------------------------


def test_asymptotic_draws_agree_with_the_table(model):
    frame, table = model.draws.to_frame(), table_of(model)
    assert model.draws.kind == model.draws.spend_kind == ASYMPTOTIC
    for name in frame:
        spread = np.std(np.log(frame[name] - (name == "q")))
        expected = np.log(table.loc[name, "upper"] - (name == "q")) - np.log(table.loc[name, "lower"] - (name == "q"))
        assert spread == pytest.approx(expected / (2 * 1.959964), rel=0.12)
    assert (frame["q"] > 1).all()


def test_the_spread_of_one_customers_orders_is_recovered_from_orders_and_not_from_means():
    """On amounts that are Gamma-Gamma, p = 2: means carry little about the spread within a customer."""
    rng = np.random.default_rng(31)
    counts = 1 + rng.poisson(1.0, 3000)
    n, total, sum_log = simulate_spend(rng, counts, p=2.0, q=4.0, v=30.0)
    history = summary(counts, counts * 1.0, np.full(3000, 60.0), n=n, total=total, sum_log=sum_log)
    by_orders = table_of(fit(history, compare=False, draws=200)).loc["p"]
    history.table[[columns.SPEND_SUM_LOG_ALL, columns.SPEND_SUM_LOG_REPEAT]] = np.nan
    by_means = table_of(fit(history, compare=False, draws=200)).loc["p"]
    assert by_orders["lower"] < 2.0 < by_orders["upper"]
    assert by_orders["standard_error"] < by_means["standard_error"] / 2


def test_laplace_agrees_with_maximum_likelihood_on_many_customers(order_history, model):
    posterior = fit(order_history, method="laplace", draws=1000, compare=False)
    assert posterior.method == "laplace"
    assert posterior.draws.kind == LAPLACE
    assert posterior.report.purchases.k_hat < 0.7
    for name in ("r", "alpha", "p", "q", "mean_spend"):
        own, other = table_of(posterior).loc[name], table_of(model).loc[name]
        assert own["estimate"] == pytest.approx(other["estimate"], abs=0.5 * other["standard_error"])
        assert own["standard_error"] == pytest.approx(other["standard_error"], rel=0.2)


# --- boundaries, ridges, small data ---------------------------------------------------------------------------------


def test_no_dropout(loyal_history, loyal_model):
    report, table = loyal_model.report, table_of(loyal_model)
    assert report.status is FitStatus.BOUNDARY
    assert "the maximum has no dropout (a/(a+b) -> 0): the data show none; draws and forecasts use" in report.message
    assert "a+b" not in report.message.replace("a/(a+b)", "")  # without dropout its spread has no influence
    a, b = float(loyal_model.estimate.a), float(loyal_model.estimate.b)
    assert a / (a + b) < 1e-6  # the optimum itself stays what it is
    silent, told = ["a", "b", "mean_dropout_probability"], ["r", "alpha", "mean_purchase_rate"]
    assert table.loc[silent, ["estimate", "standard_error"]].isna().all().all()
    assert (table.loc[silent, "note"] == NOT_IDENTIFIED).all()
    assert (table.loc[told, "standard_error"] > 0).all()
    assert (table.loc[told, "note"] == "").all()
    assert (table.loc[told, "lower"] < table.loc[told, "estimate"]).all()
    assert (table.loc[told, "estimate"] < table.loc[told, "upper"]).all()
    assert loyal_model.draws.kind == LAPLACE
    assert report.purchases.k_hat < 0.7
    assert (loyal_model.draws.purchases.a > 0).all()
    arrays = [loyal_history.table[name] for name in (columns.FREQUENCY, columns.RECENCY, columns.T)]
    assert bg_nbd.p_alive(loyal_model.estimate, *arrays).min() > 1 - 1e-4
    expected = bg_nbd.expected_purchases(loyal_model.estimate, *arrays, horizon=52.0)
    rate = (float(loyal_model.estimate.r) + arrays[0]) / (float(loyal_model.estimate.alpha) + arrays[2])
    np.testing.assert_allclose(expected, rate * 52.0, rtol=1e-3)


def mean_dropout(model):
    """Median and 95 % interval of the draws, as numbers and as text."""
    a, b = model.draws.purchases.a, model.draws.purchases.b
    shares = np.quantile(a / (a + b), [0.5, 0.025, 0.975])
    middle, lower, upper = (f"{100 * s:.1f} %" if s >= 0.0005 else f"{100 * s:.1g} %" for s in shares)
    return shares, f"{middle} ({lower} to {upper})"


def test_the_message_at_a_boundary_tells_what_the_draws_say(loyal_model):
    shares, text = mean_dropout(loyal_model)
    assert loyal_model.report.message == (
        "bg_nbd: the maximum has no dropout (a/(a+b) -> 0): the data show none; draws and forecasts use the posterior "
        f"under the default priors, mean dropout probability {text}. Estimates and standard errors of the parameters "
        "concerned are left out."
    )
    table = table_of(loyal_model).loc["mean_dropout_probability"]
    np.testing.assert_allclose(table[["lower", "upper"]].astype(float), shares[1:], rtol=1e-12)


def test_a_boundary_in_print(loyal_model):
    lines = str(loyal_model).splitlines()
    row = next(line.split() for line in lines if line.split()[0] == "a")
    assert row[1:3] == ["-", "-"]
    assert f"a, b, mean_dropout_probability: {NOT_IDENTIFIED}" in lines
    assert NOT_IDENTIFIED in loyal_model._repr_html_()


def test_the_posterior_asked_for_at_a_boundary_has_errors_and_says_so(loyal_history):
    model = plain(loyal_history, method="laplace")
    table = table_of(model)
    assert np.isfinite(table[["estimate", "standard_error"]]).all().all()
    assert (table["estimate"] > table["lower"]).all()
    assert (table["estimate"] < table["upper"]).all()
    assert table.index[table["note"] == LEANS_ON_PRIOR].tolist() == ["a", "b", "mean_dropout_probability"]
    assert "left out" not in model.report.message
    assert model.report.message.endswith(
        "the data show none; estimates, errors, draws and forecasts are the posterior's under the default priors, "
        f"mean dropout probability {mean_dropout(model)[1]}."
    )


def test_no_dropout_in_time_is_told_as_a_rate_in_the_unit(loyal_history):
    model = plain(loyal_history, "pareto_nbd", draws=100)
    assert "the maximum has no dropout (s/beta -> 0): the data show none" in model.report.message
    rate = np.median(model.draws.purchases.s / model.draws.purchases.beta)
    assert f"mean dropout rate {rate:.2g} (" in model.report.message
    assert ") per week. Estimates" in model.report.message


def test_models_that_are_the_same_without_dropout_tie(loyal_history):
    """On these customers MBG/NBD does find a trace of dropout, the other two none."""
    table = fit(loyal_history, spend=None, draws=100).report.alternatives
    assert table["model"].tolist() == ["mbg_nbd", "bg_nbd", "pareto_nbd"]
    assert table["difference"].iloc[0] > 0.01
    assert table["difference"].tolist()[1:] == [0.0, 0.0]


def test_no_dropout_reaches_the_supremum(loyal_history, loyal_model):
    """Without dropout the model is a negative binomial; its own maximum is the supremum."""
    from scipy.optimize import minimize
    from scipy.special import gammaln

    x, T = (loyal_history.table[name].to_numpy(float) for name in (columns.FREQUENCY, columns.T))

    def negative(theta):
        r, alpha = np.exp(theta)
        return -np.sum(gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T))

    supremum = -minimize(negative, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9}).fun
    assert loyal_model.report.log_likelihood == pytest.approx(supremum, abs=1e-4)


def test_customers_who_do_not_differ_in_rate():
    rng = np.random.default_rng(13)
    customers = simulate_purchases(rng, 600, r=1e6, alpha=5e6, a=0.8, b=2.5, length=60.0)
    thinned = np.minimum(customers[0], 3), *customers[1:]  # fewer large counts than Poisson: no room for spread
    model = plain(summary(*thinned))
    assert model.report.status in (FitStatus.BOUNDARY, FitStatus.RIDGE)
    assert "customers do not differ in purchase rate (r -> infinity)" in model.report.message
    table = table_of(model)
    assert table.loc[["r", "alpha"], "standard_error"].isna().all()
    assert table.loc["mean_purchase_rate", "standard_error"] > 0
    assert np.isfinite(model.draws.to_frame()).all().all()


@pytest.mark.parametrize("purchases", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_tiny_data_give_a_status_and_wide_draws_never_an_absurd_error(purchases):
    rng = np.random.default_rng(14)
    model = plain(summary(*simulate_purchases(rng, 25, r=1.0, alpha=6.0, a=0.8, b=2.5, length=40.0)), purchases)
    assert model.report.status is not FitStatus.FAILED
    errors = table_of(model)["standard_error"]
    assert errors.isna().any()
    assert (errors.dropna() < 10 * table_of(model)["estimate"][errors.notna()]).all()
    frame = model.draws.to_frame()
    assert np.isfinite(frame).all().all()
    assert np.quantile(frame["r"], 0.95) / np.quantile(frame["r"], 0.05) > 2


def test_orders_of_one_size_per_customer_are_a_boundary_of_spend():
    rng = np.random.default_rng(15)
    counts = rng.integers(1, 6, 300)
    size = rng.gamma(5.0, 20.0, 300)
    history = summary(counts, counts * 1.0, np.full(300, 9.0), n=counts, total=counts * size,
                      sum_log=counts * np.log(size))  # fmt: skip
    model = fit(history, compare=False, draws=200)
    assert model.report.spend.status is FitStatus.BOUNDARY
    assert "the orders of one customer do not differ in money (p -> infinity)" in model.report.message
    assert np.isfinite(model.draws.to_frame()).all().all()


# --- refusals -------------------------------------------------------------------------------------------------------


def test_no_repeat_purchase_at_all():
    with pytest.raises(InputError, match=r"No customer has bought a second time.*0 of 50 customers"):
        plain(summary(np.zeros(50), np.zeros(50), np.full(50, 9.0)))


def test_too_few_repeat_customers(order_history):
    table = order_history.table
    few = pd.concat([table[table["frequency"] > 0].iloc[:9], table[table["frequency"] == 0].iloc[:30]])
    with pytest.raises(InputError, match=r"at least 10 customers who bought again.*9 of 39 customers.*Observe longer"):
        plain(Summary(few))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "advi"}, "method must be one of mle, laplace, nuts"),
        ({"groups": "region"}, "groups belong to a hierarchical fit"),
        ({"covariates": ["size"]}, "covariates belong to a hierarchical fit"),
        ({"priors": {"r": 1}}, "Maximum likelihood has no priors"),
        (
            {"priors": {"mean_purchase_rat": 1}, "method": "laplace"},
            "no prior named .*Did you mean 'mean_purchase_rate'",
        ),
        ({"sampler": Sampler()}, "A sampler belongs to method='nuts'"),
        ({"method": "laplace", "groups": ["region"]}, "method='laplace' is not"),
        ({"purchases": "nbd"}, "bg_nbd"),
        ({"spend": "lognormal"}, "spend must be"),
        ({"spend_from": "first"}, "spend_from must be one of"),
        ({"draws": 10}, "at least 100"),
        ({"rng": -1}, "rng"),
        ({"rng": None}, "rng must be"),
        ({"rng": "1"}, "rng must be"),
        ({"draws": "500"}, "draws must be a whole number"),
        ({"draws": 500.0}, "draws must be a whole number"),
    ],
)
def test_options_that_are_refused(order_history, options, words):
    with pytest.raises(DomainError, match=words):
        fit(order_history, **({"compare": False} | options))


def test_only_a_history_is_fitted(order_history, model):
    for other in (order_history.table, model, None, model.draws):
        with pytest.raises(DomainError) as caught:
            fit(other)
        assert str(caught.value) == (
            f"fit takes a PurchaseHistory (from purchase_history or history_from_summary). Got: {type(other).__name__}."
        )


def test_an_unconverged_fit_raises_unless_allowed(order_history, monkeypatch):
    from dataclasses import replace

    def lazy(function, starts, *, lower, upper, fixed=None, maximise=fit_module.maximise):
        optimum = maximise(function, starts, lower=lower, upper=upper, fixed=fixed)
        return replace(optimum, decrement=3.0)

    monkeypatch.setattr(fit_module, "maximise", lazy)
    with pytest.raises(FitError, match=r"did not converge.*promises 3 units.*has the model") as refused:
        plain(order_history)
    assert refused.value.model.report.status is FitStatus.FAILED
    model = plain(order_history, allow_unconverged=True)
    assert model.report.status is FitStatus.FAILED
    assert table_of(model)["standard_error"].isna().all()
    assert table_of(model)["estimate"].notna().all()
    assert (table_of(model)["note"] == NO_MAXIMUM).all()
    assert model.report.message.endswith("The draws come from the posterior under the default priors.")


def test_draws_that_cannot_be_trusted_are_told_with_advice_and_refused_when_they_were_asked_for(
    loyal_history, order_history, monkeypatch
):
    from dataclasses import replace

    def unreliable(problem, laplace_posterior=fit_module.laplace_posterior, **options):
        return replace(laplace_posterior(problem, **options), k_hat=0.93)

    monkeypatch.setattr(fit_module, "laplace_posterior", unreliable)
    model = plain(loyal_history)
    assert "cannot be trusted: k-hat 0.93 is not below 0.70. Use more customers" in model.report.message
    assert "point estimates only" not in model.report.message
    with pytest.raises(FitError, match=r"k-hat 0\.93.*The error has the model") as caught:
        plain(loyal_history, method="laplace")
    assert "k-hat 0.93" in caught.value.model.report.message
    assert "method='mle'" not in str(caught.value)  # at a boundary it has no draws of its own
    with pytest.raises(FitError, match=r"k-hat 0\.93.*method='mle' draws from the asymptotic distribution"):
        plain(order_history, method="laplace")
    assert plain(order_history).draws.kind == ASYMPTOTIC
    allowed = plain(loyal_history, method="laplace", allow_unconverged=True)
    assert (allowed.draws.kind, allowed.report.status) == (LAPLACE, FitStatus.FAILED)


# --- text -----------------------------------------------------------------------------------------------------------


def test_texts_are_short_and_name_what_matters(model):
    text = str(model)
    for word in ("bg_nbd + gamma_gamma", "per week", "as of 1997-09-30", "mean_spend", "converged", "log-likelihood"):
        assert word in text
    assert len(text.splitlines()) < 30
    assert repr(model).startswith("<Model bg_nbd")
    assert "<table" in model._repr_html_()
    assert len(model.report.notes) >= 2


def test_progress_is_told(order_history):
    seen = []
    plain(order_history, compare=True, progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert seen[-1] == ("compare", 3, 3)
