import numpy as np
import pytest

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.inference.sufficient import AUTO, spend_data
from tests.inference.simulated import summary


@pytest.fixture
def table():
    """30 customers, 20 of them with one repeat order of 10 after a first one of 40."""
    n = np.array([1] * 20 + [0] * 10)
    frame = summary(n, n * 3.0, np.full(30, 9.0), n=n, total=n * 10.0, sum_log=n * np.log(10.0)).table
    frame[columns.SPEND_COUNT_ALL] = n + 1
    frame[columns.SPEND_SUM_ALL] = n * 10.0 + 40.0
    frame[columns.SPEND_SUM_LOG_ALL] = n * np.log(10.0) + np.log(40.0)
    return frame


def test_repeat_orders_leave_one_time_buyers_out_and_say_so(table):
    data = spend_data(table, "repeat")
    assert data.rows.weights.sum() == 20
    assert data.rows.total.tolist() == [10.0]
    assert data.level == "orders"
    assert data.notes[0].startswith("10 customers without repeat orders are left out")


def test_all_orders_use_everyone(table):
    data = spend_data(table, "all")
    assert data.rows.weights.sum() == 30
    assert sorted(data.rows.total) == [40.0, 50.0]
    assert data.notes == ()


def test_auto_is_the_better_one_of_the_benchmark(table):
    assert spend_data(table, "auto").spend_from == AUTO


def test_a_summary_without_first_orders_falls_back_to_repeat_means(table):
    table[[columns.SPEND_SUM_ALL, columns.SPEND_SUM_LOG_ALL, columns.SPEND_SUM_LOG_REPEAT]] = np.nan
    data = spend_data(table, "auto")
    assert (data.spend_from, data.level) == ("repeat", "means")
    assert "fitted to customers' means" in data.notes[-1]
    with pytest.raises(DomainError, match="every first purchase"):
        spend_data(table, "all")


def test_one_unknown_spread_is_enough_for_means(table):
    table.loc[3, columns.SPEND_SUM_LOG_REPEAT] = np.nan
    assert spend_data(table, "repeat").level == "means"


def test_an_unknown_choice_is_refused(table):
    with pytest.raises(DomainError, match="auto, repeat, all"):
        spend_data(table, "some")


def test_too_few_customers_are_refused_with_advice(table):
    with pytest.raises(InputError, match=r"at least 10 .* Got: 9\. .*spend=None"):
        spend_data(table.iloc[11:], "repeat")
    assert spend_data(table.iloc[10:], "repeat").rows.weights.sum() == 10


def test_amounts_that_are_not_known_are_refused(table):
    table[[columns.SPEND_SUM_ALL, columns.SPEND_SUM_REPEAT]] = np.nan
    with pytest.raises(InputError, match="spend=None"):
        spend_data(table, "auto")


def test_amounts_that_are_not_positive_are_refused_with_the_customers(table):
    table.loc[4, columns.SPEND_SUM_REPEAT] = -2.0
    with pytest.raises(InputError, match=r"positive. Got: -2.0. First customers: 4"):
        spend_data(table, "repeat")
