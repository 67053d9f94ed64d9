"""The configuration of scheduled reforecasts: one frozen object, checked as a whole."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field, PrivateAttr, model_validator

from clv_forecast.configuration.section import Checked, FilePath, Section, Text, no_such_key, refuse
from clv_forecast.configuration.sections_data import (
    AccountsSection,
    AcquisitionCostSection,
    ConsolidationSection,
    EventsSection,
    LogSection,
    RatesSection,
    SourceSection,
)
from clv_forecast.configuration.sections_decisions import (
    CohortsSection,
    FinanceSection,
    PotentialSection,
    RankingSection,
)
from clv_forecast.configuration.sections_model import BacktestSection, ForecastSection, ModelSection
from clv_forecast.configuration.sections_run import AlertsSection, GatesSection, OutputsSection, RetentionSection
from clv_forecast.errors import DomainError
from clv_forecast.finance.spend import GROW
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.money import OBSERVED
from clv_forecast.history.cleaning import check_time_zone
from clv_forecast.ranking.grading import Grading, grading_from
from clv_forecast.tables.connection_url import ConnectionUrl, connection_url, variables_in
from clv_forecast.units import Horizon

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
