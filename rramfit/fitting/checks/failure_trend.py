"""Programming failure that rises or falls over the sequence of sweeps.

With f_tk the failures among n_tk attempts of sweep t at level k, and p_k the share of all sweeps,

    u_t = Σ_k (f_tk − n_tk·p_k) / Σ_k n_tk

is regressed on t. The variance of u_t is the larger of its scatter about the line and the binomial
one. A cell gave up if all its attempts after some sweep failed, three or more of them at levels at
which it was accepted before; by chance, that happens to p³ of the cells with failure probability p.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.checks.sweep_sequence import FALSE_ALARM, FEWEST_SWEEPS
from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.units import counted, format_p_value, format_percent

__all__ = ["find_failure_trend"]

Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_CHANGE = 0.005  # of the failure probability, that matters
_LAST = 3  # failures after which a cell gave up
_FEWEST_CELLS, _OVER_CHANCE = 5, 10.0


def find_failure_trend(statistics: ProgramStatistics, use: Bools) -> list[Finding]:
    """Report a trend of the failure probability over sweeps, and cells that gave up.

    Parameters
    ----------
    statistics : ProgramStatistics
    use : (row, col) bool array
        Cells that are not dead or stuck.
    """
    sample = statistics.sample
    tried = (sample.level >= 0) & np.isfinite(sample.conductance) & use
    failed = tried & ~sample.accepted
    trend = _trend(failed, tried, statistics)
    gave_up = _gave_up(failed, tried, sample.level)
    if trend is None and not gave_up:
        return []
    what, affected = [], gave_up / max(int(use.sum()), 1)
    if trend is not None:
        first, last, p_value = trend
        affected = max(affected, first, last)
        what.append(
            f"The share of attempts that fail {'rises' if last > first else 'falls'} from "
            f"{format_percent(first)} to {format_percent(last)} over {statistics.sweeps} sweeps "
            f"({format_p_value(p_value)})."
        )
    if gave_up:
        what.append(
            f"{counted(gave_up, 'cell')} {'was' if gave_up == 1 else 'were'} accepted at first and "
            "failed at every later attempt."
        )
    return [
        Finding(
            f"{' '.join(what)} Failure probabilities are means over the sweeps.",
            "Use fewer sweeps if cells wear out, or condition the array first if they improve. "
            "Measure how failure goes on with cycling in /endurance or /attempts.",
            affected=affected,
            code="failure-trend",
        )
    ]


def _trend(
    failed: Bools, tried: Bools, statistics: ProgramStatistics
) -> tuple[float, float, float] | None:
    """Return the shares at the first and the last sweep, and the p-value; None without a trend."""
    n = tried.sum(axis=(1, 2)).astype(float)
    level = statistics.sample.level
    expected, chance = np.zeros(len(n)), np.zeros(len(n))
    for k in np.unique(level[tried]):
        mine = tried & (level == k)
        of_sweep = mine.sum(axis=(1, 2))
        p = float(failed[mine].mean())
        expected += of_sweep * p
        chance += of_sweep * p * (1 - p)
    seen = n > 0
    if seen.sum() < FEWEST_SWEEPS or not failed.any():
        return None
    n, t = n[seen], statistics.sample_sweeps[seen].astype(float)
    u = (failed.sum(axis=(1, 2))[seen] - expected[seen]) / n
    middle, total = float((n * t).sum() / n.sum()), float(n.sum())
    x = t - middle
    sxx = float((n * x**2).sum())
    if sxx == 0:
        return None
    slope = float((n * x * u).sum()) / sxx
    residual = u - float((n * u).sum()) / total - slope * x
    df = len(t) - 2
    scatter = float((n * residual**2).sum()) / df / sxx
    binomial = float((x**2 * chance[seen]).sum()) / sxx**2
    error = math.sqrt(max(scatter, binomial))
    p_value = 2 * float(special.stdtr(df, -abs(slope) / error)) if error > 0 else 1.0
    mean = float(failed.sum()) / total
    last = statistics.sweeps - 1
    ends = [min(max(mean + slope * (at - middle), 0.0), 1.0) for at in (0, last)]
    if p_value > FALSE_ALARM or abs(slope) * last < _CHANGE:
        return None
    return ends[0], ends[1], p_value


def _gave_up(failed: Bools, tried: Bools, level: Integers) -> int:
    """Count the cells that failed at all of their last attempts; 0 if chance explains them."""
    accepted = tried & ~failed
    last_good = np.where(accepted, np.arange(len(tried))[:, None, None], -1).max(axis=0)
    later = failed & (np.arange(len(tried))[:, None, None] > last_good)
    m = np.zeros(last_good.shape, dtype=np.int64)
    for k in np.unique(level[tried]):
        known = (accepted & (level == k)).any(axis=0)
        m += np.where(known, (later & (level == k)).sum(axis=0), 0)
    cells = int((m >= _LAST).sum())
    p = float(failed.sum()) / max(int(tried.sum()), 1)
    by_chance = p**_LAST * int((last_good >= 0).sum())
    return cells if cells >= max(_FEWEST_CELLS, _OVER_CHANCE * by_chance) else 0
