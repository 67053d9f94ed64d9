"""The table of runs: one row each, enough to draw value from run to run, also where runs are held or damaged."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from matplotlib.figure import Figure

import clv_forecast as clv
from clv_forecast.runs.reforecasting.reforecast import reforecast, run_table
from tests.runs.reforecasting.made_runs import DAYS, orders, run_days, write_orders


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two weekly runs, and one that is held."""
    folder = tmp_path_factory.mktemp("table")
    runs = run_days(folder, DAYS[:2])
    write_orders(folder, orders().iloc[::2])
    return [*runs, reforecast(folder / "clv.toml", as_of=DAYS[2])]


@pytest.fixture(scope="module")
def store(made):
    return clv.open_store(made[0].folder.parents[1])


def test_value_and_band_are_those_of_the_runs(made, store):
    table = run_table(store)
    names = ["as_of", "value", "value_lower", "value_upper", "prob", "horizon", "customers"]
    same = clv.value_over_runs([one.folder for one in made])
    pd.testing.assert_frame_equal(table[names], same[names], check_dtype=False, check_categorical=False)
    assert table["status"].tolist() == ["published", "published", "held"]
    assert table["held_by"].tolist()[:2] == ["", ""] and "rows_ratio" in table["held_by"].iloc[2]


def test_it_can_be_drawn_as_it_is(store):
    axes = clv.figures.draw_value_over_runs(run_table(store), ax=Figure(figsize=(8, 4)).subplots())
    assert "12 months" in axes.get_title(loc="left") and "1 run held" in axes.get_title(loc="left")


def test_a_damaged_run_is_a_row_without_numbers(store, made, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(store.folder, folder, symlinks=True)
    (folder / "runs" / made[0].run_id / "run.json").write_text("{", encoding="ascii")
    table = run_table(clv.open_store(folder)).set_index("run_id")
    row = table.loc[made[0].run_id]
    assert row["status"] == "damaged" and row["problem"]
    assert row[["value", "value_lower", "value_upper", "prob", "horizon", "customers"]].isna().all()
    axes = clv.figures.draw_value_over_runs(table, ax=Figure(figsize=(8, 4)).subplots())
    assert "1 run held" in axes.get_title(loc="left")


def test_an_empty_store_has_the_same_columns(store, tmp_path):
    empty = run_table(clv.open_store(tmp_path / "runs"))
    assert len(empty) == 0 and empty.columns.tolist() == run_table(store).columns.tolist()
