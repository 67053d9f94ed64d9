"""`read_configuration`: from a TOML file to a configuration, or to one error that names every mistake."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from clv_forecast.configuration.configuration import Configuration
from clv_forecast.configuration.mistakes import Location, Mistake, dotted, mistakes_in
from clv_forecast.configuration.section import FOLDER
from clv_forecast.configuration.toml_lines import line_of, lines_of
from clv_forecast.errors import DomainError
from clv_forecast.tables.connection_url import variables_in
from clv_forecast.toml_file import read_toml

_MOST_TOLD: Final = 20
_REMEDY: Final = "`clv-forecast init` writes a file with every key explained."


def read_configuration(
    path: str | os.PathLike[str], *, environment: Mapping[str, str] | None = None, connects: bool = True
) -> Configuration:
    r"""Read and check the configuration of a scheduled reforecast.

    Parameters
    ----------
    path : path
        A TOML file. Relative paths in it start from its folder.
    environment : mapping, optional
        Where the variables named in URLs must be set; default: the environment of the process. Their values are not
        read here.
    connects : bool
        Whether connections will be made: if not, variables need not be set.

    Returns
    -------
    Configuration

    Raises
    ------
    DomainError
        For any mistake: all are told at once, each with its key, its line, and the nearest key where one is unknown.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "clv.toml"
    ...     _ = file.write_text('[[sources]]\nname = "shop"\npath = "orders.csv"\n')
    ...     configuration = read_configuration(file)
    >>> configuration.sources[0].amount, configuration.model.refit_rule, configuration.gates.rows_ratio
    ('amount', ('every', 1), 0.98)
    """
    place = Path(path)
    document, text = read_toml(place, remedy=_REMEDY)
    lines = lines_of(text)
    found = os.environ if environment is None else environment
    return _checked(
        document, folder=place.resolve().parent, environment=found if connects else None, lines=lines, name=str(place)
    )


def configuration_from(
    document: Mapping[str, Any],
    *,
    folder: str | os.PathLike[str] = ".",
    environment: Mapping[str, str] | None = None,
    connects: bool = True,
) -> Configuration:
    """Check a configuration that is a mapping already, with the tables and keys of the file.

    Parameters
    ----------
    document : mapping
    folder : path
        Where relative paths start from.
    environment : mapping, optional
    connects : bool
        As for ``read_configuration``.

    Returns
    -------
    Configuration

    Raises
    ------
    DomainError
        For any mistake, all told at once.

    Examples
    --------
    >>> configuration_from({"sources": [{"name": "shop", "path": "orders.csv", "colum": "x"}]})
    Traceback (most recent call last):
        ...
    clv_forecast.errors.DomainError: The configuration has a mistake:
      sources[0].colum: There is no such key. Known here: name, path, url, table, customer, date, amount, order_id, \
category, margin, currency, recorded_at, encoding, delimiter, quote, decimal, thousands, \
date_format, sheet.
    `clv-forecast init` writes a file with every key explained.
    """
    found = os.environ if environment is None else environment
    return _checked(document, folder=Path(folder).resolve(), environment=found if connects else None, lines={}, name="")


def _checked(
    document: Mapping[str, Any],
    *,
    folder: Path,
    environment: Mapping[str, str] | None,
    lines: Mapping[Location, int],
    name: str,
) -> Configuration:
    mistakes: list[Mistake] = []
    try:
        made = Configuration.model_validate(dict(document), context={FOLDER: str(folder)})
    except ValidationError as error:
        mistakes = mistakes_in(error, Configuration)
    if mistakes:  # not where the validation's own error, which holds all values, would be its context
        raise _error(mistakes, lines, name)
    made._folder = folder
    unset = [] if environment is None else list(_unconnectable(made, environment))
    if unset:
        raise _error(unset, lines, name)
    return made


def _unconnectable(made: Configuration, environment: Mapping[str, str]) -> Iterable[Mistake]:
    for location, url in made.urls():
        absent = [name for name in variables_in(url) if not environment.get(name)]
        if absent:
            yield Mistake(location=location, text=f"The environment does not set {', '.join(absent)}.")
            continue
        try:
            made.resolved_url(url, environment=environment)
        except DomainError as error:
            yield Mistake(location=location, text=str(error))


def _error(mistakes: list[Mistake], lines: Mapping[Location, int], name: str) -> DomainError:
    """One error for all mistakes, in the order of the file."""
    placed = [(line_of(mistake.location, lines), mistake) for mistake in mistakes]
    placed.sort(key=lambda pair: pair[0] or 0)
    told = [
        f"  {'' if line is None else f'line {line}: '}{dotted(mistake.location)}: {mistake.text}"
        for line, mistake in placed[:_MOST_TOLD]
    ]
    if len(placed) > _MOST_TOLD:
        told.append(f"  and {len(placed) - _MOST_TOLD} more")
    count = "a mistake" if len(placed) == 1 else f"{len(placed)} mistakes"
    where = f"The configuration {name}" if name else "The configuration"
    return DomainError(f"{where} has {count}:", lines=told, remedy=_REMEDY)
