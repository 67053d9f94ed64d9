"""What changed since an earlier forecast adds up, whoever came and went."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.forecasting.result import Forecast
from clv_forecast.report.report import BOTH, GONE, NEW, NOW, THEN, changes_since
from tests.report.page_inputs import bare_report

HORIZON = "12 months"


def with_ids(forecast: Forecast, ids: list[Any], values: list[float]) -> Forecast:
    """The same forecast with a table of these accounts."""
    table = pd.DataFrame({"customer_id": pd.Series(ids, dtype=object), "horizon": HORIZON, "value": values})
    return dataclasses.replace(forecast, customers=table)


@pytest.fixture(scope="module")
def base() -> Forecast:
    return bare_report().forecast


def steps(table: pd.DataFrame) -> dict[str, tuple[int, float]]:
    return {s: (n, v) for s, n, v in zip(table["step"], table["accounts"], table["value"], strict=True)}


def test_each_step_holds_its_accounts(base: Forecast) -> None:
    then, now = with_ids(base, [1, 2, 3], [10.0, 20.0, 5.0]), with_ids(base, [2, 3, 4], [22.5, 5.0, 7.25])
    found = steps(changes_since(then, now, HORIZON))
    assert found == {THEN: (3, 35.0), GONE: (1, -10.0), NEW: (1, 7.25), BOTH: (2, 2.5), NOW: (3, 34.75)}


def test_adds_up_to_the_cent_on_awkward_sums(base: Forecast) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        old = with_ids(base, list(range(40)), (rng.normal(size=40) * 1e5 / 3.0).tolist())
        new = with_ids(base, list(range(20, 70)), (rng.normal(size=50) * 1e5 / 7.0).tolist())
        cents = [round(100.0 * value) for value in changes_since(old, new, HORIZON)["value"]]
        assert sum(cents[:4]) == cents[4]


def test_ids_of_another_type_are_other_accounts(base: Forecast) -> None:
    then, now = with_ids(base, [1, "2"], [1.0, 1.0]), with_ids(base, ["1", "2"], [1.0, 1.0])
    found = steps(changes_since(then, now, HORIZON))
    assert [found[step][0] for step in (GONE, NEW, BOTH)] == [1, 1, 1]


def test_says_from_when_to_when(base: Forecast) -> None:
    found = changes_since(base, base, HORIZON)
    assert found["value"].tolist()[1:4] == [0.0, 0.0, 0.0]
    assert (found["previous_as_of"] == base.as_of).all()
    assert found["horizon"].unique().tolist() == [HORIZON]


def test_refuses_what_cannot_be_compared(base: Forecast) -> None:
    with pytest.raises(DomainError, match="horizon"):
        changes_since(base, base, "9 months")
    with pytest.raises(DomainError, match="one currency"):
        changes_since(base, dataclasses.replace(base, currency="EUR"), HORIZON)
    with pytest.raises(DomainError, match="comes first"):
        changes_since(base, dataclasses.replace(base, as_of=base.as_of - pd.Timedelta(days=1)), HORIZON)
    with pytest.raises(DomainError, match="made by forecast"):
        changes_since(base.customers, base, HORIZON)  # type: ignore[arg-type]
