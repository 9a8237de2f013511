"""aihwkit and aihwkit-lightning: a card as a module with a configuration.

`exporter` writes for aihwkit, `lightning` for aihwkit-lightning; the modules that run there are in
`files/`. Excluded: how cells are drawn, which `rramfit.export.networks.cell_model` has for all
targets.
"""

from rramfit.export.networks.aihwkit.exporter import EXPORTER, aihwkit_options

__all__ = ["EXPORTER", "aihwkit_options"]
