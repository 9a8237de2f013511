"""Bits stored per cell: mutual information of target level and reading.

With K equally frequent target levels, their distributions f_k, and f̄ = Σ f_k/K,

    I = 1/K·Σ_k ∫ f_k·log2(f_k/f̄) dg

is the information that an ideal reader obtains from the conductance. For a reader with the K − 1
best thresholds, the same expression holds with the probabilities P(read j | level k). Both are
computed by quadrature: g = Q_k(Φ(z)) with z evenly spaced over ±7, where the trapezoidal rule
converges faster than any power of the step. The derivative of I by a distribution's parameters
requires only the score s_k of that distribution,

    ∂I/∂θ_k = 1/K·∫ f_k·s_k·log2(f_k/f̄) dg,

because the terms from log2(f_k/f̄) cancel. Errors follow from the influences of the cells, as for
thresholds. The thresholds of the second reader are treated as fixed.
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
    """Information stored per cell, with the influence of each level on it.

    Attributes
    ----------
    soft, hard : float
        Bits for a reader of the conductance, and for a reader with the best thresholds.
    parts : tuple of Influence
        Influence of each level's cells on `soft` and `hard`.
    """

    soft: float
    hard: float
    parts: tuple[Influence, ...]

    def quantities(
        self, errors: Sequence[PartErrors], correlation: Floats
    ) -> tuple[Quantity, Quantity]:
        """Return `soft` and `hard` with intervals.

        Parameters
        ----------
        errors : sequence of PartErrors
            Errors of each level's part.
        correlation : (level, level) array
            Correlation of cell offsets between the levels; NaN where unknown.
        """
        error, df = combine(self.parts, errors, correlation)
        return (
            Quantity.estimated(self.soft, float(error[0]), "bit", df=float(df[0])),
            Quantity.estimated(self.hard, float(error[1]), "bit", df=float(df[1])),
        )


def stored_bits(
    distributions: Sequence[LevelDistribution], thresholds: Sequence[float]
) -> StoredBits:
    """Compute the bits per cell for equally frequent levels.

    Parameters
    ----------
    distributions : sequence of LevelDistribution
        At least two.
    thresholds : sequence of float
        Thresholds between neighbouring levels [S], one fewer than levels.
    """
    k = len(distributions)
    node = np.stack([distribution.ppf(_P) for distribution in distributions])
    # (distribution, from level, node)
    log_pdf = np.stack([distribution.logpdf(node) for distribution in distributions])
    own = log_pdf[np.arange(k), np.arange(k)]
    gain = (own - special.logsumexp(log_pdf, axis=0) + math.log(k)) / math.log(2)

    edge = np.maximum.accumulate(np.asarray(thresholds, dtype=np.float64))
    cumulative = np.stack([distribution.cdf(edge) for distribution in distributions])
    read = np.diff(cumulative, axis=1, prepend=0.0, append=1.0)  # (level, read as)
    possible = read > 0
    hard_gain = np.log2(np.where(possible, read, 1.0) / np.where(possible, read.mean(axis=0), 1.0))

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
