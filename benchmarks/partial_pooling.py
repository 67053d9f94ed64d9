r"""Whether groups forecast better when they learn from each other.

Run: ``python benchmarks/partial_pooling.py [--repetitions 30] [--seed 1]``. Eight groups of customers buy BG/NBD at
known rates and with known dropout, spread by a standard deviation of 0.5 on the log or logit scale; the smallest group
has 25 customers, the largest 150, and each repetition gives every size to another rate. One path of each customer is
cut into a calibration of 13 to 39 weeks and a holdout of 39. Three fits forecast the holdout:

- *groups*: ``clv.fit(method="nuts", groups="group")``, partial pooling;
- *each alone*: the Laplace posterior of each group by itself, no pooling;
- *all alike*: the Laplace posterior of all customers together, full pooling.

The score is the log predictive density of what each customer did in the holdout,

.. math:: \ln \frac1D \sum_d \frac{L(\theta_d; x + y, t_{x+y}, T + h)}{L(\theta_d; x, t_x, T)}

with the likelihood :math:`L` in which purchase rate and dropout are integrated out; differences are paired by
repetition. So that chance in one holdout does not drown them, they are also averaged over nine more futures of the same
customers, drawn under the true parameters given their calibration. *True parameters* show how far a forecast could go.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logsumexp

import clv_forecast as clv
from clv_forecast.models import bg_nbd

SIZES = (25, 40, 50, 60, 80, 100, 120, 150)
PATTERN = np.array([-1.51, -0.94, -0.52, -0.17, 0.17, 0.52, 0.94, 1.51])  # of mean 0 and standard deviation 0.95
LOG_RATE = np.log(0.12) + 0.5 * PATTERN / np.std(PATTERN)  # purchases per week
LOGIT_DROPOUT = -1.1 + 0.5 * PATTERN[[3, 6, 1, 4, 7, 0, 5, 2]] / np.std(PATTERN)
LOG_SHAPE, LOG_CONCENTRATION = 0.0, 0.9
SHORTEST, LONGEST, HOLDOUT = 13, 39, 39.0  # weeks
DRAWS = 1000
SAMPLER = clv.Sampler(chains=2, tune=500, draws=1000, target_accept=0.95, retries=0)
FUTURES = 10  # of each customer: the one of its path, and others given its calibration
PROB = 0.9
METHODS = ("groups", "each alone", "all alike")
TRUE = "true parameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """Customers of groups, and what they did in the holdout.

    Parameters
    ----------
    history : PurchaseHistory
        With the column ``group``.
    group : ndarray of int, shape (customer,)
        In the order of the history's table.
    sizes : tuple of int
        Customers of each group.
    after : ndarray, shape (future, customer)
        Purchases in the holdout: first of the path itself, then of the other futures.
    last : ndarray, shape (future, customer)
        Time of the last purchase of all, since the first.
    """

    history: clv.PurchaseHistory
    group: np.ndarray
    sizes: tuple[int, ...]
    after: np.ndarray
    last: np.ndarray


def simulate(repetition: int, *, seed: int = 1) -> Simulated:
    """One path of every customer, cut at the end of its calibration."""
    rng = np.random.default_rng([seed, repetition])
    sizes = tuple(SIZES[(index + repetition) % len(SIZES)] for index in range(len(SIZES)))
    group = np.repeat(np.arange(len(sizes)), sizes)
    length = rng.integers(SHORTEST, LONGEST + 1, group.size).astype(float)
    path = bg_nbd.simulate(true_params(group), length + HOLDOUT, rng=int(rng.integers(2**31)))
    owner = np.repeat(np.arange(group.size), path.count[0])
    before = path.times <= length[owner]
    frequency = np.bincount(owner[before], minlength=group.size)
    recency = np.zeros(group.size)
    np.maximum.at(recency, owner[before], path.times[before])
    table = pd.DataFrame(
        {"customer_id": np.arange(group.size), "frequency": frequency, "recency": recency, "T": length}
    )
    attributes = pd.DataFrame({"customer_id": table["customer_id"], "group": [f"group {index}" for index in group]})
    others = bg_nbd.draw_future_purchases(
        true_params(group), frequency, recency, length, horizon=HOLDOUT, rng=int(rng.integers(2**31)), draws=FUTURES - 1
    )
    count, since = others.summary()
    return Simulated(
        history=history_of(table, attributes),
        group=group,
        sizes=sizes,
        after=np.vstack([path.count[0] - frequency, count]),
        last=np.vstack([path.summary()[1][0], np.where(count > 0, length + since, recency)]),
    )


def history_of(table: pd.DataFrame, attributes: pd.DataFrame) -> clv.PurchaseHistory:
    """History of a summary without money."""
    return clv.history_from_summary(table, unit="week", as_of="2024-12-31", customers=attributes, monetary_value=None)


def true_params(group: np.ndarray) -> bg_nbd.Params:
    """Of each customer, fields of shape (customer,)."""
    theta = np.column_stack(
        [
            LOG_RATE[group],
            np.full(group.size, LOG_SHAPE),
            LOGIT_DROPOUT[group],
            np.full(group.size, LOG_CONCENTRATION),
        ]
    )
    made = bg_nbd.constrain(theta)
    return bg_nbd.Params(*(getattr(made, name).ravel() for name in bg_nbd.PARAMETERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Draws of the parameters of each group, each of shape (draw, 1), and what the fits said about themselves."""

    params: tuple[bg_nbd.Params, ...]
    trusted: bool
    note: str


def fit_groups(data: Simulated, *, seed: int) -> Fitted:
    """Partial pooling."""
    model = clv.fit(
        data.history,
        spend=None,
        method="nuts",
        groups="group",
        sampler=SAMPLER,
        draws=DRAWS,
        rng=seed,
        compare=False,
        allow_unconverged=True,
    )
    parameters = model.draws.for_history(data.history)
    first = [int(np.flatnonzero(data.group == index)[0]) for index in range(len(data.sizes))]
    drawn = parameters.purchases(parameters.cell[first])
    found = [
        bg_nbd.Params(*(getattr(drawn, name)[:, index, None] for name in bg_nbd.PARAMETERS))
        for index in range(len(data.sizes))
    ]
    convergence = model.report.purchases.convergence
    trusted = convergence is not None and convergence.converged
    return Fitted(params=tuple(found), trusted=trusted, note=model.report.purchases.message)


def fit_each_alone(data: Simulated, *, seed: int) -> Fitted:
    """No pooling."""
    table, attributes = data.history.table[["customer_id", "frequency", "recency", "T"]], data.history.customers
    fits = []
    for index in range(len(data.sizes)):
        rows = data.group == index
        fits.append(_laplace(history_of(table[rows], attributes[rows]), seed))
    notes = "; ".join(note for _, trusted, note in fits if not trusted)
    return Fitted(params=tuple(fit[0] for fit in fits), trusted=all(fit[1] for fit in fits), note=notes)


def fit_all_alike(data: Simulated, *, seed: int) -> Fitted:
    """Full pooling."""
    params, trusted, note = _laplace(data.history, seed)
    return Fitted(params=(params,) * len(data.sizes), trusted=trusted, note=note)


def _laplace(history: clv.PurchaseHistory, seed: int) -> tuple[bg_nbd.Params, bool, str]:
    model = clv.fit(history, spend=None, method="laplace", draws=DRAWS, rng=seed, compare=False, allow_unconverged=True)
    report = model.report.purchases
    trusted = report.k_hat is not None and report.k_hat < 0.7
    return model.draws.purchases, trusted, report.message


def scores(data: Simulated, params: tuple[bg_nbd.Params, ...]) -> np.ndarray:
    """Log predictive density of each customer's holdout, shape (future, customer)."""
    x, t_x, length = (data.history.table[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    found = np.empty(data.after.shape)
    for index, own in enumerate(params):
        rows = np.flatnonzero(data.group == index)
        who = np.tile(np.arange(rows.size), len(data.after))
        what = np.stack([who, data.after[:, rows].ravel(), data.last[:, rows].ravel()])
        (kind, after, last), place = np.unique(what, axis=1, return_inverse=True)
        kind = rows[kind.astype(int)]
        before = bg_nbd.log_likelihood(own, x[kind], t_x[kind], length[kind])
        both = bg_nbd.log_likelihood(own, x[kind] + after, last, length[kind] + HOLDOUT)
        ratio = np.atleast_2d(both - before)
        density = logsumexp(ratio, axis=0) - np.log(len(ratio))
        found[:, rows] = density[place.ravel()].reshape(len(data.after), rows.size)
    return found


def repeat(repetition: int, *, seed: int = 1) -> pd.DataFrame:
    """One row per method and group: scores summed over customers, error and coverage of the log mean rate.

    Column ``one_path`` is the score of the path itself, ``score`` the average over all futures.
    """
    data = simulate(repetition, seed=seed)
    fits = {
        "groups": fit_groups(data, seed=repetition + 1),
        "each alone": fit_each_alone(data, seed=repetition + 1),
        "all alike": fit_all_alike(data, seed=repetition + 1),
        TRUE: Fitted(params=tuple(_true(index) for index in range(len(data.sizes))), trusted=True, note=""),
    }
    tables = []
    for method, fit in fits.items():
        log_rates = [np.log(np.ravel(own.r)) - np.log(np.ravel(own.alpha)) for own in fit.params]
        bounds = np.array([np.quantile(drawn, [0.5 - PROB / 2, 0.5 + PROB / 2]) for drawn in log_rates])
        density = scores(data, fit.params)
        table = pd.DataFrame(
            {
                "repetition": repetition,
                "method": method,
                "size": data.sizes,
                "score": np.bincount(data.group, weights=density.mean(axis=0)),
                "one_path": np.bincount(data.group, weights=density[0]),
                "error": np.array([drawn.mean() for drawn in log_rates]) - LOG_RATE,
                "width": bounds[:, 1] - bounds[:, 0],
                "covered": (bounds[:, 0] <= LOG_RATE) & (bounds[:, 1] >= LOG_RATE),
                "trusted": fit.trusted,
            }
        )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _true(index: int) -> bg_nbd.Params:
    return true_params(np.array([index]))


def gains(table: pd.DataFrame, over: str, *, score: str = "score") -> pd.DataFrame:
    """By how much *groups* beats another method per repetition: in all customers, and in each size of group.

    Returns
    -------
    DataFrame
        Index ``"all"`` and the sizes; columns mean, error (standard error over the repetitions), wins (share).
    """
    sums = table.pivot_table(index=["repetition", "size"], columns="method", values=score, aggfunc="sum")
    by_size = (sums["groups"] - sums[over]).unstack("size")
    by_size.insert(0, "all", by_size.sum(axis=1))
    return pd.DataFrame(
        {
            "mean": by_size.mean(),
            "error": by_size.std() / np.sqrt(len(by_size)),
            "wins": (by_size > 0.0).mean(),
        }
    )


def main() -> None:
    """Print the gains in score and how the groups' rates were recovered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tables, start = [], time.perf_counter()
    for repetition in range(options.repetitions):
        tables.append(repeat(repetition, seed=options.seed))
        print(f"repetition {repetition + 1}, {time.perf_counter() - start:.0f} s", flush=True)
        if (repetition + 1) % 10 == 0 or repetition + 1 == options.repetitions:
            show(pd.concat(tables, ignore_index=True))


def show(table: pd.DataFrame) -> None:
    """Print what was found so far."""
    repetitions = table["repetition"].nunique()
    print(f"\n{repetitions} repetitions, {sum(SIZES):,} customers each; nats of log predictive density per repetition")
    for over in (*METHODS[1:], TRUE):
        columns = {"futures": gains(table, over), "path alone": gains(table, over, score="one_path")}
        print(f"groups against {over}:")
        print(pd.concat(columns, axis=1).to_string(float_format=lambda value: f"{value:.2f}"))
    table = table[table["method"] != TRUE]
    table = table.assign(squared=table["error"] ** 2, small=table["size"] == min(SIZES))
    for name, rows in (("every group", table), (f"the group of {min(SIZES)}", table[table["small"]])):
        means = rows.groupby("method")[["squared", "covered", "width"]].mean().loc[list(METHODS)]
        means.insert(0, "rmse", np.sqrt(means.pop("squared")))
        print(f"log mean rate of {name}: error, share inside the {PROB:.0%} interval, its width")
        print(means.to_string(float_format=lambda value: f"{value:.3f}"))
    trusted = table.groupby(["method", "repetition"])["trusted"].first().groupby("method").mean()
    print("share of repetitions whose chains converged or whose every k-hat is below 0.7 (all are counted):")
    print(trusted.loc[list(METHODS)].to_string(float_format=lambda value: f"{value:.2f}"), flush=True)


if __name__ == "__main__":
    main()
