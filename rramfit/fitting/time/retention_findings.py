"""Checks of retention readings: collapsed cells, level assignment, and drift with ln t.

Collapsed cells are found in `rramfit.fitting.time.lost_cells`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.results.result import Finding
from rramfit.fitting.time.drift import Drift
from rramfit.fitting.time.lost_cells import CollapsedShare
from rramfit.measurement.file.record import Levels
from rramfit.units import counted, format_percent, format_quantity

__all__ = ["findings", "not_determined"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_NAMED = 6  # spreads that a finding names
_MOST_ERRORS = 1000  # standard errors that are given as a number


def findings(
    *,
    time: Floats,
    cells: Floats,
    level: Integers,
    n_levels: int,
    levels: Levels | None,
    drift: Drift | None,
    n_cells: Integers,
    temperature: float | None,
    collapse: CollapsedShare | None,
    min_cells: int,
) -> list[Finding]:
    """Return the findings of retention data, the severe one first.

    Parameters are those of the fit: `time` [s] (time,), `cells` [S] (cell, time), `level` (cell,).
    """
    out: list[Finding] = []
    if collapse is not None and (severe := collapse.finding) is not None:
        out.append(severe)
    if time[0] == 0:
        out += _selection(time, cells, level, n_levels, levels)
    later = time > 0
    if later.sum() == 1 and time[0] == 0:
        out.append(
            Finding(
                "A single reading after programming determines the first step, but not the drift "
                "with ln t",
                "Read at three or more times after programming, evenly spaced in ln t",
                code="retention-one-reading",
            )
        )
    elif later.sum() == 2:
        out.append(
            Finding(
                "With two readings after programming, the growth of spread includes the read noise "
                "of both",
                "Read at three or more times after programming, evenly spaced in ln t",
                code="retention-two-readings",
            )
        )
    elif drift is not None:
        out += _departures(time[later], cells[:, later], level, drift)
    small = np.flatnonzero((n_cells > 0) & (n_cells < min_cells))
    if small.size:
        out.append(
            Finding(
                f"{small.size} of {len(n_cells)} levels have fewer than {min_cells} cells with two "
                f"readings, and no estimate: {_listed(small)}",
                "Program more cells to these levels, or leave them out",
                code="retention-few-cells",
            )
        )
    if temperature is None:
        out.append(
            Finding(
                "The temperature of the retention measurement is not stated",
                "Set the attribute `temperature` [K] of /retention; drift is valid at one "
                "temperature only",
                code="retention-no-temperature",
            )
        )
    return out


def _selection(
    time: Floats, cells: Floats, level: Integers, n_levels: int, levels: Levels | None
) -> list[Finding]:
    """Check whether levels were assigned from the first reading itself."""
    both = np.isfinite(cells[:, 0]) & np.isfinite(cells[:, 1])
    a, b, k = cells[both, 0], cells[both, 1], level[both]
    if levels is not None and levels.lower is not None and levels.upper is not None:
        # A value on a boundary belongs to both windows; the margin covers float32 rounding.
        low, high = levels.lower[k], levels.upper[k]
        margin = 1e-5 * np.nan_to_num(high - low)
        low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
        top = k == k.max(initial=0)  # the last window often has no upper limit
        inside = [
            float(np.mean((y >= low - margin) & ((y <= high + margin) | top))) for y in (a, b)
        ]
        kept = inside[0]
    else:
        order = np.full((2, n_levels), np.nan)
        np.fmin.at(order[0], k, a)
        np.fmax.at(order[1], k, a)
        seen = np.isfinite(order[0])
        if seen.sum() < 2 or (order[0, seen][1:] < order[1, seen][:-1]).any():
            return []
        inside = [1.0, float(np.mean((b >= order[0, k]) & (b <= order[1, k])))]
        n = np.bincount(k, minlength=n_levels)[k]
        kept = float(np.mean((n - 1) / (n + 1)))  # by chance, between the ends of n readings
    kept -= 3 * math.sqrt(kept * (1 - kept) / len(a))
    if inside[0] < 0.99 or inside[1] > 0.9 * kept:
        return []
    return [
        Finding(
            f"Levels were assigned from the first reading ({format_percent(inside[0])} of cells "
            f"inside their windows at time 0, {format_percent(inside[1])} at "
            f"{format_quantity(float(time[1]), 's')}): the "
            "first step includes regression to the mean and read noise",
            "Use the programmed target as the level, or read twice before the wait and assign the "
            "level from the first of the two readings",
            code="retention-regression",
        )
    ]


def _departures(time: Floats, cells: Floats, level: Integers, drift: Drift) -> list[Finding]:
    """Test whether mean and variance of the increments follow ln t, pooled over levels."""
    x = np.log(time / time[0])
    step = np.diff(cells, axis=1)
    slopes, ratios, steps = [], [], []
    for j, width in enumerate(np.diff(x)):
        ok = np.isfinite(step[:, j]) & np.isfinite(drift.growth2[level])
        d = step[ok, j] - drift.slope[level[ok]] * width
        if len(d) < 30:
            continue
        n = np.bincount(level[ok], minlength=len(drift.slope))
        mean = np.bincount(level[ok], d, len(n)) / np.maximum(n, 1)
        r = d - mean[level[ok]]
        power = np.bincount(level[ok], r**2, len(n)) / np.maximum(n - 1, 1)
        read2 = np.nan_to_num(drift.read2)
        enough = (n >= 5) & (power > 0)
        slopes.append(float((n * mean**2 / np.where(power > 0, power, 1))[enough].sum()))
        expected = float((n * (drift.growth2 * width + 2 * read2))[enough].sum())
        ratios.append(float((n * power)[enough].sum()) / expected if expected > 0 else math.nan)
        steps.append((j, int(enough.sum())))
    out: list[Finding] = []
    excess = [s / max(n, 1) for s, (_, n) in zip(slopes, steps, strict=True)]
    # n·mean²/variance of a level is χ²₁ where the model holds: 1 ± 6·√(2/levels) by chance.
    worst = int(np.argmax(excess)) if excess else 0
    if excess and excess[worst] > 1 + 6 * math.sqrt(2 / max(steps[worst][1], 1)):
        a, b = time[steps[worst][0]], time[steps[worst][0] + 1]
        out.append(
            Finding(
                "The mean conductance does not follow ln t: from "
                f"{format_quantity(float(a), 's')} to {format_quantity(float(b), 's')} the levels "
                f"deviate from the line by {_standard_errors(math.sqrt(excess[worst]))} (rms)",
                "Use the mean changes at the measured times instead of the fitted drift",
                code="retention-not-logarithmic",
            )
        )
    known = [r for r in ratios if math.isfinite(r)]
    if known and (max(known) > 1.5 or min(known) < 1 / 1.5):
        out.append(
            Finding(
                "The spread does not grow as √ln t: the variance of single steps is "
                f"{min(known):.2f} to {max(known):.2f} times that of the fitted law",
                "Use the fitted growth only from the reference time to the longest time; between "
                "them use the measured changes",
                code="retention-growth",
            )
        )
    return out


def _listed(levels: Integers) -> str:
    shown = ", ".join(str(k) for k in levels[:8].tolist())
    return shown if levels.size <= 8 else f"{shown}, …"


def not_determined(names: Sequence[str]) -> Finding:
    """Return the finding on spreads that the readings do not determine."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    have = "has" if len(names) == 1 else "have"
    return Finding(
        f"{counted(len(names), 'spread')} cannot be distinguished from zero and {have} no "
        f"estimate: {', '.join(names[:_NAMED])}{more}",
        "Read more cells, at three or more times evenly spaced in ln t",
        code="retention-not-determined",
    )


def _standard_errors(z: float) -> str:
    """Format a deviation; of copied reads, whose scatter is 0, only that it is large."""
    return (
        f"{z:.1f} standard errors" if z < _MOST_ERRORS else f"over {_MOST_ERRORS} standard errors"
    )
