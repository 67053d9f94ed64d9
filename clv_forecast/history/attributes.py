"""The customers' table: attributes beside the history, one row per customer, nothing lost unsaid."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns as c
from clv_forecast.errors import InputError
from clv_forecast.history.audit import Finding, counted
from clv_forecast.tables.column_names import check_columns, index_hint
from clv_forecast.tables.ids import as_one_kind, folded
from clv_forecast.tables.source import PLAIN, read_frame
from clv_forecast.tables.text_format import TextFormat

LABELS: Final = (c.PARENT_ID, c.REFERRED_BY, c.NAME, c.OWNER, c.CHANNEL)
"""Columns that stay text in a text file, whatever they look like."""
ACCOUNT_DAYS: Final = (c.ACQUIRED_ON, c.CONTRACT_END)
"""Columns of days."""
_LEAST_SHARE: Final = 0.5
"""Below this share of customers with attributes a caution is due: the two tables may use different ids."""


def read_attributes(data: Any, customer: str, *, format: TextFormat = PLAIN) -> pd.DataFrame:
    """Read the customers' table and check that each customer has one row.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow or Ibis table, DuckDB relation, str or Path
    customer : str
        Its column of customer ids; ``customer_id`` where there is no such column.
    format : TextFormat
        Of text files.

    Returns
    -------
    DataFrame
        The columns as given, the ids in ``customer_id``.

    Raises
    ------
    InputError
        If ids are missing or occur twice, or ``data`` is no table.

    Examples
    --------
    >>> read_attributes(pd.DataFrame({"id": [1, 2], "region": ["n", "s"]}), "id").columns.tolist()
    ['customer_id', 'region']
    """
    frame = read_frame(
        data,
        "The customers' table",
        format=format,
        labels=(customer, c.CUSTOMER_ID, *LABELS),
        days=ACCOUNT_DAYS,
    )
    frame.columns = [str(name) for name in frame.columns]
    if customer not in frame.columns and c.CUSTOMER_ID in frame.columns:
        customer = c.CUSTOMER_ID
    hint = index_hint(frame, {c.CUSTOMER_ID: customer})
    check_columns([customer], list(frame.columns), hint=hint)
    if customer != c.CUSTOMER_ID and c.CUSTOMER_ID in frame.columns:
        raise InputError(
            f"The customers' table has {customer!r} and {c.CUSTOMER_ID!r}: one of them must go.", remedy="Drop one."
        )
    frame = frame.rename(columns={customer: c.CUSTOMER_ID})
    texts = as_one_kind(frame[c.CUSTOMER_ID])[0]
    if texts.isna().any():
        raise InputError("Every row of the customers' table needs an id.", value=f"{int(texts.isna().sum())} without")
    if texts.duplicated().any():
        raise InputError(
            "The customers' table must have one row per customer.",
            customer_ids=frame.loc[texts.duplicated(), c.CUSTOMER_ID].unique().tolist(),
            remedy="Keep one each.",
        )
    if pd.api.types.is_float_dtype(frame[c.CUSTOMER_ID].dtype):
        whole = pd.to_numeric(texts, errors="coerce")
        frame[c.CUSTOMER_ID] = whole.astype("int64") if (whole == whole.round()).all() else frame[c.CUSTOMER_ID]
    return frame


def align(ids: pd.Series, attributes: pd.DataFrame | None) -> tuple[pd.DataFrame | None, tuple[Finding, ...]]:
    """Attributes in the order of the customers of the history, and what did not match.

    Raises
    ------
    InputError
        If no customer of the history is in the customers' table.

    Examples
    --------
    >>> table, findings = align(pd.Series([1, 2]), pd.DataFrame({"customer_id": [2, 3], "region": ["n", "s"]}))
    >>> table["region"].tolist(), [finding.name for finding in findings]
    ([nan, 'n'], ['customers_without_attributes', 'attributes_without_orders'])
    """
    if attributes is None:
        return None, ()
    of_log, of_table = as_one_kind(ids, attributes[c.CUSTOMER_ID])
    place = pd.Index(of_table).get_indexer(pd.Index(of_log))
    matched = int((place >= 0).sum())
    if not matched:
        raise InputError(
            "No customer of the log is in the customers' table.",
            value=f"{_id_text(attributes[c.CUSTOMER_ID].iloc[0])} there, {_id_text(ids.iloc[0])} in the log"
            if len(attributes)
            else "an empty table",
            remedy="Compare the ids: their case, blanks, leading zeros (007 is not 7).",
        )
    rows = attributes.drop(columns=c.CUSTOMER_ID).reset_index(drop=True)
    aligned = rows.reindex(place).reset_index(drop=True) if matched < len(ids) else rows.take(place)
    aligned = aligned.reset_index(drop=True)
    aligned.insert(0, c.CUSTOMER_ID, ids.reset_index(drop=True))
    findings = _findings(len(ids), len(attributes), matched)
    if matched < min(len(ids), len(attributes)):
        without = of_log[(place < 0) & of_log.notna().to_numpy(dtype=bool)].tolist()
        findings += _alike(without, set(of_table) - set(of_log))
    return aligned, findings


def _alike(without: list[str], unused: set[str]) -> tuple[Finding, ...]:
    """Customers without attributes whose id stands in the table, written a little differently."""
    rows = {folded(one): one for one in unused}
    pairs = [(one, rows[key]) for one in without if (key := folded(one)) in rows]
    if not pairs:
        return ()
    return (
        Finding(
            name="attributes_alike",
            level="caution",
            sentence=f"{counted(len(pairs), 'customer')} without attributes "
            f"{'differs' if len(pairs) == 1 else 'differ'} from an id of the customers' table only by case, blanks, "
            "zeros before it or a decimal .0, for example "
            f"{pairs[0][0]!r} and {pairs[0][1]!r}: they are not matched.",
            values={"customers": len(pairs), "example": pairs[0][0]},
        ),
    )


def _id_text(value: Any) -> str:
    """An id with its type, numpy's scalars as Python's."""
    plain = value.item() if isinstance(value, np.generic) else value
    kind = "text" if isinstance(plain, str) else type(plain).__name__
    return f"{plain!r} ({kind})"


def _findings(customers: int, rows: int, matched: int) -> tuple[Finding, ...]:
    found = []
    if matched < customers:
        found.append(
            Finding(
                name="customers_without_attributes",
                level="caution" if matched < _LEAST_SHARE * customers else "info",
                sentence=f"{customers - matched:,} of {counted(customers, 'customer')} "
                f"{'has' if customers - matched == 1 else 'have'} no row in the customers' table: "
                "their attributes are missing, and models by group leave them in a group of their own.",
                values={"customers": customers - matched, "of": customers},
            )
        )
    if matched < rows:
        found.append(
            Finding(
                name="attributes_without_orders",
                level="info",
                sentence=f"{rows - matched:,} of {counted(rows, 'row')} of the customers' table "
                f"{'belongs' if rows - matched == 1 else 'belong'} to no customer with a purchase by this day, and "
                f"{'is' if rows - matched == 1 else 'are'} not in the history.",
                values={"rows": rows - matched, "of": rows},
            )
        )
    return tuple(found)
