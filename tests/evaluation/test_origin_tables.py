"""Tables of one origin."""

from dataclasses import replace

import numpy as np
import pytest

import clv_forecast as clv
from clv_forecast.evaluation import one_origin


def test_tracking_takes_its_draws_from_all_chains(monkeypatch):
    """Draws of a sampler stand chain by chain: fewer of them must come from every chain, not from the first."""
    log = clv.load_cdnow("1/10")
    log = log[log["customer_id"].isin(log["customer_id"].unique()[::4])]
    fit_recipe = one_origin.fit_recipe

    def two_chains(recipe, history, **options):
        model = fit_recipe(recipe, history, **options)
        level = np.where(np.arange(model.draws.n_draws) < model.draws.n_draws // 2, 8.0, 0.125)[:, None]
        params = model.draws.purchases
        moved = replace(params, a=params.a * level)
        return replace(model, draws=replace(model.draws, purchases=moved))

    monkeypatch.setattr(one_origin, "fit_recipe", two_chains)
    found = clv.backtest(
        log, as_of="1998-06-30", horizon="26 weeks", origins=["1997-12-30"], draws=1000, workers=1,
        recipe=clv.Recipe(spend=None),
    )  # fmt: skip
    assert found.tracking["cumulative_expected"].iloc[-1] == pytest.approx(
        found.scores["expected_total"].iloc[0], rel=0.05
    )
