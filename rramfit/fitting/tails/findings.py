"""Findings on tails: where the readings and the family of a level disagree."""

from __future__ import annotations

from collections.abc import Sequence

from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.tails.level_tail import COMPARED, LevelTail
from rramfit.units import counted, format_quantity

__all__ = ["judge"]

_LISTED = 4


def judge(tails: Sequence[LevelTail]) -> Verdict:
    """Return one finding for tails heavier than their families, and one for lighter ones."""
    heavier = [t for t in tails if t.agreement == "heavier"]
    lighter = [t for t in tails if t.agreement == "lighter"]
    findings = []
    if heavier:
        findings.append(
            Finding(
                f"{_counted(heavier)} heavier than the fitted family: {_listed(heavier)}.",
                "Take error rates from the extreme values, and look for a second population of "
                "cells.",
                code="tail-heavier-than-family",
            )
        )
    if lighter:
        findings.append(
            Finding(
                f"{_counted(lighter)} lighter than the fitted family: {_listed(lighter)}.",
                "Take error rates from the extreme values; those of the family are upper bounds "
                "there.",
                code="tail-lighter-than-family",
            )
        )
    return Verdict(tuple(findings))


def _counted(tails: Sequence[LevelTail]) -> str:
    return f"{counted(len(tails), 'tail')} of the levels {'is' if len(tails) == 1 else 'are'}"


def _listed(tails: Sequence[LevelTail]) -> str:
    more = f", and {len(tails) - _LISTED} more" if len(tails) > _LISTED else ""
    return ", ".join(_described(t) for t in tails[:_LISTED]) + more


def _described(tail: LevelTail) -> str:
    """Return level and side, and how far the readings and the family reach."""
    assert tail.fit is not None
    name, sample = f"{tail.name} {tail.side} tail", tail.fit.sample
    family = "-" if tail.by_family is None else _siemens(tail.by_family.value)
    at = dict(tail.quantiles).get(COMPARED)
    if at is None:
        outermost = _siemens(float(sample.to_conductance(sample.x[-1])))
        return (
            f"{name} (the outermost reading is {outermost}; by the family, one in a million is "
            f"beyond {family})"
        )
    return (
        f"{name} (one reading in a million is beyond {_siemens(at.value)} by the extreme values, "
        f"and beyond {family} by the family)"
    )


def _siemens(value: float) -> str:
    return format_quantity(value, "S", digits=3)
