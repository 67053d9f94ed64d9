"""The matrix of value by potential: classes by money or by quantile, counts and sums by cell.

The rule of the matrix: where classes of value and potential part, what cells are called, what care they ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError

Cutting = Literal["quantile", "money"]
Axis = Literal["value", "potential"]
NOT_CLASSED: Final = "not classed"
CELLS: Final[Mapping[tuple[str, str], tuple[str, str]]] = MappingProxyType(
    {
        ("high", "high"): (
            "key accounts",
            "An owner of their own, a joint plan, a growth goal for each, a visit at the top once a year.",
        ),
        ("high", "middle"): (
            "core with room",
            "An owner of their own; keep the base safe first, then one offer beyond what they buy.",
        ),
        ("high", "low"): (
            "core",
            "Protect: service levels, early warning of leaving, renewal. No growth goal: they buy what they can.",
        ),
        ("middle", "high"): (
            "next key accounts",
            "The best place for sales time: find what they buy elsewhere, plan account by account.",
        ),
        ("middle", "middle"): ("develop", "Sales by team, offers for the categories they lack, a review each quarter."),
        ("middle", "low"): ("steady", "Keep easy to buy from; inside sales, no visits without a reason."),
        ("low", "high"): (
            "sleeping giants",
            "First find out whether the potential is real and what stands in the way; then a few at a time.",
        ),
        ("low", "middle"): ("nurture", "Campaigns and inside sales; move up those that respond."),
        ("low", "low"): ("self-service", "Web shop and partners; watch that serving them costs less than they bring."),
    }
)
"""Name and suggested care by class of value and of potential, for two cuts each; any can be renamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRule:
    """How accounts are put into classes of value and potential, and what the cells are called.

    Parameters
    ----------
    value, potential : tuple of float
        Rising cuts between classes: shares of accounts, or money.
    by : {"quantile", "money"}
    names, care : mapping of (value class, potential class) to str, optional
        Replace the name or the suggested care of some cells. Classes are called low, middle and high (two cuts), low
        and high (one cut), or class 1, class 2, ... from the lowest.
    value_axis, potential_axis : str
        Columns of the ranking table that the axes show.

    Raises
    ------
    DomainError
        If cuts do not rise or are out of range, a renamed cell does not exist, or two cells share a name.

    Examples
    --------
    >>> rule = MatrixRule(value=(1e6,), potential=(1e6,), by="money", names={("high", "high"): "gold"})
    >>> rule.classes("value"), rule.name_of("high", "high"), rule.name_of("low", "high")
    (('low', 'high'), 'gold', 'sleeping giants')
    """

    value: tuple[float, ...] = (0.5, 0.8)
    potential: tuple[float, ...] = (0.5, 0.8)
    by: Cutting = "quantile"
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    care: Mapping[tuple[str, str], str] = field(default_factory=dict)
    value_axis: str = "value"
    potential_axis: str = "potential_value"

    def __post_init__(self) -> None:
        if self.by not in get_args(Cutting):
            raise DomainError("by must be quantile or money.", value=repr(self.by))
        object.__setattr__(self, "value", _cuts(self.value, "value", self.by))
        object.__setattr__(self, "potential", _cuts(self.potential, "potential", self.by))
        cells = set(self.cells())
        for what in ("names", "care"):
            given = dict(getattr(self, what) or {})
            strange = [key for key in given if key not in cells]
            if strange:
                raise DomainError(
                    f"{what} must be keyed by (value class, potential class).",
                    value=repr(strange[0]),
                    remedy=f"Classes: {', '.join(self.classes('value'))} by {', '.join(self.classes('potential'))}.",
                )
            object.__setattr__(self, what, MappingProxyType(given))
        names = [self.name_of(*cell) for cell in self.cells()]
        twice = [name for name in names if names.count(name) > 1 or name == NOT_CLASSED]
        if twice:
            raise DomainError("Each cell needs a name of its own.", value=repr(twice[0]))

    def classes(self, axis: Axis) -> tuple[str, ...]:
        """Names of the classes of an axis, from the lowest."""
        cuts = len(self.value if axis == "value" else self.potential)
        if cuts <= 2:
            return ("low", "high") if cuts == 1 else ("low", "middle", "high")
        return tuple(f"class {i}" for i in range(1, cuts + 2))

    def cells(self) -> tuple[tuple[str, str], ...]:
        """All (value class, potential class) in the order of cell codes: from the lowest value, within it potential."""
        return tuple((v, p) for v in self.classes("value") for p in self.classes("potential"))

    def name_of(self, value_class: str, potential_class: str) -> str:
        """Name of a cell."""
        usual = CELLS.get((value_class, potential_class), (f"{value_class} value, {potential_class} potential", ""))
        return self.names.get((value_class, potential_class), usual[0])

    def care_of(self, value_class: str, potential_class: str) -> str:
        """Suggested care of a cell; empty where none is known."""
        return self.care.get((value_class, potential_class), CELLS.get((value_class, potential_class), ("", ""))[1])


def _cuts(cuts: Any, name: str, by: str) -> tuple[float, ...]:
    given = [cuts] if np.ndim(cuts) == 0 else list(cuts)
    found = tuple(finite_number(cut, name) for cut in given)
    rising = all(low < high for low, high in pairwise(found))
    if not found or not rising or (by == "quantile" and not (found[0] > 0.0 and found[-1] < 1.0)):
        wanted = "shares of accounts between 0 and 1" if by == "quantile" else "amounts of money"
        raise DomainError(f"{name} must hold rising cuts, {wanted}.", value=repr(cuts))
    return found


def cuts_of(rule: MatrixRule, values: ArrayLike, axis: Axis = "value") -> tuple[float, ...]:
    """Money that parts the classes of an axis.

    Parameters
    ----------
    rule : MatrixRule
    values : array_like, shape (account,)
        Unknown ones (NaN) are left out.
    axis : {"value", "potential"}

    Returns
    -------
    tuple of float
        One per cut; NaN where quantiles are asked for and no value is known.

    Examples
    --------
    >>> cuts_of(MatrixRule(), [1.0, 2.0, 3.0, 4.0, 5.0])
    (3.0, 4.2)
    """
    cuts = rule.value if axis == "value" else rule.potential
    if rule.by == "money":
        return cuts
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return (float("nan"),) * len(cuts)
    return tuple(float(cut) for cut in np.quantile(known, cuts))


def classes(values: ArrayLike, thresholds: Sequence[float]) -> NDArray[np.intp]:
    """Class of each value: how many thresholds it lies above.

    Parameters
    ----------
    values : array_like, any shape
    thresholds : sequence of float
        Rising.

    Returns
    -------
    ndarray of intp, shape of ``values``
        From 0; -1 where the value is unknown. What lies on a threshold belongs below it, so equal values always share
        a class, and where all are equal by quantile, all are in the lowest.

    Examples
    --------
    >>> classes([0.0, 0.0, 0.0, 5.0, 9.0], (0.0, 5.0))
    array([0, 0, 0, 1, 2])
    """
    found = np.asarray(values, dtype=np.float64)
    codes = np.searchsorted(np.asarray(thresholds, dtype=np.float64), found, side="left").astype(np.intp)
    return np.where(np.isnan(found), np.intp(-1), codes)


def cell_codes(value_codes: ArrayLike, potential_codes: ArrayLike, rule: MatrixRule) -> NDArray[np.intp]:
    """One code per account for both classes: the place of its cell in ``rule.cells()``; -1 where a class is unknown.

    Examples
    --------
    >>> cell_codes([0, 2, 2], [0, 1, -1], MatrixRule())
    array([ 0,  7, -1])
    """
    by_value, by_potential = np.asarray(value_codes, dtype=np.intp), np.asarray(potential_codes, dtype=np.intp)
    found = by_value * len(rule.classes("potential")) + by_potential
    return np.where((by_value < 0) | (by_potential < 0), np.intp(-1), found)


def cell_names(codes: ArrayLike, rule: MatrixRule) -> NDArray[np.object_]:
    """Name of each account's cell; None where it is not classed.

    Examples
    --------
    >>> cell_names([0, 8, -1], MatrixRule())
    array(['self-service', 'key accounts', None], dtype=object)
    """
    names = np.array([*(rule.name_of(*cell) for cell in rule.cells()), None], dtype=object)
    return names[np.asarray(codes, dtype=np.intp)]


def cell_probabilities(
    value_draws: ArrayLike,
    potential_draws: ArrayLike,
    rule: MatrixRule,
    *,
    value_cuts: Sequence[float],
    potential_cuts: Sequence[float],
) -> NDArray[np.float64]:
    """Share of the draws in which an account is in each cell.

    Parameters
    ----------
    value_draws, potential_draws : array_like, shape (draw, account)
        Joint draws: draw d of both is the same possible world. Draws of what is *expected* say how surely the account
        belongs where it stands; draws of the money that comes add its luck, and move accounts out of their cells.
    rule : MatrixRule
    value_cuts, potential_cuts : sequence of float
        The same money in every draw, from ``cuts_of`` over all accounts.

    Returns
    -------
    ndarray, shape (account, cell)
        In the order of ``rule.cells()``; rows add up to 1, or less where draws are unknown. Blocks of accounts can be
        done one after another.

    Examples
    --------
    >>> rule = MatrixRule(value=(10.0,), potential=(1.0,), by="money")
    >>> cell_probabilities([[5.0], [20.0]], [[2.0], [2.0]], rule, value_cuts=(10.0,), potential_cuts=(1.0,))
    array([[0. , 0.5, 0. , 0.5]])
    """
    by_value, by_potential = np.asarray(value_draws), np.asarray(potential_draws)
    draws, accounts = by_value.shape
    cells = len(rule.cells())
    place = np.zeros((draws, accounts), dtype=np.intp)  # by comparisons: far faster than a search for few cuts
    for cut in value_cuts:
        place += by_value > cut
    place *= len(rule.classes("potential"))
    for cut in potential_cuts:
        place += by_potential > cut
    place[np.isnan(by_value) | np.isnan(by_potential)] = cells
    place += np.arange(accounts) * (cells + 1)
    counts = np.bincount(place.ravel(), minlength=accounts * (cells + 1)).reshape(accounts, cells + 1)
    return np.asarray(counts[:, :cells] / draws)


def matrix_table(
    value_codes: ArrayLike,
    potential_codes: ArrayLike,
    rule: MatrixRule,
    *,
    value: ArrayLike,
    potential: ArrayLike,
    headroom: ArrayLike | None = None,
    current: ArrayLike | None = None,
    p_cell: ArrayLike | None = None,
    value_cuts: Sequence[float] | None = None,
    potential_cuts: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Counts and money by cell.

    Parameters
    ----------
    value_codes, potential_codes : array_like of int, shape (account,)
        From ``classes``.
    rule : MatrixRule
    value, potential, headroom, current : array_like, shape (account,)
        Money to add up; what is unknown of an account is left out of its sum.
    p_cell : array_like, shape (account, cell) or (account,), optional
        From ``cell_probabilities``; or only that of each account's own cell.
    value_cuts, potential_cuts : sequence of float, optional
        From ``cuts_of``; default: the rule's own where it cuts by money.

    Returns
    -------
    DataFrame
        All cells, empty ones too, highest value first: cell, value_class, potential_class, accounts, share_of_accounts,
        expected_accounts (sum of the probabilities of being in the cell), mean_p_cell (how surely those in it belong
        there), value, potential_value, headroom, current_revenue, care, value_above, value_up_to, potential_above,
        potential_up_to. A last row ``not classed`` where accounts have no class. Columns without input are absent.

    Raises
    ------
    DomainError
        If arrays do not have one value per account, or a code is no class of the rule.

    Examples
    --------
    >>> rule = MatrixRule(value=(1e6,), potential=(1e6,), by="money")
    >>> money, potential = np.array([2e6, 3e5, 4e5]), np.array([0.0, 2e6, 3e6])
    >>> table = matrix_table(classes(money, (1e6,)), classes(potential, (1e6,)), rule, value=money, potential=potential)
    >>> table[["cell", "accounts", "potential_value", "value_above"]]
                  cell  accounts  potential_value  value_above
    0     key accounts         0              0.0    1000000.0
    1             core         1              0.0    1000000.0
    2  sleeping giants         2        5000000.0         -inf
    3     self-service         0              0.0         -inf
    """
    by_value, by_potential = _codes(value_codes, rule, "value"), _codes(potential_codes, rule, "potential")
    size = len(by_value)
    codes = cell_codes(by_value, by_potential, rule)
    cells = rule.cells()
    counts = np.bincount(np.where(codes < 0, len(cells), codes), minlength=len(cells) + 1)
    table = pd.DataFrame(
        {
            "cell": [*(rule.name_of(*cell) for cell in cells), NOT_CLASSED],
            "value_class": [*(v for v, _ in cells), None],
            "potential_class": [*(p for _, p in cells), None],
            "accounts": counts,
            "share_of_accounts": counts / max(size, 1),
        }
    )
    if p_cell is not None:
        _add_probabilities(table, codes, np.asarray(p_cell, dtype=np.float64))
    sums = {"value": value, "potential_value": potential, "headroom": headroom, "current_revenue": current}
    for name, money in sums.items():
        if money is not None:
            table[name] = _sums(codes, len(cells), _per_account(money, size, name))
    table["care"] = [*(rule.care_of(*cell) for cell in cells), ""]
    _add_limits(table, rule, "value", cuts=value_cuts)
    _add_limits(table, rule, "potential", cuts=potential_cuts)
    order = [*range(len(cells) - 1, -1, -1), *([len(cells)] if counts[-1] else [])]
    return table.iloc[order].reset_index(drop=True)


def matrix_summary(table: pd.DataFrame) -> str:
    """Say in a sentence how many accounts are worth much, how many could be, and what lies in the latter.

    Parameters
    ----------
    table : DataFrame
        From ``matrix_table``.

    Returns
    -------
    str

    Examples
    --------
    >>> rule = MatrixRule(value=(1e6,), potential=(1e6,), by="money")
    >>> money, potential = np.array([2e6, 3e5, 4e5]), np.array([0.0, 2e6, 3e6])
    >>> codes = classes(money, (1e6,)), classes(potential, (1e6,))
    >>> print(matrix_summary(matrix_table(*codes, rule, value=money, potential=potential)))
    Of 3 accounts, 1 has a value above 1,000,000, 2 have a potential above 1,000,000 (5,000,000 together), 0 have both.
    """
    classed = table[table["value_class"].notna()]
    best = classed.iloc[0]
    valuable = classed["value_class"] == best["value_class"]
    promising = classed["potential_class"] == best["potential_class"]
    counts = [int(classed.loc[rows, "accounts"].sum()) for rows in (valuable, promising, valuable & promising)]
    limits = [_limit(best, axis) for axis in ("value", "potential")]
    lies = classed.loc[promising, "potential_value"].sum()
    unknown = int(table["accounts"].sum()) - int(classed["accounts"].sum())
    left = f" {unknown:,} could not be classed." if unknown else ""
    return (
        f"Of {int(table['accounts'].sum()):,} account{'' if table['accounts'].sum() == 1 else 's'}, "
        f"{counts[0]:,} {_has(counts[0])} a value {limits[0]}, {counts[1]:,} {_has(counts[1])} a potential {limits[1]} "
        f"({lies:z,.0f} together), {counts[2]:,} {_has(counts[2])} both.{left}"
    )


def _has(number: int) -> str:
    return "has" if number == 1 else "have"


def _limit(best: pd.Series[Any], axis: str) -> str:
    above = best.get(f"{axis}_above", np.nan)
    return f"above {above:z,.0f}" if np.isfinite(above) else "in the highest class"


def _codes(codes: ArrayLike, rule: MatrixRule, axis: Axis) -> NDArray[np.intp]:
    found = np.asarray(codes, dtype=np.intp)
    if found.ndim != 1 or bool((found < -1).any()) or bool((found >= len(rule.classes(axis))).any()):
        raise DomainError(
            f"{axis}_codes must be classes of the rule, one per account.",
            value=f"up to {found.max(initial=-1)}" if found.ndim == 1 else f"shape {found.shape}",
            remedy=f"The rule has {len(rule.classes(axis))} classes of {axis}, from 0.",
        )
    return found


def _per_account(values: ArrayLike, size: int, name: str) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (size,):
        raise DomainError(f"{name} must have one value per account ({size:,}).", value=f"shape {found.shape}")
    return found


def _sums(codes: NDArray[np.intp], cells: int, money: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums by cell and of those not classed: NaN where there are accounts and nothing is known of any."""
    place = np.where(codes < 0, cells, codes)
    known = np.isfinite(money)
    sums = np.bincount(place[known], weights=money[known], minlength=cells + 1)
    nothing = (np.bincount(place, minlength=cells + 1) > 0) & (np.bincount(place[known], minlength=cells + 1) == 0)
    return np.where(nothing, np.nan, sums)


def _add_probabilities(table: pd.DataFrame, codes: NDArray[np.intp], p_cell: NDArray[np.float64]) -> None:
    cells = len(table) - 1
    if p_cell.shape not in ((len(codes),), (len(codes), cells)):
        raise DomainError(
            f"p_cell must be of shape ({len(codes)},) or ({len(codes)}, {cells}).", value=f"shape {p_cell.shape}"
        )
    own = p_cell
    if p_cell.ndim == 2:
        table["expected_accounts"] = [*p_cell.sum(axis=0), np.nan]
        own = np.where(codes >= 0, p_cell[np.arange(len(codes)), codes], np.nan)
    members = np.array([(codes == cell).sum() for cell in range(cells)] + [0])
    sums = _sums(codes, cells, own)
    table["mean_p_cell"] = np.where(members > 0, sums / np.maximum(members, 1), np.nan)


def _add_limits(table: pd.DataFrame, rule: MatrixRule, axis: Axis, *, cuts: Sequence[float] | None) -> None:
    if cuts is None:
        if rule.by != "money":
            return
        cuts = rule.value if axis == "value" else rule.potential
    edges = [-np.inf, *cuts, np.inf]
    names = rule.classes(axis)
    limits = {name: (edges[i], edges[i + 1]) for i, name in enumerate(names)}
    unknown = (np.nan, np.nan)
    table[f"{axis}_above"] = [limits.get(name, unknown)[0] for name in table[f"{axis}_class"]]
    table[f"{axis}_up_to"] = [limits.get(name, unknown)[1] for name in table[f"{axis}_class"]]
