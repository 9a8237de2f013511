"""Electrical fits: I-V curve and pulse response of the cells, line resistance, read-out chain.

Input: the groups `/iv`, `/pulses`, `/mvm` and `/readout`. Output: nonlinearity of the cells, the
course of potentiation and depression, four wire resistances with a plan of input patterns that
determine them, and gain, offset and nonlinearity of each read-out channel.

Not here: solving an array for its currents (`rramfit.array.wires`).
"""

from rramfit.fitting.electrical.iv import IVFit, fit_iv
from rramfit.fitting.electrical.line_fit import LineResistanceFit, fit_line_resistance
from rramfit.fitting.electrical.line_plan import LinePlan, plan_lines
from rramfit.fitting.electrical.pulses import PulseFit, fit_pulse_response
from rramfit.fitting.electrical.readout import ReadoutFit, fit_readout

__all__ = [
    "IVFit",
    "LinePlan",
    "LineResistanceFit",
    "PulseFit",
    "ReadoutFit",
    "fit_iv",
    "fit_line_resistance",
    "fit_pulse_response",
    "fit_readout",
    "plan_lines",
]
