"""Switching voltages: their distribution over cells, from sweeps with steps and an end.

A sweep shows between which two voltages a cell switched, or that it did not switch up to the
highest voltage. With V ~ N(μ, σ²) and a share p of sweeps in which the cell cannot switch (stuck):

    switched in (l, u]     (1 − p)·[Φ((u − μ)/σ) − Φ((l − μ)/σ)]
    not up to c            p + (1 − p)·[1 − Φ((c − μ)/σ)]

p is 0 unless the likelihood with p is higher by ln(n)/2 (BIC). Standard errors are clustered by
cell. Only excursions from the right state count: after SET, a cell cannot be SET again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.card.blocks.electrical import SwitchingCard
from rramfit.card.quantity import Quantity
from rramfit.fitting.electrical.iv.switching import Switching
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.measurement.file.record import IVSweeps

__all__ = ["SwitchingVoltage", "fit_switching_voltages"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST = 5  # switches for a mean and a spread
_SMALL = 1e-300  # below any likelihood


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchingVoltage:
    """Distribution of the voltage of one transition at one polarity.

    Attributes
    ----------
    transition : {"SET", "RESET"}
    voltage : Quantity
        Mean over sweeps [V], with its sign.
    spread : Quantity
        Standard deviation over sweeps [V].
    sweeps, switched : int
        Sweeps from the right state, and those in which the cell switched.
    stuck : float
        Share of the sweeps in which the cell could not switch.
    """

    transition: Literal["SET", "RESET"]
    voltage: Quantity
    spread: Quantity
    sweeps: int
    switched: int
    stuck: float

    def to_card(self) -> SwitchingCard:
        """Return the entry of the card."""
        return SwitchingCard(
            transition=self.transition,
            voltage=self.voltage,
            spread=self.spread,
            sweeps=self.sweeps,
            switched=self.switched,
        )


def fit_switching_voltages(iv: IVSweeps, found: Switching) -> tuple[SwitchingVoltage, ...]:
    """Fit the distribution of the voltage of every transition that enough cells made.

    Parameters
    ----------
    iv : IVSweeps
        The curves that were split.
    found : Switching
        Their switching points.
    """
    return tuple(
        _fitted(iv, found, chosen, transition) for chosen, transition in _transitions(found)
    )


def _transitions(found: Switching) -> Iterator[tuple[Bools, Literal["SET", "RESET"]]]:
    """Yield the events of each transition, with those in which it could have happened."""
    sign = np.sign(found.lower + np.where(np.isfinite(found.upper), found.upper, 0.0))
    for polarity in (1, -1):
        side = sign == polarity
        for rises in (True, False):
            done = side & found.happened & (found.rises == rises)
            if done.sum() < _FEWEST:
                continue
            main = done.sum() * 2 > (side & found.happened).sum()
            missed = side & ~found.happened & _in_other_state(found, rises=rises)
            yield done | missed if main else done, "SET" if rises else "RESET"


def _in_other_state(found: Switching, *, rises: bool) -> Bools:
    """Return the events before which the cell was not known to be in the transition's end state."""
    before: dict[int, bool] = {}
    other = np.ones(len(found.curve), dtype=bool)
    for i in np.lexsort((found.start, found.curve)):
        curve = int(found.curve[i])
        other[i] = before.get(curve, not rises) != rises
        if found.happened[i]:
            before[curve] = bool(found.rises[i])
    return other


def _fitted(
    iv: IVSweeps, found: Switching, chosen: Bools, transition: Literal["SET", "RESET"]
) -> SwitchingVoltage:
    lower, upper = np.abs(found.lower[chosen]), np.abs(found.upper[chosen])
    done = found.happened[chosen]
    sign = float(np.sign(found.lower[chosen][done].sum() + found.upper[chosen][done].sum()))
    middle = 0.5 * (lower[done] + upper[done])
    start = [float(middle.mean()), math.log(max(float(middle.std()), 1e-3 * float(middle.mean())))]
    theta, value = _maximum(start, lower, upper)
    if not done.all():
        share = float(np.clip(1 - done.mean(), 0.01, 0.9))
        free, better = _maximum([*start, math.log(share / (1 - share))], lower, upper)
        if better > value + 0.5 * math.log(len(lower)):
            theta = free
    psi = _influence(theta, lower, upper)
    curve = found.curve[chosen]
    grid = np.zeros((len(theta), int(iv.row.max()) + 1, int(iv.col.max()) + 1))
    for i in range(len(theta)):
        np.add.at(grid[i], (iv.row[curve], iv.col[curve]), psi[i])
    spread = clustered_covariance(grid)
    mean_error, log_error = np.sqrt(np.diagonal(spread.covariance))[:2]
    sigma = math.exp(theta[1])
    return SwitchingVoltage(
        transition=transition,
        voltage=Quantity.estimated(sign * theta[0], float(mean_error), "V", df=float(spread.df[0])),
        spread=Quantity.estimated(
            sigma, sigma * float(log_error), "V", scale="log", df=float(spread.df[1])
        ),
        sweeps=len(lower),
        switched=int(done.sum()),
        stuck=float(special.expit(theta[2])) if len(theta) > 2 else 0.0,
    )


def _log_likelihood(theta: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return the log-likelihood of every sweep; theta = (μ, ln σ, [logit p])."""
    stuck = float(special.expit(theta[2])) if len(theta) > 2 else 0.0
    sigma = math.exp(theta[1])
    low, high = special.ndtr((lower - theta[0]) / sigma), special.ndtr((upper - theta[0]) / sigma)
    # in the upper tail the difference of two numbers near 1 has no digits left
    tail = special.ndtr((theta[0] - lower) / sigma) - special.ndtr((theta[0] - upper) / sigma)
    inside = np.where(lower > theta[0], tail, high - low)
    likely = np.where(np.isfinite(upper), (1 - stuck) * inside, stuck + (1 - stuck) * tail)
    return np.asarray(np.log(np.maximum(likely, _SMALL)), dtype=np.float64)


def _maximum(start: list[float], lower: Floats, upper: Floats) -> tuple[Floats, float]:
    def loss(theta: Floats) -> float:
        return -float(_log_likelihood(theta, lower, upper).sum())

    x0: np.ndarray[tuple[int], np.dtype[np.float64]] = np.array(start, dtype=np.float64)
    found = optimize.minimize(
        loss, x0, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8}
    )
    return np.asarray(found.x, dtype=np.float64), -float(found.fun)


def _influence(theta: Floats, lower: Floats, upper: Floats) -> Floats:
    """Return the influence of every sweep on the estimates, by central differences."""
    p = len(theta)
    step = 1e-3 * np.array([math.exp(theta[1]), 1.0, 1.0])[:p]
    moves = np.diag(step)

    def score(at: Floats) -> Floats:
        return np.stack(
            [
                (_log_likelihood(at + e, lower, upper) - _log_likelihood(at - e, lower, upper))
                / (2 * step[i])
                for i, e in enumerate(moves)
            ]
        )

    hessian = np.stack(
        [
            (score(theta + e) - score(theta - e)).sum(axis=1) / (2 * step[i])
            for i, e in enumerate(moves)
        ]
    )
    return np.asarray(-np.linalg.pinv((hessian + hessian.T) / 2) @ score(theta), dtype=np.float64)
