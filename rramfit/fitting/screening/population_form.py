"""A population among others: its density, the share of the others, and where it ends.

Values y are a mixture of the population, with density f, and of others, anywhere in a range R:

    y ~ (1 − π)·f(y) + π/R,      f = (1 − ε)·f₀(y) + ε·t₃((x − c)/σ)/σ·|dx/dy|

f₀ is a known density or, where none is known, Student's t with 3, 8 or infinite degrees of freedom
about the quartiles of the values that belong to it, in y or ln y, whichever is most likely. The
part ε allows for a tail of f₀ that is heavier than the known one; x is y or, for a wide density
that is more symmetric in ln y, ln y, with median c and σ from the quartiles. π follows by
expectation-maximisation. A value belongs to the population where the first part is the larger, and
within 3 σ of its median: the others need not be spread evenly over R.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "FEWEST",
    "Form",
    "LevelDensity",
    "known_form",
    "outlier_limits",
    "own_form",
    "share_off",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LogDensity = Callable[[Floats], Floats]

FEWEST = 8
"""Values whose quartiles describe their population."""

_TAIL = 0.02  # ε
_OWN = 3.0  # σ from the median within which a value always belongs to the population
_OWN_DF, _TAIL_DF = (3.0, 8.0, math.inf), 3.0
_WIDE = 0.1  # relative spread above which symmetry in ln y can be seen
_NORMAL_IQR = 1.349  # interquartile range of a standard normal
_REACH, _STEPS = 12.0, 4001  # grid for the limits: sinh(±12) standard deviations
_APART = {3.0: 2.0, 8.0: 1.5, math.inf: 1.25}  # ratio of distances across a gap, by df
_MANY = 5  # values in a tail beyond those expected that need no gap
_NEAR = 3.0  # interquartile ranges from the median within which no value is an outlier


class LevelDensity(Protocol):
    """Distribution of the accepted readings of one level."""

    def logpdf(self, g: Floats) -> Floats:
        """Return the log density [ln 1/S] at conductances [S]."""

    def ppf(self, probability: Floats) -> Floats:
        """Return quantiles [S]."""


@dataclass(frozen=True, slots=True)
class Form:
    """Density of a population, with the quartiles of its tail in y or in ln y.

    `centre` and `sigma` are those of y, or of ln y if `log`; `df` are those of Student's t if the
    density is one.
    """

    shape: LogDensity
    centre: float
    sigma: float
    log: bool = False
    df: float = math.inf

    @property
    def median(self) -> float:
        """Return the median of y."""
        return math.exp(self.centre) if self.log else self.centre

    @property
    def spread(self) -> float:
        """Return the standard deviation of y."""
        return self.median * math.sinh(self.sigma) if self.log else self.sigma

    def log_density(self, y: Floats) -> Floats:
        """Return ln f, (y,)."""
        tail = _log_student(y, self.centre, self.sigma, _TAIL_DF, log=self.log) + math.log(_TAIL)
        with np.errstate(divide="ignore", invalid="ignore"):
            core = np.nan_to_num(self.shape(y), nan=-np.inf) + math.log1p(-_TAIL)
        return np.asarray(np.logaddexp(core, tail), dtype=np.float64)

    def mix(self, y: Floats, span: float) -> tuple[float, float]:
        """Return the share π of others, and ln 1/R."""
        flat = -math.log(max(span, 20 * self.spread, abs(self.median)))
        return share_off(self.log_density(y), flat), flat

    def inside(self, y: Floats, span: float) -> Bools:
        """Return which values belong to the population."""
        return self._belong(y, *self.mix(y, span))

    def limits(self, y: Floats, span: float, *, least: float = 0.0) -> tuple[float, float]:
        """Return the lowest and the highest value that belongs to the population.

        `least` is the smallest share of others to assume.
        """
        z = np.sinh(np.linspace(-_REACH, _REACH, _STEPS))
        grid = self.median + self.spread * z
        share, flat = self.mix(y, span)
        inside = grid[self._belong(grid, max(share, least), flat)]
        return float(inside[0]), float(inside[-1])

    def _belong(self, y: Floats, share: float, flat: float) -> Bools:
        x = np.log(np.where(y > 0, y, 1.0)) if self.log else y
        near = (np.abs(x - self.centre) <= _OWN * self.sigma) & ((y > 0) | (not self.log))
        found: Bools = math.log1p(-share) + self.log_density(y) > math.log(share) + flat
        return found | near

    def log_likelihood(self, y: Floats, span: float) -> float:
        """Return the log likelihood of the mixture."""
        share, flat = self.mix(y, span)
        terms = np.logaddexp(
            math.log1p(-share) + self.log_density(y), np.full(y.shape, math.log(share) + flat)
        )
        return float(terms.sum())


def share_off(inside: Floats, flat: float) -> float:
    """Return the share π of others, for log densities `inside` and ln 1/R = `flat`."""
    share = 0.05
    for _ in range(100):
        off = special.expit(math.log(share) + flat - math.log1p(-share) - inside)
        new = (float(off.sum()) + 0.5) / (len(inside) + 1)  # never 0: the next value may be off
        done = abs(new - share) < 1e-6
        share = new
        if done:
            break
    return share


def known_form(known: LevelDensity) -> Form | None:
    """Return a fitted distribution with its quartiles; None without spread."""
    low, centre, high = known.ppf(np.array([0.25, 0.5, 0.75])).tolist()
    if not high > low:
        return None
    if low > 0 and high - low > _WIDE * _NORMAL_IQR * centre:
        skew = math.log((high - centre) / (centre - low)) if high > centre > low else 0.0
        log_skew = math.log(math.log(high / centre) / math.log(centre / low)) if skew else 0.0
        if abs(log_skew) < abs(skew):
            sigma = math.log(high / low) / _NORMAL_IQR
            return Form(known.logpdf, math.log(centre), sigma, log=True)
    return Form(known.logpdf, centre, (high - low) / _NORMAL_IQR)


def own_form(y: Floats, span: float, *, scales: Sequence[bool] = (False, True)) -> Form | None:
    """Return Student's t about the quartiles of the population; None without spread.

    `span` is the range R. `scales` says whether to try y, ln y (True), or both. The quartiles are
    taken again without the others until those no longer change.
    """
    forms = []
    for log in scales:
        if log and (y > 0).sum() < max(FEWEST, 0.9 * y.size):
            continue
        for df in _OWN_DF:
            form = _settled(y, span, df, log=log)
            if form is not None:
                forms.append(form)
    return max(forms, key=lambda f: f.log_likelihood(y, span), default=None)


def _settled(y: Floats, span: float, df: float, *, log: bool) -> Form | None:
    keep = y > 0 if log else np.ones(y.shape, dtype=np.bool_)
    form: Form | None = None
    for _ in range(20):
        x = np.log(y[keep]) if log else y[keep]
        low, centre, high = np.quantile(x, [0.25, 0.5, 0.75]).tolist()
        if not high > low:
            break
        form = _student(centre, (high - low) / _NORMAL_IQR, df, log=log)
        inside = form.inside(y, span) & ((y > 0) | (not log))
        if inside.sum() < FEWEST or (inside == keep).all():
            break
        keep = inside
    return form


def _student(centre: float, sigma: float, df: float, *, log: bool) -> Form:
    """Return Student's t with the quartiles of a normal of this median and spread."""
    quartile = 0.5 * _NORMAL_IQR if math.isinf(df) else float(special.stdtrit(df, 0.75))
    scale = sigma * 0.5 * _NORMAL_IQR / quartile
    return Form(lambda y: _log_student(y, centre, scale, df, log=log), centre, sigma, log, df)


def _log_student(y: Floats, centre: float, scale: float, df: float, *, log: bool) -> Floats:
    """Return the log density of y, of which y or ln y has Student's t distribution."""
    x = np.log(np.where(y > 0, y, 1.0)) if log else y
    z2 = ((x - centre) / scale) ** 2
    if math.isinf(df):
        out = -0.5 * z2 - 0.5 * math.log(2 * math.pi)
    else:
        constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2)
        constant -= 0.5 * math.log(df * math.pi)
        out = constant - (df + 1) / 2 * np.log1p(z2 / df)
    out = out - math.log(scale) - (x if log else 0.0)
    return np.asarray(np.where((y > 0) | (not log), out, -np.inf), dtype=np.float64)


def outlier_limits(y: Floats) -> tuple[float, float]:
    """Return the limits outside which values are apart from the others.

    They are outside the population of the others, and a gap separates them: the nearest is farther
    from the median than the farthest of the others on its side, by a factor of 1.25 for a normal
    population to 2 for one with heavy tails. A tail without a gap belongs to the others, unless it
    has far more values than that of a normal population.

    Parameters
    ----------
    y : (n,) array
        Finite values, in any unit.
    """
    if y.size < FEWEST:
        return -math.inf, math.inf
    low, centre, high = np.quantile(y, [0.25, 0.5, 0.75]).tolist()
    if float(np.abs(y - centre).max()) < _NEAR * (high - low):
        return -math.inf, math.inf
    span = float(np.ptp(y))
    form = own_form(y, span, scales=(False,))
    if form is None:
        return -math.inf, math.inf
    out = []
    for side, limit in zip((-1.0, 1.0), form.limits(y, span), strict=True):
        far = np.sort(side * (y - form.centre))
        first = int(np.searchsorted(far, side * (limit - form.centre), side="right"))
        inner = np.maximum(far[max(first, 1) - 1 : -1], form.sigma)
        gaps = np.flatnonzero(far[max(first, 1) :] > _APART[form.df] * inner)
        reach = side * (limit - form.centre)
        expected = len(y) * float(special.ndtr(-reach / form.sigma))
        end = math.inf
        if math.isinf(form.df) and len(far) - first >= _MANY + 3 * expected:
            gaps, end = gaps[:0], reach
        if gaps.size:
            end = math.sqrt(far[max(first, 1) + gaps[0]] * inner[gaps[0]])
        out.append(form.centre + side * end)
    return out[0], out[1]
