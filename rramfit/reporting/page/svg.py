"""Draw one pair of axes as a small, deterministic inline SVG for an HTML page.

Matplotlib writes a stand-alone document. The figures of a page share one namespace and one style
sheet, therefore: unused ids are dropped and the others get the prefix of the figure; theme colours
become CSS variables; fonts are set by the page; time, comments and metadata are removed. Text
remains text, so that it can be searched, selected and resized.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rramfit.reporting.page.figure_data import figure_data
from rramfit.reporting.page.theme import CSS_NAMES, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Draw", "figure_svg"]

Draw = Callable[["Axes"], object]

_PIXELS_PER_INCH = 96
_REFERENCE = re.compile(r'(?:href="#|url\(#)([\w.:-]+)')
_ID = re.compile(r'\s+id="([^"]*)"')
_COLOR = re.compile(r": (#[0-9a-f]{6})")
_DRAWN = re.compile(r'( (?:d|x|y|width|height)=")([^"]*)"')
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_DROPPED = re.compile(
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", re.DOTALL
)


def figure_svg(
    draw: Draw,
    *,
    key: str,
    title: str,
    description: str,
    size: tuple[float, float],
    margins: tuple[float, float, float, float] = (0.62, 0.5, 0.12, 0.12),
) -> tuple[str, str]:
    """Draw one pair of axes as an inline SVG, and return its data.

    Parameters
    ----------
    draw : callable (axes) -> object
        Draws on the axes it is given.
    key : str
        Prefix of every id in the figure; unique in its page.
    title, description : str
        Text alternative of the figure.
    size : (width, height)
        [inch]; one inch is 96 CSS pixels.
    margins : (left, bottom, right, top)
        [inch] around the axes, for their labels.

    Returns
    -------
    svg : str
        An ``<svg>`` element that needs only the style sheet of the page.
    data : str
        What was drawn, as JSON (`rramfit.reporting.page.figure_data`).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    width, height = size
    left, bottom, right, top = margins
    box = (
        left / width,
        bottom / height,
        1 - (left + right) / width,
        1 - (bottom + top) / height,
    )
    style: Any = dict(STYLE)
    with mpl.rc_context():
        mpl.rcdefaults()  # the user's settings must not change a report
        mpl.rcParams.update(style)
        figure = Figure(figsize=size)
        axes = figure.add_axes(box)
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        data = figure_data(axes)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    return _inline(text, key=key, title=title, description=description, size=size), data


def _inline(text: str, *, key: str, title: str, description: str, size: tuple[float, float]) -> str:
    body = _DROPPED.sub("", text[text.index(">") + 1 :])
    names: dict[str, str] = {}
    for name in _REFERENCE.findall(body):
        names.setdefault(name, f"{key}-{len(names) + 1}")
    body = _ID.sub(lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", body)
    body = _REFERENCE.sub(lambda m: m[0].replace(m[1], names[m[1]]), body)
    body = body.replace("xlink:href", "href")
    body = re.sub(r" font-family: [^;\"]*;?", "", body)
    body = re.sub(r'transform="rotate\(-?0 [^)]*\)"', "", body)
    body = _COLOR.sub(lambda m: f": var({CSS_NAMES[m[1]]})" if m[1] in CSS_NAMES else m[0], body)
    body = _DRAWN.sub(_shortened, body)
    body = re.sub(r">\s+<", "><", body)
    view = " ".join(f"{72 * x:g}" for x in size)
    width, height = (round(_PIXELS_PER_INCH * x) for x in size)
    head = (
        f'<svg viewBox="0 0 {view}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{key}-title {key}-desc"><title id="{key}-title">'
        f'{html.escape(title)}</title><desc id="{key}-desc">{html.escape(description)}</desc>'
    )
    return head + body.strip()


def _shortened(match: re.Match[str]) -> str:
    """Round coordinates to 0.01 point; put paths on one line."""
    numbers = _LONG_NUMBER.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), match[2])
    return f'{match[1]}{" ".join(numbers.split())}"'
