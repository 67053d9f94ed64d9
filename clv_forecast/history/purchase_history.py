"""The purchase history: what every customer bought up to a day, as it was known on that day."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from clv_forecast import columns as c
from clv_forecast.arguments import check_share, parse_day
from clv_forecast.errors import DomainError, InputError
from clv_forecast.history import cleaning, observations, reconciliation, summary
from clv_forecast.history.attributes import align, read_attributes
from clv_forecast.history.audit import Audit, Finding, counted
from clv_forecast.history.cleaning import EPOCH, PURCHASE, REFUND, Rules
from clv_forecast.history.cleaning import RefundPolicy as RefundPolicy
from clv_forecast.history.diagnostics import diagnose
from clv_forecast.history.reconciliation import refuse_unusable
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.tables.source import Source, column_names, open_source
from clv_forecast.tables.text_format import TextFormat
from clv_forecast.units import TimeUnit, check_unit

DIAGNOSED_PURCHASES: Final = 500_000
"""Above this many purchase-days the diagnostics read those of about every n-th customer, to bound memory."""
_ROWS_SHOWN: Final = 5
_SHOWN: Final = (
    *(c.CUSTOMER_ID, c.FIRST_PURCHASE, c.LAST_PURCHASE, c.FREQUENCY, c.RECENCY),
    *(c.T, c.MONETARY_VALUE, c.TOTAL_REVENUE),
)

_COHORTS: Final = {"cohort_month": "M", "cohort_quarter": "Q", "cohort_year": "Y"}
COHORTS: Final = tuple(_COHORTS)
"""Names of the attributes that every history has: the period of the first purchase."""
_UNDATED: Final = Finding(
    name="attributes_undated",
    level="caution",
    sentence="The customers' attributes carry no date: they are today's, and were used as if known at the split. An "
    "attribute that changed since then, or was set by what came later, tells the calibration of its future.",
    values={},
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Events:
    """Where the rows lie and how they were read: enough to net them again as of another day.

    Parameters
    ----------
    source : Source
    rules : Rules
    observed_from : datetime.date, optional
        As the caller gave it.
    attributes : DataFrame, optional
        All rows of the customers' table.
    days : ibis Table
        Purchase-days as known at ``rules.as_of``; lazy.
    """

    source: Source
    rules: Rules
    observed_from: datetime.date | None
    attributes: pd.DataFrame | None
    days: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PurchaseHistory:
    """What every customer bought up to and including ``as_of``.

    Parameters
    ----------
    table : DataFrame
        One row per customer, sorted by ``customer_id``, in the columns of ``columns.HISTORY``; times in ``unit``,
        money in ``currency``. With a margin column also ``total_margin`` (NaN where a row's margin is unknown).
    customers : DataFrame, optional
        Attributes in the row order of ``table``; missing for customers without.
    as_of : Timestamp
        Midnight at the start of the last day that counts; orders of that whole day count.
    unit : {"hour", "day", "week", "month", "year"}
    currency, time_zone : str, optional
    audit : Audit
        What became of every row.
    events : Events, optional
        The rows where they lie; None for a history made from a summary.
    purchase_grain : str
        A purchase is what a customer bought on one day of the time zone, if net money is left of it.
    """

    table: pd.DataFrame
    customers: pd.DataFrame | None
    as_of: pd.Timestamp
    unit: TimeUnit
    currency: str | None
    time_zone: str | None
    audit: Audit
    events: Events | None
    purchase_grain: str = "customer-day"

    def __repr__(self) -> str:
        return f"<PurchaseHistory of {counted(len(self.table), 'customer')}, {self.unit}s, as of {self.as_of.date()}>"

    def _repr_html_(self) -> str:
        what = f"{counted(len(self.table), 'customer')} as of {self.as_of.date()}, times in {self.unit}s"
        money = f", money in {printable(self.currency)}" if self.currency else ""
        return (
            notebook_html(
                f"PurchaseHistory of {what}{money}",
                self.table.assign(currency=self.currency),
                shown=_SHOWN,
                see=[(".table", f"all {len(self.table):,} customers"), (".purchases()", "what they bought, by day")],
                rows=_ROWS_SHOWN,
            )
            + self.audit._repr_html_()
        )

    def purchases(self) -> pd.DataFrame:
        """Purchase-days net of refunds: customer_id, date, amount, sorted by customer and date.

        Raises
        ------
        InputError
            If the history was made from a summary.
        """
        events = self._events("list its purchases")
        return summary.days_frame(events.source, events.days)

    def split(self, at: Any) -> Split:
        """Calibrate on what was known at the end of the day ``at``; hold out what was bought after.

        The calibration history is made anew from the rows recorded by then (by their date where no recording time
        was given): a cancellation that came later does not touch its orders. The holdout is what remained of the
        later purchases as known at this history's ``as_of``.

        Parameters
        ----------
        at : date, Timestamp or ISO text
            Last day of the calibration.

        Returns
        -------
        Split

        Raises
        ------
        DomainError
            If ``at`` is no day before ``as_of``.
        InputError
            If nothing was bought by then, or the history was made from a summary.

        Examples
        --------
        >>> from clv_forecast.history import load_cdnow, purchase_history
        >>> halves = purchase_history(load_cdnow("1/10"), as_of="1998-06-30").split("1997-09-30")
        >>> len(halves.calibration.table), int(halves.holdout["holdout_purchases"].sum())
        (2349, 1882)
        """
        events = self._events("split it")
        day = parse_day(at, "at")
        if day >= events.rules.as_of:
            raise DomainError(f"at must be a day before as_of, {events.rules.as_of}.", value=str(day))
        known_then = dataclasses.replace(events.rules, as_of=day, max_unreadable=1.0)  # judged on all rows before
        calibration = _build(
            events.source,
            known_then,
            unit=self.unit,
            currency=self.currency,
            observed_from=events.observed_from,
            attributes=events.attributes,
        )
        orders = summary.days_frame(events.source, events.days, after=(day - EPOCH).days)
        known = orders[c.CUSTOMER_ID].isin(calibration.table[c.CUSTOMER_ID])
        held = orders[known].reset_index(drop=True)
        sums = held.groupby(c.CUSTOMER_ID)[c.AMOUNT].agg(["size", "sum"])
        holdout = calibration.table[[c.CUSTOMER_ID]].join(sums, on=c.CUSTOMER_ID)
        holdout = holdout.rename(columns={"size": "holdout_purchases", "sum": "holdout_revenue"})
        holdout["holdout_purchases"] = holdout["holdout_purchases"].fillna(0).astype("int64")
        holdout["holdout_revenue"] = holdout["holdout_revenue"].fillna(0.0)
        if calibration.customers is not None:
            calibration = dataclasses.replace(calibration, audit=calibration.audit.with_finding(_UNDATED))
        return Split(
            calibration=calibration,
            holdout=holdout,
            holdout_orders=held,
            new_customer_orders=orders[~known].reset_index(drop=True),
        )

    def _events(self, wish: str) -> Events:
        if self.events is None:
            raise InputError(
                f"A history made from a summary has no orders, so this cannot {wish}.",
                remedy="Make the history from the order log with purchase_history.",
            )
        return self.events


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Split:
    """A history as known at an earlier day, and what its customers bought afterwards.

    Parameters
    ----------
    calibration : PurchaseHistory
    holdout : DataFrame
        One row per customer of the calibration, in its order: customer_id, holdout_purchases, holdout_revenue.
    holdout_orders : DataFrame
        Purchase-days of these customers after the split: customer_id, date, amount.
    new_customer_orders : DataFrame
        Purchase-days after the split of customers not yet known at it, in the same columns.
    """

    calibration: PurchaseHistory
    holdout: pd.DataFrame
    holdout_orders: pd.DataFrame
    new_customer_orders: pd.DataFrame

    def __repr__(self) -> str:
        bought = counted(len(self.holdout_orders), "holdout purchase")
        return f"<Split at {self.calibration.as_of.date()}: {counted(len(self.holdout), 'customer')}, {bought}>"


def purchase_history(
    transactions: Any,
    *,
    as_of: Any,
    unit: str = "week",
    customers: Any = None,
    customer: str = "customer_id",
    date: str = "date",
    amount: str = "amount",
    order_id: str | None = None,
    category: str | None = None,
    margin: str | None = None,
    currency: str | None = None,
    rates: Mapping[str, Any] | None = None,
    recorded_at: str | None = None,
    refunds: RefundPolicy = "net",
    observed_from: Any = None,
    time_zone: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    date_format: str | None = None,
    sheet: str | None = None,
    max_unreadable: float = cleaning.MAX_UNREADABLE,
) -> PurchaseHistory:
    """Turn an order log into one row per customer, with an account of every row.

    Parameters
    ----------
    transactions : pandas or polars DataFrame, pyarrow or Ibis table, DuckDB relation, str or Path
        One row per order or order line. A path leads to CSV (with a header), Parquet or Excel files and may hold
        wildcards; the files are read where they lie, and must not change while the history is in use. Of any other
        table the named columns are copied.
    as_of : date, Timestamp or ISO text (YYYY-MM-DD)
        Last day that counts, inclusive; without a time zone. There is no default: the last order's day would make
        a base that stopped buying look alive.
    unit : {"hour", "day", "week", "month", "year"}
        Unit of ``recency`` and ``T``.
    customers : like ``transactions``, optional
        Attributes, one row per customer, under the same customer column.
    customer, date, amount : str
        Columns of the log. Refunds are negative amounts.
    order_id, category, recorded_at : str, optional
        Columns that help to match refunds, and say when a row became known.
    margin : str, optional
        Money, not a rate: the column of what each row leaves after its own costs. ``rates`` convert it too.
    currency : str, optional
        Column of currency codes; or, in three capital letters, the code of the whole log.
    rates : mapping of str to number, optional
        Value of one unit of each currency in the reporting currency, whose own rate is 1.
    refunds : {"net", "drop", "error"}
        Take refunds from their purchases, leave them out, or refuse them.
    observed_from : date, Timestamp or ISO text, optional
        Customers whose first purchase seen lies before were already there, not new. Default: a year after the
        first purchase, or a quarter of the log when it is shorter than two years.
    time_zone : str, optional
        Named zone whose calendar days count; required when times carry a zone. Times without one are local.
    encoding, delimiter, quote, decimal, thousands, date_format, sheet : str, optional
        How text is written: see ``TextFormat``. What is not given is inferred from all rows, and the audit says what
        was; text that can be read in two ways is refused.
    max_unreadable : float
        Largest share of the rows, or of the money at its largest reading, that may be left out because a date or an
        amount cannot be read.

    Returns
    -------
    PurchaseHistory

    Raises
    ------
    DomainError
        If an option is outside its domain.
    InputError
        If a file cannot be read or was changed, a column is missing or of a wrong kind, too much cannot be read or can
        be read in two ways, currencies are mixed without rates, refunds are to be refused, the customers' table does
        not fit, or no purchase is left by ``as_of``.

    Notes
    -----
    A purchase is a customer-day with money left after refunds; ``T`` runs from the first purchase's day to the day
    ``as_of``. Money is summed as DECIMAL(38, 6) and becomes float once. How refunds find their purchase is
    told in ``refunds.match_refunds``. Everything before that runs in DuckDB, wherever the rows lie.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({
    ...     "customer_id": ["a", "a", "b", "b"],
    ...     "date": ["2024-01-01", "2024-01-15", "2024-01-08", "2024-01-20"],
    ...     "amount": [10.0, 20.0, 30.0, -5.0],
    ... })
    >>> history = purchase_history(log, as_of="2024-01-29")
    >>> history.table[["customer_id", "frequency", "recency", "T", "total_revenue"]]
      customer_id  frequency  recency    T  total_revenue
    0           a          1      2.0  4.0           30.0
    1           b          0      0.0  3.0           25.0
    >>> history.audit.ledger[-1].sentence
    'Kept: 3 rows, 55.00 net of refunds, in 3 purchase-days of 2 customers.'
    """
    checked_unit = check_unit(unit)
    rules = Rules(
        as_of=parse_day(as_of, "as_of"),
        refunds=cleaning.check_refunds(refunds),
        time_zone=cleaning.check_time_zone(time_zone),
        rates=cleaning.check_rates(rates),
        max_unreadable=check_share(max_unreadable, "max_unreadable"),
    )
    form = TextFormat(
        encoding=encoding,
        delimiter=delimiter,
        quote=quote,
        decimal=decimal,
        thousands=thousands,
        date_format=date_format,
        sheet=sheet,
    )
    opening = None if observed_from is None else parse_day(observed_from, "observed_from")
    chosen = {c.CUSTOMER_ID: customer, c.DATE: date, c.AMOUNT: amount, c.ORDER_ID: order_id, c.CATEGORY: category}
    chosen |= {c.MARGIN: margin, c.CURRENCY: currency, c.RECORDED_AT: recorded_at}
    mapping = {name: str(column) for name, column in chosen.items() if column is not None}
    source, constant = open_with_currency(transactions, mapping, form, time_zone=rules.time_zone)
    _check_sign(source, constant)
    return _build(
        source,
        dataclasses.replace(rules, placeholders=cleaning.placeholder_days(source, rules)),
        unit=checked_unit,
        currency=cleaning.check_currency(source, rules.rates, constant),
        observed_from=opening,
        attributes=None if customers is None else read_attributes(customers, customer),
    )


def open_with_currency(
    transactions: Any, mapping: Mapping[str, str], form: TextFormat, *, time_zone: str | None, alone: bool = True
) -> tuple[Source, str | None]:
    """Open the log; three capital letters that name no column of it are the currency of all its amounts."""
    named = mapping.get(c.CURRENCY)
    if not cleaning.is_currency_code(named) or named in column_names(transactions, form):
        return open_source(transactions, mapping, format=form, time_zone=time_zone, alone=alone), None
    without = {name: column for name, column in mapping.items() if name != c.CURRENCY}
    return open_source(transactions, without, format=form, time_zone=time_zone, alone=alone), named


_SIGNS: Final = {"€": "EUR", "£": "GBP", "₹": "INR", "zł": "PLN", "Kč": "CZK", "Ft": "HUF", "₽": "RUB", "₪": "ILS"}


def _check_sign(source: Source, code: str | None) -> None:
    """Refuse amounts that carry the sign of another currency than the one they are said to be in."""
    sign = source.sign if cleaning.is_currency_code(source.sign) else _SIGNS.get(source.sign)
    if code is not None and sign is not None and sign != code:
        raise InputError(
            "Amounts carry the sign of another currency than the one given.",
            value=f"{source.sign} beside the amounts, currency={code!r}",
            remedy="Give the currency of the amounts.",
        )


def _build(
    source: Source,
    rules: Rules,
    *,
    unit: TimeUnit,
    currency: str | None,
    observed_from: datetime.date | None,
    attributes: pd.DataFrame | None,
) -> PurchaseHistory:
    counts, rows = reconciliation.count_rows(source, cleaning.classify(source, rules))
    shown = reconciliation.examples(source, rows, [kind for kind in counts if kind not in reconciliation.NO_EXAMPLE])
    refuse_unusable(source, rows, rules, counts=counts, shown=shown)
    margin = c.MARGIN in source.table.columns
    refund_rows = counts[REFUND].rows if REFUND in counts else 0
    usable = cleaning.usable(rows)
    usable = source.settle(usable, counts[PURCHASE].rows + refund_rows)
    days, refunded = summary.purchase_days(source, usable, refunds=refund_rows > 0, margin=margin)
    days = source.settle(days, counts[PURCHASE].rows)
    as_of_day = (rules.as_of - EPOCH).days
    table = summary.customer_table(source, days, as_of_day=as_of_day, unit=unit, margin=margin)
    opening = observed_from or observations.opening_end(table, rules.as_of)
    table[c.ALREADY_THERE] = table[c.FIRST_PURCHASE] < pd.Timestamp(opening)
    aligned, findings = align(table[c.CUSTOMER_ID], attributes)
    seen = observations.Seen(
        source=source,
        rows=usable,
        classified=rows,
        rules=rules,
        counts=counts,
        refunded=refunded,
        table=table,
        opening=opening,
        opening_given=observed_from is not None,
    )
    findings = (
        observations.findings(seen)
        + findings
        + _diagnosed(source, days, table, rules=rules, unit=unit, opening=opening)
    )
    steps = reconciliation.ledger(
        counts,
        refunded,
        shown,
        as_of=str(rules.as_of),
        days=int(table[c.SPEND_COUNT_ALL].sum()),
        customers=len(table),
    )
    return PurchaseHistory(
        table=table,
        customers=aligned,
        as_of=pd.Timestamp(rules.as_of),
        unit=unit,
        currency=currency,
        time_zone=rules.time_zone,
        audit=Audit(ledger=steps, findings=findings, currency=currency),
        events=Events(source=source, rules=rules, observed_from=observed_from, attributes=attributes, days=days),
    )


def _diagnosed(
    source: Source, days: Any, table: pd.DataFrame, *, rules: Rules, unit: TimeUnit, opening: datetime.date
) -> tuple[Finding, ...]:
    """Findings on timing and money; a large log is judged by about every n-th customer, and the audit says so."""
    purchases = int(table[c.SPEND_COUNT_ALL].sum())
    every = -(-purchases // DIAGNOSED_PURCHASES)
    chosen = days if every == 1 else summary.days_of_every(days, every)
    found = diagnose(
        table,
        summary.days_frame(source, chosen),
        as_of=pd.Timestamp(rules.as_of),
        unit=unit,
        observed_from=pd.Timestamp(opening),
    )
    if every == 1:
        return found
    sampled = Finding(
        name="diagnosed_on_part",
        level="info",
        sentence=f"Timing, spend and season are judged on about one customer in {every:,}, as the log has "
        f"{purchases:,} purchases; the history itself has all of them.",
        values={"every": every, "purchases": purchases},
    )
    return (*found, sampled)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribute:
    """One attribute of every customer.

    Parameters
    ----------
    name : str
    values : Series
        In the row order of ``history.table``; missing where unknown.
    dated : bool
        Whether it was known when the customer was first seen. A column of the customers' table carries no date: it
        is what is known today.
    """

    name: str
    values: pd.Series[Any]
    dated: bool


def customer_attribute(history: PurchaseHistory, name: str) -> Attribute:
    """Look an attribute up: a column of the customers, or a cohort of the first purchase.

    Parameters
    ----------
    history : PurchaseHistory
    name : str
        A column of ``history.customers``, or ``"cohort_month"``, ``"cohort_quarter"`` or ``"cohort_year"``. A
        column of the customers goes before a cohort of that name.

    Returns
    -------
    Attribute

    Raises
    ------
    DomainError
        If there is no such attribute.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> customer_attribute(history, "cohort_month").values.value_counts().sort_index().to_dict()
    {'1997-01': 777, '1997-02': 854, '1997-03': 718}
    """
    if not isinstance(name, str):
        raise DomainError("One attribute of the customers is taken, by its name.", value=repr(name))
    customers = history.customers
    known = [] if customers is None else [str(column) for column in customers.columns if column != c.CUSTOMER_ID]
    if customers is not None and name in known:
        return Attribute(name=name, values=customers[name], dated=False)
    if name in _COHORTS and c.FIRST_PURCHASE in history.table:
        first = history.table[c.FIRST_PURCHASE]
        cohort = first.dt.to_period(_COHORTS[name]).astype(str).astype("string")
        return Attribute(name=name, values=cohort.where(first.notna()).rename(name), dated=True)
    raise DomainError(
        f"{name!r} is not a column of the customers.",
        value=f"columns {known}",
        remedy="Give purchase_history(customers=...) a table with that column, or use one of "
        f"{', '.join(COHORTS)}, which every history made from orders has.",
    )
