"""Figures: functions that draw on axes, one module per subject.

In: plain arrays or fits, and matplotlib axes. Out: nothing; the axes are drawn on.

Not here: captions and placement on the page (`rramfit.reporting.sections`).
"""

__all__: list[str] = []
