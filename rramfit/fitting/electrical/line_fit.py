"""Line resistance from measured column currents: four resistances and a common gain.

    I[p, k] = gain · I_model(V[p], G_read; r_wl, r_bl, r_driver, r_sense)[k] + e[p, k]

by generalised least squares: Gauss-Newton steps with exact sensitivities
(`rramfit.fitting.electrical.line_model`), weights from the residuals' own covariance, in which
errors of the cell reads count apart from the currents' noise
(`rramfit.fitting.electrical.line_noise`). The gain between currents and cell reads is always
fitted: a mean error of the reads of 0.1 % would else pass for ohms in the driver or the sense
amplifier.

Patterns do not tell all resistances apart. One is reported where its standard error is below half
its value, or below what would move the currents by 5 %; where two fail that but their sum is known
to half its value, the sum is reported instead. A resistance cannot be negative: where the best one
is, it is given as 0, with the interval that the errors allow above it.
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
from rramfit.fitting.electrical.line_model import RESISTANCES, LineModel, Response
from rramfit.fitting.electrical.line_noise import ErrorModel, fit_error_model
from rramfit.fitting.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.measurement.file.record import MVM

if TYPE_CHECKING:
    from rramfit.array.wires.line import InactiveRows

__all__ = ["LineResistanceFit", "fit_line_resistance", "parameter_covariance"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NAMES = (*RESISTANCES, "gain")
_PREVIEW = 8  # patterns by which the fit finds its way before all are used
_STEPS = 30
_SMALL_STEP = 0.02  # of a standard error: further steps would change nothing
_UNTOLD = 1e-10  # share of the largest information below which a direction is not told at all
_FITTED_TWICE = 3  # outliers depend on the fit and the fit on them
_MANY_OUTLIERS = 0.05
_MATTERS = 0.05  # share of the currents: a resistance is told that is known to less than this
_NOISY = 0.2  # relative noise past which something else than noise is at work


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResistanceFit(ShowsResult):
    """Wires of one array, as far as its patterns tell them.

    Attributes
    ----------
    result : FitResult
        Resistances that are identified [ohm], and `gain`.
    combinations : dict of str to Quantity
        Sums that are identified where their terms are not [ohm].
    predicted : (pattern, col) array
        Currents by the fitted model, gain included [A].
    used : (pattern, col) bool array
        Currents that the fit rests on; gaps and outliers are not among them.
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
        """Write the wires as a part of the card."""
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
    """Fit wordline, bitline, driver and sense resistance.

    Parameters
    ----------
    mvm : MVM
        Input patterns, column currents, and the cells as read one by one.

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
    conductance, whole = _cells(mvm, findings)
    used = np.isfinite(mvm.current) & whole[None] & (mvm.voltage != 0).any(1)[:, None]
    if used.sum() <= len(_NAMES):
        msg = f"/mvm has {int(used.sum())} usable currents; {len(_NAMES)} parameters need more"
        raise FitError(msg)
    if not np.any(mvm.current[used]) or not np.any(conductance):
        msg = "/mvm has no current or no conducting cell; wires take nothing from nothing"
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
        msg = f"the wires of /mvm cannot be solved: {e}"
        raise FitError(msg) from e
    return _report(mvm, solution, used, findings)


def _cells(mvm: MVM, findings: list[Finding]) -> tuple[Floats, Bools]:
    """Cells without gaps, and the columns that had none (or all, where most had some)."""
    g = np.array(mvm.conductance, dtype=np.float64)
    gaps = ~np.isfinite(g)
    whole: Bools = np.asarray(~gaps.any(axis=0), dtype=np.bool_)
    if gaps.all():
        msg = "/mvm/conductance holds no measured cell"
        raise FitError(msg)
    if gaps.any():
        g[gaps] = np.median(g[~gaps])
        fewer = whole.sum() < whole.size / 2
        whole = np.ones_like(whole) if fewer else whole
        findings.append(
            Finding(
                f"{int(gaps.sum())} cells of /mvm were not read",
                "read them: their columns are left out"
                if not fewer
                else "read them: the median cell stands for each, in most columns",
                severe=bool(fewer),
            )
        )
    return np.maximum(g, 0.0), whole


def _residual(theta: Floats, response: Response, current: Floats) -> tuple[Floats, Floats]:
    """Measured less predicted, and the prediction's sensitivities (5, pattern, col)."""
    predicted = theta[4] * response.current
    return current - predicted, np.concatenate(
        (theta[4] * response.sensitivity, response.current[None])
    )


def _start(model: LineModel, current: Floats, used: Bools) -> Floats:
    """First guess: wires that take about what is missing, with all four of a kind.

    On average over cells, a wire of n equal segments that feeds n equal cells drops the voltage of
    n/3 segments that carry its whole current.
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
    """Find the way on a few patterns, then fit all of them, outliers laid aside."""
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
    """Step until no step is longer than `small` standard errors."""
    errors: ErrorModel | None = None
    response = model.response(theta[:4])
    cost, converged = np.inf, False
    for count in range(_STEPS):
        residual, slopes = _residual(theta, response, current)
        if errors is None or count <= _FITTED_TWICE:
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
            theta, response = theta + step, response.moved(step[:4])
        else:
            theta, response, halvings = _advance(
                model, theta, response, step, current, used, errors, cost
            )
        if (done or halvings is None) and count >= _FITTED_TWICE - 1:
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
    """Change of gain that centres the first guess, so that outliers are told from misfit."""
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
    """Take the step, or the first half of it that does not make matters worse.

    Sensitivities are worked out anew only where the step was long enough to bend.
    """
    for halvings in range(8):
        part = step / 2**halvings
        new = theta + part
        found = model.currents(new[:4])
        z = errors.whiten(np.where(used, current - new[4] * found, 0.0))
        if float(z @ z) <= cost * (1 + 1e-9):
            if not halvings and response.straight(part[:4], found):
                return new, replace(response, current=found), halvings
            return new, model.response(new[:4]), halvings
    return theta, model.response(theta[:4]), None


def _scaled(information: Floats) -> tuple[Floats, Floats]:
    scale = np.maximum(np.sqrt(np.diagonal(information)), 1e-100)
    return information / np.outer(scale, scale), scale


def _step(information: Floats, gradient: Floats) -> Floats:
    """Least-norm Newton step: directions that nothing tells are left as they are."""
    unit, scale = _scaled(information)
    values, vectors = np.linalg.eigh(unit)
    told = values > _UNTOLD * values.max()
    inverse = np.where(told, 1 / np.where(told, values, 1.0), 0.0)
    out: Floats = vectors @ (inverse * (vectors.T @ (gradient / scale))) / scale
    return out


def parameter_covariance(information: Floats) -> Floats:
    """Invert the information; directions that nothing tells get a variance beyond use."""
    unit, scale = _scaled(information)
    values, vectors = np.linalg.eigh(unit)
    values = np.maximum(values, _UNTOLD * values.max() / 10)
    out: Floats = (vectors / values) @ vectors.T / np.outer(scale, scale)
    return out


def _told(solution: _Solution, stderr: Floats) -> list[int]:
    """Resistances known to half their value, or to what moves currents by `_MATTERS`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.abs(solution.response.sensitivity / solution.response.current)
        moves = np.nanmedian(relative, axis=(1, 2))
        enough = np.maximum(_MATTERS / moves, 0.5 * solution.theta[:4])
    return [k for k in range(4) if moves[k] > 0 and stderr[k] <= enough[k]]


def _quantity(value: float, stderr: float) -> Quantity:
    low, high = interval(value, stderr)
    # Below zero by chance: what could not have been seen is not excluded.
    return Quantity.within(max(value, 0.0), stderr, "ohm", (max(low, 0.0), max(high, stderr)))


def _report(
    mvm: MVM, solution: _Solution, wanted: Bools, findings: list[Finding]
) -> LineResistanceFit:
    """Make the record: what is identified, what only in sums, and what to doubt."""
    covariance = parameter_covariance(solution.information)
    stderr = np.sqrt(np.diagonal(covariance))
    told = _told(solution, stderr)
    untold = [k for k in range(4) if k not in told]
    estimates = {RESISTANCES[k]: _quantity(solution.theta[k], stderr[k]) for k in told}
    estimates["gain"] = Quantity.estimated(solution.theta[4], stderr[4], "1")
    kept = [*told, 4]
    sums = {}
    for a, b in combinations(untold, 2):
        error = float(np.sqrt(covariance[np.ix_([a, b], [a, b])].sum()))
        total = solution.theta[a] + solution.theta[b]
        if error <= 0.5 * total:
            name = f"{RESISTANCES[a]} + {RESISTANCES[b]}"
            sums[name] = _quantity(total, error)
    findings += _findings(mvm, solution, wanted, [RESISTANCES[k] for k in untold], sums)
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


def _findings(
    mvm: MVM,
    solution: _Solution,
    wanted: Bools,
    untold: list[str],
    sums: dict[str, Quantity],
) -> list[Finding]:
    """Say what to doubt, and what to measure instead."""
    out = []
    if not solution.converged:
        out.append(
            Finding("the fit did not settle", "look at the currents that it leaves", severe=True)
        )
    if solution.theta[4] <= 0:
        out.append(
            Finding(
                f"currents are {solution.theta[4]:.3g} times what the cells carry: their sign is "
                "turned",
                "count currents out of the columns, below the last row, as positive",
                severe=True,
            )
        )
    if untold:
        instead = f"; {', '.join(sums)} is" if sums else ""
        remedy = (
            "ground the rows without input: floating ones hide where the current goes"
            if mvm.inactive_rows == "floating"
            else "add patterns with few rows on, near and far (`rramfit measurement plan-lines`)"
        )
        out.append(Finding(f"the patterns do not tell {', '.join(untold)}{instead}", remedy))
    aside = int((wanted & ~solution.errors.used).sum())
    if aside > _MANY_OUTLIERS * wanted.sum():
        out.append(
            Finding(
                f"{aside} of {int(wanted.sum())} currents stand out and are laid aside",
                "read the cells again: some have changed since, or a column is broken",
            )
        )
    if solution.errors.noise > _NOISY:
        out.append(
            Finding(
                f"currents miss the model by {100 * solution.errors.noise:.0f} %",
                "check units, the order of rows and columns, and what inactive rows are tied to",
                severe=True,
            )
        )
    return out
