"""`first_configuration`: a commented configuration file from a look at the user's data.

An order log as `first_configuration` sees it: where it lies, what it holds, and what its columns were taken for.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlglot import expressions as sql

from clv_forecast import columns as c
from clv_forecast.errors import DomainError
from clv_forecast.runs.configuration.commented_file import TO_COPY, Filled, commented_file, toml_value
from clv_forecast.runs.configuration.table_look import (
    ROLES,
    Guess,
    TableLook,
    guess_columns,
    look_at,
    plain_name,
    quantity_and_price,
)
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


def place_of(data: str | os.PathLike[str], table: str | None, home: Path, *, environment: Mapping[str, str]) -> Place:
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


_SHORT_LOG: Final = 182
_SHORT_TIME: Final = 120
_GROUPINGS: Final = ("segment", "region", "country", "industry", "sector", "market", "channel", "tier", "sizeclass")
_FEWEST_GROUPS, _MOST_GROUPS = 2, 20
_HEAD: Final = (
    "Configuration of scheduled reforecasts (clv-forecast run). Lines that begin with `#` and a letter, such as "
    "#seed = 1, are defaults or examples: take the # away to change them. A table's header, such as #[accounts], goes "
    "with its keys. Relative paths start from the folder of this file. Secrets do not stand here: write ${NAME}, and "
    "set that variable where the run is started."
)


def first_configuration(
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    *,
    url: str | None = None,
    table: str | None = None,
    accounts: str | os.PathLike[str] | None = None,
    acquisition_cost: str | os.PathLike[str] | None = None,
    events: str | os.PathLike[str] | None = None,
    title: str | None = None,
    folder: str | os.PathLike[str] = ".",
    environment: Mapping[str, str] | None = None,
) -> str:
    r"""Look at order logs and write a configuration file that says what was guessed, and why.

    Parameters
    ----------
    data : path, or several
        CSV or Parquet files (wildcards allowed), or DuckDB files.
    url : str, optional
        Connection to a database, with secrets as ``${NAME}``.
    table : str, optional
        The table of orders in the database, or in the DuckDB file.
    accounts, acquisition_cost, events : path, optional
        The other tables.
    title : str, optional
    folder : path
        Where the file will lie: paths in it are relative to that.
    environment : mapping, optional
        Where secrets come from; default: that of the process.

    Returns
    -------
    str
        TOML that ``read_configuration`` reads. What is left to do stands at its top.

    Raises
    ------
    DomainError
        If nothing is given, a URL holds a password, or a database is named without a table.
    InputError
        If data cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "orders.csv").write_text("CustomerID,OrderDate,Total\n7,2024-01-05,9.50\n")
    ...     text = first_configuration(Path(folder) / "orders.csv", folder=folder)
    >>> [line for line in text.splitlines() if line.startswith(("customer =", "date =", "amount ="))]
    ['customer = "CustomerID"', 'date = "OrderDate"', 'amount = "Total"']
    """
    listed = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    listed += [] if url is None else [check_url(url)]
    if not listed:
        raise DomainError("A first configuration needs data to look at.", remedy="Name a file of orders, or a URL.")
    secrets = os.environ if environment is None else environment
    home = Path(folder).resolve()
    places = [place_of(one, table, home, environment=secrets) for one in listed]
    sources = [LookedSource.of(place, place.look()) for place in places]
    names = _names([source.place for source in sources])
    filled: dict[str, Filled | Sequence[Filled]] = {
        "sources": [source.filled(name) for source, name in zip(sources, names, strict=True)]
    }
    filled[""] = _top(title, sources)
    filled |= _log(sources)
    todo = [f"{name}: {text}" for source, name in zip(sources, names, strict=True) for text in source.todo]
    if accounts is not None:
        filled |= _accounts(place_of(accounts, None, home, environment=secrets), todo)
    for name, path in (("acquisition_cost", acquisition_cost), ("events", events)):
        if path is not None:
            place = place_of(path, None, home, environment=secrets)
            written = _written(name, place.look(), todo) if glob.glob(place.path) else {}  # it may be made later
            filled[name] = Filled(values={**place.keys, **written}, why=dict.fromkeys(written, WRITTEN))
    head = [_HEAD]
    if todo:
        head.append("\n".join(["TO DO before the first run:", *(f"  {n}. {text}" for n, text in enumerate(todo, 1))]))
    return commented_file(head, filled)


def _names(places: Sequence[Place]) -> list[str]:
    """A name for each source, from its table or file, no two alike."""
    found: list[str] = []
    for place in places:
        stem = (place.table or "").rpartition(".")[2] or re.split(r"[.*?\[]", Path(place.path).name)[0]
        name = re.sub(r"\W+", "_", stem).strip("_") or "orders"
        found.append(name if name not in found else f"{name}_{len(found) + 1}")
    return found


def _top(title: str | None, sources: Sequence[LookedSource]) -> Filled:
    values: dict[str, Any] = {} if title is None else {"title": title}
    why: dict[str, str] = {}
    if any(source.zoned for source in sources):
        values["time_zone"] = "UTC"
        why["time_zone"] = "The times of the orders carry a zone: name the one in which the business counts its days."
    ends = [source.days[1] for source in sources if source.days is not None]
    if ends:
        why["days_back"] = f"The newest order seen is of {min(ends).date()}."
    return Filled(values=values, why=why)


def _log(sources: Sequence[LookedSource]) -> dict[str, Filled]:
    """Unit, currencies and backtest by what the logs hold."""
    found: dict[str, Filled] = {}
    spans = [source.days for source in sources if source.days is not None]
    if spans:
        first, last = min(span[0] for span in spans), max(span[1] for span in spans)
        days = (last - first).days
        why = {"observed_from": f"The first order seen is of {first.date()}."}
        values = {}
        if days < _SHORT_TIME:
            values["unit"], why["unit"] = "day", f"The log is short: {days} days."
        found["log"] = Filled(values=values, why=why)
        if days < _SHORT_LOG:
            text = f"The log of {days} days is too short to forecast 13 weeks from an earlier day: turn it on later."
            found["backtest"] = Filled(values={"enabled": False}, why={"enabled": text})
    codes = sorted({code for source in sources for code in source.currencies})
    if len(codes) > 1:
        example = {code: 1 if place == 0 else 0.9 for place, code in enumerate(codes)}
        text = f"Amounts are in {', '.join(codes)}, so this is needed, with true rates: of = {toml_value(example)}"
        found["rates"] = Filled(note=text)
    return found


def _written(name: str, look: TableLook, todo: list[str]) -> dict[str, str]:
    """How the text of a table is written, by key; what cannot be decided becomes a thing to do."""
    numbers = [column.name for column in look.columns if column.kind == "number"]
    times = [column.name for column in look.columns if column.kind in ("day", "odd day")]
    form, unsure = look.text_format(numbers=numbers, times=times)
    todo += [f"{name}: {text}" for text in unsure]
    return look.format_keys(form)


def _accounts(place: Place, todo: list[str]) -> dict[str, Filled]:
    """The table of accounts, and what the forecast can take from it."""
    look = place.look()
    written = _written("accounts", look, todo)
    guess = guess_columns(look)["customer"]
    named = {column.name: column for column in look.columns}
    own = [name for name in named if name in c.ACCOUNTS]
    told = f" Columns with a meaning of their own: {', '.join(own)}." if own else ""
    values = {**place.keys, **({} if guess.column is None else {"customer": guess.column}), **written}
    why = {"customer": guess.why if guess.column is not None else "NOT FOUND: name the column here."}
    why |= dict.fromkeys(written, WRITTEN)
    found = {"accounts": Filled(values=values, why=why, note=f"Seen: {look.rows:,} rows.{told}")}
    forecast: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    margin = named.get(c.MARGIN)
    if margin is not None and margin.kind in ("number", "integer") and (margin.high or 0.0) <= 1.0:
        forecast["margin"], reasons["margin"] = c.MARGIN, "The accounts have a column of rates of that name."
    if c.COST_TO_SERVE in named and named[c.COST_TO_SERVE].kind in ("number", "integer"):
        forecast["cost_to_serve"] = c.COST_TO_SERVE
        reasons["cost_to_serve"] = "The accounts have a column of that name."
    groups = [name for name in named if plain_name(name) in _GROUPINGS]
    groups = [name for name in groups if _FEWEST_GROUPS <= named[name].distinct <= _MOST_GROUPS]
    if groups:
        first = min(groups, key=lambda name: _GROUPINGS.index(plain_name(name)))
        others = [name for name in groups if name != first]
        forecast["by"] = first
        reasons["by"] = f"Guessed; also possible: {', '.join(others)}." if others else "Guessed by its name."
    return found | ({"forecast": Filled(values=forecast, why=reasons)} if forecast else {})
