"""Sections on programming effort and on the gauge study."""

from __future__ import annotations

from functools import partial

from rramfit.card.blocks.gauge import GaugeCard
from rramfit.card.blocks.programming import ProgrammingCard
from rramfit.card.quantity import Quantity
from rramfit.reporting.figures.effort import draw_budgets, draw_windows
from rramfit.reporting.page.document import Block, Column, Prose, Section, Table, figure
from rramfit.reporting.page.wording import with_interval
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.units import format_p_value

__all__ = ["effort_section", "gauge_section"]

_ABSENT = "\N{EN DASH}"
_MOST_LEVELS = 6  # in one figure


def effort_section(e: ReportData) -> Section | None:
    """Return the section on pulses, residuals and energy of programming."""
    levels = e.card.programming
    if not levels:
        return None
    shown = levels[:: max(-(-len(levels) // _MOST_LEVELS), 1)]
    some = f" Shown are {len(shown)} of {len(levels)} levels." if len(shown) < len(levels) else ""
    blocks: list[Block] = []
    if any(x.budgets for x in shown):
        blocks.append(
            figure(
                partial(draw_budgets, levels=shown),
                key="effort-budget",
                title="Failures against budget",
                caption="Share of attempts that are not accepted within a budget of pulses: "
                f"measured, with 95 % intervals, and the fitted distribution (lines).{some}",
            )
        )
    if any(x.windows for x in shown):
        blocks.append(
            figure(
                partial(draw_windows, levels=[x for x in shown if x.windows]),
                key="effort-window",
                title="Pulses against the width of the window",
                caption="Mean pulses of a write in a window of other width around the same middle, "
                f"by the residuals of the cells that are accepted now.{some}",
            )
        )
    blocks.append(_effort_table(levels))
    if any(x.windows for x in levels):
        blocks.append(_windows_table(levels))
    return Section(key="effort", title="Programming effort", blocks=tuple(blocks))


def gauge_section(e: ReportData) -> Section | None:
    """Return the section on repeatability and reproducibility."""
    card = e.card.gauge
    if card is None:
        return None
    what = (
        "Repeatability is the spread of repeated reads."
        if card.source == "reads"
        else "Cells are programmed between readings: repeatability includes cycle-to-cycle "
        "variation."
    )
    text = (
        f"{card.sessions} sessions of /{card.source}, with the cells as parts. {what} With few "
        "sessions, the intervals of what sessions differ by are wide."
    )
    return Section(
        key="gauge", title="Gauge study", blocks=(Prose(paragraphs=(text,)), _gauge_table(e, card))
    )


def _effort_table(levels: list[ProgrammingCard]) -> Table:
    energy = any(x.energy for x in levels)
    columns = (
        Column("level", numeric=False),
        Column("attempts"),
        Column("mean pulses"),
        Column("not accepted"),
        Column("distribution", numeric=False),
        Column("pulses for 1 % failure"),
        Column("residual (rms, of half the window)"),
        *([Column("energy per write")] if energy else []),
    )
    rows = tuple(
        (
            x.name,
            f"{x.n_attempts:,}",
            with_interval(x.pulses),
            with_interval(x.failure, percent=True),
            x.family or _ABSENT,
            _cell(x.budget_1pct),
            _cell(x.residual),
            *([_cell(x.energy)] if energy else []),
        )
        for x in levels
    )
    caption = "Programming effort by level, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows)


def _windows_table(levels: list[ProgrammingCard]) -> Table:
    columns = (
        Column("level", numeric=False),
        Column("width"),
        Column("accepted now that would pass"),
        Column("mean pulses"),
        Column("not accepted"),
        Column("energy per write"),
    )
    rows = tuple(
        (
            x.name,
            f"{100 * w.window:.0f} %",
            with_interval(w.accepted, percent=True),
            with_interval(w.pulses),
            with_interval(w.failure, percent=True),
            _cell(w.energy),
        )
        for x in levels
        for w in x.windows
    )
    caption = "What a narrower window costs, within the present budget"
    return Table(caption=caption, columns=columns, rows=rows, folded=True)


def _gauge_table(e: ReportData, card: GaugeCard) -> Table:
    type_b = any(x.accuracy for x in card.levels)
    columns = (
        Column("level", numeric=False),
        Column("repeatability"),
        Column("reproducibility"),
        Column("between cells"),
        Column("gauge, share of the variance"),
        Column("p-value (sessions)"),
        *([Column("stated accuracy"), Column("combined")] if type_b else []),
    )
    rows = tuple(
        (
            e.level_name(x.level),
            _cell(x.repeatability),
            with_interval(x.reproducibility),
            with_interval(x.cells),
            with_interval(x.share, percent=True),
            _ABSENT if x.p_value is None else format_p_value(x.p_value),
            *([_cell(x.accuracy), _cell(x.combined)] if type_b else []),
        )
        for x in card.levels
    )
    caption = "Standard deviations by level, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows)


def _cell(q: Quantity | None) -> str:
    return _ABSENT if q is None else with_interval(q)
