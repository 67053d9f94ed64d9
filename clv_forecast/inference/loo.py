r"""Leave-one-customer-out: how well a fit predicts a customer whom it has not seen, from the draws of one fit.

Customers with the same numbers share a row, so the importance weights are smoothed once per row and the results are
summed with the row's customers. (Handing weighted rows to ``az.loo`` is wrong: it would leave out all customers of a
row at once.)

References
----------
.. [1] Vehtari, Gelman, Gabry (2017), "Practical Bayesian model evaluation using leave-one-out cross-validation and
   WAIC", Statistics and Computing 27(5), doi:10.1007/s11222-016-9696-4.
.. [2] Vehtari, Simpson, Gelman, Yao, Gabry (2024), "Pareto smoothed importance sampling", JMLR 25(72).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError
from clv_forecast.inference.sufficient import PurchaseRows, SpendRows
from clv_forecast.models import gamma_gamma, transaction_model

Floats = NDArray[np.float64]

FEWEST_DRAWS: Final = 100
_CELLS_AT_ONCE: Final = 1_000_000  # of (draw, row): some 8 MB for each array of a block
_CONSTANT: Final = 1e-12  # a log-likelihood that varies less over the draws says nothing about them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Loo:
    """Leave-one-out of one likelihood.

    Parameters
    ----------
    elpd : float
        Expected log predictive density of a customer left out, summed over customers.
    se : float
        Its standard error over customers.
    p_loo : float
        Effective number of parameters.
    customers : int
    draws : int
    k_threshold : float
        ``min(1 - 1 / log10(draws), 0.7)``: up to it the importance weights can be trusted.
    unreliable : int
        Customers whose k-hat is above the threshold, or cannot be told.
    k_max : float
        Highest k-hat; NaN where no row has one.
    elpd_of_rows, p_of_rows, k_of_rows : ndarray, shape (row,)
        Of one customer of each row; k-hat is NaN where it cannot be told.
    weights : ndarray, shape (row,)
        Customers in each row.
    """

    elpd: float
    se: float
    p_loo: float
    customers: int
    draws: int
    k_threshold: float
    unreliable: int
    k_max: float
    elpd_of_rows: Floats
    p_of_rows: Floats
    k_of_rows: Floats
    weights: Floats

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for array in (self.elpd_of_rows, self.p_of_rows, self.k_of_rows, self.weights):
            array.setflags(write=False)

    @property
    def looic(self) -> float:
        """The same on the deviance scale, ``-2 elpd``."""
        return -2.0 * self.elpd

    @property
    def unreliable_share(self) -> float:
        """Share of customers whose k-hat is above the threshold."""
        return self.unreliable / self.customers

    @property
    def sentence(self) -> str:
        """Result and reliability in plain words."""
        told = (
            f"elpd {self.elpd:,.1f} (standard error {self.se:,.1f}) over {self.customers:,} customers, "
            f"{self.p_loo:.1f} effective parameters"
        )
        if self.unreliable == 0:
            return f"{told}; reliable for every customer (k-hat at most {self.k_max:.2f}, of {self.k_threshold:.2f})."
        return (
            f"{told}; not reliable: for {_counted(self.unreliable)} ({_percent(self.unreliable_share)}) k-hat is "
            f"above {self.k_threshold:.2f} (worst {self.k_max:.2f}). Leaving one of them out would move the fit more "
            "than its draws can tell, and the elpd leans to the optimistic side: look at such customers, or judge "
            "by time holdout."
        )

    def __repr__(self) -> str:
        return f"<Loo elpd {self.elpd:,.1f}, se {self.se:,.1f}, {self.customers:,} customers>"


def loo_rows(log_likelihood: ArrayLike, weights: ArrayLike, *, r_eff: float = 1.0) -> Loo:
    r"""Leave one customer out of each row, by Pareto-smoothed importance sampling.

    .. math:: \mathrm{elpd} = \sum_j w_j e_j, \quad
              e_j = \ln \frac{\sum_d r_{dj} L_{dj}}{\sum_d r_{dj}}, \quad r_{dj} = 1 / L_{dj} \text{ smoothed}

    with standard error :math:`\sqrt{n s^2}`, where :math:`s^2` is the variance of :math:`e` over the ``n`` customers.

    Parameters
    ----------
    log_likelihood : array_like, shape (draw, row)
        Of ONE customer of each row, at equal-weight draws of a posterior.
    weights : array_like of whole numbers, shape (row,)
        Customers who share the row.
    r_eff : float
        Effective draws per draw: 1 for independent draws, less for a Markov chain.

    Returns
    -------
    Loo

    Raises
    ------
    DomainError
        If the shapes do not agree, there are fewer than 100 draws, a log-likelihood is not finite, a weight is not a
        whole number of at least one, or ``r_eff`` is not positive.

    Notes
    -----
    A row whose log-likelihood is the same at every draw (a customer observed for no time) predicts with certainty
    what it does: its elpd is that log-likelihood, and its k-hat minus infinity.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> theta = rng.normal(0.0, 0.1, (1000, 1))
    >>> result = loo_rows(-0.5 * (np.array([0.0, 1.0]) - theta) ** 2, [60, 40])
    >>> result.customers, round(result.elpd, 1), result.unreliable
    (100, -20.9, 0)
    """
    values = np.asarray(log_likelihood, dtype=np.float64)
    counts = _checked_weights(weights)
    if values.ndim != 2 or values.shape[1] != counts.size:
        raise DomainError(
            "log_likelihood must have the shape (draw, row), with one weight per row.",
            value=f"{values.shape} with {counts.size} weights",
        )
    return loo_in_blocks(lambda rows: values[:, rows], counts, len(values), r_eff=r_eff)


def purchase_log_likelihood(params: Any, model: str, rows: PurchaseRows, *, chosen: slice = slice(None)) -> Floats:
    """Log-likelihood of one customer of each chosen row.

    Parameters
    ----------
    params : Params
        Each field of shape (draw, 1), or (draw, row) for the chosen rows.
    model : str
        Name of the transaction model.
    rows : PurchaseRows
    chosen : slice

    Returns
    -------
    ndarray, shape (draw, row)

    Examples
    --------
    >>> from clv_forecast.inference.sufficient import compress
    >>> from clv_forecast.models import bg_nbd
    >>> params = bg_nbd.Params(*([[value], [value]] for value in (0.243, 4.414, 0.793, 2.426)))
    >>> rows = compress([2, 0, 0], [30.0, 0.0, 0.0], [38.0, 38.0, 38.0])
    >>> purchase_log_likelihood(params, "bg_nbd", rows).shape
    (2, 2)
    """
    module = transaction_model(model)
    return module.log_likelihood(params, rows.frequency[chosen], rows.recency[chosen], rows.T[chosen])


def spend_log_likelihood(params: Any, level: str, rows: SpendRows, *, chosen: slice = slice(None)) -> Floats:
    """Log-likelihood of the amounts of one customer of each chosen row.

    Parameters
    ----------
    params : Params of the Gamma-Gamma model
        Each field of shape (draw, 1), or (draw, row) for the chosen rows.
    level : str
        ``"orders"`` or ``"means"``: the likelihood that was fitted.
    rows : SpendRows
    chosen : slice

    Returns
    -------
    ndarray, shape (draw, row)

    Examples
    --------
    >>> from clv_forecast.inference.sufficient import compress_spend
    >>> params = gamma_gamma.Params([[6.25], [6.3]], [[3.74], [3.7]], [[15.44], [15.4]])
    >>> spend_log_likelihood(params, "means", compress_spend([2, 1], [44.7, 20.0])).shape
    (2, 2)
    """
    n, total = rows.n[chosen], rows.total[chosen]
    if level == "orders":
        return gamma_gamma.log_likelihood_orders(params, n, total, rows.sum_log[chosen])
    return gamma_gamma.log_likelihood(params, n, total / n)


def loo_in_blocks(
    values_of: Callable[[slice], Floats],
    weights: Floats,
    draws: int,
    *,
    r_eff: float = 1.0,
    done: Callable[[int], None] = lambda rows: None,
) -> Loo:
    """Leave one customer out of each row, a block of rows at a time: memory stays bounded whatever their number.

    Parameters
    ----------
    values_of : callable
        A slice of rows to their log-likelihoods, shape (draw, row of the block).
    weights : ndarray, shape (row,)
        Customers in each row.
    draws : int
    r_eff : float
    done : callable
        Told how many rows are done.

    Returns
    -------
    Loo
        That of :func:`loo_rows` on all rows together.

    Raises
    ------
    DomainError
        As :func:`loo_rows`.

    Examples
    --------
    >>> theta = np.random.default_rng(1).normal(0.0, 0.1, (1000, 1))
    >>> data = np.arange(5.0)
    >>> loo_in_blocks(lambda rows: -0.5 * (data[rows] - theta) ** 2, np.ones(5), 1000).customers
    5
    """
    if draws < FEWEST_DRAWS:
        raise DomainError(f"Leave-one-out needs at least {FEWEST_DRAWS} draws of the parameters.", value=draws)
    efficiency = finite_number(r_eff, "r_eff")
    if efficiency <= 0.0:
        raise DomainError("r_eff must be positive.", value=efficiency)
    parts = []
    step = max(1, _CELLS_AT_ONCE // draws)
    for start in range(0, weights.size, step):
        parts.append(_pointwise(np.asarray(values_of(slice(start, start + step))), efficiency))
        done(min(start + step, weights.size))
    elpd, p, k = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _summed(elpd, p, k, weights=weights, draws=draws)


def _pointwise(log_likelihood: Floats, r_eff: float) -> tuple[Floats, Floats, Floats]:
    """Elpd, effective parameters and k-hat of each row of a block of shape (draw, row)."""
    from arviz_stats.base import array_stats

    if not np.isfinite(log_likelihood).all():
        raise DomainError(
            "A log-likelihood must be finite at every draw.", value=log_likelihood[~np.isfinite(log_likelihood)][0]
        )
    rows = np.ascontiguousarray(log_likelihood.T)
    elpd = rows.mean(axis=1)
    p, k = np.zeros_like(elpd), np.full_like(elpd, -np.inf)
    varies = np.ptp(rows, axis=1) > _CONSTANT
    if varies.any():
        moving = rows[varies]
        log_weights, k_hat = array_stats.psislw(moving, r_eff=r_eff)
        elpd[varies] = logsumexp(np.asarray(log_weights) + moving, axis=1)
        p[varies] = logsumexp(moving, axis=1) - np.log(moving.shape[1]) - elpd[varies]
        k[varies] = k_hat
    return elpd, p, k


def _summed(elpd: Floats, p: Floats, k: Floats, *, weights: Floats, draws: int) -> Loo:
    customers = float(weights.sum())
    total = float(weights @ elpd)
    spread = float(weights @ (elpd - total / customers) ** 2)
    threshold = float(min(1.0 - 1.0 / np.log10(draws), 0.7))
    known = k[~np.isnan(k)]
    return Loo(
        elpd=total,
        se=float(np.sqrt(customers * spread / (customers - 1.0))) if customers > 1.0 else 0.0,
        p_loo=float(weights @ p),
        customers=int(customers),
        draws=draws,
        k_threshold=threshold,
        unreliable=int(weights[~(k <= threshold)].sum()),
        k_max=float(known.max()) if known.size else float("nan"),
        elpd_of_rows=elpd,
        p_of_rows=p,
        k_of_rows=k,
        weights=weights,
    )


def _checked_weights(weights: ArrayLike) -> Floats:
    counts = np.array(weights, dtype=np.float64)
    if counts.ndim != 1 or counts.size == 0:
        raise DomainError("weights must hold the customers of each row.", value=f"shape {counts.shape}")
    broken = ~(np.isfinite(counts) & (counts >= 1.0) & (counts == np.floor(counts)))
    if broken.any():
        raise DomainError("weights must be whole numbers of customers, at least 1.", value=float(counts[broken][0]))
    return counts


def _counted(customers: int) -> str:
    return f"{customers:,} customer{'' if customers == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100.0 * share:{'.1f' if share >= 5e-4 else '.1g'}} %"
