"""Does a card predict another chip? Parameter by parameter, and as distributions.

The other chip is characterised as the card's own was, and its card compared with this one
(`rramfit.fitting.comparison.card_difference`). Then every accepted reading of its healthy cells is
put into the card's distribution of its level: u = F(y). Coverage of the card's 50, 90 and 99 %
intervals, the largest gap between the distribution of u and the uniform, and the mean log density
say how well the card predicts them. What the gap may be by chance follows from the other chip's
cells, their cycles and its smooth field, and from how well the card knows its mean and spread
(`rramfit.fitting.levels.goodness_bootstrap`).

The card fails where a parameter differs by Holm's test at 1 %, or where a distribution misplaces
more readings than chance does and more than matters.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rramfit.card.schema import ModelCard
from rramfit.errors import FitError
from rramfit.fitting.axes import own_axes
from rramfit.fitting.characterization import Characterization, characterize
from rramfit.fitting.comparison.card_difference import ParameterTest, compare_parameters, holm
from rramfit.fitting.comparison.level_prediction import LevelPrediction, predict_levels
from rramfit.fitting.result import Finding, Verdict
from rramfit.measurement.file.record import Measurement

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["LevelPrediction", "PredictionCheck", "predict_other"]

ALPHA = 0.01  # chance of any false alarm among all parameters
SAME_TARGET = 0.01  # relative difference of targets up to which levels are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionCheck:
    """Whether a card predicts another chip.

    Attributes
    ----------
    card_name, other_name : str
    parameters : tuple of ParameterTest
        Those that differ first, then by p-value.
    levels : tuple of LevelPrediction
    verdict : Verdict
        Bad where the card does not predict.
    other : ModelCard
        The other chip's own card.
    """

    card_name: str
    other_name: str
    parameters: tuple[ParameterTest, ...]
    levels: tuple[LevelPrediction, ...]
    verdict: Verdict
    other: ModelCard

    @property
    def predicts(self) -> bool:
        """The card predicts the other chip."""
        return self.verdict.word != "bad"

    @property
    def different(self) -> tuple[ParameterTest, ...]:
        """Parameters that differ."""
        return tuple(p for p in self.parameters if p.differs)

    def to_frame(self) -> pd.DataFrame:
        """One row a parameter: both values, t, df, p_value, differs."""
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
        """One row a level: coverage, distance, score."""
        import pandas as pd

        rows = [v.to_dict() for v in self.levels]
        return pd.DataFrame(rows, index=pd.Index([v.index for v in self.levels], name="level"))

    def to_dict(self) -> dict[str, Any]:
        """Return the whole check as plain values, without infinities."""
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
        """Return the check as text for people."""
        word = "predicts" if self.predicts else "does not predict"
        lines = [f"card {self.card_name} {word} {self.other_name}"]
        lines += [f"  ! {f.what}: {f.remedy}" for f in self.verdict.findings]
        if self.levels:
            lines.append(
                f"{'level':<8}{'50 %':>8}{'90 %':>8}{'99 %':>8}{'distance':>10}{'p':>8}{'score':>9}"
            )
        for v in self.levels:
            share = "".join(f"{c:>8.1%}" for c in v.coverage)
            lines.append(
                f"{v.name:<8}{share}{v.distance:>10.4f}{v.p_value:>8.3f}{v.log_score:>9.3f}"
            )
        lines.append(f"{len(self.different)} of {len(self.parameters)} parameters differ")
        for p in (self.different or self.parameters[:3])[:12]:
            lines.append(
                f"  {p.path:<44} {p.first.value:>12.5g} {p.second.value:>12.5g} {p.first.unit:<5}"
                f" t = {p.t:.2f}, p = {p.p_value:.2g}"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        word = "predicts" if self.predicts else "does not predict"
        title = html.escape(f"card {self.card_name} {word} {self.other_name}")
        notes = "".join(f"<p>{html.escape(f.what)}</p>" for f in self.verdict.findings)
        tables = self.levels_frame().to_html() + self.to_frame().to_html()
        return f"<p><b>{title}</b></p>{notes}{tables}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw observed less predicted share of readings below each of the card's quantiles."""
        ax = own_axes(ax)
        for v in self.levels:
            ax.plot(v.u, (np.arange(v.u.size) + 0.5) / v.u.size - v.u, lw=1, label=v.name)
        ax.axhline(0, color="grey", lw=0.8)
        ax.set_xlabel("share below, by the card")
        ax.set_ylabel("share below, observed, less the card's")
        if 0 < len(self.levels) <= 8:
            ax.legend()
        return ax


def predict_other(
    card: ModelCard, other: Measurement | Characterization | Path | str, *, seed: int = 0
) -> PredictionCheck:
    """Ask whether a card predicts another chip.

    Parameters
    ----------
    card : ModelCard
    other : Measurement, Characterization, Path or str
        The other chip: measured, or characterised already.
    seed : int
        Of folds and bootstraps.

    Raises
    ------
    MeasurementError
        If the file is not a measurement file.
    FitError
        If card and chip have nothing in common to compare.
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
                f"card {card.name} and {found.card.name} have no estimated parameter and no level "
                "in common; expected a measurement with the groups that the card was made from"
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
    """Tell where the two speak of different levels."""
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
        f"the levels are not the same: the card has {len(targets[0])} ({shown[0]} uS), the other "
        f"chip {len(targets[1])} ({shown[1]} uS)",
        "compare chips that were programmed to the same levels",
        severe=True,
    )


def _findings(
    tests: list[ParameterTest], levels: list[LevelPrediction], found: Characterization
) -> list[Finding]:
    out: list[Finding] = []
    if found.card.quality.verdict == "bad":
        out.append(
            Finding(
                f"the other chip's own measurement is bad: {found.card.quality.summary}",
                "mend the measurement first; what differs may be its fault and not the chip's",
            )
        )
    different = sorted((p for p in tests if p.differs), key=lambda p: p.p_value)
    if different:
        shown = "; ".join(
            f"{p.path} {p.first.value:.4g} against {p.second.value:.4g} {p.first.unit}"
            for p in different[:3]
        )
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        out.append(
            Finding(
                f"{len(different)} of {len(tests)} parameters differ by more than their "
                f"uncertainties allow: {shown}{more}",
                "make a card of its own for this chip, or one of several chips together",
                severe=True,
            )
        )
    missed = [v for v in levels if v.fails]
    if missed:
        worst = max(missed, key=lambda v: v.distance)
        out.append(
            Finding(
                f"{len(missed)} of {len(levels)} levels lie elsewhere than the card says; the "
                f"worst is {worst.name}: {worst.coverage[1]:.1%} of readings within the card's "
                f"90 % interval, up to {worst.distance:.1%} misplaced",
                "compare read voltage, temperature and programming scheme of the two chips",
                severe=True,
            )
        )
    return out


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
