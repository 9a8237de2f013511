"""Figures of programming failure: by level, by row and by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity
from rramfit.card.schema import FailureCard
from rramfit.reporting.page.theme import INK, MUTED, SERIES
from rramfit.reporting.report_data.report_data import FailureLines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_failure_by_level", "draw_failure_profile"]

Floats = NDArray[np.float64]

_PARTS = (
    ("probability", "failed", "o"),
    ("hard", "hard", "s"),
    ("soft", "soft", "D"),
)
_FEW = 10
_LABELLED = 4


def draw_failure_by_level(
    ax: Axes, failure: Sequence[FailureCard], names: Mapping[int, str]
) -> None:
    """Draw the failure probability of each level, total, hard and soft, with 95 % intervals."""
    few = len(failure) <= _FEW
    tops = []
    for i, ((name, title, marker), color) in enumerate(zip(_PARTS, SERIES, strict=False)):
        points: list[tuple[int, Quantity]] = [
            (x.level, q) for x in failure if (q := getattr(x, name)) is not None
        ]
        if not points:
            continue
        y = np.array([100 * q.value for _, q in points])
        ends = [q.ci95 or (q.value, q.value) for _, q in points]
        low, high = 100 * np.array(ends, dtype=np.float64).T
        index = [x.level for x in failure]
        shift = 0.16 * (i - 1) if few else 0.0
        x = np.array([index.index(k) + shift if few else k for k, _ in points], dtype=float)
        ax.vlines(x, low, high, color=color, linewidth=1.3 if few else 0.8)
        ax.plot(
            x, y, marker, color=color, markersize=5 if few else 2.8, linestyle="none", label=title
        )
        tops.append(high)
    if few:
        ax.set_xticks(range(len(failure)), [names[x.level] for x in failure])
        ax.grid(visible=False, axis="x")
        ax.set_xlim(-0.6, len(failure) - 0.4)
    else:
        ax.set_xlabel("level")
    highest = float(np.max(np.concatenate(tops)))
    typical = float(np.median(np.concatenate(tops)))
    top = min(highest, 12 * typical) if typical > 0 else highest
    ax.set_ylim(0, min(1.22 * top, 100.0) or 1.0)
    ax.set_ylabel("share [%]")
    ax.legend(loc="upper left", ncols=3, borderaxespad=0.1, columnspacing=0.8, handletextpad=0.2)


def draw_failure_profile(ax: Axes, lines: FailureLines, *, along: str) -> None:
    """Draw the share of failed attempts in each row or column, and the range expected by chance.

    Bars much taller than the others are cut off at the top and labelled with their share.

    Parameters
    ----------
    ax : Axes
    lines : FailureLines
    along : {"row", "column"}
    """
    at = np.flatnonzero(np.isfinite(lines.share))
    share, low, high = (100 * x[at] for x in (lines.share, lines.low, lines.high))
    top = 1.25 * max(float(high.max()), float(np.quantile(share, 0.97))) or 1.0
    ax.fill_between(at, low, high, color=MUTED, alpha=0.2, linewidth=0, step="mid")
    ax.axhline(100 * lines.mean, color=MUTED, linewidth=0.8)
    beyond = share > high
    for where, color in ((~beyond, SERIES[0]), (beyond, SERIES[1])):
        ax.vlines(at[where], 0, np.minimum(share[where], top), color=color, linewidth=1.0)
    worst = np.flatnonzero(beyond)
    for i in worst[np.argsort(-share[worst], kind="stable")][:_LABELLED]:
        cut = share[i] > top
        ax.annotate(
            f"{at[i]}: {share[i]:.3g} %" if cut else str(at[i]),
            (at[i], top if cut else share[i]),
            xytext=(3 if at[i] < 0.7 * at[-1] else -3, -8 if cut else -2),
            textcoords="offset points",
            ha="left" if at[i] < 0.7 * at[-1] else "right",
            fontsize=8,
            color=INK,
        )
    ax.set_xlim(-0.5, lines.share.size - 0.5)
    ax.set_ylim(0, top)
    ax.set_xlabel(along)
    ax.set_ylabel("failed attempts [%]")
