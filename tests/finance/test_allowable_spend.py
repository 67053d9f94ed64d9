"""The three allowances against the draws themselves, their sums, and what moves them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.finance.effects import Growth, Retention
from clv_forecast.finance.spend import CONFIDENCES, level_column, payback_column

ROI = 0.2
AMOUNTS = ("allowable_expected", "allowable_single", "allowable_pooled")


@pytest.fixture(scope="module")
def ceiling(forecast):
    return clv.allowable_spend(forecast, target_roi=ROI, confidence=0.8)


@pytest.fixture(scope="module")
def values(forecast):
    ids = forecast.history.table["customer_id"]
    return forecast.value_draws(ids, ["12 months"]).value[:, :, 0]


def test_rows_are_the_accounts(forecast, ceiling):
    table = ceiling.table
    assert (table["customer_id"] == forecast.history.table["customer_id"]).all()
    assert {"horizon", "basis", "confidence", "target_roi", "payback_months", "p_payback", "as_of", "currency"} <= set(
        table
    )
    told = forecast.customers.query("horizon == '12 months'").reset_index(drop=True)
    np.testing.assert_allclose(table["value_at_stake"], told["value"], rtol=1e-9)
    np.testing.assert_allclose(table["p_loss"], told["p_loss"], atol=1e-12)


def test_the_return_comes_in_the_stated_share_of_the_draws(ceiling, values):
    single = ceiling.table["allowable_single"].to_numpy()
    often = (values >= (1.0 + ROI) * single).mean(axis=0)
    assert (often >= 0.8).all()
    more = ((values >= (1.0 + ROI) * (single + 0.02)).mean(axis=0))[single > 0.0]
    assert len(more) > 5 and (more < 0.8 + 1e-12).mean() > 0.95  # a further cent or two would not be met as often
    total = ceiling.table["allowable_pooled"].sum()
    assert (values.sum(axis=1) >= (1.0 + ROI) * total).mean() >= 0.8
    assert (values.sum(axis=1) >= (1.0 + ROI) * (total + 0.02)).mean() < 0.8 + 1e-12


def test_expected_is_the_mean(ceiling):
    cents = np.floor(ceiling.table["value_at_stake"] / 1.2 * 100.0)
    assert (np.abs(ceiling.table["allowable_expected"] * 100.0 - cents) < 1e-6).all()


@pytest.mark.parametrize("by", [None, "region"])
def test_pools_add_up_to_the_cent(forecast, by):
    found = clv.allowable_spend(forecast, confidence=0.9, by=by)
    cents = (found.table["allowable_pooled"] * 100.0).round(6)
    assert (cents == cents.round()).all()
    pools = found.pools[found.pools["confidence"] == 90].set_index("group")["reached"]
    for group, rows in found.table.groupby("group"):
        pool = np.floor(100.0 * pools[group] / 1.2)
        assert round(100.0 * rows["allowable_pooled"].sum()) == pool
        own = found.totals.set_index("group").loc[group]
        assert own["allowable_pooled"] == pytest.approx(rows["allowable_pooled"].sum(), abs=1e-6)
        assert own["accounts"] == len(rows)
    assert found.totals["value_at_stake"].sum() == pytest.approx(found.table["value_at_stake"].sum())


def test_groups_pool_less_than_everyone(forecast, ceiling):
    apart = clv.allowable_spend(forecast, by="region")
    assert 0.0 < apart.totals["allowable_pooled"].sum() < ceiling.totals["allowable_pooled"].sum()


def test_levels_give_every_other_choice(forecast, ceiling):
    """What the workbook computes from the stored levels is what the verb gives when asked."""
    levels, pools = ceiling.levels, ceiling.pools.set_index("confidence")["reached"]
    for confidence in (50, 90):
        asked = clv.allowable_spend(forecast, target_roi=0.5, confidence=confidence / 100.0).table
        single = np.floor(levels[level_column(confidence)].clip(lower=0.0) / 1.5 * 100.0 * (1 + 1e-13)) / 100.0
        np.testing.assert_allclose(asked["allowable_single"], single, atol=1e-9)
        pool = np.floor(max(pools[confidence], 0.0) / 1.5 * 100.0)
        rungs = [np.floor(pool * levels[name] + 0.5) for name in ("share_before", "share_upto")]
        np.testing.assert_allclose(asked["allowable_pooled"], (rungs[1] - rungs[0]) / 100.0, atol=1e-9)
    assert {level_column(confidence) for confidence in CONFIDENCES} <= set(levels)


def test_monotone(forecast, model):
    def sums(**options):
        return clv.allowable_spend(forecast, **options).totals[list(AMOUNTS)].sum().to_numpy()

    base = sums(confidence=0.8, target_roi=0.2, payback="6 months")
    assert (sums(confidence=0.6, target_roi=0.2, payback="6 months")[1:] > base[1:]).all()
    assert (sums(confidence=0.8, target_roi=0.4, payback="6 months") <= base).all()
    assert (sums(confidence=0.8, target_roi=0.2, payback="2 months") < base).all()
    assert (sums(confidence=0.8, target_roi=0.2) >= base).all()
    better = clv.forecast(model, forecast.history, horizons=["12 months"], draws=200, margin=0.4)
    assert (
        clv.allowable_spend(better).totals[list(AMOUNTS)].sum().to_numpy()
        > clv.allowable_spend(forecast).totals[list(AMOUNTS)].sum().to_numpy()
    ).all()


def test_payback_limit(forecast, values):
    found = clv.allowable_spend(forecast, target_roi=ROI, confidence=0.8, payback="6 months")
    half = forecast.value_draws(forecast.history.table["customer_id"], ["6 months"]).value[:, :, 0]
    single = found.table["allowable_single"].to_numpy()
    assert ((half >= single).mean(axis=0) >= 0.8).all()  # without costs the most within the limit is at its end
    assert ((values >= (1.0 + ROI) * single).mean(axis=0) >= 0.8).all()
    np.testing.assert_allclose(found.levels[payback_column(80)], np.sort(half, axis=0)[40], rtol=1e-12)
    assert found.totals["payback_months"].le(6.0).all()
    assert found.assumptions["payback_limit_months"] == 6.0


def test_payback_month_is_the_median_of_the_paths(forecast, ceiling):
    table = ceiling.table
    row = int(table["p_payback"].where(table["p_payback"] < 0.95).idxmax())
    spent = table["allowable_pooled"].iloc[row]
    blocks = next(iter(forecast.iter_value_draws(by="draw", grid="month", chunk=200)))
    paths = np.maximum.accumulate(blocks.value[:, row, :], axis=1) >= spent
    assert table["p_payback"].iloc[row] == pytest.approx(paths[:, -1].mean())
    share = paths.mean(axis=0)
    assert table["payback_months"].iloc[row] == np.flatnonzero(share >= 0.5)[0] + 1
    rarely = table["p_payback"] < 0.5
    assert rarely.any() and table.loc[rarely, "payback_months"].isna().all()


def test_losers_get_nothing_and_why(costly):
    found = clv.allowable_spend(costly)
    losing = found.table["value_at_stake"] < 0.0
    assert losing.sum() > 3
    assert (found.table.loc[losing, list(AMOUNTS)] == 0.0).all(axis=None)
    assert found.table.loc[losing, "reason"].str.contains("expected value within 12 months is below 0").all()
    named = clv.losing_accounts(costly)
    assert set(named.loc[named["loses"] != "to date", "customer_id"]) == set(found.table.loc[losing, "customer_id"])
    given = found.table["allowable_single"] > 0.0
    assert (found.table.loc[given, "reason"] == "").all() and (found.table.loc[~given, "reason"] != "").all()
    assert found.zeros["accounts"].sum() == (~given).sum()


def test_costs_let_payback_come_before_the_value_shrinks(costly):
    """Cost to serve can make value fall: what counts is whether the spend has come back by some month."""
    short, long = (clv.allowable_spend(costly, payback=limit) for limit in ("3 months", "9 months"))
    assert (long.levels["expected_repaid"] >= short.levels["expected_repaid"] - 1e-9).all()
    assert (long.levels["repaid_80"] >= short.levels["repaid_80"] - 1e-9).all()


def test_no_effect_allows_nothing(forecast, costly, potential):
    kept = clv.allowable_spend(forecast, basis="retain", uplift=0.0)
    grown = clv.allowable_spend(costly, basis="grow", potential=potential, uplift=0.0)
    for found in (kept, grown):
        assert (found.table[list(AMOUNTS)] == 0.0).all(axis=None)
        assert (found.table["value_at_stake"] == 0.0).all()
        assert "costs more" not in " ".join(found.zeros["reason"])


def test_retained_draws_agree_with_their_expectation(forecast):
    plan = forecast.plan
    effect = Retention(plan=plan, share=np.full(plan.draws, 0.5))
    rows, ends = np.arange(plan.customers), np.array([26.0, 52.0])
    expected, drawn = effect.expected(rows, ends), effect.drawn(rows, ends)
    for h in range(2):
        total = drawn[:, h].sum(axis=0)
        assert abs(total.mean() - expected[:, h].sum()) < 4.0 * total.std() / np.sqrt(plan.draws)
    assert (drawn >= -1e-9).all()  # nothing is served at a cost here: who stays brings more
    everybody = Retention(plan=plan, share=np.ones(plan.draws)).drawn(rows, ends)
    assert ((drawn == 0.0) | (drawn == everybody)).all()  # the same worlds, of which some are saved


def test_grown_draws_agree_with_their_expectation(costly, potential):
    plan = costly.plan
    length = 52.1775
    effect = Growth(potential=potential, share=np.full(plan.draws, 0.2), horizon=length)
    rows, ends = np.arange(plan.customers), np.array([length / 2, length])
    expected, drawn = effect.expected(rows, ends), effect.drawn(rows, ends)
    total = drawn[:, 1].sum(axis=0)
    assert expected[:, 1].sum() > 0.0
    assert abs(total.mean() - expected[:, 1].sum()) < 4.0 * total.std() / np.sqrt(plan.draws)
    some = drawn[:, 1] != 0.0
    np.testing.assert_allclose(drawn[:, 0][some] / drawn[:, 1][some], 0.512, atol=0.001)  # early money is worth more
    room = potential.headroom * (potential.outlook.p_alive - potential.shares.mean(axis=1)).clip(0)
    assert (expected[:, 1] <= room * np.abs(potential.outlook.contribution) + 1e-9).all()


def test_a_shock_moves_what_is_grown_too(costly, potential):
    plan = costly.plan
    length = 52.1775
    shock = clv.CommonShock(level=0.4, noise=0.2)
    moved = dataclasses.replace(potential, plan=dataclasses.replace(plan, shock=shock))
    rows, ends = np.arange(plan.customers), np.array([length / 3, length])
    alone, together = (
        Growth(potential=given, share=np.full(plan.draws, 0.2), horizon=length).drawn(rows, ends).sum(axis=0)
        for given in (potential, moved)
    )
    factor = together / alone
    assert factor.std(axis=1).min() > 0.2
    assert (np.abs(factor.mean(axis=1) - 1.0) < 4.0 * factor.std(axis=1) / np.sqrt(plan.draws)).all()


def test_the_uncertain_uplift_widens_the_pool(forecast):
    known = clv.allowable_spend(forecast, basis="retain", uplift=0.3, confidence=0.9)
    guess = clv.Uplift(share=0.3, lower=0.02, upper=0.7)
    vague = clv.allowable_spend(forecast, basis="retain", uplift=guess, confidence=0.9)
    assert vague.totals["allowable_pooled"].sum() < 0.8 * known.totals["allowable_pooled"].sum()
    ratio = vague.totals["value_at_stake"].sum() / known.totals["value_at_stake"].sum()
    assert ratio == pytest.approx(1.0, abs=0.15)


def test_new_customers(forecast, model):
    found = clv.allowable_spend(forecast, basis="acquire", model=model, new_customers=300)
    row = found.table.iloc[0]
    told = clv.new_customer_value(model, horizons=["12 months"]).iloc[0]
    assert row["value_at_stake"] == pytest.approx(told["value_with_first"], rel=1e-9)
    assert 0.0 < row["allowable_single"] < row["allowable_pooled"] < row["allowable_expected"]
    few = clv.allowable_spend(forecast, basis="acquire", model=model, new_customers=20).table.iloc[0]
    assert few["allowable_pooled"] < row["allowable_pooled"]
    half = clv.allowable_spend(forecast, basis="acquire", model=model, new_customers=300, uplift=0.5).table.iloc[0]
    assert half["value_at_stake"] == pytest.approx(0.5 * row["value_at_stake"])
    assert "customer_id" not in found.table
    assert not any("does not describe newcomers" in note for note in found.notes)


def test_a_model_that_does_not_describe_newcomers_is_named(forecast, model):
    faster = dataclasses.replace(model.draws.purchases, alpha=model.draws.purchases.alpha / 3.0)
    other = dataclasses.replace(model, draws=dataclasses.replace(model.draws, purchases=faster))
    fc = clv.forecast(other, forecast.history, horizons=["12 months"], draws=100)
    found = clv.allowable_spend(fc, basis="acquire", model=other, new_customers=50)
    assert any("does not describe newcomers" in note for note in found.notes)


@pytest.mark.parametrize("other", [{"unit": "day"}, {"purchases": "pareto_nbd"}])
def test_a_model_of_another_forecast_is_refused(forecast, model, other):
    assert model.unit == "week" and model.purchases == "bg_nbd"
    with pytest.raises(clv.DomainError, match="that the forecast was made with"):
        clv.allowable_spend(forecast, basis="acquire", model=dataclasses.replace(model, **other))


def test_evidence_that_failed_is_refused(model, history):
    failed = clv.Evidence(longest_years=1.0, horizons=((1.0, "failed"),), sentence="The bands failed.")
    fc = clv.forecast(model, history, horizons=["12 months"], draws=100, evidence=failed)
    with pytest.raises(clv.InputError, match="accept_failed=True"):
        clv.allowable_spend(fc)
    found = clv.allowable_spend(fc, accept_failed=True)
    assert found.totals["allowable_pooled"].sum() > 0.0 and "to fail" in found.notes[0]


def test_a_shock_makes_the_pool_more_cautious(model, history):
    def pooled(shock):
        fc = clv.forecast(model, history, horizons=["12 months"], draws=300, shock=shock)
        found = clv.allowable_spend(fc)
        return found.totals["allowable_pooled"].sum(), " ".join(found.notes)

    alone, said = pooled(None)
    together, nothing = pooled(clv.CommonShock(level=0.3, noise=0.1))
    assert together < 0.95 * alone
    assert "too generous" in said and "too generous" not in nothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"basis": "keep"}, "Unknown basis"),
        ({"basis": "retain"}, "needs an uplift"),
        ({"basis": "grow", "uplift": 0.1}, "potential"),
        ({"basis": "acquire"}, "needs the model"),
        ({"uplift": 0.1}, "ceiling knows no uplift"),
        ({"confidence": 0.81}, "confidence is one of the levels"),
        ({"confidence": 80}, "confidence is one of the levels"),
        ({"target_roi": -1.0}, "above -1"),
        ({"target_roi": 20.0}, "0.2 is a return of 20 %"),
        ({"payback": "24 months"}, "longer than the horizon"),
        ({"payback": 6}, "text such as"),
        ({"horizon": "36 months"}, "horizon"),
        ({"by": "nowhere"}, "nowhere"),
    ],
)
def test_bad_arguments_are_refused(forecast, options, message):
    with pytest.raises(clv.DomainError, match=message):
        clv.allowable_spend(forecast, **options)


def test_groups_of_new_customers_need_a_model_that_tells_them_apart(forecast, model):
    with pytest.raises(clv.DomainError, match="all be alike"):
        clv.allowable_spend(forecast, basis="acquire", model=model, by="region")


def test_a_potential_of_another_forecast_is_refused(forecast, potential):
    with pytest.raises(clv.DomainError, match="of this forecast"):
        clv.allowable_spend(forecast, basis="grow", uplift=0.1, potential=potential)


def test_chunks_and_other_accounts_change_nothing(model, history, ceiling):
    again = clv.allowable_spend(
        clv.forecast(model, history, horizons=["6 months", "12 months"], draws=200, chunk_customers=50)
    )
    pd.testing.assert_frame_equal(again.table, ceiling.table)
    assert str(again) == str(ceiling) and "no recommendation" in str(again)
    assert dataclasses.is_dataclass(again)
