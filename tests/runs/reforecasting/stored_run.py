"""A small run of schema version 1 as a file: later versions must read it.

``python -m tests.runs.reforecasting.stored_run`` makes the file anew, which is right only when the schema version
rises; the older file then stays beside it.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import pandas as pd

from clv_forecast.report.stored_run import SCHEMA_VERSION
from clv_forecast.runs.reforecasting.one_run import Reforecast
from tests.runs.reforecasting.made_runs import orders, run_days, write_orders

FILE = Path(__file__).parent / "data" / f"run_of_schema_{SCHEMA_VERSION}.zip"
DAY = "1997-12-14"


def base() -> pd.DataFrame:
    """Orders of a few customers who came back."""
    log = orders()
    often = log.groupby("customer_id").size()
    return log[log["customer_id"].isin(often[often > 3].index[:60])]


def run_of(folder: Path, day: str) -> Reforecast:
    """A run of the small base."""
    folder.mkdir(exist_ok=True)
    write_orders(folder, base())
    return run_days(folder, (day,), ranking="draws = 100", bases='["ceiling"]')[0]


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        made = run_of(Path(folder), DAY)
        FILE.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(FILE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
            for path in sorted(made.folder.rglob("*")):
                if path.is_file():
                    packed.write(path, path.relative_to(made.folder))


if __name__ == "__main__":
    main()
