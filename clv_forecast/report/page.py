"""The verb ``write_page``: a report as one HTML file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import Any

from clv_forecast.arguments import instance_of
from clv_forecast.errors import DomainError
from clv_forecast.printable import printable
from clv_forecast.report.atomic_file import atomic_file
from clv_forecast.report.headline import headline_of
from clv_forecast.report.page_accounts import account_table
from clv_forecast.report.page_data import page_data
from clv_forecast.report.page_text import Section
from clv_forecast.report.report import Report
from clv_forecast.report.sections import changes_section, matrix_section, ranking_section, value_section
from clv_forecast.report.sections_customers import cohorts_section, drivers_section
from clv_forecast.report.sections_evidence import audit_section, certificate_section
from clv_forecast.report.sections_spend import losers_section, spend_section


def write_page(report: Report, path: str | os.PathLike[str]) -> Path:
    r"""Write a report as one self-contained HTML file, for reading, searching and printing.

    Parameters
    ----------
    report : Report
        From ``make_report``. A section without its input says what would fill it.
    path : path
        The file; one that is there is replaced in one step.

    Returns
    -------
    Path

    Raises
    ------
    DomainError
        If ``report`` is no report, or the path does not end in .html.
    StoreError
        If the file cannot be written.

    Notes
    -----
    Names of customers, groups and categories are text and never markup: they are escaped in the page, stand in its data
    as JSON in which no markup can begin, and reach the screen as text nodes only. Control characters, line ends and
    marks of direction in them are shown as escapes, such as ``\x1b``. A Content-Security-Policy allows the
    page's own script and style, by their hashes, and nothing else.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> from clv_forecast.report.report import make_report
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=100)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_page(make_report(fc), Path(folder) / "report.html")
    ...     "2,349 accounts are expected to bring" in page.read_text(encoding="utf-8")
    True
    """
    instance_of(report, Report, "report", "make_report")
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise DomainError("A page ends in .html.", value=str(path))
    content = page_html(report).encode("utf-8", errors="replace")
    with atomic_file(path) as aside:
        aside.write_bytes(content)
    return Path(path)


def page_html(report: Report) -> str:
    """Return the page as text."""
    from jinja2 import Environment, StrictUndefined

    texts = {name: _template(name) for name in ("page.html", "page.css", "page.js")}
    accounts = account_table(report)
    tables, details = page_data(report, accounts)
    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(texts["page.html"]).render(
        report_title=report.title,
        simulated=report.simulated,
        as_of=f"{report.forecast.as_of:%Y-%m-%d}",
        accounts=len(accounts),
        currency=report.forecast.currency,
        headline=headline_of(report, accounts),
        sections=sections_of(report),
        tables=tables,
        details=details,
        style=texts["page.css"],
        script=texts["page.js"],
        style_hash=_hash(texts["page.css"]),
        script_hash=_hash(texts["page.js"]),
    )


def sections_of(report: Report) -> tuple[Section, ...]:
    """The sections in the order of reading; those without input say what would fill them, and come last."""
    makers = (
        changes_section,
        value_section,
        certificate_section,
        matrix_section,
        ranking_section,
        spend_section,
        losers_section,
        cohorts_section,
        drivers_section,
        audit_section,
    )
    sections = [make(report) for make in makers]
    return tuple(sorted(sections, key=lambda section: not section.blocks and not section.lead))


def _template(name: str) -> str:
    return resources.files("clv_forecast").joinpath("report", "templates", name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """What the page writes of a value: text on one line; what is markup already stays."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _hash(text: str) -> str:
    """As a Content-Security-Policy names a script or style that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
