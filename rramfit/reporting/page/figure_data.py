"""The data behind a figure, for the page: values on hover, enlarged maps, a CSV to download.

Read from what was drawn on the axes, so that no figure describes its data twice: lines, points and
bars as series of x and y; an image as a map with one value per pixel. A map is stored as 16-bit
steps between its lowest and highest value, or as numbers of named colours; 65535 is "no value".
The script of the page (`templates/figures.js`) reads it.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.image import AxesImage

__all__ = ["figure_data"]

_MOST_POINTS = 20_000  # of a series; longer ones are thinned
_NO_VALUE = 65535
_STEPS = _NO_VALUE - 1
_POINTS_PER_INCH = 72


def figure_data(ax: Axes) -> str:
    """Return what is drawn on the axes, as JSON that can stand in a script element."""
    figure = ax.get_figure(root=True)
    size = figure.get_size_inches() if figure is not None else (1.0, 1.0)
    width, height = (_POINTS_PER_INCH * x for x in size)
    box = ax.get_position()
    data: dict[str, Any] = {
        "box": [_short(x) for x in (box.x0 * width, box.x1 * width)]
        + [_short((1 - y) * height) for y in (box.y1, box.y0)],
        "x": _axis(ax.xaxis, ax.get_xlim(), ax.get_xscale(), ax.get_xlabel()),
        "y": _axis(ax.yaxis, ax.get_ylim(), ax.get_yscale(), ax.get_ylabel()),
        "series": list(_series(ax)),
    }
    if ax.images:
        data["map"] = _map(ax, ax.images[0])
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _axis(axis: Axis, limits: tuple[float, float], scale: str, label: str) -> dict[str, Any]:
    """Return an axis; with the names of its positions 0, 1, …, if they were given names."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    found = {"limits": [float(x) for x in limits], "scale": scale, "label": label}
    name = axis.get_major_formatter()
    if isinstance(axis.get_major_locator(), FixedLocator) and isinstance(name, FuncFormatter):
        places = np.asarray(axis.get_majorticklocs())
        if np.array_equal(places, np.arange(places.size)):
            found["names"] = [name(float(place)) for place in places]
    return found


def _series(ax: Axes) -> Iterator[dict[str, Any]]:
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.patches import Rectangle, StepPatch

    for line in ax.lines:
        if all(line.get_transform().contains_branch_seperately(ax.transData)):
            yield _points(line.get_label(), line.get_xdata(orig=False), line.get_ydata(orig=False))
    for collection in ax.collections:
        if isinstance(collection, PathCollection):
            x, y = np.asarray(np.ma.filled(collection.get_offsets(), np.nan), float).T
            yield _points(collection.get_label(), x, y)
        elif isinstance(collection, LineCollection):
            ends = [np.asarray(s) for s in collection.get_segments()]
            if ends and all(len(e) == 2 and e[0, 1] == 0 and np.ptp(e[:, 0]) == 0 for e in ends):
                yield _points(collection.get_label(), *np.transpose([e[1] for e in ends]))
    for patch in ax.patches:
        if isinstance(patch, StepPatch):
            values, edges, _ = patch.get_data()
            yield _points(patch.get_label(), 0.5 * (edges[:-1] + edges[1:]), values)
    bars = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_height() and p.get_width()]
    if bars:
        centres = [p.get_x() + p.get_width() / 2 for p in bars]
        yield _points("bars", centres, [p.get_y() + p.get_height() for p in bars])


def _points(label: object, x: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    x, y = (np.asarray(v, float).ravel() for v in (x, y))
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if len(known) > _MOST_POINTS:
        known = known[np.linspace(0, len(known) - 1, _MOST_POINTS).astype(int)]
    name = str(label)
    return {
        "name": "" if name.startswith("_") else name,
        "x": [_short(v) for v in x[known].tolist()],
        "y": [_short(v) for v in y[known].tolist()],
    }


def _map(ax: Axes, image: AxesImage) -> dict[str, Any]:
    drawn = np.ma.asarray(image.get_array(), dtype=np.float64)
    values: NDArray[np.float64] = np.ma.filled(drawn, np.nan)
    left, right, bottom, top = image.get_extent()
    about = {"extent": [float(x) for x in (left, right, top, bottom)]}
    if values.ndim == 3:
        return {**about, **_named_colours(values, _legend(ax))}
    seen = values[np.isfinite(values)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    steps = (values - low) / ((high - low) or 1.0) * _STEPS
    codes = np.where(np.isfinite(steps), np.round(np.nan_to_num(steps)), _NO_VALUE)
    return {**about, "low": low, "high": high, **_packed(codes)}


def _named_colours(colours: NDArray[np.float64], names: Mapping[str, str]) -> dict[str, Any]:
    from matplotlib.colors import to_hex

    kinds, codes = np.unique(colours.reshape(-1, colours.shape[2]), axis=0, return_inverse=True)
    named = [names.get(to_hex(kind[:3]), "") if kind[-1] > 0 else "" for kind in kinds]
    return {"names": named, **_packed(codes.reshape(colours.shape[:2]))}


def _legend(ax: Axes) -> dict[str, str]:
    """Return the labels of a legend by the colour of their patch."""
    from matplotlib.colors import to_hex
    from matplotlib.patches import Patch

    legend = ax.get_legend()
    if legend is None:
        return {}
    handles = zip(legend.legend_handles, legend.get_texts(), strict=True)
    return {
        to_hex(patch.get_facecolor()): text.get_text().rsplit(" (", 1)[0]
        for patch, text in handles
        if isinstance(patch, Patch)
    }


def _packed(codes: NDArray[Any]) -> dict[str, Any]:
    raw = codes.astype("<u2").tobytes()
    packed = base64.b64encode(gzip.compress(raw, mtime=0)).decode()
    return {"rows": codes.shape[0], "cols": codes.shape[1], "codes": packed}


def _short(x: float) -> float:
    return float(f"{x:.5g}")
