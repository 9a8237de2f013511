"""Scores of samples, and statistics of a network's values over chips.

In: outputs and labels. Out: counts of each sample, evaluations with intervals.
"""

from rramfit.mapping.study.scores.metrics import METRICS, Measure, Metric, metric_by_name
from rramfit.mapping.study.scores.summary import Estimate, Evaluation, summarise

__all__ = [
    "METRICS",
    "Estimate",
    "Evaluation",
    "Measure",
    "Metric",
    "metric_by_name",
    "summarise",
]
