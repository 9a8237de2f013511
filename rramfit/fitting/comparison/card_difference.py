"""Compare two cards parameter by parameter: test whether they describe one population.

Each standard error includes the smooth field and the few degrees of freedom of its fit. The
difference is taken on the scale of the intervals (linear, log, logit or Fisher's z), which follows
from their symmetry, and tested with Welch's t and the Welch-Satterthwaite degrees of freedom:

    t = (a − b)/√(s_a² + s_b²),   df = (s_a² + s_b²)²/(s_a⁴/df_a + s_b⁴/df_b)

An interval that is symmetric on none of these scales (exact or profile) enters by the half that
faces the other number. Holm's step-down test limits the probability of any false alarm over all
parameters. Two stated values are not compared, nor values with different meanings: parameters of
different families, at different reference points, or of different levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scipy import special

from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import ModelCard

__all__ = ["ParameterTest", "compare_parameters", "holm"]

_NORMAL = 1.959963984540054
_SAME_REFERENCE = 0.02  # relative difference up to which two reference points are the same

_SCALES: tuple[tuple[Callable[[float], float], Callable[[float], float]], ...] = (
    (lambda x: x, lambda _: 1.0),
    (lambda x: math.log(x), lambda x: 1 / x),
    (lambda x: math.log(x / (1 - x)), lambda x: 1 / (x * (1 - x))),
    (lambda x: math.atanh(x), lambda x: 1 / (1 - x**2)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTest:
    """One parameter in both cards."""

    path: str
    first: Quantity
    second: Quantity
    t: float
    df: float
    p_value: float
    differs: bool = False  # significant in Holm's test over all parameters


@dataclass(frozen=True, slots=True)
class _OnScale:
    value: float
    stderr: float
    df: float


def compare_parameters(first: ModelCard, second: ModelCard) -> list[ParameterTest]:
    """Test every estimated parameter that both cards have, in the order of the first.

    Levels are matched by position; the caller must check that they are the same.
    """
    a, b = dict(quantities(first)), dict(quantities(second))
    skipped = tuple(_other_meaning(first, second))
    out = []
    for path, x in a.items():
        y = b.get(path)
        if y is None or x.unit != y.unit or path.startswith(("domain", *skipped)):
            continue
        found = difference(x, y)
        if found is not None:
            t, df, p = found
            out.append(ParameterTest(path=path, first=x, second=y, t=t, df=df, p_value=p))
    return out


def holm(tests: list[ParameterTest], alpha: float) -> list[ParameterTest]:
    """Mark the differences that are significant in Holm's test at family-wise level `alpha`."""
    order = sorted(range(len(tests)), key=lambda i: tests[i].p_value)
    failing: set[int] = set()
    for rank, i in enumerate(order):
        if tests[i].p_value > alpha / (len(tests) - rank):
            break
        failing.add(i)
    return [
        ParameterTest(
            path=v.path,
            first=v.first,
            second=v.second,
            t=v.t,
            df=v.df,
            p_value=v.p_value,
            differs=i in failing,
        )
        for i, v in enumerate(tests)
    ]


def difference(a: Quantity, b: Quantity) -> tuple[float, float, float] | None:
    """Return t, degrees of freedom and two-sided p-value; None if neither was estimated.

    Examples
    --------
    >>> a = Quantity.estimated(10e-6, 0.3e-6, "S", df=9)
    >>> b = Quantity.estimated(11e-6, 0.4e-6, "S", df=20)
    >>> t, df, p = difference(a, b)
    >>> round(t, 3), round(df, 1), round(p, 3)
    (-2.0, 28.7, 0.055)
    """
    if a.stderr is None and b.stderr is None:
        return None
    for at in range(len(_SCALES)):
        x, y = _on_scale(a, at), _on_scale(b, at)
        if x is None or y is None:
            continue
        variance = x.stderr**2 + y.stderr**2
        if variance == 0:
            continue
        df = variance**2 / (x.stderr**4 / x.df + y.stderr**4 / y.df)
        t = (x.value - y.value) / math.sqrt(variance)
        return t, df, float(2 * special.stdtr(df, -abs(t)))
    return _facing_halves(a, b)


def _on_scale(q: Quantity, at: int) -> _OnScale | None:
    """Return a number on a scale if its interval is symmetric there; a stated number always."""
    to, slope = _SCALES[at]
    try:
        value, per = to(q.value), slope(q.value)
        if q.stderr is None or q.ci95 is None:
            return _OnScale(value, 0.0, math.inf)
        low, high = to(q.ci95[0]), to(q.ci95[1])
    except (ValueError, ZeroDivisionError):
        return None
    stderr, half = q.stderr * per, (high - low) / 2
    if stderr <= 0 or abs((high + low) / 2 - value) > 1e-6 * half:
        return None
    quantile = half / stderr
    return _OnScale(value, stderr, _df(quantile)) if quantile > _NORMAL - 1e-6 else None


def _df(quantile: float) -> float:
    """Return the degrees of freedom of the Student's t with this 97.5 % quantile."""
    low, high = 0.0, 1.0  # of 1/df
    for _ in range(50):
        middle = 0.5 * (low + high)
        reached = float(special.stdtrit(1 / middle, 0.975))
        low, high = (middle, high) if reached < quantile else (low, middle)
    return 1 / high


def _facing_halves(a: Quantity, b: Quantity) -> tuple[float, float, float]:
    """Test with the halves of the intervals that face each other (Zou and Donner 2008)."""
    upper, lower = (a, b) if a.value >= b.value else (b, a)
    down = upper.value - upper.ci95[0] if upper.ci95 else 0.0
    up = lower.ci95[1] - lower.value if lower.ci95 else 0.0
    width = math.hypot(down, up) / _NORMAL
    gap = a.value - b.value
    if width == 0:
        return (0.0, math.inf, 1.0) if gap == 0 else (math.copysign(math.inf, gap), math.inf, 0.0)
    t = gap / width
    return t, math.inf, float(2 * special.ndtr(-abs(t)))


def _other_meaning(first: ModelCard, second: ModelCard) -> Iterator[str]:
    """Yield the paths whose values have a different meaning in the other card."""
    for i, (x, y) in enumerate(zip(first.levels, second.levels, strict=False)):
        families = [v.distribution.family if v.distribution else None for v in (x, y)]
        if families[0] != families[1] or families[0] == "mixture":
            yield f"levels[{i}].distribution"
        if x.index != y.index:
            yield f"levels[{i}]"
    for name, left, right in (
        ("variation", first.variation, second.variation),
        ("failure", first.failure, second.failure),
        (
            "retention.levels",
            first.retention.levels if first.retention else [],
            second.retention.levels if second.retention else [],
        ),
    ):
        for i, (p, q) in enumerate(zip(left, right, strict=False)):
            if getattr(p, "level", None) != getattr(q, "level", None):
                yield f"{name}[{i}]"
    if first.iv and second.iv and not _same(first.iv, second.iv, "reference_conductance"):
        yield from ("iv.nonlinearity", "iv.dependence")
    noise = (first.read_noise, second.read_noise)
    if noise[0] and noise[1] and not _same(*noise, "reference_conductance"):
        yield "read_noise.coefficient"
    retention = (first.retention, second.retention)
    if retention[0] and retention[1]:
        same = (_same(*retention, name) for name in ("reference_time", "temperature"))
        if not all(same):
            yield "retention"


def _same(a: object, b: object, name: str) -> bool:
    x, y = getattr(a, name), getattr(b, name)
    if x is None or y is None:
        return x is y
    return math.isclose(x.value, y.value, rel_tol=_SAME_REFERENCE)
