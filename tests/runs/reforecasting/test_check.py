"""What a check tells: that a run would find everything, or what it would not."""

from __future__ import annotations

import clv_forecast as clv
from tests.runs.reforecasting.made_runs import orders, write_configuration, write_orders


def test_it_counts_in_words_and_writes_nothing(tmp_path):
    write_orders(tmp_path)
    found = clv.check(write_configuration(tmp_path), as_of="1997-12-31")
    log = orders()
    log = log[log["date"] <= "1997-12-31"]
    told = found.table.set_index("name").loc["shop", "told"]
    assert found.ok and told == (
        f"{len(log):,} lines of {log['customer_id'].nunique():,} ids, {log['amount'].sum():,.2f}, "
        f"from {log['date'].min().date()} to {log['date'].max().date()}"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"orders.csv", "clv.toml"}


def test_a_place_that_cannot_be_reached_is_a_row(tmp_path):
    found = clv.check(write_configuration(tmp_path), as_of="1997-12-31")
    assert not found.ok and found.table["ok"].tolist() == [False, True] and "NO  source shop" in str(found)


def test_times_of_a_zone_count_by_the_days_of_the_configuration(tmp_path):
    """An order at 23:30 in UTC is of the next day in Berlin."""
    log = orders().assign(date=orders()["date"].dt.strftime("%Y-%m-%dT12:00:00Z"))
    late = log.head(1).assign(date="1997-12-31T23:30:00Z")
    write_orders(tmp_path, log)
    configuration = write_configuration(tmp_path)
    configuration.write_text('time_zone = "Europe/Berlin"\n' + configuration.read_text(encoding="utf-8"))
    before = clv.check(configuration, as_of="1997-12-31")
    assert before.ok
    with (tmp_path / "orders.csv").open("a", encoding="utf-8") as file:
        late.to_csv(file, index=False, header=False)
    assert clv.check(configuration, as_of="1997-12-31").table["told"].equals(before.table["told"])
    earlier, later = (clv.check(configuration, as_of=day).table["told"].iloc[0] for day in ("1997-12-31", "1998-01-01"))
    assert f"{int((log['date'] < '1997-12-31T23').sum()):,} lines" in earlier
    assert f"{int((log['date'] < '1998-01-01T23').sum()) + 1:,} lines" in later
