"""What moved between two runs besides value: parameters, and the log itself."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.comparison.bridge_states import same_recipe
from clv_forecast.comparison.snapshot import Snapshot
from clv_forecast.forecasting.stack import Stack
from clv_forecast.inference.model import Model
from clv_forecast.printable import printable
from clv_forecast.units import DAYS_PER_UNIT

_RECENT_DAYS: Final = 91
_PARAMETERS: Final = ("model", "parameter", "then", "standard_error", "now", "z")


def parameter_drift(then: Model | Stack, now: Model | Stack, *, kinds: bool = True) -> pd.DataFrame:
    """Say how far every parameter moved, in standard errors of the earlier fit.

    Parameters
    ----------
    then, now : Model or Stack
    kinds : bool
        Whether to look only at fits by one recipe; otherwise at all parameters of one name.

    Returns
    -------
    DataFrame
        model, parameter, then, standard_error, now, z = (now - then) / standard_error; z is missing where the data do
        not identify the parameter. Empty where the models are of different kinds.

    Notes
    -----
    A log that only grows holds most of the earlier one, so a single z is small by chance alone: two fits to samples of
    n and n + m customers differ by about sqrt(m / (n + m)) standard errors of the first. The largest of several z is
    larger. Where an optimum lies on a boundary its parameters have no z, and their drift is not seen.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30")
    >>> model = clv.fit(history, compare=False)
    >>> float(parameter_drift(model, model)["z"].abs().max())
    0.0
    """
    if isinstance(then, Stack) or isinstance(now, Stack):
        if not isinstance(then, Stack) or not isinstance(now, Stack):
            return pd.DataFrame(columns=list(_PARAMETERS))
        pairs = list(zip(then.models, now.models, strict=False))
    else:
        pairs = [(then, now)]
    found = [_drift(first, second) for first, second in pairs if not kinds or same_recipe(first, second)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(_PARAMETERS))


def largest_drift(table: pd.DataFrame) -> float:
    """The largest shift of a parameter in standard errors, NaN where none is known."""
    z = table["z"].abs()
    return float(z.max()) if len(z) else float("nan")


def most_moved(table: pd.DataFrame) -> str:
    """The parameter that moved most, in words.

    Examples
    --------
    >>> most_moved(pd.DataFrame({"parameter": ["r", "a"], "then": [0.2, 0.8], "now": [0.3, 0.7], "z": [8.0, -0.5]}))
    'r has moved by +8.0 standard errors, from 0.2 to 0.3'
    """
    row = table.iloc[int(np.nanargmax(table["z"].abs().to_numpy(dtype=float)))]
    return (
        f"{printable(row['parameter'])} has moved by {row['z']:+z.1f} standard errors, from {row['then']:.4g} to "
        f"{row['now']:.4g}"
    )


def _drift(then: Model, now: Model) -> pd.DataFrame:
    names = ["parameter", "estimate", "standard_error"]
    first = then.parameters.reindex(columns=names).rename(columns={"estimate": "then"})
    table = first.merge(now.parameters.reindex(columns=names[:2]).rename(columns={"estimate": "now"}), on="parameter")
    moved = (table["now"] - table["then"]).to_numpy(dtype=float)
    error = table["standard_error"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(moved == 0.0, 0.0, moved / error)
    return table.assign(model=then.purchases, z=np.where(np.isfinite(error), z, np.nan))[list(_PARAMETERS)]


def input_drift(before: Snapshot, after: Snapshot) -> pd.DataFrame:
    """Compare what the two runs were made of.

    Parameters
    ----------
    before, after : Snapshot

    Returns
    -------
    DataFrame
        measure, then, now, change (relative; missing where then is 0). ``recent`` means the last 91 days of each run.
    """
    first, second = _measures(before), _measures(after)
    table = pd.DataFrame({"measure": list(first), "then": list(first.values()), "now": list(second.values())})
    then = table["then"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = (table["now"].to_numpy(dtype=float) - then) / np.abs(then)
    return table.assign(change=np.where(then == 0.0, np.nan, change))


def _measures(run: Snapshot) -> dict[str, float]:
    table, purchases = run.history.table, run.purchases
    recent = purchases[purchases[columns.DATE] > run.as_of - pd.Timedelta(days=_RECENT_DAYS)]
    first = run.as_of - pd.Timedelta(days=_RECENT_DAYS)
    silence = (run.as_of - table[columns.LAST_PURCHASE]).dt.days.to_numpy(dtype=float)
    return {
        "customers": float(len(table)),
        "purchases": float(len(purchases)),
        "revenue": float(purchases[columns.AMOUNT].sum()),
        "money per purchase": _mean(purchases[columns.AMOUNT]),
        "share who bought once": float((table[columns.FREQUENCY] == 0).mean()),
        f"days since the last purchase, median, in {run.history.unit}s": float(
            np.median(silence) / DAYS_PER_UNIT[run.history.unit]
        ),
        "recent purchases": float(len(recent)),
        "recent revenue": float(recent[columns.AMOUNT].sum()),
        "recent money per purchase": _mean(recent[columns.AMOUNT]),
        "recent new customers": float((table[columns.FIRST_PURCHASE] > first).sum()),
    }


def _mean(values: pd.Series[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
