"""A new distribution family, as ARCHITECTURE.md describes it: from registration to a report."""

import subprocess
import sys

LAPLACE = """
from scipy import stats
from rramfit.fitting.levels import register_location_scale
register_location_scale("laplace", stats.laplace)

import sys, numpy as np, rramfit
from rramfit.array import DeviceModel
from rramfit.measurement import ArrayIdentity, Levels, program_in_memory
from rramfit.measurement.file.record import Measurement

rng = np.random.default_rng(0)
y = 80e-6 + 4e-6 * rng.laplace(size=(2, 40, 40))
program = program_in_memory(y, read_voltage=0.2, level=np.zeros(y.shape, int))
"""
USE = """
identity = ArrayIdentity(array_id="toy", cell="1T1R")
levels = Levels(target=np.array([80e-6]))
m = Measurement(path=None, identity=identity, rows=40, cols=40, levels=levels, program=program)
c = rramfit.characterize(m, name="toy")
c.save(sys.argv[1])
rramfit.save_report(c, sys.argv[1] + "/toy.report.html")
card = rramfit.load_card(f"{sys.argv[1]}/{c.card.name}.card.json")
print(card.levels[0].distribution.family, float(DeviceModel.from_card(card).mean[0]))
"""


def test_a_registered_family_is_fitted_stated_reported_and_drawn(tmp_path):
    """In a separate process, so that no other test meets the family."""
    assert len(LAPLACE.strip().splitlines()) <= 20
    command = [sys.executable, "-c", LAPLACE + USE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    family, mean = done.stdout.split()
    assert family == "laplace"
    assert 79e-6 < float(mean) < 81e-6
    assert "laplace" in (tmp_path / "toy.report.html").read_text().lower()
