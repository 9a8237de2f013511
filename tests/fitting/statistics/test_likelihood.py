"""Likelihood of each family against card densities, numerical derivatives and other optimisers."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from rramfit.card.families import family
from rramfit.fitting.statistics.likelihood import (
    Frame,
    GammaLikelihood,
    JohnsonSULikelihood,
    LevelReadings,
    Likelihood,
    LognormalLikelihood,
    MixtureLikelihood,
    NormalLikelihood,
    Points,
    SkewNormalLikelihood,
    StudentTLikelihood,
    WeibullLikelihood,
    collect_readings,
    compress,
    maximise,
)
from rramfit.measurement.file.record import SweepBlock

CASES: dict[str, tuple[Likelihood, list[float]]] = {
    "normal": (NormalLikelihood(), [0.9, math.log(0.3)]),
    "lognormal": (LognormalLikelihood(), [-0.1, math.log(0.35)]),
    "gamma": (GammaLikelihood(), [-0.05, math.log(9.0)]),
    "stiff gamma": (GammaLikelihood(), [-0.05, math.log(400.0)]),
    "weibull": (WeibullLikelihood(), [0.1, math.log(3.0)]),
    "student_t": (StudentTLikelihood(), [0.9, math.log(0.3), math.log(4.0)]),
    "skew_normal": (SkewNormalLikelihood(), [0.7, math.log(0.5), 1.7]),
    "left skew_normal": (SkewNormalLikelihood(), [1.3, math.log(0.5), -3.0]),
    "johnson_su": (JohnsonSULikelihood(), [0.9, math.log(0.3), 0.4, -0.3]),
    "mixture of 2": (MixtureLikelihood(2), [0.4, 0.7, 1.1, math.log(0.2), math.log(0.3)]),
    "mixture of 3": (
        MixtureLikelihood(3),
        [0.4, -0.3, 0.6, 1.0, 1.3, math.log(0.2), math.log(0.3), math.log(0.15)],
    ),
}
ONES = Frame(0.0, 1.0)


def _points(clipped: tuple[int, int]) -> Points:
    x = np.exp(0.3 * np.random.default_rng(1).standard_normal(40))
    weight = np.concatenate([np.random.default_rng(2).uniform(1, 3, 40), clipped])
    return Points(x=np.sort(x), floor=0.55, ceiling=1.6, weight=weight)


def _readings(y: np.ndarray, **rails: float | None) -> LevelReadings:
    """Collect readings (sweep, row, col), all of one level and accepted."""
    block = SweepBlock(
        first=0,
        conductance=y,
        level=np.zeros(y.shape, dtype=np.int64),
        accepted=np.ones(y.shape, dtype=bool),
    )
    rails = {"floor": None, "ceiling": None, **rails}
    return collect_readings(block, np.ones(y.shape[1:], dtype=bool), 0, **rails)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("clipped", [(0, 0), (7, 9)], ids=["unclipped", "clipped"])
def test_gradient_matches_numerical_derivative(case: str, clipped: tuple[int, int]) -> None:
    likelihood, theta = CASES[case]
    points, at = _points(clipped), np.array(theta)
    _, gradient = likelihood.mean_nll(at, points)
    h = 1e-5
    for i, e in enumerate(np.eye(at.size) * h):
        ahead = likelihood.mean_nll(at + e, points)[0]
        behind = likelihood.mean_nll(at - e, points)[0]
        # truncation h²·f'''/6 and rounding 1e-16/h, with room for f''' of some hundreds
        assert gradient[i] == pytest.approx((ahead - behind) / (2 * h), abs=3e-8, rel=3e-8)


@pytest.mark.parametrize("case", CASES)
def test_likelihood_matches_the_family_of_the_card(case: str) -> None:
    likelihood, theta = CASES[case]
    at, distribution = np.array(theta), family(likelihood.family)
    x = np.linspace(0.3, 2.2, 9)
    parameters = likelihood.natural(at, ONES)
    np.testing.assert_allclose(
        likelihood.log_density(at, x)[0], distribution.logpdf(x, parameters), rtol=1e-10, atol=1e-10
    )
    for bound in (0.55, 1.6):
        below, above = likelihood.log_below(at, bound)[0], likelihood.log_above(at, bound)[0]
        assert math.exp(below) == pytest.approx(
            float(distribution.cdf(bound, parameters)), rel=1e-9
        )
        assert math.exp(above) == pytest.approx(float(distribution.sf(bound, parameters)), rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_frame_changes_only_units(case: str) -> None:
    likelihood, theta = CASES[case]
    origin = 0.0 if likelihood.positive else 4e-5
    frame, at = Frame(origin, 2e-5), np.array(theta)
    g = frame.origin + frame.unit * np.linspace(0.5, 1.8, 7)
    density = family(likelihood.family).logpdf(g, likelihood.natural(at, frame))
    scaled = likelihood.log_density(at, frame.put(g))[0] - math.log(frame.unit)
    np.testing.assert_allclose(density, scaled, rtol=1e-9)


@pytest.mark.parametrize(
    ("case", "scipy_fit"),
    [
        ("normal", lambda x: stats.norm.logpdf(x, *stats.norm.fit(x))),
        ("lognormal", lambda x: stats.lognorm.logpdf(x, *stats.lognorm.fit(x, floc=0))),
        ("gamma", lambda x: stats.gamma.logpdf(x, *stats.gamma.fit(x, floc=0))),
        ("weibull", lambda x: stats.weibull_min.logpdf(x, *stats.weibull_min.fit(x, floc=0))),
        ("student_t", lambda x: stats.t.logpdf(x, *stats.t.fit(x))),
        ("skew_normal", lambda x: stats.skewnorm.logpdf(x, *stats.skewnorm.fit(x, 3))),
        ("johnson_su", lambda x: stats.johnsonsu.logpdf(x, *stats.johnsonsu.fit(x, -3, 3))),
    ],
)
def test_no_other_optimiser_finds_a_higher_likelihood(case: str, scipy_fit) -> None:
    y = 1 + 0.2 * stats.johnsonsu.rvs(-1, 1.8, size=(1, 20, 40), random_state=3)
    maximum = maximise(CASES[case][0], _readings(np.maximum(y, 0.05)))
    other = float(np.sum(scipy_fit(np.maximum(y, 0.05).ravel())))
    assert maximum.converged
    assert maximum.log_likelihood >= other - 1e-6  # ours may only be higher
    assert maximum.log_likelihood == pytest.approx(other, abs=0.05)


@pytest.mark.parametrize("case", ["normal", "gamma", "student_t", "johnson_su", "mixture of 2"])
def test_compressed_fit_is_the_exact_maximum(case: str) -> None:
    likelihood = CASES[case][0]
    rng = np.random.default_rng(5)
    y = 8e-5 * (1 + 0.05 * rng.standard_t(5, (4, 60, 60)) + 0.06 * rng.exponential(1, (4, 60, 60)))
    y = np.maximum(y, 1e-6)
    readings = _readings(y)
    assert not readings.exact
    maximum = maximise(likelihood, readings)
    single = readings.single_points(maximum.frame)
    direct = optimize.minimize(
        lambda t: likelihood.mean_nll(t, single),
        maximum.theta + 0.01,
        jac=True,
        method="BFGS",
        options={"gtol": 1e-10},
    )
    error = np.sqrt(np.diagonal(np.linalg.inv(maximum.curvature)) / readings.n)
    gradient = likelihood.mean_nll(maximum.theta, single)[1]
    decrement = gradient @ np.linalg.solve(maximum.curvature, gradient)
    assert decrement * readings.n < 1e-9  # log likelihood within 1e-9 of its maximum
    np.testing.assert_allclose(maximum.theta, direct.x, atol=float(1e-3 * error.min()))


def test_censored_fit_is_unbiased_where_moments_are_not() -> None:
    rng = np.random.default_rng(6)
    y = 5e-5 + 1e-5 * rng.standard_normal((2, 50, 50))
    ceiling = 5.8e-5
    readings = _readings(np.minimum(y, ceiling), ceiling=ceiling)
    maximum = maximise(NormalLikelihood(), readings)
    data = stats.CensoredData.right_censored(
        np.minimum(y, ceiling).ravel() * 1e5, (y >= ceiling).ravel()
    )
    loc, scale = stats.norm.fit(data)
    assert maximum.parameters["loc"] == pytest.approx(loc * 1e-5, rel=1e-4)
    assert maximum.parameters["scale"] == pytest.approx(scale * 1e-5, rel=1e-3)
    stderr = 1e-5 / math.sqrt(y.size)
    assert abs(maximum.parameters["loc"] - 5e-5) < 4 * 1.1 * stderr
    assert abs(readings.unclipped.mean() - 5e-5) > 20 * stderr


def test_sandwich_error_counts_cells_not_readings() -> None:
    rng = np.random.default_rng(7)
    offset = rng.standard_normal((40, 40))
    y = 5e-5 + 1e-5 * (0.8 * offset + 0.6 * rng.standard_normal((10, 40, 40)))
    maximum = maximise(NormalLikelihood(), _readings(y))
    influence = maximum.influence() * maximum.frame.unit
    stderr = math.sqrt(float((influence[0] ** 2).sum()))
    true = 1e-5 * math.sqrt((0.64 + 0.36 / 10) / 1600)
    assert stderr == pytest.approx(true, rel=4 / math.sqrt(2 * 1600))


def test_limiting_distributions_are_described() -> None:
    rng = np.random.default_rng(8)
    flat = maximise(StudentTLikelihood(), _readings(rng.uniform(1, 2, (1, 30, 30))))
    assert flat.edges == ("df is 200, so the distribution is normal",)
    assert flat.influence()[2].max() == 0


def test_compression_preserves_extremes_and_sums() -> None:
    x = np.random.default_rng(9).standard_normal(50_000)
    points, index, exact = compress(x)
    assert not exact
    assert points.size <= 2048
    assert (points[0], points[-1]) == (x.min(), x.max())
    assert np.all(np.diff(points) > 0)
    count = np.bincount(index)
    assert float(count @ points) == pytest.approx(float(x.sum()), abs=1e-8)
    # compression loses the variance within bins, below (widest inner bin)²/12
    lost = x.var() - (count @ points**2 / x.size - (count @ points / x.size) ** 2)
    assert 0 <= lost < 1e-5
