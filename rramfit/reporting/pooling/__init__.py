"""Pages of several arrays together: pooled parameters, and their trend over time.

In: a `Pool` or a `Trend`. Out: a report. Nothing is estimated here.
"""

from rramfit.reporting.pooling.pool_page import pool_report
from rramfit.reporting.pooling.trend_page import trend_report

__all__ = ["pool_report", "trend_report"]
