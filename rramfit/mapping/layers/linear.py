"""Linear layers on tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.mapping.layers.analog_weight import AnalogWeight, LayerMapping
from rramfit.mapping.layers.matrix_layer import MatrixLayer, keep_hooks
from rramfit.mapping.layout.plan import plan_matrix
from rramfit.mapping.tiles.programmed import ProgrammedMatrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["AnalogLinear"]


class AnalogLinear(MatrixLayer, nn.Linear):
    """A linear layer whose weights are stored in cells of one card."""

    @classmethod
    def from_digital(
        cls,
        layer: nn.Linear,
        setup: AnalogSetup,
        *,
        name: str = "linear",
        vectors: int = 1,
        seed: int = 0,
        mapping: LayerMapping | None = None,
        shared: AnalogWeight | None = None,
    ) -> Self:
        """Convert a digital layer and share its parameters.

        Parameters
        ----------
        layer : nn.Linear
        setup : AnalogSetup
        name : str
        vectors : int
            Input vectors per sample.
        seed : int
        mapping : LayerMapping, optional
            Scales and placement to keep.
        shared : AnalogWeight, optional
            Cells of another layer with the same weight.
        """
        bias: Tensor | None = layer.bias
        new = cls(layer.in_features, layer.out_features, bias=bias is not None, device="meta")
        new.weight, new.bias = layer.weight, layer.bias
        plan = plan_matrix(
            name,
            layer.out_features,
            layer.in_features,
            tile=setup.tile,
            scheme=setup.book.scheme,
            slices=setup.book.slices,
            spare_columns=setup.spare_columns,
            vectors=vectors,
        )
        weight = layer.weight.to(setup.model.dtype)
        new.analog = shared or AnalogWeight(plan, setup, weight, seed=seed, mapping=mapping)
        new.register_module("trained", None)
        keep_hooks(new, layer)
        return new.train(layer.training)

    def to_digital(self) -> nn.Linear:
        """Return the digital layer with the same parameters."""
        bias: Tensor | None = self.bias
        new = nn.Linear(self.in_features, self.out_features, bias=bias is not None, device="meta")
        new.weight, new.bias = self.weight, self.bias
        keep_hooks(new, self)
        return new.train(self.training)

    def matrix_weight(self) -> Tensor:
        """Return the weight as one matrix (output, input)."""
        return self.weight

    def digital_weight(self, matrix: Tensor) -> Tensor:
        """Return the layer's weight whose matrix (output, input) is given."""
        return matrix

    def vectors(self, x: Tensor) -> Tensor:
        """Return the input vectors (vector, input) of an input of `forward`."""
        return x.reshape(-1, self.in_features)

    def apply_product(self, x: Tensor, by: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the product with a function from (vector, input) to (vector, output)."""
        return by(self.vectors(x)).reshape(*x.shape[:-1], self.out_features)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply by another weight (output, input) as this layer does."""
        return F.linear(x, weight, bias)

    def on_tiles(self, x: Tensor, chip: ProgrammedMatrix) -> Tensor:
        """Multiply an input of `forward` by a programmed chip, without the bias."""
        return self.apply_product(x, lambda vectors: self.analog.matrix.multiply(chip, vectors))
