"""Throughput of lots and of evaluations in several processes, relative to one.

    python -m pytest tests/benchmarks/test_lot_throughput.py -q --benchmark-json=lot.json

1,000 (--files) links to the reference measurement, with reports. Two processes on two idle cores
are to be 1.8 times as fast as one; and a file with only its group /program takes at most 1.2 s
within a lot, without report, where imports are paid once (the time of the lot's first file is left
out). Chips are of an untrained vgg5 on random images. Each process has one thread. With fewer than
100 files or chips the start of the processes counts, and the ratio is only recorded.
"""

import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rramfit.mapping.study.networks import make_network
from rramfit.measurement import read_measurement, write_measurement
from rramfit.reporting.lots import LotSettings, characterize_lot, plan_tasks

REFERENCE = Path(__file__).parents[2] / "data/reference.h5"
LEAST_SPEEDUP, MOST_SECONDS = 1.8, 1.2
ENOUGH = 100
IMAGES = 500  # per batch of CIFAR-10
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.fixture
def files(request):
    return request.config.getoption("--files")


def seconds(paths, output, *, report, jobs):
    """Return the time of a lot from its first finished file to its last, and their number."""
    ends = []
    settings = LotSettings(output=output, report=report)
    with characterize_lot(
        plan_tasks(paths, output=output),
        settings,
        jobs=jobs,
        on_progress=lambda _: ends.append(time.perf_counter()),
    ) as run:
        assert all(row.has_card for row in run)
    return ends[-1] - ends[0], len(ends) - 1


def test_two_processes(benchmark, tmp_path, files, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    paths = [tmp_path / f"die{i}.h5" for i in range(files)]
    for path in paths:
        path.hardlink_to(REFERENCE)
    rates = {}
    for jobs in (1, 2):
        output = tmp_path / str(jobs)
        if jobs == 2:
            found = benchmark.pedantic(
                seconds, (paths, output), {"report": True, "jobs": jobs}, rounds=1
            )
        else:
            found = seconds(paths, output, report=True, jobs=jobs)
        rates[jobs] = found[1] / found[0]
    speedup = rates[2] / rates[1]
    benchmark.extra_info |= {"files": files, "speedup": speedup, "files_per_s": rates[2]}
    if files >= ENOUGH and CORES >= 2:
        assert speedup >= LEAST_SPEEDUP


def test_program_group_alone(benchmark, tmp_path, files, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    paths = [tmp_path / f"die{i}.h5" for i in range(max(3, files // 10))]
    first = program_alone(tmp_path / "die0.h5")
    for path in paths[1:]:
        path.hardlink_to(first)
    found = benchmark.pedantic(
        seconds, (paths, tmp_path / "out"), {"report": False, "jobs": 1}, rounds=1
    )
    each = found[0] / found[1]
    benchmark.extra_info |= {"files": len(paths), "s_per_file": each}
    if files >= ENOUGH:
        assert each <= MOST_SECONDS


def program_alone(path):
    """Write the reference measurement with its groups /levels and /program only."""
    others = ("reads", "retention", "endurance", "iv", "mvm", "readout")
    write_measurement(replace(read_measurement(REFERENCE), **dict.fromkeys(others)), path)
    return path


def test_chips_in_two_processes(benchmark, tmp_path, files, monkeypatch):
    """An untrained vgg5 on random images of CIFAR-10 size."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        batch = {
            b"data": rng.integers(0, 256, (IMAGES, 3072), dtype=np.uint8),
            b"labels": rng.integers(0, 10, IMAGES).tolist(),
        }
        (tmp_path / name).write_bytes(pickle.dumps(batch))
    torch.save(make_network("vgg5", (3, 32, 32), 10).state_dict(), tmp_path / "net.pt")
    command = [str(Path(sys.executable).with_name("rramfit")), "evaluate", "vgg5", "--json"]
    command += ["--data", str(tmp_path), "--checkpoint", str(tmp_path / "net.pt")]
    times, results = {}, {}

    def evaluate(jobs):
        start = time.perf_counter()
        given = [*command, "--chips", str(files), "--jobs", str(jobs)]
        done = subprocess.run(given, check=True, capture_output=True)
        times[jobs], results[jobs] = time.perf_counter() - start, json.loads(done.stdout)

    evaluate(1)
    benchmark.pedantic(evaluate, (2,), rounds=1)
    assert results[1] == results[2]
    speedup = times[1] / times[2]
    benchmark.extra_info |= {"chips": files, "speedup": speedup}
    if files >= ENOUGH and CORES >= 2:
        assert speedup >= LEAST_SPEEDUP
