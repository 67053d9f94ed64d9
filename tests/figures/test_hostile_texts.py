"""Whatever a name, a group or a currency holds is drawn as it is: no mathematics, no new line, nothing raised."""

from __future__ import annotations

import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Text

from clv_forecast.figures import draw_value_potential, style
from tests.figures import made_up
from tests.figures.made_up import CASES, Case
from tests.hostile_texts import BEFORE, HOSTILE_TEXTS, STEERING

FOREIGN = (
    "attribute", "cell", "channel", "cohort", "currency", "customer_id", "from_cell", "group", "measure", "name",
    "potential_class", "to_cell", "value_class",
)  # fmt: skip
DRAWN = [case for case in CASES if set(FOREIGN) & set(case.table().columns)]


@pytest.mark.parametrize(("raw", "shown"), HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_a_name_is_drawn_as_it_is(raw: str, shown: str) -> None:
    text = Figure().text(0.0, 0.0, style.short(raw))
    assert text.get_text().replace(r"\$", "$") == shown
    assert not is_math_text(text.get_text())


@pytest.mark.parametrize("case", DRAWN, ids=str)
def test_every_figure_takes_any_text(case: Case) -> None:
    table = case.table()
    for name in set(FOREIGN) & set(table.columns):
        if name == "currency":
            table[name] = "".join(BEFORE)
        elif not (name == "group" and "covered" in table.columns):  # there it says whose customers, in our words
            # The same text for the same value: equal labels stay equal
            numbers = {value: BEFORE[k % len(BEFORE)] for k, value in enumerate(dict.fromkeys(table[name]))}
            table[name] = [value if value == "all" else f"{numbers[value]} {value}" for value in table[name]]
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    case.draw(table, ax=figure.subplots(), **case.options)
    figure.draw_without_rendering()
    for text in figure.findobj(Text):
        assert not set(text.get_text()) & STEERING
        assert "all is well" not in text.get_text().split("\n")
        assert not is_math_text(text.get_text()) or "mathdefault" in text.get_text()


def test_a_name_that_begins_with_an_underscore_stands_in_the_key() -> None:
    ax = draw_value_potential(made_up.ranking(9).assign(cell="_mine"), ax=Figure().subplots())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [" _mine"]
