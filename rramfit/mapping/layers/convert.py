"""Convert a digital network to an analog one.

`convert_to_analog` replaces every linear layer, convolution, transposed convolution, recurrent
layer and multi-head attention by its analog version in a copy of the network. Parameters, names and
`state_dict` stay the same. A layer that is used under several names, or several layers with one
weight, are one set of cells. Layers that stay digital are listed in the attribute `digital_parts`
of the copy; a large share of digital operations is a warning.

The fused fast path of a transformer block would bypass the analog layers, so the copy turns it off.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rramfit.card.schema import ModelCard
from rramfit.errors import MappingError, RramfitWarning
from rramfit.mapping.layers.analog_weight import AnalogWeight, LayerMapping
from rramfit.mapping.layers.attention import AnalogMultiheadAttention
from rramfit.mapping.layers.calibrate import calibrate, recalibrate_when_loaded
from rramfit.mapping.layers.convolutions.plain import AnalogConv1d, AnalogConv2d, AnalogConv3d
from rramfit.mapping.layers.convolutions.transposed import (
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
)
from rramfit.mapping.layers.digital_parts import (
    DIGITAL_SHARE,
    DigitalPart,
    count_positions,
    digital_parts,
    digital_sentence,
    is_analog,
)
from rramfit.mapping.layers.linear import AnalogLinear
from rramfit.mapping.layers.matrix_layer import MatrixLayer
from rramfit.mapping.layers.network import analog_matrices
from rramfit.mapping.layers.recurrent import AnalogRecurrent
from rramfit.mapping.tiles.calibration import LARGEST_ERROR
from rramfit.mapping.tiles.setup import AnalogSetup, analog_setup

__all__ = ["convert_to_analog"]

_MATRIX_LAYERS: dict[type[nn.Module], type[MatrixLayer]] = {
    nn.Linear: AnalogLinear,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
    nn.ConvTranspose1d: AnalogConvTranspose1d,
    nn.ConvTranspose2d: AnalogConvTranspose2d,
    nn.ConvTranspose3d: AnalogConvTranspose3d,
}
_MANY = (nn.MultiheadAttention, nn.RNNBase)
_KINDS = (*_MATRIX_LAYERS, *_MANY)
_HARMLESS = {"__init__", "__repr__", "extra_repr", "reset_parameters"}  # no part of the forward


def convert_to_analog(
    model: nn.Module,
    card: ModelCard | AnalogSetup,
    *,
    inputs: Tensor | None = None,
    exclude: Collection[str] = (),
    mapping: Mapping[str, LayerMapping] | None = None,
    seed: int = 0,
    strict: bool = False,
) -> nn.Module:
    """Map a network's matrices onto chips of a card.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    card : ModelCard or AnalogSetup
        A card with default options, or a setup from `analog_setup`.
    inputs : tensor, optional
        A batch of real inputs, to count the vectors of a sample and to calibrate the converters.
        They are kept: parameters that are loaded later calibrate with them again. Without inputs,
        call `calibrate` before the first forward.
    exclude : collection of str
        Names of layers that stay digital on purpose.
    mapping : dict of str to LayerMapping, optional
        Scales and placements to keep, by layer name.
    seed : int
        Seed of chip 0, and of the chips drawn in training.
    strict : bool
        Whether a layer with weights that stays digital, and is not in `exclude`, is an error.

    Raises
    ------
    MappingError
        If there is no layer to convert, an excluded name is not a layer, or a layer has an own
        forward or no weights yet.

    Warns
    -----
    RramfitWarning
        If more than 5 % of the operations stay digital, other than in excluded layers, or the
        rounding of weights changes a layer's outputs by more than twice their size.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    setup = card if isinstance(card, AnalogSetup) else analog_setup(card, device=device)
    if setup.model.device.type != device.type:
        msg = (
            f"the network is on {device} and the setup on {setup.model.device}. Move the network, "
            "or give device= to analog_setup"
        )
        raise MappingError(msg)
    new = _copied(model)
    names = _names_of_layers(new)
    found = {group[0]: new.get_submodule(group[0]) for group in names}
    inside = {
        id(x) for layer in found.values() if isinstance(layer, _MANY) for x in layer.children()
    }
    every = {name for group in names for name in group}
    containers = {name for name, _ in new.named_modules()} - {""}
    unknown = sorted(set(exclude) - every - containers)
    if unknown:
        msg = f"no layer {unknown[0]!r} to exclude; the layers are {', '.join(sorted(every))}"
        raise MappingError(msg)
    kept = {n for n in every if any(n == x or n.startswith(f"{x}.") for x in exclude)}
    chosen = [g for g in names if id(found[g[0]]) not in inside and not kept & set(g)]
    if not chosen:
        msg = (
            f"{type(model).__name__} has no linear layer, convolution, recurrent layer or "
            "attention to convert"
        )
        raise MappingError(msg)
    for group in chosen:
        _check_layer(group[0], found[group[0]])
    _disable_fused_paths(new)
    positions, outside = (None, None) if inputs is None else count_positions(new, inputs)
    if positions is not None and inputs is not None and inputs.numel():
        unused = [g for g in chosen if not any(n in positions for n in g)]
        if unused and len(inputs) > 1:  # as an expert that the first sample is not sent to
            positions |= dict.fromkeys(_used(new, inputs, unused), 1)
        chosen = [g for g in chosen if any(n in positions for n in g)]
        if not chosen:
            msg = f"no layer of {type(model).__name__} computes anything from the inputs"
            raise MappingError(msg)
    held: dict[tuple[int, type], AnalogWeight] = {}
    for group in chosen:
        layer = found[group[0]]
        analog = _convert_layer(
            layer,
            setup,
            name=group[0],
            vectors=max(1, (positions or {}).get(group[0], 1)),
            seed=seed,
            mapping=None if mapping is None else mapping.get(group[0]),
            held=held,
        )
        for name in group:
            if name == "":
                new = analog
            else:
                new.set_submodule(name, analog)
    parts = digital_parts(new, positions, outside=outside, on_purpose=frozenset(exclude))
    new.__dict__["digital_parts"] = parts
    _judge(parts, strict=strict)
    if inputs is not None:
        calibrate(new, inputs)
        _judge_quantisation(new)
        recalibrate_when_loaded(new, inputs)
    return new


def _copied(model: nn.Module) -> nn.Module:
    """Return a copy whose weights are plain parameters."""
    for name, layer in model.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            msg = (
                f"{name or 'the network'} was compiled by torch.jit, which hides its layers. "
                "Convert the network in Python"
            )
            raise MappingError(msg)
    # With parametrized weights, a recurrent layer's list of weights can hold computed tensors.
    lists = [
        x._flat_weights  # noqa: SLF001
        for x in model.modules()
        if isinstance(x, nn.RNNBase) and parametrize.is_parametrized(x)
    ]
    try:
        new = copy.deepcopy(model, {id(x): [] for x in lists})
    except RuntimeError as e:
        msg = (
            f"{type(model).__name__} cannot be copied ({e}). If it uses torch.nn.utils.weight_norm "
            "or spectral_norm, use the same function of torch.nn.utils.parametrizations, or remove "
            "it first"
        )
        raise MappingError(msg) from None
    for layer in new.modules():
        if parametrize.is_parametrized(layer):
            _as_plain_parameters(layer)
        if isinstance(layer, nn.RNNBase) and not layer._flat_weights:  # noqa: SLF001
            layer._flat_weights = [getattr(layer, n) for n in layer._flat_weights_names]  # noqa: SLF001
        for key, hook in list(layer._forward_pre_hooks.items()):  # noqa: SLF001
            if type(hook).__name__ in ("WeightNorm", "SpectralNorm"):
                hook.remove(layer)
                del layer._forward_pre_hooks[key]  # noqa: SLF001
    return new


def _as_plain_parameters(layer: nn.Module) -> None:
    """Replace parametrized tensors by parameters with their current values."""
    rules = layer.get_submodule("parametrizations").eval()
    with torch.no_grad():
        values = {name: getattr(layer, name).clone() for name, _ in rules.named_children()}
    layer.__class__ = type(layer).__bases__[0]  # `parametrize` derives a class for each layer
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, nn.Parameter(value))


def _names_of_layers(model: nn.Module) -> list[list[str]]:
    """Return the names of each layer that can be converted; several if it is used under several."""
    names: dict[int, list[str]] = {}
    for name, layer in model.named_modules(remove_duplicate=False):
        if isinstance(layer, _KINDS):
            names.setdefault(id(layer), []).append(name)
    return list(names.values())


def _check_layer(name: str, layer: nn.Module) -> None:
    """Refuse layers whose forward is not that of PyTorch, or that have no weights yet."""
    if is_analog(layer):
        msg = f"{name or 'the network'} is analog already; convert the digital network"
        raise MappingError(msg)
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in layer.parameters()):
        msg = f"{name}: {type(layer).__name__} has no weights yet; run one batch of inputs first"
        raise MappingError(msg)
    kinds = (*_MATRIX_LAYERS, nn.MultiheadAttention, nn.RNN, nn.LSTM, nn.GRU)
    kind = next((k for k in kinds if isinstance(layer, k)), nn.RNNBase)
    if (own := _own_method(layer, kind)) is not None:
        msg = (
            f"{name or 'the network'}: {type(layer).__name__} overrides `{own}`, which an "
            f"analog layer would not run. Exclude it, or use {kind.__name__} inside of it"
        )
        raise MappingError(msg)


def _own_method(layer: nn.Module, kind: type[nn.Module]) -> str | None:
    """Return a method of the kind that the layer or a subclass replaces; None if there is none."""
    own: list[Mapping[str, object]] = [vars(layer)]
    own += [vars(x) for x in type(layer).__mro__[: type(layer).__mro__.index(kind)]]
    for names in own:
        for name, value in names.items():
            if name not in _HARMLESS and callable(value) and callable(getattr(kind, name, None)):
                return name
    return None


def _convert_layer(
    layer: nn.Module,
    setup: AnalogSetup,
    *,
    name: str,
    vectors: int,
    seed: int,
    mapping: LayerMapping | None,
    held: dict[tuple[int, type], AnalogWeight],
) -> nn.Module:
    """Convert one layer; a weight that another layer of the same kind holds is on its cells."""
    if isinstance(layer, nn.MultiheadAttention):
        return AnalogMultiheadAttention.from_digital(
            layer, setup, name=name, vectors=vectors, seed=seed
        )
    if isinstance(layer, nn.RNNBase):
        return AnalogRecurrent.from_digital(layer, setup, name=name, vectors=vectors, seed=seed)
    kind, analog = next((k, a) for k, a in _MATRIX_LAYERS.items() if isinstance(layer, k))
    key = (id(layer.weight), kind)
    new: MatrixLayer = analog.from_digital(  # type: ignore[attr-defined]
        layer,
        setup,
        name=name,
        vectors=vectors,
        seed=seed,
        mapping=mapping,
        shared=held.get(key),
    )
    held.setdefault(key, new.analog)
    return new


def _disable_fused_paths(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # disables the fused path
        elif isinstance(module, nn.TransformerEncoder):
            module.enable_nested_tensor = False


def _used(model: nn.Module, inputs: Tensor, groups: list[list[str]]) -> set[str]:
    """Return the first names of the layers, of some, that a batch of inputs uses."""
    used: set[str] = set()
    handles = [
        model.get_submodule(g[0]).register_forward_pre_hook(lambda *_, n=g[0]: used.add(n))
        for g in groups
    ]
    try:
        with torch.no_grad():
            model.eval()(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return used


def _judge_quantisation(model: nn.Module) -> None:
    """Warn of weights whose rounding changes the outputs by more than twice the outputs."""
    bad = [m for m in analog_matrices(model) if m.quantisation_error > LARGEST_ERROR]
    if not bad:
        return
    worst = max(bad, key=lambda m: m.quantisation_error)
    book = worst.setup.book
    warnings.warn(
        f"Rounding the weights to {len(book.values)} values (scheme {book.scheme}) changes the "
        f"outputs of {worst.plan.name} by {worst.quantisation_error:.2g} times their size, and "
        f"those of {len(bad)} of {len(analog_matrices(model))} matrices by more than "
        f"{LARGEST_ERROR:g} times. Use pairs of cells, more slices or more levels.",
        RramfitWarning,
        stacklevel=3,
    )


def _judge(parts: tuple[DigitalPart, ...], *, strict: bool) -> None:
    """Warn of digital operations, or refuse digital layers."""
    silent = tuple(part for part in parts if not part.on_purpose)
    if strict and silent:
        msg = f"{digital_sentence(silent)} Exclude them by name, or convert without strict"
        raise MappingError(msg)
    share = sum(part.operation_share or 0.0 for part in silent)
    if share > DIGITAL_SHARE:
        warnings.warn(
            f"{100 * share:.3g} % of the operations stay digital. {digital_sentence(silent)} "
            "Accuracies are those of a network that is only partly on chips.",
            RramfitWarning,
            stacklevel=3,
        )
