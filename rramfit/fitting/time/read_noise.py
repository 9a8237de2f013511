"""Read noise: the scatter of repeated reads of one state, its size and its spectrum.

The read noise of a level is the square root of the variance between reads, averaged over cells. Its
dependence on conductance is a power law (`rramfit.fitting.time.noise_power_law`).

Cells that failed or are stuck are not at their level, and cells that leave it during the reads
have changed their state; neither is in these estimates. The power law of failed and stuck cells is
fitted apart where there are enough of them, because a network reads them too.

The spectrum of the noise is fitted in `rramfit.fitting.statistics.spectrum`, and cells with random
telegraph noise are found in `rramfit.fitting.time.telegraph`; what these cells do is described in
`rramfit.fitting.time.telegraph_behaviour`, and the trend with the number of reads in
`rramfit.fitting.time.read_disturb`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import OffLevelNoise, ReadNoiseCard
from rramfit.errors import FitError
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.fitting.screening.at_level import AtLevel, find_at_level
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.fitting.statistics.read_spread import ReadSpread, first_readings, read_spread
from rramfit.fitting.statistics.spectrum import FEWEST_READS, Spectrum, evenly_sampled, fit_spectrum
from rramfit.fitting.time.noise_power_law import MIN_CELLS, NoisePart, fit_power_law
from rramfit.fitting.time.read_disturb import ReadDisturb, describe_disturb
from rramfit.fitting.time.telegraph import MIN_READS as MIN_READS_FOR_TELEGRAPH
from rramfit.fitting.time.telegraph import Telegraph, find_telegraph
from rramfit.fitting.time.telegraph_behaviour import TelegraphBehaviour, describe_telegraph
from rramfit.measurement.file.record import Reads
from rramfit.streams import stream
from rramfit.units import format_percent, format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReadNoiseFit", "complete_series", "fit_read_noise"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

SERIES_READINGS = 1_000_000  # readings for spectrum and RTN; of more, every n-th cell
_MIN_OFF_LEVEL = 10  # cells off their level that their power law needs
_OFF = "off-level "  # prefix of their estimates


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNoiseFit(ShowsResult):
    """Size and spectrum of read noise, and the share of cells with random telegraph noise.

    Attributes
    ----------
    result : FitResult
        `coefficient`, `exponent` and `spectral_exponent` where the data determine them, and the
        standard deviation between reads at every level, `L3 read` [S]; with the prefix
        `off-level `, the power law of cells that are not at their level.
    reference_conductance : float
        [S]
    conductance, std : (cell,) array
        Mean and standard deviation of the reads of each cell [S].
    spectrum : Spectrum, optional
    telegraph : Telegraph, optional
    behaviour : TelegraphBehaviour, optional
        Of the two-state cells.
    disturb : ReadDisturb, optional
        Change with the number of reads, if there are enough of them.
    off_level_reference : float, optional
        Reference conductance of the cells that are not at their level [S].
    n_off_level : int
        Number of those cells.
    """

    result: FitResult
    reference_conductance: float
    conductance: Floats
    std: Floats
    spectrum: Spectrum | None
    telegraph: Telegraph | None
    telegraph_amplitude: Quantity | None
    behaviour: TelegraphBehaviour | None = None
    disturb: ReadDisturb | None = None
    off_level_reference: float | None = None
    n_off_level: int = 0

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
            telegraph=self.behaviour.card if self.behaviour else None,
            off_level=self._off_level_to_card(),
            disturb=self.disturb.card if self.disturb else None,
        )

    def _off_level_to_card(self) -> OffLevelNoise | None:
        e = self.result.estimates
        if self.off_level_reference is None or f"{_OFF}coefficient" not in e:
            return None
        return OffLevelNoise(
            n_cells=self.n_off_level,
            coefficient=e[f"{_OFF}coefficient"],
            exponent=e.get(f"{_OFF}exponent"),
            reference_conductance=Quantity.given(self.off_level_reference, "S"),
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


def fit_read_noise(
    reads: Reads,
    *,
    healthy: Bools | None = None,
    stuck: Bools | None = None,
    at_level: AtLevel | None = None,
    seed: int = 0,
) -> ReadNoiseFit:
    """Fit read noise to repeated reads without programming in between.

    Parameters
    ----------
    reads : Reads
        Reads [S], (read, row, col), their times [s], and the level of every cell.
    healthy : (row, col) bool array, optional
        Cells to use; all by default.
    stuck : (row, col) bool array, optional
        Stuck cells, which are fitted together with those that are not at their level.
    at_level : AtLevel, optional
        Cells that are at their level; found from the reads themselves by default.
    seed : int
        Seed of the simulated series against which random telegraph noise is tested.

    Raises
    ------
    FitError
        If no cell was read at least twice, or if the reads of each cell are all equal.
    """
    usable = np.ones(reads.level.shape, dtype=np.bool_) if healthy is None else healthy
    if at_level is None:
        at_level = find_at_level(first_readings(reads), reads.level, usable)
    spread = read_spread(reads, within=at_level.within)
    many = spread.count > 1
    use = many & usable & at_level.at & ~spread.left
    if not (many & usable & (reads.level >= 0)).any():
        use = many & usable  # noise versus conductance needs no levels
    n = int(use.sum())
    if n == 0:
        msg = "/reads: 0 cells were read at least twice; expected 3 or more"
        raise FitError(msg)
    parts: list[NoisePart] = _levels(spread, use) if n >= MIN_CELLS else []
    findings: list[Finding] = []
    power_law, reference, problems = fit_power_law(spread, use)
    findings += problems
    series, where = complete_series(reads, use)
    spectrum = fit_spectrum(series) if evenly_sampled(reads.time) and len(series) else None
    if spectrum is not None:
        influence = np.zeros(use.shape)
        influence[where] = spectrum.influence
        power_law.append(
            NoisePart(
                "spectral_exponent", "1", "linear", spectrum.exponent, influence, spectrum.stderr
            )
        )
    if not power_law and not parts:
        msg = f"/reads: {'. '.join(f.what for f in findings)}"
        raise FitError(msg)
    telegraph = find_telegraph(series, stream(seed, "telegraph")) if len(series) else None
    off = many & (at_level.off if stuck is None else at_level.off | stuck)
    behaviour = None
    if telegraph is not None and evenly_sampled(reads.time):
        behaviour = describe_telegraph(series, telegraph.two_state, reads.time)
    disturb = describe_disturb(reads, usable & at_level.at, spread.left)
    off_level, off_reference = _off_level(spread, off)
    estimates, covariance = _assemble([*power_law, *parts, *off_level])
    if n < MIN_CELLS:
        findings.insert(0, _too_few_cells(n))
    findings += _findings(reads, spectrum, telegraph, len(series))
    for part in (behaviour, disturb):
        findings += part.findings() if part else []
    findings += at_level.findings("/reads", left=int((spread.left & usable).sum()))
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
        behaviour=behaviour,
        disturb=disturb,
        off_level_reference=off_reference,
        n_off_level=int(off.sum()),
    )


def _off_level(spread: ReadSpread, off: Bools) -> tuple[list[NoisePart], float | None]:
    """Return the power law of cells that are not at their level, and its reference [S]."""
    if off.sum() < _MIN_OFF_LEVEL:
        return [], None
    parts, reference, _ = fit_power_law(spread, off)
    return [replace(p, name=f"{_OFF}{p.name}") for p in parts], reference


def _levels(spread: ReadSpread, use: Bools) -> list[NoisePart]:
    """Return the standard deviation between reads at each level."""
    out = []
    for k in np.unique(spread.level[use & (spread.level >= 0)]).tolist():
        found = spread.variance(use & (spread.level == k))
        if found is not None and found[0] > 0:
            std = math.sqrt(found[0])
            out.append(NoisePart(f"L{k} read", "S", "log", std, found[1] / (2 * std)))
    return out


def complete_series(reads: Reads, use: Bools) -> tuple[Floats, tuple[Integers, ...]]:
    """Return the gap-free series of every n-th cell, (cell, read), and their positions."""
    rows, cols = np.nonzero(use)
    max_cells = max(SERIES_READINGS // max(reads.shape[0], 1), 1)
    every = max(math.ceil(len(rows) / max_cells), 1)
    rows, cols = rows[::every], cols[::every]
    y = np.concatenate([block[:, rows, cols] for block in reads.blocks()]).T
    complete = np.isfinite(y).all(axis=1)
    return np.ascontiguousarray(y[complete]), (rows[complete], cols[complete])


def _assemble(parts: list[NoisePart]) -> tuple[dict[str, Quantity], Floats]:
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
        f"Read at least {MIN_CELLS} cells, preferably many",
        code="noise-few-cells",
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
                code="noise-gaps",
            )
        )
    elif spectrum is None:
        few = f"{n} reads are too few to fit the noise spectrum"
        uneven = "Reads are not evenly spaced in time, which the noise spectrum needs"
        out.append(
            Finding(
                few if n < FEWEST_READS else uneven,
                f"Take at least {FEWEST_READS} reads per cell at a constant interval",
                code="noise-spectrum-not-known",
            )
        )
    if series and telegraph is None:
        few = f"{n} reads are too few to detect random telegraph noise"
        coarse = "Reads are too coarsely quantised to detect random telegraph noise"
        out.append(
            Finding(
                few if n < MIN_READS_FOR_TELEGRAPH else coarse,
                f"Take at least {MIN_READS_FOR_TELEGRAPH} reads per cell, on a fine current range",
                code="telegraph-not-known",
            )
        )
    if telegraph is not None and telegraph.share.ci95 and telegraph.share.ci95[0] > 0.2:
        out.append(
            Finding(
                f"{format_percent(telegraph.share.value, 0)} of cells show random telegraph "
                "noise: their read noise is not normal, and more cells switch over longer times",
                "Average reads over more than the dwell time of a state, or program again",
                code="telegraph-noise",
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
                code="noise-grows",
            )
        )
    return out
