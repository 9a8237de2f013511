"""Figures of several bakes: Arrhenius plot, and levels after ten years versus temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card import ModelCard
from rramfit.card.blocks.temperature import TemperatureCard
from rramfit.card.blocks.temperature_law import acceleration
from rramfit.card.quantity import Quantity
from rramfit.reporting.page.theme import MUTED, SERIES, level_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_arrhenius", "draw_ten_years"]

TEN_YEARS = 10 * 365.25 * 86_400.0
"""[s]"""

_CELSIUS = 273.15
_FEW = 6  # levels whose points are drawn
_SHIFT = 0.004  # of the temperature axis between levels, so that their intervals do not overlap


def draw_arrhenius(ax: Axes, block: TemperatureCard) -> None:
    """Draw the acceleration of every bake against 1000/T, with intervals and the fitted line."""
    reference = block.reference_temperature.value
    law = block.drift
    inverse = np.array([1e3 / b.temperature.value for b in block.bakes])
    width = float(np.ptp(inverse)) or 1.0
    levels = sorted({x.level for b in block.bakes for x in b.levels})
    if len(levels) <= _FEW:
        for i, (level, color) in enumerate(zip(levels, level_colors(len(levels)), strict=True)):
            shift = _SHIFT * width * 5 * (i - (len(levels) - 1) / 2)
            of_level = [
                next((x.factor for x in b.levels if x.level == level), None) for b in block.bakes
            ]
            _points(ax, inverse + shift, of_level, color=color, marker=".", size=4)
    _points(ax, inverse, [b.factor for b in block.bakes], color=SERIES[0], marker="o", size=5)
    energy = None if law is None else law.activation_energy or law.assumed_energy
    if energy is not None:
        x = np.linspace(inverse.min() - 0.05 * width, inverse.max() + 0.05 * width, 60)
        per_ev = np.array([acceleration(1.0, 1e3 / v, reference) for v in x])
        ax.plot(x, np.exp(energy.value * per_ev), color=SERIES[0], linewidth=1.2)
        if energy.ci95 is not None:
            low, high = (np.exp(e * per_ev) for e in energy.ci95)
            ax.fill_between(x, low, high, color=SERIES[0], alpha=0.2, linewidth=0)
    ax.set_yscale("log")
    ax.set_xlabel("1000/T [1/K]")
    what = "time" if law is not None and law.accelerates == "time" else "rate"
    ax.set_ylabel(f"acceleration of {what}")


def draw_ten_years(ax: Axes, card: ModelCard) -> None:
    """Draw the mean of every level after ten years against temperature, with 95 % intervals."""
    celsius = np.linspace(25.0, 125.0, 21)
    found = [card.levels_at(time=TEN_YEARS, temperature=t + _CELSIUS) for t in celsius]
    for k, color in enumerate(level_colors(len(card.levels))):
        quantities = [x.levels[k].mean for x in found]
        mean = np.array([1e6 * q.value for q in quantities])
        low, high = (
            np.array([1e6 * (q.ci95[i] if q.ci95 else q.value) for q in quantities]) for i in (0, 1)
        )
        ax.fill_between(celsius, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(celsius, mean, color=color, linewidth=1.2)
    top = max(1e6 * (x.mean.value + 2 * x.std.value) for x in card.levels_at().levels)
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.1 * top)
    bakes = (
        [b.temperature.value - _CELSIUS for b in card.temperature.bakes]
        if (card.temperature)
        else []
    )
    for t in bakes:
        if celsius[0] <= t <= celsius[-1]:
            ax.axvline(t, color=MUTED, linewidth=0.8, linestyle=":")
    ax.set_xlabel("temperature [°C]")
    ax.set_ylabel("mean conductance [µS]")


def _points(
    ax: Axes,
    x: NDArray[np.float64],
    quantities: Sequence[Quantity | None],
    *,
    color: str,
    marker: str,
    size: float,
) -> None:
    for at, q in zip(x, quantities, strict=True):
        if q is None:
            continue
        low, high = q.ci95 or (q.value, q.value)
        ax.plot([at, at], [low, high], color=color, linewidth=0.9)
        ax.plot([at], [q.value], marker, color=color, markersize=size)
