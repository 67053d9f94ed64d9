"""What a scheduled run did, as an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clv_forecast.reforecasting.gates import accepting
from clv_forecast.report.stored_run import StoredRun, read_run
from clv_forecast.run_store.publication import Publication


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Reforecast:
    """What a scheduled run did. Made by `reforecast`.

    Parameters
    ----------
    run_id : str
    as_of : Timestamp
    folder : Path
        Of the run.
    record : mapping
        Content of its ``run.json``.
    published : bool
        Whether it is the current run now.
    repeated : bool
        Whether the run was there already, and was only published to the end.
    publication : Publication or None
    removed : tuple of str
        Runs that retention removed.
    """

    run_id: str
    as_of: pd.Timestamp
    folder: Path
    record: Mapping[str, Any]
    published: bool
    repeated: bool
    publication: Publication | None
    removed: tuple[str, ...]

    @property
    def run(self) -> StoredRun:
        """The run, its tables read when they are asked for."""
        return read_run(self.folder)

    @property
    def held(self) -> bool:
        """Whether a gate holds it back."""
        return bool(self.record["status"] == "held")

    @property
    def gates(self) -> pd.DataFrame:
        """What every gate found."""
        return pd.DataFrame(self.record["gates"])

    @property
    def alerts(self) -> pd.DataFrame:
        """Thresholds that were crossed."""
        return pd.DataFrame(self.record["alerts"], columns=["name", "found", "threshold", "sentence"])

    def to_dict(self) -> dict[str, Any]:
        """Summary as plain values: the record without the configuration, and what became of the run."""
        told = {name: value for name, value in self.record.items() if name not in ("configuration", "kind")}
        return told | {
            "status": "held" if self.held else "published" if self.published else "kept",
            "folder": str(self.folder),
            "published": self.published,
            "repeated": self.repeated,
            "rows_written": {} if self.publication is None else dict(self.publication.rows),
            "removed": list(self.removed),
        }

    def __str__(self) -> str:
        value = self.record["value"]
        what = "held back" if self.held else "published" if self.published else "kept; a run of a later day is current"
        lines = [
            f"Run {self.run_id}, as of {self.as_of.date()}: {what}.",
            f"  backtest: {self.record['certificate'].get('summary') or 'none stands behind these figures.'}",
            f"  value over {value['horizon']} of {value['customers']:,} accounts: {value['value']:z,.0f} "
            f"({value['prob']:.0%} band {value['value_lower']:z,.0f} to {value['value_upper']:z,.0f})",
            f"  model: {self.record['model']['reason']} Backtest: {self.record['certificate']['reason']}",
            *(f"  GATE {gate['name']}: {_gate_words(gate)}" for gate in self.record["gates"] if not gate["passed"]),
            *(f"  ALERT {alert['name']}: {alert['sentence']}" for alert in self.record["alerts"]),
            *(f"  {note}" for note in self.record["notes"]),
            f"  {self.folder}",
        ]
        if self.held:
            names = [gate["name"] for gate in self.record["gates"] if _holds(gate)]
            lines.append(f"  {accepting(self.run_id, names)}")
            lines.append(f"  For later runs, [gates] in clv.toml has: {', '.join(dict.fromkeys(names))}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Reforecast {self.run_id}: {'held' if self.held else 'published' if self.published else 'kept'}>"


def _holds(gate: Mapping[str, Any]) -> bool:
    return not gate["passed"] and not gate["accepted"]


def _gate_words(gate: Mapping[str, Any]) -> str:
    return f"{gate['sentence']}{' Accepted: ' + gate['accepted'] + '.' if gate['accepted'] else ''}"
