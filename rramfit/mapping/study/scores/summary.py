"""Statistics of a network's accuracies over chips, with 95 % intervals.

The accuracy of one chip is the share of correct test images. Intervals over n independent chips:

    mean            Student's t
    deviation       χ², which assumes approximately normal accuracies
    percentiles     order statistics [a(l), a(u)] with binomial ranks, for any distribution; the
                    bound is 0 or 1 if n is too small for a rank
    yield           share of chips at or above an accuracy; Clopper-Pearson

The same holds for other metrics, without the bounds 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rramfit.card.quantity import result_html
from rramfit.mapping.study.mean_accuracy import MeanAccuracy
from rramfit.mapping.study.scores.metrics import ACCURACY, Measure
from rramfit.units import counted

__all__ = ["Estimate", "Evaluation", "summarise"]

TAIL = 0.025
"""Probability on either side of an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def percent(self) -> str:
        """Format the estimate in per cent."""
        return f"{100 * self.value:.2f} % ({100 * self.low:.2f}–{100 * self.high:.2f})"

    def text(self, measure: Measure) -> str:
        """Format the estimate of a metric."""
        if measure.share:
            return self.percent()
        if math.isinf(self.high):
            return f"{self.value:.4g} (an interval needs more chips)"
        return f"{self.value:.4g} ({self.low:.4g}–{self.high:.4g})"

    def to_json(self) -> dict[str, object]:
        """Return the estimate as JSON types; a bound that is not known is None."""
        bounds = [x if math.isfinite(x) else None for x in (self.low, self.high)]
        return {"value": self.value, "ci95": bounds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Accuracies of one network on many chips.

    Attributes
    ----------
    digital : float
        Accuracy of the network in float32.
    threshold : float
        Minimum accuracy of a good chip, for the yield.
    total : MeanAccuracy, optional
        The mean accuracy with its full interval: chips, card, test images.
    measure : Measure
        What is evaluated, if it is not the accuracy.
    """

    accuracies: tuple[float, ...]
    digital: float
    threshold: float
    images: int
    mean: Estimate
    deviation: Estimate
    percentile5: Estimate
    percentile95: Estimate
    chip_yield: Estimate
    total: MeanAccuracy | None = None
    measure: Measure = ACCURACY.measure

    @property
    def chips(self) -> int:
        """Number of chips."""
        return len(self.accuracies)

    def to_json(self) -> dict[str, object]:
        """Return the evaluation as JSON types."""
        accuracies = self.measure.name == "accuracy"
        return {
            "chips": self.chips,
            "images": self.images,
            **({} if accuracies else {"metric": self.measure.to_json()}),
            "digital_accuracy" if accuracies else "digital": self.digital,
            "mean": self.mean.to_json(),
            "sd": self.deviation.to_json(),
            "percentile5": self.percentile5.to_json(),
            "percentile95": self.percentile95.to_json(),
            "yield": {"at": self.threshold, **self.chip_yield.to_json()},
            "accuracies" if accuracies else "values": list(self.accuracies),
            "mean_total": None if self.total is None else self.total.to_json(),
        }

    def _repr_html_(self) -> str:
        of = self.measure
        shown = {
            "digital": of.text(self.digital),
            "mean": self.mean.text(of),
            "deviation": self.deviation.text(of),
            "5th percentile": self.percentile5.text(of),
            f"yield at {of.text(self.threshold)}": self.chip_yield.percent(),
        }
        title = f"{of.title} of {counted(self.chips, 'chip')} on {self.images} samples"
        return result_html(title, {k: {"value (95 % interval)": v} for k, v in shown.items()})


def summarise(
    accuracies: Sequence[float],
    *,
    digital: float,
    threshold: float,
    images: int,
    measure: Measure = ACCURACY.measure,
) -> Evaluation:
    """Compute mean, deviation, percentiles and yield of accuracies, with intervals.

    Examples
    --------
    >>> e = summarise([0.9, 0.92, 0.91, 0.93], digital=0.95, threshold=0.9, images=100)
    >>> e.mean.percent(), e.chip_yield.percent()
    ('91.50 % (89.45–93.55)', '100.00 % (39.76–100.00)')
    """
    a = np.sort(np.asarray(accuracies, dtype=np.float64))
    n, mean = len(a), float(a.mean())
    std = float(a.std(ddof=1)) if n > 1 else 0.0
    if n > 1:
        half = float(special.stdtrit(n - 1, 1 - TAIL)) * std / math.sqrt(n)
        upper, lower = (float(special.chdtri(n - 1, p)) for p in (TAIL, 1 - TAIL))
        spread = (std * math.sqrt((n - 1) / upper), std * math.sqrt((n - 1) / lower))
    else:
        half, spread = math.inf, (0.0, math.inf)
    least, most = (0.0, 1.0) if measure.share else (-math.inf, math.inf)
    good = a >= threshold - 1e-12 if measure.better == "higher" else a <= threshold + 1e-12
    return Evaluation(
        accuracies=tuple(float(x) for x in accuracies),
        digital=digital,
        threshold=threshold,
        images=images,
        mean=Estimate(value=mean, low=max(mean - half, least), high=min(mean + half, most)),
        deviation=Estimate(
            value=std, low=spread[0], high=min(spread[1], 0.5 if measure.share else math.inf)
        ),
        percentile5=_percentile(a, 0.05, least, most),
        percentile95=_percentile(a, 0.95, least, most),
        chip_yield=_share(int(good.sum()), n),
        measure=measure,
    )


def _percentile(rising: NDArray[np.float64], p: float, least: float, most: float) -> Estimate:
    n = len(rising)
    ranks = np.arange(n + 1)
    below = special.bdtr(ranks, n, p)  # P(at most `ranks` chips are below the percentile)
    low = int((below <= TAIL).sum())  # the interval starts at the low-th smallest
    high = int((below < 1 - TAIL).sum()) + 1
    return Estimate(
        value=float(np.quantile(rising, p)),
        low=float(rising[low - 1]) if low >= 1 else least,
        high=float(rising[high - 1]) if high <= n else most,
    )


def _share(hits: int, n: int) -> Estimate:
    low = float(special.betaincinv(hits, n - hits + 1, TAIL)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, 1 - TAIL)) if hits < n else 1.0
    return Estimate(value=hits / n, low=low, high=high)
