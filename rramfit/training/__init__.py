"""Training networks, plainly and for chips."""

from rramfit.training.history import Epoch, read_history
from rramfit.training.loop import Progress, Run, train_stage
from rramfit.training.plain import train_plain
from rramfit.training.rank import Rank, process_group
from rramfit.training.recipe import Recipe, load_recipe

__all__ = [
    "Epoch",
    "Progress",
    "Rank",
    "Recipe",
    "Run",
    "load_recipe",
    "process_group",
    "read_history",
    "train_plain",
    "train_stage",
]
