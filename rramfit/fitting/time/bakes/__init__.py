"""Joint fit of several bakes: activation energies, and changes at other times and temperatures.

Input: two or more bakes of `/retention`, of one file or of several. Output: the law of drift and
growth with time and temperature, its activation energies with intervals, tests of the law, and
bounds on the share of lost cells. Not here: the fit of one bake (`rramfit.fitting.time.retention`),
predictions from a card (`rramfit.card.levels_at`).
"""

from rramfit.fitting.time.bakes.bakes import Bake, BakesFit, fit_bakes
from rramfit.fitting.time.bakes.join import join_bakes, with_joined_bakes
from rramfit.fitting.time.bakes.zero_failures import (
    cells_needed,
    failure_rate_bound,
    failure_share,
    share_bound,
)

__all__ = [
    "Bake",
    "BakesFit",
    "cells_needed",
    "failure_rate_bound",
    "failure_share",
    "fit_bakes",
    "join_bakes",
    "share_bound",
    "with_joined_bakes",
]
