"""Gauge study of one array: repeatability, reproducibility, share of the total, accuracy.

Repeated reads are used if they have sessions, and programming sweeps otherwise. The instrument's
stated limits of error ±a, as a share of the reading, are a type B uncertainty: the error is taken
as uniform between them, so that u = a·G/√3 (GUM, JCGM 100:2008, 4.3.7). It is common to all
sessions, which therefore do not show it, and adds in squares to the gauge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.gauge import GaugeCard, GaugeLevel
from rramfit.card.quantity import Quantity
from rramfit.errors import FitError
from rramfit.fitting.results.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.variation.gauge.components import (
    FEWEST_CELLS,
    Components,
    variance_components,
)
from rramfit.fitting.variation.gauge.readings import session_readings, sessions_of
from rramfit.measurement.file.record import Measurement
from rramfit.units import counted, format_percent, format_quantity

__all__ = ["GaugeFit", "fit_gauge", "has_sessions"]

Bools = NDArray[np.bool_]

TOO_MUCH = 0.09  # of the total variance, 30 % of the standard deviation (AIAG, MSA)
_SURE = 0.01  # p-value below which sessions differ
_FEW_SESSIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeFit(ShowsResult):
    """Variance components of readings in several sessions, by level.

    Attributes
    ----------
    result : FitResult
        `L0 repeatability`, `L0 session`, …
    source : {"reads", "program"}
    sessions : tuple of str
    levels : dict of int to Components
    accuracy : float, optional
        Stated limits of error, as a share of the reading.
    """

    result: FitResult
    source: Literal["reads", "program"]
    sessions: tuple[str, ...]
    levels: dict[int, Components]
    accuracy: float | None = None

    def to_card(self) -> GaugeCard:
        """Return the part of the card on the gauge."""
        return GaugeCard(
            source=self.source,
            sessions=len(self.sessions),
            levels=[_level(k, c, self.accuracy) for k, c in self.levels.items()],
        )


def has_sessions(measurement: Measurement) -> bool:
    """Return whether one file names two sessions or more in a group."""
    return _source([measurement]) is not None


def fit_gauge(
    measurements: Measurement | Sequence[Measurement],
    *,
    healthy: Bools | None = None,
    seed: int = 0,
) -> GaugeFit:
    """Fit a gauge study.

    Parameters
    ----------
    measurements : Measurement or sequence of Measurement
        A file that names the session of each read or sweep, or several files of one array with the
        root attribute `session`.
    healthy : (row, col) bool array, optional
        Cells to use; by default those that are healthy in the first file.
    seed : int
        Of the intervals' draws.

    Raises
    ------
    FitError
        If fewer than 2 sessions are stated, the arrays differ in size, or no level has 5 cells
        that were read in every session.
    """
    several = [measurements] if isinstance(measurements, Measurement) else list(measurements)
    source = _source(several)
    if source is None:
        msg = (
            "found fewer than 2 sessions in /reads and /program; expected the dataset `session` "
            "in one of them, or files of several sessions"
        )
        raise FitError(msg)
    first = several[0]
    use = _healthy(first) if healthy is None else healthy
    readings = session_readings(several, source=source, healthy=use)
    levels = {}
    for k in range(len(readings.count)):
        found = variance_components(
            readings.count[k], readings.mean[k], readings.square[k], seed=seed, name=f"{k}"
        )
        if found is not None:
            levels[k] = found
    if not levels:
        msg = (
            f"/{source}: no level has {FEWEST_CELLS} cells that were read in each of the "
            f"{len(readings.sessions)} sessions"
        )
        raise FitError(msg)
    limits = {m.identity.accuracy for m in several if m.identity.accuracy is not None}
    accuracy = max(limits) if limits else None
    names = first.levels.names if first.levels is not None else ()
    estimates = {
        f"{names[k] if k < len(names) else f'L{k}'} {key}": q
        for k, c in levels.items()
        for key, q in c.of.items()
    }
    errors = np.array([q.stderr or 0.0 for q in estimates.values()])
    label = {k: names[k] if k < len(names) else f"L{k}" for k in levels}
    return GaugeFit(
        result=FitResult(
            title="gauge study",
            estimates=estimates,
            covariance=np.diag(errors**2),
            n_observations=int(readings.count.sum()),
            verdict=Verdict(tuple(_findings(levels, label, len(readings.sessions)))),
        ),
        source=source,
        sessions=readings.sessions,
        levels=levels,
        accuracy=accuracy,
    )


def _healthy(measurement: Measurement) -> Bools:
    m, statistics = measurement, None
    if m.program is not None and m.program.levels_known:
        statistics = accumulate(m.program, len(m.levels) if m.levels is not None else 0)
    return screen(m, statistics).healthy


def _source(measurements: Sequence[Measurement]) -> Literal["reads", "program"] | None:
    """Return the group in which two sessions or more are named; reads before sweeps."""
    sources: tuple[Literal["reads", "program"], ...] = ("reads", "program")
    for source in sources:
        names = {name for m in measurements for name in sessions_of(m, source) or ()}
        if len(names) > 1:
            return source
    return None


def _level(k: int, c: Components, accuracy: float | None) -> GaugeLevel:
    """Return one level for the card, with the stated accuracy joined in."""
    gauge = c.of["gauge"]
    type_b = combined = None
    if accuracy is not None:
        u = accuracy * abs(c.mean.value) / math.sqrt(3)
        low, high = gauge.ci95 or (gauge.value, gauge.value)
        value = math.hypot(gauge.value, u)
        slope = gauge.value / value if value > 0 else 0.0
        type_b = Quantity.given(u, "S")
        combined = Quantity.within(
            value, slope * (gauge.stderr or 0.0), "S", (math.hypot(low, u), math.hypot(high, u))
        )
    return GaugeLevel(
        level=k,
        n_cells=c.n_cells,
        mean=c.mean,
        repeatability=c.of.get("repeatability"),
        session=c.of["session"],
        interaction=c.of["interaction"],
        reproducibility=c.of["reproducibility"],
        gauge=gauge,
        cells=c.of["cells"],
        share=c.of["share"],
        p_value=c.p_value,
        accuracy=type_b,
        combined=combined,
    )


def _findings(levels: dict[int, Components], label: dict[int, str], sessions: int) -> list[Finding]:
    out = []
    differ = {k: c for k, c in levels.items() if c.p_value < _SURE}
    large = {k: c for k, c in levels.items() if c.of["share"].value > TOO_MUCH}
    if large:
        k, c = max(large.items(), key=lambda pair: pair[1].of["share"].value)
        out.append(
            Finding(
                f"The measurement accounts for {format_percent(c.of['share'].value)} of the "
                f"variance between readings at {label[k]}: "
                f"{format_quantity(c.of['gauge'].value, 'S', digits=2)} of repeatability and "
                "reproducibility",
                "Average repeated reads where repeatability dominates, and calibrate the testers "
                "against each other where sessions do",
                code="gauge-share",
            )
        )
    if differ and sessions < _FEW_SESSIONS:
        out.append(
            Finding(
                f"{counted(sessions, 'session')} differ, and are too few to estimate how much "
                "sessions vary",
                f"Repeat the measurement in at least {_FEW_SESSIONS + 1} sessions",
                code="few-sessions",
            )
        )
    return out
