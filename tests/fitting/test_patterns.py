"""The same chip gives the same card, in whatever pattern its levels were programmed.

Every kind of chip is measured in every usual pattern of levels: the same in each sweep, so that a
cell is only asked for one level, and shifted by one level from sweep to sweep. The card of a random
pattern is the reference.
"""

import functools
import importlib
import re
import subprocess
import sys

import numpy as np
import pytest

from rramfit.card.cells import Fault
from rramfit.fitting.characterization import characterize
from rramfit.measurement.virtual.cards import virtual_card
from rramfit.measurement.virtual.tester import Instrument, level_pattern

synthesize = importlib.import_module("rramfit.measurement.virtual.synthesize")

SIZE, LEVELS, SWEEPS, SEED = 48, 3, 6, 5
MEAN = (1e-6, 30e-6, 100e-6)
ROW, COL = np.indices((SIZE, SIZE))

KINDS = {
    "quiet": {},
    "dead lines": {"stuck": {"dead_rows": 0.05, "dead_cols": 0.05}},
    "stuck cells": {
        "stuck": {"low": 0.02, "high": 0.02, "low_conductance": 3e-7, "high_conductance": 160e-6}
    },
    "smooth field": {"field_share": 0.5, "field_length": 5.0},
    "trend": {"row_trend": 0.004, "col_trend": -0.003},
    "offset": {},
    "failures": {"hard": (0.0, 0.01, 0.03), "soft": (0.01, 0.03, 0.1)},
}
PATTERNS = {
    "column stripes": COL // 2 % LEVELS,
    "row stripes": ROW % LEVELS,
    "checkerboard": (ROW + COL) % LEVELS,
    "blocks of 8": (ROW // 8 + COL // 8) % LEVELS,
    "thirds": ROW * LEVELS // SIZE,
    "address mod L": (ROW * SIZE + COL) % LEVELS,
}
LINES = {
    "column stripes": "column",
    "row stripes": "row",
    "thirds": "row",
    "address mod L": "column",
}
"""Patterns with one level in each line, if they are the same in each sweep."""

SAID = ("holds only one level in all sweeps", "may have failed only at this level")
"""What a pattern of one level in each cell cannot tell."""

# A level that is on a part of the array has the mean and the spread of this part.
OF_THE_PART = {("trend", "thirds"), ("trend", "blocks of 8")}
JUDGED = ("screening", "diagnostics", "variation", "failure")


def asked(pattern, t, *, shifted):
    if pattern == "random":
        return level_pattern(LEVELS, t, (SIZE, SIZE), seed=3)
    if pattern == "one level":
        return np.full((SIZE, SIZE), t % LEVELS)
    return (PATTERNS[pattern] + (t if shifted else 0)) % LEVELS


@functools.cache
def characterized(kind, pattern, *, shifted):
    card = virtual_card(
        "made", mean=MEAN, spread=0.08, read=0.01, array=(SIZE, SIZE), **KINDS[kind]
    )

    def levels_of(_levels, t, _shape, **_seed):
        return asked(pattern, t, shifted=shifted)

    instrument = Instrument(offset=-1.5e-6 if kind == "offset" else 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesize, "level_pattern", levels_of)
        made = synthesize.synthesize(card, sweeps=SWEEPS, seed=SEED, instrument=instrument)
        return characterize(made)


def quantities(card):
    parts = {f"level {x.index}": (x, ("mean", "std")) for x in card.levels}
    parts |= {f"variation {x.level}": (x, ("d2d", "c2c")) for x in card.variation}
    names = ("row_trend", "col_trend", "share", "correlation_length")
    parts |= {f"spatial {x.level}": (x.spatial, names) for x in card.variation}
    parts |= {f"failure {x.level}": (x, ("probability", "hard", "soft")) for x in card.failure}
    parts["stuck"] = (card.stuck, ("low", "high", "dead_rows", "dead_cols"))
    found = {f"{at} {n}": getattr(x, n) for at, (x, names) in parts.items() for n in names}
    return {name: q for name, q in found.items() if q is not None}


def findings(found):
    return [f for name in JUDGED for f in found.verdicts[name].findings]


def check(kind, pattern, *, shifted):
    reference = characterized(kind, "random", shifted=False)
    found = characterized(kind, pattern, shifted=shifted)
    assert found.card.quality.verdict != "bad"
    dead = [
        np.isin(x.screening.fault, (Fault.DEAD_ROW, Fault.DEAD_COL)) for x in (reference, found)
    ]
    np.testing.assert_array_equal(*dead)
    assert (found.screening.fault != reference.screening.fault).sum() <= 3  # chance failures
    part = (kind, pattern) in OF_THE_PART and not shifted
    expected, got = quantities(reference.card), quantities(found.card)
    compared = 0
    for name in expected.keys() & got.keys():
        if part and name.endswith(("mean", "std", "d2d")):
            continue
        a, b = expected[name], got[name]
        error = np.hypot(a.stderr or 0.0, b.stderr or 0.0)
        assert abs(a.value - b.value) <= 4 * error + 1e-9 * abs(a.value), name
        compared += error > 0
    assert compared >= 15
    before = [f.what for f in findings(reference)]
    for finding in findings(found):
        same = any(finding.what[:40] == what[:40] for what in before)
        known = not shifted and any(x in finding.what for x in SAID)
        assert same or known or (part and "not spread evenly" in finding.what), finding
    after = [f.what[:10] for f in findings(found)]
    assert all(what[:10] in after for what in before)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_level_to_a_cell_gives_the_same_card(kind, pattern):
    found = check(kind, pattern, shifted=False)
    hidden = [f.what for f in found.diagnostics.found["hidden"]]
    assert [w.split()[1] for w in hidden] == ([LINES[pattern]] if pattern in LINES else [])
    if (kind, pattern) in OF_THE_PART:
        assert any("not spread evenly" in f.what for f in found.variation.verdict.findings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", [*PATTERNS, "one level"])
def test_shifted_patterns_give_the_same_card(kind, pattern):
    found = check(kind, pattern, shifted=True)
    assert not found.diagnostics.found["hidden"]


def test_the_kinds_are_what_they_are_called():
    counts = {k: characterized(k, "random", shifted=False).screening.counts for k in KINDS}
    assert counts["quiet"][Fault.OK] == SIZE**2
    assert counts["dead lines"][Fault.DEAD_ROW] > 0
    assert counts["dead lines"][Fault.DEAD_COL] > 0
    assert min(counts["stuck cells"][f] for f in (Fault.STUCK_LOW, Fault.STUCK_HIGH)) > 30
    offset = characterized("offset", "random", shifted=False).diagnostics.found["offset"]
    assert "the read-out has an offset" in offset[0].what
    assert (
        characterized("smooth field", "random", shifted=False).variation.levels[0].spatial.has_field
    )


def made_by(script, shared, folder, *arguments):
    path = folder / "made.h5"
    source = shared / "cases/patterns" / f"{script}.py"
    subprocess.run([sys.executable, source, path, *arguments], check=True)
    return characterize(path)


def test_a_sound_chip_in_column_stripes_has_no_dead_columns(shared, tmp_path):
    found = made_by("column_stripes", shared, tmp_path)
    assert found.screening.healthy.all()
    (finding,) = [f for v in found.verdicts.values() for f in v.findings]
    assert finding.what.startswith("Every column holds only one level in all sweeps")
    assert "checkerboard" in finding.remedy
    for level, target in zip(found.card.levels, (1e-6, 100e-6), strict=True):
        assert level.mean.value == pytest.approx(
            target * np.exp(0.5 * (0.05**2 + 0.03**2)), rel=2e-3
        )
        assert level.n_cells == 128 * 64


@pytest.mark.parametrize("arguments", [(), ("random",)])
def test_a_loss_that_depends_on_the_level_is_no_artefact(shared, tmp_path, arguments):
    found = made_by("periodic_levels", shared, tmp_path, *arguments)
    assert found.screening.healthy.all()
    checks = found.diagnostics.found
    assert {k for k, f in checks.items() if f} == (set() if arguments else {"hidden"})
    assert found.card.quality.verdict != "bad"


@pytest.mark.parametrize("sweeps", ["1", "3"])
@pytest.mark.parametrize("levels", ["2", "8"])
def test_level_is_column_mod_l(shared, tmp_path, levels, sweeps):
    found = made_by("periodic_program", shared, tmp_path, levels, "2", "100", sweeps)
    assert found.screening.healthy.all()
    assert {k for k, f in found.diagnostics.found.items() if f} == {"hidden"}
    for level, target in zip(
        found.card.levels, np.linspace(2e-6, 100e-6, int(levels)), strict=True
    ):
        mean = target * np.exp(0.5 * (0.05**2 + 0.03**2))
        assert abs(level.mean.value - mean) < 4 * level.mean.stderr
    smooth = [v.spatial.has_field for v in found.variation.levels]
    assert sum(smooth) <= len(smooth) / 4  # white noise at 5 %
    assert all(re.match("Every column", f.what) for f in found.diagnostics.verdict.findings)
