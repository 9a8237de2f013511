"""The population of nonlinearities: b over cells, and its dependence on conductance.

    b ~ N(β0 + β1·x, τ²),   x = ln(G0/G_ref), or G0 − G_ref, or 0

The model is fitted to q = b|b| of the cells, with the exact first two moments of b|b| plus the
error of each q (a Gaussian pseudo-likelihood with bounded scores). G0 is evaluated at the shrunken
q of the cell, because the errors of G0 and q are almost fully anticorrelated. G_ref is the
geometric mean of G0. Cells whose b is apart from that of all others, as that of a failed cell may
be, are left out (`rramfit.fitting.screening.population_form`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.electrical.iv.curves import CellCurves
from rramfit.fitting.screening.population_form import outlier_limits

__all__ = ["Form", "PopulationLine", "best_line", "regressor", "without_outliers"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Form = Literal["constant", "log", "linear"]

_HUBER = 3.5  # 99.95 % of a normal is unaffected, so that the spread is not biased low


@dataclass(frozen=True, slots=True)
class PopulationLine:
    """Fit of the population of b about a line in x."""

    theta: Floats  # (β0, [β1,] τ²)
    influence: Floats  # (p, used cells)
    per_offset: Floats  # (p,) change of theta with the common offset [1/A]
    log_likelihood: float  # Gaussian pseudo-likelihood of q
    reference: float  # [S]
    residual: Floats  # (used cells,) of q, in standard deviations of population and error


def regressor(g: Floats, form: Form, reference: float) -> Floats:
    """Return the regressor of b: ln(G0/reference), G0 − reference [S], or 0."""
    if form == "log":
        return np.asarray(np.log(g / reference), dtype=np.float64)
    return g - reference if form == "linear" else np.zeros_like(g)


def best_line(cells: CellCurves, used: Bools) -> tuple[Form, PopulationLine]:
    """Fit the three forms and return the one with the best BIC."""
    forms: tuple[Form, ...] = ("constant", "log", "linear")
    lines = {form: _fit_line(cells, used, form) for form in forms}
    penalty = 0.5 * math.log(max(int(used.sum()), 2))
    score = {f: a.log_likelihood - (0.0 if f == "constant" else penalty) for f, a in lines.items()}
    best = max(forms, key=lambda f: score[f])
    return best, lines[best]


def without_outliers(cells: CellCurves, used: Bools) -> tuple[Bools, Form, PopulationLine]:
    """Fit the best form to the cells whose b is not apart from that of the others.

    Returns
    -------
    kept : (cell,) bool array
    form : {"constant", "log", "linear"}
    line : PopulationLine
    """
    kept = used.copy()
    form, line = best_line(cells, kept)
    for _ in range(3):  # without the outliers, others may stand apart
        low, high = outlier_limits(line.residual)
        inside = (line.residual >= low) & (line.residual <= high)
        if inside.all() or inside.sum() < 3:
            break
        kept[kept] = inside
        form, line = best_line(cells, kept)
    return kept, form, line


def _signed_square(mu: Floats, tau2: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Return mean and variance of b|b|, b ~ N(mu, tau2), and slopes of the mean in mu and tau2."""
    tau = math.sqrt(max(tau2, 1e-12))
    h = mu / tau
    sign = special.erf(h / math.sqrt(2))
    phi = np.exp(-0.5 * h**2) / math.sqrt(2 * math.pi)
    mean = (mu**2 + tau**2) * sign + 2 * mu * tau * phi
    variance = np.maximum(mu**4 + 6 * mu**2 * tau**2 + 3 * tau**4 - mean**2, 0.0)
    return mean, variance, 2 * (mu * sign + 2 * tau * phi), sign


def _fit_line(cells: CellCurves, used: Bools, form: Form) -> PopulationLine:
    """Solve the score equations for (β0, β1, τ²), with G0 at the shrunken q of each cell."""
    q, s2 = cells.curvature[used], cells.curvature_stderr[used] ** 2
    g, tilt = cells.conductance[used], cells.log_tilt[used]
    reference = float(np.exp(np.mean(np.log(g))))
    k = _HUBER
    # E[ψ²] of a standard normal clipped at ±k.
    phi_k, tail = math.exp(-0.5 * k * k) / math.sqrt(2 * math.pi), 2 * special.ndtr(-k)
    consistency = float(1 - tail - 2 * k * phi_k + k * k * tail)
    slopes = 0 if form == "constant" else 1
    weight = 1 / (s2 + np.median(s2))
    level = float((weight * q).sum() / weight.sum())
    theta = np.zeros(2 + slopes)
    theta[0] = math.copysign(math.sqrt(abs(level)), level)
    theta[-1] = 0.1 * max(abs(level), 1e-6)
    shrunk = np.zeros_like(q)
    for _ in range(60):
        x = regressor(g * np.exp(np.clip(tilt * (shrunk - q), -0.5, 0.5)), form, reference)
        X = np.stack([np.ones_like(x), x][: 1 + slopes])
        mean, spread, d_mu, d_tau2 = _signed_square(theta[:-1] @ X, theta[-1])
        total = spread + s2
        z = (q - mean) / np.sqrt(total)
        cut = np.clip(z, -k, k)
        d_mean = np.vstack([d_mu * X, d_tau2[None]])
        d_var = np.vstack([np.zeros_like(X), _variance_slope(theta[:-1] @ X, theta[-1])[None]])
        scores = cut / np.sqrt(total) * d_mean + 0.5 * (cut**2 / consistency - 1) / total * d_var
        information = (d_mean / total) @ d_mean.T + 0.5 * (d_var / total**2) @ d_var.T
        scale = np.sqrt(np.diagonal(information))
        step = np.linalg.solve(information / np.outer(scale, scale), scores.sum(1) / scale) / scale
        old = theta.copy()
        theta = theta + step
        theta[-1] = min(max(theta[-1], old[-1] / 4), 4 * old[-1] + 1e-12)
        new_shrunk = mean + spread / total * (q - mean)
        settled = np.max(np.abs(new_shrunk - shrunk) / np.sqrt(total))
        shrunk = new_shrunk
        if np.max(np.abs(theta - old) * scale) < 1e-6 and settled < 1e-6:
            break
    inverse = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    offset_slope = (np.abs(z) < k) * d_mean / total * cells.offset_tilt[used]
    log_likelihood = float(-0.5 * (np.log(total) + np.minimum(z**2, k * k)).sum())
    per_offset = inverse @ offset_slope.sum(1)
    return PopulationLine(theta, inverse @ scores, per_offset, log_likelihood, reference, z)


def _variance_slope(mu: Floats, tau2: float) -> Floats:
    """Return the slope in tau2 of the variance of b|b|."""
    mean, _, _, d_tau2 = _signed_square(mu, tau2)
    return np.asarray(6 * mu**2 + 6 * tau2 - 2 * mean * d_tau2, dtype=np.float64)
