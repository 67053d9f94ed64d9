r"""How much larger the share of lost money is among some accounts than among the others, at equal size and age.

The share of money lost by a group is :math:`\sum l_i / \sum e_i` (lost and expected revenue). The weighted least
squares fit of :math:`l_i / e_i` with weights :math:`e_i`,

.. math:: \hat\beta = A^{-1} \sum_i x_i l_i, \qquad A = \sum_i e_i x_i x_i',

with a constant and the mark of the group in ``x`` gives exactly the difference of the two shares; with size and age
in ``x`` too it gives the difference at equal size and age, still in shares of money. Weighting by money answers the
question that is asked (how much money goes with it) at the price of a wider interval than counting heads.

Losses spread very unequally (an account leaves or stays; large ones move more money), so the standard error is the
robust one of type HC2 with the degrees of freedom of Satterthwaite's approximation [1]_ [2]_; both are corrected for
a working model in which the standard deviation of a loss is proportional to what was expected. Few accounts that hold
most of the money then show as few degrees of freedom; below four the approximation is not to be relied on [3]_. Nor
is it where one account holds nearly all of the money: the fit follows it, and its residual says nothing.

References
----------
.. [1] Bell, McCaffrey (2002), "Bias reduction in standard errors for linear regression with multi-stage samples",
   Survey Methodology 28(2).
.. [2] Imbens, Kolesar (2016), "Robust standard errors in small samples: some practical advice", Review of Economics
   and Statistics 98(4), doi:10.1162/REST_a_00552.
.. [3] Tipton (2015), "Small sample adjustments for robust variance estimation with meta-regression", Psychological
   Methods 20(3), doi:10.1037/met0000011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

LEAST_DEGREES: Final = 4.0
MOST_CORRECTION: Final = 1.5
"""A variance that the working model corrects by more rests on an account that the fit follows."""
_SAME: Final = 1e-8
"""Share of the group's own variation that must be left beside size and age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of shares of money, or why there is none.

    Parameters
    ----------
    estimate, lower, upper, p_value : float
        NaN where it cannot be told.
    degrees : float
        Degrees of freedom; the fewer, the fewer accounts decide.
    """

    estimate: float
    lower: float
    upper: float
    p_value: float
    degrees: float


UNKNOWN: Final = Difference(estimate=np.nan, lower=np.nan, upper=np.nan, p_value=np.nan, degrees=0.0)


def controls(size: Floats, age: Floats, weight: Floats) -> Floats:
    """Terms for size and age: a constant, logarithms and their squares, and a mark where there is no logarithm.

    Parameters
    ----------
    size, age : ndarray, shape (account,)
        Values of 0 or less and missing ones have no logarithm; these accounts share a mark of their own.
    weight : ndarray, shape (account,)
        By which the terms are made orthogonal; terms that tell nothing new are left out.

    Returns
    -------
    ndarray, shape (term, account)
        Orthonormal under the weight.

    Examples
    --------
    >>> controls(np.array([1.0, 2.0, 4.0, 0.0]), np.ones(4), np.ones(4)).shape
    (4, 4)
    """
    found = [np.ones(len(size))]
    for values in (size, age):
        known = np.isfinite(values) & (values > 0.0)
        logs = np.log(np.where(known, values, 1.0))
        share = weight * known
        centre = (share * logs).sum() / share.sum() if share.sum() > 0.0 else 0.0
        logs = np.where(known, logs - centre, 0.0)
        found += [logs, np.square(logs), np.where(known, 0.0, 1.0)]
    kept: list[Floats] = []
    for column in found:
        rest = _beside(column, kept, weight)
        before, after = (weight * np.square(column)).sum(), (weight * np.square(rest)).sum()
        if after > _SAME * before:
            kept.append(rest / np.sqrt(after))
    return np.array(kept).reshape(len(kept), len(size))


def _beside(column: Floats, others: list[Floats], weight: Floats) -> Floats:
    for _ in range(2):  # the second pass removes what rounding left
        for other in others:
            column = column - other * (weight * other * column).sum()
    return column


def adjusted_difference(
    group: NDArray[np.bool_], lost: Floats, expected: Floats, *, adjust: Floats, prob: float
) -> Difference:
    """Difference between the share of money lost by a group and by the others, at equal size and age.

    Parameters
    ----------
    group : ndarray of bool, shape (account,)
    lost, expected : ndarray, shape (account,)
        Money; ``expected`` >= 0, ``lost`` of either sign.
    adjust : ndarray, shape (term, account)
        From `controls`, with ``expected`` as the weight.
    prob : float
        Of the interval.

    Returns
    -------
    Difference
        `UNKNOWN` where the group cannot be told from size and age, fewer than four degrees of freedom are left, or
        the fit follows one account.

    Examples
    --------
    >>> group = np.arange(400) % 2 == 0
    >>> lost = np.where(np.arange(400) % 10 < 1, 100.0, 0.0)
    >>> found = adjusted_difference(group, lost, np.full(400, 100.0), adjust=np.full((1, 400), 0.005), prob=0.9)
    >>> round(found.estimate, 3), round(found.lower, 3), round(found.upper, 3)
    (0.2, 0.153, 0.247)
    """
    mark = group.astype(np.float64)
    own = mark - _fitted(adjust, expected * mark)
    own -= _fitted(adjust, expected * own)
    strength = float((expected * np.square(own)).sum())
    if strength <= _SAME * (expected * mark).sum():
        return UNKNOWN
    design = np.vstack([adjust, own / np.sqrt(strength)])
    # the terms are orthonormal under the weight, so A is the identity
    estimate = float(design[-1] @ lost / np.sqrt(strength))
    residual = lost - expected * _fitted(design, lost)
    lever = expected * np.square(design).sum(axis=0)
    square = np.square(design[-1]) / (strength * np.maximum(1.0 - lever, _SAME))
    variance = float((square * np.square(residual)).sum())
    ratio, degrees = working_model(design, expected, square, strength=strength)
    if not (degrees >= LEAST_DEGREES and ratio <= MOST_CORRECTION and variance > 0.0):
        return UNKNOWN
    error = np.sqrt(variance * ratio)
    reach = float(stats.t.ppf((1.0 + prob) / 2.0, degrees) * error)
    return Difference(
        estimate=estimate,
        lower=estimate - reach,
        upper=estimate + reach,
        p_value=float(2.0 * stats.t.sf(abs(estimate) / error, degrees)),
        degrees=degrees,
    )


def working_model(design: Floats, expected: Floats, square: Floats, *, strength: float) -> tuple[float, float]:
    """Correction of the variance and its degrees of freedom when a loss's spread is proportional to ``expected``.

    Parameters
    ----------
    design : ndarray, shape (term, account)
        Orthonormal under ``expected``; the group comes last.
    expected, square : ndarray, shape (account,)
        Money, and what each squared residual counts in the variance.
    strength : float
        Of the group's term.

    Returns
    -------
    float, float
        By how much to multiply the variance, and Satterthwaite's degrees of freedom.

    Notes
    -----
    Residuals are ``(I - F X') l`` with ``X`` the transposed design and ``F = expected * X``; their variance is
    ``S + Z K Z'`` with ``S = diag(expected^2)``, ``Z = [F, S X]`` and ``K = [[X' S X, -I], [-I, 0]]``. Traces of
    products with the diagonal ``square`` need nothing larger than (term, term).
    """
    spread, unit = np.square(expected), np.eye(len(design))
    mixed = _gram(design, spread)
    reach = np.square(design).sum(axis=0)
    bent = np.einsum("ij,ij->j", np.einsum("ik,kj->ij", mixed, design), design)
    low = spread * (bent - 2.0 * expected * reach)
    second, third, fourth = (_gram(design, square * power) for power in (spread, spread * expected, spread * spread))
    inner = np.block([[second, third], [third, fourth]]) @ np.block([[mixed, -unit], [-unit, np.zeros_like(unit)]])
    mean = float((square * (spread + low)).sum())
    twice = float((np.square(square) * spread * (spread + 2.0 * low)).sum() + np.trace(inner @ inner))
    truth = float((np.square(design[-1]) * spread).sum() / strength)
    if mean <= 0.0 or twice <= 0.0:
        return np.nan, 0.0
    return truth / mean, mean * mean / twice


# Sums by einsum come in the same order for any number of threads, and are no slower on matrices of so few rows
def _fitted(design: Floats, values: Floats) -> Floats:
    return np.asarray(np.einsum("i,ij->j", np.einsum("ij,j->i", design, values), design), dtype=np.float64)


def _gram(design: Floats, weight: Floats) -> Floats:
    return np.asarray(np.einsum("ij,kj->ik", design * weight, design), dtype=np.float64)
