"""Programming failure: how often a cell is not accepted at the level asked for, and why.

In: attempts and their acceptance, and the screening's faulty cells. Out: failure probability per
level, its hard (the cell always fails) and soft (it fails at times) parts, shares of stuck cells
and dead lines, and whether faults cluster.

Not here: which single cells are faulty (`rramfit.fitting.screening`).
"""

from rramfit.fitting.failure.failure import FailureFit, fit_failure
from rramfit.fitting.failure.fault_clustering import FaultClustering, find_clustering

__all__ = ["FailureFit", "FaultClustering", "find_clustering", "fit_failure"]
