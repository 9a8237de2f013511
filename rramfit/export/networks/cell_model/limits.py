"""What other programs approximate or lack of a card's circuits, with its size in this card."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rramfit.export.contract import Limit

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["converter_limits", "inactive_rows_limit"]

MOST_LINES = 64
"""Rows and columns of the array that the size of a limit is computed for, at most."""


def inactive_rows_limit(card: ModelCard, *, exact: Collection[str]) -> list[Limit]:
    """Return the error of taking inactive rows as grounded, unless the target has them exactly.

    Its size is that of an array of equal cells with every second row active.
    """
    line = card.line
    if line is None or line.inactive_rows in exact:
        return []
    import dataclasses

    import torch

    from rramfit.array.wires.effective import column_currents
    from rramfit.export.drawn import card_line, read_voltage

    means = [x.mean.value for x in card.levels if x.mean is not None]
    if not means:
        return []
    shape = min(card.array.rows, MOST_LINES), min(card.array.cols, MOST_LINES)
    g = torch.full(shape, sum(means) / len(means), dtype=torch.float64)
    voltage = torch.zeros(1, shape[0], dtype=torch.float64)
    voltage[:, ::2] = read_voltage(card)
    wires = card_line(card)
    right = column_currents(g, voltage, wires)
    taken = column_currents(g, voltage, dataclasses.replace(wires, inactive_rows="grounded"))
    error = float((taken / right - 1).abs().max())
    return [
        Limit(
            what=f"Rows without input are taken as grounded; the card's are {line.inactive_rows}.",
            size=f"column currents of a {shape[0]} × {shape[1]} array with every second row active "
            f"differ by up to {100 * error:.2g} %",
        )
    ]


def converter_limits(card: ModelCard) -> list[Limit]:
    """Return the errors of converters that a target with their resolution and range lacks."""
    readout = card.readout
    if readout is None:
        return []
    found = []
    for name, what, digits in (
        ("gain_spread", "Differences of gain between converters.", "{:.2g} of the gain"),
        ("offset_spread", "Differences of offset between converters.", "{:.2g} LSB"),
        ("third_order", "The cubic term of the converters.", "{:.2g} LSB at full scale"),
        ("noise", "Noise of a conversion.", "{:.2g} LSB"),
    ):
        q = getattr(readout, name)
        if q is not None and q.value:
            found.append(Limit(what=what, size=digits.format(abs(q.value))))
    return found
