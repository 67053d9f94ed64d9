"""Attributes laid out: what is a number, a label, or neither, and what columns say of each account."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clv_forecast.ranking.peer_quantile import MOST_LEVELS, Block, read_kinds, rows, together


def dense(block: Block) -> np.ndarray:
    found = np.zeros((block.places.shape[0], block.size))
    for entry in range(block.places.shape[1]):
        np.add.at(found, (np.arange(len(found)), block.places[:, entry]), block.values[:, entry])
    return found


def test_numbers_labels_and_neither() -> None:
    table = pd.DataFrame(
        {
            "size": np.arange(60.0),
            "grade": np.arange(60) % 5,
            "flag": np.arange(60) % 2 == 0,
            "kind": pd.Categorical(["a", "b", "c"] * 20),
            "maybe": pd.array([True, None, False] * 20, dtype="boolean"),
            "whole": pd.array([1, None, *range(58)], dtype="Int64"),
            "name": [f"n{i}" for i in range(60)],
            "since": pd.date_range("2020-01-01", periods=60),
            "same": "x",
            "none": np.nan,
        }
    )
    kinds = read_kinds(table)
    assert kinds.names == ("flag", "grade", "kind", "maybe", "size", "whole")
    assert {name: np.unique(codes).size for name, codes in kinds.labels.items()} == {
        "flag": 2, "grade": 5, "kind": 3, "maybe": 3,
    }  # fmt: skip
    assert [note.split()[0] for note in kinds.notes] == ["name", "since"]
    assert [block.parts[0] for block in kinds.coarse] == list(kinds.names)
    as_label = read_kinds(table.assign(six=np.arange(60) % 6), as_labels=("six",))
    assert "six" in as_label.labels
    assert "six" not in read_kinds(table.assign(six=np.arange(60) % 6)).labels


def test_a_number_enters_by_its_rank_and_its_columns_add_up_to_one() -> None:
    values = np.random.default_rng(1).lognormal(size=200)
    one, other = (read_kinds(pd.DataFrame({"x": x})).mains[0] for x in (values, np.log(values)))
    np.testing.assert_array_equal(dense(one), dense(other))
    np.testing.assert_allclose(dense(one).sum(axis=1), 1.0)
    knots = dense(one) @ np.arange(one.size)  # a straight line in the columns is one in the scores
    assert np.argsort(knots, kind="stable").tolist() == np.argsort(values, kind="stable").tolist()
    assert knots.max() > one.size - 1  # beyond the last knot it goes on
    assert one.penalty is not None
    straight = np.arange(one.size, dtype=float)
    assert straight @ one.penalty @ straight == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.matrix_rank(one.penalty) == one.rank


def test_a_missing_number_is_a_column_of_its_own() -> None:
    values = np.where(np.arange(30) < 4, np.nan, np.arange(30.0))
    bent, missing = read_kinds(pd.DataFrame({"x": values})).mains
    assert (dense(bent)[:4] == 0.0).all()
    assert dense(missing)[:, 0].tolist() == [1.0] * 4 + [0.0] * 26
    assert missing.penalty is None
    assert len(read_kinds(pd.DataFrame({"x": np.arange(30.0)})).mains) == 1


def test_rare_labels_are_one_level() -> None:
    many = [f"t{i:03d}" for i in range(MOST_LEVELS + 50)]
    table = pd.DataFrame({"town": many * 3 + ["t007"] * 400, "kind": ["a", "b"] * ((len(many) * 3 + 400) // 2)})
    kinds = read_kinds(table)
    assert sum(np.unique(codes).size for codes in kinds.labels.values()) <= MOST_LEVELS
    assert any("most frequent" in note for note in kinds.notes)
    alone = kinds.labels["town"][3 * len(many)]
    assert (kinds.labels["town"] == alone).sum() == 403
    assert max(block.size for block in kinds.coarse) <= 12


def test_together_is_every_combination_that_occurs() -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {"kind": rng.choice(list("abc"), 90), "x": rng.normal(size=90), "y": rng.choice(list("uv"), 90)}
    )
    kind, x, y = read_kinds(table).coarse
    both = together(kind, x)
    outer = (dense(kind)[:, :, None] * dense(x)[:, None, :]).reshape(90, -1)
    np.testing.assert_allclose(dense(both), outer[:, (outer != 0.0).any(axis=0)])
    assert together(both, y).parts == ("kind", "x", "y")
    sparse = together(*read_kinds(pd.DataFrame({"a": ["p", "q"], "b": ["r", "s"]})).coarse)
    assert sparse.size == 2


def test_rows_of_a_block() -> None:
    block = read_kinds(pd.DataFrame({"kind": list("aabab")})).mains[0]
    np.testing.assert_array_equal(dense(rows(block, np.array([4, 0]))), dense(block)[[4, 0]])
    mask = np.array([True, False, False, False, True])
    np.testing.assert_array_equal(dense(rows(block, mask)), dense(block)[[0, 4]])
