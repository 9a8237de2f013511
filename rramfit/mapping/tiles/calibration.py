"""Calibration of a matrix's converter ranges with input vectors and the nominal tiles.

The input range is the quantile `CALIBRATED_SHARE` of the magnitudes of nonzero inputs. A tile's ADC
range is the same quantile, over vectors, of its largest column current, times `HEADROOM`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.errors import MappingError
from rramfit.mapping.layout.codes import Codebook, nearest_code
from rramfit.mapping.layout.plan import MatrixPlan
from rramfit.mapping.tiles.peripherals import drive
from rramfit.mapping.tiles.programmed import rows_of
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["LARGEST_ERROR", "Calibration", "calibrated", "quantisation_error"]

HEADROOM = 1.1
"""ADC range relative to the nominal currents; programmed tiles can carry larger currents."""

CALIBRATED_SHARE = 0.999
"""Share of inputs, and of the vectors' largest currents, within the calibrated range."""

SAMPLED_VECTORS = 16
"""Vectors of each pass whose voltages are kept, to check the wire estimate."""

MOST_VECTORS = 2048
"""Maximum number of vectors in a calibration, taken evenly."""


LARGEST_ERROR = 2.0
"""Change of the outputs by quantisation, relative to the outputs, above which it is a warning."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Ranges of one matrix's converters."""

    largest: float  # input that maps to the full read voltage
    signed: bool
    full_scale: Tensor  # [A] (row block, tile column)
    sample: Tensor | None = None  # [V] (row block, vector, row) some of the applied voltages

    def joined(self, other: Calibration) -> Calibration:
        """Return ranges that include those of two uses of a matrix.

        Currents are those at the common input range: smaller inputs are smaller voltages.
        """
        largest = max(self.largest, other.largest)
        mine, its = self.largest / largest, other.largest / largest
        sample = None
        if self.sample is not None and other.sample is not None:
            sample = torch.cat((self.sample * mine, other.sample * its), 1)
        return Calibration(
            largest=largest,
            signed=self.signed or other.signed,
            full_scale=torch.maximum(self.full_scale * mine, other.full_scale * its),
            sample=sample,
        )


def quantisation_error(book: Codebook, weight: Tensor, scale: Tensor, vectors: Tensor) -> float:
    """Return how much the rounding of weights changes outputs, relative to the outputs.

    Parameters
    ----------
    book : Codebook
    weight : (output, input) tensor
    scale : (output,) tensor
        [weight per siemens]
    vectors : (vector, input) tensor
    """
    with torch.no_grad():
        x = vectors[:: -(-len(vectors) // MOST_VECTORS) or 1].to(weight)
        rounded = book.values[nearest_code(book, weight / scale[:, None])] * scale[:, None]
        size = float((x @ weight.T).square().sum())
        error = float((x @ (rounded - weight).T).square().sum())
    return math.sqrt(error / size) if size > 0 else 0.0


def calibrated(
    plan: MatrixPlan, setup: AnalogSetup, matrix: Tensor, vectors: Tensor
) -> Calibration:
    """Compute the input range and the ADC ranges.

    Parameters
    ----------
    plan : MatrixPlan
    setup : AnalogSetup
    matrix : (row block, row, column) tensor
        Effective matrix of the nominal tiles [S].
    vectors : (vector, input) tensor

    Raises
    ------
    MappingError
        If an input is not finite.
    """
    with torch.no_grad():
        if not bool(vectors.isfinite().all()):
            msg = f"{plan.name}: its inputs are not finite; calibrate with real inputs"
            raise MappingError(msg)
        x = vectors[:: -(-len(vectors) // MOST_VECTORS) or 1]
        size = x.abs().flatten()
        size = size[size > 0]
        rank = max(1, math.ceil(CALIBRATED_SHARE * len(size)))
        largest = float(size.kthvalue(rank).values) if len(size) else 1.0
        signed = bool((x < 0).any())
        quantised = "dac" in setup.factors
        top = torch.zeros(plan.present.shape).to(x)
        samples = []
        for one in drive(x, largest, setup.peripherals, signed=signed, quantised=quantised):
            voltage = rows_of(plan, one.fraction) * setup.read_voltage
            samples.append(voltage[:, :: -(-voltage.shape[1] // SAMPLED_VECTORS) or 1])
            current = voltage @ matrix
            worst = current.reshape(*current.shape[:2], -1, plan.tile[1]).amax(-1)
            rank = max(1, math.ceil(CALIBRATED_SHARE * worst.shape[1]))
            top = torch.maximum(top, worst.kthvalue(rank, 1).values)
        full_scale = torch.where(top > 0, top * HEADROOM, torch.ones_like(top))
    return Calibration(
        largest=largest, signed=signed, full_scale=full_scale, sample=torch.cat(samples, 1)
    )
