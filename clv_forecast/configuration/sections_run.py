"""Sections of the configuration on what a run writes, when it is held, what it warns of, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from clv_forecast.arguments import MOST_TOP
from clv_forecast.configuration.section import Checked, Section, Text, Url, check_names, number_or_off
from clv_forecast.errors import DomainError
from clv_forecast.report.crm import field_names

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
