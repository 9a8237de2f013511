"""The array of a log: rows, columns, and how the cell of a row follows from its columns.

An address is cut into row and column only if the addresses show it: if they fill a grid of high
and low bits, such as 0 to 7, 256 to 263, …, or number a square array without gaps. Other addresses
number the cells in rising order, and a comment says that their positions are unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.guess.roles.role import Role, Roles
from rramfit.measurement.lab.guess.sample import Sample

__all__ = ["Cells", "find_cells"]

_LARGEST = 4096  # rows or columns of an array
_LONG = 4  # columns per row from which an array with unused cells is better
_TILED = 256  # side of an array that is cut into tiles of 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The array, and the lines of [cells]."""

    rows: int
    cols: int
    lines: tuple[str, ...]  # of [cells]
    why: str
    number: int  # of different cells
    index: NDArray[np.int64] | None  # (row,) cell of each row; None if there is only one
    tiled: bool = False


def find_cells(sample: Sample, roles: Roles, files: int = 1) -> Cells:
    """Return the array and the cell of each row, of one or several files."""
    if sample.wide is not None and sample.wide.map:
        wide = sample.wide
        lines = ('row = "block_line"', 'col = "sample"')
        why = "the rows and columns of the matrix"
        if wide.leading:
            label = sample.fields[0].name
            place = f"{label} - {wide.first_label}" if wide.first_label else label
            lines, why = (f'row = "{place}"', 'col = "sample"'), "the labels of the matrix"
            if wide.skip is None:
                why = f"{label} numbers the rows of a map; if each line is a cell, see `packed`"
        cells = wide.rows_of_block * wide.samples
        return Cells(
            rows=wide.rows_of_block,
            cols=wide.samples,
            lines=lines,
            why=why,
            number=cells,
            index=None,
        )
    row, col = roles.first("row"), roles.first("col")
    if row is not None and col is not None:
        return _of_row_and_col(row, col)
    key = roles.first("address", "device", "row", "col")
    if key is None and sample.wide is not None:
        number = sample.wide.samples
        return _packed("sample", number, None, f"{number} columns, a cell each")
    if key is None:
        why = "no column names a cell, so each file is one cell"
        return Cells(rows=1, cols=files, lines=('packed = "file"',), why=why, number=1, index=None)
    if key.field.numbers is None:
        texts = np.array([str(t) for t in (key.field.texts if key.field.texts is not None else ())])
        known, index = np.unique(texts, return_inverse=True)
        return _packed(
            key.name, len(known), index, f"{len(known)} names, whose positions are unknown"
        )
    values = key.field.numbers
    known, index = np.unique(values, return_inverse=True)
    if not np.all(np.isfinite(known)) or np.any(known != np.floor(known)) or known[0] < 0:
        return _packed(key.name, len(known), index, "positions are unknown")
    return _of_address(key, known.astype(np.int64), index)


def _finite(numbers: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Return numbers with NaN in place of infinite ones; None if none is left."""
    if numbers is None or not np.isfinite(numbers).any():
        return None
    return np.where(np.isinf(numbers), np.nan, numbers)


def _of_row_and_col(row: Role, col: Role) -> Cells:
    r, c = _finite(row.field.numbers), _finite(col.field.numbers)
    if r is None or c is None:
        number = 1
        lines = (f'row = "{row.name}"', f'col = "{col.name}"')
        return Cells(rows=1, cols=1, lines=lines, why="text", number=number, index=None)
    pairs, index = np.unique(np.stack([r, c]), axis=1, return_inverse=True)
    low = (int(np.nanmin(r)), int(np.nanmin(c)))
    full = pairs.shape[1] == len(np.unique(r)) * len(np.unique(c))
    both = low == (1, 1)  # higher ones may be a part of an array counted from 0
    first = [int(n == 1 and (both or (full and max(low) == 1))) for n in low]
    rows, cols = (int(np.nanmax(x)) + 1 - n for x, n in zip((r, c), first, strict=True))
    names = [f"{x.name} - 1" if n else x.name for x, n in zip((row, col), first, strict=True)]
    why = (
        f"{row.name} is {low[0]} to {int(np.nanmax(r))}, {col.name} {low[1]} to {int(np.nanmax(c))}"
    )
    if any(first):
        which = "" if both else f"{(row if first[0] else col).name} is "
        why += f"; {which}numbered from 1"
    return Cells(
        rows=rows,
        cols=cols,
        lines=(f'row = "{names[0]}"', f'col = "{names[1]}"'),
        why=why,
        number=pairs.shape[1],
        index=index.reshape(-1),
        tiled=rows == cols == _TILED,
    )


def _of_address(key: Role, known: NDArray[np.int64], index: NDArray[np.int64]) -> Cells:
    number = len(known)
    if number == 1:
        return _packed(key.name, 1, None, f"one cell, {key.name} = {known[0]}")
    grid = _grid(known)
    side = math.isqrt(number)
    contiguous = known[0] == 0 and known[-1] == number - 1
    if contiguous and side * side == number and side > 8:
        bits = side.bit_length() - 1
        power = side == 1 << bits
        lines = (
            f'row = "{key.name} >> {bits}"' if power else f'row = "{key.name} // {side}"',
            f'col = "{key.name} & {side - 1}"' if power else f'col = "{key.name} % {side}"',
        )
        why = f"{key.name} is 0 to {number - 1} without gaps, which is {side} × {side}"
        return Cells(
            rows=side, cols=side, lines=lines, why=why, number=number, index=index,
            tiled=side == _TILED,
        )  # fmt: skip
    if grid is not None:
        bits, step, rows, cols = grid
        low = (
            f"({key.name} & {2**bits - 1}) // {step}" if step > 1 else f"{key.name} & {2**bits - 1}"
        )
        why = f"the addresses fill a grid: the low {bits} bits are the column"
        if step > 1:
            why += f", in steps of {step}"
        lines = (f'row = "{key.name} >> {bits}"', f'col = "{low}"')
        return Cells(
            rows=rows, cols=cols, lines=lines, why=why, number=number, index=index,
            tiled=rows == cols == _TILED,
        )  # fmt: skip
    why = (
        f"{number} addresses from {known[0]} to {known[-1]} show no rows and columns; "
        "cells are numbered in rising order, so their positions mean nothing"
    )
    return _packed(key.name, number, index, why)


def _grid(known: NDArray[np.int64]) -> tuple[int, int, int, int] | None:
    """Return the bits of the column, its step, and the rows and columns of the array."""
    for bits in (8, 7, 9, 6, 10, 5, 11, 12, 4):
        high, low = np.unique(known >> bits), np.unique(known & (2**bits - 1))
        if len(high) < 2 or len(low) < 2 or len(high) * len(low) != len(known):
            continue
        step = int(np.gcd.reduce(np.diff(low)))
        if low[0] % step or (len(low) == 2**bits and step == 1):
            continue
        rows, cols = int(high[-1]) + 1, int(low[-1]) // step + 1
        if rows <= _LARGEST and cols <= _LARGEST:
            return bits, step, rows, cols
    return None


def _packed(key: str, number: int, index: NDArray[np.int64] | None, why: str) -> Cells:
    rows = next(n for n in range(math.isqrt(number), 0, -1) if number % n == 0)
    if number > 8 and number > _LONG * rows**2:
        rows = math.ceil(math.sqrt(number))
    cols = math.ceil(number / rows)
    lines = (f'packed = "{key}"',)
    return Cells(rows=rows, cols=cols, lines=lines, why=why, number=number, index=index)
