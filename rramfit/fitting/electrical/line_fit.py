"""Line resistance from measured column currents: four resistances and a common gain.

    I[p, k] = gain · I_model(V[p], G_read; r_wl, r_bl, r_driver, r_sense)[k] + e[p, k]

by generalised least squares: Gauss-Newton steps with exact sensitivities
(`rramfit.fitting.electrical.line_model`), weighted by the covariance of the residuals, which
separates errors of the cell reads from noise of the currents
(`rramfit.fitting.electrical.line_noise`). The gain between currents and cell reads is always
fitted; otherwise a mean read error of 0.1 % would appear as ohms in the driver or the sense
amplifier.

Input patterns may not identify every resistance. A resistance is reported if its standard error is
below half its value, or below a change that shifts the currents by 5 %. If two resistances fail
this but the standard error of their sum is below half the sum, the sum is reported instead. A
resistance cannot be negative: a negative estimate is reported as 0, with the interval above it that
the errors allow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity, interval
from rramfit.card.schema import LineCard
from rramfit.errors import ArrayError, FitError
from rramfit.fitting.electrical.line_findings import line_findings, silent_columns
from rramfit.fitting.electrical.line_model import RESISTANCES, LineModel, Response
from rramfit.fitting.electrical.line_noise import ErrorModel, fit_error_model
from rramfit.fitting.results.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.measurement.file.record import MVM

if TYPE_CHECKING:
    from rramfit.array.wires.line import InactiveRows

__all__ = ["LineResistanceFit", "fit_line_resistance", "parameter_covariance"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NAMES = (*RESISTANCES, "gain")
_PREVIEW = 8  # patterns of the first, coarse fit
_STEPS = 30
_SMALL_STEP = 0.02  # step, in standard errors, at which the fit has converged
_UNIDENTIFIED = 1e-10  # share of the largest information below which a direction is unidentified
_REFITS = 3  # refits of the error model, because outliers and fit depend on each other
_RELEVANT = 0.05  # a resistance is identified if its error shifts currents by less than this share


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResistanceFit(ShowsResult):
    """Line resistances of one array, as far as its input patterns identify them.

    Attributes
    ----------
    result : FitResult
        Identified resistances [ohm], and `gain`.
    combinations : dict of str to Quantity
        Identified sums of resistances that are not identified individually [ohm].
    predicted : (pattern, col) array
        Currents of the fitted model, including the gain [A].
    used : (pattern, col) bool array
        Currents used in the fit, without gaps and outliers.
    noise, cell_error : float
        Relative standard deviation of a current, and of a cell read.
    inactive_rows : str
    """

    result: FitResult
    combinations: dict[str, Quantity]
    predicted: Floats
    used: Bools
    noise: float
    cell_error: float
    inactive_rows: Literal["grounded", "floating", "gated"]

    def to_card(self) -> LineCard:
        """Return the line-resistance part of the card."""
        found = self.result.estimates
        return LineCard(
            **{name: found.get(name) for name in _NAMES},
            combinations=self.combinations,
            correlation=self.result.correlation.tolist(),
            inactive_rows=self.inactive_rows,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solution:
    theta: Floats  # (5,) resistances [ohm], gain
    response: Response
    errors: ErrorModel
    information: Floats  # (5, 5)
    converged: bool


def fit_line_resistance(mvm: MVM) -> LineResistanceFit:
    """Fit wordline, bitline, driver and sense resistances.

    Parameters
    ----------
    mvm : MVM
        Input patterns, column currents, and individually read cells.

    Returns
    -------
    LineResistanceFit

    Raises
    ------
    FitError
        If there are fewer currents than parameters, no current flows, or the model cannot be
        solved.
    """
    findings: list[Finding] = []
    conductance, usable = _cells(mvm, findings)
    silent, of_silent = silent_columns(mvm.current, np.nan_to_num(mvm.voltage) @ conductance)
    usable &= ~silent
    findings += of_silent
    used = np.isfinite(mvm.current) & usable[None] & (mvm.voltage != 0).any(1)[:, None]
    if used.sum() <= len(_NAMES):
        msg = (
            f"/mvm has {int(used.sum())} usable currents; fitting {len(_NAMES)} parameters needs "
            f"at least {len(_NAMES) + 1}"
        )
        raise FitError(msg)
    if not np.any(mvm.current[used]) or not np.any(conductance):
        msg = "/mvm has no current or no conducting cell, which a fit of line resistances needs"
        raise FitError(msg)
    model = LineModel(
        voltage=np.asarray(mvm.voltage, dtype=np.float64),
        conductance=conductance,
        inactive_rows=cast("InactiveRows", mvm.inactive_rows),
        cell_reads=cast('Literal["intrinsic", "terminal"]', mvm.cell_reads),
    )
    try:
        solution = _solve(model, mvm.current, used)
    except ArrayError as e:
        msg = f"the line model of /mvm cannot be solved: {e}"
        raise FitError(msg) from e
    return _report(mvm, solution, used, findings)


def _cells(mvm: MVM, findings: list[Finding]) -> tuple[Floats, Bools]:
    """Return conductances with gaps filled, and the columns to use.

    Columns with gaps are left out, unless most columns have gaps.
    """
    g = np.array(mvm.conductance, dtype=np.float64)
    gaps = ~np.isfinite(g)
    usable: Bools = np.asarray(~gaps.any(axis=0), dtype=np.bool_)
    if gaps.all():
        msg = "/mvm/conductance holds no measured cell"
        raise FitError(msg)
    if gaps.any():
        g[gaps] = np.median(g[~gaps])
        most = bool(usable.sum() < usable.size / 2)
        usable = np.ones_like(usable) if most else usable
        count = int(gaps.sum())
        missing = "1 cell of /mvm was" if count == 1 else f"{count} cells of /mvm were"
        findings.append(
            Finding(
                f"{missing} not read, "
                + (
                    "in more than half of the columns; the median conductance was used instead"
                    if most
                    else "and the columns with such cells were left out of the fit"
                ),
                "Read all cells of /mvm",
                severe=most,
                code="columns-not-read",
            )
        )
    return np.maximum(g, 0.0), usable


def _residual(theta: Floats, response: Response, current: Floats) -> tuple[Floats, Floats]:
    """Return measured minus predicted current, and the sensitivities (5, pattern, col)."""
    predicted = theta[4] * response.current
    return current - predicted, np.concatenate(
        (theta[4] * response.sensitivity, response.current[None])
    )


def _start(model: LineModel, current: Floats, used: Bools) -> Floats:
    """Return a first guess of the wires from the current lost to them.

    Wordline and bitline segments are taken as equal, driver and sense resistance as ten segments.
    On average over cells, a wire of n equal segments that feeds n equal cells has the voltage drop
    of n/3 segments that carry its full current.
    """
    m, n = model.conductance.shape
    ideal = model.voltage @ model.conductance
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = float(np.clip(1 - np.nanmedian((current / ideal)[used]), 0.0, 0.8))
    row = float(np.median(model.conductance.sum(1))) or 1.0
    column = float(np.median(model.conductance.sum(0))) or 1.0
    column *= float((model.voltage != 0).mean())
    per_ohm = (n / 3 + 10) * row + (m / 3 + 10) * column
    ohm = lost / (1 - lost) / per_ohm
    return np.array([ohm, ohm, 10 * ohm, 10 * ohm, 1.0])


def _solve(model: LineModel, current: Floats, used: Bools) -> _Solution:
    """Fit a few patterns first, then all of them, with outliers excluded."""
    theta = _start(model, current, used)
    step = max(1, len(current) // _PREVIEW)
    few = slice(None, None, step)
    if step > 1 and used[few].sum() > 10 * len(_NAMES):
        preview = LineModel(
            voltage=model.voltage[few],
            conductance=model.conductance,
            inactive_rows=model.inactive_rows,
            cell_reads=model.cell_reads,
        )
        theta = _gauss_newton(preview, current[few], used[few], theta, 1.0).theta
    return _gauss_newton(model, current, used, theta, _SMALL_STEP)


def _gauss_newton(
    model: LineModel, current: Floats, used: Bools, theta: Floats, small: float
) -> _Solution:
    """Iterate until the step is shorter than `small` standard errors."""
    errors: ErrorModel | None = None
    response = model.response(theta[:4])
    cost, converged = np.inf, False
    for count in range(_STEPS):
        residual, slopes = _residual(theta, response, current)
        if errors is None or count <= _REFITS:
            gain = _gain_only(residual, response, used) if count == 0 else 0.0
            residual = residual - gain * response.current
            theta = theta + gain * np.eye(5)[4]
            errors = fit_error_model(
                np.where(used, residual, 0.0), response.current, response.cell, used
            )
            cost = np.inf
        z, x = errors.whiten(np.where(used, residual, 0.0)), errors.whiten(slopes)
        cost = float(z @ z)
        information = x @ x.T
        step = _step(information, x @ z)
        stderr = np.sqrt(np.diagonal(parameter_covariance(information)))
        done = bool((np.abs(step) <= small * stderr).all())
        halvings: int | None = 0
        if done:
            theta, response = theta + step, response.extrapolated(step[:4])
        else:
            theta, response, halvings = _advance(
                model, theta, response, step, current, used, errors, cost
            )
        if (done or halvings is None) and count >= _REFITS - 1:
            converged = done
            break
    residual, slopes = _residual(theta, response, current)
    errors = fit_error_model(np.where(used, residual, 0.0), response.current, response.cell, used)
    x = errors.whiten(slopes)
    return _Solution(
        theta=theta,
        response=response,
        errors=errors,
        information=x @ x.T,
        converged=converged,
    )


def _gain_only(residual: Floats, response: Response, used: Bools) -> float:
    """Return the change of gain that centres the first guess, to separate outliers from misfit."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (residual / response.current)[used]
    return float(np.median(ratio[np.isfinite(ratio)]))


def _advance(
    model: LineModel,
    theta: Floats,
    response: Response,
    step: Floats,
    current: Floats,
    used: Bools,
    errors: ErrorModel,
    cost: float,
) -> tuple[Floats, Response, int | None]:
    """Take the step, halved until it does not increase the cost.

    Sensitivities are recomputed only if the step was too long for the linear prediction.
    """
    for halvings in range(8):
        part = step / 2**halvings
        new = theta + part
        found = model.currents(new[:4])
        z = errors.whiten(np.where(used, current - new[4] * found, 0.0))
        if float(z @ z) <= cost * (1 + 1e-9):
            if not halvings and response.is_linear(part[:4], found):
                return new, replace(response, current=found), halvings
            return new, model.response(new[:4]), halvings
    return theta, model.response(theta[:4]), None


def _scaled(information: Floats) -> tuple[Floats, Floats]:
    scale = np.maximum(np.sqrt(np.diagonal(information)), 1e-100)
    return information / np.outer(scale, scale), scale


def _step(information: Floats, gradient: Floats) -> Floats:
    """Return the least-norm Newton step, which is zero in unidentified directions."""
    unit, scale = _scaled(information)
    values, vectors = np.linalg.eigh(unit)
    known = values > _UNIDENTIFIED * values.max()
    inverse = np.where(known, 1 / np.where(known, values, 1.0), 0.0)
    out: Floats = vectors @ (inverse * (vectors.T @ (gradient / scale))) / scale
    return out


def parameter_covariance(information: Floats) -> Floats:
    """Invert the information; unidentified directions get a very large variance."""
    unit, scale = _scaled(information)
    values, vectors = np.linalg.eigh(unit)
    values = np.maximum(values, _UNIDENTIFIED * values.max() / 10)
    out: Floats = (vectors / values) @ vectors.T / np.outer(scale, scale)
    return out


def _identified(solution: _Solution, stderr: Floats) -> list[int]:
    """Return resistances known to half their value, or to a `_RELEVANT` share of the currents."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(solution.response.sensitivity / solution.response.current)
        effect = np.nanmedian(relative, axis=(1, 2))
        limit = np.maximum(_RELEVANT / effect, 0.5 * solution.theta[:4])
    return [k for k in range(4) if effect[k] > 0 and stderr[k] <= limit[k]]


def _quantity(value: float, stderr: float) -> Quantity:
    low, high = interval(value, stderr)
    # For an estimate below zero the upper limit is at least one standard error.
    return Quantity.within(max(value, 0.0), stderr, "ohm", (max(low, 0.0), max(high, stderr)))


def _report(
    mvm: MVM, solution: _Solution, measured: Bools, findings: list[Finding]
) -> LineResistanceFit:
    """Return the fit: identified resistances, identified sums, and findings."""
    covariance = parameter_covariance(solution.information)
    stderr = np.sqrt(np.diagonal(covariance))
    identified = _identified(solution, stderr)
    others = [k for k in range(4) if k not in identified]
    estimates = {RESISTANCES[k]: _quantity(solution.theta[k], stderr[k]) for k in identified}
    estimates["gain"] = Quantity.estimated(solution.theta[4], stderr[4], "1")
    kept = [*identified, 4]
    sums = {}
    for a, b in combinations(others, 2):
        error = float(np.sqrt(covariance[np.ix_([a, b], [a, b])].sum()))
        total = solution.theta[a] + solution.theta[b]
        if error <= 0.5 * total:
            name = f"{RESISTANCES[a]} + {RESISTANCES[b]}"
            sums[name] = _quantity(total, error)
    findings += line_findings(
        gain=solution.theta[4],
        converged=solution.converged,
        errors=solution.errors,
        measured=measured,
        unidentified=[RESISTANCES[k] for k in others],
        sums=list(sums),
        inactive_rows=mvm.inactive_rows,
    )
    return LineResistanceFit(
        result=FitResult(
            title="line resistance",
            estimates=estimates,
            covariance=covariance[np.ix_(kept, kept)],
            n_observations=int(solution.errors.used.sum()),
            verdict=Verdict(tuple(findings)),
        ),
        combinations=sums,
        predicted=solution.theta[4] * solution.response.current,
        used=solution.errors.used,
        noise=solution.errors.noise,
        cell_error=solution.errors.cell_error,
        inactive_rows=cast('Literal["grounded", "floating", "gated"]', mvm.inactive_rows),
    )
