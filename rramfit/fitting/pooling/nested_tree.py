"""Exact inference in nested groups: arrays in dies, dies in wafers, wafers in lots.

Estimate i has a known standard error s_i, and each group a random effect of its level:

    y_i = mu + lot + wafer + die + array_i + e_i,   e_i ~ N(0, s_i²),   effect k ~ N(0, v_k)

with a flat prior for mu. The graph is a tree, so that one pass from the leaves to the root gives
the restricted likelihood of the variances v, and one pass back gives the mean and the variance of
every group's sum of effects, in a time proportional to the number of arrays. No matrix of all
arrays is formed. All functions work on many sets of variances at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Nested", "Posterior", "nest", "posterior", "restricted_likelihood"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """Arrays sorted by their groups.

    Attributes
    ----------
    order : (n,) int array
        Index of each sorted array in the order given.
    starts : tuple of int arrays
        For each level from the finest to the root: index of the first child of each group. The
        children of the finest groups are the arrays, those of the root the coarsest groups.
    parents : tuple of int arrays
        For each level: group of each child.
    """

    order: Ints
    starts: tuple[Ints, ...]
    parents: tuple[Ints, ...]

    @property
    def levels(self) -> int:
        """Number of levels of groups below the root."""
        return len(self.starts) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Sums of effects given the variances: mean and variance, for each set of variances.

    Attributes
    ----------
    mean, variance : tuple of (d, groups) arrays
        Of the arrays (in the order given), then of the groups of each level from the finest to the
        root.
    """

    mean: tuple[Floats, ...]
    variance: tuple[Floats, ...]


def nest(n: int, labels: Sequence[Ints]) -> Nested:
    """Sort arrays by their groups.

    Parameters
    ----------
    n : int
        Number of arrays.
    labels : sequence of (n,) int arrays
        Group of each array at each level, from the coarsest to the finest. Equal labels in
        different coarser groups are different groups.

    Examples
    --------
    >>> tree = nest(3, [np.array([0, 1, 0]), np.array([0, 0, 0])])
    >>> tree.order.tolist(), [p.tolist() for p in tree.parents]
    ([0, 2, 1], [[0, 0, 1], [0, 1], [0, 0]])
    """
    order = np.lexsort(tuple(reversed(labels))) if labels else np.arange(n)
    sorted_labels = [label[order] for label in labels]
    first_of = []  # per level from coarse to fine: whether a sorted array starts a new group
    new = np.zeros(n, dtype=bool)
    new[:1] = True
    for label in sorted_labels:
        new = new.copy()
        new[1:] |= label[1:] != label[:-1]
        first_of.append(new)
    starts: list[Ints] = []
    parents: list[Ints] = []
    children = np.arange(n)  # first sorted array of each child
    for new in reversed(first_of):
        group = np.cumsum(new)[children] - 1
        begin = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        starts.append(begin)
        parents.append(group)
        children = children[begin]
    starts.append(np.zeros(1, dtype=np.int64))
    parents.append(np.zeros(children.size, dtype=np.int64))
    return Nested(order=order, starts=tuple(starts), parents=tuple(parents))


def restricted_likelihood(tree: Nested, y: Floats, error: Floats, variances: Floats) -> Floats:
    """Return the restricted log likelihood of each set of variances.

    Parameters
    ----------
    tree : Nested
    y, error : (n,) arrays
        Estimates and their standard errors, in the order given to `nest`.
    variances : (d, levels + 1) array
        Variance of the array effect, then of the groups from the finest to the coarsest.

    Returns
    -------
    (d,) array
    """
    return _upward(tree, y, error, variances)[2]


def posterior(tree: Nested, y: Floats, error: Floats, variances: Floats) -> Posterior:
    """Return mean and variance of every group's sum of effects, for each set of variances.

    The sum of an array is its true value: mu and the effects of all its groups and of itself.
    """
    means, precisions, _ = _upward(tree, y, error, variances)
    mean = [means[-1]]
    variance = [1 / precisions[-1]]
    for k in range(len(tree.parents) - 1, -1, -1):
        above_mean = mean[0][:, tree.parents[k]]
        above_variance = variance[0][:, tree.parents[k]]
        v = variances[:, [k]]
        shrink = 1 / (1 + v * precisions[k])  # weight of the group above
        mean.insert(0, shrink * above_mean + (1 - shrink) * means[k])
        variance.insert(0, shrink * v + shrink**2 * above_variance)
    back = np.empty_like(tree.order)
    back[tree.order] = np.arange(tree.order.size)
    return Posterior(
        mean=(mean[0][:, back], *mean[1:]), variance=(variance[0][:, back], *variance[1:])
    )


def _upward(
    tree: Nested, y: Floats, error: Floats, variances: Floats
) -> tuple[list[Floats], list[Floats], Floats]:
    """Return mean and precision of each group's sum from what is below it, and the likelihood.

    Entry 0 is that of the arrays in sorted order, from their own estimates alone.
    """
    shape = (variances.shape[0], y.size)
    mean = np.broadcast_to(y[tree.order], shape)
    precision = np.broadcast_to((error**-2.0)[tree.order], shape)
    means, precisions = [mean], [precision]
    total = np.zeros(variances.shape[0])
    for k, starts in enumerate(tree.starts):
        p = precision / (1 + variances[:, [k]] * precision)  # seen from the group above
        joint = np.add.reduceat(p, starts, axis=1)
        centre = np.add.reduceat(p * mean, starts, axis=1) / joint
        apart = mean - centre[:, tree.parents[k]]
        total += 0.5 * (np.log(p).sum(axis=1) - np.log(joint).sum(axis=1))
        total -= 0.5 * (p * apart**2).sum(axis=1)
        mean, precision = centre, joint
        means.append(mean)
        precisions.append(precision)
    return means, precisions, total - 0.5 * (y.size - 1) * math.log(2 * math.pi)
