"""A matrix programmed onto tiles, and its product with input vectors.

Inputs are voltages (input, vector), outputs are numbers (output, vector). The output pixels of a
convolution are vectors, too. Vectors are the last axis, so that a per-column quantity is one number
per contiguous row in memory:

    I = voltages through the tiles' effective matrices
    y_o = scale_o·coefficient·Σ_block Σ_part sign·radix^−slice·gain·converted(I)

Without converters, read noise and nonlinear cells, and with wires that do not depend on the active
rows, the product is linear and is folded into one matrix of the layer's shape. Otherwise:

nonlinear cells            I = V·T + V³·T₃ + V⁵·T₅ with T_n ∝ T·(b·T/G)^(n−1)/n!. The voltage across
                           a cell is taken as V·T/G, its mean with all rows driven; T is the
                           effective matrix of the cells at 0 V. The error is of second order in
                           the small nonlinear part of the current. A term that is negligible in
                           every column at the read voltage is omitted.
read noise                 one value per column and vector: Var I = V²·(σ·T/G)²; or, for noise
                           that is slow compared with a batch, one value per cell and batch
gated or floating rows     solved for the active rows of each vector, or estimated
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
from rramfit.mapping.tiles.integers.code_products import CodeMatrix
from rramfit.mapping.tiles.pattern_wires import PatternWires
from rramfit.mapping.tiles.peripherals import digitise, remove_cubic
from rramfit.mapping.tiles.precision import round_significand

__all__ = [
    "NEGLIGIBLE",
    "Converter",
    "ProgrammedMatrix",
    "odd_terms",
    "rows_of",
    "samples_per_chunk",
]

NEGLIGIBLE = 1e-4
"""Relative contribution to a column current below which a nonlinear term is omitted."""

CURRENTS_PER_CHUNK = 2**18
"""Column currents per chunk: 1 MiB, which fits into the cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Converter:
    """Analog-to-digital conversion of every column of every row block."""

    channels: tuple[ReadoutChannels, ...]  # one per row block, (1, column), at the tile's range
    known: tuple[ReadoutChannels, ...]  # as their calibration found them
    offset: Tensor  # [LSB] (row block, column) correction of the codes
    gain: Tensor  # [LSB/A] (row block, column)
    correction: str
    quantised: bool

    def convert(self, block: int, current: Tensor, generator: torch.Generator) -> Tensor:
        """Digitise a row block's currents (column, vector); with `cubic`, linearize the codes."""
        channels, of = self.channels[block], current[None]
        code = digitise(of, channels, generator=generator, quantised=self.quantised, axis=1)
        if self.correction == "cubic":
            code = remove_cubic(code, self.known[block], axis=1)
        return code[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgrammedMatrix:
    """One layer on its programmed tiles.

    Attributes
    ----------
    cells : TileCells
        In physical positions.
    matrix : (row block, row, column) tensor
        Effective matrix in logical positions [S], all rows driven.
    odd : tuple of (row block, row, column) tensors
        T₃ and T₅ [S/V², S/V⁴], unless negligible; empty for ohmic cells.
    read_variance : tensor like `matrix`, or None
        [S²]
    gain : (row block, column) tensor
        Digital correction of the nominal loss in wires; 0 for absent tiles.
    scale : (output,) tensor
        [weight per siemens]
    significance : (slice,) tensor
    read_voltage : float
        [V]
    folded : (output, input) tensor or None
        The product as one matrix, if it is linear.
    digital_bits : int or None
        Significand of digital numbers; None: float32.
    frozen : tensor like `matrix`, or None
        Deviation of the matrix during a batch [S].
    codes : tuple of CodeMatrix
        Row blocks in int8 with their converters, if inputs can be given as codes; may be empty.
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
    digital_bits: int | None = None
    frozen: Tensor | None = None
    codes: tuple[CodeMatrix, ...] = ()

    @property
    def linear(self) -> bool:
        """Whether the product can be folded into one matrix."""
        others = (self.read_variance, self.wires, self.converter, self.digital_bits)
        return not self.odd and all(x is None for x in others)

    @property
    def takes_bits(self) -> bool:
        """Whether row voltages can be given as bools (on or off)."""
        return self.wires is not None and bool(self.wires.planes)

    def outputs(self, columns: Tensor) -> Tensor:
        """Compute weighted sums of columns over the parts of each output.

        Parameters
        ----------
        columns : (..., column, vector) tensor

        Returns
        -------
        (..., output, vector) tensor
        """
        place = self.plan.columns
        significance = self.significance.tolist()
        out = torch.zeros((), dtype=columns.dtype, device=columns.device)
        for s, counts in enumerate(significance):
            for p in range(place.shape[2]):
                part = _taken(columns, place[:, s, p])
                out = (
                    part * counts if s == p == 0 else out.add(part, alpha=-counts if p else counts)
                )
        if self.plan.scheme == "offset":
            reference = _taken(columns, self.plan.reference_columns)
            out = out - sum(significance) * reference
        scale = round_significand(self.scale, self.digital_bits)
        return round_significand(out * scale[:, None], self.digital_bits)

    def with_frozen_noise(self, generator: torch.Generator) -> ProgrammedMatrix:
        """Return the matrix with one value of the read noise per cell, for all vectors."""
        if self.read_variance is None:
            return self
        std = self.read_variance.clamp_min(0).sqrt().detach()
        noise = torch.randn(std.shape, generator=generator, device=std.device, dtype=std.dtype)
        return dataclasses.replace(self, read_variance=None, frozen=std * noise)

    def fold(self) -> ProgrammedMatrix:
        """Compute `folded` if the product is linear."""
        if not self.linear:
            return self
        made = self.outputs((self.matrix * self.gain[:, None]).transpose(1, 2))
        folded = made.transpose(0, 1).flatten(1)[:, : self.plan.inputs]
        return dataclasses.replace(self, folded=folded)

    def _block_currents(self, block: int, voltage: Tensor, generator: torch.Generator) -> Tensor:
        """Compute column currents of one row block [A], (column, vector).

        Parameters
        ----------
        block : int
        voltage : (row, vector) tensor
            [V], or bool: True for rows at the read voltage.
        generator : torch.Generator
        """
        rows = len(voltage)
        if self.wires is None:
            current = self.matrix[block, :rows].T @ voltage
        elif voltage.dtype == torch.bool:
            current = self.wires.planes[block].currents(voltage)
            if self.odd or self.read_variance is not None or self.frozen is not None:
                voltage = voltage * self.read_voltage
        else:
            current = self.wires.block_currents(block, voltage)
        if self.frozen is not None:
            current = current + self.frozen[block, :rows].T @ voltage
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
            Coefficient [input/V] and row voltages [V] of each pass. With `takes_bits` the voltages
            can be bool: True for rows at the read voltage. With `codes` they can be int8: codes of
            `input_codes`.
        generator : torch.Generator
            Generator of the noise.

        Returns
        -------
        (output, vector) tensor
        """
        rows, bits = self.plan.tile[0], self.digital_bits
        width, vectors = self.plan.width, voltages[0][1].shape[1]
        shift = self.matrix.new_zeros(width)
        passes = []
        for coefficient, voltage in voltages:
            weights = coefficient * self.gain
            if self.converter is not None:
                weights = weights / self.converter.gain
                shift = shift + (weights * self.converter.offset).sum(0)
            passes.append((voltage, round_significand(weights, bits).unbind()))
        shift = round_significand(shift, bits)[:, None]
        if passes[0][0].dtype == torch.int8:
            total = (-shift).repeat(1, vectors)
            for voltage, weights_of in passes:
                parts = torch.split(voltage, rows)
                for matrix, part, counts in zip(self.codes, parts, weights_of, strict=True):
                    matrix.add_codes(part, counts, total, generator)
            return self.outputs(total)
        total = self.matrix.new_zeros(width, vectors)
        for voltage, weights_of in passes:
            for block, (part, counts) in enumerate(
                zip(torch.split(voltage, rows), weights_of, strict=True)
            ):
                read = self._block_currents(block, part, generator)
                if self.converter is not None:
                    read = self.converter.convert(block, read, generator)
                if torch.is_grad_enabled():
                    total = torch.addcmul(total, read, counts[:, None])
                else:
                    total.addcmul_(read, counts[:, None])
                if bits is not None:
                    total = round_significand(total, bits)
        return self.outputs(total - shift)


def _taken(columns: Tensor, place: Tensor) -> Tensor:
    """Return the columns (..., column, vector) at some places; a view if these are equidistant."""
    if torch.compiler.is_compiling():
        return columns[..., place.to(columns.device), :]
    at = place.tolist()
    step = at[1] - at[0] if len(at) > 1 else 1
    if step > 0 and at == list(range(at[0], at[-1] + 1, step)):
        return columns[..., at[0] : at[-1] + 1 : step, :]
    return columns[..., place.to(columns.device), :]


def rows_of(plan: MatrixPlan, vectors: Tensor) -> Tensor:
    """Split vectors (vector, input) into (row block, vector, row); rows without input are zero."""
    rows = plan.tile[0]
    short = plan.row_blocks * rows - plan.inputs
    padded = torch.nn.functional.pad(vectors, (0, short))
    return padded.reshape(len(vectors), plan.row_blocks, rows).transpose(0, 1)


def samples_per_chunk(plan: MatrixPlan, places: int) -> int:
    """Return the number of samples, of `places` vectors each, whose currents fit into the cache."""
    return max(1, CURRENTS_PER_CHUNK // (plan.width * places))


def odd_terms(matrix: Tensor, voltage_factor: Tensor, read_voltage: float) -> list[Tensor]:
    """Return T₃ and T₅ of nonlinear cells, without terms that matter in no column.

    Parameters
    ----------
    matrix : (..., row, column) tensor
        Effective matrix [S].
    voltage_factor : tensor like `matrix`
        b·T/G [1/V].
    read_voltage : float
        [V]
    """
    x = voltage_factor**2
    terms = {n: matrix * x**n / c for n, c in ((1, 6), (2, 120))}
    total = matrix.detach().sum(-2)
    return [
        term
        for n, term in terms.items()
        if bool((read_voltage ** (2 * n) * term.detach().sum(-2) > NEGLIGIBLE * total).any())
    ]
