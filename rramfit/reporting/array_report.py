"""Report of one solved array: wire voltages, cell currents, current lost in the wires."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rramfit.provenance import package_version
from rramfit.reporting.figures.maps import draw_quantity_map
from rramfit.reporting.figures.wires import draw_ideal_and_actual, draw_lost_by_column
from rramfit.reporting.page.document import (
    Figure,
    KeyFigure,
    KeyFigures,
    Report,
    Section,
    figure,
)
from rramfit.reporting.page.map_layout import array_map
from rramfit.reporting.page.wording import counted, number, share
from rramfit.reporting.sections.wires import certificate_blocks

if TYPE_CHECKING:
    from rramfit.array.wires.certificate import Certificate
    from rramfit.array.wires.solution import ArraySolution

__all__ = ["array_report"]


def array_report(
    solution: ArraySolution,
    certificates: Mapping[str, Certificate],
    *,
    title: str,
    facts: tuple[tuple[str, str], ...] = (),
    at: int = 0,
) -> Report:
    """Build the report of a solved array.

    Parameters
    ----------
    solution : ArraySolution
    certificates : mapping of str to Certificate
        Errors of the fast estimates, from
        `rramfit.array.wires.solver_comparison.estimate_certificates`.
    title : str
    facts : tuple of (name, value)
        Identification of the array and its wires.
    at : int
        Index of the input vector whose currents and voltages are drawn.

    Returns
    -------
    Report
    """
    on = int(np.count_nonzero(solution.voltage[at]))
    drawn = f"input {at}, with {counted(on, 'row')} on"
    cells, wires = _map_sections(solution, at, drawn)
    estimates = tuple(certificate_blocks(dict(certificates)))
    sections = [_current_section(solution, at, drawn), wires, cells]
    if estimates:
        sections.append(Section(key="estimates", title="Fast estimates", blocks=estimates))
    return Report(
        title=title,
        subtitle="Column currents of an array with wires, solved exactly",
        facts=(*facts, ("inputs", f"{len(solution.voltage)}")),
        lead=(KeyFigures(items=_key_figures(solution, certificates)),),
        sections=tuple(sections),
        footer=f"Made by rramfit {package_version()}.",
    )


def _key_figures(
    solution: ArraySolution, certificates: Mapping[str, Certificate]
) -> tuple[KeyFigure, ...]:
    worst, vector, col = solution.worst_lost
    items = [
        KeyFigure(
            label="current lost in the wires",
            value=share(solution.mean_lost, digits=3),
            detail="mean over all inputs",
        ),
        KeyFigure(
            label="largest loss",
            value=share(worst, digits=3),
            detail=f"column {col}, input {vector}",
        ),
    ]
    items += [
        KeyFigure(
            label=f"{name} estimate",
            value=f"{number(c.p99, 2)}\N{NO-BREAK SPACE}%",
            detail="of full scale, 99th percentile",
            tone="plain" if c.ok else "warning",
        )
        for name, c in certificates.items()
    ]
    return tuple(items)


def _current_section(solution: ArraySolution, at: int, drawn: str) -> Section:
    ideal, current = solution.ideal_current, solution.column_current
    blocks = (
        figure(
            partial(draw_ideal_and_actual, ideal=ideal[at], actual=current[at]),
            key="columns",
            title="Column currents",
            caption=f"For {drawn}. The difference between the lines is lost in the wires.",
        ),
        figure(
            partial(draw_lost_by_column, measured=current, ideal=ideal),
            key="lost-by-column",
            title="Current lost by column",
            caption="Share of each column's current that is lost in the wires, over all inputs.",
        ),
    )
    return Section(key="currents", title="Currents", blocks=blocks)


def _map_sections(solution: ArraySolution, at: int, drawn: str) -> tuple[Section, Section]:
    from rramfit.array.wires.solution import array_maps

    maps = array_maps(solution, at)

    def drawing(key: str, values: np.ndarray, unit: str, title: str, caption: str) -> Figure:
        draw = partial(draw_quantity_map, values=values, unit=unit)
        rows, cols = values.shape
        return array_map(draw, (rows, cols), key=key, title=title, caption=caption)

    wires = (
        drawing(
            "wordline",
            maps.wordline,
            "V",
            "Wordline voltage",
            f"At the wordline terminal of each cell, for {drawn}. Rows are driven at column 0.",
        ),
        drawing(
            "bitline",
            maps.bitline,
            "V",
            "Bitline voltage",
            "At the bitline terminal of each cell. Columns are sensed below the last row.",
        ),
        drawing(
            "across",
            maps.wordline - maps.bitline,
            "V",
            "Voltage across each cell",
            "Wordline minus bitline voltage. Below 0, current flows back into the row.",
        ),
    )
    cells = (
        drawing("cells", solution.conductance, "S", "Conductance", "Conductance of each cell."),
        drawing(
            "cell-current",
            maps.cell_current,
            "A",
            "Cell current",
            f"Current through each cell, for {drawn}.",
        ),
        drawing(
            "lost-current",
            maps.lost_current,
            "A",
            "Lost cell current",
            "Current of each cell with ideal wires minus its current with these wires. The sum "
            "over a column is the loss of the column.",
        ),
    )
    return (
        Section(key="cells", title="Cells", blocks=cells),
        Section(key="voltages", title="Voltages", blocks=wires),
    )
