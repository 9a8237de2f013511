"""CrossSim: a card as its parameters and a device module.

The exporter is `exporter`; the module that runs in CrossSim is in `files/`. Excluded: how cells are
drawn, which `rramfit.export.networks.cell_model` has for all targets.
"""

from rramfit.export.networks.crosssim.exporter import EXPORTER, crosssim_parameters

__all__ = ["EXPORTER", "crosssim_parameters"]
