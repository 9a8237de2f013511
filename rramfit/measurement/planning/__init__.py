"""How large a measurement must be for wanted intervals, by the errors that a card states.

In: a card, and the half width wanted of some of its parameters. Out: cells, sweeps and multiples of
the other groups, and what does not shrink with more of the same.

Not here: which voltages identify the line resistances (`rramfit.fitting.electrical.line_plan`).
"""

from rramfit.measurement.planning.plan import plan_measurement
from rramfit.measurement.planning.planned import MeasurementPlan
from rramfit.measurement.planning.wants import Want, parse_want

__all__ = ["MeasurementPlan", "Want", "parse_want", "plan_measurement"]
