"""The array in torch: crossbar solvers and the device sampler."""

from rramfit.array.certificate import Certificate, certify
from rramfit.array.chips import Chips, Programmed, draw_chips
from rramfit.array.devices import FACTORS, DeviceModel
from rramfit.array.effective import (
    NodeVoltages,
    active_rows,
    column_currents,
    effective_matrix,
    node_voltages,
    source_matrix,
)
from rramfit.array.estimate import (
    CrossbarEstimate,
    alpha_beta,
    anchored_estimate,
    smooth_estimate,
)
from rramfit.array.line import LineResistance
from rramfit.array.measured_chips import ReplayedChips, chip_from_cells
from rramfit.array.nonlinear import (
    IterativeSolution,
    cubic_law,
    sinh_law,
    solve_iterative,
    solve_nonlinear,
)
from rramfit.array.readout import ReadoutChannels, draw_channels

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
