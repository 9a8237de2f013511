"""The structure of a report: sections of prose, figures, tables and notes, in one HTML file.

A report is immutable. It is written as one self-contained page that loads nothing; the same content
gives the same bytes. A script of the page shows values on hover, enlarges figures and saves their
data as CSV; without scripts the page is complete.

Not here: the content of a particular report (`rramfit.reporting.characterization` and others).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote

from rramfit.errors import RramfitError
from rramfit.provenance import atomic_file
from rramfit.reporting.page.svg import Draw, figure_svg

__all__ = [
    "Block",
    "Cell",
    "Column",
    "Facts",
    "Figure",
    "KeyFigure",
    "KeyFigures",
    "Link",
    "Note",
    "Prose",
    "Report",
    "Section",
    "Table",
    "Width",
    "figure",
    "file_address",
]

Tone = Literal["plain", "ok", "warning", "bad"]
Width = Literal["third", "half", "full"]

_SIZES: dict[Width, tuple[float, float]] = {
    "third": (2.85, 2.75),
    "half": (4.45, 3.1),
    "full": (9.1, 3.6),
}
"""Default size of a figure [inch]: three, two or one in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """Paragraphs, with an optional heading."""

    kind: ClassVar[str] = "prose"
    paragraphs: tuple[str, ...]
    heading: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A message and its remedy; the tone is shown by a word and a sign, not by colour alone."""

    kind: ClassVar[str] = "note"
    text: str
    label: str = ""
    remedy: str = ""
    code: str = ""  # of a finding, in docs/reference/findings.md
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One of the main numbers of a report."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigures:
    """A row of key figures."""

    kind: ClassVar[str] = "key_figures"
    items: tuple[KeyFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names and their values, one per line."""

    kind: ClassVar[str] = "facts"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; numbers are right-aligned."""

    name: str
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another file of the same folder."""

    text: str
    address: str  # relative, quoted


def file_address(name: str) -> str:
    """Return the relative address of a file in the folder of the page."""
    return quote(name, safe="", errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table with more than its text."""

    text: str
    title: str = ""  # shown on hover
    address: str = ""  # relative address that the text links to, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table whose first column names its rows.

    Attributes
    ----------
    caption : str
    columns : tuple of Column
    rows : tuple of tuples of str or Cell
        One cell per column.
    folded : bool
        Whether the table is collapsed at first.
    width : {"third", "half", "full"}
        Share of the page's width.
    sortable : bool
        Whether a script lets the reader sort the rows by a column and filter them by words.
    choice : str
        As in `Figure`.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    folded: bool = False
    width: Width = "full"
    sortable: bool = False
    choice: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                msg = (
                    f"table {self.caption!r}: row {row!r} has {len(row)} cells; "
                    f"expected {len(self.columns)}"
                )
                raise RramfitError(msg)

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The rows as texts."""
        return tuple(tuple(x if isinstance(x, str) else x.text for x in row) for row in self.rows)

    @property
    def long(self) -> bool:
        """Whether the table scrolls inside a box of limited height."""
        return len(self.rows) > 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing with its caption, made by `figure`.

    Of the blocks of a section that have a `choice`, a script shows those of one choice, which the
    reader selects from a list; without scripts all are shown.
    """

    kind: ClassVar[str] = "figure"
    key: str
    title: str
    caption: str
    svg: str = field(repr=False)
    data: str = field(default="", repr=False)  # JSON; "" without values on hover and a CSV
    width: Width = "half"
    choice: str = ""


Block = Prose | Note | KeyFigures | Facts | Table | Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One titled part of a report; `key` is its anchor in the page.

    `chooser` is the label of the list of the choices of its blocks; "" if they have none.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    chooser: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A titled page of sections.

    Attributes
    ----------
    title, subtitle : str
    facts : tuple of (name, value)
        Identification of the subject, shown under the title.
    related : tuple of Link
        Files that belong to the report, shown under the facts.
    lead : tuple of Block
        Summary, shown before the list of contents.
    sections : tuple of Section
    footer : str
    """

    title: str
    sections: tuple[Section, ...]
    subtitle: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    related: tuple[Link, ...] = ()
    lead: tuple[Block, ...] = ()
    footer: str = ""

    def __post_init__(self) -> None:
        keys = ["content", "summary", *(s.key for s in self.sections)]
        keys += [b.key for b in _figures(self.lead, self.sections)]
        twice = sorted({k for k in keys if keys.count(k) > 1})
        if twice:
            msg = f"report {self.title!r}: found the keys {', '.join(twice)} twice. Rename one."
            raise RramfitError(msg)

    def to_html(self) -> str:
        """Return the report as one HTML document."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("rramfit.reporting.page"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("report.html.j2").render(report=self) + "\n"

    def save(self, path: Path) -> None:
        """Write the document atomically."""
        text = self.to_html()
        with atomic_file(path) as beside:
            beside.write_text(text, encoding="utf-8")

    def _repr_html_(self) -> str:
        return self.to_html()


def figure(
    draw: Draw,
    *,
    key: str,
    title: str,
    caption: str,
    width: Width = "half",
    size: tuple[float, float] | None = None,
    margins: tuple[float, float, float, float] = (0.62, 0.5, 0.12, 0.12),
) -> Figure:
    """Draw a figure for a report.

    Parameters
    ----------
    draw : callable (axes) -> object
        Draws on the axes it is given.
    key : str
        Unique in the report; its anchor is ``fig-`` and the key.
    title, caption : str
        What is shown, and how to read it; also the text alternative of the figure.
    width : {"third", "half", "full"}
        Share of the page's width.
    size : (width, height), optional
        [inch]
    margins : (left, bottom, right, top)
        [inch] around the axes.
    """
    svg, data = figure_svg(
        draw,
        key=f"fig-{key}",
        title=title,
        description=caption,
        size=size or _SIZES[width],
        margins=margins,
    )
    return Figure(key=f"fig-{key}", title=title, caption=caption, svg=svg, data=data, width=width)


def _figures(lead: Sequence[Block], sections: Sequence[Section]) -> list[Figure]:
    blocks = [*lead, *(b for s in sections for b in s.blocks)]
    return [b for b in blocks if isinstance(b, Figure)]
