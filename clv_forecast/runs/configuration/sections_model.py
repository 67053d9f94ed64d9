"""Sections of the configuration on what is fitted, forecast and tested.

Sections of the configuration on what is decided: potential, ranking, spend, cohorts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from clv_forecast.arguments import FEWEST_DRAWS, MOST_DRAWS, MOST_TOP, with_a_point
from clv_forecast.errors import ClvForecastError, DomainError
from clv_forecast.evaluation.windows import Lengths
from clv_forecast.finance.effects import Uplift
from clv_forecast.finance.spend import ACQUIRE, BASES, CEILING, CONFIDENCES, GROW, MOST_ROI, RETAIN
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.money import MOST_COST, cost, margin_rate
from clv_forecast.inference.recipe import Recipe
from clv_forecast.models import TRANSACTION_MODELS, model_name
from clv_forecast.ranking.referral import check_credit
from clv_forecast.runs.configuration.section import (
    Checked,
    Length,
    Names,
    Section,
    Text,
    check_names,
    check_text,
    other_name,
    refuse,
)
from clv_forecast.units import LIFETIME_YEARS, MOST_YEARS, Horizon


def _credit(value: Any) -> tuple[float, ...] | None:
    return check_credit(value)


def _bases(value: Any) -> tuple[str, ...]:
    listed = check_names(value)
    unknown = [basis for basis in listed if basis not in BASES]
    if unknown:
        raise DomainError(f"A basis is one of {', '.join(BASES)}.", value=", ".join(map(repr, unknown)))
    return listed


def _confidence(value: Any) -> float:
    levels = [level / 100 for level in CONFIDENCES]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value not in levels:
        raise DomainError(f"confidence is one of {', '.join(f'{level:.2f}' for level in levels)}.", value=repr(value))
    return float(value)


def _split(value: Any) -> str | bool | None:
    if value is None or value is False:
        return value
    if value is True:
        raise DomainError("by is a column of the accounts, or false for no split.", value="true")
    return check_text(value)


class PotentialSection(Section):
    """What accounts could bring beyond their forecast."""

    enabled: bool = Field(default=True, description="Whether to estimate it.")
    source: Literal["auto", "given", "peers", "whitespace"] = Field(
        default="auto", description="Where wallets come from; auto: given where known, else peers, else whitespace."
    )
    quantile: float = Field(default=0.8, gt=0.0, lt=1.0, description="Of the peers' expected revenue.")
    segment: Text | None = Field(
        default=None,
        description="Column of the accounts that peers share where accounts are few.",
        examples=["segment"],
    )


class RankingSection(Section):
    """The order of the accounts."""

    _alike = other_name("horizons", "horizon")

    enabled: bool = Field(default=True, description="Whether to rank.")
    horizon: Length | None = Field(
        default=None, description="One of the forecast's; default: its first.", examples=["12 months"]
    )
    order_by: Literal["auto", "mean", "lower", "p_top", "carried", "stack"] = Field(
        default="auto", description="By what; auto: the mean, unless carrying last year's value forward won."
    )
    top_k: int = Field(default=100, ge=1, le=MOST_TOP, description="The first so many are the top.")
    referral_credit: Annotated[tuple[float, ...] | None, Checked(_credit)] = Field(
        default=None,
        description="Share of the forecast value of referred accounts that is added to the referrer's, one number or "
        "one per depth. Default: shown, not added.",
        examples=[[0.5]],
    )
    draws: int | None = Field(
        default=None,
        ge=FEWEST_DRAWS,
        le=MOST_DRAWS,
        description="Joint draws, at most the forecast's; default: the forecast's, at most 500.",
        examples=[500],
    )


class UpliftSection(Section):
    """What a spend achieves, as a share, and how well that is known."""

    share: float = Field(ge=0.0, le=1.0, description="The share; 0.1 is 10 %.", examples=[0.1])
    lower: float | None = Field(default=None, ge=0.0, le=1.0, description="Lower end of its band.", examples=[0.05])
    upper: float | None = Field(default=None, ge=0.0, le=1.0, description="Upper end of its band.", examples=[0.16])
    prob: float = Field(default=0.9, gt=0.0, lt=1.0, description="Probability inside the band.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            self.uplift  # noqa: B018 - made to be checked
        except ClvForecastError as error:
            refuse([("", str(error))])
        return self

    @property
    def uplift(self) -> Uplift:
        """For ``allowable_spend``."""
        return Uplift(share=self.share, lower=self.lower, upper=self.upper, prob=self.prob)


class FinanceSection(Section):
    """What may be spent."""

    _alike = other_name("horizons", "horizon")

    horizon: Length | None = Field(
        default=None, description="One of the forecast's; default: the ranking's.", examples=["12 months"]
    )
    target_roi: float = Field(default=0.2, gt=-1.0, le=MOST_ROI, description="Return asked of a spend; 0.2 is 20 %.")
    confidence: Annotated[float, Checked(_confidence)] = Field(
        default=0.8, description="How surely: 0.50, 0.60, 0.70, 0.75, 0.80, 0.85, 0.90 or 0.95."
    )
    payback: Length | None = Field(
        default=None, description="A spend must have come back within this time.", examples=["6 months"]
    )
    bases: Annotated[tuple[str, ...], Checked(_bases)] = Field(
        default=(CEILING,),
        description="What is at stake: ceiling (all value ahead, an upper limit), retain, grow, acquire. Empty: no "
        "allowable spend.",
    )
    retain: UpliftSection | None = Field(
        default=None, description="Share of the leavings within the horizon that a spend prevents."
    )
    grow: UpliftSection | None = Field(
        default=None, description="Share of an account's headroom that a spend realises."
    )
    acquire: UpliftSection | None = Field(
        default=None, description="Share of new customers who come because of a spend; default: all."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        found = [
            ("bases", f"{basis!r} needs a table [finance.{basis}]: what a spend is worth depends on what it changes.")
            for basis in (RETAIN, GROW)
            if basis in self.bases and getattr(self, basis) is None
        ]
        found += [
            (basis, f"It is of no effect: name {basis!r} in bases.")
            for basis in (RETAIN, GROW, ACQUIRE)
            if getattr(self, basis) is not None and basis not in self.bases
        ]
        refuse(found)
        return self

    def uplift(self, basis: str) -> Uplift | None:
        """The uplift of a basis; None where none was given."""
        section: UpliftSection | None = None if basis == CEILING else getattr(self, basis)
        return None if section is None else section.uplift


class CohortsSection(Section):
    """Number and quality of new customers."""

    enabled: bool = Field(default=True, description="Whether to judge them.")
    period: Literal["month", "quarter", "year"] = Field(default="quarter", description="Of the first purchase.")
    by: Annotated[str | bool | None, Checked(_split)] = Field(
        default=None,
        description="Column of the accounts to split by, or false for no split; default: channel, where there is one.",
        examples=["channel"],
    )

    @property
    def options(self) -> Mapping[str, Any]:
        """Keyword arguments of ``cohorts``."""
        split = {} if self.by is None else {"by": None if self.by is False else self.by}
        return {"period": self.period, **split}


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


if TYPE_CHECKING:
    PurchaseModel = str
else:
    PurchaseModel = Literal[*TRANSACTION_MODELS]


class ModelSection(Section):
    """The model, and when it is fitted anew."""

    purchases: Annotated[PurchaseModel, BeforeValidator(model_name)] = Field(
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
        options = {field.name: getattr(self, field.name) for field in fields(Recipe) if hasattr(self, field.name)}
        return Recipe(**options)


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
