"""Drafts for the made-up and measured logs: right as they are, without an edit."""

import subprocess
import sys
import tomllib

import numpy as np
import pytest


@pytest.fixture(scope="module")
def logs(shared, tmp_path_factory):
    """Make the eight logs of the shared cases."""
    out = tmp_path_factory.mktemp("logs")
    subprocess.run([sys.executable, shared / "cases/logs/make.py", out], check=True)
    return out


def test_two_states_on_a_line(imported, logs):
    m, text, conversion = imported(logs / "endurance_two_columns.tsv")
    assert 'cycle = "cycle"' in text
    assert 'row = "addr >> 8"' in text
    g = m.endurance.conductance
    assert g.shape[1:] == (2, 8, 8)
    assert np.nanmedian(g[:, 0]) < 1e-5 < np.nanmedian(g[:, 1])
    assert conversion.bad == ()


def test_two_states_in_turn(imported, logs):
    m, _, _ = imported(logs / "endurance_alternating.tsv")
    assert m.endurance.cycle.tolist() == [1, 10, 100, 1000, 10_000]
    assert m.endurance.conductance.shape == (5, 2, 4, 4)


def test_a_series_along_each_line(imported, logs):
    m, text, _ = imported(logs / "series_wide.tsv.gz")
    assert m.reads.shape == (30_000, 2, 2)
    assert np.nanmean(m.reads.read_all()) == pytest.approx(5e-5, rel=0.1)
    assert "time = { column" in text
    assert "CHECK: 1 s a sample is assumed" in text


def test_bakes_at_two_temperatures(imported, logs):
    """The temperature is in the names of the files, and the reads at time 0 are a sweep."""
    m, text, conversion = imported(logs / "bake_85C.tsv.gz", logs / "bake_125C.tsv.gz")
    assert 'file_name = "bake_{temperature}C*"' in text
    assert [b.temperature for b in m.bakes] == pytest.approx([358.15, 398.15])
    assert m.retention.time.tolist() == [0, 600, 3600, 14_400, 86_400]
    np.testing.assert_allclose(m.levels.target, np.arange(1, 5) * 2e-5, rtol=0.01)
    assert m.program.shape == (2, 32, 64)
    assert conversion.bad == ()


def test_a_pulse_response(imported, logs):
    m, text, _ = imported(logs / "pulse_response.csv")
    assert 'units = "uS"' in text
    assert m.pulses.conductance.shape == (6, 8, 128)
    assert np.unique(m.pulses.polarity).tolist() == [-1, 1]
    first = m.pulses.conductance[0, 0]
    assert first[63] > 5 * first[0]


def test_write_verify_attempts(imported, logs):
    m, text, _ = imported(logs / "write_verify.csv")
    assert len(m.levels) == 4
    assert m.attempts.success.sum() == m.program.read_all().accepted.sum() > 4000
    assert "reads = sets + resets + 1" in text
    assert (m.rows, m.cols) == (64, 64)


def test_an_analyser_sweep(imported, logs):
    m, text, conversion = imported(logs / "analyser_sweep.csv")
    assert m.iv.current.shape == (3, 42)
    assert 'decimal = ","' in text
    assert "not used: Time" in text
    assert "CHECK" not in text.split("[source]")[1]  # nothing is assumed
    assert conversion.bad == ()


MEASURED = {
    "stanford-256x256/C1_read_3.tsv.gz": ["program"],
    "stanford-256x256/ret1.csv.gz": ["reads"],
    "stanford-256x256/read_multivolt.tsv.gz": ["iv"],
    "stanford-mlc/read_voltage_sweep.tsv.gz": ["iv"],
    "stanford-mlc/13scheme_test_100_2_0_Nov29.tsv.gz": ["program", "retention"],
    "stanford-mlc/set_sweep.tsv.gz": ["pulses"],
    "stanford-mlc/reset_sweep.tsv.gz": ["pulses"],
    "relaxation-techC/relaxdata.min.tsv.gz": ["program", "retention"],
}


@pytest.mark.parametrize("log", MEASURED)
def test_measured_logs_need_no_edit(imported, shared, log):
    m, _, conversion = imported(shared / "data/measured" / log)
    assert conversion.bad == ()
    for group in MEASURED[log]:
        assert getattr(m, group) is not None


def test_a_measured_log_is_read_as_it_is_described(imported, shared):
    m, text, conversion = imported(shared / "data/measured/stanford-mlc/C10_dead_test.csv.gz")
    assert conversion.bad == ()
    assert m.attempts is not None
    assert tomllib.loads(text)["array"]["tiles"] == [128, 128]
    assert m.program.read_all().pulses[0, 0, :3].tolist() == [14, 6, 750]
    np.testing.assert_allclose(m.levels.target, 2 / (10_000 + 11_000), rtol=0.01)


def test_logs_before_and_after_a_bake(imported, shared):
    folder = shared / "data/measured/stanford-mlc"
    m, text, _ = imported(folder / "prebake110.tsv.gz", folder / "postbake110.tsv.gz")
    assert m.retention.shape == (2, 128, 128)
    assert 'col = "(addr & 255) // 2"' in text
    assert "values = [0, 3600]" in text


def test_levels_by_name_in_each_cycle(imported, tmp_path):
    """Three names of states are levels, not two states of endurance; the preamble has the volts."""
    lines = ["Tester: ST-4", "Vread = 300 mV", "", "Cyc;WL;BL;State;Iread [uA];P/F"]
    for n, (cycle, row, col) in enumerate(np.ndindex(3, 6, 4)):
        name = ("HRS", "MRS", "LRS")[n % 3]
        current = f"{0.3 * {'HRS': 10, 'MRS': 40, 'LRS': 90}[name] + 0.01 * row:.3f}"
        accepted = "F" if (row, col) == (0, 1) else "P"
        cells = f"{cycle + 1};WL{row:02d};BL{col:02d}"
        lines.append(f"{cells};{name};{current.replace('.', ',')};{accepted}")
    log = tmp_path / "chip.txt"
    log.write_text("\n".join(lines))
    m, text, conversion = imported(log)
    assert "[endurance]" not in text
    assert m.program.shape == (3, 6, 4)
    assert m.program.read_voltage == 0.3
    np.testing.assert_allclose(m.levels.target, [10e-6, 40e-6, 90e-6], rtol=0.01)
    assert m.program.read_all().accepted.sum() == 3 * 23
    assert "assumed" not in text
    assert conversion.bad == ()
