"""`fit` by NUTS, from the history to ArviZ: one small grouped fit serves all tests."""

import dataclasses
import warnings

import numpy as np
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, FitError
from clv_forecast.inference.hierarchical import sampling
from clv_forecast.inference.report import FitStatus

QUICK = clv.Sampler(chains=2, tune=400, draws=500, target_accept=0.95)


@pytest.fixture(scope="module")
def history():
    log = clv.load_cdnow("1/10")
    return clv.purchase_history(log, as_of="1997-09-30")


@pytest.fixture(scope="module")
def model(history):
    return clv.fit(history, method="nuts", groups="cohort_month", sampler=QUICK, draws=400, compare=False)


def test_the_report_says_how_the_chains_did(model):
    assert model.report.status is FitStatus.CONVERGED
    for part in model.report.parts:
        assert part.convergence.converged
        assert part.convergence.r_hat < 1.01
        assert "The 2 chains agree" in part.message
    assert "R-hat" in str(model.report)
    assert model.draws.n_draws == 400
    assert model.draws.kind == "posterior"


def test_the_table_has_groups_and_what_separates_them(model):
    names = set(model.parameters["parameter"])
    for quantity in ("mean_purchase_rate", "mean_dropout_probability", "mean_spend"):
        assert {f"{quantity}[cohort_month=1997-0{month}]" for month in (1, 2, 3)} <= names
        assert f"group_sd:{quantity}[cohort_month]" in names
    assert {"r", "alpha", "a", "b", "p", "q", "v"} <= names


def test_log_likelihood_at_the_posterior_mean_is_near_the_maximum(model, history):
    pooled = clv.fit(history, compare=False)
    # 12 effects more: a little better than the pooled maximum, and by far not unboundedly so
    assert -5.0 < model.report.log_likelihood - pooled.report.log_likelihood < 25.0


def test_arviz_reads_all_of_it(model):
    import arviz as az

    tree = clv.to_datatree(model)
    assert {"posterior", "sample_stats", "prior", "observed_data", "constant_data"} <= set(tree.children)
    assert dict(tree["posterior"].sizes)["cohort_month"] == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = az.summary(tree)
    assert (table["r_hat"].astype(float) < 1.02).all()
    assert not tree["sample_stats"]["diverging"].values[0, :5].any()
    assert float((tree["constant_data"]["purchase_customers"]).sum()) == 2349
    prior = tree["prior"]["mean_purchase_rate"].values
    row = model.priors.set_index("name").loc["mean_purchase_rate"]
    assert np.median(prior) == pytest.approx(row["median"], rel=0.2)


def test_loo_on_rows_equals_arviz_on_customers(model):
    import arviz as az

    ours = clv.loo(model)
    tree = clv.to_datatree(model, per_customer=True)
    assert tree["log_likelihood"]["purchases"].shape == (2, 200, 2349)
    for name, part in (("purchases", ours.purchases), ("spend", ours.spend)):
        theirs = az.loo(tree, var_name=name)
        assert part.elpd == pytest.approx(theirs.elpd, abs=0.05)
        assert part.se == pytest.approx(theirs.se, rel=1e-3)
        assert part.p_loo == pytest.approx(theirs.p, abs=0.05)


def test_too_many_log_likelihoods_are_refused(model, monkeypatch):
    monkeypatch.setattr("clv_forecast.inference.datatree.MOST_LOG_LIKELIHOODS", 1000)
    with pytest.raises(DomainError, match=r"at most 1,000 values.*400 draws x 2,349 customers"):
        clv.to_datatree(model, per_customer=True)
    with pytest.raises(DomainError, match="rows that the model was fitted to"):
        clv.to_datatree(dataclasses.replace(model, rows=None), per_customer=True)


def test_a_saved_model_is_the_same(model, history, tmp_path):
    clv.save(model, tmp_path / "model")
    again = clv.load_model(tmp_path / "model")
    first, second = (clv.forecast(m, history, horizons=["39 weeks"], draws=400) for m in (model, again))
    np.testing.assert_array_equal(first.customers["value"], second.customers["value"])
    assert again.report.purchases.convergence.verdict == model.report.purchases.convergence.verdict
    assert clv.loo(again).purchases.elpd == clv.loo(model).purchases.elpd
    left, right = (clv.to_datatree(m)["posterior"]["purchases_effect_cohort_month"] for m in (model, again))
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(("r_hat", "divergences"), [(1.03, 0), (1.007, 3), (1.2, 0), (1.007, 5)])
def test_only_broken_chains_are_refused_and_the_error_has_the_model(history, monkeypatch, tmp_path, r_hat, divergences):
    def judged(chains, diagnose=sampling.diagnose_chains):
        found = diagnose(chains)
        return dataclasses.replace(found, r_hat=r_hat, divergences=divergences, ess_bulk=900.0, ess_tail=900.0)

    monkeypatch.setattr(sampling, "diagnose_chains", judged)
    hasty = clv.Sampler(chains=2, tune=100, draws=100, retries=0)
    options = {"method": "nuts", "spend": None, "draws": 100, "compare": False, "sampler": hasty}
    if r_hat > 1.05 or divergences > 0.02 * 200:
        with pytest.raises(FitError, match=r"have not converged.*The error has the model") as refused:
            clv.fit(history, **options)
        model, status, word = refused.value.model, FitStatus.FAILED, "failed"
        assert clv.fit(history, **options, allow_unconverged=True).report.status is status
    else:
        model, status, word = clv.fit(history, **options), FitStatus.NEARLY_CONVERGED, "nearly converged"
        assert "agree closely enough to be used, though not fully" in str(model)
    assert model.report.status is status
    clv.save(model, tmp_path / "model")
    again = clv.load_model(tmp_path / "model")
    assert again.report.status is status and again.report.message == model.report.message
    assert any(f"fit of purchases is {word}" in note for note in clv.forecast(again, history, draws=100).notes)


def test_a_given_prior_moves_the_posterior(history, model):
    strict = {"mean_spend": clv.Prior(median=100.0, sd=0.01)}
    once = dataclasses.replace(QUICK, retries=0)  # converged or not, the means below must have moved
    moved = clv.fit(
        history, method="nuts", groups="cohort_month", sampler=once, draws=400, compare=False, priors=strict,
        allow_unconverged=True,
    )  # fmt: skip
    means = [m.parameters.set_index("parameter").loc["mean_spend", "estimate"] for m in (model, moved)]
    assert means[0] < 45.0
    assert means[1] > 85.0
    assert moved.priors.set_index("name").loc["mean_spend", "source"] == "given"
