"""Kinds of files by their first bytes, and the byte stream inside .gz, .xz, .bz2 and .zip files.

Nothing is unpickled. A stream that expands more than `_MOST_EXPANSION` times, after the first
`_FREE` bytes, is refused: text of a tester compresses 3 to 30 times.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

from rramfit.errors import MeasurementError

__all__ = ["READ_ERRORS", "SHEET_KINDS", "FileKind", "Stream", "file_kind", "open_stream"]

FileKind = Literal[
    "text", "xlsx", "ods", "xls", "npz", "npy", "mat", "hdf5", "parquet", "arrow", "stdf"
]
SHEET_KINDS: frozenset[FileKind] = frozenset({"xlsx", "ods", "xls"})

READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RuntimeError,
    NotImplementedError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""What readers of damaged files raise."""

_MOST_EXPANSION, _FREE = 200, 256 * 2**20
_OLD_FEATHER = b"FEA1"
_STDF = (b"\x02\x00\x00\x0a", b"\x00\x02\x00\x0a")  # length, type and subtype of the first record
_LINK = "application/vnd.oasis.opendocument.spreadsheet"
_KINDS: tuple[tuple[bytes, FileKind], ...] = (
    (b"\x93NUMPY", "npy"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (_STDF[0], "stdf"),
    (_STDF[1], "stdf"),
)


@dataclass(slots=True, kw_only=True)
class Stream:
    """The bytes of a file, decompressed; refuses streams that expand too much."""

    path: Path
    source: BinaryIO
    packed: IO[bytes] | None  # the compressed file; None if not compressed
    label: str
    total: int = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        try:
            data = self.source.read(size)
        except READ_ERRORS as e:
            raise MeasurementError(
                self.path,
                "/",
                found=f"a damaged {self.label} file ({_reason(e)})",
                expected=f"a complete {self.label} file",
                remedy="copy the file again from its source",
            ) from None
        self.total += len(data)
        if self.packed is not None and self.total > _FREE:
            ratio = self.total / max(self.packed.tell(), 1)
            if ratio > _MOST_EXPANSION:
                raise MeasurementError(
                    self.path,
                    "/",
                    found=f"a file that expands more than {_MOST_EXPANSION}-fold",
                    expected="a compressed table, which expands about 10-fold",
                    remedy="unpack the file and check its content",
                )
        return data


def file_kind(path: Path) -> FileKind:
    """Return the kind of a file from its first bytes; "text" for all that are not known.

    Raises
    ------
    MeasurementError
        If the file cannot be read, or is an old Feather file.
    """
    head = _head(path)
    for mark, kind in _KINDS:
        if head.startswith(mark):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if head.startswith(b"MATLAB") or _is_old_matlab(path, head):
        return "hdf5" if head[512:520] == _KINDS[1][0] else "mat"
    if head.startswith(_OLD_FEATHER):
        raise _unknown(path, "a Feather file of version 1", "write it again in version 2")
    if head.startswith((b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh")):
        with open_stream(path) as stream:
            if stream.read(4) in _STDF:
                return "stdf"
    return "text"


@contextmanager
def open_stream(path: Path, member: str | None = None) -> Iterator[Stream]:
    """Open a file for reading, decompressed.

    Parameters
    ----------
    path : Path
    member : str, optional
        File inside a .zip file; needed if there are several.
    """
    head = _head(path)
    with path.open("rb") as raw:
        if head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=raw) as f:
                yield Stream(path=path, source=cast(BinaryIO, f), packed=raw, label="gzip")
        elif head.startswith(b"\xfd7zXZ\x00"):
            with lzma.LZMAFile(raw) as f:
                yield Stream(path=path, source=cast(BinaryIO, f), packed=raw, label="xz")
        elif head.startswith(b"BZh"):
            with bz2.BZ2File(raw) as f:
                yield Stream(path=path, source=cast(BinaryIO, f), packed=raw, label="bzip2")
        elif head.startswith(b"PK\x03\x04"):
            archive, name = _member(path, member)
            try:
                with archive, archive.open(name) as f:
                    packed = archive.fp
                    yield Stream(path=path, source=cast(BinaryIO, f), packed=packed, label="zip")
            except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as e:
                raise _unknown(path, f"a .zip file that cannot be read ({e})", "unpack it") from e
        else:
            yield Stream(path=path, source=raw, packed=None, label="text")


def _head(path: Path) -> bytes:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise MeasurementError(path, "/", found=found, expected="a log or another data file")
    try:
        with path.open("rb") as f:
            return f.read(1024)
    except OSError as e:
        found = f"an unreadable file ({e.strerror})"
        raise MeasurementError(path, "/", found=found, expected="a data file") from None


def _is_old_matlab(path: Path, head: bytes) -> bool:
    """Return True for MATLAB v4, which has no mark: its first number is 0 to 4,052."""
    return path.suffix == ".mat" and len(head) > 20 and head[1] < 16 and head[2:4] == b"\0\0"


def _zip_kind(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "[Content_Types].xml" in names and any(n.startswith("xl/") for n in names):
                return "xlsx"
            if "mimetype" in names and _LINK in archive.read("mimetype")[:80].decode("latin-1"):
                return "ods"
    except READ_ERRORS as e:
        found = f"a damaged zip file ({_reason(e)})"
        raise _unknown(path, found, "copy the file again from its source") from None
    return "npz" if names and all(n.endswith(".npy") for n in names) else "text"


def _member(path: Path, member: str | None) -> tuple[zipfile.ZipFile, str]:
    try:
        archive = zipfile.ZipFile(path)
    except READ_ERRORS as e:
        found = f"a damaged zip file ({_reason(e)})"
        raise _unknown(path, found, "copy the file again from its source") from None
    names = [
        i.filename
        for i in archive.infolist()
        if not i.is_dir() and not i.filename.startswith("__MACOSX/")
    ]
    if member is not None and member in names:
        return archive, member
    if member is None and len(names) == 1:
        return archive, names[0]
    archive.close()
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    found = f"{len(names)} files ({shown})" if member is None else f"no file {member!r} in {shown}"
    raise _unknown(path, found, 'name one with `member = "…"` in [source], or unpack the file')


def _unknown(path: Path, found: str, remedy: str) -> MeasurementError:
    return MeasurementError(
        path,
        "/",
        found=found,
        expected="a table: text, .xlsx, .xls, .ods, .npy, .npz, .mat, HDF5, Parquet, Feather, STDF",
        remedy=remedy,
    )


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
