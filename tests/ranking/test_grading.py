"""Grades: contributions add up, ties share, what is missing does not count against an account, money stays money."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.grading import Grading, grade, percentiles
from clv_forecast.ranking.metrics import account_metrics
from clv_forecast.simulation import simulate_accounts

TABLE = pd.DataFrame(
    {
        "customer_id": ["e", "d", "c", "b", "a"],
        "value": [500.0, 400.0, 300.0, 200.0, 100.0],
        "complaints": [0, 1, 2, 3, 4],
        "big_logo": [True, False, False, False, True],
        "name": list("EDCBA"),
    }
)


def test_by_hand() -> None:
    found = grade(TABLE, {"value": 3, "big_logo": 1})
    assert found["customer_id"].tolist() == ["e", "d", "c", "b", "a"]
    assert found["contribution_value"].tolist() == [75.0, 56.25, 37.5, 18.75, 0.0]
    assert found["contribution_big_logo"].tolist() == [21.875, 6.25, 6.25, 6.25, 21.875]
    assert found["score"].tolist() == [96.875, 62.5, 43.75, 25.0, 21.875]
    assert found["grade"].tolist() == ["A", "B", "C", "D", "D"]
    assert found["graded_on"].tolist() == [1.0] * 5
    assert found["reason"][1] == "B (62 points): forecast value 56 of 75, big logo 6 of 25."


def test_columns_and_what_passes_unchanged() -> None:
    table = TABLE.assign(as_of=pd.Timestamp("2024-12-31"), currency="EUR", reason="old", score=7)
    found = grade(table, {"value": 3, "complaints": 1})
    assert found.columns.tolist() == [
        "customer_id",
        "as_of",
        "currency",
        "score",
        "grade",
        "graded_on",
        "contribution_value",
        "contribution_complaints",
        "reason",
        "value",
        "complaints",
    ]
    pd.testing.assert_series_equal(found["value"], TABLE["value"])
    pd.testing.assert_series_equal(found["complaints"], TABLE["complaints"])
    assert table["score"].tolist() == [7] * 5


def test_the_best_grade_is_the_largest() -> None:
    found = grade(TABLE, {"value": 1})
    assert found["grade"].max() == "A"
    assert found.sort_values("grade")["customer_id"].iloc[-1] == "e"


def test_lower_is_better() -> None:
    more = grade(TABLE, {"complaints": 1})
    fewer = grade(TABLE, Grading(weights={"complaints": 1}, lower_is_better=("complaints",)))
    assert more["score"].tolist() == [0.0, 25.0, 50.0, 75.0, 100.0]
    assert fewer["score"].tolist() == [100.0, 75.0, 50.0, 25.0, 0.0]


def test_missing_numbers_do_not_count_against_an_account() -> None:
    table = TABLE.assign(cagr=[0.1, None, None, 0.2, None])
    found = grade(table, {"value": 1, "cagr": 1})
    assert found["graded_on"].tolist() == [1.0, 0.5, 0.5, 1.0, 0.5]
    assert found["score"].tolist() == [50.0, 75.0, 50.0, 62.5, 0.0]
    assert found["contribution_cagr"].isna().tolist() == [False, True, True, False, True]
    assert found["reason"][1] == "B (75 points on 50 % of the weight): forecast value 75 of 100; not known: growth."


def test_too_little_known_is_no_grade() -> None:
    table = TABLE.assign(cagr=[0.1, None, None, 0.2, None])
    found = grade(table, Grading(weights={"value": 1, "cagr": 1.01}))
    assert found["grade"].isna().tolist() == [False, True, True, False, True]
    assert found["reason"][2] == "No grade: 50 % of the weight is known (at least 50 % is needed); not known: growth."
    assert grade(table, Grading(weights={"value": 1, "cagr": 1.01}, least_weight=0.4))["grade"].notna().all()


def test_nothing_known_is_no_score() -> None:
    table = TABLE.assign(value=[None, 1.0, 2.0, 3.0, 4.0])
    found = grade(table, {"value": 1})
    assert np.isnan(found["score"][0])
    assert found["graded_on"][0] == 0.0
    assert pd.isna(found["grade"][0])
    assert found["score"][1:].tolist() == pytest.approx([0.0, 100 / 3, 200 / 3, 100.0])


def test_a_measure_that_the_base_does_not_have_is_missing_a_slip_of_the_pen_is_not() -> None:
    found = grade(TABLE, {"value": 1, "advocacy": 1})
    assert found["graded_on"].tolist() == [0.5] * 5
    assert found["contribution_advocacy"].isna().all()
    assert "advocacy" not in found
    assert found.attrs["notes"] == ["Nobody has advocacy (advocacy): the other weights count for more."]
    with pytest.raises(DomainError, match="Nearest: 'advocacy'"):
        grade(TABLE, {"value": 1, "advocasy": 1})
    with pytest.raises(DomainError, match=r"no column 'zzzz' to grade by\. Its columns: customer_id, "):
        grade(TABLE, {"value": 1, "zzzz": 1})


def test_one_account_and_all_equal_and_none() -> None:
    one = grade(TABLE.head(1), {"value": 1})
    assert (one["score"][0], one["grade"][0]) == (50.0, "C")
    equal = grade(TABLE.assign(value=7.0), {"value": 1})
    assert equal["score"].tolist() == [50.0] * 5
    none = grade(TABLE.head(0), {"value": 1})
    assert none.empty
    assert "contribution_value" in none


def test_ties_share() -> None:
    found = grade(TABLE.assign(value=[3.0, 2.0, 2.0, 2.0, 1.0]), {"value": 1})
    assert found["score"].tolist() == [100.0, 50.0, 50.0, 50.0, 0.0]


def test_negative_money_is_graded_as_what_it_is() -> None:
    found = grade(TABLE.assign(value=[-5.0, 0.0, 5.0, 10.0, -50.0]), {"value": 1})
    assert found["score"].tolist() == [25.0, 50.0, 75.0, 100.0, 0.0]


def test_cuts_on_place() -> None:
    table = pd.DataFrame({"customer_id": range(101), "value": np.arange(101.0), "big_logo": [True] + [False] * 100})
    rules = {"value": 1, "big_logo": 9}
    on_score = grade(table, Grading(weights=rules))["grade"].value_counts()
    on_place = grade(table, Grading(weights=rules, cut_on="place"))["grade"].value_counts()
    assert on_score["A"] == 1
    assert on_place.to_dict() == {"A": 21, "B": 20, "C": 20, "D": 40}


def test_own_cuts_and_the_points_at_a_cut() -> None:
    cuts = {"gold": 75, "rest": 0, "silver": 50}
    found = grade(TABLE, Grading(weights={"value": 0.1}, cuts=cuts))
    assert found["grade"].tolist() == ["gold", "gold", "silver", "rest", "rest"]
    assert grade(TABLE, Grading(weights={"value": 1}, cuts={"all": 0}))["grade"].tolist() == ["all"] * 5


def test_row_order_scale_and_ids_do_not_matter() -> None:
    rules = {"value": 2, "complaints": 1}
    found = grade(TABLE, rules).set_index("customer_id")
    shuffled = grade(TABLE.sample(frac=1.0, random_state=3), rules).set_index("customer_id")
    pd.testing.assert_frame_equal(found, shuffled.loc[found.index])
    cents = grade(TABLE.assign(value=TABLE["value"] * 100), {"value": 200, "complaints": 100})
    assert cents["score"].tolist() == found["score"].tolist()
    assert grade(TABLE.assign(customer_id=[5, 4, 3, 2, 1]), rules)["customer_id"].tolist() == [5, 4, 3, 2, 1]


def test_kinds_of_columns() -> None:
    flags = pd.array([True, None, False, True, None], dtype="boolean")
    counts = pd.array([1, 2, None, 4, 5], dtype="Int64")
    mixed = pd.Series([True, None, False, None, True], dtype=object)
    found = grade(TABLE.assign(flags=flags, counts=counts, mixed=mixed), {"flags": 1, "counts": 1, "mixed": 1})
    assert found["contribution_flags"].isna().tolist() == [False, True, False, False, True]
    assert found["contribution_counts"].isna().tolist() == [False, False, True, False, False]
    assert found["contribution_mixed"].isna().tolist() == [False, True, False, True, False]
    assert grade(polars.from_pandas(TABLE), {"value": 1})["score"].tolist() == [100.0, 75.0, 50.0, 25.0, 0.0]


@pytest.mark.parametrize(
    "column", [list("EDCBA"), pd.Timestamp("2024-01-01"), [[1], [2], [3], [4], [5]], pd.Categorical(list("EDCBA"))]
)
def test_what_is_no_number(column: Any) -> None:
    with pytest.raises(InputError, match="must hold numbers"):
        grade(TABLE.assign(what=column), {"what": 1})


def test_tables_that_are_none() -> None:
    with pytest.raises(InputError, match="customer_id"):
        grade(TABLE.drop(columns="customer_id"), {"value": 1})
    with pytest.raises(InputError, match="one row per account"):
        grade(pd.concat([TABLE, TABLE.head(1)]), {"value": 1})
    with pytest.raises(InputError, match="table to grade"):
        grade(7, {"value": 1})


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"weights": {}}, "at least one column"),
        ({"weights": ["value"]}, "at least one column"),
        ({"weights": {"value": 0}}, "more than 0"),
        ({"weights": {"value": -1}}, "lower_is_better"),
        ({"weights": {"value": "much"}}, "one number"),
        ({"weights": {"value": float("inf")}}, "finite"),
        ({"weights": {"score": 1}}, "belong to the table of grades"),
        ({"cuts": {"A": 80}}, "the last at 0"),
        ({"cuts": {"A": 101, "B": 0}}, "from 0 to 100"),
        ({"cuts": {"A": 50, "B": 50, "C": 0}}, "of its own"),
        ({"cuts": {}}, "at least one grade"),
        ({"lower_is_better": ("cagr",)}, "with a weight"),
        ({"lower_is_better": "value"}, "tuple"),
        ({"least_weight": 0.0}, "above 0"),
        ({"least_weight": 1.1}, "at most 1"),
        ({"cut_on": "luck"}, "'score' or 'place'"),
    ],
)
def test_bad_gradings(options: dict[str, Any], match: str) -> None:
    with pytest.raises(DomainError, match=match):
        Grading(**({"weights": {"value": 1}} | options))


def test_unknown_fields() -> None:
    with pytest.raises(DomainError, match="cutoffs"):
        grade(TABLE, {"weights": {"value": 1}, "cutoffs": {"A": 0}})


@pytest.mark.parametrize("given", ["value", ["value"], None, 3])
def test_a_grading_is_no_list_of_names(given: Any) -> None:
    with pytest.raises(DomainError, match=r"mapping of columns to weights. Got: .* Grading.from_toml"):
        grade(TABLE, given)


def test_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "clv.toml"
    path.write_text(
        '[grading]\nweights = {value = 3, complaints = 1}\ncuts = {A = 50, B = 0}\nlower_is_better = ["complaints"]\n'
        'least_weight = 0.25\ncut_on = "place"\n[other]\nx = 1\n'
    )
    found = Grading.from_toml(path)
    assert found == Grading(
        weights={"value": 3, "complaints": 1},
        cuts={"A": 50, "B": 0},
        lower_is_better=("complaints",),
        least_weight=0.25,
        cut_on="place",
    )
    assert Grading.from_toml(str(path)) == found


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[grades]\n", r"no table \[grading\]"),
        ("grading = 3\n", r"no table \[grading\]"),
        ("[grading\n", "no TOML"),
        ("[grading]\n", "at least one column"),
        ("[grading]\nwights = {value = 1}\n", "wights"),
        ('[grading]\nweights = {value = "3"}\n', "one number"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "clv.toml"
    path.write_text(text)
    with pytest.raises(DomainError, match=match):
        Grading.from_toml(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="no such configuration"):
        Grading.from_toml(tmp_path / "none.toml")


numbers = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(-1e12, 1e12))


@given(
    st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=12),
    st.tuples(*[st.floats(0.01, 100.0)] * 3),
)
def test_contributions_add_up(rows: list[tuple[float | None, ...]], weights: tuple[float, ...]) -> None:
    table = pd.DataFrame(rows, columns=["x", "y", "z"], dtype=float)
    table.insert(0, "customer_id", np.arange(len(rows)))
    found = grade(table, dict(zip("xyz", weights, strict=True)))
    parts = found[[f"contribution_{name}" for name in "xyz"]]
    known = table[["x", "y", "z"]].notna().to_numpy()
    np.testing.assert_array_equal(parts.notna().to_numpy(), known)
    some = known.any(axis=1)
    np.testing.assert_allclose(parts.sum(axis=1)[some], found["score"][some], rtol=0, atol=1e-9)
    assert found["score"].isna().tolist() == (~some).tolist()
    assert ((found["score"] >= 0) & (found["score"] <= 100 + 1e-9))[some].all()
    assert (found["grade"].isna() | (found["graded_on"] >= 0.5 - 1e-9)).all()


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30))
def test_percentiles_are_the_share_beaten(values: list[int]) -> None:
    found = percentiles(np.array(values, dtype=float)[:, None])[:, 0]
    for i, value in enumerate(values):
        others = values[:i] + values[i + 1 :]
        beaten = sum((other < value) + 0.5 * (other == value) for other in others)
        assert found[i] == pytest.approx(100.0 * beaten / len(others))
    assert found.mean() == pytest.approx(50.0)


def test_the_metrics_of_a_base_can_be_graded() -> None:
    made = simulate_accounts(300, rng=2)
    table = account_metrics(made.transactions, made.accounts, as_of=made.as_of)
    weights = {"acv": 3, "cagr": 1, "product_density": 1, "advocacy": 1, "big_logo": 1, "share_of_wallet": 1}
    found = grade(table, Grading(weights=weights, lower_is_better=("share_of_wallet",)))
    assert found["grade"].notna().mean() > 0.9
    assert found["graded_on"].between(0, 1).all()
    assert found["acv"].equals(table["acv"])
    assert found["score"].corr(table["acv"], method="spearman") > 0.6
