"""A summary made elsewhere becomes a history that says what it cannot know."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clv_forecast import columns as c
from clv_forecast.history import history_from_summary, load_cdnow, purchase_history


def test_agrees_with_the_history_it_summarises() -> None:
    full = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    rfm = full.table[[c.CUSTOMER_ID, c.FREQUENCY, c.RECENCY, c.T, c.MONETARY_VALUE]].sample(frac=1.0, random_state=1)
    made = history_from_summary(rfm.fillna({c.MONETARY_VALUE: 0.0}), unit="week", as_of="1997-09-30")
    exact = [c.CUSTOMER_ID, c.FIRST_PURCHASE, c.LAST_PURCHASE, c.FREQUENCY, c.RECENCY, c.T, c.MONETARY_VALUE]
    pd.testing.assert_frame_equal(made.table[exact], full.table[exact], check_exact=True)
    np.testing.assert_allclose(made.table[c.SPEND_SUM_REPEAT], full.table[c.SPEND_SUM_REPEAT], rtol=1e-12)
    assert made.table[[c.TOTAL_REVENUE, c.SPEND_SUM_LOG_REPEAT, c.SUM_LOG_INTERVALS]].isna().all(axis=None)
    assert list(made.table.columns) == list(c.HISTORY)


def test_says_what_it_cannot_know() -> None:
    rfm = pd.DataFrame({"id": ["b", "a"], "x": [1, 0], "t_x": [2.0, 0.0], "T": [2.0, 3.0], "m": [5.0, np.nan]})
    who = pd.DataFrame({"id": ["a", "b"], "region": ["n", "s"]})
    history = history_from_summary(
        rfm,
        unit="month",
        as_of="2024-01-01",
        customers=who,
        customer="id",
        frequency="x",
        recency="t_x",
        monetary_value="m",
    )
    assert history.table[c.CUSTOMER_ID].tolist() == ["a", "b"]
    assert history.customers is not None and history.customers["region"].tolist() == ["n", "s"]
    finding = history.audit.finding("made_from_summary")
    assert finding is not None and "cannot be split" in finding.sentence
    assert history.audit.steps["rows"].tolist() == [2, 2]


def test_ids_of_mixed_types() -> None:
    rfm = pd.DataFrame({"customer_id": pd.Series(["x", 2, 1], dtype=object), "frequency": 0, "recency": 0.0, "T": 1.0})
    history = history_from_summary(rfm, unit="day", as_of="2024-01-01", monetary_value=None)
    assert history.table[c.CUSTOMER_ID].tolist() == [1, 2, "x"]


def test_money_in_all_is_unknown() -> None:
    rfm = pd.DataFrame({"customer_id": [1], "frequency": [1], "recency": [1.0], "T": [1.0], "monetary_value": [9.0]})
    audit = history_from_summary(rfm, unit="day", as_of="2024-01-01").audit
    assert audit.steps["amount"].isna().all()
    assert "0.00" not in str(audit) and "1 customer of a summary" in str(audit)
