"""Time and peak memory of a purchase history of ten million generated orders, from Parquet and from CSV.

Run: ``python benchmarks/history.py [rows]``. The log is generated once into a temporary folder, as Parquet, as plain
CSV and as a German one (``1.234,56``, ``31.01.2023``); reading each runs in a process of its own, so that the peak
memory is that of the history alone. Beside it: what the door alone costs (all that is decided about the text from all
rows), and a hand-written statement of DuckDB for purchases, first and last day and money by customer, which nets no
refund.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 10_000_000
CHUNK = 1_000_000
ORDERS_PER_CUSTOMER = 10
REFUNDED = 0.02
DAYS = 1_096
AS_OF = "2023-12-31"
SEED = 20_231_231


def generate(path: Path, rows: int) -> float:
    """Write a log of orders with 2 % refunds; return its money, summed in cents."""
    rng = np.random.default_rng(SEED)
    start = np.datetime64("2021-01-01", "us")
    schema = pa.schema(
        {"order_id": pa.int64(), "customer_id": pa.int64(), "date": pa.timestamp("us"), "amount": pa.float64()}
    )
    cents_in_all = 0
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, CHUNK):
            size = min(CHUNK, rows - first)
            customer = rng.integers(0, max(rows // ORDERS_PER_CUSTOMER, 1), size)
            seconds = rng.integers(0, DAYS * 86_400, size)
            cents = np.rint(rng.gamma(2.0, 2_500.0, size)).astype(np.int64) + 1
            cents = np.where(rng.random(size) < REFUNDED, -cents, cents)
            cents_in_all += int(cents.sum())
            columns = [np.arange(first, first + size), customer, start + seconds * 1_000_000, cents / 100.0]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))
    return cents_in_all / 100


def write_csv(parquet: Path, folder: Path) -> dict[str, Path]:
    """Write the same log as a plain and as a German CSV."""
    paths = {"CSV": folder / "plain.csv", "German CSV": folder / "german.csv"}
    german = (
        "order_id, customer_id, strftime(date, '%d.%m.%Y %H:%M:%S') AS date, "
        "translate(format('{:,.2f}', amount), ',.', '.,') AS amount"
    )
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM '{parquet}') TO '{paths['CSV']}' (HEADER)")  # noqa: S608
        connection.execute(f"COPY (SELECT {german} FROM '{parquet}') TO '{paths['German CSV']}' (HEADER, DELIM ';')")  # noqa: S608
    return paths


def by_hand(path: Path) -> float:
    """Seconds of a statement written for just this log."""
    text = path.suffix == ".csv"
    scan = f"read_csv('{path}', all_varchar=true)" if text else f"'{path}'"
    day, amount = "date", "amount"
    if path.name == "german.csv":
        day, amount = "strptime(date, '%d.%m.%Y %H:%M:%S')", "replace(replace(amount, '.', ''), ',', '.')"
    statement = (
        f"WITH days AS (SELECT customer_id, CAST({day} AS TIMESTAMP)::DATE AS day, "  # noqa: S608
        f"sum(CAST({amount} AS DECIMAL(18, 2))) AS money FROM {scan} GROUP BY ALL) "
        "SELECT customer_id, count(*), min(day), max(day), sum(money) FROM days GROUP BY ALL"
    )
    with duckdb.connect() as connection:
        start = time.perf_counter()
        connection.sql(statement).to_arrow_table()
        return time.perf_counter() - start


def measure(path: Path, order_id: str | None) -> dict[str, float]:
    """Make the history in this process and return what it took."""
    from clv_forecast.history import purchase_history
    from clv_forecast.tables.source import open_source

    names = {name: name for name in ("customer_id", "date", "amount", *([order_id] if order_id else []))}
    start = time.perf_counter()
    open_source(path, names)
    door = time.perf_counter() - start
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    history = purchase_history(path, as_of=AS_OF, order_id=order_id)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    start = time.perf_counter()
    halves = history.split("2022-12-31")
    return {
        "seconds": seconds,
        "door_seconds": door,
        "by_hand_seconds": by_hand(path),
        "cpu_seconds": cpu,
        "split_seconds": time.perf_counter() - start,
        "imports_mib": before / 1024,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "customers": len(history.table),
        "calibration_customers": len(halves.calibration.table),
        "money_read": float(history.audit.ledger[0].amount),
    }


def main() -> None:
    """Generate, measure (Parquet without and with order ids, CSV, German CSV), print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.parquet"
        money = generate(path, rows)
        print(f"{rows:,} orders, {path.stat().st_size / 2**20:,.0f} MiB of Parquet")
        texts = write_csv(path, Path(folder))
        runs = [("Parquet", path, ""), ("Parquet with order ids", path, "order_id")]
        for title, file, order_id in [*runs, *((name, text, "") for name, text in texts.items())]:
            command = [sys.executable, __file__, "measure", str(file), order_id]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
            got = json.loads(done.stdout)
            assert abs(got["money_read"] - money) < 0.005, (got["money_read"], money)
            print(title)
            for name, value in got.items():
                print(f"  {name:<22}{value:>16,.1f}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "measure":
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[3] or None)))
    else:
        main()
