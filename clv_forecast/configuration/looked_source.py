"""An order log as `first_configuration` sees it: where it lies, what it holds, and what its columns were taken for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlglot import expressions as sql

from clv_forecast import columns as c
from clv_forecast.configuration.column_guesses import ROLES, Guess, guess_columns, quantity_and_price
from clv_forecast.configuration.commented_file import TO_COPY, Filled
from clv_forecast.configuration.table_look import TableLook, look_at
from clv_forecast.tables.connection_url import VARIABLE, ConnectionUrl, check_url, connection_url, is_url
from clv_forecast.tables.text_format import TextFormat

WRITTEN: Final = "As all rows show."


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a table lies.

    Parameters
    ----------
    keys : mapping of str to str
        What the configuration says of it.
    path : str
        Of files; of a database its URL, without secrets.
    table : str or None
        In a database.
    url : ConnectionUrl or None
        Of a database.
    """

    keys: Mapping[str, str]
    path: str
    table: str | None
    url: ConnectionUrl | None

    def look(self) -> TableLook:
        """Look at it."""
        return look_at(self.path, table=self.table, url=self.url)


def place_of(data: str | os.PathLike[str], table: str | None, home: Path, environment: Mapping[str, str]) -> Place:
    """Where the user's table lies; paths as seen from the folder ``home``.

    Raises
    ------
    DomainError
        If a URL holds a password, or a variable is not set.
    """
    text = os.fspath(data)
    if is_url(text) or VARIABLE.fullmatch(text):
        keys = {"url": check_url(text)} | ({} if table is None else {"table": table})
        url = connection_url(text, environment, folder=Path.cwd())
        return Place(keys=keys, path=text, table=table, url=url)
    in_file = text.lower().endswith((".duckdb", ".ddb"))
    path = os.path.abspath(os.path.expanduser(text))
    written = os.path.relpath(path, home) if Path(path).is_relative_to(home) or not os.path.isabs(text) else path
    keys = {"path": written} | ({"table": table} if in_file and table is not None else {})
    return Place(keys=keys, path=path, table=table if in_file else None, url=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedSource:
    """An order log: where it lies, what it holds, what its columns were taken for."""

    place: Place
    look: TableLook
    guesses: Mapping[str, Guess]
    format: TextFormat
    unsure: tuple[str, ...]

    @classmethod
    def of(cls, place: Place, look: TableLook) -> LookedSource:
        """Guess what the columns mean, and how their text is written."""
        guesses = guess_columns(look)

        def columns(*roles: str) -> list[str]:
            return [name for role in roles if (name := guesses[role].column) is not None]

        form, unsure = look.text_format(numbers=columns("amount", "margin"), times=columns("date", "recorded_at"))
        return cls(place=place, look=look, guesses=guesses, format=form, unsure=tuple(unsure))

    def column(self, role: str) -> str | None:
        """The column taken for a role."""
        return self.guesses[role].column

    @property
    def days(self) -> tuple[Any, Any] | None:
        """First and last day; None where no column holds days."""
        name = self.column("date")
        column = None if name is None else self.look.column(name)
        if column is not None and column.kind == "odd day":
            return self.look.span(column.name, self.format)
        return None if column is None or column.first is None or column.last is None else (column.first, column.last)

    @property
    def zoned(self) -> bool:
        """Whether its times carry a zone."""
        name = self.column("date")
        return name is not None and self.look.column(name).offset

    @property
    def currencies(self) -> tuple[str, ...]:
        """Codes seen in the column of currencies."""
        name = self.column("currency")
        return () if name is None else tuple(sorted(self.look.column(name).values))

    @property
    def todo(self) -> list[str]:
        """What must be done by hand."""
        found = []
        here = ", ".join(column.name for column in self.look.columns)
        for role in ("customer", "date"):
            if self.column(role) is None:
                found.append(f"no column was taken for {role}. Name it in the file. Its columns: {here}.")
        if self.column("amount") is None:
            found.append(self._no_amount(here))
        found += list(self.unsure)
        if len(self.currencies) > 1:
            found.append(f"amounts are in {', '.join(self.currencies)}: say in [rates] what each is worth.")
        return found

    def _no_amount(self, here: str) -> str:
        both = quantity_and_price(self.look)
        if both is None:
            return f"no column was taken for amount, the money of a row. Name it in the file. Its columns: {here}."
        view = _with_amount(*both, None if self.place.url or self.place.table else self.place.path)
        if self.place.table is not None:
            return f"no column holds the money of a row. Make a view that does, and name it as table:\n{TO_COPY}{view}"
        return (
            "no column holds the money of a row, only pieces and the price of one. Make a view that does in a file of "
            f'DuckDB, and give path = "orders.duckdb" and table = "orders":\n{TO_COPY}CREATE VIEW orders AS {view}'
        )

    def filled(self, name: str) -> Filled:
        """Its table of the configuration."""
        values: dict[str, Any] = {"name": name, **self.place.keys}
        why: dict[str, str] = {}
        written = self.look.format_keys(self.format)
        values |= written
        why |= dict.fromkeys(written, WRITTEN)
        for role in ROLES:
            guess = self.guesses[role]
            if guess.column is not None:
                values[role] = guess.column
                why[role] = guess.why
            elif guess.why:
                why[role] = guess.why
            elif role in ("customer", "date", "amount"):
                values[role] = {"customer": c.CUSTOMER_ID, "date": c.DATE, "amount": c.AMOUNT}[role]
                why[role] = "NOT FOUND: name the column here."
        found = f"{self.look.rows:,} rows"
        if self.days is not None:
            first, last = self.days
            found += f" from {first.date()} to {last.date()}"
        money = f"; money in {', '.join(self.currencies)}" if self.currencies else ""
        return Filled(values=values, why=why, note=f"Seen: {found}{money}.")


def _with_amount(quantity: str, price: str, path: str | None) -> str:
    """A query that adds the money of each row, with every name quoted."""
    pieces, each = (sql.column(name, quoted=True) for name in (quantity, price))
    money = sql.alias_(sql.cast(sql.Mul(this=pieces, expression=each), "DECIMAL(18, 4)"), c.AMOUNT)
    table = "orders" if path is None else sql.Table(this=sql.Literal.string(path))
    return sql.select("*", money).from_(table).sql(dialect="duckdb")
