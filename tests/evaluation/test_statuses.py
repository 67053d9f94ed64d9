"""Statuses, naive wins and sentences from made-up outcomes whose verdict is known."""

import numpy as np
import pandas as pd
import pytest

from clv_forecast.evaluation import scores
from clv_forecast.evaluation.baselines import RATE
from clv_forecast.evaluation.score_tables import (
    ALL,
    MODEL,
    Cell,
    NaiveWin,
    TotalBands,
    baseline_table,
    calibration_table,
    closer_totals,
    decile_table,
    naive_wins,
    pit_table,
    score_table,
)
from clv_forecast.evaluation.verdict import (
    NOT_PROVEN,
    TOO_NARROW,
    TOO_WIDE,
    TRUSTED,
    BandStatus,
    band_sentences,
    bias_sentences,
    customer_statuses,
    evidence_of,
    naive_sentences,
    standing_of,
    summary_of,
    total_sentences,
    total_statuses,
)
from clv_forecast.evaluation.windows import Lengths

LENGTHS = Lengths.parse("13 weeks")
WINDOW = pd.Timedelta(days=91)


def cell(pit, *, origin=ALL, group="all", actual=None, expected=None, naive=None):
    pit = np.asarray(pit, dtype=float)
    zeros = np.zeros(len(pit))
    return Cell(
        origin=origin,
        horizon="13 weeks",
        group=group,
        quantity="purchases",
        ids=np.arange(len(pit)).astype(object),
        actual=zeros if actual is None else actual,
        expected=zeros if expected is None else expected,
        pit=pit,
        crps=zeros,
        inside=np.zeros((len(pit), 4), dtype=bool),
        log_score=zeros,
        log_density=zeros,
        naive=naive or {},
    )


def status_of(pit, undated=(), **options):
    cells = [cell(pit, **options)]
    found = customer_statuses(
        calibration_table(cells), score_table(cells, TotalBands(rows={})), LENGTHS, undated=undated
    )
    return found[0]


@pytest.fixture(scope="module")
def generator():
    return np.random.default_rng(8)


@pytest.mark.parametrize(
    ("shape", "size", "status"),
    [
        (1.0, 4000, TRUSTED),  # uniform: honest
        (0.6, 4000, TOO_NARROW),  # outcomes in the tails of the forecasts
        (2.0, 4000, TOO_WIDE),  # outcomes in their middle
        (1.0, 100, NOT_PROVEN),
        (0.25, 100, TOO_NARROW),  # few customers suffice where bands are far off
    ],
)
def test_customers_bands(generator, shape, size, status):
    found = status_of(generator.beta(shape, shape, size=size))
    assert found.status == status
    if size == 4000:
        assert found.level_for_90 == pytest.approx(0.9, abs=0.015) if status == TRUSTED else True
        assert (found.level_for_90 > 0.93) == (status == TOO_NARROW)
        assert (found.level_for_90 < 0.87) == (status == TOO_WIDE)


def test_a_tail_alone_is_too_narrow(generator):
    """Half the usual share in the middle is no matter; outcomes that pile up at one end are."""
    pit = np.where(generator.random(4000) < 0.08, 0.999, generator.random(4000))
    assert status_of(pit).status == TOO_NARROW


def test_five_of_five_prove_nothing():
    assert status_of([0.5] * 5).status == NOT_PROVEN
    assert status_of([0.5]).status == NOT_PROVEN
    assert status_of(np.full(2000, 0.5)).status == TOO_WIDE


def test_undated_attributes_prove_nothing(generator):
    assert status_of(generator.random(4000), undated=("region",)).status == NOT_PROVEN


def test_false_alarms_are_rare(generator):
    """Honest bands of 1,500 customers, 100 times."""
    alarms = sum(status_of(generator.random(1500)).status in (TOO_NARROW, TOO_WIDE) for _ in range(100))
    assert alarms <= 2


def score_rows(covered, shocked=None, step=91):
    first = pd.Timestamp("2020-01-01")
    days = [str((first + pd.Timedelta(days=step * k)).date()) for k in range(len(covered))]
    table = pd.DataFrame({"origin": days, "horizon": "13 weeks", "group": "all", "quantity": "purchases"})
    return table.assign(total_covered=covered, shocked_covered=np.nan if shocked is None else shocked)


@pytest.mark.parametrize(
    ("covered", "step", "status"),
    [
        ([1.0], 91, NOT_PROVEN),
        ([0.0], 91, NOT_PROVEN),  # one window proves nothing, missed or not
        ([0.0, 0.0], 91, TOO_NARROW),
        ([0.0, 0.0], 30, NOT_PROVEN),  # two windows that overlap are one
        ([1.0] * 10, 91, NOT_PROVEN),  # happens to a band of 75 % one time in 18
        ([1.0] * 11, 91, TRUSTED),
        ([1.0] * 10 + [0.0], 91, NOT_PROVEN),
        ([1.0] * 6 + [0.0] * 4, 91, TOO_NARROW),
        ([1.0] * 20, 30, NOT_PROVEN),
    ],
)
def test_totals(covered, step, status):
    found = total_statuses(score_rows(covered, step=step), LENGTHS, ())
    assert found[0].subject == "total" and found[0].status == status and found[0].windows == len(covered)
    assert found[1].subject == "total with shock" and found[1].coverage is None and found[1].status == NOT_PROVEN


def test_a_band_that_is_too_narrow_is_seldom_trusted():
    """Of many bases whose totals' bands hold 75 % of windows, at most one in twenty is called trusted; most of 98 %."""
    rng = np.random.default_rng(7)

    def trusted(coverage, windows):
        made = (rng.random((200, windows)) < coverage).astype(float)
        return np.mean([total_statuses(score_rows(m), LENGTHS, ())[0].status == TRUSTED for m in made])

    assert trusted(0.75, 12) < 0.08
    assert trusted(0.98, 12) > 0.6


def test_groups_by_a_column_without_a_date_prove_nothing(generator):
    """Everyone's band does not depend on the grouping; those of its groups do."""
    cells = [cell(generator.random(4000), group=group) for group in ("all", "later buyers")]
    tables = calibration_table(cells), score_table(cells, TotalBands(rows={}))
    dated, undated = (
        customer_statuses(*tables, LENGTHS, undated=(), undated_groups=without) for without in (False, True)
    )
    assert [found.status for found in dated] == [TRUSTED, TRUSTED]
    assert [found.status for found in undated] == [TRUSTED, NOT_PROVEN]


def test_totals_in_words():
    told = total_sentences(total_statuses(score_rows([0.0, 0.0, 1.0], [np.nan, 1.0, 1.0]), LENGTHS, ()))
    assert len(told) == 1
    assert "tested on 3 independent windows: without a common shock it held in 1 of 3" in told[0]
    assert "2 of 2 (not proven)" in told[0]
    alone = total_sentences(total_statuses(score_rows([1.0, 1.0], step=45), LENGTHS, ()))[0]
    assert "tested on 2 windows, 1 of them independent:" in alone and "could not be tested" in alone


def test_bias_in_words():
    table = pd.DataFrame({"origin": ["2020-01-01", "2020-04-01", ALL], "bias": [-0.2, 0.05, -0.08]})
    told = bias_sentences(table.assign(group="all", horizon="13 weeks", quantity="revenue"))
    assert told == [
        "Expected totals over 13 weeks missed what came: revenue by -8.0 % (-20.0 to +5.0 % in single windows)."
    ]
    nothing = table.assign(group="all", horizon="13 weeks", quantity="revenue", bias=np.nan)  # nobody bought
    assert bias_sentences(nothing) == []


def test_evidence(generator):
    honest, narrow = generator.random(4000), generator.beta(0.5, 0.5, size=4000)
    assert evidence_of([status_of(honest)], LENGTHS, "BG/NBD").of(0.2) == "backtested"
    assert evidence_of([status_of(narrow)], LENGTHS, "BG/NBD").of(0.2) == "failed"
    assert evidence_of([status_of(honest[:50])], LENGTHS, "BG/NBD") is None
    assert "13 weeks (failed)" in evidence_of([status_of(narrow)], LENGTHS, "BG/NBD").sentence


def test_widening_in_words(generator):
    narrow = status_of(generator.beta(0.6, 0.6, size=4000))
    sentence = band_sentences([narrow])[0]
    assert "too narrow" in sentence and f"take the {100 * narrow.level_for_90:.1f} % band to cover 90 %" in sentence
    group = status_of(generator.beta(0.6, 0.6, size=4000), group="north")
    assert "north" in band_sentences([group])[0]


def forecasts(generator, size=3000, noise=1.0):
    truth = generator.gamma(0.5, 2.0, size=size)
    actual = generator.poisson(truth).astype(float)
    blurred = truth * generator.lognormal(-0.5 * noise**2, noise, size=size)
    return actual, truth, blurred


def test_a_better_naive_forecast_wins(generator):
    actual, truth, blurred = forecasts(generator)
    table = baseline_table([cell(np.full(3000, 0.5), actual=actual, expected=blurred, naive={"last window": truth})])
    wins = naive_wins(table, ALL)
    assert {win.measure for win in wins} == {"rmse", "gini", "top_decile_capture"}
    assert all(win.advantage > 2 * win.error > 0 for win in wins)
    sentence = naive_sentences(wins, pd.DataFrame())[0]
    assert sentence.startswith("A naive forecast beats the model: the last window's purchases carried forward")


def test_a_worse_or_equal_one_does_not(generator):
    actual, truth, blurred = forecasts(generator)
    made = cell(np.full(3000, 0.5), actual=actual, expected=truth, naive={"hiatus": blurred, "own rate": truth.copy()})
    table = baseline_table([made])
    assert naive_wins(table, ALL) == ()
    assert naive_sentences((), pd.DataFrame())[0].startswith("No naive forecast clearly beats the model")
    rows = table.set_index("method")
    assert rows.loc["own rate", "rmse_advantage"] == 0.0 and rows.loc["hiatus", "rmse_advantage"] < 0.0
    assert rows.loc[MODEL, "rmse"] < rows.loc["hiatus", "rmse"]


def test_one_customer_alone_makes_no_win(generator):
    """The naive forecast happens to be right about one very large account, and worse about all the others."""
    actual, truth, blurred = forecasts(generator)
    actual[0], truth[0], blurred[0] = 5000.0, 10.0, 5000.0
    table = baseline_table([cell(np.full(3000, 0.5), actual=actual, expected=truth, naive={"last window": blurred})])
    row = table.iloc[1]
    assert row["rmse_advantage"] > 0.0 > row["rmse_advantage_but_one"]
    assert "rmse" not in {win.measure for win in naive_wins(table, ALL)}


def test_forecasts_of_nothing_do_not_win_by_absolute_error(generator):
    actual, truth, _ = forecasts(generator)
    actual = np.where(generator.random(3000) < 0.8, 0.0, actual)
    table = baseline_table([cell(np.full(3000, 0.5), actual=actual, expected=0.2 * truth, naive={"hiatus": 0 * truth})])
    assert table.set_index("method").loc["hiatus", "mae_advantage"] > 0.0
    assert naive_wins(table, ALL) == ()


def test_jackknife_errors_are_the_scatter_of_repeated_samples(generator):
    measures = ("mae", "rmse", "gini", "top_decile_capture")
    found = {measure: ([], []) for measure in measures}
    for _ in range(150):
        actual, truth, blurred = forecasts(generator, size=800)
        made = cell(np.full(800, 0.5), actual=actual, expected=truth, naive={"hiatus": blurred})
        row = baseline_table([made]).iloc[1]
        for measure in measures:
            found[measure][0].append(row[f"{measure}_advantage"])
            found[measure][1].append(row[f"{measure}_advantage_se"])
    for advantage, error in found.values():
        assert np.sqrt(np.mean(np.square(error))) == pytest.approx(np.std(advantage), rel=0.35)


def test_folds_left_out_are_the_measures_of_the_rest(generator):
    """The fast sums against the plain measures on the customers kept."""
    from clv_forecast.evaluation.score_tables import _left_out, errors_of

    actual, _, blurred = forecasts(generator, size=300)
    fold = np.arange(300) % 20
    found = _left_out(actual, np.round(blurred, 1), fold)
    for k in (0, 7):
        plain = errors_of(actual[fold != k], np.round(blurred, 1)[fold != k])
        for measure, values in found.items():
            assert values[k] == pytest.approx(plain[measure])


def test_closer_totals():
    rows = []
    for origin, total in (("2020-01-01", 100.0), ("2020-04-01", 100.0), ("2020-07-01", 100.0)):
        for method, expected in ((MODEL, 90.0), ("own rate", 95.0 if origin < "2020-07" else 50.0)):
            rows.append({"origin": origin, "horizon": "13 weeks", "quantity": "purchases", "method": method,
                         "actual_total": total, "expected_total": expected})  # fmt: skip
    found = closer_totals(pd.DataFrame(rows), ["2020-01-01", "2020-04-01", "2020-07-01"])
    assert (found["closer"].iloc[0], found["origins"].iloc[0]) == (2, 3)
    assert "came closer than the model in 2 of 3 windows" in naive_sentences((), found)[1]
    assert len(naive_sentences((), closer_totals(pd.DataFrame(rows[:2]), ["2020-01-01"]))) == 1  # one window: no claim


def test_tables_of_cells(generator):
    pit = generator.random(1000)
    cells = [cell(pit, origin="2020-01-01"), cell(pit)]
    calibration = calibration_table(cells)
    at = calibration[(calibration["origin"] == ALL) & (calibration["nominal"] == 0.8)].iloc[0]
    assert at["coverage"] == scores.covered(pit, 0.8).mean()
    histogram = pit_table(cells)
    assert histogram["density"].mean() == pytest.approx(1.0)
    inside = histogram["density"].between(histogram["lower"], histogram["upper"]).mean()
    assert 0.7 < inside <= 1.0
    deciles = decile_table(cells)
    assert set(deciles["origin"]) == {"2020-01-01", ALL} and deciles["share_of_actual"].isna().all()


def band(status, *, subject="customers", quantity="purchases", coverage=0.9, windows=3):
    return BandStatus(
        horizon="13 weeks", quantity=quantity, group="all", subject=subject, status=status, coverage=coverage,
        standard_error=None, level_for_90=0.9, windows=windows, independent=windows,
    )  # fmt: skip


WIN = NaiveWin(
    method=RATE, measure="gini", horizon="13 weeks", quantity="purchases", naive=0.5, model=0.4, advantage=0.1,
    error=0.01,
)  # fmt: skip


@pytest.mark.parametrize(
    ("customers", "total", "wins", "standing"),
    [
        (TRUSTED, TRUSTED, (), "trusted"),
        (TRUSTED, TRUSTED, (WIN,), "trusted in part"),
        (TRUSTED, NOT_PROVEN, (), "trusted in part"),
        (TRUSTED, TOO_NARROW, (), "failed"),
        (TOO_NARROW, TRUSTED, (), "failed"),
        (TOO_WIDE, TRUSTED, (), "trusted in part"),
        (NOT_PROVEN, NOT_PROVEN, (), "not proven"),
    ],
)
def test_only_all_of_it_is_trusted(customers, total, wins, standing):
    unshocked = band(TOO_NARROW if total == TRUSTED else total, subject="total", windows=3)  # the shocked one counts
    found = [band(customers), unshocked, band(total, subject="total with shock", windows=2)]
    assert standing_of(found, wins, "13 weeks") == standing


def test_the_summary_says_all_of_it():
    found = [band(TRUSTED, coverage=0.951), band(NOT_PROVEN, subject="total", coverage=0.0, windows=1)]
    scores_of_all = pd.DataFrame(
        {"group": ["all"], "origin": [ALL], "horizon": ["13 weeks"], "quantity": ["purchases"], "bias": [-0.182]}
    )
    closer = pd.DataFrame(
        {"horizon": ["13 weeks"], "quantity": ["purchases"], "method": [RATE], "closer": [1], "origins": [1]}
    )
    given = {"scores": scores_of_all, "closer": closer, "horizon": "13 weeks"}
    assert summary_of(found, (), **given, beyond=", from which 12 months is extrapolated") == (
        "Trusted in part over 13 weeks, from which 12 months is extrapolated. Customers' 90 % bands held 95.1 % of "
        "purchases: trusted. Totals' 90 % bands held purchases in 0 of 1 window (expected 18.2 % too low): too few "
        "windows to tell. Naive forecasts (none was clearly better at single customers): each customer's own rate "
        "carried forward came closer to the total of purchases in 1 of 1 window."
    )
    assert "Naive forecasts: each customer's own rate carried forward was better in ordering (Gini) of purchases; " in (
        summary_of(found, (WIN,), **given)
    )
    narrow = [band(TRUSTED), band(TOO_NARROW, subject="total", coverage=0.0, windows=2)]
    told = summary_of(narrow, (), **given | {"closer": closer.iloc[:0]})
    assert told.startswith("Failed over 13 weeks. Totals' 90 % bands held purchases in 0 of 2 windows (expected 18.2 %")
    assert told.endswith(
        ": too narrow. Customers' 90 % bands held 90.0 % of purchases: trusted. No naive forecast was clearly better."
    )
