"""Memory of a process that makes and drops large tensors all the time.

glibc hands blocks of more than 32 MiB, and what lies free at the end of its heap, back to the
system at once, and every page of the next one is a fault again. Where all of it stays with the
process, a plain training step of `vgg5` takes 0.93 of the time that it takes else
(`tests/benchmarks/test_allocator.py`).
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

# Of <malloc.h>; other C libraries have no `mallopt`, and are left as they are.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_NEVER_TRIM = 2**31 - 1
_MAPPED = 2**30  # [byte] blocks from here on are the system's, as before
_PAD = 2**28  # [byte] the heap grows by at least so much


def keep_freed_memory() -> None:
    """Let freed blocks stay with this process, where the C library is glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED)
    mallopt(_TRIM_THRESHOLD, _NEVER_TRIM)
    mallopt(_TOP_PAD, _PAD)
