"""Blocks on random telegraph noise, part of the section on read noise."""

from __future__ import annotations

from functools import partial

import numpy as np

from rramfit.fitting.statistics.spectrum import evenly_sampled
from rramfit.fitting.time.dwell_times import decode
from rramfit.fitting.time.read_noise import complete_series
from rramfit.fitting.time.telegraph import find_telegraph
from rramfit.fitting.time.telegraph_behaviour import describe_telegraph
from rramfit.reporting.figures.telegraph import draw_amplitudes, draw_trace
from rramfit.reporting.page.document import Block, figure
from rramfit.reporting.page.tables import quantity_table
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.streams import stream
from rramfit.units import counted

__all__ = ["telegraph_blocks"]

_LABELS = {
    "dwell_low": "time in the lower state, median over cells",
    "dwell_low_spread": "time in the lower state: std of ln(time) over cells",
    "dwell_high": "time in the higher state, median over cells",
    "dwell_high_spread": "time in the higher state: std of ln(time) over cells",
    "amplitude": "distance of the states over conductance",
    "exponent": "power of the conductance in this distance",
    "reference_conductance": "reference conductance",
    "sample_time": "time between two reads",
    "record_time": "time from the first read to the last",
}
_SHOWN = 400  # reads of a trace
_FEWEST = 8  # cells in the figure of amplitudes


def telegraph_blocks(e: ReportData) -> list[Block]:
    """Return figures and table of two-state cells; none if there are none."""
    card = e.card.read_noise.telegraph if e.card.read_noise else None
    reads = e.measurement.reads
    if card is None:
        return []
    blocks: list[Block] = []
    if reads is not None and evenly_sampled(reads.time):
        series, _ = complete_series(reads, e.healthy)
        seed = stream(e.card.provenance.seed or 0, "telegraph")
        found = find_telegraph(series, seed) if len(series) else None
        own = describe_telegraph(series, found.two_state, reads.time) if found else None
        if own is not None:
            s = own.states
            clear = np.where(s.resolved, (s.high - s.low) / s.noise, 0.0)
            best = int(np.argmax(clear))
            x = np.array(series[own.cell[best], :_SHOWN])
            state = np.where(decode(x, s, best), s.high[best], s.low[best])
            blocks.append(
                figure(
                    partial(draw_trace, time=reads.time[:_SHOWN], reads=x, state=state),
                    key="telegraph-trace",
                    title="Reads of a two-state cell",
                    caption="Reads of the cell whose states are clearest, and the state that each "
                    "is in, by the hidden Markov model.",
                )
            )
            if len(own.cell) >= _FEWEST:
                draw = partial(
                    draw_amplitudes,
                    conductance=own.conductance,
                    distance=s.high - s.low,
                    card=card,
                )
                blocks.append(
                    figure(
                        draw,
                        key="telegraph-amplitude",
                        title="Distance of the two states against conductance",
                        caption="Two-state cells. The line is the card's power law.",
                    )
                )
    cells = counted(card.n_cells, "two-state cell")
    limits = f"{card.n_fast} switch at about every read, {card.n_slow} less than twice"
    caption = f"Random telegraph noise of {cells}; {limits}"
    rows = [
        (label, q, name == "amplitude")
        for name, label in _LABELS.items()
        if (q := getattr(card, name)) is not None
    ]
    blocks.append(quantity_table(caption, rows, width="half"))
    return blocks
