"""An analog network: its layers, its weights on tiles, its chips, and the way back to digital.

A chip of a network is identified by a seed and an index. It comprises the tiles of all matrices,
which are drawn independently.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import Tensor, nn

from rramfit.mapping.layers.analog_weight import AnalogWeight
from rramfit.mapping.layers.many_matrices import ManyMatrices
from rramfit.mapping.layers.matrix_layer import MatrixLayer
from rramfit.mapping.tiles.matrix import AnalogMatrix

__all__ = [
    "AnalogLayer",
    "analog_layers",
    "analog_matrices",
    "analog_weights",
    "program",
    "to_digital",
]

AnalogLayer = MatrixLayer | ManyMatrices


def to_digital(model: nn.Module) -> nn.Module:
    """Return a digital copy of the network with the same parameters."""
    new = copy.deepcopy(model)
    if isinstance(new, AnalogLayer):
        return new.to_digital()
    names: dict[int, list[str]] = {}
    layers: dict[int, AnalogLayer] = {}
    for name, layer in new.named_modules(remove_duplicate=False):
        if isinstance(layer, AnalogLayer):
            names.setdefault(id(layer), []).append(name)
            layers[id(layer)] = layer
    for key, layer in layers.items():
        twin = layer.to_digital()
        for name in names[key]:
            new.set_submodule(name, twin)
    return new


def analog_layers(model: nn.Module) -> Iterator[tuple[str, AnalogLayer]]:
    """Yield the analog layers with their (first) names."""
    for name, layer in model.named_modules():
        if isinstance(layer, AnalogLayer):
            yield name, layer


def analog_weights(model: nn.Module) -> Iterator[tuple[AnalogWeight, Tensor]]:
    """Yield the weights on tiles, each once, with the values (output, input) to program."""
    seen: set[int] = set()
    for _, layer in analog_layers(model):
        if isinstance(layer, ManyMatrices):
            found = [(w, layer.model_weight(part)) for part, w in layer.projections.items()]
        else:
            found = [(layer.analog, layer.model_weight())]
        for weight, held in found:
            if id(weight) not in seen:
                seen.add(id(weight))
                yield weight, held


def analog_matrices(model: nn.Module) -> list[AnalogMatrix]:
    """Return all matrices of an analog network, in the order of its layers."""
    return [weight.matrix for weight, _ in analog_weights(model)]


def program(model: nn.Module, *, seed: int, index: int = 0) -> None:
    """Draw one chip for the whole network and store it."""
    for weight, held in analog_weights(model):
        weight.program(held, seed=seed, index=index)
