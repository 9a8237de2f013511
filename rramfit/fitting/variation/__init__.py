"""Variation: how readings of one level differ between cells, cycles and reads, and over the array.

In: accepted readings of sound cells, by cell and cycle. Out: per level the variance components
(device-to-device, cycle-to-cycle, read), trends and the smooth field over the array, and the
correlation of a cell's offsets between levels.

Not here: the distribution itself (`rramfit.fitting.levels`).
"""

from rramfit.fitting.variation.variation import VariationFit, fit_variation

__all__ = ["VariationFit", "fit_variation"]
