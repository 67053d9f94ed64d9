"""Workbooks as LibreOffice calculates them: settings typed in, everything calculated anew, values read back."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import openpyxl

# 0 is "always": without it LibreOffice believes the stored results of a file that says Excel wrote it
PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>{mode}</value></prop></item>
</oor:items>
"""
ALWAYS, NEVER = 0, 1
SEMICOLONS = "Text - txt - csv (StarCalc):59,34,76,1,,0,false,true,false,false,false,-1,true"
"""How a spreadsheet reads CSV where the comma is the decimal sign."""


def convert(
    soffice: str,
    paths: Iterable[Path],
    folder: Path,
    *,
    to: str = "xlsx",
    mode: int = ALWAYS,
    read_as: str | None = None,
) -> None:
    """Open files in LibreOffice, in a profile of its own, and save them in ``folder``: one start for all of them."""
    user = folder / f"profile-{mode}" / "user"
    user.mkdir(parents=True, exist_ok=True)
    (user / "registrymodifications.xcu").write_text(PROFILE.format(mode=mode), encoding="utf-8")
    command = [soffice, f"-env:UserInstallation={user.parent.as_uri()}", "--headless", "--norestore"]
    command += [] if read_as is None else [f"--infilter={read_as}"]
    command += ["--convert-to", to, "--outdir", str(folder), *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)  # noqa: S603


def with_settings(source: Path, target: Path, settings: Mapping[str, float]) -> None:
    """Copy a workbook with other numbers in named cells; every stored result stays, stale, as it was."""
    with zipfile.ZipFile(source) as book, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as changed:
        names = book.read("xl/workbook.xml").decode("utf-8")
        for part in book.namelist():
            text = book.read(part)
            if part == "xl/worksheets/sheet1.xml":
                sheet = text.decode("utf-8")
                for name, value in settings.items():
                    found = re.search(rf'<definedName name="{name}">Assumptions!\$(\w+)\$(\d+)<', names)
                    assert found is not None
                    cell = found[1] + found[2]
                    sheet, count = re.subn(rf'(<c r="{cell}"[^>]*><v>)[^<]*', rf"\g<1>{value!r}", sheet)
                    assert count == 1
                text = sheet.encode("utf-8")
            changed.writestr(part, text)


def rows_of(path: Path, sheet: str, header_row: int = 6) -> list[dict[str, Any]]:
    """Rows of a sheet below its head, as stored, by what stands above the columns."""
    book = openpyxl.load_workbook(path, data_only=True, read_only=True)
    head, *rows = book[sheet].iter_rows(min_row=header_row, values_only=True)
    book.close()
    return [dict(zip(head, row, strict=True)) for row in rows]


def formulas_of(path: Path) -> dict[str, list[str]]:
    """All formulas of a workbook, by sheet."""
    book = openpyxl.load_workbook(path)
    return {
        sheet.title: [str(cell.value) for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
        for sheet in book
    }
