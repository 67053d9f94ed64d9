"""Command line: arguments to one verb to an exit code. No arithmetic.

Commands of scheduled runs: arguments to one verb to an exit code. No arithmetic.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, TextIO

import typer
from typer.exceptions import TyperException

from clv_forecast import __version__
from clv_forecast.cli_output import LogFormat, demo_text, log_to_stderr, say_error, table_text
from clv_forecast.demo import run_demo
from clv_forecast.errors import ClvForecastError, DomainError, FitError, HeldError, LockedError
from clv_forecast.files import atomic_file, json_text
from clv_forecast.history.cleaning import MAX_UNREADABLE, check_refunds
from clv_forecast.history.purchase_history import purchase_history
from clv_forecast.printable import printable, printable_lines
from clv_forecast.progress import bar_or_log, erase_bar
from clv_forecast.report.card import save_card_figure, stored_card
from clv_forecast.report.report import plain_value
from clv_forecast.report.stored_run import read_run
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

EXIT_ALERT = 4
EXIT_HELD = 6

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
    *,
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
    *,
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
    *,
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
    *,
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


_log = logging.getLogger(__name__)
EXIT_BAD_DATA = 1
EXIT_USAGE = 2
EXIT_FIT_FAILED = 3
EXIT_LOCKED = 5
EXIT_INTERRUPTED = 130
_CODES: Final = (
    (LockedError, EXIT_LOCKED),
    (FitError, EXIT_FIT_FAILED),
    (HeldError, EXIT_HELD),
    (DomainError, EXIT_USAGE),
)
_TRACEBACK: Final = "CLV_FORECAST_TRACEBACK"

app = typer.Typer(
    help="Probabilistic customer lifetime value: from an order log to value with honest bands.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    log: Annotated[LogFormat, typer.Option(help="How the log reads, on stderr.")] = LogFormat.LINES,
) -> None:
    log_to_stderr(log)
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the two runs.")] = Path("output"),
) -> None:
    """Run the main job on the real CDNOW log, and on simulated accounts: from orders to page, workbook and CRM file."""
    with bar_or_log() as progress:
        made = run_demo(output, progress=progress)
    tell(demo_text(made))


@app.command()
def audit(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or Excel file (or glob), a row per order or line.")],
    as_of: Annotated[str, typer.Option(help="Last day of the log, such as 2011-08-31.")],
    customer: Annotated[str, typer.Option(help="Column with the customer.")] = "customer_id",
    *,
    date: Annotated[str, typer.Option(help="Column with the date of the order.")] = "date",
    amount: Annotated[str, typer.Option(help="Column with the amount of money.")] = "amount",
    order_id: Annotated[str | None, typer.Option(help="Column with the order number.")] = None,
    category: Annotated[str | None, typer.Option(help="Column with the product or category.")] = None,
    margin: Annotated[str | None, typer.Option(help="Column with the margin, in money.")] = None,
    currency: Annotated[str | None, typer.Option(help="Column with the currency, or its code, such as EUR.")] = None,
    recorded_at: Annotated[str | None, typer.Option(help="Column with the time a row became known.")] = None,
    observed_from: Annotated[
        str | None, typer.Option(help="Day from which new customers are known to be new, such as 1997-01-01.")
    ] = None,
    refunds: Annotated[str, typer.Option(help="What to do with negative amounts: net, drop or error.")] = "net",
    time_zone: Annotated[str | None, typer.Option(help="Time zone whose days count, such as Europe/London.")] = None,
    unit: Annotated[str, typer.Option(help="Unit of time: hour, day, week, month or year.")] = "week",
    encoding: Annotated[str | None, typer.Option(help="Encoding of text, such as cp1252.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between columns of text, such as ';'.")] = None,
    quote: Annotated[str | None, typer.Option(help="Around fields of text.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal sign: '.' or ','.")] = None,
    thousands: Annotated[str | None, typer.Option(help="Sign between thousands.")] = None,
    date_format: Annotated[str | None, typer.Option(help="How days are written, such as %d.%m.%Y.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a spreadsheet.")] = None,
    max_unreadable: Annotated[
        float, typer.Option(help="Largest share of rows or money that may be left out as unreadable.")
    ] = MAX_UNREADABLE,
) -> None:
    """Say what an order log holds, what would be merged, netted or left out, and what it means for the models."""
    with bar_or_log() as progress:
        progress("read", 0, 1)
        history = purchase_history(
            file,
            as_of=as_of,
            unit=unit,
            customer=customer,
            date=date,
            amount=amount,
            order_id=order_id,
            category=category,
            margin=margin,
            currency=currency,
            recorded_at=recorded_at,
            observed_from=observed_from,
            refunds=check_refunds(refunds),
            time_zone=time_zone,
            encoding=encoding,
            delimiter=delimiter,
            quote=quote,
            decimal=decimal,
            thousands=thousands,
            date_format=date_format,
            sheet=sheet,
            max_unreadable=max_unreadable,
        )
        progress("read", 1, 1)
    tell(str(history.audit))


@app.command()
def card(
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the run. Default: the current one of clv.toml here, else the demo's."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the card too, to a file such as card.png or card.svg.")
    ] = None,
) -> None:
    """Tell all that a run knows and expects of one account, and what may be spent on it."""
    folder = current_run() or Path("output/cdnow") if run is None else run
    check_run(folder.resolve())
    found = stored_card(read_run(folder), account)
    if figure is not None:
        _log.info("Drawn: %s", save_card_figure(found, figure))
    tell(str(found))


add_commands(app)


def main() -> None:
    """Entry point: run a command, and turn whatever it raises into a line of text and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot write is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    with _interrupts() as interrupted:
        try:
            code = app(standalone_mode=False)
            sys.stdout.flush()
            message = "Interrupted." if code == EXIT_INTERRUPTED else ""
        except BrokenPipeError:  # whoever read the output has left
            code, message = EXIT_BAD_DATA, ""
        except Exception as error:
            if os.environ.get(_TRACEBACK):
                traceback.print_exc()
            code, message = (EXIT_INTERRUPTED, "Interrupted.") if interrupted() else _code_and_message(error)
    if message:
        say_error(message, sys.argv[1:])
        if "--json" in sys.argv:
            with suppress(OSError):
                tell(json_text({"status": "failed", "error": message, "exit_code": code}))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # nobody can be told any more
            _give_up(stream)
    sys.exit(code if isinstance(code, int) else 0)


def _give_up(stream: TextIO | None) -> None:
    """Let what is left of an output go nowhere, so that its end is no error."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def _code_and_message(error: BaseException) -> tuple[int, str]:
    """What an exception means for the caller; of one that nobody foresaw its kind and first line."""
    if isinstance(error, ClvForecastError):
        return next((code for kind, code in _CODES if isinstance(error, kind)), EXIT_BAD_DATA), str(error)
    if isinstance(error, TyperException):
        return EXIT_USAGE, f"{error.format_message().strip()} Try: clv-forecast --help"
    if isinstance(error, OSError):
        return EXIT_BAD_DATA, f"A file or folder cannot be read or written: {error}. Check the path, space and rights."
    if isinstance(error, MemoryError):
        return EXIT_BAD_DATA, "There is not enough memory for this."
    first = str(error).strip().partition("\n")[0]
    told = f"{type(error).__name__}{first and ': '}{first}".rstrip(".")
    return EXIT_BAD_DATA, f"Unexpected {told}. Please report it; {_TRACEBACK}=1 shows where it arose."


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C was pressed, also where a library made another error of it (DuckDB does)."""
    pressed = [False]

    def note(number: int, frame: FrameType | None) -> None:
        pressed[0] = True
        signal.default_int_handler(number, frame)

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed[0]
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
