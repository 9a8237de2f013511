"""The array in torch: crossbar solvers and the sampler of devices."""

from rramfit.array.devices.chips import Chips, Programmed, draw_chips
from rramfit.array.devices.device_model import FACTORS, DeviceModel
from rramfit.array.devices.measured_chips import ReplayedChips, chip_from_cells
from rramfit.array.devices.readout import ReadoutChannels, draw_channels
from rramfit.array.wires.certificate import Certificate, certify
from rramfit.array.wires.effective import (
    NodeVoltages,
    active_rows,
    column_currents,
    effective_matrix,
    node_voltages,
    source_matrix,
)
from rramfit.array.wires.estimate import (
    CrossbarEstimate,
    alpha_beta,
    anchored_estimate,
    smooth_estimate,
)
from rramfit.array.wires.line import LineResistance
from rramfit.array.wires.nonlinear import (
    IterativeSolution,
    cubic_law,
    sinh_law,
    solve_iterative,
    solve_nonlinear,
)

__all__ = [
    "FACTORS",
    "Certificate",
    "Chips",
    "CrossbarEstimate",
    "DeviceModel",
    "IterativeSolution",
    "LineResistance",
    "NodeVoltages",
    "Programmed",
    "ReadoutChannels",
    "ReplayedChips",
    "active_rows",
    "alpha_beta",
    "anchored_estimate",
    "certify",
    "chip_from_cells",
    "column_currents",
    "cubic_law",
    "draw_channels",
    "draw_chips",
    "effective_matrix",
    "node_voltages",
    "sinh_law",
    "smooth_estimate",
    "solve_iterative",
    "solve_nonlinear",
    "source_matrix",
]
