"""Sheets of Excel files as columns of values."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, Final

import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from clv_forecast.errors import InputError
from clv_forecast.tables.memory import values_column

ENDINGS: Final = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def read_sheet(path: str, sheet: str | None, money: Collection[str] = ()) -> pa.Table:
    """Read a sheet: its first row that is not empty holds the names.

    Parameters
    ----------
    path : str
    sheet : str, optional
        Its name; may be missing where one sheet only has rows.
    money : collection of str
        Columns of money.

    Returns
    -------
    pyarrow Table
        Numbers, days and moments as what they are, columns of mixed kinds as text.

    Raises
    ------
    InputError
        If the file cannot be read, has no such sheet, or several and none is named, or a cell shows an error.
    """
    try:
        book = CalamineWorkbook.from_path(path)
        names = [sheet] if sheet is not None else book.sheet_names
        if sheet is not None and sheet not in book.sheet_names:
            raise InputError(
                f"The file has no sheet {sheet!r}.", value=repr(path), remedy=f"It has {', '.join(book.sheet_names)}."
            )
        sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in names}
    except (CalamineError, OSError) as error:
        raise InputError("The spreadsheet cannot be read.", value=repr(path), remedy=f"{error}.") from error
    filled = {name: rows for name, rows in sheets.items() if any(cell != "" for row in rows for cell in row)}
    if not filled:
        raise InputError("The file is empty.", value=repr(path))
    if len(filled) > 1:
        raise InputError(
            "Several sheets have rows: say which one to read.",
            value=repr(path),
            remedy=f"Pass sheet=..., one of {', '.join(map(repr, filled))}.",
        )
    rows = [row for row in next(iter(filled.values())) if any(cell != "" for cell in row)]
    width = max(len(row) for row in rows)
    header = [str(cell).strip() for cell in rows[0]] + [""] * (width - len(rows[0]))
    used = [i for i, name in enumerate(header) if name or any(len(row) > i and row[i] != "" for row in rows[1:])]
    columns = [
        values_column([_cell(row[i]) if len(row) > i else None for row in rows[1:]], money=header[i] in money)
        for i in used
    ]
    return pa.Table.from_arrays(columns, names=[header[i] for i in used])


def _cell(value: Any) -> Any:
    if value == "" or value is None:
        return None
    if isinstance(value, datetime.timedelta):
        return str(value)
    return value
