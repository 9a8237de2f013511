"""The page: structure, style and number format of a report.

Input: sections of prose, figures, tables and notes. Output: one HTML file that loads nothing.

Not here: the content of a report.
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
