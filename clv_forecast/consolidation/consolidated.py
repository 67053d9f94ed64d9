"""The result of a consolidation: where the orders are, and an account of every line."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from clv_forecast import columns as c
from clv_forecast.consolidation.order_groups import SOURCE
from clv_forecast.consolidation.steps import CUSTOMERS, GROUPS, ROWS, SENTENCE, STEP, check_reconciliation
from clv_forecast.history.audit import KEPT, READ, Finding, counted, format_money
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.printable_tables import printable_table

_TEXT_WIDTH: Final = 110


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Consolidated:
    """Orders of several systems as one log, ready for ``purchase_history``.

    Parameters
    ----------
    orders : Path
        Folder of the order files, one for each month: customer_id, date and amount (text), those of order_id,
        category, margin, currency and recorded_at that any source has, ``lines`` (how many of the source's lines a row
        stands for), source, source_id.
    options : mapping of str to str
        Keyword arguments for ``purchase_history``: the columns beside customer, date and amount, the currency when it
        is one for all, the time zone.
    reconciliation : DataFrame
        What became of the lines: source, step, rows (lines), groups (what they were added up to at the source),
        customers (distinct ids of the source), amount (Decimal), currency, sentence. ``read`` is the sum of the other
        steps, for every source and currency.
    source_days : DataFrame
        What arrived: source, day, lines, amount (Decimal), currency.
    matched_share : mapping of str to float
        Of each source, the share of lines with an id that the crosswalk knows; empty without a crosswalk.
    findings : tuple of Finding
    fingerprint : str
        SHA-256 over names and bytes of the order files and over the crosswalk.
    crosswalk : DataFrame, optional
        As it was read: source, source_id, customer_id.

    Raises
    ------
    InputError
        If the reconciliation does not add up to the line and to the last micro-unit of money.
    """

    orders: Path
    options: Mapping[str, str]
    reconciliation: pd.DataFrame
    source_days: pd.DataFrame
    matched_share: Mapping[str, float]
    findings: tuple[Finding, ...]
    fingerprint: str
    crosswalk: pd.DataFrame | None

    def __post_init__(self) -> None:
        check_reconciliation(self.reconciliation)

    @property
    def files(self) -> str:
        """Path with a wildcard of the order files, as ``purchase_history`` takes it."""
        return str(self.orders / "*.parquet")

    def finding(self, name: str) -> Finding | None:
        """Return the finding of that name, or None."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def sentences(self) -> tuple[str, ...]:
        """Every step and every finding as a plain sentence."""
        return (*self.reconciliation[SENTENCE].tolist(), *(finding.sentence for finding in self.findings))

    def to_dict(self) -> dict[str, Any]:
        """Return everything but places and tables of days as plain values for JSON; money is text."""
        steps = [
            {str(name): value for name, value in record.items()} | {c.AMOUNT: format_money(record[c.AMOUNT])}
            for record in self.reconciliation.to_dict("records")
        ]
        for step in steps:
            step[c.CURRENCY] = step[c.CURRENCY] if isinstance(step[c.CURRENCY], str) else None
        return {
            "options": dict(self.options),
            "steps": steps,
            "matched_share": dict(self.matched_share),
            "findings": [
                {"name": f.name, "level": f.level, "sentence": f.sentence, "values": dict(f.values)}
                for f in self.findings
            ],
            "fingerprint": self.fingerprint,
        }

    def __str__(self) -> str:
        table = printable_table(self.reconciliation)
        width = max(len("source"), *(len(name) for name in table[SOURCE]))
        lines = [f"{'source':<{width}} {'step':<18} {'lines':>12} {'groups':>12} {'ids':>10} {'money':>22}"]
        for row in table.to_dict("records"):
            lines.append(
                f"{row[SOURCE]:<{width}} {row[STEP]:<18} {row[ROWS]:>12,} {row[GROUPS]:>12,} {row[CUSTOMERS]:>10,} "
                f"{_money(row):>22}"
            )
        lines.append("")
        texts = [f"{level}: {f.sentence}" for level in ("caution", "info") for f in self.findings if f.level == level]
        for text in [*table[SENTENCE], *texts]:
            lines += textwrap.wrap(text, _TEXT_WIDTH, subsequent_indent="  ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        read, kept = (int(self.reconciliation.loc[self.reconciliation[STEP] == s, ROWS].sum()) for s in (READ, KEPT))
        sources = counted(self.reconciliation[SOURCE].nunique(), "source")
        return f"<Consolidated {sources}: {counted(read, 'line')} read, {kept:,} kept>"

    def _repr_html_(self) -> str:
        found = self.reconciliation
        table = pd.DataFrame(
            {
                "source": found[SOURCE],
                "step": found[STEP],
                "lines": found[ROWS],
                "groups": found[GROUPS],
                "ids": found[CUSTOMERS],
                "amount": [_money(row) for row in found.to_dict("records")],
                "what": found[SENTENCE],
            }
        )
        notes = [f"{f.level}: {f.sentence}" for f in sorted(self.findings, key=lambda f: f.level)]
        return notebook_html("Lines by source and step", table, notes=notes, rows=len(table))


def _money(row: Mapping[Any, Any]) -> str:
    code = row[c.CURRENCY] if isinstance(row[c.CURRENCY], str) else ""
    return f"{format_money(row[c.AMOUNT], group=True)} {printable(code)}".strip()
