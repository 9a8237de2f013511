"""Why a card may be believed: verdicts, held-out checks, what was left out, and its origin."""

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
    """One fit's verdict, and what to do about a bad one."""

    verdict: Literal["ok", "warning", "bad", "not run"]
    findings: list[str] = Field([], description="what is wrong, in words")
    remedies: list[str] = Field([], description="what to do about it, one for each finding")


class HeldOut(Part):
    """How well the card predicts cells and cycles that it was not fitted to."""

    level: Count
    log_score: Finite = Field(description="mean predictive log density [ln 1/S]")
    ks_distance: Finite
    coverage50: Finite
    coverage90: Finite
    coverage99: Finite
    p_value: Finite | None = Field(
        None, description="of ks_distance, by parametric bootstrap with cells and their cycles"
    )
    n_cells: Count = 0
    n_observations: Count
    words: str = Field("", description="the verdict on this level")


class ScreenedCard(Part):
    """What was kept out of the fits, and why: cells by reason."""

    reasons: dict[str, Count] = {}
    clipped_reads: Count = 0
    cells_used: Count


class Quality(Part):
    """Can the card be believed."""

    verdict: Literal["ok", "warning", "bad"]
    summary: str
    fits: dict[str, FitQuality] = {}
    heldout: list[HeldOut] = []
    screened: ScreenedCard | None = None


class InputFile(Part):
    """One input, by name and content."""

    name: str
    sha256: Sha256


class Provenance(Part):
    """Where the card came from; outside its identity."""

    inputs: list[InputFile]
    rramfit_version: str
    arguments: dict[str, Any] = {}
    seed: int
    time: str = Field(description="ISO 8601, UTC")
    time_source: str


class CellsFile(Part):
    """The sidecar with this very array's per-cell maps."""

    file: str
    sha256: Sha256
