"""Read noise as a power law of conductance.

With v the variance between the reads of a cell (m degrees of freedom) and g their mean,

    std(G)/G = coefficient·(g/G_ref)^exponent,
    E[v] = (coefficient·G_ref)²·(g/G_ref)^(2·exponent + 2),

The fit solves the score equations of a gamma distribution, Σ m·(v/E[v] − 1)·(1, ln g) = 0. They
use the mean of v only, so no distribution of the noise is assumed, and cells with jumps count with
their full variance. G_ref is the geometric mean of g. With one or two cells the coefficient has no
error, because they do not show how cells differ. Standard errors are clustered by cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Scale
from rramfit.fitting.results.result import Finding
from rramfit.fitting.statistics.read_spread import ReadSpread
from rramfit.units import format_percent

__all__ = ["MIN_CELLS", "NoisePart", "fit_power_law"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_CELLS = 3
MIN_LOG_RANGE = 0.3  # 5–95 % range of ln g over cells that an exponent needs


@dataclass(frozen=True, slots=True)
class NoisePart:
    """One estimate and the influence of every cell on it, (row, col)."""

    name: str
    unit: str
    scale: Scale
    value: float
    influence: Floats
    stderr: float | None = None  # used where there are too few cells for a clustered error


def fit_power_law(spread: ReadSpread, use: Bools) -> tuple[list[NoisePart], float, list[Finding]]:
    """Fit coefficient and exponent by Fisher scoring; no exponent where g hardly differs."""
    findings: list[Finding] = []
    positive = use & (np.where(use, spread.mean, 0.0) > 0)
    excluded = int(use.sum() - positive.sum())
    if excluded > 0.01 * use.sum():
        findings.append(
            Finding(
                f"{excluded} of {int(use.sum())} cells read 0 S or less on average and have no "
                "relative noise",
                "Subtract the offset of the read-out from the conductances",
                code="noise-of-zero-cells",
            )
        )
    m = (spread.count - 1)[positive].astype(float)
    v = spread.m2[positive] / m
    if not v.any():
        if not spread.m2[use].any():
            findings.append(
                Finding(
                    "Repeated reads of a cell do not differ: the read noise is below the step of "
                    "the converter",
                    "Read on a finer range",
                    code="noise-below-the-step",
                )
            )
        return [], float(np.median(np.abs(spread.mean[use]))), findings
    g = spread.mean[positive]
    reference = float(np.exp(np.mean(np.log(g))))
    x = np.log(g / reference)
    if len(g) < MIN_CELLS:
        pooled = math.sqrt(float((m * v / g**2).sum() / m.sum()))
        return (
            [NoisePart("coefficient", "1", "log", pooled, np.zeros(use.shape))],
            reference,
            findings,
        )
    ranged = float(np.quantile(x, 0.95) - np.quantile(x, 0.05)) > MIN_LOG_RANGE
    X = np.stack([np.ones_like(x), x])[: 2 if ranged else 1]
    start = float((m * v).sum() / m.sum())
    theta = np.array([math.log(start), 2.0])[: len(X)]
    if not ranged:  # constant relative noise over this small range
        v = v * np.exp(-2 * x)
        theta = np.array([math.log(float((m * v).sum() / m.sum()))])
    information = (m * X) @ X.T
    for _ in range(100):
        ratio = m * (v * np.exp(-theta @ X) - 1)
        step = np.linalg.solve(information, X @ ratio)
        theta = theta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-12:
            break
    ratio = m * (v * np.exp(-theta @ X) - 1)
    # The exact slope of the scores, not its expectation, stays valid where the power law is not.
    slope = (m * v * np.exp(-theta @ X) * X) @ X.T
    psi = np.linalg.solve(slope, X * ratio)
    influence = np.zeros((len(X), *use.shape))
    influence[:, positive] = psi
    coefficient = math.exp(theta[0] / 2) / reference
    out = [NoisePart("coefficient", "1", "log", coefficient, influence[0] * coefficient / 2)]
    if ranged:
        out.append(NoisePart("exponent", "1", "linear", theta[1] / 2 - 1, influence[1] / 2))
    else:
        findings.append(
            Finding(
                "Conductances span only "
                f"{format_percent(np.exp(np.ptp(np.quantile(x, (0.05, 0.95)))) - 1, 0)} (5–95 % "
                "range), too little to determine the dependence of read noise on conductance",
                "Read cells at several levels",
                code="noise-one-conductance",
            )
        )
    return out, reference, findings
