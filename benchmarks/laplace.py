"""Time of a fit by maximum likelihood and by Laplace, exact and through the surrogate, with its accuracy beside.

Run: ``python benchmarks/laplace.py [--draws 1000]``. All on CDNOW full, in one run; times as multiples of the first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import clv_forecast as clv
from clv_forecast.inference.laplace import LaplacePosterior, asymptotic_draws, laplace_posterior
from clv_forecast.inference.maximum_likelihood import box, maximise
from clv_forecast.inference.problem import Problem, purchase_problem, spend_problem
from clv_forecast.inference.report import diagnose
from clv_forecast.inference.sufficient import compress, spend_data

REPEATS = 3


def timed[Result](work: Callable[[], Result], repeats: int = REPEATS) -> tuple[Result, float]:
    """Result and shortest time of several runs, after one to warm up."""
    result, times = work(), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return result, min(times)


def by_maximum_likelihood(problem: Problem, draws: int) -> np.ndarray:
    """Maximise, diagnose and draw from the asymptotic distribution."""
    lower, upper = box(problem.coordinates)
    optimum, diagnosis = diagnose(problem, maximise(problem.value_gradient, problem.starts, lower=lower, upper=upper))
    return asymptotic_draws(optimum.theta, diagnosis.covariance, draws, generator=np.random.default_rng(1))


def by_laplace(problem: Problem, draws: int, *, exact: bool) -> LaplacePosterior:
    """Draw the posterior with the density forced one way."""
    forced = replace(problem, nanoseconds=0.0 if exact else float("inf"))
    return laplace_posterior(forced, draws=draws, generator=np.random.default_rng(1))


def main() -> None:
    """Print one line per model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    history = clv.purchase_history(clv.load_cdnow(), as_of="1997-09-30")
    table = history.table
    rows, amounts = compress(table["frequency"], table["recency"], table["T"]), spend_data(table, "auto")
    problems = [purchase_problem(name, rows) for name in ("bg_nbd", "mbg_nbd", "pareto_nbd")]
    problems.append(spend_problem(amounts.rows, orders=amounts.level == "orders"))
    print(f"CDNOW full, {len(table):,} customers, {draws:,} draws; mle in seconds, laplace in multiples of it")
    for problem in problems:
        _, mle = timed(lambda p=problem: by_maximum_likelihood(p, draws))
        exact, slow = timed(lambda p=problem: by_laplace(p, draws, exact=True), repeats=1)
        quick, fast = timed(lambda p=problem: by_laplace(p, draws, exact=False))
        shift = np.max(np.abs(exact.draws.mean(axis=0) - quick.draws.mean(axis=0)) / exact.draws.std(axis=0))
        common = len({tuple(d) for d in exact.draws} & {tuple(d) for d in quick.draws}) / draws
        print(
            f"  {problem.model:<12}{problem.n_rows:6,} rows: mle {mle:.3f} s, laplace exact x{slow / mle:.1f}, "
            f"surrogate x{fast / mle:.1f} ({fast:.2f} s); means differ by {shift:.4f} sd, {common:.1%} of draws the "
            f"same, k-hat {exact.k_hat:.3f} and {quick.k_hat:.3f}; {quick.evaluation}"
        )
    for spend in (None, "gamma_gamma"):
        _, mle = timed(lambda s=spend: clv.fit(history, spend=s, draws=draws, compare=False))
        _, laplace = timed(lambda s=spend: clv.fit(history, spend=s, method="laplace", draws=draws, compare=False))
        print(f"  clv.fit with spend={spend}: mle {mle:.2f} s, laplace {laplace:.2f} s (x{laplace / mle:.1f})")


if __name__ == "__main__":
    main()
