"""Text of a log as UTF-8, in pieces of whole lines.

The encoding is that of a byte order mark; else UTF-16 if every second byte is 0; else UTF-8; else
Windows-1252, which contains Latin-1. It is chosen from the first `_HEAD` bytes. Lines that are not
valid in the encoding are marked, so that no number is read from them.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rramfit.errors import MeasurementError
from rramfit.measurement.lab.formats.containers import Stream, open_stream
from rramfit.measurement.lab.layout_table import TableSource

__all__ = ["Piece", "text_lines", "text_pieces"]

_PIECE = 8 * 2**20  # bytes that are read and parsed together
_HEAD = 2**20
_LONGEST = 2**29  # bytes of a line
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOST = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Whole lines of a log in UTF-8, each ending in a newline."""

    first: int  # number of the first line, from 1
    data: bytes
    damaged: frozenset[int] = frozenset()  # lines, from 0, with bytes of another encoding
    encoding: str = "utf-8"


def text_lines(path: Path, source: TableSource) -> Iterator[str]:
    """Yield all lines of a log, decompressed and decoded, without their newlines.

    Bytes that are not valid in the encoding become U+FFFD.

    Raises
    ------
    MeasurementError
        If the file is damaged, binary, or has a line of more than 512 MiB.
    """
    for piece in text_pieces(path, source):
        yield from piece.data.decode("utf-8").split("\n")[:-1]


def text_pieces(path: Path, source: TableSource) -> Iterator[Piece]:
    """Yield a log in pieces of whole lines, in bounded memory.

    Raises
    ------
    MeasurementError
        As `text_lines`.
    """
    with open_stream(path, source.member) as stream:
        head = stream.read(_PIECE)
        encoding, mark = _encoding(path, head[:_HEAD], source.encoding)
        first = 1
        for data in _whole_lines(path, stream, head[mark:], encoding):
            text, damaged = _checked(data, encoding)
            yield Piece(first=first, data=text, damaged=damaged, encoding=encoding)
            first += text.count(b"\n")


def _encoding(path: Path, head: bytes, given: str | None) -> tuple[str, int]:
    """Return the encoding of a file and the length of its byte order mark."""
    if not head:
        raise MeasurementError(path, "/", found="an empty file", expected="rows of a log")
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    if given is not None:
        try:
            return codecs.lookup(given).name, 0
        except LookupError:
            raise MeasurementError(
                path,
                "source.encoding",
                found=f"the unknown encoding {given!r}",
                expected="an encoding such as utf-8, latin-1 or utf-16",
            ) from None
    zeros = head.count(0)
    if zeros > len(head) // 8:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if len(head) >= 4 and max(even, odd) > 0.45 * len(head) and min(even, odd) < zeros / 20:
            return ("utf-16-be" if even > odd else "utf-16-le"), 0
        raise MeasurementError(
            path,
            "/",
            found="a binary file of unknown format",
            expected="a text file such as .csv, or .xlsx, .npz, .mat, Parquet, STDF or HDF5",
            remedy="export the data as CSV",
        )
    complete = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1] or head
    try:
        complete.decode("utf-8")
    except UnicodeDecodeError:
        lost = complete.decode("utf-8", "replace")
        both = any(c > "\x7f" and c != _LOST for c in lost)
        return ("utf-8" if both else "cp1252"), 0
    return "utf-8", 0


def _whole_lines(path: Path, stream: Stream, head: bytes, encoding: str) -> Iterator[bytes]:
    """Yield pieces that end at a line's end; other encodings become UTF-8."""
    decode = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)("replace")
    old_mac = b"\r" in head and b"\n" not in head and decode is None
    rest: list[bytes] = []
    waiting = 0
    data = head
    while data:
        after = stream.read(_PIECE)
        text = data if decode is None else decode.decode(data, final=not after).encode("utf-8")
        if old_mac:
            text = text.replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1
        if end:
            whole = b"".join([*rest, text[:end]])
            yield whole.replace(b"\r\n", b"\n") if b"\r" in whole else whole
            rest, waiting = [text[end:]], len(text) - end
        else:
            rest.append(text)
            waiting += len(text)
        if waiting > _LONGEST:
            raise MeasurementError(
                path,
                "/",
                found=f"a line of more than {_LONGEST // 2**20} MiB",
                expected="lines of a log",
                remedy="check that the file is a table",
            )
        data = after
    if waiting:
        yield b"".join(rest).removesuffix(b"\r") + b"\n"


def _checked(data: bytes, encoding: str) -> tuple[bytes, frozenset[int]]:
    """Return valid UTF-8, and the lines, from 0, whose bytes had to be replaced."""
    if data.isascii():
        return data, frozenset()
    if encoding == "utf-8":
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return data, frozenset()
        lines = data.decode("utf-8", "replace").split("\n")
    else:
        lines = data.decode("utf-8").split("\n")
    damaged = frozenset(i for i, line in enumerate(lines) if _LOST in line)
    return "\n".join(lines).encode("utf-8"), damaged
