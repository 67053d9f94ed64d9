"""``import clv_forecast`` stays light: what only some verbs need is imported inside them."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"arviz", "lifetimes", "matplotlib", "nutpie", "pymc", "pytensor", "sklearn"}
PROBE = "import sys, time; start = time.perf_counter(); {}; print(time.perf_counter() - start, *sys.modules)"


def seconds_and_modules(statement: str) -> tuple[float, set[str]]:
    """Time of ``statement`` in a new interpreter, and the top-level names of what it loaded."""
    done = subprocess.run([sys.executable, "-c", PROBE.format(statement)], capture_output=True, text=True, check=True)  # noqa: S603
    seconds, *modules = done.stdout.split()
    return float(seconds), {name.partition(".")[0] for name in modules}


def test_import_loads_nothing_heavy() -> None:
    seconds, loaded = seconds_and_modules("import clv_forecast")
    print(f"import clv_forecast: {seconds:.2f} s")
    assert "clv_forecast" in loaded
    assert loaded & HEAVY == set()


def test_the_probe_sees_a_heavy_import() -> None:
    assert "matplotlib" in seconds_and_modules("import matplotlib")[1]
