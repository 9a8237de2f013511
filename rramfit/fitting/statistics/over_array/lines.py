"""Line effects: offsets that the cells of one row, one column, or a folded part of one share.

Drivers, sense amplifiers, multiplexers and the order of programming give whole lines an offset of
their own. Cell values x over the array are taken as

    x_rc = plane + a_r + b_c + f_{c, r mod p} + g_{r, c mod q} + smooth field + cell,

a, b, f, g independent and normal with one variance each. A folded line is the part of a column
whose rows are equal modulo a period p (or the reverse): what a tester makes that programs p rows at
a time, or that has p sense amplifiers a column.

Which of them an array has is decided by F tests: rows and columns each against what is left beside
both; folded lines for every period in `PERIODS`, the period with the highest likelihood, allowing
for the number of periods tried. The variances are then estimated together by restricted maximum
likelihood (`rramfit.fitting.statistics.over_array.crossed`), with the mean, the plane and the
lowest cosines along either side as fixed effects: these are where a smooth field would pass for
lines.

The smooth field itself is not here (`rramfit.fitting.statistics.over_array.smooth_field`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from rramfit.card.line_groups import Axis, line_groups
from rramfit.fitting.statistics.over_array.crossed import fit_crossed, predict_effects

__all__ = ["COSINE_SHARE", "FEWEST_LINES", "PERIODS", "LineComponents", "LineEffect", "fit_lines"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
AXES: tuple[Axis, Axis] = ("col", "row")

PERIODS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64)

FEWEST_LINES = 8
"""Rows and columns that an array needs for line effects."""

_FEWEST_CELLS = 4.0  # a line, on average
_FEWEST_IN_FOLD = 3.0
_LEVEL = 1e-3  # of the tests of whole rows and columns
_FOLD_LEVEL = 1e-6  # of the best period, after the number tried: heavy tails make small p-values
_MOST_GROUPS = 2048  # of one kind of line: more take minutes
_NEGLIGIBLE = 1e-4  # of the residual variance: a component at zero
COSINE_SHARE = 32
"""Lines for each low cosine along them that is left to the smooth field."""

_ROUNDS = 20
_SURE = 3.0  # standard errors by which a line variance exceeds what a smooth field makes
_SMALL = 0.02  # share of a line variance below which a smooth field does not matter to it


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEffect:
    """One kind of line and its variance.

    Attributes
    ----------
    axis : {"row", "col"}
        Which lines share the offset.
    period : int
        1 for whole lines; p for parts of a line whose other address is equal modulo p.
    variance, stderr : float
        In the unit of x², and its standard error.
    effects : (line, period) array
        Predicted offsets, shrunk towards zero; zero for lines without cells.
    p_value : float
        Of the test that found them.
    """

    axis: Axis
    period: int
    variance: float
    stderr: float
    effects: Floats
    p_value: float

    def groups(self, shape: tuple[int, int]) -> Integers:
        """Group of every cell, (row, col)."""
        return line_groups(shape, self.axis, self.period)

    def on_array(self, shape: tuple[int, int]) -> Floats:
        """Predicted offset of every cell, (row, col)."""
        return np.asarray(self.effects.ravel()[self.groups(shape)])

    @property
    def spread_df(self) -> float:
        """Return the degrees of freedom that the scatter of the effects allows the variance."""
        used = self.effects[self.effects != 0]
        if used.size < 3:
            return 1.0
        kurtosis = float(used.size * np.sum(used**4) / np.sum(used**2) ** 2)
        return float(max(2 * used.size / max(kurtosis - 1, 1e-9), 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineComponents:
    """All line effects of one field over the array.

    Attributes
    ----------
    effects : tuple of LineEffect
    residual : float
        Variance of a cell beside them, in the unit of x².
    covariance : (effect, effect) array
        Of the variances.
    shape : (rows, cols)
    """

    effects: tuple[LineEffect, ...]
    residual: float
    covariance: Floats = field(repr=False)
    shape: tuple[int, int]

    @property
    def variance(self) -> float:
        """Sum of all line variances, in the unit of x²."""
        return sum(e.variance for e in self.effects)

    def on_array(self) -> Floats:
        """Return the sum of the predicted offsets of every cell, (row, col)."""
        return np.asarray(np.sum([e.on_array(self.shape) for e in self.effects], axis=0))

    def pair_sums(self, weights: Floats) -> Floats:
        """Sum over pairs of different cells of one line of a_c·a_c', (effect,).

        Parameters
        ----------
        weights : (row, col) array
            a; zero for cells that do not count.
        """
        out = []
        for e in self.effects:
            sums = np.bincount(e.groups(self.shape).ravel(), weights.ravel())
            out.append(float(sums @ sums) - float(np.sum(weights**2)))
        return np.array(out)

    def power_sum(self, weights: Floats, power: int) -> float:
        """Sum a_c·a_c'·cov(c, c')^power over pairs of different cells that share lines.

        Two cells of one folded group share the whole line too: their covariance is the sum of both
        variances.

        Parameters
        ----------
        weights : (row, col) array
            a; zero for cells that do not count.
        power : int
        """
        out = 0.0
        for e, pairs in zip(self.effects, self.pair_sums(weights), strict=True):
            shared = sum(
                x.variance for x in self.effects if x.axis == e.axis and e.period % x.period == 0
            )
            out += float(pairs) * (shared**power - (shared - e.variance) ** power)
        return out

    def spectrum(self, observed: Bools, at: tuple[slice, slice] | None = None) -> Floats:
        """Power of cosine ordinates that the lines make, over that of the residual, (row, col).

        Parameters
        ----------
        observed : (row, col) bool array
            The other cells count as zero.
        at : (slice, slice), optional
            Rows and columns of the lattice that is transformed; all if not given.
        """
        rows, cols = (
            np.arange(n)[s]
            for n, s in zip(self.shape, at or (slice(None), slice(None)), strict=True)
        )
        inside = observed[at] if at is not None else observed
        out = np.zeros((len(rows), len(cols)))
        for e in self.effects:
            place = rows if e.axis == "col" else cols
            used = inside.sum(axis=0 if e.axis == "col" else 1)
            density = float(used @ used) / max(
                float(used.sum()) * len(place), 1.0
            )  # of a cell's line
            vectors = fft.dct(np.eye(len(place)), type=2, norm="ortho", axis=0)
            _, part = np.unique(place % e.period, return_inverse=True)
            folded = vectors @ np.eye(int(part.max()) + 1)[part]
            along = density * np.sum(folded**2, axis=1) + 1 - density
            power = along[:, None] if e.axis == "col" else along[None, :]
            out += e.variance / self.residual * power
        return out

    def without_field(self, of_field: dict[Axis, float]) -> LineComponents | None:
        """Take what a smooth field gives to whole lines out; None where no line effect is left.

        Parameters
        ----------
        of_field : mapping of axis to variance
            That the field gives to the means of whole lines, in the unit of x².
        """
        kept, effects = [], []
        for i, e in enumerate(self.effects):
            variance = e.variance - (of_field[e.axis] if e.period == 1 else 0.0)
            if (
                e.period > 1
                or variance > _SURE * e.stderr
                or of_field[e.axis] < _SMALL * e.variance
            ):
                kept.append(i)
                part = max(variance, _NEGLIGIBLE * self.residual) / e.variance
                effects.append(
                    replace(e, variance=part * e.variance, effects=part**0.5 * e.effects)
                )
        if not kept:
            return None
        return replace(self, effects=tuple(effects), covariance=self.covariance[np.ix_(kept, kept)])

    def error_df(self, sums: Floats) -> float:
        """Degrees of freedom of Σ sums·variance, from the errors of the variances."""
        of = np.array([e.variance for e in self.effects])
        total = float(sums @ of)
        error = float(sums @ self.covariance @ sums)
        if total <= 0:
            return np.inf
        known = 2 * total**2 / error if error > 0 else np.inf
        spread = sum(
            (s * e.variance / total) ** 2 / e.spread_df
            for s, e in zip(sums, self.effects, strict=True)
        )
        return float(min(known, 1 / spread if spread > 0 else np.inf))


def fit_lines(values: Floats) -> LineComponents | None:
    """Find and estimate the line effects of a field over the array.

    Parameters
    ----------
    values : (row, col) array
        About zero mean; NaN where not observed.

    Returns
    -------
    LineComponents or None
        None where no line effect is found, or too few lines or cells are observed to look for any.
    """
    observed = np.isfinite(values)
    n = int(observed.sum())
    used = [int(observed.any(axis=a).sum()) for a in (1, 0)]
    if min(used) < FEWEST_LINES or n < _FEWEST_CELLS * max(used):
        return None
    design = _fixed_effects(observed)
    y = (
        values[observed]
        - design @ np.linalg.lstsq(design.T @ design, design.T @ values[observed])[0]
    )
    if not np.any(y):
        return None
    tests = _Tests(y, observed)
    found = tests.find()
    if not found:
        return None
    groups = [tests.group(*kind) for kind in found]
    fitted = fit_crossed(y, groups, design)
    kept = [i for i, v in enumerate(fitted.variance) if v > _NEGLIGIBLE * fitted.residual]
    if not kept:
        return None
    plane = _fixed_effects(observed, cosines=False)
    predicted = predict_effects(values[observed], groups, plane, fitted)
    effects = []
    for i in kept:
        (axis, period), p_value = list(found.items())[i]
        lines = observed.shape[0 if axis == "row" else 1]
        padded = np.zeros(lines * period)
        padded[: len(predicted[i])] = predicted[i]
        effects.append(
            LineEffect(
                axis=axis,
                period=period,
                variance=float(fitted.variance[i]),
                stderr=float(np.sqrt(max(fitted.covariance[i, i], 0.0))),
                effects=padded.reshape(lines, period),
                p_value=p_value,
            )
        )
    return LineComponents(
        effects=tuple(effects),
        residual=fitted.residual,
        covariance=fitted.covariance[np.ix_(kept, kept)],
        shape=(observed.shape[0], observed.shape[1]),
    )


def _fixed_effects(observed: Bools, *, cosines: bool = True) -> Floats:
    """Return mean, plane and the lowest cosines along either side, at the observed cells."""
    place = np.nonzero(observed)
    columns = [np.ones(len(place[0]))]
    for at, n in zip(place, observed.shape, strict=True):
        columns.append(at / n - 0.5)
        count = n // COSINE_SHARE if cosines else 0
        columns += [np.cos(np.pi * j * (at + 0.5) / n) for j in range(2, 2 + count)]
    design = np.column_stack(columns)
    q, r = np.linalg.qr(design)
    independent = np.abs(np.diagonal(r)) > 1e-8 * np.sqrt(len(design))
    return np.asarray(q[:, independent] * np.sqrt(len(design)))


class _Tests:
    """F tests of rows, columns and folded lines on one field."""

    def __init__(self, y: Floats, observed: Bools) -> None:
        self.y, self.observed = y, observed
        self.shape = (observed.shape[0], observed.shape[1])
        rest = y.copy()
        for _ in range(_ROUNDS):
            for axis in AXES:
                g = self.group(axis, 1)
                rest = rest - _means(rest, g)[g]
        self.rest = rest
        lines = sum(len(np.unique(self.group(a, 1))) for a in ("row", "col"))
        self.df = len(y) - lines + 1
        self.square = float(rest @ rest)

    def group(self, axis: Axis, period: int) -> Integers:
        return line_groups(self.shape, axis, period)[self.observed]

    def find(self) -> dict[tuple[Axis, int], float]:
        """Kinds of lines that the array has, and the p-value of each."""
        found: dict[tuple[Axis, int], float] = {}
        rest, df = self.rest, self.df
        for axis in AXES:
            best = self._fold(axis, rest, df)
            if best is not None:
                period, p_value, spent = best
                found[axis, period] = p_value
                g = self.group(axis, period)
                rest, df = rest - _means(rest, g)[g], df - spent
        whole = float(rest @ rest) / max(df, 1)
        for axis in AXES:
            g = self.group(axis, 1)
            other = self.group("col" if axis == "row" else "row", 1)
            means = _means(self.y - _means(self.y, other)[other], g)
            count = np.bincount(g)
            lines = int((count > 0).sum())
            spent = lines - 1 - self.shape[0 if axis == "row" else 1] // COSINE_SHARE
            if spent < 2:
                continue
            between = float(count @ means**2) / spent
            p_value = _tail(between / whole, spent, df) if whole > 0 else 0.0
            folded = any(a == axis for a, _ in found)
            if folded or p_value < _LEVEL:
                found[axis, 1] = p_value
        return found

    def _fold(self, axis: Axis, rest: Floats, df: int) -> tuple[int, float, int] | None:
        """Best period of the lines of one axis: period, p-value and degrees spent."""
        other = self.shape[1 if axis == "row" else 0]
        lines = len(np.unique(self.group(axis, 1)))
        total = float(rest @ rest)
        best, highest, tried = None, 0.0, 0
        for period in (p for p in PERIODS if p * _FEWEST_IN_FOLD <= other):
            g = self.group(axis, period)
            count = np.bincount(g)
            groups = int((count > 0).sum())
            spent = groups - lines
            if (
                groups > _MOST_GROUPS
                or spent < 2
                or len(rest) < _FEWEST_IN_FOLD * groups
                or df - spent < 2
            ):
                continue
            tried += 1
            between = float(count @ _means(rest, g) ** 2)
            inside = total - between
            if inside <= 0:
                continue
            ratio = between / spent / (inside / (df - spent))
            gain = 0.5 * (
                df * np.log(total / df)
                - spent * np.log(between / spent)
                - (df - spent) * np.log(inside / (df - spent))
            )
            if ratio > 1 and gain > highest:
                best, highest = (period, _tail(ratio, spent, df - spent), spent), float(gain)
        if best is None or best[1] * tried >= _FOLD_LEVEL:
            return None
        return best[0], min(best[1] * tried, 1.0), best[2]


def _means(values: Floats, group: Integers) -> Floats:
    """Mean of each group; zero for those without members."""
    count = np.bincount(group)
    return np.asarray(np.bincount(group, values) / np.maximum(count, 1))


def _tail(ratio: float, above: float, below: float) -> float:
    """Chance of an F ratio as large."""
    return float(special.fdtrc(above, below, ratio))
