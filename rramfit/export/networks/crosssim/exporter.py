"""CrossSim 3.2: `params.json`, which `CrossSimParameters.from_json` loads, and a device module.

CrossSim's conductances are relative to 1/Rmin; here that is the mean of the highest level, and Rmax
belongs to the lowest. A weight w in [−1, 1] becomes a pair of cells in two arrays, one of them at
the lowest level. In the solver of CrossSim a wire segment precedes the first cell of a row and
follows the last one of a column; a card has the driver and the sense resistance there, so that the
terminals are the differences.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from rramfit.export.contract import Export, Exporter, Limit, Option
from rramfit.export.drawn import read_voltage
from rramfit.export.limits import PROPERTIES, limits
from rramfit.export.networks.cell_model.limits import converter_limits, inactive_rows_limit
from rramfit.export.networks.cell_model.numbers import CELLS_NUMBERS, card_numbers, cell_files

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER", "crosssim_parameters"]

SOLVER_TOLERANCE = 1e-5
"""Largest error of a cell's voltage relative to the read voltage, at which the solver stops."""

_ON = ("on", "off")

OPTIONS = (
    Option(name="rows", kind=int, default=128, meaning="rows of an array", least=1),
    Option(name="cols", kind=int, default=128, meaning="columns of an array", least=1),
    Option(name="time", kind=float, default=0.0, meaning="time since programming [s]", least=0),
    Option(name="wires", kind=str, default="on", meaning="wire resistances", choices=_ON),
    Option(name="nonlinearity", kind=str, default="on", meaning="I-V curves", choices=_ON),
    Option(name="read_noise", kind=str, default="on", meaning="noise of reads", choices=_ON),
    Option(
        name="inputs",
        kind=str,
        default="unsigned",
        meaning="sign of the inputs: 0 to 1, or -1 to 1",
        choices=("unsigned", "signed"),
    ),
    Option(name="dac_bits", kind=int, default=8, meaning="bits of an input; 0: exact", least=0),
    Option(
        name="adc",
        kind=str,
        default="card",
        meaning="converters of the card's range, or none",
        choices=("card", "off"),
    ),
)


NOTES = (
    "Conductances are relative to 1/Rmin and voltages to Vread: a current of 1 is Vread/Rmin.",
    "Import `rram_device` before the first core is built, and keep `cell_bits` at 0.",
    "The device programs the level that is nearest to each target.",
    "Each core keeps its cells; a new core is a new chip. `numpy.random.seed` sets all draws.",
    "`rram_device` puts the driver resistance before the first column; CrossSim 3.2 does not.",
)


def export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    """Return the files for CrossSim."""
    files = {"params.json": json.dumps(crosssim_parameters(card, options), indent=2) + "\n"}
    files |= cell_files(card)
    numbers = card_numbers(card) | {"inactive_rows": _inactive_rows(card)}
    files[CELLS_NUMBERS] = json.dumps(numbers, indent=1) + "\n"
    source = resources.files("rramfit.export.networks.crosssim").joinpath("files")
    for name in ("rram_device.py", "example.py"):
        files[name] = source.joinpath(name).read_text(encoding="utf-8")
    return Export(
        files=files,
        commands=(
            "git clone https://github.com/sandialabs/cross-sim",
            "PYTHONPATH=cross-sim python3 example.py",
        ),
        approximated=_approximated(card, options),
        missing=_missing(card, options),
        notes=NOTES,
    )


def _inactive_rows(card: ModelCard) -> str:
    return "grounded" if card.line is None else card.line.inactive_rows


def crosssim_parameters(card: ModelCard, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `params.json`."""
    numbers = card_numbers(card)
    mean, wires = numbers["levels"]["mean"], numbers["wires"]
    signed = options["inputs"] == "signed"
    low = -1.0 if signed else 0.0
    model = {"enable": True, "model": "RramCard", "magnitude": 0.0}
    off = {"enable": False, "model": "IdealDevice", "magnitude": 0.0}
    mapping = {"clipping": True, "min": low, "max": 1.0, "percentile": None}
    adc = _adc(card, 1 / mean[-1], signed=signed) if options["adc"] == "card" else None
    converts = adc is not None
    adc = adc or {"model": "IdealADC", "bits": 0, "signed": True, "calibrated_range": []}
    bits = options["dac_bits"]
    dac = {
        "model": "IdealDAC" if not bits else "SignMagnitudeDAC" if signed else "QuantizerDAC",
        "bits": bits + 1 if bits and signed else bits,
        "input_bitslicing": False,
        "signed": signed,
        "slice_size": 1,
    }
    nonlinear = options["nonlinearity"] == "on" and numbers["conduction"] is not None
    return {
        "core": {
            "style": "BALANCED",
            "rows_max": options["rows"],
            "cols_max": options["cols"],
            "balanced": {
                "style": "ONE_SIDED",
                "interleaved_posneg": False,
                "subtract_current_in_xbar": not converts,
            },
            "mapping": {
                "weights": {"clipping": True, "min": None, "max": None, "percentile": 1.0},
                "inputs": {"_match": True, "mvm": mapping, "vmm": mapping},
            },
        },
        "simulation": {
            "Niters_max_parasitics": 200,
            "Verr_th_mvm": SOLVER_TOLERANCE,
            "hide_convergence_msg": True,
        },
        "xbar": {
            "device": {
                "cell_bits": 0,
                "Rmin": 1 / mean[-1],
                "Rmax": 1 / mean[0] if mean[0] > 0 else 1e12,
                "infinite_on_off_ratio": mean[0] <= 0,
                "Vread": numbers["read_voltage"],
                "time": options["time"],
                "clip_conductance": False,
                "read_noise": model if options["read_noise"] == "on" else off,
                "programming_error": model,
                "drift_error": model,
                "nonlinear_IV": model if nonlinear else off,
            },
            "array": {
                "parasitics": {
                    "enable": options["wires"] == "on" and max(wires.values()) > 0,
                    "Rp_row": wires["row"],
                    "Rp_col": wires["col"],
                    "Rp_row_terminal": max(wires["driver"] - wires["row"], 0.0),
                    "Rp_col_terminal": max(wires["sense"] - wires["col"], 0.0),
                    "current_from_input": True,
                }
            },
            "adc": {"_match": True, "mvm": adc, "vmm": adc},
            "dac": {"_match": True, "mvm": dac, "vmm": dac},
        },
    }


def _adc(card: ModelCard, r_min: float, *, signed: bool) -> dict[str, Any] | None:
    """Return converters of the card's resolution and range, or None without a read-out chain."""
    readout = card.readout
    if readout is None:
        return None
    top = 2**readout.bits - 1
    bounds = (0.0, readout.full_scale.value)
    if readout.gain is not None and readout.gain.value > 0:
        offset = 0.0 if readout.offset is None else readout.offset.value
        bounds = (-offset / readout.gain.value, (top - offset) / readout.gain.value)
    unit = abs(read_voltage(card)) / r_min
    limits = [x / unit for x in bounds]
    return {
        "model": "QuantizerADC",
        "bits": readout.bits + 1 if signed else readout.bits,
        "signed": signed,
        "adc_range_option": "CALIBRATED",
        "calibrated_range": [-limits[1], limits[1]] if signed else limits,
    }


def _approximated(card: ModelCard, options: Mapping[str, Any]) -> tuple[Limit, ...]:
    numbers = card_numbers(card)
    mean, wires = numbers["levels"]["mean"], numbers["wires"]
    found = []
    if len(mean) > 2:
        pairs = len(mean) * (len(mean) - 1) + 1
        found.append(
            Limit(
                what="Weights: one cell of each pair is at the lowest level, and rramfit also uses "
                "pairs of two higher levels.",
                size=f"{2 * len(mean) - 1} weight values in place of up to {pairs}",
            )
        )
    off_level = None if card.read_noise is None else card.read_noise.off_level
    if off_level is not None and options["read_noise"] == "on":
        found.append(
            Limit(
                what="Read noise: a cell that failed or is stuck has that of the level nearest to "
                "its conductance.",
                size=f"its own is {100 * off_level.coefficient.value:.2g} % at "
                f"{1e6 * off_level.reference_conductance.value:.3g} uS",
            )
        )
    if card.iv is not None and card.iv.spread is not None and options["nonlinearity"] == "on":
        found.append(
            Limit(
                what="I-V curves: the coefficient b has no spread over cells of one conductance.",
                size=f"{card.iv.spread.value:.2g} 1/V",
            )
        )
    if options["wires"] == "on":
        found += inactive_rows_limit(card, exact=("grounded", "gated"))
        for end, line, name in (("driver", "row", "driver"), ("sense", "col", "sense")):
            if 0 < wires[line] > wires[end]:
                found.append(
                    Limit(
                        what=f"The {name} resistance: CrossSim has one more wire segment there.",
                        size=f"{wires[line]:.3g} ohm in place of {wires[end]:.3g} ohm",
                    )
                )
    return tuple(found)


def _missing(card: ModelCard, options: Mapping[str, Any]) -> tuple[Limit, ...]:
    off = {name for name in ("wires", "nonlinearity") if options[name] == "off"}
    off |= {"ends", "inactive_rows"} if "wires" in off else set()
    off |= {"read"} if options["read_noise"] == "off" else set()
    off |= {"readout"} if options["adc"] == "off" else set()
    converters = converter_limits(card) if options["adc"] == "card" else []
    return (*limits(card, expressed=set(PROPERTIES) - off), *converters)


EXPORTER = Exporter(
    name="crosssim",
    title="CrossSim 3.2",
    writes="`params.json`, which `CrossSimParameters.from_json` loads, and `rram_device.py` with "
    "the card's levels, variation, faults, ageing, read noise, I-V curves and wires.",
    cannot="Pairs of two cells above the lowest level, floating rows, and errors of the converters "
    "other than resolution and range.",
    verified="In CrossSim 3.2.0: mean and standard deviation of 10⁵ programmed cells of each level "
    "within 1 % of rramfit's, column currents of a tile within the tolerance of its solver, and "
    "the accuracy of a small network within 0.5 points.",
    export=export,
    options=OPTIONS,
)
