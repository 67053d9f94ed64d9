"""CDNOW: the file, its sample, and the table lifetimes ships of it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, StoreError
from clv_forecast.history import history_from_summary, load_cdnow, purchase_history, samples


def data_file(name: str) -> Path:
    return Path(str(distribution("lifetimes").locate_file(f"lifetimes/datasets/{name}")))


def test_whole_file() -> None:
    log = load_cdnow()
    assert list(log.columns) == ["customer_id", "date", "amount"]
    assert (len(log), log["customer_id"].nunique()) == (69_659, 23_570)
    assert (log["date"].min(), log["date"].max()) == (pd.Timestamp("1997-01-01"), pd.Timestamp("1998-06-30"))
    assert round(log["amount"].sum(), 2) == 2_500_315.63


def test_sample_is_part_of_the_whole() -> None:
    part, whole = load_cdnow("1/10"), load_cdnow()
    assert part["customer_id"].nunique() == 2_357
    chosen = whole[whole["customer_id"].isin(part["customer_id"])]
    key = ["customer_id", "date", "amount"]
    pd.testing.assert_frame_equal(part.sort_values(key, ignore_index=True), chosen.sort_values(key, ignore_index=True))


def test_lifetimes_itself_is_not_imported() -> None:
    code = "import sys, clv_forecast.history as h; h.load_cdnow('1/10'); sys.exit('lifetimes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DomainError, match="1/10"):
        load_cdnow("1/20")  # type: ignore[arg-type]
    monkeypatch.setitem(samples._FILES, None, "nothing.txt")
    with pytest.raises(StoreError, match=r"nothing\.txt"):
        load_cdnow()

    def gone(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(samples, "distribution", gone)
    with pytest.raises(StoreError, match="lifetimes"):
        load_cdnow("1/10")


def test_against_the_table_of_lifetimes() -> None:
    """All but the customers with an order of amount 0, which is no purchase here and one there."""
    names = ["customer_id", "ID", "date", "discs", "amount"]
    raw = pd.read_csv(data_file("CDNOW_sample.txt"), sep=r"\s+", names=names)
    ids = raw.drop_duplicates("ID")[["ID", "customer_id"]]
    theirs = pd.read_csv(data_file("cdnow_customers_summary.csv")).merge(ids, on="ID")
    ours = purchase_history(load_cdnow("1/10"), as_of="1997-09-30").table
    free = raw.loc[(raw["amount"] == 0) & (raw["date"] <= 19970930), "customer_id"]
    both = theirs.merge(ours, on="customer_id", suffixes=("_theirs", ""))
    assert len(theirs) == 2_357 and len(free) == 8 and len(both) == len(ours) == 2_357 - 8
    assert set(theirs["customer_id"]) - set(ours["customer_id"]) == set(free)
    assert (both["frequency"] == both["frequency_theirs"]).all()
    np.testing.assert_allclose(both["recency"], both["recency_theirs"], atol=0.00501)
    np.testing.assert_allclose(both["T"], both["T_theirs"], atol=0.00501)


def test_their_table_becomes_a_history() -> None:
    path = data_file("cdnow_customers_summary.csv")
    history = history_from_summary(path, unit="week", as_of="1997-09-30", customer="ID", monetary_value=None)
    assert len(history.table) == 2_357
    assert history.table["customer_id"].dtype == np.dtype("int64")
    assert history.table["first_purchase"].min() == pd.Timestamp("1997-01-01")
    assert history.table["monetary_value"].isna().all()


def test_holdout_of_the_papers() -> None:
    halves = purchase_history(load_cdnow("1/10"), as_of="1998-06-30").split("1997-09-30")
    assert halves.holdout["holdout_purchases"].sum() == 1_882
    assert len(halves.new_customer_orders) == 0
    assert (halves.calibration.table["frequency"] > 0).sum() == 946
