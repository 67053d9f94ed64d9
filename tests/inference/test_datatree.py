import numpy as np
import pandas as pd
import pytest

from clv_forecast.inference.fit import fit


def test_draws_of_maximum_likelihood_are_not_called_a_posterior(model):
    tree = model.to_datatree()
    assert "posterior" not in tree.children
    assert dict(tree["draws"].sizes) == {"chain": 1, "draw": 500}
    np.testing.assert_array_equal(tree["draws"]["alpha"].values[0], model.draws.purchases.alpha[:, 0])
    assert tree.attrs["unit"] == "week"
    assert tree.attrs["status"] == "converged"
    assert float(tree["constant_data"]["money_scale"]) == model.money_scale


def test_only_a_posterior_is_called_one(order_history):
    tree = fit(order_history, method="laplace", spend=None, draws=100, compare=False).to_datatree()
    assert "posterior" in tree.children
    assert "money_scale" not in tree["constant_data"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_arviz_reads_it(model):
    import arviz as az

    table = az.summary(model.to_datatree(), group="draws", kind="stats", round_to="none")
    assert isinstance(table, pd.DataFrame)
    assert table.loc["r", "mean"] == pytest.approx(model.draws.purchases.r.mean(), rel=1e-12)
