"""Two systems with overlapping orders and a crosswalk: every line and every cent accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.history import purchase_history
from clv_forecast.history.consolidation import Consolidated, OrderSource, consolidate
from tests.history.consolidation.test_postgres_source import load

AS_OF = "2024-06-30"
SHOP = {"customer": "buyer", "date": "placed", "amount": "total", "order_id": "order_no", "currency": "EUR"}
CRM = {"customer": "contact", "date": "day", "amount": "value", "order_id": "ref", "currency": "code"}


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    order = np.repeat(np.arange(300), 3)
    cents = rng.integers(100, 9_999, len(order))
    return pd.DataFrame(
        {
            "buyer": order % 40,
            "placed": pd.Timestamp("2024-01-01") + pd.to_timedelta(order * 15, unit="h"),
            "total": cents / 100,
            "order_no": [f"S{number}" for number in order],
        }
    )


@pytest.fixture(scope="module")
def crm(shop: pd.DataFrame) -> pd.DataFrame:
    """Every third order of the shop, some with another sum, and orders of its own, some in dollars."""
    totals = shop.assign(cents=(shop["total"] * 100).round()).groupby(["buyer", "order_no"], as_index=False)
    known = totals.agg(cents=("cents", "sum"), placed=("placed", "first"))
    known = known[known["order_no"].str[1:].astype(int) % 3 == 0].reset_index(drop=True)
    known.loc[known.index % 10 == 0, "cents"] += 125
    both = pd.DataFrame(
        {
            "contact": "c-" + known["buyer"].astype(str),
            "day": known["placed"].dt.strftime("%Y-%m-%d"),
            "value": (known["cents"] / 100).map("{:.2f}".format),
            "ref": known["order_no"],
            "code": "EUR",
        }
    )
    number = np.arange(90)
    own = pd.DataFrame(
        {
            "contact": [f"c-{n % 60}" for n in number],  # 40 to 59 are not in the crosswalk
            "day": (pd.Timestamp("2024-02-01") + pd.to_timedelta(number * 2, unit="D")).strftime("%Y-%m-%d"),
            "value": [f"{(n * 37 % 400) / 4 + 1:.2f}" for n in number],
            "ref": [f"R{n}" for n in number],
            "code": np.where(number % 4 == 0, "USD", "EUR"),
        }
    )
    return pd.concat([both, own], ignore_index=True)


@pytest.fixture(scope="module")
def links() -> pd.DataFrame:
    """Two buyers of the shop and two contacts make one account."""
    buyers = pd.DataFrame({"source": "shop", "source_id": range(40), "customer_id": [1000 + n // 2 for n in range(40)]})
    contacts = buyers.assign(source="crm", source_id=[f"c-{n}" for n in range(40)])
    return pd.concat([buyers, contacts], ignore_index=True)


@pytest.fixture
def sources(shop: pd.DataFrame, crm: pd.DataFrame, postgres_url: str, tmp_path: Path) -> Iterator[list[OrderSource]]:
    types = {"buyer": "integer", "placed": "timestamp", "total": "numeric(12, 2)", "order_no": "text"}
    load(postgres_url, "orders", shop, types)
    crm.to_csv(tmp_path / "crm.csv", index=False)
    yield [
        OrderSource("shop", postgres_url, table="orders", **SHOP),
        OrderSource("crm", tmp_path / "crm.csv", **CRM),
    ]


def cents(values: pd.Series) -> Decimal:
    return sum((Decimal(str(value)).quantize(Decimal("0.01")) for value in values), Decimal(0))


def stepped(made: Consolidated, source: str, step: str, currency: str = "EUR") -> tuple[int, Decimal]:
    table = made.reconciliation
    row = table[(table["source"] == source) & (table["step"] == step) & (table["currency"] == currency)]
    return (0, Decimal(0)) if row.empty else (int(row["rows"].iloc[0]), row["amount"].iloc[0])


def test_reconciled_to_the_cent(
    sources: list[OrderSource], shop: pd.DataFrame, crm: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    made = consolidate(sources, tmp_path / "out", as_of=AS_OF, crosswalk=links)
    in_time = shop[shop["placed"] < "2024-07-01"]
    assert stepped(made, "shop", "read") == (len(shop), cents(shop["total"]))
    assert stepped(made, "shop", "kept") == (len(in_time), cents(in_time["total"]))
    assert stepped(made, "shop", "after_as_of") == (
        len(shop) - len(in_time),
        cents(shop["total"]) - cents(in_time["total"]),
    )
    late = crm["day"] > AS_OF
    shared = crm["ref"].isin(set(in_time["order_no"])) & ~late
    for code in ("EUR", "USD"):
        here = crm["code"] == code
        assert stepped(made, "crm", "read", code) == (int(here.sum()), cents(crm.loc[here, "value"]))
        assert stepped(made, "crm", "merged", code) == (
            int((here & shared).sum()),
            cents(crm.loc[here & shared, "value"]),
        )
        kept = here & ~shared & ~late
        assert stepped(made, "crm", "kept", code) == (int(kept.sum()), cents(crm.loc[kept, "value"]))
    orders = pd.read_parquet(made.orders)
    written = orders.assign(cents=orders["amount"].map(Decimal)).groupby(["source", "currency"])
    whole = made.reconciliation.loc[lambda t: t["step"] == "kept"].set_index(["source", "currency"])
    assert written["cents"].sum().to_dict() == whole["amount"].to_dict()
    assert written["lines"].sum().to_dict() == whole["rows"].to_dict()


def test_accounts_are_those_of_the_crosswalk(
    sources: list[OrderSource], shop: pd.DataFrame, crm: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    """Plain pandas makes the same log and the same history of it."""
    made = consolidate(sources, tmp_path / "out", as_of=AS_OF, crosswalk=links, unmatched="drop")
    one = shop.assign(account=1000 + shop["buyer"] // 2, code="EUR")
    one = one.rename(columns={"placed": "date", "total": "amount", "order_no": "order"})
    account = crm["contact"].str[2:].astype(int)
    two = crm.assign(account=1000 + account // 2, amount=crm["value"].astype(float), date=pd.to_datetime(crm["day"]))
    two = two[(account < 40) & ~two["ref"].isin(set(one.loc[one["date"] < "2024-07-01", "order"]))]
    log = pd.concat([one, two.rename(columns={"ref": "order"})])[["account", "date", "amount", "order", "code"]]
    options: dict[str, Any] = {"as_of": AS_OF, "rates": {"EUR": 1, "USD": "0.92"}}
    plain = purchase_history(log, customer="account", order_id="order", currency="code", **options)
    whole = purchase_history(made.files, **made.options, **options)
    pd.testing.assert_frame_equal(whole.table, plain.table, check_exact=True)
    dropped = crm[(account >= 40) & (crm["day"] <= AS_OF)]
    steps = made.reconciliation.loc[lambda t: t["step"] == "unmatched_dropped"]
    assert steps["rows"].sum() == len(dropped)
    assert steps["amount"].sum() == cents(dropped["value"])
    assert made.matched_share["shop"] == 1
    assert made.matched_share["crm"] == pytest.approx(1 - len(dropped) / (crm["day"] <= AS_OF).sum())


def test_what_differs_is_told(
    sources: list[OrderSource], shop: pd.DataFrame, crm: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    made = consolidate(sources, tmp_path / "out", as_of=AS_OF, crosswalk=links)
    found = made.finding("same_orders")
    assert found is not None
    in_time = shop[shop["placed"] < "2024-07-01"]
    theirs = crm[crm["ref"].isin(set(in_time["order_no"]))].set_index("ref")["value"].map(Decimal)
    ours = in_time.groupby("order_no")["total"].apply(cents)
    gap = theirs - ours.reindex(theirs.index)
    assert found.values["orders"] == len(theirs)
    assert found.values["differ"] == int((gap != 0).sum()) > 0
    assert found.values["difference_EUR"] == f"{sum(abs(gap)):.2f}"
    assert gap.max() == Decimal("1.25")
    assert f"{found.values['difference_EUR']} EUR in all" in found.sentence
    own = made.finding("unmatched_crm")
    assert own is not None
    assert (
        own.values["ids"]
        == crm.loc[(crm["day"] <= AS_OF) & (crm["contact"].str[2:].astype(int) >= 40), "contact"].nunique()
    )
    ids = pd.read_parquet(made.orders)["customer_id"]
    assert {"crm:c-40", "1000"} <= set(ids)  # text, as they do not all come from the crosswalk


def test_days_of_what_arrived(
    sources: list[OrderSource], shop: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    made = consolidate(sources, tmp_path / "out", as_of=AS_OF, crosswalk=links)
    days = made.source_days[made.source_days["source"] == "shop"].set_index("day")
    in_time = shop[shop["placed"] < "2024-07-01"]
    by_day = in_time.groupby(in_time["placed"].dt.normalize())["total"]
    assert days["lines"].to_dict() == by_day.size().to_dict()
    assert days["amount"].to_dict() == by_day.apply(cents).to_dict()
    assert list(made.source_days.columns) == ["source", "day", "lines", "amount", "currency"]


def test_the_first_source_wins(sources: list[OrderSource], links: pd.DataFrame, tmp_path: Path) -> None:
    one = consolidate(sources, tmp_path / "one", as_of=AS_OF, crosswalk=links)
    two = consolidate(sources[::-1], tmp_path / "two", as_of=AS_OF, crosswalk=links)
    apart = consolidate(sources, tmp_path / "apart", as_of=AS_OF, crosswalk=links, same_orders=False)
    merged = [made.reconciliation.loc[lambda t: t["step"] == "merged"] for made in (one, two, apart)]
    assert [part["source"].unique().tolist() for part in merged] == [["crm"], ["shop"], []]
    assert merged[0]["customers"].sum() > 0
    assert apart.finding("same_orders") is None
    assert len({one.fingerprint, two.fingerprint, apart.fingerprint}) == 3


def test_the_same_bytes_every_time(sources: list[OrderSource], links: pd.DataFrame, tmp_path: Path) -> None:
    made = [consolidate(sources, tmp_path / str(n % 2), as_of=AS_OF, crosswalk=links) for n in range(4)]
    shuffled = links.sample(frac=1, random_state=1)
    made += [consolidate(sources, tmp_path / "out", as_of=AS_OF, crosswalk=shuffled) for _ in range(4)]
    assert len({one.fingerprint for one in made}) == 1
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / place / "orders").iterdir()} for place in ("0", "out")
    ]
    assert files[0] == files[1]
    assert sorted(files[0]) == [f"2024-0{month}.parquet" for month in range(1, 7)]
    for one in made[1:]:
        pd.testing.assert_frame_equal(one.reconciliation, made[0].reconciliation)
        pd.testing.assert_frame_equal(one.source_days, made[0].source_days)
    assert pq.read_schema(made[0].orders / "2024-01.parquet").names == [
        *("customer_id", "date", "amount", "order_id", "currency", "lines", "source", "source_id")
    ]


def test_unmatched_ids_can_be_refused(crm: pd.DataFrame, links: pd.DataFrame, tmp_path: Path) -> None:
    source = OrderSource("crm", crm, **CRM)
    with pytest.raises(InputError, match=r"20 ids without an account.*First customers: crm:c-40, crm:c-41"):
        consolidate([source], tmp_path, crosswalk=links, unmatched="error")
    with pytest.raises(DomainError, match="unmatched"):
        consolidate([source], tmp_path, crosswalk=links, unmatched="ignore")
    assert not (tmp_path / "orders").exists()


@pytest.mark.parametrize("with_its_order", [True, False])
def test_a_refund_that_only_the_second_system_knows_is_no_copy(tmp_path, with_its_order):
    """A ledger of refunds under the order numbers of the shop, with the orders or without."""
    shop = pd.DataFrame({"customer_id": [1], "date": ["2024-01-05"], "amount": [100.0], "order_id": ["A"]})
    refund = shop.assign(amount=-40.0, date="2024-01-20")
    ledger = pd.concat([shop, refund]) if with_its_order else refund
    made = consolidate(
        [OrderSource("shop", shop, order_id="order_id"), OrderSource("finance", ledger, order_id="order_id")], tmp_path
    )
    kept = made.reconciliation.set_index(["source", "step"])["amount"]
    assert kept["finance", "kept"] == -40 and kept["shop", "kept"] == 100
    history = purchase_history(made.files, as_of="2024-12-31", **made.options)
    assert history.table["total_revenue"].tolist() == [60.0]


def test_a_refund_that_both_know_counts_once(tmp_path):
    log = pd.DataFrame(
        {"customer_id": 1, "date": ["2024-01-05", "2024-01-20"], "amount": [100.0, -40.0], "order_id": "A"}
    )
    sources = [OrderSource(name, log, order_id="order_id") for name in ("shop", "finance")]
    made = consolidate(sources, tmp_path)
    assert made.reconciliation.set_index(["source", "step"])["amount"]["finance", "merged"] == 60
