"""The I-V curve of the cells: nonlinearity, SET and RESET voltages, the branches between them.

Input: `/iv`. Output: the nonlinearity of single cells (`curves`) and of the population
(`population`), switching voltages and branches (`switching`, `switching_voltage`).
"""

from rramfit.fitting.electrical.iv.iv import IVFit, fit_iv

__all__ = ["IVFit", "fit_iv"]
