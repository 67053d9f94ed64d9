"""Why an account stands where it stands, in one plain sentence."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.ranking.wallets import REACHABLE, WALLET_TITLES

Floats = NDArray[np.float64]
_PROBABLY_GONE: Final = 0.5
_FACTS: Final = (
    "rank",
    "value",
    "p_alive",
    "p_loss",
    "wallet",
    "wallet_lower",
    "wallet_upper",
    "wallet_source",
    "headroom",
    "potential_value",
    "caution",
)


def reasons(
    table: pd.DataFrame,
    *,
    rank_by_value: NDArray[np.int64],
    by_mean: bool,
    growth: Floats | None,
    bought: Floats | None,
    on_offer: int,
) -> list[str]:
    """One sentence per account of a ranking table.

    Parameters
    ----------
    table : DataFrame
        rank, value, p_alive, p_loss, caution; and where known wallet, wallet_lower, wallet_upper, wallet_source,
        headroom, potential_value.
    rank_by_value : ndarray of int, shape (account,)
    by_mean : bool
        Whether ranks are by the mean of value with potential.
    growth : ndarray, shape (account,), optional
        A year, of the account's own business; NaN where not known, or where it may be nothing.
    bought : ndarray, shape (account,), optional
        Categories bought in the last 12 months; NaN where not known.
    on_offer : int

    Returns
    -------
    list of str
        Such as "12th by value, 3rd with potential: buys 2 of 7 categories, wallet 1.2M (0.8M to 1.9M), growing 14 % a
        year."
    """
    facts = table.reindex(columns=list(_FACTS)).assign(by_value=rank_by_value, growth=growth, bought=bought)
    return [_sentence(fact, by_mean, on_offer) for fact in facts.itertuples(index=False)]


def _sentence(fact: Any, by_mean: bool, on_offer: int) -> str:
    head = f"{ordinal(fact.by_value)} by value"
    if by_mean and _known(fact.potential_value) and fact.rank == fact.by_value:
        head += " and with potential"
    elif by_mean and _known(fact.potential_value):
        head += f", {ordinal(fact.rank)} with potential"
    elif fact.rank != fact.by_value:
        head += f", {ordinal(fact.rank)} in this order"
    found = []
    if _known(fact.bought):
        found.append(f"buys {int(fact.bought)} of {on_offer} categories")
    if _known(fact.wallet) and fact.headroom == 0.0:
        found.append(f"expected to bring its {WALLET_TITLES.get(fact.wallet_source, REACHABLE)} already")
    elif _known(fact.wallet):
        what = WALLET_TITLES.get(fact.wallet_source, REACHABLE)
        band = f" ({money(fact.wallet_lower)} to {money(fact.wallet_upper)})"
        found.append(f"{what} {money(fact.wallet)}{band if fact.wallet_upper > fact.wallet_lower else ''}")
    if _known(fact.growth) and abs(fact.growth) >= 0.005:
        found.append(_growth(fact.growth))
    if fact.p_alive < _PROBABLY_GONE:
        found.append(f"probably gone (alive with {100.0 * fact.p_alive:.0f} %)")
    if fact.value < 0.0 and fact.p_loss > 0.5:
        found.append("expected to lose money")
    text = f"{head}: {', '.join(found)}." if found else f"{head}."
    return f"{text} {fact.caution}" if fact.caution else text


def _known(value: Any) -> bool:
    return value is not None and bool(value == value)


def _growth(growth: float) -> str:
    if growth <= -1.0:
        return "nothing bought in the last year"
    if growth >= 1.995:
        return f"{growth + 1.0:,.0f} times as much each year"
    return f"{'growing' if growth > 0 else 'shrinking'} {100.0 * abs(growth):.0f} % a year"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ...

    Examples
    --------
    >>> [ordinal(n) for n in (1, 2, 3, 4, 11, 112, 121)]
    ['1st', '2nd', '3rd', '4th', '11th', '112th', '121st']
    """
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def money(amount: float) -> str:
    """An amount in a few characters.

    Examples
    --------
    >>> [money(x) for x in (12.3, 999.6, 12_345, 1_234_567, -2.5e9)]
    ['12', '1.0k', '12.3k', '1.2M', '-2.5B']
    """
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size * 0.9995:
            return f"{amount / size:z.1f}{letter}"
    return f"{amount:z,.0f}"
