"""The kind of a file, from its content, for a command that was given the wrong kind of file.

The library's error says why a file could not be read, such as a byte that is not UTF-8. A user who
gave a measurement where a card was needed wants to know which command reads the file.
"""

from __future__ import annotations

import json
import shlex
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rramfit.errors import (
    CardError,
    CheckpointError,
    InputError,
    LayoutFileError,
    MeasurementError,
)

__all__ = ["CARD", "MEASUREMENT", "FileKind", "WrongKind", "explain", "identify", "wrong_kind"]

_HDF5, _ZIP, _NUMPY = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x93NUMPY"
_HEAD = 2**20  # bytes that are enough to recognize a format


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """A kind of file, and which command reads it."""

    label: str  # a noun phrase with its article
    remedy: str  # an imperative sentence; {file} is the path


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongKind:
    """A file of another kind than a command reads."""

    path: Path
    found: FileKind
    expected: FileKind

    @property
    def remedy(self) -> str:
        """Which command reads the file."""
        return self.found.remedy.format(file=shlex.quote(str(self.path)))

    def __str__(self) -> str:
        return f"{self.path} is {self.found.label}, not {self.expected.label}. {self.remedy}"


CARD = FileKind(label="a model card", remedy="Show it with `rramfit card show {file}`.")
MEASUREMENT = FileKind(
    label="a measurement file",
    remedy=(
        "Show its content with `rramfit measurement inspect {file}`, or fit a model card to it "
        "with `rramfit characterize {file}`."
    ),
)
CELLS = FileKind(
    label="a sidecar with the cell maps of one array",
    remedy="Pass it with `--cells {file}` to `rramfit evaluate` or `rramfit retrain`.",
)
OTHER_HDF5 = FileKind(
    label="an HDF5 file",
    remedy=(
        "Check with `rramfit measurement validate {file}` whether it is a measurement file. If it "
        "is not, draft a layout for it with `rramfit measurement guess-layout {file}`."
    ),
)
CHECKPOINT = FileKind(
    label="a checkpoint of a network",
    remedy="Evaluate it with `rramfit evaluate --checkpoint {file}`.",
)
REPORT = FileKind(label="an HTML report", remedy="Open it in a browser.")
MATRIX = FileKind(
    label="a NumPy array",
    remedy="Solve it as a conductance matrix with `rramfit array solve {file} --unit uS`.",
)
LAYOUT = FileKind(
    label="a layout file",
    remedy="Pass it with `--layout {file}` to `rramfit measurement convert`.",
)
RECIPE = FileKind(
    label="a TOML file", remedy="If it is a training recipe, pass it to `rramfit train --recipe`."
)
LOG = FileKind(
    label="a text file",
    remedy=(
        "If it is a log of a tester, draft a layout for it with "
        "`rramfit measurement guess-layout {file}`."
    ),
)
EMPTY = FileKind(label="an empty file", remedy="Write or copy it again.")
UNKNOWN = FileKind(label="a binary file of unknown format", remedy="No rramfit command reads it.")

_NOT_MEASURED = (CARD, CELLS, CHECKPOINT, REPORT, MATRIX)
"""Kinds that are certainly not a measurement; for others the message of the library is better."""


def explain(error: InputError) -> str:
    """Return the message of an error, or what the file is if it is of another kind.

    Parameters
    ----------
    error : InputError
        Raised by the library for a file that it could not read.
    """
    if isinstance(error, LayoutFileError):
        wanted: FileKind | None = None  # its message names what the file is
    elif isinstance(error, MeasurementError):
        wanted = MEASUREMENT
    elif isinstance(error, CardError):
        wanted = CELLS if error.where.startswith("/") else CARD  # HDF5 paths start with a slash
    else:
        wanted = CHECKPOINT if isinstance(error, CheckpointError) else None
    return str((wanted and wrong_kind(error.path, wanted)) or error)


def wrong_kind(path: Path, wanted: FileKind) -> WrongKind | None:
    """Return what a file is instead of the wanted kind; None if it may be of that kind.

    Parameters
    ----------
    path : Path
    wanted : FileKind
        What the command reads.
    """
    kind = identify(path)
    if kind is None or kind is wanted or (wanted is MEASUREMENT and kind not in _NOT_MEASURED):
        return None
    return WrongKind(path=path, found=kind, expected=wanted)


def identify(path: Path) -> FileKind | None:
    """Return the kind of a file; None if it is damaged, missing or not recognized."""
    try:
        with path.open("rb") as f:
            head = f.read(_HEAD)
        if head.startswith(_HDF5):
            return _hdf5_kind(head)
        if head.startswith(_ZIP):
            return _zip_kind(path)
        if head.startswith(_NUMPY):
            return MATRIX
        return _text_kind(path, head) if head else EMPTY
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _hdf5_kind(head: bytes) -> FileKind:
    """Look for the value of the attribute `format`: the HDF5 library may hang on a damaged file."""
    kinds = {b"rramfit-measurement": MEASUREMENT, b"rramfit-cells": CELLS}
    return next((kind for text, kind in kinds.items() if text in head), OTHER_HDF5)


def _zip_kind(path: Path) -> FileKind:
    with zipfile.ZipFile(path) as archive:
        pickled = any(name.endswith("/data.pkl") for name in archive.namelist())
    return CHECKPOINT if pickled else UNKNOWN


def _text_kind(path: Path, head: bytes) -> FileKind | None:
    if b"\0" in head:
        return UNKNOWN
    start = head[:256].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return REPORT
    if start.startswith((b"{", b"[")) and path.suffix != ".toml":
        content = json.loads(path.read_text(encoding="utf-8"))
        return CARD if isinstance(content, dict) and "schema_version" in content else None
    if path.suffix == ".toml":
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return LAYOUT if "source" in content else RECIPE
    return None if path.suffix == ".json" else LOG
