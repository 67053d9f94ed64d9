import warnings

import numpy as np
import pytest
import xarray as xr

from clv_forecast.errors import DomainError
from clv_forecast.inference import loo as loo_module
from clv_forecast.inference.fit import fit
from clv_forecast.inference.loo import loo_rows, purchase_log_likelihood, spend_log_likelihood
from clv_forecast.inference.sufficient import compress, spend_data
from tests.inference.simulated import simulate_purchases, simulate_spend, summary


@pytest.fixture(scope="module")
def history():
    """600 customers observed in blocks of four weeks, so that many share a row, and one who bought today."""
    rng = np.random.default_rng(21)
    frequency, recency, T = simulate_purchases(rng, 600, r=0.6, alpha=5.0, a=0.8, b=2.5, length=50.0)
    T, recency = 4.0 * np.ceil(T / 4.0), np.where(frequency > 0, 4.0 * np.ceil(recency / 4.0), 0.0)
    frequency[0], recency[0], T[0] = 0, 0.0, 0.0
    counts, total, sum_log = simulate_spend(rng, frequency, p=6.0, q=4.0, v=15.0)
    spread = {name: np.zeros(frequency.size) for name in ("n", "total", "sum_log")}
    for name, values in zip(spread, (counts, total, sum_log), strict=True):
        spread[name][frequency > 0] = values
    return summary(frequency, recency, T, **spread)


@pytest.fixture(scope="module")
def fitted(history):
    return fit(history, method="laplace", draws=1000, compare=False)


@pytest.fixture(scope="module")
def rows(history):
    return compress(history.table["frequency"], history.table["recency"], history.table["T"])


@pytest.fixture(scope="module")
def values(fitted, rows):
    return purchase_log_likelihood(fitted.draws.purchases, "bg_nbd", rows)


def by_arviz(log_likelihood, **options):
    """``az.loo`` of an array of shape (draw, customer)."""
    import arviz as az

    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"r": (("chain", "draw"), np.ones((1, len(log_likelihood))))}),
            "log_likelihood": xr.Dataset({"y": (("chain", "draw", "customer"), log_likelihood[None])}),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return az.loo(tree, var_name="y", pointwise=True, **options)


def test_rows_with_weights_equal_arviz_on_every_customer(values, rows):
    ours = loo_rows(values, rows.weights)
    moving = np.ptp(values, axis=0) > 0.0
    kept = moving[rows.row]
    theirs = by_arviz(values[:, rows.row][:, kept])
    assert kept.sum() == 599  # ArviZ refuses the customer of today, of whom every draw says the same
    assert ours.customers == 600
    assert rows.weights.size < 350
    np.testing.assert_allclose(ours.elpd, theirs.elpd, rtol=1e-12)
    np.testing.assert_allclose(ours.p_loo, theirs.p, rtol=1e-9)
    np.testing.assert_allclose(ours.elpd_of_rows[rows.row][kept], theirs.elpd_i.to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.k_of_rows[rows.row][kept], theirs.pareto_k.to_numpy(), rtol=1e-9)
    assert ours.k_threshold == pytest.approx(theirs.good_k)
    only_moving = loo_rows(values[:, moving], rows.weights[moving])
    np.testing.assert_allclose([only_moving.elpd, only_moving.se], [theirs.elpd, theirs.se], rtol=1e-12)


def test_a_chain_needs_its_relative_efficiency(values, rows):
    moving = np.ptp(values, axis=0) > 0.0
    theirs = by_arviz(values[:, rows.row][:, moving[rows.row]], reff=0.4)
    ours = loo_rows(values, rows.weights, r_eff=0.4)
    np.testing.assert_allclose([ours.elpd, ours.p_loo], [theirs.elpd, theirs.p], rtol=1e-9)
    assert ours.elpd != loo_rows(values, rows.weights).elpd


def test_arviz_on_weighted_rows_is_wrong(values, rows):
    """It leaves all customers of a row out at once: the reason for `loo_rows`."""
    ours = loo_rows(values, rows.weights)
    moving = np.ptp(values, axis=0) > 0.0
    wrong = by_arviz((values * rows.weights)[:, moving])
    assert ours.p_loo == pytest.approx(4.0, abs=1.5)
    assert wrong.p > 3.0 * ours.p_loo
    assert abs(wrong.elpd - ours.elpd) > ours.p_loo
    assert abs(wrong.se / ours.se - 1.0) > 0.03


def test_leaving_one_out_for_real_agrees(history, fitted):
    """The exact answer for the customer with the most orders: fit again without it."""
    table = history.table
    most = int(table["frequency"].idxmax())
    spared = type(history)(table.drop(index=most).reset_index(drop=True))
    without = fit(spared, spend=None, method="laplace", draws=4000, compare=False)
    one = compress(*(table.loc[[most], name] for name in ("frequency", "recency", "T")))
    exact = purchase_log_likelihood(without.draws.purchases, "bg_nbd", one)
    exact = float(np.logaddexp.reduce(exact[:, 0]) - np.log(4000))
    values = purchase_log_likelihood(fitted.draws.purchases, "bg_nbd", one)
    told = float(loo_rows(values, [1]).elpd)
    in_sample = float(np.logaddexp.reduce(values[:, 0]) - np.log(1000))
    assert in_sample > exact + 0.1
    assert told == pytest.approx(exact, abs=0.1)


def test_orders_of_spend_by_the_same_rule(history, fitted):
    data = spend_data(history.table, "auto")
    values = spend_log_likelihood(fitted.draws.spend, data.level, data.rows)
    ours = loo_rows(values, data.rows.weights)
    theirs = by_arviz(values[:, data.rows.row])
    np.testing.assert_allclose([ours.elpd, ours.se, ours.p_loo], [theirs.elpd, theirs.se, theirs.p], rtol=1e-9)
    assert ours.p_loo == pytest.approx(3.0, abs=1.0)
    means = spend_log_likelihood(fitted.draws.spend, "means", data.rows)
    assert means.shape == values.shape
    assert not np.allclose(means, values)


def test_blocks_do_not_matter(values, rows, monkeypatch):
    whole = loo_rows(values, rows.weights)
    monkeypatch.setattr(loo_module, "_CELLS_AT_ONCE", 7_000)
    blocks = loo_rows(values, rows.weights)
    assert (blocks.elpd, blocks.se, blocks.p_loo) == pytest.approx((whole.elpd, whole.se, whole.p_loo), rel=1e-13)
    np.testing.assert_array_equal(blocks.k_of_rows, whole.k_of_rows)


def test_a_customer_who_moves_the_fit_is_told():
    rng = np.random.default_rng(3)
    theta = rng.normal(0.0, 0.3, (2000, 1))
    data = np.array([0.0, 9.0])
    strange = loo_rows(-0.5 * (data - theta) ** 2, [499, 1])
    assert strange.unreliable == 1
    assert strange.unreliable_share == pytest.approx(1 / 500)
    assert strange.k_max > strange.k_threshold
    assert "not reliable: for 1 customer (0.2 %) k-hat is above 0.70" in strange.sentence
    usual = loo_rows(-0.5 * (data[:1] - theta) ** 2, [500])
    assert usual.unreliable == 0
    assert "reliable for every customer" in usual.sentence
    assert usual.looic == -2.0 * usual.elpd


def test_a_row_that_says_nothing_about_the_draws_is_certain():
    nothing = loo_rows(np.full((200, 1), -1.25), [3])
    assert (nothing.elpd, nothing.p_loo, nothing.unreliable, nothing.se) == (-3.75, 0.0, 0, 0.0)
    assert nothing.k_max == -np.inf


@pytest.mark.parametrize(
    ("values", "weights", "options", "rule"),
    [
        (np.zeros((99, 2)), [1, 1], {}, "at least 100 draws"),
        (np.zeros((200, 2)), [1], {}, "one weight per row"),
        (np.zeros((200, 2)), [1, 0], {}, "whole numbers of customers"),
        (np.zeros((200, 2)), [1, 1.5], {}, "whole numbers of customers"),
        (np.full((200, 1), -np.inf), [1], {}, "finite at every draw"),
        (np.zeros((200, 1)), [1], {"r_eff": 0.0}, "r_eff must be positive"),
        (np.zeros((200, 0)), [], {}, "customers of each row"),
    ],
)
def test_what_it_refuses(values, weights, options, rule):
    with pytest.raises(DomainError, match=rule):
        loo_rows(values, weights, **options)
