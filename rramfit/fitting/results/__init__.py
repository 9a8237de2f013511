"""What a fit returns: estimates with covariance and a verdict; axes for its plot.

Input: numbers of a fit. Output: `FitResult`, `Verdict`, `Finding`. No statistics.
"""

from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import (
    Finding,
    FitResult,
    ShowsResult,
    Verdict,
    rank_findings,
)

__all__ = ["Finding", "FitResult", "ShowsResult", "Verdict", "axes_or_new", "rank_findings"]
