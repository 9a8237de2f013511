"""Checks of the measurement for bad data, and of the fitted distributions on held-out data.

In: the measurement, its screening and the fits. Out: findings about the tester and the file
(offsets, periodic patterns, collapse, drift, duplicate sweeps), and the held-out check.

Not here: faults of single cells (`rramfit.fitting.screening`).
"""

from rramfit.fitting.checks.diagnostics import Diagnostics, diagnose
from rramfit.fitting.checks.heldout import HeldOutCheck, check_heldout

__all__ = ["Diagnostics", "HeldOutCheck", "check_heldout", "diagnose"]
