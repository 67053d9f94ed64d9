"""Readiness: which share of its headroom an account is expected to realise above its forecast.

What tells how ready an account is to use its headroom: bounded features, the same at an earlier day and today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls
from scipy.special import ndtr, ndtri

from clv_forecast import columns
from clv_forecast.errors import Absent
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.ranking.accounts import Accounts
from clv_forecast.ranking.trailing import revenue_by_customer
from clv_forecast.units import units_per_year, years_back

MOST_LEVELS: Final = 12
LEAST_ACCOUNTS: Final = 20
_BUSY: Final = 4.0
EVERY: Final = "every account"
_BEHAVIOUR: Final = (
    EVERY,
    "rising",
    "not falling",
    "buys often",
    "buys seldom",
    "young",
    "long-standing",
    "far below the wallet",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """Which features there are: the account's behaviour, and levels of its attributes.

    Parameters
    ----------
    levels : mapping of str to tuple
        Levels of each label attribute that have enough accounts to be learnt from.
    """

    levels: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns."""
        return (*_BEHAVIOUR, *(f"{name} = {level}" for name, levels in self.levels.items() for level in levels))


def feature_spec(accounts: Accounts) -> FeatureSpec:
    """Choose the features from the accounts that readiness is learnt on.

    Examples
    --------
    >>> table = pd.DataFrame({"customer_id": range(60), "region": ["n", "s"] * 30})
    >>> feature_spec(Accounts(table=table)).names[-2:]
    ('region = n', 'region = s')
    """
    levels = {}
    for name in accounts.attributes():
        if pd.api.types.is_numeric_dtype(accounts.table[name].dtype):
            continue
        counts = accounts.table[name].astype("string").value_counts()
        enough = tuple(sorted(str(level) for level in counts.index[counts >= LEAST_ACCOUNTS]))
        if 2 <= len(enough) <= MOST_LEVELS:
            levels[name] = enough
    return FeatureSpec(levels=levels)


def features(
    spec: FeatureSpec,
    history: PurchaseHistory,
    accounts: Accounts,
    *,
    room: Floats,
    purchases: pd.DataFrame,
) -> Floats:
    """Features of every account, each between 0 and 1; shape (account, feature).

    Parameters
    ----------
    spec : FeatureSpec
    history : PurchaseHistory
    accounts : Accounts
    room : ndarray, shape (account,)
        Headroom as a share of the wallet.
    purchases : DataFrame
        ``history.purchases()``.

    Returns
    -------
    ndarray
        ``rising`` and ``falling`` compare the two halves of the last year (of the time since the first purchase,
        where that is shorter), the first purchase left out, one order's money added below so that a single order is
        no trend. None of the features depends on P(alive).
    """
    frequency = history.table[columns.FREQUENCY].to_numpy(dtype=np.float64)
    age = history.table[columns.T].to_numpy(dtype=np.float64) / units_per_year(history.unit)
    trend = _trend(history, purchases)
    busy, young = frequency / (frequency + _BUSY), 1.0 / (1.0 + age)
    shown = [
        np.ones(len(frequency)),
        np.maximum(trend, 0.0),
        1.0 - np.maximum(-trend, 0.0),
        busy,
        1.0 - busy,
        young,
        1.0 - young,
        np.clip(room, 0.0, 1.0),
    ]
    for name, levels in spec.levels.items():
        known = name in accounts.table.columns
        labels = accounts.table[name].astype("string") if known else pd.Series(pd.NA, index=accounts.table.index)
        shown.extend((labels == level).fillna(False).to_numpy(dtype=np.float64) for level in levels)
    return np.column_stack(shown)


def _trend(history: PurchaseHistory, purchases: pd.DataFrame) -> Floats:
    """(later half - earlier half) / (both + one order), in [-1, 1]."""
    table = history.table
    first = table[columns.FIRST_PURCHASE]
    year_ago = years_back(history.as_of)
    start = first.where(first > year_ago, year_ago)
    middle = start + (history.as_of - start) / 2
    place = pd.Index(table[columns.CUSTOMER_ID]).get_indexer(pd.Index(purchases[columns.CUSTOMER_ID]))
    day = purchases[columns.DATE].to_numpy()
    begins, half = start.to_numpy()[place], middle.to_numpy()[place]
    later = revenue_by_customer(history, purchases[day > half])
    earlier = revenue_by_customer(history, purchases[(day > begins) & (day <= half)])
    orders = table[columns.SPEND_COUNT_ALL].to_numpy(dtype=np.float64)
    one = table[columns.SPEND_SUM_ALL].to_numpy(dtype=np.float64) / np.maximum(orders, 1.0)
    return np.asarray((later - earlier) / np.maximum(later + earlier + one, 1e-300))


def penetration_room(wallet: Floats, annual_revenue: Floats) -> tuple[Floats, Floats]:
    """Headroom, and headroom as a share of the wallet; both NaN where the wallet is unknown.

    The realistic wallet is at least what the account is expected to bring, so headroom is never negative.

    Examples
    --------
    >>> headroom, room = penetration_room(np.array([100.0, 50.0]), np.array([40.0, 60.0]))
    >>> headroom.tolist(), room.tolist()
    ([60.0, 0.0], [0.6, 0.0])
    """
    headroom = np.maximum(wallet - annual_revenue, 0.0)
    room = np.divide(headroom, wallet, out=np.zeros_like(headroom), where=(wallet > 0.0))
    return headroom, np.where(np.isnan(wallet), np.nan, room)


Floats = NDArray[np.float64]

FEWEST_ACCOUNTS: Final = 50
"""Accounts with headroom that it takes to learn readiness from."""
PARAMETER_DRAWS: Final = 100
FOLDS: Final = 5
DECILES: Final = 10
_MOST_BEYOND: Final = 0.1
"""Share of the money expected above the forecast that may lie beyond accounts' headroom and is cut off there."""
_RIDGES: Final = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
_ROWS_AT_ONCE: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Readiness:
    r"""Expected share of headroom realised above the forecast: :math:`s = P(alive) \min(x'\beta, 1)`.

    Parameters
    ----------
    features : tuple of str
    shares : ndarray, shape (draw, feature)
        Draws of :math:`\beta`, none negative: one forecast's shortfall is not another account's potential.
    forecast_error : float
        Share by which all forecasts fell short of (positive) or beyond what came, whatever the headroom: season,
        trend, bias. It is the forecast's, and no potential.
    spread : float
        Variance of a realised share over its expectation: few accounts realise much, most realise nothing.
    days : int
        Length of the window it was learnt on.
    accounts : int
        With headroom then.
    chance_of_nothing : float
        How likely it is that headroom and features tell nothing of what comes above the forecast.
    """

    features: tuple[str, ...]
    shares: Floats
    forecast_error: float
    spread: float
    days: int
    accounts: int
    chance_of_nothing: float

    def __repr__(self) -> str:
        return f"<Readiness learnt on {self.accounts:,} accounts and {self.days} days>"

    def expected_shares(self, x: Floats) -> Floats:
        """Expected share of headroom given that the account is alive, shape (account, draw), from 0 to 1.

        Parameters
        ----------
        x : ndarray, shape (account, feature)
        """
        return np.asarray(np.minimum(x @ self.shares.T, 1.0))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Share of headroom that each feature adds where it is 1, with the band of its draws."""
        low, high = np.quantile(self.shares, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        return pd.DataFrame(
            {"feature": self.features, "share": self.shares.mean(axis=0), "lower": low, "upper": high, "prob": prob}
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What readiness is learnt from; arrays of shape (account,).

    Parameters
    ----------
    actual, expected, sd : ndarray
        Revenue that came in the window, that was forecast, and the standard deviation of the forecast's draws.
    headroom : ndarray
        Money within the window; NaN where no wallet is known.
    p_alive : ndarray
    x : ndarray, shape (account, feature)
    fold : ndarray of int
        Part of each account in cross-fitting: of its id alone.
    days : int
    """

    actual: Floats
    expected: Floats
    sd: Floats
    headroom: Floats
    p_alive: Floats
    x: Floats
    fold: NDArray[np.intp]
    days: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Problem:
    """Weighted least squares of (actual - expected) on the forecast and on reach x headroom x features.

    ``design`` has the forecast as its first column. Weights are one over (headroom + forecast): then each equation
    says that money adds up, and no account counts by the square of its size.
    """

    design: Floats
    excess: Floats
    weight: Floats


def learn_readiness(
    lesson: Lesson, features: tuple[str, ...], *, seed: int
) -> tuple[Readiness, Floats, Floats] | Absent:
    r"""Fit shares of headroom to what came above the forecast, unclipped, and predict each account from the others.

    Minimises :math:`\sum_i w_i (a_i - f_i - \gamma f_i - P_i h_i x_i'\beta)^2 + \lambda |\beta|^2` over free
    :math:`\gamma` and :math:`\beta \ge 0` (the share of every account is not penalised), with the penalty that
    predicts best in five parts. Draws of :math:`\beta` are Bayesian bootstrap replications over accounts, each times a
    draw of the share, from 0 to 1, that the parts left out bear out; that share may be 0 (``chance_of_nothing``). The
    bootstrap repeats neither the choice of the penalty nor the parts, so bands of small bases are too narrow.

    Parameters
    ----------
    lesson : Lesson
    features : tuple of str
        The first is 1 for every account.
    seed : int

    Returns
    -------
    readiness : Readiness
    predicted : ndarray, shape (account,)
        Money above the forecast that the *other* accounts' shares predict, at most the headroom times P(alive); NaN
        without a wallet.
    above : ndarray, shape (account,)
        Money that came above the forecast, its common error as the other accounts show it taken out. Or, instead of
        all three, why nothing can be learnt: too few accounts, or wallets that are too low, where
        more came above the forecast than there was headroom, or a tenth of what is expected would lie beyond it.

    References
    ----------
    Rubin (1981), "The Bayesian bootstrap", Annals of Statistics 9(1), doi:10.1214/aos/1176345338.
    """
    known = np.isfinite(lesson.headroom)
    with_room = known & (lesson.headroom > 0.0)
    if with_room.sum() < FEWEST_ACCOUNTS:
        return Absent(
            f"Readiness could not be learnt: {int(with_room.sum())} accounts had headroom at the earlier day, "
            f"{FEWEST_ACCOUNTS} are needed."
        )
    problem = _problem(lesson, known)
    fold = lesson.fold[known]
    grams = [_gram(problem, np.where(fold == part, 1.0, 0.0)[None, :])[0] for part in range(FOLDS)]
    whole = np.sum(grams, axis=0)
    ridge = _best_ridge(grams, whole)
    others = [_solve(whole - gram, ridge) for gram in grams]
    reach = problem.design[:, 1:]
    inside, common = np.empty(int(known.sum())), np.empty(int(known.sum()))
    for part, solution in enumerate(others):
        inside[fold == part] = reach[fold == part] @ solution[1:]
        common[fold == part] = solution[0]
    rng = np.random.default_rng([seed, 0x5EAD])
    kept = _borne_out(problem, inside, rng)
    most = lesson.p_alive[known] * lesson.headroom[known]
    expected = kept.mean() * inside
    error = float(_solve(whole, ridge)[0])
    predicted, above = np.full(len(known), np.nan), np.full(len(known), np.nan)
    predicted[known] = np.minimum(expected, most)
    above[known] = problem.excess - common * problem.design[:, 0]
    came, headroom = float(above[with_room].sum()), float(lesson.headroom[with_room].sum())
    if max(came, expected.sum()) > headroom or np.nansum(predicted) < (1.0 - _MOST_BEYOND) * expected.sum():
        return Absent(
            "The wallets are too low, or too much like revenue itself, to tell readiness from: accounts brought "
            f"{came:z,.0f} above the forecast since the earlier day, its common error of {error:+z.0%} taken out, and "
            f"their headroom was {headroom:,.0f} in all."
        )
    solved = np.array([_solve(gram, ridge) for gram in _bootstrap(problem, rng)])
    solved[:, 1:] *= kept[:, None]
    readiness = Readiness(
        features=features,
        shares=solved[:, 1:],
        forecast_error=error,
        spread=_spread(problem, lesson.headroom[known], lesson.sd[known], solved=solved.mean(axis=0)),
        days=lesson.days,
        accounts=int(with_room.sum()),
        chance_of_nothing=float((kept == 0.0).mean()),
    )
    return readiness, predicted, above


def _problem(lesson: Lesson, known: NDArray[np.bool_]) -> _Problem:
    expected, headroom = lesson.expected[known], lesson.headroom[known]
    scale = headroom + expected
    floor = 1e-3 * scale.mean() if scale.mean() > 0.0 else 1.0
    reach = (lesson.p_alive[known] * headroom)[:, None] * lesson.x[known]
    return _Problem(
        design=np.column_stack([expected, reach]),
        excess=lesson.actual[known] - expected,
        weight=1.0 / np.maximum(scale, floor),
    )


def _gram(problem: _Problem, counts: Floats) -> Floats:
    """Weighted cross products of (excess, design), once per row of ``counts``; shape (row, 1 + k, 1 + k)."""
    both = np.column_stack([problem.excess, problem.design])
    size = both.shape[1]
    upper = np.triu_indices(size)
    sums = np.zeros((len(counts), len(upper[0])))
    for start in range(0, len(both), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        products = both[rows][:, upper[0]] * both[rows][:, upper[1]]
        sums += (counts[:, rows] * problem.weight[rows]) @ products
    full = np.empty((len(counts), size, size))
    full[:, upper[0], upper[1]] = sums
    full[:, upper[1], upper[0]] = sums
    return full


def _bootstrap(problem: _Problem, rng: np.random.Generator) -> Floats:
    """Cross products under random weights of the accounts."""
    parts = np.zeros((PARAMETER_DRAWS, problem.design.shape[1] + 1, problem.design.shape[1] + 1))
    for start in range(0, len(problem.excess), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        part = _Problem(design=problem.design[rows], excess=problem.excess[rows], weight=problem.weight[rows])
        parts += _gram(part, rng.standard_exponential((PARAMETER_DRAWS, len(part.excess))))
    return parts


def _solve(gram: Floats, ridge: float) -> Floats:
    """Coefficients of the forecast (free) and of the features (none negative) from cross products."""
    cross, forecast, room = gram[0, 1:], gram[1, 1], gram[2:, 2:].copy()
    joint, target = gram[1, 2:], cross[1:].copy()
    if forecast > 0.0:
        room -= np.outer(joint, joint) / forecast
        target -= joint * cross[0] / forecast
    size = float(np.trace(gram[2:, 2:])) / len(target)
    if size <= 0.0:
        return np.zeros(len(cross))
    penalty = np.full(len(target), ridge * size)
    penalty[0] = 1e-9 * size
    factor = cholesky(room + np.diag(penalty + 1e-9 * size), lower=True)
    shares, _ = nnls(factor.T, solve_triangular(factor, target, lower=True))
    bias = (cross[0] - joint @ shares) / forecast if forecast > 0.0 else 0.0
    return np.concatenate([[bias], shares])


def _best_ridge(grams: list[Floats], whole: Floats) -> float:
    """The penalty whose coefficients predict each part best from the others."""

    def loss(ridge: float) -> float:
        total = 0.0
        for gram in grams:
            solved = _solve(whole - gram, ridge)
            total += gram[0, 0] - 2.0 * solved @ gram[0, 1:] + solved @ gram[1:, 1:] @ solved
        return total

    return min(_RIDGES, key=loss)


def _borne_out(problem: _Problem, predicted: Floats, rng: np.random.Generator) -> Floats:
    r"""Draws of the share of what was learnt that accounts left out bear out: what was learnt from noise is not kept.

    The slope of what came above the forecast on what the *other* accounts' shares predict, beside the forecast's own
    error, with its robust standard error, is the likelihood; beforehand the share is as likely 0 as anything up to 1.
    """
    weight, forecast = problem.weight, problem.design[:, 0]
    size = weight @ forecast**2

    def beside(values: Floats) -> Floats:
        return values - forecast * ((weight * forecast) @ values / size) if size > 0.0 else values

    told, came = beside(predicted), beside(problem.excess)
    squared = float(weight @ told**2)
    if squared <= 0.0:
        return np.zeros(PARAMETER_DRAWS)
    slope = float(weight @ (told * came)) / squared
    error = float(np.sqrt(np.sum((weight * told * (came - slope * told)) ** 2))) / squared
    if error <= 1e-9:
        return np.full(PARAMETER_DRAWS, np.clip(slope, 0.0, 1.0))
    low, high = ndtr(-slope / error), ndtr((1.0 - slope) / error)
    something = max(high - low, 1e-300)
    nothing = np.exp(-0.5 * (slope / error) ** 2) / (error * np.sqrt(2.0 * np.pi))
    place = rng.permutation((np.arange(PARAMETER_DRAWS) + 0.5) / PARAMETER_DRAWS)
    chance_of_nothing = nothing / (nothing + something)
    within = np.clip((place - chance_of_nothing) / (1.0 - chance_of_nothing + 1e-300), 0.0, 1.0)
    drawn = slope + error * ndtri(np.clip(low + within * something, 1e-300, 1.0 - 1e-16))
    return np.where(place < chance_of_nothing, 0.0, np.clip(drawn, 0.0, 1.0))


def _spread(problem: _Problem, headroom: Floats, sd: Floats, *, solved: Floats) -> float:
    """Variance of realised shares over their expectation, by moments of what the forecast's own spread leaves."""
    expected = problem.design[:, 1:] @ solved[1:]
    left = problem.excess - solved[0] * problem.design[:, 0] - expected
    square = problem.weight**2
    known = square @ (expected * headroom)
    return 0.0 if known <= 0.0 else float(max(0.0, square @ (left**2 - sd**2)) / known)


def reliability_table(lesson: Lesson, predicted: Floats, above: Floats, *, prob: float, seed: int) -> pd.DataFrame:
    """By decile of what was predicted above the forecast: the money that came, account by account from the others.

    Parameters
    ----------
    lesson : Lesson
    predicted, above : ndarray, shape (account,)
        From ``learn_readiness``.
    prob : float
        Probability inside the band of what came (a bootstrap over accounts).
    seed : int

    Returns
    -------
    DataFrame
        decile (10 holds the most), accounts, headroom, forecast_revenue, expected_above, actual_above, lower, upper,
        share_expected, share_actual (of headroom), prob.
    """
    known = np.flatnonzero(np.isfinite(predicted) & (lesson.headroom > 0.0))
    order = known[np.lexsort((known, predicted[known]))]
    rng = np.random.default_rng([seed, 0xDEC1])
    rows = []
    for decile, members in enumerate(np.array_split(order, min(DECILES, len(order))), start=1):
        again = rng.choice(above[members], size=(400, len(members))).sum(axis=1)
        low, high = np.quantile(again, [(1 - prob) / 2, (1 + prob) / 2])
        headroom = float(lesson.headroom[members].sum())
        rows.append(
            {
                "decile": decile,
                "accounts": len(members),
                "headroom": headroom,
                "forecast_revenue": float(lesson.expected[members].sum()),
                "expected_above": float(predicted[members].sum()),
                "actual_above": float(above[members].sum()),
                "lower": low,
                "upper": high,
                "share_expected": float(predicted[members].sum()) / headroom,
                "share_actual": float(above[members].sum()) / headroom,
                "prob": prob,
            }
        )
    return pd.DataFrame(rows)
