"""An order log with everything that goes wrong in one, and what must come out the same of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

import clv_forecast as clv
from clv_forecast.history import PurchaseHistory, purchase_history
from clv_forecast.history.consolidation import Consolidated

AS_OF = "2024-06-30"
COLUMNS = {
    "order_id": "order_no",
    "category": "kind",
    "margin": "margin",
    "currency": "code",
    "recorded_at": "known",
}
RATES = {"EUR": 1, "USD": 0.92, "GBP": 1.1734}
MONEY_STEPS = ("refunds_netted", "refunds_unmatched", "purchases_cancelled", "kept")
_LATE = {"after_as_of", "recorded_after_as_of"}


def messy_log(lines: int = 2_000, seed: int = 7) -> pd.DataFrame:
    """Lines of orders with cents, refunds matched in full, in part or not at all, and values that no log should have.

    Times are of whole minutes, so that several lines of an order share one; some refunds share it too.
    """
    rng = np.random.default_rng(seed)
    order = rng.integers(0, lines // 8, lines)
    customer = (order * 7919) % 60
    start = np.datetime64("2023-01-01", "us")
    at = start + ((order * 104729) % (560 * 24 * 60)).astype("timedelta64[m]")
    amount = np.round(rng.gamma(2, 20, lines), 2)
    refund = rng.random(lines) < 0.15
    amount[refund] = -np.round(amount[refund] * rng.choice([1.0, 0.5, 1.5], refund.sum()), 2)
    late = refund & (rng.random(lines) < 0.6)
    at[late] += rng.integers(1, 60 * 24 * 60, late.sum()).astype("timedelta64[m]")
    repeated = rng.random(lines) < 0.1  # equal refunds of one order, which travel together
    amount[repeated & refund] = -5.0
    margin = np.round(amount * rng.choice([0.2, 0.35, 0.5], lines), 2)
    log = pd.DataFrame(
        {
            "who": pd.array(customer, dtype="Int64"),
            "placed": at,
            "amount": amount,
            "order_no": pd.array([f"A{number}" for number in order], dtype="str"),
            "kind": pd.array(rng.choice(["tea", "cups", " tea ", ""], lines, p=[0.6, 0.35, 0.03, 0.02]), dtype="str"),
            "margin": margin,
            "code": pd.array(np.array(["EUR", "USD", "GBP"])[order % 3], dtype="str"),
            "known": at + ((order * 31) % (20 * 24 * 60)).astype("timedelta64[m]"),
        }
    )

    def some(share: float) -> np.ndarray[Any, Any]:
        return np.asarray(rng.random(lines) < share)

    log.loc[some(0.02), "who"] = pd.NA
    log.loc[some(0.02), "placed"] = pd.NaT
    log.loc[some(0.01), "placed"] = pd.Timestamp("1899-12-30")
    log.loc[some(0.03), "amount"] = 0.0
    log.loc[some(0.02), "amount"] = np.nan
    log.loc[some(0.005), "amount"] = np.inf
    log.loc[some(0.005), "amount"] = 1e15
    log.loc[some(0.05), "order_no"] = None
    log.loc[some(0.03), "margin"] = np.nan
    log.loc[some(0.02), "code"] = None
    log.loc[some(0.05), "known"] = pd.NaT
    return log


def assert_same(made: PurchaseHistory, plain: PurchaseHistory) -> None:
    """Tables equal byte for byte, refunds matched alike, the same money left out."""
    assert _bytes(made.table) == _bytes(plain.table)
    assert made.currency == plain.currency
    one, two = (history.audit.steps.set_index("step") for history in (made, plain))
    assert set(one.index) - _LATE == set(two.index) - _LATE  # late lines may have been left out at the source
    assert (
        one.loc[one.index.isin(MONEY_STEPS), "amount"].to_dict()
        == two.loc[two.index.isin(MONEY_STEPS), "amount"].to_dict()
    )
    money = [history.audit.steps.loc[lambda t: t["step"] == "refunds_netted", "sentence"] for history in (made, plain)]
    by_level = [text.str.extract(r"\((.*)\)")[0].tolist() for text in money]
    assert by_level[0] == by_level[1]


def assert_same_history(
    made: Consolidated, raw: Any, *, splits: tuple[str, ...] = (), **options: Any
) -> PurchaseHistory:
    """What the files give is what the lines themselves give, now and as it was known on earlier days."""
    shared = {name: options.pop(name) for name in ("rates", "max_unreadable") if name in options}
    shared = {"max_unreadable": 0.05} | shared
    whole = clv.purchase_history(made.files, as_of=AS_OF, **made.options, **shared)
    plain = purchase_history(raw, as_of=AS_OF, **options, **shared)
    assert_same(whole, plain)
    for day in splits:
        assert_same(whole.split(day).calibration, plain.split(day).calibration)
        assert _bytes(whole.split(day).holdout) == _bytes(plain.split(day).holdout)
    return plain


def options_of(source: Mapping[str, str]) -> dict[str, str]:
    """The same columns, as ``purchase_history`` takes them."""
    return {"customer": "who", "date": "placed", "amount": "amount", **source}


def write(log: pd.DataFrame, kind: str, folder: Path) -> Path:
    path = folder / f"log.{kind}"
    if kind == "csv":
        log.to_csv(path, index=False)
    elif kind == "parquet":
        log.to_parquet(path, index=False)
    else:
        with duckdb.connect(path) as connection:
            connection.register("held", pa.Table.from_pandas(log, preserve_index=False))
            connection.execute("CREATE TABLE log AS FROM held")
    return path


def _bytes(table: pd.DataFrame) -> bytes:
    sink = pa.BufferOutputStream()
    arrow = pa.Table.from_pandas(table)
    with pa.ipc.new_stream(sink, arrow.schema) as stream:
        stream.write_table(arrow)
    return sink.getvalue().to_pybytes()
