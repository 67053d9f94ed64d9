"""The rule of the matrix: where classes of value and potential part, what cells are called, what care they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import numpy as np

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
