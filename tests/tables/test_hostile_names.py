"""Names and text that a database or UTF-8 cannot hold are read all the same."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clv_forecast as clv
from clv_forecast.tables.source import read_frame

HALF = "half \ud800 a pair"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_nul_in_the_name_of_a_column(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"accounts.{ending}"
    table = pa.table({"customer_id": ["a", "b"], "re\x00gion": ["north", "south"], "re": ["1x", "2x"]})
    if ending == "csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        pq.write_table(table, path)
    found = read_frame(path, "The customers' table")
    assert found.to_dict("list") == {"customer_id": ["a", "b"], r"re\x00gion": ["north", "south"], "re": ["1x", "2x"]}


def test_half_pairs_become_escapes_everywhere_alike() -> None:
    orders = pd.DataFrame({
        "customer_id": pd.Series(["a", HALF, HALF], dtype=object), "date": ["2024-01-01", "2024-01-05", "2024-02-05"],
        "amount": [1.0, 2.0, 3.0],
    })  # fmt: skip
    accounts = pd.DataFrame({
        "customer_id": pd.Series([HALF, "a"], dtype=object), "region": pd.Series([HALF, 7], dtype=object)
    })  # fmt: skip
    history = clv.purchase_history(orders, as_of="2024-06-30", customers=accounts)
    escaped = r"half \ud800 a pair"
    assert history.table["customer_id"].tolist() == ["a", escaped]
    assert history.customers is not None
    assert history.customers["region"].tolist() == [7, escaped]
