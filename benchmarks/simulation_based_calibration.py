r"""Simulation-based calibration of the fits by NUTS: whether a posterior means what it says.

Run: ``python benchmarks/simulation_based_calibration.py [--pooled 200] [--grouped 100] [--spend 100] [--control 200]
[--seed 1]``. Draw parameters from a prior, simulate customers with them, fit under exactly that prior, and look at the
rank of the true value among the draws of its posterior: uniform, if prior, simulator, likelihood and sampler agree
(Talts, Betancourt, Simpson, Vehtari, Gelman 2018, arXiv:1804.06788). The log-likelihood of the simulated data is one
of the quantities, as it finds errors that parameters hide (Modrák and others 2023, doi:10.1214/23-BA1404). The ranks'
distribution is compared with 95 % bands that hold at all points at once (Säilynoja, Bürkner, Vehtari 2022,
doi:10.1007/s11222-022-10090-6).

The control fits MBG/NBD to customers who buy BG/NBD: its dropout has one chance to leave too many, so that a customer
alive has p ~ Beta(a, b + x + 1) in place of Beta(a, b + x). It must be found.

The prior is narrower than the default one, so that simulated data are never degenerate, and is the same for every
data set: it is stated in purchases per week, and each fit translates it to its own scale of time. All fits of a study
share one compiled graph.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from clv_forecast.inference.hierarchical.effects import EffectDraws, prior_draws
from clv_forecast.inference.hierarchical.part_data import PartData, purchase_part, spend_part
from clv_forecast.inference.hierarchical.priors import PURCHASES, SPEND, PartPriors, Prior, part_priors
from clv_forecast.inference.hierarchical.sampling import NutsPart, fit_part_nuts
from clv_forecast.inference.hierarchical.structure import Assignment, GroupTerm, Structure
from clv_forecast.inference.recipe import Sampler
from clv_forecast.inference.sufficient import spend_data
from clv_forecast.models import gamma_gamma, transaction_model

PURCHASE_PRIOR = {
    "mean_purchase_rate": Prior(median=0.12, sd=0.4),  # per week
    "purchase_rate_shape": Prior(median=0.9, sd=0.4),
    "mean_dropout_probability": Prior(median=0.25, sd=0.5),
    "dropout_concentration": Prior(median=2.5, sd=0.5),
}
GROUP_PRIOR = {
    "group_sd:mean_purchase_rate": Prior(sd=0.4),
    "group_sd:purchase_rate_shape": Prior(sd=0.2),
    "group_sd:mean_dropout_probability": Prior(sd=0.4),
    "group_sd:dropout_concentration": Prior(sd=0.2),
    "group_correlation": 2.0,
}
SPEND_PRIOR = {
    "mean_spend": Prior(median=30.0, sd=0.4),
    "spend_shape": Prior(median=4.0, sd=0.4),
    "spend_tail": Prior(median=2.5, sd=0.4),
}
SHORTEST, LONGEST = 20, 60  # weeks observed
QUICK = Sampler(chains=2, tune=400, draws=500, retries=0)
RANKS = 63  # draws kept of each posterior: ranks 0 to 63
BAND = 0.95
SIMULATED_BANDS = 20_000
WATCHED = (3.0, 25.0, 40.0, 26.0)  # frequency, recency, T and weeks ahead of the customer whose purchases are expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is simulated and how it is fitted; ``sizes`` are the customers of each group, one size where pooled."""

    title: str
    sizes: tuple[int, ...]
    fitted: str = "bg_nbd"
    simulated: str = "bg_nbd"
    priors: dict[str, Any] = field(default_factory=lambda: dict(PURCHASE_PRIOR))
    sampler: Sampler = QUICK

    @property
    def part(self) -> str:
        """Purchases or spend."""
        return SPEND if self.simulated == "gamma_gamma" else PURCHASES

    @property
    def structure(self) -> Structure:
        """One group column, or none."""
        levels = tuple(f"group {index + 1}" for index in range(len(self.sizes)))
        return Structure(groups=(GroupTerm(name="group", levels=levels, dated=True),) if len(levels) > 1 else ())

    @property
    def assignment(self) -> Assignment:
        """Cells of the customers."""
        cells, terms = len(self.sizes), len(self.structure.groups)
        codes = np.repeat(np.arange(cells)[:, None], terms, axis=1)
        labels = np.repeat(np.array([f"group {index + 1}" for index in range(cells)], dtype=object)[:, None], terms, 1)
        cell = np.repeat(np.arange(cells), self.sizes)
        return Assignment(cell=cell, codes=codes, labels=labels, design=np.zeros((cells, 0)))

    def prior(self, model: str, *, time_scale: float = 1.0, money_scale: float = 1.0) -> PartPriors:
        """The prior in data divided by these scales."""
        scales = {"time_scale": time_scale, "money_scale": money_scale}
        return part_priors(model, self.part, self.priors, structure=self.structure, **scales)


POOLED = Study(title="BG/NBD, pooled", sizes=(300,))
GROUPED = Study(
    title="BG/NBD, 8 groups",
    sizes=(20, 40, 60, 60, 80, 80, 100, 120),
    priors=PURCHASE_PRIOR | GROUP_PRIOR,
    sampler=Sampler(chains=2, tune=500, draws=750),  # with a retry, as in a fit by default
)
SPENDING = Study(
    title="Gamma-Gamma, pooled", sizes=(200,), fitted="gamma_gamma", simulated="gamma_gamma", priors=SPEND_PRIOR
)
CONTROL = Study(title="Control: MBG/NBD fitted to BG/NBD, pooled", sizes=(300,), fitted="mbg_nbd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Ranks of a study.

    Parameters
    ----------
    ranks : DataFrame
        One row per fit, one column per quantity: draws below the true value, of `RANKS`.
    contraction : Series
        Of each quantity: 1 less the share of its variance over data sets that its posteriors leave.
    fits : DataFrame
        One row per fit: converged, r_hat, ess (smallest bulk), divergences, seconds.
    """

    ranks: pd.DataFrame
    contraction: pd.Series[float]
    fits: pd.DataFrame


def calibrate(study: Study, fits: int, *, seed: int = 1, told: Callable[[int], None] | None = None) -> Calibration:
    """Simulate and fit ``fits`` times; every fit counts, whether its chains converged or not."""
    ranks, truths, variances, judged = [], [], [], []
    for index in range(fits):
        start = time.perf_counter()
        truth, table = simulated(study, np.random.default_rng([seed, index]))
        part = fitted(study, table, seed=index + 1)
        kept = part.effects.take(np.arange(RANKS) * part.effects.n_draws // RANKS)
        scales = {"time_scale": part.time_scale, "money_scale": part.money_scale}
        true = quantities(study, truth, table)
        drawn = quantities(study, kept, table, **scales)
        ranks.append({name: int(np.sum(drawn[name] < true[name][0])) for name in true})
        truths.append({name: true[name][0] for name in true})
        variances.append({name: np.var(drawn[name], ddof=1) for name in true})
        judged.append(
            {
                "converged": part.convergence.converged,
                "r_hat": part.convergence.r_hat,
                "ess": part.convergence.ess_bulk,
                "divergences": part.convergence.divergences,
                "seconds": time.perf_counter() - start,
            }
        )
        if told is not None:
            told(index + 1)
    contraction = 1.0 - pd.DataFrame(variances).mean() / pd.DataFrame(truths).var()
    return Calibration(ranks=pd.DataFrame(ranks), contraction=contraction, fits=pd.DataFrame(judged))


def simulated(study: Study, generator: np.random.Generator) -> tuple[EffectDraws, pd.DataFrame]:
    """Parameters from the prior, in weeks and money, and customers who behave so."""
    truth = prior_draws(study.prior(study.simulated), study.structure.groups, draws=1, generator=generator)
    params = of_customers(study, truth)
    seed = int(generator.integers(2**31))
    customers = sum(study.sizes)
    if study.part == SPEND:
        counts = generator.geometric(0.35, customers)
        n, total, sum_log = (column[0] for column in gamma_gamma.simulate(params, counts, rng=seed).summary())
        columns = {"spend_count_repeat": n, "spend_sum_repeat": total, "spend_sum_log_repeat": sum_log}
        return truth, pd.DataFrame({"customer_id": np.arange(customers)} | columns)
    length = generator.integers(SHORTEST, LONGEST + 1, customers).astype(float)
    frequency, recency = transaction_model(study.simulated).simulate(params, length, rng=seed).summary()
    return truth, pd.DataFrame({"frequency": frequency[0], "recency": recency[0], "T": length})


def fitted(study: Study, table: pd.DataFrame, *, seed: int) -> NutsPart:
    """Fit as ``clv.fit`` does."""
    if study.part == SPEND:
        data: PartData = spend_part(table, spend_data(table, "repeat"), study.assignment)
    else:
        data = purchase_part(study.fitted, table, study.assignment)
    priors = study.prior(study.fitted, time_scale=data.time_scale, money_scale=data.money_scale)
    return fit_part_nuts(data, study.structure, study.assignment, priors=priors, sampler=study.sampler, seed=seed)


def of_customers(study: Study, effects: EffectDraws, *, time_scale: float = 1.0, money_scale: float = 1.0) -> Any:
    """Parameters of every customer under the simulated model, in weeks and money, fields of shape (draw, customer)."""
    return of_cells(study, effects, study.assignment.cell, time_scale=time_scale, money_scale=money_scale)


def of_cells(
    study: Study, effects: EffectDraws, cells: np.ndarray, *, time_scale: float = 1.0, money_scale: float = 1.0
) -> Any:
    """Parameters of some cells, fields of shape (draw, cell)."""
    module = gamma_gamma if study.part == SPEND else transaction_model(study.simulated)
    assignment = study.assignment
    theta = effects.theta(assignment.codes, assignment.labels, assignment.design, seed=1)
    natural = module.constrain(theta.reshape(-1, theta.shape[-1]))
    scales = {"alpha": time_scale, "v": money_scale}
    return module.Params(
        *(
            (getattr(natural, name) * scales.get(name, 1.0)).reshape(theta.shape[:2])[:, cells]
            for name in module.PARAMETERS
        )
    )


def quantities(
    study: Study, effects: EffectDraws, table: pd.DataFrame, *, time_scale: float = 1.0, money_scale: float = 1.0
) -> dict[str, np.ndarray]:
    """What is ranked, in weeks and money: each of shape (draw,)."""
    scales = {"time_scale": time_scale, "money_scale": money_scale}
    shift = np.array([_shift(name, **scales) for name in effects.coordinates])
    centre = effects.intercept + shift
    found = {name: centre[:, k] for k, name in enumerate(effects.coordinates)}
    for covariance, effect in zip(
        [factor @ factor.transpose(0, 2, 1) for factor in effects.factors], effects.effects, strict=True
    ):
        sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        found |= {f"sd of {name}": sd[:, k] for k, name in enumerate(effects.coordinates)}
        found["correlation of rate and dropout"] = covariance[:, 0, 2] / (sd[:, 0] * sd[:, 2])
        for level in (0, len(study.sizes) - 1):
            for k, name in enumerate(effects.coordinates):
                found[f"{name}, group of {study.sizes[level]}"] = centre[:, k] + effect[:, level, k]
    first = of_cells(study, effects, np.array([0]), **scales)
    everyone = of_customers(study, effects, **scales)
    if study.part == SPEND:
        found["expected spend of a customer"] = gamma_gamma.expected_spend(first, 2.0, 80.0)[:, 0]
        data = (table[f"spend_{name}_repeat"].to_numpy(dtype=float) for name in ("count", "sum", "sum_log"))
        likelihood = gamma_gamma.log_likelihood_orders(everyone, *data)
    else:
        x, t_x, length, ahead = WATCHED
        module = transaction_model(study.simulated)
        found["expected purchases of a customer"] = module.expected_purchases(first, x, t_x, length, horizon=ahead)[
            :, 0
        ]
        data = (table[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
        likelihood = module.log_likelihood(everyone, *data)
    return found | {"log-likelihood of the data": np.sum(likelihood, axis=1)}


def _shift(coordinate: str, *, time_scale: float, money_scale: float) -> float:
    """From scaled data to weeks and money."""
    return {"log_rate": -float(np.log(time_scale)), "log_mean_spend": float(np.log(money_scale))}.get(coordinate, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniformity:
    """Bands of the empirical distribution function of uniform ranks, simultaneous over all points.

    Parameters
    ----------
    points : ndarray, shape (point,)
        Share of uniform ranks at or below each rank but the last.
    tails : ndarray, shape (fit + 1, point)
        Two-sided binomial tail probability of each count of ranks at or below it.
    smallest : ndarray, shape (simulation,)
        Smallest tail of each simulated set of uniform ranks, sorted.
    """

    fits: int
    points: np.ndarray
    tails: np.ndarray
    smallest: np.ndarray

    @classmethod
    def of(cls, fits: int, *, ranks: int = RANKS, simulations: int = SIMULATED_BANDS, seed: int = 1) -> Uniformity:
        """Simulate the bands for so many fits."""
        points = np.arange(1, ranks + 1) / (ranks + 1)
        counts = np.arange(fits + 1)[:, None]
        below, above = stats.binom.cdf(counts, fits, points), stats.binom.sf(counts - 1, fits, points)
        tails = np.minimum(1.0, 2.0 * np.minimum(below, above))
        chances = np.full(ranks + 1, 1.0 / (ranks + 1))
        cells = np.random.default_rng(seed).multinomial(fits, chances, size=simulations)
        drawn = np.cumsum(cells, axis=1)[:, :-1]
        smallest = np.sort(tails[drawn, np.arange(ranks)].min(axis=1))
        return cls(fits=fits, points=points, tails=tails, smallest=smallest)

    def judge(self, ranks: Sequence[int] | np.ndarray) -> tuple[float, float, float]:
        """Deviation and half-width of the band where the ranks come closest to leaving it, and the p-value."""
        count = np.array([np.sum(np.asarray(ranks) <= rank) for rank in range(len(self.points))])
        tail = self.tails[count, np.arange(len(count))]
        worst = int(np.argmin(tail))
        deviation = count[worst] / self.fits - self.points[worst]
        inside = np.flatnonzero(self.tails[:, worst] >= self.level) / self.fits - self.points[worst]
        width = inside[-1] if deviation > 0.0 else -inside[0]
        p = (1 + np.searchsorted(self.smallest, tail[worst] * (1.0 + 1e-9), side="right")) / (1 + len(self.smallest))
        return float(deviation), float(width), float(p)

    @property
    def level(self) -> float:
        """Tail probability at each point, such that all points hold together at `BAND`."""
        return float(np.quantile(self.smallest, 1.0 - BAND, method="higher"))


def verdict(calibration: Calibration) -> pd.DataFrame:
    """One row per quantity: deviation, band, p, inside, contraction; see `overall` for all of them."""
    bands = Uniformity.of(len(calibration.ranks))
    rows = []
    for name in calibration.ranks:
        deviation, width, p = bands.judge(calibration.ranks[name].to_numpy())
        rows.append((name, deviation, width, p, p > 1.0 - BAND, calibration.contraction[name]))
    return pd.DataFrame(rows, columns=["quantity", "deviation", "band", "p", "inside", "contraction"])


def overall(table: pd.DataFrame) -> float:
    """p-value of all quantities together, after Bonferroni."""
    return float(min(1.0, table["p"].min() * len(table)))


def report(study: Study, fits: int, seed: int) -> None:
    """Run a study and print it."""
    s = study.sampler
    print(f"\n{study.title}: {fits} fits of {sum(study.sizes)} customers in groups of {study.sizes}", flush=True)
    print(
        f"  sampler: {s.chains} chains x ({s.tune} tune + {s.draws} draws), target {s.target_accept or 'by default'}, "
        f"{s.retries} retries; {RANKS} draws kept"
    )
    start = time.perf_counter()

    def told(done: int) -> None:
        if done % 20 == 0:
            print(f"  {done} fits, {time.perf_counter() - start:.0f} s", flush=True)

    calibration = calibrate(study, fits, seed=seed, told=told)
    judged, table = calibration.fits, verdict(calibration)
    print(
        f"  {int((~judged['converged']).sum())} of {fits} fits not converged (all are counted), largest R-hat "
        f"{judged['r_hat'].max():.3f}, effective draws: median of the smallest {judged['ess'].median():.0f}, least "
        f"{judged['ess'].min():.0f}; {judged['divergences'].sum()} divergences; "
        f"{judged['seconds'].median():.1f} s a fit"
    )
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    outside = int((~table["inside"]).sum())
    print(
        f"  outside the {BAND:.0%} band: {outside} of {len(table)} quantities; smallest p {table['p'].min():.5f}, "
        f"{overall(table):.4f} after Bonferroni: {'DEVIATES' if overall(table) < 1.0 - BAND else 'calibrated'}",
        flush=True,
    )
    blocks = [calibration.ranks.iloc[first : first + 20] for first in range(0, fits - 19, 20)]
    if study is CONTROL and len(blocks) > 1:
        found = [overall(verdict(_only(calibration, block))) < 1.0 - BAND for block in blocks]
        print(f"  found with 20 fits alone: {sum(found)} of {len(found)} times", flush=True)


def _only(calibration: Calibration, ranks: pd.DataFrame) -> Calibration:
    return Calibration(ranks=ranks, contraction=calibration.contraction, fits=calibration.fits)


def main() -> None:
    """Print every study asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pooled", type=int, default=200)
    parser.add_argument("--grouped", type=int, default=100)
    parser.add_argument("--spend", type=int, default=100)
    parser.add_argument("--control", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    studies = [(POOLED, options.pooled), (CONTROL, options.control), (SPENDING, options.spend)]
    for study, fits in [*studies, (GROUPED, options.grouped)]:
        if fits:
            report(study, fits, options.seed)


if __name__ == "__main__":
    main()
