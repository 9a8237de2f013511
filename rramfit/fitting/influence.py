"""Influences of cells, and errors of what several levels' cells make together.

An estimate's error is to first order a sum over cells of their influences ψ_c. All that is
estimated from one level is put through `rramfit.fitting.inference` at once, with the cells' own
means as driver of the smooth field. A quantity that rests on several levels (a threshold, the bits
stored) is a sum of such parts, ψ_c = Σ_k ψ_kc. Its variance is Σ_c ψ_c², in which a cell that
served at several levels is one cell, times the mean of the levels' inflations by the field, each
level weighted by its own part of the variance; degrees of freedom after Satterthwaite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.fitting.inference import ClusteredCovariance, clustered_covariance

__all__ = ["Influence", "combine", "level_covariances"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """Influences of some cells of an array on p estimates.

    Attributes
    ----------
    values : (p, cell) array
    position : (cell,) int array
        Flat places of the cells in the array.
    shape : (rows, cols)
    """

    values: Floats
    position: Integers
    shape: tuple[int, int]

    def spread(self) -> Floats:
        """Put the influences on the array, (p, row, col), zero elsewhere."""
        out = np.zeros((len(self.values), self.shape[0] * self.shape[1]))
        out[:, self.position] = self.values
        return out.reshape(-1, *self.shape)

    def through(self, slope: Floats) -> Influence:
        """Influences on functions of the estimates with derivatives `slope`, (q, p)."""
        return Influence(values=slope @ self.values, position=self.position, shape=self.shape)


def level_covariances(
    parts: Mapping[str, Influence], driver: Floats
) -> dict[str, ClusteredCovariance]:
    """Covariances of everything estimated from one level.

    Parameters
    ----------
    parts : mapping of str to Influence
    driver : (row, col) array
        The cells' own means at the level; NaN where unknown.
    """
    if not parts:
        return {}
    fields = np.concatenate([part.spread() for part in parts.values()])
    size = np.sqrt((fields**2).sum(axis=(1, 2)))
    scale = np.where(size > 0, size, 1.0)
    found = clustered_covariance(fields / scale[:, None, None], driver=driver)
    covariance = found.covariance * np.outer(scale, scale)
    covariance[size == 0] = covariance[:, size == 0] = 0.0
    out, first = {}, 0
    for name, part in parts.items():
        last = first + len(part.values)
        out[name] = ClusteredCovariance(
            covariance=covariance[first:last, first:last].copy(),
            df=found.df[first:last].copy(),
            inflation=found.inflation[first:last].copy(),
        )
        first = last
    return out


def combine(parts: Sequence[tuple[Influence, ClusteredCovariance]]) -> tuple[Floats, Floats]:
    """Return standard errors and degrees of freedom of sums over levels, each (p,).

    Parameters
    ----------
    parts : sequence of (Influence, ClusteredCovariance)
        Of each level, with its own covariance.
    """
    total = np.zeros((len(parts[0][0].values), *parts[0][0].shape))
    flat = total.reshape(len(total), -1)
    own, inflated, spent = np.zeros((3, len(total)))
    for part, covariance in parts:
        flat[:, part.position] += part.values
        variance = (part.values**2).sum(axis=1)
        own += variance
        inflated += variance * covariance.inflation
        spent += (variance * covariance.inflation) ** 2 / covariance.df
    known = own > 0
    inflation = np.where(known, inflated / np.where(known, own, 1.0), 1.0)
    df = np.where(known, inflated**2 / np.where(known, spent, 1.0), 1.0)
    return np.sqrt((flat**2).sum(axis=1) * inflation), np.maximum(df, 1.0)
