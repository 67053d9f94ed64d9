"""Runs one after the other: value, one account, and bands, read from the tables of their folders."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.figure import Figure

import clv_forecast as clv
from clv_forecast.runs.comparison.drift import came_since
from clv_forecast.runs.comparison.over_time import account_over_runs, bands_over_runs, value_over_runs
from clv_forecast.runs.comparison.snapshot import snapshot_of
from tests.runs.comparison.snapshots import HORIZON, NOW, THEN
from tests.runs.comparison.stored import NEWCOMER, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with a ranking; a later one with a spend, which looks back on the first."""
    folder = tmp_path_factory.mktemp("runs")
    first = write_run(folder / "then", THEN, ranking=True)
    bare = write_run(folder / "bare", NOW)
    since = came_since(snapshot_of(first), snapshot_of(bare))
    return first, write_run(folder / "now", NOW, spend=True, since=since)


def test_value_of_the_whole_base_by_day_whatever_the_order_of_the_runs(runs):
    table = value_over_runs([runs[1].folder, str(runs[0].folder)])
    assert table["run"].tolist() == ["then", "now"]
    assert [str(day.date()) for day in table["as_of"]] == [THEN, NOW] and set(table["horizon"]) == {HORIZON}
    for run, (_, row) in zip(runs, table.iterrows(), strict=True):
        ahead = run.table("forecast").query("horizon == @HORIZON")
        assert row["customers"] == len(ahead) and row["value"] == pytest.approx(ahead["value"].sum())
        assert row["value_lower"] < row["value"] < row["value_upper"] and row["prob"] == 0.9
    pd.testing.assert_frame_equal(table, value_over_runs(runs))
    axes = clv.figures.draw_value_over_runs(table, ax=Figure(figsize=(8, 4)).subplots())
    assert "from run to run" in axes.get_title(loc="left")


def test_value_over_another_horizon(runs):
    shorter = value_over_runs(runs, horizon="6 months")
    assert set(shorter["horizon"]) == {"6 months"} and (shorter["value"] < value_over_runs(runs)["value"]).all()
    with pytest.raises(clv.DomainError, match=r"Run then has the horizons 6 months, 12 months\. Got: '9 months'\."):
        value_over_runs(runs, horizon="9 months")


def test_one_account_is_that_of_the_tables(runs):
    table = account_over_runs(reversed(runs), 4)
    assert table["run"].tolist() == ["then", "now"]
    for run, (_, row) in zip(runs, table.iterrows(), strict=True):
        past = run.table("history").set_index("customer_id").loc[4]
        ahead = run.table("forecast").query("horizon == @HORIZON").set_index("customer_id").loc[4]
        names = ["frequency", "last_purchase", "total_revenue"]
        assert row[names].tolist() == past[names].tolist()
        names = ["p_alive", "expected_purchases", "value", "value_lower", "value_upper"]
        assert row[names].tolist() == ahead[names].tolist()
    assert table["p_alive"].iloc[0] > table["p_alive"].iloc[1]  # three silent weeks
    ranked = runs[0].table("ranking").set_index("customer_id").loc[4]
    assert table["rank"].iloc[0] == ranked["rank"] and table["rank"].isna().tolist() == [False, True]
    spent = runs[1].table("allowable_spend").set_index("customer_id").loc[4]
    assert table["basis"].iloc[1] == "ceiling" and pd.isna(table["basis"].iloc[0])
    assert table["allowable_expected"].iloc[1] == spent["allowable_expected"]


def test_an_account_by_the_text_of_its_id_and_over_another_horizon(runs):
    pd.testing.assert_frame_equal(account_over_runs(runs, "4"), account_over_runs(runs, 4))
    shorter = account_over_runs(runs, 4, horizon="6 months")
    assert (shorter["value"] < account_over_runs(runs, 4)["value"]).all()
    assert "rank" not in shorter  # nothing was ranked over it


def test_runs_before_an_account_came_are_left_out(runs):
    assert account_over_runs(runs, NEWCOMER)["run"].tolist() == ["now"]
    assert account_over_runs(runs[1].folder, NEWCOMER)["frequency"].tolist() == [0]
    with pytest.raises(clv.DomainError, match="There is no such account"):
        account_over_runs(runs, 5_000_000)


def test_bands_as_the_later_run_saw_them(runs):
    table = bands_over_runs(runs)
    assert set(table["run"]) == {"then"} and set(table["seen_by"]) == {"now"} and set(table["days"]) == {21}
    known = table[table["group"] == "accounts of the earlier run"].set_index("quantity")
    stored = runs[1].table("came_since")
    assert known.loc["purchases", "came"] == stored.query("quantity == 'purchases'")["came"].iloc[0]
    assert table["previous_as_of"].is_monotonic_increasing and len(table) == len(stored)
    new = table[table["group"] == "new customers"]
    assert new.set_index("quantity").loc["revenue", "came"] == 30.0
    axes = clv.figures.draw_run_bands(table[table["quantity"] == "purchases"], ax=Figure(figsize=(8, 4)).subplots())
    assert "21 days" in axes.get_title(loc="left")


def test_no_run_has_looked_back(runs):
    with pytest.raises(clv.DomainError, match="None of the runs has looked back"):
        bands_over_runs(runs[0])


@pytest.mark.parametrize("verb", [value_over_runs, bands_over_runs, lambda runs: account_over_runs(runs, 4)])
def test_at_least_one_run_that_is_there(verb, tmp_path):
    with pytest.raises(clv.DomainError, match="At least one run"):
        verb([])
    with pytest.raises(clv.StoreError, match="no run in the folder"):
        verb([tmp_path])
