"""Variances of many small samples, shrunken towards what they have in common.

A variance s² with d degrees of freedom is pooled with a common one of d₀, by empirical Bayes (Smyth
2004, doi:10.2202/1544-6115.1027). d₀ follows from the spread of ln s² in excess of trigamma(d/2):
where the variances differ by chance alone it is large, and all samples get nearly the same. A
sample whose variance is far above the others by its F ratio keeps it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["shrunken_variance"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST = 10  # samples
_APART = 1e-4  # chance of an F ratio from which a sample is not one of the others
_LEAST_EXCESS = 2e-3  # variance of ln s² beyond chance: a common variance of 1000 degrees


def shrunken_variance(variance: Floats, df: Floats, use: Bools) -> Floats:
    """Return the variances with those of `use` shrunken; unchanged below 10 samples.

    Parameters
    ----------
    variance : (n,) array
    df : (n,) array
        Degrees of freedom; samples with less than 1, or without variance, keep theirs.
    use : (n,) bool array
    """
    use = use & (variance > 0) & (df >= 1)
    if use.sum() < _FEWEST:
        return variance
    half = df[use] / 2
    log_s2 = np.log(variance[use]) - special.digamma(half) + np.log(half)
    centre = float(np.median(log_s2))
    spread2 = (1.4826 * float(np.median(np.abs(log_s2 - centre)))) ** 2
    excess = spread2 - float(np.median(special.polygamma(1, half)))
    prior = 2 / max(excess, _LEAST_EXCESS)
    common = math.exp(centre)
    pooled = (df * variance + prior * common) / np.maximum(df + prior, 1)
    apart = special.fdtrc(np.maximum(df, 1), prior, variance / common) < _APART
    return np.asarray(np.where(use & ~apart, pooled, variance), dtype=np.float64)
