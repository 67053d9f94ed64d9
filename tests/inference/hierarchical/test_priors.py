from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clv_forecast.errors import DomainError
from clv_forecast.inference.hierarchical.effects import correlation_factor, lkj_partials, prior_draws
from clv_forecast.inference.hierarchical.priors import (
    COLUMNS,
    Prior,
    check_priors,
    coordinate_priors,
    part_priors,
    prior_names,
    priors_table,
)
from clv_forecast.inference.hierarchical.structure import (
    CategoricalCovariate,
    GroupTerm,
    NumericCovariate,
    Structure,
)
from clv_forecast.models import gamma_gamma, transaction_model

STRUCTURE = Structure(
    groups=(GroupTerm(name="region", levels=tuple("abcdef"), dated=False),),
    covariates=(
        NumericCovariate(name="age", centre=40.0, spread=10.0, dated=False),
        CategoricalCovariate(name="tier", reference="x", levels=("y", "z"), shares=(0.3, 0.2), dated=False),
    ),
)


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_defaults_are_those_of_the_models(model):
    location, scale = coordinate_priors(model, "purchases", time_scale=7.0)
    np.testing.assert_array_equal([location, scale], transaction_model(model).prior_location_scale(1.0, 1.0))
    np.testing.assert_array_equal(
        coordinate_priors("gamma_gamma", "spend", money_scale=3.0), gamma_gamma.prior_location_scale(1.0)
    )


def test_an_override_is_in_the_users_units():
    given = {
        "mean_purchase_rate": Prior(median=0.05, sd=0.5),
        "mean_dropout_probability": Prior(median=0.2),
        "purchase_rate_shape": Prior(sd=1.0),
        "mean_spend": Prior(median=30.0),
        "spend_tail": Prior(median=3.0),
    }
    location, scale = coordinate_priors("bg_nbd", "purchases", given, time_scale=20.0)
    np.testing.assert_allclose(location, [0.0, 0.0, np.log(0.25), np.log(3.0)], atol=1e-12)
    np.testing.assert_allclose(scale, [0.5, 1.0, 1.5, 2.0])
    location, scale = coordinate_priors("gamma_gamma", "spend", given, money_scale=15.0)
    np.testing.assert_allclose(location, [np.log(2.0), 0.5, np.log(3.0)])
    rate = coordinate_priors("pareto_nbd", "purchases", {"mean_dropout_rate": Prior(median=0.1)}, time_scale=20.0)
    np.testing.assert_allclose(rate[0][2], np.log(2.0))


def test_the_table_says_the_users_units_and_what_was_given():
    given = {"mean_purchase_rate": Prior(median=0.05, sd=0.5), "coefficient:age": Prior(sd=0.2)}
    parts = [
        part_priors("bg_nbd", "purchases", given, structure=STRUCTURE, time_scale=20.0, money_scale=30.0),
        part_priors("gamma_gamma", "spend", given, structure=STRUCTURE, time_scale=20.0, money_scale=30.0),
    ]
    table = priors_table(parts, STRUCTURE)
    assert tuple(table.columns) == COLUMNS
    assert set(table["name"]) == set(prior_names("bg_nbd", "gamma_gamma", STRUCTURE))
    table = table.set_index(["part", "name"])
    rate = table.loc[("purchases", "mean_purchase_rate")]
    assert rate["source"] == "given"
    np.testing.assert_allclose(
        [rate["median"], rate["lower"], rate["upper"]], 0.05 * np.exp(0.5 * stats.norm.ppf([0.5, 0.025, 0.975]))
    )
    np.testing.assert_allclose(table.loc[("spend", "mean_spend"), "median"], 30.0)
    assert table.loc[("purchases", "group_sd:mean_purchase_rate"), "source"] == "default"
    np.testing.assert_allclose(table.loc[("spend", "coefficient:age"), "upper"], 0.2 / 10.0 * stats.norm.ppf(0.975))
    assert ("spend", "group_correlation") not in table.index  # one coordinate varies: nothing to correlate with
    # what the table says is what is drawn
    drawn = prior_draws(parts[0], STRUCTURE.groups, draws=40_000, generator=np.random.default_rng(1))
    dropout = 1.0 / (1.0 + np.exp(-drawn.intercept[:, 2]))
    shown = table.loc[("purchases", "mean_dropout_probability")]
    np.testing.assert_allclose(
        np.quantile(dropout, [0.5, 0.025, 0.975]), shown[["median", "lower", "upper"]].astype(float), rtol=0.1
    )
    correlation = np.einsum("dij,dkj->dik", drawn.factors[0], drawn.factors[0])
    r = correlation[:, 3, 1] / np.sqrt(correlation[:, 3, 3] * correlation[:, 1, 1])
    shown = table.loc[("purchases", "group_correlation")]
    np.testing.assert_allclose(np.quantile(r, [0.025, 0.975]), shown[["lower", "upper"]].astype(float), atol=0.02)


def test_lkj_every_correlation_has_the_same_marginal():
    size, eta = 4, 2.0
    factor = correlation_factor(lkj_partials(size, eta, 20_000, generator=np.random.default_rng(2)), size)
    matrix = np.einsum("dij,dkj->dik", factor, factor)
    np.testing.assert_allclose(np.diagonal(matrix, axis1=1, axis2=2), 1.0)
    half = eta - 1.0 + size / 2.0
    for i in range(size):
        for j in range(i):
            p = stats.kstest((matrix[:, i, j] + 1.0) / 2.0, stats.beta(half, half).cdf).pvalue
            assert p > 1e-3
    wrong = stats.beta(half + 0.5, half + 0.5)
    assert stats.kstest((matrix[:, 3, 2] + 1.0) / 2.0, wrong.cdf).pvalue < 1e-3


def test_effects_of_the_prior_have_the_factors_covariance_and_stay_out_of_the_rest():
    priors = part_priors("gamma_gamma", "spend", structure=STRUCTURE)
    drawn = prior_draws(priors, STRUCTURE.groups, draws=20_000, generator=np.random.default_rng(3))
    scaled = drawn.effects[0][:, :, 0] / drawn.factors[0][:, 0, 0][:, None]
    np.testing.assert_allclose(scaled.std(), 1.0, rtol=0.02)
    assert not drawn.effects[0][:, :, 1:].any()
    assert not drawn.coefficients[:, :, 1:].any()
    np.testing.assert_allclose(drawn.coefficients[:, :, 0].std(axis=0), 0.5, rtol=0.03)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mean_purchase_rat": Prior(sd=1.0)}, "'mean_purchase_rate'.*Known: mean_purchase_rate, purchase_rate_shape"),
        ({"coefficient:height": Prior(sd=1.0)}, "coefficient:age"),
        ({"mean_dropout_rate": Prior(sd=1.0)}, "no prior named"),  # Pareto/NBD's
        ({"mean_purchase_rate": 3.0}, "must be a Prior"),
        ({"mean_dropout_probability": Prior(median=1.5)}, "probability"),
        ({"mean_spend": Prior(median=-1.0)}, "positive"),
        ({"group_sd:mean_spend": Prior(median=1.0)}, "sd only"),
        ({"group_correlation": Prior(sd=1.0)}, "eta"),
        ({"group_correlation": 0.5}, "at least 1"),
    ],
)
def test_a_wrong_override_is_refused(given, told):
    with pytest.raises(DomainError, match=told):
        check_priors(given, "bg_nbd", "gamma_gamma", structure=STRUCTURE)
    check_priors({"group_correlation": 4.0}, "bg_nbd", "gamma_gamma", structure=STRUCTURE)


def test_a_prior_of_the_spend_needs_spend_and_of_groups_groups():
    with pytest.raises(DomainError, match="mean_spend"):
        check_priors({"mean_spend": Prior(sd=1.0)}, "bg_nbd", None)
    with pytest.raises(DomainError, match="group_sd"):
        check_priors({"group_sd:mean_purchase_rate": Prior(sd=1.0)}, "bg_nbd", None)


@pytest.mark.parametrize("given", [{}, {"sd": 0.0}, {"sd": np.inf}, {"median": np.nan}, {"median": "x"}])
def test_a_prior_is_checked(given):
    with pytest.raises(DomainError):
        Prior(**given)
