"""Arrays of a lot compared: spread and outliers of each parameter, wafers that differ, yield.

In: the rows of a lot. Out: numbers. Not here: how they are shown (`lots/lot_report.py`).
"""

from rramfit.reporting.lots.compare.outliers import outliers_of
from rramfit.reporting.lots.compare.tables import LotTable, ParameterColumn
from rramfit.reporting.lots.compare.wafers import WaferDifference, wafer_differences
from rramfit.reporting.lots.compare.yields import DEFAULT_YIELD, LotYield, YieldLimit

__all__ = [
    "DEFAULT_YIELD",
    "LotTable",
    "LotYield",
    "ParameterColumn",
    "WaferDifference",
    "YieldLimit",
    "outliers_of",
    "wafer_differences",
]
