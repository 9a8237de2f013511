"""Run time and memory of reading sweeps, relative to plain h5py; run time of converting logs.

    python -m pytest tests/benchmarks/test_reading.py -q --benchmark-json=reading.json

`extra_info` in that file has the ratio and the memory.

Run times depend on the machine, so the ratio to h5py on the same machine is asserted, and memory.
"""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from rramfit.measurement import convert_measurement, read_measurement

SWEEPS = 3000
LARGEST = 2**30  # [bytes] above the interpreter, for any file size
SLOWEST = 4.0  # times the run time of h5py


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Write 128 × 128 × 3,000 sweeps at three levels, 49 million readings, with verify flags."""
    path = tmp_path_factory.mktemp("large") / "large.h5"
    rng = np.random.default_rng(7)
    target = np.array([5e-6, 40e-6, 90e-6], dtype="f4")
    packed = {"chunks": (1, 128, 128), "compression": "gzip", "shuffle": True, "fletcher32": True}
    with h5py.File(path, "w") as f:
        f.attrs["format"], f.attrs["format_version"] = "rramfit-measurement", "1.0"
        f.attrs["array_id"], f.attrs["cell"] = "large", "1T1R"
        f["levels/target"] = target.astype("f8")
        f["levels/target"].attrs["units"] = "S"
        shape = (SWEEPS, 128, 128)
        g = f.create_dataset("program/conductance", shape=shape, dtype="f4", **packed)
        g.attrs["units"] = "S"
        ok = f.create_dataset("program/verified", shape=shape, dtype="?", **packed)
        f["program/level"] = (np.arange(SWEEPS) % 3).astype("i1")
        f["program"].attrs["read_voltage"] = 0.2
        for t in range(SWEEPS):
            g[t] = target[t % 3] * (1 + 0.1 * rng.standard_normal((128, 128), dtype="f4"))
            ok[t] = rng.random((128, 128)) < 0.98
    return path


def plain(path):
    """Read the same datasets with h5py alone, a block at a time."""
    with h5py.File(path) as f:
        for name in ("program/conductance", "program/verified"):
            for first in range(0, SWEEPS, 16):
                f[name][first : first + 16]


def streamed(path):
    return sum(len(block.conductance) for block in read_measurement(path).program.blocks(16))


@pytest.mark.benchmark(group="3,000 sweeps")
def test_plain_h5py(benchmark, large):
    benchmark.pedantic(plain, args=(large,), rounds=3)


@pytest.mark.benchmark(group="3,000 sweeps")
def test_streamed(benchmark, large):
    assert benchmark.pedantic(streamed, args=(large,), rounds=3) == SWEEPS


@pytest.mark.benchmark(group="3,000 sweeps, both readers three times in one process")
def test_streaming_is_nearly_as_fast_as_plain_reading_in_little_memory(benchmark, large):
    code = """
import sys, time
from pathlib import Path
import h5py
from rramfit.measurement import read_measurement
def spent(work):
    start = time.process_time()
    work()
    return time.process_time() - start
def plain():
    with h5py.File(sys.argv[1]) as f:
        for name in ("program/conductance", "program/verified"):
            for first in range(0, len(f[name]), 16):
                f[name][first : first + 16]
def streamed():
    for _ in read_measurement(sys.argv[1]).program.blocks(16):
        pass
def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
before = peak()
ratio = min(spent(streamed) for _ in range(3)) / min(spent(plain) for _ in range(3))
print(ratio, peak() - before)
"""
    done = benchmark.pedantic(
        subprocess.run,
        args=([sys.executable, "-c", code, str(large)],),
        kwargs={"capture_output": True, "text": True, "check": True},
    )
    ratio, grown = map(float, done.stdout.split())
    benchmark.extra_info |= {"streamed / plain": ratio, "memory [MiB]": grown / 2**20}
    assert ratio < SLOWEST
    assert grown < LARGEST


@pytest.mark.benchmark(group="1,000 sweeps in chunks of (1000, 8, 8), streamed and read at once")
@pytest.mark.parametrize("way", ["streamed", "whole"])
def test_chunks_across_the_blocks(benchmark, large, tmp_path, way):
    """Each chunk holds all sweeps of a few cells, and is still decompressed only once."""
    path = tmp_path / "long.h5"
    with h5py.File(large) as f, h5py.File(path, "w") as long:
        long.attrs.update(f.attrs)
        g = long.create_dataset(
            "program/conductance",
            data=f["program/conductance"][:1000],
            chunks=(1000, 8, 8),
            compression="gzip",
        )
        g.attrs["units"] = "S"
        long["program"].attrs["read_voltage"] = 0.2
    sweeps = 16 if way == "streamed" else 1000
    program = read_measurement(path).program
    benchmark.pedantic(lambda: [b.first for b in program.blocks(sweeps)], rounds=2)


LAYOUT = """
[array]
id = "x"
cell = "1T1R"
rows = 256
cols = 256
[source]
kind = "table"
columns = ["addr", "sweep", "r"]
[cells]
row = "addr >> 8"
col = "addr & 255"
[program]
conductance = { column = "r", units = "ohm" }
sweep = "sweep"
read_voltage = 0.2
"""


MEMORY = """
import resource, sys, time
begin = time.perf_counter()
if sys.argv[1] == "rramfit":
    from rramfit.measurement import convert_measurement, write_conversion
    write_conversion(convert_measurement(sys.argv[2], sys.argv[3]), sys.argv[4])
else:
    import pandas as pd
    assert pd.read_csv(sys.argv[2], header=None).shape[1] == 2
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
MOST_MEMORY = 1024  # [MiB] of a conversion, for a log of any size


@pytest.mark.benchmark(group="log of 2 GB")
@pytest.mark.parametrize("by", ["rramfit", "pandas"])
def test_a_log_larger_than_memory_may_be(benchmark, tmp_path, by):
    """Peak memory of a conversion, and of `pandas.read_csv` of the same file."""
    log, lab = tmp_path / "log.csv", tmp_path / "lab.toml"
    r = np.random.default_rng(1).normal(12.5e3, 1e3, 65536)
    sweep = "".join(f"{a},{x:.9f}\n" for a, x in enumerate(r.tolist())) + "\n"
    with log.open("w") as f:
        while f.tell() < 2e9:
            f.write(sweep)
    lab.write_text(LAYOUT.replace('"addr", "sweep"', '"addr"').replace('"sweep"', '"block"'))
    command = [sys.executable, "-c", MEMORY, by, log, lab, tmp_path / "chip.h5"]

    def run():
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return tuple(map(float, done.stdout.split()))

    seconds, memory = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info |= {"seconds": seconds, "peak memory [MiB]": memory}
    if by == "rramfit":
        assert memory < MOST_MEMORY


@pytest.mark.benchmark(group="log of 1,048,576 rows")
def test_a_large_log(benchmark, tmp_path):
    r = np.random.default_rng(1).normal(12.5e3, 1e3, (16, 65536))
    log, lab = tmp_path / "log.csv", tmp_path / "lab.toml"
    with log.open("w") as f:
        for t, sweep in enumerate(r.tolist()):
            f.writelines(f"{a},{t},{x:.3f}\n" for a, x in enumerate(sweep))
    lab.write_text(LAYOUT)
    c = benchmark.pedantic(convert_measurement, args=(log, lab), rounds=3)
    assert (c.rows, c.bad_rows) == (r.size, 0)
