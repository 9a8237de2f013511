"""Findings about lines: one line that is an outlier, and offsets that repeat within lines.

An outlier. With z̄_i the mean over line i of the normal scores of its n_i cells, v the variance of
line offsets and s² that of a cell,

    z̄_i / √(v + s²/n_i)  ~  Normal(0, ·)

over lines, except for outliers; if there may be a smooth field, each line is taken less a parabola
through the eight lines beside it. Outliers are found by the generalised extreme Studentised deviate
test (Rosner, Technometrics 25 (1983) 165), at 1 % over all lines and levels together. A pattern
that repeats over the lines is removed first, because it is reported by
`rramfit.fitting.checks.line_artefacts`.

Offsets that repeat within lines were found by the fit of the line offsets
(`rramfit.fitting.statistics.over_array.lines`) and are only put into words here. Offsets of whole
lines that are normal, without outlier or period, are no finding: they are in the card.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.line_groups import line_groups
from rramfit.fitting.results.result import Finding
from rramfit.fitting.statistics.inference import Driver
from rramfit.fitting.statistics.over_array.periodic import FALSE_ALARM, periodic_pattern
from rramfit.fitting.variation.one_level import LevelVariation
from rramfit.units import format_percent, format_quantity

__all__ = ["find_outliers", "line_findings"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ERROR = 0.01  # of reporting any line of a healthy array
_FEWEST_LINES, _FEWEST_CELLS = 16, 4
_NEAREST = 4  # lines on either side
_NO_FIELD = 0.9  # posterior of no smooth field from which lines are compared over the whole array
_MOST_OUTLIERS = 0.1  # share of the lines
_NAMED = 4  # lines that a finding names
_WORD = {"row": "row", "col": "column"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlier:
    """A line that deviates at one level."""

    line: int
    level: int
    z: float  # standard deviations of lines
    text: str  # the deviation, with its unit


def line_findings(levels: Sequence[LevelVariation]) -> list[Finding]:
    """Report outlying lines, and offsets that repeat within lines.

    Parameters
    ----------
    levels : sequence of LevelVariation
        The levels that were fitted.
    """
    found = [*_folded(levels)]
    for axis in ("row", "col"):
        outliers = [x for v in levels for x in _outliers(v, axis, _ERROR / (2 * len(levels)))]
        if outliers:
            found.append(_outlier_finding(outliers, axis, levels[0].centre.shape[axis == "col"]))
    return found


def _outliers(v: LevelVariation, axis: str, error: float) -> list[_Outlier]:
    """Find the lines of one level that deviate from the others."""
    along = 1 if axis == "row" else 0
    scores = v.driver.scores
    n = np.isfinite(scores).sum(axis=along)
    used = np.flatnonzero(n >= _FEWEST_CELLS)
    if used.size < _FEWEST_LINES:
        return []
    mean = np.nansum(scores, axis=along)[used] / n[used]
    if used.size == n.size:
        pattern = periodic_pattern(scores, 1 - along)
        if pattern is not None and pattern.p_value < FALSE_ALARM and pattern.profile.size:
            mean = mean - pattern.profile[used % pattern.profile.size]
    z = mean / np.sqrt(_variance(v.driver, axis)[used])
    if v.driver.field is not None and v.driver.field.weight[-1] < _NO_FIELD:
        z = _about_neighbours(z)
    value = v.centre - v.trend
    in_line = np.nansum(value, axis=along)[used] / n[used]
    step = in_line - np.median(in_line)
    return [
        _Outlier(line=int(used[i]), level=v.level, z=float(z[i]), text=_amount(step[i], v.domain))
        for i in find_outliers(z, error)
    ]


def _about_neighbours(mean: Floats) -> Floats:
    """Return each line less a parabola through the eight lines beside it, in units of its error."""
    n = len(mean)
    out = np.empty(n)
    for i in range(n):
        low = min(max(i - _NEAREST, 0), n - 2 * _NEAREST - 1)
        x = np.arange(low, low + 2 * _NEAREST + 1) - i
        x = x[x != 0]
        weight = np.linalg.pinv(np.vander(x, 3))[2]  # of the neighbours, in the value at the line
        out[i] = (mean[i] - weight @ mean[i + x]) / math.sqrt(1 + float(weight @ weight))
    return out


def _variance(driver: Driver, axis: str) -> Floats:
    """Return the variance of each line's mean score, (line,)."""
    seen = np.isfinite(driver.scores)
    shape = (seen.shape[0], seen.shape[1])
    line = line_groups(shape, "row" if axis == "row" else "col", 1)
    n = np.maximum(np.bincount(line[seen], minlength=int(line.max()) + 1), 1)
    lines = driver.lines
    out = (1.0 if lines is None else lines.residual) / n
    for effect in () if lines is None else lines.effects:
        key = line * (int(effect.groups(shape).max()) + 1) + effect.groups(shape)
        key, count = np.unique(key[seen], return_counts=True)
        of = key // (int(effect.groups(shape).max()) + 1)
        out = out + effect.variance * np.bincount(of, count**2, len(n)) / n**2
    return np.asarray(out, dtype=np.float64)


def find_outliers(z: Floats, error: float) -> Integers:
    """Find outliers among normal values by Rosner's test, largest first.

    Parameters
    ----------
    z : (n,) array
    error : float
        Probability of reporting any if there is none.

    Examples
    --------
    >>> z = np.append(np.linspace(-2, 2, 40), 9.0)
    >>> find_outliers(z, 0.01)
    array([40])
    """
    left = np.arange(len(z))
    order, found = [], 0
    for i in range(1, max(int(_MOST_OUTLIERS * len(z)), 1) + 1):
        x = z[left]
        spread = float(x.std(ddof=1))
        if spread == 0 or len(x) < _FEWEST_CELLS:
            break
        far = int(np.argmax(np.abs(x - x.mean())))
        m = len(x)
        t = float(special.stdtrit(m - 2, 1 - error / (2 * m)))
        limit = (m - 1) * t / math.sqrt((m - 2 + t**2) * m)
        order.append(int(left[far]))
        if abs(x[far] - x.mean()) > limit * spread:
            found = i
        left = np.delete(left, far)
    return np.array(order[:found], dtype=np.int64)


def _amount(step: float, domain: str) -> str:
    """Format a deviation in siemens, or in per cent for logarithms."""
    if domain == "log":
        return (
            f"×{math.exp(step):.2g}"
            if abs(step) > 1
            else f"{format_percent(math.expm1(step), signed=True)}"
        )
    return ("+" if step > 0 else "-") + format_quantity(abs(float(step)), "S", digits=2)


def _outlier_finding(outliers: list[_Outlier], axis: str, lines: int) -> Finding:
    """Report the outlying lines of one axis, each at the level where it is clearest."""
    clearest: dict[int, _Outlier] = {}
    for x in sorted(outliers, key=lambda x: -abs(x.z)):
        clearest.setdefault(x.line, x)
    named = [f"{x.line} ({x.text} at level {x.level})" for x in list(clearest.values())[:_NAMED]]
    more = len(clearest) - len(named)
    text = ", ".join(named) + (f" and {more} more" if more else "")
    word = _WORD[axis]
    one = len(clearest) == 1
    return Finding(
        f"{word.capitalize()}{'' if one else 's'} {text} {'deviates' if one else 'deviate'} from "
        f"the other {word}s by more than the spread between {word}s explains.",
        f"Check the driver, sense amplifier and contact of {'this' if one else 'each'} {word}.",
        affected=len(clearest) / lines,
        code="line-deviates",
    )


def _folded(levels: Sequence[LevelVariation]) -> list[Finding]:
    """Report offsets that repeat within lines, over all levels that have them."""
    having: dict[tuple[str, int], list[LevelVariation]] = defaultdict(list)
    for v in levels:
        for x in v.offsets:
            if x.period > 1:
                having[x.axis, x.period].append(v)
    found = []
    for (axis, period), some in having.items():
        word, other = (_WORD[axis], _WORD["col" if axis == "row" else "row"])
        each = [
            f"{format_quantity(x.std.value, 'S', digits=3)} at level {v.level}"
            for v in some
            for x in v.offsets
            if (x.axis, x.period) == (axis, period)
        ]
        more = f" and {len(each) - _NAMED} more levels" if len(each) > _NAMED else ""
        found.append(
            Finding(
                f"Offsets repeat every {period} {other}s of a {word}: cells whose {other}s are "
                f"equal modulo {period} share an offset, with a standard deviation over the array "
                f"of {', '.join(each[:_NAMED])}{more}{_largest(some, axis, period)}.",
                f"Check what every {period}th {other} of a {word} shares, such as one of {period} "
                f"sense amplifiers or multiplexer inputs, or {period} {other}s that are programmed "
                "in turn. The errors and the card include these offsets.",
                code="folded-line-offsets",
            )
        )
    return found


def _largest(levels: Sequence[LevelVariation], axis: str, period: int) -> str:
    """Name the largest offset of a period."""
    best: tuple[float, str] = (0.0, "")
    for v in levels:
        for effect in () if v.driver.lines is None else v.driver.lines.effects:
            if (effect.axis, effect.period) != (axis, period):
                continue
            line, part = np.unravel_index(np.argmax(np.abs(effect.effects)), effect.effects.shape)
            size = float(effect.effects[line, part])
            if abs(size) > best[0]:
                amount = _amount(size * float(np.nanstd(v.centre - v.trend)), v.domain)
                word, other = (_WORD[axis], _WORD["col" if axis == "row" else "row"])
                text = f"; the largest is {amount}, in {word} {line}, {other}s {part} + {period}·i"
                best = abs(size), text
    return best[1]
