"""The cells: arrays drawn from a card, programmed, aged and read.

From a model card and a seed this package draws the conductances of many arrays at once, with level
distributions, correlated offsets, faults, drift, read noise and read-out channels. It also replays
one measured array.

The wires are in `rramfit.array.wires`.
"""

from rramfit.array.devices.chips import Chips, Programmed, draw_chips
from rramfit.array.devices.device_model import FACTORS, DeviceModel
from rramfit.array.devices.measured_chips import ReplayedChips, chip_from_cells
from rramfit.array.devices.readout import ReadoutChannels, draw_channels

__all__ = [
    "FACTORS",
    "Chips",
    "DeviceModel",
    "Programmed",
    "ReadoutChannels",
    "ReplayedChips",
    "chip_from_cells",
    "draw_channels",
    "draw_chips",
]
