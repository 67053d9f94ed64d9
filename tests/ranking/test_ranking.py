"""The ranking: joint draws that add up, orders as asked, and the worked examples as numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking import joint_draws
from clv_forecast.ranking.joint_draws import draw_matrix, rank_draws
from clv_forecast.ranking.ranking_table import choose_order, ranks_of, sensitivity_table
from tests.ranking.conftest import Base


def accounts_with(base: Base, **columns) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": base.history.table["customer_id"], **columns})


def test_the_contract_s_columns_are_there(ranking: clv.Ranking) -> None:
    wanted = [
        "rank",
        "rank_lower",
        "rank_upper",
        "p_top",
        "top_k",
        "customer_id",
        "current_revenue",
        "value",
        "wallet",
        "wallet_lower",
        "wallet_upper",
        "wallet_source",
        "share_of_wallet",
        "headroom",
        "readiness",
        "potential_value",
        "referral_value",
        "adjusted_value",
        "adjusted_lower",
        "adjusted_upper",
        "value_class",
        "potential_class",
        "cell",
        "p_cell",
        "model_fit",
        "reason",
        "horizon",
        "as_of",
        "currency",
    ]
    assert set(wanted) <= set(ranking.table.columns)
    assert ranking.table["rank"].is_monotonic_increasing
    assert ranking.table["customer_id"].is_unique


def test_sums_and_bands(base: Base, ranking: clv.Ranking) -> None:
    table = ranking.table
    total = (table["value"] + table["potential_value"]).to_numpy()
    assert table["adjusted_value"].to_numpy() == pytest.approx(total)
    assert (table["adjusted_lower"] <= table["adjusted_upper"]).all()
    assert (table["rank_lower"] <= table["rank_upper"]).all()
    assert table["p_top"].sum() == pytest.approx(40.0)
    assert ((table["p_top"] >= 0.0) & (table["p_top"] <= 1.0)).all()
    probabilities = ranking.matrix["expected_accounts"]
    assert probabilities.sum() == pytest.approx(len(table)) and ranking.matrix["accounts"].sum() == len(table)
    assert ranking.matrix["value"].sum() == pytest.approx(table["value"].sum())
    assert ranking.matrix["headroom"].sum() == pytest.approx(table["headroom"].sum())
    goals = ranking.goals
    earns = base.potential.outlook.contribution > 0.0
    assert goals["goal"].iloc[0] == pytest.approx(base.potential.table.loc[earns, "potential_revenue"].sum())
    assert goals["goal"].iloc[1:].sum() == pytest.approx(goals["goal"].iloc[0])
    assert (goals["goal_lower"] <= goals["goal_upper"]).all()


def test_draws_of_the_adjusted_value_have_its_mean(base: Base) -> None:
    """Means of joint draws against the table's closed forms, by the width of a band that holds everything."""
    first = clv.rank(base.forecast, potential=base.potential, draws=300).table.set_index("customer_id")
    drawn = base.forecast.value_draws(first.index.tolist(), ["12 months"]).value[:, :, 0]
    assert drawn.mean() == pytest.approx(first["value"].mean(), rel=0.03)
    inside = (first["value_lower"].to_numpy()[:, None] <= drawn.T) & (
        first["value_upper"].to_numpy()[:, None] >= drawn.T
    )
    assert inside.mean() > 0.89


def test_blocks_and_files_change_no_number(base: Base, ranking: clv.Ranking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_draws, "MOST_BYTES_IN_MEMORY", 1000)
    monkeypatch.setattr(joint_draws, "_COLUMNS_AT_ONCE", 37)
    again = clv.rank(base.forecast, potential=base.potential, top_k=40, draws=300)
    pd.testing.assert_frame_equal(again.table, ranking.table)
    pd.testing.assert_frame_equal(again.goals, ranking.goals)


def test_a_matrix_in_a_file_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_draws, "MOST_BYTES_IN_MEMORY", 10)
    with draw_matrix(3, 4) as matrix:
        assert isinstance(matrix, np.memmap)
        path = matrix.filename
        matrix[:] = 1.0
    assert not path.exists()


@pytest.mark.parametrize("order_by", ["mean", "lower", "p_top", "carried", "stack"])
def test_orders(base: Base, order_by: str) -> None:
    found = clv.rank(base.forecast, potential=base.potential, order_by=order_by, top_k=40, draws=100)
    assert found.order.by == order_by and found.table["score"].is_monotonic_decreasing
    column = {"mean": "adjusted_value", "lower": "adjusted_lower", "p_top": "p_top"}.get(order_by)
    if column:
        assert (found.table["score"] == found.table[column]).all()
    if order_by == "carried":
        carried = found.table["current_revenue"] / found.table["score"]
        assert carried[found.table["score"] > 0].notna().all()


def test_auto_follows_the_look_back(base: Base) -> None:
    check = base.potential.check
    assert choose_order("auto", None).by == "mean"
    assert choose_order("auto", check).by in (("carried", "stack") if check.carrying_wins else ("mean",))
    table = check.table.copy()
    table.loc[table["order"] == "value carried forward", "capture"] = 0.99
    ahead = dataclasses.replace(check, table=table, carried_leads=0.7)
    assert not ahead.carrying_wins and "not by more than chance" in ahead.sentence
    won = dataclasses.replace(check, table=table, carried_leads=0.95)
    order = choose_order("auto", won)
    assert won.carrying_wins and order.by == "carried"
    assert order.why.startswith("Carrying the last value forward wins on this base")
    ranking = clv.rank(base.forecast, potential=dataclasses.replace(base.potential, check=won), draws=100)
    assert ranking.notes[0] == order.why and ranking.order.by == "carried"
    with pytest.raises(DomainError, match="needs a look back"):
        choose_order("stack", None)
    with pytest.raises(DomainError, match="order_by must be one of"):
        choose_order("size", None)


def test_ranks_of_ties_and_unknowns() -> None:
    assert ranks_of(np.full(4, 3.0)).tolist() == [1, 1, 1, 1]
    nothing = np.zeros((100, 5), dtype=np.float32)
    found = rank_draws(nothing.copy(), np.ones(5), top_k=2, prob=0.9)
    assert found.p_top == pytest.approx(np.full(5, 0.4))
    assert (found.lower == 1).all() and (found.upper == 1).all()
    found = rank_draws(nothing, np.array([1.0, 5.0, 3.0, 3.0, 2.0]), top_k=2, prob=0.9)  # as they stand by their means
    assert found.lower.tolist() == found.upper.tolist() == [5, 1, 2, 2, 4]
    assert found.p_top.tolist() == [0.0, 1.0, 0.5, 0.5, 0.0]


def test_every_rank_lies_in_its_band(base: Base, ranking: clv.Ranking) -> None:
    for found in (ranking, clv.rank(base.forecast, order_by="p_top", draws=100, top_k=20)):
        table = found.table
        assert table["rank"].between(table["rank_lower"], table["rank_upper"]).all()
        assert table["p_top"].sum() == pytest.approx(table["top_k"].iloc[0])


def test_rank_draws_against_a_plain_computation() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(500, 30)).astype(np.float32) + np.linspace(0.0, 2.0, 30, dtype=np.float32)
    ranks = (-values).argsort(axis=1).argsort(axis=1) + 1
    found = rank_draws(values.copy(), np.zeros(30), top_k=5, prob=0.9)
    assert found.p_top == pytest.approx((ranks <= 5).mean(axis=0))
    inside = (found.lower <= ranks) & (ranks <= found.upper)
    assert (inside.mean(axis=0) >= 0.9).all() and inside.mean() < 0.99


def test_equal_accounts_share_a_rank() -> None:
    days = pd.date_range("2023-01-01", "2024-12-01", freq="MS")
    log = pd.DataFrame(
        [(name, day, 50.0) for name in ("a", "b", "c") for day in days], columns=["customer_id", "date", "amount"]
    )
    others = clv.purchase_history(clv.simulate_accounts(200, rng=1).transactions, as_of="2024-12-31")
    history = clv.purchase_history(log, as_of="2024-12-31")
    fc = clv.forecast(clv.fit(others, compare=False), history, horizons=["12 months"], draws=200)
    found = clv.rank(fc, draws=200, top_k=1)
    assert found.table["rank"].tolist() == [1, 1, 1]
    assert found.table["p_top"].sum() == pytest.approx(1.0)
    assert found.table["cell"].isna().all() and found.matrix["accounts"].iloc[-1] == 3  # no potential, no cell


def test_referral_credit_is_shown_and_added_only_when_named(base: Base, ranking: clv.Ranking) -> None:
    own = ranking.table.set_index("customer_id")
    assert any("shown and not added" in note for note in ranking.notes)
    credited = clv.rank(base.forecast, potential=base.potential, referral_credit=(1.0, 0.5), draws=300, top_k=40)
    table = credited.table.set_index("customer_id").loc[own.index]
    added = table["adjusted_value"] - own["adjusted_value"]
    assert added.to_numpy() == pytest.approx(table["referral_value"].to_numpy(), abs=1e-6)
    assert (added.abs() > 0).sum() > 5
    assert table["value"].sum() == own["value"].sum()  # a portfolio's total never holds it
    assert (table["adjusted_upper"][added > 1000] > own["adjusted_upper"][added > 1000]).all()


def test_referral_errors_reach_the_user(base: Base) -> None:
    ids = base.history.table["customer_id"].tolist()
    circle = accounts_with(base, referred_by=[ids[1], ids[0]] + [None] * (len(ids) - 2))
    with pytest.raises(InputError, match="circle"):
        clv.rank(base.forecast, accounts=circle, draws=100)
    stranger = accounts_with(base, referred_by=["nobody"] + [None] * (len(ids) - 1))
    notes = " ".join(clv.rank(base.forecast, accounts=stranger, draws=100).notes)
    assert "nobody" in notes or "outside" in notes or "not in the base" in notes
    with pytest.raises(DomainError, match="referral_credit"):
        clv.rank(base.forecast, referral_credit=2.0, draws=100)


def test_high_revenue_at_a_loss_ranks_below_small_and_profitable(base: Base) -> None:
    ids = base.history.table["customer_id"]
    big = base.potential.table["annual_revenue"].to_numpy().argmax()
    small = int(np.argsort(np.abs(base.potential.table["annual_revenue"].to_numpy() - 5000.0))[0])
    margins = accounts_with(base, rate=np.where(np.arange(len(ids)) == big, -0.05, 0.3))
    history = clv.purchase_history(base.sim.transactions, as_of=base.sim.as_of, customers=margins)
    fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], margin="rate", draws=100)
    table = clv.rank(fc, draws=100).table.set_index("customer_id")
    assert table.loc[ids[big], "rank"] > table.loc[ids[small], "rank"]
    assert table.loc[ids[big], "current_revenue"] > 10 * table.loc[ids[small], "current_revenue"]
    assert "expected to lose money" in table.loc[ids[big], "reason"]


def test_equal_value_and_different_potential_have_different_cells_and_goals(base: Base) -> None:
    """Two accounts alike in all but the wallet that the business knows."""
    twin = base.sim.transactions[base.sim.transactions["customer_id"] == base.history.table["customer_id"][3]]
    log = pd.concat([base.sim.transactions, twin.assign(customer_id="twin")])
    wallets = pd.DataFrame({"customer_id": [*base.history.table["customer_id"], "twin"], "wallet": np.nan})
    wallets.loc[3, "wallet"], wallets.loc[len(wallets) - 1, "wallet"] = 1e4, 5e6
    rest = wallets["wallet"].isna()
    wallets.loc[rest, "wallet"] = np.linspace(2e4, 4e5, rest.sum())
    history = clv.purchase_history(log, as_of=base.sim.as_of, customers=wallets)
    fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    table = clv.rank(fc, potential=clv.potential(history, fc), order_by="mean", draws=100).table
    table = table.set_index("customer_id")
    one, other = table.loc[base.history.table["customer_id"][3]], table.loc["twin"]
    assert one["current_revenue"] == other["current_revenue"] and one["value"] == pytest.approx(other["value"])
    assert one["cell"] != other["cell"] and other["potential_revenue"] > one["potential_revenue"]
    assert other["rank"] < one["rank"]


def test_sensitivity_names_who_enters_and_leaves() -> None:
    ids = pd.Series(["a", "b", "c"])
    found = sensitivity_table(ids, np.array([100.0, 99.0, 50.0]), np.array([0.0, 10.0, 0.0]), top_k=1)
    assert found["customer_id"].tolist() == ["a", "b"]
    assert found["top_changes"].tolist() == ["leaves the first 1 if more", "enters the first 1 if more"]
    assert found.loc[0, ["rank", "rank_if_less", "rank_if_more"]].tolist() == [1, 1, 2]


def test_axes_of_the_matrix(base: Base) -> None:
    rule = clv.MatrixRule(
        value=(20_000.0,), potential=(1e5,), by="money", value_axis="current_revenue", potential_axis="headroom"
    )
    found = clv.rank(base.forecast, potential=base.potential, matrix=rule, draws=100)
    table = found.table
    assert ((table["value_class"] == "high") == (table["current_revenue"] > 20_000.0)).all()
    assert ((table["potential_class"] == "high") == (table["headroom"] > 1e5)).all()
    assert (table["p_cell"] > 0.3).mean() > 0.9
    with pytest.raises(DomainError, match="axis of the matrix"):
        clv.rank(base.forecast, matrix=clv.MatrixRule(value_axis="rank"), draws=100)


def test_grades_come_along(base: Base, ranking: clv.Ranking) -> None:
    grading = clv.Grading(weights={"value": 2.0, "potential_value": 1.0, "p_alive": 1.0})
    found = clv.rank(base.forecast, potential=base.potential, grading=grading, draws=100)
    assert set(found.table["grade"].dropna()) <= {"A", "B", "C", "D"} and found.table["grade"].notna().any()
    best = found.table.loc[found.table["grade_score"].idxmax()]
    assert best["grade"] == "A" and best["rank"] < 60


def test_bad_arguments(base: Base) -> None:
    with pytest.raises(DomainError, match="draws must be"):
        clv.rank(base.forecast, draws=10)
    with pytest.raises(DomainError, match="horizons"):
        clv.rank(base.forecast, horizon="5 years")
    with pytest.raises(DomainError, match="equally far"):
        clv.rank(base.forecast, potential=base.potential, horizon="6 months")
    with pytest.raises(DomainError, match="top_k"):
        clv.rank(base.forecast, top_k=0)


def test_reasons_are_plain_sentences(base: Base, ranking: clv.Ranking) -> None:
    reasons = ranking.table["reason"]
    assert reasons.str.match(
        r"^[\d,]+(st|nd|rd|th) by value(, [\d,]+(st|nd|rd|th)| and) (with potential|in this order)"
    ).all()
    assert reasons.str.endswith(".").all()
    assert reasons.str.contains(r"buys \d+ of 7 categories").mean() > 0.5
    assert reasons.str.contains("reachable revenue with us|wallet").all()
    assert "by mean" in str(ranking) or ranking.order.by in str(ranking)


@pytest.mark.slow
def test_it_reads_a_summary_without_orders() -> None:
    table = pd.DataFrame(
        {
            "customer_id": range(30),
            "frequency": [3] * 30,
            "recency": np.linspace(5.0, 40.0, 30),
            "T": 45.0,
            "monetary_value": np.linspace(10.0, 90.0, 30),
        }
    )
    history = clv.history_from_summary(table, unit="week", as_of="2024-12-31")
    others = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30", unit="week")
    model = clv.fit(others, spend_from="repeat", compare=False)
    fc = clv.forecast(model, history, horizons=["12 months"], draws=100)
    found = clv.rank(fc, draws=100)
    assert "current_revenue" not in found.table and len(found.table) == 30
    with pytest.raises(DomainError, match="no orders to carry"):
        clv.rank(fc, order_by="carried", draws=100)


def test_cost_to_serve_is_carried_too(base: Base) -> None:
    ids = base.history.table["customer_id"]
    big = int(base.potential.table["annual_revenue"].to_numpy().argmax())
    dear = accounts_with(base, serve=np.where(np.arange(len(ids)) == big, 5e6, 0.0))
    history = clv.purchase_history(base.sim.transactions, as_of=base.sim.as_of, customers=dear)
    fc = clv.forecast(
        clv.fit(history, compare=False), history, horizons=["12 months"], cost_to_serve="serve", draws=100
    )
    for order_by in ("mean", "carried"):
        table = clv.rank(fc, order_by=order_by, draws=100).table.set_index("customer_id")
        assert table.loc[ids[big], "rank"] == len(ids)


@pytest.mark.slow
def test_terms_and_lengths_must_agree(base: Base) -> None:
    model = clv.fit(base.history, compare=False, draws=200)
    other = clv.forecast(model, base.history, horizons=["12 months"], margin=-0.2, draws=100)
    with pytest.raises(DomainError, match="same margins, costs and discount"):
        clv.rank(other, potential=base.potential, draws=100)
    short = clv.forecast(model, base.history, horizons=["lifetime"], lifetime_years=1.0, margin="margin", draws=100)
    found = clv.potential(base.history, short, horizon="lifetime")
    assert found.years == 1.0


@pytest.mark.slow
def test_nothing_came_so_no_order_is_judged(base: Base) -> None:
    late = clv.purchase_history(base.sim.transactions, as_of="2027-12-31", customers=base.sim.accounts)
    fc = clv.forecast(clv.fit(base.history, compare=False), late, horizons=["12 months"], draws=100)
    found = clv.potential(late, fc, source="peers")
    assert "no order can be judged" in found.check.sentence and not found.check.carrying_wins
    assert clv.rank(fc, potential=found, draws=100).order.by == "mean"


@pytest.mark.slow
def test_a_stack_s_concentration_is_of_all_its_models(base: Base) -> None:
    models = [clv.fit(base.history, purchases=name, compare=False, draws=200) for name in ("bg_nbd", "mbg_nbd")]
    single, both = (
        clv.rank(clv.forecast(made, base.history, horizons=["12 months"], draws=400), draws=400)
        for made in (models[0], clv.stack(models, [0.5, 0.5]))
    )
    totals = [ranking.concentration["total"].iloc[-1] for ranking in (single, both)]
    assert totals[0] != totals[1]
    assert totals[1] == pytest.approx(both.table["value"].sum(), rel=0.02)
