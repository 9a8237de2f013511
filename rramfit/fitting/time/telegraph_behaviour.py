"""How two-state cells behave: dwell times, and amplitude against conductance.

Cells are those of `rramfit.fitting.time.telegraph`, their states those of hidden Markov models
(`rramfit.fitting.time.dwell_times`). The relative amplitude is a power law of the conductance,

    ln(ΔG/G) = ln c + β·ln(G/G0) + ε,

by least squares over cells, with G0 their geometric mean. Only cells that switch often enough to be
found are here: where states last much longer than the record, most cells show none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.telegraph import TelegraphCard
from rramfit.card.quantity import Quantity
from rramfit.fitting.results.result import Finding
from rramfit.fitting.time.dwell_times import (
    SLOW,
    TwoStates,
    dwell_distribution,
    fit_two_states,
)
from rramfit.units import format_quantity

__all__ = ["MOST_READINGS", "TelegraphBehaviour", "describe_telegraph"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

MOST_READINGS = 200_000  # of two-state cells; of more, every n-th cell is used
_FEWEST_READS = 10_000  # of a cell, if there are as many
_APART = 2.5  # std of noise: nearer states may be white noise cut in two, and have no dwell times
_FEWEST = 8  # cells for a power law
_LONG = 0.2  # of the record: median dwell time that the record is too short for


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegraphBehaviour:
    """Two-state cells and what they have in common.

    Attributes
    ----------
    cell : (cell,) int array
        Rows of the series.
    conductance : (cell,) array
        Mean of the reads [S].
    states : TwoStates
    card : TelegraphCard
    """

    cell: Integers
    conductance: Floats
    states: TwoStates
    card: TelegraphCard

    def findings(self) -> list[Finding]:
        """Report dwell times that the reads are too slow or the record too short for."""
        out = []
        c = self.card
        if 2 * c.n_fast > c.n_cells:
            every = format_quantity(c.sample_time.value, "s")
            out.append(
                Finding(
                    f"{c.n_fast} of {c.n_cells} two-state cells switch at about every read: their "
                    f"dwell times are below {every}",
                    "Read faster to measure dwell times; until then, draw the state anew at every "
                    "read",
                    code="telegraph-fast",
                )
            )
        dwell = [q.value for q in (c.dwell_low, c.dwell_high) if q is not None]
        if max(dwell, default=0.0) > _LONG * c.record_time.value or 2 * c.n_slow > c.n_cells:
            record = format_quantity(c.record_time.value, "s")
            out.append(
                Finding(
                    f"States of two-state cells last about as long as the record of {record}: "
                    "slower cells are not seen, and dwell times are too short",
                    "Record for at least ten dwell times",
                    code="telegraph-slow",
                )
            )
        return out


def describe_telegraph(series: Floats, two_state: Bools, time: Floats) -> TelegraphBehaviour | None:
    """Describe two-state cells; None if there are none.

    Parameters
    ----------
    series : (cell, read) array
        Reads at equal intervals, without gaps [S].
    two_state : (cell,) bool array
    time : (read,) array
        [s]
    """
    cell = np.flatnonzero(two_state)
    if len(cell) == 0:
        return None
    reads = min(series.shape[1], max(_FEWEST_READS, MOST_READINGS // len(cell)))
    cell = cell[:: max(math.ceil(len(cell) * reads / MOST_READINGS), 1)]
    x = np.ascontiguousarray(series[cell, :reads])
    states = fit_two_states(x)
    interval = float(time[-1] - time[0]) / (len(time) - 1)
    up, down = states.rates()
    resolved = states.resolved
    time_high = reads - states.time_low
    apart = states.high - states.low > _APART * states.noise
    low, high = (
        dwell_distribution(rate[apart], time[apart], resolved[apart], interval, clear[apart])
        for rate, time, clear in (
            (up, states.time_low, states.clear_low),
            (down, time_high, states.clear_high),
        )
    )
    switches = np.minimum(up * states.time_low, down * (reads - states.time_low))
    g = np.asarray(x.mean(axis=1))
    amplitude, exponent, reference = _amplitude(g, states.high - states.low)
    return TelegraphBehaviour(
        cell=cell,
        conductance=g,
        states=states,
        card=TelegraphCard(
            n_cells=len(cell),
            n_fast=int((~resolved).sum()),
            n_slow=int((resolved & (switches < SLOW)).sum()),
            sample_time=Quantity.given(interval, "s"),
            record_time=Quantity.given(interval * (reads - 1), "s"),
            dwell_low=low.median if low else None,
            dwell_low_spread=low.spread if low else None,
            dwell_high=high.median if high else None,
            dwell_high_spread=high.spread if high else None,
            amplitude=amplitude,
            exponent=exponent,
            reference_conductance=reference,
        ),
    )


def _amplitude(
    g: Floats, distance: Floats
) -> tuple[Quantity | None, Quantity | None, Quantity | None]:
    """Return amplitude, exponent and reference conductance of the power law."""
    use = (g > 0) & (distance > 0)
    if use.sum() < _FEWEST:
        return None, None, None
    x, y = np.log(g[use]), np.log(distance[use] / g[use])
    n, center = len(x), float(x.mean())
    x = x - center
    square = float(x @ x)
    slope = float(x @ y) / square if square > 0 else 0.0
    r = y - y.mean() - slope * x
    variance = float(r @ r) / (n - 2)
    value = math.exp(float(y.mean()))
    amplitude = Quantity.estimated(
        value, value * math.sqrt(variance / n), "1", scale="log", df=n - 2
    )
    reference = Quantity.given(math.exp(center), "S")
    if square == 0:
        return amplitude, None, reference
    # the scatter of ln(ΔG/G) differs between conductances: errors by HC3
    leverage = 1 / n + x**2 / square
    error = math.sqrt(float(x**2 @ (r / np.maximum(1 - leverage, 0.1)) ** 2)) / square
    return amplitude, Quantity.estimated(slope, error, "1", df=n - 2), reference
