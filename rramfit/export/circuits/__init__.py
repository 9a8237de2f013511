"""Circuits: netlists of tiles, a compact model of one cell, arrays for a nodal solver.

One module for each target, with its `EXPORTER`.
"""

__all__: list[str] = []
