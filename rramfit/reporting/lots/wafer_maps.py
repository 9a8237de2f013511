"""Maps of a parameter over the wafers of a lot, one square per die or per tile of a die.

A site is a die at (die_x, die_y), divided by (tile_row, tile_col) where tiles are known; arrays of
one site are averaged. All wafers of a parameter share one scale of colours, which spans the middle
of all values. With several wafers, a further map is their mean, site by site: what is common to all
wafers, such as an edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.reporting.figures.maps import draw_site_map
from rramfit.reporting.lots.tables import LotTable, ParameterColumn
from rramfit.reporting.lots.wafers import wafer_differences
from rramfit.reporting.page.document import Figure
from rramfit.reporting.page.map_layout import array_map
from rramfit.reporting.page.wording import axis_unit

if TYPE_CHECKING:
    from rramfit.reporting.lots.row import Site

__all__ = ["wafer_maps"]

Floats = NDArray[np.float64]

_MOST_PARAMETERS = 6
_MOST_WAFERS = 12
_LEADING = (".mean", ".std", "stuck.low", "stuck.high")


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
    return [f for n, path in enumerate(paths) for f in _maps(table, path, n, sites)]


def _maps(table: LotTable, path: str, number: int, sites: Mapping[int, Site]) -> list[Figure]:
    column = table.parameters[path]
    wafers: dict[str, Floats] = {}
    origin, shape, tiles = _grid(list(sites.values()))
    for name in dict.fromkeys(_wafer(table, i) for i in sites):
        members = [i for i in sites if _wafer(table, i) == name]
        wafers[name] = _on_grid(column, members, sites, origin, shape, tiles)
    shown = {n: v for n, v in list(wafers.items())[:_MOST_WAFERS] if np.isfinite(v).any()}
    if not shown:
        return []
    if len(shown) > 1:
        shown["mean of the wafers"] = _mean(list(shown.values()))
    values = np.concatenate([v[np.isfinite(v)] for v in shown.values()])
    low, high = (float(x) for x in np.quantile(values, (0.01, 0.99)))
    unit = axis_unit(max(abs(low), abs(high)), column.unit)
    x0, y0 = origin
    extent = (x0 - 0.5, x0 + shape[1] // tiles[1] - 0.5, y0 + shape[0] // tiles[0] - 0.5, y0 - 0.5)
    return [
        array_map(
            partial(
                draw_site_map,
                values=unit.factor * v,
                limits=(unit.factor * low, unit.factor * high),
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


def _wafer(table: LotTable, i: int) -> str:
    lot, wafer, _ = table.places[i]
    named = f"wafer {wafer}" if wafer is not None else "wafer"
    lots = {place[0] for place in table.places}
    return f"{named} of lot {lot}" if len(lots) > 1 and lot is not None else named


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
