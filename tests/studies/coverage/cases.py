"""The cases of the coverage study: kinds of cards, of measurements and of mess.

The distribution of the levels (normal, lognormal, t with 6 degrees of freedom) goes round with the
number of the chip, so that every case has all three. Without mess of lines, fields and trends are
on; `random_card` and `with_groups` say how large everything is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SHAPE = (48, 48)
FAMILIES = ("normal", "lognormal", "student_t")
PROGRAM = ("program",)
WITH_READS = ("program", "reads")
EVERY_GROUP = ("program", "reads", "retention", "iv", "pulses", "endurance", "mvm", "readout")
READS = 48


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of chip.

    Attributes
    ----------
    text : str
        What is special, and what is true then, for the report.
    sweeps : int
        In total; 3 program each cell once to each level.
    card : dict
        Arguments of `random_card`.
    dead : float
        Largest share of dead rows and of dead columns.
    mess : dict
        Arguments of `Mess`.
    plan : dict
        Arguments of `Plan`.
    """

    name: str
    text: str
    sweeps: int = 12
    groups: tuple[str, ...] = PROGRAM
    card: dict[str, Any] = field(default_factory=dict)
    dead: float = 0.0
    mess: dict[str, float] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.name)


NARROW = {"spread": (0.04, 0.08)}  # leaves room between any two levels

CASES = (
    Case(
        "calm",
        "No field, no trend, no failures, no stuck cells; every group of the file.",
        sweeps=24,
        groups=EVERY_GROUP,
        card={"spatial": False, "failures": False},
    ),
    Case(
        "field and faults",
        "Smooth field, trends, failures, stuck cells, dead lines; every group of the file. Failure "
        "probabilities of an array in which no line is dead are those outside dead lines. Fields "
        "are 4 to 10 cells long, but intervals allow for every length that an array of 48 x 48 "
        "does not exclude: here and in all other cases with fields, those of means, standard "
        "deviations, `d2d`, trends, thresholds and overlaps are too wide by design, and cover 97 % "
        "at the shortest and 99 % at the longest fields.",
        sweeps=24,
        groups=EVERY_GROUP,
        dead=0.04,
    ),
    Case(
        "two sweeps a level",
        "The same, without dead lines; program and reads.",
        sweeps=6,
        groups=WITH_READS,
    ),
    Case(
        "one sweep",
        "One sweep in total. A stuck cell and a cell that failed cannot be distinguished; the "
        "interval of a share of stuck cells covers both and is too wide by design.",
        sweeps=1,
    ),
    Case(
        "line offsets",
        "Offsets of rows, columns and folded columns (row modulo 4) of 0.3, 0.5 and 0.4 of a "
        "level's standard deviation, over fields and failures. True standard deviations include "
        "them.",
        groups=WITH_READS,
        mess={"row_offsets": 0.3, "col_offsets": 0.5, "folded_offsets": 0.4},
    ),
    Case(
        "moving stuck",
        "2 % of cells are stuck beyond the levels, and read elsewhere after every programming.",
        groups=WITH_READS,
        mess={"moving_stuck": 0.02},
    ),
    Case(
        "middle stuck",
        "2 % of cells are stuck between two levels. They are neither stuck low nor high; `hard` is "
        "the share of cells that are not stuck at all.",
        groups=WITH_READS,
        card=NARROW,
        mess={"middle_stuck": 0.02},
    ),
    Case(
        "off level",
        "3 % of the cells of /reads, /retention, /iv and /endurance failed when they were "
        "programmed, and are listed at the level that was asked for. True values are those of the "
        "cells at their level.",
        groups=EVERY_GROUP,
        mess={"off_level": 0.03},
    ),
    Case(
        "telegraph",
        "10 % of cells jump between two values, 10 to 30 % apart, at every read, in /program too.",
        groups=WITH_READS,
        mess={"telegraph": 0.1},
    ),
    Case(
        "column gain",
        "30 % of columns read 8 % too much or too little. True values are those over columns, also "
        "of stuck cells.",
        mess={"column_gain": 0.3},
    ),
    Case(
        "sweep drift",
        "Readings drift during each sweep, in the order of addresses, by 5 % (one standard "
        "deviation over sweeps). The true trend is 0, because sweeps drift up and down alike.",
        mess={"sweep_drift": 0.05},
    ),
    Case(
        "bimodal level",
        "The middle level has two modes, by cell: 30 % of cells are 3 standard deviations above "
        "the others. Its mean, standard deviation and d2d are those over all cells.",
        mess={"bimodal": 3.0},
    ),
    Case(
        "clusters",
        "3 % of cells are stuck low in clusters of 16 on average. Few clusters make the share of "
        "one array uncertain.",
        mess={"clusters": 0.03},
    ),
    Case(
        "corner",
        "3 % of cells are stuck low around one corner. The share is the same in every chip, which "
        "one array cannot know: the interval of a share is too wide by design.",
        mess={"corner": 0.03},
    ),
    Case(
        "shared failures",
        "What makes a cell fail for good correlates by 0.7 between levels.",
        groups=WITH_READS,
        mess={"shared_failures": 0.7},
    ),
    Case(
        "wear-out",
        "Cells of /endurance have Weibull lives of shape 1.8 and scale 20,000 cycles, of which "
        "10,000 are cycled: a quarter fails, stuck low, stuck high or with a closed window. "
        "/attempts of 200 cells, whose pulses succeed with probability 0.15, and /reads in 5 "
        "sessions that differ by 2 %.",
        sweeps=3,
        groups=("program", "reads", "endurance", "attempts"),
        card={"spatial": False, "failures": False},
        plan={
            "life": (1.8, 2e4),
            "endurance_points": 9,
            "attempt_cells": 200,
            "attempts": 3,
            "attempt_success": 0.15,
            "sessions": 5,
            "session_spread": 0.02,
            "reads": 20,
        },
    ),
    Case(
        "few failures",
        "The same lives with a scale of 200,000 cycles: 0.5 % of cells fail. Pulses of a cell "
        "succeed with a separate probability (mean 0.15, beta-geometric spread 0.03).",
        sweeps=3,
        groups=("program", "endurance", "attempts"),
        card={"spatial": False, "failures": False},
        plan={
            "life": (1.8, 2e5),
            "endurance_points": 9,
            "attempt_cells": 200,
            "attempts": 3,
            "attempt_success": 0.15,
            "attempt_spread": 0.03,
        },
    ),
    Case(
        "everything",
        "Moving and middle-stuck cells 0.5 % each, clusters 1 %, shared failures 0.5, off level "
        "2 %, telegraph 3 %, line offsets of 0.3, 0.3 and 0.2, over fields and failures; every "
        "group of the file. An array has 1.5 clusters on average, and one in five has none. Where "
        "no cluster was found, true values of `stuck` and `failure.probability` are those outside "
        "clusters.",
        groups=EVERY_GROUP,
        card=NARROW,
        mess={
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
    ),
    Case(
        "bakes",
        "Three bakes, at 85, 100 and 120 °C. The energy is 0.4 to 0.9 eV. In turn, temperature "
        "accelerates time, the rate of ln t in siemens, and the rate of a power of time (exponent "
        "0.3) of the logarithm. Levels, error rates and bit error rate are predicted for ten years "
        "at 85 °C.",
        sweeps=6,
        groups=("program", "reads", "retention"),
        card={"spatial": False, "failures": False},
        plan={"bake_temperatures": (373.15, 393.15)},
    ),
    Case(
        "read disturb",
        "48 reads in bursts of 8, with pauses of 10 min, move the mean of a level by up to 0.5 %; "
        "the levels are predicted for 1000 reads.",
        sweeps=6,
        groups=WITH_READS,
        card={"spatial": False, "failures": False},
        plan={"read_burst": 8, "read_pause": 600.0, "read_interval": 0.1},
    ),
    Case(
        "dwell times",
        "10 % of cells are two-state cells, whose dwell times are lognormal over cells (median "
        "80 ms, std of the logarithm 0.5); 400 reads at intervals of 10 ms.",
        sweeps=3,
        groups=WITH_READS,
        card={"spatial": False, "failures": False},
        mess={"telegraph": 0.1},
        plan={"reads": 400, "read_interval": 0.01, "telegraph_dwell": 0.08},
    ),
)
