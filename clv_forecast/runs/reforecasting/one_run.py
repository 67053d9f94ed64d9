"""One run under the lock: read, model, results, comparison, gates, folder, publication.

What a scheduled run did, as an object.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from clv_forecast.errors import StoreError
from clv_forecast.files import json_text
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.model import Model
from clv_forecast.progress import Progress
from clv_forecast.report.report import Report, make_report
from clv_forecast.report.run_folder import write_run
from clv_forecast.report.stored_run import StoredRun, read_run
from clv_forecast.runs.comparison.snapshot import ORDERS
from clv_forecast.runs.configuration.configuration import Configuration
from clv_forecast.runs.reforecasting.alerts import DAMAGED_RUN, Alert, Changed, alerts_of, changed_since
from clv_forecast.runs.reforecasting.gates import (
    Gate,
    accepted_gates,
    accepting,
    left_out_share,
    result_gates,
    source_gates,
)
from clv_forecast.runs.reforecasting.inputs import Inputs, read_inputs, run_id_of
from clv_forecast.runs.reforecasting.record import Fitted, Standing, fitted_model, options_of, record_of
from clv_forecast.runs.reforecasting.results import Results, Tested, results_of, tested
from clv_forecast.runs.store.database import ResultDatabase, result_database
from clv_forecast.runs.store.durable_files import link_unchanged
from clv_forecast.runs.store.publication import Publication, moves_back, publish, retire
from clv_forecast.runs.store.run_entry import RECORD, RunEntry
from clv_forecast.runs.store.store import RunStore


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


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneRun:
    """One run under the lock."""

    configuration: Configuration
    store: RunStore
    as_of: pd.Timestamp
    accept: Mapping[str, str]
    progress: Progress

    def go(self, reading: Path) -> Reforecast:
        """Read into an empty folder, which nothing needs afterwards; make everything, judge it, and publish or hold it.

        Raises
        ------
        DomainError, InputError, FitError, StoreError
            As ``reforecast``.
        """
        started = _now()
        inputs = read_inputs(self.configuration, reading, as_of=self.as_of, progress=self.progress)
        last, passed_over = self._last()
        run_id = run_id_of(self.configuration, inputs, self.as_of, previous=None if last is None else last.run_id)
        _log.info("Run %s: read %d rows of %d sources.", run_id, *_read(inputs))
        known = self._known(run_id)
        if known is not None:
            _log.info("It was made before: what is left of its publication is done now.")
            return self._publish(known, repeated=True)
        previous = None if last is None else read_run(last.folder)
        history = inputs.history(self.configuration, self.as_of)
        fitted, test = self._model(history, last, previous)
        _log.info("Model: %s Backtest: %s", fitted.reason, test.reason)
        results = results_of(
            self.configuration,
            inputs,
            history,
            model=fitted.model,
            certificate=test.certificate,
            progress=self.progress,
        )
        changed = changed_since(
            run_id,
            results,
            fitted.model,
            inputs=inputs,
            previous=previous,
            store=self.store,
            horizon=self.configuration.ranking_horizon,
            progress=self.progress,
        )
        gates = self._gates(inputs, last, fitted, test=test, results=results)
        alerts = alerts_of(
            self.configuration.alerts,
            changed.comparison,
            has_previous=previous is not None and results.forecast.plan.has_spend,
            since=changed.since,
            drift=pd.concat([one for one in (fitted.drift, changed.drift) if len(one)] or [fitted.drift]),
            rankings=(changed.earlier_ranking, None if results.ranking is None else results.ranking.table),
        )
        alerts = (*alerts, *(Alert(name=DAMAGED_RUN, found=1.0, threshold=0.0, sentence=one) for one in passed_over))
        folder = self._write(run_id, inputs, fitted, results=results, changed=changed, previous=previous)
        held = any(gate.holds for gate in gates)
        record = record_of(
            run_id=run_id,
            as_of=self.as_of,
            started=started,
            finished=_now(),
            configuration=self.configuration,
            inputs=inputs,
            fitted=fitted,
            tested=test,
            results=results,
            previous=None if last is None else last.run_id,
            gates=gates,
            alerts=alerts,
            notes=(*results.notes, *changed.notes),
            held=held,
        )
        (folder / RECORD).write_text(json_text(record, indent=1) + "\n", encoding="ascii")
        entry = self.store.keep(folder, run_id, held=held)
        for gate in gates:
            _log.log(logging.WARNING if gate.holds else logging.INFO, "Gate %s: %s", gate.name, gate.sentence)
        for alert in alerts:
            _log.warning("Alert %s: %s", alert.name, alert.sentence)
        if held:
            _log.warning("Run %s is held back: nothing was published.", run_id)
            return self._told(entry, published=False, repeated=False)
        return self._publish(entry, repeated=False)

    def _last(self) -> tuple[RunEntry | None, tuple[str, ...]]:
        """The run that this one is compared with, and a sentence for each damaged one that comes before it."""
        current, passed_over = self.store.current(), []
        if current is None:
            _log.warning("The store %s shows no run yet: gates have nothing to compare with.", self.store.folder)
        elif current.status == "damaged":
            passed_over.append(current)
        last = None
        for entry in self.store.earlier(self.as_of):
            if entry.status != "damaged":
                last = entry
                break
            passed_over.append(entry)
        told = tuple(f"The run {one.run_id} is damaged and was passed over: {one.problem}" for one in passed_over)
        for one in told:
            _log.warning(one)
        return last, told

    def _known(self, run_id: str) -> RunEntry | None:
        """A run of the same inputs that is complete already; a damaged one is made again."""
        known = [one for one in self.store.entries() if one.run_id == run_id and one.status == "published"]
        return next((one for one in known if one.looked_through().status == "published"), None)

    def _model(
        self, history: PurchaseHistory, last: RunEntry | None, previous: StoredRun | None
    ) -> tuple[Fitted, Tested]:
        told = {} if last is None else last.record.get("model", {})
        standing = None
        if previous is not None and previous.has_model:
            try:
                model = previous.model()
            except StoreError as error:
                _log.warning("The standing model cannot be read, so a new one is fitted: %s", error)
                model = None
            if isinstance(model, Model):
                standing = Standing(
                    model=model, options=told.get("options", {}), runs_since=int(told.get("runs_since", 0))
                )
        seed, progress = self.configuration.seed, self.progress
        fitted = fitted_model(self.configuration.model, history, standing, seed=seed, progress=progress)
        certificate = {} if last is None else last.record.get("certificate", {})
        test = tested(
            self.configuration,
            history,
            previous,
            runs_since=int(certificate.get("runs_since", 0)),
            same_model=told.get("options") == options_of(self.configuration.model),
            progress=progress,
        )
        return fitted, test

    def _gates(
        self, inputs: Inputs, last: RunEntry | None, fitted: Fitted, *, test: Tested, results: Results
    ) -> tuple[Gate, ...]:
        record: Mapping[str, Any] = {} if last is None else last.record
        value = _total(results, self.configuration.ranking_horizon)
        then, currency = record.get("value", {}), results.forecast.currency
        comparable = then.get("horizon") == self.configuration.ranking_horizon and (
            then.get("currency") or currency
        ) == (currency or then.get("currency"))
        section = self.configuration.gates
        found = source_gates(
            section,
            inputs.sources,
            as_of=self.as_of,
            earlier={one["name"]: (one["lines"], one["money"]) for one in record.get("sources", [])},
            earlier_as_of=None if last is None else last.as_of,
        )
        found += result_gates(
            section,
            status=fitted.model.report.status,
            certificate=test.certificate,
            value=value,
            earlier_value=then.get("value") if comparable else None,
            left_out=left_out_share(results.forecast.history.audit),
            earlier_left_out=record.get("left_out"),
        )
        return accepted_gates(found, self.accept)

    def _write(
        self,
        run_id: str,
        inputs: Inputs,
        fitted: Fitted,
        *,
        results: Results,
        changed: Changed,
        previous: StoredRun | None,
    ) -> Path:
        """Write the run folder to the store's workspace; nothing reads it there."""
        folder = self.store.workspace(run_id)
        consolidated = inputs.consolidated
        tables = dict(results.tables) | {
            "reconciliation": consolidated.reconciliation,
            "source_days": consolidated.source_days,
        }
        if consolidated.crosswalk is not None:
            tables["crosswalk"] = consolidated.crosswalk
        tables |= changed.tables
        if len(fitted.drift):
            tables["parameter_drift"] = fitted.drift

        def files(aside: Path) -> None:
            self.store.let_read(consolidated.orders)
            _link_all(consolidated.orders, aside / ORDERS)
            told = json_text(consolidated.to_dict(), indent=1) + "\n"
            (aside / "reconciliation.json").write_text(told, encoding="ascii")

        write_run(
            self._report(results, changed),
            folder,
            model=fitted.model,
            tables=tables,
            facts={
                "run_id": run_id,
                "previous": None if previous is None else previous.folder.name,
                "fingerprint": inputs.fingerprint,
                "rates": dict(inputs.rates),
                "options": dict(inputs.options),
            },
            files=files,
            crm_fields=self.configuration.outputs.crm_fields,
            progress=self.progress,
        )
        if previous is not None:
            link_unchanged(folder, previous.folder)
        return folder

    def _report(self, results: Results, changed: Changed) -> Report:
        comparison = changed.comparison
        return make_report(
            results.forecast,
            title=self.configuration.title,
            horizon=self.configuration.ranking_horizon,
            ranking=results.ranking,
            potential=results.potential,
            spends=results.spends,
            cohorts=results.cohorts,
            certificate=results.certificate,
            drivers=results.drivers,
            changes=None if comparison is None else comparison.bridge.steps,
            migration=None if comparison is None else comparison.migration,
            cash_flow=results.cash_flow,
            since=changed.since if len(changed.since) else None,
            simulated=self.configuration.outputs.simulated,
        )

    def _publish(self, entry: RunEntry, *, repeated: bool) -> Reforecast:
        """Point at the run, unless a run of a later day is current; then remove what is no longer kept."""
        if moves_back(self.store, self.as_of):
            _log.warning("Run %s is kept, not shown: a run of a later day is current.", entry.run_id)
            return self._told(entry, published=False, repeated=repeated)
        database = database_of(self.configuration)
        publication = publish(self.store, entry, database)
        _log.info("Run %s is published.", entry.run_id)
        section = self.configuration.retention
        gone = retire(self.store, database, runs=section.runs, held=section.held, months=section.months)
        removed = tuple(one.run_id for one in gone)
        return self._told(entry, published=True, repeated=repeated, publication=publication, removed=removed)

    def _told(
        self,
        entry: RunEntry,
        *,
        published: bool,
        repeated: bool,
        publication: Publication | None = None,
        removed: tuple[str, ...] = (),
    ) -> Reforecast:
        return Reforecast(
            run_id=entry.run_id,
            as_of=self.as_of,
            folder=entry.folder,
            record=entry.record,
            published=published,
            repeated=repeated,
            publication=publication,
            removed=removed,
        )


def database_of(configuration: Configuration) -> ResultDatabase | None:
    """The database that results go to; None where the configuration names none.

    Raises
    ------
    DomainError
        If a variable of the environment is not set, or the kind of database is not supported.
    """
    section = configuration.outputs.database
    if section is None:
        return None
    url = configuration.resolved_url(section.url)
    return result_database(url, schema=section.schema_name, tables=section.tables)


def _total(results: Results, horizon: str) -> float:
    totals = results.forecast.totals
    return float(totals.loc[(totals["group"] == EVERYONE) & (totals["horizon"] == horizon), "value"].iloc[0])


def _read(inputs: Inputs) -> tuple[int, int]:
    return sum(int(source.days["lines"].sum()) for source in inputs.sources), len(inputs.sources)


def _link_all(source: Path, target: Path) -> None:
    """Give files a second name; where that is not possible, a copy."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
