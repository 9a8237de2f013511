"""Section on endurance: states over cycles, and how long cells last."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.endurance import EnduranceState, LifeCard
from rramfit.errors import FitError
from rramfit.fitting.time.endurance import LifeFit, endurance_lives
from rramfit.measurement.file.record import Endurance
from rramfit.reporting.figures.endurance import draw_incidence, draw_survival
from rramfit.reporting.figures.time import draw_endurance
from rramfit.reporting.page.document import Block, Column, Note, Section, Table, figure
from rramfit.reporting.page.tables import part_rows, quantity_table
from rramfit.reporting.page.wording import number, share, with_interval
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.units import counted, format_p_value

__all__ = ["endurance_section"]

_ABSENT = "\N{EN DASH}"


def endurance_section(e: ReportData) -> Section | None:
    """Return the section on the change of the switched states with cycles."""
    data, card = e.measurement.endurance, e.card.endurance
    blocks: list[Block] = []
    if data is not None and np.isfinite(data.conductance[:, :, e.healthy]).any():
        blocks.append(
            figure(
                partial(draw_endurance, endurance=data, healthy=e.healthy),
                key="endurance",
                title="States over cycles",
                caption="Median of the healthy cells in each switched state. Bands contain the "
                "middle 80 % of the cells.",
            )
        )
    life = None if data is None else _lives(data, e.healthy)
    if life is not None and life.times.failed.any():
        blocks += _life_figures(life)
    if card is not None:
        caption = f"Endurance from {card.first_cycle:,} to {card.longest_cycle:,} cycles"
        blocks.append(quantity_table(caption, part_rows(card), width="half"))
        if card.states:
            blocks.append(_states_table(card.states))
        if card.life is not None:
            blocks += _life_blocks(card.life, card.longest_cycle)
    return Section(key="endurance", title="Endurance", blocks=tuple(blocks)) if blocks else None


def _lives(data: Endurance, healthy: NDArray[np.bool_]) -> LifeFit | None:
    """Return the lives of the cells; None where the readings show none."""
    try:
        return endurance_lives(data, healthy=healthy)
    except FitError:
        return None


def _life_figures(life: LifeFit) -> list[Block]:
    out: list[Block] = [
        figure(
            partial(draw_survival, life=life),
            key="endurance-survival",
            title="Failed cells over cycles",
            caption="Share of cells that have lost half of their window: Kaplan–Meier estimate "
            "with 95 % intervals (points), and the fitted distributions (lines; the likelier one "
            "is solid).",
        )
    ]
    if sum(m.failures > 0 for m in life.limit.incidence) > 1:
        out.append(
            figure(
                partial(draw_incidence, life=life),
                key="endurance-modes",
                title="Modes of failure over cycles",
                caption="Cumulative incidence of each mode in competition with the others "
                "(Aalen–Johansen), with 95 % bands.",
            )
        )
    return out


def _life_blocks(life: LifeCard, longest: int) -> list[Block]:
    out: list[Block] = []
    cells = counted(life.cells, "cell")
    if life.failed_bound is not None:
        bound = (
            f" 1 % has not failed before {number(life.cycles_to_1pct_bound.value, 2)} cycles."
            if life.cycles_to_1pct_bound is not None and life.cycles_to_1pct_bound.value > 0
            else ""
        )
        most = share(life.failed_bound.value)
        found = f"{life.failures} of {cells} failed" if life.failures else f"None of {cells} failed"
        out.append(
            Note(
                text=f"{found} by {longest:,} cycles, which determines no distribution of lives. "
                f"With 95 % confidence, at most {most} fail by then.{bound}"
            )
        )
    caption = f"Life of {cells}, of which {life.failures:,} failed"
    out.append(quantity_table(caption, part_rows(life), width="half"))
    if life.families:
        out.append(_families_table(life))
    if life.failures:
        out += [_modes_table(life), _hazard_table(life)]
    if life.before_failure:
        out.append(_before_table(life))
    return out


def _families_table(life: LifeCard) -> Table:
    columns = (
        Column("distribution", numeric=False),
        Column("parameters"),
        Column("cycles to 1 % failure"),
        Column("log-likelihood"),
        Column("p-value (goodness of fit)"),
    )
    rows = tuple(
        (
            (
                f"{f.family.replace('weibull', 'Weibull')}"
                f"{' (chosen)' if f.family == life.family else ''}"
            ),
            ", ".join(f"{name} {with_interval(q)}" for name, q in f.parameters.items()),
            with_interval(f.cycles_to_1pct),
            f"{f.log_likelihood:.1f}",
            _ABSENT if f.p_value is None else format_p_value(f.p_value),
        )
        for f in life.families
    )
    return Table(caption="Distributions of life, with 95 % intervals", columns=columns, rows=rows)


def _modes_table(life: LifeCard) -> Table:
    columns = (
        Column("mode", numeric=False),
        Column("failures"),
        Column("share of cells at the longest cycle"),
    )
    rows = tuple(
        (m.mode, f"{m.failures:,}", with_interval(m.incidence, percent=True)) for m in life.modes
    )
    caption = "Modes of failure, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows, width="half")


def _hazard_table(life: LifeCard) -> Table:
    columns = (Column("cycles", numeric=False), Column("failures per cell and cycle"))
    rows = tuple(
        (f"{h.from_cycle:,} to {h.to_cycle:,}", with_interval(h.rate)) for h in life.hazard
    )
    caption = "Hazard by decade of cycles, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows, width="half")


def _before_table(life: LifeCard) -> Table:
    columns = (Column("state", numeric=False), Column("change in excess of the other cells"))
    rows = tuple(
        (
            "lowest"
            if b.state == 0
            else "highest"
            if b is life.before_failure[-1]
            else str(b.state),
            with_interval(b.shift),
        )
        for b in life.before_failure
    )
    caption = "Change of failing cells before their failure, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows, width="half")


def _states_table(states: list[EnduranceState]) -> Table:
    columns = (
        Column("state", numeric=False),
        Column("mean at the first cycle"),
        Column("std at the first cycle"),
        Column("drift of the mean per decade"),
        Column("growth of the std per decade"),
    )
    rows = tuple(
        (
            str(x.state),
            *(
                _ABSENT if q is None else with_interval(q)
                for q in (x.mean, x.std, x.drift, x.growth)
            ),
        )
        for x in states
    )
    return Table(caption="Switched states, with 95 % intervals", columns=columns, rows=rows)
