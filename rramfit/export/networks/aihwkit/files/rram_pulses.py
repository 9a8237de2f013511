"""The pulse response of a measured model card, as devices of aihwkit's training tiles.

A weight of −1 is the lowest conductance of the courses, a weight of 1 the highest. These devices
need aihwkit's compiled tile.
"""

import json
from pathlib import Path

from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import PiecewiseStepDevice, SoftBoundsDevice

__all__ = ["piecewise_device", "rpu_config", "soft_bounds_device"]

PRESETS = json.loads(Path(__file__).with_name("rram_pulses.json").read_text(encoding="utf-8"))


def piecewise_device():
    """Return the device with steps interpolated from the measured mean courses."""
    return PiecewiseStepDevice(**PRESETS["piecewise"])


def soft_bounds_device():
    """Return the device whose steps vanish at soft bounds."""
    return SoftBoundsDevice(**PRESETS["soft_bounds"])


def rpu_config(device=None):
    """Return a configuration of training by pulses on such devices."""
    return SingleRPUConfig(device=piecewise_device() if device is None else device)
