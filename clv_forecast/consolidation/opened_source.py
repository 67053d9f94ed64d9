"""A source as one lazy table where its lines lie, its columns under this package's names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from clv_forecast import columns as c
from clv_forecast.consolidation.order_source import OrderSource
from clv_forecast.consolidation.postgres_rows import copied_rows
from clv_forecast.errors import ClvForecastError, InputError
from clv_forecast.history.purchase_history import open_with_currency
from clv_forecast.tables.column_names import check_columns
from clv_forecast.tables.databases import connected, find_table, first_line
from clv_forecast.tables.source import Source
from clv_forecast.tables.text_format import TextFormat, decided_format


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource:
    """An order log ready to be asked.

    Parameters
    ----------
    source : OrderSource
    table : ibis Table
        The columns that were named; a constant currency is not among them.
    held : Source or None
        Rows in memory or in files, which DuckDB reads.
    backend : ibis backend or None
        The database that holds the lines, otherwise.
    format : TextFormat
        How its text is written.
    constant_currency : str, optional
    """

    source: OrderSource
    table: Any
    held: Source | None
    backend: Any
    format: TextFormat
    constant_currency: str | None

    @property
    def in_duckdb(self) -> bool:
        """Whether DuckDB answers: it reads text as numbers and days, which other databases do not."""
        return self.held is not None or str(self.backend.name) == "duckdb"

    @property
    def from_text(self) -> bool:
        """Whether the ids come from a text file, where an integer is text too."""
        return self.held is not None and self.held.from_text

    @property
    def engine(self) -> str:
        """Name of what answers."""
        return "duckdb" if self.held is not None else str(self.backend.name)

    def has(self, column: str) -> bool:
        """Whether the source has that column, under this package's name for it."""
        return column in self.table.columns

    def fetch(self, expression: Any) -> pa.Table:
        """Run one statement where the lines lie.

        Raises
        ------
        InputError
            If it fails, whatever the database calls that.
        """
        try:
            if self.held is not None:
                return self.held.fetch(expression)
            if self.backend.name == "postgres":
                return copied_rows(self.backend, expression)
            return self.backend.to_pyarrow(expression)
        except ClvForecastError:
            raise
        except Exception as error:  # each database has errors of its own
            problem = first_line(error, self.source.url)
        raise InputError(
            f"The source {self.source.name!r} cannot be read.",
            value=f"{self.source.place}: {problem.rstrip('.')}",
            remedy="Nothing was changed: make it readable and run again.",
        )


@contextmanager
def opened(source: OrderSource, *, time_zone: str | None = None) -> Iterator[OpenedSource]:
    """Open a source where it lies, and close the connection in the end.

    Parameters
    ----------
    source : OrderSource
    time_zone : str, optional
        As in ``consolidate``.

    Raises
    ------
    InputError
        If it cannot be opened, the table does not exist, a column is missing or occurs twice, or its text can be read
        in two ways.
    """
    if source.is_database:
        where = source.url or Path(source.data)
        with connected(where, source.name) as backend:
            yield _mapped(source, find_table(backend, str(source.table), source.name, where), backend)
        return
    held, constant = open_with_currency(source.data, dict(source.mapping()), source.format, time_zone, alone=False)
    yield OpenedSource(
        source=source, table=held.table, held=held, backend=None, format=held.format, constant_currency=constant
    )


def _mapped(source: OrderSource, table: Any, backend: Any) -> OpenedSource:
    mapping = dict(source.mapping())
    constant = source.constant_currency
    if constant is not None and constant not in table.columns:
        del mapping[c.CURRENCY]
    else:
        constant = None
    check_columns(mapping.values(), table.columns)
    chosen = table.select(**{name: table[column] for name, column in mapping.items()})
    form = source.format
    if backend.name == "duckdb":  # other databases have no text that could be a number
        text = {name for name, kind in chosen.schema().items() if kind.is_string()}
        numbers = [name for name in (c.AMOUNT, c.MARGIN) if name in text]
        times = [name for name in (c.DATE, c.RECORDED_AT) if name in text]
        label = f"the source {source.name!r}"
        form = decided_format(backend.to_pyarrow, chosen, form, numbers=numbers, times=times, label=label).format
    return OpenedSource(
        source=source, table=chosen, held=None, backend=backend, format=form, constant_currency=constant
    )
