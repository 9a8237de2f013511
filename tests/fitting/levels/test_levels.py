"""Level fits against the distributions that the readings were drawn from."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from rramfit.card.schema import LevelCard
from rramfit.fitting.levels.levels import LevelsFit, fit_levels
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.statistics.goodness import assess
from rramfit.fitting.statistics.likelihood import NormalLikelihood, collect_readings, maximise
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import Levels, SweepBlock

ROWS, COLS = 48, 48


def fit(
    y: np.ndarray,
    level: np.ndarray,
    levels: Levels,
    *,
    verified: np.ndarray | None = None,
    healthy: np.ndarray | None = None,
) -> LevelsFit:
    program = program_in_memory(y, read_voltage=0.2, level=level, verified=verified, levels=levels)
    healthy_cells = np.ones(y.shape[1:], dtype=bool) if healthy is None else healthy
    return fit_levels(accumulate(program, len(levels)), healthy_cells, levels, seed=1)


def latent(rng: np.random.Generator, sweeps: int, *, cells: float = 0.7) -> np.ndarray:
    """Draw standard normals (sweep, row, col), correlated within a cell."""
    own = rng.standard_normal((ROWS, COLS))
    return cells * own + math.sqrt(1 - cells**2) * rng.standard_normal((sweeps, ROWS, COLS))


def one_level(y: np.ndarray, target: float = 5e-5) -> LevelsFit:
    level = np.zeros(y.shape, dtype=np.int64)
    return fit(y, level, Levels(target=np.array([target])), verified=np.ones(y.shape, dtype=bool))


DISTRIBUTIONS = {
    "normal": stats.norm(5e-5, 5e-6),
    "lognormal": stats.lognorm(0.25, scale=5e-5),
    "gamma": stats.gamma(6, scale=1e-5),
    "weibull": stats.weibull_min(2.2, scale=5e-5),
    "student_t": stats.t(4, 5e-5, 4e-6),
    "skew_normal": stats.skewnorm(5, 4e-5, 1e-5),
    "johnson_su": stats.johnsonsu(-1.2, 1.4, 5e-5, 4e-6),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_true_family_is_chosen(name: str) -> None:
    z = latent(np.random.default_rng(11), 3)
    y = DISTRIBUTIONS[name].ppf(stats.norm.cdf(z))
    found = one_level(y)[0]
    assert found.distribution is not None
    assert found.distribution.family == name
    assert found.distribution.chosen.p_value is not None
    assert found.distribution.chosen.p_value > 1e-3
    grid = DISTRIBUTIONS[name].ppf([0.01, 0.1, 0.5, 0.9, 0.99])
    # 2,304 cells, half of the variance between them: some 1,000 independent readings
    np.testing.assert_allclose(
        found.distribution.cdf(grid), [0.01, 0.1, 0.5, 0.9, 0.99], atol=4 * 0.016
    )
    assert found.mean is not None
    assert found.std is not None
    assert found.mean.stderr is not None
    assert found.std.stderr is not None
    assert abs(found.mean.value - DISTRIBUTIONS[name].mean()) < 4 * found.mean.stderr
    assert abs(found.std.value - DISTRIBUTIONS[name].std()) < 4 * found.std.stderr


def test_two_populations_are_fitted_by_a_mixture() -> None:
    rng = np.random.default_rng(12)
    second = rng.random((1, ROWS, COLS)) < 0.3
    y = np.where(second, 7e-5, 5e-5) + 3e-6 * rng.standard_normal((1, ROWS, COLS))
    found = one_level(y)[0]
    assert found.distribution is not None
    assert found.distribution.family == "mixture"
    assert found.result is not None
    weight = found.result.estimates["weight_2"]
    assert weight.ci95 is not None
    assert weight.stderr == pytest.approx(math.sqrt(0.21 / (ROWS * COLS)), rel=0.15)
    assert abs(weight.value - 0.3) < 4 * weight.stderr


def test_intervals_have_coverage() -> None:
    rng = np.random.default_rng(13)
    truth = {"mean": 5e-5, "std": 5e-6, "loc": 5e-5, "scale": 5e-6}
    hits, given = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(40):
        own = rng.standard_normal((16, 16))
        z = 0.8 * own + 0.6 * rng.standard_normal((3, 16, 16))
        found = one_level(5e-5 + 5e-6 * z)[0]
        assert found.distribution is not None
        assert found.result is not None
        known = {"mean": found.mean, "std": found.std}
        if found.distribution.family == "normal":
            known |= found.result.estimates
        for name, quantity in known.items():
            assert quantity is not None
            assert quantity.ci95 is not None
            given[name] += 1
            hits[name] += quantity.ci95[0] <= truth[name] <= quantity.ci95[1]
    for name in truth:
        assert given[name] >= 25
        assert stats.binom.cdf(hits[name], given[name], 0.95) > 1e-3


def test_p_value_is_uniform_if_the_distribution_is_true() -> None:
    rng = np.random.default_rng(14)
    p = []
    for _ in range(200):
        z = 0.8 * rng.standard_normal((20, 20)) + 0.6 * rng.standard_normal((4, 20, 20))
        block = SweepBlock(
            first=0,
            conductance=5e-5 + 5e-6 * z,
            level=np.zeros(z.shape, dtype=np.int64),
            accepted=np.ones(z.shape, dtype=bool),
        )
        healthy_cells = np.ones((20, 20), dtype=bool)
        readings = collect_readings(block, healthy_cells, 0, floor=None, ceiling=None)
        p.append(assess(maximise(NormalLikelihood(), readings), readings).p_value())
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert stats.binom.cdf(sum(v < 0.05 for v in p), 200, 0.05) > 1e-3
    assert stats.binom.sf(sum(v < 0.05 for v in p) - 1, 200, 0.05) > 1e-3


def test_clipped_readings_are_censored() -> None:
    rng = np.random.default_rng(15)
    truth = stats.norm(5e-5, 5e-6)
    y = truth.ppf(stats.norm.cdf(latent(rng, 2)))
    clipped = np.minimum(y, 5.5e-5)
    found = one_level(clipped)[0]
    assert found.n_clipped == int((y >= 5.5e-5).sum())
    assert found.mean is not None
    assert found.std is not None
    assert found.mean.stderr is not None
    assert found.std.stderr is not None
    assert abs(found.mean.value - 5e-5) < 4 * found.mean.stderr
    assert abs(found.std.value - 5e-6) < 4 * found.std.stderr
    assert clipped.mean() < 5e-5 - 3 * found.mean.stderr


def test_negative_conductances_exclude_positive_families() -> None:
    rng = np.random.default_rng(16)
    y = 1e-7 + 1e-7 * rng.standard_normal((1, ROWS, COLS))
    found = one_level(y, 1e-7)[0]
    assert found.distribution is not None
    notes = {c.family: c.note for c in found.distribution.candidates}
    for name in ("lognormal", "gamma", "weibull"):
        assert notes[name] == f"{int((y <= 0).sum())} of {y.size} readings are not positive"
    assert found.distribution.family == "normal"


def two_normals(seed: int, gap: float, sweeps: int = 4) -> tuple[LevelsFit, Levels]:
    """Fit two levels of std 1 uS, `gap` uS apart."""
    rng = np.random.default_rng(seed)
    level = np.broadcast_to((np.arange(sweeps) % 2)[:, None, None], (sweeps, ROWS, COLS)).copy()
    levels = Levels(target=np.array([20e-6, (20 + gap) * 1e-6]))
    y = levels.target[level] + 1e-6 * latent(rng, sweeps)
    return fit(y, level, levels, verified=np.ones(y.shape, dtype=bool)), levels


def test_threshold_overlap_and_bits_of_two_normals() -> None:
    gap = 3.0
    found, levels = two_normals(17, gap)
    threshold, overlap = found[0].threshold, found[0].overlap
    bits, hard = found.bits_per_cell, found.bits_with_thresholds
    assert threshold is not None
    assert overlap is not None
    assert bits is not None
    assert hard is not None
    error = stats.norm.sf(gap / 2)

    def density(x: float) -> float:
        ratio = stats.norm.pdf(x, gap) / stats.norm.pdf(x)
        return float(stats.norm.pdf(x) * math.log2(2 / (1 + ratio)))

    soft = integrate.quad(density, -9, 12)[0]
    entropy = -error * math.log2(error) - (1 - error) * math.log2(1 - error)
    for quantity, truth in (
        (threshold, levels.target.mean()),
        (overlap, error),
        (bits, soft),
        (hard, 1 - entropy),
    ):
        assert quantity.stderr is not None
        assert quantity.stderr > 0
        assert abs(quantity.value - truth) < 4 * quantity.stderr
    # both means have variance (0.49 + 0.51/2)/cells [uS²], of which the cells' part is common
    expected = 1e-6 * math.sqrt((0.49 + 0.51 / 4) / (ROWS * COLS))
    assert threshold.stderr == pytest.approx(expected, rel=0.15)
    assert found[1].threshold is None


def test_bits_match_adaptive_quadrature() -> None:
    found, _ = two_normals(18, 2.0)
    distributions = [v.distribution for v in found.levels]
    a, b = (
        (v.distribution.parameters["loc"], v.distribution.parameters["scale"])
        for v in found.levels
        if v.distribution
    )
    assert all(v is not None and v.family == "normal" for v in distributions)

    def inside(x: float, own: tuple[float, float], other: tuple[float, float]) -> float:
        f, g = stats.norm.pdf(x, *own), stats.norm.pdf(x, *other)
        return float(f * math.log2(2 * f / (f + g)))

    scaled = [(m * 1e6, s * 1e6) for m, s in (a, b)]
    expected = 0.5 * sum(
        integrate.quad(inside, o[0] - 9, o[0] + 9, args=(o, p), epsabs=1e-12)[0]
        for o, p in (scaled, scaled[::-1])
    )
    assert found.bits_per_cell is not None
    assert found.bits_per_cell.value == pytest.approx(expected, abs=1e-8)


def test_separate_levels_store_all_bits() -> None:
    found, _ = two_normals(19, 60.0)
    assert found.bits_per_cell is not None
    assert found.bits_per_cell.value == pytest.approx(1.0, abs=1e-12)
    assert found[0].overlap is not None
    assert 0 <= found[0].overlap.value < 1e-100
    assert found[0].threshold is not None
    assert 25e-6 < found[0].threshold.value < 75e-6


def test_levels_with_too_few_cells_are_reported() -> None:
    rng = np.random.default_rng(20)
    level = np.zeros((1, ROWS, COLS), dtype=np.int64)
    level[0, 0, :2] = 1
    level[0, 1, :6] = 2
    levels = Levels(target=np.array([2e-5, 4e-5, 6e-5, 8e-5]))
    y = levels.target[level] + 1e-6 * rng.standard_normal(level.shape)
    found = fit(y, level, levels, verified=np.ones(y.shape, dtype=bool))
    assert [v.distribution is None for v in found.levels] == [False, True, True, True]
    assert found[1].mean is None
    assert found[2].mean is not None
    what = found.verdict.findings[0].what
    assert "level 1 has 2 accepted readings from 2 cells" in what
    assert "level 3 has 0 accepted readings from 0 cells" in what
    assert found.bits_per_cell is None
    assert found.verdict.word == "warning"


def test_a_truncated_distribution_is_reported() -> None:
    rng = np.random.default_rng(21)
    lower, upper = 4.5e-5, 5.5e-5
    y = 5e-5 + 6e-6 * rng.standard_normal((1, ROWS, COLS))
    level = np.zeros(y.shape, dtype=np.int64)
    levels = Levels(target=np.array([5e-5]), lower=np.array([lower]), upper=np.array([upper]))
    found = fit(y, level, levels)
    assert found[0].n_cells == int(((y >= lower) & (y <= upper)).sum())
    assert any("verify window truncates" in f.what for f in found.verdict.findings)


def test_wrong_targets_are_reported() -> None:
    rng = np.random.default_rng(22)
    y = 8e-5 + 1e-6 * rng.standard_normal((1, ROWS, COLS))
    levels = Levels(target=np.array([5e-5]), lower=np.array([4e-5]), upper=np.array([6e-5]))
    level = np.zeros(y.shape, dtype=np.int64)
    found = fit(y, level, levels, verified=np.ones(y.shape, dtype=bool))
    assert found.verdict.word == "bad"
    assert any("outside the verify window" in f.what for f in found.verdict.findings)


def test_faulty_cells_are_excluded() -> None:
    rng = np.random.default_rng(23)
    y = 5e-5 + 1e-6 * rng.standard_normal((2, ROWS, COLS))
    healthy = np.ones((ROWS, COLS), dtype=bool)
    healthy[:5] = False
    corrupted = y.copy()
    corrupted[:, :5] = 9e-5
    levels = Levels(target=np.array([5e-5]))
    level, yes = np.zeros(y.shape, dtype=np.int64), np.ones(y.shape, dtype=bool)
    a, b = (fit(x, level, levels, verified=yes, healthy=healthy)[0] for x in (y, corrupted))
    assert a.n_cells == (ROWS - 5) * COLS
    assert a.to_card() == b.to_card()


def test_results_repeat_and_all_outputs_render() -> None:
    (one, _), (two, _) = two_normals(24, 6.0), two_normals(24, 6.0)
    cards = [[card.model_dump_json() for card in x.to_card()] for x in (one, two)]
    assert cards[0] == cards[1]
    assert all(isinstance(card, LevelCard) for card in one.to_card())
    alternatives = one.to_card()[0].distribution
    assert alternatives is not None
    assert {a.family for a in alternatives.alternatives} >= {"normal", "gamma", "mixture"}
    assert one.to_frame().shape[0] == 2
    assert set(one.alternatives_frame()["level"]) == {0, 1}
    assert "bits per cell" in one.summary()
    assert "<table" in one._repr_html_()
    ax = one.plot()
    assert len(ax.lines) == 4


def test_measured_levels_with_very_few_cells(shared) -> None:
    import h5py

    path = shared / "data/measured/h5/techC_relaxation.h5"
    with h5py.File(path) as f:
        y = f["program/conductance"][...].astype(float)
        level = f["program/level"][...].astype(np.int64)
        levels = Levels(target=f["levels/target"][...])
    keep = np.isin(level, [0, 31, 32, 33, 36])
    found = fit(y, np.where(keep, level, -1), levels, verified=np.isfinite(y))
    assert [v.index for v in found.levels if v.distribution] == [0, 31, 32]
    assert found[33].n_cells == 5
    assert found[36].n_cells == 2
    assert "48 more levels" not in found.verdict.findings[0].what
    assert "level 1 has 0 accepted readings" in found.verdict.findings[0].what


def drifting(by: float, wider: float = 0.0) -> LevelsFit:
    """One level of 50 uS with 5 uS between cells, that drifts and widens along the rows."""
    rows = np.arange(ROWS)[:, None] / (ROWS - 1) - 0.5
    own = np.random.default_rng(17).standard_normal((1, ROWS, COLS))
    return one_level(5e-5 + 5e-6 * own * (1 + wider * rows) + by * rows)


def test_a_drift_over_the_array_is_stated_and_not_part_of_the_error() -> None:
    still, moving = (drifting(by)[0].mean for by in (0.0, 2e-6))
    assert still is not None
    assert moving is not None
    assert moving.trend == pytest.approx(2e-6 / math.sqrt(12), rel=0.25)
    assert moving.stderr == pytest.approx(still.stderr, rel=0.1)
    wide = drifting(0.0, wider=0.6)[0].std
    assert wide is not None
    assert wide.trend == pytest.approx(0.6 * 5e-6 / math.sqrt(12), rel=0.3)


def test_a_drift_above_two_standard_errors_is_a_finding() -> None:
    (finding,) = (f for f in drifting(2e-6).verdict.findings if "drift" in f.what)
    assert "the mean of level 0 by" in finding.what
    assert "one array cannot tell whether other arrays share this trend" in finding.what
    assert not finding.severe
    assert not any("drift" in f.what for f in drifting(0.0).verdict.findings)
