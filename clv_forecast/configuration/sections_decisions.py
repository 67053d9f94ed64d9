"""Sections of the configuration on what is decided: potential, ranking, spend, cohorts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from clv_forecast.arguments import FEWEST_DRAWS, MOST_DRAWS, MOST_TOP
from clv_forecast.configuration.section import (
    Checked,
    Length,
    Section,
    Text,
    check_names,
    check_text,
    other_name,
    refuse,
)
from clv_forecast.errors import ClvForecastError, DomainError
from clv_forecast.finance.effects import Uplift
from clv_forecast.finance.spend import ACQUIRE, BASES, CEILING, CONFIDENCES, GROW, MOST_ROI, RETAIN
from clv_forecast.ranking.referral import check_credit


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
