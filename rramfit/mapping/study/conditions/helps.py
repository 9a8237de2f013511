"""Helps: what a chip is assumed to have or know, without which it would be less accurate.

    range              an amplifier per tile, so that the converters' range follows the tile
    correction         digital correction of each column's offset and gain (or cubic term)
    exact-calibration  these are known exactly, not from noisy reads
    wire-gain          a digital gain corrects each column's nominal loss in the wires
    bn-recalibration   BatchNorm statistics are estimated again on each chip
    float32            digital gains, scales, biases and partial sums are float32
    white-noise        read noise is independent for every vector, which averages it
    placement          rows and columns are assigned around the known faults of a chip

Each can be left out (`without_help`). The cost of having it, for one chip:

    writes       numbers written into the tiles' registers, once
    reads        conversions for its calibration, once
    operations   digital multiplications and additions of one inference
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rramfit.errors import MappingError
from rramfit.mapping.study.costs import mapping_plan
from rramfit.mapping.tiles.active_factors import active_factors
from rramfit.mapping.tiles.channel_calibration import REFERENCES
from rramfit.mapping.tiles.matrix import AnalogMatrix
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["HELPS", "Help", "active_helps", "helps_of", "without_help"]

FEW_READS = 16
"""Calibration reads in place of exact knowledge, to find what that is worth."""

FEW_BITS = 8
"""Significand in place of float32, as in bfloat16."""

_OPERATIONS = {"none": 0, "offset": 1, "linear": 2, "cubic": 14}
"""Multiplications and additions per conversion; the cubic term takes three rounds."""

HELPS = {
    "range": "--range card",
    "correction": "--correction none",
    "exact-calibration": "--calibration-reads N",
    "wire-gain": "--no-wire-correction",
    "bn-recalibration": "no --bn-recalibration",
    "float32": "--digital-bits B",
    "white-noise": "--read-noise batch",
    "placement": "no --place",
}
"""Helps by name, with the option that leaves each out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    """One help: whether it is on, how, and what it costs a chip."""

    name: str
    on: bool
    state: str
    option: str  # that leaves it out
    writes: int = 0
    reads: int = 0
    operations: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the help as JSON types."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def active_helps(setup: AnalogSetup, *, bn_recalibration: int | None = None) -> tuple[str, ...]:
    """Return the helps that are on and have an effect, in the order of `HELPS`."""
    p, active = setup.peripherals, active_factors(setup)
    corrected = "readout" in active and p.correction != "none"
    on = {
        "range": "readout" in active and p.adc_range == "calibrated",
        "correction": corrected,
        "exact-calibration": corrected and p.calibration_reads is None,
        "wire-gain": "wires" in active and p.wire_correction,
        "bn-recalibration": bn_recalibration is not None,
        "float32": p.digital_bits is None,
        "white-noise": "read" in active and p.read_noise == "white",
        "placement": setup.place_around_faults,
    }
    return tuple(name for name in HELPS if on[name])


def without_help(setup: AnalogSetup, name: str) -> AnalogSetup:
    """Return the setup without one help; BatchNorm recalibration is not part of a setup.

    Raises
    ------
    MappingError
        If there is no such help.
    """
    changes: dict[str, dict[str, object]] = {
        "range": {"adc_range": "card"},
        "correction": {"correction": "none"},
        "exact-calibration": {"calibration_reads": FEW_READS},
        "wire-gain": {"wire_correction": False},
        "float32": {"digital_bits": FEW_BITS},
        "white-noise": {"read_noise": "batch"},
    }
    if name == "placement":
        return dataclasses.replace(setup, place_around_faults=False, spare_columns=0)
    if name not in HELPS:
        msg = f"unknown help {name!r}; expected one of {', '.join(HELPS)}"
        raise MappingError(msg)
    changed = dataclasses.replace(setup.peripherals, **changes.get(name, {}))  # type: ignore[arg-type]
    return dataclasses.replace(setup, peripherals=changed)


def helps_of(
    matrices: Sequence[AnalogMatrix], *, bn_recalibration: int | None = None
) -> tuple[Help, ...]:
    """Return all helps of a mapped network, with their costs.

    Parameters
    ----------
    matrices : sequence of AnalogMatrix
        From `rramfit.mapping.analog_matrices`.
    bn_recalibration : int, optional
        Number of images on each chip.
    """
    setup = matrices[0].setup
    p, on = setup.peripherals, active_helps(setup, bn_recalibration=bn_recalibration)
    plan = mapping_plan(list(matrices))
    conversions = int(plan.total("conversions"))
    tiles = int(plan.total("tiles"))
    columns = tiles * setup.tile[1]
    reads = p.calibration_reads
    references = len(REFERENCES[p.correction])
    calibrated = "exact" if reads is None else f"{reads} reads of {references} reference currents"
    spare = f", {setup.spare_columns} spare columns per tile" if setup.spare_columns else ""
    state = {
        "range": "an amplifier per tile" if p.adc_range == "calibrated" else "the card's range",
        "correction": p.correction,
        "exact-calibration": calibrated if p.correction != "none" else "not calibrated",
        "wire-gain": "per column" if p.wire_correction else "none",
        "bn-recalibration": "as trained"
        if bn_recalibration is None
        else f"on each chip, with {bn_recalibration} images",
        "float32": "float32" if p.digital_bits is None else f"significand of {p.digital_bits} bits",
        "white-noise": "independent for every vector"
        if p.read_noise == "white"
        else "constant during a batch",
        "placement": f"around faults{spare}" if setup.place_around_faults else "none",
    }
    writes = {
        "range": tiles,
        "correction": columns * references,
        "wire-gain": columns,
        "placement": tiles * sum(setup.tile),
    }
    cost_reads = {
        "correction": columns * references * (reads or 0),
        "bn-recalibration": conversions * (bn_recalibration or 0),
    }
    operations = {
        "correction": conversions * _OPERATIONS[p.correction],
        "wire-gain": conversions,
    }
    return tuple(
        Help(
            name=name,
            on=name in on,
            state=state[name],
            option=option,
            writes=writes.get(name, 0) if name in on else 0,
            reads=cost_reads.get(name, 0) if name in on else 0,
            operations=operations.get(name, 0) if name in on else 0,
        )
        for name, option in HELPS.items()
    )
