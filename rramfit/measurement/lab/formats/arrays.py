"""Arrays of .npz, .npy, MATLAB and HDF5 files.

All are opened as HDF5. NumPy files, and MATLAB files before v7.3, are copied into a temporary HDF5
file; MATLAB arrays have their axes reversed there, as in v7.3, and the fields of structured arrays
are vectors. Nothing is unpickled: object arrays are refused. As a table, the vectors of one length
are columns, or the columns of one matrix.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.hdf5 import Dataset, Group, open_hdf5
from rramfit.hdf5.nodes import File
from rramfit.measurement.file.opening import open_measured
from rramfit.measurement.lab.formats.containers import READ_ERRORS, FileKind, file_kind
from rramfit.measurement.lab.formats.rows import RowBlock, check_width, column_names
from rramfit.measurement.lab.layout_table import TableSource

if TYPE_CHECKING:
    import h5py

__all__ = ["array_blocks", "is_matlab", "open_arrays"]

_ROWS = 2**17  # rows of a piece
_FIELDS = 2**22  # numbers of a piece
_LARGEST = 2**32  # bytes in memory


@contextmanager
def open_arrays(path: Path) -> Iterator[File]:
    """Open a file of arrays as HDF5.

    Raises
    ------
    MeasurementError
        If the file is damaged, larger than 4 GiB in memory, or has only objects.
    """
    kind = file_kind(path)
    if kind not in ("npz", "npy", "mat"):
        with open_measured(path) as f:
            yield f
        return
    try:
        arrays = _matlab(path) if kind == "mat" else _numpy(path, kind)
    except READ_ERRORS as e:
        text = str(e).splitlines()[0][:160] if str(e) else type(e).__name__
        objects = "allow_pickle" in text or "pickle" in text
        raise MeasurementError(
            path,
            "/",
            found="Python objects, which are never unpickled"
            if objects
            else f"a damaged file ({text})",
            expected="arrays of numbers",
            remedy="save arrays of numbers" if objects else "save the file again",
        ) from None
    import h5py  # not needed for other formats

    with tempfile.TemporaryDirectory(prefix="rramfit-") as folder:
        copy = Path(folder) / "arrays.h5"
        with h5py.File(copy, "w") as written:
            for name, values in arrays.items():
                _store(written, name, values.T if kind == "mat" else values)
        with open_hdf5(copy, MeasurementError, check=False) as f:
            yield f


def _store(f: h5py.File, name: str, values: NDArray[Any]) -> None:
    if values.dtype.names is not None:
        for part in values.dtype.names:
            _store(f, f"{name}/{part}", values[part])
    elif values.dtype.kind in "SU":
        f[name] = np.char.encode(values.astype(str), "utf-8")
    elif values.dtype.kind in "biuf":
        f[name] = values


def is_matlab(path: Path) -> bool:
    """Return True if the axes of a file's arrays are in MATLAB's order."""
    with path.open("rb") as f:
        matlab = f.read(6) == b"MATLAB"
    return matlab or file_kind(path) == "mat"


def array_blocks(path: Path, source: TableSource, *, file: int = 0) -> Iterator[RowBlock]:
    """Yield the rows of a table that is stored as arrays.

    Parameters
    ----------
    path : Path
    source : TableSource
        `dataset` names a matrix, or the group or struct with the vectors.
    file : int

    Raises
    ------
    MeasurementError
        If there is no such array, or the columns do not match the layout.
    """
    matlab = is_matlab(path)
    with open_arrays(path) as f:
        found = f if source.dataset is None else f.get(source.dataset)
        if found is None:
            raise _no_table(path, f, f"no array {source.dataset!r}")
        if isinstance(found, Group) and source.dataset is None:
            inside = [found[name] for name in found]
            if len(inside) == 1 and isinstance(inside[0], (Dataset, Group)):
                found = inside[0]
        if isinstance(found, Dataset):
            yield from _matrix(path, found, source, matlab=matlab, file=file)
            return
        vectors = {name: found[name] for name in found if _length(found[name]) is not None}
        lengths = [_length(v) or 0 for v in vectors.values()]
        if not lengths:
            raise _no_table(path, f, "no vectors")
        rows = max(set(lengths), key=lambda n: (lengths.count(n), n))
        chosen = {n: v for n, v in vectors.items() if _length(v) == rows}
        names = column_names(path, tuple(chosen), source.columns)
        for first in range(0, rows, _ROWS):
            part = slice(first, min(first + _ROWS, rows))
            columns = {
                new: _plain(_flat(chosen[old], part))
                for old, new in zip(chosen, names, strict=True)
            }
            yield _block(path, columns, part, file)


def _numpy(path: Path, kind: FileKind) -> Mapping[str, NDArray[Any]]:
    if kind == "npy":
        _check_size(path, path.stat().st_size)
        return {"array": np.load(path, allow_pickle=False)}
    with zipfile.ZipFile(path) as archive:
        _check_size(path, sum(i.file_size for i in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _matlab(path: Path) -> Mapping[str, NDArray[Any]]:
    from scipy import io

    _check_size(path, sum(8 * int(np.prod(shape)) for _, shape, _ in io.whosmat(path)))
    found: dict[str, NDArray[Any]] = {}
    skipped: list[str] = []
    for name, value in io.loadmat(path, chars_as_strings=True, mat_dtype=False).items():
        if not name.startswith("__"):
            _collect(name, value, found, skipped)
    if not found:
        raise MeasurementError(
            path,
            "/",
            found=f"no arrays of numbers, but MATLAB objects ({', '.join(skipped[:6]) or 'none'})",
            expected="arrays of numbers, or structs of them",
            remedy="save a table as a struct, with table2struct(T, 'ToScalar', true), or as text, "
            "with writetable",
        )
    return found


def _collect(name: str, value: Any, found: dict[str, NDArray[Any]], skipped: list[str]) -> None:
    """Add the numeric arrays of a MATLAB variable, those of a struct by its path."""
    array = np.asarray(value)
    if array.dtype.names and array.size == 1 and type(value).__name__ != "MatlabOpaque":
        for part in array.dtype.names:
            _collect(f"{name}/{part}", array[part].flat[0], found, skipped)
    elif array.dtype.kind in "biufcSU" and not array.dtype.names:
        found[name] = array
    else:
        skipped.append(name)


def _check_size(path: Path, size: int) -> None:
    if size > _LARGEST:
        raise MeasurementError(
            path,
            "/",
            found=f"arrays of {size / 2**30:.0f} GiB",
            expected=f"at most {_LARGEST // 2**30} GiB",
            remedy="save the arrays as HDF5 or MATLAB v7.3, which are read block by block",
        )


def _length(value: Any) -> int | None:
    """Return the length of a vector; MATLAB's vectors have a second axis of size 1."""
    if not isinstance(value, Dataset) or value.dtype.kind not in "biufSO":
        return None
    if value.ndim == 1:
        return int(value.shape[0])
    return int(value.size) if value.ndim == 2 and 1 in value.shape and value.size > 1 else None


def _flat(d: Dataset, part: slice) -> NDArray[Any]:
    index = (part,) if d.ndim == 1 else ((0, part) if d.shape[0] == 1 else (part, 0))
    values: NDArray[Any] = d[index]
    return values


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "SO":
        return values
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return np.array(texts, dtype=object)


def _matrix(
    path: Path, d: Dataset, source: TableSource, *, matlab: bool, file: int
) -> Iterator[RowBlock]:
    if d.ndim not in (1, 2) or d.dtype.kind not in "biuf":
        raise MeasurementError(
            path,
            d.name,
            found=f"an array of shape {d.shape}",
            expected="a matrix with a row per reading",
            remedy='read arrays of cells with kind = "hdf5", "matlab" or "numpy" in [source]',
        )
    rows, width = (d.shape[::-1] if matlab else d.shape) if d.ndim == 2 else (len(d), 1)
    sampled = bool(getattr(source, "samples", ()))
    named = len(source.columns) if sampled else width
    if not sampled:
        check_width(path, d.name, width)
        names = column_names(path, tuple(f"c{i}" for i in range(width)), source.columns)
    else:
        names = source.columns
    step = max(min(_ROWS, _FIELDS // max(width, 1)), 1)
    for first in range(0, rows, step):
        part = slice(first, min(first + step, rows))
        values = d[:, part].T if matlab and d.ndim == 2 else d[part]
        values = values.reshape(part.stop - part.start, -1)
        block = _block(path, {n: values[:, i] for i, n in enumerate(names)}, part, file)
        if sampled:
            block = RowBlock(
                path=block.path,
                file=file,
                columns=block.columns,
                line=block.line,
                block=block.block,
                samples=values[:, named:].astype(np.float64),
            )
        yield block


def _block(path: Path, columns: Mapping[str, NDArray[Any]], part: slice, file: int) -> RowBlock:
    rows = part.stop - part.start
    return RowBlock(
        path=path,
        file=file,
        columns=columns,
        line=np.arange(part.start + 1, part.stop + 1),
        block=np.zeros(rows, np.int64),
    )


def _no_table(path: Path, f: File, found: str) -> MeasurementError:
    present = [d.name for d in f.datasets()]
    return MeasurementError(
        path,
        "source.dataset",
        found=found,
        expected=f"a matrix, or a group with vectors; present: {', '.join(present[:12])}",
        remedy="name it with `dataset` in [source] of the layout file",
    )
