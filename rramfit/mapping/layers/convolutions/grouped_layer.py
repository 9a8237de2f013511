"""A convolution as a layer of one matrix, packed if it has groups.

With one group the matrix is that of all channels. With several, it is the packed matrix
(`rramfit.mapping.layers.convolutions.grouped`), whose outputs are shared by groups.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from rramfit.mapping.layers.analog_weight import AnalogWeight, LayerMapping
from rramfit.mapping.layers.convolutions.grouped import GroupPacking, output_norms
from rramfit.mapping.layers.matrix_layer import MatrixLayer
from rramfit.mapping.layout.plan import plan_matrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["GroupedLayer"]


class GroupedLayer(MatrixLayer):
    """Base of convolutions and transposed convolutions.

    Attributes
    ----------
    packing : GroupPacking
    norm : (output,) tensor
        Divides the weights of each output if there are several groups; 1 otherwise.
    """

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

    def place(
        self,
        packing: GroupPacking,
        setup: AnalogSetup,
        name: str,
        kind: str,
        vectors: int,
        seed: int,
        mapping: LayerMapping | None,
        shared: AnalogWeight | None,
    ) -> None:
        """Plan the matrix and map the weight; see `AnalogLinear.from_digital`."""
        self.packing = packing
        norm = None if mapping is None else mapping.get("norm")
        self.register_buffer("norm", self._norms() if norm is None else norm, persistent=False)
        outputs, inputs = packing.shape
        plan = plan_matrix(
            name,
            outputs,
            inputs,
            tile=setup.tile,
            scheme=setup.book.scheme,
            slices=setup.book.slices,
            vectors=vectors * packing.groups,
            weights=self.weight.numel(),
            kind=kind,
        )
        weight = self.matrix_weight().to(setup.model.dtype)
        self.analog = shared or AnalogWeight(plan, setup, weight, seed=seed, mapping=mapping)
        self.register_module("trained", None)

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
