"""Which column of an order log means what, guessed by its name and by what it holds."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from clv_forecast.configuration.table_look import ColumnLook, TableLook
from clv_forecast.history.cleaning import is_currency_code

MOST_CATEGORIES: Final = 200
_HIGHEST_RATE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a column can mean: names it often has, the likeliest first, and parts of names; none of ``never``."""

    names: tuple[str, ...]
    parts: tuple[str, ...]
    never: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A column for a role, or None, and why."""

    column: str | None
    why: str


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "customer": Role(
            names=_words(
                "customerid custid customerno customernumber customerkey customer clientid client accountid accountno "
                "account buyerid buyer memberid member userid user contactid partnerid companyid company kundennummer "
                "kundennr kundenid kunde debitor"
            ),
            parts=_words("customer client account buyer member kunde"),
            never=_words("name mail type segment country since age group city date amount value revenue total count"),
            kinds=("integer", "text", "number"),
        ),
        "date": Role(
            names=_words(
                "orderdate orderedat orderedon invoicedate purchasedate transactiondate salesdate bookingdate "
                "documentdate date day datetime timestamp createdat created datum bestelldatum rechnungsdatum"
            ),
            parts=_words("order invoice purchase date datum time day"),
            never=_words("ship deliver due birth update record load paid payment end expir modif cancel ingest insert"),
            kinds=("day", "odd day"),
        ),
        "recorded_at": Role(
            names=_words("recordedat recordedon recorded loadedat ingestedat insertedat bookedat postedat enteredat"),
            parts=_words("recorded loaded ingested inserted"),
            never=(),
            kinds=("day",),
        ),
        "amount": Role(
            names=_words(
                "amount netamount revenue netrevenue orderamount ordervalue ordertotal linetotal lineamount netvalue "
                "total totalamount totalprice sales salesamount turnover subtotal money spend value umsatz betrag "
                "nettobetrag grossamount"
            ),
            parts=_words("amount revenue total umsatz betrag sales turnover"),
            never=_words("quantity qty tax vat discount ship freight cost margin count rate number unit percent pct"),
            kinds=("number", "integer"),
        ),
        "order_id": Role(
            names=_words(
                "orderid orderno ordernumber ordernr invoiceid invoiceno invoicenumber invoice transactionid receiptid "
                "receiptno documentno bookingid bestellnummer rechnungsnummer order"
            ),
            parts=_words("orderid orderno invoice transactionid receipt"),
            never=_words("date line value amount item time day"),
            kinds=("integer", "text"),
        ),
        "currency": Role(
            names=_words("currency currencycode ccy curr waehrung währung"),
            parts=_words("currency"),
            never=_words("rate"),
            kinds=("text",),
        ),
        "category": Role(
            names=_words(
                "category productcategory productgroup productline productfamily department family warengruppe "
                "kategorie producttype product item sku stockcode"
            ),
            parts=_words("category productgroup warengruppe"),
            never=_words("customer account"),
            kinds=("text", "integer"),
        ),
        "margin": Role(
            names=_words(
                "margin marginamount contribution contributionmargin grossprofit profit grossmargin deckungsbeitrag"
            ),
            parts=_words("margin profit contribution"),
            never=_words("rate percent pct"),
            kinds=("number", "integer"),
        ),
    }
)
QUANTITY: Final = _words("quantity qty units menge anzahl pieces")
PRICE: Final = _words("price unitprice itemprice preis einzelpreis")


def plain_name(name: str) -> str:
    """A column's name without case, blanks and signs.

    Examples
    --------
    >>> plain_name("Customer ID"), plain_name("invoice_date")
    ('customerid', 'invoicedate')
    """
    return re.sub(r"[^\w]|_", "", name.casefold())


def guess_columns(look: TableLook) -> dict[str, Guess]:
    """Guess the columns of an order log; each column is given one role.

    Parameters
    ----------
    look : TableLook

    Returns
    -------
    dict of str to Guess
        By role: customer, date, recorded_at, amount, order_id, currency, category, margin.

    Examples
    --------
    >>> columns = [("CustomerID", "integer"), ("InvoiceDate", "day"), ("Quantity", "integer"), ("Price", "number")]
    >>> look = TableLook(
    ...     rows=9, columns=tuple(ColumnLook(name=name, kind=kind, distinct=5, values=()) for name, kind in columns)
    ... )
    >>> found = guess_columns(look)
    >>> found["customer"].column, found["date"].column, found["amount"].column
    ('CustomerID', 'InvoiceDate', None)
    """
    taken: set[str] = set()
    found: dict[str, Guess] = {}
    for name, role in ROLES.items():
        fitting = [column for column in look.columns if _fits(name, column)]
        guess = _by_name(role, [column for column in fitting if column.name not in taken])
        if guess.column is None:
            guess = _by_kind(name, look, fitting, taken)
        if name == "amount" and guess.column is None:
            guess = _price_alone(look)
        if guess.column is None:
            guess = _not_taken(name, look)
        found[name] = guess
        taken |= {guess.column} if guess.column is not None else set()
    return found


def quantity_and_price(look: TableLook) -> tuple[str, str] | None:
    """Columns of a number of pieces and of the price of one, if the log has both."""
    quantity = _named(look, QUANTITY)
    price = _named(look, PRICE)
    return None if quantity is None or price is None else (quantity, price)


def _fits(role: str, column: ColumnLook) -> bool:
    """Whether what the column holds can mean this."""
    if column.kind not in ROLES[role].kinds:
        return False
    if role == "currency":
        return all(is_currency_code(value) for value in column.values)
    if role == "category":
        return 2 <= column.distinct <= MOST_CATEGORIES
    if role == "margin":
        return max(abs(column.low or 0.0), abs(column.high or 0.0)) > _HIGHEST_RATE
    return True


def _by_name(role: Role, columns: Collection[ColumnLook]) -> Guess:
    plain = {column.name: plain_name(column.name) for column in columns}
    exact = sorted((role.names.index(text), name) for name, text in plain.items() if text in role.names)
    alike = [
        name
        for name, text in plain.items()
        if text not in role.names and _has(text, role.parts) and not _has(text, role.never)
    ]
    ordered = [name for _, name in exact] + alike
    if not ordered:
        return Guess(column=None, why="")
    others = f" Also possible: {', '.join(ordered[1:4])}." if len(ordered) > 1 else ""
    return Guess(column=ordered[0], why=f"Guessed by its name.{others}")


def _by_kind(role: str, look: TableLook, fitting: Collection[ColumnLook], taken: Collection[str]) -> Guess:
    """The only column that holds days is the date, the only one that holds broken numbers the amount."""
    left = [column for column in fitting if column.name not in taken]
    if role == "date" and len(left) == 1:
        return Guess(column=left[0].name, why="Guessed: the only column of days.")
    numbers = [column for column in left if column.kind == "number" and not _has(plain_name(column.name), PRICE)]
    if role == "amount" and len(numbers) == 1 and not _has(plain_name(numbers[0].name), ROLES["amount"].never):
        return Guess(column=numbers[0].name, why="Guessed: the only column of numbers with decimals.")
    return Guess(column=None, why="")


def _not_taken(role: str, look: TableLook) -> Guess:
    """A column of the right name that holds something else, so that nobody looks for the reason."""
    reasons = {
        "category": f"it has more than {MOST_CATEGORIES} different values, or one",
        "margin": "it holds rates, and money is needed",
    }
    named = [column.name for column in look.columns if plain_name(column.name) in ROLES[role].names]
    if role not in reasons or not named:
        return Guess(column=None, why="")
    return Guess(column=None, why=f"Not {named[0]}: {reasons[role]}.")


def _price_alone(look: TableLook) -> Guess:
    """A price is what was paid where nothing says that several pieces were bought."""
    price = _named(look, PRICE)
    if price is None or _named(look, QUANTITY) is not None:
        return Guess(column=None, why="")
    return Guess(column=price, why="Guessed by its name: a price, and no column of pieces.")


def _named(look: TableLook, names: Collection[str]) -> str | None:
    numbers = [column.name for column in look.columns if column.kind in ("number", "integer")]
    return next((name for name in numbers if plain_name(name) in names), None)


def _has(text: str, parts: Collection[str]) -> bool:
    return any(part in text for part in parts)
