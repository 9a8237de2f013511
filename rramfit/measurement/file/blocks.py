"""Sweeps and reads that stay in the file and are read block by block.

`/program`, `/reads` and `/retention` may be larger than memory. Each pass opens the file, yields
blocks in SI units (float64) and closes it. Every block is checked as it is read, because validation
does not scan the values of large files: an infinite value or a wrong level index raises an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.hdf5 import Dataset
from rramfit.measurement.file.acceptance import inside_window
from rramfit.measurement.file.contract.groups import rule_of
from rramfit.measurement.file.contract.values import faults, level_fault
from rramfit.measurement.file.opening import FileState, blockwise, open_measured, plain
from rramfit.measurement.file.problem import Problem, raise_first_violation
from rramfit.measurement.file.record import Floats, Integers, Levels, SweepBlock
from rramfit.units import to_si

__all__ = ["ReadsInFile", "SweepsInFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepsInFile:
    """Iterates over `/program` of a file, block by block."""

    path: Path
    levels: Levels | None
    acceptance: str
    state: FileState | None = None

    def __call__(self, sweeps: int) -> Iterator[SweepBlock]:
        """Yield all sweeps in order, `sweeps` at a time."""
        with open_measured(self.path, since=self.state) as f:
            group = f["program"]
            source = {
                name: blockwise(group, name)
                for name in ("conductance", "level", "verified", "pulses")
                if name in group
            }
            total = len(source["conductance"])
            unit = str(plain(source["conductance"].attrs["units"]))
            for first in range(0, total, sweeps):
                stop = min(first + sweeps, total)
                yield self._block(source, unit, first, stop)

    def _block(self, source: dict[str, Dataset], unit: str, first: int, stop: int) -> SweepBlock:
        g = _conductance_block(self.path, source["conductance"], unit, first, stop)
        if "level" in source:
            raw = _read_block(source["level"], first, stop)
            n_levels = 0 if self.levels is None else len(self.levels)
            _check_levels(self.path, source["level"].name, raw, first, n_levels)
            given = raw if raw.ndim == 3 else raw[:, None, None]
            level: Integers = np.broadcast_to(given.astype(np.int64), g.shape)
        else:
            level = np.broadcast_to(np.int64(-1), g.shape)
        if "verified" in source:
            accepted = _read_block(source["verified"], first, stop).astype(np.bool_, copy=False)
        elif self.acceptance == "window" and self.levels is not None:
            accepted = inside_window(g, level, self.levels)
        else:
            accepted = np.broadcast_to(np.True_, g.shape)
        pulses = (
            _read_block(source["pulses"], first, stop).astype(np.int64)
            if "pulses" in source
            else None
        )
        return SweepBlock(first=first, conductance=g, level=level, accepted=accepted, pulses=pulses)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsInFile:
    """Iterates over `/reads`, `/retention` or one of its bakes, block by block."""

    path: Path
    group: str
    state: FileState | None = None

    def __call__(self, reads: int) -> Iterator[Floats]:
        """Yield all reads in order, `reads` at a time."""
        with open_measured(self.path, since=self.state) as f:
            source = blockwise(f, f"{self.group}/conductance")
            unit = str(plain(source.attrs["units"]))
            for first in range(0, len(source), reads):
                stop = min(first + reads, len(source))
                block = _conductance_block(self.path, source, unit, first, stop)
                block.flags.writeable = False
                yield block


def _read_block(dataset: Dataset, first: int, stop: int) -> NDArray[Any]:
    block: NDArray[Any] = dataset[first:stop]
    return block


def _conductance_block(path: Path, dataset: Dataset, unit: str, first: int, stop: int) -> Floats:
    """Read and check one block; convert it to siemens, float64."""
    raw = _read_block(dataset, first, stop)
    rule = rule_of(dataset.name)
    for fault in faults(raw, rule, unit=unit):
        if fault.bad.any():
            i = np.unravel_index(int(np.argmax(fault.bad)), fault.bad.shape)
            at = ", ".join(map(str, (int(i[0]) + first, *map(int, i[1:]))))
            raise_first_violation(
                [
                    Problem(
                        path=path,
                        where=dataset.name,
                        found=f"{fault.found} at [{at}]",
                        expected=fault.expected,
                        remedy=fault.remedy,
                    )
                ]
            )
    return raw.astype(np.float64) if unit == "S" else to_si(raw, unit, "conductance")


def _check_levels(path: Path, where: str, level: NDArray[Any], first: int, levels: int) -> None:
    if level.min() >= -1 and level.max() < levels:
        return
    fault = level_fault(level, levels)
    i = np.unravel_index(int(np.argmax(fault.bad)), fault.bad.shape)
    raise_first_violation(
        [
            Problem(
                path=path,
                where=where,
                found=f"{fault.found}: {int(level[i])} in sweep {int(i[0]) + first}",
                expected=fault.expected,
                remedy=fault.remedy,
            )
        ]
    )
