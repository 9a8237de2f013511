"""What is wrong with a chip's levels, in words, and what to do about it.

Levels with the same trouble are named together. A distribution fits where its test does not reject
it (p ≥ 0.001) or its distribution function is within 2 % of the readings': of a hundred thousand
readings a test sees departures that do not matter. A verify window cuts a level where all readings
lie inside it and the distribution chosen would put more than 0.5 % beyond its edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rramfit.fitting.levels.distribution import LEAST_CELLS
from rramfit.fitting.result import Finding, Verdict
from rramfit.units import format_quantity

if TYPE_CHECKING:
    from rramfit.fitting.levels.level_fit import LevelFit

__all__ = ["judge"]

_MISFIT_P, _MISFIT_DISTANCE = 1e-3, 0.02
_CUT = 0.005
_OVERLAP = 0.05
_CLIPPED = 0.05


def judge(levels: Sequence[LevelFit]) -> Verdict:
    """Return the verdict on all levels together."""
    findings: list[Finding] = []
    findings += _few(levels)
    findings += _misfits(levels)
    findings += _cut_distributions(levels)
    findings += _clipped(levels)
    findings += _outside_window(levels)
    findings += _order(levels)
    findings += _overlaps(levels)
    findings += _parameters(levels)
    return Verdict(tuple(findings))


def _name_some(levels: Sequence[LevelFit], say: Callable[[LevelFit], str], *, most: int = 4) -> str:
    """Say something of each level, of many only of the first few."""
    said = [say(level) for level in levels[:most]]
    more = len(levels) - most
    return "; ".join(said) + (f"; and {more} levels more" if more > 0 else "")


def _parameters(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    """Gather what single levels' fits complain of, the same complaints together."""
    where: dict[tuple[str, str], list[LevelFit]] = {}
    for level in levels:
        for f in level.result.verdict.findings if level.result else ():
            where.setdefault((f.what, f.remedy), []).append(level)
    for (what, remedy), concerned in where.items():
        yield Finding(f"{_name_some(concerned, lambda v: f'level {v.index}')}: {what}", remedy)


def _few(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    none = [level for level in levels if level.distribution is None]
    poor = [level for level in none if level.n_cells < LEAST_CELLS]
    severe = len(none) == len(levels)
    if poor:
        text = _name_some(
            poor,
            lambda v: (
                f"level {v.index} has {v.n_observations} accepted readings of {v.n_cells} cells"
            ),
        )
        yield Finding(
            f"{text}: too few for a distribution, which needs {LEAST_CELLS} cells",
            "measure these levels on more cells, or leave them out of the target list; where many "
            "were programmed and few accepted, compare the verify window with what was read",
            severe=severe,
        )
    alike = [level for level in none if level.n_cells >= LEAST_CELLS]
    if alike:
        yield Finding(
            _name_some(alike, lambda v: v.reason),
            "read these levels in a range that holds and resolves them",
            severe=severe,
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

    def say(v: LevelFit) -> str:
        assert v.distribution is not None
        c = v.distribution.chosen
        return f"level {v.index} ({c.family}, p = {c.p_value:.2g}, off by {c.distance:.1%})"

    yield Finding(
        f"no family fits {_name_some(bad, say)}; distribution functions differ by that share",
        "use the distribution for the bulk of the level only; look for two populations of cells, for a "
        "verify window that cuts the level, or for a coarse converter",
    )


def _cut_distributions(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    cut = []
    for v in levels:
        beyond = v.beyond_window
        if beyond is not None and beyond > _CUT:
            cut.append((v, beyond))
    if cut:
        shares = {v.index: share for v, share in cut}
        text = _name_some(
            [v for v, _ in cut],
            lambda v: f"level {v.index} ({shares[v.index]:.1%} of its distribution)",
        )
        yield Finding(
            f"the verify window cuts the readings off: {text} lies outside the window, where no "
            "accepted reading is",
            "when sampling from the distribution, redraw what falls outside the window; mean and standard "
            "deviation are those of the accepted readings and hold as they are",
        )


def _clipped(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    bad = [v for v in levels if v.n_clipped > _CLIPPED * max(v.n_sample, 1)]
    if bad:
        text = _name_some(bad, lambda v: f"level {v.index} ({v.n_clipped / v.n_sample:.1%})")
        yield Finding(
            f"readings are clipped at the instrument's rails: {text}; mean and standard deviation "
            "come from the fitted distribution, which nothing checks beyond the rail",
            "read these levels in a range that holds them",
            severe=any(2 * v.n_clipped > v.n_sample for v in bad),
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
        text = _name_some(
            bad,
            lambda v: (
                f"level {v.index} reads {format_quantity(v.mean.value if v.mean else 0.0, 'S')} "
                f"in a window of {format_quantity(v.lower or 0.0, 'S')} to "
                f"{format_quantity(v.upper or 0.0, 'S')}"
            ),
        )
        yield Finding(
            f"means lie outside the verify window: {text}",
            "check that /levels belongs to this program, and its units",
            severe=2 * len(bad) > len(levels),
        )


def _order(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    known = [v for v in levels if v.mean is not None]
    means = np.array([v.mean.value for v in known if v.mean is not None])
    wrong = np.flatnonzero(np.diff(means) <= 0)
    if wrong.size:
        pairs = [f"{known[i].index} and {known[i + 1].index}" for i in wrong[:4]]
        more = f" and {wrong.size - 4} pairs more" if wrong.size > 4 else ""
        yield Finding(
            f"means do not rise with the target: levels {', '.join(pairs)}{more}",
            "check the order of /levels and the level map of the program",
            severe=2 * wrong.size >= max(means.size - 1, 1),
        )


def _overlaps(levels: Sequence[LevelFit]) -> Iterator[Finding]:
    bad = [v for v in levels if v.overlap is not None and v.overlap.value > _OVERLAP]
    if bad:
        text = _name_some(
            bad,
            lambda v: f"level {v.index} and the next ({v.overlap.value if v.overlap else 0.0:.1%})",
        )
        yield Finding(
            f"neighbouring levels overlap; at the best threshold misread: {text}",
            "use fewer levels, or program with a narrower verify window",
        )
