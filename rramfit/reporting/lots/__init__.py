"""Lots: many files characterized, one card per array, and what became of each file.

In: measurement files, or a lab's own with a layout. Out, in one folder: the card, sidecar and
report of each array; lot.csv with a row for each array or file without a card, in the order given;
lot.html. A shard writes lot.I-of-N.csv and .jsonl instead, which `merge_lots` joins.

A file may be invalid, crash its process, run into an error of rramfit or never end: it gets a row
that says so, and the others go on. Only rows are held, on disk; memory does not grow with the lot.
"""

from rramfit.reporting.lots.compare.tables import LotTable
from rramfit.reporting.lots.lot import LotProgress, LotRun, characterize_lot
from rramfit.reporting.lots.lot_report import lot_report
from rramfit.reporting.lots.merge import merge_lots
from rramfit.reporting.lots.row import Row, row_of_card
from rramfit.reporting.lots.tasks import LotSettings, LotTask, files_from, plan_tasks

__all__ = [
    "LotProgress",
    "LotRun",
    "LotSettings",
    "LotTable",
    "LotTask",
    "Row",
    "characterize_lot",
    "files_from",
    "lot_report",
    "merge_lots",
    "plan_tasks",
    "row_of_card",
]
