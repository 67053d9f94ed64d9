"""Potential: wallets from where they are known, headroom given alive, nothing out of nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.accounts import accounts_of
from clv_forecast.ranking.outlook import outlook_of
from clv_forecast.ranking.potential import draw_realised
from clv_forecast.ranking.wallets import WalletOptions, Wallets, wallets_of
from tests.ranking.conftest import Base


def only(base: Base, **columns) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": base.history.table["customer_id"], **columns})


def test_the_table_adds_up(base: Base) -> None:
    table = base.potential.table
    known = table["headroom"].notna()
    assert known.all() and (table["headroom"] >= 0.0).all()
    money = {name: table[name].to_numpy() for name in table.columns if name not in ("customer_id", "wallet_source")}
    assert money["wallet"] == pytest.approx(money["annual_revenue"] + money["headroom"])
    assert (table["wallet"] >= table["annual_revenue"]).all()
    assert ((table["wallet_lower"] <= table["wallet"]) & (table["wallet"] <= table["wallet_upper"] * (1 + 1e-12))).all()
    revenue = money["headroom"] * money["readiness"]
    assert money["potential_revenue"] == pytest.approx(revenue)
    assert money["potential_value"] == pytest.approx(revenue * base.potential.outlook.contribution)
    assert (table["readiness_lower"] <= table["readiness_upper"]).all()
    assert table["readiness_upper"].max() <= 1.0
    assert (money["potential_revenue"] <= money["headroom"]).all()
    assert set(table["wallet_source"]) <= {"given", "peers", "peers of the segment", "peers: the whole base"}
    assert (table["share_of_wallet"].notna() == (table["wallet_source"] == "given")).all()


def wallets(base: Base, accounts=None, *, source: str = "auto", segment: str | None = None) -> Wallets:
    options = WalletOptions(source=source, quantile=0.8, segment=segment, seed=1)
    return wallets_of(base.history, accounts_of(base.history, accounts), base.potential.outlook, options=options)


def test_peers_may_stand_in_for_given_wallets(base: Base) -> None:
    found = wallets(base, source="peers")
    assert "given" not in set(found.source)
    given = base.sim.accounts.set_index("customer_id")["wallet"].reindex(base.history.table["customer_id"])
    assert np.isfinite(found.given).sum() == given.notna().sum()
    assert np.isfinite(found.wallet).all()


def test_given_wallets_with_their_bands(base: Base) -> None:
    size, annual = len(base.history.table), base.potential.outlook.annual_revenue
    found = wallets(base, only(base, wallet=np.full(size, 1e6), wallet_low=5e5, wallet_high=2e6), source="given")
    assert (found.wallet[annual < 1e6] == 1e6).all() and set(found.source) == {"given"}
    lower, upper = found.band(annual, 0.9)
    free = annual < 5e5
    assert lower[free] == pytest.approx(5e5) and upper[free] == pytest.approx(2e6)
    assert found.log_sd == pytest.approx(np.log(4.0) / (2.0 * 1.6448536))
    uneven = wallets(base, only(base, wallet=1e6, wallet_low=np.nan, wallet_high=4e6), source="given")
    assert uneven.band(annual, 0.9)[1] == pytest.approx(4e6)
    assert uneven.log_sd == pytest.approx(np.log(4.0) / 1.6448536)
    alone = wallets(base, only(base, wallet=1e6), source="given")
    assert np.isnan(alone.band(annual, 0.9)[0]).all()


def test_missing_wallets_are_missing_and_not_zero(base: Base) -> None:
    size = len(base.history.table)
    wallets = only(base, wallet=np.where(np.arange(size) < 100, 2e5, np.nan))
    found = clv.potential(base.history, base.forecast, accounts=wallets, source="given")
    assert found.table["headroom"].notna().sum() == 100
    assert found.table.loc[100:, ["wallet", "headroom", "readiness", "potential_value"]].isna().all().all()
    ranking = clv.rank(base.forecast, potential=found, draws=100)
    table = ranking.table.set_index("customer_id")
    unknown = found.table["customer_id"][100:]
    assert table.loc[unknown, "adjusted_value"].to_numpy() == pytest.approx(table.loc[unknown, "value"].to_numpy())
    assert any("no known potential" in note for note in ranking.notes)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"wallet": -1.0}, "wallet must be a number of at least 0"),
        ({"wallet": "lots"}, "wallet must be a number"),
        ({"wallet": 10.0, "wallet_low": 20.0, "wallet_high": 30.0}, "between its wallet_low and wallet_high"),
    ],
)
def test_bad_wallets_are_refused(base: Base, columns: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        wallets(base, only(base, **columns))
    assert "First customers" in str(error.value)


def test_bad_arguments_are_refused(base: Base) -> None:
    with pytest.raises(DomainError, match="source must be one of"):
        clv.potential(base.history, base.forecast, source="guess")
    with pytest.raises(DomainError, match="quantile"):
        clv.potential(base.history, base.forecast, quantile=1.2)
    with pytest.raises(DomainError, match="one of this history"):
        clv.potential(dataclasses.replace(base.history), base.forecast)
    with pytest.raises(InputError, match="source='given' needs a wallet"):
        wallets(base, only(base, region="n"), source="given")
    plain = clv.purchase_history(base.sim.transactions[["customer_id", "date", "amount"]], as_of=base.sim.as_of)
    fc = clv.forecast(clv.fit(plain, compare=False), plain, horizons=["12 months"], draws=100)
    with pytest.raises(InputError, match="source='whitespace' needs categories"):
        clv.potential(plain, fc, source="whitespace")


def test_no_attributes_falls_back_and_says_so(base: Base) -> None:
    assert set(wallets(base, only(base), source="peers").source) == {"peers: the whole base"}
    gaps = wallets(base, only(base))
    assert set(gaps.source) - {None} == {"whitespace"}
    assert np.isnan(gaps.log_sd).all()
    with pytest.raises(DomainError, match="segment must be a column"):
        wallets(base, segment="sgment")


def test_one_account() -> None:
    days = pd.date_range("2022-01-15", "2024-12-15", freq="MS")
    log = pd.DataFrame({"customer_id": "only", "date": days, "amount": np.linspace(80.0, 120.0, len(days))})
    history = clv.purchase_history(log, as_of="2024-12-31")
    model = clv.fit(
        clv.purchase_history(clv.simulate_accounts(200, rng=1).transactions, as_of="2024-12-31"), compare=False
    )
    fc = clv.forecast(model, history, horizons=["12 months"], draws=100)
    found = clv.potential(history, fc)
    assert found.table["wallet"].isna().all() and found.reliability is None
    ranking = clv.rank(fc, potential=found, draws=100)
    assert ranking.table["rank"].tolist() == [1] and ranking.table["p_top"].tolist() == [1.0]


def test_draws_have_the_mean_of_the_table(base: Base) -> None:
    rows = np.argsort(-base.potential.table["potential_revenue"].to_numpy())[:40]
    drawn = base.potential.revenue_draws(rows, 4000)
    expected = base.potential.table["potential_revenue"].to_numpy()[rows]
    z = (drawn.mean(axis=1) - expected) / (drawn.std(axis=1) / np.sqrt(4000))
    assert abs(z.mean()) < 0.6 and (np.abs(z) < 4.5).all()
    assert base.potential.revenue_draws(rows[:3], 50) == pytest.approx(drawn[:3, :50])
    active = np.broadcast_to(np.arange(4000) // 100 % 2 == 0, drawn.shape)
    half = base.potential.revenue_draws(rows, 4000, active=active)
    assert half.mean() == pytest.approx(drawn.mean(), rel=0.05) and (half[~active] == 0.0).all()


def test_half_a_year_draws_half_of_what_the_year_does(base: Base) -> None:
    half = clv.potential(base.history, base.forecast, accounts=base.sim.accounts, horizon="6 months")
    year = base.potential
    assert half.table["headroom"].to_numpy() == pytest.approx(year.table["headroom"].to_numpy())
    rows = np.argsort(-half.table["potential_revenue"].to_numpy())[:40]
    expected = half.table["potential_revenue"].to_numpy()[rows].sum()
    assert half.revenue_draws(rows, 4000).sum(axis=0).mean() == pytest.approx(expected, rel=0.03)
    assert half.headroom_draws(rows, 50) == pytest.approx(year.headroom_draws(rows, 50))


def test_a_lower_p_alive_alone_never_raises_potential(base: Base) -> None:
    plan = base.forecast.plan
    less = dataclasses.replace(plan, recency=np.where(plan.frequency > 0, plan.recency * 0.7, plan.recency))
    before, after = outlook_of(plan, 1.0), outlook_of(less, 1.0)
    falls = plan.frequency > 0
    assert (after.p_alive[falls] <= before.p_alive[falls] + 1e-12).all() and after.p_alive.sum() < before.p_alive.sum()
    assert after.annual_revenue == pytest.approx(before.annual_revenue, rel=1e-12)  # so headroom stays
    shares = base.potential.shares / np.maximum(base.potential.outlook.p_alive, 1e-300)[:, None]
    assert (shares >= 0.0).all()  # potential is P(alive) times what is not negative


def test_rows_may_come_in_any_order_and_seeds_repeat(base: Base) -> None:
    shuffled = base.sim.accounts.sample(frac=1.0, random_state=3)
    again = clv.potential(base.history, base.forecast, accounts=shuffled)
    pd.testing.assert_frame_equal(again.table, base.potential.table)


def test_realised_draws_are_shares_with_their_mean_and_variance() -> None:
    keys, ones = np.arange(1, 41, dtype=np.uint64), np.ones(40)
    for share, spread in ((0.01, 0.3), (0.3, 0.1), (0.3, 0.69), (0.3, 0.75), (0.97, 0.02), (1.0, 0.5)):
        drawn = draw_realised(ones, 0.0 * ones, np.full((40, 1), share), spread=spread, keys=keys, draws=5000)
        variance = min(spread * share, share * (1.0 - share))
        assert drawn.min() >= 0.0 and drawn.max() <= 1.0
        assert abs(drawn.mean() - share) <= 4.5 * drawn.std() / np.sqrt(drawn.size)
        assert drawn.var() == pytest.approx(variance, rel=0.05, abs=1e-12)


def test_realised_draws_of_nothing_are_nothing() -> None:
    key, one = np.array([7], dtype=np.uint64), np.ones(1)
    assert (draw_realised(0 * one, one, one[:, None], spread=0.5, keys=key, draws=100) == 0.0).all()
    assert (draw_realised(one, 0 * one, 0.2 * one[:, None], spread=0.0, keys=key, draws=100) == 0.2).all()


def test_it_says_what_it_is(base: Base) -> None:
    text = f"{base.potential!r} {base.potential} {base.potential.readiness!r} {base.potential.check!r}"
    assert "reachable" not in text or "share of wallet" not in text
    assert ("headroom" in text and "12 months" in text and "2023-12" in text) or "2024-01" in text
