"""Findings on tails: where the readings and the family of a level disagree."""

from __future__ import annotations

from collections.abc import Sequence

from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.tails.level_tail import COMPARED, LevelTail
from rramfit.units import format_quantity

__all__ = ["judge"]

_LISTED = 4


def judge(tails: Sequence[LevelTail]) -> Verdict:
    """Return one finding for tails heavier than their families, and one for lighter ones."""
    findings = []
    for word, remedy in (
        (
            "heavier",
            "Take error rates from the extreme values, and look for a second population of cells.",
        ),
        (
            "lighter",
            "Take error rates from the extreme values; those of the family are upper bounds there.",
        ),
    ):
        found = [t for t in tails if t.agreement == word]
        if not found:
            continue
        listed = ", ".join(_described(t) for t in found[:_LISTED])
        more = f", and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        one = len(found) == 1
        findings.append(
            Finding(
                f"{len(found)} tail{'' if one else 's'} of the levels {'is' if one else 'are'} "
                f"{word} than the fitted family: {listed}{more}.",
                remedy,
                code=f"tail-{word}-than-family",
            )
        )
    return Verdict(tuple(findings))


def _described(tail: LevelTail) -> str:
    """Return level and side, and how far the readings and the family reach."""
    assert tail.fit is not None
    name, sample = f"{tail.name} {tail.side} tail", tail.fit.sample
    family = "-" if tail.by_family is None else _siemens(tail.by_family.value)
    at = dict(tail.quantiles).get(COMPARED)
    if at is not None:
        reached = f"one reading in a million beyond {_siemens(at.value)}"
    else:
        reached = f"a reading at {_siemens(float(sample.to_conductance(sample.x[-1])))}"
    return f"{name} ({reached}; one in a million beyond {family} by the family)"


def _siemens(value: float) -> str:
    return format_quantity(value, "S", digits=3)
