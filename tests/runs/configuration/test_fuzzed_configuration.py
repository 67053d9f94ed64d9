"""Any text as clv.toml is a configuration or one error with exit code 2: never a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_forecast.errors import DomainError
from clv_forecast.runs.configuration.configuration import read_configuration
from tests.runs.configuration.full_configuration import FULL, SECRETS

LINES = FULL.splitlines()
VALUES = st.sampled_from(
    (
        *("0", "-1", "1e308", "inf", "nan", "10" * 30, "0x7f", "1_0", "true", "1979-05-27", "07:32:00"),
        *('""', '"a\\nb"', '"\\u0000"', '"\\u001b[2J"', '"${X}"', '"../../x"', "'''x\n\ny'''", "[]", "[[]]", "{}"),
        '"postgres://u:s3cr3t@[h/d"',
    )
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The full configuration with lines taken out, doubled, moved, cut or given another value."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["out", "twice", "moved", "cut", "value", "text"]))
        key, equals, _ = lines[place].partition("=")
        if how == "out":
            del lines[place]
        elif how == "twice":
            lines.insert(place, lines[place])
        elif how == "moved":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(place))
        elif how == "cut":
            lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
        elif equals and how == "value":
            lines[place] = f"{key}= {draw(VALUES)}"
        else:
            lines[place] += draw(st.text(max_size=8))
    return "\n".join(lines)


@given(text=st.one_of(mutated(), st.text(max_size=200)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_a_configuration_or_one_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clv.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            told = repr(read_configuration(path, environment=SECRETS))
        except DomainError as error:
            told = str(error)
            assert "s3cr3t" not in told
    assert all(line.isprintable() for line in told.split("\n"))
