"""The section on wires: measured and predicted currents, loss, resistances not identified."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card.schema import LineCard
from rramfit.errors import ArrayError
from rramfit.measurement.file.record import MVM
from rramfit.reporting.figures.maps import draw_quantity_map
from rramfit.reporting.figures.wires import (
    draw_current_residuals,
    draw_currents_against_predicted,
    draw_lost_by_column,
)
from rramfit.reporting.page.document import Block, Column, Figure, Note, Section, Table, figure
from rramfit.reporting.page.map_layout import array_map
from rramfit.reporting.page.tables import LABELS, part_rows
from rramfit.reporting.page.wording import (
    format_quantity_parts,
    listed,
    number,
    share,
    with_unit,
)
from rramfit.reporting.report_data.line_data import RESISTANCE_NAMES, LineData, compute_line_data
from rramfit.reporting.report_data.report_data import ReportData

if TYPE_CHECKING:
    from rramfit.array.wires.certificate import Certificate

__all__ = ["certificate_blocks", "line_section"]

_THIRD = (2.85, 2.6)  # [inch]
_ABSENT = "\N{EN DASH}"


def line_section(e: ReportData) -> Section | None:
    """Return the section on wire resistances and the current lost in them."""
    data, card = e.measurement.mvm, e.card.line
    figures, certificate = _measured_blocks(data, card) if data is not None else ([], [])
    blocks = list(figures)
    if card is not None:
        blocks += [_resistances(card), *certificate, *_unknown(card)]
    return Section(key="wires", title="Wires", blocks=tuple(blocks)) if blocks else None


def _measured_blocks(data: MVM, card: LineCard | None) -> tuple[list[Block], list[Block]]:
    """Return figures of measured and predicted currents, and the errors of the fast estimates."""
    ideal = data.voltage @ np.nan_to_num(data.conductance)
    if card is None:
        return [_lost_figure(data.current, ideal, None)], []
    try:
        line_data = compute_line_data(card, data)
    except ArrayError as error:
        text = f"The array cannot be solved with these wires: {error}."
        note = Note(text=text, remedy="Check the fit of the wires.", tone="warning")
        return [note, _lost_figure(data.current, ideal, None)], []
    return [*_current_figures(line_data)], certificate_blocks(line_data.certificates)


def _current_figures(e: LineData) -> list[Figure]:
    over = f", divided by the common gain of {number(e.gain, 4)}," if e.gain != 1 else ""
    lost = 1 - float(np.abs(e.predicted).sum() / max(np.abs(e.ideal).sum(), 1e-300))
    seen = np.isfinite(e.measured) & (np.abs(e.predicted) > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        off = (e.measured / e.predicted)[seen] - 1
    typical = 1.4826 * float(np.median(np.abs(off - np.median(off)))) if off.size else 0.0
    figures = [
        figure(
            partial(draw_currents_against_predicted, measured=e.measured, predicted=e.predicted),
            key="currents-predicted",
            width="third",
            size=_THIRD,
            title="Measured against predicted",
            caption=f"Column currents of all patterns{over} against the exact solution of the "
            "array with the card's resistances and the measured cells.",
        ),
        figure(
            partial(draw_current_residuals, measured=e.measured, predicted=e.predicted),
            key="current-residuals",
            width="third",
            size=_THIRD,
            title="Residuals",
            caption=f"Measured minus predicted, relative to predicted; robust standard deviation "
            f"{share(typical)}. A trend over the current indicates a model error.",
        ),
    ]
    if e.effect is not None:
        figures.append(
            array_map(
                partial(draw_quantity_map, values=100 * e.effect, unit="%"),
                (e.effect.shape[0], e.effect.shape[1]),
                key="map-effective",
                title="Effective conductance of each cell",
                caption="Column current per row voltage, with all rows connected to their drivers, "
                "divided by the cell's conductance. Cells of very low conductance are not shown.",
            )
        )
    figures.append(_lost_figure(e.measured, e.ideal, e.predicted, lost))
    return figures


def _lost_figure(
    measured: np.ndarray, ideal: np.ndarray, predicted: np.ndarray | None, lost: float | None = None
) -> Figure:
    overall = f" Predicted mean over all columns: {share(lost)}." if lost is not None else ""
    return figure(
        partial(draw_lost_by_column, measured=measured, ideal=ideal, predicted=predicted),
        key="column-currents",
        title="Current lost in the wires",
        caption="Lost share of each column's current, relative to wires without resistance, over "
        f"all patterns.{overall}",
    )


def certificate_blocks(certificates: dict[str, Certificate]) -> list[Block]:
    """Return a table of the errors of the fast estimates, and a warning if one is above its limit.

    Parameters
    ----------
    certificates : dict of str to Certificate
        From `rramfit.array.wires.solver_comparison.estimate_certificates`.
    """
    if not certificates:
        return []
    from rramfit.array.wires.certificate import LIMIT_PERCENT
    from rramfit.array.wires.solver_comparison import ANCHOR_DEVIATION

    names = {
        "anchored": f"anchored, all cells changed by {100 * ANCHOR_DEVIATION:g} %",
        "smooth": "smooth, fitted to arrays of such cells",
    }
    some = next(iter(certificates.values()))
    columns = (
        Column("estimate", numeric=False),
        Column("rms"),
        Column("99th percentile"),
        Column("rms, % of mean current"),
    )
    rows = tuple(
        (names.get(name, name), *(_percent(x) for x in (c.rms, c.p99, c.rms_of_mean)))
        for name, c in certificates.items()
    )
    caption = (
        "Errors of the fast estimates against the exact solver, in % of the full scale of "
        f"{with_unit(some.full_scale, 'A')}"
    )
    blocks: list[Block] = [Table(caption=caption, columns=columns, rows=rows, width="half")]
    poor = [name for name, c in certificates.items() if not c.ok]
    if poor:
        text = (
            f"The 99th percentile of the error of the {listed(poor)} "
            f"{'estimate' if len(poor) == 1 else 'estimates'} is above {LIMIT_PERCENT:g} % of "
            "full scale."
        )
        remedy = "Use the exact solver, or update the anchor more often."
        blocks.append(Note(text=text, remedy=remedy, tone="warning"))
    return blocks


def _percent(x: float) -> str:
    return f"{number(x, 2)}\N{NO-BREAK SPACE}%"


def _resistances(card: LineCard) -> Table:
    """Return a table of the four resistances, known or not, their sums and the gain."""
    fields = [f"{name}_resistance" for name in RESISTANCE_NAMES]
    rows = [_row(LABELS[name], getattr(card, name)) for name in fields]
    rows += [_row(_sum_name(name), q) for name, q in card.combinations.items()]
    rows += [_row(name, q) for name, q, _ in part_rows(card) if q is card.gain]
    return Table(
        caption=f"Wire resistances (rows without input are {card.inactive_rows})",
        columns=(
            Column("parameter", numeric=False),
            Column("value"),
            Column("95 % interval"),
            Column("standard error"),
        ),
        rows=tuple(rows),
        width="half",
    )


def _row(name: str, q: object) -> tuple[str, str, str, str]:
    from rramfit.card.quantity import Quantity

    if not isinstance(q, Quantity):
        return name, "not identified", _ABSENT, _ABSENT
    f = format_quantity_parts(q)
    return name, f.value_with_unit, f.interval or "given", f.stderr or _ABSENT


def _sum_name(terms: str) -> str:
    return " + ".join(LABELS.get(term.strip(), term.strip()) for term in terms.split("+"))


def _unknown(card: LineCard) -> list[Block]:
    fields = [f"{name}_resistance" for name in RESISTANCE_NAMES]
    unknown = [LABELS[name] for name in fields if getattr(card, name) is None]
    if not unknown:
        return []
    text = f"The currents do not identify: {listed(unknown)}."
    text += (
        " The figures use half of an identified sum for each of its parts, and 0 otherwise."
        if card.combinations
        else " The figures use 0."
    )
    remedy = "Measure the patterns that `rramfit measurement plan-lines` proposes."
    return [Note(text=text, remedy=remedy)]
