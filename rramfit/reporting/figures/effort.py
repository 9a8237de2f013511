"""Figures of programming effort: failures against budget, and what a narrower window costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card.blocks.programming import ProgrammingCard
from rramfit.card.blocks.pulse_counts import survival
from rramfit.reporting.page.theme import level_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_budgets", "draw_windows"]

_LEAST = 1e-4  # smallest share that is drawn


def draw_budgets(ax: Axes, levels: Sequence[ProgrammingCard]) -> None:
    """Draw the share of attempts that fail against the budget: measured, and fitted."""
    most = max(b.budget for x in levels for b in x.budgets)
    n = np.arange(1, most + 1, dtype=float)
    for color, x in zip(level_colors(len(levels)), levels, strict=True):
        at = np.array([b.budget for b in x.budgets], dtype=float)
        q = [b.failure for b in x.budgets]
        value = np.array([v.value for v in q])
        ends = np.array([v.ci95 or (v.value, v.value) for v in q])
        seen = value > 0
        error = np.abs(ends[seen] - value[seen, None]).T
        ax.errorbar(at[seen], value[seen], error, fmt="o", ms=3, lw=0.8, color=color, label=x.name)
        chosen = next((f for f in x.families if f.family == x.family), None)
        if chosen is not None:
            parameters = {name: v.value for name, v in chosen.parameters.items()}
            tried = 1 - (x.inside.value if x.inside is not None else 0.0)
            ax.plot(n, tried * survival(chosen.family, parameters, n, x.first), lw=1, color=color)
    ax.set_yscale("log")
    ax.set_ylim(_LEAST, 1.5)
    ax.set_xlabel("budget [pulses]")
    ax.set_ylabel("share not accepted")
    ax.legend(loc="lower left", ncols=2)


def draw_windows(ax: Axes, levels: Sequence[ProgrammingCard]) -> None:
    """Draw the mean pulses of a write against the width of its window."""
    for color, x in zip(level_colors(len(levels)), levels, strict=True):
        width = [1.0, *(w.window for w in x.windows)]
        q = [x.pulses, *(w.pulses for w in x.windows)]
        value = np.array([v.value for v in q])
        ends = np.array([v.ci95 or (v.value, v.value) for v in q])
        ax.fill_between(width, ends[:, 0], ends[:, 1], color=color, alpha=0.15, linewidth=0)
        ax.plot(width, value, "o-", markersize=3, linewidth=1, color=color, label=x.name)
    ax.set_xlabel("width of the window, relative to the present one")
    ax.set_ylabel("mean pulses per write")
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper right", ncols=2)
