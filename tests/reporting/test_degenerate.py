"""Chips with almost no information: a finite card, a report, and findings."""

import re

import numpy as np
import pytest

from rramfit.card import canonical_json, quantities
from rramfit.fitting.characterization import characterize
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import ArrayIdentity, IVSweeps, Levels, Measurement, Readout
from rramfit.reporting import report_characterization

TARGET = np.array([5e-6, 40e-6, 90e-6])
SHAPE = (9, 12, 10)


def measured(y, level, verified):
    levels = Levels(target=TARGET, lower=0.9 * TARGET, upper=1.1 * TARGET)
    return Measurement(
        path=None,
        identity=ArrayIdentity(
            array_id="chip/7 <b>", cell="1T1R", measured_at="2026-01-01T00:00:00+00:00"
        ),
        rows=y.shape[1],
        cols=y.shape[2],
        levels=levels,
        program=program_in_memory(
            y, read_voltage=0.2, level=level, verified=verified, levels=levels
        ),
    )


CASES = {
    "no reading": lambda y, level: (np.full(y.shape, np.nan), level, True),
    "one value": lambda y, level: (np.full(y.shape, 1e-5), level, True),
    "zero": lambda y, level: (0 * y, level, True),
    "no spread": lambda _, level: (TARGET[level], level, True),
    "negative": lambda y, level: (-y, level, True),
    "all failed": lambda y, level: (y, level, False),
    "never asked": lambda y, level: (y, np.where(level == 2, -1, level), True),
    "one sweep": lambda y, level: (y[:1], level[:1], True),
    "one cell": lambda y, level: (y[:, :1, :1], level[:, :1, :1], True),
    "one row": lambda y, level: (y[:, :1], level[:, :1], True),
}


@pytest.mark.parametrize("case", CASES)
def test_every_chip_gets_a_card_and_a_report(case):
    rng = np.random.default_rng(1)
    level = rng.integers(0, 3, SHAPE)
    y = TARGET[level] * (1 + 0.05 * rng.standard_normal(SHAPE))
    y, level, accepted = CASES[case](y, level)
    found = characterize(measured(y, level, np.full(y.shape, accepted)))
    assert canonical_json(found.card.model_dump(mode="json", exclude_none=True))
    for where, q in quantities(found.card):
        assert np.isfinite(q.value), where
        if q.ci95 is not None:
            assert q.ci95[0] <= q.value <= q.ci95[1], where
    page = report_characterization(found)
    assert "chip/7 &lt;b&gt;" in page
    assert not {"nan", "NaN", "inf"} & set(page.replace("<", " ").replace(">", " ").split())
    assert not re.search(r"\b1 (more )?findings", found.card.quality.summary)
    ok = case in ("never asked", "one sweep", "one row")
    assert (found.card.quality.verdict == "bad") is not ok


def current_sweeps(current, points=9):
    voltage = np.linspace(-0.4, 0.4, points)
    cell = np.arange(len(current))
    return IVSweeps(
        voltage=voltage, current=current[:, None] * np.sinh(2 * voltage), row=cell, col=0 * cell
    )


ELECTRICAL = {
    "a cell without currents": (
        {"iv": current_sweeps(np.array([1e-5, 2e-5, np.nan, 3e-5, 2e-5]))}, "iv"),
    "no current at all": ({"iv": current_sweeps(np.full(4, np.nan))}, None),
    "nothing flows": ({"iv": current_sweeps(np.zeros(4))}, None),
    "one input": (
        {"readout": Readout(input=np.zeros(5), code=np.full((1, 5, 2), 128.0), channel_col=None,
                            bits=8, full_scale=1e-5, zero_code=128)}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", ELECTRICAL)
def test_sweeps_and_codes_without_information_are_not_drawn(case):
    groups, section = ELECTRICAL[case]
    found = characterize(
        Measurement(
            path=None,
            identity=ArrayIdentity(
                array_id="a", cell="1T1R", measured_at="2026-01-01T00:00:00+00:00"
            ),
            rows=5,
            cols=2,
            **groups,
        )
    )
    assert (found.card.quality.verdict == "bad") is (section is None)
    page = report_characterization(found)
    for name in ("iv", "readout"):
        assert (f'<section id="{name}"' in page) is (name == section)
