"""Random telegraph noise: detection of cells with two states.

The sorted reads of a cell are split in two at the best cut. With n₁ + n₂ = n reads on the two
sides, pooled variance s₁² about the two means and variance s₀² about the common mean, the
statistic is the gain in classification log-likelihood of two normal states of equal spread,

    T = n₁·ln(n₁/n) + n₂·ln(n₂/n) − (n/2)·ln(s₁²/s₀²),

maximised over all cuts by cumulative sums. Its distribution under one state is simulated by
Gaussian series with the mean spectrum of the cells, because slow 1/f noise resembles two states far
more often than white noise does. A cell has two states if T exceeds the quantile that one state
exceeds with probability `FALSE_ALARM`, and if a mixture of two normals of equal spread has a better
BIC than one normal. The share of two-state cells is corrected for false alarms; it counts only
cells whose states can be resolved. Dwell times: `rramfit.fitting.time.dwell_times`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.statistics.spectrum import fit_spectrum

__all__ = ["MIN_READS", "Telegraph", "find_telegraph"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_READS = 32  # with fewer, two states cannot be distinguished from chance
FALSE_ALARM = 0.002
_MIN_SHARE = 0.03  # share of reads that each state needs; a single outlier is no state
_MAX_READS = 2048  # of more reads, every n-th is used
_MAX_READINGS = 1_000_000  # of more readings, every n-th cell is tested
_DRAWN_READINGS = 400_000  # simulated for the distribution under one state
_MIN_DRAWS = 500  # series simulated at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Telegraph:
    """Cells with random telegraph noise.

    Attributes
    ----------
    share : Quantity
        Share of two-state cells, corrected for false alarms, with Jeffreys' 95 % interval.
    two_state : (cell,) bool array
        Detected cells, including false alarms.
    amplitude : (cell,) array
        Distance between the two states [S]; NaN where only one state was found.
    false_alarm : float
        Probability that a cell with one state is detected.
    n_cells : int
        Number of cells that could be tested.
    """

    share: Quantity
    two_state: Bools
    amplitude: Floats
    false_alarm: float
    n_cells: int


def find_telegraph(y: Floats, rng: np.random.Generator) -> Telegraph | None:
    """Find cells that switch between two states.

    Parameters
    ----------
    y : (cell, read) array
        Reads in order, without gaps [S].
    rng : Generator
        Source of the simulated series with one state.

    Returns
    -------
    Telegraph or None
        None if there are fewer than 32 reads, or if the reads of all cells are coarsely quantised.
        Cells with several reads at the extremes of all reads are not tested: a rail cuts their
        noise off.
    """
    if y.shape[1] < MIN_READS:
        return None
    thin = max(math.ceil(y.shape[1] / _MAX_READS), 1)
    every = max(math.ceil(y[:, ::thin].size / _MAX_READINGS), 1)
    reads = np.array(y[::every, ::thin])
    n = reads.shape[1]
    r = reads - reads.mean(axis=1, keepdims=True)
    std = r.std(axis=1)
    ordered = np.sort(r, axis=1)
    testable = (std > 3 * _resolution(ordered)) & ~_at_a_rail(reads)
    m = int(testable.sum())
    if m == 0:
        return None
    statistic, _ = _best_cut(ordered[testable])
    draws = max(_DRAWN_READINGS // n, _MIN_DRAWS)
    alarm = max(FALSE_ALARM, 4 / draws)
    one_state = np.sort(_one_state(r[testable] / std[testable, None], draws, rng), axis=1)
    null, _ = _best_cut(one_state)
    bar = float(np.quantile(null, 1 - alarm))
    beyond = np.flatnonzero(testable)[statistic > bar]
    gain, separation = _mixture_gain(ordered[beyond])
    found = beyond[gain > 0]
    passed = null > bar
    false_alarm = float((_mixture_gain(one_state[passed])[0] > 0).sum() / draws)
    two_state = np.zeros(len(y), dtype=np.bool_)
    two_state[found * every] = True
    amplitude = np.full(len(y), np.nan)
    amplitude[found * every] = separation[gain > 0]
    return Telegraph(
        share=_share(len(found), m, false_alarm),
        two_state=two_state,
        amplitude=amplitude,
        false_alarm=false_alarm,
        n_cells=m,
    )


def _resolution(ordered: Floats) -> Floats:
    """Return the smallest step between different values of each cell [S]."""
    steps = np.diff(ordered, axis=1)
    # Rounding to float32 also makes steps, but far below those of any converter.
    return np.asarray(
        np.where(steps > 0, steps, np.inf).min(axis=1, initial=np.inf), dtype=np.float64
    )


def _at_a_rail(reads: Floats) -> Bools:
    """Return the cells with two or more reads equal to the lowest or the highest of all."""
    extremes = reads.min(), reads.max()
    return np.asarray(np.any([(reads == x).sum(axis=1) > 1 for x in extremes], axis=0))


def _best_cut(ordered: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the statistic of the best cut of sorted, centred values, and the count below it."""
    n = ordered.shape[1]
    least = max(2, math.ceil(_MIN_SHARE * n))
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
    """Draw centred Gaussian series with the mean spectrum of the cells, (draws, read)."""
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
    """Return the BIC of one normal minus that of two of equal spread, and the means' distance."""
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
    """Return the share of two-state cells, with false alarms subtracted from value and interval."""

    def corrected(rate: float) -> float:
        return min(max((rate - false_alarm) / (1 - false_alarm), 0.0), 1.0)

    rate = found / n
    low = float(special.betaincinv(found + 0.5, n - found + 0.5, 0.025)) if found else 0.0
    high = float(special.betaincinv(found + 0.5, n - found + 0.5, 0.975)) if found < n else 1.0
    stderr = math.sqrt((found + 0.5) * (n - found + 0.5) / (n + 1) ** 2 / (n + 2))
    return Quantity.within(corrected(rate), stderr, "1", (corrected(low), corrected(high)))
