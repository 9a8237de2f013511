"""Programming effort: pulses, energy and residuals of write-verify attempts, by level.

Input: `/attempts`. Output: how many pulses an attempt needs (`pulse_fit`), what a budget and a
window cost, residuals and energy (`effort`), of attempts grouped by their window (`attempts`).

Not here: which cells fail in the programming sweeps (`rramfit.fitting.failure`).
"""

from rramfit.fitting.failure.effort.effort import ProgrammingFit, fit_programming

__all__ = ["ProgrammingFit", "fit_programming"]
