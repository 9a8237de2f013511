"""Conditions in the wrong unit are asked about; those of a usual measurement are not."""

import dataclasses

import numpy as np
import pytest

from rramfit.fitting.characterization import characterize
from rramfit.fitting.checks.conditions import judge_conditions
from rramfit.measurement.file.in_memory import program_in_memory, reads_in_memory
from rramfit.measurement.file.record import ArrayIdentity, IVSweeps, Measurement


def measurement(*, temperature=300.0, bake=358.15, voltage=0.2, top=0.35, times=(0.0, 1.0, 60.0)):
    rng = np.random.default_rng(0)
    level = np.zeros((8, 8), dtype=np.int64)
    y = 50e-6 * (1 + 0.02 * rng.standard_normal((len(times), 8, 8)))
    iv = IVSweeps(
        voltage=np.linspace(0, top, 8),
        current=np.linspace(0, 1e-5, 8) * np.ones((5, 1)),
        row=np.arange(5),
        col=np.arange(5),
    )
    return Measurement(
        path=None,
        identity=ArrayIdentity(array_id="a", cell="1T1R", temperature=temperature),
        rows=8,
        cols=8,
        program=program_in_memory(y, read_voltage=voltage, level=level[None].repeat(len(times), 0)),
        reads=reads_in_memory(y, time=np.array(times), level=level, read_voltage=voltage),
        retention=reads_in_memory(
            y, time=np.array([0.0, 1.0, 60.0][: len(times)]), level=level, temperature=bake
        ),
        iv=iv,
    )


def test_usual_conditions_raise_no_question():
    assert judge_conditions(measurement()).ok
    assert judge_conditions(measurement(temperature=None, bake=None)).ok
    assert judge_conditions(measurement(bake=673.15, voltage=-0.1, top=3.0)).ok
    empty = Measurement(
        path=None, identity=ArrayIdentity(array_id="a", cell="1T1R"), rows=2, cols=2
    )
    assert judge_conditions(empty).ok


@pytest.mark.parametrize(
    ("changed", "what", "remedy"),
    [
        ({"bake": 85.0}, "The temperature of /retention is 85 K (-188 °C)", "write 358.15 K"),
        ({"temperature": 25.0}, "The temperature of the file is 25 K (-248 °C)", "write 298.15 K"),
        (
            {"temperature": -40.0},
            "The temperature of the file is -40 K (below absolute zero)",
            "write 233.15 K",
        ),
        ({"bake": 358000.0}, "/retention is 358000 K", "write 358 K"),
        (
            {"voltage": 200.0},
            "The read voltage of /program and /reads is 200 V",
            "If it is 200 mV, write 0.2 V",
        ),
        ({"voltage": 0.0002}, "The read voltage of /program and /reads is 200 uV", "write 0.2 V"),
        ({"top": 350.0}, "The highest voltage of /iv is 350 V", "write 0.35 V"),
        (
            {"times": (-3600.0, 0.0, 60.0)},
            "/reads: 1 of 3 times are negative, the earliest -3.6 ks",
            "Is the clock's zero later",
        ),
    ],
    ids=lambda x: str(x)[:24],
)
def test_a_likely_error_of_unit_is_asked_about(changed, what, remedy):
    (finding,) = judge_conditions(measurement(**changed)).findings
    assert what in finding.what
    assert remedy in finding.remedy
    assert not finding.severe


def test_the_question_is_in_the_card():
    m = dataclasses.replace(measurement(bake=85.0), iv=None, program=None)
    card = characterize(m).card
    assert "85 K" in card.quality.fits["conditions"].findings[0]
    assert (
        "conditions" not in characterize(dataclasses.replace(m, retention=None)).card.quality.fits
    )
