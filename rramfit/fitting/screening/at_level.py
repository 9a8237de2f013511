"""Cells of a group that are at the level they were programmed to, decided from first readings.

The first readings y of the cells that were programmed to level k are a mixture of cells at the
level and of others, anywhere in the range R of all readings:

    y ~ (1 − π)·f_k(y) + π/R

(`rramfit.fitting.screening.population_form`). f_k is the fitted distribution of the level, if the
quartiles of the group agree with it within their errors. Otherwise the cells have moved since
programming, or the file has no programming sweeps, and f_k comes from the group itself. Cells have
moved as a level if they are nearer to it than to its neighbours, or if hardly any is left at it;
otherwise those far away failed.

A cell is at its level where the first part is the larger. The decision uses one reading, not the
spread of several, so that it does not select cells by their noise.

Not here: cells that failed but read like their level, which no reading can distinguish, and stuck
cells, which programming sweeps show (`rramfit.fitting.screening.stuck`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.population_form import (
    FEWEST,
    Form,
    LevelDensity,
    known_form,
    own_form,
    share_off,
)
from rramfit.units import counted, format_quantity

__all__ = ["AtLevel", "at_any_level", "find_at_level"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ERRORS = 4.0  # standard errors within which the quartiles agree
_REPORTED = 1e-3  # share of cells off their level from which a finding is reported
_LEAVING = 0.05  # share of cells that may leave their level later
_LEFT_BEHIND = 0.1  # share of cells at the level below which it has moved as a whole
_MOST = 0.5  # share from which the group is not what was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLevel:
    """Which cells of a group are at their level.

    Attributes
    ----------
    at, off : (row, col) bool array
        Usable cells that were programmed to a level: at it, and not at it. Cells without a reading
        are in neither.
    lower, upper : (level,) array
        Limits of each level for later readings, as if at least 5 % of cells were not at it [S];
        infinite for a level without cells.
    moved : (level,) array
        Change of the median since programming of a level that has left its place [S]; 0 if it has
        not, or if its distribution is not known.
    """

    at: Bools
    off: Bools
    level: Integers
    lower: Floats
    upper: Floats
    moved: Floats

    def __post_init__(self) -> None:
        for a in (self.at, self.off, self.lower, self.upper, self.moved):
            a.flags.writeable = False

    def within(self, y: Floats) -> Bools:
        """Return which readings, (row, col) [S], are within the limits of the cell's level."""
        k = np.maximum(self.level, 0)
        with np.errstate(invalid="ignore"):
            inside: Bools = (self.level >= 0) & (y >= self.lower[k]) & (y <= self.upper[k])
        return inside

    def findings(self, group: str, *, left: int = 0) -> list[Finding]:
        """Return the levels that moved, and the cells off their level if they are not the odd one.

        Parameters
        ----------
        group : str
            Name of the group, such as ``/reads``.
        left : int
            Cells that were at their level first and left it later.
        """
        out = []
        if gone := np.flatnonzero(self.moved).tolist():
            k = max(gone, key=lambda k: abs(self.moved[k]))
            levels = f"L{k}" if len(gone) == 1 else f"{len(gone)} levels, L{k} most,"
            out.append(
                Finding(
                    f"{group}: when first read, nearly all cells of {levels} are far from the "
                    "conductance at which they were accepted, by "
                    f"{format_quantity(float(self.moved[k]), 'S', digits=3)}",
                    "Check the levels of this group; its estimates describe the cells as they are",
                    code="whole-level-moved",
                )
            )
        off, n = int(self.off.sum()), int(self.at.sum() + self.off.sum())
        if max(off, left) < 2 or off + left <= _REPORTED * n:
            return out
        by_level = np.bincount(self.level[self.off], minlength=len(self.lower))
        parts = [f"L{k}: {by_level[k]}" for k in np.flatnonzero(by_level)[:8].tolist()]
        more = ", …" if np.count_nonzero(by_level) > 8 else ""
        what = (
            f"{group}: {off} of {n} cells are not at their programmed level at the first read "
            f"({', '.join(parts)}{more})"
        )
        if not off:
            what = f"{group}: all {n} cells are at their level when first read"
        if left:
            what += f", and {counted(left, 'other cell' if off else 'cell')} left it later"
        out.append(
            Finding(
                what,
                "Use the estimates of this group only for cells at their level",
                severe=off > _MOST * n,
                affected=(off + left) / n,
                code="cells-off-level",
            )
        )
        return out


def find_at_level(
    first: Floats,
    level: Integers,
    usable: Bools,
    *,
    expected: Sequence[LevelDensity | None] = (),
    expected_cells: Sequence[int] = (),
) -> AtLevel:
    """Decide which cells are at their level.

    Parameters
    ----------
    first : (row, col) array
        First reading of every cell [S]; NaN if there is none.
    level : (row, col) array of int
        Level of every cell; −1 = not programmed.
    usable : (row, col) bool array
        Cells without a known fault.
    expected : sequence of LevelDensity or None
        Fitted distribution of each level; may be shorter than the number of levels.
    expected_cells : sequence of int
        Number of cells to which each distribution was fitted.

    Returns
    -------
    AtLevel

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = 50e-6 + 2e-6 * rng.standard_normal((20, 20))
    >>> y[0, :5] = 8e-6
    >>> found = find_at_level(y, np.zeros((20, 20), dtype=np.int64), np.ones((20, 20), dtype=bool))
    >>> bool(found.off[0, :5].all()), bool(found.at.mean() > 0.98)
    (True, True)
    """
    level = np.asarray(level, dtype=np.int64)
    seen = usable & (level >= 0) & np.isfinite(first)
    n_levels = max(int(level.max(initial=-1)) + 1, len(expected), 1)
    lower, upper = np.full(n_levels, -np.inf), np.full(n_levels, np.inf)
    moved = np.zeros(n_levels)
    at = np.zeros(level.shape, dtype=np.bool_)
    known = [expected[k] if k < len(expected) else None for k in range(n_levels)]
    readings = [np.asarray(first[seen & (level == k)], dtype=np.float64) for k in range(n_levels)]
    centres = np.array([_centre(f, y) for f, y in zip(known, readings, strict=True)])
    for k, y in enumerate(readings):
        if not y.size:
            continue
        span = float(np.ptp(first[seen]))
        gaps = np.abs(np.delete(centres, k) - centres[k])
        gap = float(np.nanmin(gaps)) if np.isfinite(gaps).any() else abs(float(centres[k]))
        cells = expected_cells[k] if k < len(expected_cells) else 0
        form, moved[k] = _form(y, known[k], cells=cells, span=span, gap=gap)
        of = seen & (level == k)
        at[of] = True if form is None else form.inside(y, span)
        if form is not None:
            lower[k], upper[k] = form.limits(y, span, least=_LEAVING)
    return AtLevel(at=at, off=seen & ~at, level=level, lower=lower, upper=upper, moved=moved)


def at_any_level(y: Floats, expected: Sequence[LevelDensity | None]) -> Bools:
    """Return which conductances may be of some level, where the level of each cell is not known.

    Parameters
    ----------
    y : (cell,) array
        Conductances [S]; NaN is at no level.
    expected : sequence of LevelDensity or None
        Fitted distributions; all conductances are at a level if there is none.
    """
    forms = [form for f in expected if f is not None and (form := known_form(f)) is not None]
    seen = np.isfinite(y)
    if not forms or not seen.any():
        return np.isfinite(y)
    x = y[seen]
    inside = special.logsumexp([f.log_density(x) for f in forms], axis=0) - math.log(len(forms))
    ranges = [max(20 * f.spread, f.median) for f in forms]
    flat = -math.log(max(float(np.ptp(x)), *ranges))
    share = share_off(inside, flat)
    out = np.zeros(y.shape, dtype=np.bool_)
    out[seen] = math.log1p(-share) + inside > math.log(share) + flat
    return out


def _centre(known: LevelDensity | None, y: Floats) -> float:
    if known is not None:
        return float(known.ppf(np.array([0.5]))[0])
    return float(np.median(y)) if y.size else math.nan


def _form(
    y: Floats, known: LevelDensity | None, *, cells: int, span: float, gap: float
) -> tuple[Form | None, float]:
    """Return the density of the cells at one level, from its first readings, and how far it moved.

    `span` is the range of readings of all levels, and `gap` the distance to the nearest level [S].
    """
    own = own_form(y, span) if y.size >= FEWEST else None
    if known is None:
        return own, 0.0
    form = known_form(known)
    if form is None:
        return own, 0.0
    if own is None:
        return form, 0.0
    shift = own.median - form.median
    at = int(form.inside(y, span).sum())
    if abs(shift) > max(0.5 * gap, 3 * form.spread):
        if at < _LEFT_BEHIND * len(y) and own.inside(y, span).sum() > _MOST * len(y):
            return own, shift
        return form, 0.0
    error = math.sqrt(1 / max(at, 1) + (1 / cells if cells else 0.0))
    # Standard errors of a normal's median, and of the logarithm of its interquartile range.
    agrees = abs(shift) <= _ERRORS * 1.25 * max(form.spread, own.spread) * error
    agrees &= abs(math.log(own.spread / form.spread)) <= _ERRORS * 1.17 * error
    return (form if agrees else own), 0.0
