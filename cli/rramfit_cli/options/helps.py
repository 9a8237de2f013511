"""Options of what a chip is assumed to have and to know: the helps of an accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rramfit_cli.options.types import FiniteRange

if TYPE_CHECKING:
    from rramfit.mapping.tiles.peripherals import Peripherals

__all__ = ["HELP_OPTIONS", "peripherals_of"]

HELP_OPTIONS = (
    click.option(
        "--dac-bits", type=click.IntRange(1, 24), default=8, help="Input resolution [bits]."
    ),
    click.option(
        "--adc-bits",
        type=click.IntRange(1, 24),
        help="ADC resolution [bits]. Default: the card's value, or 8.",
    ),
    click.option(
        "--range",
        "adc_range",
        type=click.Choice(["per-tile", "card"]),
        default="per-tile",
        help="Range of the ADCs: that of each tile, by an amplifier, or that of the card for all.",
    ),
    click.option(
        "--correction",
        type=click.Choice(["none", "offset", "linear", "cubic"]),
        default="linear",
        help="Digital correction of ADC errors, for each column.",
    ),
    click.option(
        "--calibration-reads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Find each column's correction by N noisy reads of each reference current. Default: "
        "it is known exactly.",
    ),
    click.option(
        "--no-wire-correction",
        is_flag=True,
        help="Do not correct the nominal loss in wires by a digital gain for each column.",
    ),
    click.option(
        "--digital-bits",
        type=click.IntRange(2, 24),
        metavar="B",
        help="Significand of digital gains, scales, biases and partial sums [bits]: 8 for "
        "bfloat16. Default: float32.",
    ),
    click.option(
        "--read-noise",
        type=click.Choice(["white", "batch"]),
        default="white",
        help="Read noise is independent for every input vector, or constant during a batch.",
    ),
    click.option(
        "--chip-spread",
        type=FiniteRange(min=0, max=1),
        metavar="SHARE",
        help="Standard deviation between chips of all level means, as a share. Default: the card's "
        "`between`; without it, tiles are independent.",
    ),
    click.option(
        "--spare-columns",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="With --place, columns of each tile without weights, to leave out bad columns.",
    ),
)


def peripherals_of(options: dict[str, Any], *, coding: str) -> Peripherals:
    """Return the converters and corrections of the options."""
    from rramfit.mapping.tiles.peripherals import Peripherals

    return Peripherals(
        input_coding="bit_serial" if coding == "bit-serial" else "amplitude",
        dac_bits=options["dac_bits"],
        adc_bits=options["adc_bits"],
        adc_range="card" if options["adc_range"] == "card" else "calibrated",
        correction=options["correction"],
        wire_correction=not options["no_wire_correction"],
        calibration_reads=options["calibration_reads"],
        digital_bits=options["digital_bits"],
        read_noise=options["read_noise"],
    )
