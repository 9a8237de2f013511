"""Attempts of one window: pulses until the cell was accepted, or until the tester gave up.

Attempts are grouped by their level, or by their window where no level is stated. A cell is accepted
if the tester says so, or else if its final conductance is inside the window. An attempt that was
given up needs more pulses than it had; where it had more than the budget, more than the budget. If
the file does not state the budget, it is the largest number of pulses of an accepted attempt of any
window, as soon as an attempt was given up after at least as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import FitError
from rramfit.measurement.file.record import Attempts, Levels

__all__ = ["WindowAttempts", "grouped_attempts"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SAME = 1e-5  # relative difference of window limits that are one
_MOST_WINDOWS = 64  # distinct windows; more are not levels


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAttempts:
    """The attempts of one level or window.

    Attributes
    ----------
    level : int
        Index into the levels of the file, or the rank of the window.
    name : str
    lower, upper : float
        Window [S]; NaN = open, or not the same for all attempts.
    budget : int or None
    cell : (attempt,) int array
        Number of the cell.
    pulses : (attempt,) int array
        Until acceptance, or until the attempt was given up; at most the budget.
    spent : (attempt,) int array
        Pulses as counted, which may be more than the budget.
    accepted : (attempt,) bool array
    residual : (attempt,) array
        Final distance from the middle of the window over half its width; NaN if unknown.
    energy : (attempt,) array
        [J]; NaN if unknown.
    """

    level: int
    name: str
    lower: float
    upper: float
    budget: int | None
    cell: Integers
    pulses: Integers
    spent: Integers
    accepted: Bools
    residual: Floats
    energy: Floats

    def __post_init__(self) -> None:
        for a in (self.cell, self.pulses, self.spent, self.accepted, self.residual, self.energy):
            a.flags.writeable = False

    def __len__(self) -> int:
        return len(self.pulses)


def grouped_attempts(attempts: Attempts, levels: Levels | None) -> tuple[WindowAttempts, ...]:
    """Group the attempts by level, or by window.

    Raises
    ------
    FitError
        If there is no attempt, or if neither `success` nor a final conductance says which attempts
        were accepted.
    """
    a = attempts
    if not len(a.row):
        msg = "/attempts: found no attempt; expected at least 1"
        raise FitError(msg)
    final = _final(a)
    accepted = _accepted(a, final)
    pulses = a.set_pulses + a.reset_pulses
    if (pulses < 0).any():
        msg = f"/attempts: found {int(pulses.min())} pulses; expected counts of 0 or more"
        raise FitError(msg)
    budget = a.max_pulses if a.max_pulses is not None else _budget(pulses, accepted)
    tried = pulses if budget is None else np.where(accepted, pulses, np.minimum(pulses, budget))
    _, cell = np.unique(a.row * (int(a.col.max()) + 1) + a.col, return_inverse=True)
    half = (a.upper - a.lower) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = np.where(half > 0, (final - (a.upper + a.lower) / 2) / half, np.nan)
    energy = _energy(a)
    out = []
    for level, name, of in _groups(a, levels):
        lower, upper = (_common(x[of]) for x in (a.lower, a.upper))
        out.append(
            WindowAttempts(
                level=level,
                name=name,
                lower=lower,
                upper=upper,
                budget=budget,
                cell=cell.reshape(-1)[of].astype(np.int64),
                pulses=tried[of].astype(np.int64),
                spent=pulses[of].astype(np.int64),
                accepted=accepted[of],
                residual=residual[of],
                energy=energy[of],
            )
        )
    return tuple(out)


def _final(a: Attempts) -> Floats:
    """Return the conductance after the last pulse [S]; NaN if unknown."""
    if a.final is not None:
        return a.final
    if a.conductance is None or not a.conductance.shape[1]:
        return np.full(len(a.row), np.nan)
    seen = np.isfinite(a.conductance)
    last = seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    found: Floats = np.take_along_axis(a.conductance, last[:, None], axis=1)[:, 0]
    return found


def _accepted(a: Attempts, final: Floats) -> Bools:
    if a.success is not None:
        return a.success
    if not np.isfinite(final).any():
        msg = (
            "/attempts: found neither success nor final conductances; expected one of them, to "
            "know which attempts were accepted"
        )
        raise FitError(msg)
    with np.errstate(invalid="ignore"):
        below, above = final < a.lower, final > a.upper
    return np.isfinite(final) & ~below & ~above


def _budget(pulses: Integers, accepted: Bools) -> int | None:
    """Return the budget that the counts show; None if no attempt ran into one."""
    if accepted.all():
        return None
    if not accepted.any():
        return int(pulses.max())
    most = int(pulses[accepted].max())
    return most if most > 0 and (pulses[~accepted] >= most).any() else int(pulses.max())


def _energy(a: Attempts) -> Floats:
    """Return the energy of each attempt [J], Σ V²·G·width with G the mean before and after."""
    out = np.full(len(a.row), np.nan)
    if a.voltage is None or a.width is None or a.conductance is None:
        return out
    g = a.conductance
    start = a.initial if a.initial is not None else np.full(len(a.row), np.nan)
    before = np.concatenate([start[:, None], g[:, :-1]], axis=1)
    mean = np.where(np.isfinite(before), (before + g) / 2, g)
    pulse = np.isfinite(a.voltage) & np.isfinite(a.width)
    if a.polarity is not None:
        pulse &= a.polarity != 0
    known = ~(pulse & ~np.isfinite(mean)).any(axis=1)
    each = np.where(pulse, a.voltage**2 * np.maximum(mean, 0.0) * a.width, 0.0)
    counted = pulse.sum(axis=1) == a.set_pulses + a.reset_pulses
    out[known & counted] = np.nansum(each, axis=1)[known & counted]
    return out


def _groups(a: Attempts, levels: Levels | None) -> list[tuple[int, str, Integers]]:
    """Return level, name and attempts of each group, in rising order."""
    stated = a.level if a.level is not None and (a.level >= 0).any() else None
    if stated is not None:
        names = levels.names if levels is not None else ()
        return [
            (int(k), names[k] if k < len(names) else f"L{k}", np.flatnonzero(stated == k))
            for k in np.unique(stated[stated >= 0])
        ]
    windows = np.stack([np.nan_to_num(a.lower, nan=-np.inf), np.nan_to_num(a.upper, nan=np.inf)])
    kinds, of = np.unique(windows, axis=1, return_inverse=True)
    if kinds.shape[1] > _MOST_WINDOWS:
        return [(0, "all windows", np.arange(len(a.row)))]
    known = [found for window in kinds.T if (found := _level_of(window, levels)) is not None]
    if len(set(known)) < kinds.shape[1]:
        known = [(k, f"window {k}") for k in range(kinds.shape[1])]
    parts = [(*name, np.flatnonzero(of.reshape(-1) == k)) for k, name in enumerate(known)]
    return sorted(parts, key=lambda part: part[0])


def _level_of(window: Floats, levels: Levels | None) -> tuple[int, str] | None:
    """Return index and name of the level with this verify window; None if there is none."""
    if levels is None or levels.lower is None or levels.upper is None:
        return None
    edges = np.stack(
        [np.nan_to_num(levels.lower, nan=-np.inf), np.nan_to_num(levels.upper, nan=np.inf)]
    )
    same = np.isclose(edges, window[:, None], rtol=_SAME, atol=0).all(axis=0)
    k = int(np.argmax(same))
    return (k, levels.names[k]) if same.any() else None


def _common(x: Floats) -> float:
    """Return the value that all share; NaN if they differ."""
    return float(x[0]) if np.isfinite(x).all() and np.ptp(x) <= 1e-9 * abs(x[0]) else float("nan")
