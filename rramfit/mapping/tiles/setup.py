"""Setup of a network on chips: card, tiles, codes, converters, wires, and active non-idealities.

All layers of a network share one `AnalogSetup`. Every non-ideality (factor) has a name and can be
switched off; all are on by default:

    quantisation     weights are rounded to the nearest code    off: cells take any conductance
    wires            wires have the card's resistances          off: wires without resistance
    dac              inputs are quantised and clipped           off: continuous voltages
    adc              currents are quantised and clipped         off: continuous values
    readout          channels have gain and offset errors,      off: identical, linear channels
                     a cubic term and noise
    between          all tiles of a chip share a deviation      off: chips differ by their cells
                     from the card's level means

The factors of the cells are d2d, field, trend, c2c, failure, stuck, dead_lines, read, retention and
nonlinearity (`rramfit.array.devices.device_model`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch

from rramfit.array.devices.device_model import FACTORS as DEVICE_FACTORS
from rramfit.array.devices.device_model import DeviceModel
from rramfit.array.devices.measured_chips import ReplayedChips
from rramfit.array.wires.line import InactiveRows, LineResistance
from rramfit.card.cells import CellMaps
from rramfit.card.conditions.condition_findings import findings_at
from rramfit.card.quantity import Quantity
from rramfit.card.schema import LineCard, ModelCard, ReadoutCard
from rramfit.errors import MappingError
from rramfit.mapping.layout.codes import Codebook, Scheme, codebook
from rramfit.mapping.tiles.chip_source import Origin
from rramfit.mapping.tiles.peripherals import Peripherals
from rramfit.units import counted

__all__ = ["FACTORS", "AnalogSetup", "WiresBy", "analog_setup", "factors_of"]

FACTORS = ("quantisation", *DEVICE_FACTORS, "wires", "dac", "adc", "readout", "between")
"""Non-idealities that can be switched off."""

WiresBy = Literal["exact", "estimate"]

READ_VOLTAGE = 0.2
"""[V] if neither the card nor the caller specifies it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnalogSetup:
    """Setup that all layers of a network share."""

    card_name: str
    model: DeviceModel
    book: Codebook
    line: LineResistance | None  # None if the card has no wires
    readout: ReadoutCard | None
    peripherals: Peripherals
    read_voltage: float  # [V]
    tile: tuple[int, int]
    wires_by: WiresBy
    factors: frozenset[str]
    time: float  # [s] since programming
    temperature: float | None  # [K] at which cells age; None: that of the card's bake
    origin: Origin | None
    place_around_faults: bool
    reads: int = 0  # of every cell since programming
    cycles: int = 0  # SET/RESET cycles of every cell before it
    spare_columns: int = 0  # of each tile, for a placement around faults
    chip_spread: torch.Tensor | None = None  # [S] (level,) between chips
    stated_chip_spread: float | None = None  # share of the level means; None: the card's

    def __deepcopy__(self, memo: dict[int, object]) -> AnalogSetup:
        """Share the setup; it is immutable."""
        return self

    @property
    def device_model(self) -> DeviceModel:
        """Device model with only the active factors."""
        return self.model.only(*(f for f in DEVICE_FACTORS if f in self.factors))

    @property
    def has_wires(self) -> bool:
        """Whether wires have resistance."""
        return (
            "wires" in self.factors
            and self.line is not None
            and any(float(torch.as_tensor(r)) > 0 for r in self.line.values)
        )

    @property
    def pattern_matters(self) -> bool:
        """Whether the effective matrix depends on the active rows."""
        return self.has_wires and self.line is not None and self.line.inactive_rows != "grounded"

    @property
    def sends_bits(self) -> bool:
        """Whether every row is either at 0 V or at the read voltage."""
        return "dac" in self.factors and self.peripherals.input_coding == "bit_serial"

    @property
    def converts(self) -> bool:
        """Whether column currents pass a non-ideal converter."""
        return "adc" in self.factors or ("readout" in self.factors and self.readout is not None)

    @property
    def calibrates(self) -> bool:
        """Whether a product depends on the range of the inputs or of the currents."""
        return (
            self.converts
            or self.pattern_matters
            or self.peripherals.digital_bits is not None
            or not self.factors.isdisjoint(("dac", "read", "nonlinearity"))
        )

    def level_shift(self, generator: torch.Generator) -> torch.Tensor | None:
        """Draw by how much a chip's level means differ from the card's [S], (level,).

        All levels have the same number of standard deviations. None without differences.
        """
        if self.chip_spread is None or "between" not in self.factors or self.origin is not None:
            return None
        size = self.chip_spread
        return size * torch.randn((), generator=generator, device=size.device, dtype=size.dtype)

    def on_chips_of(self, card: ModelCard) -> AnalogSetup:
        """Return the setup of the same network on chips of another card.

        Codes, converters and the state of inactive rows stay: the network is mapped with the card
        of this setup, and the chips turn out to be as the other card describes.
        """
        rows = None if self.line is None else self.line.inactive_rows
        model = DeviceModel.from_card(
            card,
            device=self.model.device,
            dtype=self.model.dtype,
            temperature=self.temperature,
            cycles=self.cycles,
        )
        line = _line(card.line, rows)
        spread = None if self.stated_chip_spread is None else self.chip_spread
        return dataclasses.replace(
            self, model=model, line=line, readout=card.readout, chip_spread=spread
        )

    def with_factors(self, factors: Collection[str]) -> AnalogSetup:
        """Return the setup with only these factors on."""
        return dataclasses.replace(self, factors=factors_of(factors))


def factors_of(names: Collection[str]) -> frozenset[str]:
    """Check the names of factors.

    Raises
    ------
    MappingError
        If a factor is unknown; the message lists the known factors.
    """
    unknown = sorted(set(names) - set(FACTORS))
    if unknown:
        msg = f"unknown factor {unknown[0]!r}; expected {', '.join(FACTORS)}"
        raise MappingError(msg)
    return frozenset(names)


def analog_setup(
    card: ModelCard,
    *,
    tile: tuple[int, int] | None = None,
    scheme: Scheme = "columns",
    slices: int = 1,
    weight_values: int | None = None,
    peripherals: Peripherals | None = None,
    wires_by: WiresBy = "exact",
    inactive_rows: InactiveRows | None = None,
    factors: Collection[str] = FACTORS,
    time: float = 0.0,
    temperature: float | None = None,
    reads: int = 0,
    cycles: int = 0,
    origin: Origin | None = None,
    place_around_faults: bool = False,
    spare_columns: int = 0,
    chip_spread: float | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> AnalogSetup:
    """Set up chips of one card.

    Parameters
    ----------
    card : ModelCard
    tile : (rows, cols), optional
        Default: 128 × 128, or the array size if `origin` is given and the array is smaller.
    scheme, slices, weight_values
        As for `rramfit.mapping.layout.codes.codebook`.
    peripherals : Peripherals, optional
    wires_by : {"exact", "estimate"}
        Solve each programmed tile, or estimate from one solution of the nominal tile.
    inactive_rows : {"grounded", "floating", "gated"}, optional
        Default: the card's value.
    factors : collection of str
        Factors that are on.
    time : float
        Time since programming [s].
    temperature : float, optional
        At which cells age [K]; by default that of the card's (first) bake. What is beyond the
        measurement is in the model's `assumptions`.
    reads : int
        Reads of every cell since programming, such as inferences, for the card's read disturb.
    cycles : int
        SET/RESET cycles that every cell had before, for the card's lives. Measured conductances
        and given chips are as worn as they are.
    origin : CellMaps, ReplayedChips or Chips, optional
        One measured chip, or given chips, to use instead of newly drawn chips.
    place_around_faults : bool
        Assign rows and columns around the faults of a fitted chip; needs its `CellMaps`.
    spare_columns : int
        Columns of each tile that hold no weights, so that a placement can avoid bad columns.
    chip_spread : float, optional
        Standard deviation of the level means between chips, as a share of the means. Default: the
        card's `between`, if several arrays were measured.
    device, dtype : optional

    Raises
    ------
    MappingError
        If the levels cannot represent weights, a factor is unknown, or `origin` has another number
        of levels than the card.
    """
    model = DeviceModel.from_card(
        card, device=device, dtype=dtype, temperature=temperature, cycles=cycles
    )
    beyond = findings_at(card, time=time, temperature=temperature, reads=reads, cycles=cycles)
    model = dataclasses.replace(model, assumptions=(*model.assumptions, *beyond))
    _check_levels(origin, card)
    if tile is None:
        rows, cols = model.shape if origin is not None else (128, 128)
        tile = (min(rows, 128), min(cols, 128))
    if place_around_faults and not isinstance(origin, CellMaps):
        msg = "placement around faults needs a fitted chip; give its sidecar (CellMaps) as origin"
        raise MappingError(msg)
    if spare_columns and not place_around_faults:
        msg = "spare columns are of use to a placement only; set place_around_faults"
        raise MappingError(msg)
    peripherals = peripherals or Peripherals()
    if peripherals.adc_range == "card" and card.readout is None:
        msg = (
            f"the converters' range is to be that of card {card.name}, which has no read-out "
            "chain; use a range per tile"
        )
        raise MappingError(msg)
    voltage = peripherals.read_voltage
    if voltage is None:
        given = card.domain.read_voltage
        voltage = READ_VOLTAGE if given is None else given.value
    return AnalogSetup(
        card_name=card.name,
        model=model,
        book=codebook(model.mean, scheme=scheme, slices=slices, weight_values=weight_values),
        line=_line(card.line, inactive_rows),
        readout=card.readout,
        peripherals=peripherals,
        read_voltage=voltage,
        tile=tile,
        wires_by=wires_by,
        factors=factors_of(factors),
        time=time,
        temperature=temperature,
        reads=reads,
        cycles=cycles,
        origin=origin,
        place_around_faults=place_around_faults,
        spare_columns=spare_columns,
        chip_spread=_chip_spread(card, model, chip_spread),
        stated_chip_spread=chip_spread,
    )


def _chip_spread(card: ModelCard, model: DeviceModel, stated: float | None) -> torch.Tensor | None:
    """Return the standard deviation of each level's mean between chips [S]; None without one."""
    if stated is not None:
        return model.mean * stated if stated > 0 else None
    between = [
        0.0 if x.mean is None or x.mean.between is None else x.mean.between for x in card.levels
    ]
    return torch.tensor(between).to(model.mean) if any(between) else None


def _check_levels(origin: Origin | None, card: ModelCard) -> None:
    """Raise an error if a measured chip has another number of levels than the card."""
    if isinstance(origin, CellMaps):
        what, levels = "sidecar", len(origin.offset)
    elif isinstance(origin, ReplayedChips):
        what, levels = "measurement", origin.conductance.shape[1]
    else:
        return
    if levels != len(card.levels):
        msg = (
            f"the {what} has {counted(levels, 'level')} and card {card.name} {len(card.levels)}. "
            f"Use the {what} of this card"
        )
        raise MappingError(msg)


def _line(card: LineCard | None, inactive_rows: InactiveRows | None) -> LineResistance | None:
    if card is None:
        return None

    def ohm(q: Quantity | None) -> float:
        return 0.0 if q is None else max(q.value, 0.0)

    return LineResistance(
        r_wl=ohm(card.wordline_resistance),
        r_bl=ohm(card.bitline_resistance),
        r_driver=ohm(card.driver_resistance),
        r_sense=ohm(card.sense_resistance),
        inactive_rows=inactive_rows or card.inactive_rows,
    )
