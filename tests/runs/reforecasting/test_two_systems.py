"""The whole way from two systems to a published run and rows in a warehouse: Postgres at both ends, and a CSV."""

from __future__ import annotations

import os
from decimal import Decimal

import pandas as pd
import psycopg
import pytest

import clv_forecast as clv
from clv_forecast.runs.reforecasting.reforecast import reforecast

DAY = "1997-12-14"
CONFIGURATION = """
[[sources]]
name = "shop"
url = "{address}"
table = "sales.Orders"
customer = "who"
date = "day"
amount = "paid"
order_id = "number"
[[sources]]
name = "phone"
path = "phone.csv"
order_id = "order_id"
[log]
observed_from = "1997-01-01"
currency = "USD"
[consolidation]
crosswalk = "crosswalk.csv"
[model]
draws = 100
[forecast]
horizons = ["12 months"]
draws = 100
[backtest]
enabled = false
[ranking]
draws = 100
[finance]
bases = []
[cohorts]
enabled = false
[outputs.database]
url = "{address}"
schema = "results"
"""


@pytest.fixture
def systems(tmp_path, postgres_url, monkeypatch):
    """A log cut into two systems that share a tenth of the orders, each with ids of its own."""
    log = clv.load_cdnow("1/10")
    log = log[log["customer_id"] < 1500].reset_index(drop=True)
    log["order_id"] = [f"N{row:06d}" for row in log.index]
    in_shop, in_phone = log.index % 10 < 6, log.index % 10 >= 5
    ids = log["customer_id"].unique()
    walk = pd.concat(
        [
            pd.DataFrame({"source": "shop", "source_id": [f"S{i}" for i in ids], "customer_id": ids}),
            pd.DataFrame({"source": "phone", "source_id": [str(i) for i in ids], "customer_id": ids}),
        ]
    )
    walk.to_csv(tmp_path / "crosswalk.csv", index=False)
    log[in_phone].to_csv(tmp_path / "phone.csv", index=False)
    shop = log[in_shop].rename(columns={"date": "day", "order_id": "number"})
    shop = shop.assign(
        who="S" + shop["customer_id"].astype(str), paid=shop["amount"].map(lambda a: Decimal(f"{a:.2f}"))
    )
    with psycopg.connect(postgres_url) as at, at.cursor() as cursor:
        cursor.execute("CREATE SCHEMA sales")
        cursor.execute('CREATE TABLE sales."Orders" (who text, day date, number text, paid numeric(12, 2))')
        with cursor.copy('COPY sales."Orders" FROM STDIN') as rows:
            for row in shop[["who", "day", "number", "paid"]].itertuples(index=False):
                rows.write_row(row)
    before, at, after = postgres_url.partition("://")[2].rpartition("@")
    user, _, password = before.partition(":")
    monkeypatch.setenv("CLV_PASSWORD", password)
    address = f"postgres://{user}:${{CLV_PASSWORD}}{at}{after}"
    (tmp_path / "clv.toml").write_text(CONFIGURATION.format(address=address), encoding="utf-8")
    return tmp_path, log, in_shop, in_phone, password


def test_two_systems_become_one_run_reconciled_to_the_cent(systems, postgres_url):
    folder, log, in_shop, in_phone, password = systems
    known = clv.check(folder / "clv.toml", as_of=DAY)
    assert known.ok, str(known)
    made = reforecast(folder / "clv.toml", as_of=DAY)
    assert made.published
    cents = log["amount"].map(lambda amount: Decimal(f"{amount:.2f}"))
    dated = log["date"] <= DAY
    steps = made.run.table("reconciliation").set_index(["source", "step"])["amount"]
    twice = in_shop & in_phone & dated
    assert steps["shop", "kept"] == sum(cents[in_shop & dated]) and steps["phone", "merged"] == sum(cents[twice])
    assert steps["phone", "kept"] == sum(cents[in_phone & ~in_shop & dated])
    assert steps["phone", "after_as_of"] == sum(cents[in_phone & ~dated])
    whole = clv.purchase_history(log, as_of=DAY, observed_from="1997-01-01")
    table = made.run.table("history").drop(columns=["as_of", "currency", "unit"])
    pd.testing.assert_frame_equal(table, whole.table, check_dtype=False)

    with psycopg.connect(postgres_url) as at:
        shown = at.execute("SELECT customer_id, value, run_id FROM results.forecast_current ORDER BY 1").fetchall()
    kept = made.run.table("forecast").sort_values("customer_id")
    assert [(row[0], row[2]) for row in shown] == [(one, made.run_id) for one in kept["customer_id"]]
    assert [row[1] for row in shown] == kept["value"].tolist()
    for path in [*made.folder.rglob("*.json"), *made.folder.rglob("*.html"), *made.folder.rglob("*.txt")]:
        assert password not in path.read_text(encoding="utf-8", errors="replace"), path.name


def test_a_database_that_is_away_publishes_nothing_new(systems, caplog):
    folder, *_, password = systems
    first = reforecast(folder / "clv.toml", as_of=DAY)
    text = (folder / "clv.toml").read_text(encoding="utf-8")
    port = text.partition("127.0.0.1:")[2].partition("/")[0]
    (folder / "clv.toml").write_text(text.replace(f":{port}/", ":1/", 1), encoding="utf-8")
    with pytest.raises(clv.InputError, match="cannot be reached") as caught:
        reforecast(folder / "clv.toml", as_of="1997-12-21")
    assert password not in str(caught.value) and password not in caplog.text
    assert clv.open_store(folder / "runs").find("latest").run_id == first.run_id
    # the sources answer, the warehouse for results does not: the run is complete, but nobody is shown it yet
    head, _, tail = text.rpartition(f":{port}/")
    (folder / "clv.toml").write_text(f"{head}:1/{tail}", encoding="utf-8")
    with pytest.raises(clv.StoreError, match="again"):
        reforecast(folder / "clv.toml", as_of="1997-12-21")
    assert clv.open_store(folder / "runs").find("latest").run_id == first.run_id
    (folder / "clv.toml").write_text(text, encoding="utf-8")
    done = reforecast(folder / "clv.toml", as_of="1997-12-21")
    assert done.repeated and done.published
    assert clv.open_store(folder / "runs").find("latest").run_id == done.run_id
    assert os.environ["CLV_PASSWORD"] == password
