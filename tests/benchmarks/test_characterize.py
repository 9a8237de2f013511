"""Run time of `rramfit characterize data/reference.h5`, the whole process, with and without report.

    python -m pytest tests/benchmarks/test_characterize.py -q --benchmark-json=out.json

`extra_info` in that file has the CPU time of the process, which depends less on other load.
"""

import resource
import sys
from pathlib import Path
from subprocess import run

import h5py
import pytest

REFERENCE = Path(__file__).parents[2] / "data/reference.h5"


@pytest.mark.benchmark(group="reference measurement, whole process")
@pytest.mark.parametrize("report", [False, True], ids=["card", "card and report"])
@pytest.mark.parametrize("line", [True, False], ids=["", "without the line fit"])
def test_reference(benchmark, tmp_path, report, line):
    source = tmp_path / "reference.h5"
    source.write_bytes(REFERENCE.read_bytes())
    if not line:
        with h5py.File(source, "r+") as f:
            del f["mvm"]
    command = [str(Path(sys.executable).with_name("rramfit")), "characterize", str(source)]
    command += ["-o", str(tmp_path), *([] if report else ["--no-report"])]
    own = []

    def work():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        own.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    benchmark.pedantic(work, rounds=3)
    benchmark.extra_info["cpu [s]"] = min(own)
