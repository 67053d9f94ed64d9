"""The matrix: classes at their limits, ties, cells with names, sums that add up, membership."""

from __future__ import annotations

import numpy as np
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.ranking.matrix import (
    CELLS,
    NOT_CLASSED,
    MatrixRule,
    cell_codes,
    cell_names,
    cell_probabilities,
    classes,
    cuts_of,
    matrix_summary,
    matrix_table,
)

RULE = MatrixRule()
MILLION = MatrixRule(value=(1e6,), potential=(1e6,), by="money")


def test_two_accounts_of_equal_value_and_unequal_potential() -> None:
    """They land in different cells with different care."""
    value, potential = np.array([5e5, 5e5]), np.array([1e4, 3e6])
    codes = cell_codes(classes(value, (1e6,)), classes(potential, (1e6,)), MILLION)
    assert list(cell_names(codes, MILLION)) == ["self-service", "sleeping giants"]
    assert MILLION.care_of("low", "low") != MILLION.care_of("low", "high")


def test_what_lies_on_a_threshold_belongs_below() -> None:
    assert classes([0.9, 1.0, 1.1, -5.0, np.inf], (1.0, 1.0)).tolist() == [0, 0, 2, 0, 2]
    assert classes([np.nan, 1.0], (0.5,)).tolist() == [-1, 1]
    assert classes([[0.0, 2.0]], (1.0,)).tolist() == [[0, 1]]


@pytest.mark.parametrize("value", [0.0, -3.0, 7.0])
def test_all_ties_are_one_class(value: float) -> None:
    values = np.full(10, value)
    assert set(classes(values, cuts_of(RULE, values))) == {0}


def test_a_mass_of_zeros_is_low() -> None:
    values = np.array([0.0] * 90 + [5.0] * 10)
    codes = classes(values, cuts_of(RULE, values))
    assert set(codes[:90]) == {0}
    assert set(codes[90:]) == {2}


def test_quantiles_cut_the_shares_asked_for() -> None:
    values = np.random.default_rng(1).permutation(1000.0 + np.arange(1000))
    codes = classes(values, cuts_of(RULE, values))
    assert np.bincount(codes).tolist() == [500, 300, 200]
    assert values[codes == 2].min() > values[codes == 1].max()


def test_cuts_leave_out_the_unknown() -> None:
    assert cuts_of(RULE, [1.0, np.nan, 3.0]) == cuts_of(RULE, [1.0, 3.0])
    assert cuts_of(MatrixRule(potential=(0.5,)), [1.0, 3.0], "potential") == (2.0,)
    assert cuts_of(MILLION, [np.nan]) == (1e6,)
    assert np.isnan(cuts_of(RULE, [np.nan])).all()
    assert classes([np.nan], cuts_of(RULE, [np.nan])).tolist() == [-1]


def test_one_account() -> None:
    cuts = cuts_of(RULE, [5.0])
    table = matrix_table(classes([5.0], cuts), [0], RULE, value=[5.0], potential=[0.0])
    assert table["accounts"].sum() == 1
    assert table.loc[table["accounts"] == 1, "cell"].tolist() == ["self-service"]


def made_up(size: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    value, potential = rng.lognormal(10, 1, size) - 5e3, rng.lognormal(9, 2, size)
    return value, potential, classes(value, cuts_of(RULE, value)), classes(potential, cuts_of(RULE, potential))


def test_sums_add_up() -> None:
    value, potential, by_value, by_potential = made_up()
    table = matrix_table(
        by_value, by_potential, RULE, value=value, potential=potential, headroom=2 * potential, current=value / 2
    )
    assert len(table) == 9
    assert table["accounts"].sum() == 500
    assert table["share_of_accounts"].sum() == pytest.approx(1.0)
    for name, whole in (("value", value), ("potential_value", potential), ("headroom", 2 * potential)):
        assert table[name].sum() == pytest.approx(whole.sum())
    best = table.iloc[0]
    assert (best["cell"], best["value_class"], best["potential_class"]) == ("key accounts", "high", "high")
    inside = (by_value == 2) & (by_potential == 2)
    assert best["accounts"] == inside.sum()
    assert best["value"] == pytest.approx(value[inside].sum())
    assert table["cell"].tolist()[-1] == "self-service"
    assert not (table["care"] == "").any()


def test_columns_without_input_are_absent() -> None:
    value, potential, by_value, by_potential = made_up()
    table = matrix_table(by_value, by_potential, RULE, value=value, potential=potential)
    assert set(table) == {
        "cell",
        "value_class",
        "potential_class",
        "accounts",
        "share_of_accounts",
        "value",
        "potential_value",
        "care",
    }


def test_limits_are_money() -> None:
    value, potential, by_value, by_potential = made_up()
    cuts = cuts_of(RULE, value)
    table = matrix_table(by_value, by_potential, RULE, value=value, potential=potential, value_cuts=cuts)
    for _, row in table.iterrows():
        inside = value[(by_value == RULE.classes("value").index(row["value_class"]))]
        assert inside.min() > row["value_above"]
        assert inside.max() <= row["value_up_to"]
    assert table["value_up_to"][0] == np.inf
    assert "potential_above" not in table
    in_money = matrix_table([0, 1], [0, 1], MILLION, value=[1.0, 2e6], potential=[1.0, 2e6])
    assert in_money["value_above"].tolist() == [1e6, 1e6, -np.inf, -np.inf]
    assert in_money["potential_up_to"].tolist() == [np.inf, 1e6, np.inf, 1e6]


def test_the_unclassed_have_a_row_of_their_own() -> None:
    table = matrix_table([0, 1, -1], [0, -1, 1], MILLION, value=[1.0, 2.0, 4.0], potential=[8.0, np.nan, np.nan])
    last = table.iloc[-1]
    assert (last["cell"], last["accounts"], last["value"]) == (NOT_CLASSED, 2, 6.0)
    assert np.isnan(last["potential_value"])
    assert last["care"] == ""
    assert table["value"].sum() == 7.0
    everyone = matrix_table([0], [0], MILLION, value=[1.0], potential=[1.0])
    assert NOT_CLASSED not in set(everyone["cell"])
    nobody = matrix_table([], [], MILLION, value=[], potential=[])
    assert nobody["accounts"].tolist() == [0, 0, 0, 0]


def test_membership_is_a_share_of_draws() -> None:
    value = np.array([[5.0, 20.0], [20.0, 20.0], [20.0, 20.0], [5.0, np.nan]])
    potential = np.array([[2.0, 2.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
    rule = MatrixRule(value=(10.0,), potential=(1.0,), by="money")
    p = cell_probabilities(value, potential, rule, value_cuts=(10.0,), potential_cuts=(1.0,))
    np.testing.assert_allclose(p, [[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.25, 0.5]])
    again = [
        cell_probabilities(value[:, [i]], potential[:, [i]], rule, value_cuts=(10.0,), potential_cuts=(1.0,))
        for i in range(2)
    ]
    np.testing.assert_array_equal(np.vstack(again), p)


def test_membership_counts_the_classes_of_each_draw() -> None:
    rng = np.random.default_rng(4)
    rule = MatrixRule(value=(0.2, 0.5, 0.7), potential=(0.5,))
    value, potential = rng.integers(0, 5, (60, 30)).astype(float), rng.normal(size=(60, 30))
    value[rng.random((60, 30)) < 0.1] = np.nan
    cuts = (1.0, 1.0, 3.0), (0.0,)
    p = cell_probabilities(value, potential, rule, value_cuts=cuts[0], potential_cuts=cuts[1])
    codes = cell_codes(classes(value, cuts[0]), classes(potential, cuts[1]), rule)
    for cell in range(8):
        np.testing.assert_allclose(p[:, cell], (codes == cell).mean(axis=0))
    np.testing.assert_allclose(1.0 - p.sum(axis=1), np.isnan(value).mean(axis=0), atol=1e-12)


def test_expected_accounts_are_right_where_draws_are() -> None:
    """Draws of what accounts are worth, given noisy estimates: the sum of memberships is the true count."""
    rng = np.random.default_rng(3)
    size, noise = 4000, 0.5
    truth = rng.normal(size=size)
    seen = truth + noise * rng.normal(size=size)
    middle, spread = seen / (1 + noise**2), noise / np.sqrt(1 + noise**2)
    draws = middle + spread * rng.normal(size=(400, size))
    rule = MatrixRule(value=(1.0,), potential=(0.5,), by="money")
    p = cell_probabilities(draws, np.ones_like(draws), rule, value_cuts=(1.0,), potential_cuts=(0.5,))
    by_value, ones = classes(middle, (1.0,)), np.ones(size)
    table = matrix_table(by_value, ones.astype(int), rule, value=middle, potential=ones, p_cell=p)
    high = table.iloc[0]
    assert high["expected_accounts"] == pytest.approx((truth > 1.0).sum(), abs=4 * np.sqrt(size * 0.16 * 0.4))
    assert high["accounts"] < 0.85 * high["expected_accounts"]  # those on top by the mean alone are fewer
    assert high["mean_p_cell"] == pytest.approx((truth[by_value == 1] > 1.0).mean(), abs=0.06)
    own = p[np.arange(size), cell_codes(by_value, ones.astype(int), rule)]
    short = matrix_table(by_value, ones.astype(int), rule, value=middle, potential=ones, p_cell=own)
    assert "expected_accounts" not in short
    assert short["mean_p_cell"][0] == high["mean_p_cell"]


def test_cells_can_be_renamed() -> None:
    rule = MatrixRule(names={("high", "high"): "gold"}, care={("high", "high"): "dinner"})
    table = matrix_table([2, 0], [2, 0], rule, value=[1.0, 1.0], potential=[1.0, 1.0])
    assert table["cell"][0] == "gold"
    assert table["care"][0] == "dinner"
    assert table["cell"][1] == CELLS["high", "middle"][0]
    with pytest.raises(TypeError):
        rule.names["high", "low"] = "silver"  # type: ignore[index]


def test_any_number_of_cuts() -> None:
    rule = MatrixRule(value=(0.25, 0.5, 0.75), potential=(0.5,))
    assert rule.classes("value") == ("class 1", "class 2", "class 3", "class 4")
    assert rule.name_of("class 4", "high") == "class 4 value, high potential"
    assert len(matrix_table([3], [1], rule, value=[1.0], potential=[1.0])) == 8
    assert MatrixRule(value=0.9).value == (0.9,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value": (0.8, 0.5)}, "value must hold rising cuts, shares of accounts"),
        ({"potential": ()}, "potential must hold rising cuts"),
        ({"value": (0.0, 0.5)}, "between 0 and 1"),
        ({"value": (1e6, 1e6), "by": "money"}, "amounts of money"),
        ({"by": "rank"}, "by must be quantile or money"),
        ({"names": {("top", "high"): "x"}}, "names must be keyed"),
        ({"care": {("low",): "x"}}, "care must be keyed"),
        ({"names": {("low", "low"): "core"}}, "a name of its own. Got: 'core'"),
        ({"names": {("low", "low"): NOT_CLASSED}}, "a name of its own"),
    ],
)
def test_bad_rules(options: dict[str, object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        MatrixRule(**options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"value_codes": [3, 0]}, "value_codes must be classes of the rule"),
        ({"potential_codes": [-2, 0]}, "potential_codes must be classes"),
        ({"value": [1.0]}, "value must have one value per account"),
        ({"p_cell": [[0.5, 0.5]]}, "p_cell must be of shape"),
    ],
)
def test_bad_arrays(arguments: dict[str, object], message: str) -> None:
    given = {"value_codes": [0, 1], "potential_codes": [0, 1], "value": [1.0, 2.0], "potential": [1.0, 2.0]}
    given |= arguments
    with pytest.raises(DomainError, match=message):
        matrix_table(given.pop("value_codes"), given.pop("potential_codes"), MILLION, **given)


def test_the_summary_counts_what_the_cells_do() -> None:
    value, potential, by_value, by_potential = made_up()
    value, by_value = np.append(value, 1.0), np.append(by_value, -1)
    potential, by_potential = np.append(potential, 1.0), np.append(by_potential, 0)
    table = matrix_table(by_value, by_potential, RULE, value=value, potential=potential)
    both = ((by_value == 2) & (by_potential == 2)).sum()
    lies = potential[(by_potential == 2)].sum()
    assert matrix_summary(table) == (
        f"Of 501 accounts, 100 have a value in the highest class, 100 have a potential in the highest class "
        f"({lies:,.0f} together), {both} have both. 1 could not be classed."
    )
    one = matrix_table([1], [1], MILLION, value=[2e6], potential=[3e6])
    assert matrix_summary(one).startswith("Of 1 account, 1 has a value above 1,000,000, 1 has a potential above 1,0")
