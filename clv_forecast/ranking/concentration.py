"""How much of the value how few accounts bring: Lorenz curve, share of the top, Gini, with bands from draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.predictive import check_prob

MEASURE: Final = "measure"
_MOST_POINTS: Final = 1000
_POINTS_WITH_BAND: Final = 100
_ALWAYS: Final = 0.2


def lorenz(values: ArrayLike, *, prob: float = 0.9) -> pd.DataFrame:
    """Share of the value that the largest accounts bring, for every share of accounts.

    The accounts stand in Pareto order, **the largest first**, so the curve lies above the diagonal: at 0.2 it reads
    what the top 20 % bring. (The textbook's Lorenz curve, smallest first, is this one turned by half a turn.)

    Parameters
    ----------
    values : array_like, shape (account,) or (draw, account)
        Money. Of draws each is put in its own order.
    prob : float
        Of the band over draws.

    Returns
    -------
    DataFrame
        ``share_of_accounts`` from 0 to 1 and ``share_of_value``; of draws the mean, with ``lower``, ``upper`` and
        ``prob``. A row for each account, evenly spaced ones above 1,000 (100 with draws), and one at 20 % always.

    Raises
    ------
    DomainError
        If there are no values, or one is not finite, or ``prob`` is outside (0, 1).

    Notes
    -----
    Negative values are kept: the curve then climbs above 1, to what the profitable accounts bring in terms of the
    net total, and comes down to 1 through the accounts that lose money. Where the total is not above 0 there are no
    shares (NaN); of draws those are left out.

    The concentration of *expected* values is less than that of the money that will come, since some of the accounts
    will be lucky; draws of the money itself (predictive draws) show the latter.

    Examples
    --------
    >>> lorenz([50.0, 10.0, 40.0])
       share_of_accounts  share_of_value
    0           0.000000             0.0
    1           0.200000             0.3
    2           0.333333             0.5
    3           0.666667             0.9
    4           1.000000             1.0
    """
    rows, single = _rows(values)
    chance = check_prob(prob)
    accounts = rows.shape[1]
    points = min(accounts, _MOST_POINTS if single else _POINTS_WITH_BAND)
    grid = np.linspace(0.0, 1.0, points + 1)
    if not np.isclose(grid, _ALWAYS, rtol=0.0, atol=1e-9).any():
        grid = np.sort(np.append(grid, _ALWAYS))
    curves = np.stack([_curve_at(_climb(row), grid) for row in rows])
    table = pd.DataFrame({"share_of_accounts": grid})
    middle, lower, upper = _mean_and_band(curves, chance)
    table["share_of_value"] = middle
    return table if single else table.assign(lower=lower, upper=upper, prob=chance)


def top_share(values: ArrayLike, share: float = 0.2, *, by: ArrayLike | None = None) -> NDArray[np.float64] | float:
    """Share of the value that the largest accounts bring.

    Parameters
    ----------
    values : array_like, shape (account,) or (draw, account)
    share : float
        Of accounts, in (0, 1]. A part of an account counts in part: the top 20 % of 7 accounts are 1.4 accounts.
    by : array_like, shape (account,), optional
        Who is largest, as known beforehand (the expected values, say). Default: the values themselves, in each draw
        its own, which hindsight alone would know.

    Returns
    -------
    float or ndarray, shape (draw,)
        NaN where the total is not above 0. Above 1 where other accounts lose money.

    Raises
    ------
    DomainError
        If there are no values, one is not finite, ``by`` does not have one per account, or ``share`` is outside
        (0, 1].

    Examples
    --------
    >>> top_share([70.0, 10.0, 10.0, 5.0, 5.0])
    0.7
    >>> top_share([[70.0, 30.0], [40.0, 60.0]], 0.5, by=[2.0, 1.0])
    array([0.7, 0.4])
    """
    rows, single = _rows(values)
    wanted = _top(share)
    order = None
    if by is not None:
        known = np.asarray(by, dtype=np.float64)
        if known.shape != rows.shape[1:]:
            raise DomainError(f"by must have one value per account ({rows.shape[1]:,}).", value=f"shape {known.shape}")
        order = np.argsort(-known, kind="stable")
    found = np.array([_curve_at(_climb(row, order), np.array([wanted]))[0] for row in rows])
    return float(found[0]) if single else found


def gini(values: ArrayLike) -> NDArray[np.float64] | float:
    r"""Gini coefficient: 0 where all accounts bring the same, near 1 where one brings all.

    .. math:: G = \frac{2 \sum_i i\, x_{(i)}}{n \sum_i x_i} - \frac{n + 1}{n}

    Parameters
    ----------
    values : array_like, shape (account,) or (draw, account)

    Returns
    -------
    float or ndarray, shape (draw,)
        NaN where the total is not above 0. With negative values it may exceed 1, and says only that it does.

    Raises
    ------
    DomainError
        If there are no values, or one is not finite.

    Examples
    --------
    >>> gini([1.0, 1.0, 1.0]), gini([0.0, 0.0, 0.0, 10.0])
    (0.0, 0.75)
    """
    rows, single = _rows(values)
    found = np.array([_gini(_climb(row)) for row in rows])
    return float(found[0]) if single else found


def concentration(measures: Mapping[str, ArrayLike], *, share: float = 0.2, prob: float = 0.9) -> pd.DataFrame:
    """Concentration of several measures side by side, as now against as forecast.

    Parameters
    ----------
    measures : mapping of name to array_like, shape (account,) or (draw, account)
    share : float
        The top whose share is told.
    prob : float
        Of the bands; missing for measures without draws.

    Returns
    -------
    DataFrame
        One row per measure: measure, accounts, total, top (the share of accounts), top_accounts (their number,
        rounded up), top_share, top_share_lower, top_share_upper, gini, gini_lower, gini_upper, half_by (the smallest
        share of accounts that brings half the value), prob. Of draws all are means over draws.

    Raises
    ------
    DomainError
        As ``lorenz`` and ``top_share``, or if ``measures`` is no mapping or empty.

    Examples
    --------
    >>> found = concentration({"revenue": [70.0, 10.0, 10.0, 5.0, 5.0]})
    >>> found[["measure", "top_accounts", "top_share", "gini"]].round(2)
       measure  top_accounts  top_share  gini
    0  revenue             1        0.7  0.54
    """
    named, wanted, chance = _measures(measures), _top(share), check_prob(prob)
    rows = []
    for name, values in named.items():
        draws, single = _rows(values)
        climbs = (_climb(row) for row in draws)  # sorted once, for all that follows
        each = np.array([(_curve_at(climb, np.array([wanted]))[0], _gini(climb), _half(climb)) for climb in climbs])
        middle, lower, upper = _mean_and_band(each, chance)
        if single:
            lower, upper = np.full(3, np.nan), np.full(3, np.nan)
        rows.append(
            {
                MEASURE: name,
                "accounts": draws.shape[1],
                "total": float(draws.sum(axis=1).mean()),
                "top": wanted,
                "top_accounts": int(np.ceil(round(wanted * draws.shape[1], 9))),
                "top_share": middle[0],
                "top_share_lower": lower[0],
                "top_share_upper": upper[0],
                "gini": middle[1],
                "gini_lower": lower[1],
                "gini_upper": upper[1],
                "half_by": middle[2],
                "prob": np.nan if single else chance,
            }
        )
    return pd.DataFrame(rows)


def lorenz_curves(measures: Mapping[str, ArrayLike], *, prob: float = 0.9) -> pd.DataFrame:
    """Curves of several measures in one table, for ``draw_lorenz``.

    Parameters
    ----------
    measures : mapping of name to array_like, shape (account,) or (draw, account)
    prob : float

    Returns
    -------
    DataFrame
        ``measure`` and the columns of ``lorenz``; ``lower`` and ``upper`` only where one measure at least has draws.

    Raises
    ------
    DomainError
        As ``lorenz``, or if ``measures`` is no mapping or empty.

    Examples
    --------
    >>> lorenz_curves({"now": [3.0, 1.0], "forecast": [1.0, 1.0]}).groupby("measure", sort=False).size()
    measure
    now         4
    forecast    4
    dtype: int64
    """
    named = _measures(measures)
    curves = [lorenz(values, prob=prob) for values in named.values()]
    for name, curve in zip(named, curves, strict=True):
        curve.insert(0, MEASURE, name)
    return pd.concat(curves, ignore_index=True)


def _rows(values: ArrayLike) -> tuple[NDArray[np.float64], bool]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim not in (1, 2) or found.size == 0:
        raise DomainError("values must be of shape (account,) or (draw, account), and not empty.", value=found.shape)
    if not np.isfinite(found).all():
        unknown = int((~np.isfinite(found)).sum())
        raise DomainError(
            "values must be finite.",
            value=f"{unknown:,} that are not",
            remedy="Leave accounts of unknown value out, and say how many.",
        )
    return np.atleast_2d(found), found.ndim == 1


def _measures(given: Any) -> dict[str, ArrayLike]:
    if not isinstance(given, Mapping):
        raise DomainError(
            "measures must be a mapping of names to values.",
            value=type(given).__name__,
            remedy="Pass for example {'value': table['value']}.",
        )
    if not given:
        raise DomainError("measures must hold one measure at least.")
    return dict(given)


def _top(share: float) -> float:
    found = finite_number(share, "share")
    if not 0.0 < found <= 1.0:
        raise DomainError("share must be above 0 and at most 1 (0.2 is the top 20 %).", value=share)
    return found


def _climb(row: NDArray[np.float64], order: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
    """Money of the k largest accounts, for k from 0 to all."""
    ordered = np.sort(row)[::-1] if order is None else row[order]
    return np.concatenate([[0.0], np.cumsum(ordered)])


def _curve_at(climb: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    if climb[-1] <= 0.0:
        return np.full(len(grid), np.nan)
    return np.asarray(np.interp(grid * (len(climb) - 1), np.arange(len(climb)), climb) / climb[-1])


def _gini(climb: NDArray[np.float64]) -> float:
    """Twice the area between the curve and the diagonal, by trapezoids: the formula of ``gini``."""
    total = climb[-1]
    if total <= 0.0:
        return float("nan")
    n = len(climb) - 1
    return float(2.0 * (climb.sum() - 0.5 * total) / (n * total) - 1.0)


def _half(climb: NDArray[np.float64]) -> float:
    """The smallest share of accounts that brings half the total."""
    if climb[-1] <= 0.0:
        return float("nan")
    half = 0.5 * climb[-1]
    k = int(np.argmax(climb >= half))
    return float((k - 1 + (half - climb[k - 1]) / (climb[k] - climb[k - 1])) / (len(climb) - 1))


def _mean_and_band(rows: NDArray[np.float64], prob: float) -> tuple[NDArray[np.float64], ...]:
    """Mean, lower and upper over the draws that have a value."""
    known = rows[np.isfinite(rows).all(axis=1)]
    if not len(known):
        return tuple(np.full(rows.shape[1], np.nan) for _ in range(3))
    lower, upper = np.quantile(known, [0.5 - 0.5 * prob, 0.5 + 0.5 * prob], axis=0)
    return known.mean(axis=0), lower, upper
