"""Dwell times of random telegraph noise, by a hidden Markov model of two states and white noise.

Reads at equal intervals Δt are x_t = m_s(t) + ε, ε ~ N(0, σ²), where the state s is a Markov chain
with probabilities p (low to high) and q (high to low) of being in the other state one read later.
All five parameters are of maximum likelihood, by the Baum-Welch algorithm (Rabiner, Proc. IEEE 77,
257, 1989), of all cells at once. A chain in continuous time with the rates a (low to high) and b
has

    p + q = 1 − e^(−(a+b)·Δt),    a/b = p/q,

which counts switches back and forth between two reads. Where p + q is above `FAST`, states last
less than about one read and only a limit of the dwell times is known.

Over cells the dwell time τ of a state is lognormal. A cell that left the state N = T/τ̂ times in the
time T it spent there has the likelihood ∫ τ^(−N)·e^(−T/τ) dΦ((ln τ − μ)/s), which holds for a state
that was left once or never as well; a cell whose states are not resolved has that of τ < Δt. Noise
hides some of the switches: N and T are then those of a chain that is seen without noise and says as
much of ln τ, by the observed information of p and q.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.card.quantity import Quantity

__all__ = ["FAST", "DwellTimes", "TwoStates", "decode", "dwell_distribution", "fit_two_states"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FAST = 0.8  # of p + q: the chain forgets its state within a read
SLOW = 2.0  # switches in a record, below which a dwell time is a limit rather than a value
MIN_CELLS = 5
_ROUNDS = 60
_SETTLED = 1e-3  # gain of the log-likelihood of every cell in a round
_STEP = 0.05  # of the logit of a probability
_MANY = 30.0  # switches, above which the error of ln τ is normal
_GRID = 0.1  # of ln τ
_LEAST, _MOST = math.log(0.02), math.log(8.0)  # of the logarithm of the spread


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStates:
    """Hidden Markov models of several cells.

    Attributes
    ----------
    low, high : (cell,) array
        Conductance of the states [S].
    noise : (cell,) array
        Standard deviation of a read about its state [S].
    up, down : (cell,) array
        p and q.
    time_low : (cell,) array
        Expected number of reads in the low state.
    log_likelihood : (cell,) array
    clear_low, clear_high : (cell,) array
        Share of the switches from the low and the high state that counts, in view of the noise.
    reads : int
    """

    low: Floats
    high: Floats
    noise: Floats
    up: Floats
    down: Floats
    time_low: Floats
    log_likelihood: Floats
    clear_low: Floats
    clear_high: Floats
    reads: int

    @property
    def resolved(self) -> Bools:
        """Whether states last longer than about a read, (cell,)."""
        return np.asarray(self.up + self.down < FAST)

    def rates(self) -> tuple[Floats, Floats]:
        """Return the rates of leaving the low and the high state [1/read], (cell,)."""
        return _rates(self.up, self.down)


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellTimes:
    """Dwell time of one state over cells: median, and standard deviation of its logarithm."""

    median: Quantity
    spread: Quantity


def fit_two_states(x: Floats) -> TwoStates:
    """Fit one hidden Markov model to each cell.

    Parameters
    ----------
    x : (cell, read) array
        Reads at equal intervals, without gaps; each cell in two states [S].
    """
    scale = x.std(axis=1)
    y = (x - x.mean(axis=1, keepdims=True)) / scale[:, None]
    cut = _cut(y)
    upper = y > cut[:, None]
    n = x.shape[1]
    means = np.stack([np.where(s, y, 0).sum(axis=1) / s.sum(axis=1) for s in (~upper, upper)])
    noise = np.where(upper, y - means[1][:, None], y - means[0][:, None]).std(axis=1)
    noise = np.maximum(noise, 1e-3)
    up, down = (
        (np.logical_and(s[:, :-1], ~s[:, 1:]).sum(axis=1) + 0.5) / (s[:, :-1].sum(axis=1) + 1)
        for s in (~upper, upper)
    )
    share = upper.mean(axis=1)
    likelihood = np.zeros(len(x))
    for _ in range(_ROUNDS):
        before = likelihood
        state, pairs, likelihood = _forward_backward(y, means, noise, up, down, share)
        weight = state.sum(axis=1)
        low = ((1 - state) * y).sum(axis=1) / np.maximum(n - weight, 1e-9)
        high = (state * y).sum(axis=1) / np.maximum(weight, 1e-9)
        means = np.stack([low, high])
        square = (1 - state) * (y - low[:, None]) ** 2 + state * (y - high[:, None]) ** 2
        noise = np.maximum(np.sqrt(square.mean(axis=1)), 1e-4)
        from_high = state[:, :-1].sum(axis=1)
        up = np.clip(pairs[0] / np.maximum(n - 1 - from_high, 1e-9), 1e-9, 1 - 1e-9)
        down = np.clip(pairs[1] / np.maximum(from_high, 1e-9), 1e-9, 1 - 1e-9)
        share = np.clip(state[:, 0], 1e-6, 1 - 1e-6)
        if np.abs(likelihood - before).max() < _SETTLED:
            break
    center = x.mean(axis=1)
    variance = _rate_variance(y, means, noise, up, down, share)
    rates = _rates(up, down)
    clear = [
        1 / np.maximum(v * r * t, 1.0)
        for v, r, t in zip(variance, rates, (n - weight, weight), strict=True)
    ]
    return TwoStates(
        low=means[0] * scale + center,
        high=means[1] * scale + center,
        noise=noise * scale,
        up=up,
        down=down,
        time_low=n - weight,
        log_likelihood=likelihood - n * np.log(scale),
        clear_low=clear[0],
        clear_high=clear[1],
        reads=n,
    )


def _rates(up: Floats, down: Floats) -> tuple[Floats, Floats]:
    """Return the rates of leaving the low and the high state [1/read]."""
    total = up + down
    rate = -np.log1p(-np.minimum(total, 1 - 1e-9)) / total
    return up * rate, down * rate


def _rate_variance(
    y: Floats, means: Floats, noise: Floats, up: Floats, down: Floats, share: Floats
) -> tuple[Floats, Floats]:
    """Return the variance of the logarithms of both rates, each (cell,).

    The information of the logits of p and q is the change of their scores, which are the expected
    switches minus p, or q, times the reads from which they start.
    """
    logits = [special.logit(up), special.logit(down)]
    scores, logs = [], []
    for i in range(2):
        for step in (-_STEP, _STEP):
            p, q = (special.expit(x + step * (i == j)) for j, x in enumerate(logits))
            state, pairs, _ = _forward_backward(y, means, noise, p, q, share)
            high = state[:, :-1].sum(axis=1)
            scores.append((pairs[0] - p * (y.shape[1] - 1 - high), pairs[1] - q * high))
            logs.append(np.log(_rates(p, q)))
    information = -np.stack([np.subtract(scores[1], scores[0]), np.subtract(scores[3], scores[2])])
    a, b, d = information[0, 0], (information[0, 1] + information[1, 0]) / 2, information[1, 1]
    g = np.stack([logs[1] - logs[0], logs[3] - logs[2]])  # (logit, rate, cell)
    determinant = np.maximum(a * d - b**2, 1e-12)
    # both differences have the factor 2·step, of which one is left
    square = (g[0] ** 2 * d - 2 * g[0] * g[1] * b + g[1] ** 2 * a) / determinant
    variance = np.where((a > 0) & (d > 0), square / (2 * _STEP), np.inf)
    return variance[0], variance[1]


def _cut(y: Floats) -> Floats:
    """Return the cut of each cell that leaves the least variance on its two sides."""
    ordered = np.sort(y, axis=1)
    n = y.shape[1]
    k = np.arange(1, n)
    below = np.cumsum(ordered, axis=1)[:, :-1]
    total = ordered.sum(axis=1, keepdims=True)
    between = below**2 / k + (total - below) ** 2 / (n - k)
    edge = max(2, n // 50)
    at = between[:, edge : n - edge].argmax(axis=1) + edge
    rows = np.arange(len(y))
    return np.asarray((ordered[rows, at] + ordered[rows, at + 1]) / 2)


def _forward_backward(
    y: Floats, means: Floats, noise: Floats, up: Floats, down: Floats, share: Floats
) -> tuple[Floats, tuple[Floats, Floats], Floats]:
    """Return P(high | all reads), expected switches up and down, and the log-likelihood."""
    n = y.shape[1]
    z = [-0.5 * ((y - m[:, None]) / noise[:, None]) ** 2 for m in means]
    top = np.maximum(*z)
    e0, e1 = (np.exp(v - top).T for v in z)  # (read, cell)
    ahead = np.stack([e0 * (1 - up), e0 * down, e1 * up, e1 * (1 - down)])
    ahead[:, 0] = np.stack([e0[0], 0 * up, 0 * up, e1[0]])
    forward, norm = _chain(ahead, np.stack([1 - share, share]))
    back = np.stack([e0 * (1 - up), e1 * up, e0 * down, e1 * (1 - down)])[:, :0:-1]
    backward = np.full_like(forward, 0.5)
    backward[:-1] = _chain(back, np.full((2, len(y)), 0.5))[0][::-1]
    one, zero = forward * backward, (1 - forward) * (1 - backward)
    state = one / (one + zero)
    next0, next1 = e0[1:] * (1 - backward[1:]), e1[1:] * backward[1:]
    rise, fall = (1 - forward[:-1]) * up * next1, forward[:-1] * down * next0
    stay = (1 - forward[:-1]) * (1 - up) * next0 + forward[:-1] * (1 - down) * next1
    total = rise + fall + stay
    pairs = ((rise / total).sum(axis=0), (fall / total).sum(axis=0))
    constant = np.log(noise * math.sqrt(2 * math.pi))
    likelihood = np.log(norm).sum(axis=0) + top.sum(axis=1) - n * constant
    return state.T, pairs, likelihood


def _chain(matrices: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Apply matrices one after the other to a vector whose sum is kept at 1.

    Reads are cut into blocks: products of the matrices of all blocks are formed at once, then the
    vector at the start of each block, then those within all blocks at once.

    Parameters
    ----------
    matrices : (4, read, cell) array
        Of 2 by 2, by rows.
    start : (2, cell) array

    Returns
    -------
    second : (read, cell) array
        Second element of the vector after each matrix.
    norm : (read, cell) array
        Sum of the vector before it is scaled back to 1.
    """
    _, n, cells = matrices.shape
    length = max(math.isqrt(n), 1)
    blocks = -(-n // length)
    padded = np.empty((4, blocks * length, cells))
    padded[:, :n] = matrices
    padded[:, n:] = np.array([1.0, 0.0, 0.0, 1.0])[:, None, None]
    m = padded.reshape(4, blocks, length, cells)
    q = np.zeros((4, blocks, cells))
    q[0] = q[3] = 1.0
    for i in range(length):
        a, b, c, d = m[:, :, i]
        q = np.concatenate([a * q[:2] + b * q[2:], c * q[:2] + d * q[2:]])
        q /= q.max(axis=0)
    at = np.empty((2, blocks, cells))
    v = start
    for i in range(blocks):
        at[:, i] = v
        v = np.stack([q[0, i] * v[0] + q[1, i] * v[1], q[2, i] * v[0] + q[3, i] * v[1]])
        v = v / v.sum(axis=0)
    second, norm = (np.empty((blocks, length, cells)) for _ in range(2))
    for i in range(length):
        a, b, c, d = m[:, :, i]
        at = np.stack([a * at[0] + b * at[1], c * at[0] + d * at[1]])
        norm[:, i] = at.sum(axis=0)
        at = at / norm[:, i]
        second[:, i] = at[1]
    return second.reshape(-1, cells)[:n], norm.reshape(-1, cells)[:n]


def decode(x: Floats, model: TwoStates, cell: int) -> Bools:
    """Return whether each read of one cell is more probably in the high state, (read,).

    Parameters
    ----------
    x : (read,) array
        [S]
    model : TwoStates
    cell : int
        Of the model.
    """
    i = slice(cell, cell + 1)
    means = np.stack([model.low[i], model.high[i]])
    share = model.up[i] / (model.up[i] + model.down[i])
    arguments = (model.noise[i], model.up[i], model.down[i], share)
    state, _, _ = _forward_backward(x[None], means, *arguments)
    return np.asarray(state[0] > 0.5)


def dwell_distribution(
    rate: Floats, time: Floats, resolved: Bools, interval: float, clear: Floats | None = None
) -> DwellTimes | None:
    """Fit a lognormal distribution to the dwell times of one state.

    Parameters
    ----------
    rate : (cell,) array
        Of leaving the state [1/read].
    time : (cell,) array
        Spent in the state [read].
    resolved : (cell,) bool array
        Cells whose states last longer than a read; the dwell times of others are below `interval`.
    interval : float
        [s] between reads.
    clear : (cell,) array, optional
        Share of the switches that counts; all by default.

    Returns
    -------
    DwellTimes or None
        None if fewer than 5 cells are resolved, or if dwell times have no upper limit.
    """
    counts = np.ones_like(time) if clear is None else clear
    fast = int((~resolved).sum())
    resolved = resolved & (time * counts > 0)
    if resolved.sum() < MIN_CELLS:
        return None
    spent = time[resolved] * counts[resolved]
    exits = rate[resolved] * spent
    known = np.log(spent / np.maximum(exits, 0.5))
    many = exits > _MANY
    grid = np.arange(-5.0, math.log(float(spent.max())) + 10, _GRID)
    few_exits, few_time = exits[~many, None], spent[~many, None]
    kernel = -few_exits * grid - few_time * np.exp(-grid)

    def cost(p: Floats) -> float:
        mu, s = float(p[0]), math.exp(float(p[1]))
        v = s * s + 1 / np.maximum(exits[many], 1.0)
        total = float((0.5 * np.log(v) + 0.5 * (known[many] - mu) ** 2 / v).sum())
        width = max(s, _GRID)
        prior = -0.5 * ((grid - mu) / width) ** 2 - math.log(width)
        total -= float(special.logsumexp(kernel + prior, axis=1).sum())
        return total - fast * float(special.log_ndtr(-mu / s))

    def profile(log_s: float) -> tuple[float, float]:
        """Return the least cost at one spread, and the median of ln τ there."""
        best = optimize.minimize_scalar(
            lambda mu: cost(np.array([mu, log_s])),
            bounds=(float(known.min()) - 3, float(known.max()) + 3),
            method="bounded",
            options={"xatol": 1e-4},
        )
        return float(best.fun), float(best.x)

    found = optimize.minimize_scalar(
        lambda v: profile(v)[0], bounds=(_LEAST, _MOST), method="bounded", options={"xatol": 1e-3}
    )
    log_s = float(found.x)
    least, mu = profile(log_s)
    t = float(special.stdtrit(len(rate) - 1, 0.975))
    drop = t * t / 2
    low, high = (
        _where(lambda v: profile(v)[0] - least - drop, log_s, end) for end in (_LEAST, _MOST)
    )
    curve = np.array([cost(np.array([mu + d, log_s])) for d in (-_GRID, 0.0, _GRID)])
    second = float(curve[0] - 2 * curve[1] + curve[2]) / _GRID**2
    if high >= _MOST or second <= 0:
        return None
    median, spread = math.exp(mu) * interval, math.exp(log_s)
    ends = (math.exp(low) if low > _LEAST else 0.0, math.exp(high))
    return DwellTimes(
        median=Quantity.estimated(
            median, median / math.sqrt(second), "s", scale="log", df=len(rate) - 1
        ),
        spread=Quantity.within(spread, (ends[1] - ends[0]) / (2 * t), "1", ends),
    )


def _where(f: Callable[[float], float], inside: float, end: float) -> float:
    """Return where f, which is negative inside, is zero towards an end; the end if nowhere."""
    if f(end) <= 0:
        return end
    return float(optimize.brentq(f, inside, end, xtol=1e-2))
