"""Gauge studies: components against a closed form, coverage, sources, files of several sessions."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from rramfit.errors import FitError, LayoutFileError
from rramfit.fitting.characterization import characterize
from rramfit.fitting.variation.gauge import fit_gauge, has_sessions
from rramfit.fitting.variation.gauge.components import variance_components
from rramfit.measurement import (
    convert_measurement,
    read_measurement,
    validate_layout,
    write_conversion,
)
from rramfit.measurement.file.in_memory import program_in_memory, reads_in_memory
from rramfit.measurement.file.record import ArrayIdentity, Levels, Measurement
from rramfit.measurement.file.write import write_measurement
from rramfit_cli.main import cli

CELL, SESSION, BOTH, NOISE, MEAN = 4e-6, 1.5e-6, 0.8e-6, 1.2e-6, 5e-5


def readings(seed, *, sessions=5, per=4, side=12):
    """Readings (session × per, row, col) of one level, and the session of each."""
    rng = np.random.default_rng(seed)
    cell = CELL * rng.standard_normal((1, 1, side, side))
    session = SESSION * rng.standard_normal((sessions, 1, 1, 1))
    both = BOTH * rng.standard_normal((sessions, 1, side, side))
    noise = NOISE * rng.standard_normal((sessions, per, side, side))
    y = MEAN + cell + session + both + noise
    return y.reshape(-1, side, side), np.repeat(np.arange(sessions), per)


def measured(y, sessions, **identity):
    """A measurement of repeated reads; `sessions` are numbers, or None."""
    shape = y.shape[1:]
    return Measurement(
        path=None,
        identity=ArrayIdentity(array_id="made", cell="1T1R", **identity),
        rows=shape[0],
        cols=shape[1],
        levels=Levels(target=np.array([MEAN])),
        reads=reads_in_memory(
            y,
            time=np.arange(len(y), dtype=float),
            level=np.zeros(shape, np.int64),
            read_voltage=0.2,
            session=None if sessions is None else [f"day {k}" for k in sessions],
        ),
    )


def test_components_of_a_balanced_table_are_those_of_the_analysis_of_variance():
    """Expected mean squares, from sums over a small table by hand."""
    y, _ = readings(1, sessions=3, per=2, side=4)
    table = y.reshape(3, 2, 16)
    mean = table.mean(axis=1)
    square = ((table - mean[:, None]) ** 2).sum(axis=1)
    found = variance_components(np.full((3, 16), 2), mean, square, seed=0, name="0")
    ms_error = square.sum() / 48
    r = mean - mean.mean(1, keepdims=True) - mean.mean(0) + mean.mean()
    ms_both = (r**2).sum() / 30
    ms_session = 16 * ((mean.mean(1) - mean.mean()) ** 2).sum() / 2
    ms_cell = 3 * ((mean.mean(0) - mean.mean()) ** 2).sum() / 15
    expected = {
        "repeatability": ms_error,
        "session": (ms_session - ms_both) / 16,
        "interaction": ms_both - ms_error / 2,
        "cells": (ms_cell - ms_both) / 3,
    }
    for name, variance in expected.items():
        assert found.of[name].value == pytest.approx(max(variance, 0) ** 0.5), name
    gauge = found.of["repeatability"].value ** 2 + found.of["reproducibility"].value ** 2
    assert found.of["gauge"].value == pytest.approx(gauge**0.5)
    assert found.of["share"].value == pytest.approx(gauge / (gauge + found.of["cells"].value ** 2))


@pytest.mark.parametrize("sessions", [2, 3, 6])
def test_intervals_contain_the_truth(sessions):
    """80 arrays; generalized intervals may be wider than stated, not narrower."""
    total = SESSION**2 + BOTH**2
    truth = {
        "repeatability": NOISE,
        "session": SESSION,
        "interaction": BOTH,
        "reproducibility": total**0.5,
        "gauge": (total + NOISE**2) ** 0.5,
        "cells": CELL,
        "share": (total + NOISE**2) / (total + NOISE**2 + CELL**2),
    }
    hits = {name: [] for name in truth}
    for seed in range(80):
        y, _ = readings(seed, sessions=sessions)
        table = y.reshape(sessions, 4, -1)
        mean = table.mean(axis=1)
        square = ((table - mean[:, None]) ** 2).sum(axis=1)
        count = np.full(mean.shape, 4)
        found = variance_components(count, mean, square, seed=0, name="0")
        for name, true in truth.items():
            q = found.of[name]
            hits[name].append(q.ci95[0] <= true <= q.ci95[1])
    for name, hit in hits.items():
        assert np.mean(hit) > 0.95 - 3.5 * np.sqrt(0.05 * 0.95 / 80), name


def test_missing_readings_and_unequal_numbers():
    y, session = readings(3)
    rng = np.random.default_rng(4)
    y[rng.random(y.shape) < 0.3] = np.nan
    y[session == 2, 0, :6] = np.nan  # these cells were not read in one session
    fit = fit_gauge(measured(y, session))
    c = fit.levels[0]
    assert c.n_cells <= 144 - 6
    assert c.of["repeatability"].ci95[0] < NOISE < c.of["repeatability"].ci95[1]
    assert c.of["interaction"].ci95[0] < BOTH < c.of["interaction"].ci95[1]


def test_a_file_keeps_its_sessions_and_its_accuracy(tmp_path):
    y, session = readings(5)
    made = measured(y, session, accuracy=0.02)
    path = tmp_path / "x.h5"
    write_measurement(made, path)
    assert validate_layout(path) == []
    m = read_measurement(path)
    assert m.reads.session == made.reads.session
    assert m.identity.accuracy == 0.02
    assert has_sessions(m)
    c = characterize(m)
    (level,) = c.card.gauge.levels
    assert (c.card.gauge.source, c.card.gauge.sessions) == ("reads", 5)
    assert level.accuracy.value == pytest.approx(0.02 * level.mean.value / 3**0.5)
    assert level.combined.value == pytest.approx(np.hypot(level.gauge.value, level.accuracy.value))
    assert level.combined.ci95[0] < level.combined.value < level.combined.ci95[1]


def test_files_of_several_sessions_are_one_study():
    y, session = readings(6, sessions=4)
    together = fit_gauge(measured(y, session))
    parts = [measured(y[session == k], None, session=f"day {k}") for k in range(4)]
    apart = fit_gauge(parts)
    assert apart.sessions == together.sessions
    assert apart.levels[0].of == together.levels[0].of
    assert not has_sessions(parts[0])
    with pytest.raises(FitError, match="fewer than 2 sessions"):
        fit_gauge(parts[0])
    small = measured(y[session == 1][:, :6], None, session="other")
    with pytest.raises(FitError, match="found 6 × 12 cells; expected 12 × 12"):
        fit_gauge([parts[0], small])


def test_sweeps_count_only_accepted_readings_of_their_level():
    y, session = readings(7)
    levels = Levels(target=np.array([MEAN, 2 * MEAN]))
    level = np.zeros(y.shape, np.int64)
    level[:, :, 6:] = 1
    verified = np.ones(y.shape, bool)
    verified[:, 0] = False
    program = program_in_memory(
        y * (1 + level),
        read_voltage=0.2,
        level=level,
        verified=verified,
        levels=levels,
        session=[f"tester {k}" for k in session],
    )
    m = dataclasses.replace(measured(y, None), levels=levels, program=program)
    fit = fit_gauge(m)
    assert fit.source == "program"
    assert [c.n_cells for c in fit.levels.values()] == [66, 66]
    ratio = fit.levels[1].of["repeatability"].value / fit.levels[0].of["repeatability"].value
    assert ratio == pytest.approx(2, rel=0.15)


def test_one_reading_a_session_has_no_repeatability():
    y, session = readings(8, per=1)
    of = fit_gauge(measured(y, session)).levels[0].of
    assert "repeatability" not in of
    assert of["interaction"].value == pytest.approx((BOTH**2 + NOISE**2) ** 0.5, rel=0.1)


def test_findings_and_errors():
    y, session = readings(9, sessions=2)
    found = {f.code for f in fit_gauge(measured(y, session)).verdict.findings}
    assert found == {"gauge-share", "few-sessions"}
    alike = MEAN + CELL * np.random.default_rng(1).standard_normal((1, 12, 12))
    alike = alike + 1e-9 * np.random.default_rng(2).standard_normal(y.shape)
    assert fit_gauge(measured(alike, session)).verdict.ok
    few = np.where(np.arange(144).reshape(12, 12) < 4, y, np.nan)
    with pytest.raises(FitError, match="no level has 5 cells"):
        fit_gauge(measured(few, session))
    with pytest.raises(ValueError, match="session has 1 entries; expected 8"):
        reads_in_memory(y, time=np.arange(8.0), level=np.zeros((12, 12), int), session=["x"])


LAYOUT = """[array]
id = "x"
cell = "1T1R"
rows = 6
cols = 6
[source]
kind = "table"
header = true
[cells]
row = "row"
col = "col"
[program]
conductance = {{ column = "g", units = "S" }}
sweep = ["tester", "cycle"]
read_voltage = 0.2
session = "{key}"
[reads]
conductance = {{ column = "g", units = "S" }}
read = ["tester", "cycle"]
time = {{ values = [0, 1, 2, 3, 4, 5], units = "s" }}
read_voltage = 0.2
session = "{key}"
"""


def log(path):
    """Rows of two testers with three cycles each, of 6 × 6 cells."""
    y, session = readings(10, sessions=2, per=3, side=6)
    rows = ["row,col,tester,cycle,g"]
    for i, k in enumerate(session):
        rows += [f"{r},{c},{k + 1},{i % 3},{y[i, r, c]:.6e}" for r in range(6) for c in range(6)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return y


def test_a_column_of_a_log_is_the_session(tmp_path):
    y = log(tmp_path / "log.csv")
    (tmp_path / "lab.toml").write_text(LAYOUT.format(key="tester"), encoding="utf-8")
    conversion = convert_measurement([tmp_path / "log.csv"], tmp_path / "lab.toml")
    (file,) = write_conversion(conversion, tmp_path / "out.h5")
    m = read_measurement(file)
    assert m.program.session == m.reads.session == ("1", "1", "1", "2", "2", "2")
    np.testing.assert_allclose(m.reads.read_all(), y, rtol=1e-5)
    fit = fit_gauge(m)
    assert (fit.source, fit.sessions) == ("reads", ("1", "2"))
    result = CliRunner().invoke(cli, ["measurement", "gauge", str(file), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["gauge"]["sessions"] == 2
    shown = CliRunner().invoke(cli, ["measurement", "gauge", str(file)]).stdout
    assert "2 sessions of /reads: 1, 2" in shown


def test_a_session_that_is_no_key_is_refused(tmp_path):
    log(tmp_path / "log.csv")
    (tmp_path / "lab.toml").write_text(LAYOUT.format(key="day"), encoding="utf-8")
    with pytest.raises(LayoutFileError, match="session = 'day' with sweep"):
        convert_measurement([tmp_path / "log.csv"], tmp_path / "lab.toml")


def test_one_session_is_no_gauge_study(tmp_path):
    y, _ = readings(11, sessions=1)
    write_measurement(measured(y, None, session="Monday"), tmp_path / "x.h5")
    result = CliRunner().invoke(cli, ["measurement", "gauge", str(tmp_path / "x.h5")])
    assert result.exit_code != 0
    assert "fewer than 2 sessions" in result.output + str(result.exception)


def test_each_file_of_a_log_is_a_session(tmp_path):
    y, _ = readings(12, sessions=2, per=1, side=6)
    for k in range(2):
        rows = [f"{r},{c},{y[k, r, c]:.6e}" for r in range(6) for c in range(6)]
        (tmp_path / f"day{k}.csv").write_text("\n".join(["row,col,g", *rows]) + "\n")
    layout = LAYOUT.split("[reads]")[0].format(key="file").replace('["tester", "cycle"]', '"file"')
    (tmp_path / "lab.toml").write_text(layout, encoding="utf-8")
    files = [tmp_path / "day0.csv", tmp_path / "day1.csv"]
    (file,) = write_conversion(convert_measurement(files, tmp_path / "lab.toml"), tmp_path / "o.h5")
    assert read_measurement(file).program.session == ("day0.csv", "day1.csv")
