"""Naive forecasts by hand and by a second method, and what they are good for."""

import numpy as np
import pandas as pd
import pytest

from clv_forecast.evaluation.baselines import BASELINES, HIATUS, LAST_WINDOW, RATE, PastPurchases, naive_forecasts


def past_of(rows):
    customer, day, amount = (np.array(column) for column in zip(*rows, strict=True))
    return PastPurchases(customer=customer, day=day, amount=amount.astype(float), customers=int(customer.max()) + 1)


def by_name(past, days):
    return {baseline.name: baseline for baseline in naive_forecasts(past, days)}


def test_by_hand():
    past = past_of([(0, -100, 10), (0, -40, 20), (0, -10, 30), (1, -50, 5), (2, 0, 7)])
    found = by_name(past, 30)
    assert tuple(found) == BASELINES
    assert found[RATE].purchases == pytest.approx([0.6, 0.0, 0.0])
    assert found[RATE].revenue == pytest.approx([12.0, 0.0, 0.0])
    assert found[LAST_WINDOW].purchases.tolist() == [1, 0, 1]
    assert found[LAST_WINDOW].revenue.tolist() == [30, 0, 7]


def test_the_window_ends_on_the_origin_and_excludes_its_first_day():
    past = past_of([(0, -30, 1.0), (0, -29, 2.0), (0, 0, 4.0)])
    assert by_name(past, 30)[LAST_WINDOW].revenue.tolist() == [6.0]


def test_own_rate_by_pandas():
    generator = np.random.default_rng(3)
    rows = [(c, -int(d), a) for c, d, a in zip(generator.integers(0, 40, 300), generator.permutation(300),
                                               generator.gamma(2.0, size=300), strict=True)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["customer", "day", "amount"]).groupby("customer")
    expected = (frame.size() - 1) / -frame["day"].min() * 90
    found = by_name(past_of(rows), 90)[RATE]
    np.testing.assert_allclose(found.purchases, expected)
    np.testing.assert_allclose(found.revenue, expected * frame["amount"].mean())


def test_the_hiatus_rule_learns_who_is_gone():
    """Weekly buyers, half of whom stopped 200 days ago: the rule finds a cut between 7 and 200, the rate does not."""
    rows = [(c, -d, 1.0) for c in range(20) for d in range(0, 400, 7) if c % 2 == 0 or d > 200]
    found = by_name(past_of(rows), 70)
    assert found[HIATUS].purchases[1::2].tolist() == [0.0] * 10
    assert found[HIATUS].purchases[::2] == pytest.approx(found[RATE].purchases[::2])
    assert found[RATE].purchases[1::2].min() > 4
    assert "silent days" in found[HIATUS].note


def test_nobody_is_gone_where_silence_means_nothing():
    rows = [(c, -d, 1.0) for c in range(20) for d in range(c % 7, 400, 30 + 10 * c)]
    found = by_name(past_of(rows), 100)
    assert (found[HIATUS].purchases == found[RATE].purchases).all()
    assert "nobody" in found[HIATUS].note


def test_short_pasts():
    alone = by_name(past_of([(0, 0, 3.0)]), 50)
    assert [b.purchases.tolist() for b in alone.values()] == [[0.0], [1.0], [0.0]]
