"""Layers with several matrices: attention and recurrent layers."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.mapping.layers.analog_weight import AnalogWeight
from rramfit.mapping.layers.matrix_layer import eager
from rramfit.mapping.layout.plan import plan_matrix
from rramfit.mapping.tiles.precision import round_significand
from rramfit.mapping.tiles.programmed import ProgrammedMatrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["ManyMatrices"]


class ManyMatrices(nn.Module):
    """A layer whose products with several weights are computed on tiles.

    Attributes
    ----------
    projections : dict of str to AnalogWeight
    calibrating : bool
        Whether `forward` computes digitally and extends the converters' ranges to its vectors.
    """

    projections: dict[str, AnalogWeight]
    calibrating: bool

    @abstractmethod
    def projection_weight(self, part: str) -> Tensor:
        """Return the weight (output, input) of one matrix."""

    @abstractmethod
    def to_digital(self) -> nn.Module:
        """Return the digital layer with the same parameters."""

    def map_projections(
        self, setup: AnalogSetup, *, name: str, kind: str, vectors: int, seed: int, parts: list[str]
    ) -> None:
        """Plan all matrices and map their weights."""
        self.calibrating = False
        self.projections = {}
        for part in parts:
            weight = self.projection_weight(part).to(setup.model.dtype)
            plan = plan_matrix(
                f"{name}.{part}",
                weight.shape[0],
                weight.shape[1],
                tile=setup.tile,
                scheme=setup.book.scheme,
                slices=setup.book.slices,
                spare_columns=setup.spare_columns,
                vectors=vectors,
                kind=kind,
            )
            self.projections[part] = AnalogWeight(plan, setup, weight, seed=seed)

    def model_weight(self, part: str) -> Tensor:
        """Return one weight in the floating type of the card's model."""
        return self.projection_weight(part).to(self.projections[part].matrix.setup.model.dtype)

    def prepare(self) -> None:
        """Repeat the fit of scales, the placement and the nominal solution for changed weights."""
        for part, analog in self.projections.items():
            analog.prepare(self.model_weight(part))

    def program(self, *, seed: int, index: int = 0) -> None:
        """Draw one chip and store it."""
        for part, analog in self.projections.items():
            analog.program(self.model_weight(part), seed=seed, index=index)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        for analog in self.projections.values():
            analog.stale = True

    def calibrate(self, *args: Any, **kwargs: Any) -> None:
        """Extend the converters' ranges to an input of `forward`, with digital products."""
        self.calibrating = True
        try:
            with torch.no_grad():
                self.forward(*args, **kwargs)
        finally:
            self.calibrating = False

    def chip_of(self, part: str) -> ProgrammedMatrix | None:
        """Return the chip of one matrix for one forward; None while calibrating."""
        chip: ProgrammedMatrix | None = eager(self._chip_of, part)
        return chip

    def project(
        self, part: str, chip: ProgrammedMatrix | None, x: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Multiply vectors (..., input) by one matrix, (..., output)."""
        out: Tensor = eager(self._project, part, chip, x, bias)
        return out

    def _chip_of(self, part: str) -> ProgrammedMatrix | None:
        if self.calibrating:
            return None
        return self.projections[part].current(self.model_weight(part), training=self.training)

    def _project(
        self, part: str, chip: ProgrammedMatrix | None, x: Tensor, bias: Tensor | None
    ) -> Tensor:
        matrix, weight = self.projections[part].matrix, self.model_weight(part)
        wide = x.to(weight.dtype)
        if chip is None:
            matrix.calibrate(wide.reshape(-1, x.shape[-1]))
            out = F.linear(wide, weight)
        else:
            out = matrix.multiply(chip, wide.reshape(-1, x.shape[-1]))
            out = out.reshape(*x.shape[:-1], weight.shape[0])
        out = out.to(x.dtype)
        if bias is None:
            return out
        return out + round_significand(bias, matrix.setup.peripherals.digital_bits)
