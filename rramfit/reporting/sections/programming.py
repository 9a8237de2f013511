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
from rramfit.reporting.page.wording import with_interval
from rramfit.reporting.report_data.report_data import ReportData

__all__ = ["failure_section", "levels_section", "maps_section", "variation_section"]

_FEW_LEVELS = 6
_FEW_LINES = 3  # more of them in one picture of a trend hide each other
_PROFILE_SIZE = (4.45, 2.6)
_FEWEST_CELLS = 20  # for a picture of cells to show more than chance


def levels_section(e: ReportData) -> Section | None:
    """Levels: what conductance a cell lands at when one is asked for."""
    if not e.level_cards:
        return None
    blocks: list[Block] = []
    readings = {k: v for k, v in e.readings.items() if v.size >= 2}
    if readings:
        few = len(readings) <= _FEW_LEVELS
        dashed = few and any(x.upper_threshold for x in e.card.levels)
        said = "; dashed lines are the best read thresholds between neighbours" if dashed else ""
        blocks.append(
            figure(
                partial(draw_level_cdfs, readings=readings, levels=e.level_cards),
                key="level-cdfs",
                title="Levels on probability paper",
                caption="Cumulative share of accepted readings of healthy cells (points) and the "
                f"card's distributions (lines). A normal distribution is straight{said}.",
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
                    caption="The same readings as histograms, with the distributions; bars on the base line "
                    "are the verify windows.",
                    width="full",
                    size=(9.1, 2.5),
                    margins=(0.3, 0.5, 0.12, 0.12),
                )
            )
    refused = e.refused_medians
    if len(e.card.levels) > _FEW_LEVELS or refused:
        crosses = "; crosses: readings that were not accepted, median" if refused else ""
        blocks.append(
            figure(
                partial(draw_level_ladder, levels=e.card.levels, refused=refused),
                key="level-ladder",
                title="Where each level lands",
                caption="Mean of each level with one and two standard deviations; on the dashed "
                f"line a level lands where it was aimed at{crosses}.",
                width="full",
                size=(9.1, 3.6),
            )
        )
    blocks.append(levels_table(e.card.levels))
    between = thresholds_table(e.card.levels, _names(e))
    if between is not None:
        blocks.append(between)
    if e.card.bits_per_cell is not None:
        bits = with_interval(e.card.bits_per_cell)
        blocks.append(Note(text=f"Bits stored per cell, read with these thresholds: {bits}."))
    distributions = distributions_table(e.card.levels)
    if distributions is not None:
        blocks.append(distributions)
    return Section(key="levels", title="Levels", blocks=tuple(blocks))


def maps_section(e: ReportData) -> Section | None:
    """Where on the array: conductance by level, faults, failures."""
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
                    caption="Mean over levels of the cell's offset, in standard deviations "
                    "of its level; blank where no reading was accepted.",
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
                    caption="Cells that were screened out, by kind; blank cells are healthy.",
                    legend_rows=-(-len(kinds) // 2),
                )
            )
        else:
            blocks.append(Note(text="No cell was screened out.", tone="ok"))
    if statistics is not None and statistics.failures.any():
        blocks.append(
            array_map(
                partial(draw_share_map, values=e.failure_map),
                e.healthy.shape,
                key="map-failures",
                title="Failed attempts",
                caption="Share of each cell's attempts, all levels together, that were not "
                "accepted; blank where none was made.",
            )
        )
    return Section(key="maps", title="Maps", blocks=tuple(blocks)) if blocks else None


def variation_section(e: ReportData) -> Section | None:
    """How cells differ, and how one cell differs from cycle to cycle."""
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
                title="Components of variation",
                caption="Standard deviation between cells, between cycles of one cell and between "
                "reads of one state, with 95 % intervals.",
                width="full" if many else "half",
            )
        )
    blocks += _correlation(e, names)
    blocks += _scatters(e, {v.level: v for v in variation})
    blocks += _trends(e)
    if any(v.d2d or v.c2c or v.read for v in variation):
        blocks.append(variation_table(variation, names))
    spatial = spatial_table(variation, names)
    if spatial is not None:
        blocks.append(spatial)
    return Section(key="variation", title="Variation", blocks=tuple(blocks))


def failure_section(e: ReportData) -> Section | None:
    """How often programming fails, at which level, and where."""
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
                caption="P(not accepted) over all measured cells; of cells that are not stuck, the "
                "share that never programs (hard), and the chance of a failure in one sweep of the "
                "others (soft).",
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
        blocks.append(quantity_table("Cells that do not switch", part_rows(stuck)))
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
        caption="Mean over cycles of accepted readings; blank where none was accepted.",
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
            caption="Of a cell's offset at one level with its offset at another: near 1, a cell "
            "that is high at one level is high at the other.",
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
                caption="Each cell's mean over cycles against its own scatter between cycles. "
                "Dashed: one cell-to-cell standard deviation about the mean; level line: "
                "cycle to cycle.",
                width="third",
                size=(2.85, 2.7),
            )
        )
    return out


def _trends(e: ReportData) -> list[Block]:
    if np.isfinite(e.overall_offset).sum() < _FEWEST_CELLS:
        return []
    single = list(e.level_cards) if 1 < len(e.level_cards) <= _FEW_LINES else []
    lines = ", the lines are single levels" if single else ""
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
            f"over cells. The band is two standard errors about all levels together{lines}.",
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
        caption=f"Share of failed attempts in each {along}. Grey: the span that chance makes "
        f"about the mean; {along}s above it stand out.",
        width=width,
        size=(2.85, 2.5) if width == "third" else _PROFILE_SIZE,
    )
