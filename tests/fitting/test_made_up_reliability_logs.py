"""The logs of a laboratory, converted by layouts: lives and pulse budgets are those they have."""

import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from rramfit.card import load_card
from rramfit.fitting.characterization import characterize
from rramfit.measurement import convert_measurement, read_measurement, write_conversion
from rramfit.measurement.virtual.cards import random_card
from rramfit.measurement.virtual.group_cards import with_groups
from rramfit.reporting.characterization import report_characterization
from rramfit_cli.main import cli

ADDRESS = '[cells]\nrow = "addr >> 8"\ncol = "addr & 255"\n'

ENDURANCE = f"""[array]
id = "x"
cell = "1T1R"
rows = 8
cols = 8
[source]
kind = "table"
columns = ["addr", "lrs", "hrs", "cycles"]
{ADDRESS}
[endurance]
cycle = "cycles"
states = [{{ column = "hrs", units = "ohm" }}, {{ column = "lrs", units = "ohm" }}]
"""

ATTEMPTS = f"""[array]
id = "x"
cell = "1T1R"
rows = 64
cols = 64
[source]
kind = "table"
columns = ["addr", "low", "high", "r", "reads", "sets", "resets", "ok"]
{ADDRESS}
[levels]
windows = {{ lower = "low", upper = "high", units = "ohm" }}
[attempts]
set_pulses = "sets"
reset_pulses = "resets"
final = {{ column = "r", units = "ohm" }}
success = {{ column = "ok" }}
"""


@pytest.fixture(scope="module")
def logs(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    subprocess.run([sys.executable, shared / "cases/logs/make.py", folder], check=True)
    return folder


def characterized(log, layout, folder):
    (folder / "lab.toml").write_text(layout, encoding="utf-8")
    conversion = convert_measurement([log], folder / "lab.toml")
    (file,) = write_conversion(conversion, folder / "out.h5")
    return characterize(read_measurement(file))


def test_lives(logs, tmp_path):
    """Weibull lives, shape 1.5 and scale 1e5; all 64 cells fail by 1e6 cycles, stuck at LRS."""
    c = characterized(logs / "endurance_two_columns.tsv", ENDURANCE, tmp_path)
    life = c.card.endurance.life
    assert (life.cells, life.failures, life.failed_at_start) == (64, 64, 0)
    assert life.family == "weibull"
    low, high = life.families[0].parameters["shape"].ci95
    assert low < 1.5 < high
    low, high = life.families[0].parameters["scale"].ci95
    assert low < 1e5 < high
    low, high = life.cycles_to_1pct.ci95
    assert low < 1e5 * (-np.log(0.99)) ** (1 / 1.5) < high
    assert [m.failures for m in life.modes] == [0, 64, 0]
    hrs = c.card.endurance.states[0]  # G ∝ cycles^0.06, from 1/400 kOhm
    assert 0.3e-6 < hrs.drift.value < 0.8e-6
    html = report_characterization(c)
    for text in ("Kaplan–Meier", "Distributions of life", "cycles to 1 % failure"):
        assert text in html


def test_pulse_budgets(logs, tmp_path):
    """SET pulses with 0.15 and RESET pulses with 0.2; attempts of more than 40 are not accepted."""
    c = characterized(logs / "write_verify.csv", ATTEMPTS, tmp_path)
    p, q, n = 0.15, 0.2, np.arange(200.0)
    left = (q * (1 - p) ** n - p * (1 - q) ** n) / (q - p)  # more than n pulses are needed
    one = float(np.interp(-0.01, -left[2:], n[2:]))
    assert len(c.card.programming) == 4
    for card in c.card.programming:
        assert card.name == c.measurement.levels.names[card.level]
        assert card.budget == 40
        assert card.n_attempts == 1024
        assert card.failure.ci95[0] < left[40] < card.failure.ci95[1]
        assert card.budget_1pct.ci95[0] < one < card.budget_1pct.ci95[1]
        for b in card.budgets:
            assert b.failure.ci95[0] - 0.01 < left[b.budget] < b.failure.ci95[1] + 0.01
        assert card.family == "negative binomial"
        assert card.cost(0.5).pulses.value > 1.3 * card.pulses.value
    path = tmp_path / "x.card.json"
    c.card.save(path)
    assert load_card(path).programming == c.card.programming
    result = CliRunner().invoke(cli, ["card", "show", str(path)])
    assert result.exit_code == 0
    assert "programming[0].windows[0].pulses" in result.stdout
    html = report_characterization(c)
    assert "What a narrower window costs" in html
    assert "Failures against budget" in html


def test_virtual_failures_and_attempts_have_their_truth(tmp_path):
    """`measurement synthesize` draws failures, attempts and sessions, and says what is true."""
    drawn = random_card(1, distribution="normal", array=(24, 24), spatial=False, failures=False)
    card, out = tmp_path / "v.card.json", tmp_path / "v.h5"
    with_groups(drawn, 1).save(card)
    arguments = ["--rows", 24, "--cols", 24, "--sweeps", 3, "--seed", 1, "--life", 2, 5e3]
    arguments += ["--endurance-points", 9, "--attempt-success", 0.2, "--sessions", 3]
    arguments += ["--session-spread", 0.03]
    for group in ("reads", "endurance", "attempts"):
        arguments += ["--group", group]
    result = CliRunner().invoke(
        cli, ["measurement", "synthesize", str(card), "-o", str(out), *map(str, arguments)]
    )
    assert result.exit_code == 0, result.output
    m = read_measurement(out)
    assert len(m.endurance.cycle) == 9
    assert len(set(m.reads.session)) == 3
    found = characterize(m).card
    frame = found.to_frame()
    for path in (
        "endurance.life.families[0].parameters.shape",
        "endurance.life.families[0].parameters.scale",
        "endurance.life.surviving",
        "programming[0].pulses",
        "programming[0].families[0].parameters.p",
        "gauge.levels[0].session",
    ):
        row, true = frame.loc[path], m.truth[path]
        assert abs(row["value"] - true) < 2 * (row["high"] - row["low"]), path
