"""Freed memory stays with the process, so that its pages do not fault again."""

import ctypes
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
{keep}
def work():
    blocks = [np.ones(n * 2**20, np.uint8) for n in (40, 20, 10)]
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "from rramfit_cli.allocator import keep_freed_memory; keep_freed_memory()"


def faults(keep: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_pages_fault_only_once():
    assert faults(KEEP) < faults("") / 10
