"""Columns of Parquet and Feather files, and test results of STDF files.

pyarrow reads Parquet and Feather piece by piece. Missing values become NaN, timestamps seconds
since 1970. STDF (`stdf-convert`) becomes one row per result of a parametric test (PTR), or per
element of a multiple-result test (MPR), with the coordinates of its part (PRR). Results are in the
unit without prefix: STDF's scaling concerns the display only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.formats.containers import READ_ERRORS, FileKind
from rramfit.measurement.lab.formats.rows import RowBlock, column_names
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["STDF_COLUMNS", "arrow_blocks", "stdf_blocks"]

_ROWS = 2**17

STDF_COLUMNS = (
    "part", "x", "y", "part_id", "head", "site", "test", "name", "element", "result", "units",
    "failed",
)  # fmt: skip
"""Columns of an STDF file: `part` counts the parts, `element` those of one MPR from 0."""


def arrow_blocks(
    path: Path, kind: FileKind, source: TableSource, *, file: int = 0
) -> Iterator[RowBlock]:
    """Yield the rows of a Parquet or Feather file.

    Raises
    ------
    MeasurementError
        If pyarrow is not installed, the file is damaged, or the columns do not match the layout.
    """
    try:
        import pyarrow as pa
        from pyarrow import feather, parquet  # noqa: F401
    except ImportError:
        raise _no_reader(path, "Parquet or Feather", "pyarrow", "parquet") from None
    first = 0
    try:
        for batch in _batches(path, kind):
            names = column_names(path, tuple(batch.schema.names), source.columns)
            columns = {new: _numpy(batch.column(i)) for i, new in enumerate(names)}
            rows = batch.num_rows
            yield RowBlock(
                path=path,
                file=file,
                columns=columns,
                line=np.arange(first + 1, first + rows + 1),
                block=np.zeros(rows, np.int64),
            )
            first += rows
    except (pa.ArrowException, *READ_ERRORS) as e:
        text = str(e).splitlines()[0][:160] if str(e) else type(e).__name__
        raise MeasurementError(
            path,
            "/",
            found=f"a damaged file ({text})",
            expected="a complete Parquet or Feather file",
            remedy="write the file again",
        ) from None


def _batches(path: Path, kind: FileKind) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    if kind == "parquet":
        with parquet.ParquetFile(path) as f:
            yield from f.iter_batches(batch_size=_ROWS)
        return
    with pa.memory_map(str(path)) as raw, pa.ipc.open_file(raw) as f:
        for i in range(f.num_record_batches):
            batch = f.get_batch(i)
            for at in range(0, max(batch.num_rows, 1), _ROWS):
                yield batch.slice(at, _ROWS)


def _numpy(column: Any) -> NDArray[Any]:
    """Return a column as numbers, or as text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind):
        return _numpy(column.cast(pa.timestamp("us")).cast(pa.int64())).astype(np.float64) / 1e6
    if pa.types.is_decimal(kind):
        return _numpy(column.cast(pa.float64()))
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        if column.null_count and not pa.types.is_floating(kind):
            column = column.cast(pa.int8()).cast(pa.float64()) if pa.types.is_boolean(kind) else (
                column.cast(pa.float64(), safe=False)
            )  # fmt: skip
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return values
    texts = ["" if v is None else str(v) for v in column.to_pylist()]
    return np.array(texts, dtype=object)


def stdf_blocks(path: Path, source: TableSource, *, file: int = 0) -> Iterator[RowBlock]:
    """Yield the results of an STDF file, with the columns `STDF_COLUMNS`.

    Raises
    ------
    MeasurementError
        If stdf-convert is not installed, or the file is damaged or has no results.
    """
    try:
        import stdf_convert
    except ImportError:
        raise _no_reader(path, "STDF", "stdf-convert", "stdf") from None
    try:
        tables = stdf_convert.tables(str(path), ["PTR", "MPR", "PIR", "PRR"])
    except (stdf_convert.StdfError, *READ_ERRORS) as e:
        text = str(e).splitlines()[0][:160]
        raise MeasurementError(
            path,
            "/",
            found=f"a damaged STDF file ({text})",
            expected="a complete file of STDF V4",
            remedy="copy the file again from its source",
        ) from None
    results = _results(tables)
    rows = len(results["result"])
    if not rows:
        raise MeasurementError(
            path, "/", found="no test results", expected="PTR or MPR records with results"
        )
    names = column_names(path, STDF_COLUMNS, source.columns)
    for first in range(0, rows, _ROWS):
        part = slice(first, min(first + _ROWS, rows))
        yield RowBlock(
            path=path,
            file=file,
            columns={new: results[old][part] for old, new in zip(STDF_COLUMNS, names, strict=True)},
            line=np.arange(part.start + 1, part.stop + 1),
            block=np.zeros(part.stop - part.start, np.int64),
        )


def _results(tables: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return one row per result, in the order of the file."""
    records = {name: table.to_pydict() for name, table in tables.items()}
    none: dict[str, list[Any]] = {"sequence_number": []}
    single, several, parts = (records.get(name, none) for name in ("PTR", "MPR", "PRR"))
    rows: list[tuple[int, int, int, int, str, int, float, str | None, bool]] = []
    for record, key in ((single, "RESULT"), (several, "RTN_RSLT")):
        for i, order in enumerate(record["sequence_number"]):
            values = record[key][i] if key == "RTN_RSLT" else [record[key][i]]
            rows += [
                (
                    order,
                    record["HEAD_NUM"][i],
                    record["SITE_NUM"][i],
                    record["TEST_NUM"][i],
                    record["TEST_TXT"][i],
                    element,
                    value,
                    record["UNITS"][i],
                    bool(record["TEST_FLG"][i][0] & 0x80),
                )
                for element, value in enumerate(values or ())
            ]
    rows.sort(key=lambda r: (r[0], r[5]))
    ends = _part_ends(parts)
    units: dict[int, str] = {}
    out: list[tuple[Any, ...]] = []
    for order, head, site, test, name, element, value, unit, failed in rows:
        units[test] = unit or units.get(test, "")  # given with the first result of a test only
        at = int(np.searchsorted(ends.get((head, site), _NONE)[:, 0], order))
        known = (head, site) in ends and at < len(ends[head, site])
        p = int(ends[head, site][at, 1]) if known else -1
        x, y = (parts["X_COORD"][p], parts["Y_COORD"][p]) if known else (-1, -1)
        part_id = parts["PART_ID"][p] if known else ""
        out.append((p, x, y, part_id, head, site, test, name, element, value, units[test], failed))
    kinds: dict[str, Any] = {"part_id": object, "name": object, "units": object, "result": float}
    return {
        name: np.array([row[i] for row in out], dtype=kinds.get(name))
        for i, name in enumerate(STDF_COLUMNS)
    }


_NONE = np.zeros((0, 2), np.int64)


def _part_ends(parts: Mapping[str, Any]) -> dict[tuple[int, int], NDArray[np.int64]]:
    """Return, by head and site, the positions of the part results (PRR) and their indices."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, order in enumerate(parts["sequence_number"]):
        key = (parts["HEAD_NUM"][i], parts["SITE_NUM"][i])
        found.setdefault(key, []).append((order, i))
    return {key: np.array(ends, dtype=np.int64) for key, ends in found.items()}


def _no_reader(path: Path, format_name: str, package: str, extra: str) -> MeasurementError:
    return MeasurementError(
        path,
        "/",
        found=f"a {format_name} file, and {package} is not installed",
        expected=f"the package {package}, which reads it",
        remedy=f"pip install 'rramfit[{extra}]'",
    )
