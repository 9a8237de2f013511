"""A plan of a measurement: its sizes, and the intervals that it reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rramfit.card.quantity import result_html
from rramfit.units import counted, format_number, format_quantity

__all__ = ["GroupPlan", "MeasurementPlan", "ParameterPlan", "half_width_text"]

_SLACK = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterPlan:
    """What one wanted interval needs.

    Attributes
    ----------
    path, unit : str
    value : float
    wanted, now : float
        Half width of the 95 % interval, wanted and on the card; `now` is infinite if the card's
        measurement does not determine it.
    planned : float
        Half width with the plan.
    group : str
        Group of the file that determines it.
    cells_only : int, optional
        Cells that it needs with as many sweeps as the card's; None for another group.
    sweeps_only : int, optional
        Attempts of each cell at each level that it needs with as many cells as the card's; None if
        no number is enough.
    floor : float
        Smallest half width that more sweeps of the same cells reach.
    factor : float
        How many times the information of the card it needs.
    note : str
    """

    path: str
    unit: str
    value: float
    wanted: float
    now: float
    planned: float
    group: str
    cells_only: int | None = None
    sweeps_only: int | None = None
    floor: float = 0.0
    factor: float = 1.0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlan:
    """Multiple of another group that all wants of it need."""

    group: str
    counts: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementPlan:
    """A plan and what it reaches.

    Attributes
    ----------
    cells : int, optional
        Cells to program; None if no want is about the programming sweeps.
    arrays : int, optional
        Arrays of the card's size that have this number of cells.
    repeats : int, optional
        Attempts of each cell at each level.
    sweeps : int, optional
        Programming sweeps in total, if each programs every cell to one level.
    groups : tuple of GroupPlan
    parameters : tuple of ParameterPlan
    notes : tuple of str
        What does not shrink with more of the same: full sentences.
    """

    cells: int | None
    arrays: int | None
    repeats: int | None
    sweeps: int | None
    groups: tuple[GroupPlan, ...]
    parameters: tuple[ParameterPlan, ...]
    notes: tuple[str, ...]

    @property
    def met(self) -> bool:
        """Whether the plan meets every want."""
        return all(p.planned <= p.wanted * _SLACK for p in self.parameters)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan for JSON; a half width that is not determined is absent."""
        return {
            "met": self.met,
            "cells": self.cells,
            "arrays": self.arrays,
            "attempts_per_cell_and_level": self.repeats,
            "sweeps": self.sweeps,
            "groups": [
                {"group": g.group, "counts": g.counts, "factor": g.factor} for g in self.groups
            ],
            "parameters": [
                {
                    "path": p.path,
                    "unit": p.unit,
                    "value": p.value,
                    "wanted": p.wanted,
                    "now": p.now if math.isfinite(p.now) else None,
                    "planned": p.planned if math.isfinite(p.planned) else None,
                    "group": p.group,
                    "cells_only": p.cells_only,
                    "attempts_only": p.sweeps_only,
                    "factor": p.factor if math.isfinite(p.factor) else None,
                    "note": p.note,
                }
                for p in self.parameters
            ],
            "notes": list(self.notes),
        }

    def sizes(self) -> list[str]:
        """Return what to measure, one sentence per group."""
        lines = []
        if self.cells is not None and self.repeats is not None:
            sweeps = counted(self.sweeps or 0, "sweep")
            lines.append(
                f"Program {counted(self.cells, 'cell')} ({counted(self.arrays or 1, 'array')} of "
                f"the card's size), each {counted(self.repeats, 'time')} to each level: {sweeps} "
                "if a sweep programs every cell once."
            )
        for g in self.groups:
            if not math.isfinite(g.factor):
                lines.append(f"No number of {g.counts} in {g.group} is enough.")
            elif g.factor > 1:
                factor = format_number(g.factor, 3)
                lines.append(f"Measure {factor} times as many {g.counts} in {g.group}.")
            else:
                lines.append(f"As many {g.counts} in {g.group} as the card's are enough.")
        return lines

    def _repr_html_(self) -> str:
        rows = {
            p.path: {"value": format_quantity(p.value, p.unit)}
            | {
                name: f"± {half_width_text(width, p.unit)}"
                for name, width in (("wanted", p.wanted), ("now", p.now), ("planned", p.planned))
            }
            for p in self.parameters
        }
        return result_html(" ".join(self.sizes()), rows, self.notes)

    def summary(self) -> str:
        """Return the plan as readable text."""
        lines = self.sizes()
        for p in self.parameters:
            wanted, now, planned = (
                half_width_text(x, p.unit) for x in (p.wanted, p.now, p.planned)
            )
            lines.append(
                f"{p.path}: {format_quantity(p.value, p.unit)}, wanted ± {wanted}, now ± {now}, "
                f"with the plan ± {planned}"
            )
        return "\n".join([*lines, *self.notes])


def half_width_text(half: float, unit: str) -> str:
    """Format a half width with its unit."""
    return format_quantity(half, unit, digits=2) if math.isfinite(half) else "not determined"
