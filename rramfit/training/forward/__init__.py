"""Fast forward pass of an analog layer for training.

In: a layer's weights and the card. Out: the layer's output with newly drawn cells, fast enough for
every step; wires, converters and read noise are approximated from the full forward (anchors). After
training: the digital network with weights rounded to codes.

Not here: epochs and optimizers (`rramfit.training.loop`).
"""

from rramfit.training.forward.layer_forward import Hardware, fidelity
from rramfit.training.forward.preparation import prepare_training, renew_anchors, trained_network

__all__ = ["Hardware", "fidelity", "prepare_training", "renew_anchors", "trained_network"]
