"""Cohorts of new customers: who is new, what they are worth, what they cost, against plain calculations."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import clv_forecast as clv
from clv_forecast import figures
from clv_forecast.errors import DomainError, InputError
from clv_forecast.finance.allowances import reached_with
from clv_forecast.finance.cohorts import COVARIATES, GROUPED, POOLED, Cohorts, cohorts, how_judged
from clv_forecast.finance.newcomers import children_of_known
from clv_forecast.models import bg_nbd
from clv_forecast.ranking.accounts import Accounts
from tests.finance.arrivals import AS_OF, START, arrivals

RATE = 0.10
MARGIN = 0.4
DAYS = 365.2425
ONLINE = 5000.0


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return arrivals(np.random.default_rng(3), 500)


@pytest.fixture(scope="module")
def accounts(log: pd.DataFrame) -> pd.DataFrame:
    return log[["customer_id", "channel"]].drop_duplicates("customer_id")


def history_of(log: pd.DataFrame, accounts: pd.DataFrame | None) -> clv.PurchaseHistory:
    past = log[log["date"] <= AS_OF]
    return clv.purchase_history(past, as_of=AS_OF, customers=accounts, observed_from="2022-04-01", currency="EUR")


@pytest.fixture(scope="module")
def model(log: pd.DataFrame) -> clv.Model:
    return clv.fit(history_of(log, None), compare=False, draws=150)


def forecast_of(model: clv.Model, log: pd.DataFrame, accounts: pd.DataFrame | None, **options: object) -> clv.Forecast:
    history = history_of(log, accounts)
    chosen = {"horizons": ["6 months", "12 months"], "margin": MARGIN, "draws": 150, **options}
    return clv.forecast(model, history, **chosen)


@pytest.fixture(scope="module")
def fc(model: clv.Model, log: pd.DataFrame, accounts: pd.DataFrame) -> clv.Forecast:
    return forecast_of(model, log, accounts, discount_rate_annual=RATE, cost_per_order=2.0, cost_to_serve=3.0)


@pytest.fixture(scope="module")
def plain(model: clv.Model, log: pd.DataFrame, accounts: pd.DataFrame) -> clv.Forecast:
    return forecast_of(model, log, accounts, discount_rate_annual=0.0)


@pytest.fixture(scope="module")
def cost() -> pd.DataFrame:
    rows = [(q, c, a) for q in ("2022Q2", "2022Q4", "2023Q1") for c, a in (("field", 900.0), ("online", ONLINE))]
    return pd.DataFrame(rows, columns=["cohort", "channel", "amount"])


@pytest.fixture(scope="module")
def found(fc: clv.Forecast, cost: pd.DataFrame) -> Cohorts:
    return cohorts(fc, acquisition_cost=cost)


def test_the_value_is_that_of_a_plain_calculation(found: Cohorts, fc: clv.Forecast, log: pd.DataFrame) -> None:
    row = found.table[(found.table["cohort"] == "2022Q4") & (found.table["channel"] == "online")].iloc[0]
    past = log[(log["date"] <= AS_OF) & (log["channel"] == "online")]
    past = past.groupby(["customer_id", "date"], as_index=False)["amount"].sum()
    first = past.groupby("customer_id")["date"].transform("min")
    mine = past[(first >= "2022-10-01") & (first <= "2022-12-31")]
    years = (mine["date"] - first[mine.index]).dt.days / DAYS
    brought = ((1.0 + RATE) ** -years * (MARGIN * mine["amount"] - 2.0)).sum()
    one = fc.customers[fc.customers["horizon"] == "12 months"].set_index("customer_id")
    served, ahead, draws = 0.0, 0.0, np.zeros(150)
    for customer, days in mine.groupby("customer_id")["date"]:
        begin, p = days.min(), one.loc[customer, "p_alive"]
        spans = [((day - begin).days / DAYS) for day in (AS_OF, days.max())]
        there, gone = ((1.0 - (1.0 + RATE) ** -t) / math.log(1.0 + RATE) for t in spans)
        served += 3.0 * (p * there + (1.0 - p) * gone)
        factor = (1.0 + RATE) ** -spans[0]
        ahead += factor * one.loc[customer, "value"]
        draws += factor * fc.value_draws([customer], ["12 months"]).value[:, 0, 0]
    customers = mine["customer_id"].nunique()
    assert row["new_customers"] == customers
    assert row["so_far_per_customer"] == pytest.approx((brought - served) / customers)
    assert row["forecast_per_customer"] == pytest.approx(ahead / customers)
    assert row["total"] == pytest.approx(brought - served + ahead)
    ordered = np.sort(brought - served + draws)
    assert (row["total_lower"], row["total_upper"]) == pytest.approx((ordered[6], ordered[-7]))
    assert row["p_repays_cac"] == np.mean(ordered >= ONLINE)
    assert row["allowable_cac"] == pytest.approx(ordered[30] / customers / 1.2, abs=0.01)
    assert row["cac"] == ONLINE / customers
    assert row["ltv_to_cac"] == pytest.approx(row["total"] / ONLINE)


def test_rows_add_up(found: Cohorts) -> None:
    sums = ["new_customers", "reactivated", "total"]
    whole = found.totals.iloc[0]
    assert (whole["cohort"], whole["channel"]) == ("all", "all")
    np.testing.assert_allclose(found.table[sums].sum(), whole[sums].astype(float))
    for key, other in (("cohort", "channel"), ("channel", "cohort")):
        parts = found.totals[(found.totals[other] == "all") & (found.totals[key] != "all")].set_index(key)
        pd.testing.assert_frame_equal(
            found.table.groupby(key)[sums].sum(), parts[sums].sort_index(), check_like=True, check_dtype=False
        )
    assert whole["new_customers"] + found.already_there + found.children == 500
    assert found.opening == pd.Timestamp("2022-04-01")
    low, high = (whole[f"total_{end}"] for end in ("lower", "upper"))
    assert found.table["total_lower"].sum() < low < high < found.table["total_upper"].sum()  # risk is pooled


def test_all_orders_count_once_without_discount_and_costs(plain: clv.Forecast) -> None:
    whole = cohorts(plain, by=None).totals.iloc[0]
    table = plain.history.table
    new = ~table["already_there"]
    one = plain.customers[plain.customers["horizon"] == "12 months"].reset_index(drop=True)
    assert whole["so_far_per_customer"] == pytest.approx(MARGIN * table["total_revenue"][new].mean())
    assert whole["total"] == pytest.approx(MARGIN * table["total_revenue"][new].sum() + one["value"][new].sum())


def test_payback_agrees_with_the_chance_of_repaying(found: Cohorts) -> None:
    costed = found.table[found.table["acquisition_cost"].notna()]
    assert len(costed) == 6
    repaid = costed["payback_months"].notna()
    assert repaid.any() and not repaid.all()
    assert (repaid | (costed["p_repays_cac"] <= 0.5)).all()
    assert (~repaid | (costed["p_repays_cac"] >= 0.4)).all()  # costs to serve may eat what was repaid
    free = found.table[found.table["acquisition_cost"].isna()]
    needing = ["cac", "ltv_to_cac", "p_repays_cac", "share_repaying", "payback_months"]
    assert free[needing].isna().all().all()
    assert free["allowable_cac"].gt(0.0).all()


def test_payback_grows_with_the_cost_and_begins_with_the_first_orders(fc: clv.Forecast) -> None:
    months, chances, shares = [], [], []
    for amount in (0.0, 500.0, 4000.0, 5000.0, 6000.0, 1e6):
        table = pd.DataFrame({"cohort": ["2022Q3"], "amount": [amount]})
        row = cohorts(fc, acquisition_cost=table, by=None).table.set_index("cohort").loc["2022Q3"]
        months.append(row["payback_months"])
        chances.append(row["p_repays_cac"])
        shares.append(row["share_repaying"])
    assert months[:2] == [0.0, 0.0]
    assert math.isnan(months[-1])
    assert (np.diff(months[:-1]) >= 0.0).all() and months[-2] > 3.0
    assert (np.diff(chances) <= 0.0).all() and (chances[0], chances[-1]) == (1.0, 0.0)
    assert (np.diff(shares) <= 0.0).all() and shares[0] > 0.9 and shares[-1] == 0.0


def test_payback_of_a_known_past_is_read_off_the_log(plain: clv.Forecast, log: pd.DataFrame) -> None:
    past = log[log["date"] <= AS_OF].copy()
    first = past.groupby("customer_id")["date"].transform("min")
    mine = past[(first >= "2022-04-01") & (first <= "2022-06-30")]
    month = np.ceil((mine["date"] - first[mine.index]).dt.days / (DAYS / 12.0) - 1e-9)
    by_age = MARGIN * mine.groupby(month)["amount"].sum().reindex(range(10), fill_value=0.0).cumsum()
    for age in (2, 5, 8):
        table = pd.DataFrame({"cohort": ["2022Q2"], "amount": [0.5 * (by_age[age] + by_age[age - 1])]})
        row = cohorts(plain, acquisition_cost=table, by=None).table.iloc[0]
        assert (row["cohort"], row["payback_months"], row["p_repays_cac"]) == ("2022Q2", age, 1.0)


def test_value_at_equal_age_is_known_where_it_is_past(found: Cohorts, fc: clv.Forecast) -> None:
    table = found.table.set_index(["cohort", "channel"])
    old, young = table.loc[("2022Q2", "field")], table.loc[("2023Q2", "field")]
    # a year has a quarter of a day more than the 365 days in which its last customer was seen
    ends = old[["equal_age_lower", "equal_age_upper"]].astype(float)
    np.testing.assert_allclose(ends, old["value_at_equal_age"], rtol=1e-4)
    assert old["value_at_equal_age"] < old["value_per_customer"]
    assert young["equal_age_lower"] < young["value_at_equal_age"] < young["equal_age_upper"]
    assert young["so_far_per_customer"] < young["value_at_equal_age"] < young["value_per_customer"]
    at_age = found.same_age[(found.same_age["age_months"] == 12) & (found.same_age["channel"] == "field")]
    whole = at_age.set_index("cohort").loc["2022Q2", "contribution_per_customer"]
    assert 0.0 <= old["value_at_equal_age"] - whole < 3.0  # those who left were served for less than a year


def test_monotone_in_return_and_confidence(fc: clv.Forecast) -> None:
    allowed = [cohorts(fc, target_roi=roi).table["allowable_cac"] for roi in (0.0, 0.2, 1.0)]
    assert (allowed[0] > allowed[1]).all() and (allowed[1] > allowed[2]).all()
    surer = [cohorts(fc, confidence=c).table["allowable_cac"] for c in (0.5, 0.8, 0.95)]
    assert (surer[0] >= surer[1]).all() and (surer[1] >= surer[2]).all() and (surer[0] > surer[2]).all()


def test_levels_give_the_allowance_at_any_stored_confidence(found: Cohorts, fc: clv.Forecast) -> None:
    other = cohorts(fc, confidence=0.95, target_roi=0.5)
    expected = np.floor(found.levels["reached_95"].clip(lower=0.0) / 1.5 * 100.0 + 1e-9) / 100.0
    np.testing.assert_allclose(other.table["allowable_cac"], expected)
    assert found.levels[["cohort", "channel"]].equals(found.table[["cohort", "channel"]])


def test_the_allowance_is_reached_in_the_stated_share_of_draws() -> None:
    draws = np.random.default_rng(1).normal(100.0, 30.0, 997)
    for confidence in (0.5, 0.8, 0.95, 0.999):
        level = reached_with(draws, confidence)
        assert np.mean(draws >= level) >= confidence
        assert np.mean(draws > level) < confidence


def test_rows_of_the_log_in_any_order_and_text_ids(
    model: clv.Model, log: pd.DataFrame, accounts: pd.DataFrame, found: Cohorts
) -> None:
    text = log.assign(customer_id="c" + log["customer_id"].astype(str))
    kinds = accounts.assign(customer_id="c" + accounts["customer_id"].astype(str))
    one = cohorts(forecast_of(model, text, kinds))
    other = cohorts(forecast_of(model, text.sort_values(["amount"]), kinds.iloc[::-1]))
    pd.testing.assert_frame_equal(one.table, other.table)
    pd.testing.assert_frame_equal(one.same_age, other.same_age)
    same = ["cohort", "channel", "new_customers", "reactivated"]
    pd.testing.assert_frame_equal(one.table[same], found.table[same])


def test_horizon_period_and_split(fc: clv.Forecast, found: Cohorts) -> None:
    short = cohorts(fc, horizon="6 months", period="year", by=None)
    assert short.table["cohort"].tolist() == ["2022", "2023"]
    assert short.table["channel"].tolist() == ["all", "all"]
    assert short.table["complete"].tolist() == [False, False]
    assert (len(short.totals), short.by, found.by) == (1, None, "channel")
    assert short.totals["total"].iloc[0] < found.totals["total"].iloc[0]
    assert (
        short.table["new_customers"]
        == [
            (found.table["cohort"] < "2023").dot(found.table["new_customers"]),
            (found.table["cohort"] > "2023").dot(found.table["new_customers"]),
        ]
    ).all()
    monthly = cohorts(fc, period="month", by=None)
    assert monthly.table["cohort"].iloc[[0, -1]].tolist() == ["2022-04", "2023-06"]
    assert monthly.table["complete"].all()


def test_refuses_bands_that_failed(fc: clv.Forecast) -> None:
    year = fc.customers["horizon"] == "12 months"
    bad = dataclasses.replace(fc, customers=fc.customers.assign(evidence=np.where(year, "failed", "backtested")))
    assert len(cohorts(bad, horizon="6 months").table)
    with pytest.raises(InputError, match=r"bands over 12 months to fail.*accept_failed"):
        cohorts(bad)
    assert cohorts(bad, accept_failed=True).notes[-1].startswith("A backtest found")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"period": "week"}, "period must be one of month, quarter, year"),
        ({"by": "region"}, "'region' is not a column"),
        ({"horizon": "24 months"}, "horizons"),
        ({"target_roi": -1.0}, "target_roi must be above -1"),
        ({"confidence": 80}, "confidence"),
        ({"measure": "margin"}, "measure must be one of"),
        ({"pause": 12}, "A horizon is text"),
        ({"prob": 1.5}, "prob"),
    ],
)
def test_wrong_arguments(fc: clv.Forecast, options: dict[str, object], words: str) -> None:
    with pytest.raises(DomainError, match=words):
        cohorts(fc, **options)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"cohort": ["2022Q2"]}, "needs the columns"),
        ({"cohort": ["2022Q2"], "amount": [-1.0]}, "not negative"),
        ({"cohort": ["2022Q2"], "amount": [None]}, "not negative"),
        ({"cohort": ["2022Q2", "2022Q2 "], "amount": [1.0, 2.0]}, "one row per cohort"),
        ({"cohort": ["2022-Q2"], "amount": [1.0]}, "Every cohort .*2022-Q2"),
        ({"cohort": ["2023Q3"], "amount": [1.0]}, "Every cohort .*2023Q3"),
        ({"cohort": ["2022Q2"], "channel": ["feild"], "amount": [1.0]}, "Every channel .*feild.*Known: field, online"),
    ],
)
def test_wrong_costs(fc: clv.Forecast, table: dict[str, list[object]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        cohorts(fc, acquisition_cost=pd.DataFrame(table))


def test_costs_are_summed_where_all_parts_are_known(fc: clv.Forecast, found: Cohorts, cost: pd.DataFrame) -> None:
    sums = found.totals.set_index(["cohort", "channel"])["acquisition_cost"]
    assert sums[("2022Q4", "all")] == 900.0 + ONLINE
    assert math.isnan(sums[("2022Q3", "all")]) and math.isnan(sums[("all", "field")]) and math.isnan(sums["all", "all"])
    together = cohorts(fc, acquisition_cost=cost, by=None)
    assert together.table.set_index("cohort")["acquisition_cost"].dropna().to_dict() == {
        "2022Q2": 900.0 + ONLINE, "2022Q4": 900.0 + ONLINE, "2023Q1": 900.0 + ONLINE,
    }  # fmt: skip
    of_cohorts = cohorts(fc, acquisition_cost=cost.groupby("cohort", as_index=False)["amount"].sum())
    assert of_cohorts.table["acquisition_cost"].isna().all()
    split = of_cohorts.totals.set_index(["cohort", "channel"])
    assert split.loc[("2022Q4", "all"), "acquisition_cost"] == 900.0 + ONLINE
    pd.testing.assert_series_equal(
        split.loc[("2022Q4", "all")], found.totals.set_index(["cohort", "channel"]).loc[("2022Q4", "all")]
    )
    assert any("not split by channel" in note for note in of_cohorts.notes)


def test_costs_before_the_opening_are_told_and_left_out(fc: clv.Forecast) -> None:
    table = pd.DataFrame({"cohort": ["2021Q4", "2022Q1", "2022Q2"], "amount": [100.0, 50.0, 7.0]})
    early = cohorts(fc, acquisition_cost=table, by=None)
    assert early.table["acquisition_cost"].dropna().tolist() == [7.0]
    assert any("150.00 in 2 earlier cohorts are left out" in note for note in early.notes)


def test_money_spent_where_nobody_came_counts(model: clv.Model) -> None:
    log = arrivals(np.random.default_rng(5), 60)
    first = log.groupby("customer_id")["date"].transform("min")
    log = log[(first < "2022-07-01") | (first >= "2022-10-01")]
    fc = forecast_of(model, log, None)
    table = pd.DataFrame({"cohort": ["2022Q2", "2022Q3", "2022Q4", "2023Q1", "2023Q2"], "amount": 10.0})
    found = cohorts(fc, acquisition_cost=table)
    empty = found.table.set_index("cohort").loc["2022Q3"]
    assert (empty["new_customers"], empty["total"], empty["p_repays_cac"]) == (0, 0.0, 0.0)
    assert math.isnan(empty["cac"]) and math.isnan(empty["value_per_customer"])
    assert found.totals["acquisition_cost"].iloc[0] == 50.0
    assert any("spent where nobody came" in note for note in found.notes)


def test_the_models_groups_are_told(fc: clv.Forecast, found: Cohorts) -> None:
    assert found.judged_by == POOLED
    assert found.table["judged_by"].eq(POOLED).all()
    assert "pools all customers" in found.notes[0]

    def judged(cell: list[int], *, shared: bool = True) -> str:
        new = SimpleNamespace(rows=np.arange(4), cohort=np.array([0, 0, 1, 1]), channel=np.array([0, 1, 0, 1]))
        part = SimpleNamespace(parameters=SimpleNamespace(cell=np.array(cell), is_shared=shared))
        return how_judged(SimpleNamespace(parts=(part,)), new)

    assert judged([0, 0, 0, 0]) == POOLED
    assert judged([0, 0, 1, 1]) == GROUPED  # by cohort
    assert judged([0, 1, 0, 1]) == GROUPED  # by channel
    assert judged([0, 1, 2, 3]) == GROUPED
    assert judged([0, 1, 1, 0]) == POOLED  # by something else
    assert judged([0, 1, 2, 3], shared=False) == COVARIATES


def small_log() -> pd.DataFrame:
    rows = [
        ("old", "2020-01-10"), ("old", "2020-05-01"), ("old", "2022-02-01"), ("old", "2022-02-20"),
        ("steady", "2020-01-01"), ("steady", "2020-12-01"), ("steady", "2021-11-20"),
        ("child of old", "2021-03-01"), ("grandchild", "2021-04-01"), ("twin", "2021-05-05"),
        ("twin's child", "2021-05-05"),
        ("own parent", "2021-06-01"), ("stranger's child", "2021-06-02"), ("early child", "2021-02-01"),
        ("late parent", "2021-07-01"), ("late parent", "2022-07-02"), ("child back", "2021-01-15"),
        ("child back", "2022-06-15"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["customer_id", "date"]).assign(amount=10.0)
    return table.sample(frac=1.0, random_state=4)


PARENTS = {
    "child of old": "old", "grandchild": "child of old", "twin's child": "twin", "own parent": "own parent",
    "stranger's child": "nobody", "early child": "late parent", "child back": "old",
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(model: clv.Model) -> clv.Forecast:
    log = small_log()
    accounts = pd.DataFrame({"customer_id": log["customer_id"].unique()})
    accounts["parent_id"] = accounts["customer_id"].map(PARENTS)
    history = clv.purchase_history(log, as_of="2022-12-31", customers=accounts)
    return clv.forecast(model, history, draws=100, horizons=["12 months"])


def test_who_is_new_who_came_back_and_who_is_left_out(tiny: clv.Forecast) -> None:
    found = cohorts(tiny)
    assert (found.opening, found.already_there, found.children) == (pd.Timestamp("2021-01-01"), 2, 3)
    rows = found.table.set_index("cohort")
    assert rows["new_customers"].to_dict() == {"2021Q1": 1, "2021Q2": 4, "2021Q3": 1, "2022Q1": 0, "2022Q3": 0}
    assert rows["reactivated"].to_dict() == {"2021Q1": 0, "2021Q2": 0, "2021Q3": 0, "2022Q1": 1, "2022Q3": 1}
    assert cohorts(tiny, pause="15 months").table["reactivated"].sum() == 1
    yearly = cohorts(tiny, pause="1 week", period="year").table.set_index("cohort")["reactivated"]
    assert yearly.to_dict() == {"2021": 1, "2022": 2}  # once a year, however often; children of known parents never


def test_everybody_already_there(tiny: clv.Forecast) -> None:
    all_old = dataclasses.replace(tiny.history, table=tiny.history.table.assign(already_there=True))
    with pytest.raises(InputError, match="Nobody is new"):
        cohorts(dataclasses.replace(tiny, history=all_old))


def test_parents_in_a_circle_end() -> None:
    table = pd.DataFrame({"customer_id": [1, 2, 3], "parent_id": [2, 1, 2]})
    days = pd.to_datetime(pd.Series(["2021-01-01", "2021-01-01", "2021-02-01"]))
    assert children_of_known(Accounts(table=table), days).tolist() == [False, False, True]


def test_same_age_takes_whole_cohorts_only(found: Cohorts, fc: clv.Forecast, log: pd.DataFrame) -> None:
    rows = found.same_age[found.same_age["channel"] == "all"]
    seen = {age: some["cohort"].tolist() for age, some in rows.groupby("age_months")}
    assert seen == {
        1: ["2022Q2", "2022Q3", "2022Q4", "2023Q1"],
        3: ["2022Q2", "2022Q3", "2022Q4", "2023Q1"],
        6: ["2022Q2", "2022Q3"],  # 2022-12-31 is 181 days back, half a year is 182
        12: ["2022Q2"],
    }
    revenue = cohorts(fc, measure="revenue", by=None).same_age
    past = log[log["date"] <= AS_OF]
    first = past.groupby("customer_id")["date"].transform("min")
    mine = past[(first >= "2022-07-01") & (first <= "2022-09-30")]
    age = (mine["date"] - first[mine.index]).dt.days
    kept = mine[age <= DAYS / 2.0]
    expected = ((1.0 + RATE) ** (-age[kept.index] / DAYS) * kept["amount"]).sum() / mine["customer_id"].nunique()
    row = revenue[(revenue["cohort"] == "2022Q3") & (revenue["age_months"] == 6)].iloc[0]
    assert row["revenue_per_customer"] == pytest.approx(expected)
    first_rows = found.same_age.groupby(["age_months", "channel"]).head(1)
    assert first_rows[["earlier", "p_better"]].isna().all().all()
    others = found.same_age.drop(first_rows.index)
    assert others["p_better"].between(0.0, 1.0).all() and others["earlier"].notna().all()


def test_a_young_log_has_nothing_to_compare(model: clv.Model, log: pd.DataFrame) -> None:
    early = log[log["date"] < "2022-04-20"]
    history = clv.purchase_history(early, as_of="2022-04-20", observed_from=START)
    fc = clv.forecast(model, history, draws=100, horizons=["12 months"])
    found = cohorts(fc)
    assert found.same_age.empty
    assert "p_better" in found.same_age.columns
    assert any("nothing to compare" in note for note in found.notes)


def test_what_cannot_be_judged(fc: clv.Forecast, model: clv.Model) -> None:
    with pytest.raises(InputError, match="made from a summary"):
        cohorts(dataclasses.replace(fc, history=dataclasses.replace(fc.history, events=None)))
    single = pd.DataFrame({"customer_id": fc.customer_ids, "tax number": np.arange(500)})
    with pytest.raises(DomainError, match=r"at most 100 channels.*tax number has 500"):
        cohorts(fc, accounts=single, by="tax number")
    silent = clv.fit(fc.history, spend=None, compare=False, draws=100)
    with pytest.raises(DomainError, match="needs a spend part"):
        cohorts(clv.forecast(silent, fc.history, draws=100, horizons=["12 months"]))


def test_another_table_of_accounts_splits_by_its_own_column(fc: clv.Forecast, found: Cohorts) -> None:
    kinds = pd.DataFrame({"customer_id": np.arange(400), "size": np.where(np.arange(400) < 90, "large", "small")})
    other = cohorts(fc, accounts=kinds, by="size")
    assert other.by == "size"
    assert set(other.table["channel"]) == {"large", "small", "(missing)"}
    assert other.totals["total"].iloc[0] == pytest.approx(found.totals["total"].iloc[0])
    assert any("no row in the customers' table" in note for note in other.notes)


def test_a_model_that_does_not_describe_newcomers_is_told(
    fc: clv.Forecast, found: Cohorts, model: clv.Model, log: pd.DataFrame
) -> None:
    whole = found.totals.iloc[0]
    assert 0.8 < whole["repeat_ratio"] < 1.25
    assert not any("does not describe newcomers" in note for note in found.notes)
    table, plan = fc.history.table, fc.plan
    rows = np.flatnonzero(~table["already_there"])
    params = dataclasses.asdict(plan.parts[0].purchases_of_cell(0))
    draws = bg_nbd.Params(**{name: np.asarray(field)[:40] for name, field in params.items()})
    each = bg_nbd.expected_purchases_new(draws, horizon=table["T"].to_numpy()[None, rows]).mean(axis=0)
    assert whole["repeat_ratio"] == pytest.approx(table["frequency"][rows].sum() / each.sum())
    again = log["date"] > log.groupby("customer_id")["date"].transform("min")
    rarely = log[~again | (np.arange(len(log)) % 3 == 0)]
    told = cohorts(forecast_of(model, rarely, None))
    assert 0.2 < told.totals["repeat_ratio"].iloc[0] < 0.5
    assert "does not describe newcomers, and their forecast is likely too high" in told.notes[0]


def test_the_figures_take_the_tables(found: Cohorts) -> None:
    for ax in (
        figures.draw_cohorts(found.table, ax=Figure().subplots()),
        figures.draw_same_age(found.same_age, age_months=3, ax=Figure().subplots()),
    ):
        assert ax.has_data()


def test_words(found: Cohorts) -> None:
    text = str(found)
    assert text.startswith(f"{int(found.totals['new_customers'].iloc[0]):,} new customers since 2022-04-01")
    assert "they might have cost up to" in text
    assert repr(found).endswith("new customers in 5 quarters>")
    assert any("had more time" in note for note in found.notes)
