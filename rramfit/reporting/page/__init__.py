"""The page: the vocabulary of a report and how it looks.

In: sections of prose, figures, tables and notes. Out: one HTML file that loads nothing.
Numbers are formatted here, with their units and intervals.

Not here: anything about what is reported.
"""

from rramfit.reporting.page.document import (
    Block,
    Column,
    Facts,
    Figure,
    KeyFigure,
    KeyFigures,
    Note,
    Prose,
    Report,
    Section,
    Table,
    figure,
)

__all__ = [
    "Block",
    "Column",
    "Facts",
    "Figure",
    "KeyFigure",
    "KeyFigures",
    "Note",
    "Prose",
    "Report",
    "Section",
    "Table",
    "figure",
]
