"""Lines that repeat the readings of another line.

A multiplexer or a decoder that selects one line twice returns the readings of that line again,
exactly or with new read noise. The deviations z of readings from their levels, in standard
deviations, are then the same: with the means over a line and over a sweep removed, the correlation
r_ij of lines i and j over all readings that both have is near 1. A smooth field makes neighbouring
lines similar too, but reaches only the share of the field in the variance; r_ij counts if it is
above 0.9, and three times above the lower quartile of |r| of lines at that distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.response import LevelSpread
from rramfit.units import counted, format_number

__all__ = ["find_line_copies"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_COPY = 0.9  # correlation of two copies
_OVER_USUAL = 3.0
_FEWEST = 24  # readings that two lines have in common
_FEWEST_PAIRS = 4  # of lines at one distance
_READINGS = 4096  # of a line that are compared
_MOST_LINES = 2048
_CLIP = 6.0  # standard deviations


def find_line_copies(statistics: ProgramStatistics, at: LevelSpread, use: Bools) -> list[Finding]:
    """Report rows and columns that repeat another one.

    Parameters
    ----------
    statistics : ProgramStatistics
    at : LevelSpread
        Location and spread of the levels.
    use : (row, col) bool array
        Cells that are not dead or stuck.
    """
    sample = statistics.sample
    spread = np.append(np.where(at.spread > 0, at.spread, np.nan), np.nan)[sample.level]
    centre = np.append(at.centre, np.nan)[sample.level]
    z = np.clip((sample.conductance - centre) / spread, -_CLIP, _CLIP)
    z[~(sample.accepted & use)] = np.nan
    out = []
    for axis, word in ((1, "row"), (2, "column")):
        x = np.moveaxis(z, axis, 0)
        pairs = _copies(x.reshape(len(x), -1))
        if pairs:
            first = ", ".join(f"{j} repeats {i}" for i, j, _ in pairs[:6])
            lines = len({j for _, j, _ in pairs})
            lowest = min(0.99, *(r for *_, r in pairs))
            out.append(
                Finding(
                    f"{counted(lines, word).capitalize()} "
                    f"{'repeats' if lines == 1 else 'repeat'} the readings of another {word} "
                    f"({word} {first}): the correlation of their deviations from the levels is at "
                    f"least {format_number(lowest, 2)}.",
                    "Check the multiplexer, the decoder and the file, and remove the copies: they "
                    "count as cells of their own, and the intervals are too narrow.",
                    severe=True,
                    affected=lines / len(x),
                    code="line-copies",
                )
            )
    return out


def _copies(z: Floats) -> list[tuple[int, int, float]]:
    """Return pairs of lines (i, j, r), i < j, that are copies; z is (line, reading)."""
    lines = len(z)
    if not 2 <= lines <= _MOST_LINES:
        return []
    z = z[:, :: max(1, z.shape[1] // _READINGS)]
    seen = np.isfinite(z)
    n = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    x = np.where(seen, z, 0.0)
    x = np.where(seen, x - x.sum(axis=1, keepdims=True) / n, 0.0)
    mask = seen.astype(np.float64)
    both = mask @ mask.T
    scale = (x**2) @ mask.T
    with np.errstate(invalid="ignore", divide="ignore"):
        r = x @ x.T / np.sqrt(scale * scale.T)
    r[both < _FEWEST] = np.nan
    found = []
    for i, j in np.argwhere(np.triu(np.nan_to_num(r) > _COPY, 1)):
        others = np.abs(np.diagonal(r, int(j - i)))
        others = others[np.isfinite(others)]
        if others.size >= _FEWEST_PAIRS and np.quantile(others, 0.25) < _COPY / _OVER_USUAL:
            found.append((int(i), int(j), float(r[i, j])))
    return found
