"""Screening finds the faults that were simulated, and no others."""

import numpy as np
import pytest

from rramfit.card.cells import Fault
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.line_faults import constant_lines, unresponsive_lines
from rramfit.fitting.screening.screening import screen
from rramfit.measurement.file.read import read_measurement


def counts(screening):
    return {f: n for f, n in screening.counts.items() if n and f is not Fault.OK}


def test_a_healthy_chip_has_no_faults(make_chip):
    for seed in range(5):
        chip = make_chip(seed, hard=0.02, soft=0.05, missing=0.05)
        found = screen(chip.measurement, chip.statistics)
        assert counts(found) == {}
        assert found.verdict.ok


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("sweeps_per_level", [1, 2, 8])
def test_stuck_cells_are_found_cell_by_cell(make_chip, sweeps_per_level, mixed):
    chip = make_chip(
        2, sweeps_per_level=sweeps_per_level, mixed=mixed,
        stuck_low=0.01, stuck_high=0.01, hard=0.01, soft=0.03,
    )  # fmt: skip
    found = screen(chip.measurement, chip.statistics)
    # one cell in thousands fails every time by chance, or is hard at both upper levels
    assert ((found.fault == Fault.STUCK_LOW) != chip.stuck_low).sum() <= 2
    assert np.array_equal(found.fault == Fault.STUCK_HIGH, chip.stuck_high)


def test_variance_distinguishes_a_cell_that_never_sets_from_a_stuck_one(make_chip):
    chip = make_chip(
        3, centres=(5.0, 80.0), sweeps_per_level=8, stuck_at_lowest=True,
        stuck_low=0.01, hard=0.03, d2d=0.2, c2c=0.2,
    )  # fmt: skip
    found = screen(chip.measurement, chip.statistics)
    assert chip.hard[1].sum() > 40
    wrong = (found.fault == Fault.STUCK_LOW) != chip.stuck_low
    assert wrong.sum() <= 1


def test_dead_lines_are_found_with_missing_readings(make_chip):
    chip = make_chip(4, dead_rows=(3,), dead_cols=(7, 47), missing=0.2, stuck_low=0.02, soft=0.05)
    found = screen(chip.measurement, chip.statistics)
    assert found.dead_rows.tolist() == [3]
    assert found.dead_cols.tolist() == [7, 47]
    measured = found.fault != Fault.NOT_MEASURED
    assert np.array_equal(found.fault == Fault.STUCK_LOW, chip.stuck_low & measured)
    assert any("row is dead: 3" in f.what for f in found.verdict.findings)


def test_dead_lines_are_found_in_one_sweep(make_chip):
    chip = make_chip(5, dead_rows=(0,), dead_cols=(10,), one_sweep=True, soft=0.05)
    found = screen(chip.measurement, chip.statistics)
    assert (found.dead_rows.tolist(), found.dead_cols.tolist()) == ([0], [10])


def test_one_failed_attempt_does_not_prove_a_cell_stuck_low(make_chip):
    chip = make_chip(6, one_sweep=True, stuck_at_lowest=True, stuck_low=0.01, soft=0.1)
    found = screen(chip.measurement, chip.statistics)
    assert not (found.fault == Fault.STUCK_LOW).any()
    assert found.ambiguous.sum() > 100
    assert any("cannot distinguish" in f.what for f in found.verdict.findings)


def test_not_measured_cells_and_rails_are_counted(make_measured):
    rng = np.random.default_rng(7)
    y = rng.normal(50e-6, 5e-6, (4, 24, 24)).clip(None, 58e-6)
    y[:, 2, 3] = np.nan
    measurement, statistics = make_measured(y)
    found = screen(measurement, statistics)
    assert counts(found) == {Fault.NOT_MEASURED: 1}
    assert found.clipped_reads == (y == 58e-6).sum()
    assert any("rail" in f.what for f in found.verdict.findings)
    card = found.to_card()
    assert card.reasons == {"not measured": 1}
    assert card.cells_used == 24 * 24 - 1


def test_a_row_programmed_to_one_state_is_not_dead():
    rng = np.random.default_rng(8)
    value = np.where(np.arange(64)[:, None] % 2, 80e-6, 3e-6) * rng.lognormal(0, 0.1, (64, 64))
    unknown = np.full((64, 64), -1)
    assert not constant_lines(value, unknown, 0).any()
    assert not constant_lines(value, unknown, 1).any()


def test_a_column_that_reads_a_constant_is_found():
    rng = np.random.default_rng(9)
    level = rng.integers(2, size=(64, 64))
    value = np.array([10.0, 80.0])[level] + rng.normal(0, 2, (64, 64))
    value[:, 5] = 40 + rng.normal(0, 0.05, 64)
    found = constant_lines(value, level, 1)
    assert np.flatnonzero(found).tolist() == [5]


def test_scattered_unresponsive_cells_make_no_line_dead():
    rng = np.random.default_rng(10)
    unresponsive = rng.random((64, 64)) < 0.5
    measured = np.ones_like(unresponsive)
    assert not unresponsive_lines(unresponsive, measured, 0).any()


@pytest.mark.parametrize(("name", "low", "high"), [("C10_tile0", 0, 649), ("C10_tile1", 32, 245)])
def test_real_cells_not_accepted_read_high_conductance(shared, name, low, high):
    measurement = read_measurement(shared / "data/measured/h5" / f"{name}.h5")
    found = screen(measurement, accumulate(measurement.program, 1))
    assert counts(found) == {
        f: n for f, n in ((Fault.STUCK_LOW, low), (Fault.STUCK_HIGH, high)) if n
    }
    assert any("one attempt" in f.what for f in found.verdict.findings)


@pytest.mark.parametrize("name", ["bake110", "bake85", "C1_slc_tile0", "C1_slc_tile1"])
def test_real_files_without_levels_or_program_are_screened(shared, name):
    measurement = read_measurement(shared / "data/measured/h5" / f"{name}.h5")
    program = measurement.program
    found = screen(measurement, accumulate(program, 0) if program else None)
    assert found.healthy.all()
    assert "ok" in found.summary()
    assert "Screening" in found._repr_html_()


def test_an_unmeasured_array_gives_one_finding(make_measured):
    (finding,) = screen(*make_measured(np.full((2, 4, 4), np.nan))).verdict.findings
    assert finding.severe
    assert finding.what == "No cell was measured: every reading is missing."
