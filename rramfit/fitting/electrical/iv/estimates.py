"""Estimates of I-V curves with their errors: of the population of b, and of single states.

Standard errors are clustered by cell: the influence of each curve is summed over its cell, and the
offset of the instrument, which all curves share, is passed on to b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.electrical import BranchCard
from rramfit.card.quantity import Quantity
from rramfit.fitting.electrical.iv.curves import CellCurves
from rramfit.fitting.electrical.iv.population import Form, PopulationLine, best_line
from rramfit.fitting.electrical.iv.switching import Switching
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.measurement.file.record import IVSweeps

__all__ = ["PopulationEstimates", "estimate_branches", "estimate_population"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST = 3  # curves of a state


@dataclass(frozen=True, slots=True)
class PopulationEstimates:
    """Parameters of the population of b, of the offset and of the noise.

    Attributes
    ----------
    estimates : dict of str to Quantity
        `nonlinearity`, `spread`, `dependence` or `slope` if b depends on G0, `offset`, `noise`.
    covariance : (p, p) array
        In the order of `estimates`.
    """

    estimates: dict[str, Quantity]
    covariance: Floats


def estimate_population(
    iv: IVSweeps, cells: CellCurves, used: Bools, form: Form, line: PopulationLine
) -> PopulationEstimates:
    """Return all parameters with their clustered covariance."""
    tau = math.sqrt(max(line.theta[-1], 0.0))
    power = cells.residual[used] ** 2
    noise = math.sqrt(float(power.mean()))
    per_tau2 = 1 / (2 * max(tau, 1e-9))
    rows = [line.influence[0], line.influence[-1] * per_tau2]
    through = [line.per_offset[0], line.per_offset[-1] * per_tau2]
    values, units = [line.theta[0], tau], ["1/V", "1/V"]
    names, scales = ["nonlinearity", "spread"], ["linear", "log"]
    if form != "constant":
        names.append("dependence" if form == "log" else "slope")
        units.append("1/V" if form == "log" else "1/(V·S)")
        rows.append(line.influence[1])
        through.append(line.per_offset[1])
        values.append(line.theta[1])
        scales.append("linear")
    p = len(names) + 2
    psi = np.zeros((p, len(used)))
    psi[:-2, used] = rows
    psi[:-2] += np.array(through)[:, None] * cells.offset_score  # b depends on the common offset
    psi[-2] = cells.offset_score
    psi[-1, used] = (power - power.mean()) / used.sum() / (2 * noise)
    names, units = [*names, "offset", "noise"], [*units, "A", "A"]
    values, scales = [*values, cells.offset, noise], [*scales, "linear", "log"]
    grid = np.zeros((p, int(iv.row.max()) + 1, int(iv.col.max()) + 1))
    for i in range(p):
        np.add.at(grid[i], (iv.row, iv.col), psi[i])
    spread = clustered_covariance(grid)
    stderr = np.sqrt(np.diagonal(spread.covariance))
    estimates = {
        name: Quantity.estimated(
            float(values[i]),
            float(stderr[i]),
            units[i],
            scale="log" if scales[i] == "log" else "linear",
            df=float(spread.df[i]),
        )
        for i, name in enumerate(names)
    }
    estimates["spread"] = _spread(estimates["spread"])
    return PopulationEstimates(estimates, np.array(spread.covariance))


def _spread(q: Quantity) -> Quantity:
    """Recompute the interval from tau² near zero, where tau² is closer to normal than tau."""
    variance_error = 2 * q.value * (q.stderr or 0.0)
    if q.value**2 > 3 * variance_error:
        return q
    low, high = (math.sqrt(max(q.value**2 + k * 1.96 * variance_error, 0.0)) for k in (-1, 1))
    return Quantity.within(q.value, (high - low) / (2 * 1.96), q.unit, (low, high))


def estimate_branches(
    iv: IVSweeps, cells: CellCurves, used: Bools, found: Switching
) -> tuple[BranchCard, ...]:
    """Estimate conductance and nonlinearity of both states of switching sweeps, each alone.

    Parameters
    ----------
    iv : IVSweeps
        The branches.
    cells : CellCurves
        Their curves.
    used : (branch,) bool array
        Those that the population is fitted to.
    found : Switching
        Which of them are states of high and of low conductance.
    """
    out = []
    states: tuple[tuple[Literal["LRS", "HRS"], Bools], ...]
    states = (("LRS", found.high), ("HRS", found.low))
    for state, mask in states:
        chosen = used & mask
        if chosen.sum() < _FEWEST:
            continue
        form, line = best_line(cells, chosen)
        estimates = estimate_population(iv, cells, chosen, form, line).estimates
        addresses = np.stack([iv.row[chosen], iv.col[chosen]])
        _, cell = np.unique(addresses, axis=1, return_inverse=True)
        log_g = np.log(cells.conductance[chosen])
        mean = np.bincount(cell.ravel(), log_g) / np.bincount(cell.ravel())
        n = len(mean)
        g = math.exp(float(mean.mean()))
        error = g * float(mean.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
        conductance = (
            Quantity.estimated(g, error, "S", scale="log", df=n - 1)
            if error > 0
            else Quantity.given(g, "S")
        )
        out.append(
            BranchCard(
                state=state,
                conductance=conductance,
                nonlinearity=estimates["nonlinearity"],
                n_cells=n,
            )
        )
    return tuple(out)
