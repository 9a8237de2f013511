"""Variation: differences between readings of one level over cells, cycles, reads and the array.

In: accepted readings of healthy cells, by cell and cycle. Out: per level the variance components
(device-to-device, cycle-to-cycle, read), trends and the smooth field over the array; and the
correlation of a cell's offsets between levels.

Not here: the distribution of a level (`rramfit.fitting.levels`).
"""

from rramfit.fitting.variation.variation import VariationFit, fit_variation

__all__ = ["VariationFit", "fit_variation"]
