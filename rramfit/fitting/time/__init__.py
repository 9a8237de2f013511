"""Fits of read noise, retention and endurance.

Input: the groups `/reads`, `/retention` and `/endurance`. Output: read noise with its spectrum and
random telegraph noise, drift and loss over time per level, and the switched states versus cycles.

Not here: the spread right after programming (`rramfit.fitting.levels`,
`rramfit.fitting.variation`).
"""

from rramfit.fitting.time.endurance import EnduranceFit, fit_endurance
from rramfit.fitting.time.read_noise import ReadNoiseFit, fit_read_noise
from rramfit.fitting.time.retention import RetentionFit, fit_retention

__all__ = [
    "EnduranceFit",
    "ReadNoiseFit",
    "RetentionFit",
    "fit_endurance",
    "fit_read_noise",
    "fit_retention",
]
