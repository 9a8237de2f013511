"""A matrix programmed onto tiles, and its product with input vectors.

Fractions of the read voltage go in, (vector, input); numbers come out, (vector, output):

    I = fraction·V_read through the tiles' effective matrices
    y_o = scale_o/V_read·Σ_block Σ_part sign·radix^−slice·gain·converted(I)

With converters out of the way, silent cells that obey Ohm's law, and wires that do not care which
rows are on, all this is linear and is folded into one matrix of the layer's own shape. Otherwise:

cells that are not ohmic   I = V·T + V³·T₃ + V⁵·T₅ with T_n ∝ T·(b·T/G)^(n−1)/n!: a cell is taken to
                           have V·T/G across it, which it has on average with all rows driven; T is
                           that of the cells at 0 V. What is left out is of second order in the
                           small share that is not ohmic.
read noise                 a column's, drawn for each vector: Var I = V²·(σ·T/G)²
gated or floating rows     solved for each vector's own set of rows, or estimated
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.effective import column_currents
from rramfit.array.estimate import CrossbarEstimate
from rramfit.array.line import LineResistance
from rramfit.array.readout import ReadoutChannels
from rramfit.mapping.dies import TileCells
from rramfit.mapping.peripherals import Pass, decode, digitise
from rramfit.mapping.plan import MatrixPlan, Permutation

__all__ = ["Converter", "PatternWires", "ProgrammedMatrix", "product"]

CURRENTS_PER_CHUNK = 2**22
"""Column currents that are worked on together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Converter:
    """Analog-to-digital conversion of every column of every row block."""

    channels: ReadoutChannels  # (row block, column)
    full_scale: Tensor  # [A] (row block, column) current that is brought to the channel's own
    correction: str
    quantised: bool

    def convert(self, current: Tensor, generator: torch.Generator) -> Tensor:
        """Currents as they come out of conversion and correction [A], (block, vector, column)."""
        stretch = (self.channels.full_scale / self.full_scale)[:, None]
        code = digitise(
            current * stretch, self.channels, generator=generator, quantised=self.quantised
        )
        return decode(code, self.channels, self.correction) / stretch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatternWires:
    """Wires whose effective matrix depends on which rows are on; in physical places."""

    conductance: Tensor  # [S] (tile, row, col) at 0 V
    line: LineResistance
    estimate: CrossbarEstimate | None  # None: solved exactly
    plan: MatrixPlan
    placed: Permutation

    def currents(self, voltage: Tensor) -> Tensor:
        """Column currents [A], (row block, vector, column), of voltages (row block, vector, row).

        Rows at 0 V are inactive.
        """
        blocks = self.plan.present.nonzero()[:, 0].to(voltage.device)
        order = self.placed.rows.argsort(1).to(voltage.device)
        v = voltage[blocks]
        v = v.gather(2, order[:, None].expand(v.shape))
        if self.estimate is None:
            current = column_currents(self.conductance, v, self.line)
        else:
            current = self.estimate.column_currents(self.conductance, v)
        cols = self.placed.cols.to(voltage.device)
        current = current.gather(2, cols[:, None].expand(current.shape))
        return self.plan.join(current)


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
        T₃ and T₅ [S/V², S/V⁴]; empty for ohmic cells.
    read_variance : tensor like `matrix`, or None
        [S²]
    gain : (row block, column) tensor
        Digital, for the nominal loss in wires; 0 where there is no tile.
    scale : (output,) tensor
        [weight per siemens]
    significance : (slice,) tensor
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

    def outputs(self, columns: Tensor) -> Tensor:
        """Weighted sums of columns (…, column) over the parts of each output, (…, output)."""
        place = self.plan.columns.to(columns.device)
        weight = self.significance.to(columns)[:, None]
        if place.shape[2] == 2:
            weight = weight * torch.tensor([1.0, -1.0]).to(columns)
        out = (columns[..., place] * weight).sum((-2, -1))
        if self.plan.scheme == "offset":
            reference = columns[..., self.plan.reference_columns.to(columns.device)]
            out = out - reference * self.significance.sum().to(columns)
        return out * self.scale

    def fold(self) -> ProgrammedMatrix:
        """Work out `folded`, where there is such a matrix."""
        if not self.linear:
            return self
        blocks, rows, _ = self.matrix.shape
        made = self.outputs(self.matrix * self.gain[:, None])
        folded = made.reshape(blocks * rows, -1)[: self.plan.inputs].T
        return dataclasses.replace(self, folded=folded)

    def currents(self, voltage: Tensor, generator: torch.Generator) -> Tensor:
        """Column currents [A], (row block, vector, column), of voltages on the rows."""
        current = voltage @ self.matrix if self.wires is None else self.wires.currents(voltage)
        power = voltage
        for odd in self.odd:
            power = power * voltage * voltage
            current = current + power @ odd
        if self.read_variance is not None:
            std = (voltage.square() @ self.read_variance).clamp_min(0).sqrt().detach()
            noise = torch.randn(std.shape, generator=generator, device=std.device, dtype=std.dtype)
            current = torch.addcmul(current, std, noise)
        return current


def rows_of(plan: MatrixPlan, vectors: Tensor) -> Tensor:
    """Cut vectors (vector, input) into (row block, vector, row), zero where there is no input."""
    rows = plan.tile[0]
    short = plan.row_blocks * rows - plan.inputs
    padded = torch.nn.functional.pad(vectors, (0, short))
    return padded.reshape(len(vectors), plan.row_blocks, rows).transpose(0, 1)


def product(programmed: ProgrammedMatrix, passes: list[Pass], generator: torch.Generator) -> Tensor:
    """Multiply inputs, given as passes of (vector, input), by the programmed matrix.

    Returns
    -------
    (vector, output) tensor
    """
    p = programmed
    count = len(passes[0].fraction)
    chunk = max(1, CURRENTS_PER_CHUNK // (p.plan.row_blocks * p.plan.width))
    parts = []
    for at in range(0, max(count, 1), chunk):
        total = torch.zeros((), device=p.matrix.device, dtype=p.matrix.dtype)
        for one in passes:
            voltage = rows_of(p.plan, one.fraction[at : at + chunk]) * p.read_voltage
            current = p.currents(voltage, generator)
            if p.converter is not None:
                current = p.converter.convert(current, generator)
            total = total + one.coefficient * torch.einsum("bvc,bc->vc", current, p.gain)
        parts.append(p.outputs(total))
    out = torch.cat(parts) if len(parts) > 1 else parts[0]
    return out / p.read_voltage
