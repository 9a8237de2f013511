"""What a prediction of levels does not contain, and how far it is beyond the measurement."""

from __future__ import annotations

import numpy as np

from rramfit.card.conditions.card_parts import CardParts
from rramfit.card.conditions.change_at import SAME_TEMPERATURE, ChangeAt, change_at
from rramfit.card.conditions.reads_at import disturb_findings
from rramfit.card.conditions.wear import wear_findings
from rramfit.units import format_number, format_quantity

__all__ = ["condition_findings", "findings_at"]


def findings_at(
    card: CardParts, *, time: float, temperature: float | None, reads: int = 0, cycles: int = 0
) -> list[str]:
    """Return the findings of a condition, without the levels."""
    of_wear = wear_findings(card.name, card.endurance, cycles)
    if time <= 0:
        return disturb_findings(card, reads)[0] + of_wear
    none = np.zeros(len(card.levels))
    change = change_at(card, temperature, read=none, start=none)
    return condition_findings(card, change, time=time, reads=reads)[0] + of_wear


def condition_findings(
    card: CardParts, change: ChangeAt, *, time: float, reads: int
) -> tuple[list[str], bool]:
    """Return what is not in the numbers, and whether the condition is beyond the measurement."""
    out, beyond = disturb_findings(card, reads)
    if time > 0 and card.retention is None and change.block is None:
        out.append(
            f"Card {card.name} has no retention: its levels are those right after programming. "
            "Characterize a file with /retention."
        )
        return out, True
    if time > change.longest_time * 1.001:
        beyond = True
        out.append(
            f"{format_number(time, 3)} s is {format_number(time / change.longest_time, 2)} times "
            f"the longest time that was measured ({format_number(change.longest_time, 3)} s): the "
            "levels are extrapolated. Bake longer, or hotter."
        )
    if time > 0 and change.block is not None:
        bakes = [b.temperature.value for b in change.block.bakes]
        t = change.temperature
        if bakes and t is not None:
            low, high = min(bakes) - SAME_TEMPERATURE, max(bakes) + SAME_TEMPERATURE
            if not low <= t <= high:
                beyond = True
                where = "below the lowest" if t < low else "above the highest"
                edge = format_quantity(min(bakes) if t < low else max(bakes), "K")
                out.append(
                    f"{t:.4g} K is {where} temperature that was measured ({edge}): the levels are "
                    "extrapolated by the Arrhenius law. Add a bake nearer to it."
                )
            if (law := change.block.drift) is not None and law.assumed_energy is not None:
                away = abs(t - change.block.reference_temperature.value) > SAME_TEMPERATURE
                if away:
                    out.append(
                        f"The bakes do not determine the activation energy of the drift; "
                        f"{law.assumed_energy.value:.2f} eV is assumed. Bake longer or hotter."
                    )
    if time > 0 and not change.known.all():
        names = ", ".join(card.levels[int(k)].name for k in np.flatnonzero(~change.known))
        out.append(
            f"The change of {names} with time was not measured; it is taken as none. Bake cells "
            "of these levels."
        )
    return out, beyond
