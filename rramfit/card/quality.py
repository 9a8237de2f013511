"""Evidence for a card: verdicts, held-out checks, screened cells, and provenance."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from rramfit.card.part import Count, Part, Sha256
from rramfit.card.quantity import Finite

__all__ = [
    "CellsFile",
    "FitQuality",
    "HeldOut",
    "InputFile",
    "Provenance",
    "Quality",
    "ScreenedCard",
]


class FitQuality(Part):
    """Verdict on one fit, with findings and remedies."""

    verdict: Literal["ok", "warning", "bad", "not run"]
    findings: list[str] = Field([], description="problems found, one sentence each")
    remedies: list[str] = Field([], description="what to do about each finding, in the same order")


class HeldOut(Part):
    """Prediction of held-out cells and cycles at one level."""

    level: Count
    log_score: Finite = Field(description="mean predictive log density [ln 1/S]")
    ks_distance: Finite
    coverage50: Finite
    coverage90: Finite
    coverage99: Finite
    p_value: Finite | None = Field(
        None, description="p-value of ks_distance, by parametric bootstrap over cells and cycles"
    )
    n_cells: Count = 0
    n_observations: Count
    words: str = Field("", description="verdict on this level as text")


class ScreenedCard(Part):
    """Number of cells excluded from the fits, by reason."""

    reasons: dict[str, Count] = {}
    clipped_reads: Count = 0
    cells_used: Count


class Quality(Part):
    """Overall verdict on the card, with the verdicts on its fits and held-out checks."""

    verdict: Literal["ok", "warning", "bad"]
    summary: str
    fits: dict[str, FitQuality] = {}
    heldout: list[HeldOut] = []
    screened: ScreenedCard | None = None


class InputFile(Part):
    """Name and hash of one input file."""

    name: str
    sha256: Sha256


class Provenance(Part):
    """Origin of the card; not part of its digest."""

    inputs: list[InputFile]
    rramfit_version: str
    arguments: dict[str, Any] = {}
    seed: int
    time: str = Field(description="ISO 8601, UTC")
    time_source: str


class CellsFile(Part):
    """The sidecar with the per-cell maps of the measured array."""

    file: str
    sha256: Sha256
