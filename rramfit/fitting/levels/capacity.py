"""Bits that one cell stores: mutual information of the level asked for and what is read.

With K levels asked for equally often and their distributions f_k, f̄ = Σ f_k/K,

    I = 1/K·Σ_k ∫ f_k·log2(f_k/f̄) dg

is what the best reader could learn from the conductance itself. A reader with the K − 1 best
thresholds learns the same expression of the probabilities P(read j | level k). Both are found by
quadrature: g = Q_k(Φ(z)) with z even over ±7, where the trapezoid rule converges faster than any
power of the step. The derivative of I in a distribution's parameters needs only that distribution's
own score s_k,

    ∂I/∂θ_k = 1/K·∫ f_k·s_k·log2(f_k/f̄) dg,

because the terms from log2(f_k/f̄) cancel; errors follow from the cells' influences as they do for
thresholds. The hard reader's thresholds are taken as set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import Quantity
from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.levels.thresholds import cdf_slope
from rramfit.fitting.statistics.influence import Influence, PartErrors, combine

__all__ = ["StoredBits", "stored_bits"]

Floats = NDArray[np.float64]

_Z = np.linspace(-7.0, 7.0, 141)
_P = special.ndtr(_Z)
_WEIGHT = np.exp(-0.5 * _Z**2) / np.exp(-0.5 * _Z**2).sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBits:
    """Information that one cell holds, with each level's part in its error.

    Attributes
    ----------
    soft, hard : float
        Bits for a reader of the conductance, and for one with best thresholds.
    parts : tuple of Influence
        Of each level's cells, on soft and hard.
    """

    soft: float
    hard: float
    parts: tuple[Influence, ...]

    def quantities(
        self, errors: Sequence[PartErrors], correlation: Floats
    ) -> tuple[Quantity, Quantity]:
        """Bits, soft and hard, with intervals.

        Parameters
        ----------
        errors : sequence of PartErrors
            Of each level's part.
        correlation : (level, level) array
            Of cells' offsets between the levels; NaN where unknown.
        """
        error, df = combine(self.parts, errors, correlation)
        return (
            Quantity.estimated(self.soft, float(error[0]), "bit", df=float(df[0])),
            Quantity.estimated(self.hard, float(error[1]), "bit", df=float(df[1])),
        )


def stored_bits(
    distributions: Sequence[LevelDistribution], thresholds: Sequence[float]
) -> StoredBits:
    """Bits per cell with these levels asked for equally often.

    Parameters
    ----------
    distributions : sequence of LevelDistribution
        At least two.
    thresholds : sequence of float
        Between neighbouring ones [S], one fewer.
    """
    k = len(distributions)
    node = np.stack([distribution.ppf(_P) for distribution in distributions])
    log_pdf = np.stack(
        [distribution.logpdf(node) for distribution in distributions]
    )  # (distribution, from level, node)
    own = log_pdf[np.arange(k), np.arange(k)]
    gain = (own - special.logsumexp(log_pdf, axis=0) + math.log(k)) / math.log(2)

    edge = np.maximum.accumulate(np.asarray(thresholds, dtype=np.float64))
    cumulative = np.stack([distribution.cdf(edge) for distribution in distributions])
    read = np.diff(cumulative, axis=1, prepend=0.0, append=1.0)  # (level, read as)
    some = read > 0
    hard_gain = np.log2(np.where(some, read, 1.0) / np.where(some, read.mean(axis=0), 1.0))

    parts = []
    for i, distribution in enumerate(distributions):
        m = distribution.maximum
        score = m.likelihood.log_density(m.theta, m.frame.put(node[i]))[1]
        shift = np.diff(cdf_slope(distribution, edge), axis=0, prepend=0.0, append=0.0)
        slope = np.stack([(score * gain[i]) @ _WEIGHT, hard_gain[i] @ shift]) / k
        parts.append(distribution.influence.through(slope))
    return StoredBits(
        soft=float((gain @ _WEIGHT).mean()),
        hard=float((read * hard_gain).sum() / k),
        parts=tuple(parts),
    )
