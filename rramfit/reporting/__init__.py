"""Reports: from a characterization to one page that can be read anywhere."""

from rramfit.reporting.characterization import (
    evidence_report,
    report_characterization,
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
from rramfit.reporting.report_data.report_data import Evidence

__all__ = [
    "Block",
    "Column",
    "Evidence",
    "Facts",
    "Figure",
    "KeyFigure",
    "KeyFigures",
    "Note",
    "Prose",
    "Report",
    "Section",
    "Table",
    "evidence_report",
    "figure",
    "report_characterization",
    "save_report",
]
