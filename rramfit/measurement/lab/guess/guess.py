"""Choice between a draft for a table and one for arrays; files that are neither."""

from __future__ import annotations

from pathlib import Path

from rramfit.errors import MeasurementError
from rramfit.hdf5 import Dataset
from rramfit.hdf5.nodes import File
from rramfit.measurement.file.contract.rules import FORMAT
from rramfit.measurement.file.opening import open_measured, plain
from rramfit.measurement.lab.formats.arrays import open_arrays
from rramfit.measurement.lab.formats.containers import file_kind, open_stream
from rramfit.measurement.lab.guess.draft import draft_table
from rramfit.measurement.lab.guess.groups import GROUP_NAMES
from rramfit.measurement.lab.guess.hdf5 import guess_hdf5

__all__ = ["GROUP_NAMES", "guess_layout"]

_DOCUMENTS = {
    b"{": "a JSON document, such as a model card",
    b"<": "an HTML or XML document",
    b"%PDF": "a PDF document",
}


def guess_layout(path: Path | str, *more: Path | str, group: str | None = None) -> str:
    """Draft a layout file for a log or a file of arrays.

    Parameters
    ----------
    path : Path or str
        A file of any format that `convert_measurement` reads.
    *more : Path or str
        Further logs of the same measurement with the same columns.
    group : str, optional
        What the rows of a log are, one of `GROUP_NAMES`; guessed if not given.

    Returns
    -------
    str
        TOML text; comments mark the lines to check or fill in.

    Raises
    ------
    MeasurementError
        If the file already is a measurement file, or neither a table nor arrays.
    """
    path = Path(path)
    kind = file_kind(path)
    if kind == "hdf5":
        with open_measured(path) as f:
            if plain(f.attrs.get("format")) == FORMAT:
                raise MeasurementError(
                    path,
                    "/",
                    found="a measurement file of rramfit",
                    expected="a file in another format",
                    remedy="use the file directly, because it needs no layout file",
                )
    if kind in ("hdf5", "npz", "npy", "mat"):
        with open_arrays(path) as f:
            if group is None and not _is_table(f):
                return guess_hdf5(path, f, numpy=kind in ("npz", "npy"))
    elif kind == "text":
        _check_document(path)
    return draft_table(path, [Path(p) for p in more], group=group)


def _is_table(f: File) -> bool:
    """Return True if the file holds vectors of one length, and no arrays of cells."""
    found = list(f.datasets())
    arrays = [d for d in found if d.ndim > 1 and min(d.shape[-2:]) > 1]
    lengths = [d.size for d in found if d.size > 1 and d not in arrays]
    return not arrays and len(lengths) > 1 and all(_top(d) for d in found)


def _top(d: Dataset) -> bool:
    return str(d.name).count("/") == 1


def _check_document(path: Path) -> None:
    """Refuse documents that are no logs, whatever numbers they contain."""
    with open_stream(path) as stream:
        head = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    label = next((text for mark, text in _DOCUMENTS.items() if head.startswith(mark)), None)
    if path.suffix.casefold() in (".toml", ".ini", ".yaml", ".yml", ".md", ".rst", ".py", ".json"):
        label = label or f"a {path.suffix} file"
    if label is not None:
        raise MeasurementError(
            path,
            "/",
            found=label,
            expected="a log of a tester, or a file of arrays",
            remedy="name the file that the tester wrote, or save its records as CSV",
        )
