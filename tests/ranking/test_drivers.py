"""What goes with money being lost: calibrated, by money, and blind to what happens inside the window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError, InputError
from clv_forecast.ranking.loss_difference import adjusted_difference, controls, working_model
from clv_forecast.ranking.loss_drivers import (
    AT_LEAST_ONE,
    LESS,
    MORE,
    NO_CLEAR,
    TOO_FEW,
    VERDICTS,
    driver_table,
    levels_of,
)
from clv_forecast.simulation import SimulatedAccounts, simulate_accounts

WINDOW = ("2024-12-31", "2025-12-31")
SHARES = ["lost_share", "others_lost_share", "difference", "lower", "upper", "p_value", "q_value"]


def base(count: int, seed: int, *, extra: Any = 0.0, slope: float = 0.0) -> dict[str, Any]:
    """Accounts whose money is spread as widely as real accounts' and that leave or order by chance."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(10.0, 1.0, count))
    chance = np.clip(0.15 - slope * (np.log(size) - 10.0) + extra, 0.0, 1.0)
    actual = np.where(rng.random(count) < chance, 0.0, size * rng.gamma(8.0, 1.0 / 8.0, count))
    return {
        "ids": [f"A{i}" for i in range(count)],
        "value_at_risk": size * 0.1,
        "lost": 0.85 * size - actual,
        "expected": 0.85 * size,
        "size": size,
        "age": rng.uniform(0.1, 8.0, count),
        "attributes": None,
        "events": None,
        "window": WINDOW,
    }


def labels(seed: int, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(10_000 + seed)
    return pd.DataFrame(
        {
            "region": rng.choice(["n", "s", "w"], count),
            "vip": rng.random(count) < 0.2,
            "staff": rng.gamma(1.0, 9.0, count),
        }
    )


def test_attributes_without_meaning_are_flagged_no_more_often_than_promised() -> None:
    seeds = 60
    tables = [driver_table(**base(300, seed) | {"attributes": labels(seed, 300)}) for seed in range(seeds)]
    # where nothing is true, the false discovery rate is the chance of any flag; 0.1 and three standard errors
    assert np.mean([table["verdict"].isin([MORE, LESS]).any() for table in tables]) <= 0.1 + 3.0 * np.sqrt(0.09 / seeds)
    # one level at a time the promise would be broken
    assert np.mean([(table["p_value"] <= 0.1).any() for table in tables]) > 0.35


def test_an_attribute_that_matters_is_flagged() -> None:
    attributes = labels(2, 600)
    found = driver_table(**base(600, 2, extra=0.4 * attributes["vip"]) | {"attributes": attributes})
    clear = found[found["verdict"] != NO_CLEAR].set_index(["driver", "level"])["verdict"]
    assert clear.to_dict() == {("vip", "yes"): MORE, ("vip", "no"): LESS}


def test_what_only_goes_with_size_is_not_flagged_at_equal_size() -> None:
    def flags(at_equal_size: bool) -> int:
        count = 0
        for seed in range(25):
            given = base(500, seed, slope=0.12)
            large = pd.DataFrame({"large": np.log(given["size"]) + np.random.default_rng(seed).normal(size=500) > 10.0})
            if not at_equal_size:
                given["size"] = np.ones(500)
            count += (driver_table(**given | {"attributes": large})["verdict"] != NO_CLEAR).any()
        return count

    assert flags(at_equal_size=True) <= 8
    assert flags(at_equal_size=False) >= 20


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_interval_covers_the_true_difference(share: float) -> None:
    covered = []
    for seed in range(200):
        group = np.random.default_rng(5_000 + seed).random(400) < share
        given = base(400, seed, extra=0.2 * group)
        adjust = controls(given["size"], given["age"], given["expected"])
        found = adjusted_difference(group, given["lost"], given["expected"], adjust=adjust, prob=0.9)
        covered.append(found.lower < 0.2 / 0.85 < found.upper)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.05)


def test_without_size_and_age_it_is_the_difference_of_the_shares() -> None:
    given = base(200, 3) | {"size": np.ones(200), "age": np.full(200, np.nan), "attributes": labels(3, 200)}
    found = driver_table(**given)
    found = found[found["verdict"] != TOO_FEW]
    assert len(found) >= 6
    np.testing.assert_allclose(found["difference"], found["lost_share"] - found["others_lost_share"], atol=1e-12)
    np.testing.assert_allclose(found["extra_loss"], found["difference"] * found["expected"])


def test_levels_add_up_to_all_accounts_and_all_money_ordered_by_money() -> None:
    given = base(300, 4) | {"attributes": labels(4, 300)}
    given["attributes"].loc[:29, "region"] = None
    found = driver_table(**given)
    sums = found.groupby("driver")[["accounts", "value_at_risk", "expected", "value_lost"]].sum()
    for column, total in (("accounts", 300), *((name, given[name].sum()) for name in ("value_at_risk", "expected"))):
        np.testing.assert_allclose(sums[column], total)
    np.testing.assert_allclose(sums["value_lost"], given["lost"].sum())
    assert "unknown" in set(found.loc[found["driver"] == "region", "level"])
    assert found["extra_loss"].is_monotonic_decreasing
    two = found[found["driver"] == "vip"]["difference"].to_numpy()
    assert two[0] == pytest.approx(-two[1])


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    found = driver_table(**base(300, 5) | {"attributes": labels(5, 300)}).sort_values("p_value")
    p = found["p_value"].to_numpy()
    by_hand = [min(len(p) * p[j] / (j + 1) for j in range(i, len(p))) for i in range(len(p))]
    np.testing.assert_allclose(found["q_value"], by_hand)


def test_neither_the_order_of_accounts_nor_the_unit_of_money_matters() -> None:
    given = base(250, 6) | {"attributes": labels(6, 250)}
    order = np.random.default_rng(6).permutation(250)
    money = ("lost", "expected", "size", "value_at_risk")
    other = given | {name: 100.0 * given[name][order] for name in money}
    other |= {"ids": [given["ids"][i] for i in order], "age": given["age"][order]}
    other["attributes"] = given["attributes"].iloc[order]
    first, second = driver_table(**given), driver_table(**other)
    assert (first[["driver", "level", "verdict"]] == second[["driver", "level", "verdict"]]).all(axis=None)
    np.testing.assert_allclose(second[SHARES], first[SHARES], rtol=1e-8)
    np.testing.assert_allclose(second["extra_loss"], 100.0 * first["extra_loss"], rtol=1e-8)


@pytest.mark.parametrize(("inside", "told"), [(19, False), (20, True), (180, True), (181, False)])
def test_the_least_number_of_accounts_on_either_side(inside: int, told: bool) -> None:
    rare = pd.DataFrame({"kind": np.where(np.arange(200) < inside, "a", "b")})
    found = driver_table(**base(200, 7) | {"attributes": rare}).set_index("level")
    assert (found["verdict"] != TOO_FEW).tolist() == [told, told]
    assert found["p_value"].notna().tolist() == [told, told]
    assert found.loc["a", "accounts"] == inside
    assert np.isfinite(found["lost_share"]).all()


@pytest.mark.parametrize("times", [1e3, 1e4, 1e6])
def test_one_account_that_holds_the_money_is_too_few(times: float) -> None:
    given = base(200, 8) | {"size": np.ones(200)}
    group = np.arange(200) < 40
    even = driver_table(**given | {"attributes": pd.DataFrame({"g": group})})
    assert TOO_FEW not in set(even["verdict"])
    for name in ("lost", "expected"):
        given[name] = np.where(np.arange(200) == 0, times * given[name], given[name])
    assert set(driver_table(**given | {"attributes": pd.DataFrame({"g": group})})["verdict"]) == {TOO_FEW}


def test_the_working_model_by_matrices() -> None:
    given = base(60, 16)
    expected, group = given["expected"], np.arange(60) < 20
    adjust = controls(given["size"], given["age"], expected)
    own = group - (adjust @ (expected * group)) @ adjust
    strength = float((expected * own**2).sum())
    design = np.vstack([adjust, own / np.sqrt(strength)])
    np.testing.assert_allclose((design * expected) @ design.T, np.eye(len(design)), atol=1e-10)
    square = design[-1] ** 2 / (strength * (1.0 - expected * (design**2).sum(axis=0)))
    remover = np.eye(60) - expected[:, None] * (design.T @ design)
    product = np.diag(square) @ remover @ np.diag(expected**2) @ remover.T
    truth = (design[-1] ** 2 * expected**2).sum() / strength
    ratio, degrees = working_model(design, expected, square, strength=strength)
    assert ratio == pytest.approx(truth / np.trace(product))
    assert degrees == pytest.approx(np.trace(product) ** 2 / np.trace(product @ product))


def test_a_group_that_is_a_size_cannot_be_told_from_it() -> None:
    given = base(200, 9)
    given["size"] = np.where(np.arange(200) < 100, 1.0, 5.0)
    found = driver_table(**given | {"attributes": pd.DataFrame({"g": np.arange(200) < 100})})
    assert set(found["verdict"]) == {TOO_FEW}


def test_accounts_without_an_outcome_count_at_risk_only() -> None:
    given = base(200, 10) | {"attributes": pd.DataFrame({"g": np.arange(200) % 2})}
    kept = np.arange(200) < 150
    given["lost"] = np.where(kept, given["lost"], np.nan)
    found = driver_table(**given)
    less = {name: np.asarray(given[name])[kept] for name in ("ids", "lost", "expected", "size", "age", "value_at_risk")}
    other = driver_table(**given | less | {"attributes": given["attributes"][kept]})
    assert found["accounts"].sum() == 200
    assert other["accounts"].sum() == 150
    np.testing.assert_allclose(found[[*SHARES, "value_lost"]], other[[*SHARES, "value_lost"]], rtol=1e-8)
    assert found["value_at_risk"].sum() > other["value_at_risk"].sum()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_accounts(count: int) -> None:
    given = base(count, 11) | {"attributes": labels(11, count), "events": events_of([])}
    found = driver_table(**given)
    assert set(found["verdict"]) <= {TOO_FEW}
    assert len(found) == (0 if count == 0 else found["driver"].count())
    assert driver_table(**base(count, 11)).empty


def test_nothing_expected_and_nothing_lost() -> None:
    given = base(60, 12) | {"attributes": pd.DataFrame({"g": np.arange(60) % 2})}
    given |= {"lost": np.zeros(60), "expected": np.zeros(60), "value_at_risk": np.full(60, np.nan)}
    found = driver_table(**given)
    assert set(found["verdict"]) == {TOO_FEW}
    assert found[["lost_share", "value_at_risk", "difference"]].isna().all(axis=None)


def test_terciles_share_ties() -> None:
    assert levels_of(pd.Series([1, 1, 1, 1, 1, 2, 3, 4])).tolist()[:6] == ["lowest third (up to 1)"] * 5 + [
        "middle third (up to 2)"
    ]
    assert levels_of(pd.Series([2.0, 2.0, np.nan])).tolist() == ["2", "2", "unknown"]
    assert levels_of(pd.Series([True, None, False], dtype="boolean")).tolist() == ["yes", "unknown", "no"]
    assert levels_of(pd.Series(["a", None], dtype="category")).tolist() == ["a", "unknown"]


def events_of(rows: list[tuple[Any, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "date", "kind"])


@pytest.mark.parametrize(
    ("day", "counted"),
    [("2024-01-01", True), ("2023-12-31", False), ("2024-12-31", True), ("2025-01-01", False), ("2026-02-01", False)],
)
def test_only_events_of_the_year_before_count(day: str, counted: bool) -> None:
    given = base(100, 13)
    events = events_of([(i, day, "complaint") for i in [*given["ids"][:40], given["ids"][0], "stranger"]])
    found = driver_table(**given | {"events": events})
    assert found["driver"].tolist() == ["complaint"]
    assert found["accounts"].tolist() == [40 if counted else 0]
    assert (found["verdict"] != TOO_FEW).tolist() == [counted]


def test_less_loss_after_an_event_only_proves_that_the_account_was_there() -> None:
    rng = np.random.default_rng(17)
    there = rng.random(1_000) < 0.5
    given = base(1_000, 17, extra=0.4 * ~there)
    events = events_of([(i, "2024-06-01", "survey") for i, known in zip(given["ids"], there, strict=True) if known])
    attributes = pd.DataFrame({"seen": there})
    found = driver_table(**given | {"events": events, "attributes": attributes}).set_index(["driver", "level"])
    survey, seen = found.loc[("survey", AT_LEAST_ONE)], found.loc[("seen", "yes")]
    assert survey["difference"] == pytest.approx(seen["difference"])
    assert survey["upper"] < 0.0
    assert seen["verdict"] == LESS
    assert survey["verdict"] == NO_CLEAR
    assert survey["p_value"] == pytest.approx(1.0 - seen["p_value"] / 2.0)
    missed = events_of([(i, "2024-06-01", "survey") for i, known in zip(given["ids"], there, strict=True) if not known])
    more = driver_table(**given | {"events": missed})
    assert more["verdict"].tolist() == [MORE]


def test_an_event_recorded_later_was_not_known() -> None:
    given = base(100, 14)
    events = events_of([(i, "2024-06-01", "complaint") for i in given["ids"][:40]])
    events["recorded_at"] = pd.to_datetime(["2024-06-02"] * 25 + ["2025-03-01"] * 10 + [None] * 5)
    assert driver_table(**given | {"events": events})["accounts"].tolist() == [30]


def test_ids_may_be_numbers_in_any_order() -> None:
    given = base(100, 15) | {"ids": list(range(100, 0, -1))}
    events = events_of([(i, "2024-06-01", "complaint") for i in range(1, 31)])
    found = driver_table(**given | {"events": events})
    assert found["accounts"].tolist() == [30]
    assert found["value_at_risk"].to_numpy() == pytest.approx(given["value_at_risk"][70:].sum())


@pytest.fixture(scope="module")
def sim() -> SimulatedAccounts:
    return simulate_accounts(9_000, rng=2)


def simulated(sim: SimulatedAccounts, events: pd.DataFrame, window: tuple[Any, Any] = WINDOW) -> pd.DataFrame:
    """Accounts that are there at the start of the window, against a forecast that knows no events."""
    there = sim.truth["alive"].to_numpy()
    now = sim.truth[there]
    return driver_table(
        ids=now["customer_id"],
        value_at_risk=now["annual_revenue_now"],
        lost=now["annual_revenue_now"] - now["next_revenue"],
        expected=now["annual_revenue_now"],
        size=now["annual_revenue_now"],
        age=(sim.as_of - sim.accounts.loc[there, "acquired_on"]).dt.days,
        attributes=None,
        events=events,
        window=window,
    ).set_index("driver")


def test_complaints_are_found_and_surveys_are_not(sim: SimulatedAccounts) -> None:
    found = simulated(sim, sim.events)
    assert found.loc["complaint", "verdict"] == MORE
    assert found.loc["survey", "verdict"] == NO_CLEAR
    assert found.loc["complaint", "lower"] > 0.05
    assert found.index[0] == "complaint"
    assert found.loc["late delivery", "difference"] < found.loc["complaint", "difference"]


def test_events_that_follow_from_leaving_are_ignored(sim: SimulatedAccounts) -> None:
    gone = sim.truth.dropna(subset="left_on")
    goods_back = pd.DataFrame(
        {"customer_id": gone["customer_id"], "date": gone["left_on"] + pd.Timedelta(days=10), "kind": "goods back"}
    )
    goods_back = goods_back[goods_back["date"] > sim.as_of]
    found = simulated(sim, goods_back)
    assert found.loc["goods back", ["accounts", "verdict"]].tolist() == [0, TOO_FEW]
    # had they been counted, they would have passed for a driver
    counted = simulated(sim, goods_back.assign(date=goods_back["date"] - pd.Timedelta(days=370)))
    assert counted.loc["goods back", "verdict"] == MORE
    assert counted.loc["goods back", "difference"] > 0.3


def test_no_text_speaks_of_causes(sim: SimulatedAccounts) -> None:
    found = simulated(sim, sim.events).reset_index()
    text = " ".join([*found.columns, *VERDICTS, *found["verdict"], *found["level"]])
    assert "caus" not in text


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ids": ["A"] * 30}, InputError, "may occur once"),
        ({"expected": np.full(30, -1.0)}, InputError, "expected must be known, and 0 or more"),
        ({"expected": np.full(30, np.nan)}, InputError, "expected must be known, and 0 or more"),
        ({"lost": np.full(30, np.inf)}, InputError, "lost must be finite"),
        ({"size": np.ones(29)}, DomainError, "one number per account"),
        ({"attributes": pd.DataFrame({"g": [1]})}, DomainError, "one row per account"),
        ({"attributes": pd.DataFrame({"customer_id": range(30), "g": 1})}, InputError, "order of ids"),
        ({"attributes": pd.DataFrame({"g": pd.to_datetime(["2024-01-01"] * 30)})}, InputError, "labels or numbers"),
        ({"events": pd.DataFrame({"customer_id": [1]})}, InputError, "no date"),
        ({"events": events_of([("A1", "someday", "x")])}, InputError, "date of an event must be a date"),
        ({"window": ("2025-01-01", "2024-01-01")}, DomainError, "start before it ends"),
        ({"window": ("2025-01-01", None)}, DomainError, "must be a day"),
        ({"window": ("2025-01-01", "now")}, DomainError, "must be a day"),
        ({"window": ("2025-01-01",)}, DomainError, "two dates"),
        ({"least_accounts": 0}, DomainError, "least_accounts"),
        ({"least_accounts": None}, DomainError, "least_accounts"),
        ({"fdr": 0.0}, DomainError, "fdr must lie"),
        ({"prob": 1.0}, DomainError, "prob must lie"),
    ],
)
def test_what_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        driver_table(**base(30, 1) | change)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 0.25])
def test_the_share_of_false_discoveries_over_many_seeds(effect: float) -> None:
    false = []
    for seed in range(120):
        attributes = labels(seed, 300)
        table = driver_table(**base(300, seed, extra=effect * attributes["vip"]) | {"attributes": attributes})
        flagged = table["verdict"].isin([MORE, LESS])
        wrong = flagged & ((table["driver"] != "vip") | (effect == 0.0))
        false.append(wrong.sum() / max(flagged.sum(), 1))
    assert np.mean(false) <= 0.1 + 2.0 * np.std(false) / np.sqrt(120)


@pytest.mark.slow
def test_over_seeds_of_the_simulator_complaints_are_found_and_surveys_flagged_no_more_than_promised() -> None:
    found = []
    for seed in range(20):
        sim = simulate_accounts(4_000, rng=100 + seed)
        found.append(simulated(sim, sim.events))
    verdicts = pd.DataFrame([table["verdict"] for table in found])
    assert (verdicts["complaint"] == MORE).mean() > 0.9
    # one true null beside two true drivers: the share of false discoveries stays below the rate asked for
    flags = verdicts.isin([MORE, LESS])
    share = flags["survey"] / flags.sum(axis=1).clip(lower=1)
    assert share.mean() <= 0.1 + 3.0 * share.std() / np.sqrt(20)
