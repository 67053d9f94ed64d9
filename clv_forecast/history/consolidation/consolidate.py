"""The verb ``consolidate``: order logs of several systems become one, with an account of every line.

The result of a consolidation: where the orders are, and an account of every line.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clv_forecast import columns as c
from clv_forecast.arguments import check_share, instance_of, parse_day
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history.audit import KEPT, READ, Finding, counted, format_money
from clv_forecast.history.cleaning import MAX_UNREADABLE, check_time_zone
from clv_forecast.history.consolidation import crosswalk as walk
from clv_forecast.history.consolidation import order_groups as g
from clv_forecast.history.consolidation.order_files import ORDERS, fingerprint, write_orders
from clv_forecast.history.consolidation.order_groups import SOURCE, SOURCE_ID, UNREADABLE, OrderGroups, read_groups
from clv_forecast.history.consolidation.order_source import OrderSource, opened
from clv_forecast.history.consolidation.same_orders import (
    AFTER_AS_OF,
    CUSTOMERS,
    GROUPS,
    MERGED,
    ROWS,
    SENTENCE,
    STEP,
    UNMATCHED_DROPPED,
    check_reconciliation,
    reconciliation_table,
    source_days,
)
from clv_forecast.history.consolidation.same_orders import same_orders as find_same_orders
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable, printable_table
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.tables.ids import folded, in_one_kind
from clv_forecast.tables.text_format import ISO

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


@shows_progress
def consolidate(
    sources: Sequence[OrderSource],
    folder: str | os.PathLike[str],
    *,
    as_of: Any = None,
    crosswalk: Any = None,
    unmatched: str = "keep",
    same_orders: bool = True,
    time_zone: str | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    progress: Progress = automatic,
) -> Consolidated:
    """Bring the order logs of several systems together under one id per account.

    Each source answers one statement, which adds up the lines of an order where they lie; only those sums travel.

    Parameters
    ----------
    sources : sequence of OrderSource
        In order of trust: where two have the same order, the first one's lines are taken.
    folder : path
        Its ``orders`` is written, in one piece or not at all; earlier order files there are replaced.
    as_of : date, Timestamp or ISO text, optional
        Lines dated or recorded after this day are counted and left out. Default: all lines are taken.
    crosswalk : table or path, optional
        Columns source, source_id, customer_id. Without one, equal ids of all sources are one account.
    unmatched : {"keep", "drop", "error"}
        What becomes of an id that the crosswalk lacks: an account of its own, named ``source:id``; left out; refused.
    same_orders : bool
        Whether an order id of the same account in two sources is one order.
    time_zone : str, optional
        Named zone whose days count; required when times carry a zone. Times are written as they are on its clocks.
    max_unreadable : float
        Largest share of a source's lines, or of its money at the largest reading, that may be unreadable.
    progress : callable

    Returns
    -------
    Consolidated

    Raises
    ------
    DomainError
        If an option is outside its domain, two sources have one name, or only some of them name a currency.
    InputError
        If a source, or too much of it, cannot be read, a column is missing or of a wrong kind, the crosswalk is
        ambiguous, ids without an account are to be refused, or no line is left.
    StoreError
        If the folder holds something else or cannot be written.

    Notes
    -----
    ``purchase_history`` makes of the files the table that it makes of the lines themselves, refunds matched alike. With
    ``rates`` this holds to the last bit while amounts and rates have together no more than six decimals, as each
    sum is converted and rounded once where each line would be. Rows of the same account and order that an earlier
    source has are dropped whole; a currency is compared only with itself.

    Examples
    --------
    >>> import tempfile
    >>> shop = pd.DataFrame({
    ...     "customer_id": [1, 1, 2], "date": ["2024-01-05", "2024-01-05", "2024-02-01"], "amount": [10, 5, 7.5],
    ...     "order_id": ["A", "A", "B"],
    ... })
    >>> crm = pd.DataFrame({
    ...     "customer_id": ["x", "y"], "date": "2024-02-02", "amount": [7.0, 9.0], "order_id": ["B", "C"],
    ... })
    >>> links = pd.DataFrame({
    ...     "source": ["shop", "shop", "crm", "crm"], "source_id": ["1", "2", "x", "y"],
    ...     "customer_id": [10, 20, 20, 30],
    ... })
    >>> with tempfile.TemporaryDirectory() as place:
    ...     made = consolidate(
    ...         [OrderSource("shop", shop, order_id="order_id"), OrderSource("crm", crm, order_id="order_id")],
    ...         place, as_of="2024-12-31", crosswalk=links,
    ...     )
    ...     orders = pd.read_parquet(made.orders)
    >>> made.reconciliation[["source", "step", "rows", "groups", "amount"]]
      source    step  rows  groups     amount
    0   shop    read     3       2  22.500000
    1   shop    kept     3       2  22.500000
    2    crm    read     2       2  16.000000
    3    crm  merged     1       1   7.000000
    4    crm    kept     1       1   9.000000
    >>> orders[["customer_id", "date", "amount", "order_id", "lines", "source"]]
       customer_id        date amount order_id  lines source
    0           10  2024-01-05  15.00        A      2   shop
    1           20  2024-02-01   7.50        B      1   shop
    2           30  2024-02-02   9.00        C      1    crm
    """
    chosen = _checked(sources)
    names = [source.name for source in chosen]
    day = None if as_of is None else parse_day(as_of, "as_of")
    policy, zone = walk.check_unmatched(unmatched), check_time_zone(time_zone)
    most = check_share(max_unreadable, "max_unreadable")
    links = None if crosswalk is None else walk.read_crosswalk(crosswalk)
    read: list[OrderGroups] = []
    for rank, source in enumerate(chosen):
        progress("consolidate", rank, len(chosen) + 1)
        with opened(source, time_zone=zone) as log:
            read.append(read_groups(log, rank, as_of=day, time_zone=zone, max_unreadable=most))
    progress("consolidate", len(chosen), len(chosen) + 1)
    columns, constant = _currencies(read)
    read, links, id_type = _in_one_kind(read, links)
    groups = walk.with_accounts(pa.concat_tables([part.table for part in read]), links)
    steps, findings = _judged(groups, policy, same_orders=same_orders and len(read) > 1)
    if links is not None:
        findings = [*findings, *_unmatched(groups, steps, names), *walk.crosswalk_findings(links, groups, names)]
    findings = [*findings, *_orders_alike(read)]
    findings = [*findings, *(found for part in read if (found := _repeated(part))), *_unreadable(groups, steps, names)]
    groups = groups.append_column(STEP, pa.array(steps, pa.string()))
    kept = groups.filter(pc.is_in(groups[STEP], value_set=pa.array([KEPT, UNREADABLE])))
    if not pc.any(pc.equal(kept[STEP], KEPT)).as_py():
        raise InputError("The sources have no order left.", value=_left_out(groups), remedy="Check as_of and filters.")
    steps_taken = reconciliation_table(groups, names, str(day))
    check_reconciliation(steps_taken)  # before anything is written
    target = Path(folder) / ORDERS
    write_orders(
        kept.drop_columns(STEP),
        target,
        columns=columns,
        with_margin=[part.source for part in read if c.MARGIN in part.columns],
        id_type=_id_type(id_type, links, kept),
    )
    progress("consolidate", len(chosen) + 1, len(chosen) + 1)
    optional: dict[str, str] = {"decimal": ".", "thousands": "", "date_format": ISO} | {
        name: name for name in (c.ORDER_ID, c.CATEGORY, c.MARGIN, c.CURRENCY, c.RECORDED_AT) if name in columns
    }
    if constant:
        optional[c.CURRENCY] = constant
    if zone:
        optional["time_zone"] = zone
    return Consolidated(
        orders=target,
        options=MappingProxyType(optional),
        reconciliation=steps_taken,
        source_days=source_days(groups),
        matched_share=MappingProxyType({} if links is None else walk.matched_shares(_in_time(groups), names)),
        findings=tuple(findings),
        fingerprint=fingerprint(target, links),
        crosswalk=links,
    )


def _checked(sources: Sequence[OrderSource]) -> list[OrderSource]:
    if isinstance(sources, OrderSource):
        raise DomainError("consolidate takes a list of sources.", value=sources, remedy="Pass [source].")
    chosen = list(sources)
    if not chosen:
        raise DomainError("consolidate needs a source at least.")
    for source in chosen:
        instance_of(source, OrderSource, "A source", made_by="OrderSource(...)")
    names = [source.name for source in chosen]
    if len(set(names)) < len(names):
        raise DomainError("Each source needs a name of its own.", value=names)
    return chosen


def _currencies(read: Sequence[OrderGroups]) -> tuple[set[str], str | None]:
    """Which optional columns are written, and the one currency of all, which then needs no column."""
    columns: set[str] = set().union(*(part.columns for part in read))
    constants = {part.constant_currency for part in read}
    named = [part.source for part in read if part.constant_currency or c.CURRENCY in part.columns]
    if named and len(named) < len(read):
        others = [part.source for part in read if part.source not in named]
        raise DomainError(
            "Either every source names a currency or none.",
            value=f"{', '.join(named)} with, {', '.join(others)} without",
            remedy="Give currency a column, or a code such as 'EUR'.",
        )
    if not named:
        return columns, None
    if len(constants) == 1 and None not in constants:
        return columns, constants.pop()
    return columns | {c.CURRENCY}, None


def _judged(
    groups: pa.Table, policy: walk.Unmatched, *, same_orders: bool
) -> tuple[np.ndarray[Any, Any], list[Finding]]:
    """What becomes of each group."""
    steps = np.full(len(groups), KEPT, dtype=object)
    after = groups[g.AFTER].to_numpy()
    if policy == "error":
        walk.refuse_unmatched(groups.filter(pa.array(~after)))
    if policy == "drop":
        steps[~groups[walk.MATCHED].to_numpy()] = UNMATCHED_DROPPED
    steps[after] = AFTER_AS_OF
    unreadable = groups[UNREADABLE].is_valid().to_numpy()
    if not same_orders:
        steps[(steps == KEPT) & unreadable] = UNREADABLE
        return steps, []
    left = np.flatnonzero(steps == KEPT)
    found = find_same_orders(groups.take(pa.array(left)))
    steps[left[found.merged]] = MERGED
    steps[(steps == KEPT) & unreadable] = UNREADABLE
    return steps, list(found.findings)


def _unmatched(groups: pa.Table, steps: np.ndarray[Any, Any], names: Sequence[str]) -> list[Finding]:
    """What the crosswalk lacks and was kept, by source."""
    own = groups.filter(pa.array((steps != AFTER_AS_OF) & (steps != UNMATCHED_DROPPED) & _lacking(groups)))
    found = []
    for name in names:
        part = own.filter(pc.equal(own[SOURCE], name))
        if not len(part):
            continue
        ids, lines = pc.count_distinct(part[walk.ACCOUNT]).as_py(), pc.sum(part[g.LINES]).as_py()
        sums = part.group_by(c.CURRENCY).aggregate([(c.AMOUNT, "sum")]).sort_by(c.CURRENCY).to_pylist()
        amounts = [(format_money(r["amount_sum"], group=True), printable(r[c.CURRENCY] or "")) for r in sums]
        money = ", ".join(f"{amount} {code}".strip() for amount, code in amounts)
        found.append(
            Finding(
                name=f"unmatched_{name}",
                level="caution",
                sentence=f"{counted(ids, 'id')} of {printable(name)} with {counted(lines, 'line')} ({money}) "
                f"{'is' if ids == 1 else 'are'} not in the crosswalk and {'counts' if ids == 1 else 'count'} as "
                f"{'an account' if ids == 1 else 'accounts'} of {'its' if ids == 1 else 'their'} own.",
                values={"ids": ids, "lines": lines, "amount": money},
            )
        )
    return found


def _repeated(part: OrderGroups) -> Finding | None:
    """Lines that are another line once more: their sum no longer shows that they may have been delivered twice."""
    lines = pc.sum(part.table[g.REPEATED]).as_py() or 0
    if not lines:
        return None
    told = {c.ORDER_ID, c.CATEGORY} <= part.columns
    what = "customer, time, amount" + "".join(f", {name}" for name in (c.ORDER_ID, c.CATEGORY) if name in part.columns)
    return Finding(
        name=f"repeated_lines_{part.source}",
        level="caution" if told else "info",
        sentence=f"At least {counted(lines, 'line')} of {printable(part.source)} "
        f"{'repeats' if lines == 1 else 'repeat'} another line in {what}, and {'was' if lines == 1 else 'were'} added "
        "up with it. If lines were delivered twice, money is too high.",
        values={"lines": lines, "of": pc.sum(part.table[g.LINES]).as_py()},
    )


def _lacking(groups: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    matched: np.ndarray[Any, np.dtype[np.bool_]] = groups[walk.MATCHED].to_numpy()
    return ~matched


def _in_time(groups: pa.Table) -> pa.Table:
    return groups.filter(pc.invert(groups[g.AFTER]))


def _left_out(groups: pa.Table) -> str:
    sums = groups.group_by(STEP).aggregate([(g.LINES, "sum")]).sort_by(STEP).to_pylist()
    return ", ".join(f"{r[STEP]}: {counted(r['lines_sum'], 'line')}" for r in sums) or "no lines"


def _id_type(id_type: pa.DataType, links: pd.DataFrame | None, kept: pa.Table) -> pa.DataType:
    """Type of the ids: that of the sources or of the crosswalk where all agree, else text."""
    if links is None:
        return id_type
    whole = pd.api.types.is_integer_dtype(links[c.CUSTOMER_ID].dtype) and pc.all(kept[walk.MATCHED]).as_py()
    return pa.int64() if whole else pa.string()


def _in_one_kind(
    read: Sequence[OrderGroups], links: pd.DataFrame | None
) -> tuple[list[OrderGroups], pd.DataFrame | None, pa.DataType]:
    """Ids and order numbers as text that is equal where they are the same, decided over all sources.

    With a crosswalk each source has ids of its own, which meet those of the crosswalk.
    """
    orders = in_one_kind(*(part.table[c.ORDER_ID].combine_chunks() for part in read))
    ids = [part.table[SOURCE_ID].combine_chunks() for part in read]
    if links is None:
        ids = list(in_one_kind(*ids))
    else:
        for place, part in enumerate(read):
            links, ids[place] = walk.like_the_source(links, part.source, ids[place])
    whole = all(
        pc.all(pc.match_substring_regex(texts.drop_null(), r"^(0|-?[1-9][0-9]{0,18})$")).as_py() is not False
        for texts in ids
    )
    kinds = {part.id_type for part in read if part.id_type is not None}
    if any(part.id_type is None for part in read):
        kinds.add(pa.int64() if whole else pa.string())
    shaped = []
    for part, of_source, of_orders in zip(read, ids, orders, strict=True):
        table = part.table.set_column(part.table.schema.get_field_index(SOURCE_ID), SOURCE_ID, of_source)
        table = table.set_column(table.schema.get_field_index(c.ORDER_ID), c.ORDER_ID, of_orders)
        shaped.append(replace(part, table=table))
    return shaped, links, kinds.pop() if len(kinds) == 1 else pa.string()


def _orders_alike(read: Sequence[OrderGroups]) -> list[Finding]:
    """Order numbers of two sources that differ in what is often no difference: they are two orders here."""
    seen: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for part in read if len(read) > 1 else ():
        texts = [text for text in pc.unique(part.table[c.ORDER_ID]).to_pylist() if text is not None]
        keys = {folded(text): text for text in texts}
        pairs += [(seen[key], text) for key, text in keys.items() if seen.get(key, text) != text]
        seen |= {key: text for key, text in keys.items() if key not in seen}
    if not pairs:
        return []
    return [
        Finding(
            name="order_ids_alike",
            level="caution",
            sentence=f"{counted(len(pairs), 'order id')} of a later source {'differs' if len(pairs) == 1 else 'differ'}"
            " from one of an earlier source only by case, blanks, zeros before it or a decimal .0, for example "
            f"{pairs[0][0]!r} and {pairs[0][1]!r}: they are taken for different orders.",
            values={"orders": len(pairs), "example": pairs[0][0]},
        )
    ]


def _unreadable(groups: pa.Table, steps: np.ndarray[Any, Any], names: Sequence[str]) -> list[Finding]:
    """What of each source cannot be read, below the share that would refuse it."""
    lost = groups.filter(pa.array(steps == UNREADABLE))
    cautions = []
    for name in names:
        part = lost.filter(pc.equal(lost[SOURCE], name))
        if not len(part):
            continue
        lines = pc.sum(part[g.LINES]).as_py()
        of_amounts = pc.starts_with(part[UNREADABLE], "amount")
        texts = [
            *pc.unique(part.filter(of_amounts)[g.AMOUNT_TEXT]).to_pylist(),
            *pc.unique(part.filter(pc.invert(of_amounts))[c.DATE]).to_pylist(),
        ]
        cautions.append(
            Finding(
                name=f"unreadable_{name}",
                level="caution",
                sentence=f"{counted(lines, 'line')} of {printable(name)} cannot be read and "
                f"{'is' if lines == 1 else 'are'} left out: {', '.join(map(repr, texts[:5]))}.",
                values={"lines": lines},
            )
        )
    return cautions
