"""The data behind a report's figures: numbers per cell and per line, from a characterization.

In: a characterization, or a card with its sidecar. Out: profiles, maps and currents to draw.

Not here: drawing (`rramfit.reporting.figures`).
"""

from rramfit.reporting.report_data.line_data import LineData, compute_line_data
from rramfit.reporting.report_data.report_data import ReportData

__all__ = ["LineData", "ReportData", "compute_line_data"]
