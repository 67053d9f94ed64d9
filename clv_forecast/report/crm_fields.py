"""Fields of the CRM file: what each holds, how it is written, and what it is called there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from clv_forecast import columns
from clv_forecast.errors import DomainError
from clv_forecast.report.spreadsheet_text import csv_text

ID: Final = "id"
MONEY: Final = "money"
SHARE: Final = "share"
COUNT: Final = "count"
DATE: Final = "date"
TEXT: Final = "text"

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        columns.CUSTOMER_ID: ID,
        "value": MONEY,
        "value_lower": MONEY,
        "value_upper": MONEY,
        "p_alive": SHARE,
        "p_loss": SHARE,
        "rank": COUNT,
        "rank_lower": COUNT,
        "rank_upper": COUNT,
        "adjusted_value": MONEY,
        "potential_value": MONEY,
        "cell": TEXT,
        "grade": TEXT,
        "allowable_spend": MONEY,
        "next_order": DATE,
        "reason": TEXT,
        "horizon": TEXT,
        "as_of": DATE,
        "currency": TEXT,
    }
)
"""Our name of each field, and what it holds: money and counts as numbers, shares from 0 to 1, dates as ISO text."""

DAY_OF_THE_RUN: Final = frozenset({"as_of"})
"""Moves with every run: no change of an account."""

DECIMALS: Final[Mapping[str, int]] = MappingProxyType({MONEY: 2, SHARE: 4, COUNT: 0})

_SALESFORCE_WORDS: Final = {columns.CUSTOMER_ID: "Customer_Id", "p_alive": "P_Alive", "p_loss": "P_Loss"}


def field_names(fields: str | Mapping[str, str]) -> dict[str, str]:
    """Return the target's name of each field that is wanted, by our name.

    Parameters
    ----------
    fields : {"plain", "salesforce", "hubspot"} or mapping
        A preset, which names all fields; or our names to the target's, and then only those are written, and the
        customer's id.

    Returns
    -------
    dict

    Raises
    ------
    DomainError
        If a preset or one of our names is unknown, two fields have one name, or a name begins like a formula.

    Examples
    --------
    >>> field_names("salesforce")["customer_id"], field_names("salesforce")["value_lower"]
    ('CLV_Customer_Id__c', 'CLV_Value_Lower__c')
    >>> field_names("hubspot")["value"], field_names({"value": "ltv"})
    ('clv_value', {'customer_id': 'customer_id', 'value': 'ltv'})
    """
    if isinstance(fields, str):
        if fields not in _PRESETS:
            remedy = _nearest(fields, tuple(_PRESETS))
            raise DomainError("Unknown preset of field names.", value=repr(fields), remedy=remedy)
        return {name: _PRESETS[fields](name) for name in FIELDS}
    if not isinstance(fields, Mapping):
        raise DomainError("fields is a preset or a mapping of our names to the target's.", value=type(fields).__name__)
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise DomainError("Unknown field.", value=repr(unknown[0]), remedy=_nearest(str(unknown[0]), tuple(FIELDS)))
    names = {columns.CUSTOMER_ID: columns.CUSTOMER_ID} | dict(fields)
    empty = [name for name, target in names.items() if not isinstance(target, str) or not target.strip()]
    if empty:
        raise DomainError("Every field needs a name at the target.", value=f"{empty[0]}: {names[empty[0]]!r}")
    formulas = [target for target in names.values() if csv_text(target) != target]
    if formulas:
        raise DomainError("A name at the target must not begin like a formula.", value=repr(formulas[0]))
    twice = [target for target in names.values() if list(names.values()).count(target) > 1]
    if twice:
        raise DomainError("Two fields must not have one name.", value=repr(twice[0]))
    return names


def _salesforce(name: str) -> str:
    words = _SALESFORCE_WORDS.get(name) or "_".join(word.capitalize() for word in name.split("_"))
    return f"CLV_{words}__c"


def _hubspot(name: str) -> str:
    return f"clv_{name}"


def _plain(name: str) -> str:
    return name


_PRESETS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {"plain": _plain, "salesforce": _salesforce, "hubspot": _hubspot}
)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known)}."
