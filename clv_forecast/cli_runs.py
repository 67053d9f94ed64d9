"""Commands of scheduled runs: arguments to one verb to an exit code. No arithmetic."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from clv_forecast.errors import DomainError
from clv_forecast.json_text import json_text
from clv_forecast.printable import printable, printable_lines
from clv_forecast.progress import bar_or_log, erase_bar
from clv_forecast.report.atomic_file import atomic_file
from clv_forecast.report.report import plain_value
from clv_forecast.runs.comparison.compare_runs import compare_runs
from clv_forecast.runs.comparison.value_bridge import save_bridge
from clv_forecast.runs.configuration.configuration import read_configuration
from clv_forecast.runs.configuration.first_configuration import first_configuration
from clv_forecast.runs.reforecasting.check import backtest_configuration
from clv_forecast.runs.reforecasting.check import check as check_configuration
from clv_forecast.runs.reforecasting.one_run import Reforecast
from clv_forecast.runs.reforecasting.reforecast import backfill, publish_run, reforecast, run_table
from clv_forecast.runs.store.run_entry import check_run
from clv_forecast.runs.store.store import open_store
from clv_forecast.tables_as_text import table_text

EXIT_BAD_DATA = 1
EXIT_ALERT = 4
EXIT_HELD = 6

_log = logging.getLogger(__name__)
_CONFIG = Path("clv.toml")
_JSON_ONLY = ["value_lower", "value_upper", "prob", "horizon", "currency"]  # of the list of runs, which is wide enough
Config = Annotated[Path, typer.Argument(metavar="[CONFIG]", help="Configuration.")]
ConfigOption = Annotated[Path, typer.Option("--config", help="Configuration that names the store.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Accept = Annotated[list[str] | None, typer.Option("--accept", help="Gate that shall not hold the run; repeatable.")]
Reason = Annotated[str, typer.Option("--reason", help="Why the gates are accepted; it stands in the record.")]
AsOf = Annotated[str | None, typer.Option(help="Last day that counts, such as 2026-03-31. Default: by the clock.")]


def add_commands(app: typer.Typer) -> None:
    """Give an app the commands of scheduled runs."""
    for command in (init, check, run, backtest, runs, compare, publish):
        app.command()(command)


def init(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="CSV, Parquet, Excel or DuckDB files with orders.")
    ] = None,
    output: Annotated[Path, typer.Option(help="File to write; it must not exist.")] = _CONFIG,
    url: Annotated[str | None, typer.Option(help="Or a database, such as postgres://me:${PASSWORD}@host/db.")] = None,
    table: Annotated[str | None, typer.Option(help="The table of orders there, or in a DuckDB file.")] = None,
    accounts: Annotated[Path | None, typer.Option(help="File with one row per account.")] = None,
    acquisition_cost: Annotated[Path | None, typer.Option(help="File with what winning customers cost.")] = None,
    events: Annotated[Path | None, typer.Option(help="File with what happened to accounts.")] = None,
) -> None:
    """Look at your orders and write a configuration with every key explained."""
    if os.path.lexists(output):
        raise DomainError("init does not write over a file.", value=output, remedy="Name another with --output.")
    text = first_configuration(
        files or [],
        url=url,
        table=table,
        accounts=accounts,
        acquisition_cost=acquisition_cost,
        events=events,
        folder=output.resolve().parent,
    )
    with atomic_file(output, replaces=False) as aside:
        aside.write_text(text, encoding="utf-8")
    tell(f"Written: {printable(output)}. Read it, change what is wrong, then: clv-forecast check {printable(output)}")


def check(config: Config = _CONFIG, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Connect to everything that a run needs, count, and write nothing."""
    with bar_or_log() as progress:
        found = check_configuration(config, as_of=as_of, progress=progress)
    tell(_json(found.to_dict()) if as_json else str(found))
    if not found.ok:
        raise typer.Exit(EXIT_BAD_DATA)


def run(
    config: Config = _CONFIG,
    as_of: AsOf = None,
    start: Annotated[str | None, typer.Option("--from", help="Backfill: the first day.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Backfill: the last day.")] = None,
    every: Annotated[str, typer.Option(help="Backfill by day, week, month or quarter.")] = "week",
    accept: Accept = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make one run, or those of earlier days: read, fit or score, compare, and publish what no gate holds."""
    if (start is None) != (end is None) or (start is not None and (as_of is not None or accept)):
        raise DomainError("A backfill takes --from and --to, and neither --as-of nor --accept.")
    with bar_or_log() as progress:
        if start is not None:
            made = _each(backfill(config, start=start, end=end, every=every, progress=progress), as_json=as_json)
        else:
            made = _each(
                [reforecast(config, as_of=as_of, accept=dict.fromkeys(accept or [], reason), progress=progress)],
                as_json=as_json,
            )
    if made[-1].held:
        raise typer.Exit(EXIT_HELD)
    if len(made[-1].alerts):
        raise typer.Exit(EXIT_ALERT)


def backtest(config: Config = _CONFIG, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Test the configured model on the past, from the configured sources; nothing is published."""
    with bar_or_log() as progress:
        certificate = backtest_configuration(config, as_of=as_of, progress=progress)
    told = {"standing": certificate.standing(), "summary": certificate.summary(), **certificate.to_dict()}
    tell(_json(told) if as_json else str(certificate))


def runs(
    config: ConfigOption = _CONFIG,
    quick: Annotated[bool, typer.Option("--quick", help="Look at records and sizes, not at every byte.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs of the store; damaged ones say what is wrong with them."""
    store = open_store(read_configuration(config, connects=False).store, create=False)
    with bar_or_log() as progress:
        table = run_table(store, every_byte=not quick, progress=progress)
    tell(
        _json(plain_value(table))
        if as_json
        else "No run yet."
        if not len(table)
        else table_text(table.drop(columns=_JSON_ONLY), 0)
    )


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="The earlier run: its id, or its folder.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The later run.")],
    config: ConfigOption = _CONFIG,
    horizon: Annotated[str | None, typer.Option(help="Over which value is compared.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the bridge too, to a file such as bridge.png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say where the difference between two runs comes from, to the cent."""
    folders = [_folder(name, config) for name in (before, after)]
    for one in folders:
        check_run(one)
    with bar_or_log() as progress:
        found = compare_runs(*folders, horizon=horizon, progress=progress)
    if figure is not None:
        _log.info("Drawn: %s", save_bridge(found.bridge, figure))
    tell(_json(found.to_dict()) if as_json else str(found))


def publish(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or its beginning.")],
    config: ConfigOption = _CONFIG,
    accept: Accept = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make a run current: roll back, roll forward, or release one that a gate held."""
    done = publish_run(config, run, accept=dict.fromkeys(accept or [], reason))
    told = {"run_id": done.run_id, "previous": done.previous, "rows_written": dict(done.rows)}
    tell(_json(told) if as_json else f"Published: {done.run_id} (before: {done.previous or 'none'}).")


def current_run() -> Path | None:
    """Folder of the current run of the store that clv.toml in this folder names; None where there is no clv.toml."""
    if not _CONFIG.exists():
        return None
    entry = open_store(read_configuration(_CONFIG, connects=False).store, create=False).current()
    if entry is None:
        raise DomainError("No run is published yet.", value=_CONFIG, remedy="Make one: clv-forecast run.")
    return entry.folder


def tell(text: str) -> None:
    """Print text of one or several lines; nothing in it steers the terminal."""
    erase_bar()
    typer.echo(printable_lines(text))


def _each(made: Iterable[Reforecast], *, as_json: bool) -> list[Reforecast]:
    """Tell of each run as it is done; a backfill as JSON is one object a line."""
    found = []
    for one in made:
        found.append(one)
        tell(json_text(one.to_dict()) if as_json else str(one))
    return found


def _folder(name: str, config: Path) -> Path:
    """The folder of a run that is named by its id in the store, or by its path."""
    if Path(name).is_dir():
        return Path(name).resolve()
    return open_store(read_configuration(config, connects=False).store, create=False).find(name).folder


def _json(content: Any) -> str:
    return json_text(content, indent=1)
