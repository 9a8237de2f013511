"""One matrix of a network on tiles: from weights to cells, from cells to a product.

    codes      nearest entries of the codebook, weight ≈ scale·(G+ − G−), straight-through
    placement  logical to physical rows and columns (identity, or around faults)
    cells      programmed on a chip and aged (`rramfit.mapping.tiles.chip_source`)
    wires      T from the exact solver for each programmed tile, or from an estimate anchored at the
               nominal tile; each column's nominal gain corrects the loss
    channels   one converter per column; its range covers the tile's nominal currents

The input range and the converters' ranges are calibrated with given vectors.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rramfit.array.wires.certificate import Certificate, certify
from rramfit.array.wires.effective import effective_matrix
from rramfit.card.cells import CellMaps
from rramfit.errors import MappingError
from rramfit.mapping.layout.codes import fit_scales, full_scales
from rramfit.mapping.layout.placement import Placement, place_around_faults
from rramfit.mapping.layout.plan import MatrixPlan, Permutation
from rramfit.mapping.tiles.calibration import Calibration, calibrated, quantisation_error
from rramfit.mapping.tiles.chip_source import (
    ChipCells,
    TileCells,
    draw_chip_cells,
    expected_conductance,
)
from rramfit.mapping.tiles.converters import (
    DrawnChannels,
    code_matrices,
    converter_of,
    draw_converters,
)
from rramfit.mapping.tiles.integers.code_products import input_codes
from rramfit.mapping.tiles.nominal import Nominal, nominal_tiles
from rramfit.mapping.tiles.pattern_wires import pattern_wires
from rramfit.mapping.tiles.peripherals import Pass, drive
from rramfit.mapping.tiles.programmed import ProgrammedMatrix, odd_terms, samples_per_chunk
from rramfit.mapping.tiles.setup import AnalogSetup
from rramfit.mapping.tiles.targets import Targets, targets_of
from rramfit.streams import torch_stream

__all__ = ["AnalogMatrix"]


class AnalogMatrix:
    """Weights (output, input) on tiles of one setup.

    Attributes
    ----------
    scale : (output,) tensor
        [weight per siemens]; fitted to the weights by `prepare`, then fixed.
    placed : Placement
    programmed : ProgrammedMatrix or None
        The chip that `program` drew last.
    quantisation_error : float
        Change of the outputs by the rounding of weights to codes, relative to the outputs, at the
        vectors of the calibration; root of mean squares.
    """

    def __init__(self, plan: MatrixPlan, setup: AnalogSetup) -> None:
        self.plan = plan
        self.setup = setup
        self.scale: Tensor | None = None
        self.placed: Placement | None = None
        self.nominal: Nominal | None = None
        self.calibration: Calibration | None = None
        self.programmed: ProgrammedMatrix | None = None
        self.quantisation_error = 0.0
        self.chip = (0, 0)  # seed and index
        self._weight: Tensor | None = None
        self._products = 0

    def prepare(
        self,
        weight: Tensor,
        *,
        scale: Tensor | None = None,
        permutation: Permutation | None = None,
    ) -> None:
        """Fit scales, place, and solve the nominal tiles; discard the chip and the calibration.

        A given scale or permutation is used instead of a fitted one.
        """
        with torch.no_grad():
            if not bool(torch.isfinite(weight).all()):
                msg = f"{self.plan.name}: some weights are not finite; train the network again"
                raise MappingError(msg)
            if scale is None:
                quantised = "quantisation" in self.setup.factors
                scale = (fit_scales if quantised else full_scales)(weight, self.setup.book)
            self.scale, self._weight = scale, weight.detach()
            targets = self.targets(weight)
            self.placed = (
                self._place(targets)
                if permutation is None
                else Placement(permutation=permutation, before=0.0, after=0.0, flipped=0)
            )
            self.renew_anchor(weight)
        self.calibration = self.programmed = None

    def targets(self, weight: Tensor) -> Targets:
        """Compute the target conductances of weights and the nearest levels."""
        return targets_of(self.plan, self.setup, weight, self._scale())

    def _scale(self) -> Tensor:
        if self.scale is None:
            msg = f"{self.plan.name} is not prepared; call prepare(weight) first"
            raise MappingError(msg)
        return self.scale

    def _place(self, targets: Targets) -> Placement:
        s, plan = self.setup, self.plan
        if not s.place_around_faults or not isinstance(s.origin, CellMaps):
            return Placement.identity(plan.tiles, plan.tile)
        found = expected_conductance(s.model, s.origin, plan.tiles, plan.tile)
        return place_around_faults(
            targets.level,
            found,
            targets.conductance,
            importance=self._importance(),
            attenuation=self._attenuation(),
            pairs=plan.scheme == "columns",
            reference=plan.scheme == "offset",
        )

    def _importance(self) -> Tensor:
        """Squared weight per siemens of each column, (tile, col), normalized to at most 1."""
        plan = self.plan
        scale = self._scale()[:, None]
        counts = scale * torch.tensor(self.setup.book.significance).to(scale)
        wide = torch.zeros(plan.width).to(counts)
        per_part = (counts / counts.max()).square()[:, :, None].expand(plan.columns.shape)
        wide[plan.columns.flatten().to(wide.device)] = per_part.flatten()
        reference = plan.reference_columns
        wide[reference[reference >= 0].to(wide.device)] = 1.0
        return plan.cut(wide.expand(plan.row_blocks * plan.tile[0], -1))[:, 0]

    def _attenuation(self) -> Tensor | None:
        """Share of a cell's current that reaches the converter at each position, (row, col).

        Computed for identical cells, relative to the mean of the column, which the gain corrects.
        """
        s = self.setup
        if not s.has_wires or s.line is None:
            return None
        uniform = torch.full(s.tile, float(s.book.means.mean())).to(s.model.mean)
        share = effective_matrix(uniform, s.line)
        return share / share.mean(0)

    @property
    def permutation(self) -> Permutation:
        """Physical positions of logical rows and columns."""
        if self.placed is None:
            return Permutation.identity(self.plan.tiles, self.plan.tile)
        return self.placed.permutation

    def renew_anchor(self, weight: Tensor) -> None:
        """Solve the nominal tiles of these weights for the estimate's anchor and columns' gains."""
        with torch.no_grad():
            target = self.targets(weight).conductance
            self.nominal = nominal_tiles(self.plan, self.setup, target, self.permutation)

    def calibrate(self, vectors: Tensor) -> None:
        """Set the converters' ranges from input vectors (vector, input) and the nominal tiles.

        Ranges that are set already are extended: a matrix can be used several times in a network.
        """
        if self.nominal is None:
            msg = f"{self.plan.name} is not prepared; call prepare(weight) first"
            raise MappingError(msg)
        found = calibrated(self.plan, self.setup, self.nominal.matrix, vectors)
        self.calibration = found if self.calibration is None else self.calibration.joined(found)
        self._without_converters()
        if "quantisation" in self.setup.factors and self._weight is not None:
            error = quantisation_error(self.setup.book, self._weight, self._scale(), vectors)
            self.quantisation_error = max(self.quantisation_error, error)

    def forget_ranges(self) -> None:
        """Discard the converters' ranges."""
        self.calibration, self.quantisation_error = None, 0.0
        self._without_converters()

    def _without_converters(self) -> None:
        """Discard a chip whose converters have an old range."""
        if self.programmed is not None and self.programmed.converter is not None:
            self.programmed = None

    def program(self, weight: Tensor, *, seed: int, index: int = 0) -> ProgrammedMatrix:
        """Draw one chip's tiles, program them, and store them."""
        with torch.no_grad():
            self.chip, self._products = (seed, index), 0
            self.programmed = self.draw(weight, seed=seed, index=index).fold()
        return self.programmed

    def draw(self, weight: Tensor, *, seed: int, index: int) -> ProgrammedMatrix:
        """Draw one chip's tiles and program them; differentiable in weights and scales."""
        s, name = self.setup, self.plan.name
        chip = draw_chip_cells(
            s.device_model,
            self.plan.tiles,
            self.plan.tile,
            mean=s.book.means,
            origin=s.origin,
            index=index,
            seed=seed,
            name=name,
            shift=s.level_shift(torch_stream(seed, f"between/{index}", device=s.model.device)),
        )
        channels = draw_converters(self.plan, s, seed=seed, index=index)
        return self.wire(self._cells(weight, chip, seed, index), channels)

    def _cells(self, weight: Tensor, chip: ChipCells, seed: int, index: int) -> TileCells:
        targets, placed = self.targets(weight), self.permutation
        generator = torch_stream(
            seed, f"program/{index}/{self.plan.name}", device=self.setup.model.device
        )
        return chip.program(
            placed.to_physical(targets.conductance),
            placed.to_physical(targets.level),
            time=self.setup.time,
            reads=self.setup.reads,
            generator=generator,
        )

    def restore(
        self,
        cells: TileCells,
        *,
        scale: Tensor,
        calibration: Calibration,
        chip: tuple[int, int],
    ) -> None:
        """Restore saved cells; their converters are drawn again from the same seed."""
        with torch.no_grad():
            self.scale, self.calibration, self.chip = scale, calibration, chip
            self._products = 0
            channels = draw_converters(self.plan, self.setup, seed=chip[0], index=chip[1])
            self.programmed = self.wire(cells, channels).fold()

    def wire(self, cells: TileCells, channels: DrawnChannels | None) -> ProgrammedMatrix:
        """Connect cells to wires and converters."""
        s, plan, placed = self.setup, self.plan, self.permutation
        nominal = self.nominal
        if nominal is None:
            msg = f"{plan.name} is not prepared; call prepare(weight) first"
            raise MappingError(msg)
        g, by_density = cells.slope, None
        if not s.has_wires or s.line is None:
            t = g
        elif nominal.estimate is not None:
            by_density = nominal.estimate.matrices(g)
            t = by_density[-1]
        else:
            t = effective_matrix(g, s.line)
        matrix = plan.join(placed.to_logical(t))
        share = t / torch.where(g > 0, g, torch.ones_like(g))
        terms = odd_terms(t, cells.nonlinearity * share, s.read_voltage)
        odd = tuple(plan.join(placed.to_logical(term)) for term in terms)
        variance = None
        if bool((cells.read_std > 0).any()):
            variance = plan.join(placed.to_logical((cells.read_std * share) ** 2))
        converter = None
        if channels is not None:
            converter = converter_of(plan, s, placed, self.calibration, channels)
        return ProgrammedMatrix(
            plan=plan,
            placed=placed,
            cells=cells,
            matrix=matrix,
            odd=odd,
            read_variance=variance,
            wires=pattern_wires(
                plan, s, placed, g, estimate=nominal.estimate, by_density=by_density
            ),
            converter=converter,
            gain=nominal.gain,
            scale=self._scale(),
            significance=torch.tensor(s.book.significance).to(matrix),
            read_voltage=s.read_voltage,
            digital_bits=s.peripherals.digital_bits,
            codes=()
            if converter is None or odd or variance is not None
            else code_matrices(plan, s, matrix, converter),
        )

    def quantise_inputs(self, x: Tensor) -> Tensor:
        """Quantise inputs of any shape as the DACs do, in the unit of the inputs."""
        if "dac" not in self.setup.factors:
            return x
        passes = self._passes(x)
        out = passes[0].coefficient * passes[0].fraction
        for one in passes[1:]:
            out = out + one.coefficient * one.fraction
        return out

    def _passes(self, x: Tensor) -> list[Pass]:
        if self.calibration is None:
            msg = f"{self.plan.name}: inputs are not calibrated; call calibrate(vectors) first"
            raise MappingError(msg)
        c, quantised = self.calibration, "dac" in self.setup.factors
        signed = c.signed or (not quantised and bool((x < 0).any()))
        return drive(x, c.largest, self.setup.peripherals, signed=signed, quantised=quantised)

    def multiply(self, programmed: ProgrammedMatrix, x: Tensor) -> Tensor:
        """Multiply vectors (vector, input) by a programmed matrix, (vector, output)."""
        if programmed.folded is not None:
            return self.quantise_inputs(x) @ programmed.folded.T
        parts = []
        generator = self._noise(x.device)
        programmed = self._in_batch(programmed, generator)
        for some in torch.split(x, samples_per_chunk(self.plan, 1)):
            voltages = [(c, v.T) for c, v in self._voltages(programmed, some)]
            parts.append(programmed.product(voltages, generator).T)
        return torch.cat(parts)

    def multiply_places(
        self,
        programmed: ProgrammedMatrix,
        images: Tensor,
        unfold: Callable[[Tensor], Tensor],
        places: int,
    ) -> Tensor:
        """Multiply the vectors of images by a programmed matrix, (sample, output, place).

        Parameters
        ----------
        programmed : ProgrammedMatrix
        images : (sample, ...) tensor
        unfold : callable
            Function from samples to their vectors (input, sample · place).
        places : int
            Vectors per sample.
        """
        parts = []
        generator = self._noise(images.device)
        programmed = self._in_batch(programmed, generator)
        for some in torch.split(images, samples_per_chunk(self.plan, places)):
            voltages = [(c, unfold(v)) for c, v in self._voltages(programmed, some)]
            found = programmed.product(voltages, generator)
            parts.append(found.reshape(len(found), len(some), places).transpose(0, 1))
        return torch.cat(parts)

    def _in_batch(
        self, programmed: ProgrammedMatrix, generator: torch.Generator
    ) -> ProgrammedMatrix:
        """Draw the noise that is the same for all vectors of a batch."""
        if self.setup.peripherals.read_noise == "white":
            return programmed
        return programmed.with_frozen_noise(generator)

    def _voltages(self, programmed: ProgrammedMatrix, x: Tensor) -> list[tuple[float, Tensor]]:
        """Return coefficient [input/V] and voltages [V] of each pass.

        Voltages are bool with `takes_bits`, and int8 codes if the chip takes codes.
        """
        unit, c = self.setup.read_voltage, self.calibration
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if programmed.codes and c is not None and not plain and not bool(x.isnan().any()):
            bits = self.setup.peripherals.dac_bits
            signs = (1, -1) if c.signed else (1,)
            return [(k * c.largest / unit, input_codes(k * x, c.largest, bits)) for k in signs]
        if programmed.takes_bits and not x.requires_grad:
            return [(p.coefficient / unit, p.fraction != 0) for p in self._passes(x)]
        return [(p.coefficient / unit, p.fraction * unit) for p in self._passes(x)]

    def _noise(self, device: torch.device) -> torch.Generator:
        """Return the generator for the noise of this chip's next product."""
        seed, index = self.chip
        self._products += 1
        name = f"read/{index}/{self.plan.name}/{self._products}"
        return torch_stream(seed, name, device=device)

    def certificate(self) -> Certificate:
        """Check the wire estimate on the programmed tiles, at voltages of the calibration.

        Raises
        ------
        MappingError
            If no chip is programmed, nothing is calibrated, or wires are not estimated.
        """
        estimate = None if self.nominal is None else self.nominal.estimate
        sample = None if self.calibration is None else self.calibration.sample
        if self.programmed is None or estimate is None or sample is None:
            msg = (
                f"{self.plan.name} has no wire estimate; set wires_by='estimate', calibrate and "
                "program a chip"
            )
            raise MappingError(msg)
        voltage = sample[self.plan.present.nonzero()[:, 0].to(sample.device)]
        order = self.permutation.rows.argsort(1).to(sample.device)
        voltage = voltage.gather(2, order[:, None].expand(voltage.shape))
        return certify(estimate, self.programmed.cells.slope, voltage)
