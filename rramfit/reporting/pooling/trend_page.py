"""The page of a trend: control charts of the parameters over time, those past a limit first."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rramfit.provenance import package_version
from rramfit.reporting.page.document import (
    Cell,
    Column,
    Figure,
    Note,
    Prose,
    Report,
    Section,
    Table,
)
from rramfit.reporting.page.document import figure as draw_figure
from rramfit.reporting.page.parameters import main_parameters
from rramfit.reporting.page.theme import MUTED, SERIES
from rramfit.reporting.page.wording import axis_unit, counted, number, some_of, with_unit
from rramfit.reporting.pooling.axes import array_axis, array_margins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rramfit.fitting.pooling.trend import ParameterTrend, Trend

__all__ = ["trend_report"]

_MOST_CHARTS = 24
_MOST_NAMED = 4


def trend_report(trend: Trend) -> Report:
    """Build the page of a trend."""
    out = trend.out
    rest = [path for path in trend.parameters if path not in out]
    shown = [*out, *main_parameters(rest, len(rest))][:_MOST_CHARTS]
    rule = (
        f"The first {counted(trend.baseline, 'array')} are the baseline. If nothing changes, one "
        "array in 370 passes a limit in any parameter (limits at "
        f"{number(trend.limit)} standard deviations of the moving average)."
    )
    hidden = len(trend.parameters) - len(shown)
    if hidden:
        rule += f" Charts of {counted(hidden, 'more parameter')} are left out."
    passed = Note(text=trend.summary, tone="bad" if out else "ok")
    sections = [
        Section(
            key="charts",
            title="Control charts",
            blocks=tuple(_chart(trend, trend.parameters[path]) for path in shown),
            chooser="Parameter",
        ),
        Section(key="arrays", title="Arrays", blocks=(_arrays(trend),)),
    ]
    if out:
        sections.insert(0, Section(key="past", title="Past the limits", blocks=(_past(trend),)))
    return Report(
        title="Trend over time",
        subtitle="Control charts of resistive-memory arrays",
        lead=(passed, Prose(paragraphs=(rule,))),
        sections=tuple(sections),
        footer=f"Made by rramfit {package_version()}.",
    )


def _past(trend: Trend) -> Table:
    rows = []
    for path, names in trend.out.items():
        p = trend.parameters[path]
        rows.append(
            (
                path,
                with_unit(p.centre, p.unit),
                with_unit(float(p.average[-1]), p.unit),
                f"{with_unit(float(p.low[-1]), p.unit)} to {with_unit(float(p.high[-1]), p.unit)}",
                Cell(some_of(names, _MOST_NAMED), title=", ".join(names)),
            )
        )
    return Table(
        caption="Parameters whose moving average is past a limit",
        columns=(
            Column("parameter", numeric=False),
            Column("baseline"),
            Column("latest average"),
            Column("control limits"),
            Column("past them at", numeric=False),
        ),
        rows=tuple(rows),
        sortable=True,
    )


def _arrays(trend: Trend) -> Table:
    past: dict[str, int] = {}
    for names in trend.out.values():
        for name in names:
            past[name] = past.get(name, 0) + 1
    return Table(
        caption="Arrays in order of time",
        columns=(
            Column("array", numeric=False),
            Column("time", numeric=False),
            Column("part", numeric=False),
            Column("parameters past their limits"),
        ),
        rows=tuple(
            (
                card.name,
                card.provenance.time,
                "baseline" if i < trend.baseline else "",
                str(past.get(card.name, "")),
            )
            for i, card in enumerate(trend.cards)
        ),
        sortable=True,
    )


def _chart(trend: Trend, p: ParameterTrend) -> Figure:
    names = [trend.cards[i].name for i in p.cards]
    good = int((p.cards < trend.baseline).sum())
    chart = draw_figure(
        partial(_draw, names, good, p),
        key=p.path.replace("[", "-").replace("]", "").replace(".", "-"),
        title=p.path,
        caption="Estimates (dots), moving average (line; squares where it is past a limit), its "
        "control limits (dashed) and the mean of the baseline. Grey: the baseline.",
        width="full",
        size=(9.1, 3.6),
        margins=array_margins(len(names)),
    )
    return replace(chart, choice=p.path)


def _draw(names: list[str], good: int, p: ParameterTrend, ax: Axes) -> None:
    largest = max(float(np.abs(v).max()) for v in (p.value, p.low, p.high))
    unit = axis_unit(largest, p.unit)
    x, f = np.arange(len(names)), unit.factor
    past = (p.average < p.low) | (p.average > p.high)
    ax.axvspan(-0.5, good - 0.5, color=MUTED, alpha=0.1, linewidth=0)
    ax.axhline(f * p.centre, color=MUTED, linewidth=1)
    ax.plot(x, f * p.low, "--", color=SERIES[1], linewidth=1, label="control limits")
    ax.plot(x, f * p.high, "--", color=SERIES[1], linewidth=1)
    ax.plot(x, f * p.value, "o", color=SERIES[0], markersize=3, alpha=0.6, label="estimate")
    ax.plot(x, f * p.average, "-", color=SERIES[0], label="moving average")
    if past.any():
        ax.plot(
            x[past], f * p.average[past], "s", color=SERIES[1], markersize=5, label="past a limit"
        )
    ax.set_ylabel(unit.symbol)
    array_axis(ax, names)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.2)
