"""`first_configuration`: a commented configuration file from a look at the user's data."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from clv_forecast import columns as c
from clv_forecast.configuration.column_guesses import guess_columns, plain_name
from clv_forecast.configuration.commented_file import Filled, commented_file
from clv_forecast.configuration.looked_source import WRITTEN, LookedSource, Place, place_of
from clv_forecast.configuration.table_look import TableLook
from clv_forecast.configuration.toml_text import toml_value
from clv_forecast.errors import DomainError
from clv_forecast.tables.connection_url import check_url

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
    places = [place_of(one, table, home, secrets) for one in listed]
    sources = [LookedSource.of(place, place.look()) for place in places]
    names = _names([source.place for source in sources])
    filled: dict[str, Filled | Sequence[Filled]] = {
        "sources": [source.filled(name) for source, name in zip(sources, names, strict=True)]
    }
    filled[""] = _top(title, sources)
    filled |= _log(sources)
    todo = [f"{name}: {text}" for source, name in zip(sources, names, strict=True) for text in source.todo]
    if accounts is not None:
        filled |= _accounts(place_of(accounts, None, home, secrets), todo)
    for name, path in (("acquisition_cost", acquisition_cost), ("events", events)):
        if path is not None:
            place = place_of(path, None, home, secrets)
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
