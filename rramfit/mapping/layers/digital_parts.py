"""What stays digital: layers with weights that are not on tiles, and their share of the work.

Operations of a layer are its weights times the positions of its output (samples, pixels, tokens),
of one sample. Lookups (embeddings) have weights and no operations. Layers without matrices (norms,
activations) are not counted. Products with a layer's weight outside of the layer
(`rramfit.mapping.layers.outside_products`) stay digital, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rramfit.mapping.layers.many_matrices import ManyMatrices
from rramfit.mapping.layers.matrix_layer import MatrixLayer, vectors_per_sample
from rramfit.mapping.layers.outside_products import OutsideProducts

__all__ = [
    "DIGITAL_SHARE",
    "DigitalPart",
    "count_positions",
    "digital_parts",
    "digital_sentence",
    "is_analog",
]

DIGITAL_SHARE = 0.05
"""Share of digital operations above which an accuracy needs a warning."""

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001
_LOOKUPS = (nn.Embedding, nn.EmbeddingBag)
_MATRICES = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention, nn.RNNBase)  # noqa: SLF001


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitalPart:
    """A layer with weights that stays digital.

    Attributes
    ----------
    name, kind : str
    weight_share : float
        Of all weights in matrices.
    operation_share : float or None
        Of all operations; None if no inputs are given.
    on_purpose : bool
        Whether it was excluded by name.
    """

    name: str
    kind: str
    weight_share: float
    operation_share: float | None
    on_purpose: bool = False

    def __str__(self) -> str:
        share = f"{100 * self.weight_share:.3g} % of the weights"
        if self.operation_share is not None:
            share += f", {100 * self.operation_share:.3g} % of the operations"
        return f"{self.name or 'the network itself'} ({self.kind}, {share})"


def is_analog(layer: nn.Module) -> bool:
    """Return whether a layer computes on tiles."""
    return isinstance(layer, MatrixLayer | ManyMatrices)


def digital_parts(
    model: nn.Module,
    positions: Mapping[str, int] | None,
    *,
    outside: Mapping[str, int] | None = None,
    on_purpose: frozenset[str] = frozenset(),
) -> tuple[DigitalPart, ...]:
    """Return what stays digital: layers that hold matrices, and products outside of layers.

    Parameters
    ----------
    model : nn.Module
        With analog layers.
    positions : mapping of str to int, optional
        Vectors of each layer for one sample, from `count_positions`.
    outside : mapping of str to int, optional
        Operations with a layer's weight outside of the layer, from `count_positions`.
    on_purpose : frozenset of str
        Names that were excluded.
    """
    digital, outside = dict(_digital(model)), dict(outside or {})
    if not digital and not outside:
        return ()
    weights = {name: matrix_weights(layer) for name, layer in digital.items()}
    for name, layer in model.named_modules():
        if is_analog(layer):
            weights[name] = sum(map(matrix_weights, layer.modules()))
    operations = None
    if positions is not None:
        lookups = {name for name, layer in digital.items() if isinstance(layer, _LOOKUPS)}
        operations = {
            name: 0 if name in lookups else count * positions.get(name, 0)
            for name, count in weights.items()
        }
    total, work = sum(weights.values()), sum(operations.values()) if operations else 0
    work += sum(outside.values())
    layers = tuple(
        DigitalPart(
            name=name,
            kind=type(layer).__name__,
            weight_share=weights[name] / total,
            operation_share=None if operations is None else operations[name] / max(work, 1),
            on_purpose=_is_excluded(name, on_purpose),
        )
        for name, layer in digital.items()
    )
    products = tuple(
        DigitalPart(
            name=f"{name}.weight".removeprefix("."),
            kind="multiplied outside of its layer",
            weight_share=0.0,  # counted with its layer
            operation_share=count / max(work, 1),
            on_purpose=_is_excluded(name, on_purpose),
        )
        for name, count in outside.items()
    )
    return layers + products


def _is_excluded(name: str, on_purpose: frozenset[str]) -> bool:
    return any(name == x or name.startswith(f"{x}.") for x in on_purpose)


def count_positions(model: nn.Module, inputs: Tensor) -> tuple[dict[str, int], dict[str, int]]:
    """Count the vectors of every layer with a matrix, by running one sample.

    Returns
    -------
    positions : dict of str to int
        Vectors of each layer that computes something.
    outside : dict of str to int
        Operations with a layer's weight that the layer does not compute itself.
    """
    counts: dict[str, int] = {}

    def count(name: str, layer: nn.Module, args: tuple[object, ...], out: object) -> None:
        transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)  # noqa: SLF001
        first = args[0] if transposed else out[0] if isinstance(out, tuple) else out
        data = getattr(first, "data", first)  # of a packed sequence
        if isinstance(data, Tensor) and data.numel():
            counts[name] = counts.get(name, 0) + vectors_per_sample(data, layer)

    handles = [
        layer.register_forward_hook(lambda m, args, out, n=name: count(n, m, args, out))
        for name, layer in model.named_modules()
        if matrix_weights(layer) or isinstance(layer, nn.MultiheadAttention)
    ]
    outside = OutsideProducts(
        {name: layer for name, layer in model.named_modules() if isinstance(layer, _MATRICES)}
    )
    training = {name: layer.training for name, layer in model.named_modules()}
    try:
        with torch.no_grad(), outside:
            model.eval()(inputs[:1])
    finally:
        outside.close()
        for handle in handles:
            handle.remove()
        for name, layer in model.named_modules():
            layer.training = training[name]
    return counts, outside.operations


def digital_sentence(parts: tuple[DigitalPart, ...]) -> str:
    """Return one sentence that names the layers that stay digital; empty if there are none."""
    if not parts:
        return ""
    shown = "; ".join(str(part) for part in parts[:6])
    more = f"; and {len(parts) - 6} more" if len(parts) > 6 else ""
    return f"Digital, not on the chip: {shown}{more}."


def _digital(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield layers that hold a matrix and are neither analog nor inside an analog layer."""
    inside: set[int] = set()
    for layer in model.modules():
        if is_analog(layer):
            inside |= {id(x) for x in layer.modules()}
    for name, layer in model.named_modules():
        if id(layer) not in inside and not isinstance(layer, _NORMS) and matrix_weights(layer):
            yield name, layer


def matrix_weights(layer: nn.Module) -> int:
    """Return the number of weights in a layer's own matrices."""
    return sum(p.numel() for p in layer.parameters(recurse=False) if p.ndim > 1)
