"""Reports: self-contained HTML pages on a characterization, a lot, an array or a network."""

from rramfit.reporting.characterization import (
    report_characterization,
    report_from_data,
    save_report,
)
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
from rramfit.reporting.report_data.report_data import ReportData

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
    "ReportData",
    "Section",
    "Table",
    "figure",
    "report_characterization",
    "report_from_data",
    "save_report",
]
