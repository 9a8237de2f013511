"""Calibration of a whole network: the ranges of all converters, from declared inputs.

Every layer is calibrated with the inputs that it has in the digital network. The inputs are given
on purpose; no forward calibrates by itself. After `load_state_dict` the scales are fitted to the
new weights, and the ranges are set again with the inputs that were declared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rramfit.errors import MappingError
from rramfit.mapping.layers.matrix_layer import MatrixLayer
from rramfit.mapping.layers.network import (
    AnalogLayer,
    analog_layers,
    analog_weights,
    to_digital,
)

__all__ = ["calibrate", "recalibrate_when_loaded"]


def calibrate(model: nn.Module, inputs: Tensor) -> None:
    """Set the ranges of all converters from one batch of inputs.

    Raises
    ------
    MappingError
        If the inputs are empty, all zero or not finite.
    """
    _check(inputs)
    digital = to_digital(model).eval()
    for weight, held in analog_weights(model):
        if weight.stale:
            weight.prepare(held)
        weight.matrix.forget_ranges()
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


def _check(inputs: Tensor) -> None:
    problem = ""
    if not inputs.numel():
        problem = "are empty"
    elif inputs.is_floating_point() and not bool(inputs.isfinite().all()):
        problem = f"have {int((~inputs.isfinite()).sum())} values that are not finite"
    elif inputs.is_floating_point() and not bool((inputs != 0).any()):
        problem = "are all zero"
    if problem:
        msg = f"the inputs for calibration {problem}; give a batch of real inputs"
        raise MappingError(msg)


class _Recalibrate:
    """Hook of `load_state_dict`: map the loaded weights as conversion maps them."""

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs

    def __deepcopy__(self, memo: dict[int, object]) -> _Recalibrate:
        """Share the inputs, which do not change."""
        return self

    def __call__(self, model: nn.Module, _: object) -> None:
        layers = [layer for _, layer in analog_layers(model)]
        if any(isinstance(x, MatrixLayer) and x.trained is not None for x in layers):
            return  # training owns scales and ranges
        for layer in layers:
            layer.prepare()
        device = next((p.device for p in model.parameters()), self.inputs.device)
        calibrate(model, self.inputs.to(device))


def recalibrate_when_loaded(model: nn.Module, inputs: Tensor) -> None:
    """Fit scales and calibrate again whenever the network's parameters are loaded."""
    model.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
        _Recalibrate(inputs.detach())
    )
