"""A matrix programmed onto tiles, and its product with input vectors.

Voltages go in, (input, vector); numbers come out, (output, vector). The output pixels of a
convolution's images are vectors alike. Vectors lie along the last axis, so that what belongs to a
column is one number for a whole line:

    I = voltages through the tiles' effective matrices
    y_o = scale_o·coefficient·Σ_block Σ_part sign·radix^−slice·gain·converted(I)

With converters out of the way, silent cells that obey Ohm's law, and wires that do not care which
rows are on, all this is linear and is folded into one matrix of the layer's own shape. Otherwise:

cells that are not ohmic   I = V·T + V³·T₃ + V⁵·T₅ with T_n ∝ T·(b·T/G)^(n−1)/n!: a cell is taken to
                           have V·T/G across it, which it has on average with all rows driven; T is
                           that of the cells at 0 V. What is left out is of second order in the
                           small share that is not ohmic. A term that no column feels at the read
                           voltage (`rramfit.mapping.tiles.matrix`) is left out.
read noise                 a column's, drawn for each vector: Var I = V²·(σ·T/G)²
gated or floating rows     solved for each vector's own set of rows, or estimated
                           (`rramfit.mapping.tiles.pattern_wires`)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.readout import ReadoutChannels
from rramfit.mapping.layout.plan import MatrixPlan, Permutation
from rramfit.mapping.tiles.chip_source import TileCells
from rramfit.mapping.tiles.pattern_wires import PatternWires
from rramfit.mapping.tiles.peripherals import digitise, without_bow

__all__ = ["Converter", "ProgrammedMatrix", "rows_of", "samples_together"]

CURRENTS_PER_CHUNK = 2**18
"""Column currents that are worked on together: 1 MiB, which stays in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Converter:
    """Analog-to-digital conversion of every column of every row block."""

    channels: tuple[ReadoutChannels, ...]  # of each row block, (1, column), at the tile's range
    offset: Tensor  # [LSB] (row block, column) that codes are corrected by
    gain: Tensor  # [LSB/A] (row block, column)
    correction: str
    quantised: bool

    def convert(self, block: int, current: Tensor, generator: torch.Generator) -> Tensor:
        """Codes of a row block's currents (column, vector), bow undone where asked for."""
        channels, of = self.channels[block], current[None]
        code = digitise(of, channels, generator=generator, quantised=self.quantised, axis=1)
        return (without_bow(code, channels, axis=1) if self.correction == "cubic" else code)[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgrammedMatrix:
    """One layer on its drawn tiles.

    Attributes
    ----------
    cells : TileCells
        In physical places.
    matrix : (row block, row, column) tensor
        Effective matrix in logical places [S], all rows driven.
    odd : tuple of (row block, row, column) tensors
        T₃ and T₅ [S/V², S/V⁴], as far as they count; empty for ohmic cells.
    read_variance : tensor like `matrix`, or None
        [S²]
    gain : (row block, column) tensor
        Digital, for the nominal loss in wires; 0 where there is no tile.
    scale : (output,) tensor
        [weight per siemens]
    significance : (slice,) tensor
    read_voltage : float
        [V]
    folded : (output, input) tensor or None
        Everything in one, where everything is linear.
    """

    plan: MatrixPlan
    placed: Permutation
    cells: TileCells
    matrix: Tensor
    odd: tuple[Tensor, ...]
    read_variance: Tensor | None
    wires: PatternWires | None
    converter: Converter | None
    gain: Tensor
    scale: Tensor
    significance: Tensor
    read_voltage: float
    folded: Tensor | None = None

    @property
    def linear(self) -> bool:
        """Whether the product is one matrix."""
        return not self.odd and all(
            x is None for x in (self.read_variance, self.wires, self.converter)
        )

    @property
    def takes_bits(self) -> bool:
        """Whether a row's voltage may be given as on or off."""
        return self.wires is not None and bool(self.wires.planes)

    def outputs(self, columns: Tensor) -> Tensor:
        """Weighted sums of columns over the parts of each output.

        Parameters
        ----------
        columns : (..., column, vector) tensor

        Returns
        -------
        (..., output, vector) tensor
        """
        place = self.plan.columns.to(columns.device)
        significance = self.significance.tolist()
        out = torch.zeros((), dtype=columns.dtype, device=columns.device)
        for s, counts in enumerate(significance):
            for p in range(place.shape[2]):
                out = out + (counts if p == 0 else -counts) * columns[..., place[:, s, p], :]
        if self.plan.scheme == "offset":
            reference = self.plan.reference_columns.to(columns.device)
            out = out - sum(significance) * columns[..., reference, :]
        return out * self.scale[:, None]

    def fold(self) -> ProgrammedMatrix:
        """Work out `folded`, where there is such a matrix."""
        if not self.linear:
            return self
        made = self.outputs((self.matrix * self.gain[:, None]).transpose(1, 2))
        folded = made.transpose(0, 1).flatten(1)[:, : self.plan.inputs]
        return dataclasses.replace(self, folded=folded)

    def _block_currents(self, block: int, voltage: Tensor, generator: torch.Generator) -> Tensor:
        """Column currents of one row block [A], (column, vector).

        Parameters
        ----------
        block : int
        voltage : (row, vector) tensor
            [V], or bool: whether a row is at the read voltage.
        generator : torch.Generator
        """
        rows = len(voltage)
        if self.wires is None:
            current = self.matrix[block, :rows].T @ voltage
        elif voltage.dtype == torch.bool:
            current = self.wires.planes[block].currents(voltage)
            if self.odd or self.read_variance is not None:
                voltage = voltage * self.read_voltage
        else:
            current = self.wires.block_currents(block, voltage)
        power = voltage
        for odd in self.odd:
            power = power * voltage * voltage
            current = current + odd[block, :rows].T @ power
        if self.read_variance is not None:
            variance = self.read_variance[block, :rows].T @ voltage.square()
            std = variance.clamp_min(0).sqrt().detach()
            noise = torch.randn(std.shape, generator=generator, device=std.device, dtype=std.dtype)
            current = torch.addcmul(current, std, noise)
        return current

    def product(
        self, voltages: Sequence[tuple[float, Tensor]], generator: torch.Generator
    ) -> Tensor:
        """Multiply inputs by the matrix.

        Parameters
        ----------
        voltages : sequence of (float, (input, vector) tensor)
            Of each pass: its coefficient [input/V], and what is on the rows [V]; bool where
            `takes_bits`: whether they are at the read voltage.
        generator : torch.Generator
            Of noise.

        Returns
        -------
        (output, vector) tensor
        """
        rows = self.plan.tile[0]
        total = self.matrix.new_zeros(self.plan.width, voltages[0][1].shape[1])
        shift = self.matrix.new_zeros(self.plan.width)
        for coefficient, voltage in voltages:
            for block in range(self.plan.row_blocks):
                part = voltage[block * rows : (block + 1) * rows]
                read = self._block_currents(block, part, generator)
                counts = coefficient * self.gain[block]
                if self.converter is not None:
                    read = self.converter.convert(block, read, generator)
                    counts = counts / self.converter.gain[block]
                    shift = shift + counts * self.converter.offset[block]
                if torch.is_grad_enabled():
                    total = torch.addcmul(total, read, counts[:, None])
                else:
                    total.addcmul_(read, counts[:, None])
        return self.outputs(total - shift[:, None])


def rows_of(plan: MatrixPlan, vectors: Tensor) -> Tensor:
    """Cut vectors (vector, input) into (row block, vector, row), zero where there is no input."""
    rows = plan.tile[0]
    short = plan.row_blocks * rows - plan.inputs
    padded = torch.nn.functional.pad(vectors, (0, short))
    return padded.reshape(len(vectors), plan.row_blocks, rows).transpose(0, 1)


def samples_together(plan: MatrixPlan, places: int) -> int:
    """Count the samples of so many places whose column currents stay in the cache."""
    return max(1, CURRENTS_PER_CHUNK // (plan.width * places))
