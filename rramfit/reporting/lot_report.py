"""The report of a lot: its chips side by side, how they differ, and which stand out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rramfit.card import quantities
from rramfit.card.quantity import Quantity
from rramfit.provenance import package_version
from rramfit.reporting.document import Block, Column, Figure, Note, Prose, Report, Section, Table
from rramfit.reporting.document import figure as draw_figure
from rramfit.reporting.lot import Outcome, spread_frame
from rramfit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["lot_report"]

_SHOWN = ("mean", "std", "d2d", "c2c", "probability")  # parameters that get a picture
_MOST_PICTURES = 24


def lot_report(outcomes: Sequence[Outcome]) -> Report:
    """Make the report of many characterized files."""
    refused = [o for o in outcomes if o.card is None]
    bad = [o for o in outcomes if o.card is not None and o.card.quality.verdict == "bad"]
    count = (
        f"{len(outcomes)} files: {len(outcomes) - len(refused)} characterized, "
        f"{len(refused)} refused; {len(bad)} of the cards have a fit whose verdict is bad."
    )
    lead: list[Block] = [Prose(paragraphs=(count,))]
    lead += [Note(text=f"{o.name}: {o.error}", remedy="mend the file", tone="bad") for o in refused]
    sections = [Section(key="chips", title="Chips", blocks=(_chips(outcomes),))]
    spread = _spread(outcomes)
    if spread.rows:
        sections.append(Section(key="spread", title="From chip to chip", blocks=(spread,)))
        sections.append(
            Section(key="pictures", title="Chip by chip", blocks=tuple(_pictures(outcomes)))
        )
    return Report(
        title="Lot summary",
        subtitle="Resistive-memory arrays side by side",
        lead=tuple(lead),
        sections=tuple(section for section in sections if section.blocks),
        footer=f"Made by rramfit {package_version()}.",
    )


def _chips(outcomes: Sequence[Outcome]) -> Table:
    columns = ("file", "array", "verdict", "in words")
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


def _spread(outcomes: Sequence[Outcome]) -> Table:
    rows = []
    for path, x in spread_frame(outcomes).iterrows():
        shown = (format_quantity(float(x[c]), x["unit"]) for c in ("median", "within", "between"))
        rows.append((str(path), str(x["chips"]), *shown, str(x["outliers"])))
    return Table(
        caption="Parameters over chips: the median, the chips' own standard error (root mean "
        "square), the spread between chips that it does not explain, and files that stand out",
        columns=(
            Column("parameter", numeric=False),
            Column("chips"),
            Column("median"),
            Column("within"),
            Column("between"),
            Column("outliers", numeric=False),
        ),
        rows=tuple(rows),
    )


def _pictures(outcomes: Sequence[Outcome]) -> list[Figure]:
    found: dict[str, list[tuple[str, Quantity]]] = {}
    for o in outcomes:
        for path, q in quantities(o.card) if o.card is not None else ():
            if path.rpartition(".")[2] in _SHOWN and q.ci95 is not None:
                found.setdefault(path, []).append((o.name, q))
    shared = [(path, points) for path, points in found.items() if len(points) > 1]
    return [
        draw_figure(
            partial(_draw, points),
            key=path.replace("[", "-").replace("]", "").replace(".", "-"),
            title=path,
            caption=f"{path} of each chip, with its 95 % interval",
            width="half",
            margins=(1.5, 0.5, 0.12, 0.12),
        )
        for path, points in shared[:_MOST_PICTURES]
    ]


def _draw(points: Sequence[tuple[str, Quantity]], ax: Axes) -> None:
    unit, scale = ("uS", 1e6) if points[0][1].unit == "S" else (points[0][1].unit, 1.0)
    for i, (_, q) in enumerate(points):
        low, high = q.ci95 or (q.value, q.value)
        ax.plot([low * scale, high * scale], [i, i], color="C0", linewidth=1.5)
        ax.plot([q.value * scale], [i], "o", color="C0", markersize=4)
    ax.set_yticks(range(len(points)), [name for name, _ in points])
    ax.invert_yaxis()
    ax.set_xlabel("" if unit == "1" else unit)
