"""What a card predicts: error rates and levels after ten years, levels after reads, tolerance.

Predictions are no quantities of a card, but have intervals. True ones are those of the card that
the chip was drawn from, at the same condition and the same read thresholds.

A tolerance interval contains a share of the cells with a confidence; it is listed as an interval
from that share to 1 for the share of the true distribution that it contains, and is right for 95 %
of chips if the confidence is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TEN_YEARS = 10 * 365.25 * 86400.0  # [s]
READS = 1000


def predictions(card: Any, *, thresholds: dict[int, float]) -> Iterator[tuple[str, Any]]:
    """Yield the paths and quantities of what a card predicts.

    Parameters
    ----------
    card : ModelCard
    thresholds : dict of int to float
        Read thresholds by level [S].
    """
    from rramfit.fitting.tails import error_rates_at

    if not card.levels:
        return
    if card.retention is not None and card.retention.temperature is not None:
        hot = card.retention.temperature.value
        at = error_rates_at(card, time=TEN_YEARS, temperature=hot, thresholds=thresholds)
        for k, level in enumerate(at.at.levels):
            yield f"ten_years.levels[{k}].mean", level.mean
            yield f"ten_years.levels[{k}].std", level.std
        for k, rate in enumerate(at.rates):
            yield f"ten_years.error_rates[{k}]", rate.rate
        yield "ten_years.bit_error_rate", at.bit_error_rate
    if card.read_noise is not None and card.read_noise.disturb is not None:
        for k, level in enumerate(card.levels_at(reads=READS).levels):
            yield f"after_reads.levels[{k}].mean", level.mean


def thresholds_of(card: Any) -> dict[int, float]:
    """Return the read thresholds of a card [S], by the level below."""
    return {
        x.index: x.upper_threshold.value for x in card.levels[:-1] if x.upper_threshold is not None
    }


def tolerances(card: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tolerance intervals of a card, as intervals for the share of cells inside."""
    from rramfit.card.quantity import Quantity

    for t in card.tails.tolerance.values() if card.tails is not None else ():
        if t.lower is not None and t.upper is not None:
            path = f"tails.tolerance[{t.level}].inside"
            yield path, Quantity.within(t.coverage, 0.0, "1", (t.coverage, 1.0))
