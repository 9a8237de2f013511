"""Kinds of messy chips, with the sizes that the coverage study uses too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NARROW = {"spread": (0.04, 0.08)}
"""Leaves room between any two levels."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of chip.

    Attributes
    ----------
    mess : dict
        Arguments of `rramfit.measurement.virtual.Mess`.
    card : dict
        Arguments of `random_card`.
    vgg5 : bool
        Whether vgg5 is evaluated on such a chip too. It uses the outer two levels only.
    """

    name: str
    mess: dict[str, float]
    text: str
    card: dict[str, Any] = field(default_factory=dict)
    vgg5: bool = True


KINDS = (
    Kind(
        "moving stuck",
        {"moving_stuck": 0.02},
        "2 % of cells stuck beyond the levels, each time elsewhere",
    ),
    Kind(
        "middle stuck", {"middle_stuck": 0.02}, "2 % of cells stuck between two levels", card=NARROW
    ),
    Kind("telegraph", {"telegraph": 0.1}, "10 % of cells jump between two values, 10–30 % apart"),
    Kind("column gain", {"column_gain": 0.3}, "30 % of columns read 8 % too much or too little"),
    Kind("sweep drift", {"sweep_drift": 0.05}, "readings drift by 5 % (1 sd) during a sweep"),
    Kind(
        "bimodal level",
        {"bimodal": 3.0},
        "30 % of cells 3 standard deviations above the others at the middle level",
        vgg5=False,
    ),
    Kind("clusters", {"clusters": 0.03}, "3 % of cells stuck low, in clusters"),
    Kind("corner", {"corner": 0.03}, "3 % of cells stuck low, around a corner", vgg5=False),
    Kind(
        "shared failures",
        {"shared_failures": 0.7, "off_level": 0.03},
        "hard failures correlated by 0.7 between levels; 3 % of the cells of /reads failed",
        vgg5=False,
    ),
    Kind(
        "line offsets",
        {"row_offsets": 0.3, "col_offsets": 0.5, "folded_offsets": 0.4},
        "rows, columns and columns × (row mod 4): 0.3, 0.5 and 0.4 of a level's spread",
    ),
    Kind(
        "everything",
        {
            "moving_stuck": 0.005,
            "middle_stuck": 0.005,
            "clusters": 0.01,
            "shared_failures": 0.5,
            "off_level": 0.02,
            "telegraph": 0.03,
            "row_offsets": 0.3,
            "col_offsets": 0.3,
            "folded_offsets": 0.2,
        },
        "stuck cells, clusters, failures, telegraph and line offsets, each of smaller size",
        card=NARROW,
    ),
)
