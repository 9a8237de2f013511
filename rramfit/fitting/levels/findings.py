"""Findings on the levels of a chip: what is wrong, and what to do about it.

Levels with the same problem share a finding. A distribution fits if its test does not reject it
(p ≥ 0.001) or if it differs from the distribution function of the readings by at most 2 %: with
100,000 readings a test detects deviations that do not matter. A verify window truncates a level if
all readings are inside it and the chosen distribution has more than 0.5 % outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rramfit.fitting.levels.distribution import LEAST_CELLS
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.units import counted, format_percent, format_quantity

if TYPE_CHECKING:
    from rramfit.fitting.levels.level_fit import LevelFit

__all__ = ["judge"]

_MISFIT_P, _MISFIT_DISTANCE = 1e-3, 0.02
_CUT = 0.005
_OVERLAP = 0.05
_DRIFT = 2.0  # standard errors of the estimate, which do not contain the drift
_CLIPPED = 0.05
_MANY_READINGS = 100  # that describe a few cells
_LISTED = 4  # most levels described in one finding


def judge(levels: Sequence[LevelFit]) -> Verdict:
    """Return the verdict on all levels."""
    findings: list[Finding] = []
    findings += _few(levels)
    findings += _misfits(levels)
    findings += _cut_distributions(levels)
    findings += _clipped(levels)
    findings += _outside_window(levels)
    findings += _order(levels)
    findings += _overlaps(levels)
    findings += _parameters(levels)
    findings += _drifts(levels)
    return Verdict(tuple(findings))


def _list_levels(
    levels: Sequence[LevelFit], describe: Callable[[LevelFit], str], *, most: int = _LISTED
) -> str:
    """Describe each level; of many levels only the first `most`."""
    described = [describe(level) for level in levels[:most]]
    rest = len(levels) - most
    if rest > 0:
        return f"{', '.join(described)} and {counted(rest, 'more level')}"
    if len(described) == 1:
        return described[0]
    return f"{', '.join(described[:-1])} and {described[-1]}"


def _level_numbers(levels: Sequence[LevelFit]) -> str:
    """Return the level numbers, such as "level 1" or "levels 1, 2 and 5"."""
    noun = "level" if len(levels) == 1 else "levels"
    return f"{noun} {_list_levels(levels, lambda v: str(v.index))}"


def _parameters(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    """Report the findings of the fits of single levels, equal ones together."""
    where: dict[Finding, list[LevelFit]] = {}
    for level in levels:
        for finding in level.result.verdict.findings if level.result else ():
            where.setdefault(finding, []).append(level)
    for finding, concerned in where.items():
        yield replace(finding, what=f"at {_level_numbers(concerned)}, {finding.what}")


def _drifts(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    """Report means and standard deviations that drift over the array by more than their errors."""
    found = []
    for level in levels:
        for name, q in (("mean", level.mean), ("standard deviation", level.std)):
            if q is not None and q.trend is not None and q.trend > _DRIFT * (q.stderr or 0.0):
                found.append((f"{name} of level {level.index}", q))
    if not found:
        return
    shown = ", ".join(
        f"the {name} by {format_quantity(q.trend or 0.0, 'S', digits=2)} (standard error "
        f"{format_quantity(q.stderr or 0.0, 'S', digits=2)})"
        for name, q in found[:_LISTED]
    )
    more = len(found) - _LISTED
    yield Finding(
        f"values drift over the array, in one standard deviation of a linear trend: {shown}"
        + (f" and {more} more" if more > 0 else "")
        + "; one array cannot tell whether other arrays share this trend, or differ by as much",
        "measure further arrays and pool their cards",
        code="trend-over-the-array",
    )


def _few(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    none = [level for level in levels if level.distribution is None]
    poor = [level for level in none if level.n_cells < LEAST_CELLS]
    # Many readings of a few cells describe these cells, if not their distribution.
    described = [v for v in poor if v.mean is not None and v.n_observations >= _MANY_READINGS]
    severe = len(none) == len(levels) and len(described) < len(poor)
    if poor:
        text = _list_levels(
            poor,
            lambda v: (
                f"level {v.index} has {counted(v.n_observations, 'accepted reading')} from "
                f"{counted(v.n_cells, 'cell')}"
            ),
        )
        yield Finding(
            f"{text}, but a distribution requires {LEAST_CELLS} cells",
            "measure these levels on more cells or remove them from the targets, or, if many cells "
            "were programmed and few accepted, compare the verify window with the readings",
            severe=severe,
            affected=len(poor) / len(levels),
            code="too-few-readings",
        )
    unresolved = [level for level in none if level.n_cells >= LEAST_CELLS]
    if unresolved:
        reasons = "; ".join(level.reason for level in unresolved[:_LISTED])
        rest = len(unresolved) - _LISTED
        yield Finding(
            reasons + (f"; {counted(rest, 'more level')} cannot be fitted" if rest > 0 else ""),
            "read these levels in a range that covers and resolves them",
            severe=severe,
            affected=len(unresolved) / len(levels),
            code="level-not-resolved",
        )


def _misfits(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    bad = []
    for v in levels:
        if (
            v.distribution is None
            or v.distribution.chosen.p_value is None
            or v.distribution.chosen.distance is None
        ):
            continue
        if (
            v.distribution.chosen.p_value < _MISFIT_P
            and v.distribution.chosen.distance > _MISFIT_DISTANCE
        ):
            bad.append(v)
    if not bad:
        return

    def describe(v: LevelFit) -> str:
        assert v.distribution is not None
        c = v.distribution.chosen
        off = format_percent(c.distance or 0.0)
        return f"level {v.index} ({c.family}, p = {c.p_value:.2g}, off by {off})"

    yield Finding(
        f"no family fits {_list_levels(bad, describe)}, where the percentage is the largest "
        "difference between the distribution functions",
        "use the distribution only for the bulk of the level, and look for two populations of "
        "cells, a verify window that truncates the level, or a coarse converter",
        affected=sum(v.distribution.chosen.distance or 0.0 for v in bad if v.distribution)
        / len(levels),
        code="no-family-fits",
    )


def _cut_distributions(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    cut = []
    for v in levels:
        beyond = v.beyond_window
        if beyond is not None and beyond > _CUT:
            cut.append((v, beyond))
    if cut:
        shares = {v.index: share for v, share in cut}
        text = _list_levels(
            [v for v, _ in cut],
            lambda v: (
                f"level {v.index} ({format_percent(shares[v.index])} of its distribution is "
                "outside)"
            ),
        )
        yield Finding(
            f"the verify window truncates {text}",
            "redraw samples outside the window when sampling from the distribution; mean and "
            "standard deviation are those of the accepted readings and remain valid",
            affected=sum(shares.values()) / len(levels),
            code="window-truncates",
        )


def _clipped(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    bad = [v for v in levels if v.n_clipped > _CLIPPED * max(v.n_sample, 1)]
    if bad:
        text = _list_levels(
            bad, lambda v: f"{format_percent(v.n_clipped / v.n_sample)} of level {v.index}"
        )
        yield Finding(
            f"readings are clipped at the instrument's rails ({text}), so mean and standard "
            "deviation come from the fitted distribution, which is not tested beyond the rail",
            "read these levels in a range that covers them",
            severe=any(2 * v.n_clipped > v.n_sample for v in bad),
            affected=sum(v.n_clipped / v.n_sample for v in bad) / len(levels),
            code="level-clipped",
        )


def _outside_window(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    bad = [
        v
        for v in levels
        if v.mean is not None
        and v.lower is not None
        and v.upper is not None
        and not v.lower <= v.mean.value <= v.upper
    ]
    if bad:
        text = _list_levels(
            bad,
            lambda v: (
                f"level {v.index} has mean "
                f"{format_quantity(v.mean.value if v.mean else 0.0, 'S', digits=3)} "
                f"and window {format_quantity(v.lower or 0.0, 'S')} to "
                f"{format_quantity(v.upper or 0.0, 'S')}"
            ),
        )
        yield Finding(
            f"means are outside the verify window: {text}",
            "check that /levels belongs to this program, and check its units",
            severe=2 * len(bad) > len(levels),
            affected=len(bad) / len(levels),
            code="mean-outside-window",
        )


def _order(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    known = [v for v in levels if v.mean is not None]
    means = np.array([v.mean.value for v in known if v.mean is not None])
    wrong = np.flatnonzero(np.diff(means) <= 0)
    if wrong.size:
        pairs = [f"{known[i].index} and {known[i + 1].index}" for i in wrong[:4]]
        more = f" and {counted(wrong.size - 4, 'more pair')}" if wrong.size > 4 else ""
        yield Finding(
            f"means do not increase with the target: levels {', '.join(pairs)}{more}",
            "check the order of /levels and the levels in /program/level",
            severe=2 * wrong.size >= max(means.size - 1, 1),
            affected=wrong.size / (means.size - 1),
            code="means-not-increasing",
        )


def _overlaps(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    bad = [v for v in levels if v.overlap is not None and v.overlap.value > _OVERLAP]
    if bad:
        text = _list_levels(
            bad,
            lambda v: (
                f"{format_percent(v.overlap.value if v.overlap else 0.0)} of readings between "
                f"level {v.index} and the next"
            ),
        )
        yield Finding(
            f"neighbouring levels overlap: the best threshold misreads {text}",
            "use fewer levels, or program with a narrower verify window",
            affected=sum(v.overlap.value for v in bad if v.overlap) / len(levels),
            code="levels-overlap",
        )
