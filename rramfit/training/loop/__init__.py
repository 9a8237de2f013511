"""The training loop: recipes, epochs, checkpoints, history, several processes.

In: any network, a data set and a stage of a recipe. Out: the trained network, with a checkpoint and
a line of history per epoch, resumable bit for bit.

Not here: what is special to chips (`rramfit.training.forward`, `rramfit.training.aware`).
"""

from rramfit.training.loop.bn_recalibration import estimate_norms
from rramfit.training.loop.history import Epoch, read_history
from rramfit.training.loop.rank import Rank, process_group
from rramfit.training.loop.recipe import AwareStage, PlainStage, Recipe, load_recipe
from rramfit.training.loop.stage import Progress, Run, train_stage

__all__ = [
    "AwareStage",
    "Epoch",
    "PlainStage",
    "Progress",
    "Rank",
    "Recipe",
    "Run",
    "estimate_norms",
    "load_recipe",
    "process_group",
    "read_history",
    "train_stage",
]
