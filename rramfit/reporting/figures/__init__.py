"""Figures: functions that draw on axes, one module per subject.

Input: arrays or parts of a card, and matplotlib axes. Output: none; the axes are drawn on.

Not here: captions and placement on the page (`rramfit.reporting.sections`).
"""

__all__: list[str] = []
