"""Result of each array of a lot, and tables of parameters over the arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card import ModelCard, Quantity, quantities

if TYPE_CHECKING:
    import pandas as pd

    from rramfit.fitting.result import Finding

__all__ = ["Outcome", "Written", "lot_frame", "shared_quantities", "spread_frame"]

_OUTLIER = 3.5  # |robust z| above which a chip is an outlier (Iglewicz & Hoaglin, 1993)


@dataclass(frozen=True, slots=True)
class Written:
    """Files written by one characterization."""

    card: Path
    cells: Path
    report: Path | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result for one array: its card, the files written and the findings, or the error."""

    path: Path  # input file; the first of several logs
    name: str  # of the card
    card: ModelCard | None
    written: Written | None
    error: str | None
    findings: tuple[tuple[str, Finding], ...] = ()  # fit and finding, most important first


def lot_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row per array: file, name, verdict, error, and all parameters by key path."""
    import pandas as pd

    rows = []
    for outcome in outcomes:
        row: dict[str, object] = {
            "file": outcome.path.name,
            "name": outcome.name,
            "verdict": "refused",
        }
        row["problem"] = outcome.error or ""
        if outcome.card is not None:
            row["verdict"] = outcome.card.quality.verdict
            row["digest"] = outcome.card.digest
            row |= {
                f"levels[{i}].distribution.family": level.distribution.family
                for i, level in enumerate(outcome.card.levels)
                if level.distribution is not None
            }
            row |= {path: q.value for path, q in quantities(outcome.card) if q.stderr is not None}
        rows.append(row)
    return pd.DataFrame(rows)


def spread_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row per parameter that at least two chips have: its variation between chips.

    The parameters of a distribution are compared within its family, which is given in parentheses:
    the shape of a gamma distribution is not that of a Weibull distribution.

    Columns: chips, median, mean, std (observed between chips), within (root mean square of the
    standard errors), between (√(std² − within²), not explained by the standard errors), unit, and
    outliers: names of cards whose value is more than 3.5 robust standard deviations (1.4826·MAD,
    at least the standard error) from the median.
    """
    import pandas as pd

    rows = {}
    for path, entries in shared_quantities(outcomes).items():
        value, error = (
            np.array([getattr(q, name) for _, q in entries], dtype=float)
            for name in ("value", "stderr")
        )
        within = float(np.sqrt(np.mean(error**2)))
        std = float(value.std(ddof=1))
        away = np.abs(value - np.median(value))
        scale = np.maximum(1.4826 * np.median(away), error)
        far = away > _OUTLIER * np.where(scale > 0, scale, np.inf)
        rows[path] = {
            "chips": len(entries),
            "median": float(np.median(value)),
            "mean": float(value.mean()),
            "std": std,
            "within": within,
            "between": float(np.sqrt(max(std**2 - within**2, 0.0))),
            "unit": entries[0][1].unit,
            "outliers": " ".join(name for (name, _), f in zip(entries, far, strict=True) if f),
        }
    columns = ["chips", "median", "mean", "std", "within", "between", "unit", "outliers"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def shared_quantities(outcomes: Sequence[Outcome]) -> dict[str, list[tuple[str, Quantity]]]:
    """Return the estimates that at least two chips have, by parameter: (card name, value)."""
    found: dict[str, list[tuple[str, Quantity]]] = {}
    for outcome in outcomes:
        if outcome.card is None:
            continue
        families = {
            f"levels[{i}].distribution.": level.distribution.family
            for i, level in enumerate(outcome.card.levels)
            if level.distribution is not None
        }
        for path, q in quantities(outcome.card):
            if q.stderr is not None:
                family = next((f for head, f in families.items() if path.startswith(head)), None)
                key = path if family is None else f"{path} ({family})"
                found.setdefault(key, []).append((outcome.name, q))
    return {path: entries for path, entries in found.items() if len(entries) > 1}
