"""How much time and memory reading one file may take.

    processor time = base + size of the file / 5 MB/s + data returned / 30 MB/s
    memory         = 4 GB beyond the process that has read nothing

HDF5 reads sound files at 300 MB/s and more; many small objects are the slowest, at about 20 MB/s.
Processor time rather than time by the clock: a busy machine or a slow disk is no fault of the file.
The clock limit only ends a wait for a disk that does not answer. Two environment variables raise
the limits: RRAMFIT_READ_SECONDS (the base) and RRAMFIT_READ_GIGABYTES.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from rramfit.errors import RramfitError

__all__ = ["GIGABYTES", "SECONDS", "Limits", "limits_for"]

SECONDS, GIGABYTES = "RRAMFIT_READ_SECONDS", "RRAMFIT_READ_GIGABYTES"
_DEFAULT = {SECONDS: 2.0, GIGABYTES: 4.0}
_FILE_RATE, _DATA_RATE = 5e6, 30e6  # [byte/s]
_CLOCK = 40  # clock time per processor time


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits for one open file."""

    seconds: float  # [s] of processor time, without what the returned data allow
    memory: int  # bytes

    def processor_time(self, returned: int) -> float:
        """Return the processor time [s] allowed up to `returned` bytes of data."""
        return self.seconds + returned / _DATA_RATE

    def clock_time(self, returned: int) -> float:
        """Return the longest time [s] to wait for one answer."""
        return _CLOCK * self.processor_time(returned)


def limits_for(size: int) -> Limits:
    """Return the limits for a file of `size` bytes.

    Raises
    ------
    RramfitError
        If an environment variable is not a positive number.
    """
    return Limits(seconds=_given(SECONDS) + size / _FILE_RATE, memory=int(_given(GIGABYTES) * 1e9))


def _given(name: str) -> float:
    text = os.environ.get(name, "").strip()
    if not text:
        return _DEFAULT[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value < 1e6):
        msg = f"the environment variable {name} is {text!r}, expected a number above 0. Correct it."
        raise RramfitError(msg)
    return value
