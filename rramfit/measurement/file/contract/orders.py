"""Checks of datasets as a whole and against each other: orders, index ranges, window limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from rramfit.hdf5 import Dataset
from rramfit.measurement.file.opening import plain
from rramfit.measurement.file.problem import Problem
from rramfit.units import to_si

__all__ = ["order_problems"]


def order_problems(
    path: Path, good: Mapping[str, Dataset], *, rows: int | None, cols: int | None
) -> Iterator[Problem]:
    """Check orders, index ranges and window limits.

    Parameters
    ----------
    path : Path
    good : mapping
        Datasets with valid kind, unit and shape, by HDF5 path.
    rows, cols : int, optional
        Size of the array, if known.
    """
    yield from _level_problems(path, good)
    for where, dataset in good.items():
        _, group, *_, key = where.split("/")
        if key == "time":
            yield from _never_decreases(path, dataset, "times that never decrease")
            if group == "retention" and np.any(dataset[...] < 0):
                yield Problem(
                    path=path,
                    where=where,
                    found=f"a time of {float(np.nanmin(dataset[...])):g}",
                    expected="times since programming, 0 or more",
                )
        elif key == "width" and np.any(dataset[...] < 0):
            yield Problem(
                path=path,
                where=where,
                found=f"a pulse width of {float(np.nanmin(dataset[...])):g}",
                expected="widths of 0 or more",
            )
    if (cycle := good.get("/endurance/cycle")) is not None:
        yield from _never_decreases(path, cycle, "cycle counts that never decrease")
    for group in ("iv", "pulses", "attempts"):
        row, col = good.get(f"/{group}/row"), good.get(f"/{group}/col")
        if row is not None and col is not None:
            yield from _addresses(path, (row, rows), (col, cols))
    if (channel := good.get("/readout/channel_col")) is not None:
        yield from _indices(path, channel, cols)
    yield from _curve_problems(path, good)
    yield from _window_problems(path, good)
    yield from _readout_problems(path, good)


def _level_problems(path: Path, good: Mapping[str, Dataset]) -> Iterator[Problem]:
    problem = partial(Problem, path=path)
    si = {
        name: to_si(d[...], str(plain(d.attrs["units"])), "conductance")
        for name in ("target", "lower", "upper")
        if (d := good.get(f"/levels/{name}")) is not None
    }
    if "target" in si and not np.all(np.diff(si["target"]) > 0):
        k = int(np.argmin(np.diff(si["target"]) > 0))
        here, following = _us(si["target"][k]), _us(si["target"][k + 1])
        yield problem(
            where="/levels/target",
            found=f"{here} at level {k} and {following} at level {k + 1}",
            expected="targets in rising order of conductance",
            remedy="sort the levels and renumber the level indices to match",
        )
    if "lower" in si and "upper" in si and np.any(bad := si["lower"] >= si["upper"]):
        k = int(np.argmax(bad))
        yield problem(
            where="/levels/lower",
            found=f"a window from {_us(si['lower'][k])} to {_us(si['upper'][k])} at level {k}",
            expected="`lower` below `upper`, both as conductance",
            remedy="swap the limits; in ohm, `lower` holds the higher resistance",
        )
    for name, sign in (("lower", 1), ("upper", -1)):
        if "target" in si and name in si and np.any(bad := sign * (si[name] - si["target"]) > 0):
            k = int(np.argmax(bad))
            yield problem(
                where=f"/levels/{name}",
                found=f"{_us(si[name][k])} at level {k}, whose target is {_us(si['target'][k])}",
                expected="a window that contains the target",
                note=True,
            )


def _us(conductance: float) -> str:
    return f"{conductance * 1e6:g} uS"


def _never_decreases(path: Path, dataset: Dataset, expected: str) -> Iterator[Problem]:
    values = dataset[...]
    falls = np.diff(values.astype(np.float64)) < 0
    if np.any(falls):
        i = int(np.argmax(falls))
        yield Problem(
            path=path,
            where=dataset.name,
            found=f"{values[i]:g} at [{i}], then {values[i + 1]:g} at [{i + 1}]",
            expected=expected,
        )


def _addresses(
    path: Path, row: tuple[Dataset, int | None], col: tuple[Dataset, int | None]
) -> Iterator[Problem]:
    """Check the addresses of single cells; say so if rows and columns are swapped."""
    (rows, n_rows), (cols, n_cols) = row, col
    last = int(rows[...].max()), int(cols[...].max())
    if (
        n_rows is not None
        and n_cols is not None
        and (last[0] >= n_rows or last[1] >= n_cols)
        and last[1] < n_rows
        and last[0] < n_cols
    ):
        yield Problem(
            path=path,
            where=rows.name,
            found=f"rows up to {last[0]} and columns up to {last[1]} in an array of {n_rows} rows "
            f"and {n_cols} columns",
            expected=f"rows 0 to {n_rows - 1} and columns 0 to {n_cols - 1}",
            remedy="exchange `row` and `col`, which fit the array when exchanged",
        )
        return
    yield from _indices(path, rows, n_rows)
    yield from _indices(path, cols, n_cols)


def _indices(path: Path, dataset: Dataset, size: int | None) -> Iterator[Problem]:
    values = dataset[...]
    bad = (values < 0) | (values >= size) if size is not None else values < 0
    if np.any(bad):
        i = int(np.argmax(bad))
        limit = f"0 to {size - 1}, the size of the array" if size is not None else "0 or more"
        yield Problem(
            path=path,
            where=dataset.name,
            found=f"{int(values[i])} at [{i}] ({int(np.count_nonzero(bad))} out of range in total)",
            expected=limit,
            remedy="count rows and columns from 0",
        )


def _curve_problems(path: Path, good: Mapping[str, Dataset]) -> Iterator[Problem]:
    """Check that a voltage is missing only past the end of a curve of `/iv`."""
    voltage, current = good.get("/iv/voltage"), good.get("/iv/current")
    if voltage is None or current is None:
        return
    missing = np.isnan(voltage[...])
    measured = np.isfinite(current[...])
    if np.any(bad := np.broadcast_to(missing, measured.shape) & measured):
        at = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
        yield Problem(
            path=path,
            where=voltage.name,
            found=f"no voltage for the current at [{at}]",
            expected="a voltage for every measured current",
            remedy="write NaN as voltage only past the end of a curve",
        )


def _window_problems(path: Path, good: Mapping[str, Dataset]) -> Iterator[Problem]:
    """Check the target windows of `/attempts`."""
    limits = [
        to_si(d[...], str(plain(d.attrs["units"])), "conductance")
        for name in ("lower", "upper")
        if (d := good.get(f"/attempts/{name}")) is not None
    ]
    if len(limits) == 2 and np.any(bad := limits[0] >= limits[1]):
        k = int(np.argmax(bad))
        yield Problem(
            path=path,
            where="/attempts/lower",
            found=f"a window from {_us(limits[0][k])} to {_us(limits[1][k])} at attempt {k} "
            f"({int(np.count_nonzero(bad))} in total)",
            expected="`lower` below `upper`, both as conductance; NaN = open",
            remedy="swap the limits; in ohm, `lower` holds the higher resistance",
        )


def _readout_problems(path: Path, good: Mapping[str, Dataset]) -> Iterator[Problem]:
    if (code := good.get("/readout/code")) is None:
        return
    bits = plain(code.parent.attrs.get("bits"))
    if not isinstance(bits, int):
        return
    if not 1 <= bits <= 32:
        yield Problem(
            path=path, where="/readout@bits", found=str(bits), expected="an ADC of 1 to 32 bits"
        )
        return
    values = code[...]
    low, high = int(values.min()), int(values.max())
    if low < -(2 ** (bits - 1)) or high >= 2**bits or high - low >= 2**bits:
        yield Problem(
            path=path,
            where=code.name,
            found=f"codes from {low} to {high}",
            expected=f"codes that fit into {bits} bits",
            remedy="correct the attribute `bits` or the codes",
        )
