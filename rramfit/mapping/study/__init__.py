"""Studies of a network on chips: accuracy over many chips, cost of each factor, tiles and energy.

In: a network, labelled images, a setup. Out: an evaluation with intervals, an ablation, a mapping
with its conversions, energy and latency. This package also has the built-in networks and data sets.

Not here: training (`rramfit.training`).
"""

from rramfit.mapping.study.ablation import Ablation, ablate
from rramfit.mapping.study.costs import MappingPlan, mapping_plan
from rramfit.mapping.study.datasets import Dataset, load_dataset
from rramfit.mapping.study.evaluation import Evaluation, evaluate
from rramfit.mapping.study.networks import NETWORKS, make_network

__all__ = [
    "NETWORKS",
    "Ablation",
    "Dataset",
    "Evaluation",
    "MappingPlan",
    "ablate",
    "evaluate",
    "load_dataset",
    "make_network",
    "mapping_plan",
]
