"""Sections of the configuration on where the data come from.

Sections of the configuration on what a run writes, when it is held, what it warns of, and what is kept.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from clv_forecast.arguments import MOST_TOP, check_share, parse_day
from clv_forecast.errors import ClvForecastError, DomainError
from clv_forecast.history.cleaning import MAX_UNREADABLE, check_rates, is_currency_code
from clv_forecast.report.crm import field_names
from clv_forecast.runs.configuration.section import (
    Checked,
    FilePath,
    Section,
    Text,
    Url,
    check_names,
    number_or_off,
    refuse,
)
from clv_forecast.tables.text_format import FORMAT_KEYS, TextFormat
from clv_forecast.units import TimeUnit

DATABASE_TABLES: Final = ("forecast", "totals", "ranking", "allowable_spend")
"""What a database gets unless told otherwise."""
STORABLE: Final = (
    *DATABASE_TABLES,
    *("allowable_spend_new_customers", "spend_levels", "spend_pools", "spend_totals"),
    *("history", "customers", "purchases", "categories", "next_order", "losing_accounts", "parameters"),
    *("matrix", "concentration", "lorenz", "goals", "sensitivity", "potential", "reliability", "whitespace"),
    *("cohorts", "cohort_totals", "cohorts_same_age", "cohort_levels", "drivers", "changes", "migration", "cash_flow"),
)
"""Tables of a run that a database may get; one that a run does not have is left out."""

Threshold = float | bool
_ANY: Final = 1e9
"""A threshold that nothing passes, and that can still be told in percent."""


def _fields(value: Any) -> str | dict[str, str]:
    field_names(value)
    return value if isinstance(value, str) else dict(value)


def _tables(value: Any) -> tuple[str, ...]:
    listed = check_names(value)
    for name in listed:
        if name not in STORABLE:
            near = get_close_matches(name, STORABLE, n=1)
            hint = f"Nearest: {near[0]!r}." if near else f"Known: {', '.join(STORABLE)}."
            raise DomainError("A run has no such table.", value=repr(name), remedy=hint)
    return listed


class DatabaseSection(Section):
    """Where results also go: Postgres or DuckDB."""

    url: Url = Field(
        description="Connection to Postgres or DuckDB. Secrets as ${NAME}, from the environment.",
        examples=["postgres://clv:${CLV_PASSWORD}@localhost/warehouse"],
    )
    schema_name: Text = Field(
        default="clv", alias="schema", description="Schema that the tables are written to; created when absent."
    )
    tables: Annotated[tuple[str, ...], Checked(_tables)] = Field(
        default=DATABASE_TABLES, description="Tables of a run to write."
    )


class OutputsSection(Section):
    """What a run writes."""

    crm_fields: Annotated[str | Mapping[str, str], Checked(_fields)] = Field(
        default="plain",
        description='Names of the fields of the CRM file: "plain", "salesforce", "hubspot", or a table of our names to '
        "the target's.",
    )
    readable_by: Literal["owner", "group", "everyone"] = Field(
        default="owner",
        description='Who may read the runs, which hold customers\' data: "owner", "group" or "everyone".',
    )
    simulated: bool = Field(default=False, description="Whether the data are made up; every output then says so.")
    database: DatabaseSection | None = Field(default=None, description="Where results also go.")


class GatesSection(Section):
    """What holds a run back from publication; each may be false, which turns it off."""

    source_age_days: Annotated[Threshold, number_or_off(0.0, _ANY)] = Field(
        default=7.0,
        description="Most days between the newest order of a source and the day of the run; a source that paused "
        "longer within the last year may do so again.",
    )
    rows_ratio: Annotated[Threshold, number_or_off(0.0, 1.0)] = Field(
        default=0.98,
        description="Least rows of each source up to the last run's day, over what that run saw of it.",
    )
    money_ratio: Annotated[Threshold, number_or_off(0.0, 1.0)] = Field(
        default=0.98, description="The same of money, which may be as far above as below."
    )
    recent_rows_ratio: Annotated[Threshold, number_or_off(0.0, 1.0)] = Field(
        default=0.6,
        description="Least rows since the last run, over what the weeks before let expect of as many days; what chance "
        "can do is let pass.",
    )
    recent_money_factor: Annotated[Threshold, number_or_off(1.0, _ANY)] = Field(
        default=3.0,
        description="How many times more, or less, money a row since the last run may bring than rows of the weeks "
        "before did: cents for euros are beyond it.",
    )
    matched_share: Annotated[Threshold, number_or_off(0.0, 1.0)] = Field(
        default=0.9, description="Least share of a source's rows whose ids the crosswalk knows."
    )
    left_out_share: Annotated[Threshold, number_or_off(0.0, 1.0)] = Field(
        default=0.02,
        description="Most by which the share of rows without a customer, a date or an amount that can be read may have "
        "grown since the last run.",
    )
    total_move: Annotated[Threshold, number_or_off(0.0, _ANY)] = Field(
        default=0.25, description="Most that the total value may move since the last run; 0.25 is 25 %."
    )
    fit: bool = Field(default=True, description="Whether a fit that did not converge holds the run.")
    certificate: bool = Field(
        default=True, description="Whether a backtest that failed, at customers' bands or at totals', holds the run."
    )


class AlertsSection(Section):
    """What a published run warns of (exit code 4); each is off unless given."""

    total_move: float | None = Field(
        default=None,
        gt=0.0,
        le=_ANY,
        description="Off unless set. The total value moved by more than this share.",
        examples=[0.10],
    )
    parameter_drift: float | None = Field(
        default=None,
        gt=0.0,
        le=_ANY,
        description="Off unless set. A parameter moved by more than so many standard errors.",
        examples=[3.0],
    )
    band_coverage: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="Off unless set. Bands of earlier forecasts held less than this share of what came since.",
        examples=[0.80],
    )
    top_accounts_lost: int | None = Field(
        default=None,
        ge=1,
        le=MOST_TOP,
        description="Off unless set. At least so many of the last run's top accounts are no longer among the top.",
        examples=[5],
    )
    cell_moves: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="Off unless set. More than this share of the accounts changed its cell of value and potential.",
        examples=[0.10],
    )


class RetentionSection(Section):
    """Which runs are kept: the published one and the one before it always are."""

    runs: int = Field(default=60, ge=1, le=100_000, description="Newest published runs.")
    held: int = Field(default=5, ge=0, le=100_000, description="Newest held runs.")
    months: int = Field(default=24, ge=0, le=12_000, description="The last run of each month is kept so many months.")


def _day_or_none(value: Any) -> datetime.date | None:
    return None if value is None else parse_day(value, "The day")


def _code_or_none(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and is_currency_code(value)):
        return value
    raise ValueError("A currency is its code in three capital letters, such as EUR.")


def _rates_or_none(value: Any) -> dict[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value or any(isinstance(rate, (bool, str)) for rate in value.values()):
        raise ValueError("Rates are a table of currency codes and numbers, such as {EUR = 1, USD = 0.92}.")
    check_rates(value)
    return {str(code): float(rate) for code, rate in value.items()}


def _one_place(path: str | None, url: str | None, table: str | None) -> list[tuple[str, str]]:
    """What is wrong with where a table lies."""
    if path is None and url is None:
        return [("", "It needs a place: path, or url and table.")]
    if path is not None and url is not None:
        return [("url", "It has both path and url: one place is read.")]
    in_file = path is not None and path.lower().endswith((".duckdb", ".ddb"))
    if table is None and (url is not None or in_file):
        return [("table", "A database has many tables: name the one to read.")]
    if table is not None and path is not None and not in_file:
        return [("table", "A table belongs to a database (url, or a path that ends in .duckdb): a file is one table.")]
    return []


class TextKeys(Section):
    """How the text of a table's files is written; without these keys plainly, and what contradicts it is refused."""

    encoding: str | None = Field(
        default=None, description="Encoding of text files. Default: utf-8.", examples=["cp1252"]
    )
    delimiter: str | None = Field(
        default=None, description="Between columns. Default: a comma, a tab in .tsv.", examples=[";"]
    )
    quote: str | None = Field(default=None, description='Around fields; empty for none. Default: ".', examples=["'"])
    decimal: str | None = Field(default=None, description="Decimal sign. Default: a point.", examples=[","])
    thousands: str | None = Field(default=None, description="Sign between thousands. Default: none.", examples=["."])
    date_format: str | None = Field(
        default=None,
        description="How days are written, as strptime takes it; ISO text (2024-01-31) is always read.",
        examples=["%d.%m.%Y"],
    )
    sheet: Text | None = Field(default=None, description="Sheet of a spreadsheet.", examples=["Orders"])

    @model_validator(mode="after")
    def _check_text(self) -> Self:
        mistakes = []
        for key in FORMAT_KEYS:
            try:
                TextFormat(**{key: getattr(self, key)})
            except ClvForecastError as error:
                mistakes.append((key, str(error)))
        refuse(mistakes)
        try:
            _ = self.text_format
        except ClvForecastError as error:
            refuse([("", str(error))])
        return self

    @property
    def text_format(self) -> TextFormat:
        """The keys together; nothing is inferred in a scheduled run."""
        return TextFormat(infer=False, **{key: getattr(self, key) for key in FORMAT_KEYS})


class _SourcePlace(Section):
    name: Text = Field(description="What reports call it; no two sources alike.", examples=["shop"])
    path: FilePath | None = Field(
        default=None,
        description="CSV, Parquet or Excel files, wildcards allowed, or a DuckDB file (.duckdb, with table).",
        examples=["orders/*.csv"],
    )
    url: Url | None = Field(
        default=None,
        description="Connection that Ibis opens, instead of path. Secrets as ${NAME}, from the environment.",
        examples=["postgres://clv:${CLV_PASSWORD}@localhost/shop"],
    )
    table: Text | None = Field(
        default=None, description="Table in the database, with its schema where needed.", examples=["sales.orders"]
    )
    customer: Text = Field(default="customer_id", description="Column of customer ids.")
    date: Text = Field(default="date", description="Column of the day or time of the order.")
    amount: Text = Field(default="amount", description="Column of money; refunds are negative.")
    order_id: Text | None = Field(
        default=None,
        description="Column of order numbers: refunds find their order by them, and the same order in two sources.",
        examples=["order_id"],
    )
    category: Text | None = Field(default=None, description="Column of what was bought.", examples=["category"])
    margin: Text | None = Field(
        default=None,
        description="Column of money (no rate) that is left of each row after its own costs.",
        examples=["margin"],
    )
    currency: Text | None = Field(
        default=None,
        description="Column of currency codes, or the code of the whole source, such as EUR.",
        examples=["currency"],
    )
    recorded_at: Text | None = Field(
        default=None, description="Column of when a row became known.", examples=["recorded_at"]
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        found = _one_place(self.path, self.url, self.table)
        named = ("customer", "date", "amount", "order_id", "category", "margin", "currency", "recorded_at")
        taken: dict[str, str] = {}
        for key in named:
            column = getattr(self, key)
            if column is not None and column in taken:
                found.append((key, f"The column {column!r} is taken by {taken[column]} already."))
            elif column is not None:
                taken[column] = key
        refuse(found)
        return self


class SourceSection(TextKeys, _SourcePlace):
    """A system that orders come from; one or several."""


class LogSection(Section):
    """How the orders are read."""

    unit: TimeUnit = Field(default="week", description="Unit of time of the models.")
    refunds: Literal["net", "drop", "error"] = Field(
        default="net", description="Take refunds from their purchases, leave them out, or refuse them."
    )
    observed_from: Annotated[datetime.date | None, Checked(_day_or_none)] = Field(
        default=None,
        description="Customers first seen before this day were already there, not new. Default: a year after the "
        "first purchase, or a quarter of the log when it is shorter than two years.",
        examples=["2023-01-01"],
    )
    currency: Annotated[str | None, Checked(_code_or_none)] = Field(
        default=None, description="Code of the money of all sources, where none names its own.", examples=["EUR"]
    )
    max_unreadable: Annotated[float, Checked(lambda value: check_share(value, "max_unreadable"))] = Field(
        default=MAX_UNREADABLE,
        description="Largest share of a source's rows, or of its money at the largest reading, that may be left out "
        "because a date or an amount cannot be read; above it the run is refused.",
    )


class _RatesPlace(Section):
    file: FilePath | None = Field(
        default=None,
        description="CSV or Parquet with the columns currency and rate; the reporting currency has the rate 1.",
        examples=["rates.csv"],
    )
    of: Annotated[Mapping[str, float] | None, Checked(_rates_or_none)] = Field(
        default=None,
        description="Value of one unit of each currency in the reporting currency, whose own rate is 1.",
        examples=[{"EUR": 1, "USD": 0.92}],
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.file is None) == (self.of is None):
            refuse([("", "It needs one of file and of.")])
        return self


class RatesSection(TextKeys, _RatesPlace):
    """What currencies are worth: a file, or the rates themselves."""


class ConsolidationSection(Section):
    """How customers and orders of several sources become one."""

    crosswalk: FilePath | None = Field(
        default=None,
        description="File with the columns source, source_id and customer_id: many ids to one account.",
        examples=["crosswalk.csv"],
    )
    crosswalk_url: Url | None = Field(
        default=None,
        description="Connection to the same table in a database, instead of crosswalk.",
        examples=["postgres://clv:${CLV_PASSWORD}@localhost/shop"],
    )
    crosswalk_encoding: str | None = Field(default=None, description="Its encoding.", examples=["cp1252"])
    crosswalk_delimiter: str | None = Field(default=None, description="Between its columns.", examples=[";"])
    crosswalk_table: Text | None = Field(default=None, description="Its name there.", examples=["crm.crosswalk"])
    unmatched: Literal["keep", "drop", "error"] = Field(
        default="keep",
        description="What becomes of ids that the crosswalk does not know: accounts of their own, left out, refused.",
    )
    same_orders: bool = Field(
        default=True, description="Whether an order number found in two sources is one order; the first source counts."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        found = []
        if self.crosswalk is not None and self.crosswalk_url is not None:
            found.append(("crosswalk_url", "It has both crosswalk and crosswalk_url: one crosswalk is read."))
        if (self.crosswalk_url is None) != (self.crosswalk_table is None):
            missing = "crosswalk_table" if self.crosswalk_table is None else "crosswalk_url"
            found.append((missing, "crosswalk_url and crosswalk_table belong together."))
        for key in ("encoding", "delimiter"):
            try:
                TextFormat(**{key: getattr(self, f"crosswalk_{key}")})
            except ClvForecastError as error:
                found.append((f"crosswalk_{key}", str(error)))
        refuse(found)
        return self

    @property
    def crosswalk_format(self) -> TextFormat:
        """How its text is written; nothing is inferred in a scheduled run."""
        return TextFormat(infer=False, encoding=self.crosswalk_encoding, delimiter=self.crosswalk_delimiter)


class _AccountsPlace(Section):
    path: FilePath | None = Field(
        default=None, description="CSV, Parquet, Excel, or a DuckDB file (with table).", examples=["accounts.csv"]
    )
    url: Url | None = Field(
        default=None,
        description="Connection, instead of path.",
        examples=["postgres://clv:${CLV_PASSWORD}@localhost/crm"],
    )
    table: Text | None = Field(default=None, description="Table in the database.", examples=["crm.accounts"])
    customer: Text = Field(default="customer_id", description="Column of account ids.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(_one_place(self.path, self.url, self.table))
        return self


class AccountsSection(TextKeys, _AccountsPlace):
    """Attributes of the accounts, one row each."""


class _AcquisitionCostPlace(Section):
    path: FilePath = Field(
        description="File with the columns cohort and amount, and channel where it is split.",
        examples=["acquisition_cost.csv"],
    )


class AcquisitionCostSection(TextKeys, _AcquisitionCostPlace):
    """What winning customers cost."""


class _EventsPlace(Section):
    path: FilePath = Field(
        description="File with the columns customer_id, date, kind, and value where known.", examples=["events.csv"]
    )


class EventsSection(TextKeys, _EventsPlace):
    """What happened to accounts: complaints, returns, late deliveries, payments."""
