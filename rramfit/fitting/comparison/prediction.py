"""Test whether a card predicts another chip, by parameter and by distribution.

The other chip is characterized in the same way, and its card compared with this one by both errors
of a parameter: from the cells of one array, and between arrays
(`rramfit.card.uncertainty.comparison`). Then each accepted reading y of its healthy cells is
transformed to u = F(y) by the card's distribution of the level. Coverage of the card's 50, 90 and
99 % intervals, the Kolmogorov-Smirnov distance of u from uniform, and the mean log density measure
the prediction. The p-value of the distance accounts for correlation between readings of a cell, for
the other chip's smooth field, and for the card's uncertainty of mean and spread
(`rramfit.fitting.levels.goodness_bootstrap`).

The card fails if a parameter differs in Holm's test at 1 %, or if a distribution has a significant
distance of at least 3 %. A card that does not know how much arrays differ does not fail for a
significant difference of at most 10 %, of a parameter or of the share of readings below some
conductance: one array cannot tell whether this is usual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.card.quantity import Quantity, result_html
from rramfit.card.schema import ModelCard
from rramfit.card.uncertainty.comparison import (
    ParameterTest,
    compare_parameters,
    drift_counted,
    holm,
    missing_between,
    temperature_difference,
)
from rramfit.errors import FitError
from rramfit.fitting.characterization import Characterization, characterize
from rramfit.fitting.comparison.level_matching import level_mismatch
from rramfit.fitting.comparison.level_prediction import LevelPrediction, predict_levels
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.measurement.file.record import Measurement
from rramfit.units import counted, format_p_value, format_percent, format_quantity

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["LevelPrediction", "PredictionCheck", "predict_other"]

ALPHA = 0.01  # probability of any false alarm over all parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionCheck:
    """Whether a card predicts another chip.

    Attributes
    ----------
    card_name, other_name : str
    parameters : tuple of ParameterTest
        Parameters that differ come first, then by p-value.
    levels : tuple of LevelPrediction
    verdict : Verdict
        Bad if the card does not predict the other chip.
    other : ModelCard
        The card of the other chip.
    note : str, optional
        What the comparison cannot tell, where it is not known how much arrays differ.
    """

    card_name: str
    other_name: str
    parameters: tuple[ParameterTest, ...]
    levels: tuple[LevelPrediction, ...]
    verdict: Verdict
    other: ModelCard
    note: str | None = None

    @property
    def predicts(self) -> bool:
        """Whether the card predicts the other chip."""
        return self.verdict.word != "bad"

    @property
    def different(self) -> tuple[ParameterTest, ...]:
        """Parameters that differ significantly, those that are undecided included."""
        return tuple(p for p in self.parameters if p.differs)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter: both values and errors, t, df, p_value, differs, result."""
        import pandas as pd

        rows = [
            {
                "card": p.first.value,
                "card_stderr": p.first.stderr,
                "other": p.second.value,
                "other_stderr": p.second.stderr,
                "between": p.first.between,
                "unit": p.first.unit,
                "t": p.t,
                "df": p.df,
                "p_value": p.p_value,
                "differs": p.differs,
                "result": p.words,
            }
            for p in self.parameters
        ]
        return pd.DataFrame(rows, index=pd.Index([p.path for p in self.parameters], name="path"))

    def levels_frame(self) -> pd.DataFrame:
        """Return one row per level: coverage, distance, score."""
        import pandas as pd

        rows = [v.to_dict() for v in self.levels]
        return pd.DataFrame(rows, index=pd.Index([v.index for v in self.levels], name="level"))

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain values; infinities become None."""
        return {
            "card": self.card_name,
            "other": self.other_name,
            "predicts": self.predicts,
            "verdict": self.verdict.word,
            "findings": [f.what for f in self.verdict.findings],
            "remedies": [f.remedy for f in self.verdict.findings],
            "note": self.note,
            "drift": drift_counted(self.parameters),
            "parameters": [
                {
                    "path": p.path,
                    "card": p.first.value,
                    "other": p.second.value,
                    "unit": p.first.unit,
                    "t": _finite(p.t),
                    "df": _finite(p.df),
                    "p_value": p.p_value,
                    "differs": p.differs,
                    "result": p.words,
                }
                for p in self.parameters
            ],
            "levels": [{"level": v.index, **v.to_dict()} for v in self.levels],
        }

    def summary(self) -> str:
        """Return the check as readable text."""
        word = "predicts" if self.predicts else "does not predict"
        lines = [f"Card {self.card_name} {word} chip {self.other_name}."]
        lines += [f"  ! {f}" for f in self.verdict.findings]
        if self.levels:
            lines.append(
                f"{'level':<8}{'50 %':>8}{'90 %':>8}{'99 %':>8}{'distance':>10}{'p':>8}{'score':>9}"
            )
        for v in self.levels:
            share = "".join(f"{format_percent(c):>8}" for c in v.coverage)
            lines.append(
                f"{v.name:<8}{share}{v.distance:>10.4f}{v.p_value:>8.3f}{v.log_score:>9.3f}"
            )
        count = len(self.parameters)
        verb = "differs" if len(self.different) == 1 else "differ"
        listed = (self.different or self.parameters[:3])[:12]
        which = ":" if self.different else f"; the {len(listed)} with the smallest p-values:"
        lines.append(f"{len(self.different)} of {counted(count, 'parameter')} {verb}{which}")
        for p in listed:
            lines.append(
                f"  {p.path:<44} {_format(p.first):>14} {_format(p.second):>14}"
                f"  t = {p.t:.2f}, {format_p_value(p.p_value)}"
                f"{'  ' + p.words if p.undecided else ''}"
            )
        lines += [x for x in (self.note, drift_counted(self.parameters)) if x is not None]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        word = "predicts" if self.predicts else "does not predict"
        levels = self.levels_frame().to_html(float_format="{:.3g}".format)
        rows = {p.path: p.shown() for p in self.parameters}
        findings = [str(f) for f in self.verdict.findings]
        title = f"Card {self.card_name} (first) {word} chip {self.other_name} (second)"
        return result_html(title, rows, findings) + levels

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot observed minus predicted share of readings below each of the card's quantiles."""
        ax = axes_or_new(ax)
        for v in self.levels:
            ax.plot(v.u, (np.arange(v.u.size) + 0.5) / v.u.size - v.u, lw=1, label=v.name)
        ax.axhline(0, color="grey", lw=0.8)
        ax.set_xlabel("share of readings below, predicted by the card")
        ax.set_ylabel("observed minus predicted")
        if 0 < len(self.levels) <= 8:
            ax.legend()
        return ax


def predict_other(
    card: ModelCard, other: Measurement | Characterization | Path | str, *, seed: int = 0
) -> PredictionCheck:
    """Test whether a card predicts another chip.

    Parameters
    ----------
    card : ModelCard
    other : Measurement, Characterization, Path or str
        The other chip: a measurement, or its characterization.
    seed : int
        Seed of folds and bootstraps.

    Raises
    ------
    MeasurementError
        If the file is not a measurement file.
    FitError
        If card and chip have no parameter and no level in common.
    """
    found = other if isinstance(other, Characterization) else characterize(other, seed=seed)
    mismatch = level_mismatch(card, found.card)
    warmer = temperature_difference(card, found.card)
    tests: list[ParameterTest] = []
    levels: list[LevelPrediction] = []
    if mismatch is None:
        tests = holm(compare_parameters(card, found.card), ALPHA)
        if found.statistics is not None:
            levels = predict_levels(
                card, found.statistics, found.screening.healthy, seed=seed, other=found.card
            )
        if not tests and not levels and warmer is None:
            msg = (
                f"card {card.name} and chip {found.card.name} have no estimated parameter and no "
                "level in common. Measure the groups that the card was fitted to."
            )
            raise FitError(msg)
    findings = [] if mismatch is None else [mismatch]
    if warmer is not None:
        findings.append(_temperatures(warmer, compared=bool(tests or levels)))
    findings += _findings(tests, levels, found)
    ranked = sorted(tests, key=lambda p: (not p.differs, p.undecided, p.p_value))
    return PredictionCheck(
        card_name=card.name,
        other_name=found.card.name,
        parameters=tuple(ranked),
        levels=tuple(levels),
        verdict=Verdict(tuple(findings)),
        other=found.card,
        note=missing_between(tests),
    )


def _temperatures(sentence: str, *, compared: bool) -> Finding:
    """Report that the chips belong to two temperatures; severe if nothing else is compared."""
    if compared:
        return Finding(
            f"{sentence} Parameters that depend on temperature may differ for this reason alone.",
            "Measure the other chip at the temperature of the card.",
            code="other-temperature",
        )
    return Finding(
        f"{sentence} This is the difference: retention at two temperatures is not compared, and "
        "there is nothing else to compare.",
        "Measure the other chip at the temperature of the card.",
        severe=True,
        code="only-temperature-differs",
    )


def _findings(
    tests: list[ParameterTest],
    levels: list[LevelPrediction],
    found: Characterization,
) -> list[Finding]:
    """List the differences of parameters and distributions."""
    out: list[Finding] = []
    if found.card.quality.verdict == "bad":
        out.append(
            Finding(
                f"The measurement of the other chip has severe findings. "
                f"{found.card.quality.summary}",
                "Correct that measurement first: it may cause the differences.",
                code="severe-findings-of-the-other",
            )
        )
    decided = [p for p in tests if p.differs and not p.undecided]
    if decided:
        out.append(
            Finding(
                f"{_counted(decided, tests)} significantly: {_listed(decided)}.",
                "Make a separate card for this chip, or one card from several chips.",
                severe=True,
                code="parameters-differ",
            )
        )
    undecided = [p for p in tests if p.undecided]
    if undecided:
        out.append(
            Finding(
                f"{_counted(undecided, tests)} by more than the cells' errors; one array cannot "
                f"tell whether arrays of this kind differ as much: {_listed(undecided)}.",
                "Pool cards of several arrays to find out how much they differ.",
                code="parameters-undecided",
            )
        )
    missed = [v for v in levels if v.fails and not v.undecided]
    if missed:
        out.append(
            Finding(
                f"The card does not predict {_worst(missed, levels)}.",
                "Compare read voltage, temperature and programming scheme of the two chips.",
                severe=True,
                code="distribution-differs",
            )
        )
    shifted = [v for v in levels if v.undecided]
    if shifted:
        out.append(
            Finding(
                f"By more than the cells' errors, the card does not predict "
                f"{_worst(shifted, levels)}; one array cannot tell whether arrays of this kind "
                "differ as much.",
                "Pool cards of several arrays to find out how much they differ.",
                code="distribution-undecided",
            )
        )
    return out


def _worst(missed: list[LevelPrediction], levels: list[LevelPrediction]) -> str:
    """Return how many levels are missed, and by how much the worst of them."""
    worst = max(missed, key=lambda v: v.distance)
    return (
        f"{len(missed)} of {counted(len(levels), 'level')}: for {worst.name}, the worst, the "
        f"card's 90 % interval covers {format_percent(worst.coverage[1])} of readings, and up to "
        f"{format_percent(worst.distance)} are misplaced"
    )


def _counted(some: list[ParameterTest], tests: list[ParameterTest]) -> str:
    verb = "differs" if len(some) == 1 else "differ"
    return f"{len(some)} of {counted(len(tests), 'parameter')} {verb}"


def _listed(some: list[ParameterTest]) -> str:
    ranked = sorted(some, key=lambda p: p.p_value)
    shown = "; ".join(f"{p.path} {_format(p.first)} and {_format(p.second)}" for p in ranked[:3])
    return shown + (f" and {len(ranked) - 3} more" if len(ranked) > 3 else "")


def _format(q: Quantity) -> str:
    return format_quantity(q.value, q.unit)


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
