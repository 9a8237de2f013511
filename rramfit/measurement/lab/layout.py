"""A lab's own layout, said in a TOML file: where things stand in its logs, and in which units.

A layout file tells the array (`[array]`), the kind of file (`[source]`), which cell a row of a log
speaks of (`[cells]`), the levels (`[levels]`), and for each group of the measurement file where its
numbers are. There are two kinds:

- `table`: CSV or TSV, also gzipped, one row a reading, keyed by address or by row and column;
- `hdf5`, and `matlab` for MATLAB v7.3, whose axes are written as MATLAB's `size` gives them.

Nothing is guessed: a quantity without unit, a column that is not there, an unknown key are errors.
How a layout is applied is in `rramfit.measurement.lab.convert`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.layout_hdf5 import HDF5Layout
from rramfit.measurement.lab.layout_table import TableLayout

__all__ = ["Layout", "read_layout"]

Layout = TableLayout | HDF5Layout


def read_layout(path: Path | str) -> Layout:
    """Read a lab's layout file.

    Parameters
    ----------
    path : Path or str
        A TOML file.

    Raises
    ------
    MeasurementError
        If it is no TOML, or says something that is not understood: names the key.
    """
    path = Path(path)
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MeasurementError(path, "/", found="no such file", expected="a layout file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise MeasurementError(path, "/", found=f"no TOML ({e})", expected="a TOML file") from None
    source = said.get("source")
    kind = source.get("kind") if isinstance(source, dict) else None
    try:
        if kind == "table":
            return TableLayout.model_validate(said)
        if kind in ("hdf5", "matlab"):
            own = ("array", "source", "levels")
            groups = {k: v for k, v in said.items() if k not in own}
            return HDF5Layout.model_validate(
                {**{k: v for k, v in said.items() if k in own}, "groups": groups}
            )
    except ValidationError as e:
        raise _refused(path, e) from None
    raise MeasurementError(
        path, "source.kind", found=repr(kind), expected="'table', 'hdf5' or 'matlab'"
    )


def _refused(path: Path, error: ValidationError) -> MeasurementError:
    first, *more = error.errors()
    keys = [str(k) for k in first["loc"] if k != "groups"]
    found = first["msg"].removeprefix("Value error, ")
    if first["type"] not in ("value_error", "missing", "extra_forbidden"):
        found = f"{first['input']!r}: {found}"
    also = ".".join(str(k) for k in more[0]["loc"]) if more else ""
    return MeasurementError(
        path,
        ".".join(keys) or "/",
        found=found[:1].lower() + found[1:],
        expected="a layout as data/layouts/README.md describes it",
        remedy=f"{len(more)} more, next at {also}" if more else "",
    )
