"""Draw a card within its uncertainty: another card that the same data would allow.

A fit knows its parameters up to their errors. A draw replaces every estimated number x by

    f(x') = f(x) + t·s + w·b

on the scale f of its interval (`rramfit.card.uncertainty.scales`), with s its error, t a Student's
t of its degrees of freedom, b the standard deviation between arrays if the card has one
(`between`), and w standard normal. The t of one draw is common to all its arrays, the w belongs to
one array. An exact
interval gives two normal halves. |t·s| is limited to 1.5 half widths of the 95 % interval.

Numbers that describe the same thing are drawn together:

means           correlated between levels as far as their errors come from cells, not cycles,
                R_kl·√(f_k·f_l) with R that of cells' offsets and f = 1 − c2c²/(readings·s²)
std             of its parts, std'² = std² + Σ(part'² − part²) over d2d, c2c and read noise
distribution    its parameters with the correlation of their errors; then it is moved and scaled to
                the drawn mean and std, which are known better than its parameters
failure         where hard and soft are not separated, the probability less that of stuck cells
wires           with the correlation of their errors
bakes           the parameters of their law, with the correlation of their errors

All others are drawn independently. Not drawn are numbers that were given, correlations between
levels, and what describes the measurement: the domain, read thresholds, bits per cell, endurance.
Every number has its own random stream, so that another card or a new field shifts none of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import special

from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import FailureCard, LevelCard, ModelCard, StuckCard, VariationCard
from rramfit.card.uncertainty.comparison import MISSING_BETWEEN
from rramfit.card.uncertainty.draw_law import law_correlation
from rramfit.card.uncertainty.draw_level import drawn_distribution
from rramfit.card.uncertainty.scales import halves, own_scale
from rramfit.streams import stream

__all__ = ["draw_card", "draw_limits", "draw_value", "drawn_paths"]

Floats = NDArray[np.float64]

_KEPT = frozenset(
    {
        "array",
        "domain",
        "quality",
        "provenance",
        "cells",
        "bits_per_cell",
        "endurance",
        "programming",
        "gauge",
        "tails",
    }
)
_KEPT_OF_LEVEL = frozenset({"upper_threshold", "overlap"})
_MOST = 1.5  # half widths of the 95 % interval
_LEAST_STD = 0.2  # of the stated std
_RESISTANCES = (
    *("wordline_resistance", "bitline_resistance", "driver_resistance", "sense_resistance"),
    "gain",
)
_SINGULAR = 1e-6


def draw_card(
    card: ModelCard, *, seed: int, draw: int | None = None, array: int | None = None
) -> ModelCard:
    """Draw a card within its errors, and one array of its population.

    Parameters
    ----------
    card : ModelCard
    seed : int
    draw : int, optional
        Index of the draw from the errors; by default the numbers are those of the card.
    array : int, optional
        Index of the array; by default there is no deviation between arrays.

    Returns
    -------
    ModelCard
        With other values and the same errors, not sealed; `card` itself if nothing was drawn.
    """
    errors = _Scores(seed, None if draw is None else f"card draw/{draw}")
    between = _Scores(seed, None if array is None else f"card array/{array}")
    for scores in (errors, between):
        scores.mix([f"levels[{k}].mean" for k in range(len(card.levels))], _of_means(card))
        for k, level in enumerate(card.levels):
            if level.distribution is not None and level.distribution.correlation is not None:
                names = sorted(level.distribution.parameters)
                where = f"levels[{k}].distribution.parameters"
                scores.mix([f"{where}.{n}" for n in names], level.distribution.correlation)
        if card.line is not None and card.line.correlation is not None:
            found = [n for n in _RESISTANCES if getattr(card.line, n) is not None]
            scores.mix([f"line.{n}" for n in found], card.line.correlation)

        if card.temperature is not None:
            for name, law in (
                ("drift", card.temperature.drift),
                ("growth", card.temperature.growth),
            ):
                if law is not None:
                    scores.mix(*law_correlation(law, f"temperature.{name}"))

    def drawn(path: str, q: Quantity) -> Quantity:
        value = draw_value(q, errors.at(path, q.stderr), between.at(path, q.between))
        return q if value == q.value else q.model_copy(update={"value": value})

    parts = {name: _replaced(value, name, drawn) for name, value in card if name not in _KEPT}
    changed = {name: value for name, value in parts.items() if value is not getattr(card, name)}
    if not changed:
        return card
    new = card.model_copy(update=changed)
    variation = {v.level: (v, w) for v, w in zip(card.variation, new.variation, strict=True)}
    levels = [
        _consistent(old, level, variation.get(old.index))
        for old, level in zip(card.levels, new.levels, strict=True)
    ]
    failure = [
        _failing(old, f, card.stuck, new.stuck)
        for old, f in zip(card.failure, new.failure, strict=True)
    ]
    return new.model_copy(update={"levels": levels, "failure": failure})


def drawn_paths(card: ModelCard) -> list[str]:
    """Return the paths of all numbers that `draw_card` draws."""
    return [
        path
        for path, q in quantities(card)
        if path.partition(".")[0].partition("[")[0] not in _KEPT
        and path.rpartition(".")[2] not in _KEPT_OF_LEVEL
        and (q.stderr or q.between or (q.ci95 and q.ci95[0] < q.ci95[1]))
    ]


def draw_limits(card: ModelCard) -> list[str]:
    """Return what the draws of a card leave out, one sentence each."""
    drawn = set(drawn_paths(card))
    if not drawn:
        return ["No parameter of the card has a standard error, so none is drawn."]
    out = []
    shapes = [
        level.name
        for level in card.levels
        if level.distribution is not None
        and len(level.distribution.parameters) > 2
        and level.distribution.correlation is None
    ]
    if shapes:
        out.append(
            "The card has no correlation of the errors of distribution parameters: those of "
            f"{_listed(shapes)} are drawn independently of one another, for the mean and std drawn."
        )
    fixed = [
        level.name
        for k, level in enumerate(card.levels)
        if level.distribution is not None
        and any(
            q.stderr is None and f"levels[{k}].mean" in drawn
            for q in level.distribution.parameters.values()
        )
    ]
    if fixed:
        out.append(
            f"Parameters without an interval keep their value: some of the distribution of "
            f"{_listed(fixed)}."
        )
    if not any(q.between is not None for _, q in quantities(card)):
        out.append(MISSING_BETWEEN)
    return out


def draw_value(q: Quantity, error: float, between: float) -> float:
    """Return a number moved by its errors, given as normal scores.

    Examples
    --------
    >>> q = Quantity.estimated(2.0, 0.2, "S", scale="log")
    >>> round(draw_value(q, 1.0, 0.0), 4), draw_value(q, 0.0, 0.0)
    (2.2103, 2.0)
    """
    spread = (q.between or 0.0) * between
    if q.ci95 is None or error == 0:
        error = 0.0
    if error == 0 and spread == 0:
        return q.value
    found = own_scale(q)
    if found is not None:
        scale, x = found
        t = 0.0
        if error != 0:
            most = _MOST * float(special.stdtrit(x.df, 0.975))
            t = float(special.stdtrit(x.df, float(special.ndtr(error))))
            t = min(max(t, -most), most)
        return scale.back(x.value + t * x.stderr + between * x.between)
    low, high = halves(q)
    limit = _MOST * float(special.ndtri(0.975))
    value = q.value + float(np.clip(error, -limit, limit)) * (high if error > 0 else low) + spread
    if q.ci95 is not None and q.ci95[0] >= 0:
        value = max(value, 0.0)
        if q.unit == "1" and q.ci95[1] <= 1:
            value = min(value, 1.0)
    return value


class _Scores:
    """Standard normal scores of numbers by their path, some of them correlated."""

    def __init__(self, seed: int, name: str | None) -> None:
        self._seed, self._name = seed, name
        self._mixed: dict[str, float] = {}

    def at(self, path: str, error: float | None) -> float:
        """Return the score of a number; 0 if nothing is drawn."""
        if self._name is None or error is None:
            return 0.0
        return self._mixed[path] if path in self._mixed else self._own(path)

    def _own(self, path: str) -> float:
        return float(stream(self._seed, f"{self._name}/{path}").standard_normal())

    def mix(self, paths: Sequence[str], correlation: Sequence[Sequence[float]] | Floats) -> None:
        """Correlate the scores of some numbers; without a matrix of their size, leave them."""
        r = np.asarray(correlation, dtype=np.float64)
        if self._name is None or r.shape != (len(paths), len(paths)) or not len(paths):
            return
        values, vectors = np.linalg.eigh((r + r.T) / 2)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        size = np.sqrt((root**2).sum(axis=1))
        mixed = root / np.where(size > _SINGULAR, size, 1.0)[:, None]
        own = np.array([self._own(path) for path in paths])
        self._mixed |= dict(zip(paths, (mixed @ own).tolist(), strict=True))


def _replaced(value: Any, path: str, drawn: Callable[[str, Quantity], Quantity]) -> Any:
    """Return a part of a card with its numbers drawn; the part itself if none changes."""
    if isinstance(value, Quantity):
        return drawn(path, value)
    if isinstance(value, BaseModel):
        fields = {
            name: _replaced(inner, f"{path}.{name}", drawn)
            for name, inner in value
            if name not in _KEPT_OF_LEVEL
        }
        changed = {n: x for n, x in fields.items() if x is not getattr(value, n)}
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, Mapping):
        new = {name: _replaced(inner, f"{path}.{name}", drawn) for name, inner in value.items()}
        return new if any(new[name] is not value[name] for name in new) else value
    if isinstance(value, list):
        made = [_replaced(inner, f"{path}[{i}]", drawn) for i, inner in enumerate(value)]
        return made if any(a is not b for a, b in zip(made, value, strict=True)) else value
    return value


def _of_means(card: ModelCard) -> Floats:
    """Return the correlation of the errors of the levels' means, (level, level)."""
    n = len(card.levels)
    r = np.asarray(card.variation_correlation or np.eye(n), dtype=np.float64)
    if r.shape != (n, n):
        return np.eye(n)
    by_level = {v.level: v for v in card.variation}
    common = np.sqrt([_common(level, by_level.get(level.index)) for level in card.levels])
    out = r * np.outer(common, common)
    np.fill_diagonal(out, 1.0)
    return np.asarray(out)


def _common(level: LevelCard, variation: VariationCard | None) -> float:
    """Return the share of the variance of a level's mean that comes from its cells."""
    if level.mean is None or not level.mean.stderr or variation is None or variation.d2d is None:
        return 0.0
    cycles = _square(variation.c2c)
    if not variation.c2c_includes_read:
        cycles += _square(variation.read)
    return max(1 - cycles / (max(level.n_observations, 1) * level.mean.stderr**2), 0.0)


def _consistent(
    old: LevelCard, new: LevelCard, variation: tuple[VariationCard, VariationCard] | None
) -> LevelCard:
    """Return a drawn level with std from its parts, and its distribution moved to mean and std."""
    std = new.std
    if std is not None and old.std is not None and variation is not None:
        before, after = variation
        if before.d2d is not None and before.c2c is not None and _erring(before.d2d, before.c2c):
            change = _square(after.d2d) - _square(before.d2d)
            change += _square(after.c2c) - _square(before.c2c)
            if not before.c2c_includes_read:
                change += _square(after.read) - _square(before.read)
            least = (_LEAST_STD * old.std.value) ** 2
            moved = math.sqrt(max(old.std.value**2 + change, least)) if change else old.std.value
            std = old.std.model_copy(update={"value": moved})
    distribution = new.distribution
    if old.distribution is not None and distribution is not None:
        parameters = drawn_distribution(
            old.distribution,
            distribution,
            shift=0.0 if new.mean is None or old.mean is None else new.mean.value - old.mean.value,
            stretch=std.value / old.std.value if std and old.std and old.std.value > 0 else 1.0,
            anchored=old.mean is not None and old.std is not None and _erring(old.mean, old.std),
        )
        distribution = distribution.model_copy(update={"parameters": parameters})
    return new.model_copy(update={"std": std, "distribution": distribution})


def _erring(*found: Quantity) -> bool:
    return any(q.stderr or q.between for q in found)


def _square(q: Quantity | None) -> float:
    return 0.0 if q is None else q.value**2


def _failing(
    old: FailureCard, new: FailureCard, stuck: StuckCard | None, drawn: StuckCard | None
) -> FailureCard:
    """Return a drawn failure; where only the total is known, less the stuck cells drawn."""
    if stuck is None or drawn is None or (old.hard is not None and old.soft is not None):
        return new
    before, after = (_healthy(s) for s in (stuck, drawn))
    if before <= 0 or after <= 0:
        return new
    p = old.probability
    failing = max(1 - (1 - p.value) / before, 0.0)
    faults = sum(
        (q.stderr or 0.0) ** 2
        for q in (stuck.low, stuck.high, stuck.middle, stuck.dead_rows, stuck.dead_cols)
        if q
    )
    variance = max((p.stderr or 0.0) ** 2 - faults, 0.0)
    share = math.sqrt(variance) / p.stderr if p.stderr else 0.0
    failing = min(max(failing + share * (new.probability.value - p.value), 0.0), 1.0)
    total = 1 - (1 - failing) * after
    return new.model_copy(update={"probability": p.model_copy(update={"value": total})})


def _healthy(stuck: StuckCard) -> float:
    """Return the share of cells that are neither stuck nor in a dead line, as the sampler does."""
    lines = [q.value for q in (stuck.dead_rows, stuck.dead_cols) if q is not None]
    alive = math.prod(1 - x for x in lines)
    return alive * (1 - stuck.share)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown + (f" and {len(names) - 4} more levels" if len(names) > 4 else "")
