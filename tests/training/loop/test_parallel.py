"""Data-parallel training: two processes give the network of one; each draws its own chips."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("parallel.py")


def results(folder, rank):
    return json.loads((folder / f"{rank}.json").read_text())


def test_two_processes_equal_one(tmp_path):
    alone, both = tmp_path / "alone", tmp_path / "both"
    alone.mkdir()
    both.mkdir()
    env = {k: v for k, v in os.environ.items() if k != "RANK"} | {"OMP_NUM_THREADS": "1"}
    run = {"check": True, "capture_output": True, "env": env, "timeout": 120}
    subprocess.run([sys.executable, SCRIPT, alone], **run)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*torchrun, SCRIPT, both], **run)
    one, first, second = results(alone, 0), results(both, 0), results(both, 1)
    assert (first["rank"], second["rank"]) == ([0, 2], [1, 2])
    assert first["plain"] == second["plain"]
    assert first["aware"] == second["aware"]
    # the mean gradient of two halves is that of the batch, up to rounding
    assert first["plain"] == pytest.approx(one["plain"], rel=1e-4, abs=1e-4)
    assert first["cells"] != second["cells"]
