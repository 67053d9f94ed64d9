"""Sections of the configuration on what is fitted, forecast and tested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from clv_forecast.arguments import FEWEST_DRAWS, MOST_DRAWS, with_a_point
from clv_forecast.configuration.section import (
    Checked,
    Names,
    Section,
    Text,
    check_names,
    check_text,
    other_name,
    refuse,
)
from clv_forecast.errors import DomainError
from clv_forecast.evaluation.windows import Lengths
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.money import MOST_COST, cost, margin_rate
from clv_forecast.inference.recipe import Recipe
from clv_forecast.models import model_name
from clv_forecast.units import LIFETIME_YEARS, MOST_YEARS, Horizon

EVERY: Final = "every"
DRIFT: Final = "drift"
_EVERY_RUN: Final = "every run"
_EVERY_N: Final = re.compile(r"every ([1-9]\d{0,3}) runs")


def refit_rule(text: Any) -> tuple[str, int | None]:
    """When a model is fitted anew: ``("every", n)`` runs, or ``("drift", None)``.

    Raises
    ------
    DomainError
        If the text says neither.

    Examples
    --------
    >>> refit_rule("every run"), refit_rule("every 4 runs"), refit_rule("drift")
    (('every', 1), ('every', 4), ('drift', None))
    """
    if text == DRIFT:
        return DRIFT, None
    if text == _EVERY_RUN:
        return EVERY, 1
    found = _EVERY_N.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise DomainError("refit is 'every run', 'every N runs' such as 'every 4 runs', or 'drift'.", value=repr(text))
    return EVERY, int(found[1])


def _refit(value: Any) -> str:
    refit_rule(value)
    return str(value)


def _horizons(value: Any) -> tuple[str, ...]:
    listed = check_names(value)
    Horizons.parse(listed)
    return tuple(Horizon.parse(text).label for text in listed)


def _tested(value: Any) -> tuple[str, ...]:
    listed = check_names(value)
    Lengths.parse(listed)
    return tuple(Horizon.parse(text).label for text in listed)


def _margin(value: Any) -> float | str | dict[str, dict[str, float]]:
    if isinstance(value, str):
        return _column(value)
    if not isinstance(value, Mapping):
        return margin_rate(value)
    if len(value) != 1:
        raise DomainError("A margin per group names one column, such as {region = {EU = 0.3, US = 0.25}}.")
    ((column, rates),) = value.items()
    if not isinstance(rates, Mapping) or not rates:
        raise DomainError("A margin per group gives a rate for each group, such as {region = {EU = 0.3, US = 0.25}}.")
    return {check_text(column): {check_text(group): margin_rate(rate) for group, rate in rates.items()}}


def _cost(value: Any) -> float | str:
    return _column(value) if isinstance(value, str) else cost(value, "A cost")


def _column(name: str) -> str:
    if told := with_a_point(name):
        raise DomainError("It must be a number, or the name of a column.", value=repr(name), remedy=told)
    return check_text(name)


Margin = Annotated[float | str | Mapping[str, Mapping[str, float]], Checked(_margin)]
Cost = Annotated[float | str, Checked(_cost)]


class ModelSection(Section):
    """The model, and when it is fitted anew."""

    purchases: Annotated[Literal["bg_nbd", "mbg_nbd", "pareto_nbd"], BeforeValidator(model_name)] = Field(
        default="bg_nbd", description="Model of purchases."
    )
    spend: Annotated[Literal["gamma_gamma"], BeforeValidator(model_name)] = Field(
        default="gamma_gamma", description="Model of spend."
    )
    method: Literal["mle", "laplace", "nuts"] = Field(
        default="mle",
        description="Maximum likelihood, the Laplace approximation of the posterior, or sampling in PyMC.",
    )
    spend_from: Literal["auto", "repeat", "all", "repeat+first"] = Field(
        default="auto", description="Orders that spend is learnt from."
    )
    groups: Names = Field(
        default=(),
        description="Columns of the accounts, or cohort_month, cohort_quarter, cohort_year, whose levels get "
        'parameters of their own; with method = "nuts" only.',
        examples=[["region"]],
    )
    covariates: Names = Field(
        default=(),
        description='Columns of the accounts that shift rate, dropout and spend; with method = "nuts" only.',
        examples=[["employees"]],
    )
    draws: int = Field(default=1000, ge=FEWEST_DRAWS, le=MOST_DRAWS, description="Parameter draws kept.")
    refit: Annotated[str, Checked(_refit)] = Field(
        default=_EVERY_RUN,
        description='When to fit anew: "every run", "every N runs", or "drift": when the log says that the standing '
        "model no longer describes it. In between runs score with the standing model.",
    )
    drift_z: float = Field(
        default=3.0,
        gt=0.0,
        le=100.0,
        description='With refit = "drift": fit anew when the log of today would move a parameter of the standing model '
        "by more than so many standard errors.",
    )
    allow_unconverged: bool = Field(
        default=False,
        description="Whether to go on with a fit that did not converge; the gate fit still holds the run.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(
            (key, f'{key} belong to a hierarchical fit: method = "nuts".')
            for key in ("groups", "covariates")
            if getattr(self, key) and self.method != "nuts"
        )
        return self

    @property
    def refit_rule(self) -> tuple[str, int | None]:
        """``("every", n)`` or ``("drift", None)``."""
        return refit_rule(self.refit)

    @property
    def recipe(self) -> Recipe:
        """The fit, as a backtest repeats it."""
        return Recipe(
            purchases=self.purchases,
            spend=self.spend,
            method=self.method,
            spend_from=self.spend_from,
            groups=self.groups,
            covariates=self.covariates,
            draws=self.draws,
        )


class ForecastSection(Section):
    """What is forecast, and on which terms."""

    _alike = other_name("horizon", "horizons")

    horizons: Annotated[tuple[str, ...], Checked(_horizons)] = Field(
        default=("12 months", "36 months"), description='How far to look, such as "12 months", "39 weeks", "lifetime".'
    )
    discount_rate_annual: float = Field(default=0.10, ge=0.0, lt=10.0, description="Yearly rate; 0.10 is 10 %.")
    margin: Margin = Field(
        default=0.30,
        description='A rate; a column of the accounts; "observed" for the margins of the log, shrunk; or a rate per '
        "group, {region = {EU = 0.3, US = 0.25}}.",
    )
    cost_to_serve: Cost = Field(
        default=0.0, description="Money per year while an account is alive, or a column of the accounts."
    )
    cost_per_order: Cost = Field(default=0.0, description="Money per future order, or a column of the accounts.")
    margin_where_unknown: float | None = Field(
        default=None,
        ge=-10.0,
        le=1.0,
        description="Rate of accounts whose margin the accounts' table does not tell, or that it does not have yet. "
        "Default: such an account stops the run.",
        examples=[0.30],
    )
    cost_where_unknown: float | None = Field(
        default=None,
        ge=0.0,
        le=MOST_COST,
        description="The same for columns of costs.",
        examples=[0.0],
    )
    lifetime_years: float = Field(
        default=LIFETIME_YEARS, gt=0.0, le=MOST_YEARS, description='Where the horizon "lifetime" is cut off.'
    )
    by: Text | None = Field(
        default=None, description="Column of the accounts: totals also per group.", examples=["region"]
    )
    draws: int = Field(default=500, ge=FEWEST_DRAWS, le=MOST_DRAWS, description="Predictive draws.")
    prob: float = Field(default=0.9, gt=0.0, lt=1.0, description="Probability inside the bands.")


class BacktestSection(Section):
    """The test on the past that bands and common shock rest on."""

    _alike = other_name("horizons", "horizon")

    enabled: bool = Field(default=True, description="Whether to test at all.")
    every: int = Field(
        default=4, ge=1, le=1000, description="Test again after so many runs; in between the last certificate stands."
    )
    horizon: Annotated[tuple[str, ...], Checked(_tested)] = Field(
        default=("13 weeks",), description="How far the tested forecasts look: one horizon, or a list."
    )
    draws: int = Field(default=500, ge=FEWEST_DRAWS, le=MOST_DRAWS, description="Predictive draws.")
    origins: int = Field(
        default=3, ge=1, le=50, description="Most earlier days to forecast from, the latest ones that fit into the log."
    )
