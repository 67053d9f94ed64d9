"""Drift of parameters, in standard errors of the earlier fit, and of what runs were made of."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.runs.comparison.drift import input_drift, largest_drift, most_moved, parameter_drift
from tests.runs.comparison.snapshots import NOW, THEN, after, before, history, orders


def fitted(day: str, purchases: str = "bg_nbd") -> clv.Model:
    log = history(clv.load_cdnow("1/10"), day)
    return clv.fit(log, purchases, compare=False, draws=200)


@functools.cache
def model() -> clv.Model:
    return fitted(THEN)


@functools.cache
def later() -> clv.Model:
    return fitted(NOW)


@functools.cache
def other() -> clv.Model:
    return fitted(THEN, "mbg_nbd")


def test_each_parameter_in_standard_errors_of_the_earlier_fit():
    table = parameter_drift(model(), later()).set_index("parameter")
    then, now = (one.parameters.set_index("parameter") for one in (model(), later()))
    assert table.index.tolist() == then.index.tolist() and set(table["model"]) == {"bg_nbd"}
    by_hand = (now["estimate"] - then["estimate"]) / then["standard_error"]
    pd.testing.assert_series_equal(table["z"], by_hand, check_names=False)
    assert 0.0 < largest_drift(table) < 1.0  # three weeks more of the same log
    assert largest_drift(table) == by_hand.abs().max()


def test_a_fit_has_not_moved_from_itself():
    assert (parameter_drift(model(), model())["z"] == 0.0).all()


def test_kinds_that_differ_are_not_compared_unless_asked_for():
    empty = parameter_drift(model(), other())
    assert len(empty) == 0 and empty.columns.tolist() == parameter_drift(model(), model()).columns.tolist()
    assert math.isnan(largest_drift(empty))
    shared = parameter_drift(model(), other(), kinds=False)
    assert {"r", "alpha", "a", "b", "p", "q", "v"} <= set(shared["parameter"])
    assert shared.set_index("parameter").loc["p", "z"] == pytest.approx(0.0, abs=1e-6)  # the same spend
    assert abs(shared.set_index("parameter").loc["a", "z"]) > 0.1


def test_stacks_are_compared_part_by_part():
    first, second = (clv.Stack(models=(one, other()), weights=(0.5, 0.5)) for one in (model(), later()))
    table = parameter_drift(first, second)
    assert table["model"].drop_duplicates().tolist() == ["bg_nbd", "mbg_nbd"]
    assert (table.loc[table["model"] == "mbg_nbd", "z"] == 0.0).all()
    assert len(parameter_drift(model(), second)) == len(parameter_drift(first, later())) == 0


@pytest.mark.parametrize("error", [np.nan, np.inf])
def test_a_parameter_that_is_not_identified_has_no_drift(error, monkeypatch):
    told = {id(one): one.parameters for one in (model(), later())}
    told[id(model())].loc[told[id(model())]["parameter"] == "p", "standard_error"] = error
    monkeypatch.setattr(clv.Model, "parameters", property(lambda self: told[id(self)]))
    table = parameter_drift(model(), later())
    assert table.loc[table["z"].isna(), "parameter"].tolist() == ["p"]
    assert not math.isnan(largest_drift(table)) and not most_moved(table).startswith("p ")


def test_the_parameter_that_moved_most_is_told_with_its_sign():
    table = pd.DataFrame({"parameter": ["r", "a"], "then": [0.2, 0.8], "now": [0.21, 0.5], "z": [0.5, -3.04]})
    assert most_moved(table) == "a has moved by -3.0 standard errors, from 0.8 to 0.5"


def test_inputs_by_hand():
    table = input_drift(before(), after()).set_index("measure")
    for column, day in (("then", THEN), ("now", NOW)):
        log = orders()[(orders()["date"] <= day) & (orders()["amount"] > 0.0)]  # one order cost nothing
        days = log.groupby(["customer_id", "date"])["amount"].sum()
        dates = days.index.get_level_values("date")
        recent = days[dates > pd.Timestamp(day) - pd.Timedelta(days=91)]
        last = log.groupby("customer_id")["date"].max()
        silent = (pd.Timestamp(day) - last).dt.days.median() / 7.0
        expected = {
            "customers": log["customer_id"].nunique(),
            "purchases": len(days),
            "revenue": days.sum(),
            "money per purchase": days.mean(),
            "share who bought once": (days.groupby("customer_id").size() == 1).mean(),
            "days since the last purchase, median, in weeks": silent,
            "recent purchases": len(recent),
            "recent revenue": recent.sum(),
            "recent money per purchase": recent.mean(),
            "recent new customers": 0.0,
        }
        found = table[column]
        assert found.index.tolist() == list(expected)
        assert found.to_numpy() == pytest.approx(np.array(list(expected.values())), rel=1e-9), column
    change = table["change"].drop("recent new customers")
    assert change.to_numpy() == pytest.approx((table["now"] / table["then"] - 1.0).drop("recent new customers"))
    assert math.isnan(table.loc["recent new customers", "change"])


def test_recent_are_the_last_91_days_themselves():
    days = pd.Timestamp(THEN) - pd.to_timedelta([91, 90, 0], unit="D")
    few = pd.DataFrame({"customer_id": [4, 4, 4], "date": days, "amount": [1.0, 2.0, 4.0]})
    table = input_drift(dataclasses.replace(before(), purchases=few), after()).set_index("measure")
    assert table.loc[["recent purchases", "recent revenue"], "then"].tolist() == [2.0, 6.0]


def test_a_run_without_recent_purchases_has_no_recent_price():
    long_ago = before().purchases[before().purchases["date"] < "1997-06-01"]
    table = input_drift(dataclasses.replace(before(), purchases=long_ago), after()).set_index("measure")
    assert table.loc["recent purchases", "then"] == 0.0 and math.isnan(table.loc["recent purchases", "change"])
    assert math.isnan(table.loc["recent money per purchase", "then"])
