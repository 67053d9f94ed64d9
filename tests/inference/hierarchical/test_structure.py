from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.inference.hierarchical.structure import (
    CategoricalCovariate,
    NumericCovariate,
    Structure,
    assign,
    learn_structure,
)
from tests.inference.hierarchical.made_up import attributed


@pytest.fixture
def history():
    return attributed(
        pd.DataFrame(
            {
                "region": ["b", "a", None, "a", "b", "a"],
                "store": [2.0, 10.0, 2.0, np.nan, 10.0, 2.0],
                "age": [20, 30, 40, 50, 60, 70],
                "member": [True, False, False, True, False, False],
                "constant": [3.0] * 6,
                "same": ["x"] * 6,
            }
        )
    )


def test_levels_are_sorted_text_and_a_missing_label_is_a_level(history):
    structure = learn_structure(history, groups=["region", "store"])
    assert structure.groups[0].levels == ("(missing)", "a", "b")
    assert structure.groups[1].levels == ("(missing)", "10", "2")
    assert structure.undated == ("region", "store")
    assert learn_structure(history, groups="region").groups == structure.groups[:1]


def test_covariates_numeric_standardised_and_categorical_against_the_most_frequent(history):
    structure = learn_structure(history, covariates=["age", "member"])
    age, member = structure.covariates
    assert isinstance(age, NumericCovariate)
    assert isinstance(member, CategoricalCovariate)
    assert (age.centre, age.spread) == (45.0, pytest.approx(np.std([20, 30, 40, 50, 60, 70])))
    assert member.reference == "False"
    assert structure.columns == ("age", "member[True vs False]")
    assert structure.spreads.tolist() == [age.spread, 1.0]
    assignment = assign(structure, history)
    design = assignment.design[assignment.cell]
    np.testing.assert_allclose(design.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(design[:, 0].std(), 1.0)
    np.testing.assert_allclose(np.ptp(design[:, 1]), 1.0)


def test_cells_are_the_distinct_combinations_whatever_the_order_of_rows(history):
    structure = learn_structure(history, groups="region", covariates=["member"])
    assignment = assign(structure, history)
    assert assignment.n_cells == 5
    told = [(history.customers.region[i], history.customers.member[i]) for i in range(6)]
    for i in range(6):
        for j in range(6):
            assert (assignment.cell[i] == assignment.cell[j]) == (str(told[i]) == str(told[j]))
    order = np.array([4, 2, 0, 5, 1, 3])
    shuffled = attributed(history.customers.iloc[order].reset_index(drop=True))
    again = assign(structure, shuffled)
    np.testing.assert_array_equal(again.codes, assignment.codes)
    np.testing.assert_array_equal(again.design, assignment.design)
    np.testing.assert_array_equal(again.cell, assignment.cell[order])


def test_without_groups_and_covariates_there_is_one_cell(history):
    assignment = assign(Structure(), history)
    assert assignment.n_cells == 1
    assert assignment.codes.shape == (1, 0)
    assert assignment.design.shape == (1, 0)
    assert Structure().pooled


def test_the_specification_survives_json(history):
    structure = learn_structure(history, groups=["region", "store"], covariates=["age", "member"])
    assert Structure.from_dict(json.loads(json.dumps(structure.to_dict()))) == structure


def test_unseen_groups_are_told_and_coded(history):
    structure = learn_structure(history, groups="region")
    later = attributed(pd.DataFrame({"region": ["a", "new", "newer", "new"]}))
    assignment = assign(structure, later)
    assert assignment.codes[assignment.cell, 0].tolist() == [1, -1, -1, -1]
    assert assignment.labels[assignment.cell, 0].tolist() == ["a", "new", "newer", "new"]
    assert assignment.n_cells == 3
    (note,) = assignment.notes
    assert "3 customers" in note
    assert "'new', 'newer'" in note
    assert "drawn from the population" in note
    assert assign(structure, history).notes == ()


def test_new_data_are_standardised_with_the_scales_of_the_fit(history):
    structure = learn_structure(history, covariates="age")
    later = attributed(pd.DataFrame({"age": [45.0, 45.0 + structure.spreads[0]]}))
    assignment = assign(structure, later)
    np.testing.assert_allclose(assignment.design[assignment.cell, 0], [0.0, 1.0])


@pytest.mark.parametrize(
    ("groups", "covariates", "error", "told"),
    [
        (["nope"], [], DomainError, "region"),
        (["region"], ["region"], DomainError, "not both"),
        (["region", "region"], [], DomainError, "twice"),
        ([3], [], DomainError, "names of columns"),
        (["same"], [], InputError, "one level"),
        ([], ["same"], InputError, "one level"),
        ([], ["constant"], InputError, "same for every customer"),
        ([], ["store"], InputError, "First customers: 3"),
    ],
)
def test_what_cannot_be_learned_is_refused(history, groups, covariates, error, told):
    with pytest.raises(error, match=told):
        learn_structure(history, groups, covariates)


def test_an_identifier_is_no_group():
    many = attributed(pd.DataFrame({"id": [f"c{i}" for i in range(1001)]}))
    with pytest.raises(InputError, match="1,001 levels"):
        learn_structure(many, "id")
    fewer = attributed(pd.DataFrame({"id": [f"c{i % 1000}" for i in range(1001)]}))
    assert len(learn_structure(fewer, "id").groups[0].levels) == 1000


def test_an_infinite_number_and_an_unseen_category_are_refused(history):
    numeric = learn_structure(history, covariates="age")
    with pytest.raises(InputError, match=r"finite.*First customers: 1"):
        assign(numeric, attributed(pd.DataFrame({"age": [1.0, np.inf]})))
    with pytest.raises(InputError, match="numeric in the fit"):
        assign(numeric, attributed(pd.DataFrame({"age": ["x", "y"]})))
    member = learn_structure(history, covariates="member")
    with pytest.raises(InputError, match="not seen"):
        assign(member, attributed(pd.DataFrame({"member": ["True", "perhaps"]})))
