"""Training forwards of a network: insert, update, save and remove them.

`prepare_training` inserts a training forward into every layer of one matrix. Attention and
recurrent layers keep the full forward, which also draws a chip at every step. `renew_anchors`
solves the wires and repeats the fit to the full forward at the layers' current inputs, once before
training and then on a schedule. `trained_network` returns the result: a digital network with
weights rounded to codes, and the scale and placement of each layer.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rramfit.array.wires.estimate import CrossbarEstimate
from rramfit.mapping.layers.matrix_layer import MatrixLayer
from rramfit.mapping.layers.network import analog_layers, to_digital
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


def prepare_training(model: nn.Module, inputs: Tensor, *, seed: int, rank: int = 0) -> None:
    """Insert training forwards into an analog network.

    Parameters
    ----------
    model : nn.Module
        From `convert_to_analog`; modified in place. The layers' scales join its `state_dict`.
    inputs : tensor
        A batch for calibration and the fit of anchors.
    seed : int
        Seed of the chips, which differ from the chips drawn for evaluation with any seed.
    rank : int
        Rank of the process; each process draws its own chips.
    """
    for _, layer in analog_layers(model):
        if isinstance(layer, MatrixLayer):
            layer.trained = TrainedForward(layer.analog.matrix, seed=seed, rank=rank)
    renew_anchors(model, inputs)


def trained_forwards(model: nn.Module) -> Iterator[tuple[str, MatrixLayer, TrainedForward]]:
    """Yield the layers with a training forward, with their names."""
    for name, layer in analog_layers(model):
        if isinstance(layer, MatrixLayer) and isinstance(layer.trained, TrainedForward):
            yield name, layer, layer.trained


def set_step(model: nn.Module, step: int, *, strength: float = 1.0) -> None:
    """Set the step, which determines the drawn cells, and the strength of non-idealities."""
    for _, _, forward in trained_forwards(model):
        forward.step, forward.strength = step, strength


def renew_anchors(model: nn.Module, inputs: Tensor) -> None:
    """Update every layer's anchor at its inputs in evaluation without non-idealities."""
    found: dict[str, list[Tensor]] = {}

    def keeper(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            found.setdefault(name, []).append(args[0].detach())  # several uses of one layer

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
        if name in found:
            forward.renew(layer, found[name])


class Anchors:
    """Anchors of a network as part of its checkpoint."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def state(self) -> dict[str, Any]:
        """Return every anchor as plain tensors."""
        return {
            name: _plain(forward.anchor)
            for name, _, forward in trained_forwards(self.model)
            if forward.anchor is not None
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore saved anchors."""
        for name, layer, forward in trained_forwards(self.model):
            forward.anchor = _anchor(_on(state[name], forward.log_scale.device), layer)


def _on(state: Any, device: torch.device) -> Any:
    """Return nested state with its tensors on a device."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {k: _on(v, device) for k, v in state.items()}
    return state


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


def _anchor(plain: dict[str, Any], layer: MatrixLayer) -> Anchor:
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
    """Return the trained network as a digital network, with the mapping of its layers.

    Returns
    -------
    network : nn.Module
        A copy; quantised weights are rounded to the codes of their scales.
    mapping : dict of str to LayerMapping
        For `convert_to_analog`: each layer's ``scale``, and its placement if it has one.
    """
    network = to_digital(copy.deepcopy(model))
    mapping = {}
    with torch.no_grad():
        for name, layer, forward in trained_forwards(model):
            matrix, scale = layer.analog.matrix, forward.scale.detach().float()
            twin = network.get_submodule(name) if name else network
            if "quantisation" in matrix.setup.factors and isinstance(twin.weight, Tensor):
                book, weight = matrix.setup.book, layer.matrix_weight()
                per_output = scale[:, None].to(weight)
                code = nearest_code(book, (weight / per_output).contiguous())
                twin.weight.copy_(layer.digital_weight(book.values[code] * per_output))
            mapping[name] = {"scale": scale.cpu().clone(), **layer.kept_mapping()}
            if matrix.placed is not None and matrix.setup.place_around_faults:
                permutation = matrix.placed.permutation
                mapping[name] |= {
                    "rows": permutation.rows.clone(),
                    "cols": permutation.cols.clone(),
                }
    return network.eval(), mapping
