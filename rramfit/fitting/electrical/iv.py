"""Current against voltage: how far a cell is from a resistor.

Every cell has its own conductance G0 and its own nonlinearity b; the instrument has one offset:

    I(V) = offset + G0·sinh(bV)/b

Single cells are fitted in `fitting.iv_curves`, the population of b in `fitting.iv_population`; here
stand which cells may speak, the estimates with standard errors clustered by cell, and the verdict.
Hysteresis between up and down sweeps is not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import IVCard
from rramfit.errors import FitError
from rramfit.fitting.axes import own_axes
from rramfit.fitting.electrical.iv_curves import CellCurves, fit_curves
from rramfit.fitting.electrical.iv_population import Form, PopulationLine, best_line, regressor
from rramfit.fitting.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.measurement.file.record import IVSweeps
from rramfit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["IVFit", "fit_iv"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ABOVE_NOISE = 5.0  # a cell conducts where its G0 is this many standard errors from zero
SPOILT = 6.0  # a cell is spoilt where its residual is this many times the typical one


@dataclass(frozen=True, slots=True, kw_only=True)
class IVFit(ShowsResult):
    """Curvature of the cells and offset of the instrument.

    Attributes
    ----------
    result : FitResult
        `nonlinearity` (b at the reference conductance), `spread`, `dependence` (on ln G0) or
        `slope` (on G0) where found, `offset`, `noise`.
    form : {"constant", "log", "linear"}
        How b depends on G0.
    reference_conductance : float
        [S]
    conductance, curvature, curvature_stderr : (cell,) array
        G0 [S]; q = b|b| and its standard error [1/V²].
    residual : (cell,) array
        Standard deviation about the cell's curve [A].
    used : (cell,) bool array
        Cells that conduct above the noise and are not spoilt.
    voltage, mean_residual : (point,) array
        Voltages [V] and mean deviation of the used cells from their curves [A].
    """

    result: FitResult
    form: Form
    reference_conductance: float
    conductance: Floats
    curvature: Floats
    curvature_stderr: Floats
    residual: Floats
    used: Bools
    voltage: Floats
    mean_residual: Floats

    def __post_init__(self) -> None:
        for a in (self.conductance, self.curvature, self.curvature_stderr, self.residual):
            a.flags.writeable = False
        for b in (self.used, self.voltage, self.mean_residual):
            b.flags.writeable = False

    def to_card(self) -> IVCard:
        """Write the card's part; a population that is sublinear has b = 0 there."""
        e = self.result.estimates
        return IVCard(
            nonlinearity=_not_negative(e["nonlinearity"]),
            spread=e["spread"],
            dependence=_per_log(e["slope"], self.reference_conductance)
            if "slope" in e
            else e.get("dependence"),
            slope=e.get("slope"),
            reference_conductance=Quantity.given(self.reference_conductance, "S"),
            offset=e["offset"],
            noise=e["noise"],
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw b against G0, cell by cell, with the fitted line."""
        ax = own_axes(ax)
        g, q = self.conductance[self.used], self.curvature[self.used]
        ax.plot(g * 1e6, np.sign(q) * np.sqrt(np.abs(q)), ".", ms=2, alpha=0.5, rasterized=True)
        grid = np.linspace(g.min(), g.max(), 200)
        line = np.full(grid.shape, self.result["nonlinearity"])
        if self.form != "constant":
            name = "dependence" if self.form == "log" else "slope"
            line = line + self.result[name] * regressor(grid, self.form, self.reference_conductance)
        ax.plot(grid * 1e6, line, color="black", lw=1.5)
        ax.set_xlabel("conductance G0 [uS]")
        ax.set_ylabel("b [1/V] (below 0: sublinear)")
        return ax


def fit_iv(iv: IVSweeps) -> IVFit:
    """Fit curvature and offset to current-voltage sweeps.

    Parameters
    ----------
    iv : IVSweeps
        Currents [A], (cell, point), at common voltages [V]; NaN = not measured.

    Returns
    -------
    IVFit

    Raises
    ------
    FitError
        If there are fewer than 4 voltages, no voltage other than 0, or fewer than 3 cells that
        conduct above the noise.
    """
    voltages = np.unique(np.abs(iv.voltage[np.isfinite(iv.voltage)]))
    if voltages.size < 4:
        msg = (
            f"/iv has {voltages.size} different magnitudes of voltage; offset, G0 and b need at "
            "least 4"
        )
        raise FitError(msg)
    if not np.isfinite(iv.current).any():
        msg = "/iv has no measured current"
        raise FitError(msg)
    cells = fit_curves(iv.voltage, iv.current)
    conducts = cells.conductance > ABOVE_NOISE * cells.conductance_stderr
    typical = float(np.median(cells.residual[cells.enough])) if cells.enough.any() else math.nan
    spoilt = cells.enough & (cells.residual > SPOILT * typical)
    used = cells.enough & conducts & ~spoilt & np.isfinite(cells.curvature_stderr)
    if used.sum() < 3:
        msg = (
            f"{int(used.sum())} of {iv.current.shape[0]} cells in /iv conduct above the noise of "
            f"{format_quantity(typical, 'A')}; a population of b needs at least 3"
        )
        raise FitError(msg)
    form, line = best_line(cells, used)
    result = _population(iv, cells, used, form, line)
    mean_residual = _column_mean(cells.deviation[used])
    findings = _findings(iv, cells, used, spoilt, result, typical)
    return IVFit(
        result=FitResult(
            title="current against voltage",
            estimates=result.estimates,
            covariance=result.covariance,
            n_observations=int(used.sum()),
            verdict=Verdict(tuple(findings)),
        ),
        form=form,
        reference_conductance=line.reference,
        conductance=cells.conductance,
        curvature=cells.curvature,
        curvature_stderr=cells.curvature_stderr,
        residual=cells.residual,
        used=used,
        voltage=np.array(iv.voltage),
        mean_residual=mean_residual,
    )


@dataclass(frozen=True, slots=True)
class _Population:
    estimates: dict[str, Quantity]
    covariance: Floats


def _population(
    iv: IVSweeps, cells: CellCurves, used: Bools, form: Form, line: PopulationLine
) -> _Population:
    """Put the parameters together, with one clustered covariance."""
    tau = math.sqrt(max(line.theta[-1], 0.0))
    power = cells.residual[used] ** 2
    noise = math.sqrt(float(power.mean()))
    per_tau2 = 1 / (2 * max(tau, 1e-9))
    rows = [line.influence[0], line.influence[-1] * per_tau2]
    through = [line.per_offset[0], line.per_offset[-1] * per_tau2]
    values, units = [line.theta[0], tau], ["1/V", "1/V"]
    names, scales = ["nonlinearity", "spread"], ["linear", "log"]
    if form != "constant":
        names.append("dependence" if form == "log" else "slope")
        units.append("1/V" if form == "log" else "1/(V·S)")
        rows.append(line.influence[1])
        through.append(line.per_offset[1])
        values.append(line.theta[1])
        scales.append("linear")
    p = len(names) + 2
    psi = np.zeros((p, len(used)))
    psi[:-2, used] = rows
    psi[:-2] += np.array(through)[:, None] * cells.offset_score  # b leans on the common offset
    psi[-2] = cells.offset_score
    psi[-1, used] = (power - power.mean()) / used.sum() / (2 * noise)
    names, units = [*names, "offset", "noise"], [*units, "A", "A"]
    values, scales = [*values, cells.offset, noise], [*scales, "linear", "log"]
    grid = np.zeros((p, int(iv.row.max()) + 1, int(iv.col.max()) + 1))
    for i in range(p):
        np.add.at(grid[i], (iv.row, iv.col), psi[i])
    spread = clustered_covariance(grid)
    stderr = np.sqrt(np.diagonal(spread.covariance))
    estimates = {
        name: Quantity.estimated(
            float(values[i]),
            float(stderr[i]),
            units[i],
            scale="log" if scales[i] == "log" else "linear",
            df=float(spread.df[i]),
        )
        for i, name in enumerate(names)
    }
    estimates["spread"] = _spread(estimates["spread"])
    return _Population(estimates, np.array(spread.covariance))


def _spread(q: Quantity) -> Quantity:
    """Near zero the variance is nearer to normal than the deviation, and may be nothing."""
    variance_error = 2 * q.value * (q.stderr or 0.0)
    if q.value**2 > 3 * variance_error:
        return q
    low, high = (math.sqrt(max(q.value**2 + k * 1.96 * variance_error, 0.0)) for k in (-1, 1))
    return Quantity.within(q.value, (high - low) / (2 * 1.96), q.unit, (low, high))


def _findings(
    iv: IVSweeps,
    cells: CellCurves,
    used: Bools,
    spoilt: Bools,
    fit: _Population,
    typical: float,
) -> list[Finding]:
    out: list[Finding] = []
    n, offset = len(used), fit.estimates["offset"]
    if offset.stderr and abs(offset.value) > 4 * offset.stderr:
        out.append(
            Finding(
                f"the instrument reads {format_quantity(offset.value, 'A')} "
                f"(± {format_quantity(offset.stderr, 'A', digits=2)}) at 0 V",
                "zero the instrument, or take the offset off every current; conductances read at "
                f"0.2 V are off by {format_quantity(offset.value / 0.2, 'S')}",
            )
        )
    quiet = cells.enough & ~spoilt & ~(cells.conductance > ABOVE_NOISE * cells.conductance_stderr)
    if quiet.sum() > 0.01 * n:
        out.append(
            Finding(
                f"{int(quiet.sum())} of {n} cells conduct no current above the noise of "
                f"{format_quantity(typical, 'A')}; b speaks of the other {int(used.sum())}",
                "measure high-resistance cells on a finer current range or average more reads",
            )
        )
    if spoilt.any():
        out.append(
            Finding(
                f"{int(spoilt.sum())} of {n} cells scatter more than {SPOILT:g} times as much about"
                " their curves as the typical cell, and were left out",
                "look for cells that switched or jumped during the sweep; read at lower voltage",
                severe=bool(spoilt.sum() > 0.2 * n),
            )
        )
    b = fit.estimates["nonlinearity"]
    if b.ci95 is not None and b.ci95[1] < 0:
        out.append(
            Finding(
                f"current falls behind the voltage (q = {b.value * abs(b.value):.3g} 1/V²): no "
                "sinh, but a resistance in series",
                "take the wires' and the transistor's resistance off before fitting b",
            )
        )
    out += _misfit(iv, cells, used)
    return out


def _misfit(iv: IVSweeps, cells: CellCurves, used: Bools) -> list[Finding]:
    """Test whether the curves miss the mean current by a pattern common to the cells."""
    d = cells.deviation[used]
    mean, count = _column_mean(d), np.isfinite(d).sum(axis=0)
    error = np.sqrt(_column_mean(d**2) / np.maximum(count, 1))
    worst = int(np.argmax(np.abs(mean)))
    size = float(np.sqrt(np.nanmean(np.median(np.abs(iv.current[used]), axis=0) ** 2)))
    # A pattern is told where it is beyond chance (6 σ over some 100 points) and over 1 % of size.
    if abs(mean[worst]) > max(6 * error[worst], 0.01 * size):
        return [
            Finding(
                f"at {iv.voltage[worst]:.3g} V all cells together are off their curves by "
                f"{format_quantity(float(mean[worst]), 'A')}",
                "the law G0·sinh(bV)/b does not hold over this range: fit a narrower one, or look "
                "for a range switch of the instrument",
            )
        ]
    return []


def _column_mean(d: Floats) -> Floats:
    count = np.isfinite(d).sum(axis=0)
    return np.asarray(np.nansum(d, axis=0) / np.maximum(count, 1), dtype=np.float64)


def _not_negative(q: Quantity) -> Quantity:
    if q.value >= 0 or q.ci95 is None or q.stderr is None:
        return q
    return Quantity.within(0.0, q.stderr, q.unit, (0.0, max(q.ci95[1], 0.0)))


def _per_log(slope: Quantity, reference: float) -> Quantity:
    """Slope with ln G0 at the reference, of a line in G0."""
    low, high = slope.ci95 or (slope.value, slope.value)
    return Quantity.within(
        slope.value * reference,
        (slope.stderr or 0.0) * reference,
        "1/V",
        (low * reference, high * reference),
    )
