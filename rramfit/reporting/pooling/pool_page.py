"""The page of pooled cards: components, shrunk estimates of the arrays, predictions of new ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card import Quantity
from rramfit.provenance import package_version
from rramfit.reporting.page.document import (
    Block,
    Cell,
    Column,
    Prose,
    Report,
    Section,
    Table,
)
from rramfit.reporting.page.document import figure as draw_figure
from rramfit.reporting.page.parameters import main_parameters, part_of, part_title
from rramfit.reporting.page.theme import MUTED, SERIES
from rramfit.reporting.page.wording import (
    axis_unit,
    counted,
    listed,
    some_of,
    with_interval,
    with_unit,
)
from rramfit.reporting.pooling.axes import array_axis, array_margins
from rramfit.units import format_p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rramfit.fitting.pooling import Pool, PooledParameter
    from rramfit.fitting.pooling.nested_components import Component
    from rramfit.fitting.pooling.pool import Prediction

__all__ = ["pool_report"]

_MOST_SHOWN = 12  # parameters with a figure and tables
_MOST_BARS = 300  # arrays with their standard errors in a figure
_MOST_ROWS = 2000  # arrays in a table
_MOST_NAMED = 5


def pool_report(pool: Pool) -> Report:
    """Build the page of a pool."""
    kinds = max(([c.name for c in p.components] for p in pool.parameters.values()), key=len)
    shown = main_parameters(pool.parameters, _MOST_SHOWN)
    hidden = len(pool.parameters) - len(shown)
    more = (
        f" {counted(hidden, 'more parameter')} are in the tables of components." if hidden else ""
    )
    groups = [counted(len(set(names)), kind) for kind, names in pool.groups.items()]
    far = sorted({pool.cards[i].name for p in pool.parameters.values() for i in p.outliers})
    subject = (
        f"{listed([counted(len(pool.cards), 'array'), *groups])}: how much they differ in "
        f"{counted(len(pool.parameters), 'parameter')}, and what to expect of a new array."
    )
    outliers = (
        f"The others do not predict {some_of(far, _MOST_NAMED)}."
        if far
        else "No array is an outlier."
    )
    shrunk = (
        "A shrunk estimate is drawn from the array's own towards the mean of its group, the more "
        f"the larger its standard error.{more}"
    )
    arrays = [block for path in shown for block in _of_parameter(pool, pool.parameters[path])]
    return Report(
        title="Pooled arrays",
        subtitle="Variation between resistive-memory arrays",
        lead=(Prose(paragraphs=(subject, outliers, *pool.notes)),),
        sections=(
            Section(key="components", title="Components", blocks=tuple(_components(pool, kinds))),
            Section(
                key="arrays",
                title="Arrays and predictions",
                blocks=(Prose(paragraphs=(shrunk,)), *arrays),
                chooser="Parameter",
            ),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


def _components(pool: Pool, kinds: Sequence[str]) -> Iterator[Table]:
    """Return the table of the main parameters and, folded, those of the others by part."""
    rows: dict[str, list[tuple[str | Cell, ...]]] = {"": []}
    for path, p in pool.parameters.items():
        stds = {c.name: Cell(_with_limits(c, p.unit), _test(c)) for c in p.components}
        outliers = [pool.cards[i].name for i in p.outliers]
        row = (
            path,
            str(p.cards.size),
            with_interval(p.mean),
            *(stds.get(kind, "") for kind in kinds),
            _range(p.new_array, p.unit),
            Cell(some_of(outliers, _MOST_NAMED), ", ".join(outliers)) if outliers else "",
        )
        rows.setdefault(part_of(path), []).append(row)
    columns = (
        Column("parameter", numeric=False),
        Column("arrays"),
        Column("mean (95\N{NO-BREAK SPACE}%)"),
        *(Column(f"std between {kind}s (95\N{NO-BREAK SPACE}%)") for kind in kinds),
        Column("new array (95\N{NO-BREAK SPACE}%)"),
        Column("outliers", numeric=False),
    )
    for part, of_part in rows.items():
        if of_part:
            yield Table(
                caption=part_title(part) if part else "Main parameters",
                columns=columns,
                rows=tuple(of_part),
                folded=bool(part),
                sortable=True,
            )


def _with_limits(c: Component, unit: str) -> str:
    return with_interval(Quantity.within(c.std, (c.high - c.low) / 4, unit, (c.low, c.high)))


def _test(c: Component) -> str:
    return f"{counted(c.groups, c.name)}; p = {format_p_value(c.p_value)} against zero"


def _range(found: Prediction, unit: str) -> str:
    return f"{with_unit(found.low, unit)} to {with_unit(found.high, unit)}"


def _of_parameter(pool: Pool, p: PooledParameter) -> list[Block]:
    """Return figure and tables of one parameter, to be chosen together."""
    names = [pool.cards[i].name for i in p.cards]
    figure = draw_figure(
        partial(_draw, names, p),
        key=p.path.replace("[", "-").replace("]", "").replace(".", "-"),
        title=p.path,
        caption="Estimate of each array with its standard error, and shrunk estimate. Band: 95 % "
        f"prediction interval of a {p.new_array.where}; line: mean.",
        width="full",
        size=(9.1, 3.6),
        margins=array_margins(len(names)),
    )
    predictions = [p.new_array, *(q for of_kind in p.known.values() for q in of_kind)]
    known = Table(
        caption=f"Prediction of a new array: {p.path}",
        columns=(
            Column("array of", numeric=False),
            Column("median"),
            Column("95\N{NO-BREAK SPACE}% interval"),
        ),
        rows=tuple((q.where, with_unit(q.value, p.unit), _range(q, p.unit)) for q in predictions),
        choice=p.path,
    )
    return [replace(figure, choice=p.path), known, _arrays(pool, p)]


def _arrays(pool: Pool, p: PooledParameter) -> Table:
    order = np.argsort(p.p_value, kind="stable")[:_MOST_ROWS]
    left = p.cards.size - order.size
    return Table(
        caption=f"Arrays, the worst predicted first: {p.path}"
        + (f" ({left:,} more not shown)" if left else ""),
        columns=(
            Column("array", numeric=False),
            *(Column(kind, numeric=False) for kind in pool.groups),
            Column("estimate"),
            Column("standard error"),
            Column("shrunk estimate"),
            Column("its error"),
            Column("p"),
        ),
        rows=tuple(
            (
                pool.cards[p.cards[j]].name,
                *(names[p.cards[j]].rpartition("/")[2] for names in pool.groups.values()),
                with_unit(float(p.value[j]), p.unit, digits=4),
                with_unit(float(p.stderr[j]), p.unit, digits=2),
                with_unit(float(p.shrunk[j]), p.unit, digits=4),
                with_unit(float(p.shrunk_stderr[j]), p.unit, digits=2),
                format_p_value(float(p.p_value[j])),
            )
            for j in order
        ),
        folded=True,
        sortable=True,
        choice=p.path,
    )


def _draw(names: list[str], p: PooledParameter, ax: Axes) -> None:
    unit = axis_unit(float(np.abs(p.value).max()), p.unit)
    x, f = np.arange(len(names)), unit.factor
    new = p.new_array
    ax.axhspan(f * new.low, f * new.high, color=SERIES[2], alpha=0.12, linewidth=0)
    ax.axhline(f * p.mean.value, color=MUTED, linewidth=1)
    if len(names) <= _MOST_BARS:
        ax.vlines(
            x, f * (p.value - p.stderr), f * (p.value + p.stderr), color=SERIES[0], linewidth=1
        )
    ax.plot(x, f * p.value, "o", color=SERIES[0], markersize=3, label="estimate")
    ax.plot(x, f * p.shrunk, "_", color=SERIES[1], markersize=6, label="shrunk estimate")
    ax.set_ylabel(unit.symbol)
    array_axis(ax, names)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
