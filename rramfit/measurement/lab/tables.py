"""Reading of logs: rows with the right number of fields, and bad rows with their line numbers.

A log is read in pieces of 32 MiB. Lines with a wrong number of fields are removed before parsing;
fields that are not numbers are found afterwards. `rramfit.measurement.lab.from_table` interprets
the rows.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.origin import BadRows
from rramfit.measurement.lab.layout_parts import counted
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["Rows", "numbers", "read_rows", "separator_of"]

_PIECE = 32 * 2**20  # bytes of a log that are parsed together


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows with the right number of fields, from one or several files."""

    paths: tuple[Path, ...]
    columns: Mapping[str, NDArray[Any]]  # (n,) numbers, or strings if a field is not a number
    line: NDArray[np.int64]  # (n,) line in its file, from 1
    file: NDArray[np.int64]  # (n,) index into `paths`

    def bad(self, mask: NDArray[np.bool_], reason: str, *, show: str = "") -> list[BadRows]:
        """Return the rows of `mask` as bad rows by file; `show` is the column to quote."""
        found = []
        for f in np.unique(self.file[mask]):
            here = np.flatnonzero(mask & (self.file == f))
            sample = str(self.columns[show][here[0]]) if show else ""
            lines = tuple(self.line[here].tolist())
            found.append(BadRows(path=self.paths[f], reason=reason, lines=lines, first=sample[:60]))
        return found


def separator_of(path: Path) -> str:
    """Return the default separator: tab for .tsv, .tab, .txt and .dat files, else a comma."""
    name = path.name.removesuffix(".gz")
    return "\t" if name.endswith((".tsv", ".tab", ".txt", ".dat")) else ","


def read_rows(paths: Sequence[Path], source: TableSource) -> tuple[Rows, list[BadRows]]:
    """Read all rows of one or several logs with the same columns.

    Parameters
    ----------
    paths : sequence of Path
        CSV or TSV, gzipped or not.
    source : TableSource

    Returns
    -------
    rows : Rows
    bad : list of BadRows
        Lines with too few or too many fields.

    Raises
    ------
    MeasurementError
        If a file cannot be read, has no rows, or has a header that does not match the layout.
    """
    import pandas as pd

    frames: list[pd.DataFrame] = []
    lines: list[NDArray[np.int64]] = []
    files: list[int] = []
    bad: list[BadRows] = []
    for f, path in enumerate(paths):
        for frame, at, wrong in _pieces(path, source):
            frames.append(frame)
            lines.append(at)
            files.append(f)
            bad += wrong
    if not sum(map(len, lines)):
        raise MeasurementError(
            paths[0],
            "/",
            found="no row with the right number of fields",
            expected=f"rows of {len(source.columns) or 'several'} fields",
            remedy="check `separator`, `columns` and `header` in the layout file",
        )
    table = pd.concat(frames, ignore_index=True)
    columns = {str(c): table[c].to_numpy() for c in table.columns}
    for name in source.hex:
        columns[name] = _from_hex(columns[name])
    file = np.repeat(files, [len(frame) for frame in frames]).astype(np.int64)
    return (
        Rows(paths=tuple(paths), columns=columns, line=np.concatenate(lines), file=file),
        _merged(bad),
    )


def numbers(
    rows: Rows, column: str, missing: Sequence[str] = ()
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a column as numbers, and which of its fields are not numbers.

    Returns
    -------
    values : (n,) array
        NaN for "nan", for the missing values of the layout, and for fields that are not numbers.
    wrong : (n,) bool array
        Fields that are not numbers.
    """
    import pandas as pd

    field = rows.columns[column]
    if field.dtype.kind in "biuf":
        values = field.astype(np.float64)
        wrong = np.zeros(len(values), dtype=np.bool_)
        sentinels = pd.to_numeric(pd.Series(list(missing), dtype=object), errors="coerce").dropna()
        values[np.isin(values, sentinels.to_numpy(dtype=np.float64))] = np.nan
        return values, wrong
    text = pd.Series(field, dtype=object).astype(str).str.strip()
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    unmeasured = text.isin([*missing, "nan", "NaN", "NAN"]).to_numpy()
    values[unmeasured] = np.nan
    return values, np.isnan(values) & ~unmeasured


def _merged(bad: Sequence[BadRows]) -> list[BadRows]:
    """Merge the bad rows of all pieces by file and reason."""
    joined: dict[tuple[Path, str], BadRows] = {}
    for b in bad:
        key = (b.path, b.reason)
        before = joined.get(key)
        joined[key] = (
            b
            if before is None
            else BadRows(
                path=b.path, reason=b.reason, lines=before.lines + b.lines, first=before.first
            )
        )
    return list(joined.values())


def _from_hex(field: NDArray[Any]) -> NDArray[Any]:
    """Convert hexadecimal strings to integers; keep other strings, which are reported later."""

    def number(text: str) -> object:
        try:
            return int(text, 16)
        except ValueError:
            return text

    read = [number(str(v)) for v in field.tolist()]
    valid = all(isinstance(v, int) for v in read)
    return np.array(read, dtype=np.int64 if valid else object)


def _open(path: Path) -> BinaryIO:
    if not path.is_file():
        raise MeasurementError(path, "/", found="no such file", expected="a CSV or TSV log")
    try:
        with path.open("rb") as f:
            zipped = f.read(2) == b"\x1f\x8b"
    except OSError as e:
        found = f"an unreadable file ({e.strerror})"
        raise MeasurementError(path, "/", found=found, expected="a CSV or TSV log") from None
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")


def _pieces(
    path: Path, source: TableSource
) -> Iterator[tuple[Any, NDArray[np.int64], list[BadRows]]]:
    """Yield the parsed rows, their line indices and the bad rows, piece by piece."""
    import pandas as pd

    separator = source.separator or separator_of(path)
    columns = source.columns
    with _open(path) as f:
        first = 1
        for _ in range(source.skip):
            f.readline()
            first += 1
        if source.header:
            named = _fields(f.readline().decode("utf-8-sig", "replace"), separator)
            first += 1
            columns = _named_columns(path, named, source)
        while True:
            try:
                lines = f.readlines(_PIECE)
            except (OSError, EOFError) as e:
                raise MeasurementError(
                    path,
                    f"line {first}",
                    found=f"a damaged gzip file ({e})",
                    expected="a complete gzip file",
                    remedy="copy the file again from its source",
                ) from None
            if not lines:
                return
            good, wrong = _split_lines(lines, separator, len(columns), source.comment)
            kept = b"".join([lines[i] for i in good.tolist()])
            frame = pd.read_csv(
                io.BytesIO(kept),
                sep=r"\s+" if separator == "whitespace" else separator,
                header=None,
                names=list(columns),
                dtype=dict.fromkeys(source.hex, str),
                decimal=source.decimal,
                keep_default_na=False,
                low_memory=False,
                skip_blank_lines=False,
                skipinitialspace=True,
                encoding_errors="replace",
            )
            bad = [
                BadRows(
                    path=path,
                    reason=f"{counted(count, 'field')} instead of {len(columns)}",
                    lines=tuple((at + first).tolist()),
                    first=lines[int(at[0])].decode("utf-8", "replace").strip()[:60],
                )
                for count, at in wrong.items()
            ]
            yield frame, good + first, bad
            first += len(lines)


def _named_columns(path: Path, named: list[str], source: TableSource) -> tuple[str, ...]:
    if source.columns and len(source.columns) != len(named):
        more = ", …" if len(named) > 6 else ""
        raise MeasurementError(
            path,
            "line 1",
            found=f"a header of {counted(len(named), 'column')} ({', '.join(named[:6])}{more})",
            expected=f"{counted(len(source.columns), 'column')}, as in the layout file",
        )
    return source.columns or tuple(n.strip() for n in named)


def _fields(line: str, separator: str) -> list[str]:
    line = line.rstrip("\r\n")
    if separator == "whitespace":
        return line.split()
    return next(csv.reader([line], delimiter=separator), [])


def _split_lines(
    lines: list[bytes], separator: str, columns: int, comment: str
) -> tuple[NDArray[np.int64], dict[int, NDArray[np.int64]]]:
    """Separate lines with the right number of fields from others, grouped by field count."""
    mark, prefix = separator.encode(), comment.encode()
    if separator == "whitespace":
        counts = np.fromiter((len(line.split()) for line in lines), np.int64, len(lines))
    else:
        counts = np.fromiter((line.count(mark) for line in lines), np.int64, len(lines)) + 1
        for i, line in enumerate(lines):
            if b'"' in line:
                counts[i] = len(_fields(line.decode("utf-8", "replace"), separator))
    skipped = np.fromiter(
        (not line.strip() or bool(prefix and line.startswith(prefix)) for line in lines),
        np.bool_,
        len(lines),
    )
    right = (counts == columns) & ~skipped
    others = np.flatnonzero(~right & ~skipped)
    wrong = {int(n): others[counts[others] == n] for n in np.unique(counts[others])}
    return np.flatnonzero(right), wrong
