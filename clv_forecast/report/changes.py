"""The verb ``changes_since``: from the value of an earlier forecast to that of today's, step by step."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from clv_forecast import columns
from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.result import Forecast

THEN: Final = "value then"
GONE: Final = "accounts no longer in the log"
NEW: Final = "new accounts"
BOTH: Final = "accounts in both"
NOW: Final = "value now"


def changes_since(previous: Forecast, forecast: Forecast, horizon: str) -> pd.DataFrame:
    """Say where the change of the expected value since an earlier forecast comes from.

    Parameters
    ----------
    previous, forecast : Forecast
        The earlier one and today's, both with a spend part and the horizon, in one currency.
    horizon : str
        One of both.

    Returns
    -------
    DataFrame
        step, accounts, value; previous_as_of, horizon, as_of, currency. The steps are "value then", "accounts no longer
        in the log" (what was expected of them, taken off), "new accounts" (what is expected of them), "accounts in
        both" (what is expected of them now less what was expected then) and "value now". Values are rounded to the
        cent, and the first four add up to the last to the cent.

    Raises
    ------
    DomainError
        If a forecast lacks the horizon or a spend part, currencies differ, or the earlier one is the later one.

    Notes
    -----
    Both horizons run from their own day. Ids are matched by value and type: 1 and "1" are two accounts. Where margins,
    costs or the discount rate differ between the forecasts, that too stands under "accounts in both".

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> then = history.split("1997-03-01").calibration
    >>> first, second = (
    ...     clv.forecast(clv.fit(h, compare=False), h, horizons=["12 months"], draws=100) for h in (then, history)
    ... )
    >>> found = changes_since(first, second, "12 months")
    >>> found["accounts"].tolist(), bool(abs(found["value"].iloc[:4].sum() - found["value"].iloc[4]) < 0.005)
    ([1657, 0, 692, 1657, 2349], True)
    """
    for name, given in (("previous", previous), ("forecast", forecast)):
        instance_of(given, Forecast, name, "forecast")
        given.horizons.one(horizon)
        if not given.plan.has_spend:
            raise DomainError("A change of value is money: both forecasts need a spend part.", value=name)
    if previous.currency != forecast.currency:
        raise DomainError("Both forecasts must be in one currency.", value=f"{previous.currency}, {forecast.currency}")
    if previous.as_of > forecast.as_of:
        raise DomainError(
            "The earlier forecast comes first.", value=f"{previous.as_of.date()} and {forecast.as_of.date()}"
        )
    then, now = (_values(one, one.horizons.one(horizon)) for one in (previous, forecast))
    horizon = forecast.horizons.one(horizon)
    gone = sum(value for key, value in then.items() if key not in now)
    new = sum(value for key, value in now.items() if key not in then)
    cents = {THEN: _cents(sum(then.values())), GONE: -_cents(gone), NEW: _cents(new), NOW: _cents(sum(now.values()))}
    cents[BOTH] = cents[NOW] - cents[THEN] - cents[GONE] - cents[NEW]
    both = sum(key in now for key in then)
    accounts = {THEN: len(then), GONE: len(then) - both, NEW: len(now) - both, BOTH: both, NOW: len(now)}
    steps = (THEN, GONE, NEW, BOTH, NOW)
    table = pd.DataFrame(
        {
            "step": steps,
            "accounts": [accounts[step] for step in steps],
            "value": [cents[step] / 100.0 for step in steps],
        }
    )
    return table.assign(
        previous_as_of=previous.as_of, horizon=horizon, as_of=forecast.as_of, currency=forecast.currency
    )


def _values(forecast: Forecast, horizon: str) -> dict[tuple[type, Any], float]:
    table = forecast.customers[forecast.customers["horizon"] == horizon]
    ids, values = table[columns.CUSTOMER_ID].tolist(), table["value"].astype(float).tolist()
    return {(type(key), key): value for key, value in zip(ids, values, strict=True)}


def _cents(amount: float) -> int:
    return round(100.0 * amount)
