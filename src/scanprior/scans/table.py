"""Label and patient tables as hospitals send them: CSV of any usual kind, or XLSX."""

from __future__ import annotations

import csv
import difflib
import io
import re
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from scanprior.errors import CohortError

DELIMITERS = ";,\t|"
MISSING = {"", "n/a", "na", "nan", "#n/a", "null"}


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of text by column name; None where a cell is empty or says n/a. `what` names the table in errors."""

    what: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str | None], ...]

    def require(self, column: str, *, key: str) -> str | None:
        """A problem sentence when `column`, which the study file names under `key`, is not there; else None.

        It names no column but a near guess: where the header line is missing, the columns are a patient's own values.
        """
        if column in self.columns:
            return None
        headed = not any(
            re.search(r"\d{3}|\^", name) for name in self.columns
        )  # else ids, dates, or a name as DICOM writes it
        names = [name.lower() for name in self.columns] if headed else []
        near = difflib.get_close_matches(column.lower(), names, n=1, cutoff=0.5)
        guess = next((name for name in self.columns if near and name.lower() == near[0]), None)
        hint = f"did you mean {guess!r}?" if guess else "does its first line hold the names of the columns?"
        return f"{key}: {self.what} has no column {column!r} among its {len(self.columns)}; {hint}"


def read_table(path: Path, *, what: str) -> Table:
    """Read a table with one header row, every cell as text without blanks around it.

    CSV: delimiter `;` `,` tab or `|`, in UTF-8, UTF-16 (with mark) or Windows-1252. XLSX: the first sheet.

    Raises:
        CohortError: when it is missing, empty, no table, or a column name occurs twice.
    """
    try:
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            lines = _xlsx(path)
        else:
            lines = _csv(path.read_bytes())
    except FileNotFoundError:
        raise CohortError(f"{what} is not there", hint="check the path in the study file") from None
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, csv.Error, UnicodeDecodeError):
        raise CohortError(f"{what} can't be read as CSV or XLSX", hint="save it again as CSV in UTF-8") from None
    lines = [line for line in lines if any(line)]
    if len(lines) < 2:
        raise CohortError(f"{what} has no rows below its header", hint="one header line, then one row per patient")
    header = [name or "" for name in lines[0]]
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise CohortError(f"{what} has two columns of one name", hint="rename or delete one of them")
    width = len(header)
    rows = tuple(
        {name: _cell(value) for name, value in zip(header, line + [""] * (width - len(line)), strict=False) if name}
        for line in lines[1:]
    )
    return Table(what, tuple(named), rows)


def _cell(value: str) -> str | None:
    return None if value.lower() in MISSING else value


def _csv(content: bytes) -> list[list[str]]:
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise csv.Error("binary")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    best: list[list[str]] = []
    for delimiter in DELIMITERS:
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text), delimiter=delimiter)]
        lines = [line for line in lines if any(line)]
        # The delimiter is the one that cuts the header into the most cells and every row into no more than that.
        fits = bool(lines) and all(len(line) <= len(lines[0]) for line in lines)
        if fits and len(lines[0]) > (len(best[0]) if best else 0):
            best = lines
    return best


def _xlsx(path: Path) -> list[list[str]]:
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        return [[_text(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    finally:
        book.close()


def _text(value: object) -> str:
    """A cell's value as the user sees it: 7 and not 7.0, 2024-03-01 and not a time stamp."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.strftime("%Y-%m-%d")
    return str(value).strip()
