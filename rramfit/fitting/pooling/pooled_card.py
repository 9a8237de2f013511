"""The card of a population: pooled means, and how much its arrays differ.

Every parameter of the pool replaces that of the first card whose distributions have the pooled
families; its error is that of the mean over the population, and `between` the standard deviation
between arrays. The distribution of a level is moved and scaled to the pooled mean and std.
Correlation matrices are averaged. Parameters that only one card has keep its value, without
`between`; their paths are listed in the card's quality. The card has no sidecar: it describes no
single array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from rramfit.card import ModelCard, seal
from rramfit.card.conditions.moments import with_moments
from rramfit.card.quality import FitQuality, InputFile, Provenance, Quality
from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import LevelCard
from rramfit.fitting.pooling.pool import Pool
from rramfit.provenance import package_version

__all__ = ["pooled_card"]

_ORDER = ("ok", "warning", "bad")


def pooled_card(pool: Pool, *, name: str) -> ModelCard:
    """Return the sealed card of the population of a pool.

    Parameters
    ----------
    pool : Pool
    name : str
        Name of the card and of its array.
    """
    template = _template(pool)
    new = {path: p.mean for path, p in pool.parameters.items()}
    parts = {key: _replaced(value, key, new) for key, value in template}
    parts["levels"] = [
        _consistent(old, level) for old, level in zip(template.levels, parts["levels"], strict=True)
    ]
    for key in ("variation_correlation", "line_correlation"):
        parts[key] = _average([getattr(card, key) for card in pool.cards])
    groups = {k: sorted(set(names)) for k, names in pool.groups.items()}
    array = template.array.model_copy(
        update={"id": name, **{k: g[0] if len(g) == 1 else None for k, g in groups.items()}}
    )
    card = template.model_copy(
        update={
            **parts,
            "name": name,
            "revision": "1.0.0",
            "array": array,
            "cells": None,
            "quality": _quality(pool),
            "provenance": _provenance(pool, name),
        }
    )
    return seal(ModelCard.model_validate(card.model_dump()))


def _template(pool: Pool) -> ModelCard:
    """Return the card that has most of the pooled parameters."""
    return max(
        pool.cards, key=lambda card: len({p for p, _ in quantities(card)} & pool.parameters.keys())
    )


def _replaced(value: Any, path: str, new: Mapping[str, Quantity]) -> Any:
    """Return a part of a card with its numbers replaced by the pooled ones."""
    if isinstance(value, Quantity):
        return new.get(path, value)
    if isinstance(value, BaseModel):
        parts = {key: _replaced(x, f"{path}.{key}", new) for key, x in value}
        return value.model_copy(update=parts)
    if isinstance(value, dict):
        return {key: _replaced(x, f"{path}.{key}", new) for key, x in value.items()}
    if isinstance(value, list):
        return [_replaced(x, f"{path}[{i}]", new) for i, x in enumerate(value)]
    return value


def _consistent(old: LevelCard, level: LevelCard) -> LevelCard:
    """Move and scale the distribution of a level to its pooled mean and std."""
    if level.distribution is None or level.mean is None or level.std is None:
        return level
    stated = {n: q.value for n, q in level.distribution.parameters.items()}
    family = level.distribution.family
    moved = with_moments(family, stated, level.mean.value, level.std.value)
    if moved is None:
        return level.model_copy(update={"distribution": old.distribution})
    parameters = {
        n: q.model_copy(update=_moved(q, moved[n]))
        for n, q in level.distribution.parameters.items()
    }
    distribution = level.distribution.model_copy(update={"parameters": parameters})
    return level.model_copy(update={"distribution": distribution})


def _moved(q: Quantity, value: float) -> dict[str, Any]:
    """Return the changes of a number that is moved with its interval."""
    if q.ci95 is None:
        return {"value": value}
    shift = value - q.value
    return {"value": value, "ci95": (q.ci95[0] + shift, q.ci95[1] + shift)}


def _average(matrices: Sequence[list[list[float]] | None]) -> list[list[float]] | None:
    """Return the mean of the matrices that are there and have the most frequent size."""
    found = [np.array(m) for m in matrices if m is not None]
    if not found:
        return None
    sizes = [m.shape for m in found]
    most = max(sizes, key=sizes.count)
    mean = np.mean([m for m in found if m.shape == most], axis=0)
    out: list[list[float]] = mean.tolist()
    return out


def _quality(pool: Pool) -> Quality:
    verdicts = [card.quality.verdict for card in pool.cards]
    worst = max(verdicts, key=_ORDER.index)
    findings, remedies = [], []
    bad = [c.name for c in pool.cards if c.quality.verdict == "bad"]
    if bad:
        findings.append(
            f"{len(bad)} of {len(pool.cards)} cards have the verdict bad: "
            f"{', '.join(bad[:5])}{', …' if len(bad) > 5 else ''}."
        )
        remedies.append("Read the reports of these cards, and pool the cards without them.")
    single = [
        path
        for path, q in quantities(_template(pool))
        if q.stderr is not None
        and path not in pool.parameters
        and not path.startswith(("domain", "bits_per_cell"))
        and ".distribution." not in path  # moved and scaled to the pooled mean and std
    ]
    if single:
        findings.append(
            f"{len(single)} parameters come from one card and have no variation between arrays: "
            f"{', '.join(single[:5])}{', …' if len(single) > 5 else ''}."
        )
        remedies.append("Measure them on more arrays.")
    findings += pool.notes
    remedies += ["Measure more arrays, of more groups."] * len(pool.notes)
    word = worst if worst == "bad" else "warning" if findings else "ok"
    return Quality(
        verdict=word,
        summary=f"Pooled from {len(pool.cards)} cards. "
        + (findings[0] if findings else "All parameters are known over several arrays."),
        fits={"pooling": FitQuality(verdict=word, findings=findings, remedies=remedies)},
    )


def _provenance(pool: Pool, name: str) -> Provenance:
    inputs = [
        InputFile(name=f"{card.name}.card.json", sha256=card.digest.removeprefix("sha256:"))
        for card in pool.cards
    ]
    return Provenance(
        inputs=inputs,
        rramfit_version=package_version(),
        arguments={"name": name, "cards": len(pool.cards), "inputs are": "digests of cards"},
        seed=0,
        time=max(card.provenance.time for card in pool.cards),
        time_source="latest of the pooled cards",
    )
