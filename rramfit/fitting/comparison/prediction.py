"""Test whether a card predicts another chip, by parameter and by distribution.

The other chip is characterized in the same way, and its card compared with this one
(`rramfit.fitting.comparison.card_difference`). Then each accepted reading y of its healthy cells is
transformed to u = F(y) by the card's distribution of the level. Coverage of the card's 50, 90 and
99 % intervals, the Kolmogorov-Smirnov distance of u from uniform, and the mean log density measure
the prediction. The p-value of the distance accounts for correlation between readings of a cell, for
the other chip's smooth field, and for the card's uncertainty of mean and spread
(`rramfit.fitting.levels.goodness_bootstrap`).

The card fails if a parameter differs in Holm's test at 1 %, or if a distribution has a significant
distance of at least 3 %.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.card.quantity import Quantity
from rramfit.card.schema import ModelCard
from rramfit.errors import FitError
from rramfit.fitting.axes import axes_or_new
from rramfit.fitting.characterization import Characterization, characterize
from rramfit.fitting.comparison.card_difference import ParameterTest, compare_parameters, holm
from rramfit.fitting.comparison.level_prediction import LevelPrediction, predict_levels
from rramfit.fitting.result import Finding, Verdict
from rramfit.measurement.file.record import Measurement
from rramfit.units import counted, format_p_value, format_quantity

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["LevelPrediction", "PredictionCheck", "predict_other"]

ALPHA = 0.01  # probability of any false alarm over all parameters
SAME_TARGET = 0.01  # relative difference of targets up to which levels are the same


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
    """

    card_name: str
    other_name: str
    parameters: tuple[ParameterTest, ...]
    levels: tuple[LevelPrediction, ...]
    verdict: Verdict
    other: ModelCard

    @property
    def predicts(self) -> bool:
        """Whether the card predicts the other chip."""
        return self.verdict.word != "bad"

    @property
    def different(self) -> tuple[ParameterTest, ...]:
        """Parameters that differ significantly."""
        return tuple(p for p in self.parameters if p.differs)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per parameter: both values, t, df, p_value, differs."""
        import pandas as pd

        rows = [
            {
                "card": p.first.value,
                "card_stderr": p.first.stderr,
                "other": p.second.value,
                "other_stderr": p.second.stderr,
                "unit": p.first.unit,
                "t": p.t,
                "df": p.df,
                "p_value": p.p_value,
                "differs": p.differs,
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
            share = "".join(f"{c:>8.1%}" for c in v.coverage)
            lines.append(
                f"{v.name:<8}{share}{v.distance:>10.4f}{v.p_value:>8.3f}{v.log_score:>9.3f}"
            )
        count = len(self.parameters)
        verb = "differs" if len(self.different) == 1 else "differ"
        lines.append(f"{len(self.different)} of {counted(count, 'parameter')} {verb}:")
        for p in (self.different or self.parameters[:3])[:12]:
            lines.append(
                f"  {p.path:<44} {_format(p.first):>14} {_format(p.second):>14}"
                f"  t = {p.t:.2f}, {format_p_value(p.p_value)}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        word = "predicts" if self.predicts else "does not predict"
        title = html.escape(f"Card {self.card_name} {word} chip {self.other_name}")
        notes = "".join(f"<p>{html.escape(str(f))}</p>" for f in self.verdict.findings)
        tables = self.levels_frame().to_html() + self.to_frame().to_html()
        return f"<p><b>{title}</b></p>{notes}{tables}"

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
    findings: list[Finding] = []
    mismatch = _level_mismatch(card, found.card)
    if mismatch is not None:
        findings.append(mismatch)
    tests: list[ParameterTest] = []
    levels: list[LevelPrediction] = []
    if mismatch is None:
        tests = holm(compare_parameters(card, found.card), ALPHA)
        if found.statistics is not None:
            levels = predict_levels(card, found.statistics, found.screening.healthy, seed=seed)
        if not tests and not levels:
            msg = (
                f"card {card.name} and chip {found.card.name} have no estimated parameter and no "
                "level in common. Measure the groups that the card was fitted to."
            )
            raise FitError(msg)
    findings += _findings(tests, levels, found)
    ranked = sorted(tests, key=lambda p: (not p.differs, p.p_value))
    return PredictionCheck(
        card_name=card.name,
        other_name=found.card.name,
        parameters=tuple(ranked),
        levels=tuple(levels),
        verdict=Verdict(tuple(findings)),
        other=found.card,
    )


def _level_mismatch(card: ModelCard, other: ModelCard) -> Finding | None:
    """Report that the two have different levels."""
    if not card.levels or not other.levels:
        return None
    targets = [[v.target.value if v.target else math.nan for v in c.levels] for c in (card, other)]
    same = len(targets[0]) == len(targets[1]) and all(
        math.isnan(a) or math.isnan(b) or math.isclose(a, b, rel_tol=SAME_TARGET)
        for a, b in zip(*targets, strict=True)
    )
    if same:
        return None
    shown = [", ".join(f"{t * 1e6:.3g}" for t in c[:6]) + (", …" * (len(c) > 6)) for c in targets]
    return Finding(
        f"The levels differ: the card has {counted(len(targets[0]), 'level')} ({shown[0]} uS), the "
        f"other chip {len(targets[1])} ({shown[1]} uS).",
        "Compare chips that were programmed to the same levels.",
        severe=True,
    )


def _findings(
    tests: list[ParameterTest], levels: list[LevelPrediction], found: Characterization
) -> list[Finding]:
    out: list[Finding] = []
    if found.card.quality.verdict == "bad":
        out.append(
            Finding(
                f"The measurement of the other chip has severe findings. "
                f"{found.card.quality.summary}",
                "Correct that measurement first: it may cause the differences.",
            )
        )
    different = sorted((p for p in tests if p.differs), key=lambda p: p.p_value)
    if different:
        shown = "; ".join(
            f"{p.path} {_format(p.first)} and {_format(p.second)}" for p in different[:3]
        )
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        out.append(
            Finding(
                f"{len(different)} of {counted(len(tests), 'parameter')} "
                f"{'differs' if len(different) == 1 else 'differ'} significantly: {shown}{more}.",
                "Make a separate card for this chip, or one card from several chips.",
                severe=True,
            )
        )
    missed = [v for v in levels if v.fails]
    if missed:
        worst = max(missed, key=lambda v: v.distance)
        out.append(
            Finding(
                f"The card does not predict {len(missed)} of {counted(len(levels), 'level')}; for "
                f"the worst, {worst.name}, its 90 % interval covers {worst.coverage[1]:.1%} of "
                f"readings, and up to {worst.distance:.1%} are misplaced.",
                "Compare read voltage, temperature and programming scheme of the two chips.",
                severe=True,
            )
        )
    return out


def _format(q: Quantity) -> str:
    return format_quantity(q.value, q.unit)


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
