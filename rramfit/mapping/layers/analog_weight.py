"""One weight on tiles, and the chip that currently holds it.

In evaluation a layer uses the chip that was programmed last, or chip 0 of its seed if none was; it
is programmed again if the weight has changed in any way since. In training a new chip is drawn at
every step. A weight that several layers or calls use is one set of cells.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from rramfit.errors import MappingError
from rramfit.mapping.layout.plan import MatrixPlan, Permutation
from rramfit.mapping.tiles.calibration import Calibration
from rramfit.mapping.tiles.chip_source import TileCells
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.programmed import ProgrammedMatrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["AnalogWeight", "LayerMapping"]

LayerMapping = Mapping[str, Tensor]
"""Existing mapping of a matrix: its ``scale``, and ``rows`` and ``cols`` of its permutation."""


def _check_mapping(plan: MatrixPlan, mapping: LayerMapping) -> None:
    """Raise an error if the mapping belongs to other tiles."""
    rows, cols = plan.tile
    wanted = {"scale": (plan.outputs,), "rows": (plan.tiles, rows), "cols": (plan.tiles, cols)}
    for name, shape in wanted.items():
        if name in mapping and tuple(mapping[name].shape) != shape:
            msg = (
                f"layer {plan.name} was mapped with {name} {tuple(mapping[name].shape)}; expected "
                f"{shape}. Use the tile, scheme and slices that it was trained with"
            )
            raise MappingError(msg)


class AnalogWeight:
    """One weight on tiles.

    Attributes
    ----------
    matrix : AnalogMatrix
    seed : int
        Seed of the chips drawn in training, and of chip 0.
    step : int
        Number of chips drawn in training.
    stale : bool
        Whether parameters were loaded since the scales were fitted.
    """

    def __init__(
        self,
        plan: MatrixPlan,
        setup: AnalogSetup,
        weight: Tensor,
        *,
        seed: int,
        mapping: LayerMapping | None = None,
    ) -> None:
        self.matrix = AnalogMatrix(plan, setup)
        self.matrix.chip = (seed, 0)
        self.seed = seed
        self.step = 0
        self._mapping = mapping
        self._held: Tensor | None = None
        self.stale = False
        self.prepare(weight)

    @property
    def kept(self) -> LayerMapping:
        """What was given to be kept: scale, placement, norms."""
        return self._mapping or {}

    def prepare(self, weight: Tensor) -> None:
        """Fit the scales, place, and solve the nominal tiles for a weight (output, input).

        A given mapping is kept. The chip and the calibration are discarded.
        """
        self.stale = False
        if self._mapping is None:
            self.matrix.prepare(weight)
            return
        _check_mapping(self.matrix.plan, self._mapping)
        rows, cols = self._mapping.get("rows"), self._mapping.get("cols")
        placed = None if rows is None or cols is None else Permutation(rows=rows, cols=cols)
        self.matrix.prepare(weight, scale=self._mapping["scale"].to(weight), permutation=placed)

    def program(self, weight: Tensor, *, seed: int, index: int) -> ProgrammedMatrix:
        """Draw a chip and keep it."""
        self._held = weight.detach().clone()
        return self.matrix.program(weight, seed=seed, index=index)

    def current(self, weight: Tensor, *, training: bool) -> ProgrammedMatrix:
        """Return the chip for one forward: a new one in training, otherwise the stored one.

        Raises
        ------
        MappingError
            If the converters are not calibrated.
        """
        m = self.matrix
        if self.stale:
            self.prepare(weight)
        if m.calibration is None and m.setup.calibrates:
            msg = (
                f"the converters of {m.plan.name} are not calibrated; pass inputs= to "
                "convert_to_analog, or call calibrate(model, inputs) with a batch of real inputs"
            )
            raise MappingError(msg)
        if training:
            self.step += 1
            m.chip = (self.seed, -self.step)
            return m.draw(weight, seed=self.seed, index=-self.step).fold()
        if m.programmed is None or not self._holds(weight):
            seed, index = m.chip if m.chip[1] >= 0 else (self.seed, 0)
            return self.program(weight, seed=seed, index=index)
        return m.programmed

    def _holds(self, weight: Tensor) -> bool:
        """Return whether the stored chip was programmed with this weight."""
        if torch.compiler.is_compiling():
            return True
        held = self._held
        return held is not None and held.device == weight.device and bool(held.equal(weight))

    def restore(
        self,
        cells: TileCells,
        weight: Tensor,
        *,
        scale: Tensor,
        calibration: Calibration,
        chip: tuple[int, int],
    ) -> None:
        """Map the weight onto saved cells."""
        self._held = weight.detach().clone()
        self.matrix.restore(cells, scale=scale, calibration=calibration, chip=chip)

    def __deepcopy__(self, memo: dict[int, object]) -> AnalogWeight:
        """Copy what can change; share immutable records. Layers that share a weight still do."""
        new = copy.copy(self)
        new.matrix = copy.copy(self.matrix)
        memo[id(self)] = new
        return new
