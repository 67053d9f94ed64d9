"""What distinguishes customers in a hierarchical fit: groups and covariates, as a specification to be replayed.

Which cell of a structure each customer of a history belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.purchase_history import Attribute, customer_attribute

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
        Names of customers' attributes; see `clv_forecast.history.purchase_history.customer_attribute`. A
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


_LABELS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """Cells of a history: the distinct combinations of groups and covariates, in an order that rows do not change.

    Parameters
    ----------
    cell : ndarray of int, shape (customer,)
        Index of the customer's cell.
    codes : ndarray of int, shape (cell, term)
        Index of each group's level; -1 for a level that the fit has not seen.
    labels : ndarray of str, shape (cell, term)
        Text of the level.
    design : ndarray, shape (cell, column)
        Standardised covariates.
    notes : tuple of str
        Sentences about levels the fit has not seen.
    """

    cell: NDArray[np.intp]
    codes: NDArray[np.intp]
    labels: NDArray[np.object_]
    design: Floats
    notes: tuple[str, ...] = ()

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.codes.shape[0])


def assign(structure: Structure, history: PurchaseHistory) -> Assignment:
    """Find the cell of every customer.

    Parameters
    ----------
    structure : Structure
    history : PurchaseHistory
        The one of the fit or another; its levels may be new.

    Returns
    -------
    Assignment

    Raises
    ------
    DomainError
        If a column is unknown.
    InputError
        If a numeric covariate is missing or not finite, or a categorical one has a level that the fit has not seen.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> from clv_forecast.inference.hierarchical.structure import learn_structure
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> assignment = assign(learn_structure(history, groups="cohort_month"), history)
    >>> assignment.labels[:, 0].tolist(), assignment.cell.shape
    (['1997-01', '1997-02', '1997-03'], (2349,))
    """
    customers = len(history.table)
    keys: list[NDArray[np.float64]] = []  # one column each; equal rows share a cell
    texts: list[NDArray[np.object_]] = []
    notes: list[str] = []
    for term in structure.groups:
        labels = level_texts(customer_attribute(history, term.name).values)
        codes, unseen = _codes(labels, term.levels)
        if unseen:
            notes.append(
                _unseen_note(term.name, unseen, int(np.sum(codes >= len(term.levels))), levels=len(term.levels))
            )
        keys.append(codes.astype(np.float64))
        texts.append(np.array([*term.levels, *unseen], dtype=object))
    designs: list[Floats] = []
    for covariate in structure.covariates:
        designs.extend(_design(covariate, history))
    first, cell = _distinct([*keys, *designs], customers)
    raw = np.array([key[first] for key in keys], dtype=np.intp).reshape(len(keys), first.size)
    shown = [text[codes] for text, codes in zip(texts, raw, strict=True)]
    seen = np.array([len(term.levels) for term in structure.groups], dtype=np.intp)[:, None]
    return Assignment(
        cell=cell,
        codes=np.where(raw < seen, raw, -1).T,
        labels=np.array(shown, dtype=object).reshape(len(keys), first.size).T,
        design=np.array([column[first] for column in designs]).reshape(len(designs), first.size).T,
        notes=tuple(notes),
    )


def _codes(labels: NDArray[np.object_], levels: tuple[str, ...]) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Index among the levels, then among the labels that are none of them (sorted)."""
    codes, distinct = pd.factorize(labels)
    known = set(levels)
    unseen = tuple(sorted(str(label) for label in distinct if label not in known))
    place = {label: index for index, label in enumerate((*levels, *unseen))}
    return np.array([place[label] for label in distinct], dtype=np.intp)[codes], unseen


def _unseen_note(name: str, unseen: tuple[str, ...], customers: int, *, levels: int) -> str:
    shown = ", ".join(repr(label) for label in unseen[:_LABELS_SHOWN])
    more = f" and {len(unseen) - _LABELS_SHOWN:,} more" if len(unseen) > _LABELS_SHOWN else ""
    kind = "group" if len(unseen) == 1 else "groups"
    return (
        f"{customers:,} {'customer' if customers == 1 else 'customers'} of {kind} {shown}{more} of {name!r}, which the "
        f"fit has not seen: their group effects are drawn from the population of its {levels:,} groups."
    )


def _design(covariate: Covariate, history: PurchaseHistory) -> list[Floats]:
    values = customer_attribute(history, covariate.name).values
    if isinstance(covariate, NumericCovariate):
        return [(numbers(values, covariate.name, history.table) - covariate.centre) / covariate.spread]
    labels = level_texts(values)
    _refuse_unseen(covariate, labels, history.table)
    return [
        (labels == level).astype(np.float64) - share
        for level, share in zip(covariate.levels, covariate.shares, strict=True)
    ]


def _refuse_unseen(covariate: CategoricalCovariate, labels: NDArray[np.object_], table: pd.DataFrame) -> None:
    strange = ~np.isin(labels.astype(str), [covariate.reference, *covariate.levels])
    if strange.any():
        raise InputError(
            f"The categorical covariate {covariate.name!r} has a level that the fit has not seen.",
            value=repr(labels[strange][0]),
            customer_ids=table.loc[strange, columns.CUSTOMER_ID],
            remedy="Use the column as a group: unseen groups are drawn from the population.",
        )


def _distinct(keys: list[Floats], customers: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First customer of each distinct row of ``keys``, in lexicographic order, and the row of each customer."""
    if not keys:
        return np.zeros(min(customers, 1), dtype=np.intp), np.zeros(customers, dtype=np.intp)
    order = np.lexsort(keys[::-1])
    changes = np.zeros(customers, dtype=bool)
    changes[:1] = True
    for key in keys:
        ordered = key[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    cell = np.empty(customers, dtype=np.intp)
    cell[order] = np.cumsum(changes) - 1
    return order[np.flatnonzero(changes)], cell
