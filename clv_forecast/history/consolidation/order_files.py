"""The consolidated orders as Parquet files, one for each month, the same bytes for the same orders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clv_forecast import columns as c
from clv_forecast.files import atomic_folder
from clv_forecast.history.cleaning import LARGEST_AMOUNT
from clv_forecast.history.consolidation import order_groups as g
from clv_forecast.history.consolidation.crosswalk import ACCOUNT
from clv_forecast.history.consolidation.order_groups import DAY, SOURCE, SOURCE_ID
from clv_forecast.tables.queries import fetch

ORDERS: Final = "orders"
UNDATED: Final = "undated"
_FILE: Final = re.compile(r"(\d{4,}-\d{2}|undated)\.parquet")
_MONTH: Final = "month"
_LARGEST_PIECE: Final = Decimal(LARGEST_AMOUNT // 10 * 9)


def write_orders(
    groups: pa.Table,
    folder: Path,
    *,
    columns: Collection[str],
    with_margin: Collection[str],
    id_type: pa.DataType,
) -> None:
    """Write the orders that are kept.

    Parameters
    ----------
    groups : pyarrow Table
        In the columns of ``order_groups.SCHEMA``, with the account.
    folder : Path
        Its ``YYYY-MM.parquet`` (month of the order) and ``undated.parquet`` are written; earlier ones go.
    columns : collection of str
        Optional columns to write.
    with_margin : collection of str
        Sources with a margin column: their refunds, equal ones together, are written one by one.
    id_type : pyarrow DataType
        Of the customers' ids.

    Raises
    ------
    StoreError
        If something else stands there, or it cannot be written.
    """
    rows = ibis.memtable(_apart(groups, with_margin))
    money = rows[c.AMOUNT].cast("string").re_replace(r"0{1,4}$", "")
    written = {
        _MONTH: ibis.ifelse(
            rows[DAY].isnull(), ibis.literal(UNDATED), rows[c.DATE].re_extract(r"^(\d+-\d{2})", 1).cast("string")
        ),
        c.CUSTOMER_ID: rows[ACCOUNT].cast("int64") if pa.types.is_integer(id_type) else rows[ACCOUNT],
        c.DATE: rows[c.DATE],
        c.AMOUNT: money.fill_null(rows[g.AMOUNT_TEXT]),
        **{
            name: rows[name]
            for name in (c.ORDER_ID, c.CATEGORY, c.MARGIN, c.CURRENCY, c.RECORDED_AT)
            if name in columns
        },
        g.LINES: rows[g.LINES],
        SOURCE: rows[SOURCE],
        SOURCE_ID: rows[SOURCE_ID],
    }
    shaped = rows.select(**written)
    table = fetch(shaped.order_by(list(written)))
    place = table.schema.get_field_index(c.CUSTOMER_ID)
    table = table.set_column(place, c.CUSTOMER_ID, table[c.CUSTOMER_ID].cast(id_type))
    with atomic_folder(folder, replaces=holds_orders) as aside:
        for month, start, length in _stretches(table[_MONTH]):
            part = table.drop_columns(_MONTH).slice(start, length).replace_schema_metadata(None).combine_chunks()
            pq.write_table(part, aside / f"{month}.parquet", compression="zstd")


def holds_orders(folder: Path) -> bool:
    """Whether a folder holds order files and nothing else, so that it may be replaced.

    Examples
    --------
    >>> holds_orders(Path("/"))
    False
    """
    return all(path.is_file() and _FILE.fullmatch(path.name) for path in folder.iterdir())


def fingerprint(folder: Path, crosswalk: pd.DataFrame | None) -> str:
    """SHA-256 over names and bytes of the order files, and over the crosswalk."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        whole.update(f"{path.name}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    if crosswalk is not None:
        whole.update(b"crosswalk\0" + crosswalk.to_csv(index=False).encode())
    return whole.hexdigest()


def _stretches(months: pa.ChunkedArray) -> list[tuple[str, int, int]]:
    encoded = months.combine_chunks().dictionary_encode()
    codes = np.asarray(encoded.indices)
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.zeros(0, dtype=np.int64)
    ends = np.r_[starts[1:], len(codes)].astype(np.int64)
    names = encoded.dictionary.to_pylist()
    return [(names[codes[start]], int(start), int(end - start)) for start, end in zip(starts, ends, strict=False)]


def _apart(groups: pa.Table, with_margin: Collection[str]) -> pa.Table:
    """Take apart what must not stand as one row: refunds with a margin, and sums above the largest amount."""
    own_margin = pc.is_in(groups[SOURCE], value_set=pa.array(sorted(with_margin), pa.string()))
    refund = pc.and_(own_margin, pc.and_(pc.equal(groups[g.SIGN], -1), pc.greater(groups[g.LINES], 1)))
    limit = pa.scalar(Decimal(LARGEST_AMOUNT), pa.decimal128(38, 6))
    huge = pc.greater_equal(pc.abs(groups[c.AMOUNT]), limit)
    alone = pc.fill_null(pc.or_kleene(refund, huge), False)
    if not pc.any(alone).as_py():
        return groups
    pieces: list[dict[str, Any]] = []
    for row, is_refund in zip(
        groups.filter(alone).to_pylist(), pc.fill_null(refund, False).filter(alone).to_pylist(), strict=True
    ):
        pieces += _each(row) if is_refund else _split(row)
    return pa.concat_tables([groups.filter(pc.invert(alone)), pa.Table.from_pylist(pieces, schema=groups.schema)])


def _each(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Equal refunds that travelled together, one by one."""
    lines = row[g.LINES]
    margin = None if row[c.MARGIN] is None else row[c.MARGIN] / lines
    return [row | {c.AMOUNT: row[c.AMOUNT] / lines, c.MARGIN: margin, g.LINES: 1}] * lines


def _split(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A sum that would be taken for a mistake, in pieces that are not; lines and margin stand with the first."""
    pieces, left = [], row[c.AMOUNT]
    first = True
    while left:
        piece = max(min(left, _LARGEST_PIECE), -_LARGEST_PIECE)
        known = row[c.MARGIN] if first or row[c.MARGIN] is None else Decimal(0)
        pieces.append(row | {c.AMOUNT: piece, c.MARGIN: known, g.LINES: row[g.LINES] if first else 0})
        left, first = left - piece, False
    return pieces
