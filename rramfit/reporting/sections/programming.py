"""Sections on the programming sweeps: levels, maps, variation, failure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from rramfit.card.cells import Fault
from rramfit.card.schema import VariationCard
from rramfit.reporting.figures.failure import draw_failure_by_level, draw_failure_profile
from rramfit.reporting.figures.levels import (
    draw_densities,
    draw_level_cdfs,
    draw_level_ladder,
)
from rramfit.reporting.figures.maps import (
    draw_conductance_map,
    draw_difference_map,
    draw_fault_map,
    draw_share_map,
)
from rramfit.reporting.figures.variation import (
    draw_cell_scatter,
    draw_level_correlation,
    draw_profiles,
    draw_variance_components,
)
from rramfit.reporting.page.document import Block, Figure, Note, Section, Width, figure
from rramfit.reporting.page.map_layout import array_map
from rramfit.reporting.page.tables import (
    distributions_table,
    failure_table,
    levels_table,
    part_rows,
    quantity_table,
    spatial_table,
    thresholds_table,
    variation_table,
)
from rramfit.reporting.page.wording import capacity
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.reporting.sections.line_offsets import profiled_levels

__all__ = ["failure_section", "levels_section", "maps_section", "variation_section"]

_FEW_LEVELS = 6
_FEW_LINES = 3  # more lines in one figure of a trend hide each other
_PROFILE_SIZE = (4.45, 2.6)
_FEWEST_CELLS = 20  # with fewer, a figure of cells shows only chance


def levels_section(e: ReportData) -> Section | None:
    """Return the section on the conductance of each level."""
    if not e.level_cards:
        return None
    blocks: list[Block] = []
    readings = {k: v for k, v in e.readings.items() if v.size >= 2}
    if readings:
        few = len(readings) <= _FEW_LEVELS
        dashed = few and any(x.upper_threshold for x in e.card.levels)
        thresholds = " Dashed lines are the optimal read thresholds." if dashed else ""
        blocks.append(
            figure(
                partial(draw_level_cdfs, readings=readings, levels=e.level_cards),
                key="level-cdfs",
                title="Normal probability plot of the levels",
                caption="Cumulative share of accepted readings of healthy cells (points) and the "
                f"card's distributions (lines). A normal distribution is straight.{thresholds}",
                width="full",
                size=(9.1, 4.1),
            )
        )
        if few:
            blocks.append(
                figure(
                    partial(draw_densities, readings=readings, levels=e.level_cards),
                    key="level-densities",
                    title="Densities",
                    caption="The same readings as histograms, with the distributions. Bars on the "
                    "base line are the verify windows.",
                    width="full",
                    size=(9.1, 2.5),
                    margins=(0.3, 0.5, 0.12, 0.12),
                )
            )
    rejected = e.rejected_medians
    if len(e.card.levels) > _FEW_LEVELS or rejected:
        crosses = " Crosses are medians of rejected readings." if rejected else ""
        blocks.append(
            figure(
                partial(draw_level_ladder, levels=e.card.levels, rejected=rejected),
                key="level-ladder",
                title="Means and targets of the levels",
                caption="Mean of each level with one and two standard deviations. On the dashed "
                f"line the mean equals the target.{crosses}",
                width="full",
                size=(9.1, 3.6),
            )
        )
    blocks.append(levels_table(e.card.levels))
    between = thresholds_table(e.card.levels, _names(e))
    if between is not None:
        blocks.append(between)
    if e.card.bits_per_cell is not None:
        bits = capacity(e.card.bits_per_cell).text
        blocks.append(Note(text=f"With these thresholds a cell stores {bits}."))
    distributions = distributions_table(e.card.levels)
    if distributions is not None:
        blocks.append(distributions)
    return Section(key="levels", title="Levels", blocks=tuple(blocks))


def maps_section(e: ReportData) -> Section | None:
    """Return the section with maps of conductance, faults and failures."""
    blocks: list[Block] = []
    statistics = e.statistics
    if statistics is not None:
        levels = list(e.level_cards)
        if len(levels) <= _FEW_LEVELS:
            blocks += [_level_map(e, k) for k in levels]
        else:
            blocks.append(
                array_map(
                    partial(draw_difference_map, values=e.overall_offset, label="σ"),
                    e.healthy.shape,
                    key="map-offset",
                    title="Offset of each cell",
                    caption="Mean over levels of the cell's offset, in standard deviations of the "
                    "level. Blank: no accepted reading.",
                )
            )
    if e.cells is not None:
        fault = e.cells.fault
        kinds = [x for x in Fault if x is not Fault.OK and (fault == x).any()]
        if kinds:
            blocks.append(
                array_map(
                    partial(draw_fault_map, fault=fault),
                    e.healthy.shape,
                    key="map-faults",
                    title="Faults",
                    caption="Cells excluded by screening, by kind. Blank cells are healthy.",
                    legend_rows=-(-len(kinds) // 2),
                )
            )
        else:
            blocks.append(Note(text="Screening excluded no cells.", tone="ok"))
    if statistics is not None and statistics.failures.any():
        blocks.append(
            array_map(
                partial(draw_share_map, values=e.failure_map),
                e.healthy.shape,
                key="map-failures",
                title="Failed attempts",
                caption="Share of each cell's attempts that failed, all levels together. Blank: no "
                "attempts.",
            )
        )
    return Section(key="maps", title="Maps", blocks=tuple(blocks)) if blocks else None


def variation_section(e: ReportData) -> Section | None:
    """Return the section on cell-to-cell and cycle-to-cycle variation."""
    variation = e.card.variation
    if not variation:
        return None
    names = _names(e)
    blocks: list[Block] = []
    if any(v.d2d or v.c2c or v.read for v in variation):
        many = len(variation) > 4
        blocks.append(
            figure(
                partial(draw_variance_components, variation=variation, names=names),
                key="variance-components",
                title="Variance components",
                caption="Standard deviation between cells, between cycles of a cell and between "
                "reads of a state, with 95 % intervals.",
                width="full" if many else "half",
            )
        )
    blocks += _correlation(e, names)
    blocks += _scatters(e, {v.level: v for v in variation})
    if len(profiled_levels(e)) < len(variation):  # else the profiles of the lines show them
        blocks += _trends(e)
    if any(v.d2d or v.c2c or v.read for v in variation):
        blocks.append(variation_table(variation, names))
    spatial = spatial_table(variation, names)
    if spatial is not None:
        blocks.append(spatial)
    return Section(key="variation", title="Variation", blocks=tuple(blocks))


def failure_section(e: ReportData) -> Section | None:
    """Return the section on failed attempts by level, row and column, and on stuck cells."""
    failure, stuck = e.card.failure, e.card.stuck
    if not failure and stuck is None:
        return None
    names = _names(e)
    blocks: list[Block] = []
    if failure and any(x.probability.value > 0 for x in failure):
        many = len(failure) > _FEW_LEVELS
        blocks.append(
            figure(
                partial(draw_failure_by_level, failure=failure, names=names),
                key="failure-by-level",
                title="Failure by level",
                caption="Probability that an attempt fails, over all measured cells. Of the cells "
                "that are not stuck: the share that never programs (hard), and the probability "
                "that one attempt at the others fails (soft).",
                width="full" if many else "third",
                size=(9.1, 3.0) if many else (2.85, 2.5),
            )
        )
        if e.statistics is not None:
            width: Width = "half" if many else "third"
            blocks += [_failure_profile(e, axis, width) for axis in (0, 1)]
    if failure:
        blocks.append(failure_table(failure, names))
    if stuck is not None:
        blocks.append(quantity_table("Stuck cells and dead lines", part_rows(stuck)))
    return Section(key="failure", title="Programming failure", blocks=tuple(blocks))


def _names(e: ReportData) -> Mapping[int, str]:
    return {x.index: x.name for x in e.card.levels}


def _level_map(e: ReportData, k: int) -> Figure:
    statistics = e.statistics
    mean = np.full(e.healthy.shape, np.nan) if statistics is None else statistics.mean[k]
    return array_map(
        partial(draw_conductance_map, values=mean),
        e.healthy.shape,
        key=f"map-level-{k}",
        title=f"Conductance at {e.level_name(k)}",
        caption="Mean over cycles of accepted readings. Blank: no accepted reading.",
    )


def _correlation(e: ReportData, names: Mapping[int, str]) -> list[Block]:
    matrix = e.card.variation_correlation
    if matrix is None or len(matrix) < 2:
        return []
    labels = [names.get(k, str(k)) for k in range(len(matrix))]
    many = len(matrix) > 10
    return [
        figure(
            partial(draw_level_correlation, matrix=np.array(matrix), names=labels),
            key="level-correlation",
            title="Correlation between levels",
            caption="Correlation between a cell's offsets at two levels. Near 1, a cell that is "
            "high at one level is high at the other.",
            width="half",
            size=(4.45, 3.1),
            margins=(0.6, 0.5, 0.6 if many else 0.4, 0.2),
        )
    ]


def _scatters(e: ReportData, variation: Mapping[int, VariationCard]) -> list[Block]:
    levels = [k for k in e.level_cards if e.scatter(k)[0].size >= _FEWEST_CELLS]
    if len(levels) > 3:
        levels = [levels[0], levels[len(levels) // 2], levels[-1]]
    out: list[Block] = []
    for k in levels:
        mean, std = e.scatter(k)
        v = variation.get(k)
        d2d, c2c = (v.d2d, v.c2c) if v else (None, None)
        out.append(
            figure(
                partial(draw_cell_scatter, mean=mean, std=std, d2d=d2d, c2c=c2c),
                key=f"scatter-{k}",
                title=f"Cells at {e.level_name(k)}",
                caption="Standard deviation over cycles of each cell against its mean. Dashed "
                "lines: mean ± cell-to-cell standard deviation. Horizontal line: cycle-to-cycle "
                "standard deviation.",
                width="third",
                size=(2.85, 2.7),
            )
        )
    return out


def _trends(e: ReportData) -> list[Block]:
    if np.isfinite(e.overall_offset).sum() < _FEWEST_CELLS:
        return []
    single = list(e.level_cards) if 1 < len(e.level_cards) <= _FEW_LINES else []
    lines = " Lines are single levels." if single else ""
    return [
        figure(
            partial(
                draw_profiles,
                overall=e.profile(None, axis),
                levels={e.level_name(k): e.profile(k, axis) for k in single},
                along=along,
            ),
            key=f"trend-{along}",
            title=f"Trend over {along}s",
            caption=f"Mean offset of the healthy cells of each {along}, in standard deviations "
            f"over cells. Band: mean over all levels ± two standard errors.{lines}",
            size=_PROFILE_SIZE,
        )
        for axis, along in enumerate(("row", "column"))
        if e.healthy.shape[axis] > 1
    ]


def _failure_profile(e: ReportData, axis: int, width: Width) -> Figure:
    along = ("row", "column")[axis]
    return figure(
        partial(draw_failure_profile, lines=e.failure_lines(axis), along=along),
        key=f"failure-{along}",
        title=f"Failure by {along}",
        caption=f"Share of failed attempts in each {along}. Grey: range expected by chance. "
        f"{along.capitalize()}s above it fail significantly more often.",
        width=width,
        size=(2.85, 2.5) if width == "third" else _PROFILE_SIZE,
    )
