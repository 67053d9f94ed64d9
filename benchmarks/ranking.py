"""Time and peak memory of ranking many accounts, and of the potential before it.

Run: ``python benchmarks/ranking.py [--accounts 100000] [--draws 500]``. Accounts are simulated with their attributes,
wallets and referrals; each step is timed in one process, and its peak memory so far is printed beside the size of the
matrix of draws. Accuracy: rank bands and P(top k) of draws with ties against a plain computation.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import rankdata

import clv_forecast as clv
from clv_forecast.ranking.joint_draws import rank_draws


def timed(name: str, work: Callable[[], Any]) -> Any:
    """Do it, and print wall and processor time and the peak memory so far."""
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:28s} {seconds:8.1f} s   {cpu:8.1f} s of processor   peak so far {peak:8,.0f} MiB", flush=True)
    return result


def check_ranks(accounts: int = 2_000, draws: int = 200) -> None:
    """Ranks of random draws with ties, by the package and by scipy."""
    rng = np.random.default_rng(1)
    values = np.round(rng.gamma(0.5, 2.0, (draws, accounts)), 1).astype(np.float32)
    plain = np.stack([rankdata(-row, method="min") for row in values])
    found = rank_draws(values.copy(), np.zeros(accounts), top_k=100, prob=0.9)
    inside = (found.lower <= plain) & (plain <= found.upper)
    print(f"accuracy: {inside.mean():.3f} of plain ranks inside 90 % bands; sum of P(top 100) {found.p_top.sum():.6f}")


def _history(accounts: int) -> clv.PurchaseHistory:
    sim = timed("simulate", lambda: clv.simulate_accounts(accounts, rng=1))
    columns = {"order_id": "order_id", "category": "category"}
    return timed(
        "history", lambda: clv.purchase_history(sim.transactions, as_of=sim.as_of, customers=sim.accounts, **columns)
    )


def main() -> None:
    """Simulate, forecast, estimate potential, rank."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=500)
    given = parser.parse_args()
    check_ranks()
    history = _history(given.accounts)
    model = timed("fit", lambda: clv.fit(history, compare=False))
    fc = timed(
        "forecast, 12 months",
        lambda: clv.forecast(model, history, horizons=["12 months"], margin="margin", draws=given.draws),
    )
    found = timed("potential (with look back)", lambda: clv.potential(history, fc))
    matrix = 4 * given.draws * len(history.table) / 2**20
    print(f"the matrix of draws takes {matrix:,.0f} MiB")
    ranking = timed("rank", lambda: clv.rank(fc, potential=found, draws=given.draws))
    timed("rank, referrals credited", lambda: clv.rank(fc, potential=found, referral_credit=0.5, draws=given.draws))
    print(ranking.notes[0])


if __name__ == "__main__":
    main()
