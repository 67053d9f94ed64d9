"""The verb ``write_crm``: one row per account for the customer system, upserted by its id there.

Fields of the CRM file: what each holds, how it is written, and what it is called there.

What has changed since an earlier file for the customer system.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError, InputError, StoreError
from clv_forecast.files import atomic_file, finite
from clv_forecast.finance.spend import ACQUIRE
from clv_forecast.printable import printable
from clv_forecast.report.report import Report
from clv_forecast.report.workbook_cells import cell_text, csv_holds, csv_text

ID: Final = "id"
MONEY: Final = "money"
SHARE: Final = "share"
COUNT: Final = "count"
DATE: Final = "date"
TEXT: Final = "text"

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        columns.CUSTOMER_ID: ID,
        "value": MONEY,
        "value_lower": MONEY,
        "value_upper": MONEY,
        "p_alive": SHARE,
        "p_loss": SHARE,
        "rank": COUNT,
        "rank_lower": COUNT,
        "rank_upper": COUNT,
        "adjusted_value": MONEY,
        "potential_value": MONEY,
        "cell": TEXT,
        "grade": TEXT,
        "allowable_spend": MONEY,
        "next_order": DATE,
        "reason": TEXT,
        "horizon": TEXT,
        "as_of": DATE,
        "currency": TEXT,
    }
)
"""Our name of each field, and what it holds: money and counts as numbers, shares from 0 to 1, dates as ISO text."""

DAY_OF_THE_RUN: Final = frozenset({"as_of"})
"""Moves with every run: no change of an account."""

DECIMALS: Final[Mapping[str, int]] = MappingProxyType({MONEY: 2, SHARE: 4, COUNT: 0})

_SALESFORCE_WORDS: Final = {columns.CUSTOMER_ID: "Customer_Id", "p_alive": "P_Alive", "p_loss": "P_Loss"}


def field_names(fields: str | Mapping[str, str]) -> dict[str, str]:
    """Return the target's name of each field that is wanted, by our name.

    Parameters
    ----------
    fields : {"plain", "salesforce", "hubspot"} or mapping
        A preset, which names all fields; or our names to the target's, and then only those are written, and the
        customer's id.

    Returns
    -------
    dict

    Raises
    ------
    DomainError
        If a preset or one of our names is unknown, two fields have one name, or a name begins like a formula.

    Examples
    --------
    >>> field_names("salesforce")["customer_id"], field_names("salesforce")["value_lower"]
    ('CLV_Customer_Id__c', 'CLV_Value_Lower__c')
    >>> field_names("hubspot")["value"], field_names({"value": "ltv"})
    ('clv_value', {'customer_id': 'customer_id', 'value': 'ltv'})
    """
    if isinstance(fields, str):
        if fields not in _PRESETS:
            remedy = _nearest(fields, tuple(_PRESETS))
            raise DomainError("Unknown preset of field names.", value=repr(fields), remedy=remedy)
        return {name: _PRESETS[fields](name) for name in FIELDS}
    if not isinstance(fields, Mapping):
        raise DomainError("fields is a preset or a mapping of our names to the target's.", value=type(fields).__name__)
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise DomainError("Unknown field.", value=repr(unknown[0]), remedy=_nearest(str(unknown[0]), tuple(FIELDS)))
    names = {columns.CUSTOMER_ID: columns.CUSTOMER_ID} | dict(fields)
    empty = [name for name, target in names.items() if not isinstance(target, str) or not target.strip()]
    if empty:
        raise DomainError("Every field needs a name at the target.", value=f"{empty[0]}: {names[empty[0]]!r}")
    formulas = [target for target in names.values() if csv_text(target) != target]
    if formulas:
        raise DomainError("A name at the target must not begin like a formula.", value=repr(formulas[0]))
    twice = [target for target in names.values() if list(names.values()).count(target) > 1]
    if twice:
        raise DomainError("Two fields must not have one name.", value=repr(twice[0]))
    return names


def _salesforce(name: str) -> str:
    words = _SALESFORCE_WORDS.get(name) or "_".join(word.capitalize() for word in name.split("_"))
    return f"CLV_{words}__c"


def _hubspot(name: str) -> str:
    return f"clv_{name}"


def _plain(name: str) -> str:
    return name


_PRESETS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {"plain": _plain, "salesforce": _salesforce, "hubspot": _hubspot}
)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known)}."


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


_FROM_RANKING: Final = (
    "rank", "rank_lower", "rank_upper", "adjusted_value", "potential_value", "cell", "grade", "reason",
)  # fmt: skip
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrmFile:
    """What was written for the customer system. Made by `write_crm`.

    Parameters
    ----------
    path : Path
    fields : dict
        The target's name of each field written, by ours.
    written, new, changed, unchanged : int
        Rows in the file; accounts not in the earlier file, with other values than there, and left out because nothing
        changed. Without an earlier file all accounts are new.
    vanished : tuple
        Ids of the earlier file that are no longer there (from CSV as text). They are not in this file.
    """

    path: Path
    fields: dict[str, str]
    written: int
    new: int
    changed: int
    unchanged: int
    vanished: tuple[Any, ...]

    def __str__(self) -> str:
        return (
            f"{printable(self.path)}: {self.written:,} rows ({self.new:,} new, {self.changed:,} changed); "
            f"{self.unchanged:,} unchanged and left out; {len(self.vanished):,} of the earlier file are no longer there"
        )


def write_crm(
    report: Report,
    path: str | os.PathLike[str],
    *,
    fields: str | Mapping[str, str] = "plain",
    changed_since: str | os.PathLike[str] | pd.DataFrame | None = None,
) -> CrmFile:
    """Write one row per account for the customer system, to be upserted by the customer's id.

    Parameters
    ----------
    report : Report
        From ``make_report``. What it has no input for (a rank without a ranking) is no column.
    path : path
        Ends in ``.csv`` (UTF-8, quoted by RFC 4180) or ``.json`` (a list of objects); an earlier file is replaced
        when the new one is complete.
    fields : {"plain", "salesforce", "hubspot"} or mapping
        Names of the fields: ours; custom fields such as ``CLV_Value__c`` with ``CLV_Customer_Id__c`` as external id;
        ``clv_value``; or a mapping of our names to the target's, which also chooses what is written.
    changed_since : path or DataFrame, optional
        An earlier *full* file of the same fields, or its table: only accounts that are new, or whose values as written
        differ, are written. The day of the run alone is no change.

    Returns
    -------
    CrmFile

    Raises
    ------
    DomainError
        If the suffix, a preset or a field is unknown.
    InputError
        If ids are not unique as text, or the file is CSV and cannot hold one of them unchanged: see `csv_holds_ids`. Or
        if the earlier file has no such id field, or an id twice.
    StoreError
        If a file cannot be read or written.

    Notes
    -----
    Values are those over the report's horizon: money in whole cents, probabilities from 0 to 1 with four decimals;
    ``allowable_spend`` is the pooled one over that horizon: to keep accounts, to grow them, or else the upper limit.
    What is missing is an empty field, or null. Control characters in text are written as escapes, and in CSV an
    apostrophe goes before what a spreadsheet would read as a formula. Ids are never changed: JSON holds every id.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> from clv_forecast.report.report import make_report
    >>> made = clv.simulate_accounts(50, rng=1)
    >>> history = clv.purchase_history(made.transactions, as_of=made.as_of, customers=made.accounts)
    >>> report = make_report(clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = write_crm(report, Path(folder) / "crm.csv", fields="hubspot")
    ...     again = write_crm(report, Path(folder) / "new.csv", fields="hubspot", changed_since=first.path)
    >>> first.written, first.fields["value"], again.written, again.unchanged
    (50, 'clv_value', 0, 50)
    """
    instance_of(report, Report, "report", made_by="make_report")
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise DomainError("A CRM file ends in .csv or .json.", value=str(target))
    table = crm_table(report, fields=fields)
    names = {name: there for name, there in field_names(fields).items() if there in table}
    _check_ids(table[names[columns.CUSTOMER_ID]], suffix)
    new = np.ones(len(table), dtype=bool)
    changed = np.zeros(len(table), dtype=bool)
    vanished: tuple[Any, ...] = ()
    if changed_since is not None:
        if isinstance(changed_since, (str, os.PathLike)) and Path(changed_since).resolve() == target.resolve():
            raise DomainError(
                "The earlier file must be another than the one that is written: it would be lost.",
                value=str(target),
                remedy="Write the changes to a file of their own, and keep the full one.",
            )
        new, changed, vanished = compare_with_earlier(table, read_earlier(changed_since), names)
    rows = table[new | changed]
    with atomic_file(target) as aside:
        if suffix == ".csv":
            _write_csv(rows, aside, names)
        else:
            _write_json(rows, aside)
    return CrmFile(
        path=target,
        fields=names,
        written=len(rows),
        new=int(new.sum()),
        changed=int(changed.sum()),
        unchanged=int((~new & ~changed).sum()),
        vanished=vanished,
    )


def crm_table(report: Report, *, fields: str | Mapping[str, str] = "plain") -> pd.DataFrame:
    """Return what a CRM file holds as a table: values rounded as written, text as it is.

    Parameters
    ----------
    report : Report
    fields : {"plain", "salesforce", "hubspot"} or mapping

    Returns
    -------
    DataFrame
        One row per account in the history's order; a field without an input is no column.

    Raises
    ------
    DomainError
        If a preset or a field is unknown.
    """
    names = field_names(fields)
    known = _values(report)
    found = {}
    for name, there in names.items():
        if name in known and (name == columns.CUSTOMER_ID or bool(known[name].notna().any())):
            found[there] = _as_written(known[name], FIELDS[name])
    return pd.DataFrame(found)


def csv_holds_ids(report: Report) -> bool:
    """Whether a CSV file can hold all ids unchanged; else the file must be JSON, which holds every id.

    It cannot where an id begins like a formula (a spreadsheet would run it), holds control characters or line ends
    (RFC 4180 has none), or is longer than a cell.

    Parameters
    ----------
    report : Report
    """
    return all(csv_holds(one) for one in map(str, report.forecast.customer_ids))


def _values(report: Report) -> pd.DataFrame:
    """All fields that the report has an input for, under our names, not yet rounded."""
    forecast = report.forecast
    ahead = forecast.customers[forecast.customers["horizon"] == report.horizon].reset_index(drop=True)
    ids = ahead[columns.CUSTOMER_ID]
    table = ahead[[columns.CUSTOMER_ID, "value", "value_lower", "value_upper", "p_alive", "p_loss"]].copy()
    if report.ranking is not None:
        ranked = report.ranking.table.set_index(columns.CUSTOMER_ID).reindex(ids).reset_index(drop=True)
        for name in _FROM_RANKING:
            if name in ranked:
                table[name] = ranked[name]
    for spend in report.spends_in_order:
        if spend.basis != ACQUIRE and spend.horizon == report.horizon:
            pooled = spend.table.set_index(columns.CUSTOMER_ID)["allowable_pooled"]
            table["allowable_spend"] = pooled.reindex(ids).to_numpy()
            break
    table["next_order"] = forecast.next_order().set_index(columns.CUSTOMER_ID)["next_order"].reindex(ids).to_numpy()
    return table.assign(horizon=report.horizon, as_of=forecast.as_of, currency=forecast.currency)


def _as_written(values: pd.Series[Any], kind: str) -> pd.Series[Any]:
    """Round numbers and turn dates to text, so that what is compared is what is written."""
    if kind == ID:
        return values
    if kind == COUNT:
        return values.astype("Int64")
    if kind in DECIMALS:
        # Adding 0 turns -0.0 into 0.0
        return values.astype("float64").round(DECIMALS[kind]) + 0.0
    if kind == DATE:
        return pd.Series(pd.to_datetime(values).dt.strftime("%Y-%m-%d"), dtype="string")
    return pd.Series([None if pd.isna(one) else cell_text(str(one)) for one in values], dtype="string")


def _check_ids(ids: pd.Series[Any], suffix: str) -> None:
    """Refuse ids that the file cannot carry unchanged, or that are one and the same there."""
    text = ids.astype(str)
    twice = text.duplicated()
    if twice.any():
        raise InputError(
            "Ids must be unique as text: the customer system matches rows by them.",
            value=f"{int(twice.sum())} twice",
            customer_ids=text[twice],
        )
    if suffix != ".csv":
        return
    bad = ~text.map(csv_holds)
    if bad.any():
        raise InputError(
            "In CSV an id must not begin like a formula, hold control characters or be longer than a cell: a "
            "spreadsheet would run or cut it, and changed it would match no account.",
            value=f"{int(bad.sum())} of {len(ids)} ids",
            customer_ids=text[bad].map(lambda one: ascii(one[:_SHOWN])),
            remedy="Write to a path that ends in .json.",
        )


def _write_csv(rows: pd.DataFrame, path: Path, names: dict[str, str]) -> None:
    kinds = {there: FIELDS[name] for name, there in names.items()}
    cells = [_csv_cells(rows[there], kinds[there]) for there in rows.columns]
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\r\n")
        writer.writerow(rows.columns)
        writer.writerows(zip(*cells, strict=True))


def _csv_cells(values: pd.Series[Any], kind: str) -> list[str]:
    if kind in (MONEY, SHARE):
        shape = f".{DECIMALS[kind]}f"
        return ["" if one != one else format(one, shape) for one in values.tolist()]
    if kind in (TEXT, DATE):
        return ["" if pd.isna(one) else csv_text(one) for one in values.tolist()]
    return ["" if pd.isna(one) else str(one) for one in values.tolist()]


def _write_json(rows: pd.DataFrame, path: Path) -> None:
    names_there = rows.columns.tolist()
    cells = [[None if pd.isna(one) else one for one in rows[there].tolist()] for there in names_there]
    listed = [dict(zip(names_there, values, strict=True)) for values in zip(*cells, strict=True)]
    text = ",\n".join(json.dumps(finite(one), ensure_ascii=False, allow_nan=False, default=str) for one in listed)
    path.write_text(f"[\n{text}\n]\n" if listed else "[]\n", encoding="utf-8")
