"""Training networks, plainly and for chips."""

from rramfit.training.aware import Trained, train_aware
from rramfit.training.forward import Hardware, fidelity
from rramfit.training.history import Epoch, read_history
from rramfit.training.loop import Progress, Run, train_stage
from rramfit.training.norms import estimate_norms
from rramfit.training.plain import train_plain
from rramfit.training.preparation import prepare_training, renew_anchors, trained_network
from rramfit.training.rank import Rank, process_group
from rramfit.training.recipe import AwareStage, PlainStage, Recipe, load_recipe

__all__ = [
    "AwareStage",
    "Epoch",
    "Hardware",
    "PlainStage",
    "Progress",
    "Rank",
    "Recipe",
    "Run",
    "Trained",
    "estimate_norms",
    "fidelity",
    "load_recipe",
    "prepare_training",
    "process_group",
    "read_history",
    "renew_anchors",
    "train_aware",
    "train_plain",
    "train_stage",
    "trained_network",
]
