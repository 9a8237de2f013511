"""The report of a lot: its chips, their variation, and outliers."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from rramfit.provenance import package_version
from rramfit.reporting.lots.tables import LotTable, ParameterColumn
from rramfit.reporting.page.document import (
    Block,
    Column,
    Figure,
    Note,
    Prose,
    Report,
    Section,
    Table,
)
from rramfit.reporting.page.document import figure as draw_figure
from rramfit.reporting.page.theme import SERIES
from rramfit.reporting.page.wording import axis_unit, counted, with_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["lot_report"]

_SHOWN = ("mean", "std", "d2d", "c2c", "probability")  # parameters with a figure
_MOST_FIGURES = 24
_MOST_CHIPS = 100  # of a figure with one line per chip
_MOST_NOTES = 20
_LINE = 0.22  # [inch] per chip


def lot_report(table: LotTable) -> Report:
    """Build the report of many characterized files."""
    without = table.without_card
    bad = sum(verdict == "bad" for _, _, verdict, _ in table.chips)
    failed = sum(verdict == "failed" for _, _, verdict, _ in without)
    count = (
        f"{counted(len(table.chips), 'array')}: {len(table.chips) - len(without)} characterized, "
        f"{len(without) - failed} rejected{f', {failed} failed' if failed else ''}. "
        f"{counted(bad, 'card') if bad else 'No card'} "
        f"{'have' if bad > 1 else 'has'} the verdict bad."
    )
    spread = table.spread_frame()
    lead: list[Block] = [Prose(paragraphs=(count, _outlier_text(spread)))]
    lead += [Note(text=text, tone="bad") for _, _, _, text in without[:_MOST_NOTES]]
    if len(without) > _MOST_NOTES:
        more = len(without) - _MOST_NOTES
        lead.append(Note(text=f"{more} more have no card; the table says why.", tone="bad"))
    sections = [Section(key="chips", title="Chips", blocks=(_chips(table),))]
    if len(spread):
        sections.append(
            Section(key="spread", title="Variation between chips", blocks=(_spread(spread),))
        )
        figures = tuple(_figures(table, spread))
        sections.append(Section(key="figures", title="Parameters by chip", blocks=figures))
    return Report(
        title="Lot summary",
        subtitle="Comparison of resistive-memory arrays",
        lead=tuple(lead),
        sections=tuple(section for section in sections if section.blocks),
        footer=f"Made by rramfit {package_version()}.",
    )


def _outlier_text(spread: pd.DataFrame) -> str:
    """Return a sentence with the outliers and the number of parameters of each."""
    if not len(spread):
        return "No parameter was measured on two chips; there is nothing to compare."
    times = Counter(name for names in spread["outliers"] for name in names.split())
    if not times:
        return "No chip is an outlier in any parameter."
    named = [f"{name} in {n}" for name, n in times.most_common(5)]
    more = f", and {len(times) - 5} more chips" if len(times) > 5 else ""
    return f"Outliers in {len(spread)} parameters: {', '.join(named)}{more}."


def _chips(table: LotTable) -> Table:
    columns = ("file", "array", "verdict", "summary")
    return Table(
        caption="Files in the order given",
        columns=tuple(Column(name, numeric=False) for name in columns),
        rows=tuple(table.chips),
    )


def _spread(spread: pd.DataFrame) -> Table:
    rows = []
    for path, x in spread.iterrows():
        shown = (with_unit(float(x[c]), x["unit"]) for c in ("median", "within", "between"))
        rows.append((str(path), str(x["chips"]), *shown, str(x["outliers"])))
    return Table(
        caption="Parameters over chips: median, standard error (root mean square over chips), "
        "standard deviation between chips beyond the standard error, and outliers",
        columns=(
            Column("parameter", numeric=False),
            Column("chips"),
            Column("median"),
            Column("standard error"),
            Column("std between chips"),
            Column("outliers", numeric=False),
        ),
        rows=tuple(rows),
    )


def _figures(table: LotTable, spread: pd.DataFrame) -> list[Figure]:
    shared = [
        (path, column)
        for path, column in table.shared().items()
        if path.rpartition(".")[2] in _SHOWN and len(column) <= _MOST_CHIPS
    ]
    return [
        draw_figure(
            partial(
                _draw,
                table.names(column),
                column,
                frozenset(str(spread.loc[path, "outliers"]).split()),
            ),
            key=path.replace("[", "-").replace("]", "").replace(".", "-"),
            title=path,
            caption="Value of each chip with its 95 % interval. Squares are outliers.",
            width="half",
            size=(4.45, 0.7 + _LINE * max(len(column), 6)),
            margins=(1.5, 0.5, 0.12, 0.12),
        )
        for path, column in shared[:_MOST_FIGURES]
    ]


def _draw(names: list[str], column: ParameterColumn, outliers: frozenset[str], ax: Axes) -> None:
    largest = max(float(abs(column.low).max()), float(abs(column.high).max()))
    unit = axis_unit(largest, column.unit)
    points = zip(names, column.value, column.low, column.high, strict=True)
    for i, (name, value, low, high) in enumerate(points):
        far = name in outliers
        colour = SERIES[1] if far else SERIES[0]
        ax.plot([low * unit.factor, high * unit.factor], [i, i], color=colour, linewidth=1.5)
        ax.plot([value * unit.factor], [i], "s" if far else "o", color=colour, markersize=4)
    ax.set_yticks(range(len(column)), names)
    ax.invert_yaxis()
    ax.set_xlabel(unit.symbol)
