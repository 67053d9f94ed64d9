"""Text that customers' data may bring, and how it is shown wherever it is shown."""

from __future__ import annotations

HOSTILE_TEXTS = {
    "a formula of TeX": ("$x^2$ & $y$", "$x^2$ & $y$"),
    "half a formula of TeX": ("$a_{ costs 5", "$a_{ costs 5"),
    "NUL": ("A\x00B", r"A\x00B"),
    "bell": ("A\x07C", r"A\x07C"),
    "clears a terminal": ("A\x1b[2JB", r"A\x1b[2JB"),
    "line": ("A\nall is well", r"A\nall is well"),
    "line of Windows": ("A\r\nB", r"A\r\nB"),
    "line of Unicode": ("A\u2028B", r"A\u2028B"),
    "right to left": ("A\u202egnp.exe", r"A\u202egnp.exe"),
    "a formula of a spreadsheet": ("=1+1", "=1+1"),
    "markup": ("</script><b>&amp;", "</script><b>&amp;"),
}
"""What is read, and what a reader sees."""
BEFORE = tuple(raw for raw, _ in HOSTILE_TEXTS.values())
SHOWN = tuple(shown for _, shown in HOSTILE_TEXTS.values())
STEERING = frozenset("\x00\x07\x1b\r\u2028\u202e")
"""What must stand nowhere; of line ends only a file's own."""
LONG = "L" * 40_000
