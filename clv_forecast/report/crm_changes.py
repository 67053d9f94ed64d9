"""What has changed since an earlier file for the customer system."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.report.crm_fields import COUNT, DATE, DAY_OF_THE_RUN, DECIMALS, FIELDS, MONEY, SHARE
from clv_forecast.report.spreadsheet_text import csv_text

Flags = NDArray[np.bool_]
SUFFIXES: Final = (".csv", ".json")


def read_earlier(given: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Read an earlier file as a table; of CSV all values are text.

    Raises
    ------
    DomainError
        If it is of another kind.
    StoreError
        If it cannot be read.
    """
    if isinstance(given, pd.DataFrame):
        return given
    path = Path(given)
    if path.suffix.lower() not in SUFFIXES:
        raise DomainError("An earlier CRM file ends in .csv or .json.", value=str(path))
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as lines:
                head, *rows = list(csv.reader(lines)) or [[]]
            return pd.DataFrame(rows, columns=head, dtype=object)
        return pd.DataFrame(json.loads(path.read_text(encoding="utf-8")), dtype=object)
    except (OSError, ValueError) as error:
        raise StoreError(
            "The earlier file cannot be read.", value=f"{path}: {error}", remedy="Give a file made by write_crm."
        ) from error


def compare_with_earlier(
    table: pd.DataFrame, earlier: pd.DataFrame, names: dict[str, str]
) -> tuple[Flags, Flags, tuple[Any, ...]]:
    """Find which accounts are new, which have changed, and which ids of the earlier table have vanished.

    Parameters
    ----------
    table : DataFrame
        As written now, under the target's names.
    earlier : DataFrame
        Of an earlier file.
    names : dict
        The target's name of each field by ours.

    Raises
    ------
    InputError
        If the earlier table lacks the id, or holds one twice.
    """
    key = names[columns.CUSTOMER_ID]
    if key not in earlier:
        raise InputError(
            "The earlier file must hold the same field of the id.",
            value=f"no {key!r} among {', '.join(map(str, earlier.columns[:8]))}",
            remedy="Give the fields that it was written with.",
        )
    then = earlier[key].astype(str)
    if then.duplicated().any():
        raise InputError("The earlier file must hold every id once.", customer_ids=then[then.duplicated()].map(ascii))
    now = table[key].astype(str)
    place = pd.Index(then).get_indexer(pd.Index(now))
    new = place < 0
    changed = np.zeros(len(table), dtype=bool)
    if not len(earlier):
        return new, changed, ()
    for name, there in names.items():
        if name in DAY_OF_THE_RUN or name == columns.CUSTOMER_ID:
            continue
        if there not in earlier:
            changed[:] = True
            continue
        kind = FIELDS[name]
        before = _comparable(earlier[there], kind)[np.maximum(place, 0)]
        changed |= before != _comparable(table[there], kind)
    here = set(now)
    gone = tuple(given for given, text in zip(earlier[key].tolist(), then, strict=True) if text not in here)
    return new, changed & ~new, gone


def _comparable(values: pd.Series[Any], kind: str) -> NDArray[np.object_]:
    """Text of each value as CSV holds it, from whatever an earlier file or table gives; empty where missing."""
    if kind in (MONEY, SHARE, COUNT):
        given = pd.to_numeric(values.replace("", None), errors="coerce")
        numbers = np.round(given.to_numpy(dtype=np.float64, na_value=np.nan), DECIMALS[kind]) + 0.0
        return np.array(["" if one != one else repr(one) for one in numbers.tolist()], dtype=object)
    if kind == DATE:
        days = pd.to_datetime(values.replace("", None), errors="coerce", format="ISO8601")
        return np.array(["" if pd.isna(one) else f"{one:%Y-%m-%d}" for one in days], dtype=object)
    return np.array(["" if pd.isna(one) else csv_text(str(one)) for one in values], dtype=object)
