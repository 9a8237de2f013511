"""Metrics: the score of each sample, and the value of a network from the mean of its scores.

    name             score of a sample                        value             better
    accuracy         1 if the largest output is the label     mean              higher
    token-accuracy   share of positions with the right token  mean              higher
    perplexity       mean of −ln p over its positions         exp(mean)         lower
    rmse             mean square of output − target           root of the mean  lower
    mae              mean magnitude of output − target        mean              lower

Positions with a negative label do not count. A callable of yours takes outputs and labels of a
batch and returns a score for each sample; its attribute `better` is "higher" (default) or "lower".
Over samples, scores are added as whole multiples of 2⁻²⁰, so that results of parts join exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rramfit.errors import MappingError
from rramfit.mapping.study.imported import import_callable

__all__ = ["ACCURACY", "METRICS", "Measure", "Metric", "metric_by_name"]

Score = Callable[[Tensor, Tensor], Tensor]
"""Function of outputs and labels (sample, …) to scores (sample,)."""

UNIT = 2**20
LARGEST = 2.0**31

_VALUES: dict[str, Callable[[float], float]] = {
    "mean": float,
    "exp": lambda mean: math.exp(min(mean, 700.0)),  # still a number
    "root": math.sqrt,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a metric's value means."""

    name: str
    better: Literal["higher", "lower"] = "higher"
    share: bool = False  # whether it is a share, shown in per cent
    value: Literal["mean", "exp", "root"] = "mean"

    def of_mean(self, mean: float) -> float:
        """Return the value for a mean score."""
        return _VALUES[self.value](mean)

    def threshold(self, digital: float) -> float:
        """Return the default limit of a good chip: two points, or 5 %, worse than digital."""
        if self.share:
            return digital - 0.02
        worse = 0.05 * abs(digital)
        return digital - worse if self.better == "higher" else digital + worse

    @property
    def title(self) -> str:
        """Name at the beginning of a sentence."""
        return self.name[:1].upper() + self.name[1:]

    def number(self, value: float) -> str:
        """Format a value without its unit: shares in per cent; a dash if it is not known."""
        if not math.isfinite(value):
            return "–"
        return f"{100 * value:.2f}" if self.share else f"{value:.4g}"

    def text(self, value: float) -> str:
        """Format a value."""
        return f"{100 * value:.2f} %" if self.share else f"{value:.4g}"

    def difference(self, value: float) -> str:
        """Format a difference of two values: shares in percentage points."""
        return f"{100 * value:+.2f}" if self.share else f"{value:+.3g}"

    def to_json(self) -> dict[str, Any]:
        """Return the measure as JSON types."""
        return {"name": self.name, "better": self.better, "share": self.share, "value": self.value}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Measure:
        """Return the measure of JSON types.

        Raises
        ------
        ValueError, KeyError, TypeError
            If the content is not what `to_json` returns.
        """
        if content["better"] not in ("higher", "lower") or content["value"] not in _VALUES:
            msg = f"a metric {dict(content)!r}"
            raise ValueError(msg)
        return cls(
            name=str(content["name"]),
            better=content["better"],
            share=bool(content["share"]),
            value=content["value"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A measure and how it is computed."""

    measure: Measure
    score: Score

    @property
    def unit(self) -> int:
        """Whole number by which scores are multiplied: 1 for hits."""
        return 1 if self.measure.name == "accuracy" else UNIT

    def counts(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the scores of a batch in whole multiples of 1/`unit`, (sample,) int64.

        Raises
        ------
        MappingError
            If there is not one finite score for each sample.
        """
        found: object = self.score(outputs, labels)
        name = self.measure.name
        if not isinstance(found, Tensor) or tuple(found.shape) != (len(labels),):
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            msg = (
                f"metric {name!r} returned {what}; expected one score for each of {len(labels)} "
                "samples"
            )
            raise MappingError(msg)
        scores = found.detach().double().cpu()
        wrong = int((~(scores.abs() < LARGEST)).sum())
        if wrong:
            msg = f"metric {name!r}: {wrong} scores are not finite, or above {LARGEST:.0e}"
            raise MappingError(msg)
        return (scores * self.unit).round().long()

    def mean_of(self, counts: int, samples: int) -> float:
        """Return the value for a sum of counts over samples."""
        return self.measure.of_mean(counts / (samples * self.unit))


def _hits(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.argmax(-1) == labels


def _mean_over(x: Tensor, counted: Tensor) -> Tensor:
    axes = tuple(range(1, x.ndim))
    if not axes:
        return torch.where(counted, x, 0.0)
    return torch.where(counted, x, 0.0).sum(axes) / counted.sum(axes).clamp_min(1)


def _token_hits(outputs: Tensor, labels: Tensor) -> Tensor:
    return _mean_over((outputs.argmax(-1) == labels).double(), labels >= 0)


def _surprise(outputs: Tensor, labels: Tensor) -> Tensor:
    flat = F.cross_entropy(
        outputs.double().flatten(0, -2), labels.flatten().clamp_min(0), reduction="none"
    )
    return _mean_over(flat.reshape(labels.shape), labels >= 0)


def _difference(outputs: Tensor, labels: Tensor) -> Tensor:
    if outputs.numel() != labels.numel():
        msg = (
            f"the network returns {tuple(outputs.shape)} for targets {tuple(labels.shape)}; "
            "expected one output for each target"
        )
        raise MappingError(msg)
    return (outputs.reshape(labels.shape) - labels).double().reshape(len(labels), -1)


ACCURACY = Metric(measure=Measure(name="accuracy", share=True), score=_hits)
"""Share of samples that are classified correctly."""

METRICS: dict[str, Metric] = {
    "accuracy": ACCURACY,
    "token-accuracy": Metric(measure=Measure(name="token-accuracy", share=True), score=_token_hits),
    "perplexity": Metric(
        measure=Measure(name="perplexity", better="lower", value="exp"), score=_surprise
    ),
    "rmse": Metric(
        measure=Measure(name="rmse", better="lower", value="root"),
        score=lambda out, y: _difference(out, y).square().mean(1),
    ),
    "mae": Metric(
        measure=Measure(name="mae", better="lower"),
        score=lambda out, y: _difference(out, y).abs().mean(1),
    ),
}
"""Metrics by name."""


def metric_by_name(name: str) -> Metric:
    """Return a metric by its name, or the one of ``module:callable``.

    Raises
    ------
    MappingError
        If there is no such metric.
    """
    if name in METRICS:
        return METRICS[name]
    if ":" not in name:
        msg = f"unknown metric {name!r}; expected {', '.join(METRICS)} or module:callable"
        raise MappingError(msg)
    score = import_callable(name)
    better: Any = getattr(score, "better", "higher")
    if better not in ("higher", "lower"):
        msg = f"metric {name!r}: its attribute `better` is {better!r}; expected 'higher' or 'lower'"
        raise MappingError(msg)
    return Metric(measure=Measure(name=name, better=better), score=score)
