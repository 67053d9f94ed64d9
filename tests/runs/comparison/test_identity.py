"""Which accounts are another one than before: ids that mean another account now, and accounts gone from the log."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest

from clv_forecast.runs.comparison import value_bridge as vb
from clv_forecast.runs.comparison.snapshot import accounts_that_changed_identity
from clv_forecast.runs.comparison.value_bridge import value_bridge
from tests.runs.comparison.snapshots import NOW, before, orders, snapshot


def crosswalk(**accounts) -> pd.DataFrame:
    """One row per id of the shop, such as ``a=1``."""
    return pd.DataFrame({"source": "shop", "source_id": list(accounts), "customer_id": list(accounts.values())})


def run(ids, links=None, orders=None):
    return SimpleNamespace(ids=pd.Index(ids), crosswalk=links, orders=orders)


def changed(before, after) -> set:
    ids = before.ids.union(after.ids, sort=False)
    return set(ids[accounts_that_changed_identity(before, after, ids)])


def test_the_same_crosswalk_in_another_order_changes_nobody():
    links = crosswalk(a=1, b=2, c=3)
    assert changed(run([1, 2, 3], links), run([1, 2, 3], links.iloc[::-1])) == set()


def test_merged_and_split_accounts_are_those_of_both_sides():
    apart, together = run([1, 2, 3], crosswalk(a=1, b=2, c=3)), run([1, 3], crosswalk(a=1, b=1, c=3))
    assert changed(apart, together) == {1, 2}
    assert changed(together, apart) == {1, 2}


@pytest.mark.parametrize("gained", [True, False])
def test_an_id_without_an_entry_means_itself(gained):
    without = run(["A", "shop:b"], crosswalk(a="A"))
    known = run(["A"], crosswalk(a="A", b="A"))
    assert changed(*((without, known) if gained else (known, without))) == {"A", "shop:b"}


def test_an_entry_that_says_what_held_before_changes_nobody():
    assert changed(run(["shop:b"], crosswalk(a="A")), run(["shop:b"], crosswalk(a="A", b="shop:b"))) == set()


def test_one_crosswalk_alone_says_nothing():
    assert changed(run([1, 2], crosswalk(a=1, b=2)), run([1, 2])) == set()
    assert changed(run([1, 2]), run([1, 2], crosswalk(a=1, b=1))) == set()


def test_an_account_new_in_the_log_is_not_changed():
    assert changed(run([1]), run([1, 2])) == set()


def test_new_customers_whom_the_crosswalk_learns_of_are_new_customers():
    """Their ids meant accounts of their own before, which were worth nothing: no value moves for that."""
    new = pd.DataFrame({"customer_id": [900001], "date": [pd.Timestamp("1998-01-12")], "amount": [30.0]})
    ids = orders()["customer_id"].unique()
    links = pd.DataFrame({"source": "shop", "source_id": ids.astype(str), "customer_id": ids})
    more = pd.DataFrame({"source": "shop", "source_id": ["900001"], "customer_id": [900001]})
    then = dataclasses.replace(before(), crosswalk=links)
    now = snapshot(pd.concat([orders(), new]), NOW, crosswalk=pd.concat([links, more]))
    bridge = value_bridge(then, now)
    assert bridge.moved(vb.IDENTITY) == 0.0
    assert bridge.moved(vb.NEW_CUSTOMERS) == pytest.approx(now.values[now.ids.get_loc(900001)], abs=0.01)


def test_gone_is_who_has_no_row_in_the_log_at_all(tmp_path):
    assert changed(run([1, 2]), run([1])) == {2}
    pd.DataFrame({"customer_id": [1, 2], "amount": ["5", "-5"]}).to_parquet(tmp_path / "1997-01.parquet")
    assert changed(run([1, 2, 3]), run([1], orders=tmp_path)) == {3}  # 2 took all back, and is in the log
    (tmp_path / "1997-01.parquet").unlink()
    assert changed(run([1, 2]), run([1], orders=tmp_path)) == {2}


def test_a_late_order_of_somebody_the_crosswalk_just_learnt_of_is_restated_history():
    late = pd.DataFrame({"customer_id": [900001], "date": [pd.Timestamp("1997-12-20")], "amount": [30.0]})
    ids = orders()["customer_id"].unique()
    links = pd.DataFrame({"source": "shop", "source_id": ids.astype(str), "customer_id": ids})
    more = pd.DataFrame({"source": "shop", "source_id": ["900001"], "customer_id": [900001]})
    then = dataclasses.replace(before(), crosswalk=links)
    now = snapshot(pd.concat([orders(), late]), NOW, crosswalk=pd.concat([links, more]))
    bridge = value_bridge(then, now)
    assert bridge.moved(vb.IDENTITY) == 0.0 and bridge.moved(vb.RESTATED) > 0.0


def test_ids_that_are_numbers_in_one_place_and_text_in_another(tmp_path):
    pd.DataFrame({"customer_id": ["1", "2"], "amount": ["5", "-5"]}).to_parquet(tmp_path / "1997-01.parquet")
    assert changed(run([1, 2, 3]), run([1], orders=tmp_path)) == {3}
    text = crosswalk(a="1", b="1").astype({"customer_id": str})
    assert changed(run([1, 2], crosswalk(a=1, b=2)), run([1], text)) == {1, 2}
