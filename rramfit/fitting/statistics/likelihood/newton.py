"""Minimisation of a smooth function within bounds, by Newton steps with its exact gradient.

The Hessian is the central difference of the gradient. It is reused while each step reduces the
Newton decrement g'H⁻¹g by a factor of 100, and recomputed otherwise. An indefinite Hessian is made
positive by taking the absolute values of its eigenvalues, with a lower limit. A parameter on a
bound stays there while its gradient points out of the box. The decrement is the measure of
convergence because it does not depend on the scales of the parameters; below 1e-15, for a mean
negative log likelihood, the remaining change is far smaller than the data can resolve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Minimum", "hessian", "minimise", "solve_free", "spectrum"]

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]

_TOLERANCE = 1e-15
_LONGEST = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """Result of the search.

    Attributes
    ----------
    at, gradient : (p,) arrays
    value : float
    curvature : (p, p) array
        Last computed Hessian.
    free : (p,) bool array
        False for a parameter on its bound.
    converged : bool
    iterations : int
    """

    at: Floats
    value: float
    gradient: Floats
    curvature: Floats
    free: NDArray[np.bool_]
    converged: bool
    iterations: int


def hessian(objective: Objective, at: Floats, lower: Floats, upper: Floats) -> Floats:
    """Compute the Hessian by central differences of the gradient, within the bounds, (p, p)."""
    rows = []
    for i, x in enumerate(at):
        h = 1e-5 * max(1.0, abs(x))
        ahead, behind = at.copy(), at.copy()
        ahead[i], behind[i] = min(x + h, upper[i]), max(x - h, lower[i])
        rows.append((objective(ahead)[1] - objective(behind)[1]) / (ahead[i] - behind[i]))
    out = np.stack(rows)
    return np.asarray((out + out.T) / 2)


def solve_free(curvature: Floats, gradient: Floats, free: NDArray[np.bool_]) -> Floats:
    """Return the Newton step −H⁻¹g of the free parameters; zero for the others."""
    step = np.zeros_like(gradient)
    if free.any():
        size, value, vector = spectrum(curvature[np.ix_(free, free)])
        value = np.maximum(np.abs(value), 1e-9 * max(float(np.abs(value).max()), 1e-9))
        step[free] = -(vector @ ((vector.T @ (gradient[free] / size)) / value)) / size
    return step


def spectrum(curvature: Floats) -> tuple[Floats, Floats, Floats]:
    """Compute the spectrum of a Hessian after scaling to unit diagonal.

    Returns
    -------
    size : (p,) array
        Square roots of the diagonal: θ·size has unit curvatures.
    value, vector : (p,), (p, p) arrays
        Eigenvalues, ascending, and eigenvectors of the Hessian in θ·size.
    """
    size = np.sqrt(np.maximum(np.abs(np.diagonal(curvature)), 1e-100))
    value, vector = np.linalg.eigh(curvature / np.outer(size, size))
    return size, value, vector


def minimise(
    objective: Objective,
    start: Floats,
    lower: Floats,
    upper: Floats,
    *,
    curvature: Floats | None = None,
    tolerance: float = _TOLERANCE,
    enough: float = 1e-9,
    iterations: int = 60,
) -> Minimum:
    """Search for a minimum within the bounds.

    Parameters
    ----------
    objective : callable
        Returns value and exact gradient, of order one.
    start, lower, upper : (p,) arrays
    curvature : (p, p) array, optional
        Initial Hessian, from a similar problem.
    tolerance : float
        Newton decrement at which the search ends.
    enough : float
        Decrement up to which a stalled search counts as converged.
    iterations : int
        Upper limit.
    """
    at = np.clip(start, lower, upper)
    value, gradient = objective(at)
    fresh = False
    known = curvature
    last = np.inf
    free = np.ones(at.size, dtype=bool)
    for n in range(iterations):  # noqa: B007 (the count is reported)
        if known is None:
            known, fresh = hessian(objective, at, lower, upper), True
        free = ~(((at <= lower) & (gradient > 0)) | ((at >= upper) & (gradient < 0)))
        step = solve_free(known, gradient, free)
        decrement = -float(gradient @ step)
        if decrement <= tolerance:
            break
        if not fresh and decrement > 1e-2 * last:
            known = None
            continue
        last = decrement
        step *= min(1.0, _LONGEST / float(np.abs(step).max()))
        moved = _line_search(objective, at, value, gradient, step, lower, upper)
        if moved is None:
            if fresh:
                break
            known = None
            continue
        at, value, gradient, full_step = moved
        fresh = False
        if not full_step:
            known = None
    if known is None:
        known = hessian(objective, at, lower, upper)
    decrement = -float(gradient @ solve_free(known, gradient, free))
    return Minimum(
        at=at,
        value=value,
        gradient=gradient,
        curvature=known,
        free=free,
        converged=bool(np.isfinite(value)) and decrement <= max(tolerance, enough),
        iterations=n + 1,
    )


def _line_search(
    objective: Objective,
    at: Floats,
    value: float,
    gradient: Floats,
    step: Floats,
    lower: Floats,
    upper: Floats,
) -> tuple[Floats, float, Floats, bool] | None:
    """Return the first lower point at 1, 1/3, 1/9, … of the step, or None."""
    length = 1.0
    for _ in range(25):
        trial = np.clip(at + length * step, lower, upper)
        with np.errstate(all="ignore"):
            found, slope = objective(trial)
        limit = value + 1e-4 * float(gradient @ (trial - at)) + 1e-14 * max(1.0, abs(value))
        if np.isfinite(found) and found <= limit and np.isfinite(slope).all():
            return trial, found, slope, length == 1.0
        length /= 3
    return None
