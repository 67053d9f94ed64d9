"""A year of weekly reforecasts on CDNOW by backfill: time, the bridge, and how the bands of each forecast held.

``python benchmarks/reforecast.py`` makes 52 runs of the 1/10 sample, ``--full`` of the whole log. With ``--folder`` the
store stays, and runs that are there are not made again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import clv_forecast as clv

FIRST, LAST = "1997-07-06", "1998-06-28"
CONFIGURATION = """
title = "CDNOW"
[[sources]]
name = "shop"
path = "orders.csv"
[log]
observed_from = "1997-01-01"
[model]
refit = "every 4 runs"
[forecast]
horizons = ["12 months"]
draws = {draws}
[backtest]
every = 13
horizon = "13 weeks"
draws = {draws}
"""


def main() -> None:
    """Make the runs and print what they show."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        year_of_runs(given.folder or Path(aside), full=given.full, draws=given.draws)


def year_of_runs(folder: Path, *, full: bool, draws: int) -> None:
    """52 runs in a folder, and their account."""
    folder.mkdir(parents=True, exist_ok=True)
    clv.load_cdnow(None if full else "1/10").to_csv(folder / "orders.csv", index=False)
    configuration = folder / "clv.toml"
    configuration.write_text(CONFIGURATION.format(draws=draws), encoding="utf-8")
    begin, seconds, status = time.perf_counter(), [], {}
    for made in clv.backfill(configuration, start=FIRST, end=LAST, every="week"):
        seconds.append(time.perf_counter() - begin)
        status[made.run_id] = "held" if made.held else "published"
        begin = time.perf_counter()
    store = clv.open_store(folder / "runs")
    runs = [entry.folder for entry in store.entries() if entry.run_id in status]
    told = pd.Series(seconds)
    print(
        f"{len(runs)} runs, {sum(one == 'held' for one in status.values())} held; seconds per run: "
        f"median {told.median():.1f}, largest {told.max():.1f}; {told.sum() / 60.0:.1f} minutes in all"
    )
    print(f"disk: {size_of(folder / 'runs') / 1e6:.1f} MB for {len(runs)} runs")
    bridges(runs)
    bands(runs, folder)


def bridges(runs: list[Path]) -> None:
    """Whether every bridge adds up, and what moved the value over the year."""
    tables = [clv.read_run(run).table("changes") for run in runs[1:] if "changes" in clv.read_run(run).tables]
    exact = sum(
        int((one["value"] * 100).round().iloc[:-1].sum()) == round(100 * one["value"].iloc[-1]) for one in tables
    )
    print(f"\nBridges: {len(tables)} of {len(runs) - 1}, {exact} add up to the cent. Sum of each cause over them:")
    causes = pd.concat(tables).groupby("step", sort=False)["value"].sum().iloc[1:-1]
    print(causes[causes != 0.0].round(2).to_string())


def bands(runs: list[Path], folder: Path) -> None:
    """Coverage of the forecasts of each week, after one week and after a quarter."""
    table = clv.bands_over_runs(runs)
    old = table[table["group"] == "accounts of the earlier run"]
    print("\nBands (90 %) of earlier runs, against what came:")
    for quantity in ("purchases", "revenue"):
        for name, chosen in (("a week", old["days"] == 7), ("a quarter", old["days"] >= 91)):
            one = old[(old["quantity"] == quantity) & chosen]
            if len(one):
                print(
                    f"  {quantity:<10} after {name:<10} {len(one):>3} runs: totals held {one['covered'].mean():6.1%}, "
                    f"customers' bands {one['coverage'].mean():6.1%} (lowest {one['coverage'].min():.1%}); "
                    f"came / expected {one['came'].sum() / one['expected'].sum():.3f}"
                )
    quarter = old[(old["quantity"] == "purchases") & (old["days"] == old.loc[old["days"] >= 91, "days"].min())]
    if len(quarter):
        figure = Figure(figsize=(9.0, 4.6), layout="constrained")
        clv.figures.draw_run_bands(quarter, ax=figure.subplots())
        figure.savefig(folder / "bands.png", dpi=150)
        print(f"  figure: {folder / 'bands.png'}")


def size_of(folder: Path) -> int:
    """Bytes on the disk, a file with several names counted once."""
    seen = {(stat.st_dev, stat.st_ino): stat.st_size for stat in (p.lstat() for p in folder.rglob("*") if p.is_file())}
    return sum(seen.values())


if __name__ == "__main__":
    main()
