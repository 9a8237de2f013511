"""Current-voltage nonlinearity: how far the cells deviate from resistors.

Every cell has its own conductance G0 and nonlinearity b; all share one instrument offset:

    I(V) = offset + G0·sinh(bV)/b

Single cells are fitted in `rramfit.fitting.electrical.iv.curves`, the population of b in
`rramfit.fitting.electrical.iv.population`. A curve through SET or RESET is split at the switching
voltage, and its branches are fitted as curves (`rramfit.fitting.electrical.iv.switching`). This
module selects the curves, puts the estimates together and reports findings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.electrical import BranchCard, IVCard
from rramfit.card.quantity import Quantity
from rramfit.errors import FitError
from rramfit.fitting.electrical.iv.curves import CellCurves, current_shape, fit_curves
from rramfit.fitting.electrical.iv.estimates import (
    PopulationEstimates,
    estimate_branches,
    estimate_population,
)
from rramfit.fitting.electrical.iv.misfit import find_misfit
from rramfit.fitting.electrical.iv.population import (
    Form,
    best_line,
    regressor,
    without_outliers,
)
from rramfit.fitting.electrical.iv.switching import find_switching
from rramfit.fitting.electrical.iv.switching_voltage import (
    SwitchingVoltage,
    fit_switching_voltages,
)
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.fitting.screening.at_level import at_any_level
from rramfit.fitting.screening.population_form import LevelDensity
from rramfit.measurement.file.curves import on_common_voltages
from rramfit.measurement.file.record import IVSweeps
from rramfit.units import format_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["IVFit", "fit_iv"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ABOVE_NOISE = 5.0  # a cell conducts if its G0 exceeds this many standard errors
OFF_LEVEL = 1e-3  # share of cells at no level from which they are reported
FEWEST_OFF_LEVEL = 10  # cells at no level that their own nonlinearity needs
OUTLIER = 6.0  # a cell is left out if its residual exceeds this multiple of the median residual


@dataclass(frozen=True, slots=True, kw_only=True)
class IVFit(ShowsResult):
    """Nonlinearity of the cells and offset of the instrument.

    Attributes
    ----------
    result : FitResult
        `nonlinearity` (b at the reference conductance), `spread`, `dependence` (on ln G0) or
        `slope` (on G0) if b depends on G0, `offset`, `noise`.
    form : {"constant", "log", "linear"}
        How b depends on G0.
    reference_conductance : float
        [S]
    conductance, curvature, curvature_stderr : (cell,) array
        G0 [S]; q = b|b| and its standard error [1/V²].
    residual : (cell,) array
        Standard deviation about the curve of the cell [A].
    used : (cell,) bool array
        Curves that conduct above the noise, are at a level and are no outliers.
    voltage, mean_residual : (point,) array
        Voltages [V] and mean deviation of the used cells from their curves [A].
    switching : tuple of SwitchingVoltage
        Where cells switch; empty if no curve does.
    branches : tuple of BranchCard
        Both states of curves that switch.

    A curve that switches counts twice in the arrays over cells, once for each state.
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
    switching: tuple[SwitchingVoltage, ...] = ()
    branches: tuple[BranchCard, ...] = ()

    def __post_init__(self) -> None:
        for a in (self.conductance, self.curvature, self.curvature_stderr, self.residual):
            a.flags.writeable = False
        for b in (self.used, self.voltage, self.mean_residual):
            b.flags.writeable = False

    def to_card(self) -> IVCard:
        """Return the I-V part of the card, with b = 0 for a sublinear population."""
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
            switching=[s.to_card() for s in self.switching] or None,
            branches=list(self.branches) or None,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot b of every cell versus G0, with the fitted line."""
        ax = axes_or_new(ax)
        g, q = self.conductance[self.used], self.curvature[self.used]
        ax.plot(g * 1e6, np.sign(q) * np.sqrt(np.abs(q)), ".", ms=2, alpha=0.5, rasterized=True)
        grid = np.linspace(g.min(), g.max(), 200)
        line = np.full(grid.shape, self.result["nonlinearity"])
        if self.form != "constant":
            name = "dependence" if self.form == "log" else "slope"
            line = line + self.result[name] * regressor(grid, self.form, self.reference_conductance)
        ax.plot(grid * 1e6, line, color="black", lw=1.5)
        ax.set_xlabel("conductance G0 [uS]")
        ax.set_ylabel("nonlinearity b [1/V] (negative: sublinear)")
        return ax


def fit_iv(
    iv: IVSweeps,
    *,
    expected: Sequence[LevelDensity | None] = (),
    read_voltage: float | None = None,
    stuck: Bools | None = None,
) -> IVFit:
    """Fit nonlinearity and offset to current-voltage sweeps.

    Parameters
    ----------
    iv : IVSweeps
        Currents [A], (curve, point), in the order of measurement; NaN = not measured. A cell may
        have several curves.
    expected : sequence of LevelDensity or None, optional
        Fitted distributions of the levels. A sweep does not say which level its cell was
        programmed to; cells at none of them are fitted apart.
    read_voltage : float, optional
        At which the levels were read [V]; near 0 V by default.
    stuck : (row, col) bool array, optional
        Cells that are known to be stuck, which are at no level.

    Returns
    -------
    IVFit

    Raises
    ------
    FitError
        If there are fewer than 4 different magnitudes of voltage, no measured current, or fewer
        than 3 cells that conduct above the noise.
    """
    voltages = np.unique(np.abs(iv.voltage[np.isfinite(iv.voltage)]))
    if voltages.size < 4:
        msg = (
            f"/iv has {voltages.size} different magnitudes of voltage; fitting offset, G0 and b "
            "needs at least 4"
        )
        raise FitError(msg)
    if not np.isfinite(iv.current).any():
        msg = "/iv has no measured current"
        raise FitError(msg)
    given, found = iv, find_switching(iv)
    iv = on_common_voltages(given if found is None else found.branches)
    cells = fit_curves(iv.voltage, iv.current)
    conducts = cells.conductance > ABOVE_NOISE * cells.conductance_stderr
    typical = float(np.median(cells.residual[cells.enough])) if cells.enough.any() else math.nan
    outlier = cells.enough & (cells.residual > OUTLIER * typical)
    usable = cells.enough & conducts & ~outlier & np.isfinite(cells.curvature_stderr)
    read = cells.conductance * current_shape(cells.curvature * (read_voltage or 0.0) ** 2)[0]
    at = at_any_level(np.where(usable, read, np.nan), expected)
    if stuck is not None:
        at &= ~stuck[iv.row, iv.col]
    if 2 * (usable & at).sum() < usable.sum():
        at = usable  # the sweep was taken on other states than the levels
    used = usable & at
    what = "cells" if found is None else "states of cells"
    if used.sum() < 3:
        msg = (
            f"{int(used.sum())} of {iv.current.shape[0]} {what} in /iv conduct above the noise of "
            f"{format_quantity(typical, 'A')}; the population of b needs at least 3"
        )
        raise FitError(msg)
    used, form, line = without_outliers(cells, used)
    result = estimate_population(iv, cells, used, form, line)
    mean_residual = _column_mean(cells.deviation[used])
    findings = _findings(iv, cells, used, outlier, result, typical, what)
    findings += _off_level(cells, usable & ~used, int(usable.sum()), what)
    return IVFit(
        result=FitResult(
            title="current-voltage nonlinearity",
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
        switching=() if found is None else fit_switching_voltages(given, found),
        branches=() if found is None else estimate_branches(iv, cells, used, found),
    )


def _findings(
    iv: IVSweeps,
    cells: CellCurves,
    used: Bools,
    outlier: Bools,
    fit: PopulationEstimates,
    typical: float,
    what: str,
) -> list[Finding]:
    out: list[Finding] = []
    n, offset = len(used), fit.estimates["offset"]
    if offset.stderr and abs(offset.value) > 4 * offset.stderr:
        out.append(
            Finding(
                f"The instrument reads {format_quantity(offset.value, 'A', digits=3)} "
                f"(± {format_quantity(offset.stderr, 'A', digits=2)}) at 0 V, which shifts "
                "conductances read at 0.2 V by "
                f"{format_quantity(offset.value / 0.2, 'S', digits=3)}",
                "Zero the instrument, or subtract the offset from every current",
                code="iv-offset",
            )
        )
    silent = cells.enough & ~outlier & ~(cells.conductance > ABOVE_NOISE * cells.conductance_stderr)
    if silent.sum() > 0.01 * n:
        out.append(
            Finding(
                f"In {int(silent.sum())} of {n} {what} no current is above the noise of "
                f"{format_quantity(typical, 'A', digits=3)}. b is fitted to "
                f"{int(used.sum())} {what}",
                "Measure high-resistance cells on a finer current range, or average more reads",
                code="iv-below-noise",
            )
        )
    if outlier.any():
        out.append(
            Finding(
                f"{int(outlier.sum())} of {n} {what} scatter about their I-V curves more than "
                f"{OUTLIER:g} times as much as the median cell, and were left out",
                "Check for cells that switched during the sweep, and sweep to a lower voltage",
                severe=bool(outlier.sum() > 0.2 * n),
                code="iv-outliers",
            )
        )
    b = fit.estimates["nonlinearity"]
    if b.ci95 is not None and b.ci95[1] < 0:
        out.append(
            Finding(
                f"I-V is sublinear (q = b|b| = {b.value * abs(b.value):.3g} 1/V²), which indicates "
                "a series resistance",
                "Subtract the voltage drop over the wires and the transistor before fitting b",
                code="iv-sublinear",
            )
        )
    out += find_misfit(
        iv.voltage, iv.current[used] - cells.offset, cells.deviation[used], cells.conductance[used]
    )
    return out


def _off_level(cells: CellCurves, off: Bools, usable: int, what: str) -> list[Finding]:
    """Report the cells at no level, with their own nonlinearity where there are enough of them."""
    n = int(off.sum())
    if n < 2 or n <= OFF_LEVEL * usable:
        return []
    text = (
        f"/iv: {n} of {usable} {what} are at the conductance of none of the levels, or apart from "
        "the others in b"
    )
    if n >= FEWEST_OFF_LEVEL:
        _, line = best_line(cells, off)
        text += (
            f"; their b is {line.theta[0]:.3g} 1/V at "
            f"{format_quantity(line.reference, 'S', digits=2)}"
        )
    return [
        Finding(
            text,
            "Use the nonlinearity for the other cells only",
            affected=n / usable,
            code="iv-cells-off-level",
        )
    ]


def _column_mean(d: Floats) -> Floats:
    count = np.isfinite(d).sum(axis=0)
    return np.asarray(np.nansum(d, axis=0) / np.maximum(count, 1), dtype=np.float64)


def _not_negative(q: Quantity) -> Quantity:
    if q.value >= 0 or q.ci95 is None or q.stderr is None:
        return q
    return Quantity.within(0.0, q.stderr, q.unit, (0.0, max(q.ci95[1], 0.0)))


def _per_log(slope: Quantity, reference: float) -> Quantity:
    """Convert the slope of a line in G0 to the slope with ln G0 at the reference."""
    low, high = slope.ci95 or (slope.value, slope.value)
    return Quantity.within(
        slope.value * reference,
        (slope.stderr or 0.0) * reference,
        "1/V",
        (low * reference, high * reference),
    )
