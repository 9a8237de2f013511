"""Devices that respond to pulses, and those whose polarity is the wrong way round.

A device responds if its mean change over a run is more than 4 standard errors of reading noise, and
more than a tenth of the median device's. One that moves at the first pulse of a run and no further
has a step from the reading before the run; it saturates at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.electrical.pulses.runs import Runs, find_runs, signed_polarity
from rramfit.measurement.file.record import Pulses

__all__ = ["Responses", "find_responses"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SURE = 4.0  # standard errors
_SMALL = 0.1  # of the median device's change
_ERRORS = 1e-12  # of the conductance, below which a change is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """Runs of the devices that respond, and what became of the others.

    Attributes
    ----------
    potentiation, depression : Runs, optional
        Of the devices that respond to this polarity.
    measured : int
        Devices with at least one run.
    responding : int
        Devices that respond to at least one polarity.
    at_once : int
        Devices that move at the first pulse of a run only.
    short : int
        Runs with too few readings.
    reversed : bool
        Whether polarities were exchanged, because SET pulses lower the conductance.
    by_voltage : bool
        Whether the sign of the voltage is used as polarity.
    """

    potentiation: Runs | None
    depression: Runs | None
    measured: int
    responding: int
    at_once: int
    short: int
    reversed: bool
    by_voltage: bool


@dataclass(frozen=True, slots=True)
class _Change:
    """Change of each device over a run, its standard error, and that before the run, (device,)."""

    device: Integers
    change: Floats
    error: Floats
    jump: Floats


def find_responses(pulses: Pulses) -> Responses:
    """Find the runs of devices that respond.

    Raises
    ------
    FitError
        If no run of pulses of one polarity has enough readings.
    """
    polarity, by_voltage = signed_polarity(pulses)
    up, down, short = find_runs(pulses.conductance, polarity)
    changes = [None if r is None else _changes(r) for r in (up, down)]
    turned = _turned(changes)
    if turned:
        up, down = down, up
        changes = changes[::-1]
    typical = [np.median(np.abs(c.change)) for c in changes if c is not None]
    least = _SMALL * float(max(typical))
    moves: list[Integers] = []
    jumps: list[Integers] = []
    kept: list[Runs | None] = []
    for runs, c, sign in zip((up, down), changes, (1, -1), strict=True):
        if runs is None or c is None:
            kept.append(None)
            continue
        level = np.abs(runs.conductance[np.isfinite(runs.conductance)]).max() * _ERRORS
        moving = sign * c.change > np.maximum(np.maximum(_SURE * c.error, least), level)
        jumping = ~moving & (sign * np.nan_to_num(c.jump) > np.maximum(_SURE * c.error, level))
        moves.append(c.device[moving])
        jumps.append(c.device[jumping])
        own = runs.of(np.isin(runs.device, c.device[moving]))
        kept.append(_with_steps(own) if len(own) else None)
    responding = np.unique(np.concatenate(moves))
    at_once = np.setdiff1d(np.unique(np.concatenate(jumps)), responding)
    measured = np.unique(np.concatenate([c.device for c in changes if c is not None]))
    return Responses(
        potentiation=kept[0],
        depression=kept[1],
        measured=len(measured),
        responding=len(responding),
        at_once=len(at_once),
        short=short,
        reversed=turned,
        by_voltage=by_voltage,
    )


def _with_steps(runs: Runs) -> Runs:
    return replace(runs, steps=max(int(np.median(runs.lengths())), 1))


def _changes(runs: Runs) -> _Change:
    device, group = np.unique(runs.device, return_inverse=True)
    count = np.bincount(group)
    change = np.nan_to_num(runs.change())
    noise = np.nan_to_num(runs.noise())
    late = np.maximum(np.isfinite(runs.conductance).sum(axis=1) / 4, 1.0)
    variance = noise * (1 + 1 / late)
    jump = np.nanmean(runs.conductance, axis=1) - runs.before
    seen = np.isfinite(jump)
    jumps = np.bincount(group, np.where(seen, jump, 0.0))
    return _Change(
        device=device,
        change=np.bincount(group, change) / count,
        error=np.sqrt(np.bincount(group, variance)) / count,
        jump=jumps / np.maximum(np.bincount(group, seen), 1),
    )


def _turned(changes: list[_Change | None]) -> bool:
    """Return whether most devices move against the polarity, beyond noise."""
    with_it, against = 0, 0
    for c, sign in zip(changes, (1, -1), strict=True):
        if c is not None:
            with_it += int((sign * c.change > _SURE * c.error).sum())
            against += int((-sign * c.change > _SURE * c.error).sum())
    return against > with_it
