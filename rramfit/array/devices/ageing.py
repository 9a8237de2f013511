"""Ageing of states: a card's drift and growth, on a scale on which conductance stays positive.

A card says how much the states of a level change until time t, over cells: with x = ln(t/t0),

    mean      μ(t) = first_step + drift·x
    variance  v(t) = first_spread² + growth²·x

A sum of this mean and a normal of this variance would take cells of a low level below zero. States
therefore move on the scale y of

    G = y for y ≥ s,   s·e^(y/s − 1) below,   y(t) = y(0) + c(t) + W(τ(t)),   W Brownian,

which is that of conductance above s, a quarter of the level's mean, and of its logarithm below. At
every time c and τ are solved for the two moments above, over the level's own states, so that steps
of any length lead to the same chips. For a level that stays above s, c = μ and τ = v.

A card of several bakes has a law of time and temperature instead (`rramfit.card.conditions`). In
its logarithmic domain states are first multiplied by the change of the mean; the variance, which is
that beyond it, is then added on the scale y of the multiplied states.

Two cards cannot be met: a mean that falls below zero stops just above it, and a variance smaller
than that of a common shift on the scale of y is exceeded. A state below zero, which the offset of
a read-out makes, hardly moves; levels whose mean is not positive age in siemens.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rramfit.card.conditions.change_at import ChangeAt

__all__ = ["Ageing"]

Floats = NDArray[np.float64]

_SCALE = 0.25  # s over the level's mean
_LEAST = 1e-12  # states over s below which all move alike
_LOWEST_MEAN = 0.01  # of the mean at programming: a level's mean falls no lower
_ROUNDS = 60
_NODES, _STEP_NODES = 129, 61
_CONVERGED = 1e-9
_SURE = 6.0  # standard deviations that no cell moves beyond
_WIDEST = 60.0  # largest √τ over s
_LARGEST = 50.0  # change of the logarithm of a mean


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ageing:
    """Change of a state with time: a first step until `reference_time`, then with ln(t/t0)."""

    first_step: Tensor  # [S] (level,) mean change
    first_spread: Tensor  # [S] (level,) over cells, without read noise
    drift: Tensor  # [S] (level,) per unit of ln t
    growth: Tensor  # [S] (level,) per root of ln t
    reference_time: float  # [s] after programming
    states: Tensor | None = None  # [S] (level, node) equally likely states after programming
    law: ChangeAt | None = None  # instead of the four above
    temperature: float | None = None  # [K] at which cells age; None if it is not known
    _moves: dict[float, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def stopped(self) -> Ageing:
        """Return an ageing without any change."""
        none = torch.zeros_like(self.drift)
        return Ageing(
            first_step=none,
            first_spread=none,
            drift=none,
            growth=none,
            reference_time=self.reference_time,
        )

    def of(self, states: Tensor) -> Ageing:
        """Return the ageing of levels with these states, (level, node) [S]."""
        return dataclasses.replace(self, states=states, _moves={})

    def aged(self, g: Tensor, level: Tensor, *, since: float, time: float, noise: Tensor) -> Tensor:
        """Return states at `time` [s] that were `g` at `since`.

        Parameters
        ----------
        g : tensor
            States [S].
        level : integer tensor
            Level that each follows.
        since, time : float
            [s] after programming; before the reference time states are constant.
        noise : (2, ...) tensor
            Standard normal, for the first step and for the growth after it.
        """
        t0 = self.reference_time
        if time < t0 or time <= since:
            return g
        shift, variance = self.moves(time)
        ratio = grown = self.ratio(time)
        first = torch.zeros_like(variance)
        if since >= t0:
            before, known = self.moves(since)
            grown = ratio / self.ratio(since)
            shift = shift - grown * before
            variance = (variance - grown**2 * known).clamp_min(0)
        else:
            first = torch.minimum(self.moves(t0)[1], variance)
            variance = variance - first
        move = shift[level] + first.sqrt()[level] * noise[0] + variance.sqrt()[level] * noise[1]
        if self.law is not None:
            g = g * grown[level]
        scale = (self.scale * ratio)[level]
        bent = scale > 0
        s = torch.where(bent, scale, 1.0)
        u = torch.maximum(g / s, torch.full_like(g, _LEAST))
        y = torch.where(u < 1, s * (1 + u.clamp_max(1).log()), g) + move
        new = torch.where(y < s, s * torch.exp((y / s - 1).clamp_max(0)), y)
        new = torch.where(g > 0, new, g + new - s * u)
        return torch.where(move == 0, g, torch.where(bent, new, g + move))

    @property
    def scale(self) -> Tensor:
        """Return s of every level, (level,) [S]; 0 where states age in siemens."""
        if self.states is None:
            return torch.zeros_like(self.drift)
        return (_SCALE * self.states.mean(dim=1)).clamp_min(0)

    def ratio(self, time: float) -> Tensor:
        """Return by how much states are multiplied at `time` [s], (level,)."""
        if self.law is None:
            return torch.ones_like(self.drift)
        return torch.as_tensor(np.exp(self.law.log_mean(time).clip(max=_LARGEST))).to(self.drift)

    def moves(self, time: float) -> tuple[Tensor, Tensor]:
        """Return c [S] and τ [S²] of every level at `time` [s], each (level,)."""
        if time not in self._moves:
            mean, variance, ratio = self._change(time)
            shift, spread = mean.copy(), variance.copy()
            scales = self.scale.double().cpu().numpy() * ratio
            for k in np.flatnonzero((scales > 0) & ((mean != 0) | (variance > 0))):
                assert self.states is not None
                states = self.states[k].double().cpu().numpy() * ratio[k]
                shift[k], spread[k] = _solve(states, scales[k], mean[k], variance[k])
            self._moves[time] = (
                torch.as_tensor(shift).to(self.drift),
                torch.as_tensor(spread).to(self.drift),
            )
        return self._moves[time]

    def _change(self, time: float) -> tuple[Floats, Floats, Floats]:
        """Return mean [S] and variance [S²] of the change, and the ratio before it, by level."""
        if self.law is None:
            x = max(math.log(time / self.reference_time), 0.0)
            mean = (self.first_step + self.drift * x).double().cpu().numpy()
            variance = (self.first_spread**2 + self.growth**2 * x).double().cpu().numpy()
            return mean, variance, np.ones(len(mean))
        ratio = self.ratio(time).double().cpu().numpy()
        return self.law.mean(time), self.law.variance(time), ratio


def _solve(states: Floats, scale: float, mean: float, variance: float) -> tuple[float, float]:
    """Return c and τ for which states change by this mean and variance."""
    start = np.maximum(states / scale, _LEAST)
    y = np.where(start < 1, 1 + np.log(np.minimum(start, 1)), start)
    if y.min() > 1 and y.min() + mean / scale - _SURE * math.sqrt(variance) / scale > 1:
        return mean, variance  # no cell leaves the straight part
    z = np.linspace(-5.0, 5.0, _STEP_NODES)
    weight = np.exp(-0.5 * z**2)
    weight /= weight.sum()
    lowest = (_LOWEST_MEAN - 1) * float(states.mean()) / scale
    wanted = mean / scale, variance / scale**2
    if wanted[0] < lowest:  # nearly all conductance is lost: no spread is left either
        wanted = lowest, 0.0
    old = np.where(y < 1, np.exp(np.minimum(y, 1) - 1), y)

    def moments(shift: float, spread: float) -> tuple[float, float, float]:
        moved = y[:, None] + shift + spread * z
        low = np.exp(np.minimum(moved, 1) - 1)
        change = np.where(moved < 1, low, moved) - old[:, None]
        slope = np.where(moved < 1, low, 1.0)
        first = float((change @ weight).mean())
        return first, float((change**2 @ weight).mean()) - first**2, float((slope @ weight).mean())

    shift, spread = wanted[0], math.sqrt(wanted[1])
    for _ in range(_ROUNDS):
        for _ in range(_ROUNDS):  # the mean rises with the shift, and is convex in it
            found, power, slope = moments(shift, spread)
            step = (wanted[0] - found) / max(slope, 1e-12)
            shift += float(np.clip(step, -4.0, 4.0))
            if abs(step) < _CONVERGED:
                break
        if wanted[1] == 0:
            break
        ratio = math.sqrt(wanted[1] / power) if power > 0 else 1.0
        spread = min(spread * min(max(ratio, 0.25), 4.0), _WIDEST)
        if abs(ratio - 1) < 1e-6 or spread < 1e-6:
            break
    return shift * scale, (spread * scale) ** 2
