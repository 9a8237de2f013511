"""Figure of the tails: share of readings beyond a conductance, on a logarithmic scale.

Each level makes a peak whose left flank is the share of its readings at or below a conductance, and
whose right flank the share above it. Where the right flank of one level crosses the left flank of
the next is the best read threshold, and the height there is the raw error rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.blocks.tails import LevelTailCard, TailsCard
from rramfit.card.families import family
from rramfit.card.schema import LevelCard
from rramfit.reporting.page.theme import INK, level_colors, plain_logarithmic_ticks
from rramfit.reporting.page.wording import axis_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_tails"]

Floats = NDArray[np.float64]
Side = Literal["lower", "upper"]

_SMALLEST = 1e-9
_POINTS = 36
_BEYOND = 0.6  # of the span of the readings: how far the axis follows extrapolations
_LOGARITHMIC = 30.0  # ratio of medians from which the axis is logarithmic


def draw_tails(
    ax: Axes,
    readings: Mapping[int, Floats],
    levels: Mapping[int, LevelCard],
    tails: TailsCard,
) -> None:
    """Draw readings (points, 95 % bands), families (thin lines) and extreme values (thick lines).

    Parameters
    ----------
    ax : Axes
    readings : mapping of int to (n,) array
        Sorted readings [S] by level.
    levels : mapping of int to LevelCard
    tails : TailsCard
    """
    fits = {(t.level, t.side): t for t in tails.levels.values()}
    low, high, logarithmic = _limits(readings, tails)
    unit = axis_unit(max(abs(low), abs(high)), "S")
    f = unit.factor
    sides: tuple[Side, ...] = ("lower", "upper")
    for color, (k, values) in zip(level_colors(len(readings)), readings.items(), strict=True):
        card = levels.get(k)
        for side in sides:
            fit = fits.get((k, side))
            x, share = _shares(values, side)
            effect = fit.exceedances / fit.effective_count if fit else 1.0
            events, trials = share * values.size / effect, values.size / effect
            band = special.betaincinv(
                events[:, None] + 0.5, (trials - events)[:, None] + 0.5, (0.025, 0.975)
            )
            ax.fill_between(f * x, *band.T, color=color, alpha=0.15, linewidth=0)
            label = (card.name if card else f"L{k}") if side == "lower" else None
            ax.plot(f * x, share, ".", color=color, markersize=3, alpha=0.8, label=label)
            if card is not None and card.distribution is not None:
                _draw_family(ax, card, side, color, f)
            if fit is not None:
                _draw_extremes(ax, fit, color, f)
    for rate in tails.error_rates.values():
        ax.axvline(f * rate.threshold.value, color=INK, linewidth=0.9, dashes=(4, 3), zorder=0.5)
    ax.set_yscale("log")
    ax.set_ylim(0.5 * _SMALLEST, 1.5)
    if logarithmic:
        ax.set_xscale("log")
        plain_logarithmic_ticks(ax.xaxis, float(np.log10(high / low)))
    ax.set_xlim(f * low, f * high)
    ax.set_xlabel(f"conductance [{unit.symbol}]")
    ax.set_ylabel("share of readings beyond")
    if len(readings) > 1:
        ax.legend(loc="lower left", ncols=3, markerscale=2, handletextpad=0.3, borderaxespad=0.2)


def _limits(readings: Mapping[int, Floats], tails: TailsCard) -> tuple[float, float, bool]:
    """Return limits of the axis [S], and whether it is logarithmic."""
    low, high = (
        min(float(v[0]) for v in readings.values()),
        max(float(v[-1]) for v in readings.values()),
    )
    medians = [float(np.median(v)) for v in readings.values()]
    if low > 0 and max(medians) > _LOGARITHMIC * min(medians):
        low = max(low, min(float(np.quantile(v, 0.001)) for v in readings.values()) / 10)
        return low / 1.2, high * 1.3, True
    span = (high - low) or abs(high) or 1e-9
    ends = [q.value for t in tails.levels.values() for q in t.quantiles.values()]
    left = max(min([low, *ends]), low - _BEYOND * span)
    right = min(max([high, *ends]), high + _BEYOND * span)
    return left - 0.04 * span, right + 0.04 * span, False


def _shares(values: Floats, side: Side) -> tuple[Floats, Floats]:
    """Return conductances [S], and the shares of readings at or beyond them."""
    n = values.size
    counts = np.unique(np.geomspace(1, max(n // 2, 1), _POINTS).astype(int))
    at = counts - 1 if side == "lower" else n - counts
    return values[at], counts / n


def _draw_family(ax: Axes, card: LevelCard, side: Side, color: str, factor: float) -> None:
    assert card.distribution is not None
    form = family(card.distribution.family)
    p = {name: q.value for name, q in card.distribution.parameters.items()}
    share = np.geomspace(_SMALLEST, 0.5, 90)
    x = form.ppf(share if side == "lower" else 1 - share, p)  # 1 − 1e-9 is exact to 7 digits
    ax.plot(factor * x, share, color=color, linewidth=0.9)


def _draw_extremes(ax: Axes, tail: LevelTailCard, color: str, factor: float) -> None:
    """Draw the Pareto tail from its threshold on, with the band of its quantiles."""
    rate = tail.exceedances / tail.readings
    share = np.geomspace(_SMALLEST, rate, 60)
    depth = np.log(rate / share)
    xi, sign = tail.shape.value, 1.0 if tail.side == "upper" else -1.0
    excess = tail.scale.value * (np.expm1(xi * depth) / xi if abs(xi) > 1e-9 else depth)
    if tail.log:
        with np.errstate(over="ignore"):
            x = tail.threshold.value * np.exp(np.minimum(sign * excess, 700.0))
    else:
        x = tail.threshold.value + sign * excess
    if tail.quantiles:
        found = sorted(((float(p), q) for p, q in tail.quantiles.items()), key=lambda x: -x[0])
        x = _within_limit(x, [q.value for _, q in found], tail.side)
        p, left, right = np.array(
            [(probability, *(q.ci95 or (q.value, q.value))) for probability, q in found]
        ).T
        ax.fill_betweenx(p, factor * left, factor * right, color=color, alpha=0.12, linewidth=0)
    ax.plot(factor * x, share, color=color, linewidth=2.0, alpha=0.9)


def _within_limit(x: Floats, quantiles: Sequence[float], side: Side) -> Floats:
    """Cut a curve at the verify limit, at which equal quantiles show that it ends."""
    if len(set(quantiles)) == len(quantiles):
        return x
    return np.minimum(x, quantiles[-1]) if side == "upper" else np.maximum(x, quantiles[-1])
