"""Whether the adjusted ranking finds growth: simulated bases with the truth beside them, and controls that must fail.

Run: ``python benchmarks/growth_captured.py [--seeds 12] [--accounts 1500] [--own-wallet-sd 0.8]``. For each seed a base
is forecast a year ahead and ranked four ways; printed are the share of the true expected growth (money above what the
same account would bring if its share of the wallet stayed) and of the money that comes which the top tenth of each
order holds, how often accounts end among the first 100 against ``p_top``, ranks and adjusted values inside their bands,
and potential against what came above the forecast, by decile. Controls: attributes shuffled between accounts (nothing
is left to tell potential), and a base in which nobody grows (potential must be about 0).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

import clv_forecast as clv

ORDERS = ("current value", "forecast value", "potential alone", "adjusted value")
ATTRIBUTES = ("region", "segment", "channel", "employees")
WALLETS = ("wallet", "wallet_low", "wallet_high")
TOP_K = 100
P_EDGES = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one base has shown; arrays have one entry per account."""

    growth_captured: dict[str, float]
    value_captured: dict[str, float]
    p_top: np.ndarray
    in_top: np.ndarray
    rank_inside: float
    value_inside: float
    potential: np.ndarray
    above_forecast: np.ndarray
    growth: np.ndarray
    current: float


def one_base(
    seed: int,
    *,
    accounts: int = 1500,
    own_wallet_sd: float = 0.8,
    growing: float = 0.35,
    shuffled: bool = False,
    draws: int = 400,
) -> Outcome:
    """Simulate, forecast, rank, and look at the year that followed."""
    sim = clv.simulate_accounts(accounts, rng=seed, growing=growing, own_wallet_sd=own_wallet_sd)
    table = sim.accounts
    if shuffled:
        order = np.random.default_rng(seed).permutation(len(table))
        table = table.drop(columns=list(WALLETS)).assign(**{n: table[n].to_numpy()[order] for n in ATTRIBUTES})
    history = clv.purchase_history(
        sim.transactions, as_of=sim.as_of, customers=table, order_id="order_id", category="category"
    )
    fc = clv.forecast(
        clv.fit(history, compare=False, draws=draws), history, horizons=["12 months"], margin="margin", draws=draws
    )
    found = clv.potential(history, fc)
    ids = history.table["customer_id"]
    ranked = clv.rank(fc, potential=found, top_k=TOP_K, draws=draws).table.set_index("customer_id").loc[ids]
    truth, rate = sim.truth.set_index("customer_id").loc[ids], found.outlook.contribution
    came, grown = truth["next_revenue"].to_numpy() * rate, truth["expected_growth"].to_numpy() * rate
    scores = dict(
        zip(
            ORDERS,
            (
                ranked["current_revenue"].to_numpy() * rate,
                ranked["value"].to_numpy(),
                ranked["potential_value"].to_numpy(),
                ranked["adjusted_value"].to_numpy(),
            ),
            strict=True,
        )
    )
    place = rankdata(-came)
    inside = (ranked["rank_lower"] <= place) & (place <= ranked["rank_upper"])
    held = (ranked["adjusted_lower"] <= came) & (came <= ranked["adjusted_upper"])
    return Outcome(
        growth_captured={name: _captured(score, grown) for name, score in scores.items()},
        value_captured={name: _captured(score, came) for name, score in scores.items()},
        p_top=ranked["p_top"].to_numpy(),
        in_top=place <= TOP_K,
        rank_inside=float(inside[came > 0.0].mean()),
        value_inside=float(held.mean()),
        potential=ranked["potential_revenue"].to_numpy(),
        above_forecast=truth["next_revenue"].to_numpy() - found.outlook.revenue,
        growth=truth["expected_growth"].to_numpy(),
        current=float(ranked["current_revenue"].sum()),
    )


def _captured(score: np.ndarray, money: np.ndarray) -> float:
    top = np.argsort(-score, kind="stable")[: len(score) // 10]
    return float(money[top].sum() / money.sum()) if money.sum() > 0.0 else float("nan")


def captured_table(outcomes: list[Outcome]) -> pd.DataFrame:
    """Mean captured by each order, and the adjusted value's lead over it with its standard error over bases."""
    rows = []
    for what in ("growth_captured", "value_captured"):
        each = pd.DataFrame([getattr(outcome, what) for outcome in outcomes])
        lead = each["adjusted value"].to_numpy()[:, None] - each.to_numpy()
        error = lead.std(axis=0, ddof=1) / np.sqrt(len(each))
        parts = zip(each.columns, each.mean(), lead.mean(axis=0), error, strict=True)
        rows.extend((what, name, mean, gain, se) for name, mean, gain, se in parts)
    return pd.DataFrame(rows, columns=["what", "order", "captured", "lead", "se"])


def top_table(outcomes: list[Outcome]) -> pd.DataFrame:
    """P(top k) as stated, against how often it came true."""
    stated = np.concatenate([outcome.p_top for outcome in outcomes])
    came = np.concatenate([outcome.in_top for outcome in outcomes])
    grouped = pd.DataFrame({"stated": stated, "came": came}).groupby(np.digitize(stated, P_EDGES))
    found = grouped.agg(accounts=("stated", "size"), stated=("stated", "mean"), came=("came", "mean"))
    return found.assign(se=np.sqrt(found["came"] * (1.0 - found["came"]) / found["accounts"]))


def decile_table(outcomes: list[Outcome]) -> pd.DataFrame:
    """Potential revenue by decile, against what came above the forecast and the true expected growth; per base."""
    potential, above, growth = (
        np.concatenate([getattr(outcome, name) for outcome in outcomes])
        for name in ("potential", "above_forecast", "growth")
    )
    parts = np.array_split(np.argsort(potential, kind="stable"), 10)
    rows = [(potential[p].sum(), above[p].sum(), growth[p].sum()) for p in parts]
    return pd.DataFrame(rows, columns=["potential", "above_forecast", "true_growth"]) / len(outcomes)


def _print(title: str, outcomes: list[Outcome]) -> None:
    print(f"\n{title}: {len(outcomes)} bases")
    print(captured_table(outcomes).round(4).to_string(index=False))
    print(top_table(outcomes).round(3).to_string(index=False))
    print(decile_table(outcomes).round(0).to_string())
    ranks, values = (np.mean([getattr(o, n) for o in outcomes]) for n in ("rank_inside", "value_inside"))
    share = np.mean([o.potential.sum() / o.current for o in outcomes])
    print(f"inside 90 % bands: ranks {ranks:.3f} (accounts that bought), adjusted values {values:.3f}")
    print(f"potential revenue: {share:.2%} of current revenue")


def main() -> None:
    """Run all three and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--accounts", type=int, default=1500)
    parser.add_argument("--own-wallet-sd", type=float, default=0.8)
    given = parser.parse_args()
    common = {"accounts": given.accounts, "own_wallet_sd": given.own_wallet_sd}
    for title, options in (
        ("Growing bases", {}),
        ("Control: attributes shuffled", {"shuffled": True}),
        ("Control: nobody grows", {"growing": 0.0}),
    ):
        _print(title, [one_base(seed, **common, **options) for seed in range(1, given.seeds + 1)])


if __name__ == "__main__":
    main()
