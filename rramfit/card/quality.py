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

    verdict: Literal["ok", "warning", "bad", "not run"] = Field(
        description="whether the numbers of the fit can be used"
    )
    findings: list[str] = Field([], description="problems found, one sentence each")
    remedies: list[str] = Field([], description="what to do about each finding, in the same order")


class HeldOut(Part):
    """Prediction of held-out cells and cycles at one level."""

    level: Count = Field(description="number of the level")
    log_score: Finite = Field(description="mean predictive log density [ln 1/S]")
    ks_distance: Finite = Field(
        description="largest difference between the predicted and observed distribution functions"
    )
    coverage50: Finite = Field(
        description="share of held-out readings in the predicted 50 % interval"
    )
    coverage90: Finite = Field(description="share in the predicted 90 % interval")
    coverage99: Finite = Field(description="share in the predicted 99 % interval")
    p_value: Finite | None = Field(
        None, description="p-value of ks_distance, by parametric bootstrap over cells and cycles"
    )
    n_cells: Count = Field(0, description="cells that were predicted")
    n_observations: Count = Field(description="readings that were predicted")
    words: str = Field("", description="verdict on this level as text")


class ScreenedCard(Part):
    """Number of cells excluded from the fits, by reason."""

    reasons: dict[str, Count] = Field({}, description="number of cells left out, by reason")
    clipped_reads: Count = Field(0, description="readings at a rail, used as bounds")
    cells_used: Count = Field(description="healthy cells, which the fits use")


class Quality(Part):
    """Overall verdict on the card, with the verdicts on its fits and held-out checks."""

    verdict: Literal["ok", "warning", "bad"] = Field(description="the worst verdict of all fits")
    summary: str = Field(description="the verdict in a sentence")
    fits: dict[str, FitQuality] = Field(
        {}, description="verdict and findings of each fit, by its name"
    )
    heldout: list[HeldOut] = Field(
        [], description="prediction of cells and cycles kept out of the fit"
    )
    screened: ScreenedCard | None = Field(None, description="cells and readings that were left out")


class InputFile(Part):
    """Name and hash of one input file."""

    name: str = Field(description="name of the file, without its folder")
    sha256: Sha256 = Field(description="SHA-256 of its content")


class Provenance(Part):
    """Origin of the card; not part of its digest."""

    inputs: list[InputFile] = Field(description="files that the card was made from")
    rramfit_version: str = Field(description="version that made the card")
    arguments: dict[str, Any] = Field({}, description="settings of the command")
    seed: int = Field(description="seed of all random numbers")
    time: str = Field(description="ISO 8601, UTC")
    time_source: str = Field(description="where the time stamp comes from")


class CellsFile(Part):
    """The sidecar with the per-cell maps of the measured array."""

    file: str = Field(description="name of the sidecar, beside the card")
    sha256: Sha256 = Field(description="SHA-256 of its content")
