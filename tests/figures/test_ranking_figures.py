"""The figures of the ranking: the numbers of their tables, and tables nobody would wish for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch, Rectangle

from clv_forecast import figures
from clv_forecast.errors import DomainError
from clv_forecast.ranking.concentration import lorenz_curves, top_share
from clv_forecast.ranking.matrix import MatrixRule, cell_codes, cell_names, classes, cuts_of, matrix_table
from clv_forecast.ranking.migration import migration
from tests.figures import made_up

HOSTILE = [
    "A$$B costs $x^{2$ \\frac",
    "_underscore & Sons <b>GmbH</b>, Niederlassung Oberösterreich und Kärnten, Abteilung 17",
    "   ",
    "x" * 300,
    "line\nbreak\tInc",
    "{braces} %s %d",
]


def texts(ax: object) -> list[str]:
    return [text.get_text() for text in ax.texts]


def key(ax: object) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def overlapping(artists: list[object]) -> bool:
    boxes = [artist.get_window_extent() for artist in artists]
    return any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_lorenz() -> None:
    table = made_up.curves()
    ax = figures.draw_lorenz(table)
    diagonal, _, now, later = ax.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0.0, 0.0], [1.0, 1.0]])
    for line, name in ((now, "now"), (later, "next 12 months")):
        rows = table[table["measure"] == name]
        np.testing.assert_array_equal(line.get_xdata(), rows["share_of_accounts"])
        np.testing.assert_array_equal(line.get_ydata(), rows["share_of_value"])
    assert len(ax.collections) == 1  # the band of the one that has one
    assert key(ax) == ["now: the top 20 % bring 62 %", "next 12 months: the top 20 % bring 53 %"]
    assert ax.get_title(loc="left").endswith("90 % band")


def test_lorenz_of_the_verb() -> None:
    values = np.random.default_rng(1).lognormal(size=2000)
    draws = values[:300] * np.random.default_rng(2).gamma(2.0, 0.5, (50, 300))
    ax = figures.draw_lorenz(lorenz_curves({"current_revenue": values, "value": draws}))
    assert key(ax)[0] == f"current revenue: the top 20 % bring {100 * top_share(values):.0f} %"
    losing = figures.draw_lorenz(lorenz_curves({"value": [5.0, 1.0, -3.0]}))
    assert losing.get_ylim()[1] >= 2.0
    alone = figures.draw_lorenz(lorenz_curves({"value": [5.0]}))
    assert key(alone) == ["value: the top 20 % bring 20 %"]
    plain = pd.DataFrame({"share_of_accounts": [0.0, 0.5, 1.0], "share_of_value": [0.0, 0.9, 1.0]})
    assert len(figures.draw_lorenz(plain).lines) == 3
    nothing = figures.draw_lorenz(lorenz_curves({"value": [0.0, 0.0]}))
    assert key(nothing) == ["value: no shares, the total is not above 0"]


def test_migration() -> None:
    table = made_up.moves()
    ax = figures.draw_migration(table)
    assert texts(ax) == [
        *("key accounts 52", "core 146", "steady 315", "new 60"),
        *("key accounts 47", "core 157", "steady 360", "gone 9"),
    ]
    assert key(ax) == ["stayed", "moved up", "moved down", "new", "gone"]
    unclassed = pd.DataFrame({"from_cell": ["core"], "to_cell": ["not classed"], "customers": [3]})
    assert key(figures.draw_migration(unclassed)) == ["moved"]
    bands = [patch for patch in ax.patches if isinstance(patch, PathPatch)]
    widths = [float(band.get_path().vertices[-2, 1] - band.get_path().vertices[0, 1]) for band in bands]
    assert widths == pytest.approx(table["customers"].tolist())
    ends = [float(band.get_path().vertices[4, 1] - band.get_path().vertices[3, 1]) for band in bands]
    assert ends == pytest.approx(table["customers"].tolist())
    heights = [patch.get_height() for patch in ax.patches if isinstance(patch, Rectangle)]
    assert heights == pytest.approx([52, 146, 315, 60, 47, 157, 360, 9])
    up = to_hex(bands[2].get_facecolor())
    assert up != to_hex(bands[1].get_facecolor())
    assert up == to_hex(bands[5].get_facecolor())


def test_bands_fill_their_cells_without_overlap() -> None:
    ax = figures.draw_migration(made_up.moves())
    bands = [patch.get_path().vertices for patch in ax.patches if isinstance(patch, PathPatch)]
    cells = [(p.get_x(), p.get_y(), p.get_y() + p.get_height()) for p in ax.patches if isinstance(p, Rectangle)]
    for side, (top, bottom) in enumerate(((0, -2), (3, 4))):
        spans = sorted((float(band[top, 1]), float(band[bottom, 1])) for band in bands)
        merged = [list(spans[0])]
        for low, high in spans[1:]:
            assert low >= merged[-1][1] - 1e-9
            if low <= merged[-1][1] + 1e-9:
                merged[-1][1] = high
            else:
                merged.append([low, high])
        there = sorted((low, high) for x, low, high in cells if (x > 0.5) == bool(side))
        np.testing.assert_allclose(merged, there)


def test_migration_in_plain_text_keeps_the_order_of_rows() -> None:
    table = made_up.moves().astype({"from_cell": str, "to_cell": str})
    assert texts(figures.draw_migration(table)) == texts(figures.draw_migration(made_up.moves()))


def two_rankings(size: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(3)
    rule = MatrixRule()
    tables = []
    for start in (0, size // 20):
        value, potential = rng.lognormal(11, 1.5, size), rng.lognormal(9, 2, size)
        by_value = classes(value, cuts_of(rule, value))
        codes = cell_codes(by_value, classes(potential, cuts_of(rule, potential, "potential")), rule)
        table = pd.DataFrame({"customer_id": start + np.arange(size), "cell": cell_names(codes, rule), "value": value})
        tables.append(table.assign(potential_value=potential, headroom=2 * potential, p_cell=0.8))
    return tables[0], tables[1]


@pytest.mark.parametrize("size", [1, 10_000])
def test_migration_of_the_verb(size: int) -> None:
    before, after = two_rankings(size)
    ax = figures.draw_migration(migration(before, after))
    ax.figure.canvas.draw()
    assert not overlapping(ax.texts)
    assert all(text.get_window_extent().x0 >= 0.0 for text in ax.texts)
    assert max(text.get_window_extent().x1 for text in ax.texts) <= ax.figure.bbox.x1
    rights = [text for text in ax.texts if text.xy[0] == 1.0]
    assert sum(int(text.get_text().split()[-1].replace(",", "")) for text in rights) == size + size // 20


def test_matrix() -> None:
    table = made_up.cells()
    ax = figures.draw_matrix(table)
    shown = ax.collections[0].get_array()
    np.testing.assert_array_equal(shown, [[2200, 900, 465], [0, 1, 80], [150, 12, 66]])  # high is above, and right
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "low\nup to 300,000",
        "middle\n300,000\nto 1.2M",
        "high\nabove 1.2M",
    ]
    best = next(text for text in ax.texts if text.get_position() == (2, 2))
    assert best.get_text() == "high by high\n66 accounts\n9,000 value\n900M potential\n1.8B headroom"
    empty = next(text for text in ax.texts if text.get_position() == (0, 1))
    assert empty.get_text() == "middle by low\n0 accounts"
    other = figures.draw_matrix(table.assign(expected_accounts=7.5), quantity="expected_accounts")
    assert set(np.asarray(other.collections[0].get_array()).ravel()) == {7.5}
    assert "7.5 expected accounts" in texts(other)[0]


def test_what_shades_the_cells_is_told_first() -> None:
    ax = figures.draw_matrix(made_up.cells(), quantity="headroom")
    assert texts(ax)[0].split("\n")[1:3] == ["66 accounts", "1.8B headroom"]
    assert ax.get_title(loc="left").replace("\n", " ").endswith("shaded by headroom")


def test_matrix_of_the_verb() -> None:
    rule = MatrixRule(value=(1.0,), potential=(1.0,), by="money")
    table = matrix_table([0, 1, -1], [1, 1, 0], rule, value=[1.0, 2.0, 3.0], potential=[2.0, 2.0, 0.5])
    ax = figures.draw_matrix(table)
    assert ax.get_xlabel() == "potential (1 account without a class left out)"
    assert [text.split("\n")[0] for text in texts(ax)] == ["key accounts", "core", "sleeping giants", "self-service"]
    nobody = table[table["cell"] == "not classed"]
    with pytest.raises(DomainError, match="No account has a class"):
        figures.draw_matrix(nobody)
    with pytest.raises(DomainError, match=r"lacks columns.*headroom"):
        figures.draw_matrix(table, quantity="headroom")


@pytest.mark.parametrize("width", [3.0, 4.5])
def test_texts_stay_in_their_cells(width: float) -> None:
    _, pair = pyplot.subplots(1, 2, figsize=(2 * width, 3.0), layout="constrained")
    ax = figures.draw_matrix(made_up.cells().assign(cell=[HOSTILE[i % 6] for i in range(9)]), ax=pair[0])
    ax.figure.canvas.draw()
    assert not overlapping(ax.texts)


def test_value_and_potential() -> None:
    table = made_up.ranking(40)
    ax = figures.draw_value_potential(table)
    at = np.asarray(ax.collections[0].get_offsets())
    wanted = table[["value", "potential_value"]].to_numpy()
    np.testing.assert_allclose(np.sort(at, axis=0), np.sort(wanted, axis=0))
    sizes, headroom = ax.collections[0].get_sizes(), np.sort(table["headroom"])[::-1]
    assert (np.diff(sizes) <= 1e-9).all()  # the largest below the others
    positive = headroom > 0
    ratio = (sizes[positive] - sizes[-1]) / headroom[positive]
    np.testing.assert_allclose(ratio, ratio[0])
    assert set(key(ax)) == set(table["cell"])
    assert set(texts(ax)) <= {f"Company {i}" for i in range(1, 6)}
    assert len(texts(ax)) >= 3
    assert set(texts(figures.draw_value_potential(table, names=["A000030"]))) == {"Company 30"}
    assert texts(figures.draw_value_potential(table, names=0)) == []


def test_the_unsure_are_paler() -> None:
    table = made_up.ranking(2).assign(p_cell=[1.0, 0.2], headroom=[2.0, 1.0])
    alpha = figures.draw_value_potential(table).collections[0].get_alpha()
    assert alpha[0] > alpha[1] > 0.2


@pytest.mark.parametrize("width", [3.5, 7.0])
def test_names_of_bubbles_do_not_overlap(width: float) -> None:
    figure, ax = pyplot.subplots(figsize=(width, 3.5), layout="constrained")
    figures.draw_value_potential(made_up.ranking(60), names=25, ax=ax)
    figure.canvas.draw()
    assert len(ax.texts) > 5
    assert not overlapping(ax.texts)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(DomainError, match=r"names must be ids of the table. Got: 'nobody'"):
        figures.draw_value_potential(made_up.ranking(), names=["nobody"])
    for wrong in ("A000001", None, 2.5):
        with pytest.raises(DomainError, match="names must be a number of accounts, or their ids"):
            figures.draw_value_potential(made_up.ranking(), names=wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"value": 0.0, "potential_value": 0.0, "headroom": 0.0},
        {"value": -5e4, "headroom": np.nan},
        {"potential_value": 0.0, "p_cell": np.nan, "cell": None},
        {"name": None},
        {"value": 1e-9, "potential_value": 1e13},
    ],
)
@pytest.mark.parametrize("accounts", [1, 30])
def test_odd_money(change: dict[str, object], accounts: int) -> None:
    ax = figures.draw_value_potential(made_up.ranking(accounts).assign(**change))
    ax.figure.canvas.draw()
    at = np.asarray(ax.collections[0].get_offsets())
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert ((left <= at[:, 0]) & (at[:, 0] <= right) & (low <= at[:, 1]) & (at[:, 1] <= high)).all()


def test_the_unknown_are_counted() -> None:
    table = made_up.ranking(10)
    table.loc[:2, "potential_value"] = np.nan
    title = figures.draw_value_potential(table).get_title(loc="left").replace("\n", " ")
    assert "7 accounts (3 without left out)" in title
    with pytest.raises(DomainError, match="No account has a value and a potential"):
        figures.draw_value_potential(table.assign(value=np.nan))


def test_ten_thousand_bubbles_are_one_picture() -> None:
    ax = figures.draw_value_potential(made_up.ranking(10_000))
    assert ax.collections[0].get_rasterized()
    assert len(ax.collections[0].get_offsets()) == 10_000
    many = made_up.ranking(60).assign(cell=[f"cell {i % 20}" for i in range(60)])
    assert key(figures.draw_value_potential(many))[-1] == "other cells"


def test_rank_bands() -> None:
    table = made_up.ranking(40)
    ax = figures.draw_rank_bands(table.sample(frac=1.0, random_state=1), top=8)
    first = table.iloc[:8]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), first["adjusted_value"])
    spans = np.array(ax.collections[0].get_segments())[:, :, 0]
    np.testing.assert_array_equal(spans, first[["adjusted_lower", "adjusted_upper"]])
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"{i}  Company {i}" for i in range(1, 9)]
    assert texts(ax) == ["1 to 2", "1 to 3", "2 to 5", "2 to 6", "3 to 7", "4 to 9", "5 to 10", "5 to 11", "may rank"]
    assert "the first 8 of 40 accounts, 90 % band" in ax.get_title(loc="left").replace("\n", " ")
    right = ax.transData.transform((table["adjusted_upper"].max(), 0.0))[0]
    ax.figure.canvas.draw()
    assert min(text.get_window_extent().x0 for text in ax.texts) >= right - 1.0


def test_ranks_that_are_sure_or_unknown() -> None:
    table = made_up.ranking(3).assign(rank_lower=[1.0, 2.0, np.nan], rank_upper=[1.0, 3.0, np.nan])
    table["name"] = ["Ann", None, "  "]
    ax = figures.draw_rank_bands(table)
    assert texts(ax) == ["1", "2 to 3", "", "may rank"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1  Ann", "2  A000002", "3  A000003"]
    for wrong in (0, 201, 2.0, True, None):
        with pytest.raises(DomainError, match="top must be a whole number from 1 to 200"):
            figures.draw_rank_bands(table, top=wrong)


def test_negative_values_and_zero_are_seen() -> None:
    table = made_up.ranking(5)
    table[["adjusted_value", "adjusted_lower", "adjusted_upper"]] *= -1.0
    low, high = figures.draw_rank_bands(table).get_xlim()
    assert low < -table["adjusted_lower"].max()
    assert high > 0.0


@pytest.mark.parametrize("width", [3.0, 7.0])
def test_hostile_names(width: float) -> None:
    """Dollars, underscores, blanks, line breaks and names without end: drawn as they are, cut where they must be."""
    names = [HOSTILE[i % 6] for i in range(12)]
    ranking = made_up.ranking(12).assign(name=names, cell=names)
    moves = pd.DataFrame({"from_cell": names, "to_cell": names[::-1], "customers": range(1, 13)})
    for draw, table in (
        (figures.draw_rank_bands, ranking),
        (figures.draw_value_potential, ranking),
        (figures.draw_migration, moves),
        (figures.draw_matrix, made_up.cells().assign(cell=names[:9])),
        (figures.draw_lorenz, made_up.curves(tuple(HOSTILE))),
    ):
        figure, ax = pyplot.subplots(figsize=(width, 4.0), layout="constrained")
        draw(table, ax=ax)
        figure.canvas.draw()
        assert all("\n" not in label.get_text() for label in ax.get_yticklabels()) or draw is figures.draw_matrix
        pyplot.close(figure)
