"""Statistics of purchases and of spend that a predictive check compares: of the data and of replicas alike."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]

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
