"""Mutations of bytes and of JSON documents, each determined by its number.

Bytes: one to eight bits flipped; one to sixteen bytes set; a block zeroed, filled, copied from
elsewhere, removed or inserted; the end cut off or extended; a number of two, four or eight bytes
set to an extreme. JSON: values replaced by extremes and by other types, keys removed, renamed and
added.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["mutate_bytes", "mutate_json", "mutate_text", "stream"]

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_VALUES: tuple[Any, ...] = (
    0, -1, 1, 10**400, 2**63, 1e308, -1e308, 5e-324, 1e-30, 0.5, True, None, "", "x", "1", [], {},
    "\ud800", "\x00", "<script>alert(1)</script>", [1, 2], {"value": 1}, 1e999, "S", "ohm",
)  # fmt: skip


def stream(target: str, number: int) -> np.random.Generator:
    """Return the random stream of one mutation."""
    return np.random.default_rng([number, *target.encode()])


def mutate_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Return changed bytes."""
    out = bytearray(data)
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    kind(out, rng)
    return bytes(out)


def _at(out: bytearray, rng: np.random.Generator) -> int:
    return int(rng.integers(len(out)))


def _bits(out: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9))):
        out[_at(out, rng)] ^= 1 << int(rng.integers(8))


def _one_bit(out: bytearray, rng: np.random.Generator) -> None:
    out[_at(out, rng)] ^= 1 << int(rng.integers(8))


def _bytes(out: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 17))):
        out[_at(out, rng)] = int(rng.integers(256))


def _block(out: bytearray, rng: np.random.Generator) -> None:
    at, length = _at(out, rng), int(rng.integers(1, 257))
    length = min(length, len(out) - at)
    filling = int(rng.choice([0, 255, 32]))
    source = _at(out, rng)
    found = bytes(out[source : source + length])
    out[at : at + len(found)] = found if rng.random() < 0.5 else bytes([filling]) * len(found)


def _removed(out: bytearray, rng: np.random.Generator) -> None:
    at = _at(out, rng)
    del out[at : at + int(rng.integers(1, 65))]


def _inserted(out: bytearray, rng: np.random.Generator) -> None:
    at = _at(out, rng)
    out[at:at] = rng.bytes(int(rng.integers(1, 65)))


def _end(out: bytearray, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        del out[_at(out, rng) :]
    else:
        out.extend(rng.bytes(int(rng.integers(1, 1000))))


def _extreme(out: bytearray, rng: np.random.Generator) -> None:
    width = int(rng.choice([2, 4, 8]))
    at = _at(out, rng)
    number = int(rng.choice(np.array(_EXTREMES, dtype=np.uint64))) % 2 ** (8 * width)
    out[at : at + width] = number.to_bytes(width, "little")


_KINDS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _one_bit,
    _one_bit,
    _bits,
    _bytes,
    _block,
    _removed,
    _inserted,
    _end,
    _extreme,
)


def mutate_text(data: bytes, rng: np.random.Generator) -> bytes:
    """Return changed text: tokens replaced by others or by extremes, lines removed or doubled."""
    lines = data.decode().splitlines()
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        what = int(rng.integers(4))
        if what == 0 and len(lines) > 1:
            del lines[at]
        elif what == 1:
            lines.insert(int(rng.integers(len(lines))), lines[at])
        else:
            words = re.split(r"([\s,=\"\[\]{}]+)", lines[at])
            words[int(rng.integers(len(words)))] = str(rng.choice(_TOKENS))
            lines[at] = "".join(words)
    return ("\n".join(lines) + "\n").encode()


_TOKENS = (
    "0", "-1", "1e308", "1e-308", "nan", "inf", "99999999999999999999", "1.5", "x", "", "true",
    "[]", "{}", "'", '"', "\t", ",", "\\u0000", "<b>", "row", "2 ** 99999", "row // 0",
    "__import__('os')", "uS", "ohm", "1970-01-01", "\x1b[2J", "=", "\ufeff", "8_0",
)  # fmt: skip


def mutate_json(document: Any, rng: np.random.Generator) -> Any:
    """Return a changed copy of a JSON document."""
    out = copy.deepcopy(document)
    for _ in range(int(rng.integers(1, 4))):
        holders: list[Any] = []
        _holders(out, holders)
        holder = holders[int(rng.integers(len(holders)))]
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            continue
        key = keys[int(rng.integers(len(keys)))]
        what = int(rng.integers(6))
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        elif what == 2 and isinstance(holder[key], (int, float)):
            holder[key] = holder[key] * float(rng.choice([-1.0, 0.0, 1e-12, 0.1, 10.0, 1e12]))
        else:
            holder[key] = _VALUES[int(rng.integers(len(_VALUES)))]
    return out


def _holders(value: Any, found: list[Any]) -> None:
    if isinstance(value, (dict, list)):
        found.append(value)
        for inner in value.values() if isinstance(value, dict) else value:
            _holders(inner, found)
