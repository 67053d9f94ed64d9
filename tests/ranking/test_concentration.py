"""Concentration: curves, shares and Gini against their definitions, negative money, ties, bands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.ranking.concentration import concentration, gini, lorenz, lorenz_curves, top_share


def pairs(values: np.ndarray) -> float:
    """Gini as half the mean absolute difference of all pairs over the mean."""
    return float(np.abs(values[:, None] - values).mean() / (2.0 * values.mean()))


def test_gini_is_the_mean_difference_of_pairs() -> None:
    values = np.random.default_rng(1).lognormal(0.0, 1.5, 300)
    assert gini(values) == pytest.approx(pairs(values), rel=1e-12)
    with_losses = values - 0.5
    assert gini(with_losses) == pytest.approx(pairs(with_losses), rel=1e-12)
    exact = 1.0 / (2.0 * 3.0 - 1.0)  # of a Pareto distribution with shape 3
    assert gini(np.random.default_rng(2).pareto(3.0, 400_000) + 1.0) == pytest.approx(exact, abs=0.003)


def test_known_values() -> None:
    assert gini([5.0]) == 0.0
    assert gini([3.0] * 7) == pytest.approx(0.0, abs=1e-12)
    assert gini([0.0] * 9 + [1.0]) == pytest.approx(0.9)
    assert top_share([0.0] * 9 + [1.0]) == 1.0
    assert top_share([3.0] * 10) == pytest.approx(0.2)
    assert top_share([8.0, 1.0, 1.0], 1.0) == 1.0
    assert top_share([8.0, 1.0, 1.0], 1 / 3) == pytest.approx(0.8)
    assert top_share([8.0, 1.0, 1.0], 0.5) == pytest.approx(0.85)  # one and a half accounts


def test_the_curve_is_in_pareto_order() -> None:
    values = np.random.default_rng(3).lognormal(size=57)
    curve = lorenz(values)
    assert len(curve) == 59
    assert curve.set_index("share_of_accounts")["share_of_value"][0.2] == pytest.approx(top_share(values))
    curve = curve[curve["share_of_accounts"] != 0.2].reset_index(drop=True)
    assert curve.iloc[0].tolist() == [0.0, 0.0]
    assert curve.iloc[-1].tolist() == pytest.approx([1.0, 1.0])
    for k in (1, 10, 56):
        largest = np.sort(values)[-k:].sum() / values.sum()
        assert curve["share_of_value"][k] == pytest.approx(largest)
    assert (curve["share_of_value"] >= curve["share_of_accounts"] - 1e-12).all()
    assert (curve["share_of_value"].diff().diff().dropna() <= 1e-12).all()  # it bends down only


def test_a_long_curve_is_thinned_without_moving_it() -> None:
    values = np.random.default_rng(4).lognormal(0.0, 2.0, 25_000)
    curve = lorenz(values)
    assert len(curve) == 1001
    at = curve.set_index("share_of_accounts")["share_of_value"]
    assert at[0.2] == pytest.approx(top_share(values), rel=1e-12)


def test_negative_values_climb_above_one_and_come_down() -> None:
    curve = lorenz([100.0, 20.0, -20.0])
    assert curve["share_of_value"].tolist() == pytest.approx([0.0, 0.6, 1.0, 1.2, 1.0])
    assert top_share([100.0, 20.0, -20.0], 2 / 3) == pytest.approx(1.2)


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.0], [5.0, -5.0], [1.0, -9.0]])
def test_without_a_positive_total_there_are_no_shares(values: list[float]) -> None:
    assert np.isnan(gini(values))
    assert np.isnan(top_share(values))
    assert lorenz(values)["share_of_value"].isna().all()
    row = concentration({"value": values}).iloc[0]
    assert row["total"] == sum(values)
    assert np.isnan(row["top_share"])
    assert np.isnan(row["half_by"])


def test_one_account_has_the_diagonal() -> None:
    assert lorenz([7.0])["share_of_value"].tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert top_share([7.0]) == pytest.approx(0.2)
    assert concentration({"value": [7.0]})["top_accounts"].tolist() == [1]


def test_scale_and_order_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    values = rng.lognormal(size=200)
    for same in (values * 1e6, rng.permutation(values)):
        assert gini(same) == pytest.approx(gini(values))
        assert top_share(same) == pytest.approx(top_share(values))
    assert gini(values + 10.0) < gini(values)


def test_draws_are_each_in_their_own_order() -> None:
    draws = np.random.default_rng(6).lognormal(size=(40, 50))
    assert gini(draws) == pytest.approx([gini(row) for row in draws])
    assert top_share(draws) == pytest.approx([top_share(row) for row in draws])
    curve = lorenz(draws, prob=0.8)
    each = np.array([lorenz(row)["share_of_value"] for row in draws])
    np.testing.assert_allclose(curve["share_of_value"], each.mean(axis=0))
    np.testing.assert_allclose(curve["lower"], np.quantile(each, 0.1, axis=0))
    np.testing.assert_allclose(curve["upper"], np.quantile(each, 0.9, axis=0))
    assert set(curve["prob"]) == {0.8}


def test_who_is_on_top_may_be_fixed_beforehand() -> None:
    """What those on top by expectation bring is less than what hindsight would pick, and unbiased when known."""
    rng = np.random.default_rng(7)
    expected = rng.lognormal(size=400)
    draws = expected * rng.gamma(2.0, 0.5, (300, 400))
    known, hindsight = top_share(draws, by=expected), top_share(draws)
    assert (known <= hindsight).all()
    ours = np.sort(expected)[-80:].sum() / expected.sum()
    assert known.mean() == pytest.approx(ours, abs=0.01)
    assert hindsight.mean() > ours + 0.03  # so that the two are told apart
    with pytest.raises(DomainError, match="by must have one value per account"):
        top_share(draws, by=expected[:-1])


def test_the_band_covers_what_comes() -> None:
    """Of one more draw of the same kind, the share lies within a 90 % band nine times in ten."""
    rng = np.random.default_rng(8)
    expected = rng.lognormal(size=200)
    hits = 0
    for _ in range(150):
        draws = expected * rng.gamma(1.0, 1.0, (201, 200))
        row = concentration({"x": draws[1:]}).iloc[0]
        hits += row["top_share_lower"] <= top_share(draws[0]) <= row["top_share_upper"]
    assert 0.82 < hits / 150 < 0.97


def test_several_measures() -> None:
    rng = np.random.default_rng(9)
    now, draws = rng.lognormal(size=30), rng.lognormal(size=(20, 30))
    table = concentration({"now": now, "forecast": draws}, share=0.1)
    assert table["measure"].tolist() == ["now", "forecast"]
    assert table["top_accounts"].tolist() == [3, 3]
    assert table["top_share"].tolist() == pytest.approx([top_share(now, 0.1), np.mean(top_share(draws, 0.1))])
    assert table["gini"].tolist() == pytest.approx([gini(now), np.mean(gini(draws))])
    assert table["total"].tolist() == pytest.approx([now.sum(), draws.sum(axis=1).mean()])
    assert table[["top_share_lower", "gini_upper", "prob"]].isna().all(axis=1).tolist() == [True, False]
    curve = lorenz(now)
    at = np.interp(table["half_by"][0], curve["share_of_accounts"], curve["share_of_value"])
    assert at == pytest.approx(0.5)
    curves = lorenz_curves({"now": now, "forecast": draws})
    assert curves["lower"].isna().groupby(curves["measure"]).all().to_dict() == {"forecast": False, "now": True}
    assert "lower" not in lorenz_curves({"now": now})


def test_draws_without_a_total_are_left_out() -> None:
    draws = np.array([[0.0, 0.0], [3.0, 1.0]])
    np.testing.assert_array_equal(gini(draws), [np.nan, 0.25])
    assert lorenz(draws)["share_of_value"].tolist() == pytest.approx([0.0, 0.3, 0.75, 1.0])
    assert concentration({"x": draws})["gini"][0] == 0.25


def test_the_top_of_round_numbers_is_round() -> None:
    """0.07 x 100 is 7.000000000000001 in floating point."""
    assert concentration({"x": np.ones(100)}, share=0.07)["top_accounts"].tolist() == [7]


@pytest.mark.parametrize("values", [[], [[]], [1.0, np.nan], [1.0, np.inf], np.ones((2, 2, 2)), 3.0])
def test_bad_values(values: object) -> None:
    for verb in (gini, lorenz, top_share):
        with pytest.raises(DomainError, match="values must be"):
            verb(values)


def test_bad_options() -> None:
    for share in (0.0, 1.1, np.nan):
        with pytest.raises(DomainError, match="share"):
            top_share([1.0], share)
        with pytest.raises(DomainError, match="share"):
            concentration({"x": [1.0]}, share=share)
    with pytest.raises(DomainError, match="prob"):
        lorenz([1.0], prob=1.0)
    for verb in (concentration, lorenz_curves):
        with pytest.raises(DomainError, match="one measure at least"):
            verb({})
        for values in ([3.0, 1.0], pd.Series([3.0, 1.0]), pd.DataFrame({"value": [3.0, 1.0]}), "value"):
            with pytest.raises(DomainError, match="measures must be a mapping"):
                verb(values)


def test_inputs_are_left_alone() -> None:
    values = np.array([3.0, 1.0, 2.0])
    values.setflags(write=False)
    assert isinstance(concentration({"x": values}), pd.DataFrame)
    assert lorenz(values)["share_of_value"].tolist()[2] == 0.5
