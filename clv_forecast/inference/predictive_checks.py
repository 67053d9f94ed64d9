"""Predictive checks: new customers simulated from the fitted model, or from its prior, beside those observed.

Each replica gives every customer a new life of the same length ``T`` under one draw of the parameters; whatever the
model misses shows as a statistic of the data that the replicas do not reach.

References
----------
Gelman, Meng, Stern (1996), "Posterior predictive assessment of model fitness via realized discrepancies", Statistica
Sinica 6(4). Gabry, Simpson, Vehtari, Betancourt, Gelman (2019), "Visualization in Bayesian workflow", JRSS A 182(2),
doi:10.1111/rssa.12378.

Statistics of purchases and of spend that a predictive check compares: of the data and of replicas alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special

from clv_forecast import columns
from clv_forecast.arguments import draws_of, instance_of
from clv_forecast.errors import DomainError, InputError
from clv_forecast.inference.hierarchical.effects import prior_draws
from clv_forecast.inference.hierarchical.priors import PURCHASES, SPEND, check_priors, part_priors
from clv_forecast.inference.hierarchical.structure import learn_structure
from clv_forecast.inference.hierarchy import CustomerParameters, Hierarchy
from clv_forecast.inference.model import Model
from clv_forecast.inference.problem import purchase_problem, spend_problem
from clv_forecast.inference.sufficient import compress, spend_data
from clv_forecast.models import TransactionModel, gamma_gamma, transaction_model
from clv_forecast.notebook_html import notebook_html
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.streams import KeyedStreams, as_seed, customer_keys

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory
    from clv_forecast.inference.hierarchical.priors import Priors


COUNTED_APART: Final = 7  # repeat purchases from which on customers are counted together, as in the papers' figures
_LOG_SHAPES: Final = (-12.0, 22.0)
_QUANTILES: Final = (0.10, 0.50, 0.90, 0.99)


def purchase_statistics(frequency: Floats, recency: Floats, T: Floats) -> dict[str, float]:
    """Describe how often customers bought again, and when last.

    Parameters
    ----------
    frequency, recency, T : ndarray, shape (customer,)

    Returns
    -------
    dict of str to float
        By name; NaN where no customer bought again.

    Examples
    --------
    >>> made = purchase_statistics(np.array([0.0, 2.0]), np.array([0.0, 30.0]), np.array([40.0, 40.0]))
    >>> made["share with 2 repeat purchases"], made["mean recency / T of repeaters"]
    (0.5, 0.75)
    """
    customers = frequency.size
    capped = np.minimum(frequency, COUNTED_APART).astype(np.intp)
    shares = np.bincount(capped, minlength=COUNTED_APART + 1) / customers
    told = {f"share with {_times(count)}": float(share) for count, share in enumerate(shares)}
    repeats = frequency > 0.0
    told["mean repeat purchases"] = float(frequency.mean())
    told["variance of repeat purchases"] = float(frequency.var())
    told["99 % quantile of repeat purchases"] = float(np.quantile(frequency, 0.99, method="inverted_cdf"))
    told["total repeat purchases"] = float(frequency.sum())
    told["mean recency / T of repeaters"] = (
        float(np.mean(recency[repeats] / T[repeats])) if repeats.any() else float("nan")
    )
    return told


def spend_statistics(n: Floats, total: Floats, sum_log: Floats) -> dict[str, float]:
    """Describe what customers spent per order, between and within customers.

    Parameters
    ----------
    n, total, sum_log : ndarray, shape (customer,)
        Orders of each customer, at least one; their sum, and the sum of their logarithms (NaN where only means are
        known: then nothing is said of the spread within customers).

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> made = spend_statistics(np.array([2.0, 1.0]), np.array([30.0, 30.0]), np.array([5.3, 3.4]))
    >>> made["mean order"], made["sd of customers' mean orders"]
    (20.0, 7.5)
    """
    means = total / n
    told = {
        "mean order": float(total.sum() / n.sum()),
        "sd of customers' mean orders": float(means.std()),
        **{
            f"{100 * level:.0f} % quantile of customers' mean orders": float(value)
            for level, value in zip(_QUANTILES, np.quantile(means, _QUANTILES), strict=True)
        },
    }
    if np.isfinite(sum_log).all() and (n > 1.0).any():
        told["coefficient of variation within customers"] = variation_within(n, total, sum_log)
    return told


def variation_within(n: Floats, total: Floats, sum_log: Floats) -> float:
    r"""Coefficient of variation of one customer's orders, whatever the customers' levels.

    Orders of one customer taken as Gamma with shape ``p``, their shares of the customer's total are Dirichlet, free of
    the level; ``p`` maximises that likelihood and the answer is :math:`p^{-1/2}`:

    .. math:: \sum_i n_i (\psi(n_i p) - \psi(p)) + \sum_i \sum_j \ln (z_{ij} / \textstyle\sum_k z_{ik}) = 0

    Parameters
    ----------
    n, total, sum_log : ndarray, shape (customer,)
        Some ``n`` above one.

    Returns
    -------
    float
        0 where the orders of each customer are alike.

    Examples
    --------
    >>> orders = np.array([[10.0, 20.0, 40.0], [5.0, 5.0, 20.0]])
    >>> round(variation_within(np.array([3.0, 3.0]), orders.sum(axis=1), np.log(orders).sum(axis=1)), 3)
    0.721
    """
    several = n > 1.0
    sizes, customers = np.unique(n[several], return_counts=True)
    logs = float(np.sum(sum_log[several] - n[several] * np.log(total[several])))
    orders = sizes * customers

    def score(log_shape: float) -> float:
        shape = np.exp(log_shape)
        return float(orders @ (special.digamma(sizes * shape) - special.digamma(shape))) + logs

    lowest, highest = _LOG_SHAPES
    if score(highest) >= -1e-9 * abs(logs):
        return 0.0
    if score(lowest) <= 0.0:
        return float(np.exp(-0.5 * lowest))
    return float(np.exp(-0.5 * optimize.brentq(score, lowest, highest)))


def _times(count: int) -> str:
    if count == COUNTED_APART:
        return f"{count} or more repeat purchases"
    return f"{count} repeat purchase{'' if count == 1 else 's'}"


Floats = NDArray[np.float64]

PROB: Final = 0.9
DOUBTFUL: Final = 0.02
_FEWEST: Final = 50
_CUSTOMERS_AT_ONCE: Final = 10_000
_PURCHASE_STREAM: Final = 11
_SPEND_STREAM: Final = 12
_AMOUNTS: Final = {
    "repeat": (columns.SPEND_COUNT_REPEAT, columns.SPEND_SUM_REPEAT, columns.SPEND_SUM_LOG_REPEAT),
    "all": (columns.SPEND_COUNT_ALL, columns.SPEND_SUM_ALL, columns.SPEND_SUM_LOG_ALL),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PredictiveCheck:
    """Statistics of the data beside those of replicas.

    Parameters
    ----------
    table : DataFrame
        One row per statistic: part (purchases or spend), statistic, observed, mean, lower, upper (90 % of the
        replicas lie between), p (two-sided: how often a replica lies as far out), replicas (those where it exists).
        Times and money in the history's units.
    of : str
        ``"fit"`` or ``"prior"``.
    sentences : tuple of str
        What does not fit, in plain words.
    customers, replicas : int
    """

    table: pd.DataFrame
    of: str
    sentences: tuple[str, ...]
    customers: int
    replicas: int

    def __str__(self) -> str:
        shown = self.table.drop(columns=["replicas"])
        table = shown.to_string(index=False, float_format=_short, na_rep="-")
        return "\n".join([table, *self.sentences])

    def __repr__(self) -> str:
        return f"<PredictiveCheck of the {self.of}: {self.replicas:,} replicas of {self.customers:,} customers>"

    def _repr_html_(self) -> str:
        title = f"Predictive check of the {self.of}: {self.replicas:,} replicas of {self.customers:,} customers"
        return notebook_html(title, self.table, notes=self.sentences, rows=len(self.table))


@shows_progress
def posterior_predictive_check(
    model: Model,
    history: PurchaseHistory,
    *,
    draws: int = 200,
    rng: int | np.random.Generator = 1,
    progress: Progress = automatic,
) -> PredictiveCheck:
    """Compare the customers of a history with new ones simulated from the fitted model.

    Parameters
    ----------
    model : Model
        Its draws are a posterior's, or those that stand in for one after maximum likelihood.
    history : PurchaseHistory
        As a rule the one of the fit.
    draws : int
        Number of replicas, at least 50; one per parameter draw, evenly spaced.
    rng : int or numpy Generator
    progress : Progress

    Returns
    -------
    PredictiveCheck

    Raises
    ------
    DomainError
        If model and history do not go together, or ``draws`` is no number from 50 to 100,000.
    InputError
        If the history lacks the amounts that the spend model was fitted to.

    Notes
    -----
    The data are used twice, for the fit and for the check, so p of a right model gathers in the middle rather than
    being uniform: a small one is the stronger for it, a large one proves nothing.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")
    >>> model = clv.fit(history, spend=None, compare=False)
    >>> check = posterior_predictive_check(model, history, draws=50)
    >>> check.table["statistic"].iloc[0]
    'share with 0 repeat purchases'
    """
    instance_of(model, Model, "model", made_by="fit")
    _check_same(model, history)
    parameters = model.draws.cycle(_number(draws)).for_history(history)
    spend_from = None if model.spend is None else model.spend_from
    return _check(
        transaction_model(model.purchases),
        parameters,
        history,
        spend_from=spend_from,
        of="fit",
        seed=as_seed(rng),
        progress=progress,
    )


@shows_progress
def prior_predictive_check(
    history: PurchaseHistory,
    purchases: str = "bg_nbd",
    spend: str | None = "gamma_gamma",
    *,
    spend_from: str = "auto",
    groups: str | Sequence[str] = (),
    covariates: str | Sequence[str] = (),
    priors: Priors | None = None,
    draws: int = 200,
    rng: int | np.random.Generator = 1,
    progress: Progress = automatic,
) -> PredictiveCheck:
    """Compare the customers of a history with what the priors of a fit take for possible.

    Parameters
    ----------
    history : PurchaseHistory
        Also scales the priors, as in a fit.
    purchases, spend, spend_from, groups, covariates, priors
        As in ``fit``.
    draws : int
        Number of replicas, at least 50.
    rng : int or numpy Generator
    progress : Progress

    Returns
    -------
    PredictiveCheck
        Wide bands are as they should be; a statistic outside says that the prior speaks against the data.

    Raises
    ------
    DomainError
        If an option is unknown or does not fit, or ``draws`` is no number from 50 to 100,000.
    InputError
        If nobody bought again, or the history lacks the amounts or an attribute.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")
    >>> prior_predictive_check(history, spend=None, draws=50)
    <PredictiveCheck of the prior: 50 replicas of 2,349 customers>
    """
    if spend not in (None, "gamma_gamma"):
        raise DomainError("spend must be 'gamma_gamma' or None.", value=repr(spend))
    number, seed, table = _number(draws), as_seed(rng), history.table
    if not (table[columns.FREQUENCY] > 0).any():
        raise InputError("Nobody has bought a second time, so the priors have no scale.", remedy="Observe longer.")
    structure = learn_structure(history, groups, covariates)
    check_priors(priors, purchases, spend, structure=structure)
    rows = compress(table[columns.FREQUENCY], table[columns.RECENCY], table[columns.T])
    time_scale = purchase_problem(purchases, rows).scale
    bought = part_priors(purchases, PURCHASES, priors, structure=structure, time_scale=time_scale)
    amounts, money_scale, spent = None if spend is None else spend_data(table, spend_from), None, None
    if amounts is not None:
        money_scale = spend_problem(amounts.rows, orders=amounts.level == "orders").scale
        own = part_priors("gamma_gamma", SPEND, priors, structure=structure, money_scale=money_scale)
        spent = prior_draws(own, structure.groups, draws=number, generator=np.random.default_rng([seed, _SPEND_STREAM]))
    hierarchy = Hierarchy(
        structure=structure,
        purchases=prior_draws(
            bought, structure.groups, draws=number, generator=np.random.default_rng([seed, _PURCHASE_STREAM])
        ),
        spend=spent,
        model=purchases,
        time_scale=time_scale,
        money_scale=money_scale,
        seed=seed,
    )
    chosen = None if amounts is None else amounts.spend_from
    parameters = hierarchy.for_history(history)
    return _check(
        transaction_model(purchases), parameters, history, spend_from=chosen, of="prior", seed=seed, progress=progress
    )


def _check(
    module: TransactionModel,
    parameters: CustomerParameters,
    history: PurchaseHistory,
    *,
    spend_from: str | None,
    of: str,
    seed: int,
    progress: Progress,
) -> PredictiveCheck:
    table = history.table
    T = table[columns.T].to_numpy(dtype=np.float64)
    keys = customer_keys(seed, table[columns.CUSTOMER_ID].tolist())
    frequency, recency = (table[name].to_numpy(dtype=np.float64) for name in (columns.FREQUENCY, columns.RECENCY))
    observed = {"purchases": purchase_statistics(frequency, recency, T)}
    amounts = None if spend_from is None else _amounts(table, spend_from)
    if amounts is not None:
        observed["spend"] = spend_statistics(*(column[amounts[0] > 0.0] for column in amounts))
    replicas: dict[str, list[dict[str, float]]] = {part: [] for part in observed}
    for draw in range(parameters.n_draws):
        progress("check", draw, parameters.n_draws)
        one = parameters.between(draw, draw + 1)
        replicas["purchases"].append(purchase_statistics(*_new_customers(module, one, T, keys=keys, draw=draw), T))
        if amounts is not None:
            replicas["spend"].append(spend_statistics(*_new_orders(one, amounts, keys, draw=draw)))
    progress("check", parameters.n_draws, parameters.n_draws)
    result = pd.concat([_compare(part, observed[part], replicas[part]) for part in observed], ignore_index=True)
    return PredictiveCheck(
        table=result,
        of=of,
        sentences=tuple(_sentence(part, result[result["part"] == part], of) for part in observed),
        customers=len(table),
        replicas=parameters.n_draws,
    )


def _new_customers(
    module: TransactionModel, one: CustomerParameters, T: Floats, *, keys: NDArray[np.uint64], draw: int
) -> tuple[Floats, Floats]:
    """Frequency and recency of every customer in one replica, in blocks of bounded memory."""
    frequency, recency = np.empty(T.size), np.empty(T.size)
    for start in range(0, T.size, _CUSTOMERS_AT_ONCE):
        block = slice(start, start + _CUSTOMERS_AT_ONCE)
        params = one.purchases(one.cell[block])
        count, last = module.simulate(params, T[block], rng=KeyedStreams(keys[block], draw)).summary()
        frequency[block], recency[block] = count[0], last[0]
    return frequency, recency


def _new_orders(
    one: CustomerParameters, amounts: tuple[Floats, Floats, Floats], keys: NDArray[np.uint64], *, draw: int
) -> tuple[Floats, Floats, Floats]:
    """Number, sum and sum of logarithms of as many new orders as each customer has placed."""
    buyers = np.flatnonzero(amounts[0] > 0.0)
    number = amounts[0][buyers]
    total, logs = np.empty(buyers.size), np.full(buyers.size, np.nan)
    for start in range(0, buyers.size, _CUSTOMERS_AT_ONCE):
        block = slice(start, start + _CUSTOMERS_AT_ONCE)
        params = one.spend(one.cell[buyers[block]])
        orders = gamma_gamma.simulate(params, number[block], rng=KeyedStreams(keys[buyers[block]], draw))
        _, sums, sums_of_logs = orders.summary()
        total[block], logs[block] = sums[0], sums_of_logs[0]
    known = np.isfinite(amounts[2][buyers]).all()
    return number, total, logs if known else np.full(buyers.size, np.nan)


def _compare(part: str, observed: dict[str, float], replicas: list[dict[str, float]]) -> pd.DataFrame:
    rows = []
    for name, value in observed.items():
        drawn = np.array([replica[name] for replica in replicas])
        drawn = drawn[np.isfinite(drawn)]
        known = drawn.size > 0 and np.isfinite(value)
        lower, upper = np.quantile(drawn, [0.5 - PROB / 2, 0.5 + PROB / 2]) if known else (np.nan, np.nan)
        further = 1 + min(int(np.sum(drawn >= value)), int(np.sum(drawn <= value)))
        rows.append(
            {
                "part": part,
                "statistic": name,
                "observed": value,
                "mean": float(drawn.mean()) if known else np.nan,
                "lower": float(lower),
                "upper": float(upper),
                "p": min(1.0, 2.0 * further / (drawn.size + 1.0)) if known else np.nan,
                "replicas": drawn.size,
            }
        )
    return pd.DataFrame(rows)


def _sentence(part: str, table: pd.DataFrame, of: str) -> str:
    maker = "fitted model" if of == "fit" else "prior"
    strange = table[table["p"] < DOUBTFUL]
    if strange.empty:
        return f"{part.capitalize()}: the {maker} makes what was observed, by all {len(table)} statistics."
    told = "; ".join(
        f"{row.statistic} (observed {_short(row.observed)}, 90 %: {_short(row.lower)} to {_short(row.upper)})"
        for row in strange.itertuples()
    )
    chance = f"{DOUBTFUL * len(table):.1f} would be by chance alone"
    return f"{part.capitalize()}: the {maker} misses {len(strange)} of {len(table)} statistics ({chance}): {told}."


def _short(value: Any) -> str:
    """Four significant digits, never an exponent for a large number."""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def _amounts(table: pd.DataFrame, spend_from: str) -> tuple[Floats, Floats, Floats]:
    """Number, sum and sum of logarithms of the orders that the spend model learnt from."""
    n, total, logs = (
        table[name].to_numpy(dtype=np.float64) for name in _AMOUNTS["all" if spend_from == "all" else "repeat"]
    )
    unknown = (n > 0.0) & ~(total > 0.0)
    if unknown.any() or not (n > 0.0).any():
        raise InputError(
            f"The check of spend needs the amounts of {spend_from} orders.",
            value=f"{int(unknown.sum())} customers without",
            customer_ids=table.loc[unknown, columns.CUSTOMER_ID],
        )
    return n, total, logs


def _check_same(model: Model, history: PurchaseHistory) -> None:
    if model.unit != history.unit:
        raise DomainError(
            "Model and history must count time in the same unit.",
            value=f"model in {model.unit}s, history in {history.unit}s",
        )
    if model.spend is not None and model.currency and history.currency and model.currency != history.currency:
        raise DomainError(
            "Model and history must be in one currency.", value=f"{model.currency} and {history.currency}"
        )


def _number(draws: Any) -> int:
    return draws_of(draws, "draws of a check", least=_FEWEST)
