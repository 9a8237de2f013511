"""What can be wrong with readings over time, in words and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.result import Finding
from rramfit.fitting.time.drift import Drift
from rramfit.measurement.file.record import Levels
from rramfit.units import format_quantity

__all__ = ["CollapsedShare", "collapsed_share", "findings"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEFT = 0.2  # a cell has collapsed where no more than this share of its conductance is left
BAD_SHARE = 0.01  # more than this and the measurement is spoilt


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapsedShare:
    """Cells that lost nearly all of their conductance between two readings.

    Attributes
    ----------
    share : Quantity
        Of the conducting cells, with Jeffreys' 95 % interval.
    n_cells, n_collapsed : int
        Conducting cells, and those of them that collapsed.
    collapsed : (cell,) bool array
        False also where the cell did not conduct to begin with.
    """

    share: Quantity
    n_cells: int
    n_collapsed: int
    collapsed: Bools

    @property
    def finding(self) -> Finding | None:
        """The severe finding, where the share is beyond what lone bad cells make."""
        low = self.share.ci95[0] if self.share.ci95 else 0.0
        if low <= BAD_SHARE:
            return None
        return Finding(
            f"{self.n_collapsed} of {self.n_cells} conducting cells ({self.share.value:.1%}) "
            f"collapsed between two reads to under {LEFT:.0%} of their conductance",
            "the measurement is spoilt, or contact was lost: look at where the collapsed cells lie "
            "and measure again; its drift and growth must not be used",
            severe=True,
        )


def collapsed_share(before: Floats, after: Floats) -> CollapsedShare | None:
    """Share of conducting cells that collapsed between two readings.

    Conducting cells are those whose first reading is at least half of the 95 % quantile: there a
    fall to a fifth is far outside of drift and noise.

    Parameters
    ----------
    before, after : (cell,) array
        Two readings of the same cells [S]; NaN = not measured.

    Returns
    -------
    CollapsedShare or None
        None where fewer than 20 conducting cells were read twice.

    Examples
    --------
    >>> before = np.full(100, 80e-6)
    >>> after = np.where(np.arange(100) < 30, 1e-6, 78e-6)
    >>> found = collapsed_share(before, after)
    >>> found.n_collapsed, found.n_cells
    (30, 100)
    """
    seen = np.isfinite(before) & np.isfinite(after)
    if seen.sum() < 20:
        return None
    bar = 0.5 * float(np.quantile(before[seen], 0.95))
    conducting = seen & (before >= bar) & (before > 0)
    n = int(conducting.sum())
    if n < 20:
        return None
    gone = conducting & (np.where(seen, after, np.inf) < LEFT * np.where(seen, before, 0.0))
    k = int(gone.sum())
    share = k / n
    low = float(special.betaincinv(k + 0.5, n - k + 0.5, 0.025)) if k > 0 else 0.0
    high = float(special.betaincinv(k + 0.5, n - k + 0.5, 0.975)) if k < n else 1.0
    stderr = math.sqrt((k + 0.5) * (n - k + 0.5) / (n + 1) ** 2 / (n + 2))
    return CollapsedShare(
        share=Quantity.within(share, stderr, "1", (low, high)),
        n_cells=n,
        n_collapsed=k,
        collapsed=gone,
    )


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
    fewest: int,
) -> list[Finding]:
    """List what is wrong with retention data, the worst first.

    Parameters are those of the fit: `time` [s] (time,), `cells` [S] (cell, time), `level` (cell,).
    """
    out: list[Finding] = []
    if collapse is not None and (spoilt := collapse.finding) is not None:
        out.append(spoilt)
    if time[0] == 0:
        out += _selection(time, cells, level, n_levels, levels)
    later = time > 0
    if later.sum() == 1 and time[0] == 0:
        out.append(
            Finding(
                "one reading after programming: a first step, but no drift with ln t",
                "read at three or more times after programming, evenly spaced in ln t",
            )
        )
    elif later.sum() == 2:
        out.append(
            Finding(
                "two readings in ln t: the read noise of both is in the growth of spread",
                "read at three or more times after programming, evenly spaced in ln t",
            )
        )
    elif drift is not None:
        out += _bent(time[later], cells[:, later], level, drift)
    thin = np.flatnonzero((n_cells > 0) & (n_cells < fewest))
    if thin.size:
        out.append(
            Finding(
                f"fewer than {fewest} cells with two readings at {thin.size} of {len(n_cells)} "
                f"levels, which have no estimate: {_listed(thin)}",
                "program more cells to these levels, or leave them out",
            )
        )
    if temperature is None:
        out.append(
            Finding(
                "the temperature is not stated",
                "set the attribute `temperature` [K] of /retention: drift holds at one temperature",
            )
        )
    return out


def _selection(
    time: Floats, cells: Floats, level: Integers, n_levels: int, levels: Levels | None
) -> list[Finding]:
    """Tell where levels follow from the first reading itself."""
    both = np.isfinite(cells[:, 0]) & np.isfinite(cells[:, 1])
    a, b, k = cells[both, 0], cells[both, 1], level[both]
    if levels is not None and levels.lower is not None and levels.upper is not None:
        # A boundary belongs to either side; the margin is float32's.
        low, high = levels.lower[k], levels.upper[k]
        margin = 1e-5 * (high - low)
        top = k == k.max(initial=0)  # the last window is often open above
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
            f"levels follow the first reading ({inside[0]:.1%} inside their windows at time 0, "
            f"{inside[1]:.1%} at {format_quantity(float(time[1]), 's')}): the first step holds the "
            "return of selected cells to their mean and the read noise",
            "take the level that was asked for, or read twice before the wait and tell the level "
            "from the first of the two",
        )
    ]


def _bent(time: Floats, cells: Floats, level: Integers, drift: Drift) -> list[Finding]:
    """Test whether mean and variance of the increments follow ln t, pooled over levels."""
    x = np.log(time / time[0])
    step = np.diff(cells, axis=1)
    slopes, ratios, texts = [], [], []
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
        texts.append((j, int(enough.sum())))
    out: list[Finding] = []
    excess = [s / max(n, 1) for s, (_, n) in zip(slopes, texts, strict=True)]
    # A level's n·mean²/variance is χ²₁ where the law holds: 1 ± 6·√(2/levels) by chance.
    worst = int(np.argmax(excess)) if excess else 0
    if excess and excess[worst] > 1 + 6 * math.sqrt(2 / max(texts[worst][1], 1)):
        a, b = time[texts[worst][0]], time[texts[worst][0] + 1]
        out.append(
            Finding(
                f"the mean does not follow ln t: from {format_quantity(float(a), 's')} to "
                f"{format_quantity(float(b), 's')} levels leave the line by "
                f"{math.sqrt(excess[worst]):.1f} standard errors (root mean square)",
                "use the mean changes at the times measured, not the line between them",
            )
        )
    far = [r for r in ratios if math.isfinite(r)]
    if far and (max(far) > 1.5 or min(far) < 1 / 1.5):
        out.append(
            Finding(
                f"the spread does not grow as √ln t: the variance of single steps is "
                f"{min(far):.2f} to {max(far):.2f} times what that law gives",
                "growth holds from the reference time to the longest; in between read the spread "
                "from the table of changes",
            )
        )
    return out


def _listed(levels: Integers) -> str:
    shown = ", ".join(str(k) for k in levels[:8].tolist())
    return shown if levels.size <= 8 else f"{shown}, …"
