"""Convert a digital network to an analog one and back; program, save and load its chips.

`convert_to_analog` replaces every linear layer, two-dimensional convolution and multi-head
attention by its analog version in a copy of the network. Parameters, names and `state_dict` stay
the same. The fused fast path of a transformer block would bypass the analog layers, so the copy
turns it off.

A chip of a network is identified by a seed and an index. It comprises the tiles of all matrices,
which are drawn independently.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rramfit.card.schema import ModelCard
from rramfit.errors import CheckpointError, MappingError
from rramfit.mapping.layers.analog_layers import (
    AnalogConv2d,
    AnalogLinear,
    AnalogWeight,
    LayerMapping,
)
from rramfit.mapping.layers.attention import AnalogMultiheadAttention
from rramfit.mapping.layers.tensor_files import load_tensors
from rramfit.mapping.tiles.calibration import Calibration
from rramfit.mapping.tiles.chip_source import TileCells
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.setup import AnalogSetup, analog_setup
from rramfit.provenance import atomic_file

__all__ = [
    "analog_layers",
    "analog_matrices",
    "calibrate",
    "convert_to_analog",
    "load_chip",
    "program",
    "save_chip",
    "to_digital",
]

AnalogLayer = AnalogLinear | AnalogConv2d | AnalogMultiheadAttention


def convert_to_analog(
    model: nn.Module,
    card: ModelCard | AnalogSetup,
    *,
    inputs: Tensor | None = None,
    exclude: Collection[str] = (),
    mapping: Mapping[str, LayerMapping] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Map a network's matrices onto chips of a card.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    card : ModelCard or AnalogSetup
        A card with default options, or a setup from `analog_setup`.
    inputs : tensor, optional
        A batch of inputs, to count the vectors of a sample and to calibrate the converters.
        Without it, the first batch calibrates them.
    exclude : collection of str
        Names of layers that stay digital.
    mapping : dict of str to LayerMapping, optional
        Scales and placements to keep, by layer name.
    seed : int
        Seed of chip 0, and of the chips drawn in training.

    Raises
    ------
    MappingError
        If there is no layer to convert, or an excluded name is not a layer.
    """
    setup = card if isinstance(card, AnalogSetup) else analog_setup(card)
    new = copy.deepcopy(model)
    kinds = (nn.Linear, nn.Conv2d, nn.MultiheadAttention)
    found: dict[str, nn.Module] = {
        name: layer for name, layer in new.named_modules() if isinstance(layer, kinds)
    }
    inside = {
        f"{name}.out_proj" for name, x in found.items() if isinstance(x, nn.MultiheadAttention)
    }
    unknown = sorted(set(exclude) - set(found))
    if unknown:
        msg = f"no layer {unknown[0]!r} to exclude; the layers are {', '.join(found)}"
        raise MappingError(msg)
    chosen = {n: x for n, x in found.items() if n not in inside and n not in exclude}
    if not chosen:
        msg = f"{type(model).__name__} has no linear layer, convolution or attention to convert"
        raise MappingError(msg)
    vectors = _count_vectors(new, chosen, inputs)
    for name, layer in chosen.items():
        analog = _convert_layer(
            layer,
            setup,
            name=name,
            vectors=vectors.get(name, 1),
            seed=seed,
            mapping=None if mapping is None else mapping.get(name),
        )
        if name == "":
            new = analog
        else:
            new.set_submodule(name, analog)
    for module in new.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # disables the fused path
        elif isinstance(module, nn.TransformerEncoder):
            module.enable_nested_tensor = False
    if inputs is not None:
        calibrate(new, inputs)
    return new


def _convert_layer(
    layer: nn.Module,
    setup: AnalogSetup,
    *,
    name: str,
    vectors: int,
    seed: int,
    mapping: LayerMapping | None,
) -> AnalogLayer:
    if isinstance(layer, nn.Conv2d):
        return AnalogConv2d.from_digital(
            layer, setup, name=name, vectors=vectors, seed=seed, mapping=mapping
        )
    if isinstance(layer, nn.Linear):
        return AnalogLinear.from_digital(
            layer, setup, name=name, vectors=vectors, seed=seed, mapping=mapping
        )
    if isinstance(layer, nn.MultiheadAttention):
        return AnalogMultiheadAttention.from_digital(
            layer, setup, name=name, vectors=vectors, seed=seed
        )
    msg = f"{name}: {type(layer).__name__} has no analog version"
    raise MappingError(msg)


def _count_vectors(
    model: nn.Module, layers: dict[str, nn.Module], inputs: Tensor | None
) -> dict[str, int]:
    """Count the input vectors of each layer for one sample, by running one sample."""
    if inputs is None:
        return {}
    counts: dict[str, int] = {}

    def hook(name: str, layer: nn.Module, out: Tensor | tuple[Tensor, ...]) -> None:
        first = out if isinstance(out, Tensor) else out[0]
        per_vector = first.shape[1] if isinstance(layer, nn.Conv2d) else first.shape[-1]
        counts[name] = counts.get(name, 0) + first.numel() // per_vector

    handles = [
        layer.register_forward_hook(lambda m, _, out, n=name: hook(n, m, out))
        for name, layer in layers.items()
    ]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(inputs[:1])
    finally:
        for handle in handles:
            handle.remove()
        model.train(training)
    return counts


def to_digital(model: nn.Module) -> nn.Module:
    """Return a digital copy of the network with the same parameters."""
    new = copy.deepcopy(model)
    if isinstance(new, AnalogLayer):
        return new.to_digital()
    for name, layer in list(analog_layers(new)):
        new.set_submodule(name, layer.to_digital())
    return new


def analog_layers(model: nn.Module) -> Iterator[tuple[str, AnalogLayer]]:
    """Yield the analog layers with their names."""
    for name, layer in model.named_modules():
        if isinstance(layer, AnalogLayer):
            yield name, layer


def _weights(layer: AnalogLayer) -> list[AnalogWeight]:
    if isinstance(layer, AnalogMultiheadAttention):
        return list(layer.projections.values())
    return [layer.analog]


def analog_matrices(model: nn.Module) -> list[AnalogMatrix]:
    """Return all matrices of an analog network, in the order of its layers."""
    return [w.matrix for _, layer in analog_layers(model) for w in _weights(layer)]


def program(model: nn.Module, *, seed: int, index: int = 0) -> None:
    """Draw one chip for the whole network and store it."""
    for _, layer in analog_layers(model):
        layer.program(seed=seed, index=index)


def calibrate(model: nn.Module, inputs: Tensor) -> None:
    """Set the ranges of all converters from one batch of inputs.

    Each layer is calibrated with the inputs that it has in the digital network.
    """
    digital = to_digital(model).eval()
    handles = []
    for name, layer in analog_layers(model):
        twin = digital.get_submodule(name) if name else digital
        handles.append(twin.register_forward_pre_hook(_calibrating(layer), with_kwargs=True))
    try:
        with torch.no_grad():
            digital(inputs)
    finally:
        for handle in handles:
            handle.remove()


def _calibrating(
    layer: AnalogLayer,
) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        layer.calibrate(*args, **kwargs)

    return hook


def save_chip(model: nn.Module, path: Path) -> None:
    """Save the chip that holds a network: cells, scales and ranges of every matrix.

    Raises
    ------
    MappingError
        If no chip is programmed.
    """
    content: dict[str, dict[str, Any]] = {}
    for matrix in analog_matrices(model):
        if matrix.programmed is None or matrix.calibration is None or matrix.scale is None:
            msg = f"{matrix.plan.name} is not programmed; call program(model, seed=…) first"
            raise MappingError(msg)
        cells, c = matrix.programmed.cells, matrix.calibration
        content[matrix.plan.name] = {
            "cells": {f.name: getattr(cells, f.name).cpu() for f in dataclasses.fields(cells)},
            "scale": matrix.scale.detach().cpu(),
            "chip": list(matrix.chip),
            "largest": c.largest,
            "signed": c.signed,
            "full_scale": c.full_scale.cpu(),
        }
    with atomic_file(path) as temporary:
        torch.save(content, temporary)


def load_chip(model: nn.Module, path: Path) -> None:
    """Map a network onto a saved chip; it must be converted with the same setup.

    Raises
    ------
    CheckpointError
        If `save_chip` did not write the file, or the matrices differ from the network's.
    """
    content = load_tensors(path, expected="a chip written by save_chip")
    weights = [w for _, layer in analog_layers(model) for w in _weights(layer)]
    names = [w.matrix.plan.name for w in weights]
    if sorted(content) != sorted(names):
        raise CheckpointError(
            path, "matrices", found=str(sorted(content)), expected=str(sorted(names))
        )
    for weight in weights:
        one = content[weight.matrix.plan.name]
        device = weight.matrix.setup.model.device
        shape = one["cells"]["conductance"].shape
        wanted = (weight.matrix.plan.tiles, *weight.matrix.plan.tile)
        if tuple(shape) != wanted:
            name = weight.matrix.plan.name
            raise CheckpointError(path, name, found=f"cells {tuple(shape)}", expected=str(wanted))
        weight.restore(
            TileCells(**one["cells"]).to(device),
            scale=one["scale"].to(device),
            calibration=Calibration(
                largest=one["largest"],
                signed=one["signed"],
                full_scale=one["full_scale"].to(device),
            ),
            chip=(one["chip"][0], one["chip"][1]),
        )
