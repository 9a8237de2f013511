"""Cells that have failed after a number of SET/RESET cycles, by the lives on a card.

The share that has failed by n cycles, of cells that worked at first, is that of the card's
distribution of lives. Where none could be fitted or none fits, or a second population fails early,
it is that of the measured failure rates instead, constant in each of their steps,

    F(n) = 1 − exp(−Σ rate·cycles),

and past the last of them the distribution goes on for the cells that still work (that of the
wear-out, where some fail early). Modes of failure keep the shares that they have at the longest
cycle count.
"""

from __future__ import annotations

import math

from scipy import special

from rramfit.card.blocks.endurance import EnduranceCard, LifeCard
from rramfit.errors import RramfitError
from rramfit.units import format_number

__all__ = ["failed_by_cycles", "life_parameters", "wear_findings"]

_MISFIT = 0.01  # p-value below which a distribution is rejected
_LARGEST = 700.0  # exponent of e
_MODE = "stuck low"  # of failures of which the card does not say the mode


def life_parameters(life: LifeCard) -> tuple[str, float, float]:
    """Return the family of a card's lives, and location and scale of ln cycles.

    Raises
    ------
    ValueError
        If the card has no distribution of lives.
    """
    for f in life.families:
        if f.family == life.family:
            p = {name: q.value for name, q in f.parameters.items()}
            if f.family == "weibull":
                return f.family, math.log(p["scale"]), 1 / p["shape"]
            return f.family, math.log(p["median"]), p["sigma"]
    msg = "the card has no distribution of lives"
    raise ValueError(msg)


def failed_by_cycles(endurance: EnduranceCard | None, cycles: int) -> dict[str, float]:
    """Return the share of cells that have failed in each mode.

    Parameters
    ----------
    endurance : EnduranceCard, optional
    cycles : int
        SET/RESET cycles that every cell has had.

    Returns
    -------
    dict of str to float
        By mode of failure; empty if nothing fails.

    Raises
    ------
    RramfitError
        If `cycles` is not a whole number, 0 or more.
    """
    if not (math.isfinite(cycles) and cycles >= 0 and int(cycles) == cycles):
        msg = f"cycles: found {cycles}; expected a whole number, 0 or more. Correct the number"
        raise RramfitError(msg)
    life = endurance.life if endurance is not None else None
    if endurance is None or life is None or cycles == 0:
        return {}
    share = -math.expm1(_log_survival(life, float(cycles), max(endurance.longest_cycle, 1)))
    if share <= 0:
        return {}
    found = {m.mode: max(m.incidence.value, 0.0) for m in life.modes}
    total = sum(found.values())
    if total <= 0:
        return {_MODE: share}
    return {mode: share * x / total for mode, x in found.items() if x > 0}


def wear_findings(card_name: str, endurance: EnduranceCard | None, cycles: int) -> list[str]:
    """Return what is not known of the cells that fail by a number of cycles."""
    life = endurance.life if endurance is not None else None
    if cycles <= 0:
        return []
    if endurance is None or life is None:
        what = (
            f"Card {card_name} has no lives of cells: no cell wears out in {cycles} cycles. "
            "Characterize a file with /endurance."
        )
        return [what]
    out = []
    longest = endurance.longest_cycle
    bound = "" if life.failed_bound is None else f" (at most {_percent(life.failed_bound.value)})"
    if life.family is None:
        out.append(
            f"{life.failures} failed cells of {life.cells} give no distribution of lives: by "
            f"{longest} cycles the measured share{bound} fails, and none after that. Cycle more "
            "cells, or longer."
        )
    elif cycles > longest:
        out.append(
            f"{cycles} cycles are {format_number(cycles / max(longest, 1), 2)} times the most that "
            f"were measured ({longest}): the share of worn-out cells is extrapolated by its "
            "distribution. Cycle the cells longer."
        )
    return out


def _percent(share: float) -> str:
    return f"{format_number(100 * share, 2)} %"


def _log_survival(life: LifeCard, cycles: float, longest: int) -> float:
    """Return the logarithm of the share that still works."""
    if life.early is None and life.family is not None and _fits(life):
        return _of_family(life, cycles)
    of_rates = -sum(
        step.rate.value * max(min(cycles, step.to_cycle) - step.from_cycle, 0.0)
        for step in life.hazard
    )
    if cycles <= longest:
        return of_rates
    return of_rates + min(_of_wear_out(life, cycles) - _of_wear_out(life, longest), 0.0)


def _fits(life: LifeCard) -> bool:
    """Return whether the likelier distribution is not rejected."""
    p = next((f.p_value for f in life.families if f.family == life.family), None)
    return p is None or p >= _MISFIT


def _of_family(life: LifeCard, cycles: float) -> float:
    family, mu, sigma = life_parameters(life)
    z = (math.log(cycles) - mu) / sigma
    return -math.exp(min(z, _LARGEST)) if family == "weibull" else float(special.log_ndtr(-z))


def _of_wear_out(life: LifeCard, cycles: float) -> float:
    """Return the logarithm of survival of cells that did not fail early; 0 without any law."""
    if (early := life.early) is not None:
        z = math.log(cycles / early.wear_out_scale.value) * early.wear_out_shape.value
        return -math.exp(min(z, _LARGEST))
    return 0.0 if life.family is None else _of_family(life, cycles)
