"""The report of a lot: its chips, their variation, and outliers."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from rramfit.provenance import package_version
from rramfit.reporting.lots.compare.outliers import FALSE_ALARM, FEWEST
from rramfit.reporting.lots.compare.tables import LotTable, ParameterColumn, set_name
from rramfit.reporting.lots.compare.wafers import wafer_differences
from rramfit.reporting.lots.wafer_maps import wafer_maps
from rramfit.reporting.page.document import (
    Block,
    Cell,
    Column,
    Figure,
    Link,
    Note,
    Prose,
    Report,
    Section,
    Table,
    file_address,
)
from rramfit.reporting.page.document import figure as draw_figure
from rramfit.reporting.page.origin import with_origin
from rramfit.reporting.page.parameters import part_of, part_title
from rramfit.reporting.page.theme import SERIES
from rramfit.reporting.page.wording import axis_unit, counted, share, some_of, with_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["lot_report"]

_SHOWN = ("mean", "std", "d2d", "c2c", "probability")  # parameters with a figure
_MOST_FIGURES = 24
_MOST_CHIPS = 100  # of a figure with one line per chip
_MOST_NOTES = 20
_MOST_WAFERS = 5
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
    texts = (
        count,
        _wafer_text(table),
        _yield_text(table),
        _outlier_text(spread),
        _level_text(table),
    )
    lead: list[Block] = [Prose(paragraphs=tuple(text for text in texts if text))]
    lead += [Note(text=text, tone="bad") for _, _, _, text in without[:_MOST_NOTES]]
    if len(without) > _MOST_NOTES:
        more = len(without) - _MOST_NOTES
        lead.append(Note(text=f"{more} more have no card; the table says why.", tone="bad"))
    sections = [Section(key="chips", title="Chips", blocks=(_chips(table, spread),))]
    maps = tuple(wafer_maps(table))
    sections.append(Section(key="wafers", title="Wafers", blocks=maps, chooser="Parameter of maps"))
    if len(spread):
        sections.append(
            Section(key="spread", title="Variation between chips", blocks=_spread(spread))
        )
        figures = tuple(_figures(table, spread))
        sections.append(Section(key="figures", title="Parameters by chip", blocks=figures))
    report = Report(
        title="Lot summary",
        subtitle="Comparison of resistive-memory arrays",
        facts=(("Arrays", f"{len(table.chips):,}"), ("Files", f"{table.sources.files:,}")),
        related=(Link("All estimates (CSV)", "lot.csv"),),
        lead=tuple(lead),
        sections=tuple(section for section in sections if section.blocks),
        footer=f"Made by rramfit {package_version()}.",
    )
    return with_origin(report, table.sources.origin(table.lot_yield.limits))


def _wafer_text(table: LotTable) -> str:
    """Return sentences with the wafers that differ and in what; "" if none does."""
    by_wafer: dict[str, list[str]] = {}
    for x in wafer_differences(table):
        if x.mean * x.others > 0:
            away = f"{100 * (x.mean / x.others - 1):+.2g}\N{NO-BREAK SPACE}%"
        else:
            away = f"{with_unit(x.mean, x.unit)} against {with_unit(x.others, x.unit)}"
        by_wafer.setdefault(x.wafer, []).append(f"mean of {x.path} {away} (p = {x.p:.1g})")
    if not by_wafer:
        return ""
    said = []
    for wafer, what in list(by_wafer.items())[:_MOST_WAFERS]:
        more = f", and {len(what) - 3} more parameters" if len(what) > 3 else ""
        said.append(f"{wafer.capitalize()[0]}{wafer[1:]} differs: {', '.join(what[:3])}{more}.")
    if len(by_wafer) > _MOST_WAFERS:
        said.append(f"{len(by_wafer) - _MOST_WAFERS} more wafers differ.")
    return (
        f"{' '.join(said)} By chance, this would be said of at most {share(FALSE_ALARM)} of lots "
        "(t test of each wafer against the others, by the scatter of dies within wafers; Holm)."
    )


def _yield_text(table: LotTable) -> str:
    """Return sentences with the yield and its criterion, and the array with most stuck cells."""
    if len(table.without_card) == len(table.chips):
        return ""
    said = [table.lot_yield.text]
    if any(math.isfinite(x) for x in table.stuck):
        worst = max(range(len(table.stuck)), key=lambda i: (table.stuck[i] >= 0, table.stuck[i]))
        said.append(
            f"The largest share of cells stuck low, high or in the middle is "
            f"{share(table.stuck[worst])}, in {table.chips[worst][0]}."
        )
    return " ".join(said)


def _outlier_text(spread: pd.DataFrame) -> str:
    """Return sentences with the outliers and the number of parameters of each."""
    if not len(spread):
        return "No parameter was measured on two chips; there is nothing to compare."
    unlike = [str(path) for path in spread.index[spread["differ"].astype(bool)]]
    some = ", ".join(unlike[:4]) + (", …" if len(unlike) > 4 else "")
    apart = (
        f"The chips differ beyond their standard errors in {len(unlike)} of "
        f"{counted(len(spread), 'parameter')} ({some})."
        if unlike
        else "The chips do not differ beyond their standard errors."
    )
    tested = spread["chips"] >= FEWEST
    if not tested.any():
        return f"{apart} Outliers can be named among {FEWEST} chips or more."
    times = Counter(name for names in spread["outliers"] for name in names)
    rule = (
        f"By chance, {share(FALSE_ALARM)} of {counted(int(tested.sum()), 'parameter')} would have "
        "an outlier (generalized extreme studentized deviate)."
    )
    if not times:
        return f"{apart} No chip is an outlier among the others in any parameter. {rule}"
    named = [f"{name} in {n}" for name, n in times.most_common(5)]
    more = f", and {len(times) - 5} more chips" if len(times) > 5 else ""
    return f"{apart} Outliers in {len(spread)} parameters: {', '.join(named)}{more}. {rule}"


def _level_text(table: LotTable) -> str:
    """Return a sentence with the sets of levels, if there are several."""
    if len(table.level_sets) < 2:
        return ""
    sets = []
    for i, (places, arrays) in enumerate(table.level_sets):
        known = [
            target if math.isfinite(target) else centre
            for target, centre in zip(places.target, places.centre, strict=True)
        ]
        ends = [x for x in known if math.isfinite(x)]
        span = f", {with_unit(min(ends), 'S')} to {with_unit(max(ends), 'S')}" if ends else ""
        sets.append(f"{set_name(i)}: {counted(len(known), 'level')}{span}, of {arrays}")
    shown = "; ".join(sets[:6]) + ("; …" if len(sets) > 6 else "")
    return f"Arrays with other levels are compared by themselves ({shown})."


def _chips(table: LotTable, spread: pd.DataFrame) -> Table:
    where: dict[str, list[str]] = {}
    for path, names in spread["outliers"].items():
        for name in names:
            where.setdefault(name, []).append(str(path))
    columns = (
        Column("file", numeric=False),
        Column("array", numeric=False),
        Column("verdict", numeric=False),
        Column("in yield", numeric=False),
        Column("stuck cells"),
        Column("outlier in"),
        Column("card", numeric=False),
        Column("summary", numeric=False),
    )
    rows = [
        (
            Cell(name, address=file_address(report or "")),
            identity,
            verdict,
            {True: "yes", False: "no", None: ""}[good],
            share(stuck) if math.isfinite(stuck) else "",
            Cell(str(len(far)), title=some_of(far, 12)) if (far := where.get(name)) else "",
            Cell("JSON", address=file_address(card)) if card else "",
            text,
        )
        for (name, identity, verdict, text), report, card, stuck, good in zip(
            table.chips, table.reports, table.cards, table.stuck, table.good, strict=True
        )
    ]
    return Table(
        caption="Files in the order given",
        columns=columns,
        rows=tuple(rows),
        sortable=True,
    )


def _spread(spread: pd.DataFrame) -> tuple[Table, ...]:
    """Return the table of the parameters that matter most, and folded, the others by their part."""
    rows: dict[str, list[tuple[str | Cell, ...]]] = {"": []}
    for path, x in spread.iterrows():
        shown = (
            Cell(
                with_unit(float(x[c]), x["unit"]), title=with_unit(float(x[c]), x["unit"], digits=6)
            )
            for c in ("median", "within", "between")
        )
        far = x["outliers"]
        cell = Cell(some_of(far, 4), title=some_of(far, 40)) if len(far) > 4 else ", ".join(far)
        row = (str(path), str(x["chips"]), *shown, cell)
        rows.setdefault(part_of(str(path).partition(" ")[0]), []).append(row)
    columns = (
        Column("parameter", numeric=False),
        Column("chips"),
        Column("median"),
        Column("standard error"),
        Column("std between chips"),
        Column("outliers", numeric=False),
    )
    what = (
        "median, standard error (root mean square over chips), standard deviation between chips "
        "beyond the standard error, and outliers"
    )
    return tuple(
        Table(
            caption=part_title(part) if part else f"Main parameters: {what}",
            columns=columns,
            rows=tuple(of_part),
            folded=bool(part),
            sortable=True,
        )
        for part, of_part in rows.items()
        if of_part
    )


def _figures(table: LotTable, spread: pd.DataFrame) -> list[Figure]:
    shared = [
        (path, column)
        for path, column in table.shared().items()
        if path.rpartition(".")[2] in _SHOWN and len(column) <= _MOST_CHIPS
    ]
    outliers = {str(path): frozenset(names) for path, names in spread["outliers"].items()}
    return [
        draw_figure(
            partial(
                _draw,
                table.names(column),
                column,
                outliers[path],
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
