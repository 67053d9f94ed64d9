from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.inference.fit import fit
from clv_forecast.inference.hierarchical.chains import Chains


def test_draws_of_maximum_likelihood_are_not_called_a_posterior(model):
    tree = clv.to_datatree(model)
    assert "posterior" not in tree.children
    assert dict(tree["draws"].sizes) == {"chain": 1, "draw": 500}
    np.testing.assert_allclose(tree["draws"]["alpha"].values[0], model.draws.purchases.alpha[:, 0], rtol=1e-14)
    assert tree.attrs["unit"] == "week"
    assert tree.attrs["status"] == "converged"
    assert float(tree["constant_data"]["money_scale"]) == model.money_scale


def test_only_a_posterior_is_called_one(order_history):
    tree = clv.to_datatree(fit(order_history, method="laplace", spend=None, draws=100, compare=False))
    assert "posterior" in tree.children
    assert "money_scale" not in tree["constant_data"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_arviz_reads_it(model):
    import arviz as az

    table = az.summary(clv.to_datatree(model), group="draws", kind="stats", round_to="none")
    assert isinstance(table, pd.DataFrame)
    assert table.loc["r", "mean"] == pytest.approx(model.draws.purchases.r.mean(), rel=1e-12)


def test_parts_sampled_for_different_lengths_share_one_posterior(model):
    """A retry doubles the draws of one part alone."""
    rng = np.random.default_rng(1)

    def chains(part, k, draws):
        dim = f"{part}_parameter"
        return Chains(
            variables={f"{part}_intercept": rng.normal(0.0, 0.1, (4, draws, k))},
            dims={f"{part}_intercept": (dim,)},
            coords={dim: tuple(str(i) for i in range(k))},
            sample_stats={"diverging": np.zeros((4, draws), dtype=bool)},
        )

    sampled = replace(model, purchase_chains=chains("purchases", 4, 200), spend_chains=chains("spend", 3, 100))
    tree = clv.to_datatree(sampled)
    assert dict(tree["draws"].sizes)["draw"] == 100
    assert tree["sample_stats"]["diverging"].shape == (4, 100)
    np.testing.assert_array_equal(
        tree["draws"]["purchases_intercept"], sampled.purchase_chains.variables["purchases_intercept"][:, ::2]
    )
