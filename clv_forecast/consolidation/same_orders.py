"""Orders that two systems know: recognised by their id, taken once, their differences in money told."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import ibis
import numpy as np
import pyarrow as pa

from clv_forecast import columns as c
from clv_forecast.consolidation.crosswalk import ACCOUNT
from clv_forecast.consolidation.order_groups import DAY, RANK
from clv_forecast.history.audit import Finding, counted, format_money
from clv_forecast.printable import printable
from clv_forecast.tables.queries import fetch
from clv_forecast.tables.text_format import MONEY

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
