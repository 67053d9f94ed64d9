"""Gates: what must hold before a run is published, each with its threshold and what was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from clv_forecast.errors import DomainError
from clv_forecast.evaluation.certificate import Certificate
from clv_forecast.history.audit import Audit
from clv_forecast.inference.report import FitStatus
from clv_forecast.runs.configuration.sections_data import GatesSection
from clv_forecast.units import years_back

SOURCE_AGE: Final = "source_age_days"
ROWS: Final = "rows_ratio"
MONEY: Final = "money_ratio"
RECENT_ROWS: Final = "recent_rows_ratio"
RECENT_MONEY: Final = "recent_money_factor"
MATCHED: Final = "matched_share"
LEFT_OUT: Final = "left_out_share"
TOTAL_MOVE: Final = "total_move"
FIT: Final = "fit"
CERTIFICATE: Final = "certificate"
GATES: Final = (SOURCE_AGE, ROWS, MONEY, RECENT_ROWS, RECENT_MONEY, MATCHED, LEFT_OUT, TOTAL_MOVE, FIT, CERTIFICATE)
_WINDOWS: Final = 8
_FEWEST_WINDOWS: Final = 4
_BY_CHANCE: Final = 1e-3
_FIRST_WINDOW: Final = 7
_UNUSABLE: Final = ("customer_missing", "currency_missing", "date_", "amount_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What one gate found, of one source where it is about sources.

    Parameters
    ----------
    name : str
        As in the configuration.
    source : str
        Empty where the gate is about the whole run.
    passed : bool
    found, threshold : float or None
        None where the gate counts nothing, or had nothing to compare with.
    sentence : str
    accepted : str
        Why a gate that did not pass does not hold the run; empty unless someone accepted it.
    """

    name: str
    source: str
    passed: bool
    found: float | None
    threshold: float | None
    sentence: str
    accepted: str = ""

    @property
    def holds(self) -> bool:
        """Whether it holds the run back."""
        return not self.passed and not self.accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSource:
    """What a run saw of one source.

    Parameters
    ----------
    name : str
    days : DataFrame
        day, lines, amount: what is dated on each day.
    matched_share : float or None
        Share of its lines whose ids the crosswalk knows; None without a crosswalk.
    """

    name: str
    days: pd.DataFrame
    matched_share: float | None

    def upto(self, day: pd.Timestamp) -> tuple[int, float]:
        """Lines and money dated up to a day."""
        kept = self.days[self.days["day"] <= day]
        return int(kept["lines"].sum()), float(sum(kept["amount"], Decimal(0)))

    def longest_pause(self, as_of: pd.Timestamp) -> int:
        """Most days from one order to the next within the last year; 0 with fewer than two days of orders."""
        dated = self.days.loc[self.days["lines"] > 0, "day"].drop_duplicates().sort_values()
        dated = dated[(dated > years_back(as_of)) & (dated <= as_of)]
        return int(dated.diff().dt.days.max()) if len(dated) > 1 else 0

    def windows(self, as_of: pd.Timestamp, days: int) -> pd.DataFrame:
        """Lines and money of windows of so many days, the newest first; at most nine, as far as it goes back."""
        age = (as_of - self.days["day"]).dt.days.to_numpy(dtype=np.int64)
        count = min(_WINDOWS, int(age.max(initial=0)) // days) + 1 if days > 0 else 0
        inside = (age >= 0) & (age < count * days)
        place, lines = age[inside] // max(days, 1), self.days["lines"].to_numpy(dtype=float)[inside]
        money = self.days["amount"].astype(float).to_numpy()[inside]
        sums = {
            name: np.bincount(place, weights=values, minlength=count)
            for name, values in (("lines", lines), ("money", money))
        }
        return pd.DataFrame(sums)

    @property
    def newest(self) -> pd.Timestamp | None:
        """Day of its newest order."""
        dated = self.days[self.days["lines"] > 0]["day"]
        return pd.Timestamp(dated.max()) if len(dated) else None


def source_gates(
    section: GatesSection,
    sources: Iterable[SeenSource],
    *,
    as_of: pd.Timestamp,
    earlier: Mapping[str, tuple[int, float]],
    earlier_as_of: pd.Timestamp | None,
) -> list[Gate]:
    """Judge what arrived: whether a source is old, or a part of it is missing.

    Parameters
    ----------
    section : GatesSection
    sources : iterable of SeenSource
    as_of : Timestamp
    earlier : mapping of str to (lines, money)
        What the last run saw of each source.
    earlier_as_of : Timestamp or None
        Its day; None for a first run, which has nothing to compare with.

    Returns
    -------
    list of Gate
    """
    found: list[Gate] = []
    sources = list(sources)
    for name in earlier.keys() - {source.name for source in sources} if section.rows_ratio is not False else ():
        sentence = f"The last run read a source {name}, which this one does not have."
        found.append(_gate(ROWS, name, False, found=0.0, threshold=section.rows_ratio, sentence=sentence))
    for source in sources:
        found += _age(section.source_age_days, source, as_of)
        if earlier_as_of is not None and source.name in earlier:
            lines, money = source.upto(earlier_as_of)
            then_lines, then_money = earlier[source.name]
            found += _ratio(
                ROWS, section.rows_ratio, source, now=lines, then=then_lines, what="rows", day=earlier_as_of, both=False
            )
            found += _ratio(
                MONEY,
                section.money_ratio,
                source,
                now=money,
                then=then_money,
                what="money",
                day=earlier_as_of,
                both=True,
            )
        found += _recent(section.recent_rows_ratio, source, as_of, earlier_as_of=earlier_as_of)
        found += _recent_money(section.recent_money_factor, source, as_of, earlier_as_of=earlier_as_of)
        if source.matched_share is not None and section.matched_share is not False:
            found.append(
                _gate(
                    MATCHED,
                    source.name,
                    source.matched_share >= section.matched_share,
                    found=source.matched_share,
                    threshold=section.matched_share,
                    sentence=f"The crosswalk knows the ids of {source.matched_share:.1%} of the rows of {source.name}; "
                    f"at least {section.matched_share:.1%} is asked for.",
                )
            )
    return found


def result_gates(
    section: GatesSection,
    *,
    status: FitStatus,
    certificate: Certificate | None,
    value: float,
    earlier_value: float | None,
    left_out: float = 0.0,
    earlier_left_out: float | None = None,
) -> list[Gate]:
    """Judge what was made of it: the fit, the backtest, and how far the total moved."""
    found: list[Gate] = []
    if section.left_out_share is not False and earlier_left_out is not None:
        found.append(
            _gate(
                LEFT_OUT,
                "",
                left_out <= earlier_left_out + section.left_out_share,
                found=left_out,
                threshold=section.left_out_share,
                sentence=f"{left_out:.1%} of the rows have no customer, date or amount that can be read; in the last "
                f"run {earlier_left_out:.1%} had none.",
            )
        )
    if section.total_move is not False and earlier_value:
        move = value / earlier_value - 1.0
        found.append(
            _gate(
                TOTAL_MOVE,
                "",
                abs(move) <= section.total_move,
                found=move,
                threshold=section.total_move,
                sentence=f"The total value moved by {move:+z.1%} since the last run; "
                f"up to {section.total_move:.0%} is expected.",
            )
        )
    if section.fit:
        found.append(
            _gate(
                FIT,
                "",
                status is not FitStatus.FAILED,
                found=None,
                threshold=None,
                sentence=f"The fit is {status.value}.",
            )
        )
    if section.certificate and certificate is not None:
        failed = [horizon for horizon in certificate.horizons if certificate.standing(horizon) == "failed"]
        told = " ".join(certificate.summary(horizon) for horizon in failed or certificate.horizons[-1:])
        sentence = f"The backtest as of {certificate.as_of.date()}: {told}"
        found.append(_gate(CERTIFICATE, "", not failed, found=None, threshold=None, sentence=sentence))
    return found


def left_out_share(audit: Audit) -> float:
    """Share of the rows read that no history can take: without a customer, a date or an amount that can be read."""
    lost = sum(step.rows for step in audit.ledger if step.name.startswith(_UNUSABLE))
    return lost / max(audit.ledger[0].rows, 1)


def accepted_gates(gates: Iterable[Gate], accept: Mapping[str, str]) -> tuple[Gate, ...]:
    """Mark the gates that someone accepts, with the reason.

    Raises
    ------
    DomainError
        If a gate is unknown, or no reason is given.

    Examples
    --------
    >>> gate = Gate(name="rows_ratio", source="shop", passed=False, found=0.5, threshold=0.98, sentence="Half.")
    >>> accepted_gates([gate], {"rows_ratio": "the archive moved"})[0].holds
    False
    """
    check_accepted(accept)
    return tuple(
        replace(gate, accepted=accept[gate.name].strip()) if not gate.passed and gate.name in accept else gate
        for gate in gates
    )


def accepting(run_id: str, names: Iterable[str]) -> str:
    """How to publish a run that gates hold.

    Examples
    --------
    >>> accepting("2026-03-31-a1", ["total_move"])
    'To publish it all the same: clv-forecast publish 2026-03-31-a1 --accept total_move --reason TEXT.'
    """
    options = " ".join(f"--accept {name}" for name in dict.fromkeys(names))
    return f"To publish it all the same: clv-forecast publish {run_id} {options} --reason TEXT."


def check_accepted(accept: Mapping[str, str]) -> None:
    """Refuse to accept a gate that there is not, or without a reason.

    Raises
    ------
    DomainError
    """
    for name, reason in accept.items():
        if name not in GATES:
            near = difflib.get_close_matches(name, GATES, n=1) or GATES
            raise DomainError("There is no such gate.", value=name, remedy=f"Did you mean {', '.join(near)}?")
        if not reason.strip():
            raise DomainError("A gate is accepted with a reason.", value=name, remedy="Give one: --reason TEXT.")


def _gate(name: str, source: str, passed: bool, *, found: float | None, threshold: float | None, sentence: str) -> Gate:
    return Gate(name=name, source=source, passed=bool(passed), found=found, threshold=threshold, sentence=sentence)


def _age(threshold: float | bool, source: SeenSource, as_of: pd.Timestamp) -> Iterator[Gate]:
    """Days since the newest order; a source that pauses so long now and then may do so again."""
    if threshold is False:
        return
    newest = source.newest
    if newest is None:
        yield _gate(
            SOURCE_AGE, source.name, False, found=None, threshold=threshold, sentence=f"{source.name} has no order."
        )
        return
    age, longest = (as_of - newest).days, source.longest_pause(as_of)
    usual = f" Its longest pause in a year was of {longest} days." if longest > threshold else ""
    sentence = f"The newest order of {source.name} is of {newest.date()}, {age} days before the day of the run.{usual}"
    yield _gate(
        SOURCE_AGE,
        source.name,
        age <= max(float(threshold), longest),
        found=float(age),
        threshold=threshold,
        sentence=sentence,
    )


def _ratio(
    name: str,
    threshold: float | bool,
    source: SeenSource,
    *,
    now: float,
    then: float,
    what: str,
    day: pd.Timestamp,
    both: bool,
) -> Iterator[Gate]:
    if threshold is False or then == 0:
        return
    ratio = now / then
    passed = ratio >= threshold and (not both or ratio <= 1.0 / threshold)
    sentence = (
        f"Up to {day.date()}, {source.name} holds {ratio:.1%} of the {what} that the last run saw "
        f"({now:,.0f} against {then:,.0f}); at least {threshold:.0%}{', and not as far above,' if both else ''} is "
        "expected."
    )
    yield _gate(name, source.name, passed, found=ratio, threshold=threshold, sentence=sentence)


def _recent(
    threshold: float | bool, source: SeenSource, as_of: pd.Timestamp, *, earlier_as_of: pd.Timestamp | None
) -> Iterator[Gate]:
    """Rows since the last run against the median of as long windows before; what chance can do is let pass."""
    days = _days_since(as_of, earlier_as_of)
    counts = source.windows(as_of, days)["lines"].to_numpy()
    if threshold is False or len(counts) <= _FEWEST_WINDOWS:
        return
    usual = float(np.median(counts[1:]))
    if usual == 0.0:
        return
    ratio = float(counts[0]) / usual
    spread = max(1.0, float(np.var(counts[1:], ddof=1)) / float(np.mean(counts[1:])))  # lines of an order come together
    by_chance = float(stats.poisson.cdf(counts[0] / spread, usual / spread))
    sentence = (
        f"{source.name} brought {counts[0]:,.0f} rows in the last {days} days, where {usual:,.0f} are usual "
        f"({ratio:.0%}); at least {threshold:.0%} is expected."
    )
    yield _gate(
        RECENT_ROWS,
        source.name,
        ratio >= threshold or by_chance > _BY_CHANCE,
        found=ratio,
        threshold=threshold,
        sentence=sentence,
    )


def _recent_money(
    factor: float | bool, source: SeenSource, as_of: pd.Timestamp, *, earlier_as_of: pd.Timestamp | None
) -> Iterator[Gate]:
    """Money per row since the last run against that of as long windows before: cents for euros, another currency."""
    days = _days_since(as_of, earlier_as_of)
    table = source.windows(as_of, days)
    table = table[(table["lines"] > 0) | (table.index == 0)]
    if factor is False or len(table) <= _FEWEST_WINDOWS or table["lines"].iloc[0] == 0:
        return
    each = (table["money"] / table["lines"]).to_numpy()
    usual, lowest, highest = float(np.median(each[1:])), float(each[1:].min()), float(each[1:].max())
    if lowest <= 0.0 or each[0] <= 0.0:  # refunds outweigh: a mean says nothing
        return
    ratio = float(each[0]) / usual
    passed = lowest / factor <= each[0] <= highest * factor
    sentence = (
        f"A row of {source.name} brought {each[0]:,.2f} in the last {days} days, where {usual:,.2f} are usual; a "
        f"factor of {factor:g} beyond the {len(each) - 1} windows before is let pass."
    )
    yield _gate(RECENT_MONEY, source.name, passed, found=ratio, threshold=factor, sentence=sentence)


def _days_since(as_of: pd.Timestamp, earlier_as_of: pd.Timestamp | None) -> int:
    return _FIRST_WINDOW if earlier_as_of is None else (as_of - earlier_as_of).days


def gates_as_records(gates: Iterable[Gate]) -> list[dict[str, Any]]:
    """Gates as plain values for ``run.json``."""
    names = ("name", "source", "passed", "found", "threshold", "sentence", "accepted")
    return [{name: getattr(gate, name) for name in names} for gate in gates]
