"""The configuration of scheduled reforecasts: one frozen object, checked as a whole.

On which line of a TOML text each table and key stands.

`read_configuration`: from a TOML file to a configuration, or to one error that names every mistake.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from clv_forecast.errors import DomainError
from clv_forecast.files import read_toml
from clv_forecast.finance.spend import GROW
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.money import OBSERVED
from clv_forecast.history.cleaning import check_time_zone
from clv_forecast.ranking.grading import Grading, grading_from
from clv_forecast.runs.configuration.section import (
    FOLDER,
    Checked,
    FilePath,
    Location,
    Mistake,
    Section,
    Text,
    dotted,
    mistakes_in,
    no_such_key,
    refuse,
)
from clv_forecast.runs.configuration.sections_data import (
    AccountsSection,
    AcquisitionCostSection,
    AlertsSection,
    ConsolidationSection,
    EventsSection,
    GatesSection,
    LogSection,
    OutputsSection,
    RatesSection,
    RetentionSection,
    SourceSection,
)
from clv_forecast.runs.configuration.sections_model import (
    BacktestSection,
    CohortsSection,
    FinanceSection,
    ForecastSection,
    ModelSection,
    PotentialSection,
    RankingSection,
)
from clv_forecast.tables.connection_url import ConnectionUrl, connection_url, variables_in
from clv_forecast.units import Horizon

_PART: Final = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_SKIPPED: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[\]{}]|\n|[^"'#\[\]{}\n]+''',
    re.DOTALL,
)


def lines_of(text: str) -> dict[Location, int]:
    r"""Lines, from 1, of the tables and of the keys that begin a line; of a valid TOML text.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict
        From locations such as ``("sources", 1, "path")``.

    Examples
    --------
    >>> lines_of('seed = 1\n[[sources]]\nname = "shop"\n')
    {('seed',): 1, ('sources',): 2, ('sources', 0): 2, ('sources', 0, 'name'): 3}
    """
    found: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for line, statement in _statements(text):
        stripped = statement.strip()
        if stripped.startswith("["):
            double = stripped.startswith("[[")
            names = _names(stripped[2 if double else 1 :])
            table = _numbered(names[:-1], counts) + names[-1:]
            found.setdefault(table, line)
            if double:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
                found[table] = line
        elif stripped and not stripped.startswith("#"):
            key = (*table, *_names(stripped))
            for length in range(len(table) + 1, len(key) + 1):
                found.setdefault(key[:length], line)
    return found


def line_of(location: Location, lines: Mapping[Location, int]) -> int | None:
    """Line of a place, or of the nearest table around it; None for the file as a whole."""
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return None


def _statements(text: str) -> list[tuple[int, str]]:
    """Headers and assignments, each whole, with the line it begins on."""
    found: list[tuple[int, str]] = []
    line, start, depth, current = 1, 1, 0, ""
    for match in _SKIPPED.finditer(text):
        piece = match[0]
        if piece == "\n" and depth == 0:
            found.append((start, current))
            current, start = "", line + 1
        elif not piece.startswith("#"):
            current += piece
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece, 0)
        line += piece.count("\n")
    return [*found, (start, current)]


def _names(text: str) -> tuple[str, ...]:
    """The dotted name that a text begins with."""
    names, place = [], 0
    while (match := _PART.match(text, place)) is not None:
        names.append(next(part for part in match.groups() if part is not None))
        place = match.end()
        if text[place : place + 1] != ".":
            break
        place += 1
    return tuple(names)


def _numbered(names: Location, counts: Mapping[Location, int]) -> Location:
    """A name with the number of the last element of each list of tables on its way."""
    place: Location = ()
    for name in names:
        place = (*place, name)
        if place in counts:
            place = (*place, counts[place])
    return place


MOST_RANKING_DRAWS: Final = 500
_COHORTS: Final = ("cohort_month", "cohort_quarter", "cohort_year")
_FILE_KEYS: Final = ("path", "file", "crosswalk", "store")
_URL_KEYS: Final = ("url", "crosswalk_url")


def _zone(value: Any) -> str | None:
    return check_time_zone(value)


def _grading(value: Any) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise DomainError("It must be a table: [grading].")
    known = [field.name for field in fields(Grading)]
    refuse(((name,), no_such_key(name, known)) for name in value if name not in known)
    grading_from({"weights": {}, **value})
    return dict(value)


class Configuration(Section):
    """What a scheduled reforecast does, as its file says. Made by `read_configuration`."""

    title: Text = Field(default="Customer lifetime value", description="Title of the page and of the workbook.")
    store: FilePath = Field(
        default="runs", description="Folder that the runs are kept in: a POSIX file system, one host at a time."
    )
    seed: int = Field(default=1, ge=0, lt=2**63, description="Same inputs, seed and versions: the same tables.")
    days_back: int = Field(
        default=1,
        ge=0,
        le=366,
        description="The last day that counts is today minus so many days, unless the command names a day.",
    )
    time_zone: Annotated[str | None, Checked(_zone)] = Field(
        default=None,
        description="Named zone in which days begin and end; required when times of orders carry a zone.",
        examples=["Europe/Berlin"],
    )
    sources: Annotated[tuple[SourceSection, ...], Field(strict=False)] = Field(
        description="Systems that orders come from."
    )
    log: LogSection = Field(default=LogSection(), description="How the orders are read.")
    rates: RatesSection | None = Field(default=None, description="What currencies are worth.")
    consolidation: ConsolidationSection = Field(
        default=ConsolidationSection(), description="How customers and orders of several sources become one."
    )
    accounts: AccountsSection | None = Field(default=None, description="Attributes of the accounts.")
    acquisition_cost: AcquisitionCostSection | None = Field(default=None, description="What winning customers cost.")
    events: EventsSection | None = Field(default=None, description="What happened to accounts.")
    model: ModelSection = Field(default=ModelSection(), description="The model, and when it is fitted anew.")
    forecast: ForecastSection = Field(default=ForecastSection(), description="What is forecast, and on which terms.")
    backtest: BacktestSection = Field(default=BacktestSection(), description="The test on the past.")
    potential: PotentialSection = Field(default=PotentialSection(), description="What accounts could bring.")
    ranking: RankingSection = Field(default=RankingSection(), description="The order of the accounts.")
    grading: Annotated[Mapping[str, Any] | None, Checked(_grading)] = Field(
        default=None,
        description="What makes a good account, in the business's own judgement.",
    )
    finance: FinanceSection = Field(default=FinanceSection(), description="What may be spent.")
    cohorts: CohortsSection = Field(default=CohortsSection(), description="Number and quality of new customers.")
    outputs: OutputsSection = Field(default=OutputsSection(), description="What a run writes.")
    gates: GatesSection = Field(default=GatesSection(), description="What holds a run back from publication.")
    alerts: AlertsSection = Field(default=AlertsSection(), description="What a published run warns of.")
    retention: RetentionSection = Field(default=RetentionSection(), description="Which runs are kept.")

    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse([*self._source_mistakes(), *self._column_mistakes(), *self._horizon_mistakes()])
        return self

    @property
    def folder(self) -> Path | None:
        """Folder of the file; paths of the configuration were relative to it and are absolute."""
        return self._folder

    @property
    def ranking_horizon(self) -> str:
        """What accounts are ranked over."""
        return self._horizon_of(self.ranking.horizon or self.forecast.horizons[0])

    @property
    def spend_horizon(self) -> str:
        """What a spend is judged over."""
        return self._horizon_of(self.finance.horizon or self.ranking_horizon)

    def _horizon_of(self, text: str) -> str:
        """A horizon as the forecast writes it."""
        return Horizons.parse(self.forecast.horizons, lifetime_years=self.forecast.lifetime_years).one(text)

    @property
    def ranking_draws(self) -> int:
        """Joint draws of the ranking."""
        return self.ranking.draws or min(self.forecast.draws, MOST_RANKING_DRAWS)

    @property
    def grading_rules(self) -> Grading | None:
        """For ``rank``."""
        return None if self.grading is None else grading_from(self.grading)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the environment variables that connections need."""
        return tuple(dict.fromkeys(name for _, url in self.urls() for name in variables_in(url)))

    def urls(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Where each connection stands, such as ``("sources", 0, "url")``, and its template."""
        yield from _texts(self, _URL_KEYS, ())

    def resolved_url(self, url: str, *, environment: Mapping[str, str] | None = None) -> ConnectionUrl:
        """Put the environment's secrets into a URL of this configuration, for connecting at once.

        Parameters
        ----------
        url : str
            Such as ``configuration.sources[0].url``.
        environment : mapping, optional
            Default: that of the process.

        Returns
        -------
        ConnectionUrl
            As text it shows no secret; it must not be stored.

        Raises
        ------
        DomainError
            If a variable is not set, or the URL cannot be read.
        """
        return connection_url(url, os.environ if environment is None else environment, folder=self._folder)

    def to_dict(self) -> dict[str, Any]:
        """All keys with their values, as JSON can hold them: URLs with ``${NAME}``, files relative to the folder.

        What was not given and has no default is left out.
        """
        return _plain_section(self, self._folder)

    def _source_mistakes(self) -> Iterator[tuple[str, str]]:
        if not self.sources:
            yield "sources", "It needs at least one source."
        names = [source.name for source in self.sources]
        for place, name in enumerate(names):
            if name in names[:place]:
                yield f"sources[{place}].name", f"The name {name!r} is taken: no two sources alike."
        for place, source in enumerate(self.sources):
            if source.currency is not None and self.log.currency is not None:
                yield (
                    f"sources[{place}].currency",
                    "log.currency names the money of all sources: leave out one of both.",
                )

        if self.rates is not None and self.log.currency is None and all(one.currency is None for one in self.sources):
            yield "rates", "No source names its currency, so that nothing can be converted: name sources.currency."
        if self.grading is not None and not self.ranking.enabled:
            yield "grading", "Grades belong to the ranking: ranking.enabled = true."

    def _column_mistakes(self) -> Iterator[tuple[str, str]]:
        """Columns of accounts where there is no table of accounts, and margins that no source has."""
        margin = self.forecast.margin
        named: dict[str, Iterable[Any]] = {
            "model.groups": [name for name in self.model.groups if name not in _COHORTS],
            "model.covariates": self.model.covariates,
            "forecast.margin": [margin]
            if isinstance(margin, str)
            else list(margin)
            if isinstance(margin, dict)
            else [],
            "forecast.cost_to_serve": [self.forecast.cost_to_serve],
            "forecast.cost_per_order": [self.forecast.cost_per_order],
            "forecast.by": [self.forecast.by],
            "potential.segment": [self.potential.segment],
            "cohorts.by": [self.cohorts.by],
        }
        for key, values in named.items():
            for name in values:
                by_name = isinstance(name, str) and name not in (OBSERVED, *_COHORTS)
                if by_name and self.accounts is None:
                    yield key, f"The column {name!r} is one of the accounts, and there is no table [accounts]."
        if margin == OBSERVED and all(source.margin is None for source in self.sources):
            yield "forecast.margin", '"observed" needs a source that names its column margin.'

    def _horizon_mistakes(self) -> Iterator[tuple[str, str]]:
        known = True
        for key, horizon in (("ranking.horizon", self.ranking.horizon), ("finance.horizon", self.finance.horizon)):
            try:
                self._horizon_of(horizon or self.forecast.horizons[0])
            except DomainError:
                known = False
                yield key, f"It must be one of forecast.horizons: {', '.join(self.forecast.horizons)}."
        cap, grows = self.forecast.lifetime_years, GROW in self.finance.bases
        if known and self.finance.payback is not None:
            limit = Horizon.parse(self.finance.payback, lifetime_years=cap).years
            if limit > Horizon.parse(self.spend_horizon, lifetime_years=cap).years * (1.0 + 1e-9):
                yield "finance.payback", f"It must not be longer than the horizon of the spend, {self.spend_horizon}."
        if self.ranking.draws is not None and self.ranking.draws > self.forecast.draws:
            yield "ranking.draws", f"They are at most the forecast's, {self.forecast.draws}."
        if grows and not self.potential.enabled:
            yield "finance.bases", "'grow' needs the potential of the accounts: potential.enabled = true."
        if known and grows and self.spend_horizon != self.ranking_horizon:
            yield "finance.horizon", f"'grow' needs the horizon of the potential, {self.ranking_horizon}."


def _texts(
    section: BaseModel, keys: tuple[str, ...], place: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Place and text of every field of these names that is given, here and in the sections below."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _texts(value, keys, (*place, name))
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _texts(item, keys, (*place, name, number))
        elif name in keys and isinstance(value, str):
            yield (*place, name), value


def _plain_section(section: BaseModel, folder: Path | None) -> dict[str, Any]:
    """The keys of a section that have a value; files inside the folder by their way from it."""
    found: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value is None:
            continue
        if name in _FILE_KEYS and folder is not None and Path(value).is_relative_to(folder):
            value = str(Path(value).relative_to(folder))
        found[field.alias or name] = _plain(value, folder)
    return found


def _plain(value: Any, folder: Path | None) -> Any:
    if isinstance(value, BaseModel):
        return _plain_section(value, folder)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, folder) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, folder) for one in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


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
