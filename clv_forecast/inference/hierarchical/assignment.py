"""Which cell of a structure each customer of a history belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import InputError
from clv_forecast.history.attributes import customer_attribute
from clv_forecast.inference.hierarchical.structure import (
    CategoricalCovariate,
    Covariate,
    NumericCovariate,
    Structure,
    level_texts,
    numbers,
)

if TYPE_CHECKING:
    from clv_forecast.history import PurchaseHistory

Floats = NDArray[np.float64]

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
            notes.append(_unseen_note(term.name, unseen, int(np.sum(codes >= len(term.levels))), len(term.levels)))
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


def _unseen_note(name: str, unseen: tuple[str, ...], customers: int, levels: int) -> str:
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
