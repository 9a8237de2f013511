"""Statistics of values over the array: trend, line offsets, smooth field, periodic patterns.

In: one value for each cell, (row, col), NaN where unknown. Out: variance components of lines, the
likelihood of a smooth random field, patterns that repeat over lines.

Not here: what they do to the errors of estimates (`rramfit.fitting.statistics.inference`).
"""

from rramfit.fitting.statistics.over_array.lines import LineComponents, LineEffect, fit_lines
from rramfit.fitting.statistics.over_array.smooth_field import SmoothField, fit_smooth_field

__all__ = ["LineComponents", "LineEffect", "SmoothField", "fit_lines", "fit_smooth_field"]
