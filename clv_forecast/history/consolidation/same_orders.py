"""Orders that two systems know: recognised by their id, taken once, their differences in money told.

What became of the lines of every source: steps that add up to the line and to the cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from clv_forecast import columns as c
from clv_forecast.errors import InputError
from clv_forecast.history.audit import KEPT, READ, Finding, counted, format_money
from clv_forecast.history.consolidation import order_groups as g
from clv_forecast.history.consolidation.crosswalk import ACCOUNT
from clv_forecast.history.consolidation.order_groups import DAY, RANK, SOURCE, SOURCE_ID, UNREADABLE
from clv_forecast.printable import printable
from clv_forecast.tables.queries import fetch
from clv_forecast.tables.text_format import MONEY

STEP: Final = "step"
AFTER_AS_OF: Final = "after_as_of"
UNMATCHED_DROPPED: Final = "unmatched_dropped"
MERGED: Final = "merged"
STEPS: Final = (READ, AFTER_AS_OF, UNMATCHED_DROPPED, MERGED, UNREADABLE, KEPT)
"""In this order; the first is the sum of the others."""

ROWS: Final = "rows"
GROUPS: Final = "groups"
CUSTOMERS: Final = "customers"
SENTENCE: Final = "sentence"
RECONCILIATION: Final = (SOURCE, STEP, ROWS, GROUPS, CUSTOMERS, c.AMOUNT, c.CURRENCY, SENTENCE)
SOURCE_DAYS: Final = (SOURCE, DAY, g.LINES, c.AMOUNT, c.CURRENCY)

_WHY: Final = {
    AFTER_AS_OF: "dated or recorded after {as_of}, the last day that counts",
    UNMATCHED_DROPPED: "whose id the crosswalk lacks, left out as asked (unmatched='drop')",
    UNREADABLE: "whose date or amount cannot be read",
    MERGED: "of orders that an earlier source has under the same id and account",
}


def reconciliation_table(groups: pa.Table, names: Sequence[str], as_of: str) -> pd.DataFrame:
    """Steps of every source and currency.

    Parameters
    ----------
    groups : pyarrow Table
        In the columns of ``order_groups.SCHEMA``, with the step of each.
    names : sequence of str
        The sources, in their order.
    as_of : str

    Returns
    -------
    DataFrame
        In the columns of ``RECONCILIATION``: ``rows`` are lines of the source, ``groups`` what they were added up to,
        ``customers`` distinct ids, ``amount`` exact money of the lines that have one. Every source and currency begins
        with ``read``, which is the sum of the others, and ends with ``kept``.
    """
    rows = ibis.memtable(groups)
    measures = {
        ROWS: rows[g.LINES].sum(),
        GROUPS: rows.count(),
        CUSTOMERS: rows[SOURCE_ID].nunique(),
        c.AMOUNT: rows[c.AMOUNT].sum().cast(MONEY),
    }
    records = fetch(rows.group_by([RANK, c.CURRENCY, STEP]).agg(**measures)).to_pylist()
    records += [
        record | {STEP: READ} for record in fetch(rows.group_by([RANK, c.CURRENCY]).agg(**measures)).to_pylist()
    ]
    for rank in set(range(len(names))) - {record[RANK] for record in records}:
        empty = {RANK: rank, c.CURRENCY: None, ROWS: 0, GROUPS: 0, CUSTOMERS: 0, c.AMOUNT: None}
        records.append(empty | {STEP: READ})
    kept = {(record[RANK], record[c.CURRENCY]) for record in records if record[STEP] == KEPT}
    for record in [record for record in records if record[STEP] == READ]:
        if (record[RANK], record[c.CURRENCY]) not in kept:
            records.append(record | {STEP: KEPT, ROWS: 0, GROUPS: 0, CUSTOMERS: 0, c.AMOUNT: None})
    records.sort(key=lambda r: (r[RANK], r[c.CURRENCY] is None, r[c.CURRENCY] or "", STEPS.index(r[STEP])))
    for record in records:
        record[SOURCE] = names[record.pop(RANK)]
        record[c.AMOUNT] = Decimal(0) if record[c.AMOUNT] is None else record[c.AMOUNT]
        record[SENTENCE] = _sentence(record, as_of)
    return pd.DataFrame(records, columns=list(RECONCILIATION))


def _sentence(record: dict[str, Any], as_of: str) -> str:
    money = f"{format_money(record[c.AMOUNT], group=True)} {printable(record[c.CURRENCY] or '')}".strip()
    source = printable(record[SOURCE])
    rows, ids = counted(record[ROWS], "line"), counted(record[CUSTOMERS], "id")
    if record[STEP] == READ:
        groups = counted(record[GROUPS], "group")
        return f"{source}: read {rows} of {ids}, {money} in all, added up to {groups} where they lie."
    if record[STEP] == KEPT:
        return f"{source}: kept {rows} of {ids}, {money}."
    return f"{source}: left out {rows} {_WHY[record[STEP]].format(as_of=as_of)}; their money: {money}."


def check_reconciliation(table: pd.DataFrame) -> None:
    """Check that every source and currency adds up.

    Raises
    ------
    InputError
        If lines, groups or money of ``read`` are not the sum of the other steps, or a step is unknown or twice.

    Examples
    --------
    >>> row = {"source": "shop", "currency": None, "customers": 1, "sentence": ""}
    >>> check_reconciliation(pd.DataFrame([
    ...     row | {"step": "read", "rows": 3, "groups": 2, "amount": Decimal("9.50")},
    ...     row | {"step": "kept", "rows": 3, "groups": 2, "amount": Decimal("9.40")},
    ... ]))
    Traceback (most recent call last):
        ...
    clv_forecast.errors.InputError: A reconciliation must add up. Got: shop, amount: 9.50 read, 9.40 in its steps.
    """
    if not set(table[STEP]) <= set(STEPS) or table.duplicated([SOURCE, c.CURRENCY, STEP]).any():
        raise InputError(f"A reconciliation has the steps {', '.join(STEPS)}, each once.", value=table[STEP].tolist())
    for (source, currency), part in table.groupby([SOURCE, c.CURRENCY], dropna=False, sort=False):
        read = part[STEP] == READ
        for name in (ROWS, GROUPS, c.AMOUNT):
            whole, parts = sum(part.loc[read, name].tolist()), sum(part.loc[~read, name].tolist())
            if whole != parts:
                place = f"{source} {currency}" if isinstance(currency, str) else str(source)
                raise InputError(
                    "A reconciliation must add up.", value=f"{place}, {name}: {whole} read, {parts} in its steps"
                )


def source_days(groups: pa.Table) -> pd.DataFrame:
    """Lines and money of every source by day, up to the last day that counts, before anything is merged or dropped.

    Returns
    -------
    DataFrame
        In the columns of ``SOURCE_DAYS``; ``day`` as a date, ``amount`` exact, one row per currency; lines without a
        usable date are not in it.
    """
    rows = ibis.memtable(groups)
    rows = rows.filter(~rows[g.AFTER] & rows[DAY].notnull())
    keys = [RANK, SOURCE, DAY, c.CURRENCY]
    sums = {g.LINES: rows[g.LINES].sum(), c.AMOUNT: rows[c.AMOUNT].sum().fill_null(0).cast(MONEY)}
    fetched = fetch(rows.group_by(keys).agg(**sums).order_by(keys))
    table = pd.DataFrame(
        {
            SOURCE: fetched[SOURCE].to_pandas(),
            DAY: pd.DatetimeIndex(fetched[DAY].to_numpy().astype("datetime64[D]").astype("datetime64[us]")),
            g.LINES: fetched[g.LINES].to_numpy().astype(np.int64),
            c.AMOUNT: pd.Series(fetched[c.AMOUNT].to_pylist(), dtype=object),
            c.CURRENCY: pd.Series(fetched[c.CURRENCY].to_pylist(), dtype=object),
        }
    )
    return table[list(SOURCE_DAYS)]


FAR_APART: Final = 7
"""The same order may be dated some days later by another system; farther apart the ids may be chance."""
_REFUND: Final = "refund"
_PLACE: Final = "place"


@dataclass(frozen=True, slots=True, kw_only=True)
class SameOrders:
    """Which groups are an order that an earlier source has, and what that showed.

    Parameters
    ----------
    merged : ndarray of bool, shape (group,)
    findings : tuple of Finding
    """

    merged: np.ndarray[Any, np.dtype[np.bool_]]
    findings: tuple[Finding, ...]


def same_orders(groups: pa.Table) -> SameOrders:
    """Find orders of one account that several sources have: the first source wins.

    Parameters
    ----------
    groups : pyarrow Table
        In the columns of ``order_groups.SCHEMA``, with the account.

    Returns
    -------
    SameOrders
        An order id is the same when its text is. Under different accounts it is not merged, but counted. Purchases
        and refunds of an order are looked at apart: a refund that only a later source knows is no copy.
    """
    numbered = groups.append_column(_PLACE, pa.array(np.arange(len(groups))))
    rows = ibis.memtable(numbered)
    rows = rows.filter(rows[c.ORDER_ID].notnull() & rows[ACCOUNT].notnull())
    rows = rows.mutate(**{_REFUND: (rows[c.AMOUNT] < 0).fill_null(False)})
    keys = [ACCOUNT, c.ORDER_ID]
    by_sign = rows.group_by([*keys, _REFUND]).agg(first=rows[RANK].min(), last=rows[RANK].max())
    joined = rows.inner_join(by_sign.filter(by_sign.first < by_sign.last), [*keys, _REFUND])
    losers = fetch(joined.filter(joined[RANK] > joined["first"])[_PLACE])
    merged = np.zeros(len(groups), dtype=np.bool_)
    merged[np.asarray(losers, dtype=np.int64)] = True
    findings = [_orders(joined, keys), _elsewhere(rows)]
    return SameOrders(merged=merged, findings=tuple(found for found in findings if found is not None))


def _orders(joined: Any, keys: list[str]) -> Finding | None:
    """How many orders were merged, and how far the systems disagree on their money."""
    each = joined.group_by([*keys, RANK, "first"]).agg(
        money=joined[c.AMOUNT].sum().cast(MONEY),
        codes=joined[c.CURRENCY].fill_null("").nunique(),
        code=joined[c.CURRENCY].fill_null("").min(),
        start=joined[DAY].min(),
    )
    one, two = each.filter(each[RANK] == each["first"]), each.filter(each[RANK] > each["first"])
    pair = one.inner_join(two.rename({f"{name}_2": name for name in two.columns if name not in keys}), keys)
    comparable = (pair.codes == 1) & (pair.codes_2 == 1) & (pair.code == pair.code_2)
    gap = (pair.money_2.fill_null(0) - pair.money.fill_null(0)).cast(MONEY)
    measures = {
        "orders": pair.count(),
        "incomparable": (~comparable).sum(),
        "differ": (comparable & (gap != 0)).sum(),
        "far": ((pair.start_2 - pair.start).abs() > FAR_APART).fill_null(False).sum(),
    }
    got = fetch(pair.agg(**measures)).to_pylist()[0]
    orders = int(got["orders"] or 0)
    if not orders:
        return None
    by_code = fetch(
        pair.filter(comparable & (gap != 0))
        .group_by("code")
        .agg(size=gap.abs().sum().cast(MONEY), net=gap.sum().cast(MONEY))
        .order_by("code")
    ).to_pylist()
    return _told(orders, {name: int(value or 0) for name, value in got.items()}, by_code)


def _told(orders: int, got: dict[str, int], by_code: list[dict[str, Any]]) -> Finding:
    differ, far = got["differ"], got["far"]
    sums = ", ".join(
        f"{_amount(r['size'], r['code'])} in all ({_amount(r['net'], r['code'])} on balance)" for r in by_code
    )
    money = (
        f" Of them {differ:,} {'differs' if differ == 1 else 'differ'} in money, by {sums}, the later source against "
        "the one taken."
        if differ
        else " Their money agrees."
        if not got["incomparable"]
        else ""
    )
    if got["incomparable"]:
        money += f" {counted(got['incomparable'], 'order')} in different currencies could not be compared."
    apart = (
        f" {counted(far, 'order')} {'lies' if far == 1 else 'lie'} more than {FAR_APART} days apart: if the systems "
        "number their orders independently, pass same_orders=False."
        if far
        else ""
    )
    return Finding(
        name="same_orders",
        level="caution" if differ or far else "info",
        sentence=f"{counted(orders, 'order')} of a later source {'is' if orders == 1 else 'are'} known to an earlier "
        f"one under the same id and account, and {'was' if orders == 1 else 'were'} taken from there only."
        f"{money}{apart}",
        values={
            "orders": orders,
            "differ": differ,
            "far_apart": far,
            "incomparable": got["incomparable"],
            **{f"difference{'_' if r['code'] else ''}{r['code']}": format_money(r["size"]) for r in by_code},
            **{f"balance{'_' if r['code'] else ''}{r['code']}": format_money(r["net"]) for r in by_code},
        },
    )


def _amount(amount: Decimal, code: str) -> str:
    return f"{format_money(amount, group=True)} {printable(code)}".strip()


def _elsewhere(rows: Any) -> Finding | None:
    """Order ids that several sources have, but under different accounts."""
    owners = rows.group_by(c.ORDER_ID).agg(
        sources=rows[RANK].nunique(), accounts=rows[ACCOUNT].nunique(), places=_pairs(rows).nunique()
    )
    # each account in one source only: nobody shares the order, although the sources do
    strange = owners.filter((owners.sources > 1) & (owners.accounts > 1) & (owners.accounts == owners.places))
    got = fetch(strange.agg(orders=strange.count(), first=strange[c.ORDER_ID].min())).to_pylist()[0]
    orders = int(got["orders"] or 0)
    if not orders:
        return None
    return Finding(
        name="orders_under_other_accounts",
        level="caution",
        sentence=f"{counted(orders, 'order id')} {'occurs' if orders == 1 else 'occur'} in several sources under "
        f"different accounts, for example {got['first']!r}, and {'was' if orders == 1 else 'were'} not merged: either "
        "the crosswalk lacks that these are one account, or the systems number their orders independently.",
        values={"orders": orders, "example": str(got["first"])},
    )


def _pairs(rows: Any) -> Any:
    return ibis.struct({"account": rows[ACCOUNT], "rank": rows[RANK]})
