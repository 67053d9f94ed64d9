"""Which accounts are another account than before: merged, split, or gone from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns

if TYPE_CHECKING:
    from clv_forecast.comparison.snapshot import Snapshot

_SOURCE = ["source", "source_id"]


def accounts_that_changed_identity(before: Snapshot, after: Snapshot, ids: pd.Index[Any]) -> NDArray[np.bool_]:
    """Whether each account was merged or split between the runs, or is no longer in the log.

    Parameters
    ----------
    before, after : Snapshot
    ids : Index
        Accounts of either run.

    Returns
    -------
    ndarray of bool, shape (account,)

    Notes
    -----
    An account is merged or split when an id of a source means another account in the later run than in the earlier one:
    by the orders of both runs, or by their crosswalks where a run holds no orders. An account whose orders were all
    taken back is still in the log.
    """
    texts = ids.astype(str)  # ids that a history reads as whole numbers may be text in orders and crosswalk
    then, now = _owners(before), _owners(after)
    moved = _remapped(before, after) if then is None or now is None else _moved(then, now)
    still_there = [] if now is None else now["account"].dropna().unique().tolist()
    gone = ids.isin(before.ids) & ~ids.isin(after.ids) & ~texts.isin(still_there)
    return np.asarray(texts.isin(moved) | gone)


def _owners(run: Snapshot) -> pd.DataFrame | None:
    """Whose account each id of a source is, by the run's orders, kept or not; None where the run holds no orders."""
    if run.orders is None:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*_SOURCE, columns.CUSTOMER_ID]
    found = []
    for path in sorted(run.orders.glob("*.parquet")):
        known = [name for name in names if name in pq.read_schema(path).names]
        groups = pq.read_table(path, columns=known).group_by(known).aggregate([])
        # as text before pandas sees them: whole numbers beside a missing one would become decimals
        found.append(groups.cast(pa.schema([(name, pa.string()) for name in groups.column_names])).to_pandas())
    if not found:
        return None
    table: pd.DataFrame = pd.concat(found, ignore_index=True).reindex(columns=names).astype("string").drop_duplicates()
    return table.rename(columns={columns.CUSTOMER_ID: "account"})


def _moved(then: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    """Accounts, old and new, of the ids that both runs have orders of, and that mean another account now."""
    both = then.dropna().merge(now.dropna(), on=_SOURCE, suffixes=("_then", "_now"))
    moved = both[both["account_then"] != both["account_now"]]
    return [*moved["account_then"], *moved["account_now"]]


def _remapped(before: Snapshot, after: Snapshot) -> list[str]:
    """Accounts, old and new, of the ids that mean another account now; an id without an entry means itself."""
    if before.crosswalk is None or after.crosswalk is None:
        return []
    first, second = (
        walk[[*_SOURCE, columns.CUSTOMER_ID]].astype("string").drop_duplicates(_SOURCE)
        for walk in (before.crosswalk, after.crosswalk)
    )
    pairs = first.merge(second, on=_SOURCE, how="outer", suffixes=("_then", "_now"))
    own = pairs["source"] + ":" + pairs["source_id"]
    moved = np.ones(len(pairs), dtype=bool)
    found = []
    for when, run in (("then", before), ("now", after)):
        mapped = pairs[f"{columns.CUSTOMER_ID}_{when}"]
        # an entry that is new, or gone, moves nobody whose own id was no account on that side
        moved &= (mapped.notna() | own.isin(run.ids.astype(str))).to_numpy(dtype=bool)
        found.append(mapped.fillna(own))
    moved &= (found[0] != found[1]).to_numpy(dtype=bool)
    return [*found[0][moved], *found[1][moved]]
