"""Which differences between lines the pattern of the programmed levels hides.

With N_ik readings of level k in line i, the offsets v_i of lines are seen in deviations from the
level means, and these absorb a part of the offsets:

    v  →  (1 − S)·v,    S_ij = Σ_k N_ik·N_jk / (N_i·N_k).

An eigenvalue of S is the share of a contrast between lines that the levels absorb. One of them is
1, for an offset of all lines; if each line holds all levels, the others are near 0. In stripes of L
levels, L of them are 1: an offset that all lines of a level share is part of the level, and no
artefact with the period of the stripes can be seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.statistics.over_array.lines import FEWEST_LINES
from rramfit.fitting.statistics.over_array.periodic import shared_with_levels

__all__ = ["find_confounded", "level_counts"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ABSORBED = 0.9  # share of a contrast between lines from which it counts as hidden
_ONE_LEVEL = 0.9  # share of a line's readings at one level, likewise


def level_counts(level: Integers, levels: int, axis: int) -> Integers:
    """Count the cells of each level in each row (axis 0) or column (axis 1), (line, level)."""
    k = level if axis == 0 else level.T
    return np.stack([(k == i).sum(axis=1) for i in range(levels)], axis=1)


def find_confounded(counts: tuple[Integers, Integers], *, where: str = "") -> list[Finding]:
    """Report differences between lines that cannot be distinguished from levels.

    Parameters
    ----------
    counts : two (line, level) int arrays
        Readings of each level in each row, and in each column.
    where : str
        Name of the group, for a group other than /program.
    """
    out = []
    for n, word in zip(counts, ("row", "column"), strict=True):
        used = n[n.sum(axis=1) > 0]
        if len(used) < 2 or (n.sum(axis=0) > 0).sum() < 2:
            continue
        part = shared_with_levels(used)
        hidden = int((np.linalg.eigvalsh(part.T @ part) > _ABSORBED).sum()) - 1
        if hidden < 1:
            continue
        remedy = "Program a checkerboard or a random pattern in a second sweep."
        out.append(
            Finding(f"{where}{_what(used, word, hidden)}.", remedy, code="pattern-hides-lines")
        )
    return out


def _what(counts: Integers, word: str, hidden: int) -> str:
    """Say what the levels hide, if each line holds one level, and otherwise."""
    if (counts.max(axis=1) < _ONE_LEVEL * counts.sum(axis=1)).any():
        return (
            f"The levels change with the {word}, so {hidden} of {len(counts) - 1} differences "
            f"between {word}s cannot be distinguished from differences between levels"
        )
    of_line = counts.argmax(axis=1)
    each = np.bincount(of_line)
    fewest = int(each[each > 0].min())
    start = f"Every {word} holds only one level in all sweeps"
    if fewest == 1:
        return (
            f"{start}, and some levels are on a single {word}, so an offset or a fault of that "
            f"{word} cannot be distinguished from the level"
        )
    if int((np.diff(of_line) != 0).sum()) + 1 == int((each > 0).sum()):
        return (
            f"{start}, and every level is on one block of {word}s, so a trend over the {word}s "
            "cannot be distinguished from differences between levels"
        )
    text = f"{start}, so an offset that all {word}s of a level share is part of the level"
    if fewest < FEWEST_LINES:
        text += (
            f"; with {fewest} {word}s at a level, differences between {word}s do not enter its "
            "errors"
        )
    return text
