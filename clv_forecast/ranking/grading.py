"""Grades by a business's own weights: percentiles of accounts, added up so that each part of a score can be seen.

What makes a good account, in a business's own judgement: weights, cut-offs, and how to read them from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clv_forecast import columns
from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError, InputError
from clv_forecast.files import read_toml
from clv_forecast.tables.source import read_frame

CutOn = Literal["score", "place"]

BEST: Final = 100.0
CUTS: Final[Mapping[str, float]] = {"A": 80.0, "B": 60.0, "C": 40.0, "D": 0.0}
_OWN: Final = (columns.CUSTOMER_ID, "score", "grade", "graded_on", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """What makes a good account, in a business's own judgement.

    Parameters
    ----------
    weights : mapping of str to float
        Weight (> 0) of each column to grade by; only their ratios matter.
    cuts : mapping of str to float
        Least points of each grade, 0 to 100; the last grade begins at 0.
    lower_is_better : tuple of str
        Columns of ``weights`` in which the smallest number is the best.
    least_weight : float
        An account gets a grade if it has a number for at least this share of the weight; in (0, 1].
    cut_on : {"score", "place"}
        Whether cuts are points of the score, or shares of accounts: with "place", ``{"A": 80}`` makes the best fifth A.

    Raises
    ------
    DomainError
        If a number is outside its domain, two grades begin at the same point or none at 0, or a column is named in
        ``lower_is_better`` and has no weight.

    Examples
    --------
    >>> Grading(weights={"value": 3, "cagr": 1}).cuts
    {'A': 80.0, 'B': 60.0, 'C': 40.0, 'D': 0.0}
    """

    weights: Mapping[str, float]
    cuts: Mapping[str, float] = field(default_factory=lambda: dict(CUTS))
    lower_is_better: tuple[str, ...] = ()
    least_weight: float = 0.5
    cut_on: CutOn = "score"

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping) or not self.weights:
            raise DomainError("weights must name at least one column, with its weight.", value=repr(self.weights))
        for name, weight in self.weights.items():
            if finite_number(weight, f"The weight of {name!r}") <= 0.0:
                raise DomainError(
                    f"The weight of {name!r} must be more than 0.",
                    value=weight,
                    remedy="Name it in lower_is_better if less of it is better; leave it out if it does not count.",
                )
        clash = [name for name in self.weights if name in _OWN]
        if clash:
            raise DomainError("These names belong to the table of grades.", value=", ".join(clash))
        _check_cuts(self.cuts)
        if not isinstance(self.lower_is_better, tuple) or not set(self.lower_is_better) <= set(self.weights):
            raise DomainError(
                "lower_is_better must be a tuple of columns with a weight.", value=repr(self.lower_is_better)
            )
        if not 0.0 < finite_number(self.least_weight, "least_weight") <= 1.0:
            raise DomainError("least_weight must lie above 0 and be at most 1.", value=self.least_weight)
        if self.cut_on not in get_args(CutOn):
            raise DomainError("cut_on must be 'score' or 'place'.", value=repr(self.cut_on))

    @classmethod
    def from_toml(cls, path: str | Path) -> Grading:
        """Read the table ``[grading]`` of a configuration file.

        Parameters
        ----------
        path : str or Path
            With for example ``weights = {value = 3, cagr = 1}`` below ``[grading]``; every field may stand there.

        Returns
        -------
        Grading

        Raises
        ------
        DomainError
            If there is no such file or table, it is no TOML, or a field is unknown or outside its domain.
        """
        found, _ = read_toml(path)
        if not isinstance(found.get("grading"), dict):
            raise DomainError("The configuration has no table [grading].", value=str(path))
        return grading_from({"weights": {}, **found["grading"]})


def _check_cuts(cuts: Mapping[str, float]) -> None:
    if not isinstance(cuts, Mapping) or not cuts:
        raise DomainError("cuts must name at least one grade.", value=repr(cuts))
    points = [finite_number(least, f"The cut of grade {name!r}") for name, least in cuts.items()]
    if min(points) != 0.0 or max(points) > BEST or len(set(points)) < len(points):
        raise DomainError(
            "Each grade must begin at a point of its own from 0 to 100, the last at 0.",
            value=dict(cuts),
            remedy="Give the worst grade 0, so that every score has a grade.",
        )


def grading_from(given: Mapping[str, Any]) -> Grading:
    """Grading from the fields of its table; a mapping without ``weights`` is the weights.

    Raises
    ------
    DomainError
        If it is no mapping, or a field is unknown or outside its domain.

    Examples
    --------
    >>> grading_from({"value": 1, "complaints": 1}).cut_on
    'score'
    >>> grading_from({"weights": {"value": 1, "complaints": 1}, "lower_is_better": ["complaints"]}).lower_is_better
    ('complaints',)
    """
    if not isinstance(given, Mapping):
        raise DomainError(
            "A grading is a Grading, or a mapping of columns to weights.",
            value=repr(given),
            remedy="Pass for example {'value': 3, 'cagr': 1}, or Grading.from_toml(path).",
        )
    if "weights" not in given:
        return Grading(weights=dict(given))
    known = {part.name for part in fields(Grading)}
    strange = [name for name in given if name not in known]
    if strange:
        raise DomainError(
            f"A grading has {', '.join(sorted(known))}.",
            value=", ".join(map(str, strange)),
            remedy="Remove the others.",
        )
    options = dict(given)
    if isinstance(options.get("lower_is_better"), list):
        options["lower_is_better"] = tuple(options["lower_is_better"])
    return Grading(**options)


Floats = NDArray[np.float64]

IN_WORDS: Final[Mapping[str, str]] = {
    "value": "forecast value",
    "revenue": "forecast revenue",
    "potential_value": "potential",
    "adjusted_value": "value with potential",
    "headroom": "headroom",
    "readiness": "readiness",
    "p_alive": "chance of being a customer",
    "current_revenue": "revenue of the last 12 months",
    "acv": "annual contract value",
    "acv_contracted": "contracted value",
    "acv_margin": "margin",
    "acv_margin_rate": "margin rate",
    "revenue_to_date": "revenue to date",
    "margin_to_date": "margin to date",
    "cagr": "growth",
    "cagr_lower": "growth, cautiously",
    "product_density": "product density",
    "product_density_change": "change of product density",
    "new_categories": "new categories",
    "upsell_revenue": "upselling",
    "referral_value": "referral value",
    "referred_accounts": "accounts referred",
    "referred_revenue_to_date": "referred revenue",
    "revenue_with_referrals": "revenue with referrals",
    "big_logo": "big logo",
    "lighthouse": "lighthouse",
    "advocacy": "advocacy",
    "share_of_wallet": "share of wallet",
}
"""Measures of this package in words: one that a base does not have is missing there, and no slip of the pen."""
_PASSED: Final = ("as_of", columns.CURRENCY, "horizon")


def grade(table: Any, grading: Grading | Mapping[str, Any]) -> pd.DataFrame:
    r"""Grade accounts by weighted percentiles.

    With weight :math:`w_k` of column k and the account's percentile :math:`q_k` in it,

    .. math:: \text{score} = \sum_k c_k, \qquad c_k = w_k q_k \Big/ \sum_{j \text{ known}} w_j

    The percentile is the share of the *other* accounts with a number in that column which the account beats, ties
    counting half, times 100: 100 is better than all others, 0 worse than all, 50 alone or all equal.

    Parameters
    ----------
    table : table with one row per account
        customer_id and the columns to grade by: numbers, or yes and no.
    grading : Grading or mapping
        A mapping holds the fields of ``Grading``, or just its weights.

    Returns
    -------
    DataFrame
        One row per account in the order of ``table``; ``attrs["notes"]`` says what was missing altogether.

        ========================= ==================================================================================
        customer_id
        as_of, currency, horizon  as given, where they are
        score                     0 to 100; missing where nothing to grade by is known of the account
        grade                     ordered, the best grade the largest; missing where too little is known
        graded_on                 share of the weight for which the account has a number
        contribution_*            points of each column; they add up to the score; missing where its number is
        reason                    the grade in a sentence
        the columns to grade by   unchanged: money stays money
        ========================= ==================================================================================

    Raises
    ------
    DomainError
        If the grading is outside its domain, or weighs a column that is neither in the table nor a measure of this
        package.
    InputError
        If the table has no ``customer_id``, an account twice, or text in a column to grade by.

    Notes
    -----
    Percentiles do not know how much better the better account is, and are of this base on this day: a score moves
    when other accounts do. Money does neither; look at the columns beside. What is missing does not count against an
    account: its other numbers weigh more, and ``graded_on`` says how much they are.

    Examples
    --------
    >>> accounts = pd.DataFrame({"customer_id": ["a", "b", "c"], "value": [900.0, 5.0, 40.0], "cagr": [0.1, 0.3, None]})
    >>> found = grade(accounts, {"value": 3, "cagr": 1})
    >>> found[["customer_id", "score", "grade", "graded_on", "contribution_value"]]
      customer_id  score grade  graded_on  contribution_value
    0           a   75.0     B       1.00                75.0
    1           b   25.0     D       1.00                 0.0
    2           c   50.0     C       0.75                50.0
    >>> found["reason"][2]
    'C (50 points on 75 % of the weight): forecast value 50 of 100; not known: growth.'
    """
    rules = grading if isinstance(grading, Grading) else grading_from(grading)
    given = _checked(read_frame(table, "The table to grade"))
    names = list(rules.weights)
    values, absent = _numbers(given, names)
    weights = np.array([float(rules.weights[name]) for name in names])
    known = ~np.isnan(values)
    available = known @ weights
    share = available / weights.sum()
    per_point = weights / np.where(available > 0.0, available, np.nan)[:, None]
    lower = np.array([name in rules.lower_is_better for name in names])
    points = per_point * np.where(lower, BEST - percentiles(values), percentiles(values))
    score = np.where(available > 0.0, np.nansum(points, axis=1), np.nan)
    enough = share >= rules.least_weight - 1e-12
    grades = _grades(rules, score, enough)
    found = given[[columns.CUSTOMER_ID, *(name for name in _PASSED if name in given.columns)]].copy()
    found["score"], found["grade"], found["graded_on"] = score, grades, share
    for k, name in enumerate(names):
        found[f"contribution_{name}"] = points[:, k]
    found["reason"] = _reasons(rules, names, grades, score=score, share=share, points=points, most=per_point * BEST)
    for name in names:
        if name in given.columns and name not in found.columns:
            found[name] = given[name]
    found.attrs["notes"] = [f"Nobody has {_words(name)} ({name}): the other weights count for more." for name in absent]
    return found


def percentiles(values: Floats) -> Floats:
    """Share of the other known numbers of the same column that each beats, ties counting half, from 0 to 100.

    Parameters
    ----------
    values : ndarray, shape (account, column)
        NaN where unknown.

    Returns
    -------
    ndarray, shape of ``values``
        NaN where unknown; 50 where no other is known.

    Examples
    --------
    >>> percentiles(np.array([[3.0], [1.0], [np.nan], [1.0]])).ravel()
    array([100.,  25.,  nan,  25.])
    """
    rank = np.full(values.shape, np.nan)
    for k in range(values.shape[1]):
        known = ~np.isnan(values[:, k])
        rank[known, k] = stats.rankdata(values[known, k])
    others = (~np.isnan(values)).sum(axis=0) - 1
    found = BEST * (rank - 1.0) / np.maximum(others, 1)
    return np.where((others > 0) | np.isnan(rank), found, BEST / 2.0)


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    if columns.CUSTOMER_ID not in table.columns:
        raise InputError("The table to grade needs a column customer_id.", value=", ".join(map(str, table.columns)))
    ids = table[columns.CUSTOMER_ID]
    if ids.duplicated().any():
        raise InputError(
            "The table to grade must have one row per account.",
            customer_ids=ids[ids.duplicated()].unique().tolist(),
            remedy="Of a table by horizon, keep one horizon.",
        )
    return table.reset_index(drop=True)


def _numbers(table: pd.DataFrame, names: list[str]) -> tuple[Floats, list[str]]:
    """Columns as floats, NaN where unknown, and the names of those that nobody has."""
    values = np.full((len(table), len(names)), np.nan)
    for k, name in enumerate(names):
        if name not in table.columns:
            if name not in IN_WORDS:
                near = get_close_matches(name, [*map(str, table.columns), *IN_WORDS], n=1)
                there = f"Its columns: {', '.join(map(str, table.columns))}."
                raise DomainError(
                    f"The table has no column {name!r} to grade by.", remedy=f"Nearest: {near[0]!r}." if near else there
                )
            continue
        column = table[name]
        plain = pd.api.types.is_numeric_dtype(column.dtype) or column.dtype == object
        numbers = pd.to_numeric(column, errors="coerce") if plain else column.isna().astype(float).replace(1.0, np.nan)
        bad = (column.notna() & (numbers.isna() | (not plain))).to_numpy(dtype=bool)
        if bad.any():
            raise InputError(
                f"{name} must hold numbers, or yes and no, to grade by it.",
                value=repr(column[bad].iloc[0]),
                customer_ids=table[columns.CUSTOMER_ID][bad],
            )
        values[:, k] = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return values, [name for k, name in enumerate(names) if np.isnan(values[:, k]).all()]


def _grades(rules: Grading, score: Floats, enough: NDArray[np.bool_]) -> pd.Categorical[str]:
    labels = sorted(rules.cuts, key=lambda name: rules.cuts[name])
    measure = np.where(enough, score, np.nan)
    if rules.cut_on == "place":
        measure = percentiles(measure[:, None])[:, 0]
    least = np.array([rules.cuts[name] for name in labels])
    reached = np.searchsorted(least, np.nan_to_num(measure) + 1e-9, side="right") - 1
    codes = np.where(np.isnan(measure), -1, reached).tolist()
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels), ordered=True)


def _reasons(
    rules: Grading,
    names: list[str],
    grades: pd.Categorical[str],
    *,
    score: Floats,
    share: Floats,
    points: Floats,
    most: Floats,
) -> list[str]:
    words = [_words(name) for name in names]
    order = np.argsort(-np.where(np.isnan(points), -1.0, points), axis=1, kind="stable")
    labels = grades.categories.tolist()
    found = []
    for row, code in enumerate(grades.codes.tolist()):
        missing = [words[k] for k in range(len(names)) if np.isnan(points[row, k])]
        unknown = f"; not known: {', '.join(missing)}" if missing else ""
        on = f"{BEST * share[row]:.0f} % of the weight"
        if code < 0:
            needed = f"(at least {BEST * rules.least_weight:.0f} % is needed)"
            found.append(f"No grade: {on} is known {needed}{unknown}.")
            continue
        known = [k for k in order[row] if not np.isnan(points[row, k])]
        parts = ", ".join(f"{words[k]} {points[row, k]:.0f} of {most[row, k]:.0f}" for k in known)
        scored = f"{score[row]:.0f} points{f' on {on}' if missing else ''}"
        found.append(f"{labels[code]} ({scored}): {parts}{unknown}.")
    return found


def _words(name: str) -> str:
    return IN_WORDS.get(name, name.replace("_", " "))
