"""Records of the coverage study: one CSV file per case, to which every chip appends its rows.

The last row of a chip has the parameter `done` and its seconds; chips without it do not count.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
from cases import Case
from chip import Record

COLUMNS = ("chip", "parameter", "truth", "value", "stderr", "low", "high")


def file_of(name: str, folder: Path) -> Path:
    return folder / (re.sub(r"\W+", "-", name) + ".csv")


def append(record: Record, folder: Path) -> None:
    """Write the rows of one chip."""
    text = io.StringIO()
    out, path = csv.writer(text, lineterminator="\n"), file_of(record.case, folder)
    if not path.exists():
        out.writerow(COLUMNS)
    for name, *numbers in record.found:
        out.writerow([record.chip, name, *(f"{x:.9g}" for x in numbers)])
    out.writerows([record.chip, f"failed {name}", "", "", "", "", ""] for name in record.failed)
    out.writerow([record.chip, "done", "", f"{record.seconds:.3f}", "", "", ""])
    with path.open("a") as f:
        f.write(text.getvalue())


def finished(case: Case, folder: Path) -> set[int]:
    """Return the chips that are complete."""
    path = file_of(case.name, folder)
    if not path.exists():
        return set()
    rows = pd.read_csv(path)
    return set(rows.chip[rows.parameter == "done"].astype(int))


def read_records(case: Case, folder: Path, chips: int) -> pd.DataFrame:
    """Return the rows of the first chips of a case, as they were written last."""
    rows = pd.read_csv(file_of(case.name, folder))
    done = rows.chip[rows.parameter == "done"]
    rows = rows[rows.chip.isin(done) & (rows.chip < chips)]
    return rows.drop_duplicates(["chip", "parameter"], keep="last")
