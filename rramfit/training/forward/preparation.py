"""Trained forwards of a whole network: put in, renewed, saved, and taken out.

`prepare_training` puts one into every analog linear layer and convolution; attention keeps the full
forward, which draws a chip at every step too. `renew_anchors` solves wires and compares with the
full forward anew, at the inputs that the layers get: once before training, then on a schedule.
`trained_network` gives what was trained: a digital network whose weights lie on the codes, and how
each layer is to be laid so that they do.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rramfit.array.wires.estimate import CrossbarEstimate
from rramfit.mapping.layers.analog_layers import AnalogConv2d, AnalogLinear
from rramfit.mapping.layers.convert import analog_layers, to_digital
from rramfit.mapping.layout.codes import nearest_code
from rramfit.mapping.tiles.calibration import Calibration
from rramfit.training.forward.anchor import Anchor
from rramfit.training.forward.layer_forward import TrainedForward

__all__ = [
    "Anchors",
    "prepare_training",
    "renew_anchors",
    "set_step",
    "trained_forwards",
    "trained_network",
]

Layer = AnalogLinear | AnalogConv2d


def prepare_training(model: nn.Module, inputs: Tensor, *, seed: int, rank: int = 0) -> None:
    """Let an analog network be trained fast.

    Parameters
    ----------
    model : nn.Module
        From `convert_to_analog`; changed in place. Its `state_dict` gets the layers' scales.
    inputs : tensor
        A batch, to solve and calibrate at.
    seed : int
        Of the chips drawn. They are none of those that are drawn for evaluation, of any seed.
    rank : int
        Of a process; each draws its own chips.
    """
    for _, layer in analog_layers(model):
        if isinstance(layer, Layer):
            layer.trained = TrainedForward(layer.analog.matrix, seed=seed, rank=rank)
    renew_anchors(model, inputs)


def trained_forwards(model: nn.Module) -> Iterator[tuple[str, Layer, TrainedForward]]:
    """Layers that are trained fast, by name."""
    for name, layer in analog_layers(model):
        if isinstance(layer, Layer) and isinstance(layer.trained, TrainedForward):
            yield name, layer, layer.trained


def set_step(model: nn.Module, step: int, *, strength: float = 1.0) -> None:
    """Say which step comes, for what is drawn follows from it, and how strong all is."""
    for _, _, forward in trained_forwards(model):
        forward.step, forward.strength = step, strength


def renew_anchors(model: nn.Module, inputs: Tensor) -> None:
    """Renew every layer's anchor, at the inputs it gets in evaluation without non-idealities."""
    found: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            found[name] = args[0].detach()

        return keep

    layers = list(trained_forwards(model))
    before = [(f.strength, f.step) for _, _, f in layers]
    handles = [layer.register_forward_pre_hook(keeper(name)) for name, layer, _ in layers]
    training = model.training
    model.eval()
    try:
        set_step(model, 0, strength=0.0)
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
        model.train(training)
        for (_, _, forward), (strength, step) in zip(layers, before, strict=True):
            forward.strength, forward.step = strength, step
    for name, layer, forward in layers:
        forward.renew(layer, found[name])


class Anchors:
    """Anchors of a network as a part of its checkpoint."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def state(self) -> dict[str, Any]:
        """Give every anchor as plain tensors."""
        return {
            name: _plain(forward.anchor)
            for name, _, forward in trained_forwards(self.model)
            if forward.anchor is not None
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take anchors that were saved."""
        for name, layer, forward in trained_forwards(self.model):
            forward.anchor = _anchor(state[name], layer)


def _plain(anchor: Anchor) -> dict[str, Any]:
    c, e = anchor.calibration, anchor.estimate
    return {
        **{k: getattr(anchor, k) for k in ("gain", "slope", "shift", "noise")},
        "calibration": {f.name: getattr(c, f.name) for f in dataclasses.fields(c)},
        "estimate": None
        if e is None
        else {
            "densities": list(e.densities),
            "correction": e.correction,
            "rest": e.rest,
            "anchored": e.anchored,
            "rows": e.rows,
        },
    }


def _anchor(plain: dict[str, Any], layer: Layer) -> Anchor:
    line, kept = layer.analog.matrix.setup.line, plain["estimate"]
    estimate = None
    if kept is not None and line is not None:
        kept = {**kept, "densities": tuple(kept["densities"])}
        estimate = CrossbarEstimate(line=line, **kept)
    return Anchor(
        estimate=estimate,
        calibration=Calibration(**plain["calibration"]),
        **{k: plain[k] for k in ("gain", "slope", "shift", "noise")},
    )


def trained_network(model: nn.Module) -> tuple[nn.Module, dict[str, dict[str, Tensor]]]:
    """Give the digital network that was trained, and how its layers are laid.

    Returns
    -------
    network : nn.Module
        A copy; where weights are quantised, they lie on the codes of their scales.
    laid : dict
        For `convert_to_analog`: each layer's ``scale``, and its placement where it has one.
    """
    network = to_digital(copy.deepcopy(model))
    laid = {}
    with torch.no_grad():
        for name, layer, forward in trained_forwards(model):
            matrix, scale = layer.analog.matrix, forward.scale.detach().float()
            twin = network.get_submodule(name) if name else network
            if "quantisation" in matrix.setup.factors and isinstance(twin.weight, Tensor):
                book = matrix.setup.book
                per_output = scale.reshape(-1, *[1] * (twin.weight.ndim - 1)).to(twin.weight)
                code = nearest_code(book, (twin.weight / per_output).contiguous())
                twin.weight.copy_(book.values[code] * per_output)
            laid[name] = {"scale": scale.cpu().clone()}
            if matrix.placed is not None and matrix.setup.place_around_faults:
                permutation = matrix.placed.permutation
                laid[name] |= {"rows": permutation.rows.clone(), "cols": permutation.cols.clone()}
    return network.eval(), laid
