"""The model beside naive forecasts where there are few customers."""

import numpy as np
import pytest

from clv_forecast.evaluation.score_tables import ALL, MODEL, Cell, baseline_table, closer_totals, naive_wins


def cell(customers, *, origin, ids=None):
    generator = np.random.default_rng(customers)
    nothing = np.zeros(customers)
    actual = generator.poisson(2.0, customers).astype(float)
    return Cell(
        origin=origin, horizon="13 weeks", group="all", quantity="purchases",
        ids=np.arange(customers).astype(object) if ids is None else ids, actual=actual, expected=actual + 5.0,
        pit=nothing, crps=nothing, inside=np.zeros((customers, 4), dtype=bool), log_score=nothing,
        log_density=nothing, naive={"own rate": actual + 0.1},
    )  # fmt: skip


@pytest.mark.parametrize("customers", [1, 5, 19])
def test_too_few_customers_have_errors_and_no_standard_errors(customers):
    table = baseline_table([cell(customers, origin="2024-01-01"), cell(customers, origin=ALL)])
    assert table["method"].tolist() == [MODEL, "own rate"] * 2
    assert table["rmse"].tolist() == pytest.approx([5.0, 0.1] * 2)
    assert table["rmse_advantage"].iloc[1] == pytest.approx(4.9)
    assert np.isnan(table["rmse_advantage_se"]).all()
    assert naive_wins(table, ALL) == ()
    assert closer_totals(table, ["2024-01-01"])[["closer", "origins"]].values.tolist() == [[1, 1]]


def test_few_customers_in_many_windows_are_still_few():
    """Five customers in five windows are 25 rows, and say no more than five customers do."""
    few = cell(25, origin=ALL, ids=np.tile(np.arange(5), 5).astype(object))
    assert np.isnan(baseline_table([few])["rmse_advantage_se"]).all()
    assert np.isfinite(baseline_table([cell(25, origin=ALL)])["rmse_advantage_se"].iloc[1])
