from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from clv_forecast.errors import DomainError
from clv_forecast.evaluation.model_comparison import _clustered, compare_models
from clv_forecast.inference.leave_one_out import LooResult
from clv_forecast.inference.loo import loo_rows

ORIGINS = ("1997-06-30", "1997-09-30")
HORIZONS = ("13 weeks", "26 weeks")


class Verdict:
    def of(self, horizon, quantity="purchases"):
        return "trusted" if quantity == "purchases" else "too narrow"


@dataclass
class StandIn:
    """What a comparison reads of a certificate."""

    title: str
    densities: pd.DataFrame
    scores: pd.DataFrame
    verdict: Verdict = field(default_factory=Verdict)
    loo: LooResult | None = None


def certificate(title, log_density, *, bias=-0.1, origins=ORIGINS, horizons=HORIZONS, revenue=True, loo=None):
    """Densities of shape (origin, customer), the same at every horizon but for a constant."""
    densities = pd.DataFrame(
        [
            {"customer_id": f"c{c:04}", "origin": origin, "horizon": horizon, "log_density": value - h}
            for origin, values in zip(origins, log_density, strict=True)
            for h, horizon in enumerate(horizons)
            for c, value in enumerate(values)
        ]
    )
    rows = [
        {
            "origin": origin, "horizon": horizon, "group": group, "quantity": quantity, "customers": 9,
            "actual_total": 70.0,
            "coverage_90": 0.88, "crps": 0.5, "bias": bias * (1 + h), "gini": 0.7,
        }
        for origin in (*origins, "all")
        for h, horizon in enumerate(horizons)
        for group in ("all", "north")
        for quantity in ("purchases", *(("revenue",) if revenue else ()))
    ]  # fmt: skip
    return StandIn(title, densities, pd.DataFrame(rows), loo=loo)


@pytest.fixture
def made():
    """Three models: the second 0.05 per customer worse, the third as good as the first but other customers'."""
    rng = np.random.default_rng(4)
    base = rng.normal(-3.0, 1.0, (2, 800))
    return {
        "A": certificate("A", base),
        "B": certificate("B", base - 0.05 + rng.normal(0.0, 0.1, base.shape), bias=-0.02),
        "C": certificate("C", base + rng.normal(-0.7, 1.5, base.shape), revenue=False),
    }


def test_the_table_ranks_by_the_density_of_the_longest_horizon(made):
    comparison = compare_models(made)
    table = comparison.table.set_index("model")
    assert comparison.table["model"].tolist() == ["A", "B", "C"]
    assert comparison.horizon == "26 weeks"
    assert comparison.origins == ORIGINS
    assert comparison.customers == 800
    longest = made["B"].densities.query("horizon == '26 weeks'")["log_density"]
    assert table.loc["B", "elpd"] == pytest.approx(longest.sum())
    assert table.loc["A", "difference"] == 0.0
    assert table.loc["A", "difference_se"] == 0.0
    assert table.loc["A", "bias"] == pytest.approx(-0.2)
    assert table.loc["A", "status"] == "trusted"
    assert table.loc["A", "revenue_status"] == "too narrow"
    assert table.loc["C", "revenue_status"] == ""
    assert np.isnan(table.loc["C", "revenue_crps"])
    assert np.isnan(table["loo"]).all()
    assert compare_models(made, horizon="13 weeks").table["elpd"].iloc[0] > table.loc["A", "elpd"]


def test_differences_are_paired_and_clustered_by_customer(made):
    table = compare_models(made).table.set_index("model")
    by_hand = []
    theirs = dict(list(made["A"].densities.query("horizon == '26 weeks'").groupby("customer_id")))
    for customer, mine in made["B"].densities.query("horizon == '26 weeks'").groupby("customer_id"):
        by_hand.append(mine["log_density"].sum() - theirs[customer]["log_density"].sum())
    assert table.loc["B", "difference"] == pytest.approx(np.sum(by_hand))
    assert table.loc["B", "difference_se"] == pytest.approx(np.sqrt(800) * np.std(by_hand, ddof=1))
    unpaired = made["B"].densities["log_density"].std() * np.sqrt(1600)
    assert table.loc["B", "difference_se"] < 0.2 * unpaired


def test_copies_of_an_origin_add_no_certainty(made):
    """The same densities at two origins: twice the difference with twice the standard error."""
    rng = np.random.default_rng(9)
    a, b = rng.normal(-3.0, 1.0, (2, 300))
    once = compare_models(
        {"A": certificate("A", [a], origins=ORIGINS[:1]), "B": certificate("B", [b], origins=ORIGINS[:1])}
    )
    twice = compare_models({"A": certificate("A", [a, a]), "B": certificate("B", [b, b])})
    first, second = once.table.iloc[1], twice.table.iloc[1]
    assert second["difference"] == pytest.approx(2.0 * first["difference"])
    assert second["difference_se"] == pytest.approx(2.0 * first["difference_se"])
    assert second["weight_se"] == pytest.approx(first["weight_se"], rel=0.05)


def test_standard_errors_hold_their_rate():
    """Two equally good models whose difference lasts with a customer: 95 of 100 sums lie within 1.96 errors of 0."""
    rng = np.random.default_rng(12)
    owners = np.tile(np.arange(60), 3)
    outside = as_if_apart = 0
    for _ in range(400):
        noise = (rng.normal(0.0, 0.1, (3, 60)) + rng.normal(0.0, 0.3, 60)).ravel()
        outside += abs(noise.sum()) > 1.96 * _clustered(noise, owners)
        as_if_apart += abs(noise.sum()) > 1.96 * _clustered(noise, np.arange(180))
    assert 8 <= outside <= 36
    assert as_if_apart > 60


def test_weights_and_the_mixture(made):
    comparison = compare_models(made)
    assert list(comparison.weights) == ["A", "B", "C"]
    assert sum(comparison.weights.values()) == pytest.approx(1.0)
    assert comparison.weights["C"] > 0.05
    assert comparison.stacked_elpd > comparison.table["elpd"].max()
    assert (comparison.table["weight_se"] < 0.2).all()
    turned = compare_models({name: made[name] for name in ("C", "A", "B")})
    assert list(turned.weights) == ["C", "A", "B"]
    assert turned.weights["C"] == pytest.approx(comparison.weights["C"], abs=1e-3)
    assert "a clear gain" in comparison.sentence
    assert "adds nothing" not in comparison.sentence


def test_the_best_alone_may_add_nothing_to_the_mixture():
    """A model in the middle of two specialists."""
    half = np.repeat([0.0, -3.0], 100)[None]
    middle = np.full((1, 200), -0.9)
    models = {"left": half, "middle": middle, "right": half[:, ::-1]}
    comparison = compare_models({name: certificate(name, v, origins=ORIGINS[:1]) for name, v in models.items()})
    assert comparison.table["model"].iloc[0] == "middle"
    assert comparison.weights["middle"] == 0.0
    assert "(middle, the best alone, adds nothing to it)" in comparison.sentence


def test_the_words_follow_the_numbers(made):
    words = compare_models({name: made[name] for name in "AB"}).sentences
    assert words[0].startswith("A predicts the 26 weeks after an origin best (log predictive density, ahead at 2 of 2")
    assert "B is " in words[0]
    assert "worse" in words[0]
    assert "moves all at once" in words[1]
    assert "B comes closest to the total of purchases over 26 weeks (-4.0 %), A to -20.0 %." in words[3]
    level = np.random.default_rng(1).normal(-3.0, 1.0, (2, 50))
    other = level + np.random.default_rng(2).normal(0.0, 0.2, level.shape)
    alike = compare_models([certificate("A", level), certificate("B", other)])
    assert "cannot be told from it" in alike.sentence
    worse = compare_models([certificate("A", level), certificate("B", level - 1.0)])
    assert "stacking gives all weight to A" in worse.sentence
    assert "A comes closest to the total of purchases over 26 weeks (-20.0 %)." in worse.sentences


def test_each_origin_alone():
    level = np.random.default_rng(1).normal(-3.0, 1.0, (2, 50))
    turned = level + np.array([[0.5], [-0.2]])
    comparison = compare_models([certificate("A", level), certificate("B", turned)])
    by = comparison.by_origin.set_index(["origin", "model"])
    assert by.loc[(ORIGINS[0], "A"), "difference"] == pytest.approx(-25.0)
    assert by.loc[(ORIGINS[1], "A"), "difference"] == pytest.approx(10.0)
    assert (by["customers"] == 50).all()
    assert "ahead at 1 of 2 origins" in comparison.sentence


def test_leave_one_out_beside_it(made):
    rng = np.random.default_rng(3)
    found = loo_rows(-0.5 * (np.arange(3.0) - rng.normal(0.0, 0.1, (200, 1))) ** 2, [5, 4, 3])
    result = LooResult(purchases=found, spend=None)
    table = compare_models(made, loo={"B": result}).table.set_index("model")
    assert table.loc["B", "loo"] == found.elpd
    assert table.loc["B", "loo_se"] == found.se
    assert np.isnan(table.loc["A", "loo"])
    made["A"].loo = result
    assert compare_models(made).table.set_index("model").loc["A", "loo"] == found.elpd
    with pytest.raises(DomainError, match="not compared"):
        compare_models(made, loo={"D": result})


def test_rows_in_another_order_are_matched(made):
    shuffled = dict(made)
    b = made["B"]
    shuffled["B"] = StandIn("B", b.densities.sample(frac=1.0, random_state=1), b.scores)
    pd.testing.assert_frame_equal(compare_models(shuffled).table, compare_models(made).table)


def test_titles_lose_what_they_share_at_the_end():
    level = np.random.default_rng(1).normal(-3.0, 1.0, (2, 20))
    ends = {
        ("BG/NBD + Gamma-Gamma, NUTS", "MBG/NBD + Gamma-Gamma, NUTS"): ["BG/NBD", "MBG/NBD"],
        ("BG/NBD, NUTS", "BG/NBD by region, NUTS"): ["BG/NBD", "BG/NBD by region"],
        ("BG/NBD, NUTS", "BG/NBD, maximum likelihood"): ["BG/NBD, NUTS", "BG/NBD, maximum likelihood"],
        ("mine", "yours"): ["mine", "yours"],
    }
    for titles, short in ends.items():
        assert list(compare_models([certificate(title, level) for title in titles]).weights) == short


def test_text(made):
    comparison = compare_models(made)
    assert "A predicts the 26 weeks" in str(comparison)
    assert repr(comparison) == "<ModelComparison of 3 models over 26 weeks, best: A>"
    assert "<table" in comparison._repr_html_()
    assert set(comparison.scores["group"]) == {"all"}
    assert set(comparison.scores["model"]) == {"A", "B", "C"}


def test_what_it_refuses(made):
    level = np.zeros((2, 800))
    with pytest.raises(DomainError, match="at least two certificates"):
        compare_models([made["A"]])
    with pytest.raises(DomainError, match="at least two certificates"):
        compare_models(made["A"])
    with pytest.raises(DomainError, match=r"at least two certificates.*Got: str"):
        compare_models({"A": made["A"], "B": "cert"})
    alike = [made["A"], certificate("A", level), certificate("A (1)", level)]
    assert [*compare_models(alike, replicates=2).weights] == ["A (2)", "A (3)", "A (1)"]
    with pytest.raises(DomainError, match="same origins"):
        compare_models([made["A"], certificate("B", level, origins=("1997-06-30", "1997-12-31"))])
    with pytest.raises(DomainError, match="same horizons"):
        compare_models([made["A"], certificate("B", level, horizons=("13 weeks", "39 weeks"))])
    with pytest.raises(DomainError, match=r"same customers.*First customers: c0799"):
        compare_models([made["A"], certificate("B", level[:, :799])])
    other = certificate("B", level)
    other.scores.loc[0, "actual_total"] = 71.0
    with pytest.raises(DomainError, match="same purchases"):
        compare_models([made["A"], other])
    with pytest.raises(DomainError, match=r"Each certificate has the horizons .* Nearest: "):
        compare_models(made, horizon="52 weeks")
    failed = [certificate(name, np.zeros((2, 0))) for name in "AB"]
    for one in failed:
        one.densities = made["A"].densities.iloc[:0]
    with pytest.raises(DomainError, match="every origin failed"):
        compare_models(failed)
