"""Raw error rates of a card at a time, at a temperature and after reads.

Between two levels the share misread at threshold t is e = ½·[P(G_a > t) + P(G_b ≤ t)] with the
distributions of `card.levels_at(…)`. Thresholds are those of the card, which do not move with the
cells, unless others are given.

The interval is that of e over draws within the errors of the levels and of the law of their change.
The shape of the tails is not in those draws. It is added from the card's own interval of e after
programming, on a logarithmic scale. What widens a level leaves its tail at least as heavy, so that
the upper limit is at least that of the extreme values after programming, and so is the rate itself
where the readings have a heavier tail than their family.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.card import LevelAt, LevelsAt, ModelCard
from rramfit.card.blocks.tails import CodeCard
from rramfit.card.quantity import Quantity, result_html
from rramfit.errors import CardError, RramfitError
from rramfit.fitting.tails.error_rates import bit_error_rate
from rramfit.fitting.tails.extreme_share import extreme_share
from rramfit.fitting.tails.tails import codes_for
from rramfit.units import format_quantity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ErrorRatesAt", "RateAt", "error_rates_at"]

Floats = NDArray[np.float64]

_DRAWS = 400
_LEAST = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class RateAt:
    """Raw error rate of two neighbouring levels at a condition."""

    lower: int
    upper: int
    threshold: float  # [S]
    rate: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRatesAt:
    """Raw error rates of all neighbouring levels at a condition.

    Attributes
    ----------
    at : LevelsAt
        The levels there.
    rates : tuple of RateAt
    bit_error_rate : Quantity
        In Gray code.
    codes : tuple of CodeCard
        That it needs.
    """

    at: LevelsAt
    rates: tuple[RateAt, ...]
    bit_error_rate: Quantity
    codes: tuple[CodeCard, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "time": self.at.time,
            "temperature": self.at.temperature,
            "reads": self.at.reads,
            "extrapolated": self.at.extrapolated,
            "error_rates": [
                {
                    "lower": r.lower,
                    "upper": r.upper,
                    "threshold": r.threshold,
                    "rate": r.rate.model_dump(exclude_none=True),
                }
                for r in self.rates
            ],
            "bit_error_rate": self.bit_error_rate.model_dump(exclude_none=True),
            "codes": [c.model_dump(exclude_none=True) for c in self.codes],
            "findings": list(self.at.findings),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row per threshold: levels, threshold [S], rate with its limits."""
        import pandas as pd

        rows = []
        for r in self.rates:
            low, high = r.rate.ci95 or (None, None)
            rows.append(
                {
                    "lower": r.lower,
                    "upper": r.upper,
                    "threshold": r.threshold,
                    "rate": r.rate.value,
                    "low": low,
                    "high": high,
                }
            )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        rows = {
            f"{r.lower} | {r.upper}": {
                "threshold": format_quantity(r.threshold, "S"),
                "rate (95 % interval)": str(r.rate),
            }
            for r in self.rates
        }
        return result_html(f"Bit error rate {self.bit_error_rate}", rows, self.at.findings)


def error_rates_at(
    card: ModelCard,
    *,
    time: float = 0.0,
    temperature: float | None = None,
    reads: int = 0,
    thresholds: Mapping[int, float] | None = None,
) -> ErrorRatesAt:
    """Return the raw error rates of a card at a condition.

    Parameters
    ----------
    card : ModelCard
    time : float
        Since programming [s].
    temperature : float, optional
        [K]
    reads : int
        Reads since programming.
    thresholds : mapping of int to float, optional
        Read threshold [S] above a level; by default the card's, or where both levels are misread
        equally often after programming.

    Raises
    ------
    RramfitError
        If the card has fewer than two levels, a threshold belongs to no level, or
        `card.levels_at` has no answer.
    """
    if len(card.levels) < 2:
        raise CardError(
            card.name,
            "levels",
            found=f"{len(card.levels)} level" + ("s" if not card.levels else ""),
            expected="two or more",
            remedy="characterize a measurement of several levels",
        )
    given = dict(thresholds or {})
    known = [level.index for level in card.levels[:-1]]
    for k, t in given.items():
        if k not in known or not math.isfinite(t):
            msg = (
                f"card {card.name}: found threshold {t!r} above level {k}, expected a conductance "
                f"[S] above one of levels {', '.join(map(str, known))}. Correct it"
            )
            raise RramfitError(msg)
    start = card.levels_at()
    at = card.levels_at(time=time, temperature=temperature, reads=reads)
    means, stds = at.draws(_DRAWS)
    rates = []
    for i, (below, above) in enumerate(pairwise(at.levels)):
        own = card.levels[i].upper_threshold
        if below.index in given:
            t = given[below.index]
        else:
            t = own.value if own else _balanced(start.levels[i], start.levels[i + 1])
        value = _misread(below, above, t)
        drawn = np.array(
            [
                _misread(below.moved(*a), above.moved(*b), t)
                for a, b in zip(
                    zip(means[:, i], stds[:, i], strict=True),
                    zip(means[:, i + 1], stds[:, i + 1], strict=True),
                    strict=True,
                )
            ]
        )
        tails = [
            extreme_share(card.tails, below.index, "upper", t),
            extreme_share(card.tails, above.index, "lower", t),
        ]
        rates.append(
            RateAt(
                lower=below.index,
                upper=above.index,
                threshold=float(t),
                rate=_with_tails(
                    max(value, 0.5 * sum(x.at_least for x in tails)),
                    drawn,
                    card.levels[i].overlap,
                    0.5 * sum(x.limit for x in tails),
                ),
            )
        )
    total = bit_error_rate([r.rate for r in rates], len(card.levels))
    return ErrorRatesAt(at=at, rates=tuple(rates), bit_error_rate=total, codes=codes_for(total))


def _misread(below: LevelAt, above: LevelAt, threshold: float) -> float:
    return 0.5 * float(below.sf(threshold) + above.cdf(threshold))


def _balanced(below: LevelAt, above: LevelAt) -> float:
    """Return the threshold at which both levels are misread equally often."""
    low, high = below.mean.value, above.mean.value
    for _ in range(80):
        middle = 0.5 * (low + high)
        more = float(below.sf(middle)) > float(above.cdf(middle))
        low, high = (middle, high) if more else (low, middle)
    return 0.5 * (low + high)


def _with_tails(value: float, drawn: Floats, overlap: Quantity | None, limit: float) -> Quantity:
    """Return the rate with the interval of its draws and of the tails after programming."""
    low, high = (max(float(x), _LEAST) for x in np.quantile(drawn, (0.025, 0.975)))
    centre = max(value, _LEAST)
    down, up = math.log(centre / min(low, centre)), math.log(max(high, centre) / centre)
    if overlap is not None and overlap.ci95 is not None and 0 < overlap.ci95[0] <= overlap.value:
        down = math.hypot(down, math.log(overlap.value / overlap.ci95[0]))
        up = math.hypot(up, math.log(overlap.ci95[1] / overlap.value))
    low = centre * math.exp(-min(down, 600.0))
    high = max(centre * math.exp(min(up, 600.0)), limit, value)
    low, high = 0.0 if low < 10 * _LEAST else low, min(high, 1.0)
    return Quantity.within(value, (high - low) / 3.92, "1", (min(low, value), high))
