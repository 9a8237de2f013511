"""Standard deviations between lots, wafers, dies and arrays, and predictions of new arrays.

The standard deviations are estimated from the restricted likelihood (`nested_tree`). Few groups say
little about the deviation between groups, and a maximum of the likelihood at zero does not say that
there is none. All intervals are therefore averages over the posterior of the deviations, with
independent half-Cauchy priors whose scale is twice the standard deviation of all estimates (Gelman,
Bayesian Analysis 1 (2006) 515): for many groups the prior has no influence, for two or three it
keeps the intervals finite. The average is an importance sample in ln σ with Sobol points of a
multivariate t about the maximum; the same input gives the same sample.

The interval of a standard deviation begins at zero if the likelihood-ratio test against zero
(p = ½ P(χ²₁ > 2Δ), Self and Liang, JASA 82 (1987) 605) has p > 2.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rramfit.fitting.pooling.nested_tree import Nested, posterior, restricted_likelihood

__all__ = ["Component", "NestedFit", "Normals", "fit_nested"]

Floats = NDArray[np.float64]
LogDensity = Callable[[Floats], Floats]

_PRIOR = 2.0  # scale, in standard deviations of the estimates with their errors
_DRAWS = 1024
_FEWEST_EFFECTIVE = 200
_DF = 5  # of the proposal
_ROUNDS = 4
_LOWEST, _HIGHEST = -12.0, 6.0  # ln σ in units of the prior's scale
_PROBABILITIES = (0.025, 0.5, 0.975)
_TESTED = 0.025


@dataclass(frozen=True, slots=True)
class Component:
    """The standard deviation of one kind of effect.

    Attributes
    ----------
    name : str
    std, low, high : float
        Median and 95 % interval.
    p_value : float
        Test against zero.
    groups : int
    """

    name: str
    std: float
    low: float
    high: float
    p_value: float
    groups: int


@dataclass(frozen=True, slots=True)
class Normals:
    """A mixture of normal distributions, one per draw of the deviations.

    Attributes
    ----------
    mean, std : (d,) or (d, n) arrays
    weight : (d,) array
        Sums to 1.
    """

    mean: Floats
    std: Floats
    weight: Floats

    def cdf(self, x: Floats | float) -> Floats:
        """Return P(X <= x), for each of the n columns."""
        weight = self.weight.reshape(-1, *[1] * (self.mean.ndim - 1))
        out: Floats = np.sum(weight * special.ndtr((x - self.mean) / self.std), axis=0)
        return out

    def moments(self) -> tuple[Floats, Floats]:
        """Return mean and standard deviation."""
        weight = self.weight.reshape(-1, *[1] * (self.mean.ndim - 1))
        mean = np.sum(weight * self.mean, axis=0)
        variance = np.sum(weight * (self.std**2 + (self.mean - mean) ** 2), axis=0)
        return mean, np.sqrt(variance)

    def quantile(self, p: float) -> Floats:
        """Return the quantile at probability `p`, by bisection."""
        middle, std = self.moments()
        wide = 3 * std + np.max(np.abs(self.mean - middle) + 10 * self.std, axis=0)
        low, high = middle - wide, middle + wide
        for _ in range(60):
            half = 0.5 * (low + high)
            below = self.cdf(half) < p
            low, high = np.where(below, half, low), np.where(below, high, half)
        out: Floats = 0.5 * (low + high)
        return out

    def interval(self) -> tuple[Floats, Floats]:
        """Return the 95 % interval."""
        return self.quantile(_PROBABILITIES[0]), self.quantile(_PROBABILITIES[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedFit:
    """Posterior of one parameter over all arrays.

    Attributes
    ----------
    tree : Nested
    names : tuple of str
        Kinds of effects: array, then the groups from the finest to the coarsest.
    y, error : (n,) arrays
    variances : (d, k) array
        Sample of the variances of the effects.
    weight : (d,) array
    components : tuple of Component
    """

    tree: Nested
    names: tuple[str, ...]
    y: Floats
    error: Floats
    variances: Floats
    weight: Floats
    components: tuple[Component, ...]

    def mean(self) -> Normals:
        """Return the posterior of the mean over the population."""
        found = posterior(self.tree, self.y, self.error, self.variances)
        return Normals(found.mean[-1][:, 0], np.sqrt(found.variance[-1][:, 0]), self.weight)

    def arrays(self) -> Normals:
        """Return the posterior of each array's true value: shrunk towards its groups."""
        found = posterior(self.tree, self.y, self.error, self.variances)
        return Normals(found.mean[0], np.sqrt(found.variance[0]), self.weight)

    def new_array(self, level: int) -> Normals:
        """Return the prediction of a new array in each existing group of a level.

        Parameters
        ----------
        level : int
            1 for the finest groups; the number of effects for the whole population, whose new
            array is in new groups at all levels.

        Returns
        -------
        Normals
            Of shape (d, groups).
        """
        found = posterior(self.tree, self.y, self.error, self.variances)
        added = self.variances[:, :level].sum(axis=1, keepdims=True)
        return Normals(found.mean[level], np.sqrt(found.variance[level] + added), self.weight)

    def left_out(self) -> Floats:
        """Return P(Y <= y_i) of each estimate, predicted from all others.

        Given the variances, the estimate's own part is taken out of the posterior of its array; the
        sample of the variances is weighted by 1/p(y_i | others).

        Returns
        -------
        (n,) array
            Uniform on [0, 1] if the model holds.
        """
        found = posterior(self.tree, self.y, self.error, self.variances)
        own = 1 / self.error**2
        precision = np.maximum(1 / found.variance[0] - own, 1e-12 * own)
        mean = (found.mean[0] / found.variance[0] - own * self.y) / precision
        variance = 1 / precision + self.error**2
        z = (self.y - mean) / np.sqrt(variance)
        log_weight = np.log(np.maximum(self.weight, 1e-300))[:, None]
        log_weight = log_weight + 0.5 * (z**2 + np.log(variance))
        weight = np.exp(log_weight - log_weight.max(axis=0))
        weight /= weight.sum(axis=0)
        out: Floats = np.sum(weight * special.ndtr(z), axis=0)
        return out


def fit_nested(tree: Nested, names: Sequence[str], y: Floats, error: Floats) -> NestedFit:
    """Fit the standard deviations of nested effects.

    Parameters
    ----------
    tree : Nested
    names : sequence of str
        Names of the effects: of the arrays, then of the groups from the finest to the coarsest.
    y, error : (n,) arrays
        Estimates and their standard errors, n >= 2.

    Raises
    ------
    ValueError
        If there are fewer than two estimates.
    """
    if y.size < 2:
        msg = f"{y.size} estimate; two are needed"
        raise ValueError(msg)
    scale = _PRIOR * math.hypot(float(y.std(ddof=1)), float(np.median(error))) or 1.0
    x, s = (y - y.mean()) / scale, np.maximum(error / scale, 1e-9)
    k = tree.levels + 1

    def log_posterior(log_std: Floats) -> Floats:
        """Return the log density of each row of ln σ."""
        prior = log_std - np.log1p(np.exp(2 * log_std))  # half-Cauchy, in ln σ
        inside = np.all((log_std > 2 * _LOWEST) & (log_std < 2 * _HIGHEST), axis=1)
        value = restricted_likelihood(tree, x, s, np.exp(2 * np.clip(log_std, -30, 30)))
        return np.where(inside, value + prior.sum(axis=1), -np.inf)

    centre = _maximum(log_posterior, k)
    draws, log_weight = _sample(log_posterior, centre)
    weight = np.exp(_normalised(log_weight))
    variances = np.exp(2 * draws)
    components = _components(tree, names, x, s, draws, weight, scale)
    return NestedFit(
        tree=tree,
        names=tuple(names),
        y=y,
        error=np.maximum(error, 1e-9 * scale),
        variances=variances * scale**2,
        weight=weight,
        components=components,
    )


def _components(
    tree: Nested,
    names: Sequence[str],
    x: Floats,
    s: Floats,
    draws: Floats,
    weight: Floats,
    scale: float,
) -> tuple[Component, ...]:
    k = len(names)
    free = _most_likely(tree, x, s, list(range(k)))
    groups = [x.size, *(starts.size for starts in tree.starts[:-1])]
    out = []
    for j, name in enumerate(names):
        low, middle, high = (_weighted_quantile(draws[:, j], weight, p) for p in _PROBABILITIES)
        without = _most_likely(tree, x, s, [i for i in range(k) if i != j])
        gain = max(2 * (free - without), 0.0)
        p_value = 0.5 * float(special.chdtrc(1, gain)) if gain > 0 else 0.5
        out.append(
            Component(
                name,
                math.exp(middle) * scale,
                0.0 if p_value > _TESTED else math.exp(low) * scale,
                math.exp(high) * scale,
                p_value,
                groups[j],
            )
        )
    return tuple(out)


def _most_likely(tree: Nested, x: Floats, s: Floats, free: list[int]) -> float:
    """Return the largest restricted likelihood with the variances `free` and the others zero."""
    k = tree.levels + 1

    def loss(root: Floats) -> float:
        variances = np.zeros((1, k))
        variances[0, free] = root**2
        return -float(restricted_likelihood(tree, x, s, variances)[0])

    if not free:
        return -loss(np.zeros(0))
    starts = (np.full(len(free), 0.5), np.full(len(free), 0.05))
    found = [optimize.minimize(loss, start, method="Nelder-Mead") for start in starts]
    return -min(float(f.fun) for f in found)


def _maximum(log_posterior: LogDensity, k: int) -> Floats:
    """Return the maximum of the posterior density in ln σ."""

    def loss(point: Floats) -> float:
        value = float(log_posterior(point[None, :])[0])
        return -value if math.isfinite(value) else 1e300

    starts = (np.full(k, math.log(0.5)), np.full(k, math.log(0.1)))
    found = [
        optimize.minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400 * k})
        for start in starts
    ]
    best = min(found, key=lambda f: float(f.fun))
    out: Floats = np.asarray(best.x, dtype=np.float64)
    return out


def _sample(log_posterior: LogDensity, centre: Floats) -> tuple[Floats, Floats]:
    """Return draws of ln σ and their log weights; the proposal is adapted to the draws."""
    k = centre.size
    location, spread = centre, np.eye(k)
    draws, log_weight = np.zeros((0, k)), np.zeros(0)
    for seed in range(_ROUNDS):
        draws, density = _student(location, spread, seed)
        log_weight = log_posterior(draws) - density
        weight = np.exp(_normalised(log_weight))
        if seed and 1 / np.sum(weight**2) > _FEWEST_EFFECTIVE:
            break
        location = weight @ draws
        apart = draws - location
        spread = (apart * weight[:, None]).T @ apart * 1.3 + 0.01 * np.eye(k)
    return draws, log_weight


def _student(location: Floats, spread: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return points of a multivariate t, from a Sobol sequence, and their log densities."""
    from scipy.stats import qmc

    k = location.size
    u = qmc.Sobol(k + 1, scramble=True, seed=seed).random(_DRAWS)
    u = np.clip(u, 1e-12, 1 - 1e-12)
    root = np.linalg.cholesky(spread)
    chi2 = special.chdtri(_DF, 1 - u[:, -1])
    z = special.ndtri(u[:, :k]) / np.sqrt(chi2 / _DF)[:, None]
    points = location + z @ root.T
    density = -0.5 * (_DF + k) * np.log1p(np.sum(z**2, axis=1) / _DF)
    return points, density


def _normalised(log_weight: Floats) -> Floats:
    """Return log weights whose exponentials sum to 1."""
    top = log_weight.max()
    out: Floats = log_weight - top - math.log(float(np.exp(log_weight - top).sum()))
    return out


def _weighted_quantile(x: Floats, weight: Floats, p: float) -> float:
    order = np.argsort(x, kind="stable")
    below = np.cumsum(weight[order]) - 0.5 * weight[order]
    return float(np.interp(p, below, x[order]))
