"""Cells that are stuck, moving or fixed, are separated from cells that failed at every attempt."""

import json

import numpy as np
import pytest
from scipy import integrate, stats

from rramfit.card.cells import Fault
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.response import LevelSpread
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.screening.stuck import find_stuck
from rramfit.fitting.screening.stuck_likelihood import (
    Groups,
    ReadingStates,
    log_responding,
    log_stuck,
)
from rramfit.fitting.screening.stuck_motion import moving_probability
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import Levels

SHAPE = (40, 40)
CENTRES = (3.0, 43.0, 87.0)  # [uS]


def uniform(low, high):
    return lambda rng, level, _: rng.uniform(low, high, level.shape)


@pytest.fixture
def draw(make_measured):
    """Draw a chip, replace some cells, and screen it."""

    def draw(
        seed=0, *, replace, centres=CENTRES, reps=6, level=None,
        share=0.01, known=True, spread=0.06,
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        if level is None:
            order = np.tile(np.arange(len(centres)), reps)
            level = np.broadcast_to(order[:, None, None], (len(order), *SHAPE))
        own = spread * rng.standard_normal(SHAPE)
        y = np.array(centres)[level] * (1 + own + spread * rng.standard_normal(level.shape))
        ok = np.ones(level.shape, dtype=bool)
        chosen = rng.random(SHAPE) < share
        other = replace(rng, level, y)
        readings, accepted = other if isinstance(other, tuple) else (other, np.zeros_like(ok))
        y = np.where(chosen, readings, y)
        ok = np.where(chosen, accepted, ok)
        measurement, statistics = make_measured(
            y * 1e-6,
            level=level,
            verified=ok if known else None,
            levels=Levels(target=np.array(centres) * 1e-6),
        )
        return chosen, screen(measurement, statistics)

    return draw


def wrong(found, chosen, fault):
    """Number of cells that were not classified as drawn."""
    is_stuck = found.where(Fault.STUCK_LOW, Fault.STUCK_MIDDLE, Fault.STUCK_HIGH)
    assert (found.fault[chosen & is_stuck] == fault).all()
    return int((is_stuck != chosen).sum())


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("low", "high", "fault", "moves"),
    [
        (150, 220, Fault.STUCK_HIGH, True),
        (100, 300, Fault.STUCK_HIGH, True),
        (0.0, 1.2, Fault.STUCK_LOW, True),
        (15, 75, Fault.STUCK_MIDDLE, True),
        (20, 21, Fault.STUCK_MIDDLE, False),
    ],
)
def test_stuck_cells_are_found_however_much_they_move(draw, low, high, fault, moves, known):
    chosen, found = draw(1, replace=uniform(low, high), known=known)
    assert wrong(found, chosen, fault) == 0
    assert np.array_equal(found.stuck_moving[chosen], np.full(chosen.sum(), float(moves)))
    motion = np.sqrt(np.mean(found.stuck_motion[chosen] ** 2))
    assert motion == pytest.approx((high - low) / np.sqrt(12) * 1e-6, rel=0.2)


@pytest.mark.parametrize("reps", [1, 2])
def test_a_few_attempts_are_enough_beyond_the_levels(draw, reps):
    chosen, found = draw(2, replace=uniform(150, 220), reps=reps)
    assert wrong(found, chosen, Fault.STUCK_HIGH) == 0


@pytest.mark.parametrize("pattern", ["columns", "halves", "checkerboard"])
def test_a_cell_that_has_one_target_only_can_be_stuck(draw, pattern):
    row, col = np.indices(SHAPE)
    which = {"columns": col, "halves": col // 20, "checkerboard": row + col}[pattern] % 2
    level = np.broadcast_to(2 * which, (6, *SHAPE))
    chosen, found = draw(3, replace=uniform(150, 220), level=level)
    assert wrong(found, chosen, Fault.STUCK_HIGH) == 0


def test_a_moving_cell_that_is_accepted_now_and_then_is_stuck(draw):
    """It moves across the window of the highest level, whatever is asked."""

    def across(rng, level, _y):
        readings = rng.uniform(70, 160, level.shape)
        return readings, (level == 2) & (np.abs(readings - 87) < 10)

    chosen, found = draw(4, replace=across)
    assert wrong(found, chosen, Fault.STUCK_HIGH) == 0


def test_one_reading_that_jumps_does_not_hide_a_stuck_cell(draw):
    def jumps(rng, level, _y):
        readings = 180 + rng.standard_normal(level.shape)
        readings[7] = 0.5
        return readings

    chosen, found = draw(5, replace=jumps)
    assert wrong(found, chosen, Fault.STUCK_HIGH) == 0
    assert (found.stuck_moving[chosen] < 0.5).all()


@pytest.mark.parametrize(
    ("at", "level"),
    [(3.0, 1), (3.0, 2), (25.0, 0), (25.0, 1), (25.0, 2), (95.0, 0), (95.0, 1), (95.0, 2)],
)
def test_a_cell_that_never_programs_at_one_level_responds(draw, at, level):
    """Wherever a failed cell is left, it follows its other targets."""

    def hard(rng, target, y):
        fails = (target == level) | (rng.random(target.shape) < 0.02)
        return np.where(fails, at * (1 + 0.1 * rng.standard_normal(target.shape)), y), ~fails

    chosen, found = draw(6, replace=hard, share=0.03)
    assert chosen.sum() > 30
    assert found.healthy.all()


def test_cells_that_fail_at_all_levels_like_others_are_not_stuck(make_measured):
    """They read at each level what cells read there that fail now and then."""
    rng = np.random.default_rng(7)
    order = np.tile(np.arange(3), 6)
    level = np.broadcast_to(order[:, None, None], (18, *SHAPE))
    y = np.array(CENTRES)[level] * (1 + 0.06 * rng.standard_normal(level.shape))
    always = rng.random(SHAPE) < 0.01
    fails = always | (rng.random(level.shape) < 0.02)
    left = np.array([26.0, 20.0, 30.0])[level] * (1 + 0.1 * rng.standard_normal(level.shape))
    high = rng.random(SHAPE) < 0.005
    y = np.where(high, rng.uniform(150, 220, level.shape), np.where(fails, left, y))
    measurement, statistics = make_measured(
        y * 1e-6, level=level, verified=~(fails | high), levels=Levels(target=np.array(CENTRES))
    )
    found = screen(measurement, statistics)
    assert np.array_equal(found.fault == Fault.STUCK_HIGH, high)
    assert found.healthy[always & ~high].all()
    assert (found.stuck_posterior[always & ~high] < 0.1).all()


@pytest.mark.parametrize("reps", [1, 6])
def test_cells_that_fall_short_of_every_target_respond(draw, reps):
    chosen, found = draw(8, replace=lambda _rng, _level, y: 0.6 * y, reps=reps)
    assert found.healthy.all()
    assert (found.stuck_posterior[chosen] < 0.5).all()


def test_intermittent_cells_respond(draw):
    def often(rng, level, y):
        fails = rng.random(level.shape) < 0.67
        return np.where(fails, 3 * (1 + 0.06 * rng.standard_normal(level.shape)), y), ~fails

    chosen, found = draw(9, replace=often, share=0.02)
    assert (found.fault[chosen] == Fault.OK).mean() > 0.95


def test_a_coarse_converter_hides_no_stuck_cell(make_measured):
    """Nearly all readings of a level are one code, so that healthy cells have no spread."""
    rng = np.random.default_rng(10)
    level = np.broadcast_to(np.tile(np.arange(3), 4)[:, None, None], (12, *SHAPE))
    y = np.round(np.array(CENTRES)[level] + 0.1 * rng.standard_normal(level.shape))
    stuck = rng.random(SHAPE) < 0.01
    y = np.where(stuck, np.round(rng.uniform(150, 220, level.shape)), y)
    ok = np.broadcast_to(~stuck, level.shape)
    found = screen(
        *make_measured(y * 1e-6, level=level, verified=ok, levels=Levels(target=np.array(CENTRES)))
    )
    assert np.array_equal(found.fault == Fault.STUCK_HIGH, stuck)


def test_the_posterior_is_calibrated(draw):
    """Quiet cells at the lowest level: of those that may have failed, P(stuck) are stuck."""
    expected = found_stuck = variance = 0.0
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        kind = rng.random(SHAPE)
        stuck, hard = kind < 0.01, (kind >= 0.01) & (kind < 0.04)

        def replace(rng, level, y, stuck=stuck, hard=hard):
            left = 5 * (1 + 0.1 * rng.standard_normal(SHAPE))
            noisy = left * (1 + 0.1 * rng.standard_normal(level.shape))
            still = left * (1 + 0.02 * rng.standard_normal(level.shape))
            failed = hard & (level == 1)
            readings = np.where(stuck, still, np.where(failed, noisy, y))
            return readings, ~(failed | (stuck & (level == 1)))

        _, found = draw(seed, replace=replace, centres=(5.0, 80.0), reps=3, share=1.0, spread=0.1)
        p = found.stuck_posterior[stuck | hard]
        expected, found_stuck = expected + p.sum(), found_stuck + stuck.sum()
        variance += (p * (1 - p)).sum()
    assert variance > 10  # the case is a hard one
    assert abs(expected - found_stuck) < 0.35 * found_stuck


def test_the_shared_chip_has_the_stuck_cells_that_were_put_in(shared):
    path = shared / "cases/chips/moving-stuck.h5"
    truth = json.loads(path.with_suffix("").with_suffix(".truth.json").read_text())
    measurement = read_measurement(path)
    found = screen(measurement, accumulate(measurement.program, 3))
    cells = found.fault.size
    assert (found.fault == Fault.STUCK_HIGH).sum() == round(truth["stuck_high"] * cells)
    assert (found.fault == Fault.STUCK_LOW).sum() == round(truth["stuck_low"] * cells)
    assert (found.stuck_moving[found.fault == Fault.STUCK_HIGH] > 0.99).all()
    assert (found.stuck_moving[found.fault == Fault.STUCK_LOW] < 0.01).all()


def test_densities_integrate_to_one():
    """The density of two readings, of a stuck cell of any kind, and of a cell that responds."""
    at = LevelSpread(
        centre=np.array([0.0, 10.0]),
        spread=np.array([1.0, 1.0]),
        within=np.array([0.6, 0.6]),
        df=8.0,
        lowest=np.array([-2.0, 8.0]),
        highest=np.array([2.0, 12.0]),
    )

    def stuck(first, second, kind, side):
        y = np.array([first, second])
        groups = Groups(
            n=np.array([2.0]), mean=y.mean(keepdims=True), squares=np.array([y.var() * 2])
        )
        log_p = log_stuck(groups, np.array([side], dtype=np.int8), at, bounds=(-4.0, 14.0))
        return float(np.exp(log_p[kind, 0]))

    # anywhere from -4 to 2.5: over the mean m, 6.5 long, and the difference d; dy1 dy2 = dm dd
    total = integrate.quad(lambda d: 6.5 * stuck(-1 - d / 2, -1 + d / 2, 5, 0), -8, 8, limit=200)
    assert total[0] == pytest.approx(1, rel=0.01)
    state = ReadingStates(
        centre=np.array([0.0, 2.0]),
        between=np.array([0.8, 0.8]),
        within=np.array([0.6, 0.6]),
        df=8.0,
    )

    def responding(y):
        one = Groups(
            n=np.array([[0.0], [1.0]]), mean=np.array([[0.0], [y]]), squares=np.zeros((2, 1))
        )
        none = Groups(n=np.zeros((2, 1)), mean=np.zeros((2, 1)), squares=np.zeros((2, 1)))
        return float(np.exp(log_responding(none, one, at, state, width=18.0)[0]))

    # 5 % of the cells follow their target, which one reading cannot show; the flat part is cut off
    total = integrate.quad(responding, -7, 11, points=[2], limit=200)
    assert total[0] == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("n", [4, 20])
def test_moving_cells_are_separated_from_fixed_ones(n):
    rng = np.random.default_rng(11)
    moves = rng.random(60) < 0.4
    sigma = np.where(moves, 8.0, 0.2) * np.exp(0.2 * rng.standard_normal(60))
    squares = sigma**2 * stats.chi2(n - 1).rvs(60, random_state=rng)
    p = moving_probability(squares, np.full(60, float(n)), np.ones(60))
    assert np.array_equal(p > 0.5, moves)
    few = moving_probability(squares[:1], np.array([1.0]), np.ones(1))
    assert np.isnan(few).all()  # one reading shows no motion


def test_motion_like_that_of_healthy_cells_is_left_open():
    rng = np.random.default_rng(12)
    squares = 0.9**2 * stats.chi2(7).rvs(40, random_state=rng)
    assert np.isnan(moving_probability(squares, np.full(40, 8.0), np.ones(40))).all()


def test_the_tail_of_a_wide_lognormal_level_is_not_stuck_if_acceptance_is_unknown():
    """Each cell is at one level only, and its tail is beyond 4 standard deviations of it."""
    rng, shape, sweeps = np.random.default_rng(4), (64, 64), 8
    level = np.broadcast_to(rng.integers(0, 2, shape), (sweeps, *shape)).copy()
    z = 0.95 * rng.standard_normal(shape) + 0.3 * rng.standard_normal(level.shape)
    y = np.where(level == 0, 2e-6 * np.exp(z), 1e-4 * (1 + 0.08 * rng.standard_normal(level.shape)))
    y[:, :2, :4] = 5e-4  # truly stuck, far above both levels
    statistics = accumulate(program_in_memory(y, read_voltage=0.2, level=level), 2)
    found = find_stuck(statistics, np.ones(shape, dtype=bool), known=False)
    assert found.stuck[:2, :4].all()
    assert found.stuck.sum() == 8
