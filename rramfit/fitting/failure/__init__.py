"""Programming failure: the probability that a cell is not accepted at its target level.

In: attempts, their acceptance, and the faulty cells that screening found. Out: failure probability
per level, its hard part (the cell always fails) and soft part (it fails at random), shares of stuck
cells and dead lines, and whether faults cluster.

Not here: which cells are faulty (`rramfit.fitting.screening`).
"""

from rramfit.fitting.failure.failure import FailureFit, fit_failure
from rramfit.fitting.failure.fault_clustering import FaultClustering, find_clustering

__all__ = ["FailureFit", "FaultClustering", "find_clustering", "fit_failure"]
