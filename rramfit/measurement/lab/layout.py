"""Layout files: TOML descriptions of a log, HDF5 or MATLAB file, for conversion to layout 1.0.

A layout file describes the array (`[array]`), the kind of file (`[source]`), the cell of each row
of a log (`[cells]`), the levels (`[levels]`), and the data of each group of the measurement file.
There are two kinds:

- `table`: CSV or TSV, optionally gzipped, one reading per row, with an address or row and column;
- `hdf5`, and `matlab` for MATLAB v7.3, whose axes are in the order of MATLAB's `size`.

Nothing is guessed: a missing unit, a missing column or an unknown key is an error.
`rramfit.measurement.lab.convert` applies a layout.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.layout_hdf5 import HDF5Layout
from rramfit.measurement.lab.layout_parts import LayoutError
from rramfit.measurement.lab.layout_table import TableLayout

__all__ = ["Layout", "read_layout"]

Layout = TableLayout | HDF5Layout


def read_layout(path: Path | str) -> Layout:
    """Read a layout file.

    Parameters
    ----------
    path : Path or str
        A TOML file.

    Raises
    ------
    MeasurementError
        If the file is not TOML, or a key or value is invalid; the message names the key.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MeasurementError(path, "/", found="no such file", expected="a layout file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise MeasurementError(
            path, "/", found=f"invalid TOML ({e})", expected="a TOML file"
        ) from None
    source = content.get("source")
    kind = source.get("kind") if isinstance(source, dict) else None
    try:
        if kind == "table":
            return TableLayout.model_validate(content)
        if kind in ("hdf5", "matlab"):
            common = ("array", "source", "levels")
            groups = {k: v for k, v in content.items() if k not in common}
            return HDF5Layout.model_validate(
                {**{k: v for k, v in content.items() if k in common}, "groups": groups}
            )
    except ValidationError as e:
        raise _layout_error(path, e) from None
    raise MeasurementError(
        path, "source.kind", found=repr(kind), expected="'table', 'hdf5' or 'matlab'"
    )


def _layout_error(path: Path, error: ValidationError) -> MeasurementError:
    first, *more = error.errors()
    where = _place(first)
    fault = first.get("ctx", {}).get("error")
    if isinstance(fault, LayoutError):
        found, expected, where = fault.found, fault.expected, fault.where or where
    elif first["type"] == "missing":
        found, expected = "no such key", "a value for this key"
    elif first["type"] == "extra_forbidden":
        found, expected = "an unknown key", "only known keys"
    else:
        found = repr(first["input"])
        expected = first["msg"].removeprefix("Input should be ")
        if expected.startswith(("greater", "less")):
            expected = f"a value {expected}"
    remedy = "correct the layout file as described in data/layouts/README.md"
    if more:
        others = "1 more problem" if len(more) == 1 else f"{len(more)} more problems, the next"
        remedy += f". It has {others} at {_place(more[0])}"
    return MeasurementError(path, where, found=found, expected=expected, remedy=remedy)


def _place(error: ErrorDetails) -> str:
    return ".".join(str(k) for k in error["loc"] if k != "groups") or "/"
