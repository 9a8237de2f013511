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

from rramfit.errors import LayoutFileError
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
    LayoutFileError
        If the file is not TOML, or a key or value is invalid; the message names the key.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise LayoutFileError(path, "/", found="no such file", expected="a layout file") from None
    except OSError as e:
        found = f"an unreadable file ({e.strerror})"
        raise LayoutFileError(path, "/", found=found, expected="a layout file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise _not_toml(path, e) from None
    source = content.get("source")
    kind = source.get("kind") if isinstance(source, dict) else None
    try:
        if kind == "table":
            return TableLayout.model_validate(content)
        if kind in ("hdf5", "matlab", "numpy"):
            common = ("array", "source", "levels")
            groups = {k: v for k, v in content.items() if k not in common}
            return HDF5Layout.model_validate(
                {**{k: v for k, v in content.items() if k in common}, "groups": groups}
            )
    except ValidationError as e:
        raise _layout_error(path, e) from None
    raise LayoutFileError(
        path, "source.kind", found=repr(kind), expected="'table', 'hdf5', 'matlab' or 'numpy'"
    )


def _not_toml(path: Path, error: Exception) -> LayoutFileError:
    """Return the error for a file that is not TOML, with the kind of file that it is."""
    with path.open("rb") as f:
        head = f.read(4096).lstrip()
    found = f"invalid TOML ({error})"
    if head.startswith(b"{"):
        found = "a JSON file, such as a model card"
    elif head.startswith(b"\x89HDF"):
        found = "an HDF5 file"
    elif b"\0" in head:
        found = "a binary file"
    return LayoutFileError(
        path,
        "/",
        found=found,
        expected="a TOML file that describes the columns of a log",
        remedy="draft one with `rramfit measurement guess-layout LOG -o lab.toml`",
    )


def _layout_error(path: Path, error: ValidationError) -> LayoutFileError:
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
    remedy = (
        "correct the layout file; `rramfit measurement sample --layouts DIR` writes the README "
        "that documents its keys, with examples"
    )
    if more:
        others = "1 more problem" if len(more) == 1 else f"{len(more)} more problems, the next"
        remedy += f". The file has {others} at {_place(more[0])}"
    return LayoutFileError(path, where, found=found, expected=expected, remedy=remedy)


def _place(error: ErrorDetails) -> str:
    return ".".join(str(k) for k in error["loc"] if k != "groups") or "/"
