"""Converters of one matrix: drawn for a chip, calibrated, at the ranges of its tiles.

The range is that of each tile, from the calibration: an amplifier before each converter maps it to
full scale, so that noise and cubic term scale with it. Or it is the card's full scale for all
tiles, without amplifiers. The digital correction uses the true offset, gain and cubic term, or
those that a stated number of reads finds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rramfit.array.devices.readout import ReadoutChannels, draw_channels
from rramfit.errors import MappingError
from rramfit.mapping.layout.plan import MatrixPlan, Permutation
from rramfit.mapping.tiles.calibration import Calibration
from rramfit.mapping.tiles.channel_calibration import calibrated_channels
from rramfit.mapping.tiles.integers.code_products import CodeMatrix, code_matrix
from rramfit.mapping.tiles.peripherals import (
    correction_terms,
    ideal_readout,
    readout_at,
    reorder_channels,
    rescale_channels,
)
from rramfit.mapping.tiles.programmed import Converter
from rramfit.mapping.tiles.setup import AnalogSetup
from rramfit.streams import torch_stream

__all__ = ["DrawnChannels", "code_matrices", "converter_of", "draw_converters"]


FINEST = 10
"""Bits of a converter up to which its steps hide the rounding of a matrix to two bytes."""


class DrawnChannels(NamedTuple):
    """Converters in physical positions, (tile, column)."""

    true: ReadoutChannels
    known: ReadoutChannels  # as their calibration found them


def draw_converters(
    plan: MatrixPlan, setup: AnalogSetup, *, seed: int, index: int
) -> DrawnChannels | None:
    """Draw the converters of one chip, and calibrate them; None without converters."""
    if not setup.converts:
        return None
    card = readout_at(setup.readout, setup.peripherals.adc_bits, 1.0)
    if "readout" not in setup.factors:
        card = ideal_readout(card)
    device, p = setup.model.device, setup.peripherals
    true = draw_channels(
        card,
        plan.tiles,
        plan.tile[1],
        generator=torch_stream(seed, f"channels/{index}/{plan.name}", device=device),
        dtype=setup.model.dtype,
    )
    if p.calibration_reads is None:
        return DrawnChannels(true, true)
    reads = torch_stream(seed, f"channel reads/{index}/{plan.name}", device=device)
    known = calibrated_channels(true, p.correction, p.calibration_reads, generator=reads)
    return DrawnChannels(true, known)


def converter_of(
    plan: MatrixPlan,
    setup: AnalogSetup,
    placed: Permutation,
    calibration: Calibration | None,
    channels: DrawnChannels,
) -> Converter:
    """Return the converters of a matrix in logical positions, at the tiles' ranges.

    Raises
    ------
    MappingError
        If the matrix is not calibrated.
    """
    if calibration is None:
        msg = f"{plan.name}: converters are not calibrated; call calibrate(vectors) first"
        raise MappingError(msg)
    true, known = channels
    tiles, cols = true.gain.shape
    place = torch.arange(tiles)[:, None] * cols + placed.cols
    index = plan.join(place[:, None])[:, 0].to(true.gain.device)
    full_scale = calibration.full_scale.repeat_interleave(cols, 1)
    if setup.peripherals.adc_range == "card" and setup.readout is not None:
        full_scale = torch.full_like(full_scale, setup.readout.full_scale.value)
    stretch = true.full_scale / full_scale
    offset, gain = correction_terms(known, setup.peripherals.correction)

    def of_blocks(of: ReadoutChannels) -> tuple[ReadoutChannels, ...]:
        return tuple(
            rescale_channels(reorder_channels(of, index[b : b + 1]), stretch[b : b + 1])
            for b in range(plan.row_blocks)
        )

    return Converter(
        channels=of_blocks(true),
        known=of_blocks(known),
        offset=offset.flatten()[index],
        gain=gain.flatten()[index] * stretch,
        correction=setup.peripherals.correction,
        quantised="adc" in setup.factors,
    )


def code_matrices(
    plan: MatrixPlan, setup: AnalogSetup, matrix: Tensor, converter: Converter
) -> tuple[CodeMatrix, ...]:
    """Return the row blocks in int8; none if the steps of converters do not hide their rounding.

    Parameters
    ----------
    plan : MatrixPlan
    setup : AnalogSetup
    matrix : (row block, row, column) tensor
        Effective matrix [S].
    converter : Converter
    """
    p = setup.peripherals
    rounded = {"dac", "adc"} <= set(setup.factors) and converter.correction != "cubic"
    if not rounded or p.input_coding != "amplitude" or setup.pattern_matters or p.digital_bits:
        return ()
    if converter.channels[0].bits > FINEST:
        return ()
    rows = plan.tile[0]
    found = [
        code_matrix(
            matrix[block, : plan.inputs - block * rows],
            converter.channels[block],
            read_voltage=setup.read_voltage,
            bits=p.dac_bits,
        )
        for block in range(plan.row_blocks)
    ]
    return tuple(x for x in found if x is not None)
