"""Findings on the switched states over cycles."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.fitting.results.result import Finding
from rramfit.units import counted, format_percent

__all__ = ["state_findings"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WORN_OUT = 0.5  # share of failed cells above which mean and spread no longer describe a state


def state_findings(
    cycle: Integers,
    tail: Floats,
    failed: Floats,
    share: Quantity | None,
    estimates: Mapping[str, Quantity],
) -> list[Finding]:
    """Report drifts that cannot be known, closed windows, failed cells and lost window.

    Parameters
    ----------
    cycle, tail, failed : (point,) array
        As in `rramfit.fitting.time.endurance.states.EnduranceFit`.
    share : Quantity or None
        Share of cells that failed by the last point.
    estimates : mapping of str to Quantity
    """
    out: list[Finding] = []
    if np.unique(np.maximum(cycle, 1)).size < 2:
        out.append(
            Finding(
                "The states were read at a single cycle count, which determines no drift",
                "Read the states at three or more cycle counts, evenly spaced on a logarithmic "
                "scale",
                code="one-cycle-count",
            )
        )
    closed = np.flatnonzero(np.nan_to_num(tail, nan=math.inf) <= 0)
    if closed.size:
        out.append(
            Finding(
                "The window between the 1 % tails of the states is closed at "
                f"{counted(int(cycle[closed[0]]), 'cycle')}",
                "Use the array for fewer cycles, or program with verify",
                code="tails-closed",
            )
        )
    if share is not None and share.value > 0.01:
        first = int(cycle[np.flatnonzero(failed > 0.01)[0]])
        out.append(
            Finding(
                f"{format_percent(share.value)} of cells have less than half of their initial "
                f"window at {int(cycle[-1])} cycles (over 1 % from cycle {first} on)",
                "Treat failed cells as stuck",
                severe=share.value > WORN_OUT,
                affected=share.value,
                code="cells-worn-out",
            )
        )
    loss = estimates.get("window_loss")
    if loss is not None and loss.ci95 is not None and loss.ci95[0] > 0.05:
        out.append(
            Finding(
                f"The window loses {format_percent(loss.value, 0)} of its initial width per "
                "decade of cycles",
                "Design for the window width at the last cycle that the application needs",
                code="window-narrows",
            )
        )
    return out
