"""The section on line offsets: which lines, how large, their profiles and periodogram.

Tables come from the card; figures need the one-pass statistics and the sidecar.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from rramfit.fitting.statistics.over_array.periodic import FALSE_ALARM, periodic_pattern
from rramfit.reporting.figures.line_offsets import (
    draw_folded_means,
    draw_line_profile,
    draw_periodogram,
)
from rramfit.reporting.figures.variation import draw_level_correlation
from rramfit.reporting.page.document import Block, Figure, Note, Prose, Section, figure
from rramfit.reporting.page.line_wording import (
    line_correlations,
    line_offsets_table,
    line_paragraphs,
)
from rramfit.reporting.page.wording import listed
from rramfit.reporting.report_data.line_profiles import folded_means, line_profile, periodogram
from rramfit.reporting.report_data.report_data import ReportData

__all__ = ["line_offsets_section", "profiled_levels"]

_MOST_LEVELS = 3  # more in one figure hide each other
_ALONG = ("row", "column")
_AXES = ("row", "col")  # as the card names them
_PROFILE_SIZE = (4.45, 2.6)
_STRIP_MARGINS = (0.62, 0.42, 0.62, 0.22)


def line_offsets_section(e: ReportData) -> Section | None:
    """Return the section on line offsets; None for a card without."""
    if not any(v.lines for v in e.card.variation):
        return None
    blocks: list[Block] = [Prose(paragraphs=line_paragraphs(e.card))]
    shown = profiled_levels(e)
    for k in shown:
        blocks += _profiles(e, k)
    if shown:
        blocks += _periodograms(e, shown)
        blocks += [x for k in shown for x in _folded(e, k)]
    blocks.append(line_offsets_table(e.card))
    blocks += _correlation(e)
    return Section(key="line-offsets", title="Line offsets", blocks=tuple(blocks))


def profiled_levels(e: ReportData) -> list[int]:
    """Return the levels whose profiles are shown: all with lines, or the outer and middle ones."""
    if e.statistics is None or e.cells is None or e.cells.line_offset is None:
        return []
    seen = len(e.statistics.count)
    levels = [v.level for v in e.card.variation if v.lines and v.level < seen]
    if len(levels) <= _MOST_LEVELS:
        return levels
    return [levels[0], levels[len(levels) // 2], levels[-1]]


def _profiles(e: ReportData, k: int) -> list[Figure]:
    name = e.level_name(k)
    return [
        figure(
            partial(draw_line_profile, profile=line_profile(e, k, axis), along=along),
            key=f"line-profile-{along}-{k}",
            title=f"{along.capitalize()} profile at {name}",
            caption=f"Mean of the healthy cells of each {along} less the level's mean, with its "
            "95 % interval (points and bars). Solid line: trend (dashed) plus predicted line "
            "offsets, which are smaller than the means by what chance explains.",
            size=_PROFILE_SIZE,
        )
        for axis, along in ((1, "column"), (0, "row"))
        if e.healthy.shape[axis] > 1
    ]


def _periodograms(e: ReportData, levels: list[int]) -> list[Figure]:
    out = []
    for axis, along in enumerate(_ALONG):
        found = {e.level_name(k): p for k in levels if (p := periodogram(e, k, axis)) is not None}
        if not found:
            continue
        other = _ALONG[1 - axis]
        marks = _marks(e, levels, axis)
        out.append(
            figure(
                partial(draw_periodogram, levels=found, along=along, marks=marks),
                key=f"periodogram-{along}",
                title=f"Periodogram along the {along}s",
                caption=f"Power of the cells' offsets against frequency along the {along}s, over "
                f"that of white noise. Line: patterns that differ from {other} to {other}. "
                f"Points: means of whole {along}s. Grey: where white noise is at 999 of 1,000 "
                "frequencies. Dashed: what was found; dotted: its harmonics.",
                size=_PROFILE_SIZE,
            )
        )
    return out


def _marks(e: ReportData, levels: list[int], axis: int) -> list[tuple[float, str]]:
    """Return period and label of what was found along rows (axis 0) or columns (axis 1).

    Offsets of whole columns do not change along the rows, and have frequency 0 there.
    """
    lines = [x for v in e.card.variation if v.level in levels for x in v.lines or []]
    marks: list[tuple[float, str]] = []
    for period in sorted({x.period for x in lines if x.axis == _AXES[1 - axis]}):
        label = f"whole {_ALONG[1 - axis]}s" if period == 1 else f"period {period}"
        marks.append((0 if period == 1 else period, label))
    known = {period for period, _ in marks}
    for k in levels:
        found = periodic_pattern(e.standard_offsets[k], axis)
        if found is None or found.p_value >= FALSE_ALARM or found.period in known:
            continue
        known.add(found.period)
        marks.append((found.period, f"period {found.period:.3g} of the means"))
    return marks


def _folded(e: ReportData, k: int) -> list[Figure]:
    lines = next((v.lines or [] for v in e.card.variation if v.level == k), [])
    out = []
    for x in lines:
        if x.period == 1:
            continue
        axis = _AXES.index(x.axis)
        along, across = _ALONG[axis], _ALONG[1 - axis]
        height = 0.42 + 0.22 + min(max(0.16 * x.period, 0.5), 2.2)
        out.append(
            figure(
                partial(
                    draw_folded_means,
                    means=folded_means(e, k, axis, x.period),
                    along=along,
                    across=across,
                ),
                key=f"folded-{along}-{x.period}-{k}",
                title=f"Parts of {along}s at {e.level_name(k)}",
                caption=f"Mean offset of the cells of each {along} whose {across}s are equal "
                f"modulo {x.period}.",
                width="full",
                size=(9.1, height),
                margins=_STRIP_MARGINS,
            )
        )
    return out


def _correlation(e: ReportData) -> list[Block]:
    pairs = line_correlations(e.card)
    if not pairs:
        return []
    if len(pairs) == 1:
        pair = pairs[0]
        names = listed([e.level_name(pair.first), e.level_name(pair.second)])
        text = f"The line offsets of {names} have a correlation of {pair.correlation:.2f}."
        return [Note(text=text.replace("-", "\N{MINUS SIGN}"))]
    levels = sorted({k for p in pairs for k in (p.first, p.second)})
    matrix = np.full((len(levels), len(levels)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for p in pairs:
        i, j = levels.index(p.first), levels.index(p.second)
        matrix[i, j] = matrix[j, i] = p.correlation
    return [
        figure(
            partial(draw_level_correlation, matrix=matrix, names=[e.level_name(k) for k in levels]),
            key="line-correlation",
            title="Correlation of line offsets between levels",
            caption="Near 1, a line that is high at one level is high at the other. Blank: the "
            "two levels have no kind of line in common.",
            width="half",
            size=(4.45, 3.1),
            margins=(0.6, 0.5, 0.6 if len(levels) > 10 else 0.4, 0.2),
        )
    ]
