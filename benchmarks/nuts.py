"""NUTS beside Laplace and maximum likelihood, and beside pymc-marketing.

Run: ``python benchmarks/nuts.py [--models bg_nbd mbg_nbd pareto_nbd] [--sample] [--peer [FOLDER]]``.

1. On CDNOW full, 39 weeks: parameters by three methods. Differences from NUTS are in posterior standard deviations and
   in Monte-Carlo standard errors of the difference (of the sampler's mean, by its effective sample size, and of the
   mean of as many independent draws). Laplace draws from the same posterior and must agree within those; maximum
   likelihood draws from its asymptotic distribution, which is another one, and agrees within a share of a standard
   deviation. Then the purchases of the next 39 weeks by each, and what happened.
2. With ``--peer``: smallest effective sample size per second of sampling, beside pymc-marketing 1.3, for the pooled
   BG/NBD, with as many chains, chains at once, draws and steps of tuning on both sides, in one run; on all customers
   only with nutpie, as the rest takes long. Each side has its own default priors and target acceptance; on the sample
   the peer also has our priors, without which its posterior is another one. The peer is installed into an environment
   of its own: in FOLDER, which is kept, or in a temporary one. Time to compile is shown apart: the first graph of a
   process pays it, further data of the same model do not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import clv_forecast as clv
from clv_forecast.inference.hierarchical.graph import build_model, graph_data, plan_coords, plan_graph
from clv_forecast.inference.hierarchical.part_data import purchase_part
from clv_forecast.inference.hierarchical.priors import PURCHASES, part_priors
from clv_forecast.inference.hierarchical.sampling import compiled_graph, sample_part
from clv_forecast.inference.hierarchical.structure import Structure, assign
from clv_forecast.inference.sufficient import compress
from clv_forecast.models import bg_nbd, transaction_model

AS_OF, AFTER, HORIZON = "1997-09-30", "1998-06-30", "39 weeks"
MODELS = ("bg_nbd", "mbg_nbd", "pareto_nbd")
METHODS = ("nuts", "laplace", "mle")
CHAINS, TUNE, DRAWS = 4, 500, 1000
TUNE_OF_THE_RACE = 1000  # PyMC's default
FORECAST_DRAWS = 500
CORES = os.cpu_count() or 1
SAMPLER_OF_THE_RACE = clv.Sampler(chains=CHAINS, tune=TUNE_OF_THE_RACE, draws=DRAWS, cores=CORES).resolved(
    grouped=False
)
PEER = Path(__file__).with_name("nuts_peer.py")


def in_chains(values: np.ndarray) -> np.ndarray:
    """Draws of one chain after the other, as (chain, draw)."""
    return np.asarray(values, dtype=float).reshape(CHAINS, -1)


def effective(chains: np.ndarray) -> float:
    """Effective sample size in the bulk, by ArviZ."""
    from arviz_stats.base import array_stats

    return float(array_stats.ess(chains, method="bulk"))


def r_hat(chains: np.ndarray) -> float:
    """Rank-normalised, by ArviZ."""
    from arviz_stats.base import array_stats

    return float(array_stats.rhat(chains))


def error_of_mean(chains: np.ndarray) -> float:
    """Monte-Carlo standard error of a sampler's mean, by ArviZ."""
    from arviz_stats.base import array_stats

    return float(array_stats.mcse(chains, method="mean"))


# --- three methods --------------------------------------------------------------------------------------------------


def fit_all(history: clv.PurchaseHistory, purchases: str) -> tuple[dict[str, clv.Model], dict[str, float]]:
    """The fits and their seconds; those that must not be trusted too, and the report says which."""
    models, seconds = {}, {}
    for method in METHODS:
        start = time.perf_counter()
        models[method] = clv.fit(
            history,
            purchases=purchases,
            method=method,
            sampler=clv.Sampler(chains=CHAINS, tune=TUNE, draws=DRAWS) if method == "nuts" else None,
            draws=CHAINS * DRAWS,
            compare=False,
            allow_unconverged=True,
        )
        seconds[method] = time.perf_counter() - start
    return models, seconds


def warm_up(history: clv.PurchaseHistory, purchases: str) -> float:
    """Compile all that the fits of this model need; the seconds of the graphs."""
    for method in ("laplace", "mle"):
        clv.fit(history, purchases=purchases, method=method, draws=100, compare=False, allow_unconverged=True)
    start = time.perf_counter()
    sampler = clv.Sampler(chains=2, tune=100, draws=100, retries=0)
    options: dict[str, Any] = {"sampler": sampler, "draws": 100, "compare": False, "allow_unconverged": True}
    clv.fit(history, purchases=purchases, method="nuts", **options)
    return time.perf_counter() - start


def agreement(models: dict[str, clv.Model]) -> pd.DataFrame:
    """One row per parameter: mean and standard deviation by each method, and how far they are apart."""
    frames = {method: model.draws.to_frame() for method, model in models.items()}
    rows = []
    for name in frames["nuts"]:
        chains = in_chains(frames["nuts"][name])
        mean, sd = float(chains.mean()), float(chains.std(ddof=1))
        row: dict[str, Any] = {"parameter": name, "nuts": f"{mean:.4f} ({sd:.4f})"}
        for method in METHODS[1:]:
            draws = frames[method][name]
            error = np.hypot(error_of_mean(chains), draws.std() / np.sqrt(len(draws)))
            row |= {
                method: f"{draws.mean():.4f} ({draws.std():.4f})",
                f"{method} in sd": f"{(draws.mean() - mean) / sd:+.3f}",
                f"{method} in errors": f"{(draws.mean() - mean) / error:+.1f}",
                f"sd {method} / nuts": f"{draws.std() / sd:.3f}",
            }
        row |= {"R-hat": f"{r_hat(chains):.4f}", "ESS": f"{effective(chains):,.0f}"}
        rows.append(row)
    return pd.DataFrame(rows).set_index("parameter")


def expected_totals(model: clv.Model, history: clv.PurchaseHistory) -> np.ndarray:
    """Purchases expected of all customers in the next 39 weeks, one number per parameter draw."""
    table = history.table
    rows = compress(table["frequency"], table["recency"], table["T"])
    module = transaction_model(model.purchases)
    params = model.draws.cycle(FORECAST_DRAWS).purchases
    expected = module.expected_purchases(params, rows.frequency, rows.recency, rows.T, horizon=39.0)
    return np.asarray(expected @ rows.weights)


def totals(models: dict[str, clv.Model], history: clv.PurchaseHistory) -> pd.DataFrame:
    """The next 39 weeks by each method."""
    found, rows = {method: expected_totals(model, history) for method, model in models.items()}, []
    for method, model in models.items():
        ahead = clv.forecast(model, history, horizons=[HORIZON], draws=FORECAST_DRAWS).totals.iloc[0]
        own, base = found[method], found["nuts"]
        error = np.hypot(own.std(), base.std()) / np.sqrt(FORECAST_DRAWS)
        rows.append(
            {
                "method": method,
                "purchases": f"{own.mean():,.1f}",
                "sd of the parameters": f"{own.std():,.1f}",
                "from nuts in sd": f"{(own.mean() - base.mean()) / base.std():+.3f}",
                "in errors": f"{(own.mean() - base.mean()) / error:+.1f}",
                "90 % band": f"{ahead['purchases_lower']:,.0f} to {ahead['purchases_upper']:,.0f}",
                "value": f"{ahead['value']:,.0f}",
                "its 90 % band": f"{ahead['value_lower']:,.0f} to {ahead['value_upper']:,.0f}",
            }
        )
    return pd.DataFrame(rows).set_index("method")


def show_agreement(log: pd.DataFrame, models: Sequence[str]) -> None:
    """Print the tables of every model."""
    split = clv.purchase_history(log, as_of=AFTER).split(at=AS_OF)
    history, small = split.calibration, clv.purchase_history(clv.load_cdnow("1/10"), as_of=AS_OF)
    actual = split.holdout["holdout_purchases"].sum()
    for purchases in models:
        compiling = warm_up(small, purchases)
        fits, seconds = fit_all(history, purchases)
        print(
            f"\n{purchases} + gamma_gamma, {len(history.table):,} customers, {CHAINS} x ({TUNE} + {DRAWS}) draws, "
            f"load {os.getloadavg()[0]:.1f}"
        )
        print(agreement(fits).to_string())
        print("seconds: " + ", ".join(f"{method} {seconds[method]:.2f}" for method in METHODS), end="")
        print(f"; a first fit by nuts on the sample, with its graphs compiled, {compiling:.0f}")
        for part in fits["nuts"].report.parts:
            print(f"  {part.message}")
        for part in fits["laplace"].report.parts:
            print(f"  {part.model} by laplace: k-hat {part.k_hat:.2f}. {part.message}")
        print(f"purchases in the {HORIZON} after; {actual:,.0f} came")
        print(totals(fits, history).to_string(), flush=True)


# --- beside pymc-marketing ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Draws of r, alpha, a and b in weeks, each (chain, draw), and what they took in seconds."""

    side: str
    draws: dict[str, np.ndarray]
    sampling: float
    other: float
    divergences: int
    load: float

    @property
    def ess(self) -> float:
        """Smallest of the four parameters."""
        return min(effective(chains) for chains in self.draws.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """What both sides are given."""

    history: clv.PurchaseHistory
    seed: int

    def prepare(self) -> tuple[Any, Any, Any, Any]:
        """Data, plan, priors and arrays of our graph."""
        structure = Structure()
        assignment = assign(structure, self.history)
        data = purchase_part("bg_nbd", self.history.table, assignment)
        priors = part_priors("bg_nbd", PURCHASES, structure=structure, time_scale=data.time_scale)
        plan = plan_graph(data, priors, structure)
        return data, plan, priors, graph_data(plan, data, assignment, priors=priors)

    def weekly_prior(self) -> tuple[list[float], list[float]]:
        """Location and scale of our default priors, in weeks."""
        data, _, priors, _ = self.prepare()
        location = priors.location - np.array([np.log(data.time_scale), 0.0, 0.0, 0.0])
        return location.tolist(), priors.scale.tolist()


def natural(intercept: np.ndarray, time_scale: float) -> dict[str, np.ndarray]:
    """Parameters in weeks from coordinates of shape (chain, draw, 4)."""
    params = bg_nbd.constrain(intercept.reshape(-1, 4))
    scales = {"alpha": time_scale}
    return {
        name: np.asarray(getattr(params, name)).reshape(intercept.shape[:2]) * scales.get(name, 1.0)
        for name in bg_nbd.PARAMETERS
    }


def ours_by_nutpie(race: Race, *, again: bool = False) -> Run:
    """As ``clv.fit`` samples."""
    load, start = os.getloadavg()[0], time.perf_counter()
    data, plan, _, arrays = race.prepare()
    compiled_graph(plan, arrays)
    other, start = time.perf_counter() - start, time.perf_counter()
    chains = sample_part(plan, arrays, SAMPLER_OF_THE_RACE, seed=race.seed, coords=plan_coords(plan, Structure()))
    return Run(
        side="ours, nutpie, again" if again else "ours, nutpie",
        draws=natural(chains.variables["purchases_intercept"], data.time_scale),
        sampling=time.perf_counter() - start,
        other=other,
        divergences=int(np.sum(chains.sample_stats["diverging"])),
        load=load,
    )


def ours_by_pymc(race: Race) -> Run:
    """The same graph under PyMC's own sampler, whose time PyMC tells."""
    import pymc as pm

    load, start = os.getloadavg()[0], time.perf_counter()
    data, plan, _, arrays = race.prepare()
    with build_model(plan, arrays):
        tree = pm.sample(
            draws=DRAWS,
            tune=TUNE_OF_THE_RACE,
            chains=CHAINS,
            cores=CORES,
            random_seed=race.seed,
            target_accept=SAMPLER_OF_THE_RACE.target_accept,
            nuts_sampler="pymc",
            progressbar=False,
            compute_convergence_checks=False,
        )
    wall, sampling = time.perf_counter() - start, float(tree["posterior"].attrs["sampling_time"])
    return Run(
        side="ours, pymc",
        draws=natural(tree["posterior"]["purchases_intercept"].to_numpy(), data.time_scale),
        sampling=sampling,
        other=wall - sampling,
        divergences=int(np.sum(tree["sample_stats"]["diverging"].to_numpy())),
        load=load,
    )


def peers(race: Race, python: Path, *, sampler: str, priors: str) -> Run:
    """pymc-marketing in its own process."""
    load = os.getloadavg()[0]
    given = priors if priors == "default" else json.dumps(race.weekly_prior())
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "data.csv"), Path(name, "draws.npz")
        race.history.table[["frequency", "recency", "T"]].to_csv(source, index=False)
        numbers = [str(number) for number in (TUNE_OF_THE_RACE, DRAWS, CHAINS, CORES, race.seed)]
        command = [str(python), str(PEER), str(source), str(target), sampler, given, *numbers]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"pymc-marketing failed:\n{done.stderr[-2000:]}")
        told = json.loads(done.stdout.strip().splitlines()[-1])
        with np.load(target) as stored:
            draws = {parameter: stored[parameter] for parameter in bg_nbd.PARAMETERS}
    return Run(
        side=f"pymc-marketing, {sampler}, {priors} priors",
        draws=draws,
        sampling=told["sampling"],
        other=told["other"],
        divergences=told["divergences"],
        load=load,
    )


@contextmanager
def peer_environment(folder: str) -> Iterator[Path]:
    """Python of an environment with pymc-marketing, made where there is none."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(folder or temporary) / ".venv-peer"
        python = home / "bin" / "python"
        if not python.exists():
            print(f"installing pymc-marketing into {home} (a few minutes)", file=sys.stderr, flush=True)
            wanted = ["pymc-marketing==1.3.*", f"nutpie=={version('nutpie')}"]
            for command in (
                [sys.executable, "-m", "venv", str(home)],
                [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted],
            ):
                subprocess.run(command, check=True)  # noqa: S603
        yield python


def compared(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run; differences from the first, the largest of the four parameters."""
    first, rows = runs[0], []
    for run in runs:
        in_sd, in_errors = [], []
        for name, chains in run.draws.items():
            base = first.draws[name]
            gap = abs(chains.mean() - base.mean())
            in_sd.append(gap / base.std())
            in_errors.append(gap / np.hypot(error_of_mean(chains), error_of_mean(base)))
        speed = run.ess / run.sampling
        rows.append(
            {
                "": run.side,
                **{name: f"{chains.mean():.4f} ({chains.std():.4f})" for name, chains in run.draws.items()},
                "off in sd": f"{max(in_sd):.3f}",
                "in errors": f"{max(in_errors):.1f}",
                "R-hat": f"{max(r_hat(chains) for chains in run.draws.values()):.4f}",
                "divergent": run.divergences,
                "ESS": f"{run.ess:,.0f}",
                "sampling s": f"{run.sampling:.1f}",
                "ESS/s": f"{speed:,.1f}",
                "ours, nutpie, is faster by": f"{first.ess / first.sampling / speed:.1f}",
                "compiling s": f"{run.other:.1f}",
                "ESS/s with it": f"{run.ess / (run.sampling + run.other):,.1f}",
                "load": f"{run.load:.1f}",
            }
        )
    return pd.DataFrame(rows).set_index("")


def sides_of(race: Race, python: Path, *, every: bool) -> list[Callable[[], Run]]:
    """What runs, ours first and last; without ``every`` only what is quickest on each side."""
    peer_by_nutpie = [lambda: peers(race, python, sampler="nutpie", priors="default")]
    more = [
        lambda: peers(race, python, sampler="nutpie", priors="ours"),
        lambda: ours_by_pymc(race),
        lambda: peers(race, python, sampler="pymc", priors="default"),
    ]
    between = peer_by_nutpie + (more if every else [])
    return [lambda: ours_by_nutpie(race), *between, lambda: ours_by_nutpie(race, again=True)]


def show_race(logs: dict[str, pd.DataFrame], folder: str) -> None:
    """Print what both sides sample in a second."""
    import nutpie  # noqa: F401 - as the peer's side, before any clock runs
    import pymc  # noqa: F401

    with peer_environment(folder) as python:
        for name, log in logs.items():
            race = Race(history=clv.purchase_history(log, as_of=AS_OF), seed=1)
            runs = []
            for side in sides_of(race, python, every=name != "full"):
                runs.append(side())
                print(f"{runs[-1].side}: {runs[-1].sampling:.1f} s", file=sys.stderr, flush=True)
            table = race.history.table
            rows = len(compress(table["frequency"], table["recency"], table["T"]).weights)
            print(
                f"\nBG/NBD, CDNOW {name}, {len(table):,} customers in {rows:,} distinct rows, {CHAINS} x "
                f"({TUNE_OF_THE_RACE} + {DRAWS}) draws, {CORES} chains at once; ESS: smallest in the bulk of r, "
                "alpha, a and b"
            )
            print(compared(runs).T.to_string(), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=["bg_nbd"], help="none: only the peer")
    parser.add_argument("--sample", action="store_true", help="the 1/10 sample of customers instead of all")
    parser.add_argument("--peer", nargs="?", const="", metavar="FOLDER", help="also pymc-marketing, installed there")
    options = parser.parse_args()
    logs = {"1/10": clv.load_cdnow("1/10")} | ({} if options.sample else {"full": clv.load_cdnow()})
    if options.peer is not None:
        show_race(logs, options.peer)
    show_agreement(logs["1/10" if options.sample else "full"], options.models)


if __name__ == "__main__":
    main()
