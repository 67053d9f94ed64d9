"""The runs of a store as a table: what each forecast, what held it, what it warned of."""

from __future__ import annotations

from typing import Final

import pandas as pd

from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.run_store.store import RunStore

_VALUE: Final = ("value", "value_lower", "value_upper", "prob", "horizon", "currency", "customers")


@shows_progress
def run_table(store: RunStore, *, every_byte: bool = True, progress: Progress = automatic) -> pd.DataFrame:
    """List the runs, the earliest day first.

    Parameters
    ----------
    store : RunStore
    every_byte : bool
        Whether every byte of every run is read, to find damaged ones; else records and sizes only.
    progress : callable

    Returns
    -------
    DataFrame
        run_id, as_of, status, current; value of the base over its horizon with its band, prob and currency, customers;
        refitted, held_by (gates not passed nor accepted), accepted, alerts, problem. What a damaged run no longer tells
        is missing.
    """
    rows = []
    entries = store.entries()
    for place, listed in enumerate(entries, start=1):
        entry = listed.looked_through() if every_byte else listed
        progress("runs", place, len(entries))
        record = entry.record
        gates = [gate for gate in record.get("gates", []) if not gate["passed"]]
        value = record.get("value", {})
        rows.append(
            {
                "run_id": entry.run_id,
                "as_of": entry.as_of,
                "status": entry.status,
                "current": entry.current,
                **{name: value.get(name) for name in _VALUE},
                "refitted": record.get("model", {}).get("refitted"),
                "held_by": ", ".join(dict.fromkeys(gate["name"] for gate in gates if not gate["accepted"])),
                "accepted": ", ".join(dict.fromkeys(gate["name"] for gate in gates if gate["accepted"])),
                "alerts": ", ".join(alert["name"] for alert in record.get("alerts", [])),
                "problem": entry.problem,
            }
        )
    names = ("run_id", "as_of", "status", "current", *_VALUE, "refitted", "held_by", "accepted", "alerts", "problem")
    return pd.DataFrame(rows, columns=list(names))
