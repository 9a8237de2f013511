"""Memory allocation in processes that create and free large tensors all the time.

By default glibc returns free memory at the end of its heap, and every block of more than 32 MiB,
to the system at once, so that each page of the next block faults again. With all freed memory kept
by the process, a plain training step of `vgg5` takes 0.93 times as long
(`tests/benchmarks/test_allocator.py`).
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

# Constants of glibc's <malloc.h>. Other C libraries have no `mallopt`; nothing is done there.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_NEVER_TRIM = 2**31 - 1
_MAPPED = 2**30  # [byte] larger blocks are still returned to the system
_PAD = 2**28  # [byte] the least by which the heap grows


def keep_freed_memory() -> None:
    """Keep freed blocks in this process, where the C library is glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED)
    mallopt(_TRIM_THRESHOLD, _NEVER_TRIM)
    mallopt(_TOP_PAD, _PAD)
