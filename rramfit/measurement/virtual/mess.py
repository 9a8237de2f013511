"""Mess: what real arrays have and a card's own model lacks, as switches of a virtual chip.

Each field of `Mess` is one kind and its size; 0 is off. Every kind has separate random streams,
so that switching one on changes nothing else in the file. The kinds act at three places
(`rramfit.measurement.virtual.messy_chip`), and each has its true parameters
(`rramfit.measurement.virtual.mess_truth`):

    faults    moving_stuck     half read above the highest level, half below the lowest, each time
                               elsewhere; never accepted
              middle_stuck     read a constant between two levels; never accepted
              clusters         stuck low, in round clusters
              corner           stuck low, around the corner at the last row and column
              shared_failures  a cell that never programs at one level tends to fail at others too
              off_level        cells of a group failed, yet the file states the level asked for
    states    row_offsets      accepted cells of one row share an offset
              col_offsets      of one column
              folded_offsets   of one column, with rows that are equal modulo 4
              bimodal          the middle level has two modes, by cell
    readings  telegraph        of some cells jump between two values
              column_gain      of some columns have another gain
              sweep_drift      of one sweep drift in the order of addresses

Kinds of states and readings are drawn symmetrically, so that none of them moves a level's mean.
`/mvm` is measured past the amplifiers of single reads, so kinds of readings do not act there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from rramfit.errors import ArrayError

__all__ = [
    "CLUSTER_DENSITY",
    "CLUSTER_RADIUS",
    "CORNER_DENSITY",
    "FOLD",
    "GAIN_STEP",
    "LINE_CORRELATION",
    "MIDDLE_DISTANCE",
    "MODE_SHARE",
    "MOVING_HIGH",
    "MOVING_LOW",
    "OFF_DISTANCE",
    "OFF_NOISE",
    "OFF_RANGE",
    "TELEGRAPH",
    "Mess",
]

MOVING_HIGH = (1.6, 2.4)
"""Range of moving cells that are stuck high, relative to the mean of the highest level."""
MOVING_LOW = (0.0, 0.4)
"""Range of moving cells that are stuck low, relative to the mean of the lowest level."""
MIDDLE_DISTANCE = 3.0
"""Least distance of a middle state from the levels' means, in their standard deviations."""
CLUSTER_RADIUS = 2.5
"""Of a cluster [cell pitches]; it covers 20 cells on average."""
CLUSTER_DENSITY = 0.8
"""Share of a cluster's cells that are faulty."""
CORNER_DENSITY = 0.8
"""Share of the corner's cells that are faulty."""
OFF_RANGE = (0.3, 1.5)
"""Range of failed cells, relative to the lowest and highest level's mean; uniform in ln G."""
OFF_DISTANCE = 5.0
"""Least distance of a failed cell from the mean of its stated level, in standard deviations."""
OFF_NOISE = 3.0
"""Read noise of failed cells relative to that of cells at their level."""
FOLD = 4
"""Period of folded line offsets."""
LINE_CORRELATION = 0.7
"""Correlation of a line's offsets at any two levels."""
MODE_SHARE = 0.3
"""Share of cells in the upper mode of a bimodal level."""
TELEGRAPH = (0.1, 0.3)
"""Range of the distance between the two states of a telegraph cell, relative to its conductance."""
GAIN_STEP = 0.08
"""Deviation of the gain of an affected column, up or down."""

_SHARES = frozenset(
    {
        "moving_stuck",
        "middle_stuck",
        "clusters",
        "corner",
        "shared_failures",
        "off_level",
        "telegraph",
        "column_gain",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mess:
    """Kinds of mess and their sizes; everything is off by default.

    Raises
    ------
    ArrayError
        If a size is negative, not finite, or a share of 1 or more.

    Examples
    --------
    >>> Mess(telegraph=0.05).kinds
    {'telegraph': 0.05}
    """

    moving_stuck: float = 0.0  # share of cells
    middle_stuck: float = 0.0  # share of cells
    clusters: float = 0.0  # share of cells
    corner: float = 0.0  # share of cells
    shared_failures: float = 0.0  # correlation between levels of what makes a cell fail
    off_level: float = 0.0  # share of the cells of /reads, /retention, /iv and /endurance
    row_offsets: float = 0.0  # standard deviation over rows, relative to that of each level
    col_offsets: float = 0.0  # the same over columns
    folded_offsets: float = 0.0  # the same over parts of columns
    bimodal: float = 0.0  # distance of the modes, in standard deviations of the level
    telegraph: float = 0.0  # share of cells
    column_gain: float = 0.0  # share of columns
    sweep_drift: float = 0.0  # relative change over one sweep, standard deviation over sweeps

    def __post_init__(self) -> None:
        for name, size in ((f.name, getattr(self, f.name)) for f in fields(self)):
            top = 1.0 if name in _SHARES else math.inf
            if not 0 <= size < top:
                allowed = "at least 0 and below 1" if top == 1 else "finite and at least 0"
                msg = f"mess {name} has size {size:g}; it must be {allowed}"
                raise ArrayError(msg)

    @property
    def kinds(self) -> dict[str, float]:
        """The kinds that are on, with their sizes."""
        found = {f.name: float(getattr(self, f.name)) for f in fields(self)}
        return {name: size for name, size in found.items() if size}

    @property
    def lines(self) -> dict[tuple[str, int], float]:
        """Relative standard deviation of line offsets that are on, by axis and period."""
        found = {
            ("row", 1): self.row_offsets,
            ("col", 1): self.col_offsets,
            ("col", FOLD): self.folded_offsets,
        }
        return {kind: size for kind, size in found.items() if size}
