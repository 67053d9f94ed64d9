"""Summary tables of lifetimes, in and out."""

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import InputError
from clv_forecast.history import history_from_summary, load_cdnow, purchase_history
from clv_forecast.interchange import summary_from_lifetimes, summary_to_lifetimes
from tests.interchange.conftest import AS_OF, quiet


@pytest.fixture(scope="module")
def log():
    transactions = load_cdnow("1/10")
    return transactions[transactions["amount"] > 0.0]


def summarise(lifetimes, log, **options):
    arguments = {"monetary_value_col": "amount", "observation_period_end": AS_OF} | options
    with quiet():
        return lifetimes.utils.summary_data_from_transaction_data(log, "customer_id", "date", **arguments)


def test_our_table_is_theirs(lifetimes, log):
    """The same log through both: in days, and in weeks as they write them."""
    daily = summary_to_lifetimes(purchase_history(log, as_of=AS_OF, unit="day"))
    weekly = summary_to_lifetimes(purchase_history(log, as_of=AS_OF, unit="week"))
    pd.testing.assert_frame_equal(
        daily, summarise(lifetimes, log).sort_index()[daily.columns.tolist()], check_index_type=False
    )
    theirs = summarise(lifetimes, log, freq_multiplier=7).sort_index()[weekly.columns.tolist()]
    pd.testing.assert_frame_equal(weekly, theirs, check_index_type=False)


def test_their_table_is_a_history(lifetimes, log):
    table = summary_from_lifetimes(summarise(lifetimes, log, freq_multiplier=7))
    from_summary = history_from_summary(table, unit="week", as_of=AS_OF).table
    from_log = purchase_history(log, as_of=AS_OF, unit="week").table
    columns = ["customer_id", "first_purchase", "frequency", "recency", "T", "monetary_value"]
    pd.testing.assert_frame_equal(from_summary[columns], from_log[columns], check_dtype=False)
    assert len(from_summary) > 2300


def test_there_and_back(cdnow, history):
    table = summary_to_lifetimes(history)
    again = history_from_summary(summary_from_lifetimes(table), unit="week", as_of=AS_OF)
    pd.testing.assert_frame_equal(again.table, history.table)
    assert table.index.name == "customer_id"
    assert (table.dtypes == "float64").all()
    np.testing.assert_array_equal(table["monetary_value"], cdnow["monetary_value"])
    assert (table.loc[table["frequency"] == 0, "monetary_value"] == 0.0).all()


def test_the_calibration_half_is_taken(lifetimes, log):
    with quiet():
        both = lifetimes.utils.calibration_and_holdout_data(
            log, "customer_id", "date", "1997-06-30", AS_OF, monetary_value_col="amount"
        )
    expected = summary_from_lifetimes(summarise(lifetimes, log, observation_period_end="1997-06-30"))
    taken = summary_from_lifetimes(both)
    assert list(taken.columns) == ["customer_id", "frequency", "recency", "T", "monetary_value"]
    pd.testing.assert_frame_equal(
        taken.sort_values("customer_id", ignore_index=True), expected.sort_values("customer_id", ignore_index=True)
    )


def test_a_summary_without_money_or_with_its_ids_in_a_column():
    summary = pd.DataFrame({"customer_id": ["b", "a"], "frequency": [1.0, 0.0], "recency": [2.0, 0.0], "T": [9.0, 8.0]})
    untouched = summary.copy()
    table = summary_from_lifetimes(summary.assign(extra=1))
    pd.testing.assert_frame_equal(table, untouched)
    pd.testing.assert_frame_equal(summary, untouched)


def test_counting_the_first_purchase_is_refused(lifetimes, log):
    counted = summarise(lifetimes, log, include_first_transaction=True)
    with pytest.raises(InputError, match="include_first_transaction=False"):
        summary_from_lifetimes(counted)


def test_missing_columns_are_named():
    with pytest.raises(InputError, match=r"without \['recency', 'T'\]"):
        summary_from_lifetimes(pd.DataFrame({"frequency": [1.0]}))
