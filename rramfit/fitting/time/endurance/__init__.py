"""Endurance: states and window versus cycles, and how long cells last.

Input: `/endurance`. Output: drift and spread of the switched states (`states`), the cycle count at
which each cell failed and how (`failure_times`), the distribution of these (`life`), without a
distribution (`product_limit`) and with one (`life_distribution`, `early_failures`).

Not here: retention and read noise.
"""

from rramfit.fitting.time.endurance.failure_times import FailureTimes, failure_times
from rramfit.fitting.time.endurance.life import LifeFit, fit_life
from rramfit.fitting.time.endurance.states import EnduranceFit, endurance_lives, fit_endurance

__all__ = [
    "EnduranceFit",
    "FailureTimes",
    "LifeFit",
    "endurance_lives",
    "failure_times",
    "fit_endurance",
    "fit_life",
]
