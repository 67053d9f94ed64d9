"""Account metrics: by hand, absent where the data do not allow, and never zero by default."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history import history_from_summary, purchase_history
from clv_forecast.ranking.metrics import account_metrics
from clv_forecast.simulation import simulate_accounts

AS_OF = "2024-12-31"
COLUMNS = ["customer_id", "date", "amount", "order_id", "category", "margin"]


def log_of(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


LOG = log_of(
    ("a", "2022-06-01", 100.0, "1", "tea", 40.0),
    ("a", "2023-06-01", 100.0, "2", "tea", 40.0),
    ("a", "2024-06-01", 150.0, "3", "tea", 60.0),
    ("a", "2024-06-01", 50.0, "3", "cups", -10.0),
    ("a", "2024-07-01", -30.0, "3", "tea", -12.0),
    ("b", "2024-03-01", 60.0, "4", "spoons", 6.0),
    ("b", "2024-09-01", 20.0, "5", "tea", 2.0),
    ("c", "2022-07-01", 10.0, "6", "tea", 1.0),
)
ACCOUNTS = pd.DataFrame(
    {
        "customer_id": ["c", "b", "a"],
        "referred_by": ["b", "a", None],
        "wallet": [500.0, 40.0, np.nan],
        "margin": [0.5, 0.5, 0.5],
        "contracted_annual_value": [100.0, 200.0, np.nan],
        "contract_end": ["2024-12-30", "2024-12-31", None],
        "big_logo": ["yes", None, "no"],
        "lighthouse": [0, 1, 0],
        "advocacy": [9, None, 0],
    }
)


def metrics(log: Any = LOG, accounts: Any = ACCOUNTS, **options: Any) -> pd.DataFrame:
    return account_metrics(log, accounts, **({"as_of": AS_OF} | options)).set_index("customer_id")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return metrics()


def column(table: pd.DataFrame, name: str) -> list[Any]:
    """Values of a column by customer, None where missing."""
    return [None if pd.isna(value) else value for value in table[name]]


def said(table: pd.DataFrame) -> str:
    return " ".join(table.attrs["notes"])


def test_revenue_and_margin_by_hand(table: pd.DataFrame) -> None:
    assert table.index.tolist() == ["a", "b", "c"]
    assert (table["as_of"] == pd.Timestamp(AS_OF)).all()
    assert column(table, "acv") == [170.0, 80.0, 0.0]
    assert column(table, "revenue_to_date") == [370.0, 80.0, 10.0]
    assert column(table, "acv_margin") == [38.0, 8.0, 0.0]
    assert column(table, "margin_to_date") == [118.0, 8.0, 1.0]
    assert column(table, "acv_margin_rate") == [pytest.approx(38.0 / 170.0), pytest.approx(0.1), 0.5]
    assert column(table, "margin_source") == ["log", "log", "log"]
    assert column(table, "acv_contracted") == [None, 200.0, None]


def test_breadth_and_upselling_by_hand(table: pd.DataFrame) -> None:
    assert column(table, "categories_bought") == [2, 2, 0]
    assert set(table["categories_on_offer"]) == {3}
    assert column(table, "product_density") == [pytest.approx(2 / 3), pytest.approx(2 / 3), 0.0]
    assert column(table, "product_density_before") == [1.0, None, 0.0]
    assert column(table, "product_density_change") == [pytest.approx(-1 / 3), None, 0.0]
    assert column(table, "new_categories") == [1, 1, 0]
    assert column(table, "upsell_revenue") == [50.0, 20.0, 0.0]


def test_the_change_needs_an_account_throughout_the_year_before() -> None:
    log = log_of(
        ("old", "2022-01-01", 1.0, "1", "tea", 1.0),
        ("then", "2023-01-01", 1.0, "2", "tea", 1.0),
        ("later", "2023-01-02", 1.0, "3", "tea", 1.0),
    )
    table = metrics(log, None)
    assert column(table, "product_density_before") == [1.0, 0.0, 1.0]
    assert "product_density" not in table  # nobody bought anything lately: there is no offer to have a share of
    log = pd.concat([log, log_of(("old", "2024-06-01", 1.0, "4", "tea", 1.0))])
    assert column(metrics(log, None), "product_density_change") == [None, 1.0, -1.0]


def test_growth_and_referrals_by_hand(table: pd.DataFrame) -> None:
    assert column(table, "cagr") == [pytest.approx(0.7), None, None]
    assert column(table, "cagr_years") == [2, 0, 2]
    assert column(table, "referred_accounts") == [1, 1, 0]
    assert column(table, "referred_revenue_to_date") == [90.0, 10.0, 0.0]
    assert column(table, "revenue_with_referrals") == [460.0, 90.0, 10.0]
    assert column(table, "rank_with_referrals") == [1, 2, 3]


def test_standing_by_hand(table: pd.DataFrame) -> None:
    assert column(table, "big_logo") == [False, None, True]
    assert column(table, "lighthouse") == [False, True, False]
    assert column(table, "advocacy") == [0.0, None, 9.0]
    assert column(table, "share_of_wallet") == [None, 2.0, 0.0]
    assert "1 of 2 wallets given is smaller than the revenue with us" in said(table)


def test_the_worked_example_of_referrals() -> None:
    log = pd.DataFrame(
        {
            "customer_id": ["A", "a", "B", "b"],
            "date": "2024-01-15",
            "amount": [100_000.0, 40_000.0, 30_000.0, 250_000.0],
        }
    )
    known = pd.DataFrame({"customer_id": ["a", "b"], "referred_by": ["A", "B"]})
    table = metrics(log, known)
    assert table.loc[["A", "B"], "revenue_with_referrals"].tolist() == [140_000.0, 280_000.0]
    assert table.loc[["A", "B"], "rank_with_referrals"].tolist() == [3, 1]
    assert table["revenue_to_date"].sum() == 420_000.0


def test_equal_revenue_shares_the_better_place() -> None:
    log = pd.DataFrame({"customer_id": ["a", "b", "c"], "date": "2024-01-15", "amount": [5.0, 5.0, 1.0]})
    known = pd.DataFrame({"customer_id": ["c"], "referred_by": ["outside"]})
    assert metrics(log, known)["rank_with_referrals"].tolist() == [1, 1, 3]


OPTIONAL = {
    "acv_contracted",
    "acv_margin",
    "acv_margin_rate",
    "margin_source",
    "margin_to_date",
    "cagr",
    "cagr_lower",
    "cagr_upper",
    "cagr_years",
    "categories_bought",
    "product_density",
    "product_density_before",
    "product_density_change",
    "new_categories",
    "upsell_revenue",
    "referred_accounts",
    "referred_revenue_to_date",
    "revenue_with_referrals",
    "rank_with_referrals",
    "big_logo",
    "lighthouse",
    "advocacy",
    "share_of_wallet",
}


def test_absent_is_absent_and_a_note_says_what_would_bring_it() -> None:
    bare = LOG[["customer_id", "date", "amount"]]
    table = metrics(bare[bare["date"] > "2024-02"], None)
    assert not OPTIONAL & set(table.columns)
    assert "acv" not in table
    assert column(table, "revenue_to_date") == [170.0, 80.0]
    for words in (
        "the log is shorter than 12 months",
        "column margin",
        "two full years",
        "column category",
        "referrals",
        "column wallet",
        "contracted_annual_value",
        "column big_logo",
        "column lighthouse",
        "column advocacy",
    ):
        assert words in said(table)


def test_everything_is_there_where_the_data_allow(table: pd.DataFrame) -> None:
    assert OPTIONAL | {"acv"} <= set(table.columns)
    assert "would bring" not in said(table)


def test_a_log_of_a_year_and_a_half_has_no_trend() -> None:
    log = LOG[LOG["date"] >= "2023-06"]
    table = metrics(log)
    assert {"acv", "product_density"} <= set(table.columns)
    trend = {"product_density_before", "product_density_change", "new_categories", "upsell_revenue"}
    assert not trend & set(table.columns)
    assert "a log of 24 months" in said(table)


def test_density_of_a_short_log_is_of_the_whole_log() -> None:
    table = metrics(LOG[LOG["date"] > "2024-02"], None)
    assert "acv" not in table
    assert column(table, "product_density") == [pytest.approx(2 / 3), pytest.approx(2 / 3)]
    assert "shorter than 12 months" in said(table)


def test_unknown_categories() -> None:
    log = LOG.assign(category=LOG["category"].where(LOG["customer_id"] != "b"))
    table = metrics(log)
    assert column(table, "product_density") == [1.0, None, 0.0]
    assert column(table, "new_categories") == [1, None, 0]
    assert "of the revenue has no category" in said(table)
    past = LOG.assign(category=LOG["category"].where((LOG["customer_id"] != "a") | (LOG["date"] > "2024-01-01")))
    assert column(metrics(past), "new_categories")[0] is None  # whether tea is new to a, nobody knows
    assert "product_density" not in metrics(LOG.assign(category=None))


def test_margin_from_the_rate() -> None:
    table = metrics(margin="accounts")
    assert column(table, "acv_margin") == [85.0, 40.0, 0.0]
    assert column(table, "acv_margin_rate") == [0.5, 0.5, 0.5]
    assert set(table["margin_source"]) == {"rate"}
    only_log = metrics(margin="log")
    assert column(only_log, "acv_margin") == [38.0, 8.0, 0.0]
    assert column(only_log, "acv_margin_rate") == [pytest.approx(38.0 / 170.0), pytest.approx(0.1), None]
    assert "acv_margin" not in metrics(margin=None)
    assert "acv_margin" not in metrics(LOG.drop(columns="margin"), margin="log")


def test_the_rate_fills_where_the_margin_of_the_log_is_unknown() -> None:
    log = LOG.assign(margin=LOG["margin"].where(LOG["order_id"] != "4"))
    table = metrics(log)
    assert column(table, "acv_margin") == [38.0, 40.0, 0.0]
    assert column(table, "margin_to_date") == [118.0, 40.0, 1.0]
    assert column(table, "margin_source") == ["log", "rate", "log"]
    without = metrics(log, ACCOUNTS.drop(columns="margin"))
    assert column(without, "acv_margin") == [38.0, None, 0.0]
    assert column(without, "margin_source") == ["log", None, "log"]
    old = LOG.assign(margin=LOG["margin"].where(LOG["order_id"] != "1"))
    assert column(metrics(old, ACCOUNTS.drop(columns="margin")), "acv_margin")[0] == 38.0
    assert column(metrics(old, ACCOUNTS.drop(columns="margin")), "margin_to_date")[0] is None


@pytest.mark.parametrize("rate", [30.0, -11.0])
def test_a_rate_outside_its_domain(rate: float) -> None:
    with pytest.raises(InputError, match="margin"):
        metrics(LOG, ACCOUNTS.assign(margin=[0.1, rate, 0.1]))


def test_a_customer_whom_refunds_left_nothing_is_no_account() -> None:
    gone = log_of(("z", "2024-05-01", 10.0, "8", "forks", 3.0), ("z", "2024-05-02", -10.0, "8", "forks", -4.0))
    found = metrics(pd.concat([LOG, gone]), ACCOUNTS)
    pd.testing.assert_frame_equal(found, metrics())


def test_wallets_of_zero_and_below() -> None:
    table = metrics(LOG, ACCOUNTS.assign(wallet=[0.0, 160.0, None]))
    assert column(table, "share_of_wallet") == [None, 0.5, None]
    assert "1 wallet given is 0" in said(table)
    with pytest.raises(InputError, match="wallet"):
        metrics(LOG, ACCOUNTS.assign(wallet=[-1.0, 160.0, None]))


def test_forms_of_the_log_agree(table: pd.DataFrame, tmp_path: Any) -> None:
    path = tmp_path / "log.parquet"
    LOG.to_parquet(path)
    history = purchase_history(
        LOG.sample(frac=1.0, random_state=1), as_of=AS_OF, order_id="order_id", category="category", margin="margin"
    )
    for log in (pa.Table.from_pandas(LOG), polars.from_pandas(LOG), polars.from_pandas(LOG).lazy(), str(path), path):
        pd.testing.assert_frame_equal(metrics(log), table)
    pd.testing.assert_frame_equal(metrics(history, as_of=None), table)


def test_another_name_for_the_category() -> None:
    renamed = LOG.rename(columns={"category": "product"})
    assert "product_density" not in metrics(renamed)
    assert "product_density" in metrics(renamed, category="product")
    assert "product_density" not in metrics(category=None)
    with pytest.raises(InputError, match="group"):
        metrics(category="group")


def test_integer_ids_and_the_accounts_of_the_history() -> None:
    ids = {"a": 30, "b": 4, "c": 100}
    log = LOG.assign(customer_id=LOG["customer_id"].map(ids))
    known = ACCOUNTS.assign(customer_id=ACCOUNTS["customer_id"].map(ids)).drop(columns="referred_by")
    history = purchase_history(log, as_of=AS_OF, customers=known, category="category", margin="margin")
    table = account_metrics(history).set_index("customer_id")
    assert table.index.tolist() == [4, 30, 100]
    assert table.loc[30, "acv"] == 170.0
    assert table.loc[4, "share_of_wallet"] == 2.0


def test_one_account() -> None:
    table = metrics(LOG[LOG["customer_id"] == "a"], None)
    assert column(table, "acv") == [170.0]
    assert column(table, "product_density") == [1.0]


def test_a_summary_gives_what_the_accounts_say() -> None:
    summary = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "frequency": [1, 1, 2],
            "recency": [2.0, 3.0, 3.0],
            "T": 4.0,
            "monetary_value": 3.0,
        }
    )
    history = history_from_summary(summary, unit="week", as_of=AS_OF)
    table = account_metrics(history, ACCOUNTS)
    assert {"big_logo", "advocacy", "referred_accounts"} <= set(table.columns)
    assert not {"acv", "revenue_to_date", "cagr", "product_density", "share_of_wallet"} & set(table.columns)
    assert "made from a summary" in said(table)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"as_of": None}, DomainError, "as_of is needed"),
        ({"margin": "guess"}, DomainError, "margin must be"),
        ({"prob": 1.0}, DomainError, "prob"),
        ({"log": 3}, InputError, "table must be"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        metrics(**options)


def test_a_second_day_beside_a_history() -> None:
    with pytest.raises(DomainError, match="as_of belongs to a log"):
        account_metrics(purchase_history(LOG, as_of=AS_OF), as_of="2024-06-30")


def test_nothing_given_is_changed() -> None:
    log, known = LOG.copy(), ACCOUNTS.copy()
    account_metrics(log, known, as_of=AS_OF)
    pd.testing.assert_frame_equal(log, LOG)
    pd.testing.assert_frame_equal(known, ACCOUNTS)


def test_simulated_accounts() -> None:
    made = simulate_accounts(1000, rng=3)
    table = account_metrics(made.transactions, made.accounts, as_of=made.as_of).set_index("customer_id")
    truth = made.truth.set_index("customer_id").loc[table.index]
    net = made.transactions.groupby("customer_id")[["amount", "margin"]].sum().loc[table.index]
    assert (table["revenue_to_date"] >= net["amount"] - 1e-6).all()  # refunds without a purchase are set aside
    assert table["revenue_to_date"].sum() == pytest.approx(net["amount"].sum(), rel=0.002)
    assert table["acv_margin"].sum() / table["acv"].sum() == pytest.approx(
        float(np.average(truth["margin"], weights=table["acv"])), abs=0.01
    )
    alive = truth["alive"].to_numpy()
    growing = truth["growing"].to_numpy()
    started = growing & (truth["growth_starts"] < made.as_of - pd.Timedelta(days=540)).to_numpy()
    steady = table[alive & ~growing & table["cagr"].notna()]
    hit = ((steady["cagr_lower"] <= 0.0) & (steady["cagr_upper"] >= 0.0)).mean()
    assert 0.85 < hit < 0.98
    assert table["cagr"][alive & started].median() > steady["cagr"].median() + 0.15
    assert table["product_density_change"][alive & started].mean() > steady["product_density_change"].mean() + 0.03
    assert table["product_density"].between(0, 1).all()
