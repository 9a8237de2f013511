"""Change of a card's levels with the number of reads.

After n reads the mean of a level has changed by rate·n (`rramfit.card.blocks.disturb`), on top of
what time does. A rate whose 95 % interval contains 0 moves no mean: its interval, times n, bounds
the change. Past the reads that were measured the rate is taken to go on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.disturb import DisturbCard, DisturbLevel
from rramfit.card.conditions.card_parts import CardParts
from rramfit.units import format_number, format_quantity

__all__ = ["disturb_draws", "disturb_findings", "disturb_of", "disturb_shift"]

Floats = NDArray[np.float64]

_NORMAL = 1.959963984540054  # 97.5 % quantile
_LARGE = 0.1  # of a level's mean: bound of an unproven change from which it is reported


def disturb_of(card: CardParts) -> DisturbCard | None:
    """Return the card's read disturb."""
    return card.read_noise.disturb if card.read_noise is not None else None


def _rows(card: CardParts) -> list[DisturbLevel | None]:
    """Return the read disturb of every level of the card."""
    disturb = disturb_of(card)
    known = {x.level: x for x in disturb.levels} if disturb is not None else {}
    return [known.get(level.index) for level in card.levels]


def disturb_shift(card: CardParts, reads: int) -> Floats:
    """Return the change of every level's mean after a number of reads, (level,) [S]."""
    rows = _rows(card)
    return np.array([reads * r.rate.value if r and r.significant else 0.0 for r in rows])


def disturb_draws(card: CardParts, reads: int, z: Floats) -> Floats:
    """Return changes within the errors of the rates, (draw, level) [S].

    Parameters
    ----------
    card : CardParts
    reads : int
    z : (draw, level) array
        Standard normal.
    """
    out = np.zeros_like(z)
    for k, row in enumerate(_rows(card)):
        if row is not None:
            low, high = row.rate.ci95 or (row.rate.value, row.rate.value)
            out[:, k] = reads * (row.rate.value + (high - low) / (2 * _NORMAL) * z[:, k])
    return out


def disturb_findings(card: CardParts, reads: int) -> tuple[list[str], bool]:
    """Return what is not known of a number of reads, and whether it is beyond the measurement."""
    if reads <= 0:
        return [], False
    disturb, rows = disturb_of(card), _rows(card)
    if disturb is None or not any(rows):
        what = (
            f"The card has no measurement of what reads change: the effect of {reads} reads is "
            "left out. Characterize a file with /reads of 16 reads or more."
        )
        return [what], True
    out, beyond = [], False
    if absent := [x.name for x, row in zip(card.levels, rows, strict=True) if row is None]:
        beyond = True
        out.append(
            f"What reads change was not measured at {', '.join(absent)}; it is taken as nothing. "
            "Read cells of these levels repeatedly."
        )
    if reads > disturb.reads:
        beyond = True
        out.append(
            f"{reads} reads are {format_number(reads / disturb.reads, 2)} times the most that were "
            f"measured ({disturb.reads}): the change with reads is extrapolated in proportion. "
            "Read the cells more often."
        )
    if not disturb.separated and any(row.significant for row in rows if row):
        out.append(
            "The change per read includes the drift between two reads, which their times do not "
            "separate; with a time as well, drift counts twice. Read in bursts with pauses."
        )
    for level, row in zip(card.levels, rows, strict=True):
        if row is None or row.significant or row.rate.ci95 is None or level.mean is None:
            continue
        bound = reads * max(map(abs, row.rate.ci95))
        if bound > _LARGE * abs(level.mean.value):
            out.append(
                f"No change of {level.name} with reads was found, but {reads} reads may change its "
                f"mean by up to {format_quantity(bound, 'S', digits=2)}. Read more cells, or more "
                "often."
            )
            break
    return out, beyond
