import numpy as np
import pytest

from clv_forecast.errors import InputError
from clv_forecast.inference.sufficient import compress, compress_spend


@pytest.fixture
def customers():
    rng = np.random.default_rng(3)
    frequency = rng.integers(0, 3, 500).astype(float)
    return frequency, np.where(frequency > 0, rng.integers(0, 4, 500) + 0.1, 0.0), rng.integers(5, 8, 500) + 0.3


def test_rows_give_the_customers_back(customers):
    rows = compress(*customers)
    for name, column in zip(("frequency", "recency", "T"), customers, strict=True):
        np.testing.assert_array_equal(getattr(rows, name)[rows.row], column)
    assert rows.weights.sum() == 500
    assert rows.weights.size == len(set(zip(*customers, strict=True)))


def test_the_order_of_customers_does_not_matter(customers):
    order = np.random.default_rng(4).permutation(500)
    rows, shuffled = compress(*customers), compress(*(column[order] for column in customers))
    for name in ("frequency", "recency", "T", "weights"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(shuffled, name))
    np.testing.assert_array_equal(rows.row[order], shuffled.row)


def test_rows_that_differ_in_the_last_column_only_stay_apart():
    assert compress([1, 1], [2.0, 2.0], [9.0, np.nextafter(9.0, 10.0)]).weights.tolist() == [1.0, 1.0]


def test_minus_zero_is_zero():
    assert compress([0, 0], [0.0, -0.0], [9.0, 9.0]).weights.tolist() == [2.0]


def test_rows_are_read_only(customers):
    rows = compress(*customers)
    with pytest.raises(ValueError, match="read-only"):
        rows.weights[0] = 2.0


def test_spend_rows_with_and_without_logarithms():
    n, total, sum_log = [2, 2, 1], [30.0, 30.0, 5.0], [5.0, 5.1, 1.6]
    assert compress_spend(n, total, sum_log).weights.tolist() == [1.0, 1.0, 1.0]
    means = compress_spend(n, total)
    assert means.weights.tolist() == [1.0, 2.0]
    assert np.isnan(means.sum_log).all()
    assert means.row.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "columns", [([], [], []), ([1], [1.0, 2.0], [3.0]), ([np.nan], [0.0], [1.0]), ([1], [np.inf], [np.inf])]
)
def test_bad_columns_are_refused(columns):
    with pytest.raises(InputError):
        compress(*columns)
