"""Training loop: recipes, epochs, checkpoints, history, parallel processes.

In: any network, a data set and a stage of a recipe. Out: the trained network, with a checkpoint and
a line of history per epoch. Training can be resumed bit for bit.

Not here: chip-specific parts (`rramfit.training.forward`, `rramfit.training.aware`).
"""

from rramfit.training.loop.bn_recalibration import recalibrate_batch_norm
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
    "load_recipe",
    "process_group",
    "read_history",
    "recalibrate_batch_norm",
    "train_stage",
]
