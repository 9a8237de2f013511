"""Conditions of an accuracy: every setting that it depends on, helps, and warnings.

Factors that the card does not have are listed as such, never as switched on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rramfit.array.devices.measured_chips import ReplayedChips
from rramfit.card.cells import CellMaps
from rramfit.card.conditions.condition_findings import findings_at
from rramfit.card.schema import ModelCard
from rramfit.errors import sentence
from rramfit.mapping.study.conditions.helps import Help, helps_of
from rramfit.mapping.tiles.active_factors import active_factors
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.peripherals import readout_at
from rramfit.mapping.tiles.setup import FACTORS, AnalogSetup

__all__ = ["Conditions", "card_warnings", "conditions_of"]

_SCHEMES = {
    "columns": "pairs of cells in two columns",
    "arrays": "pairs of cells in two arrays",
    "offset": "one cell and an offset column",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """All conditions of an accuracy.

    Attributes
    ----------
    values : dict of str to str, int or float
        Settings by name.
    helps : tuple of Help
    warnings : tuple of str
        What makes the accuracy doubtful.
    """

    values: dict[str, str | int | float]
    helps: tuple[Help, ...]
    warnings: tuple[str, ...]

    def with_chips(self, chips: int) -> Conditions:
        """Return the conditions with the number of chips."""
        return dataclasses.replace(self, values={**self.values, "chips": chips})

    def to_json(self) -> dict[str, object]:
        """Return the conditions as JSON types."""
        return {
            "values": dict(self.values),
            "helps": [h.to_json() for h in self.helps],
            "warnings": list(self.warnings),
        }


def conditions_of(
    matrices: Sequence[AnalogMatrix],
    card: ModelCard,
    *,
    data: str,
    images: int,
    seed: int,
    bn_recalibration: int | None = None,
    metric: str = "accuracy",
    digital: str = "none",
    warnings: Sequence[str] = (),
) -> Conditions:
    """Return the conditions of an evaluation.

    Parameters
    ----------
    matrices : sequence of AnalogMatrix
        Of the mapped network.
    card : ModelCard
    data : str
        Name of the data set.
    images, seed : int
    bn_recalibration : int, optional
        Images of BatchNorm recalibration on each chip.
    metric : str
    digital : str
        Sentence on the layers that stay digital.
    warnings : sequence of str
        Further warnings.
    """
    setup = matrices[0].setup
    p, active = setup.peripherals, active_factors(setup)
    absent = [f for f in FACTORS if f in setup.factors and f not in active]
    off = [f for f in FACTORS if f not in setup.factors]
    readout = readout_at(setup.readout, p.adc_bits, 1.0)
    values: dict[str, str | int | float] = {
        "card": card.name,
        "verdict of the card": card.quality.verdict,
        "chips are": _origin(setup),
        "data": data,
        "test samples": images,
        "metric": metric,
        "seed": seed,
        "time since programming [s]": setup.time,
        "reads since programming": setup.reads,
        "SET/RESET cycles before programming": setup.cycles,
        "temperature of the cells [K]": setup.model.ageing.temperature or "not stated",
        "tile": f"{setup.tile[0]} × {setup.tile[1]}",
        "scheme": _SCHEMES[setup.book.scheme],
        "slices per weight": setup.book.slices,
        "weight values": len(setup.book.values)
        if "quantisation" in setup.factors
        else "continuous",
        "input coding": p.input_coding.replace("_", "-"),
        "input bits": p.dac_bits if "dac" in setup.factors else "continuous",
        "converter bits": readout.bits if "adc" in setup.factors else "continuous",
        "converter range": "of each tile" if p.adc_range == "calibrated" else "of the card",
        "correction": p.correction,
        "calibration": "exact" if p.calibration_reads is None else f"{p.calibration_reads} reads",
        "wire gain": "per column" if p.wire_correction else "none",
        "wires": setup.wires_by if setup.has_wires else "without resistance",
        "inactive rows": "not known" if setup.line is None else setup.line.inactive_rows,
        "read voltage [V]": setup.read_voltage,
        "read noise": p.read_noise if "read" in active else "none",
        "BatchNorm": "as trained"
        if bn_recalibration is None
        else f"on each chip, with {bn_recalibration} images",
        "digital numbers": "float32"
        if p.digital_bits is None
        else f"significand of {p.digital_bits} bits",
        "tiles of a chip": _between(setup),
        "digital layers": digital,
        "active factors": ", ".join(active) or "none",
        "not in the card": ", ".join(absent) or "none",
        "switched off": ", ".join(off) or "none",
    }
    return Conditions(
        values=values,
        helps=helps_of(matrices, bn_recalibration=bn_recalibration),
        warnings=(*card_warnings(card, setup), *warnings),
    )


def _origin(setup: AnalogSetup) -> str:
    if setup.origin is None:
        return "drawn"
    if isinstance(setup.origin, CellMaps):
        return "one fitted chip"
    return "measured" if isinstance(setup.origin, ReplayedChips) else "given"


def _between(setup: AnalogSetup) -> str:
    if "between" not in active_factors(setup):
        return "independent draws"
    if setup.stated_chip_spread is None:
        return "share a deviation from the card's level means (`between` of the card)"
    return f"share a deviation of {100 * setup.stated_chip_spread:.3g} % (stated)"


def card_warnings(card: ModelCard, setup: AnalogSetup) -> tuple[str, ...]:
    """Return what makes chips of a card doubtful: its verdict, and times beyond its data."""
    found = []
    if card.quality.verdict == "bad":
        found.append(
            f"The verdict of card {card.name} is bad: {sentence(card.quality.summary)} Do not rely "
            "on accuracies on its chips; see its report."
        )
    found += findings_at(
        card,
        time=setup.time,
        temperature=setup.temperature,
        reads=setup.reads,
        cycles=setup.cycles,
    )
    return tuple(found)
