"""Gates on made-up sources: what each lets pass and what it holds, both sides of its threshold."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.inference.report import FitStatus
from clv_forecast.runs.configuration.sections_data import GatesSection
from clv_forecast.runs.reforecasting.gates import SeenSource, accepted_gates, result_gates, source_gates

AS_OF = pd.Timestamp("2026-03-29")
LAST = pd.Timestamp("2026-03-22")


def source(lines: list[int], *, matched: float | None = None, money: str = "10") -> SeenSource:
    """One line count per day, the last of them on the day of the run."""
    days = pd.date_range(end=AS_OF, periods=len(lines))
    amounts = [Decimal(money) * count for count in lines]
    return SeenSource(
        name="shop", days=pd.DataFrame({"day": days, "lines": lines, "amount": amounts}), matched_share=matched
    )


def judged(seen: SeenSource, *, then: tuple[int, float] | None = None, **thresholds) -> dict[str, bool]:
    found = source_gates(
        GatesSection(**thresholds),
        [seen],
        as_of=AS_OF,
        earlier={} if then is None else {"shop": then},
        earlier_as_of=None if then is None else LAST,
    )
    return {gate.name: gate.passed for gate in found}


STEADY = [20] * 84


def test_a_healthy_source_passes_everything():
    upto = source(STEADY).upto(LAST)
    assert all(judged(source(STEADY, matched=0.95), then=upto).values())
    assert set(judged(source(STEADY, matched=0.95), then=upto)) == {
        "source_age_days", "rows_ratio", "money_ratio", "recent_rows_ratio", "recent_money_factor", "matched_share",
    }  # fmt: skip


def test_a_first_run_has_nothing_to_compare_with():
    assert set(judged(source(STEADY))) == {"source_age_days", "recent_rows_ratio", "recent_money_factor"}


@pytest.mark.parametrize(("age", "passes"), [(7, True), (8, False)])
def test_age(age, passes):
    assert judged(source([20] * (84 - age) + [0] * age), recent_rows_ratio=False)["source_age_days"] is passes


def test_a_source_without_orders():
    assert judged(source([0] * 10)) == {"source_age_days": False}


@pytest.mark.parametrize(("share", "passes"), [(0.98, True), (0.979, False), (0.5, False), (1.3, True)])
def test_rows_up_to_the_last_day(share, passes):
    lines, money = source(STEADY).upto(LAST)
    assert judged(source(STEADY), then=(round(lines / share), money))["rows_ratio"] is passes


@pytest.mark.parametrize(("factor", "passes"), [(1.0, True), (1.02, True), (1.03, False), (0.97, False), (100, False)])
def test_money_far_above_is_as_suspicious_as_below(factor, passes):
    """Cents instead of euros, for one."""
    lines, money = source(STEADY).upto(LAST)
    assert judged(source(STEADY), then=(lines, money / factor))["money_ratio"] is passes


@pytest.mark.parametrize(("last_week", "passes"), [(20, True), (13, True), (11, False), (0, False)])
def test_a_half_loaded_week(last_week, passes):
    assert judged(source(STEADY[:-7] + [last_week] * 7), source_age_days=False)["recent_rows_ratio"] is passes


def test_a_few_rows_less_of_few_are_chance():
    assert judged(source([0, 0, 0, 0, 0, 0, 1] * 11 + [0] * 7), source_age_days=False)["recent_rows_ratio"]
    lumpy = [0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0] * 5 + [0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]
    assert judged(source(lumpy), source_age_days=False)["recent_rows_ratio"]


def test_each_gate_can_be_off():
    names = ("source_age_days", "rows_ratio", "money_ratio", "recent_rows_ratio", "recent_money_factor")
    off = dict.fromkeys((*names, "matched_share"), False)
    assert judged(source([0] * 10, matched=0.0), then=(100, 100.0), **off) == {}


def test_gates_on_the_result():
    def found(status: FitStatus, value: float, earlier: float | None, **thresholds) -> dict[str, bool]:
        gates = result_gates(
            GatesSection(**thresholds), status=status, certificate=None, value=value, earlier_value=earlier
        )
        return {gate.name: gate.passed for gate in gates}

    assert found(FitStatus.CONVERGED, 120.0, 100.0) == {"total_move": True, "fit": True}
    assert found(FitStatus.BOUNDARY, 70.0, 100.0) == {"total_move": False, "fit": True}
    assert found(FitStatus.FAILED, 100.0, None) == {"fit": False}
    assert found(FitStatus.FAILED, 200.0, 100.0, total_move=False, fit=False) == {}


@pytest.mark.parametrize(("now", "before", "passes"), [(0.30, 0.29, True), (0.30, 0.27, False), (0.02, 0.0, True)])
def test_rows_left_out_are_compared_with_those_of_the_last_run(now, before, passes):
    (gate,) = result_gates(
        GatesSection(left_out_share=0.02, total_move=False, fit=False),
        status=FitStatus.CONVERGED,
        certificate=None,
        value=1.0,
        earlier_value=None,
        left_out=now,
        earlier_left_out=before,
    )
    assert gate.name == "left_out_share" and gate.passed is passes


@pytest.mark.parametrize(("standing", "passes"), [("trusted in part", True), ("not proven", True), ("failed", False)])
def test_the_gate_of_the_backtest_sees_totals_too(standing, passes):
    certificate = SimpleNamespace(
        as_of=AS_OF,
        horizons=("12 months",),
        standing=lambda horizon: standing,
        summary=lambda horizon: "Totals: 0 of 3.",
    )
    gates = result_gates(
        GatesSection(), status=FitStatus.CONVERGED, certificate=certificate, value=1.0, earlier_value=None
    )
    gate = next(one for one in gates if one.name == "certificate")
    assert gate.passed is passes and gate.sentence.endswith("Totals: 0 of 3.")


def test_acceptance_needs_a_known_gate_and_a_reason():
    gates = source_gates(GatesSection(), [source([0] * 10)], as_of=AS_OF, earlier={}, earlier_as_of=None)
    done = accepted_gates(gates, {"source_age_days": " holidays "})
    assert [gate.accepted for gate in done] == ["holidays"] and not any(gate.holds for gate in done)
    with pytest.raises(clv.DomainError, match="source_age_days"):
        accepted_gates(gates, {"source_age": "holidays"})
    with pytest.raises(clv.DomainError, match="reason"):
        accepted_gates(gates, {"source_age_days": ""})


def test_a_source_that_pauses_long_now_and_then_may_do_so_again():
    slow = [5] + [0] * 13 + [5] + [0] * 60 + [5] + [0] * 9
    assert judged(source(slow), recent_rows_ratio=False)["source_age_days"]
    steady = [5] * 75 + [0] * 9
    assert not judged(source(steady), recent_rows_ratio=False)["source_age_days"]


@pytest.mark.parametrize(("factor", "passes"), [(1, True), (2, True), (100, False), (0.01, False)])
def test_cents_for_euros_in_the_last_week(factor, passes):
    seen = source(STEADY)
    days = seen.days.assign(amount=seen.days["amount"].astype(float))
    days.loc[days["day"] > LAST, "amount"] *= factor
    assert judged(SeenSource(name="shop", days=days, matched_share=None))["recent_money_factor"] is passes


def test_a_source_that_the_last_run_read_and_this_one_does_not():
    found = source_gates(
        GatesSection(), [source(STEADY)], as_of=AS_OF, earlier={"phone": (100, 1000.0)}, earlier_as_of=LAST
    )
    assert [(gate.name, gate.passed) for gate in found if gate.source == "phone"] == [("rows_ratio", False)]
