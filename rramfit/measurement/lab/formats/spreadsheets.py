"""Sheets of .xlsx, .xls and .ods files, as lines of text: cells separated by tabs, a line per row.

pandas reads the sheet, with openpyxl, calamine or odfpy. Numbers keep all their digits; dates
become ISO 8601. Empty cells at the end of a row are kept up to the width of the sheet.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.formats.containers import READ_ERRORS, FileKind
from rramfit.measurement.lab.formats.text import Piece

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SHEET_SEPARATOR", "sheet_count", "sheet_pieces"]

SHEET_SEPARATOR = "\t"
_ENGINES: dict[FileKind, Literal["openpyxl", "odf", "calamine"]] = {
    "xlsx": "openpyxl",
    "ods": "odf",
    "xls": "calamine",
}
_ROWS, _COLUMNS = 2**20, 2**14  # the largest sheet
_LARGEST = 2**31  # bytes of XML
_PIECE = 50_000  # rows


def sheet_count(path: Path, kind: FileKind) -> int:
    """Return the number of sheets of a file.

    Raises
    ------
    MeasurementError
        If the file is damaged or too large.
    """
    with _opened(path, kind) as book:
        return len(book.sheet_names)


def sheet_pieces(path: Path, kind: FileKind, sheet: str | int) -> Iterator[Piece]:
    """Yield the rows of one sheet as text.

    Parameters
    ----------
    path : Path
    kind : {"xlsx", "ods", "xls"}
    sheet : str or int
        Its name, or its number from 0.

    Raises
    ------
    MeasurementError
        If the file is damaged or too large, or has no such sheet.
    """
    import pandas as pd

    with _opened(path, kind) as book:
        name = _sheet(path, [str(n) for n in book.sheet_names], sheet)
        table: Any = pd.read_excel(
            book, sheet_name=name, header=None, dtype=object, keep_default_na=False
        )
    for first in range(0, max(len(table), 1), _PIECE):
        rows = table.iloc[first : first + _PIECE].itertuples(index=False, name=None)
        text = "".join(SHEET_SEPARATOR.join(map(_cell, row)) + "\n" for row in rows)
        if text:
            yield Piece(first=first + 1, data=text.encode("utf-8", "replace"))


@contextmanager
def _opened(path: Path, kind: FileKind) -> Iterator[pd.ExcelFile]:
    """Open a file, and turn what its reader raises into a sentence."""
    import pandas as pd

    _check_size(path, kind)
    try:
        with pd.ExcelFile(path, engine=_ENGINES[kind]) as book:
            yield book
    except ImportError as e:
        raise MeasurementError(
            path,
            "/",
            found=f"an .{kind} file, and no reader for it ({e.name} is not installed)",
            expected="openpyxl for .xlsx, python-calamine for .xls, odfpy for .ods",
            remedy="pip install openpyxl python-calamine odfpy",
        ) from None
    except MeasurementError:
        raise
    except _errors() as e:
        reason = str(e).splitlines()[0][:120] if str(e) else type(e).__name__
        raise MeasurementError(
            path,
            "/",
            found=f"a damaged .{kind} file ({reason})",
            expected=f"an .{kind} file that a spreadsheet program opens",
            remedy="save it again, or export the sheet as CSV",
        ) from None


def _errors() -> tuple[type[Exception], ...]:
    """Return what the readers raise."""
    try:
        from python_calamine import CalamineError
    except ImportError:
        return (*READ_ERRORS, SyntaxError, AssertionError)
    return (*READ_ERRORS, SyntaxError, AssertionError, CalamineError)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _sheet(path: Path, names: list[str], wanted: str | int) -> str:
    if isinstance(wanted, int) and -len(names) <= wanted < len(names):
        return names[wanted]
    if wanted in names:
        return str(wanted)
    raise MeasurementError(
        path,
        "source.sheet",
        found=f"no sheet {wanted!r}",
        expected=f"one of {', '.join(map(repr, names[:12]))}, or its number from 0",
        remedy="correct `sheet` in [source] of the layout file",
    )


def _check_size(path: Path, kind: FileKind) -> None:
    """Refuse files that would not fit into memory, before they are read."""
    if kind == "xls":
        return  # at most 65,536 rows and 256 columns a sheet
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(i.file_size for i in archive.infolist())
            repeats = _repeats(archive) if kind == "ods" and size <= _LARGEST else (0, 0)
    except READ_ERRORS as e:
        raise MeasurementError(
            path, "/", found=f"a damaged .{kind} file ({e})", expected=f"an .{kind} file"
        ) from None
    if size > _LARGEST:
        raise MeasurementError(
            path,
            "/",
            found=f"a sheet of {size / 2**30:.0f} GiB",
            expected=f"at most {_LARGEST // 2**30} GiB",
            remedy="export the sheet as CSV, which is read piece by piece",
        )
    if repeats[0] > _ROWS or repeats[1] > _COLUMNS:
        raise MeasurementError(
            path,
            "/",
            found=f"a row or cell repeated {max(repeats)} times",
            expected=f"at most {_ROWS} rows and {_COLUMNS} columns",
            remedy="save the file again with a spreadsheet program",
        )


def _repeats(archive: zipfile.ZipFile) -> tuple[int, int]:
    """Return the largest numbers of repeated rows and columns in an .ods file."""
    content = archive.read("content.xml")
    return tuple(
        max(
            (int(n[:12]) for n in re.findall(rb'number-%s-repeated="(\d+)"' % axis, content)),
            default=0,
        )
        for axis in (b"rows", b"columns")
    )  # type: ignore[return-value]
