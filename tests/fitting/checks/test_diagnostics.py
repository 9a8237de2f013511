"""Bad data is reported, and clean data is not."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from rramfit.fitting.checks.diagnostics import diagnose
from rramfit.fitting.checks.sweep_sequence import identical_reads
from rramfit.fitting.levels.targets import set_aside_windows
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.statistics.over_array.periodic import periodic_pattern
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import ArrayIdentity, Endurance, IVSweeps, Levels, Measurement

CENTRES = np.array([5.0, 50.0, 100.0])


def draw(seed, *, shape=(48, 48), sweeps=12, mixed=True):
    """Return readings [uS], target levels and the generator."""
    rng = np.random.default_rng(seed)
    level = np.tile(np.arange(3), sweeps // 3)
    if mixed:
        level = rng.permuted(np.tile(level, (shape[0] * shape[1], 1)), axis=1).T
        level = level.reshape(sweeps, *shape)
    else:
        level = np.broadcast_to(level[:, None, None], (sweeps, *shape)).copy()
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 5, mode="wrap")
    own = 0.05 * rng.standard_normal(shape) + 0.04 * field / field.std()
    y = CENTRES[level] * (1 + own + 0.05 * rng.standard_normal(level.shape))
    return y, level, rng


def found_in(make_measured, y, level, **kwargs):
    levels = kwargs.pop("levels", Levels(target=CENTRES * 1e-6))
    measurement, statistics = make_measured(y * 1e-6, level=level, levels=levels)
    return diagnose(measurement, statistics, screen(measurement, statistics))


def only(diagnostics, check):
    """Return the findings of one check, and assert that no other check has any."""
    others = {k for k, f in diagnostics.found.items() if f and k != check}
    assert not others
    assert diagnostics.found[check], f"{check} found nothing"
    return diagnostics.found[check]


@pytest.mark.parametrize("mixed", [True, False])
def test_clean_chips_raise_no_alarms(make_measured, mixed):
    chips, false, checks = 30, 0, set()
    for seed in range(chips):
        y, level, _ = draw(seed, mixed=mixed)
        found = found_in(make_measured, y, level)
        checks |= set(found.found)
        false += not found.verdict.ok
    assert checks >= {"offset", "pattern", "drift", "duplicates", "saturation", "targets"}
    assert false <= 1  # of 30 × (pattern, drift) at 1e-3 each: P(more) = 2e-3


def test_an_instrument_offset_makes_conductances_negative(make_measured):
    y, level, _ = draw(1)
    (finding,) = only(found_in(make_measured, y - 5, level), "offset")
    assert "negative" in finding.what


def test_dead_lines_reveal_the_offset(make_measured):
    y, level, rng = draw(2)
    y[:, 7] = rng.normal(0.5, 0.2, y[:, 7].shape)
    found = found_in(make_measured, y, level)
    (finding,) = found.found["offset"]
    assert "dead lines read 49" in finding.what
    assert not found.found["constant"]


@pytest.mark.parametrize("period", [2, 8, 16])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_pattern_over_lines_is_reported_with_its_period(make_measured, axis, period):
    y, level, _ = draw(3, shape=(64, 64))
    on = (np.arange(64) % period < max(period // 2, 1)).astype(float)
    y *= 1 + 0.08 * (on[:, None] if axis == 0 else on)
    (finding,) = only(found_in(make_measured, y, level), "pattern")
    assert f"every {period} {('row', 'column')[axis]}s" in finding.what


def test_one_line_in_eight_is_a_pattern():
    rng = np.random.default_rng(4)
    z = rng.standard_normal((128, 128))
    z[5::8] += 0.5
    found = periodic_pattern(z, 0)
    assert found.period == 8
    assert found.p_value < 1e-6
    assert periodic_pattern(z, 1).p_value > 1e-3


def test_smooth_fields_are_not_patterns():
    rng = np.random.default_rng(5)
    chips, false = 150, 0
    for sigma in (2, 4, 8):
        for _ in range(chips // 3):
            field = ndimage.gaussian_filter(rng.standard_normal((64, 64)), sigma, mode="constant")
            z = rng.standard_normal((64, 64)) + field / field.std() + np.arange(64) / 64
            false += periodic_pattern(z, 0).p_value < 5e-4
    assert false <= 2  # of 150 at 5e-4: P(more) = 7e-5


def test_a_column_that_reads_a_constant_is_reported(make_measured):
    y, level, rng = draw(6)
    y[:, :, 9] = rng.normal(60, 0.3, y[:, :, 9].shape)
    found = found_in(make_measured, y, level)
    (finding,) = only(found, "constant")
    assert "Column 9 reads a constant 60" in finding.what


@pytest.mark.parametrize("mixed", [True, False])
def test_drift_over_the_sweeps_is_found(make_measured, mixed):
    y, level, _ = draw(7, mixed=mixed)
    y *= 1 + 0.05 * np.linspace(0, 1, len(y))[:, None, None]
    (finding,) = only(found_in(make_measured, y, level), "drift")
    assert "levels drift by +0" in finding.what
    assert finding.severe


def test_a_duplicate_sweep_is_found(make_measured):
    y, level, _ = draw(8)
    y[7], level[7] = y[4], level[4]
    (finding,) = only(found_in(make_measured, y, level), "duplicates")
    assert "1 of 12 sweeps" in finding.what
    assert "7 equals 4" in finding.what
    assert finding.severe


def test_a_partly_duplicated_sweep_is_found(make_measured):
    y, level, rng = draw(9)
    again = rng.random(y[0].shape) < 0.2
    y[7], level[7] = np.where(again, y[7], y[4]), np.where(again, level[7], level[4])
    assert only(found_in(make_measured, y, level), "duplicates")


def test_a_coarse_converter_makes_no_duplicates():
    rng = np.random.default_rng(10)
    y = np.round(rng.normal(50, 0.5, (8, 2000)))  # 60 % of readings agree by chance
    assert np.mean(y[0] == y[1]) > 0.5
    assert identical_reads(y) == []
    y[5] = y[2]
    assert identical_reads(y) == [(2, 5)]


def test_saturation_is_found(make_measured):
    y, level, _ = draw(11)
    found = found_in(make_measured, np.minimum(y, 101), level)
    (finding,) = only(found, "saturation")
    assert "ceiling" in finding.what
    assert "101 uS" in finding.what
    assert finding.severe


def test_targets_that_do_not_match_are_found(make_measured):
    y, level, _ = draw(12)
    wrong = Levels(target=CENTRES * 1e-6 * 2.2)
    (finding,) = only(found_in(make_measured, y, level, levels=wrong), "targets")
    assert "times their targets" in finding.what
    swapped = found_in(make_measured, y, np.array([0, 2, 1])[level])
    assert any("is below that of" in f.what for f in only(swapped, "targets"))


def test_readings_of_zero_are_compared_with_a_target_of_zero(make_measured):
    _, level, _ = draw(12)
    levels = Levels(target=np.array([0.0, 50e-6, 100e-6]))
    found = found_in(make_measured, np.zeros(level.shape), level, levels=levels).found["targets"]
    assert any("2 of 3 levels are off target" in f.what for f in found)


def test_levels_that_overlap_are_found(make_measured):
    y, level, _ = draw(13)
    y[level == 2] /= 2
    levels = Levels(target=np.array([5e-6, 50e-6, 51e-6]))
    findings = only(found_in(make_measured, y, level, levels=levels), "targets")
    assert any("cannot be distinguished" in f.what for f in findings)


def test_windows_that_do_not_match_the_data_are_ignored(make_measured):
    y, level, _ = draw(14)
    windows = Levels(target=CENTRES * 2e-6, lower=CENTRES * 1.9e-6, upper=CENTRES * 2.1e-6)
    measurement, statistics = make_measured(y * 1e-6, level=level, levels=windows)
    assert statistics.failures.sum() > 0.9 * statistics.attempts.sum()
    bare, finding = set_aside_windows(measurement)
    assert finding.severe
    assert accumulate(bare.program, 3).failures.sum() == 0
    assert bare.levels.lower is None
    own = Levels(target=CENTRES * 1e-6, lower=CENTRES * 0.9e-6, upper=CENTRES * 1.1e-6)
    assert set_aside_windows(make_measured(y * 1e-6, level=level, levels=own)[0]) is None


def test_current_at_zero_volts_is_an_offset():
    rng = np.random.default_rng(15)
    voltage = np.linspace(0, 0.3, 7)
    current = 50e-6 * voltage + rng.normal(0, 1e-8, (100, 7))
    cells = np.arange(100)
    m = Measurement(
        path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"), rows=10, cols=10,
        iv=IVSweeps(voltage=voltage, current=current, row=cells // 10, col=cells % 10),
    )  # fmt: skip
    assert diagnose(m, None, screen(m, None)).verdict.ok
    shifted = IVSweeps(voltage=voltage, current=current + 6e-7, row=cells // 10, col=cells % 10)
    (finding,) = only(diagnose(dataclasses.replace(m, iv=shifted), None, screen(m, None)), "offset")
    assert " nA (± " in finding.what
    assert "flows at 0 V in 100 cells" in finding.what


def test_negative_states_of_endurance_are_an_offset():
    states = np.full((3, 2, 8, 8), 5e-6) * np.array([1.0, 18.0])[:, None, None]
    m = Measurement(
        path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"), rows=8, cols=8,
        endurance=Endurance(conductance=states, cycle=np.array([1, 10, 100])),
    )  # fmt: skip
    assert diagnose(m, None, screen(m, None)).verdict.ok
    turned = Endurance(conductance=-states, cycle=np.array([1, 10, 100]))
    m = dataclasses.replace(m, endurance=turned)
    (finding,) = only(diagnose(m, None, screen(m, None)), "offset")
    assert "/endurance: 384 of 384 readings are negative, down to -90 uS" in finding.what


def retention(y):
    reads = reads_in_memory(
        y * 1e-6, time=np.arange(len(y)) * 100.0, level=np.zeros(y.shape[1:], dtype=int)
    )
    return Measurement(
        path=None, identity=ArrayIdentity(array_id="A", cell="1T1R"),
        rows=y.shape[1], cols=y.shape[2], retention=reads,
    )  # fmt: skip


def test_cells_that_collapse_between_reads_are_found_by_row():
    rng = np.random.default_rng(16)
    y = 50 * (1 + 0.1 * rng.standard_normal((3, 48, 48)))
    clean = retention(y)
    assert diagnose(clean, None, screen(clean, None)).verdict.ok
    y[2, 8:24] *= 0.05
    bad = retention(y)
    found = diagnose(bad, None, screen(bad, None))
    (finding,) = found.found["collapse"]
    assert finding.severe
    assert "33.3 % of the conducting cells" in finding.what
    assert "in rows 8–23" in finding.what


def test_duplicate_reads_are_found():
    rng = np.random.default_rng(17)
    y = 50 * (1 + 0.1 * rng.standard_normal((3, 48, 48)))
    y[2] = y[1]
    bad = retention(y)
    assert (
        "1 read repeats an earlier read exactly (first: read 2 repeats read 1)"
        in only(diagnose(bad, None, screen(bad, None)), "duplicates")[0].what
    )


def real(shared, name):
    m = read_measurement(shared / "data/measured/h5" / f"{name}.h5")
    statistics = None
    if m.program is not None:
        statistics = accumulate(m.program, len(m.levels) if m.levels else 0)
    return diagnose(m, statistics, screen(m, statistics))


def test_the_reference_chip_has_no_findings(repo):
    m = read_measurement(repo / "data/reference.h5")
    statistics = accumulate(m.program, len(m.levels))
    found = diagnose(m, statistics, screen(m, statistics))
    assert found.verdict.ok
    assert set(found.found) >= {"collapse", "constant", "drift", "offset", "pattern", "targets"}


def test_the_failed_bake_is_reported_and_the_good_one_is_not(shared):
    bad, good = real(shared, "bake85"), real(shared, "bake110")
    (collapse,) = bad.found["collapse"]
    assert collapse.severe
    assert "in rows 8–23, 40–55, 72–87, 104–119" in collapse.what
    assert good.found["collapse"] == ()
    assert good.verdict.word != "bad"
    assert "every 32 rows" in bad.found["pattern"][0].what


def test_real_offsets_and_targets(shared):
    assert "606" in real(shared, "stanford_read_voltage_sweep").found["offset"][0].what
    relaxation = real(shared, "techC_relaxation")
    assert any("1.62 times their targets" in f.what for f in relaxation.found["targets"])
    for name in ("C10_tile0", "C10_tile1", "C1_slc_tile0", "C1_slc_tile1"):
        found = real(shared, name)
        assert found.verdict.ok
        assert "no findings" in found.summary()
        assert found.to_frame().empty
        assert "Data checks" in found._repr_html_()
