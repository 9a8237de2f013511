"""analog-cim-sim: JSON configurations for binary, ternary and integer networks.

The simulator knows two states, HRS and LRS, as currents in microampere, with normal noise of each
for binary and ternary mappings; integer mappings have evenly spaced states between them. Rows of
its arrays (M) are outputs and columns (N) inputs. Wires have one resistance per segment, and need a
negative read voltage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rramfit.export.card_values import value_of
from rramfit.export.contract import Export, Exporter, ExportError, Limit, Option
from rramfit.export.drawn import read_voltage
from rramfit.export.level_statistics import level_statistics
from rramfit.export.limits import limits

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER"]

_MICRO = 1e6

_RUN = '''"""Multiply a random matrix in analog-cim-sim with every configuration in this folder."""

import acs_py
import numpy as np

OUTPUTS, INPUTS = 8, 16
rng = np.random.default_rng(0)
for name, values in (("binary", [-1, 1]), ("ternary", [-1, 0, 1]), ("integer", range(-100, 101))):
    acs_py.set_config(f"{name}.json")
    matrix = rng.choice(values, OUTPUTS * INPUTS).astype(np.int32)
    vector = rng.choice(values, INPUTS).astype(np.int32)
    result = np.zeros(OUTPUTS, dtype=np.int32)
    acs_py.cpy(matrix, OUTPUTS, INPUTS)
    acs_py.mvm(result, vector, matrix, OUTPUTS, INPUTS)
    print(name, "analog", result, "digital", matrix.reshape(OUTPUTS, INPUTS) @ vector)
'''


def _segments(card: ModelCard) -> tuple[float, float, float]:
    """Return the mean of both segment resistances, and each of them [ohm]."""
    found = [
        max(value_of(card.line, f"{side}_resistance"), 0.0) for side in ("wordline", "bitline")
    ]
    return 0.5 * sum(found), found[0], found[1]


def _split(bits: int, cell_bits: int) -> list[int]:
    """Return the number of bits of each cell of a weight, the most significant first."""
    first = bits % cell_bits
    return [*([first] if first else []), *([cell_bits] * (bits // cell_bits))]


def _export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    s = level_statistics(card)
    if len(s.mean) < 2 or not 0 < s.mean[0] < s.mean[-1]:
        msg = (
            "analog-cim-sim needs a lowest and a highest level with rising means above 0 S. "
            "Select them with `rramfit card take`."
        )
        raise ExportError(msg)
    v = abs(read_voltage(card))
    wires, r_wl, r_bl = _segments(card)
    bits = 8 if card.readout is None else card.readout.bits
    cell_bits = len(s.mean).bit_length() - 1
    common = {
        "M": card.array.cols,
        "N": card.array.rows,
        "digital_only": False,
        "HRS": float(s.mean[0] * v * _MICRO),
        "LRS": float(s.mean[-1] * v * _MICRO),
        "adc_type": "SYM_RANGE_ADC",
        "resolution": bits,
        "adc_calib_mode": "MAX",
        "verbose": False,
    }
    if wires > 0:
        common |= {"parasitics": True, "w_res": wires, "V_read": -v}
    noise = {
        "HRS_NOISE": float(s.std[0] * v * _MICRO),
        "LRS_NOISE": float(s.std[-1] * v * _MICRO),
        "d2d_var": True,
        "c2c_var": False,
    }
    silent = {"HRS_NOISE": 0.0, "LRS_NOISE": 0.0, "d2d_var": False, "c2c_var": False}
    weight = options["weight_bits"]
    configurations: dict[str, dict[str, Any]] = {
        "binary.json": {**common, **noise, "m_mode": "BNN_I"},
        "ternary.json": {**common, **noise, "m_mode": "TNN_I"},
        "integer.json": {
            **common,
            **silent,
            "m_mode": "I_DIFF_W_DIFF_1XB",
            "W_BIT": weight,
            "I_BIT": options["input_bits"],
            "SPLIT": _split(weight, cell_bits),
        },
    }
    approximated = [
        Limit(
            what="Only the lowest and the highest level are used, with normal noise; the integer "
            "mapping has evenly spaced states and no noise.",
            size=f"{len(s.mean)} levels; noise {100 * s.std[0] / s.mean[0]:.2g} % and "
            f"{100 * s.std[-1] / s.mean[-1]:.2g} %, of d2d, c2c and reads together",
        )
    ]
    if wires > 0:
        approximated.append(
            Limit(
                what="Wordline and bitline segments have one resistance, their mean.",
                size=f"{r_wl:.3g} Ω and {r_bl:.3g} Ω",
            )
        )
    expressed = {"d2d", "c2c", "read", "readout"}
    if wires > 0:
        expressed.add("wires")
    return Export(
        files={
            **{
                name: json.dumps(content, indent=4) + "\n"
                for name, content in configurations.items()
            },
            "load.py": _RUN,
        },
        commands=("python3 load.py",),
        approximated=tuple(approximated),
        missing=limits(card, expressed=expressed),
        notes=(
            f"HRS, LRS and their noise are currents in microampere at {v:g} V; w_res is in ohm.",
            (
                "`d2d_var` draws the noise once for each cell. It replaces all variation of the "
                "card."
            ),
            (
                "Run `load.py` in the environment of analog-cim-sim, which its README "
                "(https://github.com/rpelke/analog-cim-sim) explains how to make."
            ),
        ),
    )


EXPORTER = Exporter(
    name="analog-cim-sim",
    title="analog-cim-sim",
    writes="`binary.json`, `ternary.json` and `integer.json` configure its mappings with the "
    "card's range, noise, wires and converter.",
    cannot="It knows two states with normal noise, and no failures, stuck cells or retention.",
    verified="By format only: the tests check every key and every rule that its configuration "
    "loader checks. The simulator itself was not run.",
    export=_export,
    options=(
        Option(name="weight_bits", kind=int, default=8, meaning="bits of integer weights", least=1),
        Option(name="input_bits", kind=int, default=8, meaning="bits of integer inputs", least=1),
    ),
    aliases=("acs",),
)
