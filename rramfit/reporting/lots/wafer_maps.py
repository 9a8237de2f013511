"""Maps of a parameter over the wafers of a lot, one square per die or per tile of a die.

A site is a die at (die_x, die_y), divided by (tile_row, tile_col) where tiles are known; arrays of
one site are averaged. All wafers of a parameter share one scale of colours, which spans the middle
of all values. With several wafers, a further map is their mean, site by site: what is common to all
wafers, such as an edge. With several tiles, another is the mean over the dies, tile by tile, on its
own scale: what is common to all dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.reporting.figures.maps import draw_site_map
from rramfit.reporting.lots.compare.tables import LotTable, ParameterColumn
from rramfit.reporting.lots.compare.wafers import wafer_differences
from rramfit.reporting.page.document import Figure
from rramfit.reporting.page.map_layout import array_map
from rramfit.reporting.page.wording import AxisUnit, axis_unit

if TYPE_CHECKING:
    from rramfit.reporting.lots.row import Site

__all__ = ["wafer_maps"]

Floats = NDArray[np.float64]

_MOST_PARAMETERS = 12
_MOST_WAFERS = 12
_LEADING = (".mean", ".std", ".probability", "stuck.low", "stuck.high", "_resistance")


def wafer_maps(table: LotTable) -> list[Figure]:
    """Return the maps of the parameters in which wafers differ, then of those of the levels.

    Returns
    -------
    list of Figure
        Empty if fewer than two sites are known.
    """
    sites = {i: s for i, s in enumerate(table.sites) if s is not None}
    if len({(s.die_x, s.die_y, s.tile_row, s.tile_col) for s in sites.values()}) < 2:
        return []
    differing = [x.path for x in wafer_differences(table)]
    leading = [p for p in table.shared() if p.partition(" ")[0].endswith(_LEADING)]
    paths = list(dict.fromkeys([*differing, *leading]))[:_MOST_PARAMETERS]
    members = _members(table, sites)
    return [f for n, path in enumerate(paths) for f in _maps(table, path, n, sites, members)]


def _maps(
    table: LotTable,
    path: str,
    number: int,
    sites: Mapping[int, Site],
    members: Mapping[str, Sequence[int]],
) -> list[Figure]:
    column = table.parameters[path]
    origin, shape, tiles = _grid(list(sites.values()))
    wafers = [_on_grid(column, of, sites, origin, shape, tiles) for of in members.values()]
    named = list(zip(members, wafers, strict=True))[:_MOST_WAFERS]
    shown = {name: v for name, v in named if np.isfinite(v).any()}
    if not shown:
        return []
    if len(shown) > 1:
        shown["mean of the wafers"] = _mean(wafers)
    values = np.concatenate([v[np.isfinite(v)] for v in shown.values()])
    unit = axis_unit(float(np.abs(np.quantile(values, (0.01, 0.99))).max()), column.unit)
    x0, y0 = origin
    extent = (x0 - 0.5, x0 + shape[1] // tiles[1] - 0.5, y0 + shape[0] // tiles[0] - 0.5, y0 - 0.5)
    limits = _limits(values, unit)
    figures = [
        array_map(
            partial(
                draw_site_map,
                values=unit.factor * v,
                limits=limits,
                label=unit.symbol,
                extent=extent,
            ),
            shape,
            key=f"wafer-{number}-{k}",
            title=f"{name[0].upper()}{name[1:]}: {path}",
            caption="One square per die, or per tile of a die. Blank: no array.",
        )
        for k, (name, v) in enumerate(shown.items())
    ]
    if max(tiles) > 1:
        figures.append(_tile_map(wafers, path, number, tiles, unit))
    return [replace(figure, choice=path) for figure in figures]


def _limits(values: Floats, unit: AxisUnit) -> tuple[float, float]:
    """Return the ends of the scale of colours, which span the middle 98 % of the values."""
    low, high = (unit.factor * float(x) for x in np.quantile(values, (0.01, 0.99)))
    return low, high


def _tile_map(
    wafers: Sequence[Floats], path: str, number: int, tiles: tuple[int, int], unit: AxisUnit
) -> Figure:
    """Return the map of the mean over all dies, (tile row, tile column)."""
    rows, cols = tiles
    dies = [
        v[r : r + rows, c : c + cols]
        for v in wafers
        for r in range(0, v.shape[0], rows)
        for c in range(0, v.shape[1], cols)
    ]
    mean = _mean(dies)
    return array_map(
        partial(
            draw_site_map,
            values=unit.factor * mean,
            limits=_limits(mean[np.isfinite(mean)], unit),
            label=unit.symbol,
            extent=(-0.5, cols - 0.5, rows - 0.5, -0.5),
            along=("tile column", "tile row"),
        ),
        tiles,
        key=f"wafer-{number}-die",
        title=f"Mean over the dies: {path}",
        caption="One square per tile of a die; the scale of colours is its own.",
    )


def _members(table: LotTable, sites: Mapping[int, Site]) -> dict[str, list[int]]:
    """Return the arrays of each wafer by its name, with its lot if there are several."""
    several = len({lot for lot, _, _ in table.places}) > 1
    found: dict[str, list[int]] = {}
    for i in sites:
        lot, wafer, _ = table.places[i]
        name = f"wafer {wafer}" if wafer is not None else "wafer"
        found.setdefault(
            f"{name} of lot {lot}" if several and lot is not None else name, []
        ).append(i)
    return found


def _grid(sites: Sequence[Site]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return the first die (x, y), the rows and columns of the map, and the tiles of a die."""
    x, y = [s.die_x for s in sites], [s.die_y for s in sites]
    tiles = 1 + max(s.tile_row for s in sites), 1 + max(s.tile_col for s in sites)
    shape = (max(y) - min(y) + 1) * tiles[0], (max(x) - min(x) + 1) * tiles[1]
    return (min(x), min(y)), shape, tiles


def _on_grid(
    column: ParameterColumn,
    members: Sequence[int],
    sites: Mapping[int, Site],
    origin: tuple[int, int],
    shape: tuple[int, int],
    tiles: tuple[int, int],
) -> Floats:
    """Return the mean over the arrays of each site, (row, col); NaN without an array."""
    total, count = np.zeros(shape), np.zeros(shape)
    value = dict(zip(column.which, column.value.tolist(), strict=True))
    for i in members:
        if i not in value:
            continue
        s = sites[i]
        at = (
            (s.die_y - origin[1]) * tiles[0] + s.tile_row,
            (s.die_x - origin[0]) * tiles[1] + s.tile_col,
        )
        total[at] += value[i]
        count[at] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean(maps: Sequence[Floats]) -> Floats:
    stack = np.stack(maps)
    known = np.isfinite(stack)
    total = np.where(known, stack, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
