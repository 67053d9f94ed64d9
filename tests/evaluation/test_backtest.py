"""The backtest as a whole: what it counts, what it may not know, and what it refuses."""

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.evaluation import backtest as backtest_module
from clv_forecast.evaluation import one_origin
from clv_forecast.evaluation.backtest import backtest
from clv_forecast.evaluation.certificate import TABLES
from clv_forecast.evaluation.windows import longest_horizon
from clv_forecast.inference.recipe import Recipe

ORIGINS = ["1997-09-30", "1997-12-30"]
RECIPE = Recipe(draws=200)


@pytest.fixture(scope="module")
def orders():
    log = clv.load_cdnow("1/10")
    return log[log["customer_id"].isin(log["customer_id"].unique()[::3])]


@pytest.fixture(scope="module")
def history(orders):
    return clv.purchase_history(orders, as_of="1998-06-30")


@pytest.fixture(scope="module")
def certificate(history):
    return run(history)


def run(data, **options):
    given = {"origins": ORIGINS, "horizon": ["13 weeks", "26 weeks"], "recipe": RECIPE, "draws": 200, "workers": 1}
    return backtest(data, **(given | options))


def same(a, b, names=TABLES):
    for name in names:
        pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name), check_exact=True)


def row(certificate, **wanted):
    table = certificate.scores
    for column, value in ({"origin": "all", "group": "all", "quantity": "purchases"} | wanted).items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_it_is_the_forecast_of_that_day(history, certificate):
    """Totals, bands, expectations and coverage are those of ``forecast`` on the split, with the same seed."""
    for origin in ORIGINS:
        split = history.split(origin)
        seed = int(certificate.origins.set_index("origin").loc[origin, "seed"])
        model = clv.fit(split.calibration, draws=200, rng=seed, compare=False)
        fc = clv.forecast(model, split.calibration, horizons=["26 weeks"], draws=200, rng=seed)
        held = split.holdout_orders
        held = held[held["date"] <= pd.Timestamp(origin) + pd.Timedelta(days=182)].groupby("customer_id")["amount"]
        for quantity, came in (("purchases", held.size()), ("revenue", held.sum())):
            found = row(certificate, origin=origin, horizon="26 weeks", quantity=quantity)
            actual = fc.customers["customer_id"].map(came).fillna(0.0).to_numpy()
            expected = fc.customers["expected_purchases" if quantity == "purchases" else "revenue"].to_numpy()
            assert found["actual_total"] == pytest.approx(actual.sum())
            assert found["expected_total"] == pytest.approx(expected.sum())
            assert found["rmse"] == pytest.approx(np.sqrt(((actual - expected) ** 2).mean()))
            assert found["total_lower"] == pytest.approx(fc.totals[f"{quantity}_lower"].iloc[0])
            assert found["total_upper"] == pytest.approx(fc.totals[f"{quantity}_upper"].iloc[0])
            low, high = (fc.customers[f"{quantity}_{end}"].to_numpy() for end in ("lower", "upper"))
            assert found["band_coverage_90"] == pytest.approx(((low <= actual) & (actual <= high)).mean())


def test_without_a_horizon_the_longest_is_tested(orders):
    found = run(orders, horizon=None, origins=None, as_of="1998-06-30", draws=100)
    assert found.horizons == ("9 months",)
    assert found.notes[0] == "Tested over 9 months, the longest horizon that the log allows."
    with pytest.raises(clv.DomainError, match="The longest horizon that it allows is 9 months"):
        run(orders, horizon="10 months", origins=None, as_of="1998-06-30")
    named = run(orders, horizon=None, origins="1998-03-31", as_of="1998-06-30", draws=100)
    assert (named.horizons, named.origins["origin"].tolist()) == (("3 months",), ["1998-03-31"])
    assert named.notes[0] == "Tested over 3 months, the longest horizon that the log allows after these origins."
    with pytest.raises(clv.DomainError, match="a shorter horizon of at most 3 months"):
        run(orders, horizon="4 months", origins="1998-03-31", as_of="1998-06-30")
    assert longest_horizon(pd.Timestamp("2023-01-01"), pd.Timestamp("2024-12-31")) == "12 months"


def test_the_papers_window():
    recipe = Recipe(spend=None, draws=200)
    found = backtest(clv.load_cdnow("1/10"), as_of="1998-06-30", horizon="39 weeks", recipe=recipe, draws=200)
    scores = row(found, origin="1997-09-30")
    assert (scores["actual_total"], scores["customers"]) == (1882, 2349)
    assert scores["expected_total"] == pytest.approx(1656, abs=15)
    assert scores["pit_ks"] < 0.04 and scores["rmse"] == pytest.approx(1.61, abs=0.01)
    assert "1997-09-30" in found.notes[0] and found.verdict.of("39 weeks") == "trusted"
    assert set(found.scores["quantity"]) == {"purchases"}
    assert found.evidence.of(0.7) == "backtested" and found.evidence.of(1.0) == "extrapolated"


def test_workers_and_the_order_of_rows_change_nothing(orders, certificate):
    shuffled = orders.sample(frac=1.0, random_state=1)
    progress = []
    found = run(shuffled, as_of="1998-06-30", workers=2, progress=lambda *report: progress.append(report))
    same(found, certificate)
    assert found.verdict == certificate.verdict and found.shock == certificate.shock
    assert progress[-1] == ("backtest", 2, 2)


def test_an_origin_does_not_depend_on_the_others_or_other_horizons(history, certificate):
    alone = run(history, origins=ORIGINS[1:], horizon="26 weeks")
    kept = certificate.scores[
        (certificate.scores["origin"] == ORIGINS[1]) & (certificate.scores["horizon"] == "26 weeks")
    ]
    names = [c for c in kept.columns if not c.startswith("shock")]
    found = alone.scores[alone.scores["origin"] == ORIGINS[1]]
    pd.testing.assert_frame_equal(found[names].reset_index(drop=True), kept[names].reset_index(drop=True), rtol=1e-9)
    assert found["shocked_lower"].isna().all() and (found["shock_windows"] == 0).all()


def test_nothing_after_a_window_touches_it(orders, certificate):
    """Purchases after the first origin's window are removed: its rows stay, and the bands of the second too."""
    window_end = pd.Timestamp(ORIGINS[0]) + pd.Timedelta(days=182)
    found = run(orders[orders["date"] <= window_end], as_of="1998-06-30")
    first, before = (c.scores[c.scores["origin"] == ORIGINS[0]] for c in (found, certificate))
    pd.testing.assert_frame_equal(first, before, check_exact=True)
    second, other = (c.scores[c.scores["origin"] == ORIGINS[1]] for c in (found, certificate))
    changed = (second["actual_total"] != other["actual_total"]).to_numpy()
    assert changed.tolist() == [False, False, True, True]
    names = ["shocked_lower", "shocked_upper", "expected_total", "total_lower"]
    pd.testing.assert_frame_equal(second[names], other[names], check_exact=True)
    assert found.shock != certificate.shock  # what comes later is for forecasts from now on


def test_the_shock_of_an_origin_comes_from_closed_windows_only(certificate):
    scores = certificate.scores.set_index(["origin", "horizon", "quantity"]).sort_index()
    assert (scores.loc[ORIGINS[0], "shock_windows"] == 0).all() and scores.loc[ORIGINS[0], "shocked_lower"].isna().all()
    second = scores.loc[ORIGINS[1]]
    assert (second["shock_windows"] == 1).all()  # 13 weeks after 1997-09-30 had closed, 26 weeks had not
    assert (second["shocked_upper"] > second["total_upper"]).all()
    assert (second["shocked_lower"] < second["total_lower"]).all()


def test_the_last_fit_is_also_judged_by_leaving_customers_out(history, certificate):
    last = certificate.origins.iloc[-1]
    model = clv.fit(
        history.split(last["origin"]).calibration, draws=certificate.recipe.draws, rng=last["seed"], compare=False
    )
    assert certificate.loo.purchases.elpd == pytest.approx(clv.loo(model).purchases.elpd, rel=1e-12)
    assert certificate.to_dict()["loo"][0]["elpd"] == certificate.loo.purchases.elpd
    compared = clv.compare_models({"one": certificate, "other": certificate}).table
    assert (compared["loo"] == certificate.loo.purchases.elpd).all()


def test_tables_belong_together(certificate):
    scores = certificate.scores
    for (origin, horizon), pairs in certificate.densities.groupby(["origin", "horizon"]):
        found = row(certificate, origin=origin, horizon=horizon)
        assert pairs["log_density"].sum() == pytest.approx(found["elpd"])
        assert pairs["customer_id"].is_unique and len(pairs) == found["customers"]
    together, apart = scores[scores["origin"] == "all"], scores[scores["origin"] != "all"]
    for name in ("customers", "actual_total", "expected_total", "elpd"):
        summed = apart.groupby(["horizon", "quantity"])[name].sum(min_count=1)
        assert together.set_index(["horizon", "quantity"])[name].to_numpy() == pytest.approx(
            summed.loc[list(together.set_index(["horizon", "quantity"]).index)].to_numpy(), nan_ok=True
        )
    deciles = certificate.deciles.groupby(["origin", "horizon", "quantity"])[["actual", "expected"]].sum()
    keyed = scores.set_index(["origin", "horizon", "quantity"])
    for key, sums in deciles.iterrows():
        assert sums["actual"] == pytest.approx(keyed.loc[key, "actual_total"])
        assert sums["expected"] == pytest.approx(keyed.loc[key, "expected_total"])
    pit = certificate.pit
    assert pit.groupby(["origin", "horizon", "quantity"])["count"].sum().to_numpy() == pytest.approx(
        keyed["customers"].sort_index().to_numpy()
    )
    at_90 = certificate.calibration[certificate.calibration["nominal"] == 0.9]
    assert at_90.set_index(["origin", "horizon", "quantity"])["coverage"].to_dict() == pytest.approx(
        keyed["coverage_90"].to_dict()
    )


def test_tracking_adds_up_to_the_totals(certificate):
    tracking = certificate.tracking
    for (origin, quantity), rows in tracking.groupby(["origin", "quantity"]):
        last = rows[rows["period"] == 26].iloc[0]
        total = row(certificate, origin=origin, horizon="26 weeks", quantity=quantity)
        assert last["end"] == pd.Timestamp(origin) + pd.Timedelta(days=182)
        assert last["cumulative_actual"] == pytest.approx(total["actual_total"])
        assert rows["actual"].sum() == pytest.approx(last["cumulative_actual"])
        assert rows["expected"].sum() == pytest.approx(last["cumulative_expected"])
        assert last["cumulative_expected"] == pytest.approx(total["expected_total"], rel=0.05)
        assert (rows["lower"] <= rows["expected"]).all() and (rows["upper"] >= rows["expected"]).all()


def test_by_frequency_is_per_customer(history, certificate):
    split = history.split(ORIGINS[0])
    bins = split.calibration.table["frequency"].clip(upper=7).to_numpy()
    rows = certificate.by_frequency
    rows = rows[(rows["origin"] == ORIGINS[0]) & (rows["horizon"] == "26 weeks")].set_index("frequency")
    total = row(certificate, origin=ORIGINS[0], horizon="26 weeks")
    for name in ("actual", "expected"):
        assert (rows[name] * rows["customers"]).sum() == pytest.approx(total[f"{name}_total"])
    assert rows["customers"].to_dict() == {f"{k}+" if k == 7 else str(k): int((bins == k).sum()) for k in set(bins)}


def test_groups_have_their_rows(history):
    found = run(history, by="cohort_month", origins=ORIGINS[:1], horizon="13 weeks")
    purchases = found.scores[(found.scores["origin"] == ORIGINS[0]) & (found.scores["quantity"] == "purchases")]
    assert purchases["group"].tolist() == ["all", "1997-01", "1997-02", "1997-03"]
    everyone, groups = purchases.iloc[0], purchases.iloc[1:]
    for name in ("customers", "actual_total", "expected_total", "elpd"):
        assert groups[name].sum() == pytest.approx(everyone[name])
    weighted = (groups["crps"] * groups["customers"]).sum() / everyone["customers"]
    assert weighted == pytest.approx(everyone["crps"])
    assert found.undated == () and set(found.calibration["group"]) == set(purchases["group"])


def test_newcomers_are_counted_apart(orders):
    found = backtest(orders, as_of="1998-06-30", origins="1997-02-15", horizon="4 weeks", recipe=RECIPE, draws=100)
    later = orders[(orders["date"] > "1997-02-15") & (orders["date"] <= "1997-03-15") & (orders["amount"] > 0)]
    known = set(orders.loc[(orders["date"] <= "1997-02-15") & (orders["amount"] > 0), "customer_id"])
    new = later[~later["customer_id"].isin(known)].drop_duplicates(["customer_id", "date"])
    told = found.newcomers.iloc[0]
    assert (told["customers"], told["purchases"]) == (new["customer_id"].nunique(), len(new))
    assert row(found, origin="1997-02-15")["customers"] == len(known)


def test_saved_certificate_is_valid_json(certificate, tmp_path):
    certificate.save(tmp_path / "certificate")
    certificate.save(tmp_path / "certificate")  # an earlier one may be replaced

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "certificate" / "certificate.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content == json.loads(json.dumps(certificate.to_dict()))
    assert content["schema_version"] == 1 and content["recipe"]["purchases"] == "bg_nbd"
    assert content["verdict"]["sentences"] == list(certificate.verdict)
    assert len(content["scores"]) == len(certificate.scores) and content["scores"][0]["shocked_lower"] is None
    for name in TABLES:
        read = pd.read_parquet(tmp_path / "certificate" / f"{name}.parquet")
        assert list(read.columns) == list(getattr(certificate, name).columns) and len(read) > 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(clv.StoreError):
        certificate.save(tmp_path / "other")


def test_it_prints(certificate):
    assert "13 weeks, 26 weeks from 2 origins" in repr(certificate)
    assert all(sentence in str(certificate) for sentence in certificate.verdict)
    assert str(certificate).splitlines()[1] == certificate.summary("26 weeks") == certificate.summary()
    assert "26 weeks, from which 3 years is extrapolated." in certificate.summary("3 years")
    assert "<table" in certificate._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"origins": ["1998-03-31"]}, "must end by as_of"),
        ({"draws": 50}, "at least 100"),
        ({"by": "region"}, "not a column"),
        ({"recipe": "bg_nbd"}, "must be a Recipe"),
        ({"as_of": "1998-06-30"}, "belongs to an order log"),
        ({"workers": 0}, "workers"),
        ({"recipe": Recipe(covariates="age", method="nuts")}, "not a column"),
    ],
)
def test_refusals(history, options, message):
    with pytest.raises(clv.DomainError, match=message):
        run(history, **options)


def test_a_log_needs_its_last_day(orders):
    with pytest.raises(clv.DomainError, match="needs as_of"):
        run(orders)


def broken_before(day):
    """A fit that fails for every origin before a day."""

    def fit(recipe, history, **options):
        if history.as_of < pd.Timestamp(day):
            raise clv.FitError("The fit did not converge: made up.")
        return clv.fit(history, spend=recipe.spend, draws=recipe.draws, compare=False, rng=options["rng"])

    return fit


def test_a_failed_origin_is_reported(history, certificate, monkeypatch):
    monkeypatch.setattr(one_origin, "fit_recipe", broken_before("1997-12-01"))
    found = run(history)
    assert found.origins["failed"].tolist() == [True, False]
    assert "made up" in found.origins["message"].iloc[0]
    assert any("as of 1997-09-30" in sentence and "made up" in sentence for sentence in found.verdict)
    assert set(found.scores["origin"]) == {ORIGINS[1], "all"}
    assert set(found.newcomers["origin"]) == set(ORIGINS)
    json.dumps(found.to_dict(), allow_nan=False)
    monkeypatch.setattr(one_origin, "fit_recipe", broken_before("1999-01-01"))
    with pytest.raises(clv.FitError, match=r"every origin.*1997-09-30.*1997-12-30"):
        run(history)


def ends_at_the_second_origin(task):
    if task.calibration.as_of < pd.Timestamp(ORIGINS[1]):
        return one_origin.evaluate_origin(task)
    os._exit(7)


def stays_at_the_second_origin(task):
    if task.calibration.as_of >= pd.Timestamp(ORIGINS[1]):
        time.sleep(120)
    return one_origin.evaluate_origin(task)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_tells_its_origin(history, workers):
    with pytest.raises(clv.DomainError, match="hierarchical") as caught:
        run(history, recipe=Recipe(groups="cohort_month"), workers=workers)
    assert caught.value.__notes__ in [[f"At the origin {origin}."] for origin in ORIGINS]
    assert multiprocessing.active_children() == []


def test_a_process_that_ends_tells_its_origin(history, monkeypatch):
    monkeypatch.setattr(backtest_module, "_evaluated", ends_at_the_second_origin)
    with pytest.raises(clv.FitError, match=rf"origin .*{ORIGINS[1]} ended without an answer.*EXIT\(7\).*workers=1"):
        run(history, workers=2)
    assert multiprocessing.active_children() == []


def test_an_interrupt_ends_the_processes(history, monkeypatch):
    monkeypatch.setattr(backtest_module, "_evaluated", stays_at_the_second_origin)
    at_work = []
    # A process in the background of a shell is started with the signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(*report):
        if report == ("backtest", 1, 2):
            at_work.extend(multiprocessing.active_children())
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    try:
        with pytest.raises(KeyboardInterrupt):
            run(history, workers=2, progress=interrupted)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(at_work) == 2
    assert multiprocessing.active_children() == []


SCRIPT = """
import multiprocessing
import clv_forecast as clv
print("begun")
log = clv.load_cdnow("1/10")
history = clv.purchase_history(log[log["customer_id"] % 10 == 0], as_of="1998-06-30")
recipe = clv.Recipe(spend=None, draws=100)
found = clv.backtest(
    history, origins=["1997-09-30", "1997-12-30"], horizon="13 weeks", recipe=recipe, draws=100, workers=2
)
print(len(found.origins), multiprocessing.active_children())
"""


def test_a_script_needs_no_main_guard(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.stdout.splitlines(), done.stderr) == (["begun", "2 []"], "")


def with_future(orders):
    """Customers' attributes made from what they did after the first origin: an attribute from the future."""
    after = orders[(orders["date"] > ORIGINS[0]) & (orders["amount"] > 0)]
    ids = orders["customer_id"].unique()
    loyal = np.where(np.isin(ids, after["customer_id"]), "loyal", "gone")
    return pd.DataFrame({"customer_id": ids, "loyalty": loyal})


def test_an_attribute_of_today_proves_nothing(orders, certificate, monkeypatch):
    """The recipe with the column is fitted like the one without, so only what is known of the column differs."""
    history = clv.purchase_history(orders, as_of="1998-06-30", customers=with_future(orders))
    monkeypatch.setattr(one_origin, "fit_recipe", broken_before("1900-01-01"))
    short = {"origins": ORIGINS[:1], "horizon": "26 weeks", "recipe": dataclasses.replace(RECIPE, spend=None)}
    without = run(history, **short)
    assert without.verdict.of("26 weeks") == "trusted" and without.undated == ()
    assert without.evidence is not None
    by_future = dataclasses.replace(short["recipe"], groups="loyalty", method="nuts")
    found = run(history, **(short | {"recipe": by_future}))
    assert found.undated == ("loyalty",) and found.evidence is None
    assert {status.status for status in found.verdict.statuses} == {"not proven"}
    assert "loyalty" in found.verdict.sentences[0]
    by_cohort = dataclasses.replace(short["recipe"], groups="cohort_month", method="nuts")
    dated = run(history, **(short | {"recipe": by_cohort}))
    assert dated.undated == () and dated.verdict.of("26 weeks") == "trusted"


def test_groups_from_the_future_prove_nothing(orders):
    """Grouped by what came later, bands seem to fail in every group, although they hold for everyone."""
    history = clv.purchase_history(orders, as_of="1998-06-30", customers=with_future(orders))
    found = run(history, origins=ORIGINS[:1], horizon="39 weeks", by="loyalty")
    assert found.verdict.of("39 weeks") == "trusted" and found.undated == ("loyalty",)
    scores = found.scores[(found.scores["origin"] == "all") & (found.scores["quantity"] == "purchases")]
    assert scores.set_index("group").loc["loyal", "coverage_90"] < 0.85
    assert found.verdict.of("39 weeks", group="loyal") == "not proven"


@pytest.mark.slow
def test_a_group_from_the_future_looks_brilliant_and_proves_nothing(orders):
    """Sampled in earnest: the column orders the customers far better than can be known, and the verdict says why."""
    history = clv.purchase_history(orders, as_of="1998-06-30", customers=with_future(orders))
    plain = Recipe(spend=None, draws=200)
    found = {}
    for name, recipe in (("plain", plain), ("loyalty", dataclasses.replace(plain, groups="loyalty", method="nuts"))):
        found[name] = run(history, origins=ORIGINS[:1], horizon="39 weeks", recipe=recipe)
    gini = {name: row(certificate)["gini"] for name, certificate in found.items()}
    assert gini["loyalty"] > gini["plain"] + 0.15
    assert found["plain"].verdict.of("39 weeks") == "trusted" and found["plain"].evidence is not None
    assert found["loyalty"].verdict.of("39 weeks") == "not proven" and found["loyalty"].evidence is None
    assert "loyalty" in found["loyalty"].verdict.sentences[0]
