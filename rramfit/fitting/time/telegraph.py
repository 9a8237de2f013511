"""Two-state cells: random telegraph noise told from noise of one state.

A cell's reads are cut in two at the best place of their sorted values. With n₁ + n₂ = n reads on
either side and pooled variance s₁² about the two means against s₀² about one, the statistic is the
gain of the classification log-likelihood of two normal states of one spread,

    T = n₁·ln(n₁/n) + n₂·ln(n₂/n) − (n/2)·ln(s₁²/s₀²),

exact over all cuts by cumulative sums. Its distribution under one state is found by drawing
Gaussian series that have the mean spectrum of the cells: slow 1/f noise wanders and looks like two
states far more often than white noise. A cell is two-state where T is beyond the quantile that one
state passes with a chance of `FALSE_ALARM`, and where a mixture of two normals of one spread beats
one normal by BIC. The share is freed of false alarms; it is that of cells whose states can be told
apart at all. How long a state lasts is not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.statistics.spectrum import fit_spectrum

__all__ = ["FEWEST_READS", "Telegraph", "find_telegraph"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST_READS = 32  # fewer, and no two states can be told from chance
FALSE_ALARM = 0.002
_LEAST_SIDE = 0.03  # share of reads that either state needs; a lone outlier is none
_MOST_READS = 2048  # of more, evenly many are used
_MOST_READINGS = 1_000_000  # of more, evenly many cells are tested
_DRAWS, _FEWEST_DRAWS = (
    400_000,
    500,
)  # readings and series drawn for the distribution under one state


@dataclass(frozen=True, slots=True, kw_only=True)
class Telegraph:
    """Two-state cells.

    Attributes
    ----------
    share : Quantity
        Freed of false alarms, with Jeffreys' 95 % interval.
    two_state : (cell,) bool array
        Cells found, false alarms among them.
    amplitude : (cell,) array
        Distance of the two states [S]; NaN where there is one.
    false_alarm : float
        Chance that a cell of one state is found.
    n_cells : int
        Cells that could be tested.
    """

    share: Quantity
    two_state: Bools
    amplitude: Floats
    false_alarm: float
    n_cells: int


def find_telegraph(y: Floats, rng: np.random.Generator) -> Telegraph | None:
    """Find cells that sit in one of two states.

    Parameters
    ----------
    y : (cell, read) array
        Reads in order, without gaps [S].
    rng : Generator
        Draws the series of one state.

    Returns
    -------
    Telegraph or None
        None where there are fewer than 32 reads, or none but coarsely quantised ones.
    """
    if y.shape[1] < FEWEST_READS:
        return None
    thin = max(math.ceil(y.shape[1] / _MOST_READS), 1)
    every = max(math.ceil(y[:, ::thin].size / _MOST_READINGS), 1)
    reads = np.array(y[::every, ::thin])
    n = reads.shape[1]
    r = reads - reads.mean(axis=1, keepdims=True)
    std = r.std(axis=1)
    ordered = np.sort(r, axis=1)
    testable = std > 3 * _resolution(ordered)
    m = int(testable.sum())
    if m == 0:
        return None
    statistic, _ = _best_cut(ordered[testable])
    draws = max(_DRAWS // n, _FEWEST_DRAWS)
    alarm = max(FALSE_ALARM, 4 / draws)
    one_state = np.sort(_one_state(r[testable] / std[testable, None], draws, rng), axis=1)
    null, _ = _best_cut(one_state)
    bar = float(np.quantile(null, 1 - alarm))
    beyond = np.flatnonzero(testable)[statistic > bar]
    gain, apart = _mixture_gain(ordered[beyond])
    found = beyond[gain > 0]
    passed = null > bar
    false_alarm = float((_mixture_gain(one_state[passed])[0] > 0).sum() / draws)
    two_state = np.zeros(len(y), dtype=np.bool_)
    two_state[found * every] = True
    amplitude = np.full(len(y), np.nan)
    amplitude[found * every] = apart[gain > 0]
    return Telegraph(
        share=_share(len(found), m, false_alarm),
        two_state=two_state,
        amplitude=amplitude,
        false_alarm=false_alarm,
        n_cells=m,
    )


def _resolution(ordered: Floats) -> Floats:
    """Smallest step between different values of each cell [S]."""
    steps = np.diff(ordered, axis=1)
    # Float32 makes steps of its own, far below any converter's.
    return np.asarray(
        np.where(steps > 0, steps, np.inf).min(axis=1, initial=np.inf), dtype=np.float64
    )


def _best_cut(ordered: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Statistic of the best cut of sorted, centred values, and how many lie below it."""
    n = ordered.shape[1]
    least = max(2, math.ceil(_LEAST_SIDE * n))
    n1 = np.arange(least, n - least + 1)
    below = np.cumsum(ordered, axis=1)[:, n1 - 1]
    total = (ordered**2).sum(axis=1, keepdims=True)
    between = below**2 * (n / (n1 * (n - n1)))  # centred: the sum above is −below
    within = np.maximum(total - between, 1e-12 * total)
    entropy = n1 * np.log(n1 / n) + (n - n1) * np.log(1 - n1 / n)
    gain = entropy - 0.5 * n * np.log(within / total)
    at = np.argmax(gain, axis=1)
    return gain[np.arange(len(ordered)), at], n1[at]


def _one_state(r: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Gaussian series of the cells' mean spectrum, each centred, (draws, read)."""
    n = r.shape[1]
    spectrum = fit_spectrum(r)
    if spectrum is not None and spectrum.exponent > 0.3:
        out = spectrum.series(n, draws, rng)
    else:
        power = (np.abs(np.fft.rfft(r, axis=1)) ** 2).mean(axis=0)
        z = rng.standard_normal((draws, len(power))) + 1j * rng.standard_normal((draws, len(power)))
        z[:, 0] = 0.0
        out = np.fft.irfft(z * np.sqrt(power), n=n, axis=1)
    return np.asarray(out - out.mean(axis=1, keepdims=True), dtype=np.float64)


def _mixture_gain(ordered: Floats) -> tuple[Floats, Floats]:
    """BIC of one normal less that of two of one spread, and the distance of their means."""
    cells, n = ordered.shape
    if cells == 0:
        return np.empty(0), np.empty(0)
    _, below = _best_cut(ordered)
    low = np.arange(n) < below[:, None]
    high_share = 1 - below / n
    means = [np.where(side, ordered, 0).sum(1) / side.sum(1) for side in (low, ~low)]
    variance = (ordered - np.where(low, means[0][:, None], means[1][:, None])).var(axis=1)
    variance = np.maximum(variance, 1e-6 * ordered.var(axis=1))
    a, b = means
    for _ in range(30):
        log_odds = np.log(high_share / (1 - high_share))[:, None] + (
            (ordered - a[:, None]) ** 2 - (ordered - b[:, None]) ** 2
        ) / (2 * variance[:, None])
        p = special.expit(log_odds)
        high_share = np.clip(p.mean(axis=1), 1e-6, 1 - 1e-6)
        a = ((1 - p) * ordered).sum(1) / np.maximum((1 - p).sum(1), 1e-9)
        b = (p * ordered).sum(1) / np.maximum(p.sum(1), 1e-9)
        scatter = (1 - p) * (ordered - a[:, None]) ** 2 + p * (ordered - b[:, None]) ** 2
        variance = np.maximum(scatter.mean(axis=1), 1e-6 * ordered.var(axis=1))
    terms = np.logaddexp(
        np.log1p(-high_share)[:, None] - (ordered - a[:, None]) ** 2 / (2 * variance[:, None]),
        np.log(high_share)[:, None] - (ordered - b[:, None]) ** 2 / (2 * variance[:, None]),
    )
    two = terms.sum(axis=1) - 0.5 * n * np.log(variance)
    one = -0.5 * n - 0.5 * n * np.log(ordered.var(axis=1))
    return 2 * (two - one) - 2 * math.log(n), np.abs(b - a)


def _share(found: int, n: int, false_alarm: float) -> Quantity:
    """Share of two-state cells, false alarms taken off value and interval."""

    def freed(rate: float) -> float:
        return min(max((rate - false_alarm) / (1 - false_alarm), 0.0), 1.0)

    rate = found / n
    low = float(special.betaincinv(found + 0.5, n - found + 0.5, 0.025)) if found else 0.0
    high = float(special.betaincinv(found + 0.5, n - found + 0.5, 0.975)) if found < n else 1.0
    stderr = math.sqrt((found + 0.5) * (n - found + 0.5) / (n + 1) ** 2 / (n + 2))
    return Quantity.within(freed(rate), stderr, "1", (freed(low), freed(high)))
