"""Movement of accounts between the cells of two rankings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns as c
from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.matrix import NOT_CLASSED, MatrixRule

NEW: Final = "new"
GONE: Final = "gone"
_CELL: Final = "cell"
_USUAL: Final = [MatrixRule().name_of(*cell) for cell in reversed(MatrixRule().cells())]
_MOVES_TOLD: Final = 2
_THOUSAND: Final = 1000.0


def migration(before: pd.DataFrame, after: pd.DataFrame, *, order: Sequence[str] | None = None) -> pd.DataFrame:
    """How many accounts, with how much value, went from which cell to which.

    Parameters
    ----------
    before, after : DataFrame
        Two ranking tables: customer_id, cell, value. In any order of rows.
    order : sequence of str, optional
        Cells from the best. Default: by mean value per account over both tables, the highest first.

    Returns
    -------
    DataFrame
        One row per pair of cells that somebody took: from_cell, to_cell (ordered categories: ``order``, then
        ``not classed``, ``new`` and ``gone``), customers, value_before, value, change. Accounts that are only in
        ``after`` come from ``new`` with a value of 0 before, those only in ``before`` go to ``gone`` with 0 after, so
        that ``change`` adds up to the change of the total.

    Raises
    ------
    InputError
        If a column is missing, a table is empty, an id occurs twice, ids are of different kinds, or a cell is
        called ``new`` or ``gone``.
    DomainError
        If ``order`` leaves out a cell.

    Notes
    -----
    Where classes are quantiles, an account may move because others did. Accounts near a threshold move to and fro by
    chance: ``p_cell`` of the ranking tells how surely each stood where it stood.

    Examples
    --------
    >>> before = pd.DataFrame({"customer_id": [1, 2, 3], "cell": ["core", "core", "steady"], "value": [9.0, 8.0, 2.0]})
    >>> after = pd.DataFrame({"customer_id": [4, 3, 1], "cell": ["steady", "core", "core"], "value": [1.0, 7.0, 9.5]})
    >>> migration(before, after)
      from_cell to_cell  customers  value_before  value  change
    0      core    core          1           9.0    9.5     0.5
    1      core    gone          1           8.0    0.0    -8.0
    2    steady    core          1           2.0    7.0     5.0
    3       new  steady          1           0.0    1.0     1.0
    """
    old, now = _checked(before, "before"), _checked(after, "after")
    kinds = {pd.api.types.is_numeric_dtype(table[c.CUSTOMER_ID].dtype) for table in (old, now)}
    if len(kinds) > 1:
        raise InputError(
            "The ids of both rankings must be of one kind.",
            value=" before, ".join(repr(table[c.CUSTOMER_ID].tolist()[0]) for table in (old, now)) + " after",
            remedy="Make both numbers, or both text.",
        )
    cells = _ordered_cells(old, now, order)
    pairs = old.merge(now, on=c.CUSTOMER_ID, how="outer", suffixes=("_before", ""), sort=True)
    pairs["from_cell"] = pd.Categorical(pairs["cell_before"].fillna(NEW), categories=cells, ordered=True)
    pairs["to_cell"] = pd.Categorical(pairs["cell"].fillna(GONE), categories=cells, ordered=True)
    pairs.loc[pairs["from_cell"] == NEW, "value_before"] = 0.0
    pairs.loc[pairs["to_cell"] == GONE, "value"] = 0.0
    grouped = pairs.groupby(["from_cell", "to_cell"], observed=True, sort=True)
    found = grouped.agg(customers=(c.CUSTOMER_ID, "size")).reset_index()
    for name in ("value_before", "value"):
        found[name] = grouped[name].sum(min_count=1).to_numpy()
    found["change"] = found["value"] - found["value_before"]
    return found


def migration_summary(table: pd.DataFrame) -> str:
    """Say in a sentence or two what moved.

    Parameters
    ----------
    table : DataFrame
        From ``migration``.

    Returns
    -------
    str

    Examples
    --------
    >>> before = pd.DataFrame({"customer_id": [1, 2, 3], "cell": ["core", "core", "steady"], "value": [9.0, 8.0, 2.0]})
    >>> after = pd.DataFrame({"customer_id": [4, 3, 1], "cell": ["steady", "core", "core"], "value": [1.0, 7.0, 9.5]})
    >>> migration_summary(migration(before, after))
    'Of 3 accounts before, 1 stayed in its cell, 1 moved and 1 is gone; 1 is new. Value went from 19 to 17.5. Largest \
moves: 1 from steady to core (+5).'
    """
    frm, to, customers = (table[name] for name in ("from_cell", "to_cell", "customers"))
    texts = frm.astype(str).to_numpy(), to.astype(str).to_numpy()
    new, gone = texts[0] == NEW, texts[1] == GONE
    stayed = (texts[0] == texts[1]) & ~new & ~gone
    moved = ~new & ~gone & ~stayed
    n_before, n_stay, n_move, n_gone, n_new = (int(customers[mask].sum()) for mask in (~new, stayed, moved, gone, new))
    classed = not {*texts[0], *texts[1]} <= {NOT_CLASSED, NEW, GONE}
    where = f" in {'its cell' if n_stay == 1 else 'their cells'}, {n_move:,} moved" if classed else ""
    first = (
        f"{'' if classed else 'No account has a cell. '}Of {n_before:,} account{'' if n_before == 1 else 's'} before, "
        f"{n_stay:,} stayed{where} and {n_gone:,} {_is(n_gone)} gone; {n_new:,} {_is(n_new)} new. "
        f"Value went from {_money(table['value_before'].sum())} to {_money(table['value'].sum())}."
    )
    largest = table[moved].assign(size=table[moved]["change"].abs())
    largest = largest.sort_values(["size", "customers"], ascending=False, kind="stable").head(_MOVES_TOLD)
    if largest.empty:
        return first
    moves = zip(largest["customers"], largest["from_cell"], largest["to_cell"], largest["change"], strict=True)
    told = [f"{n:,} from {source} to {target} ({_money(change, '+')})" for n, source, target, change in moves]
    return f"{first} Largest moves: {'; '.join(told)}."


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _money(amount: float, sign: str = "") -> str:
    return f"{amount:{sign},.0f}" if abs(amount) >= _THOUSAND else f"{amount:{sign}.4g}"


def _checked(table: Any, name: str) -> pd.DataFrame:
    needed = [c.CUSTOMER_ID, _CELL, c.VALUE]
    missing = [column for column in needed if column not in getattr(table, "columns", ())]
    if missing:
        raise InputError(
            f"The ranking {name} lacks columns.",
            value=f"{type(table).__name__} without {', '.join(missing)}",
            remedy="Pass ranking.table, or another table with these columns.",
        )
    if table.empty:
        raise InputError(f"The ranking {name} has no rows.")
    found = pd.DataFrame(table[needed]).reset_index(drop=True)
    ids = found[c.CUSTOMER_ID]
    if ids.duplicated().any():
        raise InputError(
            f"The ranking {name} must have one row per customer.",
            customer_ids=ids[ids.duplicated()].unique().tolist(),
            remedy="Pass the ranking of one horizon.",
        )
    found[_CELL] = found[_CELL].astype(object).where(found[_CELL].notna(), NOT_CLASSED).astype(str)
    taken = found[_CELL].isin([NEW, GONE])
    if taken.any():
        raise InputError(
            f"A cell cannot be called {NEW} or {GONE}: these are accounts without a cell before or after.",
            customer_ids=ids[taken],
            remedy="Rename the cell.",
        )
    found[c.VALUE] = pd.to_numeric(found[c.VALUE]).astype(np.float64)
    return found


def _ordered_cells(old: pd.DataFrame, now: pd.DataFrame, order: Sequence[str] | None) -> list[str]:
    both = pd.concat([old, now], ignore_index=True)
    means = both[both[_CELL] != NOT_CLASSED].groupby(_CELL)[c.VALUE].mean().sort_index()
    by_value = [str(name) for name in means.sort_values(ascending=False, kind="stable").index]
    if set(by_value) <= set(_USUAL):
        by_value = [name for name in _USUAL if name in by_value]
    if order is not None:
        left_out = [name for name in by_value if name not in order]
        if left_out:
            raise DomainError("order must name all cells.", value=f"without {', '.join(left_out)}")
        by_value = list(dict.fromkeys(order))
    return [*by_value, NOT_CLASSED, NEW, GONE]
