"""How large the page is and how fast it opens from disk in headless Chromium: CDNOW in full beside its 1/10 sample.

    python benchmarks/page.py [--runs 5] [--folder DIR]

Times are medians: from the start of navigation to the load event (the tables stand by then), of a search over all
accounts, of a sort, and of the first card (which reads the details of all accounts). Needs Debian's chromium and
chromium-driver, and the development environment.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import clv_forecast as clv
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.report.page import write_page
from clv_forecast.report.report import Report, make_report

DRAWS = 200
TIMED = """
const done = arguments[arguments.length - 1];
const at = performance.now();
%s
requestAnimationFrame(() => setTimeout(() => done(performance.now() - at)));
"""
SORT = "[...document.querySelectorAll('#ranking thead button')].find((b) => b.textContent === 'P(alive)').click();"
CARD = "document.querySelector('#ranking button.open').click();"
SEARCHED = """
const done = arguments[0];
const box = document.getElementById('search-ranking');
const at = performance.now();
box.value = '77';
box.dispatchEvent(new Event('input'));
const wait = () => box.dataset.done === '77' ? done(performance.now() - at) : setTimeout(wait, 1);
wait();
"""


def report_of(sample: str | None) -> Report:
    """The report of a CDNOW log with forecast, ranking and allowable spend."""
    history = clv.purchase_history(clv.load_cdnow(sample), as_of="1998-06-30", observed_from="1997-01-01")
    forecast = clv.forecast(clv.fit(history, compare=False), history, draws=DRAWS)
    return make_report(forecast, ranking=clv.rank(forecast, draws=DRAWS), spends=allowable_spend(forecast))


def measured(path: Path, runs: int) -> dict[str, float]:
    """Median milliseconds of each step, over fresh loads in one browser."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,900"):
        options.add_argument(switch)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    found: dict[str, list[float]] = {"load": [], "card": [], "sort": [], "search": []}
    try:
        for _ in range(runs):
            browser.get("about:blank")
            browser.get(path.as_uri())
            found["load"].append(_load_time(browser))
            found["search"].append(browser.execute_async_script(SEARCHED))
            browser.execute_script("document.getElementById('search-ranking').value = '';")
            found["sort"].append(browser.execute_async_script(TIMED % SORT))
            found["card"].append(browser.execute_async_script(TIMED % CARD))
    finally:
        browser.quit()
    return {name: statistics.median(times) for name, times in found.items()}


def _load_time(browser: Any) -> float:
    ended = 0.0
    while not ended:
        ended = float(browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd"))
    return ended


def main() -> None:
    """Write both pages, open them, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--folder", type=Path)
    given = options.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    rows = {}
    for name, sample in (("1/10 sample", "1/10"), ("full", None)):
        report = report_of(sample)
        started = time.perf_counter()
        path = write_page(report, folder / f"cdnow-{name.split()[0].replace('/', '-')}.html")
        written = 1000.0 * (time.perf_counter() - started)
        rows[name] = {
            "accounts": len(report.forecast.history.table),
            "MB": path.stat().st_size / 1e6,
            "write": written,
            **measured(path, given.runs),
        }
    print(f"{'':12}" + "".join(f"{head:>12}" for head in rows["full"]) + "   (times in ms)")
    for name, row in rows.items():
        print(f"{name:12}" + "".join(f"{value:>12,.{2 if head == 'MB' else 0}f}" for head, value in row.items()))
    ratios = {head: rows["full"][head] / rows["1/10 sample"][head] for head in rows["full"]}
    print(f"{'ratio':12}" + "".join(f"{value:>12.1f}" for value in ratios.values()))


if __name__ == "__main__":
    main()
