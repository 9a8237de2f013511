"""Bakes of several files and cards joined: measurements by their readings, cards by their drift.

A measurement gives the changes of every level over time. A card gives what it states: the drift per
ln t and the growth of every level in each of its bakes, as one change over its time, so cards alone
do not test the law of time. Levels belong together by their numbers, and must have about the same
conductance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rramfit.card import ModelCard, Quantity, seal
from rramfit.card.blocks.temperature import BakeCard, BakedLevel
from rramfit.errors import FitError
from rramfit.fitting.results.result import Finding
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.time.bakes.bakes import Bake, BakesFit, MeasuredBake, join, measured_bake
from rramfit.fitting.time.bakes.changes import BakeChanges, Changes
from rramfit.fitting.time.bakes.zero_failures import failure_share
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import Measurement
from rramfit.units import counted

__all__ = ["join_bakes", "with_joined_bakes"]

_NORMAL = 1.959963984540054
_ALIKE = 0.25  # relative difference of a level's conductance between sources


def join_bakes(sources: Sequence[Path | str | Measurement | ModelCard]) -> BakesFit:
    """Join the bakes of several measurements and cards.

    Parameters
    ----------
    sources : sequence of Path, str, Measurement or ModelCard
        Paths are those of measurement files. The first bake of the first source is the reference.

    Raises
    ------
    FitError
        If there are fewer than two bakes, a source has no bake or no temperature, or its levels are
        others than those of the first.
    MeasurementError
        If a file is not a measurement file.

    Examples
    --------
    >>> join_bakes([])
    Traceback (most recent call last):
    ...
    rramfit.errors.FitError: 0 bakes are given; expected two or more. Add measurements or cards
    """
    read = [
        s if isinstance(s, Measurement | ModelCard) else read_measurement(Path(s)) for s in sources
    ]
    counts = [_level_count(s) for s in read]
    n_levels = max(counts, default=0)
    found: list[Finding] = []
    bakes: list[MeasuredBake] = []
    for source in read:
        if isinstance(source, ModelCard):
            bakes += _of_card(source, n_levels)
        else:
            bakes += _of_measurement(source, n_levels, found)
    if len(bakes) < 2:
        verb = "is" if len(bakes) == 1 else "are"
        msg = (
            f"{counted(len(bakes), 'bake')} {verb} given; expected two or more. Add measurements "
            "or cards"
        )
        raise FitError(msg)
    _check_levels(bakes)
    if any(isinstance(s, ModelCard) for s in read):
        found.append(
            Finding(
                "Cards state the drift per ln t of a bake, not its readings, so they do not test "
                "the law of time",
                "Join the measurement files instead, if you have them",
                code="bake-cards-joined",
            )
        )
    return join(bakes, found)


def with_joined_bakes(card: ModelCard, fit: BakesFit) -> ModelCard:
    """Return a card with the bakes of several sources in place of those it had, sealed."""
    fits = {**card.quality.fits, "temperature": fit.verdict.to_card()}
    order = ("ok", "warning", "bad")
    verdict = max(card.quality.verdict, fit.verdict.word, key=order.index)
    names = [b.source for b in fit.block.bakes if b.source]
    arguments = {**card.provenance.arguments, "bakes_joined": ", ".join(names)}
    return seal(
        card.model_copy(
            update={
                "temperature": fit.to_card(),
                "quality": card.quality.model_copy(update={"fits": fits, "verdict": verdict}),
                "provenance": card.provenance.model_copy(update={"arguments": arguments}),
            }
        )
    )


def _of_measurement(m: Measurement, n_levels: int, found: list[Finding]) -> list[MeasuredBake]:
    name = m.path.name if m.path is not None else m.identity.array_id
    if not m.bakes:
        msg = f"{name}: found no /retention; expected at least one bake. Leave this file out"
        raise FitError(msg)
    statistics = None
    if m.program is not None and m.program.levels_known:
        statistics = accumulate(m.program, len(m.levels) if m.levels is not None else 0)
    healthy = screen(m, statistics).healthy
    out = []
    for reads in m.bakes:
        bake = measured_bake(Bake(reads=reads, healthy=healthy, source=name), m.levels, n_levels)
        if isinstance(bake, Finding):
            found.append(bake)
        else:
            out.append(bake)
    return out


def _of_card(card: ModelCard, n_levels: int) -> list[MeasuredBake]:
    """Return the bakes that a card states."""
    mean = np.full(n_levels, math.nan)
    for level in card.levels:
        if level.mean is not None:
            mean[level.index] = level.mean.value
    if card.temperature is not None:
        return [
            _stated(bake.model_copy(update={"source": bake.source or card.name}), mean, card.name)
            for bake in card.temperature.bakes
        ]
    r = card.retention
    if r is None or r.temperature is None:
        what = "no retention" if r is None else "a retention without temperature"
        msg = (
            f"card {card.name} has {what}; expected a bake with its temperature. Leave this card "
            "out"
        )
        raise FitError(msg)
    cells = sum(x.n_cells for x in r.levels)
    lost = 0 if r.collapsed is None else round(r.collapsed.value * cells)
    bake = BakeCard(
        temperature=r.temperature,
        reference_time=r.reference_time,
        longest_time=r.longest_time,
        source=card.name,
        cells=cells,
        lost=lost,
        lost_bound=failure_share(lost, max(cells, 1)),
        levels=[
            BakedLevel(level=x.level, n_cells=x.n_cells, drift=x.drift, growth=x.growth)
            for x in r.levels
        ],
    )
    return [_stated(bake, mean, card.name)]


def _stated(bake: BakeCard, mean: np.ndarray, name: str) -> MeasuredBake:
    """Return the changes that the drift and the growth of a bake stand for."""
    first, last = bake.reference_time.value, bake.longest_time.value
    if not last > first:
        msg = (
            f"card {name} has a bake with a single reading after programming, so no drift. Leave "
            "this card out"
        )
        raise FitError(msg)
    x = math.log(last / first)
    values = {kind: np.full((len(mean), 1), math.nan) for kind in ("mean", "log", "variance")}
    errors = {kind: np.full((len(mean), 1, 1), math.nan) for kind in values}
    n_cells = np.zeros(len(mean), dtype=np.int64)
    for level in bake.levels:
        k = level.level
        n_cells[k] = level.n_cells
        if level.drift is not None and level.drift.ci95 is not None:
            change, error = level.drift.value * x, _error(level.drift) * x
            values["mean"][k], errors["mean"][k] = change, error**2
            if mean[k] > 0 and mean[k] + change > 0:
                values["log"][k] = math.log1p(change / mean[k])
                errors["log"][k] = (error / (mean[k] + change)) ** 2
        if level.growth is not None and level.growth.ci95 is not None:
            growth = level.growth.value
            values["variance"][k] = growth**2 * x
            errors["variance"][k] = (2 * growth * _error(level.growth) * x) ** 2
    part = {kind: Changes(value=values[kind], covariance=errors[kind]) for kind in values}
    changes = BakeChanges(
        temperature=bake.temperature.value,
        first_time=first,
        time=np.array([last]),
        start=mean.copy(),
        n_cells=n_cells,
        stated=True,
        mean=part["mean"],
        log=part["log"],
        variance=part["variance"],
        excess=part["variance"],
    )
    return MeasuredBake(changes=changes, card=bake)


def _error(q: Quantity) -> float:
    low, high = q.ci95 or (q.value, q.value)
    return (high - low) / (2 * _NORMAL)


def _level_count(source: Measurement | ModelCard) -> int:
    if isinstance(source, ModelCard):
        of_levels = [level.index + 1 for level in source.levels]
        rows = source.retention.levels if source.retention else []
        return max([0, *of_levels, *(row.level + 1 for row in rows)])
    known = len(source.levels) if source.levels is not None else 0
    return max([known, *(int(b.level.max(initial=-1)) + 1 for b in source.bakes)])


def _check_levels(bakes: Sequence[MeasuredBake]) -> None:
    """Raise an error if a level of one bake is another than that of the first."""
    first = bakes[0]
    for bake in bakes[1:]:
        a, b = first.changes.start, bake.changes.start
        both = np.isfinite(a) & np.isfinite(b)
        with np.errstate(invalid="ignore"):
            apart = both & (np.abs(a - b) > _ALIKE * np.maximum(np.abs(a), np.abs(b)))
        spread = np.abs(a[both]).max(initial=0.0)
        apart &= np.abs(a - b) > 0.05 * spread  # a high-resistance state may be near 0
        if apart.any():
            k = int(np.flatnonzero(apart)[0])
            msg = (
                f"level {k}: found {1e6 * b[k]:.3g} uS in {bake.card.source} and "
                f"{1e6 * a[k]:.3g} uS in {first.card.source}; expected the same levels in all "
                "bakes. Join bakes of the same levels"
            )
            raise FitError(msg)
