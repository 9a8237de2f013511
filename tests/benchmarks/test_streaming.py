"""Run time and memory of `characterize` on 128 × 128 × 3,000 sweeps, relative to reading by h5py.

    python -m pytest tests/benchmarks/test_streaming.py -q --benchmark-json=out.json

Both run three times in a separate process. Times are CPU time (all threads) and wall time, the
shortest of three; wall time is meaningful on idle cores only. `level` is stored once per sweep, or
for each cell as a random pattern in every sweep. `extra_info` in that file has ratios and memory.
"""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

SWEEPS, LEVELS = 3000, 3
LARGEST = 2**30  # [bytes] above the interpreter with its imports

MEASURE = """
import json, resource, sys, time
import h5py, scipy.stats
from rramfit.fitting.characterization import characterize
def spent(work):
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu
def plain():
    with h5py.File(sys.argv[1]) as f:
        for name in ("conductance", "verified", "level"):
            d = f["program"][name]
            for first in range(0, len(d), 16):
                d[first : first + 16]
def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
read = [min(t) for t in zip(*(spent(plain) for _ in range(3)))]
whole = [min(t) for t in zip(*(spent(lambda: characterize(sys.argv[1])) for _ in range(3)))]
print(json.dumps({"h5py wall [s]": read[0], "h5py cpu [s]": read[1], "wall [s]": whole[0],
    "cpu [s]": whole[1], "wall ratio": whole[0] / read[0], "cpu ratio": whole[1] / read[1],
    "memory [MiB]": (peak() - before) / 2**20}))
"""


@pytest.fixture(scope="module", params=["level per sweep", "level per cell"])
def large(request, tmp_path_factory):
    """Write 49 million readings at three levels, with verify flags."""
    path = tmp_path_factory.mktemp("large") / "large.h5"
    rng = np.random.default_rng(7)
    target = np.array([5e-6, 40e-6, 90e-6], dtype="f4")
    offset = rng.standard_normal((128, 128), dtype="f4")
    packed = {"chunks": (1, 128, 128), "compression": "gzip", "shuffle": True, "fletcher32": True}
    shape = (SWEEPS, 128, 128)
    with h5py.File(path, "w") as f:
        f.attrs["format"], f.attrs["format_version"] = "rramfit-measurement", "1.0"
        f.attrs["array_id"], f.attrs["cell"] = "large", "1T1R"
        f["levels/target"] = target.astype("f8")
        f["levels/target"].attrs["units"] = "S"
        g = f.create_dataset("program/conductance", shape=shape, dtype="f4", **packed)
        g.attrs["units"] = "S"
        ok = f.create_dataset("program/verified", shape=shape, dtype="?", **packed)
        if request.param == "level per cell":
            k = f.create_dataset("program/level", shape=shape, dtype="i1", **packed)
        else:
            k = f.create_dataset("program/level", shape=(SWEEPS,), dtype="i1")
        f["program"].attrs["read_voltage"] = 0.2
        for t in range(SWEEPS):
            pattern = t % LEVELS if k.ndim == 1 else rng.integers(0, LEVELS, (128, 128))
            noise = rng.standard_normal((128, 128), dtype="f4")
            g[t] = target[pattern] * (1 + 0.06 * offset + 0.08 * noise)
            ok[t] = rng.random((128, 128)) < 0.98
            k[t] = pattern
    return path


@pytest.mark.benchmark(group="3,000 sweeps, both three times")
def test_characterize_takes_little_memory(benchmark, large):
    done = benchmark.pedantic(
        subprocess.run,
        args=([sys.executable, "-c", MEASURE, str(large)],),
        kwargs={"capture_output": True, "text": True, "check": True},
    )
    measured = json.loads(done.stdout)
    benchmark.extra_info |= measured
    assert measured["memory [MiB]"] * 2**20 < LARGEST
