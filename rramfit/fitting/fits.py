"""All fits of one measured array, by name; None if the file has no data for a fit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rramfit.fitting.checks.diagnostics import Diagnostics
from rramfit.fitting.checks.heldout import HeldOutCheck
from rramfit.fitting.electrical.iv import IVFit
from rramfit.fitting.electrical.line_fit import LineResistanceFit
from rramfit.fitting.electrical.pulses import PulseFit
from rramfit.fitting.electrical.readout import ReadoutFit
from rramfit.fitting.failure.effort import ProgrammingFit
from rramfit.fitting.failure.failure import FailureFit
from rramfit.fitting.levels.blind import BlindLevels
from rramfit.fitting.levels.levels import LevelsFit
from rramfit.fitting.results.result import Verdict
from rramfit.fitting.screening.program_statistics import ProgramStatistics
from rramfit.fitting.screening.screening import Screening
from rramfit.fitting.tails.tails import TailsFit
from rramfit.fitting.time.bakes.bakes import BakesFit
from rramfit.fitting.time.endurance import EnduranceFit
from rramfit.fitting.time.read_noise import ReadNoiseFit
from rramfit.fitting.time.retention import RetentionFit
from rramfit.fitting.variation.gauge import GaugeFit
from rramfit.fitting.variation.variation import VariationFit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fits", "Result"]


class Result(Protocol):
    """Interface of every fit's result."""

    @property
    def verdict(self) -> Verdict:
        """Whether the result can be used."""

    def summary(self) -> str:
        """Return the result as readable text."""

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a tidy table."""

    def _repr_html_(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """The fits of one array."""

    screening: Screening
    statistics: ProgramStatistics | None = None
    blind: BlindLevels | None = None
    diagnostics: Diagnostics | None = None
    levels: LevelsFit | None = None
    tails: TailsFit | None = None
    variation: VariationFit | None = None
    failure: FailureFit | None = None
    heldout: HeldOutCheck | None = None
    read_noise: ReadNoiseFit | None = None
    retention: RetentionFit | None = None
    temperature: BakesFit | None = None
    endurance: EnduranceFit | None = None
    programming: ProgrammingFit | None = None
    pulses: PulseFit | None = None
    gauge: GaugeFit | None = None
    iv: IVFit | None = None
    line: LineResistanceFit | None = None
    readout: ReadoutFit | None = None

    def results(self) -> dict[str, Result]:
        """Return the fits that ran, by name, in the order in which they ran."""
        found = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(Fits)
            if field.name != "statistics"
        }
        return {name: fit for name, fit in found.items() if fit is not None}
