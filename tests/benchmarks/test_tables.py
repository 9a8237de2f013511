"""Reading of a CSV of a few hundred MiB beside `pandas.read_csv` of the same file: time and memory.

    python -m pytest tests/benchmarks/test_tables.py -q --megabytes 300 --benchmark-json=out.json

Each reads in a separate process. `extra_info` in that file has both, and the memory of reading a
quarter of the file: the memory of rramfit must not grow with the file, so that 2 GB need no more.
"""

import json
import subprocess
import sys

import numpy as np

GROWTH = 64  # [MiB] of memory between the quarter and the whole
SLOWEST = 6.0  # times pandas

MEASURE = """
import json, resource, sys, time
from pathlib import Path
import pandas as pd
from rramfit.measurement.lab.layout_table import TableSource
from rramfit.measurement.lab.tables import read_blocks
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start = peak(), time.perf_counter()
path = Path(sys.argv[2])
if sys.argv[1] == "pandas":
    rows = len(pd.read_csv(path))
else:
    source = TableSource(kind="table", header=True)
    rows = sum(len(block.line) for block in read_blocks([path], source))
print(json.dumps({"rows": rows, "s": time.perf_counter() - start, "MiB": peak() - before}))
"""


def measured(reader, path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, reader, path], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def write(path, megabytes):
    rng = np.random.default_rng(0)
    with path.open("w") as f:
        f.write("addr,r,cycle,state\n")
        cycle = 0
        while f.tell() < megabytes * 2**20:
            addr, r = rng.integers(0, 65536, 100_000), rng.lognormal(9, 0.3, 100_000)
            pairs = zip(addr.tolist(), r.tolist(), strict=True)
            f.write("".join(f"{a},{x:.4f},{cycle},{a & 1}\n" for a, x in pairs))
            cycle += 1


def test_memory_is_flat(benchmark, request, tmp_path):
    size = request.config.getoption("--megabytes")
    quarter, whole = tmp_path / "quarter.csv", tmp_path / "whole.csv"
    write(quarter, size / 4)
    write(whole, size)
    ours = benchmark.pedantic(measured, args=("rramfit", whole), rounds=1)
    small, pandas = measured("rramfit", quarter), measured("pandas", whole)
    benchmark.extra_info |= {"rramfit": ours, "pandas": pandas, "a quarter": small}
    assert ours["rows"] == pandas["rows"]
    assert ours["MiB"] < small["MiB"] + GROWTH
    assert ours["MiB"] < pandas["MiB"]
    assert ours["s"] < SLOWEST * pandas["s"]
