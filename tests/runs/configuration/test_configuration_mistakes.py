"""Every mistake in a configuration is one error that names the key and its line, and never a traceback."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_forecast.errors import DomainError
from clv_forecast.runs.configuration.configuration import (
    Configuration,
    configuration_from,
    line_of,
    lines_of,
    read_configuration,
)
from tests.runs.configuration.full_configuration import FULL, SECRETS, SMALL


def told(tmp_path: Path, text: str, **options: Any) -> str:
    file = tmp_path / "clv.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DomainError) as refused:
        read_configuration(file, environment=options.pop("environment", SECRETS), **options)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("forcast = 3\n", ["line 4: forcast:", "Nearest: forecast."]),
        ("[forecast]\nhorison = '12 months'\n", ["line 5: forecast.horison:", "Nearest: horizons."]),
        ("[ranking]\nhorizons = ['1 year', '3 years']\n", ["ranking.horizon: One horizon belongs here."]),
        ("[forecast]\nmargin = 0,35\n", ["line 5: 0,35 is written with a comma; write 0.35."]),
        ("[forecast]\nmargin = {region = {EU = 0,35, US = 0.3}}\n", ["line 5: 0,35 is written with a comma"]),
        ("[forecast]\nmargin = '0,35'\n", ["line 5: forecast.margin:", "write 0.35."]),
        ("[forecast]\ndiscount_rate_annual = '0,1'\n", ["It must be a number. Got: '0,1'.", "write 0.1."]),
        ("refunds = 'net'\n", ["line 4: sources[0].refunds:", "It belongs to log.refunds."]),
        ("colum = 'x'\n", ["sources[0].colum:", "Known here: name, path, url"]),
        ("'a b' = 1\n", ["sources[0].'a b':"]),
        ("[gates]\nrows_ratio = true\n", ["line 5: gates.rows_ratio:", "or false, which turns it off"]),
        ("[gates]\nrows_ratio = 1.5\n", ["gates.rows_ratio:", "at most 1", "1.5"]),
        ("[gates]\nfit = 1\n", ["gates.fit: It must be true or false. Got: 1."]),
        ("[gates]\ntotal_move = nan\n", ["gates.total_move:", "finite"]),
        ("[model]\ndraws = 99\n", ["model.draws:", "greater than or equal to 100"]),
        ("[model]\ndraws = 1_000_000_000\n", ["model.draws:", "less than or equal to 100000"]),
        ("[forecast]\ndraws = 100_001\n", ["forecast.draws:", "less than or equal to 100000"]),
        ("[backtest]\ndraws = 1_000_000_000\n", ["backtest.draws:", "less than or equal to 100000"]),
        ("[backtest]\norigins = 51\n", ["backtest.origins:", "less than or equal to 50"]),
        ("[backtest]\nevery = 1_000_000_000\n", ["backtest.every:", "less than or equal to 1000"]),
        ("[backtest]\nhorizon = '101 years'\n", ["backtest.horizon:", "at most 100 years"]),
        ("[ranking]\ndraws = 1_000_000_000\n", ["ranking.draws:", "less than or equal to 100000"]),
        ("[ranking]\ntop_k = 10_001\n", ["ranking.top_k:", "less than or equal to 10000"]),
        ("[finance]\npayback = '101 years'\n", ["finance.payback:", "at most 100 years"]),
        ("[forecast]\nhorizons = ['1e308 months']\n", ["forecast.horizons:", "positive number"]),
        ("[forecast]\nhorizons = ['1201 months']\n", ["forecast.horizons:", "at most 100 years"]),
        ("[forecast]\nlifetime_years = 100.1\n", ["forecast.lifetime_years:", "less than or equal to 100"]),
        ("[forecast]\nlifetime_years = inf\n", ["forecast.lifetime_years:", "finite"]),
        ("[forecast]\ncost_per_order = 1e13\n", ["forecast.cost_per_order:", "at most 1e+12"]),
        ("[forecast]\ncost_where_unknown = 1e13\n", ["forecast.cost_where_unknown:", "less than or equal to"]),
        ("[gates]\ntotal_move = 1e308\n", ["gates.total_move:", "at most 1e+09"]),
        ("[gates]\nsource_age_days = 1e10\n", ["gates.source_age_days:", "at most 1e+09"]),
        ("[alerts]\nparameter_drift = 1e308\n", ["alerts.parameter_drift:", "less than or equal to"]),
        ("[alerts]\ntop_accounts_lost = 10_001\n", ["alerts.top_accounts_lost:", "less than or equal to 10000"]),
        ("[log]\nobserved_from = 9999-12-31\n", ["log.observed_from:", "years 1900 to 2200"]),
        ("[log]\nobserved_from = 0001-01-01\n", ["log.observed_from:", "years 1900 to 2200"]),
        ("[log]\nobserved_from = 'NaT'\n", ["log.observed_from:", "must be a day"]),
        ("[model]\ndraws = 200.0\n", ["model.draws: It must be a whole number. Got: 200.0."]),
        ("[model]\nrefit = 'every 0 runs'\n", ["model.refit:", "'every N runs'"]),
        ("[model]\nmethod = 'mcmc'\n", ["model.method:", "'mle', 'laplace' or 'nuts'"]),
        ("[model]\ngroups = 'region'\n", ["line 5: model.groups:", 'method = "nuts"']),
        ("[model]\nmethod = 'nuts'\ngroups = 'region'\n", ["line 6: model.groups:", "no table [accounts]"]),
        ("[forecast]\nhorizons = ['12']\n", ["forecast.horizons:", "Write for example '12 months'."]),
        ("[forecast]\nhorizons = ['1 year', '1.0 years']\n", ["forecast.horizons:", "stand once"]),
        ("[forecast]\nhorizons = []\n", ["forecast.horizons:", "at least one"]),
        ("[forecast]\nmargin = 30\n", ["forecast.margin:", "Did you mean 0.3?"]),
        ("[forecast]\nmargin = 'observed'\n", ["forecast.margin:", "names its column margin"]),
        ("[forecast]\nmargin = 'rate'\n", ["forecast.margin:", "'rate'", "[accounts]"]),
        ("[forecast]\nmargin = {region = {EU = 30}}\n", ["forecast.margin:", "Did you mean 0.3?"]),
        ("[forecast]\nmargin = {region = 0.3}\n", ["forecast.margin:", "for each group"]),
        ("[forecast]\ncost_to_serve = -1\n", ["forecast.cost_to_serve:", "not negative"]),
        ("[backtest]\nhorizon = 'lifetime'\n", ["backtest.horizon:", "horizons that end"]),
        ("[ranking]\nhorizon = '24 months'\n", ["ranking.horizon:", "12 months, 36 months"]),
        ("[ranking]\ndraws = 501\n", ["ranking.draws:", "at most the forecast's, 500"]),
        ("[ranking]\nreferral_credit = [2]\n", ["ranking.referral_credit:"]),
        ("[grading]\nwights = {value = 1}\n", ["line 5: grading.wights:", "Nearest: weights."]),
        ("[grading]\nweights = {value = -1}\n", ["grading:", "more than 0"]),
        ("[grading]\n", ["line 4: grading:", "at least one column"]),
        ("[finance]\nconfidence = 0.81\n", ["finance.confidence:", "0.50, 0.60"]),
        ("[finance]\npayback = '13 months'\n", ["finance.payback:", "12 months"]),
        ("[finance]\nbases = ['retain']\n", ["finance.bases:", "[finance.retain]"]),
        ("[finance]\nbases = ['sealing']\n", ["finance.bases:", "ceiling, retain, grow, acquire", "'sealing'"]),
        ("[finance.retain]\nshare = 0.1\n", ["line 4: finance.retain:", "name 'retain' in bases"]),
        (
            "[finance]\nbases = ['retain']\n[finance.retain]\nshare = 0.1\nlower = 0.2\nupper = 0.3\n",
            ["line 6: finance.retain:", "around its share"],
        ),
        (
            "[finance]\nbases = ['grow']\n[finance.grow]\nshare = 0.1\n[potential]\nenabled = false\n",
            ["line 5: finance.bases:", "potential.enabled = true"],
        ),
        ("[cohorts]\nby = true\n", ["cohorts.by:", "false for no split"]),
        ("[cohorts]\nby = 'channel'\n", ["cohorts.by:", "no table [accounts]"]),
        ("[outputs]\ncrm_fields = 'sales'\n", ["outputs.crm_fields:", "Did you mean 'salesforce'?"]),
        ("[outputs.database]\n", ["line 4: outputs.database.url: It is required."]),
        ("[outputs.database]\nurl = 'duckdb://x'\ntables = ['rankin']\n", ["outputs.database.tables:", "'ranking'"]),
        ("[outputs]\ndatabase = 'duckdb://x'\n", ["outputs.database: It must be a table: [database]."]),
        ("[rates]\n", ["line 4: rates: It needs one of file and of."]),
        ("[rates]\nof = {EUR = 1}\n", ["line 4: rates: No source names its currency"]),
        ("[grading]\nweights = {value = 1}\n[ranking]\nenabled = false\n", ["line 4: grading: Grades belong to"]),
        ("[rates]\nof = {EUR = 0.9}\n", ["rates.of:", "reporting currency"]),
        ("[rates]\nof = {EUR = 'x'}\n", ["rates.of:", "{EUR = 1, USD = 0.92}"]),
        ("[log]\nobserved_from = '1.1.2024'\n", ["log.observed_from:", "'1997-09-30'"]),
        ("[log]\nobserved_from = 2024-01-01T00:00:00Z\n", ["log.observed_from:", "time zone"]),
        ("[log]\ncurrency = 'euro'\n", ["log.currency:", "such as EUR"]),
        ("[accounts]\n", ["line 4: accounts: It needs a place"]),
        ("[accounts]\npath = 'a.duckdb'\n", ["accounts.table:", "name the one to read"]),
        ("[accounts]\npath = 'a.csv'\ntable = 'x'\n", ["line 6: accounts.table:", "a file is one table"]),
        ("[accounts]\npath = 'a.csv'\nurl = 'duckdb://a'\n", ["accounts.url:", "both path and url"]),
        ("[consolidation]\ncrosswalk_url = 'duckdb://a'\n", ["consolidation.crosswalk_table:", "belong together"]),
        ("[consolidation]\ncrosswalk = 'a'\ncrosswalk_url = 'duckdb://a'\ncrosswalk_table = 'x'\n", ["crosswalk_url:"]),
        ("[[sources]]\nname = 'shop'\npath = 'b.csv'\n", ["line 5: sources[1].name:", "no two sources alike"]),
        ("[[sources]]\nname = 'b'\n", ["line 4: sources[1]: It needs a place"]),
        ("[[sources]]\npath = 'b'\n", ["sources[1].name: It is required."]),
        ("date = 'amount'\n", ["sources[0].amount:", "taken by date"]),
        ("currency = 'code'\n[log]\ncurrency = 'EUR'\n", ["line 4: sources[0].currency:", "leave out one"]),
        ("amount = ''\n", ["sources[0].amount: It must be text, not empty"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    whole = "\n" * 3 + text + SMALL if text.startswith("forcast") else SMALL + text
    said = told(tmp_path, whole)
    assert str(tmp_path / "clv.toml") in said and "has a mistake" in said
    for part in parts:
        assert part in said, said


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("title = ''\n", "title: It must be text"),
        ("seed = -1\n", "seed: "),
        ("seed = 9223372036854775808\n", "seed: "),
        (f"seed = 0x{'f' * 9000}\n", "seed: "),
        ("days_back = 367\n", "days_back: "),
        ("days_back = -1\n", "days_back: "),
        ("days_back = 1.5\n", "days_back: It must be a whole number"),
        ("time_zone = 'Berlin'\n", "time_zone: time_zone must be a named zone"),
        ("store = 's3://bucket/runs'\n", "store: Supported store: a POSIX file system, one host at a time."),
        ('store = "a\\u0000b"\n', "store: A path must not"),
        ("grading = 3\n", "grading: It must be a table: [grading]."),
        ("model = 3\n", "model: It must be a table: [model]. Got: 3."),
    ],
)
def test_mistakes_at_the_top(tmp_path: Path, text: str, part: str) -> None:
    assert f"line 1: {part}" in told(tmp_path, text + SMALL)


def test_all_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    said = told(tmp_path, f"seed = 'x'\n{SMALL}colum = 'x'\n[model]\ndraws = 1\nmethod = 'x'\n[gates]\nfit = 'no'\n")
    assert "has 5 mistakes" in said
    order = [
        "line 1: seed",
        "line 5: sources[0].colum",
        "line 7: model.draws",
        "line 8: model.method",
        "line 10: gates.fit",
    ]
    assert [line.strip().split(":")[0] for line in said.splitlines()[1:6]] == [one.split(":")[0] for one in order]
    many = "".join(f"key_{number} = 1\n" for number in range(50))
    assert "and 30 more" in told(tmp_path, many + SMALL)


def test_no_source(tmp_path: Path) -> None:
    assert "sources: It is required." in told(tmp_path, "")
    assert "line 1: sources: It needs at least one source." in told(tmp_path, "sources = []\n")
    assert "write [[sources]] above each" in told(tmp_path, "[sources]\nname = 'shop'\n")


@pytest.mark.parametrize("text", ["a = ", "[a", "a = 1\na = 2\n", "[[sources]\n", "a = '\x00'", "a = 1e", "[a]\n[a]\n"])
def test_no_toml(tmp_path: Path, text: str) -> None:
    assert "is no TOML: " in told(tmp_path, text) and "(at " in told(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=r"no such configuration.*nowhere.*clv-forecast init"):
        read_configuration(tmp_path / "nowhere.toml")
    with pytest.raises(DomainError, match="cannot be read"):
        read_configuration(tmp_path)
    with pytest.raises(DomainError, match="cannot be read"):
        read_configuration("a\x00b")
    (tmp_path / "latin.toml").write_bytes("title = 'ü'".encode("latin-1"))
    with pytest.raises(DomainError, match="cannot be read"):
        read_configuration(tmp_path / "latin.toml")
    assert "no TOML" in told(tmp_path, "a = " + "[" * 5_000 + "]" * 5_000)
    assert "no TOML" in told(tmp_path, "a = " + "9" * 5_000)


def test_unset_variables(tmp_path: Path) -> None:
    said = told(tmp_path, FULL, environment={"CLV_TEST_SSL": "x", "CLV_TEST_URL": ""})
    assert "sources[1].url: The environment does not set CLV_TEST_PASSWORD." in said
    assert "outputs.database.url: The environment does not set CLV_TEST_URL." in said
    assert read_configuration(tmp_path / "clv.toml", environment={}, connects=False).seed == 7


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("postgres://clv:hunter2@localhost/x", "A password must not stand"),
        ("postgres://clv:hunter2${PW}@localhost/x", "A password must not stand"),
        ("postgres://clv:hun@ter2@localhost/x", "The URL of the connection cannot be read"),
        ("postgres://localhost/x?user=clv&password=hunter2", "The secret 'password'"),
        ("databricks://localhost?access_token=hunter2&x=1", "The secret 'access_token'"),
        ("postgres://localhost/x?sslmode=require&P%57D=hunter2", "The secret in the options"),
        ("host=localhost password=hunter2", "The URL of the connection cannot be read"),
        ("postgres://clv:${hunter2", "A variable in a URL is written ${NAME}"),
        ("postgres://clv:${PW}@localhost/hunter2\\u0000", "The URL of the connection cannot be read"),
        ("", "The URL of the connection cannot be read"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path, url: str, part: str) -> None:
    said = told(tmp_path, f'[[sources]]\nname = "a"\ntable = "t"\nurl = "{url}"\n')
    assert f"line 4: sources[0].url: {part}" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "text",
    [
        'sources = "postgres://clv:hunter2@localhost/x"\n',
        'sources = ["postgres://clv:hunter2@localhost/x"]\n',
        'title = 3\n"postgres://clv:hunter2@localhost/x" = 1\n' + SMALL,
        SMALL + 'database = "postgres://clv:hunter2@localhost/x"\n',
        SMALL + '[model]\nrefit = "postgres://clv:hunter2@localhost/x"\n',
        SMALL + '[log]\nunit = "postgres://clv:hunter2@localhost/x"\n',
        SMALL + "[outputs.database]\nurl = ['postgres://clv:hunter2@localhost/x']\n",
        SMALL + "[accounts]\npath = 'postgres://clv:hunter2@localhost/x'\n",
        SMALL + "[finance]\nbases = ['postgres://clv:hunter2@localhost/x']\n",
        SMALL + "[outputs]\ncrm_fields = 'postgres://clv:hunter2@localhost/x'\n",
        SMALL + "[grading]\nweights = {'postgres://clv:hunter2@localhost/x' = 'a'}\n",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in told(tmp_path, text)


def test_nor_by_pydantic_itself() -> None:
    with pytest.raises(ValueError, match="password") as refused:
        Configuration.model_validate({"sources": [{"name": "a", "table": "t", "url": "postgres://clv:hunter2@h/x"}]})
    assert "hunter2" not in str(refused.value)


def test_lines() -> None:
    text = (
        '# [x]\na = 1 # b = 2\n\nb = """\n[c]\nd = 1\n"""\nc = [\n  1, # ]\n  \'[\', \n]\n'
        "[d]\ne.f = '''\n'\n'''\n[[g]]\nh = 1\n[[g.i]]\nj = \"]\\\"[\"\n[[g]]\n[g.k]\n\"l m\" = {n = 1}\n"
    )
    tomllib.loads(text)
    lines = lines_of(text)
    assert lines[("a",)] == 2 and lines[("b",)] == 4 and lines[("c",)] == 8 and lines[("d",)] == 12
    assert lines[("d", "e")] == lines[("d", "e", "f")] == 13
    assert lines[("g", 0)] == 16 and lines[("g", 0, "h")] == 17 and lines[("g", 0, "i", 0, "j")] == 19
    assert lines[("g", 1)] == 20 and lines[("g", 1, "k")] == 21 and lines[("g", 1, "k", "l m")] == 22
    assert line_of(("g", 1, "k", "l m", "n"), lines) == 22 and line_of(("d", "z"), lines) == 12
    assert line_of(("z",), lines) is None and line_of((), lines) is None


PLACES: list[tuple[str | int, ...]] = []


def _collect(value: Any, place: tuple[str | int, ...]) -> None:
    if place:
        PLACES.append(place)
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _collect(one, (*place, key))


_collect(tomllib.loads(FULL), ())

SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.integers(16_000, 17_000).map(lambda bits: 1 << bits),
    st.sampled_from(["12 months", "lifetime", "ceiling", "x" * 5_000, -1, 0, 1, 10**30, "${X}", "a://b"]),
)
VALUES = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3), max_leaves=5
)


@given(
    place=st.sampled_from(PLACES), kind=st.sampled_from(["rename", "replace", "delete", "nest", "swap"]), data=st.data()
)
def test_any_change_is_read_or_refused_in_words(place: tuple[str | int, ...], kind: str, data: st.DataObject) -> None:
    """Rename, replace, delete, nest or exchange any part: a configuration, or a DomainError that names a key."""
    document = copy.deepcopy(tomllib.loads(FULL))
    holder: Any = document
    for part in place[:-1]:
        holder = holder[part]
    last = place[-1]
    if kind == "rename" and isinstance(holder, dict):
        holder[data.draw(st.text(max_size=12))] = holder.pop(last)
    elif kind == "replace":
        holder[last] = data.draw(VALUES)
    elif kind == "delete":
        del holder[last]
    elif kind == "nest":
        holder[last] = data.draw(st.sampled_from([[holder[last]], {str(last): holder[last]}]))
    else:
        other: Any = tomllib.loads(FULL)
        for part in data.draw(st.sampled_from(PLACES)):
            other = other[part]
        holder[last] = other
    try:
        found = configuration_from(document, environment=SECRETS)
    except DomainError as error:
        lines = str(error).splitlines()
        assert "mistake" in lines[0] and all(": " in line for line in lines[1:-1]) and len(lines) > 2
        assert not any(secret in str(error) for secret in ("thirdsecret", "pa/ss", "other&secret"))
    else:
        again = configuration_from(found.to_dict(), environment=SECRETS)
        assert again == found


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), place=st.integers(0, len(FULL)))
def test_any_text_is_read_or_refused_in_words(tmp_path_factory: pytest.TempPathFactory, text: str, place: int) -> None:
    """Text inserted anywhere into the file."""
    file = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    file.write_text(FULL[:place] + text + FULL[place:], encoding="utf-8", newline="")
    try:
        read_configuration(file, environment=SECRETS)
    except DomainError as error:
        assert "fuzzed.toml" in str(error)
