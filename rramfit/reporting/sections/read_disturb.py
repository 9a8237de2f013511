"""Block on read disturb, part of the section on read noise."""

from __future__ import annotations

from rramfit.card.quantity import Quantity
from rramfit.reporting.page.document import Block, Column, Table
from rramfit.reporting.page.wording import with_interval
from rramfit.reporting.report_data.report_data import ReportData

__all__ = ["disturb_blocks"]


def disturb_blocks(e: ReportData) -> list[Block]:
    """Return the table of read disturb; none if it was not measured."""
    card = e.card.read_noise.disturb if e.card.read_noise else None
    if card is None:
        return []
    columns = (
        Column("level", numeric=False),
        Column("mean change per read"),
        Column(f"change after {card.reads} reads"),
        Column("differs from 0", numeric=False),
        Column("cells that left the level"),
        Column("cells"),
    )
    rows = tuple(
        (
            e.level_name(x.level),
            with_interval(x.rate),
            with_interval(_times(x.rate, card.reads)),
            "yes" if x.significant else "no",
            with_interval(x.left, percent=True),
            f"{x.n_cells:,}",
        )
        for x in card.levels
    )
    drift = (
        "drift with time is separated"
        if card.separated
        else "the times of the reads do not separate drift with time, which is included"
    )
    caption = f"Read disturb: change with the number of reads, with 95 % intervals; {drift}"
    return [Table(caption=caption, columns=columns, rows=rows)]


def _times(q: Quantity, reads: int) -> Quantity:
    """Return a rate times the number of reads."""
    if q.ci95 is None or q.stderr is None:
        return Quantity.given(q.value * reads, q.unit)
    low, high = (reads * x for x in q.ci95)
    return Quantity.within(q.value * reads, q.stderr * reads, q.unit, (low, high))
