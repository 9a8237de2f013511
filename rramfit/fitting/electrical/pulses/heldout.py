"""Prediction of runs that were held out, by each form of the course.

Forms are fitted to some cycles of each device and predict the others; with one cycle, to some
devices, whose mean predicts the others; with one run, to every second reading. A run is predicted
from where it starts: the start is that of the form, moved towards the first reading by the share
of the reading's variance that is not noise; the first reading is not scored.

Of forms whose mean square error is within one standard error of the best, the simplest is chosen
(Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, section 7.10). Standard
errors are those of the differences, between devices or, of one device, between runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.pulses import course
from rramfit.fitting.electrical.pulses.forms import FORMS, DeviceShapes, fit_devices, hats, knots
from rramfit.fitting.electrical.pulses.runs import Runs

__all__ = ["KNOTS", "HeldOut", "hold_out"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

KNOTS = 6  # of the piecewise form
_FOLDS = 5
_FEWEST_READINGS = 12  # of a single run
_MOST_READINGS = 60_000  # of more, every n-th device is used


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Errors of the forms on readings held out.

    Attributes
    ----------
    form : str
        The form chosen.
    error : dict of str to float
        Root mean square error by form [S]; empty if there are too few readings.
    by : {"cycles", "devices", "readings", ""}
        What was held out.
    """

    form: str
    error: dict[str, float]
    by: str


def hold_out(runs: Runs, *, start_spread: float, noise: float) -> HeldOut:
    """Compare the forms by readings that they were not fitted to.

    Parameters
    ----------
    runs : Runs
    start_spread : float
        Standard deviation of the start over cycles, or over devices with one cycle [S].
    noise : float
        Standard deviation of a reading [S].
    """
    every = max(-(-runs.conductance.size // _MOST_READINGS), 1)
    runs = runs.of(np.unique(runs.device, return_inverse=True)[1] % every == 0)
    devices = len(np.unique(runs.device))
    moved = start_spread**2 / max(start_spread**2 + noise**2, 1e-300)
    if len(runs) > devices:
        by = "cycles"
        folds = _folds(runs.cycle)
    elif devices > 1:
        by = "devices"
        folds = _folds(runs.device)
    else:
        by = "readings"
        if np.isfinite(runs.conductance).sum() < _FEWEST_READINGS:
            return HeldOut(form="exponential", error={}, by="")
        return _by_readings(runs)
    square = np.zeros((len(FORMS), len(runs)))
    count = np.zeros(len(runs))
    for fold in folds:
        train, test = runs.of(~fold), fold
        if by == "cycles":
            test = fold & np.isin(runs.device, train.device)
        if not test.any():
            continue
        for i, form in enumerate(FORMS):
            error = _errors(train, runs.of(test), form, moved, each=by == "cycles")
            square[i, test] = np.nansum(error**2, axis=1)
            count[test] = np.isfinite(error).sum(axis=1)
    units = runs.device if devices > 1 else np.arange(len(runs))
    return _chosen(square, count, units, by)


def _folds(number: NDArray[np.int64]) -> list[Bools]:
    rank = np.unique(number, return_inverse=True)[1]
    k = min(_FOLDS, int(rank.max()) + 1)
    return [rank % k == i for i in range(k)]


def _by_readings(runs: Runs) -> HeldOut:
    odd = np.arange(runs.conductance.shape[1]) % 2 == 1
    train, test = (
        replace(runs, conductance=np.where(of, runs.conductance, np.nan)) for of in (~odd, odd)
    )
    error = np.concatenate([_errors(train, test, form, 0.0, each=True) for form in FORMS])
    known = np.isfinite(error[0])
    square = error[:, known] ** 2
    return _chosen(square, np.ones(known.sum()), np.arange(known.sum()) // 4, "readings")


def _errors(train: Runs, test: Runs, form: str, moved: float, *, each: bool) -> Floats:
    """Return readings less their prediction, (run, step); NaN = not scored."""
    x, y = test.x, test.conductance
    first = np.where(np.isfinite(y[:, 0]), y[:, 0], np.nan)
    out = np.full(y.shape, np.nan)
    shapes = None if form == "piecewise" else fit_devices(train, form)
    if shapes is not None and not each:
        shapes = _mean(shapes)
    piecewise = knots(train, KNOTS) if form == "piecewise" and not each else None
    for device in np.unique(test.device):
        rows = test.device == device
        if shapes is None:
            own = knots(train.of(train.device == device), KNOTS) if piecewise is None else piecewise
            change = hats(x, KNOTS) @ own - own[0]
            start, gone = float(own[0]), np.ones(len(x))
        else:
            i = int(np.searchsorted(shapes.device, device)) if each else 0
            start, a = float(shapes.start[i]), float(shapes.a[i])
            gone = np.exp(-a * x) if form == "soft bounds" else np.ones(len(x))
            change = (float(shapes.end[i]) - start) * course(x, a)
        shift = moved * np.nan_to_num(first[rows] - start)
        out[rows] = y[rows] - (start + change + shift[:, None] * gone)
    if moved > 0:
        out[:, 0] = np.nan
    return out


def _mean(s: DeviceShapes) -> DeviceShapes:
    one = {name: np.array([getattr(s, name).mean()]) for name in ("start", "end", "a", "bound")}
    return replace(s, device=s.device[:1], at_limit=s.at_limit[:1], **one)


def _chosen(square: Floats, count: Floats, units: NDArray[np.int64], by: str) -> HeldOut:
    """Choose the simplest form that predicts about as well as the best."""
    total = float(count.sum())
    mean = square.sum(axis=1) / total
    best = int(mean.argmin())
    group = np.unique(units, return_inverse=True)[1]
    n = int(group.max()) + 1
    form = FORMS[best]
    for i in range(best):
        each = np.bincount(group, square[i] - square[best], n)
        difference = mean[i] - mean[best]
        center = each - np.bincount(group, count, n) * difference
        error = math.sqrt(float((center**2).sum()) * n / max(n - 1, 1)) / total
        if difference <= error:
            form = FORMS[i]
            break
    return HeldOut(form=form, error=dict(zip(FORMS, np.sqrt(mean).tolist(), strict=True)), by=by)
