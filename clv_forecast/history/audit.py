"""What became of every row read: steps that add up exactly, and findings in plain sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal

import pandas as pd

from clv_forecast.errors import InputError
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable

READ: Final = "read"
KEPT: Final = "kept"
_TEXT_WIDTH: Final = 110
_EXAMPLE_LENGTH: Final = 160

Level = Literal["info", "caution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing worth knowing about the history, as a sentence with its numbers.

    Parameters
    ----------
    name : str
        Short name, the same from run to run.
    level : {"info", "caution"}
        ``caution`` when a model's answer may be wrong because of it.
    sentence : str
        What was found and what it means for the models.
    values : mapping of str to float or str
        The numbers in the sentence.

    Examples
    --------
    >>> Finding(name="few_customers", level="caution", sentence="Only 12 customers.", values={"customers": 12}).level
    'caution'
    """

    name: str
    level: Level
    sentence: str
    values: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.level not in ("info", "caution"):
            raise InputError("The level of a finding must be 'info' or 'caution'.", value=repr(self.level))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did to the rows: how many, of how many customers, with how much money, and why.

    Parameters
    ----------
    name : str
    rows, customers : int
        Rows in this step, and the distinct known customers among them.
    amount : Decimal or None
        Money that stands in this step (exact; rows without a readable amount count 0); None where it is unknown.
    sentence : str
    example : str
        One row of the step as text; empty when the step is empty or needs none.
    """

    name: str
    rows: int
    customers: int
    amount: Decimal | None
    sentence: str
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Audit:
    """Steps that reconcile (``read`` equals ``kept`` plus every exclusion, in rows and money), and findings.

    Parameters
    ----------
    ledger : tuple of Step
        ``read`` first, ``kept`` last, the exclusions between.
    findings : tuple of Finding
    currency : str, optional

    Raises
    ------
    InputError
        If the steps do not add up to the row and to the last micro-unit of money. Money may be unknown, but then
        in every step.

    Examples
    --------
    >>> audit = Audit(
    ...     ledger=(
    ...         Step(name="read", rows=3, customers=2, amount=Decimal("30"), sentence="3 rows were read."),
    ...         Step(name="zero_amount", rows=1, customers=1, amount=Decimal("0"), sentence="1 row has amount zero."),
    ...         Step(name="kept", rows=2, customers=2, amount=Decimal("30"), sentence="2 rows are purchases."),
    ...     ),
    ...     findings=(),
    ... )
    >>> audit.steps["rows"].tolist()
    [3, 1, 2]
    >>> audit.sentences()
    ('3 rows were read.', '1 row has amount zero.', '2 rows are purchases.')
    """

    ledger: tuple[Step, ...]
    findings: tuple[Finding, ...]
    currency: str | None = None

    def __post_init__(self) -> None:
        names = [step.name for step in self.ledger]
        if len(names) < 2 or names[0] != READ or names[-1] != KEPT or len(set(names)) != len(names):
            raise InputError("An audit goes from 'read' to 'kept', each step once.", value=names)
        read, parts = self.ledger[0], self.ledger[1:]
        if read.rows != sum(step.rows for step in parts):
            raise InputError("The rows of an audit must add up.", value={s.name: s.rows for s in self.ledger})
        known = [step.amount for step in parts if step.amount is not None and not step.amount.is_nan()]
        if _unknown(read.amount) and not known:
            return
        if len(known) < len(parts) or read.amount != sum(known, Decimal(0)):
            raise InputError("The money of an audit must add up.", value={s.name: str(s.amount) for s in self.ledger})

    @property
    def steps(self) -> pd.DataFrame:
        """The steps as a table: step, rows, customers, amount (Decimal, None if unknown), sentence, example."""
        columns = ["step", "rows", "customers", "amount", "sentence", "example"]
        records = [(s.name, s.rows, s.customers, s.amount, s.sentence, s.example) for s in self.ledger]
        return pd.DataFrame(records, columns=columns)

    def finding(self, name: str) -> Finding | None:
        """Return the finding of that name, or None."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def sentences(self) -> tuple[str, ...]:
        """Every step and every finding as a plain sentence."""
        return tuple(s.sentence for s in self.ledger) + tuple(f.sentence for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain values for JSON; money is text, so that no digit is lost, or None if unknown."""
        return {
            "currency": self.currency,
            "steps": [
                {
                    "step": s.name,
                    "rows": s.rows,
                    "customers": s.customers,
                    "amount": None if _unknown(s.amount) else format_money(s.amount),
                    "sentence": s.sentence,
                    "example": s.example,
                }
                for s in self.ledger
            ],
            "findings": [
                {"name": f.name, "level": f.level, "sentence": f.sentence, "values": dict(f.values)}
                for f in self.findings
            ],
        }

    def __str__(self) -> str:
        width = max(len(s.name) for s in self.ledger)
        money = f"money ({printable(self.currency)})" if self.currency else "money"
        lines = [f"{'step':<{width}} {'rows':>14} {'customers':>12} {money:>24}"]
        lines += [
            f"{s.name:<{width}} {s.rows:>14,} {s.customers:>12,} {format_money(s.amount, group=True):>24}"
            for s in self.ledger
        ]
        lines.append("")
        for step in self.ledger:
            lines += _wrapped(step.sentence)
            if step.example:
                lines += _wrapped(f"for example: {step.example}", indent="    ")
        for level in ("caution", "info"):
            lines += [line for f in self.findings if f.level == level for line in _wrapped(f"{level}: {f.sentence}")]
        return "\n".join(lines)

    def with_finding(self, finding: Finding) -> Audit:
        """The same audit with one more finding."""
        return replace(self, findings=(*self.findings, finding))

    def __repr__(self) -> str:
        cautions = sum(finding.level == "caution" for finding in self.findings)
        return f"<Audit of {self.ledger[0].rows:,} rows: {len(self.findings)} findings, {cautions} cautions>"

    def _repr_html_(self) -> str:
        rows = [
            {
                "step": s.name,
                "rows": s.rows,
                "customers": s.customers,
                "amount": format_money(s.amount, group=True),
                "what": s.sentence + (f" For example: {s.example}" if s.example else ""),
            }
            for s in self.ledger
        ]
        return notebook_html(
            f"Audit of {self.ledger[0].rows:,} rows",
            pd.DataFrame(rows),
            notes=[f"{f.level}: {f.sentence}" for f in sorted(self.findings, key=lambda f: f.level)],
            rows=len(rows),
        )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the singular or the plural.

    Examples
    --------
    >>> counted(1, "customer"), counted(2357, "customer")
    ('1 customer', '2,357 customers')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_money(amount: Decimal | None, *, group: bool = False) -> str:
    """Money as text: at least two decimals, no digit lost; ``-`` where it is unknown (None or NaN).

    Examples
    --------
    >>> format_money(Decimal("1234.500000"), group=True), format_money(Decimal("0.123456")), format_money(None)
    ('1,234.50', '0.123456', '-')
    """
    if amount is None or amount.is_nan():
        return "-"
    text = f"{amount:,f}" if group else f"{amount:f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(2, "0")
    return f"{whole}.{fraction}"


def format_example(fields: Iterable[tuple[str, Any]]) -> str:
    """One row as text on one line, cut to a readable length.

    Examples
    --------
    >>> format_example([("customer_id", 7), ("amount", None)])
    'customer id 7, amount missing'
    """
    shown = (f"{name.replace('_', ' ')} {'missing' if value is None else value}" for name, value in fields)
    text = printable(", ".join(shown))
    return text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 3] + "..."


def _unknown(amount: Decimal | None) -> bool:
    return amount is None or amount.is_nan()


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _TEXT_WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
