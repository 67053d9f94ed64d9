"""The page in headless Chromium: search, sort, filter, cards, keyboard, hostile names, no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clv_forecast.printable import printable
from clv_forecast.report.page import write_page
from tests.report.page_inputs import HOSTILE, bare_report, full_report, hostile_report

Browser = Any
COLUMN = """
const table = document.querySelector(`#${arguments[0]} table.accounts`);
const at = [...table.querySelectorAll('thead th')].findIndex((head) => head.textContent.startsWith(arguments[1]));
return [...table.querySelectorAll('tbody tr')].map((row) => row.children[at].textContent);
"""
TYPE = """
const box = document.getElementById('search-' + arguments[0]);
box.value = arguments[1];
box.dispatchEvent(new Event('input', {bubbles: true}));
"""


@pytest.fixture(scope="module")
def browser(program: Callable[[str], str]) -> Iterator[Browser]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for switch in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1300,900",
        "--force-prefers-reduced-motion",
    ):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(hostile_report(), tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Browser:
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(address)
    return browser


def query(browser: Browser, code: str, *given: Any) -> Any:
    return browser.execute_script(f"return {code}", *given)


def all_of(browser: Browser, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def the(browser: Browser, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def head(browser: Browser, name: str) -> Any:
    return next(found for found in all_of(browser, "#ranking thead button") if found.text.split("\n")[0] == name)


def status(browser: Browser) -> str:
    return str(query(browser, "document.querySelector('#ranking .status').textContent"))


def search(browser: Browser, words: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script(TYPE, "ranking", words)
    WebDriverWait(browser, 5).until(
        lambda seen: query(seen, "document.getElementById('search-ranking').dataset.done") == words
    )


def card_is_open(browser: Browser) -> bool:
    return bool(query(browser, "document.getElementById('card').open"))


def show_all(browser: Browser) -> None:
    browser.execute_script(
        "const size = document.getElementById('size-ranking'); size.value = '250';"
        " size.dispatchEvent(new Event('change'));"
    )


def test_hostile_names_do_nothing_and_are_shown(page: Browser) -> None:
    show_all(page)
    known = query(page, "JSON.parse(document.getElementById('tables').textContent).columns.name.texts")
    for name in map(printable, HOSTILE):
        row = known.index(name)
        shown = page.execute_script(
            "const button = document.querySelector(`#ranking button.open[data-row='${arguments[0]}']`);"
            " button.click(); return [button.textContent, document.getElementById('card-title').textContent];",
            row,
        )
        for text, most in zip(shown, (80, 2000), strict=True):
            assert text == (name if len(name) <= most else f"{name[:most]}…")
    assert query(page, "document.title").startswith("Value & potential <i>of</i> accounts")
    assert query(page, "document.scripts.length") == 3
    assert (
        query(page, "document.querySelectorAll('img, iframe, object, embed, [onerror], main i, dialog i').length") == 0
    )
    assert query(page, "document.querySelectorAll('main bdi, dialog bdi').length") > 100
    assert [line["message"] for line in page.get_log("browser")] == []


def test_asks_nothing_of_the_network(page: Browser, address: str) -> None:
    the(page, "#ranking button.open").click()
    events = [json.loads(line["message"])["message"] for line in page.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {url.split("#")[0] for url in asked if url not in ("about:blank", "data:,")} <= {address}
    assert query(page, "performance.getEntriesByType('resource').filter((e) => e.name !== 'data:,').length") == 0
    blocked = page.execute_async_script(
        "const done = arguments[0];"
        " document.addEventListener('securitypolicyviolation', (e) => done(e.effectiveDirective));"
        " const script = document.createElement('script'); script.textContent = 'document.title = 1';"
        " document.body.append(script); setTimeout(() => done('nothing'), 2000);"
    )
    assert blocked == "script-src-elem"


def test_search_finds_ids_names_and_labels_whatever_the_case(page: Browser) -> None:
    assert status(page) == "1 to 25 of 100 accounts"
    search(page, "ACCOUNT 77")
    assert page.execute_script(COLUMN, "ranking", "account") == ["Account 77A000077"]
    search(page, "alert(1)")
    assert status(page) == "1 to 1 of 1 account (of 100)"
    search(page, "nobody is called so")
    assert status(page) == "No account matches."
    search(page, "")
    assert status(page) == "1 to 25 of 100 accounts"


def test_sorts_by_a_head_both_ways_and_says_so(page: Browser) -> None:
    show_all(page)
    for falling in (True, False):
        head(page, "at risk").click()
        shown = [float(text.replace(",", "")) for text in page.execute_script(COLUMN, "ranking", "at risk")]
        assert len(shown) == 100
        assert shown == sorted(shown, reverse=falling)
        words = [found.get_attribute("aria-sort") for found in all_of(page, "#ranking thead th")]
        assert [word for word in words if word] == ["descending" if falling else "ascending"]
    head(page, "account").click()
    names = page.execute_script(COLUMN, "ranking", "account")
    numbered = [int(text.split("A0")[0].removeprefix("Account ")) for text in names if text.startswith("Account ")]
    assert len(numbered) > 80


def test_every_table_of_accounts_sorts_by_every_head(page: Browser) -> None:
    count = page.execute_script(
        "const heads = document.querySelectorAll('table.accounts thead button');"
        " for (const button of heads) { button.click(); button.click(); } return heads.length;"
    )
    assert count > 20
    assert [line["message"] for line in page.get_log("browser")] == []


def test_filters_by_label_and_by_need_of_a_person(page: Browser) -> None:
    show_all(page)
    boxes = {box.text.split("\n")[0]: box for box in all_of(page, "#ranking .tools label")}
    choice = boxes["channel"].find_elements("tag name", "option")[1]
    wanted = choice.text
    choice.click()
    expected = query(
        page,
        "(() => { const c = JSON.parse(document.getElementById('tables').textContent).columns['attribute: channel'];"
        " return c.codes.filter((code) => c.labels[code] === arguments[0]).length; })()".replace(
            "arguments[0]", json.dumps(wanted)
        ),
    )
    assert status(page) == f"1 to {expected} of {expected} accounts (of 100)"
    page.refresh()
    the(page, "#only-persons").click()
    persons = int(the(page, "a[data-person] .number").text)
    assert len(all_of(page, "#ranking .mark")) == len(all_of(page, "#ranking tbody tr")) == persons


def test_pages_back_and_forth(page: Browser) -> None:
    back, following = all_of(page, "#ranking .pager button")
    assert not back.is_enabled()
    for _ in range(3):
        following.click()
    assert status(page) == "76 to 100 of 100 accounts"
    assert not following.is_enabled()
    back.click()
    assert status(page) == "51 to 75 of 100 accounts"


def test_opens_a_card_by_click_with_facts_and_plot(page: Browser) -> None:
    the(page, "#ranking button.open").click()
    assert card_is_open(page)
    topics = [found.text for found in all_of(page, "#card h3")]
    assert topics == ["Now", "Forecast", "Potential", "Allowable spend", "Risk", "Place"]
    label = the(page, "#card svg").get_attribute("aria-label")
    assert "Revenue by month" in label and "90 % band" in label
    assert len(all_of(page, "#card rect.month")) > 0
    assert query(page, "document.querySelector('#card .card-body > p:not(.badge)').textContent").endswith(".")
    the(page, "#card-close").click()
    assert not card_is_open(page)


def test_card_by_keyboard_and_back_where_it_was(page: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    button = all_of(page, "#ranking button.open")[2]
    button.send_keys(Keys.ENTER)
    assert card_is_open(page)
    assert query(page, "document.getElementById('card').contains(document.activeElement)")
    title = the(page, "#card-title").text
    next(found for found in all_of(page, ".card-buttons button") if found.text == "next").send_keys(Keys.ENTER)
    assert the(page, "#card-title").text != title
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not card_is_open(page)
    assert query(page, "document.activeElement.dataset.row") == button.get_attribute("data-row")


def test_skip_link_comes_first(page: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    the(page, "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("class") == "skip"
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert query(page, "document.activeElement.id") == "main"


def test_an_address_opens_its_card(browser: Browser, address: str) -> None:
    browser.get("about:blank")
    browser.get(f"{address}#account=A000050")
    assert card_is_open(browser)
    assert "A000050" in the(browser, "#card .card-head p").text


def test_fits_a_phone(page: Browser) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        assert query(page, "document.documentElement.scrollWidth") <= 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_bare_page_works_too(browser: Browser, tmp_path: Any) -> None:
    browser.get_log("browser")
    browser.get(write_page(bare_report(), tmp_path / "bare.html").as_uri())
    search(browser, "1993")
    the(browser, "#ranking button.open").click()
    assert card_is_open(browser)
    assert [line["message"] for line in browser.get_log("browser")] == []


@pytest.mark.slow
def test_a_full_page_works_and_the_matrix_filters(browser: Browser, tmp_path: Any) -> None:
    browser.get_log("browser")
    browser.get(write_page(full_report(), tmp_path / "full.html").as_uri())
    cell = the(browser, ".matrix td")
    count, name = cell.find_element("tag name", "strong").text, cell.find_element("tag name", "button").text
    cell.find_element("tag name", "button").click()
    assert f"of {count} account" in status(browser)
    assert set(browser.execute_script(COLUMN, "ranking", "cell")) == {name}
    for grid in ("ranking", "spend", "losers"):
        browser.execute_script("document.querySelector(`#${arguments[0]} button.open`).click()", grid)
        assert card_is_open(browser)
    assert [line["message"] for line in browser.get_log("browser")] == []
