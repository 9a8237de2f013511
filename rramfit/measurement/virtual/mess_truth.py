"""True parameters of a chip with mess: population values, by the key paths of a card.

They belong to the process that makes such chips, lines and cells, as those of a card do. With m the
mean of a level and V its variances between cells (b), cycles (c) and reads (r):

    lines      V_b += s², with s the standard deviation over lines; between levels, the covariance
               grows by ρ·s_j·s_k
    bimodal    V_b += w·(1 − w)·d², with w the share of the upper mode and d the modes' distance
    telegraph  V_r += v·(m² + V), v = share·E[a²]/4: both values of a cell are equally likely and
               independent at every read
    gain       V_b += v·(m² + V_b), V_c += v·V_c, V_r += v·V_r, v = share·step²
    drift      V_c += v·(m² + V), v = size²/12: sweeps drift independently, cells along a ramp

A bimodal level keeps its mean over the array, which is the mean of both modes; so do its standard
deviation and d2d. Which distribution family describes it is not fixed, so it has no true
distribution parameters. `sweep_drift` has row and column trends of 0, because sweeps drift up and
down alike. `stuck.low` and `stuck.high` count all cells that take no level, fixed and moving; where
some move, median and deviation of their means depend on the number of sweeps and are not given.
`corner` is a share of an array of this size: it is the same for every chip, which one array cannot
know.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.card.cells import Fault
from rramfit.measurement.virtual import mess as kinds
from rramfit.measurement.virtual.mess import Mess
from rramfit.measurement.virtual.messy_chip import (
    MIDDLE,
    MOVES_HIGH,
    MOVES_LOW,
    MessyChip,
    between_levels,
    corner_cells,
)

if TYPE_CHECKING:
    from rramfit.array.devices.parameters import Estimands

__all__ = [
    "Moments",
    "StuckShares",
    "factor_variance",
    "messy_moments",
    "realised_mess",
    "stuck_kinds",
    "stuck_shares",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Means and variances of the accepted readings of every level."""

    mean: Floats  # [S]   (level,)
    between: Floats  # [S²]  (level,) trend, field and lines included
    cycles: Floats  # [S²]  (level,) without read noise
    read: Floats  # [S²]  (level,)
    covariance: Floats  # [S²]  (level, level) of cells' means between levels
    sill: Floats  # [S²]  (level,) variance of the smooth field
    lines: dict[tuple[str, int], Floats]  # [S²] (level,) by axis and period

    @classmethod
    def of(cls, e: Estimands) -> Moments:
        """Return the moments of a chip without mess."""
        between = e.d2d**2
        return cls(
            mean=e.mean,
            between=between,
            cycles=e.c2c**2,
            read=e.read**2,
            covariance=e.correlation * np.outer(e.d2d, e.d2d),
            sill=e.share * between,
            lines={kind: std**2 for kind, std in e.lines.items()},
        )

    @property
    def total(self) -> Floats:
        """Variance of one reading [S²]."""
        return self.between + self.cycles + self.read

    @property
    def correlation(self) -> Floats:
        """Correlation of cells' means between levels."""
        out = self.covariance / np.sqrt(np.outer(self.between, self.between))
        return np.asarray(out)


def factor_variance(mess: Mess, kind: str) -> float:
    """Return the variance of the factor that a kind of mess applies to readings."""
    low, high = kinds.TELEGRAPH
    variance = {
        "telegraph": mess.telegraph * (low**2 + low * high + high**2) / 12,
        "column_gain": mess.column_gain * kinds.GAIN_STEP**2,
        "sweep_drift": mess.sweep_drift**2 / 12,
    }
    return variance[kind]


def messy_moments(m: Moments, mess: Mess) -> Moments:
    """Return the moments with mess."""
    std = np.sqrt(m.total)
    between, covariance = m.between.copy(), m.covariance.copy()
    lines = dict(m.lines)
    for kind, size in mess.lines.items():
        s = size * std
        between += s**2
        covariance += kinds.LINE_CORRELATION * np.outer(s, s)
        lines[kind] = lines.get(kind, np.zeros_like(s)) + s**2
    if mess.bimodal:
        k = len(std) // 2
        w = kinds.MODE_SHARE
        between[k] += w * (1 - w) * (mess.bimodal * std[k]) ** 2
    m = dataclasses.replace(m, between=between, covariance=covariance, lines=lines)
    m = _with_diagonal(m)
    v = factor_variance(mess, "telegraph")
    m = dataclasses.replace(m, read=m.read + v * (m.mean**2 + m.total))
    if v := factor_variance(mess, "column_gain"):
        whole = {kind: (1 + v) * x for kind, x in m.lines.items()}
        whole["col", 1] = whole.get(("col", 1), np.zeros_like(m.mean)) + v * m.mean**2
        m = dataclasses.replace(
            m,
            between=m.between + v * (m.mean**2 + m.between),
            cycles=(1 + v) * m.cycles,
            read=(1 + v) * m.read,
            covariance=m.covariance + v * (np.outer(m.mean, m.mean) + m.covariance),
            lines=whole,
        )
    v = factor_variance(mess, "sweep_drift")
    return dataclasses.replace(m, cycles=m.cycles + v * (m.mean**2 + m.total))


def _with_diagonal(m: Moments) -> Moments:
    covariance = m.covariance.copy()
    np.fill_diagonal(covariance, m.between)
    return dataclasses.replace(m, covariance=covariance)


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckShares:
    """Shares of cells outside dead lines."""

    low: float  # stuck low, fixed and moving
    high: float
    middle: float
    moving: float  # by the mess; half of them low, half high
    new_low: float  # of clusters and corner; part of `low`
    rest: float  # cells on which the mess puts no fault


def stuck_shares(chip: MessyChip) -> StuckShares:
    """Return the shares of stuck cells by kind, those of the card included."""
    mess, f = chip.mess, chip.chip.model.faults
    corner = 0.0
    if mess.corner:
        corner = float(corner_cells(mess.corner, chip.shape).mean()) * kinds.CORNER_DENSITY
    moving = mess.moving_stuck
    new_middle = (1 - moving) * mess.middle_stuck
    left = 1 - moving - new_middle
    new_low = left * (1 - (1 - mess.clusters) * (1 - corner))
    rest = left - new_low
    return StuckShares(
        low=moving / 2 + new_low + rest * f.stuck_low,
        high=moving / 2 + rest * f.stuck_high,
        middle=new_middle + rest * f.stuck[Fault.STUCK_MIDDLE].share,
        moving=moving,
        new_low=new_low,
        rest=rest,
    )


def stuck_kinds(chip: MessyChip, read: Floats) -> dict[str, float]:
    """Return what moving and middle cells are like, by names of the card's stuck cells.

    Only for cards that have none of the kind themselves, because a mixture of both has no such
    parameters.

    Parameters
    ----------
    chip : MessyChip
    read : (level,) array
        Variance between reads [S²].
    """
    share, mean = stuck_shares(chip), chip.chip.model.levels.mean
    own = chip.chip.model.faults.stuck
    out: dict[str, float] = {"middle": share.middle}
    if share.moving and not any(x.moving for x in own.values()):
        for side, (low, high), k in (("low", kinds.MOVING_LOW, 0), ("high", kinds.MOVING_HIGH, -1)):
            out[f"{side}_moving"] = 0.5 * share.moving / getattr(share, side)
            out[f"{side}_motion"] = float(np.sqrt((mean[k] * (high - low)) ** 2 / 12 + read[k]))
    if chip.mess.middle_stuck and not own[Fault.STUCK_MIDDLE].share:
        at = between_levels(chip.chip, (np.arange(2000) + 0.5) / 2000)
        out["middle_moving"] = 0.0
        out["middle_conductance"], out["middle_std"] = float(np.median(at)), float(at.std())
    return out


def realised_mess(chip: MessyChip) -> dict[str, Any]:
    """Return what the mess of this chip is, as JSON values."""
    out: dict[str, Any] = {}
    codes = {"moving_low": MOVES_LOW, "moving_high": MOVES_HIGH, "stuck_middle": MIDDLE}
    for name, code in codes.items():
        there = chip.fault == code
        if code == MIDDLE:
            there |= chip.chip.fault[0].numpy() == Fault.STUCK_MIDDLE
        if cells := np.argwhere(there).tolist():
            out[name] = cells
    if chip.mess.telegraph:
        out["telegraph"] = np.argwhere(chip.telegraph > 0).tolist()
    if chip.mess.column_gain:
        out["column_gain"] = chip.gain.tolist()
    for (axis, period), offsets in chip.offsets.items():
        out[f"line_offsets[{axis},{period}]"] = offsets.tolist()
    healthy = (chip.chip.fault[0].numpy() == Fault.OK) & (chip.fault == 0)
    out["healthy_cells"] = int(healthy.sum())
    out["hard_failures"] = [int((h & healthy).sum()) for h in chip.chip.hard[0].numpy()]
    return out
