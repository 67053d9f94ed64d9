"""From the ids of several systems to accounts: the crosswalk, checked and applied."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa

from clv_forecast import columns as c
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.audit import Finding, counted
from clv_forecast.history.consolidation import order_groups as g
from clv_forecast.history.consolidation.order_groups import SOURCE, SOURCE_ID
from clv_forecast.tables.column_names import check_columns
from clv_forecast.tables.ids import as_one_kind, id_texts, in_one_kind, of_text_file
from clv_forecast.tables.source import PLAIN, read_frame
from clv_forecast.tables.text_format import TextFormat

Unmatched = Literal["keep", "drop", "error"]

CROSSWALK: Final = (SOURCE, SOURCE_ID, c.CUSTOMER_ID)
ACCOUNT: Final = "account"
MATCHED: Final = "matched"


def check_unmatched(unmatched: str) -> Unmatched:
    """Return what to do with ids that the crosswalk lacks, when it is one of keep, drop, error.

    Raises
    ------
    DomainError
        Otherwise.

    Examples
    --------
    >>> check_unmatched("drop")
    'drop'
    """
    if unmatched not in get_args(Unmatched):
        raise DomainError("unmatched must be 'keep', 'drop' or 'error'.", value=repr(unmatched))
    return unmatched  # type: ignore[return-value]


def read_crosswalk(data: Any, *, format: TextFormat = PLAIN) -> pd.DataFrame:
    """Read a crosswalk and check that each id of each source leads to one account.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow or Ibis table, DuckDB relation, str or Path
        Columns source, source_id, customer_id; many ids may lead to one account.
    format : TextFormat
        Of text files.

    Returns
    -------
    DataFrame
        These columns, sorted; source and source_id as text, customer_id in its own type.

    Raises
    ------
    InputError
        If a column is missing, a value is missing, or an id of a source occurs twice.

    Examples
    --------
    >>> read_crosswalk(pd.DataFrame({"source": ["shop", "crm"], "source_id": [7, 9], "customer_id": ["A", "A"]}))
      source source_id customer_id
    0    crm         9           A
    1   shop         7           A
    """
    frame = read_frame(data, "The crosswalk", format=format, labels=CROSSWALK[:2], ids=CROSSWALK[2:])
    frame.columns = [str(name) for name in frame.columns]
    check_columns(CROSSWALK, [str(name) for name in frame.columns])
    frame = frame[list(CROSSWALK)]
    if frame.isna().any(axis=None):
        missing = int(frame.isna().any(axis=1).sum())
        raise InputError(
            "A crosswalk needs source, source_id and customer_id in every row.", value=f"{missing} without"
        )
    sources = frame[SOURCE].astype(str).str.strip()
    found = pd.DataFrame(
        {
            SOURCE: sources,
            SOURCE_ID: id_texts(frame[SOURCE_ID]).str.strip().astype("str"),
            c.CUSTOMER_ID: _accounts(frame[c.CUSTOMER_ID]),
        }
    )
    same = pd.concat([as_one_kind(part)[0] for _, part in found[SOURCE_ID].groupby(sources)] or [found[SOURCE_ID]])
    twice = found.assign(**{SOURCE_ID: same}).duplicated([SOURCE, SOURCE_ID])
    if twice.any():
        raise InputError(
            "An id of a source may occur once in the crosswalk.",
            value=f"{counted(int(twice.sum()), 'row')} too many",
            customer_ids=(found[SOURCE] + ":" + found[SOURCE_ID])[twice].unique(),
            remedy="Keep one account for each.",
        )
    return found.sort_values([SOURCE, SOURCE_ID], ignore_index=True)


def _accounts(ids: pd.Series[Any]) -> pd.Series[Any]:
    """Ids of accounts: numbers where all are whole numbers and the table does not say that they are text."""
    accounts = ids if isinstance(ids.dtype, pd.StringDtype) else of_text_file(ids)
    return accounts if pd.api.types.is_integer_dtype(accounts.dtype) else as_one_kind(ids)[0].astype("str")


def like_the_source(crosswalk: pd.DataFrame, source: str, ids: pa.Array) -> tuple[pd.DataFrame, pa.Array]:
    """The crosswalk and the ids of a source with texts that are equal where the ids are the same."""
    rows = (crosswalk[SOURCE] == source).to_numpy(dtype=bool)
    listed = pa.array(crosswalk.loc[rows, SOURCE_ID].astype(object), pa.string())
    of_source, of_crosswalk = in_one_kind(ids, listed)
    changed = crosswalk.copy()
    changed.loc[rows, SOURCE_ID] = of_crosswalk.to_pylist()
    return changed, of_source


def with_accounts(groups: pa.Table, crosswalk: pd.DataFrame | None) -> pa.Table:
    """Add the account of every row and whether the crosswalk knows its id (also where there is no id).

    Without a crosswalk an id is the account. An id that the crosswalk lacks gets an account of its own, named
    ``source:id``.
    """
    ids = groups[SOURCE_ID].to_pandas()
    if crosswalk is None:
        return groups.append_column(ACCOUNT, groups[SOURCE_ID]).append_column(
            MATCHED, pa.array(np.ones(len(groups), dtype=np.bool_))
        )
    sources = groups[SOURCE].to_pandas()
    accounts = crosswalk[c.CUSTOMER_ID].astype(str).to_numpy(dtype=object)
    known = pd.MultiIndex.from_arrays([crosswalk[SOURCE].astype(object), crosswalk[SOURCE_ID].astype(object)])
    stripped = ids.str.strip()
    wanted = pd.MultiIndex.from_arrays([sources.astype(object), stripped.astype(object)])
    place = known.get_indexer(wanted)
    missing = ids.isna().to_numpy()
    found = (place >= 0) & ~missing
    own = (sources.astype("str") + ":" + stripped.astype("str")).to_numpy(dtype=object)
    account = own.copy()
    account[found] = accounts[place[found]]
    account[missing] = None
    return groups.append_column(ACCOUNT, pa.array(account, pa.string())).append_column(
        MATCHED, pa.array(found | missing)
    )


def refuse_unmatched(groups: pa.Table) -> None:
    """Refuse ids that the crosswalk lacks.

    Raises
    ------
    InputError
        If there are any.
    """
    rows = groups.select([ACCOUNT, MATCHED]).to_pandas()
    missing = rows.loc[~rows[MATCHED], ACCOUNT]
    if len(missing):
        raise InputError(
            "unmatched='error' allows no id that the crosswalk lacks.",
            value=f"{counted(missing.nunique(), 'id')} without an account",
            customer_ids=sorted(missing.unique()),
            remedy="Add them to the crosswalk, or use unmatched='keep' or unmatched='drop'.",
        )


def matched_shares(groups: pa.Table, names: Sequence[str]) -> dict[str, float]:
    """Share of each source's lines with an id whose id the crosswalk knows; 1 where there are none.

    Examples
    --------
    >>> matched_shares(
    ...     pa.table({"source": ["a", "a"], "source_id": ["1", "2"], "matched": [True, False], "lines": [3, 1]}), ["a"]
    ... )
    {'a': 0.75}
    """
    rows = groups.select([SOURCE, SOURCE_ID, MATCHED, g.LINES]).to_pandas()
    rows = rows[rows[SOURCE_ID].notna()]
    all_lines = rows.groupby(SOURCE)[g.LINES].sum()
    known = rows[rows[MATCHED]].groupby(SOURCE)[g.LINES].sum()
    return {name: float(known.get(name, 0) / all_lines[name]) if name in all_lines else 1.0 for name in names}


def crosswalk_findings(crosswalk: pd.DataFrame, groups: pa.Table, names: Sequence[str]) -> list[Finding]:
    """What the crosswalk and the sources do not have in common."""
    found = []
    listed = set(crosswalk[SOURCE])
    absent = [name for name in names if name not in listed]
    if absent:
        near = difflib.get_close_matches(absent[0], sorted(listed), n=1)
        nearest = f" Nearest to {absent[0]!r} there: {near[0]!r}." if near else ""
        found.append(
            Finding(
                name="source_not_in_crosswalk",
                level="caution",
                sentence=f"The crosswalk has no id of {', '.join(map(repr, absent))}: every id of it stays an account "
                f"of its own.{nearest}",
                values={"sources": ", ".join(absent)},
            )
        )
    rows = groups.select([SOURCE, SOURCE_ID]).to_pandas().drop_duplicates().astype("str")
    here = crosswalk[crosswalk[SOURCE].isin(list(names))]
    unused = len(here) - len(here.merge(rows.assign(**{SOURCE_ID: rows[SOURCE_ID].str.strip()}).drop_duplicates()))
    if unused:
        found.append(
            Finding(
                name="crosswalk_unused",
                level="info",
                sentence=f"{counted(unused, 'id')} of the crosswalk {'has' if unused == 1 else 'have'} no order up to "
                "this day.",
                values={"ids": unused},
            )
        )
    several = here.groupby(c.CUSTOMER_ID).size()
    joined = int((several > 1).sum())
    if joined:
        found.append(
            Finding(
                name="accounts_joined",
                level="info",
                sentence=f"{counted(joined, 'account')} {'is' if joined == 1 else 'are'} known under several ids: "
                f"{int(several[several > 1].sum()):,} ids in all.",
                values={"accounts": joined, "ids": int(several[several > 1].sum())},
            )
        )
    return found
