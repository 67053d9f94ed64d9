"""When two ids are the same: one rule for orders, accounts, crosswalks and order numbers, whatever their types.

Ids are whole numbers if every one of the column is: an integer, or text or a decimal that is one (``17850``,
``17850.0``), without zeros before it and within 64 bits. Otherwise they are text, untouched: ``1.10`` is not ``1.1``,
``007`` is not ``7``.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from clv_forecast.errors import InputError

EXACT: Final = {64: 2**53, 32: 2**24, 16: 2**11}
"""Floats of so many bits hold every whole number below this."""
_WHOLE: Final = re.compile(r"(0|-?[1-9]\d{0,18})(?:\.0+)?")
_WORDS: Final = frozenset({"nan", "none", "null", "na", "n/a", "unknown", "undefined", "<na>", "nat", "inf", "-inf"})


def text_of_ids(column: Any) -> Any:
    """Ids of a column of a database as text; missing where there is none.

    Parameters
    ----------
    column : ibis column
        Of numbers, text, or another type, which is cast to text.

    Returns
    -------
    ibis column
        Whole numbers without a decimal point.
    """
    kind = column.type()
    if kind.is_string():
        return ibis.ifelse(column.re_search(r"\S"), column, ibis.null("string"))
    if kind.is_floating():
        whole = column.try_cast("int64")
        exact = whole.cast("float64") == column.cast("float64")
        text = ibis.ifelse(exact, whole.cast("string"), column.cast("string"))
        return ibis.ifelse(column.isnan(), ibis.null("string"), text)
    if kind.is_decimal() and kind.scale:
        return ibis.ifelse(
            column == column.floor(), column.cast("decimal(38, 0)").cast("string"), column.cast("string")
        )
    return column.cast("string")


def whole_text(text: Any) -> Any:
    """The whole number that a text stands for, as text; missing where it is none."""
    short = text.re_replace(r"\.0+$", "")
    repaired = text.contains(".") & (short.try_cast("int64").cast("string") == short)
    return ibis.cases((_written_whole(text), text), (repaired.fill_null(False), short), else_=ibis.null("string"))


def _written_whole(text: Any) -> Any:
    return (text.try_cast("int64").cast("string") == text).fill_null(False)


def all_whole(column: Any) -> Any:
    """Whether every id of a column is a whole number (an expression of one value; missing where there is no id)."""
    if column.type().is_string():  # blank is no id
        whole = _written_whole(column) | column.isnull() | whole_text(column).notnull() | ~column.re_search(r"\S")
        return whole.all()
    text = text_of_ids(column)
    return (text.isnull() | whole_text(text).notnull()).all()


def inexact(column: Any) -> Any:
    """Whether a float is too large to hold a whole number exactly."""
    bits = column.type().nbytes * 8
    return (column.abs().cast("float64") >= float(EXACT[bits])) & ~column.isnan() & ~column.isinf()


def refuse_inexact(count: int, first: Sequence[Any], what: str, *, bits: int = 64) -> None:
    """Refuse ids that floats no longer hold exactly.

    Raises
    ------
    InputError
        If there are any.
    """
    if count:
        raise InputError(
            f"{what} came as {bits}-bit floats of {EXACT[bits]:,} or more, which no longer hold every digit, so that "
            "different ids may have become one.",
            value=f"{count:,} of them, such as {', '.join(f'{one:.0f}' for one in first[:3])}",
            remedy="Read the column as text or as integers from the start: a missing value turned it into floats.",
        )


def refuse_large_floats(values: Sequence[Any], what: str = "The ids") -> None:
    """Refuse floats among Python values that no longer hold every digit of a whole number.

    Raises
    ------
    InputError
        If there are any.
    """
    numbers = [float(value) for value in values if isinstance(value, (float, np.floating))]
    large = [number for number in numbers if np.isfinite(number) and abs(number) >= EXACT[64]]
    refuse_inexact(len(large), large, what)
    short = [float(value) for value in values if isinstance(value, np.float32)]
    large = [number for number in short if np.isfinite(number) and abs(number) >= EXACT[32]]
    refuse_inexact(len(large), large, what, bits=32)


def id_text(value: Any) -> str | None:
    """One id as text; None where there is none.

    Examples
    --------
    >>> id_text(17850.0), id_text("007"), id_text(Decimal("1.10")), id_text(float("nan"))
    ('17850', '007', '1.10', None)
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, str):
        return whole_pairs(value) if value.strip() else None
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if np.isnan(number):
            return None
        return str(int(number)) if np.isfinite(number) and number == int(number) else str(number)
    if isinstance(value, Decimal):
        if value.is_nan():
            return None
        return str(int(value)) if value.is_finite() and value == int(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return bytes(value).hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    return str(value)


def whole_pairs(text: str) -> str:
    r"""Text that UTF-8 can hold: halves of surrogate pairs become escapes, so that two texts stay two.

    Examples
    --------
    >>> whole_pairs("half \ud800 a pair"), whole_pairs("Søn")
    ('half \\ud800 a pair', 'Søn')
    """
    return text if text.isascii() else text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def id_texts(ids: pd.Series[Any], what: str = "Ids") -> pd.Series[Any]:
    """Ids of a column in memory as text, whole numbers without a decimal point; None where there is none.

    Raises
    ------
    InputError
        If floats no longer hold them exactly.

    Examples
    --------
    >>> id_texts(pd.Series([7.0, None])).tolist()
    ['7', None]
    """
    values = ids
    if isinstance(ids.dtype, pd.CategoricalDtype):
        values = ids.astype(object)
    if pd.api.types.is_float_dtype(values.dtype):
        bits = 8 * int(getattr(values.dtype, "itemsize", 8))
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        large = np.isfinite(numbers) & (np.abs(numbers) >= EXACT[bits])
        refuse_inexact(int(large.sum()), numbers[large].tolist(), what, bits=bits)
    elif values.dtype == object:
        refuse_large_floats(values.tolist(), what)
    if pd.api.types.is_integer_dtype(values.dtype) and not values.hasnans:
        return pd.Series(values.to_numpy().astype(str).astype(object), index=ids.index, dtype=object)
    return pd.Series([id_text(value) for value in values.tolist()], index=ids.index, dtype=object)


def whole_number(text: str) -> str | None:
    """The whole number that a text stands for, as text; None where it is none.

    Examples
    --------
    >>> whole_number("17850.0"), whole_number("007"), whole_number("9223372036854775808")
    ('17850', None, None)
    """
    match = _WHOLE.fullmatch(text)
    return match[1] if match is not None and -(2**63) <= int(match[1]) < 2**63 else None


def as_one_kind(*columns: pd.Series[Any]) -> tuple[pd.Series[Any], ...]:
    """Several columns of ids as text that is equal where the ids are the same, decided over all of them.

    Parameters
    ----------
    *columns : Series
        Ids of any types.

    Returns
    -------
    tuple of Series of object
        Text, None where there is no id.

    Raises
    ------
    InputError
        If floats no longer hold ids exactly.

    Examples
    --------
    >>> orders, accounts = as_one_kind(pd.Series([7, 8]), pd.Series(["7.0", "9"]))
    >>> orders.tolist(), accounts.tolist()
    (['7', '8'], ['7', '9'])
    >>> as_one_kind(pd.Series([7, 8]), pd.Series(["7.0", "A9"]))[1].tolist()
    ['7.0', 'A9']
    """
    texts = [id_texts(column) for column in columns]
    whole = [_all_whole(text) for text in texts]
    return tuple(whole) if all(one is not None for one in whole) else tuple(texts)  # type: ignore[arg-type]


def _all_whole(texts: pd.Series[Any]) -> pd.Series[Any] | None:
    """The whole numbers as text where every id is one, else None."""
    repaired = []
    for text in texts.tolist():
        number = None if text is None else whole_number(text)
        if text is not None and number is None:
            return None
        repaired.append(number)
    return pd.Series(repaired, index=texts.index, dtype=object)


def of_text_file(ids: pd.Series[Any]) -> pd.Series[Any]:
    """Ids of a text file, which has no types: integers where every one is a whole number, else text.

    Examples
    --------
    >>> of_text_file(pd.Series(["7.0", "8"])).tolist(), of_text_file(pd.Series(["007", "8"])).tolist()
    ([7, 8], ['007', '8'])
    """
    whole = _all_whole(id_texts(ids))
    if whole is None or not len(whole) or whole.isna().any():
        return ids
    return whole.astype("int64")


def texts_of(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Ids of an Arrow column as text, whole numbers without a decimal point; missing where there is none.

    Examples
    --------
    >>> texts_of(pa.array([7.0, None, 7.5])).to_pylist()
    ['7', None, '7.5']
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_integer(whole.type):
        return whole.cast(pa.string())
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    texts = pa.array([id_text(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return texts.take(encoded.indices)


def in_one_kind(*columns: pa.Array) -> tuple[pa.Array, ...]:
    """Arrow columns of ids as text, as ``as_one_kind`` does it.

    Examples
    --------
    >>> [column.to_pylist() for column in in_one_kind(pa.array(["7.0"]), pa.array(["8", None]))]
    [['7'], ['8', None]]
    """
    encoded = [column.dictionary_encode() for column in columns]
    repaired = []
    for one in encoded:
        numbers = [whole_number(text) for text in one.dictionary.to_pylist()]
        if None in numbers:
            return columns
        repaired.append(pa.array(numbers, pa.string()).take(one.indices))
    return tuple(repaired)


def folded(text: str) -> str:
    """What an id is without case, blanks, invisible characters, zeros before it and a decimal ``.0``.

    Examples
    --------
    >>> folded(" AB\u200b "), folded("0042"), folded("42.0")
    ('ab', '42', '42')
    """
    plain = text
    if not (text.isascii() and text.isprintable()):
        shown = unicodedata.normalize("NFKC", text)
        plain = "".join(one for one in shown if one.isspace() or unicodedata.category(one) not in ("Cc", "Cf"))
    plain = " ".join(plain.casefold().split())
    if plain[:1] in "0123456789":
        number = re.fullmatch(r"0*(\d+?)(?:\.0+)?", plain)
        plain = number[1] if number is not None else plain
    return plain


def stands_for_none(ids: Iterable[str]) -> list[str]:
    """Ids that are words for nothing, such as ``nan``, or hold characters that cannot be seen.

    Examples
    --------
    >>> stands_for_none(["a", "nan", "NULL"])
    ['nan', 'NULL']
    """
    return [one for one in ids if one.strip().casefold() in _WORDS]
