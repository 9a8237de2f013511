"""Reference: chips drawn from known distributions; predicted intervals must cover nominally."""

import math

import numpy as np
import pytest
from scipy import special

from rramfit.fitting.checks.heldout import P_LIMIT, check_heldout
from rramfit.fitting.levels.levels import fit_levels
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import Levels

TARGET = np.array([10e-6, 40e-6])
LEVELS = Levels(target=TARGET.copy())
OWN = 0.7  # standard deviation between cells, of z with unit variance


def chip(seed, *, side=32, sweeps=8, step=0.0, distribution="lognormal"):
    """Return alternating sweeps at two levels; `step` shifts z in the late half."""
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((side, side))
    shape = (sweeps, side, side)
    z = OWN * own + math.sqrt(1 - OWN**2) * rng.standard_normal(shape)
    z[sweeps // 2 :] += step
    level = np.broadcast_to((np.arange(sweeps) % 2)[:, None, None], shape).copy()
    relative = np.exp(0.1 * z)
    if distribution == "t":
        relative = 1 + 0.08 * special.stdtrit(6, special.ndtr(z))
    if distribution == "gap":
        relative = 1 + 0.05 * np.sign(z) * (1 + np.abs(z) ** 0.2)
    return program_in_memory(TARGET[level] * relative, read_voltage=0.2, level=level)


def check(program, **kwargs):
    statistics = accumulate(program, len(LEVELS))
    healthy = np.ones(program.shape[1:], dtype=bool)
    fit = fit_levels(statistics, healthy, LEVELS, seed=0)
    return check_heldout(statistics, healthy, LEVELS, seed=0, fit=fit, **kwargs), statistics, fit


def test_coverage_is_nominal_and_its_standard_error_is_right():
    cover, errors, p = [], [], []
    for seed in range(12):
        found, _, _ = check(chip(seed, distribution="t" if seed % 2 else "lognormal"))
        assert found.verdict.ok
        cover += [v.coverage for v in found.levels]
        errors += [v.coverage_stderr for v in found.levels]
        p += [v.p_value for v in found.levels]
    mean, error = np.mean(cover, axis=0), np.sqrt(np.mean(np.square(errors), axis=0))
    # Both levels share the deviations of the cells here, so chips count, not levels.
    assert mean == pytest.approx([0.5, 0.9, 0.99], abs=4 * float(error[0]) / math.sqrt(12))
    assert (np.std(cover, axis=0) < 1.6 * error).all()
    # P(twelve independent p-values all above 0.3, or all below 0.7) = 1.4 %.
    assert min(p) < 0.5 < max(p)


def test_log_score_approaches_that_of_the_true_distribution():
    """A held-out score approaches the score of the true distribution from below."""
    program = chip(3, side=64)
    found, statistics, _ = check(program)
    y = statistics.sample.conductance[::2]
    density = -0.5 * (np.log(y / TARGET[0]) / 0.1) ** 2 - np.log(0.1 * y * math.sqrt(2 * math.pi))
    truth = density.mean()
    assert found.levels[0].log_score == pytest.approx(truth, abs=2 * 2 / 0.4 / (64 * 64))
    assert found.levels[0].n_observations == y.size


def test_a_shift_between_early_and_late_sweeps_is_reported():
    found, _, _ = check(chip(1, step=1.0))
    assert found.levels[0].p_value < P_LIMIT
    assert found.levels[0].coverage[1] < 0.85
    assert found.verdict.word in ("warning", "bad")
    assert "do not predict" in found.verdict.findings[0].what
    assert "misplaces" in found.levels[0].words


def test_a_distribution_outside_all_families_is_reported():
    found, _, _ = check(chip(2, distribution="gap"))
    assert found.levels[0].p_value < P_LIMIT
    assert not found.verdict.ok


def test_one_sweep_holds_out_only_cells():
    rng = np.random.default_rng(4)
    side = 40
    level = rng.integers(0, 2, (1, side, side))
    y = TARGET[level] * np.exp(0.1 * rng.standard_normal((1, side, side)))
    found, _, _ = check(program_in_memory(y, read_voltage=0.2, level=level))
    assert not any(v.halves for v in found.levels)
    assert sum(v.n_observations for v in found.levels) == side * side
    entry = found.to_card()[1]
    assert entry.level == 1
    assert entry.coverage90 == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / entry.n_observations))
    assert "0 %" in found.summary()
    assert "predicted" in found.plot().get_xlabel()


def test_levels_with_too_few_cells_are_reported():
    rng = np.random.default_rng(5)
    level = np.zeros((1, 12, 12), dtype=np.int64)
    level[0, 0, :12] = 1
    y = TARGET[level] * np.exp(0.1 * rng.standard_normal(level.shape))
    found, _, _ = check(program_in_memory(y, read_voltage=0.2, level=level))
    assert [v.index for v in found.levels] == [0]
    assert (
        "1 of 2 levels has too few cells for the held-out check: L1."
        in found.verdict.findings[0].what
    )


def test_the_same_seed_gives_the_same_numbers():
    first, second = (check(chip(6))[0] for _ in range(2))
    assert first.to_card() == second.to_card()
