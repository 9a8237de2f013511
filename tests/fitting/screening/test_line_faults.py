"""Dead lines are judged against what was asked of each cell, in any pattern of the levels."""

import numpy as np
import pytest

from rramfit.card.cells import Fault
from rramfit.fitting.screening.line_faults import silent_cells, unresponsive_lines
from rramfit.fitting.screening.screening import screen
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.file.record import ArrayIdentity, Levels, Measurement

N = 48
ROW, COL = np.indices((N, N))
PATTERNS = {
    "column stripes": COL % 2,
    "row stripes": ROW % 2,
    "checkerboard": (ROW + COL) % 2,
    "halves": (ROW >= N // 2).astype(int),
    "blocks of 8": (ROW // 8 + COL // 8) % 2,
    "random": np.random.default_rng(9).integers(2, size=(N, N)),
}
LOW = {"narrow": 1.0, "wide": 1.0, "at zero": 0.0, "close": 40.0}  # uS


def chip(make_measured, pattern, low, *, sweeps, known, rows=(), cols=(), offset=0.0):
    """Draw two levels, the upper at 100 uS, in one pattern in all sweeps; open lines read noise."""
    rng = np.random.default_rng(0)
    level = np.broadcast_to(PATTERNS[pattern], (sweeps, N, N))
    own, cycle = rng.standard_normal((N, N)), rng.standard_normal(level.shape)
    spread = (0.8, 0.3) if low == "wide" else (0.05, 0.03)
    lower = LOW[low] * np.exp(spread[0] * own + spread[1] * cycle)
    if low == "at zero":
        lower = 0.03 * cycle
    y = np.where(level == 1, 100 * np.exp(0.05 * own + 0.03 * cycle), lower)
    dead = np.isin(ROW, rows) | np.isin(COL, cols)
    y = np.where(dead, 0.02 * rng.standard_normal(y.shape), y) + offset
    return make_measured(
        y * 1e-6,
        level=level,
        verified=np.broadcast_to(~dead, y.shape) if known else None,
        levels=Levels(target=np.array([LOW[low], 100.0]) * 1e-6),
    )


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sound_lines_are_not_dead(make_measured, pattern, low, sweeps, known):
    found = screen(*chip(make_measured, pattern, low, sweeps=sweeps, known=known))
    assert not found.where(Fault.DEAD_ROW, Fault.DEAD_COL).any()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_open_lines_are_dead(make_measured, pattern, low, sweeps, known):
    found = screen(
        *chip(make_measured, pattern, low, sweeps=sweeps, known=known, rows=(5,), cols=(7, 30))
    )
    rows, cols = [5], [7, 30]
    if low == "at zero" and not known:  # lines that were only asked for zero, and read it
        rows = [] if pattern == "halves" else rows
        cols = [7] if pattern == "column stripes" else cols
    assert found.dead_rows.tolist() == rows
    assert found.dead_cols.tolist() == cols


@pytest.mark.parametrize("pattern", ["row stripes", "checkerboard", "random"])
def test_open_lines_are_dead_with_an_offset_of_the_read_out(make_measured, pattern):
    made = chip(
        make_measured, pattern, "narrow", sweeps=1, known=True, rows=(5,), cols=(7, 30), offset=0.5
    )
    found = screen(*made)
    assert (found.dead_rows.tolist(), found.dead_cols.tolist()) == ([5], [7, 30])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_level_that_cannot_be_programmed_is_not_a_dead_line(make_measured, pattern):
    rng = np.random.default_rng(1)
    level = np.broadcast_to(PATTERNS[pattern], (3, N, N))
    fails = (level == 1) & (rng.random(level.shape) < 0.97)
    y = np.where((level == 1) & ~fails, 100.0, 1.0) * np.exp(
        0.05 * rng.standard_normal(level.shape)
    )
    made = make_measured(
        y * 1e-6, level=level, verified=~fails, levels=Levels(target=np.array([1e-6, 100e-6]))
    )
    assert not screen(*made).where(Fault.DEAD_ROW, Fault.DEAD_COL).any()


@pytest.mark.parametrize("accepted", [True, False])
def test_a_narrow_column_is_dead_unless_the_tester_accepted_it(make_measured, accepted):
    rng = np.random.default_rng(2)
    level = np.broadcast_to(PATTERNS["column stripes"], (3, N, N))
    y = np.where(level == 1, 100.0, 10.0) * np.exp(0.05 * rng.standard_normal(level.shape))
    y[:, :, 9] = 100 + 0.01 * rng.standard_normal((3, N))
    verified = np.ones(level.shape, dtype=bool)
    verified[:, :, 9] = accepted
    made = make_measured(
        y * 1e-6, level=level, verified=verified, levels=Levels(target=np.array([1e-5, 1e-4]))
    )
    assert screen(*made).dead_cols.tolist() == ([] if accepted else [9])


def test_a_low_level_with_one_code_of_the_converter_is_not_dead(make_measured):
    rng = np.random.default_rng(3)
    level = np.broadcast_to(PATTERNS["column stripes"], (2, N, N))
    y = np.where(level == 1, 100.0, 1.0) * np.exp(0.05 * rng.standard_normal(level.shape))
    y = np.round(y / 5) * 5  # the lower level reads 0
    made = make_measured(y * 1e-6, level=level, levels=Levels(target=np.array([1e-6, 1e-4])))
    assert not screen(*made).where(Fault.DEAD_ROW, Fault.DEAD_COL).any()


def reads_of(y, level):
    reads = reads_in_memory(y * 1e-6, time=np.arange(len(y)) * 1.0, level=level)
    return Measurement(
        path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"), rows=N, cols=N, reads=reads
    )


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_reads_of_a_pattern_show_no_dead_lines_but_open_ones(pattern, known):
    rng = np.random.default_rng(4)
    level = PATTERNS[pattern]
    y = np.where(level == 1, 100.0, 1.0) * np.exp(0.05 * rng.standard_normal((2, N, N)))
    asked = level if known else np.full((N, N), -1)
    assert screen(reads_of(y, asked), None).healthy.all()
    y[:, :, 11] = 0.02 * rng.standard_normal((2, N))
    assert screen(reads_of(y, asked), None).dead_cols.tolist() == [11]


def test_a_level_on_one_line_is_not_judged():
    unresponsive = COL == 7
    everywhere = np.ones((N, N), dtype=bool)
    assert unresponsive_lines(unresponsive, everywhere, 1).tolist() == (np.arange(N) == 7).tolist()
    assert not unresponsive_lines(unresponsive, everywhere, 1, stratum=COL).any()
    pairs = unresponsive_lines(unresponsive, everywhere, 1, stratum=COL // 2)
    assert pairs.tolist() == (np.arange(N) == 7).tolist()


def test_cells_between_silent_and_loud_are_not_judged():
    y = np.full((1, N, N), 100.0) + np.random.default_rng(5).standard_normal((1, N, N))
    y[0, 0, :3] = 0.1, 50.0, 100.0
    silent, judged = silent_cells(y)
    assert silent[0, :3].tolist() == [True, False, False]
    assert judged[0, :3].tolist() == [True, False, True]
