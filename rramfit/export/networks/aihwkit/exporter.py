"""aihwkit: a module with noise model, converter and RPU config, for 1.1 and 1.2.

aihwkit has weights between −1 and 1 and outputs in units of weight times input. With the range
ΔG of the levels and the read voltage V, an output of 1 is a current of ΔG·V. An output is the
difference of two columns, each with a converter of step q:

    variance of two converters   2·(q²/12 + noise²)     aihwkit has one: q²/12 + out_noise²

so that out_noise² = q²/12 + 2·noise².
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.export.contract import Export, Exporter, Limit, Option
from rramfit.export.limits import PROPERTIES, limits
from rramfit.export.networks.aihwkit.pulses import pulse_files
from rramfit.export.networks.cell_model.limits import converter_limits, inactive_rows_limit
from rramfit.export.networks.cell_model.numbers import CELLS_NUMBERS, card_numbers, cell_files

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER", "aihwkit_options", "training_noise"]

OPTIONS = (
    Option(name="rows", kind=int, default=128, meaning="inputs of an array", least=1),
    Option(name="cols", kind=int, default=128, meaning="outputs of an array", least=1),
    Option(name="dac_bits", kind=int, default=8, meaning="bits of an input; 0: exact", least=0),
)

NOTES = (
    "Weights of a tile are relative to the range of the levels, conductances are in uS.",
    "`program_analog_weights` draws a new chip, `drift_analog_weights(t)` ages it to any time.",
    "Each input vector is scaled to the full voltage (ABS_MAX). For a fixed range set it to NONE.",
    "The configuration uses aihwkit's torch tile, which needs no compiled code of aihwkit.",
    "Version 1.2.0 on the package index is source code only, which pip compiles.",
)

PULSE_NOTES = (
    "`rram_pulses` has devices for training by pulses, which needs aihwkit's compiled tile.",
)


def export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    """Return the files for aihwkit."""
    files = cell_files(card)
    numbers = card_numbers(card)
    values, levels = _codes(card)
    numbers["levels"] |= {"code_values": values, "code_levels": levels}
    numbers["options"] = aihwkit_options(card, options)
    files[CELLS_NUMBERS] = json.dumps(numbers, indent=1) + "\n"
    source = resources.files("rramfit.export.networks.aihwkit").joinpath("files")
    for name in ("rram_aihwkit.py", "example.py"):
        files[name] = source.joinpath(name).read_text(encoding="utf-8")
    of_pulses, without_pulses = pulse_files(card)
    return Export(
        files=files | of_pulses,
        commands=("pip install aihwkit==1.1.0", "python3 example.py"),
        approximated=_approximated(card),
        missing=(
            *limits(card, expressed=set(PROPERTIES) - {"nonlinearity"}),
            *(x for x in converter_limits(card) if "Noise" not in x.what),
            *without_pulses,
        ),
        notes=NOTES + PULSE_NOTES * bool(of_pulses),
    )


def _codes(card: ModelCard) -> tuple[list[float], list[list[int]]]:
    """Return the differences of two levels [S], rising, and the levels of each."""
    import torch

    from rramfit.array.devices.device_model import DeviceModel
    from rramfit.mapping.layout.codes import codebook

    book = codebook(DeviceModel.from_card(card, dtype=torch.float64).mean)
    return book.values.tolist(), book.levels[:, 0].tolist()


def aihwkit_options(card: ModelCard, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of the RPU config."""
    numbers = card_numbers(card)
    mean = numbers["levels"]["mean"]
    unit = (mean[-1] - mean[0]) * numbers["read_voltage"]  # [A] for an output of 1
    bits, readout = options["dac_bits"], card.readout
    made = {
        "rows": options["rows"],
        "cols": options["cols"],
        "inp_res": 1 / (2 * (2**bits - 1)) if bits else -1.0,
        "out_res": -1.0,
        "out_bound": 0.0,
        "out_noise": 0.0,
        "training_std": training_noise(card),
    }
    if readout is not None:
        top, offset = 2**readout.bits - 1, 0.0
        step = readout.full_scale.value / top
        if readout.gain is not None and readout.gain.value > 0:
            step = 1 / readout.gain.value
            offset = 0.0 if readout.offset is None else readout.offset.value
        bound = (top - offset) * step / unit
        noise = 0.0 if readout.noise is None else readout.noise.value
        made["out_bound"] = bound
        made["out_res"] = step / unit / (2 * bound)
        made["out_noise"] = step / unit * math.sqrt(1 / 12 + 2 * noise**2)
    return made


def training_noise(card: ModelCard) -> float:
    """Return the standard deviation of a weight, relative to the largest one.

    The root mean square over the levels, of a pair with one cell at the lowest level.
    """
    levels = card_numbers(card)["levels"]
    quantiles = np.asarray(levels["quantiles"])
    weight = np.exp(-0.5 * np.linspace(-6, 6, quantiles.shape[1]) ** 2)
    mean = np.asarray(levels["mean"])
    variance = (quantiles - mean[:, None]) ** 2 @ (weight / weight.sum())
    return float(np.sqrt(variance.mean() + variance[0]) / (mean[-1] - mean[0]))


def _approximated(card: ModelCard) -> tuple[Limit, ...]:
    found = inactive_rows_limit(card, exact=("grounded",))
    levels = card_numbers(card)["levels"]
    found.append(
        Limit(
            what="Read noise: that of a pair of healthy cells with the weight, one at the lowest "
            "level.",
            size=f"{100 * levels['read_scale'][-1] / levels['mean'][-1]:.2g} % of the conductance "
            "at the highest level",
        )
    )
    if card.readout is not None:
        found.append(
            Limit(
                what="The two converters of an output are one of the same step and noise, which "
                "saturates at the difference of the two currents.",
                size=f"{card.readout.full_scale.value:.3g} A is the full scale of each",
            )
        )
    return tuple(found)


EXPORTER = Exporter(
    name="aihwkit",
    title="IBM aihwkit 1.1 and 1.2",
    writes="`rram_aihwkit.py` has an RPU config, a noise model and a converter with the "
    "card's levels, variation, faults, ageing, read noise, wires and converters.",
    cannot="I-V curves, cells that stay over several programmings, floating and gated rows, and "
    "errors of the converters other than resolution, range and noise.",
    verified="In the torch tile of aihwkit 1.1.0: mean and standard deviation of 10⁵ programmed "
    "cells of each level within 1 % of rramfit's, column currents of a tile within 1e-5, and the "
    "accuracy of a small network within 0.5 points. The example also ran with the Python code of "
    "1.2.0.",
    export=export,
    options=OPTIONS,
)
