"""Figures of I–V curves, read noise and the read-out chain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.schema import IVCard, ReadNoiseCard
from rramfit.measurement.file.record import IVSweeps, Readout
from rramfit.reporting.page.theme import MUTED, SERIES, VALUE_MAP, plain_logarithmic_ticks
from rramfit.reporting.page.wording import axis_unit, unit_symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_iv", "draw_read_noise", "draw_readout"]

Floats = NDArray[np.float64]

_SEEN = 5.0  # signal-to-noise ratio at the highest voltage above which a cell is shown
_GROUPS = 3


def draw_iv(ax: Axes, iv: IVSweeps, card: IVCard | None) -> None:
    """Draw I/V divided by the cell's median against voltage, and the card's model.

    An ohmic cell is a horizontal line at 1; sinh(bV)/(bV) rises towards both ends. If b depends on
    conductance, the cells are shown in three groups of conductance.
    """
    offset = card.offset.value if card and card.offset else 0.0
    noise = card.noise.value if card and card.noise else 0.0
    measured = np.isfinite(iv.current)
    usable = (np.abs(iv.voltage) >= 0.2 * np.abs(iv.voltage).max()) & measured.any(axis=0)
    order = np.argsort(iv.voltage[usable], kind="stable")
    v: Floats = iv.voltage[usable][order]
    current = iv.current[measured[:, usable].any(axis=1)][:, usable]
    conductance: Floats = ((current - offset) / iv.voltage[usable])[:, order]
    middle = np.nanmedian(conductance, axis=1)
    seen = middle * np.abs(v).max() > _SEEN * noise
    conductance, middle = conductance[seen], middle[seen]
    depends = card is not None and (card.slope is not None or card.dependence is not None)
    ranked = np.argsort(middle, kind="stable")
    groups = np.array_split(ranked, _GROUPS if depends and middle.size >= 6 * _GROUPS else 1)
    unit = axis_unit(float(middle.max(initial=0.0)), "S")
    grid = np.linspace(float(v.min()), float(v.max()), 101)
    for group, color in zip(groups, SERIES, strict=False):
        g = float(np.median(middle[group]))
        ratio = conductance[group] / middle[group, None]
        label = f"{unit.factor * g:.3g} {unit.symbol}" if len(groups) > 1 else "median of cells"
        if card is not None and card.nonlinearity is not None:
            b = _nonlinearity(card, g)
            model = _sinhc(b * grid) / float(np.median(_sinhc(b * v)))
            ax.plot(grid, model, color=color, linewidth=1.2)
            label = f"{label}, b = {b:.3g} {unit_symbol('1/V')}"
        here = np.isfinite(ratio).any(axis=0)
        at, ratio = v[here], ratio[:, here]
        ax.plot(at, np.nanmedian(ratio, axis=0), "o", color=color, markersize=3.2, label=label)
        if len(groups) == 1:
            low, high = np.nanquantile(ratio, (0.1, 0.9), axis=0)
            for side in (at < 0, at > 0):
                ax.fill_between(
                    at[side], low[side], high[side], color=color, alpha=0.2, linewidth=0
                )
    ax.set_xlabel("voltage [V]")
    ax.set_ylabel("I/V over cell median")
    ax.margins(y=0.3 if len(groups) > 1 else 0.2)
    ax.legend(loc="upper center", borderaxespad=0.1, handletextpad=0.3, fontsize=8)


def _nonlinearity(card: IVCard, g: float) -> float:
    """Return the sinh coefficient b of the card for a cell of conductance `g` [S]."""
    b = card.nonlinearity.value if card.nonlinearity else 0.0
    reference = card.reference_conductance.value if card.reference_conductance else g
    if card.slope is not None:
        b += card.slope.value * (g - reference)
    elif card.dependence is not None:
        b += card.dependence.value * math.log(g / reference)
    return max(b, 0.0)


def draw_read_noise(ax: Axes, mean: Floats, std: Floats, card: ReadNoiseCard | None) -> None:
    """Draw the relative read noise of each cell against conductance, and the card's power law."""
    use = (mean > 0) & (std > 0)
    unit = axis_unit(float(np.max(mean)), "S")
    x, y = np.log10(unit.factor * mean[use]), np.log10(100 * std[use] / mean[use])
    spans = [tuple(np.quantile(a, (0.002, 0.998)) + np.array((-0.06, 0.06))) for a in (x, y)]
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=(56, 44), range=spans)
    grid = np.where(counts > 0, np.sqrt(counts), np.nan).T
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.pcolormesh(10**x_edges, 10**y_edges, grid, cmap=VALUE_MAP, rasterized=True)
    ax.grid(visible=False)
    if card is not None and card.coefficient is not None:
        g = np.geomspace(10 ** spans[0][0], 10 ** spans[0][1], 40)
        reference = (
            card.reference_conductance.value * unit.factor if (card.reference_conductance) else 1.0
        )
        exponent = card.exponent.value if card.exponent else 0.0
        power_law = 100 * card.coefficient.value * (g / reference) ** exponent
        ax.plot(g, power_law, color=SERIES[1], linewidth=1.6)
    ax.set_xlim(10 ** spans[0][0], 10 ** spans[0][1])
    ax.set_ylim(10 ** spans[1][0], 10 ** spans[1][1])
    for axis, span in zip((ax.xaxis, ax.yaxis), spans, strict=True):
        plain_logarithmic_ticks(axis, span[1] - span[0])
    ax.set_xlabel(f"conductance [{unit.symbol}]")
    ax.set_ylabel("read noise [% of G]")


def draw_readout(ax: Axes, readout: Readout) -> None:
    """Draw the deviation of codes from each channel's best-fit line against the input current."""
    code = np.nanmean(readout.code, axis=0)
    x = np.asarray(readout.input, dtype=np.float64)
    lines = np.polynomial.polynomial.polyfit(x, code, 1)
    residual = code - np.polynomial.polynomial.polyval(x, lines).T
    low, middle, high = np.quantile(residual, (0.1, 0.5, 0.9), axis=1)
    unit = axis_unit(float(np.max(np.abs(x))), "A")
    order = np.argsort(x, kind="stable")
    at = unit.factor * x[order]
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.fill_between(at, low[order], high[order], color=SERIES[0], alpha=0.2, linewidth=0)
    ax.plot(at, middle[order], color=SERIES[0], linewidth=1.3)
    ax.set_xlabel(f"input current [{unit.symbol}]")
    ax.set_ylabel("code minus line [LSB]")


def _sinhc(x: Floats) -> Floats:
    safe = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 1.0, np.sinh(safe) / safe)
