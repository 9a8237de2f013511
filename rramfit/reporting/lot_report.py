"""The report of a lot: its chips, their variation, and outliers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rramfit.card.quantity import Quantity
from rramfit.provenance import package_version
from rramfit.reporting.lot_outcomes import Outcome, shared_quantities, spread_frame
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
_LINE = 0.22  # [inch] per chip


def lot_report(outcomes: Sequence[Outcome]) -> Report:
    """Build the report of many characterized files."""
    refused = [o for o in outcomes if o.card is None]
    bad = [o for o in outcomes if o.card is not None and o.card.quality.verdict == "bad"]
    count = (
        f"{counted(len(outcomes), 'array')}: {len(outcomes) - len(refused)} characterized, "
        f"{len(refused)} rejected. {counted(len(bad), 'card') if bad else 'No card'} "
        f"{'have' if len(bad) > 1 else 'has'} the verdict bad."
    )
    spread = spread_frame(outcomes)
    lead: list[Block] = [Prose(paragraphs=(count, _outlier_text(spread)))]
    lead += [Note(text=o.error or "", tone="bad") for o in refused]
    sections = [Section(key="chips", title="Chips", blocks=(_chips(outcomes),))]
    if len(spread):
        sections.append(
            Section(key="spread", title="Variation between chips", blocks=(_spread(spread),))
        )
        figures = tuple(_figures(outcomes, spread))
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


def _chips(outcomes: Sequence[Outcome]) -> Table:
    columns = ("file", "array", "verdict", "summary")
    rows = []
    for o in outcomes:
        if o.card is None:
            rows.append((o.name, "", "refused", o.error or ""))
        else:
            quality = o.card.quality
            rows.append((o.name, o.card.array.id, quality.verdict, quality.summary))
    return Table(
        caption="Files in the order given",
        columns=tuple(Column(name, numeric=False) for name in columns),
        rows=tuple(rows),
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


def _figures(outcomes: Sequence[Outcome], spread: pd.DataFrame) -> list[Figure]:
    shared = [
        (path, points)
        for path, points in shared_quantities(outcomes).items()
        if path.rpartition(".")[2] in _SHOWN
    ]
    return [
        draw_figure(
            partial(_draw, points, frozenset(str(spread.loc[path, "outliers"]).split())),
            key=path.replace("[", "-").replace("]", "").replace(".", "-"),
            title=path,
            caption="Value of each chip with its 95 % interval. Squares are outliers.",
            width="half",
            size=(4.45, 0.7 + _LINE * max(len(points), 6)),
            margins=(1.5, 0.5, 0.12, 0.12),
        )
        for path, points in shared[:_MOST_FIGURES]
    ]


def _draw(points: Sequence[tuple[str, Quantity]], outliers: frozenset[str], ax: Axes) -> None:
    intervals = [q.ci95 or (q.value, q.value) for _, q in points]
    unit = axis_unit(max(abs(x) for ends in intervals for x in ends), points[0][1].unit)
    for i, ((name, q), (low, high)) in enumerate(zip(points, intervals, strict=True)):
        far = name in outliers
        colour = SERIES[1] if far else SERIES[0]
        ax.plot([low * unit.factor, high * unit.factor], [i, i], color=colour, linewidth=1.5)
        ax.plot([q.value * unit.factor], [i], "s" if far else "o", color=colour, markersize=4)
    ax.set_yticks(range(len(points)), [name for name, _ in points])
    ax.invert_yaxis()
    ax.set_xlabel(unit.symbol)
