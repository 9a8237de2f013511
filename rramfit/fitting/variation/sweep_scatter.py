"""What the sweeps themselves add to the error of the variation between cycles.

Cells are independent of one another, but the readings of one sweep need not be: supply, temperature
or gain drift while a sweep runs, and by a different amount in every sweep. The variance between
cycles ω̂ then rests on as many draws as there are sweeps, however many cells there are. With the
influence of reading t of cell c

    ψ_tc = (e_tc² − (1 − 1/n_c)·ω̂)/Σ(n_c − 1),    e_tc = y_tc − m_c,

the products of different cells in one sweep are added to the variance of ω̂ (two-way clustering;
Cameron, Gelbach and Miller, J. Business & Economic Statistics 29 (2011) 238):

    excess = Σ_t [(Σ_c ψ_tc)² − Σ_c ψ_tc²],

if the sweeps differ significantly. Squares of normal drifts are skewed, so that a few sweeps often
show too little of their scatter: the excess is at least that of χ²(1) variables with the mean by
which the sweeps' mean squares are above the least of them. Its degrees of freedom are
Satterthwaite's, from the kurtosis of Σ_c ψ_tc over sweeps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.screening.program_statistics import ProgramStatistics

__all__ = ["with_sweeps"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST_SWEEPS = 4
_SIGNIFICANT = 0.01


def with_sweeps(
    statistics: ProgramStatistics,
    seen: Bools,
    level: int,
    *,
    logarithm: bool,
    own: float,
    df: float,
) -> tuple[float, float]:
    """Return the inflation of the variance of ω̂ by sweeps, and the degrees of freedom with it.

    Parameters
    ----------
    statistics : ProgramStatistics
        The sweeps in its sample stand for all.
    seen : (row, col) bool array
        Cells of the fit.
    level : int
    logarithm : bool
        Whether ω is that of ln G.
    own, df : float
        Variance of ω̂ if cells are independent, in the unit of ω², and its degrees of freedom.
    """
    psi = _influence(statistics, seen, level, logarithm=logarithm)
    by_sweep, squares = psi.sum(axis=1), np.square(psi).sum(axis=1)
    used = squares > 0
    sweeps = int(used.sum())
    if sweeps < _FEWEST_SWEEPS or own <= 0:
        return 1.0, df
    ratio = float(np.sum(by_sweep[used] ** 2 / squares[used]))
    if special.chdtrc(sweeps, ratio) > _SIGNIFICANT:
        return 1.0, df
    excess = float((by_sweep**2).sum() - squares.sum())
    share = (psi != 0).sum(axis=1)[used] / max(int((psi != 0).sum()), 1)
    above = by_sweep[used] / share  # of the mean square of each sweep, over ω̂
    drift = float(share @ (above - above.min()))
    excess = max(excess, 2 * drift**2 * float(share @ share)) * statistics.sweeps / len(psi)
    kurtosis = sweeps * float((by_sweep**4).sum()) / float((by_sweep**2).sum()) ** 2
    df_sweeps = min(max(2 * sweeps / max(kurtosis - 1, 1e-9), 1.0), sweeps - 1.0)
    inflation = 1 + excess / own
    return inflation, inflation**2 / (1 / df + (excess / own) ** 2 / df_sweeps)


def _influence(
    statistics: ProgramStatistics, seen: Bools, level: int, *, logarithm: bool
) -> Floats:
    """Return ψ of the sampled readings, (sweep, cell); 0 for readings that do not count."""
    sample, n = statistics.sample, statistics.count[level][seen]
    mean, m2 = (
        (statistics.log_mean, statistics.log_m2) if logarithm else (statistics.mean, statistics.m2)
    )
    degrees = float((n - 1).sum())
    within = float(m2[level][seen].sum()) / degrees
    y = sample.conductance[:, seen]
    use = sample.accepted[:, seen] & (sample.level[:, seen] == level) & (n > 1) & np.isfinite(y)
    x = np.log(np.where(use, y, 1.0)) if logarithm else y
    off = np.where(use, x - mean[level][seen], 0.0)
    return np.where(use, (off**2 - (1 - 1 / n) * within) / degrees, 0.0)
