"""Training of digital networks, and of networks for chips."""

from rramfit.training.aware import Trained, finish_training, train_aware
from rramfit.training.forward.layer_forward import Hardware, fidelity
from rramfit.training.forward.preparation import prepare_training, renew_anchors, trained_network
from rramfit.training.loop.bn_recalibration import recalibrate_batch_norm
from rramfit.training.loop.history import Epoch, read_history
from rramfit.training.loop.rank import Rank, process_group
from rramfit.training.loop.recipe import AwareStage, PlainStage, Recipe, load_recipe
from rramfit.training.loop.stage import Progress, Run, train_stage
from rramfit.training.plain import train_plain

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
    "fidelity",
    "finish_training",
    "load_recipe",
    "prepare_training",
    "process_group",
    "read_history",
    "recalibrate_batch_norm",
    "renew_anchors",
    "train_aware",
    "train_plain",
    "train_stage",
    "trained_network",
]
