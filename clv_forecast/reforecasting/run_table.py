"""The runs of a store as a table: what each forecast, what held it, what it warned of."""

from __future__ import annotations

import pandas as pd

from clv_forecast.run_store.store import RunStore


def run_table(store: RunStore) -> pd.DataFrame:
    """List the runs, the earliest day first.

    Parameters
    ----------
    store : RunStore

    Returns
    -------
    DataFrame
        run_id, as_of, status, current, value, customers, refitted, held_by (gates not passed nor accepted), accepted,
        alerts, problem.
    """
    rows = []
    for entry in store.entries():
        record = entry.record
        gates = [gate for gate in record.get("gates", []) if not gate["passed"]]
        value = record.get("value", {})
        rows.append(
            {
                "run_id": entry.run_id,
                "as_of": entry.as_of,
                "status": entry.status,
                "current": entry.current,
                "value": value.get("value"),
                "customers": value.get("customers"),
                "refitted": record.get("model", {}).get("refitted"),
                "held_by": ", ".join(dict.fromkeys(gate["name"] for gate in gates if not gate["accepted"])),
                "accepted": ", ".join(dict.fromkeys(gate["name"] for gate in gates if gate["accepted"])),
                "alerts": ", ".join(alert["name"] for alert in record.get("alerts", [])),
                "problem": entry.problem,
            }
        )
    names = ("run_id", "as_of", "status", "current", "value", "customers", "refitted", "held_by", "accepted", "alerts")
    return pd.DataFrame(rows, columns=[*names, "problem"])
