"""Revenue by category: net of refunds, as known at the day, and adding up to the history."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history import history_from_summary, purchase_history
from clv_forecast.history.net_lines import (
    MARGIN_UNKNOWN,
    categories_on_offer,
    category_revenue,
    net_lines,
    stretch_sums,
)

AS_OF = "2024-12-31"


def log_of(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "date", "amount", "category", "order_id", "margin"])


def history_of(log: pd.DataFrame, **options: Any) -> Any:
    named = {"as_of": AS_OF, "category": "category", "order_id": "order_id", "margin": "margin"} | options
    return purchase_history(log, **named)


def as_dict(table: pd.DataFrame) -> dict[tuple[Any, str], float]:
    return {(row.customer_id, row.category): row.revenue for row in table.itertuples()}


LOG = log_of(
    ("b", "2023-05-01", 100.0, "tea", "1", 40.0),
    ("b", "2024-05-01", 50.0, "cups", "2", 10.0),
    ("b", "2024-06-01", -30.0, "tea", "1", -12.0),
    ("a", "2024-02-01", 10.0, "tea", "3", 4.0),
    ("a", "2024-02-01", 7.0, None, "3", 2.0),
    ("a", "2024-03-01", 5.0, " tea ", "4", 1.0),
    ("c", "2024-04-01", 9.0, "spoons", "5", 3.0),
    ("c", "2024-04-02", -9.0, "spoons", "5", -3.0),
    ("c", "2024-04-03", 2.0, "tea", "6", 1.0),
)


def test_by_hand() -> None:
    table = category_revenue(history_of(LOG))
    assert as_dict(table) == {("a", "tea"): 15.0, ("b", "cups"): 50.0, ("b", "tea"): 70.0, ("c", "tea"): 2.0}
    assert table["customer_id"].tolist() == ["a", "b", "b", "c"]
    tea = table.set_index(["customer_id", "category"]).loc[("a", "tea")]
    assert (tea["first_purchase"], tea["last_purchase"]) == (pd.Timestamp("2024-02-01"), pd.Timestamp("2024-03-01"))


def test_a_refund_lowers_the_stretch_in_which_the_thing_was_bought() -> None:
    history = history_of(LOG)
    assert as_dict(category_revenue(history, after="2023-12-31"))[("b", "cups")] == 50.0
    assert as_dict(category_revenue(history, upto="2023-12-31")) == {("b", "tea"): 70.0}
    assert as_dict(category_revenue(history, after="2024-02-01", upto="2024-03-01")) == {("a", "tea"): 5.0}


def test_what_was_recorded_later_is_not_known() -> None:
    then = history_of(LOG).split("2024-05-15").calibration
    assert as_dict(category_revenue(then))[("b", "tea")] == 100.0
    assert as_dict(category_revenue(history_of(LOG)))[("b", "tea")] == 70.0


def test_policy_drop_ignores_refunds() -> None:
    table = as_dict(category_revenue(history_of(LOG, refunds="drop")))
    assert table[("b", "tea")] == 100.0
    assert table[("c", "spoons")] == 9.0


def test_on_offer() -> None:
    history = history_of(LOG)
    assert categories_on_offer(history) == ["cups", "tea"]
    assert categories_on_offer(history, upto="2024-01-01") == ["tea"]
    assert categories_on_offer(history, after="2024-05-01") == []


def messy_log(seed: int, *, customers: int = 60, rows: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount = np.round(rng.gamma(2.0, 30.0, rows) + 0.01, 2)
    sign = np.where(rng.random(rows) < 0.2, -1.0, 1.0)
    category = rng.choice(np.array(["w", "x", "y", "z", None], dtype=object), rows)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, customers, rows),
            "date": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 730, rows), unit="D"),
            "amount": sign * amount,
            "category": category,
            "order_id": rng.integers(0, rows // 3, rows),
            "margin": np.round(sign * amount * rng.choice([0.2, 0.5, -0.1], rows), 2),
        }
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_lines_add_up_to_the_history(seed: int) -> None:
    history = history_of(messy_log(seed))
    lines = net_lines(history)
    frame = lines.source.fetch(lines.table).to_pandas()
    sums = frame.groupby("customer_id")[["amount", "margin"]].sum().astype(float)
    table = history.table.set_index("customer_id")
    np.testing.assert_allclose(sums["amount"][table.index], table["total_revenue"], rtol=1e-12)
    np.testing.assert_allclose(sums["margin"][table.index], table["total_margin"], rtol=0, atol=1e-4)
    days = frame[frame["amount"] > 0].groupby(["customer_id", "day"]).size()
    assert len(days) == len(history.purchases())
    by_category = category_revenue(lines)
    known = frame[frame["category"].notna()]["amount"].sum()
    assert by_category["revenue"].sum() == pytest.approx(float(known), abs=1e-6)
    assert by_category["revenue"].sum() < table["total_revenue"].sum()


def test_the_order_of_rows_does_not_matter() -> None:
    log = messy_log(3)
    table = category_revenue(history_of(log))
    pd.testing.assert_frame_equal(table, category_revenue(history_of(log.sample(frac=1.0, random_state=1))))


def test_net_lines_spare_a_reading_and_give_the_same() -> None:
    history = history_of(messy_log(4))
    pd.testing.assert_frame_equal(
        category_revenue(net_lines(history), after="2024-01-01"), category_revenue(history, after="2024-01-01")
    )


def test_several_stretches_in_one_reading_agree_with_each_alone() -> None:
    lines = net_lines(history_of(messy_log(5)))
    cut = pd.Timestamp("2024-01-01")
    day = (cut - pd.Timestamp("1970-01-01")).days
    sums = stretch_sums(lines, {"all": (None, None), "later": (day, None), "earlier": (None, day)})
    known = sums[sums["category"].notna()].set_index(["customer_id", "category"])
    for name, alone in [
        ("all", category_revenue(lines)),
        ("later", category_revenue(lines, after=cut)),
        ("earlier", category_revenue(lines, upto=cut)),
    ]:
        together = known[f"{name}_revenue"][known[f"{name}_revenue"] > 0]
        pd.testing.assert_series_equal(
            together, alone.set_index(["customer_id", "category"])["revenue"], check_names=False
        )
    table = lines.history.table.set_index("customer_id")
    by_customer = sums.groupby("customer_id")[["all_revenue", "all_margin"]].sum().loc[table.index]
    np.testing.assert_allclose(by_customer["all_revenue"], table["total_revenue"], rtol=1e-12)
    np.testing.assert_allclose(by_customer["all_margin"], table["total_margin"], rtol=0, atol=1e-4)


def test_margin_of_a_refunded_line() -> None:
    log = log_of(
        ("a", "2024-01-01", 100.0, "tea", "1", 40.0),
        ("a", "2024-02-01", 100.0, "cups", "2", 10.0),
        ("a", "2024-03-01", -50.0, "tea", "1", -25.0),  # 5 more than the 20 in proportion
        ("b", "2024-01-01", 100.0, "tea", "3", None),
        ("b", "2024-02-01", 10.0, "tea", "4", 1.0),
        ("d", "2024-01-01", 100.0, "tea", "5", 30.0),
        ("d", "2024-02-01", -50.0, "tea", "5", None),
    )
    lines = net_lines(history_of(log))
    frame = lines.source.fetch(lines.table).to_pandas().set_index(["customer_id", "category", "day"]).sort_index()
    margin = frame["margin"].astype(float)
    assert margin.loc[("a", "tea")].tolist() == [15.0]
    assert margin.loc[("a", "cups")].tolist() == [10.0]
    assert frame[MARGIN_UNKNOWN].loc["b"].tolist() == [True, False]
    assert margin.loc[("d", "tea")].tolist() == [15.0]


@pytest.mark.parametrize("make", [int, str, lambda i: f"{i:05d}", lambda i: uuid.UUID(int=i)])
def test_ids_keep_their_type(make: Any) -> None:
    ids = [make(i) for i in (11, 2, 33)]
    log = pd.DataFrame({"customer_id": ids, "date": "2024-01-01", "amount": 1.0, "category": "x"})
    history = purchase_history(log, as_of=AS_OF, category="category")
    found = category_revenue(history)["customer_id"].tolist()
    assert found == history.table["customer_id"].tolist()
    assert set(found) == set(ids)


def test_numbers_as_categories_are_text_and_files_work(tmp_path: Any) -> None:
    log = pd.DataFrame({"customer_id": [1, 2], "date": "2024-01-01", "amount": [1.0, 2.0], "category": [7, 8]})
    path = tmp_path / "log.parquet"
    log.to_parquet(path)
    for source in (log, path):
        assert categories_on_offer(purchase_history(source, as_of=AS_OF, category="category")) == ["7", "8"]


def test_nothing_known_is_an_empty_table() -> None:
    log = pd.DataFrame({"customer_id": [1], "date": "2024-01-01", "amount": [1.0], "category": [None]})
    history = purchase_history(log, as_of=AS_OF, category="category")
    table = category_revenue(history)
    assert table.empty
    assert table.columns.tolist() == ["customer_id", "category", "revenue", "first_purchase", "last_purchase"]
    assert categories_on_offer(history) == []


def test_without_a_category_column() -> None:
    history = purchase_history(LOG, as_of=AS_OF)
    with pytest.raises(InputError, match=r"category='\.\.\.'"):
        category_revenue(history)
    with pytest.raises(InputError, match="no category column"):
        categories_on_offer(history)


def test_from_a_summary() -> None:
    table = pd.DataFrame({"customer_id": [1], "frequency": [1], "recency": [2.0], "T": [4.0], "monetary_value": [3.0]})
    history = history_from_summary(table, unit="week", as_of=AS_OF)
    with pytest.raises(InputError, match="made from a summary"):
        category_revenue(history)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"after": AS_OF}, "before as_of"),
        ({"after": "2024-05-01", "upto": "2024-05-01"}, "before upto"),
        ({"after": "2025-05-01", "upto": "2026-05-01"}, "before as_of"),
        ({"after": 3}, "must be a day"),
        ({"upto": "May"}, "must be a day"),
    ],
)
def test_days_outside(options: dict[str, Any], match: str) -> None:
    with pytest.raises(DomainError, match=match):
        category_revenue(history_of(LOG), **options)


def test_after_the_day_before_as_of_is_the_last_day() -> None:
    log = log_of(("a", AS_OF, 3.0, "tea", "1", 1.0), ("a", "2024-12-30", 4.0, "tea", "2", 1.0))
    assert as_dict(category_revenue(history_of(log), after=datetime.date(2024, 12, 30))) == {("a", "tea"): 3.0}
