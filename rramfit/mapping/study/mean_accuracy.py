"""The mean accuracy over chips, and how well it is known: chips, card, test images.

Accuracy a of chip c, drawn from card draw d, on M test images:

    a_dc = μ + K_d + H_dc + I

    K   what the card does not know: variance σ_K² between draws of the card
    H   chips of one card differ: variance σ_H² between chips of a draw
    I   other test images would give another accuracy: with q_m the share of chips that are right on
        image m, variance Var(q_m)/M; one chip gives the binomial p·(1 − p)/M

The same chip, with the same random numbers, is also evaluated on the card as it is stated. In the
difference δ_dc of the two, most of H cancels, so that few chips suffice to see K. With n_d chips of
draw d, n in all, and the mean squares of the nested analysis of variance of δ,

    MS_W ~ σ_W²·χ²_(n−D)/(n−D),   MS_K ~ (σ_W² + n₀·σ_K²)·χ²_(D−1)/(D−1),
    n₀ = (n − Σn_d²/n)/(D − 1)

The interval is one for the mean accuracy over all chips and images of the card that is true, which
is one more draw. Its variance is the sum of three parts,

    card σ_K²·(1 + Σn_d²/n²)    chips σ_H²/n    test images Var(q_m)/M

of which more chips reduce the second, more images the third, and more measurements the first. A
difference of mean squares is a poor estimate of a small σ_K² and may be negative. So the interval
is that of the normal mixture over the likely σ_K and σ_W, with σ_K equally likely a priori up to
0.5, the largest standard deviation that an accuracy can have. The stated part of the card is for
the median σ_K. Without draws, Student's t has Satterthwaite's degrees of freedom of chips and
images.

The scatter of q_m over draws is not counted twice: Var(q_m) is that over images less Σ_d Var/D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["MeanAccuracy", "mean_accuracy", "mean_accuracy_of_counts"]

Floats = NDArray[np.float64]

_TAIL = 0.025
_LARGEST = 0.5  # standard deviation of a number between 0 and 1
_NODES, _POINTS = 24, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanAccuracy:
    """The mean accuracy with its 95 % interval, and the standard errors that it consists of.

    Attributes
    ----------
    value, low, high : float
    chips, card, images : float
        Standard errors; `card` is 0 if the card has no errors or was not drawn.
    card_draws : int
        Number of draws of the card; 0 if its numbers were taken as exact.
    """

    value: float
    low: float
    high: float
    chips: float
    card: float
    images: float
    card_draws: int

    @property
    def stderr(self) -> float:
        """Standard error of the mean accuracy, the root of the sum of squares of its parts."""
        return math.hypot(self.chips, self.card, self.images)

    def percent(self) -> str:
        """Format the mean and its interval in per cent."""
        return f"{100 * self.value:.2f} % ({100 * self.low:.2f}–{100 * self.high:.2f})"

    def parts(self) -> list[tuple[str, float]]:
        """Return the standard errors by name."""
        card = [("card", self.card)] if self.card_draws else []
        return [("chips", self.chips), *card, ("test images", self.images)]

    def to_json(self) -> dict[str, object]:
        """Return the mean accuracy as JSON types."""
        return {
            "value": self.value,
            "ci95": [self.low, self.high],
            "stderr": self.stderr,
            "parts": {
                "chips": self.chips,
                "card": self.card if self.card_draws else None,
                "test_images": self.images,
            },
            "card_draws": self.card_draws,
        }


def mean_accuracy(
    accuracies: Sequence[float],
    right: Floats,
    *,
    stated: Sequence[float] | None = None,
    draws: Sequence[int] | None = None,
) -> MeanAccuracy:
    """Compute the mean accuracy over chips, its interval and its parts.

    Parameters
    ----------
    accuracies : sequence of float
        Of each chip.
    right : (chip or draw, image) array
        Share of chips that are right on each image; one row a draw if the card was drawn, otherwise
        one row a chip.
    stated : sequence of float, optional
        Of the same chips on the card as it is stated; by default the card is taken as exact.
    draws : sequence of int, optional
        Draw of each chip, 0 to D − 1, at least two draws with two chips each; with `stated`.

    Examples
    --------
    >>> right = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=float)
    >>> m = mean_accuracy([0.75, 0.5], right)
    >>> m.value, [(name, round(x, 3)) for name, x in m.parts()]
    (0.625, [('chips', 0.125), ('test images', 0.204)])
    """
    return _mean_accuracy(accuracies, _images(right), stated, draws)


def mean_accuracy_of_counts(
    accuracies: Sequence[float], by_image: NDArray[np.integer]
) -> MeanAccuracy:
    """Compute the mean accuracy over chips of a card that is taken as exact.

    Parameters
    ----------
    accuracies : sequence of float
        Of each chip.
    by_image : (image,) int array
        Number of chips that are right on each image.

    Examples
    --------
    >>> mean_accuracy_of_counts([0.75, 0.5], np.array([2, 2, 1, 0])).value
    0.625
    """
    return _mean_accuracy(accuracies, _images_of_counts(by_image, len(accuracies)), None, None)


def _mean_accuracy(
    accuracies: Sequence[float],
    of_image: tuple[float, float],
    stated: Sequence[float] | None,
    draws: Sequence[int] | None,
) -> MeanAccuracy:
    a = np.asarray(accuracies, dtype=np.float64)
    n, mean = len(a), float(a.mean())
    images, of_images = of_image
    if stated is not None and draws is not None:
        group = np.asarray(draws)
        ms_h, _, _ = _mean_squares(a, group)
        ms_w, ms_k, n0 = _mean_squares(a - np.asarray(stated), group)
        count = np.bincount(group)
        spread = 1 + float((count**2).sum()) / n**2
        k, weight = _likely(ms_k, len(count) - 1, ms_w, n - len(count), n0)
        at = int(np.searchsorted(np.cumsum(weight), 0.5))
        card = math.sqrt(spread) * float(k[min(at, len(k) - 1)])
        half = _half_width(spread * k**2 + ms_h / n + images, weight)
    else:
        card, ms_h = 0.0, float(a.var(ddof=1)) if n > 1 else 0.0
        total, of_chips = ms_h / n + images, max(n - 1, 1)
        spent = (ms_h / n) ** 2 / of_chips + images**2 / max(of_images, 1.0)
        half = _quantile(total**2 / spent if spent > 0 else math.inf) * math.sqrt(total)
    known = n > 1
    return MeanAccuracy(
        value=mean,
        low=max(mean - half, 0.0) if known else 0.0,
        high=min(mean + half, 1.0) if known else 1.0,
        chips=math.sqrt(ms_h / n),
        card=card,
        images=math.sqrt(images),
        card_draws=0 if draws is None else len(set(draws)),
    )


def _mean_squares(x: Floats, group: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the mean squares within and between draws, and n₀, of one number per chip."""
    count = np.bincount(group).astype(np.float64)
    n, d = len(x), len(count)
    by_draw = np.bincount(group, weights=x) / count
    within = float(((x - by_draw[group]) ** 2).sum()) / (n - d)
    between = float((count * (by_draw - x.mean()) ** 2).sum()) / (d - 1)
    return within, between, (n - float((count**2).sum()) / n) / (d - 1)


def _likely(ms_k: float, of_k: int, ms_w: float, of_w: int, n0: float) -> tuple[Floats, Floats]:
    """Return likely values of σ_K, and their weights, (point,)."""
    p = (np.arange(_NODES) + 0.5) / _NODES
    w2 = of_w * ms_w / special.chdtri(of_w, 1 - p)
    edges = _LARGEST * np.linspace(0.0, 1.0, _POINTS + 1) ** 2  # fine near 0
    k = 0.5 * (edges[1:] + edges[:-1])
    variance = np.maximum(w2[:, None] + n0 * k**2, 1e-300)
    log_likelihood = -0.5 * of_k * (np.log(variance) + ms_k / variance)
    weight = np.diff(edges) * np.exp(log_likelihood - log_likelihood.max())
    return k, np.asarray(weight.sum(axis=0) / weight.sum())


def _half_width(variance: Floats, weight: Floats) -> float:
    """Return the half width that holds 95 % of a mixture of normals about one mean."""
    deviation = np.sqrt(variance)
    low, high = 0.0, 10 * float(deviation.max())
    for _ in range(50):
        middle = 0.5 * (low + high)
        z = middle / np.maximum(deviation, 1e-300)
        outside = 2 * float((weight * special.ndtr(-z)).sum())
        low, high = (middle, high) if outside > 2 * _TAIL else (low, middle)
    return low


def _images(right: Floats) -> tuple[float, float]:
    """Return the variance of the mean accuracy due to images, and its degrees of freedom."""
    rows, m = right.shape
    if m < 2:
        return 0.0, 0.0
    share = right.mean(axis=0)
    variance = float(share.var(ddof=1))
    if rows > 1:
        variance -= float(right.var(axis=0, ddof=1).mean()) / rows
    return max(variance, 0.0) / m, float(m - 1)


def _images_of_counts(by_image: NDArray[np.integer], n: int) -> tuple[float, float]:
    """Return what `_images` returns for n chips, of which `by_image` are right on each image."""
    m = len(by_image)
    if m < 2:
        return 0.0, 0.0
    right = by_image.astype(np.float64)
    variance = float((right / n).var(ddof=1))
    if n > 1:
        variance -= float((right * (n - right)).sum()) / (m * n**2 * (n - 1))
    return max(variance, 0.0) / m, float(m - 1)


def _quantile(df: float) -> float:
    p = 1 - _TAIL
    return float(special.ndtri(p)) if math.isinf(df) else float(special.stdtrit(df, p))
