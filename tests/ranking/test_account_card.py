"""The account card: every number on it is one of the tables, and what is not known is absent."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import clv_forecast as clv
from clv_forecast.errors import DomainError
from clv_forecast.figures.account_card import draw_account_card
from clv_forecast.history.net_lines import category_revenue
from clv_forecast.ranking.account_card import AccountCard
from clv_forecast.ranking.account_months import MOST_MONTHS, account_months
from clv_forecast.report.card import card
from tests.ranking.conftest import Base

HORIZON = "12 months"


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def by_fact(found: AccountCard) -> pd.DataFrame:
    return found.facts.set_index("fact")


def with_headroom(ranking: clv.Ranking, *, given: bool) -> str:
    table = ranking.table
    chosen = table[
        (table["headroom"] > 0.0) & ((table["wallet_source"] == "given") == given) & (table["p_alive"] > 0.5)
    ]
    return chosen["customer_id"].iloc[0]


@pytest.fixture(scope="module")
def first(base: Base, ranking: clv.Ranking) -> AccountCard:
    return card(ranking, base.forecast, ranking.table["customer_id"].iloc[0], potential=base.potential)


@pytest.mark.parametrize("given", [True, False])
def test_numbers_are_those_of_the_tables(base: Base, ranking: clv.Ranking, given: bool) -> None:
    account = with_headroom(ranking, given=given)
    found = card(ranking, base.forecast, account, potential=base.potential)
    row = ranking.table.set_index("customer_id").loc[account]
    forecast = base.forecast.customers.query("horizon == @HORIZON").set_index("customer_id").loc[account]
    facts = by_fact(found)
    name = "wallet, a year" if given else "reachable revenue with us, a year"
    expected = {
        "revenue of the last 12 months": row["current_revenue"],
        f"revenue, next {HORIZON}": forecast["revenue"],
        f"value, next {HORIZON}": forecast["value"],
        name: row["wallet"],
        "headroom, a year": row["headroom"],
        "readiness": row["readiness"],
        "growth goal": row["potential_revenue"],
        "potential value": row["potential_value"],
        "value at risk": row["value_at_risk"],
        "adjusted value": row["adjusted_value"],
        "rank": row["rank"],
    }
    for fact, number in expected.items():
        assert facts.loc[fact, "number"] == number
    assert f"{row['wallet']:,.0f}" in facts.loc[name, "value"]
    assert found.reason == row["reason"]
    assert found.place["accounts"].item() == len(ranking.table)
    assert found.wallet["annual_revenue"].item() == pytest.approx(row["wallet"] - row["headroom"])
    # only a given wallet is called one
    assert ("share of wallet" in facts.index) == given
    assert ("wallet, a year" in facts.index) == given


def test_months_add_up(base: Base, ranking: clv.Ranking) -> None:
    for account in ranking.table["customer_id"].iloc[[0, 150, 399]]:
        months = card(ranking, base.forecast, account).history
        past, future = (months[months["when"] == when] for when in ("past", "future"))
        known = base.history.table.set_index("customer_id").loc[account]
        assert past["revenue"].sum() == pytest.approx(known["total_revenue"])
        assert past["start"].iloc[0].to_period("M") == known["first_purchase"].to_period("M")
        assert past["end"].iloc[-1] == base.history.as_of
        expected = base.forecast.customers.query("horizon == @HORIZON").set_index("customer_id").loc[account]
        assert future["revenue"].sum() == pytest.approx(expected["revenue"])
        assert len(future) == 12
        assert (
            months["start"].iloc[1:].to_numpy() == months["end"].iloc[:-1].to_numpy() + np.timedelta64(1, "D")
        ).all()
        assert past["revenue_upper"].isna().all()
        assert (future["revenue_lower"] <= future["revenue_upper"]).all()


def test_month_that_has_only_begun_ends_with_the_log(base: Base) -> None:
    log = pd.DataFrame({"customer_id": [1, 1, 2], "date": ["2024-01-05", "2024-03-10", "2024-02-01"], "amount": 10.0})
    history = clv.purchase_history(log, as_of="2024-03-15")
    forecast = dataclasses.replace(base.forecast, history=history, as_of=history.as_of)
    past = account_months(forecast, 0, HORIZON).query("when == 'past'")
    assert past["revenue"].tolist() == [10.0, 0.0, 10.0]
    assert past["end"].dt.strftime("%m-%d").tolist() == ["01-31", "02-29", "03-15"]


def test_categories_are_those_of_the_last_year(base: Base, ranking: clv.Ranking, first: AccountCard) -> None:
    since = base.history.as_of - pd.Timedelta(days=365)
    bought = category_revenue(base.history, after=since)
    own = bought[bought["customer_id"] == first.customer_id]
    assert first.categories is not None
    assert first.categories["revenue"].sum() == pytest.approx(ranking.table["current_revenue"].iloc[0])
    assert set(first.categories["category"]) == set(own["category"])
    assert first.categories["share"].sum() == pytest.approx(1.0)
    assert (first.categories["revenue"].diff().dropna() <= 0.0).all()
    facts = by_fact(first)
    assert facts.loc["largest category", "value"] == own.loc[own["revenue"].idxmax(), "category"]
    assert facts.loc["categories bought", "value"] == f"{len(own)} of {bought['category'].nunique()}"


def test_whitespace_is_what_it_does_not_buy(base: Base, ranking: clv.Ranking) -> None:
    gaps = base.potential.whitespace
    assert gaps is not None
    account = gaps.table["customer_id"].iloc[0]
    found = card(ranking, base.forecast, account, potential=base.potential)
    assert found.whitespace is not None
    assert found.categories is not None
    assert len(found.whitespace) == (gaps.table["customer_id"] == account).sum() > 0
    assert set(found.whitespace["category"]).isdisjoint(found.categories["category"])
    assert by_fact(found).loc["first category to offer", "value"] == found.whitespace["category"].iloc[0]


def test_without_potential_nothing_is_said_of_whitespace(base: Base, ranking: clv.Ranking) -> None:
    account = with_headroom(ranking, given=False)
    found = card(ranking, base.forecast, account)
    assert found.whitespace is None
    assert found.outlook is None
    assert "first category to offer" not in by_fact(found).index
    assert any("without potential" in note for note in found.notes)
    full = card(ranking, base.forecast, account, potential=base.potential)
    assert found.wallet["annual_revenue"].item() == pytest.approx(full.wallet["annual_revenue"].item())
    plain = card(clv.rank(base.forecast, draws=100), base.forecast, account)
    assert "potential" not in set(plain.facts["topic"])
    assert "wallet" not in plain.wallet


def test_an_account_beyond_its_peers_has_no_headroom_and_no_empty_promises(base: Base, ranking: clv.Ranking) -> None:
    account = ranking.table.loc[ranking.table["headroom"] == 0.0, "customer_id"].iloc[0]
    facts = by_fact(card(ranking, base.forecast, account, potential=base.potential))
    assert facts.loc["headroom, a year", "number"] == 0.0
    assert {"readiness", "growth goal", "potential value"}.isdisjoint(facts.index)


def test_what_the_log_does_not_know_is_absent() -> None:
    log = clv.load_cdnow("1/10")
    history = clv.purchase_history(log, as_of="1997-09-30", observed_from="1997-01-01")
    forecast = clv.forecast(clv.fit(history, compare=False), history, horizons=["60 months"], draws=100)
    found = card(clv.rank(forecast, horizon="60 months", draws=100), forecast, 4)
    facts = by_fact(found)
    assert found.categories is None
    assert "current_revenue" not in found.wallet
    assert {"revenue of the last 12 months", "categories bought"}.isdisjoint(facts.index)
    assert any("category column" in note for note in found.notes)
    assert any("shorter than 12 months" in note for note in found.notes)
    assert found.name == "4"
    assert (found.history["when"] == "future").sum() == MOST_MONTHS
    assert str(found).startswith("4\n")
    draw_account_card(found, figure=Figure())


def test_outlook_needs_a_model(base: Base, ranking: clv.Ranking) -> None:
    model = clv.fit(base.history, compare=False, draws=200)
    account = ranking.table["customer_id"].iloc[0]
    found = card(ranking, base.forecast, account, model=model)
    assert found.outlook is not None
    assert found.outlook["date"].iloc[-1] == base.history.as_of + pd.Timedelta(days=365)
    today = found.outlook.query("when == 'past'")["p_alive"].iloc[-1]
    assert today == pytest.approx(by_fact(found).loc["probability of being alive", "number"], abs=0.02)


@pytest.fixture(scope="module")
def ceiling(base: Base) -> clv.AllowableSpend:
    return clv.allowable_spend(base.forecast, payback="6 months")


def test_spend_is_that_of_the_table_to_the_cent(base: Base, ranking: clv.Ranking, ceiling: clv.AllowableSpend) -> None:
    table = ceiling.table.set_index("customer_id")
    sure, doubtful = (table[(table["allowable_single"] > 0.0) == sure].index[0] for sure in (True, False))
    for account in (sure, doubtful):
        found = card(ranking, base.forecast, account, spend=ceiling)
        facts, row = by_fact(found), table.loc[account]
        for name in ("expected", "single", "pooled"):
            amount = row[f"allowable_{name}"]
            assert facts.loc[f"allowable, {name}", "number"] == amount
            assert facts.loc[f"allowable, {name}", "value"] == f"{amount:,.2f}"
        assert facts.loc["value at stake (ceiling)", "number"] == row["value_at_stake"]
        assert "no recommendation" in facts.loc["value at stake (ceiling)", "note"]
        assert facts.loc["probability of payback", "number"] == row["p_payback"]
        assert found.spend is not None
        assert found.spend["payback_limit_months"].item() == 6
        assert str(found).count("spend:") == 1
    assert facts.loc["allowable, single", "note"] == table.loc[doubtful, "reason"].rstrip(".") != ""
    facts = by_fact(card(ranking, base.forecast, sure, spend=ceiling))
    assert facts.loc["allowable, single", "note"] == (
        "earns 20 % on this account alone with 80 % confidence, and is back within 6 months"
    )
    assert facts.loc["payback", "number"] == table.loc[sure, "payback_months"]


def test_spend_of_several_bases(base: Base, ranking: clv.Ranking, ceiling: clv.AllowableSpend) -> None:
    keep = clv.allowable_spend(base.forecast, basis="retain", uplift=0.2)
    zero = keep.table.set_index("customer_id")["allowable_expected"] == 0.0
    found = card(ranking, base.forecast, zero.index[zero][0], spend=[ceiling, keep])
    facts = by_fact(found)
    assert found.spend is not None
    assert found.spend["basis"].tolist() == ["ceiling", "retain"]
    assert {"value at stake (ceiling)", "value at stake (retain)", "allowable, pooled (retain)"} <= set(facts.index)
    assert facts.index.is_unique
    # no allowance, no payback; and the reason stands beside each 0
    assert "payback (retain)" not in facts.index
    reason = keep.table.loc[zero.to_numpy(), "reason"].iloc[0]
    assert facts.loc["allowable, expected (retain)", "note"] == reason.rstrip(".") != ""
    newcomers = dataclasses.replace(keep, basis="acquire", table=keep.table.drop(columns="customer_id"))
    alone = card(ranking, base.forecast, found.customer_id, spend=newcomers)
    assert alone.spend is None
    assert any("new customers" in note for note in alone.notes)


def test_spend_that_does_not_belong(base: Base, ranking: clv.Ranking, ceiling: clv.AllowableSpend) -> None:
    account = ceiling.table["customer_id"].iloc[0]
    with pytest.raises(DomainError, match="made by allowable_spend"):
        card(ranking, base.forecast, account, spend=[ceiling.table])  # type: ignore[list-item]
    with pytest.raises(DomainError, match="stands once on a card"):
        card(ranking, base.forecast, account, spend=[ceiling, ceiling])
    with pytest.raises(DomainError, match="of the accounts of the ranking"):
        card(ranking, base.forecast, account, spend=dataclasses.replace(ceiling, table=ceiling.table.iloc[1:]))
    with pytest.raises(DomainError, match="of the day of the forecast"):
        card(ranking, base.forecast, account, spend=dataclasses.replace(ceiling, as_of=pd.Timestamp("2020-01-01")))


@pytest.mark.parametrize("unknown", ["nobody", 1, None])
def test_unknown_account(base: Base, ranking: clv.Ranking, unknown: object) -> None:
    with pytest.raises(DomainError, match=r"no such account\. Got: .* Nearest: "):
        card(ranking, base.forecast, unknown)


def test_parts_that_do_not_belong_together(base: Base, ranking: clv.Ranking) -> None:
    account = ranking.table["customer_id"].iloc[0]
    other = clv.potential(base.history, base.forecast, horizon="6 months")
    with pytest.raises(DomainError, match="must be that of the ranking"):
        card(ranking, base.forecast, account, potential=other)
    fewer = dataclasses.replace(ranking, table=ranking.table.iloc[:-1])
    with pytest.raises(DomainError, match="must be one of this forecast"):
        card(fewer, base.forecast, account)
    with pytest.raises(DomainError, match="made by rank"):
        card(ranking.table, base.forecast, account)  # type: ignore[arg-type]


def test_text_names_every_fact(first: AccountCard) -> None:
    text = str(first)
    for row in first.facts.itertuples():
        assert str(row.fact) in text
        assert str(row.value) in text
    assert repr(first).startswith("<AccountCard of Account ")


def test_text_is_harmless_whatever_the_name(first: AccountCard) -> None:
    hostile = dataclasses.replace(first, name="\x1b[2JA\u202eB\r\nNote: all is well " + "x" * 10_000)
    lines = str(hostile).split("\n")
    assert lines[0].startswith(r"\x1b[2JA\u202eB\r\nNote: all is well xxx")
    assert len(lines) == len(str(first).split("\n"))
    assert all(line.isprintable() and len(line) < 600 for line in lines)
    family = "\U0001f469\u200d\U0001f680 & Co"
    assert str(dataclasses.replace(first, name=family)).startswith(f"{family} (")


def test_figure(base: Base, ranking: clv.Ranking) -> None:
    account = with_headroom(ranking, given=True)
    spend = clv.allowable_spend(base.forecast)
    found = card(ranking, base.forecast, account, potential=base.potential, spend=spend)
    figure = draw_account_card(found)
    figure.canvas.draw()
    assert len(figure.axes) == 5
    months, wallet, gaps, rank, facts = figure.axes
    heights = [patch.get_height() for patch in months.patches]
    np.testing.assert_allclose(heights, found.history.query("when == 'past'")["revenue"])
    widths = [patch.get_width() for patch in wallet.patches]
    np.testing.assert_allclose(
        widths, found.wallet[["current_revenue", "annual_revenue", "wallet"]].iloc[0].astype(float)
    )
    assert found.whitespace is not None
    np.testing.assert_allclose([patch.get_width() for patch in gaps.patches], found.whitespace["whitespace"])
    assert rank.lines[0].get_xdata()[0] == found.place["rank"].item()
    written = {text.get_text() for text in facts.texts}
    assert {"NOW", "FORECAST", "POTENTIAL", "RISK", "PLACE", "SPEND"} <= written
    assert set(found.facts["fact"]) <= written
    low = min(text.get_window_extent().y0 for text in facts.texts)
    assert low >= 0.0, "the facts have room"


def test_figure_with_names_nobody_would_wish_for(base: Base, first: AccountCard) -> None:
    hostile = "A$$B costs $x^{2$ \\frac & Sons " + "x" * 200
    facts = first.facts.assign(value=hostile)
    gaps = pd.DataFrame({"category": [hostile], "peers_share": [0.4], "typical_revenue": [1.0], "whitespace": [1.0]})
    draw_account_card(
        dataclasses.replace(first, name=hostile, reason=hostile, facts=facts, whitespace=gaps),
        figure=Figure(figsize=(12.0, 8.0)),
    ).canvas.draw()


def test_figure_refuses(first: AccountCard) -> None:
    with pytest.raises(DomainError, match="drawn from an account card"):
        draw_account_card(first.facts)
    with pytest.raises(DomainError, match="must be a matplotlib Figure"):
        draw_account_card(first, figure=1)  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="must be empty"):
        draw_account_card(first, figure=pyplot.subplots()[0])
    with pytest.raises(DomainError, match=r"lacks columns.*rank_upper"):
        draw_account_card(dataclasses.replace(first, place=first.place.drop(columns="rank_upper")))


def test_figure_leaves_the_card_and_the_settings_as_they_were(first: AccountCard) -> None:
    import matplotlib

    before, settings = first.history.copy(deep=True), dict(matplotlib.rcParams)
    given = Figure(figsize=(7.0, 5.0))
    assert draw_account_card(first, figure=given) is given
    given.canvas.draw()
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == settings
    pd.testing.assert_frame_equal(first.history, before)
