"""Two CSV tables: every parameter with its interval, and the statistics of every level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rramfit.card.quantity import quantities
from rramfit.export.contract import Export, Exporter
from rramfit.export.level_statistics import level_statistics

if TYPE_CHECKING:
    import pandas as pd

    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER", "parameter_table"]


def parameter_table(card: ModelCard) -> pd.DataFrame:
    """Return one row per quantity: parameter, value, stderr, low, high, unit."""
    import pandas as pd

    rows = [
        {
            "parameter": where,
            "value": q.value,
            "stderr": q.stderr,
            "low": q.ci95[0] if q.ci95 else None,
            "high": q.ci95[1] if q.ci95 else None,
            "unit": q.unit,
        }
        for where, q in quantities(card)
    ]
    return pd.DataFrame(rows, columns=["parameter", "value", "stderr", "low", "high", "unit"])


def _levels(card: ModelCard) -> pd.DataFrame:
    import pandas as pd

    s = level_statistics(card)
    return pd.DataFrame(
        {
            "level": range(len(s.name)),
            "name": s.name,
            "family": s.family,
            "target": s.target,
            "mean": s.mean,
            "std": s.std,
            "d2d": s.d2d,
            "c2c": s.c2c,
            "read": s.read,
            "failure": s.failure,
        }
    )


def _export(card: ModelCard, _options: Mapping[str, Any]) -> Export:
    return Export(
        files={
            "parameters.csv": parameter_table(card).to_csv(index=False),
            "levels.csv": _levels(card).to_csv(index=False),
        },
        commands=(
            "pip install pandas",
            "python3 -c \"import pandas; print(pandas.read_csv('levels.csv'))\"",
        ),
        notes=(
            (
                "Values are in SI units; `low` and `high` are the 95 % interval, empty if the "
                "number was given and not estimated."
            ),
            "In `levels.csv`, mean to read are in siemens, and failure is a probability.",
        ),
    )


EXPORTER = Exporter(
    name="csv",
    title="CSV",
    writes="`parameters.csv` has every parameter of the card with its interval; `levels.csv` has "
    "the statistics of every level.",
    cannot="Verdicts and findings of the fits are texts of the card; they are not in the tables.",
    verified="The tests read both tables and find every value of the card again, exactly.",
    export=_export,
)
