"""Command line: arguments to one verb to an exit code. No arithmetic."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from clv_forecast import __version__
from clv_forecast.cli_log import LogFormat, log_to_stderr
from clv_forecast.cli_runs import add_commands
from clv_forecast.demo import run_demo
from clv_forecast.errors import ClvForecastError, DomainError, FitError, LockedError
from clv_forecast.history.cleaning import MAX_UNREADABLE, check_refunds
from clv_forecast.history.purchase_history import purchase_history
from clv_forecast.progress import progress_bars
from clv_forecast.report.stored_card import save_card_figure, stored_card
from clv_forecast.report.stored_run import read_run
from clv_forecast.tables_as_text import demo_text

EXIT_BAD_DATA = 1
EXIT_USAGE = 2
EXIT_FIT_FAILED = 3
EXIT_LOCKED = 5

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
    with progress_bars() as progress:
        made = run_demo(output, progress=progress)
    typer.echo(demo_text(made))


@app.command()
def audit(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or Excel file (or glob), a row per order or line.")],
    as_of: Annotated[str, typer.Option(help="Last day of the log, such as 2011-08-31.")],
    customer: Annotated[str, typer.Option(help="Column with the customer.")] = "customer_id",
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
    with progress_bars() as progress:
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
    typer.echo(str(history.audit))


@app.command()
def card(
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    run: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("output/cdnow"),
    figure: Annotated[
        Path | None, typer.Option(help="Draw the card too, to a file such as card.png or card.svg.")
    ] = None,
) -> None:
    """Tell all that a run knows and expects of one account, and what may be spent on it."""
    found = stored_card(read_run(run), account)
    if figure is not None:
        typer.echo(f"Drawn: {save_card_figure(found, figure)}", err=True)
    typer.echo(str(found))


add_commands(app)


def main() -> None:
    """Entry point: run a command and turn errors into exit codes."""
    try:
        app()
    except LockedError as error:
        _fail(error, EXIT_LOCKED)
    except FitError as error:
        _fail(error, EXIT_FIT_FAILED)
    except DomainError as error:
        _fail(error, EXIT_USAGE)
    except ClvForecastError as error:
        _fail(error, EXIT_BAD_DATA)


def _fail(error: Exception, code: int) -> None:
    typer.echo(f"Error: {error}", err=True)
    if "--json" in sys.argv:
        typer.echo(json.dumps({"status": "failed", "error": str(error), "exit_code": code}))
    sys.exit(code)
