"""CSV files as columns of text: encoding, delimiter, header and quotes by stated rules, never by a sample's chance."""

from __future__ import annotations

import atexit
import codecs
import csv
import glob
import gzip
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final

import duckdb

from clv_forecast.errors import InputError
from clv_forecast.tables.queries import FileStamp
from clv_forecast.tables.text_format import TextFormat

ENDINGS: Final = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_DELIMITERS: Final = (",", ";", "\t", "|")
_HEAD: Final = 200
"""Lines that the delimiter is chosen by; every line is held to it afterwards."""
_PIECE: Final = 1 << 24
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
    """

    name: str
    files: tuple[FileStamp, ...]
    columns: tuple[str, ...]
    format: TextFormat

    @property
    def view_columns(self) -> list[str]:
        """Names in expressions: of names that differ only in case, or not at all, all but the first get a number."""
        seen: dict[str, int] = {}
        names = []
        for name in self.columns:
            key = name.casefold()
            seen[key] = seen.get(key, 0) + 1
            names.append(name if seen[key] == 1 else f"{name} ({seen[key]})")
        return names

    def bind(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Make a view of the files."""
        for stamp in self.files:
            stamp.check()
        paths = ", ".join(literal(glob.escape(_utf8_path(stamp, self.format.encoding))) for stamp in self.files)
        kinds = ", ".join(f"{literal(f'c{i}')}: 'VARCHAR'" for i in range(len(self.columns)))
        names = ", ".join(f"c{i} AS {quoted(name)}" for i, name in enumerate(self.view_columns))
        quote = self.format.quote or ""
        options = f"delim={literal(self.format.delimiter or ',')}, quote={literal(quote)}, escape={literal(quote)}"
        scan = (
            f"read_csv([{paths}], columns={{{kinds}}}, auto_detect=false, header=true, strict_mode=true, "
            f"hive_partitioning=false, {options})"
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
        if one.format != first.format or one.header != first.header:
            raise InputError(
                "Files of one table must have the same columns, encoding and delimiter.",
                value=f"{_shape(files[0], first)}; {_shape(path, one)}",
                remedy="Read them as two sources, or write them alike.",
            )
    return CsvRelation(name=name, files=stamps, columns=first.header, format=first.format)


@dataclass(frozen=True, slots=True)
class _Csv:
    format: TextFormat
    header: tuple[str, ...]


def _shape(path: str, one: _Csv) -> str:
    format = one.format
    return f"{os.path.basename(path)}: {', '.join(one.header)} ({format.encoding}, {format.delimiter!r})"


def _decided(path: str, format: TextFormat) -> _Csv:
    encoding = format.encoding or (_encoding(path) if format.infer else "utf-8")
    try:
        with _text(path, encoding) as file:
            head = [line for _, line in zip(range(_HEAD), file, strict=False)]
    except UnicodeError as error:
        raise _undecodable(path, encoding, error) from None
    if not any(line.strip() for line in head):
        raise InputError("The file is empty.", value=repr(path))
    delimiter = format.delimiter
    if delimiter is None:
        tabs = path.lower().removesuffix(".gz").endswith(".tsv")
        delimiter = _delimiter(head) if format.infer else "\t" if tabs else ","
    quote = format.quote if format.quote is not None else '"'
    if format.quote is None and format.infer and _single_quoted(head, delimiter):
        quote = "'"
    header = next(iter(_rows(head, delimiter, quote)), [])
    names = tuple(cell.strip() for cell in header)
    return _Csv(replace(format, encoding=encoding, delimiter=delimiter, quote=quote), names)


def _encoding(path: str) -> str:
    """UTF-8 where every byte of the file fits it, UTF-16 by its mark or its zeros, else cp1252."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _bytes(path) as file:
        piece = file.read(_PIECE)
        if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        zeros = piece[:4096].count(0)
        if zeros and zeros >= len(piece[:4096]) // 3:
            return "utf-16-le" if piece[1:2] == b"\0" else "utf-16-be"
        try:
            while piece:
                decoder.decode(piece)
                piece = file.read(_PIECE)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _cp1252(path)
    return "utf-8"


def _cp1252(path: str) -> str:
    with _bytes(path) as file:
        while piece := file.read(_PIECE):
            controls = sum(piece.count(byte) for byte in (*range(9), *range(14, 32)))
            try:
                piece.decode("cp1252")
            except UnicodeDecodeError:
                controls = len(piece)
            if controls:
                raise InputError(
                    "The file is text neither in UTF-8, UTF-16 nor cp1252.",
                    value=repr(path),
                    remedy="Name its encoding, or write it in UTF-8.",
                )
    return "cp1252"


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


def _text(path: str, encoding: str) -> io.TextIOWrapper:
    plain = "utf-8-sig" if encoding.lower() in _UTF8 else encoding
    return io.TextIOWrapper(_bytes(path), encoding=plain, newline="")


_transcoded: Final[dict[tuple[FileStamp, str], str]] = {}
_transcoding: Final = threading.Lock()


def _utf8_path(stamp: FileStamp, encoding: str | None) -> str:
    """The file itself, or a copy of it in UTF-8, kept until the process ends."""
    if encoding is None or encoding.lower() in _UTF8:
        return stamp.path
    with _transcoding:
        if (stamp, encoding) not in _transcoded:
            _transcoded[stamp, encoding] = _transcode(stamp.path, encoding)
        return _transcoded[stamp, encoding]


def _transcode(path: str, encoding: str) -> str:
    folder = tempfile.mkdtemp(prefix="clv_forecast_text_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = os.path.join(folder, "utf8.csv")
    try:
        with _text(path, encoding) as source, open(copy, "w", encoding="utf-8", newline="") as target:
            shutil.copyfileobj(source, target, _PIECE)
    except UnicodeError as error:
        raise _undecodable(path, encoding, error) from None
    return copy


def _undecodable(path: str, encoding: str, error: UnicodeError) -> InputError:
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
