"""The forward pass of an analog layer while it is trained.

In: a layer's weights and the card. Out: an output from freshly drawn cells, fast enough for every
step, with wires, converters and read noise added from the full forward (anchors), and the digital
network on its codes at the end.

Not here: epochs and optimizers (`rramfit.training.loop`).
"""

from rramfit.training.forward.layer_forward import Hardware, fidelity
from rramfit.training.forward.preparation import prepare_training, renew_anchors, trained_network

__all__ = ["Hardware", "fidelity", "prepare_training", "renew_anchors", "trained_network"]
