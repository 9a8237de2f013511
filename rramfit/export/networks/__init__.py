"""Simulators of networks on arrays: the parameters and tables that each of them reads.

One module for each target, with its `EXPORTER`. `crosssim` and `aihwkit` also have the modules that
run in these programs, and `cell_model` the one that draws cells there.
"""

__all__: list[str] = []
