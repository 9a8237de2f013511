"""The circuit: column currents of an array whose wires have resistance.

From conductances, line resistances and input voltages this package computes exact column currents
and node voltages, their gradients, an effective matrix, and fast differentiable estimates of that
matrix with a certificate of their error.

Cell conductances are drawn in `rramfit.array.devices`.
"""

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
    "Certificate",
    "CrossbarEstimate",
    "IterativeSolution",
    "LineResistance",
    "NodeVoltages",
    "active_rows",
    "alpha_beta",
    "anchored_estimate",
    "certify",
    "column_currents",
    "cubic_law",
    "effective_matrix",
    "node_voltages",
    "sinh_law",
    "smooth_estimate",
    "solve_iterative",
    "solve_nonlinear",
    "source_matrix",
]
