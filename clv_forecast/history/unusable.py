"""Why nothing can be made of a log: the one reason, by name, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clv_forecast import columns as c
from clv_forecast.errors import InputError
from clv_forecast.history.audit import READ, counted
from clv_forecast.history.cleaning import EARLIEST_YEAR, KIND, PURCHASE, REFUND, Rules
from clv_forecast.history.reconciliation import Count
from clv_forecast.history.sources import Source

NEARLY_ALL: Final = 0.9
"""From this share of rows on one reason speaks for the whole log."""

_UNREADABLE: Final = ("date_unreadable", "amount_unreadable")
"""A column in another form: a few rows that pass by luck are no log."""
_COLUMN: Final = "Check that the option names the column that holds it."
_REASONS: Final = {
    "date_unreadable": (
        f"Dates must be ISO text such as 1998-06-30 (and not before {EARLIEST_YEAR})",
        "Convert the column first, for example with pandas.to_datetime(..., dayfirst=True) for 30/06/1998, or with "
        "format='%Y%m%d' for 19980630.",
    ),
    "amount_unreadable": (
        "Amounts must be plain numbers such as 29.33",
        "Convert the column first: no currency sign, no separator of thousands, a point before the decimals; for "
        "example with pandas.to_numeric(column.str.replace('$', '')).",
    ),
    "customer_missing": ("Every order needs a customer id", _COLUMN),
    "currency_missing": ("Every order needs a currency where a column of currencies is named", _COLUMN),
    "date_missing": ("Every order needs a date", _COLUMN),
    "amount_missing": ("Every order needs an amount", _COLUMN),
    "amount_infinite": ("Amounts must be finite", _COLUMN),
    "amount_out_of_range": ("Amounts must be of a readable size", _COLUMN),
    "zero_amount": ("A purchase needs an amount above zero", _COLUMN),
    "recorded_after_as_of": (
        "Nothing counts that was recorded after as_of",
        "Move as_of to a day on which the orders were known.",
    ),
}
_REFUNDS: Final = (REFUND, "refund_dropped")


def refuse_unusable(
    source: Source, rows: Any, rules: Rules, counts: Mapping[str, Count], shown: Mapping[str, str]
) -> None:
    """Raise when rows contradict the options, or when no purchase, or hardly one, can be read from them.

    Parameters
    ----------
    source : Source
    rows : ibis Table
        From ``cleaning.classify``.
    rules : Rules
    counts : mapping of str to Count
        Of each kind of row, and ``"read"``.
    shown : mapping of str to str
        One row of each kind that is left out, as text.

    Raises
    ------
    InputError
    """
    offsets = sum(count.offsets for count in counts.values())
    if offsets:
        raise InputError(
            "Dates written with an offset from UTC need time_zone, the named zone whose days count.",
            value=f"{counted(offsets, 'row')} with an offset",
            remedy="Pass for example time_zone='Europe/Berlin'.",
        )
    if rules.refunds == "error" and REFUND in counts:
        refund = rows.filter(rows[KIND] == REFUND)
        first = source.fetch(refund.select(c.CUSTOMER_ID).distinct().order_by(c.CUSTOMER_ID).limit(5))
        raise InputError(
            "refunds='error' allows no negative amount.",
            value=counted(counts[REFUND].rows, "row"),
            customer_ids=source.ids(first[c.CUSTOMER_ID]).tolist(),
            remedy="Use refunds='net' or refunds='drop'.",
        )
    total = counts[READ].rows
    parts = {kind: count.rows for kind, count in counts.items() if kind != READ}
    worst = max(sorted(parts), key=parts.__getitem__, default="")
    speaks = bool(total) and parts[worst] >= NEARLY_ALL * total
    if PURCHASE in counts and not (speaks and worst in _UNREADABLE):
        return
    raise _why(rules, parts, worst if speaks else "", shown)


def _why(rules: Rules, parts: Mapping[str, int], worst: str, shown: Mapping[str, str]) -> InputError:
    """Say why there is no history: ``worst`` is what nearly all rows are, if there is such a kind."""
    total = sum(parts.values())
    if not total:
        return InputError("The order log is empty.", value="no rows", remedy="Check the filter or file it comes from.")
    if worst in _REFUNDS:
        return InputError(
            "The order log has refunds only and no purchase.",
            value=f"{parts[worst]:,} of {counted(total, 'row')} with a negative amount",
            remedy="Purchases are positive and refunds negative: check the sign.",
        )
    if worst == "after_as_of":
        rest = "" if parts[worst] == total else f", or none but {total - parts[worst]:,} of {total:,} rows"
        return InputError(
            f"as_of lies before the first order{rest}.",
            value=f"{rules.as_of}; for example {shown.get(worst)}",
            remedy="Set as_of to the last complete day of the log.",
        )
    if worst in _REASONS:
        rule, remedy = _REASONS[worst]
        return InputError(
            f"{rule}: {parts[worst]:,} of {counted(total, 'row')} {'breaks' if parts[worst] == 1 else 'break'} this.",
            value=f"for example {shown.get(worst)}",
            remedy=remedy,
        )
    return InputError(
        "The order log has no purchase by as_of.",
        value=", ".join(f"{kind}: {counted(rows, 'row')}" for kind, rows in sorted(parts.items())),
        remedy=" ".join(f"{kind}, for example: {shown[kind]}." for kind in sorted(parts) if kind in shown),
    )
