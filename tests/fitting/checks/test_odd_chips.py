"""What testers, decoders and converters do to a chip is found and named."""

import re

import numpy as np
import pytest

from rramfit.fitting.checks.diagnostics import diagnose
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.time.telegraph import find_telegraph
from rramfit.measurement.file.in_memory import program_in_memory, reads_in_memory
from rramfit.measurement.file.record import ArrayIdentity, Levels, Measurement

N, SWEEPS = 32, 9
TARGET, STD = np.array([10.0, 40.0, 80.0]), np.array([1.0, 2.0, 3.0])
NEW = {
    "wrong-pattern", "line-reads-another", "line-copies", "failure-trend", "outside-window",
    "far-readings", "rounded-readings",
}  # fmt: skip


def chip(seed=0, *, sweeps=SWEEPS, whole=False):
    """Return levels and readings [uS] of cells that differ more than their cycles do."""
    rng = np.random.default_rng(seed)
    first = np.zeros((N, N), int) if whole else rng.integers(3, size=(N, N))
    level = (first + np.arange(sweeps)[:, None, None]) % 3
    own = np.take_along_axis(rng.standard_normal((3, N, N)), level, 0)
    y = TARGET[level] + STD[level] * (0.8 * own + 0.6 * rng.standard_normal(level.shape))
    return rng, level, y


def measured(y, level, *, width=4.0, verified=None):
    low, high = TARGET - width * STD, TARGET + width * STD
    levels = Levels(target=TARGET * 1e-6, lower=low * 1e-6, upper=high * 1e-6)
    return Measurement(
        path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"),
        rows=y.shape[1], cols=y.shape[2], levels=levels,
        program=program_in_memory(
            y * 1e-6, read_voltage=0.2, level=level, levels=levels, verified=verified
        ),
    )  # fmt: skip


def found(y, level, **how):
    """Return the sentences of the checks by their code."""
    measurement = measured(y, level, **how)
    statistics = accumulate(measurement.program, 3)
    checks = diagnose(measurement, statistics, screen(measurement, statistics))
    return {f.code: f.what for f in checks.verdict.findings if f.code in NEW}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("whole", [False, True])
def test_a_sound_chip_has_none(seed, whole):
    _, level, y = chip(seed, whole=whole)
    assert not found(y, level)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_sweep_at_the_next_level(accepted):
    _, level, y = chip()
    level[4] = (level[4] + 1) % 3
    text = found(y, level, verified=np.ones(y.shape, bool) if accepted else None)["wrong-pattern"]
    assert text.startswith("In sweep 4, 100.0 % of the readings")
    assert "the next lower level than asked for" in text


def test_a_sweep_of_one_level_that_got_another():
    rng, level, y = chip(whole=True)
    y[4] = 80 + 3 * rng.standard_normal((N, N))
    assert "In sweep 4, 100.0 % of the readings" in found(y, level)["wrong-pattern"]


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (lambda y: y[:, np.arange(N) ^ 1], "with rows 2i and 2i + 1 exchanged"),
        (lambda y: y[:, :, ::-1], "with the columns in reverse order"),
        (lambda y: np.roll(y, -1, axis=1), "shifted by one row"),
        (lambda y: y.transpose(0, 2, 1), "with rows and columns exchanged"),
    ],
)
@pytest.mark.parametrize("every", [True, False])
def test_readings_in_another_order(moved, said, every):
    _, level, y = chip()
    some = slice(None) if every else slice(1, None, 2)
    y[some] = moved(y[some])
    text = found(y, level)["wrong-pattern"]
    assert said in text
    assert "sweeps 0–8" in text if every else "sweeps 1, 3, 5, 7" in text


def test_readings_of_the_sweep_before():
    rng = np.random.default_rng(0)
    level = rng.integers(3, size=(SWEEPS, N, N))
    y = TARGET[level] + STD[level] * rng.standard_normal(level.shape)
    y[6] = y[5] + 0.1 * rng.standard_normal((N, N))
    text = found(y, level)["wrong-pattern"]
    assert "In sweep 6, " in text
    assert "fit the levels of sweep 5" in text


def test_columns_that_read_their_neighbour():
    _, level, y = chip()
    y[:, :, [10, 21]] = y[:, :, [9, 20]]
    text = found(y, level)
    assert "column 10 reads 9, 21 reads 20" in text["line-reads-another"]
    assert "column 10 repeats 9, 21 repeats 20" in text["line-copies"]


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_multiplexer_that_reads_each_row_twice(noise):
    rng, level, y = chip()
    for x in (level, y):
        x[:, 1::2] = x[:, ::2]
    y += noise * rng.standard_normal(y.shape)
    assert found(y, level)["line-copies"].startswith("16 rows repeat the readings of another row")


def test_a_field_over_the_array_is_no_copy():
    _, level, y = chip()
    y += 2 * STD[level] * np.sin(np.arange(N) / 6.0)
    assert "line-copies" not in found(y, level, width=8.0)


def test_failures_that_become_more_frequent():
    rng, level, y = chip(sweeps=12)
    fails = rng.random(y.shape) < np.linspace(0.0, 0.2, 12)[:, None, None]
    text = found(np.where(fails, 1.0, y), level)["failure-trend"]
    first, last = (float(x) for x in re.search(r"from (.*) % to (.*) % over", text).groups())
    assert first < 1.5
    assert last == pytest.approx(20, abs=2)
    assert "accepted at first" not in text


def test_a_level_that_is_hard_at_the_end_is_no_trend():
    """Cells that never reach the highest level, which is programmed last, did not give up."""
    rng, level, y = chip()
    level = np.broadcast_to((np.arange(SWEEPS) // 3)[:, None, None], y.shape)
    y = TARGET[level] + STD[level] * rng.standard_normal(y.shape)
    y[6:, rng.random((N, N)) < 0.1] = 1.0
    assert not found(y, level)


def test_cells_that_die_half_way_are_counted():
    rng, level, y = chip()
    dies = rng.random((N, N)) < 0.03
    y[4:, dies] = 1.0
    text = found(y, level)["failure-trend"]
    assert f"{dies.sum()} cells were accepted at first and failed at every later attempt" in text


def test_a_level_that_always_fails_has_no_trend():
    _, level, y = chip()
    y[level == 2] = 60.0
    assert "failure-trend" not in found(y, level)


def test_accepted_readings_outside_the_window():
    rng, level, y = chip()
    y = np.clip(y, (TARGET - 2.9 * STD)[level], (TARGET + 2.9 * STD)[level])
    off = rng.random(y.shape) < 0.005
    y[off] += 8 * STD[level][off]
    text = found(y, level, width=3.0, verified=np.ones(y.shape, bool))["outside-window"]
    assert text.startswith(f"{off.sum()} of {y.size} accepted readings")


def test_readings_a_thousand_times_too_large():
    rng, level, y = chip()
    off = rng.random(y.shape) < 0.001
    y[off] = 1e6
    text = found(y, level)["far-readings"]
    assert f"of {y.size} readings" in text
    assert "the largest 1 S" in text


def test_a_coarse_converter_has_no_floor_and_no_copied_sweeps():
    _, level, y = chip()
    y = 4.5 * np.round(y / 4.5)
    measurement = measured(y, level)
    statistics = accumulate(measurement.program, 3)
    codes = {
        f.code
        for f in diagnose(measurement, statistics, screen(measurement, statistics)).verdict.findings
    }
    assert "rounded-readings" in codes
    assert not codes & {"at-a-rail", "repeated-sweeps"}
    assert statistics.floor is None


def test_a_clipped_floor_is_still_found():
    _, level, y = chip()
    y = np.maximum(y, 9.3)
    assert accumulate(measured(y, level).program, 3).floor == pytest.approx(9.3e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_of_a_rounded_level_is_inside_its_interval(seed):
    from rramfit.fitting.levels.moments import reading_moments

    _, level, y = chip(seed)
    statistics = accumulate(measured(4.5 * np.round(y / 4.5), level).program, 3)
    _, _, moments = reading_moments(statistics, np.ones((N, N), bool), 0)
    assert abs(moments.mean - 10e-6) < 2 * moments.rounding


def repeated(y, **group):
    """Return the checks of /reads or /retention, (read, row, col) [uS]."""
    times = np.geomspace(1.0, 1e4, len(y))
    level = np.broadcast_to(np.array([-1]), y.shape[1:])
    reads = reads_in_memory(y * 1e-6, time=times, level=level, read_voltage=0.2)
    measurement = Measurement(
        path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"),
        rows=y.shape[1], cols=y.shape[2], **dict.fromkeys(group, reads),
    )  # fmt: skip
    checks = diagnose(measurement, None, screen(measurement, None))
    return {f.code: f for f in checks.verdict.findings}


def test_reads_at_a_ceiling():
    rng = np.random.default_rng(0)
    y = rng.uniform(10, 90, (N, N)) + 0.5 * rng.standard_normal((40, N, N))
    assert not repeated(y, reads=True)
    text = repeated(np.minimum(y, 80.0), reads=True)["at-a-rail"].what
    assert re.match(r"/reads: 1\d\.\d % of readings are at the ceiling .*, 80 uS", text)


def test_noise_cut_off_at_a_ceiling_is_no_telegraph_noise():
    rng = np.random.default_rng(0)
    y = rng.uniform(60, 90, (400, 1)) + 0.5 * rng.standard_normal((400, 64))
    found = find_telegraph(np.minimum(y, 80.0) * 1e-6, rng)
    assert found.n_cells < 300
    assert found.share.ci95[0] == 0


def test_all_cells_that_lose_their_state_at_once():
    rng = np.random.default_rng(0)
    y = rng.uniform(40, 90, (N, N)) + 0.5 * rng.standard_normal((5, N, N))
    y[2:] = 0.1 * rng.standard_normal((3, N, N))
    found = repeated(y, retention=True)["collapse"]
    assert found.severe
    assert "100.0 % of the conducting cells collapsed" in found.what
    assert "apart from the others" not in found.what
