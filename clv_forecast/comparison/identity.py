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
    changed = ids.isin(pd.Index(_remapped(before.crosswalk, after.crosswalk)))
    gone = ids.isin(before.ids) & ~ids.isin(after.ids) & ~ids.isin(_in_the_log(after))
    return np.asarray(changed | gone)


def _remapped(then: pd.DataFrame | None, now: pd.DataFrame | None) -> list[Any]:
    """Accounts, old and new, of the ids that mean another account now; an id without an entry means itself."""
    if then is None or now is None:
        return []
    pairs = then[[*_SOURCE, columns.CUSTOMER_ID]].merge(
        now[[*_SOURCE, columns.CUSTOMER_ID]], on=_SOURCE, how="outer", suffixes=("_then", "_now")
    )
    own = pairs["source"].astype(str) + ":" + pairs["source_id"].astype(str)
    old = pairs[f"{columns.CUSTOMER_ID}_then"].astype(object)
    new = pairs[f"{columns.CUSTOMER_ID}_now"].astype(object)
    old, new = old.where(old.notna(), own), new.where(new.notna(), own)
    moved = (old != new).to_numpy(dtype=bool)
    return [*old[moved], *new[moved]]


def _in_the_log(run: Snapshot) -> pd.Index[Any]:
    """Every account with a row in the run's orders, kept or not; empty where the run holds no orders."""
    if run.orders is None:
        return pd.Index([])
    import pyarrow.parquet as pq

    found = [
        pq.read_table(path, columns=[columns.CUSTOMER_ID]).column(0).unique().to_pandas()
        for path in sorted(run.orders.glob("*.parquet"))
    ]
    return pd.Index(pd.concat(found, ignore_index=True).unique()) if found else pd.Index([])
