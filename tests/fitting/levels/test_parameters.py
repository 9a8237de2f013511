"""A parameter has an interval only if the readings determine it."""

import math

import numpy as np
import pytest

from rramfit.fitting.levels.distribution import LevelDistribution
from rramfit.fitting.levels.levels import fit_levels
from rramfit.fitting.levels.parameters import error_correlation, parameter_result
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.statistics.inference import ClusteredCovariance
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import Levels


def level(y: np.ndarray):
    y = y.reshape(1, 1, -1)
    program = program_in_memory(y, read_voltage=0.2, level=np.zeros(y.shape, dtype=np.int64))
    levels = Levels(target=np.array([5e-5]))
    return fit_levels(accumulate(program, 1), np.ones(y.shape[1:], dtype=bool), levels, seed=1)[0]


def fitted(y: np.ndarray) -> LevelDistribution:
    found = level(y).distribution
    assert found is not None
    return found


@pytest.fixture(scope="module")
def mixture() -> LevelDistribution:
    rng = np.random.default_rng(1)
    y = np.where(rng.random(1600) < 0.3, 7e-5, 5e-5) + 3e-6 * rng.standard_normal(1600)
    found = fitted(y)
    assert found.family == "mixture"
    return found


def with_errors(distribution: LevelDistribution, *, df: float = 30.0, **errors: float):
    """Parameters with an error of 1 % of their value, or the one given."""
    size = [errors.get(n, 0.01 * abs(v)) for n, v in distribution.parameters.items()]
    covariance = np.diag(np.square(size))
    p = len(size)
    found = ClusteredCovariance(covariance=covariance, df=np.full(p, df), inflation=np.ones(p))
    return parameter_result(distribution, found)


def test_what_is_not_determined_has_no_interval_and_is_named(mixture):
    found = with_errors(mixture, std_1=9e-5, weight_2=0.4)
    without = [name for name, q in found.estimates.items() if q.ci95 is None]
    assert sorted(without) == ["std_1", "weight_2"]
    assert found.estimates["std_1"].value == mixture.parameters["std_1"]
    (finding,) = found.verdict.findings
    assert finding.what == (
        "the readings do not determine std_1 and weight_2 of mixture, so they have no interval"
    )
    where = list(found.estimates).index("std_1")
    assert not found.covariance[where].any()


def test_few_degrees_of_freedom_count(mixture):
    relative = 0.5
    errors = {"std_1": relative * mixture.parameters["std_1"]}
    assert with_errors(mixture, df=30, **errors).estimates["std_1"].ci95 is not None
    assert with_errors(mixture, df=1, **errors).estimates["std_1"].ci95 is None


def test_a_place_is_known_to_within_the_width_of_the_level(mixture):
    wide = with_errors(mixture, mean_1=3e-5)
    assert wide.estimates["mean_1"].ci95 is None
    assert with_errors(mixture, mean_1=3e-6).estimates["mean_1"].ci95 is not None


def test_a_level_at_zero_keeps_its_interval():
    y = 2e-9 + 1e-7 * np.random.default_rng(2).standard_normal(900)
    found = level(y)
    assert found.family == "normal"
    location = found.result.estimates["loc"]
    assert location.stderr > 0.3 * abs(location.value)
    assert location.ci95 is not None
    assert found.result.verdict.ok


KINDS = {
    "normal": lambda rng, n: 5e-5 + 3e-6 * rng.standard_normal(n),
    "two far cells": lambda rng, n: np.concatenate(
        [5e-5 + 3e-6 * rng.standard_normal(n - 2), [9e-5, 9.1e-5]]
    ),
    "two states": lambda rng, n: (
        np.where(rng.random(n) < 0.1, 4e-5, 6e-5) + 2e-6 * rng.standard_normal(n)
    ),
    "heavy tails": lambda rng, n: 5e-5 + 2e-6 * rng.standard_t(2, n),
    "coarse converter": lambda rng, n: (
        np.round((5e-5 + 1e-6 * rng.standard_normal(n)) / 5e-7) * 5e-7
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cells", [20, 40, 150])
def test_no_interval_reaches_over_orders_of_magnitude(kind, cells):
    rng = np.random.default_rng(3)
    for _ in range(4):
        found = level(KINDS[kind](rng, cells))
        if found.result is None:
            continue
        for name, q in found.result.estimates.items():
            if name.startswith(("std", "scale", "sigma", "delta", "lambda")) and q.ci95:
                assert q.ci95[1] / q.ci95[0] < math.exp(4.0), name
        missing = [n for n, q in found.result.estimates.items() if q.ci95 is None]
        text = " ".join(f.what for f in found.result.verdict.findings)
        edges = found.distribution.maximum.edges
        assert all(name in text for name in missing) or edges


def test_the_card_keeps_the_correlation_of_the_errors(mixture):
    rng = np.random.default_rng(4)
    found = level(5e-5 * np.exp(0.2 * rng.standard_normal(900)))
    card = found.to_card().distribution
    names = sorted(card.parameters)
    r = np.array(card.correlation)
    assert r.shape == (len(names), len(names))
    assert np.diagonal(r) == pytest.approx(1)
    order = [list(found.result.estimates).index(n) for n in names]
    assert r == pytest.approx(found.result.correlation[np.ix_(order, order)], abs=1e-6)
    partly = error_correlation(with_errors(mixture, std_1=9e-5))
    where = sorted(mixture.parameters).index("std_1")
    assert np.array(partly)[where] == pytest.approx(np.eye(len(mixture.parameters))[where])
