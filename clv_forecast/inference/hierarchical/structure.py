"""What distinguishes customers in a hierarchical fit: groups and covariates, as a specification to be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.attributes import Attribute, customer_attribute

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory

Floats = NDArray[np.float64]

MISSING: Final = "(missing)"
MOST_LEVELS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTerm:
    """A column whose levels are partially pooled.

    Parameters
    ----------
    name : str
    levels : tuple of str
        Sorted; customers without a label are the level ``"(missing)"``.
    dated : bool
        Whether the column was known when a customer was first seen.
    """

    name: str
    levels: tuple[str, ...]
    dated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericCovariate:
    """A number per customer, standardised by the customers of the fit.

    Parameters
    ----------
    name : str
    centre, spread : float
        Mean and standard deviation; the design holds ``(value - centre) / spread``.
    dated : bool
    """

    name: str
    centre: float
    spread: float
    dated: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns in the design."""
        return (self.name,)

    @property
    def spreads(self) -> tuple[float, ...]:
        """What each column was divided by."""
        return (self.spread,)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalCovariate:
    """A label per customer, compared with the most frequent one.

    Parameters
    ----------
    name : str
    reference : str
        The most frequent level.
    levels : tuple of str
        The others, sorted: one column of the design each.
    shares : tuple of float
        Share of customers at each of them; the design holds ``1 - share`` or ``-share``, so that the intercept is the
        average customer's, and a coefficient is the contrast with the reference.
    dated : bool
    """

    name: str
    reference: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    dated: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns in the design."""
        return tuple(f"{self.name}[{level} vs {self.reference}]" for level in self.levels)

    @property
    def spreads(self) -> tuple[float, ...]:
        """What each column was divided by."""
        return tuple(1.0 for _ in self.levels)


Covariate = NumericCovariate | CategoricalCovariate


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """Groups and covariates of a hierarchical fit. Made by `learn_structure`, replayed by `assign`.

    Parameters
    ----------
    groups : tuple of GroupTerm
    covariates : tuple of NumericCovariate or CategoricalCovariate
    """

    groups: tuple[GroupTerm, ...] = ()
    covariates: tuple[Covariate, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the design."""
        return tuple(name for covariate in self.covariates for name in covariate.columns)

    @property
    def spreads(self) -> Floats:
        """What each column of the design was divided by, shape (column,): coefficients over it are the user's."""
        return np.array([spread for covariate in self.covariates for spread in covariate.spreads])

    @property
    def pooled(self) -> bool:
        """Whether nothing distinguishes customers."""
        return not self.groups and not self.covariates

    @property
    def undated(self) -> tuple[str, ...]:
        """Columns known only as of today."""
        return tuple(part.name for part in (*self.groups, *self.covariates) if not part.dated)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        groups = [{"name": term.name, "levels": list(term.levels), "dated": term.dated} for term in self.groups]
        return {"groups": groups, "covariates": [_covariate_to_dict(covariate) for covariate in self.covariates]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Structure:
        """Read what `to_dict` wrote.

        Raises
        ------
        KeyError, TypeError
            If something is missing or is not what it should be.

        Examples
        --------
        >>> spec = Structure(groups=(GroupTerm(name="region", levels=("north", "south"), dated=False),))
        >>> Structure.from_dict(spec.to_dict()) == spec
        True
        """
        groups = tuple(
            GroupTerm(name=term["name"], levels=tuple(term["levels"]), dated=bool(term["dated"]))
            for term in content["groups"]
        )
        return cls(groups=groups, covariates=tuple(_covariate_from_dict(part) for part in content["covariates"]))


def learn_structure(
    history: PurchaseHistory, groups: str | Sequence[str] = (), covariates: str | Sequence[str] = ()
) -> Structure:
    """Read levels and scales of groups and covariates off a history.

    Parameters
    ----------
    history : PurchaseHistory
    groups, covariates : str or sequence of str
        Names of customers' attributes; see `clv_forecast.history.attributes.customer_attribute`. A
        covariate is numeric when its column is, otherwise (also true or false) categorical.

    Returns
    -------
    Structure

    Raises
    ------
    DomainError
        If a column is unknown, named twice, or both a group and a covariate.
    InputError
        If a group or covariate has one level only or more than 1000, or a number is missing or not finite.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> learn_structure(history, groups="cohort_month").groups[0].levels
    ('1997-01', '1997-02', '1997-03')
    """
    group_names, covariate_names = _names(groups, "groups"), _names(covariates, "covariates")
    both = [name for name in group_names if name in covariate_names]
    if both:
        raise DomainError(
            "A column is a group or a covariate, not both.", value=repr(both[0]), remedy="Name it in one of the two."
        )
    return Structure(
        groups=tuple(_group(customer_attribute(history, name)) for name in group_names),
        covariates=tuple(_covariate(customer_attribute(history, name), history.table) for name in covariate_names),
    )


def level_texts(values: pd.Series[Any]) -> NDArray[np.object_]:
    """Labels as text: whole numbers without a decimal point, days without a clock time, ``"(missing)"`` for none.

    Examples
    --------
    >>> level_texts(pd.Series([2.0, None, 10.0])).tolist()
    ['2', '(missing)', '10']
    """
    codes, distinct = pd.factorize(values, use_na_sentinel=True)
    texts = np.array([*(_text(value) for value in distinct), MISSING], dtype=object)
    return texts[codes]


def numbers(values: pd.Series[Any], name: str, table: pd.DataFrame) -> Floats:
    """A numeric covariate as floats.

    Raises
    ------
    InputError
        If one is missing or not finite, with the first customers.
    """
    try:
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(
            f"The covariate {name!r} was numeric in the fit.", value=str(values.dtype), remedy="Give it as numbers."
        ) from None
    bad = ~np.isfinite(found)
    if bad.any():
        raise InputError(
            f"A numeric covariate must be known and finite for every customer; {name!r} is not for {int(bad.sum()):,}.",
            value=found[bad][0],
            customer_ids=table.loc[bad, columns.CUSTOMER_ID],
            remedy="Fill the gaps, drop these customers, or use the column as a group of ranges.",
        )
    return found


def _names(names: str | Sequence[str], what: str) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(names)
    for name in found:
        if not isinstance(name, str):
            raise DomainError(f"{what} are names of columns.", value=repr(name))
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise DomainError(f"{what} name a column twice.", value=repr(twice[0]))
    return found


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return value.date().isoformat()
    return str(value)


def _counted_levels(attribute: Attribute, what: str) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    levels, counts = np.unique(level_texts(attribute.values), return_counts=True)
    if len(levels) < 2:
        raise InputError(
            f"{what} {attribute.name!r} has one level only, so nothing can be learned from it.",
            value=repr(levels[0]) if len(levels) else None,
            remedy="Leave it out.",
        )
    if len(levels) > MOST_LEVELS:
        raise InputError(
            f"{what} {attribute.name!r} has more than {MOST_LEVELS:,} levels.",
            value=f"{len(levels):,} levels",
            remedy="Use a coarser column; an identifier of customers is no group.",
        )
    return levels, counts


def _group(attribute: Attribute) -> GroupTerm:
    levels, _ = _counted_levels(attribute, "The group")
    return GroupTerm(name=attribute.name, levels=tuple(levels.tolist()), dated=attribute.dated)


def _covariate(attribute: Attribute, table: pd.DataFrame) -> Covariate:
    values = attribute.values
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        found = numbers(values, attribute.name, table)
        centre, spread = float(np.mean(found)), float(np.std(found))
        if not spread > 1e-12 * abs(centre):
            raise InputError(
                f"The covariate {attribute.name!r} is the same for every customer.",
                value=centre,
                remedy="Leave it out.",
            )
        return NumericCovariate(name=attribute.name, centre=centre, spread=spread, dated=attribute.dated)
    levels, counts = _counted_levels(attribute, "The covariate")
    most = int(np.argmax(counts))
    others = [index for index in range(len(levels)) if index != most]
    return CategoricalCovariate(
        name=attribute.name,
        reference=str(levels[most]),
        levels=tuple(str(levels[index]) for index in others),
        shares=tuple(float(counts[index] / counts.sum()) for index in others),
        dated=attribute.dated,
    )


def _covariate_to_dict(covariate: Covariate) -> dict[str, Any]:
    common = {"name": covariate.name, "dated": covariate.dated}
    if isinstance(covariate, NumericCovariate):
        return common | {"kind": "numeric", "centre": covariate.centre, "spread": covariate.spread}
    return common | {
        "kind": "categorical",
        "reference": covariate.reference,
        "levels": list(covariate.levels),
        "shares": list(covariate.shares),
    }


def _covariate_from_dict(part: Mapping[str, Any]) -> Covariate:
    name, dated = part["name"], bool(part["dated"])
    if part["kind"] == "numeric":
        return NumericCovariate(name=name, centre=float(part["centre"]), spread=float(part["spread"]), dated=dated)
    return CategoricalCovariate(
        name=name,
        reference=part["reference"],
        levels=tuple(part["levels"]),
        shares=tuple(float(share) for share in part["shares"]),
        dated=dated,
    )
