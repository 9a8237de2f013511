"""Normal mixture of K parts: f = Σ w_i·φ(z_i)/s_i, z_i = (x − m_i)/s_i.

Internal parameters θ = (ln w_i/w_1 for i = 2…K, m_1…m_K, ln s_1…ln s_K). The likelihood of a
mixture is unbounded if a part collapses onto one reading, so s_i is kept above 5 % of the width of
the level, and |ln w_i/w_1| below 7. Starting values come from a few rounds of
expectation-maximisation, which start from adjacent parts and from nested parts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.statistics.likelihood.contract import LOG_SQRT_2PI, Likelihood, mills
from rramfit.fitting.statistics.likelihood.points import Frame, Points

__all__ = ["MixtureLikelihood"]

Floats = NDArray[np.float64]

_ROUNDS = 12
_LEAST_WIDTH = 0.05


class MixtureLikelihood(Likelihood):
    """Likelihood of a mixture of `parts` normals; the unit of the frame is the level's width."""

    family = "mixture"

    def __init__(self, parts: int) -> None:
        self.parts = parts
        k = parts
        self.lower = np.concatenate(
            [np.full(k - 1, -7.0), np.full(k, -1e3), np.full(k, math.log(_LEAST_WIDTH))]
        )
        self.upper = np.concatenate([np.full(k - 1, 7.0), np.full(k, 1e3), np.full(k, 20.0)])
        weight = "the weight of a mixture part is at its bound"
        self.edges = (
            *((weight, weight),) * (k - 1),
            *(("", ""),) * k,
            *(("", ""),) * k,
        )
        self.widths = tuple(range(2 * k - 1, 3 * k - 1))

    def starts(self, points: Points) -> tuple[Floats, ...]:
        """Return the results of a few rounds of expectation-maximisation."""
        k = self.parts
        q = points.quantile((np.arange(k) + 0.5) / k)
        inner = np.full(k, float(points.quantile(np.array([0.5]))[0]))
        begin = (
            (np.full(k, 1 / k), q, np.full(k, points.std / k)),
            (np.full(k, 1 / k), inner, points.std * np.geomspace(0.5, 2.0, k)),
        )
        return tuple(self._rounds(points, *b) for b in begin)

    def _rounds(self, points: Points, weight: Floats, mean: Floats, std: Floats) -> Floats:
        x, n = points.x, points.weight[:-2]
        for _ in range(_ROUNDS):
            z = (x - mean[:, None]) / std[:, None]
            part = (weight / std)[:, None] * np.exp(-0.5 * z * z) + 1e-300
            part *= n / part.sum(axis=0)
            share = part.sum(axis=1) + 1e-12
            mean = part @ x / share
            std = np.sqrt(np.maximum((part * (x - mean[:, None]) ** 2).sum(axis=1) / share, 4e-3))
            weight = share / share.sum()
        return np.concatenate([np.log(weight[1:] / weight[0]), mean, np.log(std)])

    def _parts(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        k = self.parts
        logits = np.concatenate([[0.0], theta[: k - 1]])
        weight = np.exp(logits - logits.max())
        return weight / weight.sum(), theta[k - 1 : 2 * k - 1], np.exp(theta[2 * k - 1 :])

    def log_density(self, theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return the log density and its gradient."""
        weight, mean, std = (p[:, None] for p in self._parts(theta))
        z = (x - mean) / std
        z2 = z * z
        term = np.log(weight / std) - LOG_SQRT_2PI - 0.5 * z2
        top = term.max(axis=0)
        part = np.exp(term - top)
        total = part.sum(axis=0)
        part /= total
        score = np.concatenate([(part - weight)[1:], part * z / std, part * (z2 - 1)])
        return top + np.log(total), score

    def log_below(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability below `bound`, and its gradient."""
        return self._tail(theta, bound, 1.0)

    def log_above(self, theta: Floats, bound: float) -> tuple[float, Floats]:
        """Return the log probability above `bound`, and its gradient."""
        return self._tail(theta, bound, -1.0)

    def _tail(self, theta: Floats, bound: float, sign: float) -> tuple[float, Floats]:
        weight, mean, std = self._parts(theta)
        z = (bound - mean) / std
        term = np.log(weight) + special.log_ndtr(sign * z)
        value = float(special.logsumexp(term))
        share = np.exp(term - value)
        log_pdf = np.log(weight) - 0.5 * z * z - LOG_SQRT_2PI
        h = sign * np.array([mills(float(p), value) for p in log_pdf])
        return value, np.concatenate([(share - weight)[1:], -h / std, -h * z])

    def natural(self, theta: Floats, frame: Frame) -> dict[str, float]:
        """Return weight_i, and mean_i and std_i [S], in ascending order of mean."""
        weight, mean, std = self._parts(theta)
        order = np.argsort(mean, kind="stable")
        out: dict[str, float] = {}
        for i, j in enumerate(order, start=1):
            out[f"weight_{i}"] = float(weight[j])
            out[f"mean_{i}"] = frame.origin + frame.unit * float(mean[j])
            out[f"std_{i}"] = frame.unit * float(std[j])
        return out
