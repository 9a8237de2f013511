"""Read noise: the scatter of repeated reads of one state, its size and its spectrum.

The read noise of a level is the square root of the variance between reads, averaged over cells. As
a function of conductance it is a power law, fitted to the variance v (m degrees of freedom) of
every cell about its mean g:

    std(G)/G = coefficient·(g/G_ref)^exponent,
    E[v] = (coefficient·G_ref)²·(g/G_ref)^(2·exponent + 2),

The fit solves the score equations of a gamma distribution, Σ m·(v/E[v] − 1)·(1, ln g) = 0. They
use the mean of v only, so no distribution of the noise is assumed, and cells with jumps count with
their full variance. G_ref is the geometric mean of g. With one or two cells the coefficient has no
error, because they do not show how cells differ. Standard errors are clustered by cell.

The spectrum of the noise is fitted in `rramfit.fitting.statistics.spectrum`, and cells with random
telegraph noise are found in `rramfit.fitting.time.telegraph`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity, Scale
from rramfit.card.schema import ReadNoiseCard
from rramfit.errors import FitError
from rramfit.fitting.axes import axes_or_new
from rramfit.fitting.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.statistics.read_spread import ReadSpread, read_spread
from rramfit.fitting.statistics.spectrum import FEWEST_READS, Spectrum, evenly_sampled, fit_spectrum
from rramfit.fitting.time.telegraph import MIN_READS as MIN_READS_FOR_TELEGRAPH
from rramfit.fitting.time.telegraph import Telegraph, find_telegraph
from rramfit.measurement.file.record import Reads
from rramfit.streams import stream
from rramfit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReadNoiseFit", "fit_read_noise"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

SERIES_READINGS = 1_000_000  # readings for spectrum and RTN; of more, every n-th cell
_MIN_CELLS = 3
MIN_LOG_RANGE = 0.3  # 5–95 % range of ln g over cells that an exponent needs


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNoiseFit(ShowsResult):
    """Size and spectrum of read noise, and the share of cells with random telegraph noise.

    Attributes
    ----------
    result : FitResult
        `coefficient`, `exponent` and `spectral_exponent` where the data determine them, and the
        standard deviation between reads at every level, `L3 read` [S].
    reference_conductance : float
        [S]
    conductance, std : (cell,) array
        Mean and standard deviation of the reads of each cell [S].
    spectrum : Spectrum, optional
    telegraph : Telegraph, optional
    """

    result: FitResult
    reference_conductance: float
    conductance: Floats
    std: Floats
    spectrum: Spectrum | None
    telegraph: Telegraph | None
    telegraph_amplitude: Quantity | None

    def __post_init__(self) -> None:
        for a in (self.conductance, self.std):
            a.flags.writeable = False

    def to_card(self) -> ReadNoiseCard:
        """Return the read-noise part of the card; noise by level belongs to `variation`."""
        e = self.result.estimates
        return ReadNoiseCard(
            coefficient=e.get("coefficient"),
            exponent=e.get("exponent"),
            reference_conductance=Quantity.given(self.reference_conductance, "S"),
            spectral_exponent=e.get("spectral_exponent"),
            spectral_floor=self.spectrum.floor if self.spectrum else None,
            telegraph_share=self.telegraph.share if self.telegraph else None,
            telegraph_amplitude=self.telegraph_amplitude,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the relative noise of each cell versus its conductance, with the power law."""
        ax = axes_or_new(ax)
        use = (self.conductance > 0) & (self.std > 0)
        g, relative = self.conductance[use], self.std[use] / self.conductance[use]
        ax.loglog(g * 1e6, relative, ".", ms=1.5, alpha=0.4, rasterized=True)
        if "coefficient" in self.result.estimates:
            exponent = self.result["exponent"] if "exponent" in self.result.estimates else 0.0
            grid = np.geomspace(g.min(), g.max(), 50)
            fitted = self.result["coefficient"] * (grid / self.reference_conductance) ** exponent
            ax.plot(grid * 1e6, fitted, color="black", lw=1.5)
        ax.set_xlabel("conductance [uS]")
        ax.set_ylabel("relative read noise, std(G)/G")
        return ax


def fit_read_noise(reads: Reads, *, healthy: Bools | None = None, seed: int = 0) -> ReadNoiseFit:
    """Fit read noise to repeated reads without programming in between.

    Parameters
    ----------
    reads : Reads
        Reads [S], (read, row, col), their times [s], and the level of every cell.
    healthy : (row, col) bool array, optional
        Cells to use; all by default.
    seed : int
        Seed of the simulated series against which random telegraph noise is tested.

    Raises
    ------
    FitError
        If no cell was read at least twice, or if the reads of each cell are all equal.
    """
    spread = read_spread(reads)
    use = (spread.count > 1) & (reads.level >= 0)
    if not use.any():
        use = spread.count > 1  # noise versus conductance needs no levels
    if healthy is not None:
        use &= healthy
    n = int(use.sum())
    if n == 0:
        msg = "/reads: 0 cells were read at least twice; expected 3 or more"
        raise FitError(msg)
    parts: list[_Part] = _levels(spread, use) if n >= _MIN_CELLS else []
    findings: list[Finding] = []
    power_law, reference, problems = _power_law(spread, use)
    findings += problems
    series, where = _series(reads, use)
    spectrum = fit_spectrum(series) if evenly_sampled(reads.time) and len(series) else None
    if spectrum is not None:
        influence = np.zeros(use.shape)
        influence[where] = spectrum.influence
        power_law.append(
            _Part("spectral_exponent", "1", "linear", spectrum.exponent, influence, spectrum.stderr)
        )
    if not power_law and not parts:
        msg = f"/reads: {'. '.join(f.what for f in findings)}"
        raise FitError(msg)
    telegraph = find_telegraph(series, stream(seed, "telegraph")) if len(series) else None
    estimates, covariance = _assemble([*power_law, *parts])
    if n < _MIN_CELLS:
        findings.insert(0, _too_few_cells(n))
    findings += _findings(reads, spectrum, telegraph, len(series))
    return ReadNoiseFit(
        result=FitResult(
            title="read noise",
            estimates=estimates,
            covariance=covariance,
            n_observations=int(spread.count[use].sum()),
            verdict=Verdict(tuple(findings)),
        ),
        reference_conductance=reference,
        conductance=np.array(spread.mean[use]),
        std=np.sqrt(spread.m2[use] / (spread.count[use] - 1)),
        spectrum=spectrum,
        telegraph=telegraph,
        telegraph_amplitude=_amplitude(telegraph, series),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One estimate and the influence of every cell on it, (row, col)."""

    name: str
    unit: str
    scale: Scale
    value: float
    influence: Floats
    stderr: float | None = None  # used where there are too few cells for a clustered error


def _levels(spread: ReadSpread, use: Bools) -> list[_Part]:
    """Return the standard deviation between reads at each level."""
    out = []
    for k in np.unique(spread.level[use & (spread.level >= 0)]).tolist():
        found = spread.variance(use & (spread.level == k))
        if found is not None and found[0] > 0:
            std = math.sqrt(found[0])
            out.append(_Part(f"L{k} read", "S", "log", std, found[1] / (2 * std)))
    return out


def _power_law(spread: ReadSpread, use: Bools) -> tuple[list[_Part], float, list[Finding]]:
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
                )
            )
        return [], float(np.median(np.abs(spread.mean[use]))), findings
    g = spread.mean[positive]
    reference = float(np.exp(np.mean(np.log(g))))
    x = np.log(g / reference)
    if len(g) < _MIN_CELLS:
        pooled = math.sqrt(float((m * v / g**2).sum() / m.sum()))
        return [_Part("coefficient", "1", "log", pooled, np.zeros(use.shape))], reference, findings
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
    out = [_Part("coefficient", "1", "log", coefficient, influence[0] * coefficient / 2)]
    if ranged:
        out.append(_Part("exponent", "1", "linear", theta[1] / 2 - 1, influence[1] / 2))
    else:
        findings.append(
            Finding(
                "Conductances span only "
                f"{np.exp(np.ptp(np.quantile(x, (0.05, 0.95)))) - 1:.0%} (5–95% range), too little"
                " to determine the dependence of read noise on conductance",
                "Read cells at several levels",
            )
        )
    return out, reference, findings


def _series(reads: Reads, use: Bools) -> tuple[Floats, tuple[Integers, ...]]:
    """Return the gap-free series of every n-th cell, (cell, read), and their positions."""
    rows, cols = np.nonzero(use)
    max_cells = max(SERIES_READINGS // max(reads.shape[0], 1), 1)
    every = max(math.ceil(len(rows) / max_cells), 1)
    rows, cols = rows[::every], cols[::every]
    y = np.concatenate([block[:, rows, cols] for block in reads.blocks()]).T
    complete = np.isfinite(y).all(axis=1)
    return np.ascontiguousarray(y[complete]), (rows[complete], cols[complete])


def _assemble(parts: list[_Part]) -> tuple[dict[str, Quantity], Floats]:
    clustered = clustered_covariance(np.stack([p.influence for p in parts]))
    covariance = np.array(clustered.covariance)
    estimates = {}
    for i, p in enumerate(parts):
        stderr, df = float(clustered.stderr[i]), float(clustered.df[i])
        if p.stderr is not None and np.count_nonzero(p.influence) < 3:
            stderr, df = p.stderr, math.inf
            covariance[i, :] = covariance[:, i] = 0.0
            covariance[i, i] = stderr**2
        if p.stderr is None and not p.influence.any():
            covariance[i, :] = covariance[:, i] = np.nan
            estimates[p.name] = Quantity.given(p.value, p.unit)
        else:
            estimates[p.name] = Quantity.estimated(p.value, stderr, p.unit, scale=p.scale, df=df)
    return estimates, covariance


def _amplitude(telegraph: Telegraph | None, series: Floats) -> Quantity | None:
    """Return the median relative distance of the two states, with its order-statistic interval."""
    if telegraph is None:
        return None
    mean = series.mean(axis=1)
    here = telegraph.two_state & (mean > 0)
    if here.sum() < 10:
        return None
    relative = np.sort(telegraph.amplitude[here] / mean[here])
    n = len(relative)
    half = 0.98 * math.sqrt(n)
    low, high = (
        float(relative[int(np.clip(round(n / 2 + side * half), 0, n - 1))]) for side in (-1, 1)
    )
    return Quantity.within(float(np.median(relative)), (high - low) / 3.92, "1", (low, high))


def _too_few_cells(n: int) -> Finding:
    cells = "Only 1 cell was" if n == 1 else f"Only {n} cells were"
    return Finding(
        f"{cells} read at least twice: the variation of read noise between cells is unknown, and "
        "its size has no error",
        f"Read at least {_MIN_CELLS} cells, preferably many",
    )


def _findings(
    reads: Reads, spectrum: Spectrum | None, telegraph: Telegraph | None, series: int
) -> list[Finding]:
    out: list[Finding] = []
    n = reads.shape[0]
    if series == 0:
        out.append(
            Finding(
                "Every cell has gaps in its reads: neither the spectrum nor random telegraph noise "
                "can be determined",
                "Fill the NaN values in /reads/conductance",
            )
        )
    elif spectrum is None:
        few = f"{n} reads are too few to fit the noise spectrum"
        uneven = "Reads are not evenly spaced in time, which the noise spectrum needs"
        out.append(
            Finding(
                few if n < FEWEST_READS else uneven,
                f"Take at least {FEWEST_READS} reads per cell at a constant interval",
            )
        )
    if series and telegraph is None:
        few = f"{n} reads are too few to detect random telegraph noise"
        coarse = "Reads are too coarsely quantised to detect random telegraph noise"
        out.append(
            Finding(
                few if n < MIN_READS_FOR_TELEGRAPH else coarse,
                f"Take at least {MIN_READS_FOR_TELEGRAPH} reads per cell, on a fine range",
            )
        )
    if telegraph is not None and telegraph.share.ci95 and telegraph.share.ci95[0] > 0.2:
        out.append(
            Finding(
                f"{telegraph.share.value:.0%} of cells show random telegraph noise: their read "
                "noise is not normal, and more cells switch over longer times",
                "Average reads over more than the dwell time of a state, or program again",
            )
        )
    if spectrum is not None and spectrum.exponent - 2 * spectrum.stderr > 0.3:
        window = format_quantity(float(reads.time[-1] - reads.time[0]), "s")
        out.append(
            Finding(
                f"Read noise grows towards low frequencies (1/f^{spectrum.exponent:.2f}): its size "
                f"holds only for the {window} over which it was measured",
                "Measure over the time scale of the application; averaging a few reads helps "
                "little",
            )
        )
    return out
