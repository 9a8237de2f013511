"""The array in torch: crossbar solvers and the device sampler."""

from rramfit.array.effective import (
    NodeVoltages,
    active_rows,
    column_currents,
    effective_matrix,
    node_voltages,
    source_matrix,
)
from rramfit.array.line import LineResistance

__all__ = [
    "LineResistance",
    "NodeVoltages",
    "active_rows",
    "column_currents",
    "effective_matrix",
    "node_voltages",
    "source_matrix",
]
