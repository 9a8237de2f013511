"""A convolution as a layer of one matrix, packed if it has groups.

With one group the matrix is that of all channels. With several, it is the packed matrix
(`rramfit.mapping.layers.convolutions.grouped`), whose outputs are shared by groups.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from rramfit.mapping.layers.analog_weight import AnalogWeight, LayerMapping
from rramfit.mapping.layers.convolutions.grouped import GroupPacking, output_norms
from rramfit.mapping.layers.matrix_layer import MatrixLayer, keep_hooks
from rramfit.mapping.layout.plan import plan_matrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["GroupedLayer"]


class GroupedLayer(MatrixLayer):
    """Base of convolutions and transposed convolutions.

    Attributes
    ----------
    digital : type
        The digital layer.
    kind : str
        Of the plan, without the number of axes.
    geometry : tuple of str
        Attributes that analog and digital layer have in common.
    packing : GroupPacking
    norm : (output,) tensor
        Divides the weights of each output if there are several groups; 1 otherwise.
    """

    digital: type[nn.Module]
    kind: str
    geometry: tuple[str, ...]
    packing: GroupPacking
    norm: Tensor
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    weight: Tensor

    @abstractmethod
    def by_group(self, weight: Tensor) -> Tensor:
        """Return kernels as matrices (group, output, input)."""

    @abstractmethod
    def from_groups(self, matrices: Tensor) -> Tensor:
        """Return kernels of matrices (group, output, input)."""

    @abstractmethod
    def apply_groups(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, all inputs) to (vector, outputs)."""

    @abstractmethod
    def digital_product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the layer with other kernels."""

    @classmethod
    @abstractmethod
    def group_shape(cls, layer: Any) -> tuple[int, int]:
        """Return outputs and inputs of one group of a digital layer."""

    @classmethod
    def from_digital(
        cls,
        layer: Any,
        setup: AnalogSetup,
        *,
        name: str = "conv",
        vectors: int = 1,
        seed: int = 0,
        mapping: LayerMapping | None = None,
        shared: AnalogWeight | None = None,
    ) -> Self:
        """Convert a digital layer and share its parameters; see `AnalogLinear.from_digital`.

        `vectors` is the number of positions per sample: of the output of a convolution, of the
        input of a transposed one.
        """
        new = cls(layer.in_channels, layer.out_channels, 1, device="meta")
        _take(new, layer, cls.geometry)
        packing = GroupPacking.for_tile(layer.groups, *cls.group_shape(layer), setup.tile[0])
        new.packing = packing
        norm = None if mapping is None else mapping.get("norm")
        new.register_buffer("norm", new._norms() if norm is None else norm, persistent=False)
        outputs, inputs = packing.shape
        plan = plan_matrix(
            name,
            outputs,
            inputs,
            tile=setup.tile,
            scheme=setup.book.scheme,
            slices=setup.book.slices,
            spare_columns=setup.spare_columns,
            vectors=vectors * packing.groups,
            weights=layer.weight.numel(),
            kind=f"{cls.kind}{len(layer.kernel_size)}d",
        )
        weight = new.matrix_weight().to(setup.model.dtype)
        new.analog = shared or AnalogWeight(plan, setup, weight, seed=seed, mapping=mapping)
        new.register_module("trained", None)
        return new.train(layer.training)

    def to_digital(self) -> nn.Module:
        """Return the digital layer with the same parameters."""
        new = self.digital(self.in_channels, self.out_channels, 1, device="meta")
        _take(new, self, self.geometry)
        return new.train(self.training)

    def _norms(self) -> Tensor:
        matrices = self.by_group(self.weight.detach())
        if self.groups == 1:
            return torch.ones(matrices.shape[1]).to(matrices)
        return output_norms(matrices.flatten(0, 1))

    def prepare(self) -> None:
        """Repeat the fit of scales, the placement and the nominal solution for changed weights."""
        if "norm" not in self.analog.kept:
            self.norm = self._norms()
        super().prepare()

    @property
    def output_axes(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel_size)

    @property
    def one_to_one(self) -> bool:
        """Whether the outputs of the matrix are those of the layer."""
        return self.groups == 1

    def matrix_weight(self) -> Tensor:
        """Return the weight as one matrix (output, input), packed if there are groups."""
        matrices = self.by_group(self.weight)
        if self.groups == 1:
            return matrices[0]
        norm = self.norm.reshape(self.groups, -1, 1)
        return self.packing.pack(matrices / norm)

    def digital_weight(self, matrix: Tensor) -> Tensor:
        """Return the layer's weight whose matrix (output, input) is given."""
        if self.groups == 1:
            return self.from_groups(matrix[None])
        norm = self.norm.reshape(self.groups, -1, 1).to(matrix)
        return self.from_groups(self.packing.unpack(matrix) * norm)

    def kept_mapping(self) -> dict[str, Tensor]:
        """Return the norms of the outputs, if there are groups."""
        return {} if self.groups == 1 else {"norm": self.norm.detach().cpu().clone()}

    def packed_vectors(self, vectors: Tensor) -> Tensor:
        """Return vectors of the matrix, of vectors of all inputs."""
        return vectors if self.groups == 1 else self.packing.pack_vectors(vectors)

    def apply_product(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, input) to (vector, output)."""
        if self.groups == 1:
            return self.apply_groups(x, by)
        norm = self.norm.to(x)
        return self.apply_groups(x, lambda vectors: self.packing.apply(vectors, by) * norm)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the layer with another weight (output, input)."""
        return self.digital_product(x, self.digital_weight(weight), bias)

    def batched(self, x: Tensor) -> Tensor:
        """Return an input of `forward` with its batch axis."""
        return x if x.ndim == self.output_axes + 2 else x[None]

    def of_outputs(self, values: Tensor, x: Tensor, *, power: int = 1) -> Tensor:
        """Return what a number of every output of the matrix adds to the outputs of the layer."""
        if self.groups > 1:
            values = self.packing.of_outputs(values) * self.norm.to(values) ** power
        return super().of_outputs(values, x, power=power)


def _take(new: nn.Module, layer: Any, geometry: tuple[str, ...]) -> None:
    """Give a layer the geometry, the parameters and the hooks of another one."""
    for attribute in (*geometry, "weight", "bias"):
        setattr(new, attribute, getattr(layer, attribute))
    keep_hooks(new, layer)
