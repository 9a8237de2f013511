"""Drawn chips as one long table for pandas and R: one row per cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.card.cells import Fault
from rramfit.export.contract import Export, Exporter
from rramfit.export.drawn import CHIP_OPTIONS, draw
from rramfit.export.limits import PROPERTIES, limits

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER"]

_MOST_ROWS = 10_000_000


def _export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    import pandas as pd

    drawn = draw(card, options, most_cells=_MOST_ROWS)
    chip, tile, row, col = np.indices(drawn.shape).reshape(4, -1)
    names = np.array([x.name for x in card.levels] + ["not programmed"])
    level = np.broadcast_to(drawn.level, drawn.shape).reshape(-1)
    faults = {int(f): f.label for f in Fault}
    table = pd.DataFrame(
        {
            "chip": chip,
            "tile": tile,
            "row": row,
            "col": col,
            "level": level,
            "level_name": names[level],
            "conductance": drawn.conductance.reshape(-1),
            "read": drawn.read.reshape(-1),
            "accepted": drawn.accepted.reshape(-1),
            "fault": pd.Series(drawn.fault.reshape(-1)).map(faults),
        }
    )
    mean = 'aggregate(read ~ level_name, read.csv("cells.csv"), summary)'
    group = "pandas.read_csv('cells.csv').groupby('level_name')['read'].describe()"
    return Export(
        files={"cells.csv": table.to_csv(index=False)},
        commands=(
            "pip install pandas",
            f'python3 -c "import pandas; print({group})"',
        ),
        missing=limits(
            card,
            expressed=frozenset(PROPERTIES)
            - {"nonlinearity", "wires", "ends", "inactive_rows", "readout"},
        ),
        notes=(
            (
                "`conductance` is the state of a cell after programming and `read` one read of "
                "it, in siemens; `accepted` is False where programming failed."
            ),
            f"The same in R: `Rscript -e '{mean}'`.",
        ),
    )


EXPORTER = Exporter(
    name="long",
    title="pandas and R",
    writes="`cells.csv` has one row per cell of the drawn chips.",
    cannot="A table of cells has no wires and no converters.",
    verified="The tests read the table and find every drawn cell again, exactly.",
    export=_export,
    options=CHIP_OPTIONS,
    aliases=("pandas", "r"),
)
