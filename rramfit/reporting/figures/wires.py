"""Figures of column currents: measured against predicted, and lost in the wires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.reporting.page.theme import INK, MUTED, SERIES
from rramfit.reporting.page.wording import axis_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "draw_current_residuals",
    "draw_currents_against_predicted",
    "draw_ideal_and_actual",
    "draw_lost_by_column",
]

Floats = NDArray[np.float64]

_LEAST = 0.01  # of the largest current; smaller ones (dead columns) do not set the scale
_FAR = 6.0  # robust standard deviations beyond which residuals are counted, not shown


def draw_currents_against_predicted(ax: Axes, measured: Floats, predicted: Floats) -> None:
    """Draw measured against predicted column currents [A], any shape, and the line of equality."""
    seen = np.isfinite(measured) & np.isfinite(predicted)
    x, y = predicted[seen], measured[seen]
    unit = axis_unit(float(np.abs(x).max(initial=0.0)), "A")
    ax.axline((0.0, 0.0), slope=1.0, color=MUTED, linewidth=0.9)
    _points(ax, unit.factor * x, unit.factor * y)
    flows = np.abs(x) > _LEAST * np.abs(x).max(initial=0.0)
    if flows.any():
        low, high = np.quantile(np.concatenate((x[flows], y[flows])), (0.001, 0.999)) * unit.factor
        margin = 0.05 * (high - low) or 1.0
        ax.set_xlim(low - margin, high + margin)
        ax.set_ylim(low - margin, high + margin)
    ax.set_xlabel(f"predicted [{unit.symbol}]")
    ax.set_ylabel(f"measured [{unit.symbol}]")


def draw_current_residuals(ax: Axes, measured: Floats, predicted: Floats) -> None:
    """Draw residuals in % of the predicted current against it [A]; outliers are counted."""
    size = np.abs(predicted)
    seen = np.isfinite(measured) & (size > _LEAST * np.nanmax(size, initial=0.0))
    x, z = predicted[seen], 100 * (measured[seen] / predicted[seen] - 1)
    unit = axis_unit(float(np.abs(x).max(initial=0.0)), "A")
    ax.axhline(0, color=MUTED, linewidth=0.9)
    _points(ax, unit.factor * x, z)
    if z.size:
        centre = float(np.median(z))
        spread = 1.4826 * float(np.median(np.abs(z - centre)))
        end = max(_FAR * spread + abs(centre), 0.01)
        ax.set_ylim(-end, end)
        far = int((np.abs(z) > end).sum())
        if far:
            text = f"{far} points outside" if far > 1 else "1 point outside"
            ax.text(0.99, 0.02, text, transform=ax.transAxes, ha="right", color=MUTED, fontsize=8)
    ax.set_xlabel(f"predicted [{unit.symbol}]")
    ax.set_ylabel("residual [%]")


def draw_lost_by_column(
    ax: Axes, measured: Floats, ideal: Floats, predicted: Floats | None = None
) -> None:
    """Draw the share of current lost in each column over all patterns.

    Parameters
    ----------
    ax : Axes
    measured, ideal, predicted : (pattern, col) arrays
        [A]; NaN if not measured.
    """
    seen = np.isfinite(measured)
    at = np.flatnonzero((seen & (ideal != 0)).any(axis=0))
    ax.axhline(0, color=MUTED, linewidth=0.8)
    if predicted is not None:
        lost = _lost(predicted, ideal, seen)[at]
        ax.plot(at, lost, color=SERIES[1], linewidth=1.5, label="predicted")
    ax.plot(
        at,
        _lost(measured, ideal, seen)[at],
        "o",
        color=SERIES[0],
        markersize=2.4,
        markeredgewidth=0,
        label="measured",
    )
    ax.margins(x=0.01)
    ax.set_xlabel("column")
    ax.set_ylabel("current lost [%]")
    if predicted is not None:
        ax.legend(loc="best", handletextpad=0.4, markerscale=1.5)


def draw_ideal_and_actual(ax: Axes, ideal: Floats, actual: Floats) -> None:
    """Draw column currents, (col,) [A], without and with wire resistance."""
    unit = axis_unit(float(np.abs(ideal).max(initial=0.0)), "A")
    at = np.arange(ideal.size)
    top, bottom = unit.factor * ideal, unit.factor * actual
    ax.fill_between(at, bottom, top, color=SERIES[0], alpha=0.15, linewidth=0, step="mid")
    style: dict[str, Any] = {"drawstyle": "steps-mid", "linewidth": 1.3}
    ax.plot(at, top, color=INK, label="without wire resistance", **style)
    ax.plot(at, bottom, color=SERIES[0], label="with wire resistance", **style)
    low, high = min(0.0, float(bottom.min()), float(top.min())), float(max(top.max(), 0.0))
    ax.set_ylim(low, low + 1.22 * (high - low) or 1.0)
    ax.margins(x=0.01)
    ax.set_xlabel("column")
    ax.set_ylabel(f"column current [{unit.symbol}]")
    ax.legend(loc="upper right", ncols=2, borderaxespad=0.1, handletextpad=0.5)


def _points(ax: Axes, x: Floats, y: Floats) -> None:
    """Draw many points as an image, so that the size of the SVG does not grow with them."""
    alpha = float(np.clip(600 / max(x.size, 1), 0.12, 0.8))
    ax.plot(
        x,
        y,
        "o",
        color=SERIES[0],
        markersize=2.6,
        markeredgewidth=0,
        alpha=alpha,
        rasterized=x.size > 400,
    )


def _lost(current: Floats, ideal: Floats, seen: NDArray[np.bool_]) -> Floats:
    due = np.where(seen, np.abs(ideal), 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = 100 * (1 - np.where(seen, np.abs(current), 0.0).sum(axis=0) / due)
    return out
