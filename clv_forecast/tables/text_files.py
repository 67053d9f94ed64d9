"""CSV files as columns of text: encoding, delimiter, header and quotes by stated rules, never by a sample's chance."""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import os
import re
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final

import duckdb

from clv_forecast.errors import InputError
from clv_forecast.files import lasting_scratch_folder
from clv_forecast.tables.column_names import name_in_sql
from clv_forecast.tables.queries import FileStamp
from clv_forecast.tables.text_format import TextFormat

ENDINGS: Final = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_DELIMITERS: Final = (",", ";", "\t", "|")
_HEAD: Final = 200
"""Lines that the delimiter is chosen by; every line is held to it afterwards."""
_NO_TEXT: Final = "The file is text neither in UTF-8, UTF-16 nor cp1252."
_PIECE: Final = 1 << 24
_MARKS: Final = (
    ((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-32"),
    ((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
)
_UTF8: Final = ("utf-8", "utf_8", "utf-8-sig", "utf_8_sig", "utf8", "ascii", "us-ascii")


@dataclass(frozen=True, slots=True)
class CsvRelation:
    """CSV files that DuckDB reads as text, line by line to the end, and strictly.

    Parameters
    ----------
    name : str
    files : tuple of FileStamp
    columns : tuple of str
        Names of all columns, in the order of the files.
    format : TextFormat
        Encoding, delimiter and quote decided.
    skip : int
        Lines before the header.
    rewritten : tuple of bool
        Whether DuckDB gets a copy of the file in UTF-8 with one kind of line ending.
    """

    name: str
    files: tuple[FileStamp, ...]
    columns: tuple[str, ...]
    format: TextFormat
    skip: int
    rewritten: tuple[bool, ...]

    @property
    def view_columns(self) -> list[str]:
        """Names in expressions: of names that differ only in case, or not at all, all but the first get a number."""
        taken = {name.casefold() for name in self.columns}
        seen: set[str] = set()
        names = []
        for name in self.columns:
            unique, number = name_in_sql(name) or "column", 1
            while unique.casefold() in seen or (number > 1 and unique.casefold() in taken):
                number += 1
                unique = f"{name_in_sql(name) or 'column'} ({number})"
            seen.add(unique.casefold())
            names.append(unique)
        return names

    def bind(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Make a view of the files."""
        for stamp in self.files:
            stamp.check()
        encoding = self.format.encoding or "utf-8"
        paths = ", ".join(
            literal(glob.escape(_utf8_copy(stamp, encoding) if rewritten else stamp.path))
            for stamp, rewritten in zip(self.files, self.rewritten, strict=True)
        )
        kinds = ", ".join(f"{literal(f'c{i}')}: 'VARCHAR'" for i in range(len(self.columns)))
        names = ", ".join(f"c{i} AS {quoted(name)}" for i, name in enumerate(self.view_columns))
        quote = self.format.quote or ""
        options = f"delim={literal(self.format.delimiter or ',')}, quote={literal(quote)}, escape={literal(quote)}"
        scan = (
            f"read_csv([{paths}], columns={{{kinds}}}, auto_detect=false, header=true, strict_mode=true, "
            f"skip={self.skip}, hive_partitioning=false, {options})"
        )
        cursor.execute(f"CREATE TEMP VIEW {quoted(self.name)} AS SELECT {names} FROM {scan}")  # noqa: S608 (all quoted)


def open_csv(files: Sequence[str], name: str, format: TextFormat) -> CsvRelation:
    """Open CSV files: their encoding, delimiter and header, which must be the same in all.

    Parameters
    ----------
    files : sequence of str
        Paths, taken literally.
    name : str
        Of the relation.
    format : TextFormat

    Returns
    -------
    CsvRelation

    Raises
    ------
    InputError
        If a file is empty, cannot be decoded, has no header, or differs from the first one.
    """
    stamps = tuple(FileStamp.of(path) for path in files)
    decided = [_decided(path, format) for path in files]
    first = decided[0]
    for path, one in zip(files[1:], decided[1:], strict=True):
        if (one.format, one.header, one.skip) != (first.format, first.header, first.skip):
            raise InputError(
                "Files of one table must have the same columns, encoding and delimiter.",
                value=f"{_shape(files[0], first)}; {_shape(path, one)}",
                remedy="Read them as two sources, or write them alike.",
            )
    return CsvRelation(
        name=name,
        files=stamps,
        columns=first.header,
        format=first.format,
        skip=first.skip,
        rewritten=tuple(one.rewritten for one in decided),
    )


@dataclass(frozen=True, slots=True)
class _Csv:
    format: TextFormat
    header: tuple[str, ...]
    skip: int
    rewritten: bool


def _shape(path: str, one: _Csv) -> str:
    format = one.format
    return f"{os.path.basename(path)}: {', '.join(one.header)} ({format.encoding}, {format.delimiter!r})"


def _decided(path: str, format: TextFormat) -> _Csv:
    seen = "utf-8"
    try:
        seen, mixed = _looked_through(path)
        encoding = format.encoding or (seen if format.infer else "utf-8")
        with _text(path, encoding) as file:
            head = [line for _, line in zip(range(_HEAD), file, strict=False)]
    except UnicodeError as error:
        raise _undecodable(path, format.encoding or (seen if format.infer else "utf-8"), error) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("The file cannot be unpacked or read.", value=repr(path), remedy=f"{error}.") from error
    skip = next((number for number, line in enumerate(head) if line.strip()), len(head))
    if skip == len(head):
        raise InputError("The file is empty.", value=repr(path))
    head[skip] = head[skip].lstrip("\ufeff")
    delimiter = format.delimiter
    named = re.fullmatch(r"sep=(.)", head[skip].strip("\r\n"), re.IGNORECASE)
    if named is not None:  # Excel's own first line
        delimiter, skip = delimiter or named[1], skip + 1
    head = head[skip:]
    try:
        if delimiter is None:
            tabs = path.lower().removesuffix(".gz").endswith(".tsv")
            delimiter = _delimiter(head) if format.infer else "\t" if tabs else ","
        quote = format.quote if format.quote is not None else '"'
        if format.quote is None and format.infer and _single_quoted(head, delimiter):
            quote = "'"
        header = next(iter(_rows(head, delimiter, quote)), [])
    except csv.Error as error:
        raise InputError("The first lines are no CSV.", value=repr(path), remedy=f"{error}.") from error
    names = tuple(cell.strip() for cell in header)
    decided = replace(format, encoding=encoding, delimiter=delimiter, quote=quote)
    return _Csv(decided, names, skip, rewritten=mixed or encoding.lower() not in _UTF8)


def _looked_through(path: str) -> tuple[str, bool]:
    """Encoding of a file, and whether its lines end in several ways.

    UTF-8 where every byte of the file fits it, UTF-16 and UTF-32 by their mark or UTF-16 by its zeros, else cp1252.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    utf8, ends, last = True, [0, 0, 0], b""
    with _bytes(path) as file:
        piece = file.read(_PIECE)
        for marks, name in _MARKS:
            if piece.startswith(marks):
                return name, True
        zeros = piece[:4096].count(0)
        if zeros and zeros >= len(piece[:4096]) // 3:
            return ("utf-16-le" if piece[1:2] == b"\0" else "utf-16-be"), True
        while piece:
            both = piece.count(b"\r\n") + (last == b"\r" and piece[:1] == b"\n")
            ends = [ends[0] + both, ends[1] + piece.count(b"\n") - both, ends[2] + piece.count(b"\r") - both]
            if utf8:
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError:
                    utf8 = False
            last = piece[-1:]
            piece = file.read(_PIECE)
    if utf8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            utf8 = False
    return "utf-8" if utf8 else "cp1252", sum(count > 0 for count in ends) > 1


def _delimiter(head: Sequence[str]) -> str:
    """The delimiter that gives every line the same number of fields, the most of them; a comma where none does."""
    best, most = ",", 1
    for one in _DELIMITERS:
        try:
            counts = [len(row) for row in _rows(head, one, '"')]
        except csv.Error:
            continue
        counts = counts[:-1] if len(head) == _HEAD and len(counts) > 1 else counts  # the last may be cut off
        alike = sum(count == counts[0] for count in counts)
        if counts[0] > most and alike >= 0.9 * len(counts):
            best, most = one, counts[0]
    return best


def _single_quoted(head: Sequence[str], delimiter: str) -> bool:
    rows = list(_rows(head, delimiter, ""))
    if any('"' in line for line in head) or len(rows) < 2:
        return False
    wrapped = [
        all(len(row) > i and len(row[i]) > 1 and row[i][0] == row[i][-1] == "'" for row in rows)
        for i in range(len(rows[0]))
    ]
    return any(wrapped)


def _rows(lines: Sequence[str], delimiter: str, quote: str) -> list[list[str]]:
    reader = (
        csv.reader(lines, delimiter=delimiter, quotechar=quote)
        if quote
        else csv.reader(lines, delimiter=delimiter, quotechar=None, quoting=csv.QUOTE_NONE)
    )
    return [row for row in reader if row]


def _bytes(path: str) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if path.lower().endswith(".gz") else open(path, "rb")


def _text(path: str, encoding: str, newline: str | None = "") -> io.TextIOWrapper:
    plain = "utf-8-sig" if encoding.lower() in _UTF8 else encoding
    return io.TextIOWrapper(_bytes(path), encoding=plain, newline=newline)


_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1f]")
_transcoded: Final[dict[tuple[FileStamp, str], str]] = {}
_transcoding: Final = threading.Lock()


def _utf8_copy(stamp: FileStamp, encoding: str) -> str:
    """A copy of the file in UTF-8 with one kind of line ending, kept until the process ends."""
    with _transcoding:
        if (stamp, encoding) not in _transcoded:
            _transcoded[stamp, encoding] = _transcode(stamp.path, encoding)
        return _transcoded[stamp, encoding]


def _transcode(path: str, encoding: str) -> str:
    copy = str(lasting_scratch_folder() / "utf8.csv")
    try:
        with _text(path, encoding, newline=None) as source, open(copy, "w", encoding="utf-8", newline="\n") as target:
            while piece := source.read(_PIECE):
                if encoding == "cp1252" and _CONTROLS.search(piece):
                    raise InputError(_NO_TEXT, value=repr(path), remedy="Name its encoding, or write it in UTF-8.")
                target.write(piece)
    except UnicodeError as error:
        raise _undecodable(path, encoding, error) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("The file cannot be unpacked or read.", value=repr(path), remedy=f"{error}.") from error
    return copy


def _undecodable(path: str, encoding: str, error: UnicodeError) -> InputError:
    if encoding == "cp1252":
        return InputError(_NO_TEXT, value=repr(path), remedy="Name its encoding, or write it in UTF-8.")
    return InputError(
        f"The file is not written in {encoding}.",
        value=repr(path),
        remedy=f"{str(error)[:1].upper()}{str(error)[1:]}. Name its encoding.",
    )


def literal(text: str) -> str:
    """Text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name of SQL."""
    return '"' + name.replace('"', '""') + '"'


def looks_like_data(header: Sequence[Any]) -> bool:
    """Whether a first line holds values and not names: it has no header."""
    return any(cell[:1].isdigit() or cell == "" for cell in map(str, header)) and not any(
        cell.isidentifier() for cell in map(str, header)
    )
