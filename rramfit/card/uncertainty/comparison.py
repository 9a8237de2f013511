"""Compare two cards parameter by parameter, with both errors of each.

A parameter has an error from the cells of one array, s (`stderr`), and, if several arrays were
pooled, a standard deviation between arrays, b (`between`). The difference is taken on the scale of
the intervals (`rramfit.card.uncertainty.scales`) and tested with Welch's t and the
Welch-Satterthwaite degrees of freedom:

    V = s₁² + s₂² + b₁² + b₂²,   t = (x₁ − x₂)/√V,   df = V²/(s₁⁴/df₁ + s₂⁴/df₂)

A card with `between` states a population: an array of it deviates by b from the value. A card of
one array has no `between`. The test of a pooled card against an array is therefore that of a
prediction interval, V = s₁² + b₁² + s₂²; two arrays whose population is known contribute 2·b².
Intervals that are symmetric on no scale enter by the halves that face each other (Zou and Donner,
Psychological Methods 12 (2007) 399). Holm's step-down test limits the probability of any false
alarm over all parameters.

One array cannot show how much arrays differ. Two things follow if neither side has `between`:

- If a value drifts over an array, other arrays may have another drift. Its standard deviation over
  the array (`trend`) then takes the place of b.
- A significant difference of at most 10 %, or of two trends, is called undecided: the cells say
  that the arrays differ, not that arrays of this kind usually differ less.

Two given numbers have neither error nor t: they are equal or they are not. Not compared are values
with different meanings: parameters of different families, at different reference points, or of
different levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scipy import special

from rramfit.card.quantity import Quantity, quantities, result_html
from rramfit.card.schema import ModelCard
from rramfit.card.uncertainty.scales import SCALES, halves, on_scale
from rramfit.units import counted, format_quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DRIFT_COUNTED",
    "MISSING_BETWEEN",
    "CardComparison",
    "ParameterTest",
    "compare_cards",
    "compare_parameters",
    "difference",
    "drift_counted",
    "holm",
    "levels_found_blind",
    "missing_between",
    "temperature_difference",
]

_ALPHA = 0.05
LITTLE = 0.1
"""Relative difference up to which one array cannot tell whether arrays usually differ as much."""

_OF_ONE_ARRAY = (".row_trend", ".col_trend")  # which other arrays need not share
_SAME_REFERENCE = 0.02  # relative difference up to which two reference points are the same

MISSING_BETWEEN = (
    "One array cannot show how much arrays differ. Measure several arrays to estimate the "
    "variation between them."
)
DRIFT_COUNTED = (
    "Where a value drifts over an array, another array may drift in another way: the drift was "
    "counted as variation between arrays."
)
_GIVEN = "given, not estimated"
_UNDECIDED = "differs; one array cannot tell whether arrays of this kind differ as much"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTest:
    """One parameter in both cards.

    Attributes
    ----------
    path : str
    first, second : Quantity
    t, df, p_value : float
        Difference in units of its standard error, degrees of freedom, two-sided p-value; NaN for
        two given numbers.
    differs : bool
        Whether the difference is significant in Holm's test over all parameters; of given numbers,
        whether they are not equal.
    drifts : bool
        Whether a trend over an array was counted as variation between arrays.
    """

    path: str
    first: Quantity
    second: Quantity
    t: float
    df: float
    p_value: float
    differs: bool = False
    drifts: bool = False

    @property
    def estimated(self) -> bool:
        """Whether at least one of the numbers has an error."""
        return _has_error(self.first) or _has_error(self.second)

    @property
    def between_known(self) -> bool:
        """Whether it is known how much arrays differ."""
        return self.first.between is not None or self.second.between is not None

    @property
    def undecided(self) -> bool:
        """Whether arrays of this kind may usually differ as much as these two."""
        x, y = self.first.value, self.second.value
        little = abs(x - y) <= LITTLE * max(abs(x), abs(y)) or self.path.endswith(_OF_ONE_ARRAY)
        return self.differs and self.estimated and not self.between_known and little

    @property
    def words(self) -> str:
        """Sentence on the result; empty if two estimates do not differ."""
        if not self.estimated:
            return f"{_GIVEN}: {'differs' if self.differs else 'equal'}"
        return (_UNDECIDED if self.undecided else "differs") if self.differs else ""

    def shown(self) -> dict[str, str]:
        """Return both values, t and the result, rounded."""
        t = "" if math.isnan(self.t) else f"{self.t:.2f}"
        return {"first": str(self.first), "second": str(self.second), "t": t, "": self.words}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardComparison:
    """Differences of common parameters, and parameters that only one card has.

    Attributes
    ----------
    differences : tuple of ParameterTest
    only_first, only_second : tuple of str
        Paths that the other card does not have, or has in another unit.
    other_meaning : tuple of str
        Paths that both cards have, with another meaning in each.
    notes : tuple of str
        What the comparison cannot tell, one sentence each.
    """

    differences: tuple[ParameterTest, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    other_meaning: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def max_t(self) -> float:
        """Largest |t| of estimates; 0 if the cards have none in common."""
        return max((abs(d.t) for d in self.differences if d.estimated), default=0.0)

    @property
    def significant(self) -> tuple[ParameterTest, ...]:
        """Parameters that differ: given numbers, then estimates by p-value."""
        found = [d for d in self.differences if d.differs]
        return tuple(sorted(found, key=lambda d: d.p_value if d.estimated else -1.0))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter: first, second, unit, t, df, p_value, result."""
        import pandas as pd

        rows = [
            {
                "first": d.first.value,
                "second": d.second.value,
                "unit": d.first.unit,
                "t": d.t,
                "df": d.df,
                "p_value": d.p_value,
                "result": d.words,
            }
            for d in self.differences
        ]
        columns = ["first", "second", "unit", "t", "df", "p_value", "result"]
        return pd.DataFrame(rows, index=[d.path for d in self.differences], columns=columns)

    def _repr_html_(self) -> str:
        differing = len(self.significant)
        head = f"{differing} of {counted(len(self.differences), 'common parameter')} differ"
        return result_html(head, {d.path: d.shown() for d in self.differences}, self.notes)


def compare_cards(first: ModelCard, second: ModelCard) -> CardComparison:
    """Compare two cards by parameter; one with another unit counts as missing."""
    a, b = dict(quantities(first)), dict(quantities(second))
    skipped = tuple(_other_meaning(first, second))
    common = [path for path in a if path in b and a[path].unit == b[path].unit]
    compared = [path for path in common if not path.startswith(skipped)]
    tests = [_tested(path, a[path], b[path]) for path in compared]
    notes = [temperature_difference(first, second), missing_between(tests), drift_counted(tests)]
    return CardComparison(
        differences=tuple(holm(tests, _ALPHA)),
        only_first=tuple(path for path in a if path not in common),
        only_second=tuple(path for path in b if path not in common),
        other_meaning=tuple(path for path in common if path.startswith(skipped)),
        notes=tuple(note for note in notes if note is not None),
    )


def compare_parameters(first: ModelCard, second: ModelCard) -> list[ParameterTest]:
    """Test every estimated parameter that both cards have, in the order of the first.

    Levels are matched by position; the caller must check that they are the same. Left out are the
    domain, which repeats other parameters, the components of mixtures, which need not be the same
    in both cards, and thresholds beyond which fewer than one reading of a card is expected: these
    and the overlaps there follow from tails that few or no readings show, as does all of `tails`.
    """
    mixtures = (
        f"levels[{i}].distribution."
        for i, level in enumerate(first.levels)
        if level.distribution and level.distribution.family == "mixture"
    )
    left_out = ("domain", "tails", *mixtures, *_extrapolated(first), *_extrapolated(second))
    tests = compare_cards(first, second).differences
    return [t for t in tests if t.estimated and not t.path.startswith(left_out)]


def _extrapolated(card: ModelCard) -> Iterator[str]:
    """Yield the paths of thresholds and overlaps beyond the readings of a card."""
    for i, level in enumerate(card.levels):
        if level.overlap is not None and level.overlap.value * level.n_observations < 1:
            yield from (f"levels[{i}].upper_threshold", f"levels[{i}].overlap")


def _tested(path: str, first: Quantity, second: Quantity) -> ParameterTest:
    if not (_has_error(first) or _has_error(second)):
        nan = math.nan
        return ParameterTest(path=path, first=first, second=second, t=nan, df=nan, p_value=nan)
    a, b, drifts = first, second, False
    if first.between is None and second.between is None:
        drifts = first.trend is not None or second.trend is not None
        a, b = (q.model_copy(update={"between": q.trend}) for q in (first, second))
    t, df, p = difference(a, b)
    return ParameterTest(
        path=path, first=first, second=second, t=t, df=df, p_value=p, drifts=drifts
    )


def missing_between(tests: Sequence[ParameterTest]) -> str | None:
    """Return a sentence if it is not known how much arrays differ in some parameter."""
    unknown = any(t.estimated and not t.between_known for t in tests)
    return MISSING_BETWEEN if unknown else None


def drift_counted(tests: Sequence[ParameterTest]) -> str | None:
    """Return a sentence if a trend over an array was counted as variation between arrays."""
    return DRIFT_COUNTED if any(t.drifts for t in tests) else None


def temperature_difference(first: ModelCard, second: ModelCard) -> str | None:
    """Return a sentence if the two cards belong to different temperatures."""
    parts = []
    a, b = first.domain.temperature, second.domain.temperature
    if a and b and not _close(a, b):
        parts.append(("read", a, b))
    x, y = (c.retention.temperature if c.retention else None for c in (first, second))
    if x and y and not _close(x, y):
        parts.append(("kept", x, y))
    if not parts:
        return None
    found = (
        f"the cells of {first.name} were {done} at {_kelvin(p)}, those of {second.name} at "
        f"{_kelvin(q)}"
        for done, p, q in parts
    )
    return f"The temperatures differ: {'; '.join(found)}."


def levels_found_blind(card: ModelCard) -> bool:
    """Return whether a card's levels were found from the readings: they have no targets."""
    return "blind_levels" in card.quality.fits


def _kelvin(q: Quantity) -> str:
    return format_quantity(q.value, "K")


def holm(tests: Sequence[ParameterTest], alpha: float) -> list[ParameterTest]:
    """Mark significant differences, in Holm's test at family-wise level `alpha`.

    Given numbers are not part of the test: they differ if they are not equal.
    """
    family = [i for i, t in enumerate(tests) if t.estimated]
    failing = {
        i
        for i, t in enumerate(tests)
        if not t.estimated and not math.isclose(t.first.value, t.second.value)
    }
    for rank, i in enumerate(sorted(family, key=lambda i: tests[i].p_value)):
        if tests[i].p_value > alpha / (len(family) - rank):
            break
        failing.add(i)
    return [replace(t, differs=i in failing) for i, t in enumerate(tests)]


def difference(a: Quantity, b: Quantity) -> tuple[float, float, float]:
    """Return t, degrees of freedom and two-sided p-value of the difference of two numbers.

    For two given numbers t is 0 if they are equal, and otherwise infinite.

    Examples
    --------
    >>> a = Quantity.estimated(10e-6, 0.3e-6, "S", df=9)
    >>> b = Quantity.estimated(11e-6, 0.4e-6, "S", df=20)
    >>> t, df, p = difference(a, b)
    >>> round(t, 3), round(df, 1), round(p, 3)
    (-2.0, 28.7, 0.055)
    """
    for scale in SCALES if _has_error(a) or _has_error(b) else ():
        x, y = on_scale(a, scale), on_scale(b, scale)
        if x is None or y is None:
            continue
        variance = x.stderr**2 + y.stderr**2 + x.between**2 + y.between**2
        if variance == 0:
            continue
        spent = x.stderr**4 / x.df + y.stderr**4 / y.df
        df = variance**2 / spent if spent > 0 else math.inf
        t = (x.value - y.value) / math.sqrt(variance)
        return t, df, float(2 * special.stdtr(df, -abs(t)))
    return _facing_halves(a, b)


def _has_error(q: Quantity) -> bool:
    return q.stderr is not None or q.between is not None


def _facing_halves(a: Quantity, b: Quantity) -> tuple[float, float, float]:
    """Test with the halves of the intervals that face each other."""
    upper, lower = (a, b) if a.value >= b.value else (b, a)
    between = math.hypot(a.between or 0.0, b.between or 0.0)
    error = math.hypot(halves(upper)[0], halves(lower)[1], between)
    gap = a.value - b.value
    if gap == 0:
        return 0.0, math.inf, 1.0
    if error == 0:
        return math.copysign(math.inf, gap), math.inf, 0.0
    t = gap / error
    return t, math.inf, float(2 * special.ndtr(-abs(t)))


def _other_meaning(first: ModelCard, second: ModelCard) -> Iterator[str]:
    """Yield the paths whose values have a different meaning in the other card."""
    yield "tails.levels"  # beyond a threshold that each card chose for itself
    for i, (x, y) in enumerate(zip(first.levels, second.levels, strict=False)):
        families = [v.distribution.family if v.distribution else None for v in (x, y)]
        if families[0] != families[1]:
            yield f"levels[{i}].distribution."
        if x.index != y.index:
            yield f"levels[{i}]."
        if levels_found_blind(first) or levels_found_blind(second):
            yield f"levels[{i}].target"
    for name, left, right in (
        ("variation", first.variation, second.variation),
        ("failure", first.failure, second.failure),
        (
            "retention.levels",
            first.retention.levels if first.retention else [],
            second.retention.levels if second.retention else [],
        ),
        (
            "read_noise.disturb.levels",
            *(
                c.read_noise.disturb.levels if c.read_noise and c.read_noise.disturb else []
                for c in (first, second)
            ),
        ),
    ):
        for i, (p, q) in enumerate(zip(left, right, strict=False)):
            if getattr(p, "level", None) != getattr(q, "level", None):
                yield f"{name}[{i}]."
    for i, (v, w) in enumerate(zip(first.variation, second.variation, strict=False)):
        for j, (p, q) in enumerate(zip(v.lines or [], w.lines or [], strict=False)):
            if (p.axis, p.period) != (q.axis, q.period):
                yield f"variation[{i}].lines[{j}]."
    if first.iv and second.iv and not _same(first.iv, second.iv, "reference_conductance"):
        yield from ("iv.nonlinearity", "iv.dependence")
    noise = (first.read_noise, second.read_noise)
    if noise[0] and noise[1] and not _same(*noise, "reference_conductance"):
        yield "read_noise.coefficient"
    retention = (first.retention, second.retention)
    if retention[0] and retention[1]:
        same = (_same(*retention, name) for name in ("reference_time", "temperature"))
        if not all(same):
            yield from ("retention.levels", "retention.collapsed")


def _same(a: object, b: object, name: str) -> bool:
    x, y = getattr(a, name), getattr(b, name)
    if x is None or y is None:
        return x is y
    return _close(x, y)


def _close(x: Quantity, y: Quantity) -> bool:
    return math.isclose(x.value, y.value, rel_tol=_SAME_REFERENCE)
