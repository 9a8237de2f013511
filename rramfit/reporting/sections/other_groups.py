"""Sections on retention, I–V, read noise and read-out.

Not here: endurance (`rramfit.reporting.sections.endurance`) and the wires
(`rramfit.reporting.sections.wires`).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from rramfit.card.blocks.electrical import BranchCard, SwitchingCard
from rramfit.card.schema import (
    DriftCard,
    ReadoutCard,
)
from rramfit.fitting.electrical.iv.switching import find_switching
from rramfit.measurement.file.curves import on_common_voltages
from rramfit.reporting.figures.electrical import (
    draw_iv,
    draw_read_noise,
    draw_readout,
)
from rramfit.reporting.figures.maps import draw_difference_map
from rramfit.reporting.figures.time import (
    draw_retention,
    draw_retention_change,
    evenly,
)
from rramfit.reporting.page.document import Block, Column, Section, Table, figure
from rramfit.reporting.page.map_layout import array_map
from rramfit.reporting.page.tables import part_rows, quantity_table
from rramfit.reporting.page.wording import duration, number, with_interval, with_unit
from rramfit.reporting.report_data.report_data import (
    ReportData,
    first_and_last,
    level_tracks,
    read_spread,
)
from rramfit.reporting.sections.read_disturb import disturb_blocks
from rramfit.reporting.sections.telegraph import telegraph_blocks
from rramfit.units import counted

__all__ = [
    "iv_section",
    "read_noise_section",
    "readout_section",
    "retention_section",
]

_MOST_TRACKS = 12
_FEWEST_CELLS = 20  # with fewer, a figure of cells shows only chance
_THIRD = (2.85, 2.6)  # [inch]
_LEAST = 5e-6  # [S] below this, a relative change is mostly noise
_ABSENT = "\N{EN DASH}"


def retention_section(e: ReportData) -> Section | None:
    """Return the section on the change of programmed states with time."""
    reads, card = e.measurement.retention, e.card.retention
    blocks: list[Block] = []
    if reads is not None:
        tracks = level_tracks(reads, e.healthy)
        shown = evenly(tracks, _MOST_TRACKS if len(tracks) > 6 else 6)
        if shown:
            some = f" Shown are {len(shown)} of {len(tracks)} levels." if shown != tracks else ""
            spans = " Bands contain the middle 80 % of the cells." if len(shown) <= 6 else ""
            blocks.append(
                figure(
                    partial(
                        draw_retention,
                        time=reads.time,
                        tracks=shown,
                        names=[e.level_name(t.level) for t in shown],
                    ),
                    key="retention",
                    width="third",
                    size=_THIRD,
                    title="Levels over time",
                    caption=f"Mean of the healthy cells of each level.{spans}{some}",
                )
            )
        if len(tracks) > 2 and len(reads.time) > 1:
            blocks.append(
                figure(
                    partial(draw_retention_change, tracks=tracks),
                    key="retention-change",
                    width="third",
                    size=_THIRD,
                    title="Change from the first to the last read",
                    caption="Change of each level's mean, and of the width of the middle 80 % of "
                    f"its cells, from {duration(float(reads.time[0]))} to "
                    f"{duration(float(reads.time[-1]))} after programming.",
                )
            )
        first, last = first_and_last(reads)
        with np.errstate(invalid="ignore", divide="ignore"):
            change = np.where(e.healthy & (first > _LEAST), 100 * (last / first - 1), np.nan)
        if reads.shape[0] > 1 and np.isfinite(change).sum() >= _FEWEST_CELLS:
            blocks.append(
                array_map(
                    partial(draw_difference_map, values=change, label="%", largest=100.0),
                    e.healthy.shape,
                    key="map-retention",
                    title="Map of the change",
                    caption="Change of conductance of each healthy cell from the first to the last "
                    f"read. Cells below {with_unit(_LEAST, 'S')} are not shown.",
                )
            )
    if card is not None:
        blocks.append(quantity_table("Retention", part_rows(card)))
        if card.levels:
            blocks.append(_drift_table(e, card.levels))
    return Section(key="retention", title="Retention", blocks=tuple(blocks)) if blocks else None


def iv_section(e: ReportData) -> Section | None:
    """Return the section on the nonlinearity of the cells."""
    data, card = e.measurement.iv, e.card.iv
    blocks: list[Block] = []
    if data is not None and card is not None:
        found = find_switching(data)
        data = on_common_voltages(data if found is None else found.branches)
        blocks.append(
            figure(
                partial(draw_iv, iv=data, card=card),
                key="iv",
                title="Conductance against voltage",
                caption="I/V divided by the cell's median and corrected for the instrument offset, "
                "median over cells (points), and the card's model sinh(bV)/(bV) (lines). An ohmic "
                "cell is horizontal.",
            )
        )
    if card is not None:
        blocks.append(quantity_table("I–V model", part_rows(card), width="half"))
        if card.switching:
            blocks.append(_switching_table(card.switching))
        if card.branches:
            blocks.append(_branches_table(card.branches))
    return Section(key="iv", title="I–V", blocks=tuple(blocks)) if blocks else None


def read_noise_section(e: ReportData) -> Section | None:
    """Return the section on the read-to-read noise of a state."""
    reads, card = e.measurement.reads, e.card.read_noise
    blocks: list[Block] = []
    if reads is not None:
        mean, std = read_spread(reads, e.healthy)
        if ((mean > 0) & (std > 0)).sum() >= _FEWEST_CELLS:
            blocks.append(
                figure(
                    partial(draw_read_noise, mean=mean, std=std, card=card),
                    key="read-noise",
                    title="Read noise against conductance",
                    caption="Relative standard deviation of the repeated reads of each healthy "
                    "cell. The line is the card's power law.",
                )
            )
    if card is not None:
        blocks.append(quantity_table("Read noise", part_rows(card), width="half"))
        if card.off_level is not None:
            cells = counted(card.off_level.n_cells, "cell")
            caption = f"Read noise of {cells} that are not at their level"
            blocks.append(quantity_table(caption, part_rows(card.off_level), width="half"))
        blocks += [*disturb_blocks(e), *telegraph_blocks(e)]
    return Section(key="read-noise", title="Read noise", blocks=tuple(blocks)) if blocks else None


def readout_section(e: ReportData) -> Section | None:
    """Return the section on the read-out chain."""
    data, card = e.measurement.readout, e.card.readout
    blocks: list[Block] = []
    if data is not None and card is not None:
        blocks.append(
            figure(
                partial(draw_readout, readout=data),
                key="readout",
                title="Nonlinearity of the read-out chain",
                caption="Code minus the channel's best-fit line: median and middle 80 % of the "
                "channels.",
            )
        )
    if card is not None:
        blocks.append(
            quantity_table(f"Read-out chain, {card.bits} bits", part_rows(card), width="half")
        )
        if card.channel_gain:
            blocks.append(_channel_table(card))
    return Section(key="readout", title="Read-out", blocks=tuple(blocks)) if blocks else None


def _drift_table(e: ReportData, levels: list[DriftCard]) -> Table:
    fields = ("first_step", "first_spread", "drift", "growth")
    columns = (
        Column("level", numeric=False),
        Column("first step"),
        Column("std of the first step"),
        Column("drift per unit of ln t"),
        Column("growth of std per √ln t"),
        Column("cells"),
    )
    rows = tuple(
        (
            e.level_name(x.level),
            *(_ABSENT if (q := getattr(x, f)) is None else with_interval(q) for f in fields),
            f"{x.n_cells:,}",
        )
        for x in levels
    )
    caption = "Drift of each level, with 95 % intervals (t is relative to the reference time)"
    return Table(caption=caption, columns=columns, rows=rows)


def _switching_table(switching: list[SwitchingCard]) -> Table:
    columns = (
        Column("transition", numeric=False),
        Column("mean voltage"),
        Column("standard deviation"),
        Column("switched"),
    )
    rows = tuple(
        (
            x.transition,
            with_interval(x.voltage),
            with_interval(x.spread),
            f"{x.switched} of {x.sweeps}",
        )
        for x in switching
    )
    caption = "Switching voltages over sweeps, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows)


def _branches_table(branches: list[BranchCard]) -> Table:
    columns = (
        Column("state", numeric=False),
        Column("conductance G0"),
        Column("sinh coefficient b"),
        Column("cells"),
    )
    rows = tuple(
        (x.state, with_interval(x.conductance), with_interval(x.nonlinearity), str(x.n_cells))
        for x in branches
    )
    caption = "Both states of the switching sweeps, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows)


def _channel_table(card: ReadoutCard) -> Table:
    names = ("channel", "gain [LSB/A]", "offset [LSB]", "INL [LSB]")
    lists = (card.channel_gain, card.channel_offset, card.channel_inl)
    digits = (5, 3, 3)  # as many as the errors of one channel carry
    channels = card.channels or range(len(card.channel_gain))
    rows = tuple(
        (
            str(channel),
            *(
                number(x[i], most) if i < len(x) else _ABSENT
                for x, most in zip(lists, digits, strict=True)
            ),
        )
        for i, channel in enumerate(channels)
    )
    columns = tuple(Column(name) for name in names)
    return Table(caption="Channels", columns=columns, rows=rows, folded=True)
