"""Posterior probability of a candidate to be stuck, by expectation-maximisation over all cells.

A candidate is stuck with a probability π for its side (low, middle, high). If it is not, all its
attempts that failed did so by chance: a share η of cells fails at all levels, the others with

    ∏_k [h_k·1(x = n) + (1 − h_k)·s_k^x·(1 − s_k)^(n − x)]

over levels, with n attempts and x failures. Cells that are no candidates add to the hard shares h
and the soft probabilities s. The densities of the readings come from
`rramfit.fitting.screening.stuck_likelihood`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["Counts", "Posterior", "stuck_posterior"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_STEPS, _CONVERGED = 500, 1e-6
_SURE, _PROFILE_STEPS = math.log(100), 50  # ratio of the densities of readings: not a failed cell
_SHARES = np.geomspace(1e-7, 0.5, 100)
_PRIOR = 0.5  # cells that are added to each share, so that none is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Attempts and failures, as the tester or, if it does not say, the readings tell."""

    n: Integers  # (level, row, col)
    x: Integers  # (level, row, col)

    @property
    def passed(self) -> Integers:
        """Successes, (level, row, col)."""
        return self.n - self.x


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """P(stuck) of the candidates, and how far it follows from an uncertain share π, (cell,)."""

    value: Floats
    low: Floats  # at the lowest π that the data allow
    high: Floats  # at the highest


def stuck_posterior(
    counts: Counts,
    cells: Bools,
    candidate: Bools,
    side: NDArray[np.int8],
    log_ratio: Floats,
) -> Posterior:
    """Compute P(stuck) of the candidates by expectation-maximisation.

    Parameters
    ----------
    counts : Counts
    cells : (row, col) bool array
        Cells tried at least twice.
    candidate : (row, col) bool array
    side : (cell,) int8 array
    log_ratio : (kind, cell) array
        Log-density of readings and acceptances if stuck, by kind, minus that of the readings if
        failed.
    """
    n, x = counts.n[:, cells].astype(float), counts.x[:, cells].astype(float)
    mine = candidate[cells]
    full = (x == n) & (n > 0)
    others = _Others.of(n[:, ~mine], x[:, ~mine], full[:, ~mine])
    n, x, full = n[:, mine], x[:, mine], full[:, mine]
    total, on_side = float(len(mine)), np.eye(3)[side]  # (cell, side)
    never = (full | (n == 0)).all(axis=0) & ((n > 0).sum(axis=0) > 1)
    profile = _profile(on_side, log_ratio)
    ratio = special.logsumexp(np.log(profile)[:, side] + log_ratio, axis=0)
    share = 0.5 * (on_side.sum(axis=0) + 1) / total
    hard, soft = np.full(len(n), 0.5 * len(side) / total), others.soft()
    always = 0.5 * (float(never.sum()) + 1) / total
    w = np.full(len(side), 0.5)
    for _ in range(_STEPS):
        failed, together = _log_failed(n, x, full, never, hard, soft, always)
        prior = np.log(share[side]) - math.log(max(1 - float(share.sum()), 0.01))
        new = special.expit(prior + ratio - failed)
        change = float(np.abs(new - w).max(initial=0.0))
        w = new
        share = (w @ on_side + _PRIOR) / (total + 1)
        always = float(np.clip(((1 - w) * together).sum() + _PRIOR, 0, 0.5 * total)) / (total + 1)
        hard, soft = others.update(hard, soft, n, x, full, 1 - w, together)
        if change < _CONVERGED:
            break
    failed, _ = _log_failed(n, x, full, never, hard, soft, always)
    low, high = _limits(ratio - failed, on_side, total)
    return Posterior(value=w, low=np.minimum(low, w), high=np.maximum(high, w))


def _limits(log_ratio: Floats, on_side: Floats, total: float) -> tuple[Floats, Floats]:
    """Return P(stuck) at both ends of the interval of π of each side, each (cell,).

    The interval has all π whose log-likelihood is at most 1.92 below the largest.
    """
    out = np.zeros((2, len(log_ratio)))
    for here in on_side.T > 0:
        if not here.any():
            continue
        odds = np.log(_SHARES / (1 - _SHARES))[:, None] + log_ratio[here]  # (share, cell)
        log_p = total * np.log1p(-_SHARES) + np.logaddexp(0, odds).sum(axis=1)
        inside = np.flatnonzero(log_p >= log_p.max() - 1.92)
        out[:, here] = special.expit(odds[inside[[0, -1]]])
    return out[0], out[1]


def _profile(on_side: Floats, log_ratio: Floats) -> Floats:
    """Return the share of each kind among the stuck cells of a side, (kind, side).

    Only cells whose readings exclude that they failed have a say, so that cells that failed do not
    shape what a stuck cell is. One cell more is of any kind.
    """
    kinds = len(log_ratio)
    out = np.full((kinds, on_side.shape[1]), 1 / kinds)
    sure = special.logsumexp(log_ratio, axis=0) - math.log(kinds) > _SURE
    x, on = log_ratio[:, sure], on_side[sure]
    for _ in range(_PROFILE_STEPS if sure.any() else 0):
        own = special.softmax(np.log(out) @ on.T + x, axis=0)
        out = (own @ on + 1 / kinds) / (on.sum(axis=0) + 1)
    return out


def _log_failed(
    n: Floats, x: Floats, full: Bools, never: Bools, hard: Floats, soft: Floats, always: float
) -> tuple[Floats, Floats]:
    """Log-probability of the failures of cells that are not stuck, and P(fails at all levels)."""
    h, s = hard[:, None], soft[:, None]
    by_level = np.log(np.where(full, h + (1 - h) * s**n, (1 - h) * s**x * (1 - s) ** (n - x)))
    apart = by_level.sum(axis=0) + math.log1p(-always)
    failed = np.where(never, np.logaddexp(math.log(always), apart), apart)
    return failed, np.where(never, np.exp(math.log(always) - failed), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Others:
    """Counts of the cells that are not candidates, by level."""

    full: list[Floats]  # attempts of cells that always failed
    failed: Floats  # (level,) of the other cells
    tried: Floats  # (level,)
    cells: Floats  # (level,) number of all of them

    @classmethod
    def of(cls, n: Floats, x: Floats, full: Bools) -> _Others:
        return cls(
            full=[a[b] for a, b in zip(n, full, strict=True)],
            failed=np.where(full, 0, x).sum(axis=1),
            tried=np.where(full, 0, n).sum(axis=1),
            cells=(n > 0).sum(axis=1).astype(float),
        )

    def soft(self) -> Floats:
        """Return a first estimate of the soft probabilities."""
        return np.clip((self.failed + 0.5) / (self.tried + 1), 1e-9, 1 - 1e-9)

    def update(
        self, hard: Floats, soft: Floats, n: Floats, x: Floats, full: Bools, weight: Floats,
        together: Floats,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """Return the hard shares and soft probabilities, candidates weighted by P(not stuck).

        `together` is the probability that a candidate, if not stuck, fails at all levels.
        """
        out = np.empty((2, len(hard)))
        apart = weight * (1 - together)
        for k in range(len(hard)):
            tau = hard[k] / (hard[k] + (1 - hard[k]) * soft[k] ** self.full[k])
            p = hard[k] + (1 - hard[k]) * soft[k] ** n[k]
            tau_mine = np.where(full[k], hard[k] / p, 0.0) * apart
            cells = self.cells[k] + (apart * (n[k] > 0)).sum()
            out[0, k] = (tau.sum() + tau_mine.sum() + 0.5) / (cells + 1)
            softly = ((1 - tau) * self.full[k]).sum() + ((apart - tau_mine) * full[k] * n[k]).sum()
            mixed = apart * ~full[k]
            failed = self.failed[k] + softly + (mixed * x[k]).sum()
            tried = self.tried[k] + softly + (mixed * n[k]).sum()
            out[1, k] = (failed + 0.5) / (tried + 1)
        return tuple(np.clip(out, 1e-9, 1 - 1e-9))
