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
    An account is merged or split when an id of a source means another account by the later crosswalk than by the
    earlier one. An account whose orders were all taken back is still in the log.
    """
    texts = ids.astype(str)  # ids that a history reads as whole numbers may be text in orders and crosswalk
    changed = texts.isin(_remapped(before, after))
    gone = ids.isin(before.ids) & ~ids.isin(after.ids) & ~texts.isin(_in_the_log(after))
    return np.asarray(changed | gone)


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


def _in_the_log(run: Snapshot) -> list[str]:
    """Every account with a row in the run's orders, kept or not; none where the run holds no orders."""
    if run.orders is None:
        return []
    import pyarrow.parquet as pq

    found = [
        pq.read_table(path, columns=[columns.CUSTOMER_ID]).column(0).unique().to_pandas()
        for path in sorted(run.orders.glob("*.parquet"))
    ]
    return pd.concat(found, ignore_index=True).dropna().astype(str).unique().tolist() if found else []
